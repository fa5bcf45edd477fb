/* SPDX-License-Identifier: MIT */
/*
 * The record ring: one producer, one consumer, records of any size up to the capacity, nothing
 * copied.
 *
 * Indices count bytes and run freely in 64 bits; the ring is full when tail - head == capacity
 * exactly, empty when they are equal. The data is mapped twice in a row (shm/region.h), so a record
 * is contiguous wherever it begins. Each side keeps the other's index in a local copy and reads the
 * shared one only when that copy does not suffice.
 *
 *   producer: p = mbr__ring_reserve(len); fill p; mbr__ring_commit(len, kind); ... ;
 * mbr__ring_publish() consumer: mbr__ring_peek(&rec); use rec; mbr__ring_release(&rec); ... ;
 * mbr__ring_retire()
 *
 * Several records may be committed before one publish, and released before one retire: a batch
 * costs one fence. publish and retire return the peer's wish to be woken (0: none), once per
 * arming; waking is the caller's business.
 *
 * Single producer and single consumer are enforced by memory protection: each index lies in memory
 * that only its own side has mapped writable. Threads of one side are kept apart by the layer above
 * (queue/libos.c).
 *
 * Layout chosen by measurement (bench/layouts): an index line apart from the records, not a
 * sequence word in each record; docs/performance.md has the figures.
 *
 * What is not here: waiting (event/), sessions and peers' deaths (queue/catmem/).
 */
#ifndef MBR_RING_H
#define MBR_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"
#include "event/want_shm.h"
#include "ring/ring_shm.h"

#define MBR__RING_MIN UINT64_C(4096)      /* bytes of capacity: a page ... */
#define MBR__RING_MAX (UINT64_C(1) << 30) /* ... to 1 GiB, a power of two */

/* The producing side. One thread. `data` is writable and mapped twice. */
struct mbr__ring_tx {
    uint8_t *data;
    uint64_t mask; /* capacity - 1 */
    uint64_t tail; /* committed; shm->tail may be behind it */
    uint64_t head; /* the consumer's head as last seen */
    struct mbr__ring_tx_shm *shm;
    const struct mbr__ring_rx_shm
        *peer; /* NULL while there is no consumer: nothing is ever released */
    const struct mbr__want_shm *peer_want; /* likewise */
    uint32_t rung;                         /* the last want.data that was answered */
    bool broken;    /* the consumer's head was impossible; sticky until the next attach */
    uint64_t flags; /* MBR__RING_END: the consumer will read no more, LEFT: it has closed; sticky
                       likewise */
};

/* The consuming side. One thread. `data` is mapped read-only and twice. */
struct mbr__ring_rx {
    const uint8_t *data;
    uint64_t mask;
    uint64_t head; /* released; shm->head may be behind it */
    uint64_t tail; /* the producer's tail as last seen */
    struct mbr__ring_rx_shm *shm;
    const struct mbr__ring_tx_shm *peer;
    const struct mbr__want_shm *peer_want;
    uint32_t rung;  /* the last want.space that was answered */
    uint64_t flags; /* MBR__RING_END: the producer will publish no more than `tail`, LEFT: it has
                       closed */
};

/* A record lent to the consumer until it is released. */
struct mbr__record {
    const void *data;
    uint32_t len; /* bytes */
    uint8_t kind;
};

/* Ready to produce at position `start` (a multiple of 8); the capacity must be a power of two in
 * [MIN, MAX]. */
void mbr__ring_tx_init(struct mbr__ring_tx *r, void *data, uint64_t capacity,
                       struct mbr__ring_tx_shm *shm, uint64_t start);
/* A consumer has come whose head is `head`. -EPROTO: not within [tail - capacity, tail] of what is
 * published, or odd. */
int mbr__ring_tx_attach(struct mbr__ring_tx *r, const struct mbr__ring_rx_shm *peer,
                        const struct mbr__want_shm *want, uint64_t head);
/* The consumer has gone. What it had released stays released. */
void mbr__ring_tx_detach(struct mbr__ring_tx *r);

void mbr__ring_rx_init(struct mbr__ring_rx *r, const void *data, uint64_t capacity,
                       struct mbr__ring_rx_shm *shm, const struct mbr__ring_tx_shm *peer,
                       const struct mbr__want_shm *want, uint64_t start);

/* Publishes what is committed and says (flags) that nothing will follow. Returns the consumer's
 * wish to be woken. */
uint32_t mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags);
/* Retires what is released and says that nothing more will be read. Returns the producer's wish to
 * be woken. */
uint32_t mbr__ring_refuse(struct mbr__ring_rx *r, uint64_t flags);

/* Whether a ring may have this capacity. */
static inline bool mbr__ring_capacity_ok(uint64_t capacity)
{
    return capacity >= MBR__RING_MIN && capacity <= MBR__RING_MAX &&
           (capacity & (capacity - 1)) == 0;
}

/* Bytes that a record of `len` payload bytes takes. */
static inline uint64_t mbr__record_size(uint64_t len)
{
    return (len + MBR__RECORD_HEADER + MBR__RECORD_ALIGN - 1) & ~(uint64_t)(MBR__RECORD_ALIGN - 1);
}

/* Reads the consumer's head anew. Returns the free bytes. An impossible head marks the ring broken
 * and frees nothing. */
static inline uint64_t mbr__ring_refresh(struct mbr__ring_tx *r)
{
    if (r->peer != NULL && !r->broken) {
        uint64_t word = mbr_load_acquire(&r->peer->head);
        uint64_t head = word & ~MBR__RING_FLAGS;

        r->flags |= word & MBR__RING_FLAGS;
        if (head - r->head > r->tail - r->head || (head & (MBR__RECORD_ALIGN - 1)) != 0)
            r->broken = true;
        else
            r->head = head;
    }
    return r->mask + 1 - (r->tail - r->head);
}

/* Free bytes as far as is known without looking at the peer's line. */
static inline uint64_t mbr__ring_known_free(const struct mbr__ring_tx *r)
{
    return r->mask + 1 - (r->tail - r->head);
}

/*
 * Room for a record of `len` bytes, to be filled and committed; NULL when the ring has none now (or
 * never: len + header above the capacity). A second reserve without commit gives the same place.
 */
static inline void *mbr__ring_reserve(struct mbr__ring_tx *r, uint32_t len)
{
    uint64_t size = mbr__record_size(len);

    if (__builtin_expect(size > mbr__ring_known_free(r), 0) && size > mbr__ring_refresh(r))
        return NULL;
    return r->data + (r->tail & r->mask) + MBR__RECORD_HEADER;
}

/* Appends the reserved record; `len` may be less than what was reserved. Not visible to the peer
 * before publish. */
static inline void mbr__ring_commit(struct mbr__ring_tx *r, uint32_t len, uint8_t kind)
{
    uint64_t header = (uint64_t)len | (uint64_t)kind << 32;

    memcpy(__builtin_assume_aligned(r->data + (r->tail & r->mask), 8), &header, sizeof(header));
    r->tail += mbr__record_size(len);
}

/* Makes all committed records visible. Returns the consumer's wish to be woken, or 0. */
static inline uint32_t mbr__ring_publish(struct mbr__ring_tx *r)
{
    mbr_store_release(&r->shm->tail, r->tail); /* pair A with the load in mbr__ring_tail() */
    if (r->peer_want == NULL)
        return 0;
    mbr_fence_full(); /* pair B: our tail, then their wish; they store the wish, then load our tail
                       */
    uint32_t want = mbr_load_relaxed(&r->peer_want->data);

    if (__builtin_expect(want == 0 || want == r->rung, 1))
        return 0;
    r->rung = want;
    return want;
}

/* Reads the producer's tail anew. Returns the bytes that are there, or -EPROTO for an impossible
 * tail. When 0 and MBR__RING_END is in r->flags, nothing will ever come. */
static inline int64_t mbr__ring_tail(struct mbr__ring_rx *r)
{
    uint64_t word = mbr_load_acquire(&r->peer->tail); /* pair A with mbr__ring_publish() */
    uint64_t tail = word & ~MBR__RING_FLAGS;
    uint64_t used = tail - r->head;

    if (__builtin_expect(used > r->mask + 1 || (used & (MBR__RECORD_ALIGN - 1)) != 0, 0))
        return -EPROTO;
    if (__builtin_expect(used < r->tail - r->head, 0))
        return -EPROTO; /* a tail never goes back */
    r->tail = tail;
    r->flags |= word & MBR__RING_FLAGS;
    return (int64_t)used;
}

/* Looks at the next record: 1 and *out, 0 when the ring is empty, -EPROTO when the producer has
 * broken the rules. */
static inline int mbr__ring_peek(struct mbr__ring_rx *r, struct mbr__record *out)
{
    if (r->head == r->tail) {
        int64_t used = mbr__ring_tail(r);

        if (used <= 0)
            return (int)used;
    }
    const uint8_t *p = r->data + (r->head & r->mask);
    uint64_t header = mbr_load_relaxed(
        (const uint64_t *)__builtin_assume_aligned(p, 8)); /* once: it may change */
    uint32_t len = (uint32_t)header;

    if (__builtin_expect(mbr__record_size(len) > r->tail - r->head || header >> 40 != 0, 0))
        return -EPROTO;
    out->data = p + MBR__RECORD_HEADER;
    out->len = len;
    out->kind = (uint8_t)(header >> 32);
    return 1;
}

/* Done with a peeked record. The producer learns of it at the next retire. */
static inline void mbr__ring_release(struct mbr__ring_rx *r, const struct mbr__record *rec)
{
    r->head += mbr__record_size(rec->len);
}

/* Gives everything released back to the producer. Returns the producer's wish to be woken, or 0. */
static inline uint32_t mbr__ring_retire(struct mbr__ring_rx *r)
{
    mbr_store_release(&r->shm->head, r->head); /* pair A with mbr__ring_refresh() */
    mbr_fence_full();                          /* pair B: our head, then their wish for space */
    uint32_t want = mbr_load_relaxed(&r->peer_want->space);

    if (__builtin_expect(want == 0 || want == r->rung, 1))
        return 0;
    r->rung = want;
    return want;
}

#endif
