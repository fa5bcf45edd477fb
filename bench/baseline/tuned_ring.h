/* SPDX-License-Identifier: MIT */
/*
 * Single-producer single-consumer rings as fast as we can write them by hand: what the library's
 * own ring is divided by. They do what a record ring must do (variable sizes, records contiguous,
 * exact full and empty) and leave out everything else: no distrust of the peer, no sleeping, no
 * naming, no check for a second producer.
 *
 * Three layouts of the same ring, chosen by a constant so that each loop is compiled for one:
 *   TUNED_INDEX  the producer publishes its index on a line of its own; each record has a length
 *   TUNED_SLOT   the length word of a record doubles as its flag: nonzero means there is a record.
 *                The producer clears the word after its last record before it shows the first, so
 *                one release store publishes a whole batch and no index line travels
 *   TUNED_BLOCK  records of one fixed size, each in lines of its own behind a word that holds the
 *                record's number; nothing needs clearing
 * In all three the consumer's index lies on a line of its own, which the producer reads only when
 * the ring looks full. The data are mapped twice, back to back.
 */
#ifndef BENCH_BASELINE_TUNED_RING_H
#define BENCH_BASELINE_TUNED_RING_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

enum tuned_layout { TUNED_INDEX, TUNED_SLOT, TUNED_BLOCK };

#define TUNED_HEADER      ((size_t)8)
#define TUNED_BLOCK_BYTES 128u

/* One direction, in shared memory. Lines are 128 bytes apart: the prefetcher fetches pairs. */
struct tuned_shared {
    alignas(128) uint64_t tail; /* producer writes, TUNED_INDEX only */
    alignas(128) uint64_t head; /* consumer writes */
};

/* One process' view of one direction. Private, so it never shares a line with the other side. */
struct tuned_end {
    struct tuned_shared *shared;
    char *data;
    uint64_t mask;  /* capacity - 1, a power of two */
    uint64_t at;    /* bytes produced or consumed */
    uint64_t told;  /* the same, as the peer can know it */
    uint64_t peer;  /* the peer's `told` as last read */
    uint64_t room;  /* what may lie between head and `at` */
    uint64_t batch; /* publish, or give back, at the latest after so many bytes */
    uint64_t first; /* TUNED_SLOT, TUNED_BLOCK: where the batch begins that is not shown yet */
    uint64_t word;  /* and the word that will show it; 0: nothing is held back */
};

/* A ring in anonymous shared memory that children inherit. */
struct tuned_ring {
    struct tuned_shared *shared;
    char *data;
    size_t capacity;
};

/* Capacity is rounded up to a power of two of pages. Negative errno: memfd_create(2), mmap(2). */
int tuned_ring_make(struct tuned_ring *ring, size_t capacity);
void tuned_ring_free(struct tuned_ring *ring);

/* A view for the producer or the consumer. */
void tuned_end_init(struct tuned_end *end, const struct tuned_ring *ring, uint64_t batch);

#define TUNED_INLINE static inline __attribute__((always_inline))

/* Bytes of ring that a record takes. */
TUNED_INLINE uint64_t tuned_need(size_t size, enum tuned_layout layout)
{
    return layout == TUNED_BLOCK ? TUNED_BLOCK_BYTES : TUNED_HEADER + ((size + 7) & ~(size_t)7);
}

TUNED_INLINE uint64_t *tuned_word(const struct tuned_end *end, uint64_t at)
{
    return (uint64_t *)(void *)(end->data + (at & end->mask));
}

/* The word that shows a record: its length + 1, or its number and its length. */
TUNED_INLINE uint64_t tuned_show(uint64_t at, size_t size, enum tuned_layout layout)
{
    return layout == TUNED_BLOCK ? ((at / TUNED_BLOCK_BYTES + 1) << 16 | size) : size + 1;
}

/* Space for a record of `size` bytes, or NULL when the ring is full. */
TUNED_INLINE void *tuned_reserve(struct tuned_end *end, size_t size, enum tuned_layout layout)
{
    uint64_t need = tuned_need(size, layout);

    if (__builtin_expect(end->at + need - end->peer > end->room, 0)) {
        end->peer = mbr_load_acquire(&end->shared->head);
        if (end->at + need - end->peer > end->room) {
            return NULL;
        }
    }
    return (char *)tuned_word(end, end->at) + TUNED_HEADER;
}

/* The record just reserved is complete; the consumer does not see it before tuned_publish(). */
TUNED_INLINE void tuned_commit(struct tuned_end *end, size_t size, enum tuned_layout layout)
{
    uint64_t word = tuned_show(end->at, size, layout);

    if (layout != TUNED_INDEX && end->word == 0) {
        end->first = end->at;
        end->word = word;
    } else {
        *tuned_word(end, end->at) = word;
    }
    end->at += tuned_need(size, layout);
}

TUNED_INLINE void tuned_publish(struct tuned_end *end, enum tuned_layout layout)
{
    if (layout == TUNED_INDEX) {
        mbr_store_release(&end->shared->tail, end->at);
    } else if (end->word != 0) {
        if (layout == TUNED_SLOT) {
            mbr_store_relaxed(tuned_word(end, end->at), 0);
        }
        mbr_store_release(tuned_word(end, end->first), end->word);
        end->word = 0;
    }
    end->told = end->at;
}

/*
 * The next record is not there yet: asks for its first two lines now, so that they arrive together
 * with the word that shows it instead of one transfer after it. Measured at 64 bytes, this takes
 * the round trip from 630 to 470 ns (TUNED_INDEX) and from 470 to 325 (TUNED_SLOT).
 */
TUNED_INLINE void tuned_await(const struct tuned_end *end)
{
    const char *next = end->data + (end->at & end->mask);

    __builtin_prefetch(next);
    __builtin_prefetch(next + 64);
}

/* The oldest record and its size, or NULL when there is none. */
TUNED_INLINE const void *tuned_peek(struct tuned_end *end, size_t *size, enum tuned_layout layout)
{
    uint64_t word;

    if (layout == TUNED_INDEX) {
        if (__builtin_expect(end->at == end->peer, 0)) {
            end->peer = mbr_load_acquire(&end->shared->tail);
            if (end->at == end->peer) {
                tuned_await(end);
                return NULL;
            }
        }
        *size = *tuned_word(end, end->at) - 1;
    } else {
        word = mbr_load_acquire(tuned_word(end, end->at));
        if (layout == TUNED_SLOT ? word == 0 : word >> 16 != end->at / TUNED_BLOCK_BYTES + 1) {
            tuned_await(end);
            return NULL;
        }
        *size = layout == TUNED_SLOT ? word - 1 : word & 0xffff;
    }
    return (const char *)tuned_word(end, end->at) + TUNED_HEADER;
}

/* Steps over the record just peeked at; its space is not given back before tuned_release(). */
TUNED_INLINE void tuned_next(struct tuned_end *end, size_t size, enum tuned_layout layout)
{
    end->at += tuned_need(size, layout);
}

TUNED_INLINE void tuned_release(struct tuned_end *end)
{
    mbr_store_release(&end->shared->head, end->at);
    end->told = end->at;
}

#endif
