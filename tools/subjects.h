/* SPDX-License-Identifier: MIT */
/*
 * The pipe as membrane bench measures it, through the installed interface alone.
 */
#ifndef TOOLS_SUBJECTS_H
#define TOOLS_SUBJECTS_H

#include "bench/lib/subject.h"

/* In place (reserve and commit, peek and release), and with push and pop, which copy. */
#define TOOL_SUBJECTS 2
extern const struct bench_subject tool_subjects[TOOL_SUBJECTS];

#endif
