/* SPDX-License-Identifier: MIT */
/*
 * Time for the benchmarks: a cheap tick counter for inner loops and CLOCK_MONOTONIC for everything
 * that crosses processes. Ticks are the time stamp counter on x86 (it must be constant and
 * synchronised between CPUs, which the environment block records) and nanoseconds elsewhere.
 * Not for the library: src/base has its own clock.
 */
#ifndef BENCH_LIB_CLOCK_H
#define BENCH_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

#define BENCH_US UINT64_C(1000)
#define BENCH_MS UINT64_C(1000000)
#define BENCH_S  UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t bench_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * BENCH_S + (uint64_t)ts.tv_nsec;
}

/* The tick counter. Not serialising: a fence would cost more than the error it removes. */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#else
    return bench_now_ns();
#endif
}

/*
 * Measures the tick rate against CLOCK_MONOTONIC, for about 10 ms, the first time it is called.
 * Call it before forking, so that both sides convert alike.
 */
void bench_clock_init(void);

/* Conversions; bench_clock_init() must have been called. */
double bench_ticks_to_ns(double ticks);
uint64_t bench_ns_to_ticks(uint64_t ns);

#endif
