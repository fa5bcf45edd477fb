/* SPDX-License-Identifier: MIT */
/*
 * What one side of a measurement holds while it runs: when to stop, where to note times, and how
 * to wait without waiting for ever. Subjects call these few inline functions from their loops; all
 * of them cost a few cycles or run once per 64 KiB of data.
 *
 * Both sides run from the same barrier. Ticks are comparable between CPUs (see clock.h).
 */
#ifndef BENCH_LIB_PROBE_H
#define BENCH_LIB_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "bench/lib/clock.h"
#include "bench/lib/work.h"

struct bench_probe {
    /* Read by the subject. */
    size_t size;   /* bytes of each message */
    bool blocking; /* wait in the kernel instead of spinning */

    /* Private to the functions below. */
    bool one_cpu;
    uint32_t spin_mask;
    uint64_t tick_mask;
    uint64_t measure_from;
    uint64_t stop_at;
    uint64_t deadline;
    uint64_t spins;
    const uint32_t *abort; /* set by the keeper when the other side is gone */
    uint32_t *laps;        /* round trips in ticks */
    uint64_t lap_limit;
    uint64_t lap_count;
    uint64_t last;
    uint64_t rest; /* ticks of work before each message; 0 none */
    uint64_t first_seq, first_at, last_seq, last_at;
};

/*
 * To be called in each turn of a waiting loop. 0: go on; -ETIMEDOUT: the deadline has passed;
 * -ECANCELED: the other side has died. Yields the CPU where both sides share it. There is no pause
 * instruction in it: in a virtual machine that may leave the guest.
 */
int bench_spin_slow(struct bench_probe *probe);

static inline int bench_spin(struct bench_probe *probe)
{
    if (__builtin_expect((++probe->spins & probe->spin_mask) != 0, 1)) {
        return 0;
    }
    return bench_spin_slow(probe);
}

/*
 * Works for as long as the case says, so that the other side, which waits meanwhile, gives up
 * spinning and sleeps. To be called in pong() before each answer; ping() rests in bench_lap().
 */
static inline void bench_rest(const struct bench_probe *probe)
{
    if (__builtin_expect(probe->rest != 0, 0)) {
        uint64_t until = bench_ticks() + probe->rest;

        while (bench_ticks() < until) {
        }
    }
}

/* The moment to measure the first round trip from. */
static inline void bench_lap_start(struct bench_probe *probe)
{
    probe->last = bench_ticks();
}

/*
 * One round trip is complete; false when it was the last. One time stamp is both the end of a round
 * trip and the start of the next; those of the warm-up overwrite each other.
 */
static inline bool bench_lap(struct bench_probe *probe)
{
    uint64_t now = bench_ticks();
    uint64_t took = now - probe->last - probe->rest; /* the other side's rest */

    probe->laps[probe->lap_count] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    probe->lap_count += now >= probe->measure_from;
    probe->last = now;
    if (__builtin_expect(probe->rest != 0, 0)) {
        bench_rest(probe);
        probe->last = bench_ticks();
    }
    return now < probe->stop_at && probe->lap_count < probe->lap_limit;
}

/* For the sender of a stream: whether to send message number `seq` or BENCH_END. */
static inline bool bench_more(const struct bench_probe *probe, uint64_t seq)
{
    return (seq & probe->tick_mask) != 0 || bench_ticks() < probe->stop_at;
}

/* For the receiver of a stream: message number `seq` has been received and checked. */
static inline void bench_took(struct bench_probe *probe, uint64_t seq)
{
    if ((seq & probe->tick_mask) == 0 && probe->first_at == 0) {
        uint64_t now = bench_ticks();

        if (now >= probe->measure_from) {
            probe->first_at = now;
            probe->first_seq = seq;
        }
    }
}

/* For the receiver of a stream: the end came instead of message number `seq`. */
static inline void bench_took_end(struct bench_probe *probe, uint64_t seq)
{
    probe->last_at = bench_ticks();
    probe->last_seq = seq - 1;
}

#endif
