/* SPDX-License-Identifier: MIT */
/*
 * Layout of an event count (struct mbr_count, membrane/event.h) and how its words are used. Every
 * party may write every word: a count is shared by those who trust each other with it.
 *
 * value: advanced by fetch-and-add, which releases what was written before; read with acquire (pair
 * A). An advancer then makes a full fence and looks at `sleepers` and each `armed`; who wants to
 * sleep stores there, makes a full fence and looks at `value` (pair B).
 *
 * sleepers: bit (v mod 32) says that somebody may sleep who awaits v; the same bit is his futex
 * bitset, so an advance wakes only those it concerns. Sleepers set it and nobody owns it, so that
 * one who is killed need not clear it: a wake-up that finds nobody clears its bits (count.c).
 *
 * wakes: the futex word, one more at each wake-up. Not the low half of the value, because an
 * advance by 2^32 would leave that as it was, and who is about to sleep would not notice.
 *
 * watcher: places of the wait sets that watch the count, each written by whoever has claimed it.
 * owner: 0 free, else process and descriptor of the bell (mbr__watcher_pack), changed only by
 * compare-and-swap. bell: the inode of the bell's pipe; a ringer believes only a descriptor that
 * leads to this very pipe, since numbers of processes and of descriptors are used again (also by
 * exec). armed: 0, or the value awaited as mbr__count_token(); not 0 asks for a ring. Stored by the
 * owner; an advancer that has rung for a value it saw reached sets it to 0, so that it is rung
 * once. Ring first, clear then: if the ringer dies between, somebody else rings.
 */
#ifndef MBR_EVENT_COUNT_SHM_H
#define MBR_EVENT_COUNT_SHM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/event.h>

static_assert(sizeof(struct mbr_count) == 64, "one cache line");
static_assert(offsetof(struct mbr_count, value) == 0 && offsetof(struct mbr_count, sleepers) == 8 &&
                  offsetof(struct mbr_count, wakes) == 12 &&
                  offsetof(struct mbr_count, watcher) == 16,
              "layout version 1");
static_assert(sizeof(struct mbr_count_watcher) == 16 &&
                  offsetof(struct mbr_count_watcher, owner) == 0 &&
                  offsetof(struct mbr_count_watcher, bell) == 8 &&
                  offsetof(struct mbr_count_watcher, armed) == 12,
              "layout version 1");
static_assert(sizeof(struct mbr_sequencer) == 64 && offsetof(struct mbr_sequencer, next) == 0,
              "layout version 1");

/* owner: pid in bits 0 to 21, descriptor in bits 22 to 52, and while it is not filled in yet: */
#define MBR__WATCHER_CLAIMING (UINT64_C(1) << 63)
#define MBR__WATCHER_PID_BITS 22
#define MBR__WATCHER_FD_BITS  31

/* Whether a count that shows `now` has reached `value`: by the signed difference. */
static inline bool mbr__count_reached(uint64_t now, uint64_t value)
{
    return now - value <= INT64_MAX;
}

/*
 * What `armed` shows of a value: its low 31 bits, which are enough while the count is not farther
 * from it than 2^30. So nobody arms for a value more than MBR__COUNT_STEP ahead; the rest is slack
 * for advances under way.
 */
#define MBR__COUNT_STEP (UINT64_C(1) << 29)

static inline uint32_t mbr__count_token(uint64_t value)
{
    return (uint32_t)value << 1 | 1;
}

static inline bool mbr__count_token_reached(uint64_t now, uint32_t token)
{
    return mbr__count_token(now) - token <= INT32_MAX;
}

#endif
