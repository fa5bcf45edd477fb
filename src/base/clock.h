/* SPDX-License-Identifier: MIT */
/*
 * Time. Deadlines are nanoseconds of CLOCK_MONOTONIC, always, and always compared with that clock.
 * Ticks are a cheaper counter for the length of short spans (how long to spin, what a spin has
 * bought); no deadline is ever computed from them, so a wrong tick rate cannot make a wait end
 * early or never.
 *
 * Not here: wall-clock time, sleeping, timers (event/timer.h).
 */
#ifndef MBR_BASE_CLOCK_H
#define MBR_BASE_CLOCK_H

#include <stdint.h>

#include "base/atomic.h"

/* The deadline that never comes, and the timeout that never ends. */
#define MBR__NEVER UINT64_MAX

/* CLOCK_MONOTONIC in nanoseconds. Any thread; no system call where the vDSO serves (20-30 ns). */
uint64_t mbr__now_ns(void);

/* Now + TIMEOUT_NS; MBR__NEVER when that does not fit in 64 bits, so MBR__NEVER stays as it is. */
uint64_t mbr__deadline_ns(uint64_t timeout_ns);

/* What mbr__ticks() counts, decided at its first call and never changed. */
enum {
    MBR__TICKS_UNKNOWN = 0, /* not decided */
    MBR__TICKS_TSC = 1,     /* the processor's time stamp counter */
    MBR__TICKS_NS = 2       /* nanoseconds of CLOCK_MONOTONIC */
};

/* Private to the inline function below. */
extern uint32_t mbr__ticks_source;
uint64_t mbr__ticks_slow(void);

/*
 * A counter that goes up at an unknown constant rate. Only differences mean anything. Counts of two
 * CPUs may differ by some ticks, and a suspended machine may set it back: differences are converted
 * with mbr__ticks_to_ns(), which survives that. Any thread; the first call opens a file in /sys.
 */
static inline uint64_t mbr__ticks(void)
{
#if defined(__x86_64__)
    /* Pair A with the store in clock.c: a thread that sees the decision sees the anchor too. */
    if (__builtin_expect(mbr_load_acquire(&mbr__ticks_source) == MBR__TICKS_TSC, 1))
        return __builtin_ia32_rdtsc();
#endif
    return mbr__ticks_slow();
}

/*
 * The length in nanoseconds of TICKS, a difference of two mbr__ticks() of this process. Before 10
 * ms have gone by since the first mbr__ticks() the rate is measured anew at each call: the span
 * lies inside what is measured, so its absolute error is that of two clock readings (below 1 us
 * unless interrupted), however short. Afterwards the rate is fixed, at 0.1 % or better. A negative
 * difference gives 0.
 */
uint64_t mbr__ticks_to_ns(uint64_t ticks);

#endif
