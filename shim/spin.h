/* SPDX-License-Identifier: MIT */
/*
 * How long to look before sleeping.
 *
 * Two programs that answer each other in microseconds fall asleep only because each waits for the
 * other's awakening, which takes tens of microseconds in a virtual machine: so in a conversation
 * one looks for longer than that. When many looks in a row were in vain although the answer came
 * soon after, the other needs our CPU: then one sleeps at once for a number of times. In silence a
 * short look is spent on each awakening, which for a timer of 10 Hz is 0.02 % of a CPU.
 */
#ifndef MBR_SHIM_SPIN_H
#define MBR_SHIM_SPIN_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/clock.h"

#define SHIM_SPIN_YIELD_NS  2000u /* between two looks at whether somebody needs our CPU */
#define SHIM_SPIN_TALK_NS   60000u
#define SHIM_SPIN_SILENT_NS 20000u
#define SHIM_SPIN_SOON_NS   1000000u /* an answer within this is a conversation */
#define SHIM_SPIN_CROWD_NS  200000u  /* away for so long: it was no answer that was being written */
#define SHIM_SPIN_WINS      256u
#define SHIM_SPIN_VAIN      32u   /* looks in vain before one gives in, ... */
#define SHIM_SPIN_LEAST     64u   /* ... for so many sleeps, twice as many each time, ... */
#define SHIM_SPIN_MOST      4096u /* ... at most so many */

extern uint32_t shim_confined; /* 1: the program has confined itself (sandbox.c) */

/* All zeroes is a good beginning. Several threads may use one: what they spoil is a guess. */
struct shim_spin {
    uint32_t silent;   /* 1: the last sleep was long */
    uint32_t vain;     /* looks in vain in a row */
    uint32_t penance;  /* sleeps still to come without a look */
    uint32_t sentence; /* the last penance */
    uint32_t wins;     /* looks that found something since it was last halved */
};

/* How long to look now, in nanoseconds; 0 not at all. */
static inline uint64_t shim_spin_budget(const struct shim_spin *s)
{
    if (mbr_load_relaxed(&s->penance) > 0 || mbr_load_relaxed(&shim_confined))
        return 0;
    return mbr_load_relaxed(&s->silent) ? SHIM_SPIN_SILENT_NS : SHIM_SPIN_TALK_NS;
}

static inline void shim_spin_punish(struct shim_spin *s)
{
    uint32_t last = mbr_load_relaxed(&s->sentence);
    uint32_t next = last == 0 ? SHIM_SPIN_LEAST : last * 2;

    mbr_store_relaxed(&s->vain, (uint32_t)0);
    next = next < SHIM_SPIN_MOST ? next : SHIM_SPIN_MOST;
    mbr_store_relaxed(&s->sentence, next);
    mbr_store_relaxed(&s->penance, next);
}

/*
 * After each look that found nothing, `ns` after the first: the other program may be waiting for
 * our CPU, and finds the answer sooner than a sleep and an awakening would let it. False: a third
 * one took the CPU for long. Who sleeps is put before such a one when he is woken, who gives way is
 * not: so sleep, and do not try again soon.
 */
static inline bool shim_spin_yield(struct shim_spin *s, uint64_t *yielded, uint64_t ns)
{
    uint64_t begin;

    if (ns - *yielded < SHIM_SPIN_YIELD_NS)
        return true;
    *yielded = ns;
    begin = mbr__ticks();
    (void)sched_yield();
    if (mbr__ticks_to_ns(mbr__ticks() - begin) < SHIM_SPIN_CROWD_NS)
        return true;
    shim_spin_punish(s);
    return false;
}

static inline void shim_spin_won(struct shim_spin *s)
{
    uint32_t wins;

    mbr_store_relaxed(&s->silent, (uint32_t)0);
    mbr_store_relaxed(&s->vain, (uint32_t)0);
    if (mbr_load_relaxed(&s->sentence) == 0)
        return;
    wins = mbr_load_relaxed(&s->wins) + 1;
    mbr_store_relaxed(&s->wins, wins % SHIM_SPIN_WINS);
    if (wins >= SHIM_SPIN_WINS)
        mbr_store_relaxed(&s->sentence, mbr_load_relaxed(&s->sentence) / 2);
}

/* A sleep of `slept` ns, after a look that found nothing, or after none. */
static inline void shim_spin_slept(struct shim_spin *s, uint64_t slept)
{
    uint32_t penance = mbr_load_relaxed(&s->penance);
    uint32_t vain = mbr_load_relaxed(&s->vain) + 1;
    bool silent = slept >= SHIM_SPIN_SOON_NS;

    mbr_store_relaxed(&s->silent, (uint32_t)silent);
    if (penance > 0) {
        mbr_store_relaxed(&s->penance, penance - 1);
    } else if (!silent) {
        mbr_store_relaxed(&s->vain, vain);
        if (vain >= SHIM_SPIN_VAIN)
            shim_spin_punish(s);
    }
}

#endif
