/* SPDX-License-Identifier: MIT */
/*
 * Counts that can only be taken from outside a program: system calls, by strace, and instructions,
 * by stepping through it with ptrace(2). Each runs membrane-turns twice, with few and with more
 * repetitions, and divides the difference, so that starting and ending count for nothing.
 */
#ifndef BENCH_COSTS_OUTSIDE_H
#define BENCH_COSTS_OUTSIDE_H

/* System calls of both processes for each repetition of `what`. Negative errno: -ENOENT there is no
 * strace, -EIO it failed. */
int costs_system_calls(const char *program, const char *what, unsigned long repetitions,
                       double *each);

/* Instructions for each repetition of `what`: exact, and some 3 us each. Negative errno: -EPERM
 * nothing may be traced here, -EIO the program failed. */
int costs_instructions(const char *program, const char *what, unsigned long repetitions,
                       double *each);

#endif
