/* SPDX-License-Identifier: MIT */
/*
 * Timers: callbacks at deadlines, in a total order, of the earlier deadline and then of the earlier
 * setting. The timer is embedded in the caller's object and knows its place in the heap, so it is
 * cancelled in O(log n) without a search; the heap is an array that only grows.
 *
 * For one thread. Nothing here reads a clock: the caller says what time it is, so a simulator and a
 * test can. Not here: waiting until a deadline (event/).
 */
#ifndef MBR_EVENT_TIMER_H
#define MBR_EVENT_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* Embedded in the caller's object, whose memory must stay while the timer is set. */
struct mbr__timer {
    void (*fire)(struct mbr__timer *self);
    size_t place; /* in the heap, or MBR__TIMER_UNSET */
};

#define MBR__TIMER_UNSET SIZE_MAX

struct mbr__timer_entry {
    uint64_t deadline_ns;
    uint64_t sequence; /* of settings: no two entries are equal */
    struct mbr__timer *timer;
};

struct mbr__timers {
    struct mbr__timer_entry *heap; /* each entry before its four children */
    size_t count;
    size_t capacity;
    uint64_t next_sequence;
};

/* No timers. Allocates nothing. */
void mbr__timers_init(struct mbr__timers *timers);

/* Cancels all timers and frees the memory. Not from within a callback. */
void mbr__timers_fini(struct mbr__timers *timers);

/* Grows until COUNT timers fit: settings up to that number cannot fail. -ENOMEM, nothing changed.
 */
int mbr__timers_reserve(struct mbr__timers *timers, size_t count);

/* A timer that is not set. */
void mbr__timer_init(struct mbr__timer *timer, void (*fire)(struct mbr__timer *self));

/* True from the setting until the timer fires or is cancelled; false inside its callback. */
static inline bool mbr__timer_is_set(const struct mbr__timer *timer)
{
    return timer->place != MBR__TIMER_UNSET;
}

/*
 * Sets TIMER to fire at DEADLINE_NS, in the clock of mbr__timers_expire; MBR__NEVER is later than
 * everything. If it is set already it is moved, which counts as a new setting and cannot fail.
 * -ENOMEM, only when growing; then nothing has changed.
 */
int mbr__timer_add(struct mbr__timers *timers, struct mbr__timer *timer, uint64_t deadline_ns);

/* Cancels TIMER, which does not fire any more. Harmless if it is not set. */
void mbr__timer_cancel(struct mbr__timers *timers, struct mbr__timer *timer);

/* The earliest deadline, or MBR__NEVER if no timer is set. */
static inline uint64_t mbr__timers_next_ns(const struct mbr__timers *timers)
{
    return timers->count ? timers->heap[0].deadline_ns : MBR__NEVER;
}

/*
 * Fires, in order, the timers whose deadline is NOW_NS or earlier (but none set to MBR__NEVER), and
 * returns their number. A callback may set and cancel any timer and free its own. At most as many
 * fire as were set at the call, so that one which sets itself anew to the past ends; what is then
 * still due is fired by the next call.
 */
size_t mbr__timers_expire(struct mbr__timers *timers, uint64_t now_ns);

#endif
