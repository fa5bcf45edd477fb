/* SPDX-License-Identifier: MIT */
/*
 * The record ring: one producer, one consumer, records of any size up to the capacity, nothing
 * copied.
 *
 * Positions count bytes and run freely in 64 bits. A record is shown by its own header word, so a
 * small message costs one transfer of its lines and no index line; the consumer's head alone is an
 * index, read by the producer only when the room it knows of does not suffice. The data is mapped
 * twice in a row (shm/region.h), so a record is contiguous wherever it begins. A header of 0 must
 * fit behind the last record: the ring is full when fewer than 8 + the record's bytes are free.
 *
 *   producer: p = mbr__ring_reserve(len); fill p; mbr__ring_commit(len, kind); ...
 *             mbr__ring_publish()
 *   consumer: mbr__ring_peek(&rec); use rec; mbr__ring_release(&rec); ...
 *             mbr__ring_retire()
 *
 * Several records may be committed before one publish, and released before one retire: a batch
 * costs one fence. publish and retire return the peer's wish to be woken (0: none), once per
 * arming; waking is the caller's business.
 *
 * Single producer and single consumer are enforced by memory protection: records and head lie in
 * memory that only their own side has mapped writable. Threads of one side are kept apart by the
 * layer above (queue/libos.c).
 *
 * The layout was chosen by measurement (membrane-bench --layouts; docs/performance.md): beside an
 * index line for the tail it takes 30 % off the round trip and streams equally.
 *
 * What is not here: waiting (event/), sessions and peers' deaths (queue/catmem/).
 */
#ifndef MBR_RING_H
#define MBR_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "event/want_shm.h"
#include "ring/ring_shm.h"

/* A batch asks for the lines that it will write so far ahead: they are still the consumer's. One
 * record does not, since its publication would have to wait for them. */
#define MBR__RING_AHEAD 1024u

#define MBR__RING_MIN UINT64_C(4096)      /* bytes of capacity: a page ... */
#define MBR__RING_MAX (UINT64_C(1) << 30) /* ... to 1 GiB, a power of two */

/* The producing side. One thread. `data` is writable and mapped twice. */
struct mbr__ring_tx {
    uint8_t *data;
    uint64_t mask;  /* capacity - 1 */
    uint64_t tail;  /* where the next record goes */
    uint64_t head;  /* the consumer's head as last seen */
    uint64_t first; /* position and header of the batch's first record, which is held back ... */
    uint64_t held;  /* ... 0 when nothing is */
    const struct mbr__ring_rx_shm *peer; /* NULL while there is no consumer: nothing is released */
    const struct mbr__want_shm *peer_want; /* likewise */
    uint64_t flags; /* MBR__RING_END: the consumer will read no more, LEFT: it has closed */
    uint32_t rung;  /* the last want.data that was answered */
    bool broken;    /* the consumer's head was impossible; as flags, until the next attach */
};

/* The consuming side. One thread. `data` is mapped read-only and twice. */
struct mbr__ring_rx {
    const uint8_t *data;
    uint64_t mask;
    uint64_t head; /* released; shm->head may be behind it */
    struct mbr__ring_rx_shm *shm;
    const struct mbr__want_shm *peer_want;
    uint64_t flags; /* MBR__RING_END: the producer will publish no more, LEFT: it has closed */
    uint64_t said;  /* our own flags in shm->head */
    uint32_t rung;  /* the last want.space that was answered */
};

/* A record lent to the consumer until it is released. */
struct mbr__record {
    const void *data;
    uint32_t len; /* bytes */
    uint8_t kind;
};

/* Ready to produce into zeroed memory; the capacity must be a power of two in [MIN, MAX]. */
void mbr__ring_tx_init(struct mbr__ring_tx *r, void *data, uint64_t capacity);
/* A consumer has come that begins at `head`. -EPROTO: it is odd, or not within what was published
 * and is not released. */
int mbr__ring_tx_attach(struct mbr__ring_tx *r, const struct mbr__ring_rx_shm *peer,
                        const struct mbr__want_shm *want, uint64_t head);
/* The consumer has gone. What it had released stays released. */
void mbr__ring_tx_detach(struct mbr__ring_tx *r);

/* Ready to consume from position `start`, a multiple of 8, on. */
void mbr__ring_rx_init(struct mbr__ring_rx *r, const void *data, uint64_t capacity,
                       struct mbr__ring_rx_shm *shm, const struct mbr__want_shm *want,
                       uint64_t start);

/* Publishes what is committed and says (flags) that nothing will follow. May be called again with
 * more flags; nothing may be committed afterwards. Returns the consumer's wish to be woken. */
uint32_t mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags);
/* Retires what is released and says that nothing more will be read. Returns the producer's wish to
 * be woken. `own` is our line. */
uint32_t mbr__ring_refuse(struct mbr__ring_rx *r, struct mbr__want_shm *own, uint64_t flags);

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

/* The largest record that a ring of this capacity can ever hold. */
static inline uint64_t mbr__ring_largest(uint64_t capacity)
{
    return capacity - MBR__RECORD_HEADER - MBR__RECORD_HEADER;
}

static inline uint64_t *mbr__ring_word(const struct mbr__ring_tx *r, uint64_t at)
{
    return (uint64_t *)__builtin_assume_aligned(r->data + (at & r->mask), 8);
}

/* Whether the consumer says that it will read no more: then refresh tells how. No line of the
 * consumer's is touched that publish does not look at. */
static inline bool mbr__ring_done(const struct mbr__ring_tx *r)
{
    return r->peer_want != NULL && mbr_load_acquire(&r->peer_want->done) != 0;
}

/* The header that the consumer waits for; what a wait set watches. */
static inline const uint64_t *mbr__ring_next(const struct mbr__ring_rx *r)
{
    return (const uint64_t *)__builtin_assume_aligned(r->data + (r->head & r->mask), 8);
}

/* Bytes free for records as far as is known without looking at the peer's line. */
static inline uint64_t mbr__ring_known_free(const struct mbr__ring_tx *r)
{
    return r->mask + 1 - MBR__RECORD_HEADER - (r->tail - r->head);
}

/* Reads the consumer's head anew. Returns the free bytes. An impossible head marks the ring broken
 * and frees nothing. */
static inline uint64_t mbr__ring_refresh(struct mbr__ring_tx *r)
{
    if (r->peer != NULL && !r->broken) {
        uint64_t word = mbr_load_acquire(&r->peer->head); /* pair A with mbr__ring_retire() */
        uint64_t head = word & ~MBR__RING_FLAGS;

        r->flags |= word & MBR__RING_FLAGS;
        if (head - r->head > r->tail - r->head || (head & (MBR__RECORD_ALIGN - 1)) != 0)
            r->broken = true;
        else
            r->head = head;
    }
    return mbr__ring_known_free(r);
}

/*
 * Room for a record of `len` bytes, to be filled and committed; NULL when the ring has none now (or
 * never: above mbr__ring_largest()). A second reserve without commit gives the same place.
 */
static inline void *mbr__ring_reserve(struct mbr__ring_tx *r, uint32_t len)
{
    uint64_t size = mbr__record_size(len);

    if (__builtin_expect(size > mbr__ring_known_free(r), 0) && size > mbr__ring_refresh(r))
        return NULL;
    return r->data + (r->tail & r->mask) + MBR__RECORD_HEADER;
}

/* Appends the reserved record; `len` may be less than what was reserved, kind is 1 to 254. Not
 * visible to the peer before publish. */
static inline void mbr__ring_commit(struct mbr__ring_tx *r, uint32_t len, uint8_t kind)
{
    uint64_t header = (uint64_t)len | (uint64_t)kind << 32;

    if (r->held == 0) {
        r->first = r->tail;
        r->held = header;
    } else {
        mbr_store_relaxed(mbr__ring_word(r, r->tail), header); /* behind the first: unseen */
        mbr_prefetch_write(mbr__ring_word(r, r->tail + MBR__RING_AHEAD));
    }
    r->tail += mbr__record_size(len);
}

/* Makes all committed records visible. Returns the consumer's wish to be woken, or 0. */
static inline uint32_t mbr__ring_publish(struct mbr__ring_tx *r)
{
    if (r->held == 0)
        return 0;
    mbr_store_relaxed(mbr__ring_word(r, r->tail), 0);
    mbr_store_release(mbr__ring_word(r, r->first), r->held); /* pair A with mbr__ring_peek() */
    r->held = 0;
    if (r->peer_want == NULL)
        return 0;
    mbr_fence_full(); /* pair B: our record, then their wish; they: the wish, then our record */
    uint32_t want = mbr_load_relaxed(&r->peer_want->data);

    if (__builtin_expect(want == 0 || want == r->rung, 1))
        return 0;
    r->rung = want;
    return want;
}

/* What peek finds when there is no record: asks for the next one's lines, so that both are under
 * way when its header appears; or takes note of the end. */
static inline int mbr__ring_none(struct mbr__ring_rx *r, uint64_t header)
{
    if (header == 0) {
        __builtin_prefetch((const uint8_t *)mbr__ring_next(r) + MBR_CACHELINE);
        return 0;
    }
    if (header >> 32 != MBR__RECORD_END || (uint32_t)header - 1 >= MBR__RING_FLAGS)
        return -EPROTO; /* also an end without flags: it would be news at every look */
    r->flags |= header & MBR__RING_FLAGS;
    return 0;
}

/* Looks at the next record: 1 and *out; 0 when there is none, and never will be if MBR__RING_END is
 * in r->flags; -EPROTO when the producer has broken the rules. */
static inline int mbr__ring_peek(struct mbr__ring_rx *r, struct mbr__record *out)
{
    const uint64_t *at = mbr__ring_next(r);
    uint64_t header = mbr_load_acquire(at); /* once: it may change; pair A with publish */
    uint8_t kind = (uint8_t)(header >> 32);
    uint32_t len = (uint32_t)header;

    if (kind == 0 || kind == MBR__RECORD_END)
        return mbr__ring_none(r, header);
    if (__builtin_expect(mbr__record_size(len) > r->mask + 1 - MBR__RECORD_HEADER, 0) ||
        header >> 40 != 0)
        return -EPROTO;
    out->data = at + 1;
    out->len = len;
    out->kind = kind;
    return 1;
}

/* Whether the word that a consumer waits for shows a record now. */
static inline bool mbr__ring_has_record(const struct mbr__ring_rx *r)
{
    uint8_t kind = (uint8_t)(mbr_load_acquire(mbr__ring_next(r)) >> 32);

    return kind != 0 && kind != MBR__RECORD_END;
}

/* The value that the word has while nothing new is there, for a watch. */
static inline uint64_t mbr__ring_seen(const struct mbr__ring_rx *r)
{
    return r->flags == 0 ? 0 : (uint64_t)MBR__RECORD_END << 32 | r->flags;
}

/* Done with a peeked record. The producer learns of it at the next retire. */
static inline void mbr__ring_release(struct mbr__ring_rx *r, const struct mbr__record *rec)
{
    r->head += mbr__record_size(rec->len);
}

/* Gives everything released back to the producer. Returns the producer's wish to be woken, or 0. */
static inline uint32_t mbr__ring_retire(struct mbr__ring_rx *r)
{
    mbr_store_release(&r->shm->head, r->head | r->said); /* pair A with mbr__ring_refresh() */
    mbr_fence_full(); /* pair B: our head, then their wish for space */
    uint32_t want = mbr_load_relaxed(&r->peer_want->space);

    if (__builtin_expect(want == 0 || want == r->rung, 1))
        return 0;
    r->rung = want;
    return want;
}

#endif
