/* SPDX-License-Identifier: MIT */
/*
 * A heap of four children per node: half as deep as a binary one, and the four lie side by side.
 * The entries carry the deadlines, so comparing them touches no timer.
 */
#include "event/timer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#define FIRST_CAPACITY 16u
#define ARITY          4u

void mbr__timers_init(struct mbr__timers *timers)
{
    *timers = (struct mbr__timers){.heap = NULL};
}

void mbr__timers_fini(struct mbr__timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i].timer->place = MBR__TIMER_UNSET;
    free(timers->heap);
    mbr__timers_init(timers);
}

int mbr__timers_reserve(struct mbr__timers *timers, size_t count)
{
    size_t capacity = timers->capacity ? timers->capacity : FIRST_CAPACITY;
    struct mbr__timer_entry *heap;

    if (count <= timers->capacity)
        return 0;
    if (count > SIZE_MAX / sizeof(*heap) / 2)
        return -ENOMEM;
    while (capacity < count)
        capacity *= 2;
    heap = realloc(timers->heap, capacity * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

void mbr__timer_init(struct mbr__timer *timer, void (*fire)(struct mbr__timer *self))
{
    *timer = (struct mbr__timer){.fire = fire, .place = MBR__TIMER_UNSET};
}

static bool is_before(const struct mbr__timer_entry *a, const struct mbr__timer_entry *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->sequence < b->sequence;
}

static void put(struct mbr__timers *timers, size_t place, const struct mbr__timer_entry *entry)
{
    timers->heap[place] = *entry;
    entry->timer->place = place;
}

/* Puts ENTRY at PLACE or above it, moving down those it comes before. */
static void sift_up(struct mbr__timers *timers, size_t place, const struct mbr__timer_entry *entry)
{
    while (place > 0) {
        size_t parent = (place - 1) / ARITY;

        if (!is_before(entry, &timers->heap[parent]))
            break;
        put(timers, place, &timers->heap[parent]);
        place = parent;
    }
    put(timers, place, entry);
}

/* The earliest child of PLACE, or COUNT if it has none. */
static size_t first_child(const struct mbr__timers *timers, size_t place)
{
    size_t child = place * ARITY + 1;
    size_t best = child;

    if (child >= timers->count)
        return timers->count;
    for (size_t i = child + 1; i < child + ARITY && i < timers->count; i++)
        if (is_before(&timers->heap[i], &timers->heap[best]))
            best = i;
    return best;
}

/* Puts ENTRY at PLACE or below it, moving up those that come before it. */
static void sift_down(struct mbr__timers *timers, size_t place,
                      const struct mbr__timer_entry *entry)
{
    size_t child;

    while ((child = first_child(timers, place)) < timers->count) {
        if (is_before(entry, &timers->heap[child]))
            break;
        put(timers, place, &timers->heap[child]);
        place = child;
    }
    put(timers, place, entry);
}

/* Puts ENTRY where it belongs, given that PLACE is free. */
static void settle(struct mbr__timers *timers, size_t place, const struct mbr__timer_entry *entry)
{
    if (place > 0 && is_before(entry, &timers->heap[(place - 1) / ARITY]))
        sift_up(timers, place, entry);
    else
        sift_down(timers, place, entry);
}

int mbr__timer_add(struct mbr__timers *timers, struct mbr__timer *timer, uint64_t deadline_ns)
{
    struct mbr__timer_entry entry = {deadline_ns, timers->next_sequence, timer};
    int error;

    if (mbr__timer_is_set(timer)) {
        MBR_ASSERT(timer->place < timers->count && timers->heap[timer->place].timer == timer);
        timers->next_sequence++;
        settle(timers, timer->place, &entry);
        return 0;
    }
    error = mbr__timers_reserve(timers, timers->count + 1);
    if (error)
        return error;
    timers->next_sequence++;
    sift_up(timers, timers->count++, &entry);
    return 0;
}

void mbr__timer_cancel(struct mbr__timers *timers, struct mbr__timer *timer)
{
    size_t place = timer->place;
    struct mbr__timer_entry last;

    if (!mbr__timer_is_set(timer))
        return;
    MBR_ASSERT(place < timers->count && timers->heap[place].timer == timer);
    timer->place = MBR__TIMER_UNSET;
    last = timers->heap[--timers->count];
    if (last.timer != timer)
        settle(timers, place, &last);
}

size_t mbr__timers_expire(struct mbr__timers *timers, uint64_t now_ns)
{
    size_t most = timers->count;
    size_t fired = 0;

    while (fired < most && mbr__timers_next_ns(timers) <= now_ns) {
        struct mbr__timer *timer;

        if (mbr__timers_next_ns(timers) == MBR__NEVER)
            break;
        timer = timers->heap[0].timer;
        /* Taken out first: inside its callback a timer is not set, and may be set anew or freed. */
        mbr__timer_cancel(timers, timer);
        timer->fire(timer);
        fired++;
    }
    return fired;
}
