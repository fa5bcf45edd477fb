/* SPDX-License-Identifier: MIT */
/*
 * How long it takes until one that sleeps for a block of an object runs again, from the moment at
 * which the block is given back; and the same for one that sleeps on a bare futex.
 */
#ifndef BENCH_OBJECTS_WAKE_H
#define BENCH_OBJECTS_WAKE_H

enum wake_way { WAKE_READER, WAKE_WRITER, WAKE_FUTEX };

/* Two processes on CPUs of their own. 0 or a negative errno. */
int wake_begin(void);
/* The median of `count` wake-ups, in nanoseconds, or a negative errno. */
double wake_once(enum wake_way way, int count);
void wake_end(void);

#endif
