/* SPDX-License-Identifier: MIT */
/*
 * Whether what was printed has arrived. Not here: what is said of it (say.h).
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdio.h>

/* Flushes a stream that is for people or for a pipe. 0, or a negative errno: now, or in an earlier
 * call that nobody has looked at, something got lost. */
int output_end(FILE *stream);

#endif
