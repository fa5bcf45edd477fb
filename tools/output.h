/* SPDX-License-Identifier: MIT */
/*
 * Whether what was printed has arrived. Every program of ours opens with the first function and
 * ends with the second. Not here: what is said of it (say.h).
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdio.h>

/* Sees to it that descriptors 0 to 2 are taken: a file, pipe or socket that got one of them would
 * have messages written into it. Each closed one is opened in the direction it is not used in, so
 * that its use fails as before. 0, or a negative errno. */
int output_guard(void);

/* Flushes a stream that is for people or for a pipe. 0, or a negative errno: now, or in an earlier
 * call that nobody has looked at, something got lost. */
int output_end(FILE *stream);

#endif
