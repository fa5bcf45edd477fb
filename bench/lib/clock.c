/* SPDX-License-Identifier: MIT */
/*
 * Calibration of the tick counter. One rate is measured per program run and inherited over fork.
 */
#include "bench/lib/clock.h"

static double ticks_per_ns;

/* One (ns, ticks) pair; of several tries the one with the shortest gap, so preemption is no error.
 */
static void stamp(uint64_t *ns, uint64_t *ticks)
{
    uint64_t best = UINT64_MAX;

    for (int try = 0; try < 8; try++) {
        uint64_t before = bench_ticks();
        uint64_t now = bench_now_ns();
        uint64_t after = bench_ticks();

        if (after - before < best) {
            best = after - before;
            *ns = now;
            *ticks = before + best / 2;
        }
    }
}

void bench_clock_init(void)
{
    uint64_t ns0 = 0, ns1 = 0, ticks0 = 0, ticks1 = 0;

    if (ticks_per_ns > 0) {
        return;
    }
    stamp(&ns0, &ticks0);
    while (bench_now_ns() - ns0 < 10 * BENCH_MS) {
    }
    stamp(&ns1, &ticks1);
    ticks_per_ns = (double)(ticks1 - ticks0) / (double)(ns1 - ns0);
}

double bench_ticks_to_ns(double ticks)
{
    return ticks / ticks_per_ns;
}

uint64_t bench_ns_to_ticks(uint64_t ns)
{
    return (uint64_t)((double)ns * ticks_per_ns);
}
