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
    if (s->penance > 0)
        return 0;
    return s->silent ? SHIM_SPIN_SILENT_NS : SHIM_SPIN_TALK_NS;
}

static inline void shim_spin_punish(struct shim_spin *s)
{
    s->vain = 0;
    s->sentence = s->sentence == 0 ? SHIM_SPIN_LEAST : s->sentence * 2;
    if (s->sentence > SHIM_SPIN_MOST)
        s->sentence = SHIM_SPIN_MOST;
    s->penance = s->sentence;
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
    s->silent = s->vain = 0;
    if (s->sentence == 0 || ++s->wins < SHIM_SPIN_WINS)
        return;
    s->wins = 0;
    s->sentence /= 2;
}

/* A sleep of `slept` ns, after a look that found nothing, or after none. */
static inline void shim_spin_slept(struct shim_spin *s, uint64_t slept)
{
    s->silent = slept >= SHIM_SPIN_SOON_NS;
    if (s->penance > 0)
        s->penance--;
    else if (!s->silent && ++s->vain >= SHIM_SPIN_VAIN)
        shim_spin_punish(s);
}

#endif
