/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the record ring share: a producer and a consumer, each with a region of its
 * own that the other has mapped read-only through its descriptor, as two processes have; and
 * payloads that tell which record they belong to.
 *
 * Include after cmocka.h, in one file of a test program.
 */
#ifndef MBR_TESTS_RING_PAIR_H
#define MBR_TESTS_RING_PAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ring/ring.h"
#include "shm/region.h"

/* The control page of an end. */
struct ring_page {
    struct mbr__ring_rx_shm rx;
    struct mbr__want_shm want;
};

#define RING_PAGE 4096u

struct ring_pair {
    struct mbr__region producer, consumer; /* as their owners have them mapped: writable */
    struct mbr__region seen_producer, seen_consumer; /* as the peer has: read-only */
    struct ring_page *producer_page, *consumer_page;
    struct mbr__ring_tx tx;
    struct mbr__ring_rx rx;
};

static inline struct ring_page *ring_page(const struct mbr__region *r)
{
    return (struct ring_page *)(void *)r->base;
}

/* Both ends, joined, and nothing in between. */
static inline void ring_pair_init(struct ring_pair *p, uint64_t capacity)
{
    assert_int_equal(mbr__region_create("producer", RING_PAGE, capacity, &p->producer), 0);
    assert_int_equal(mbr__region_create("consumer", RING_PAGE, RING_PAGE, &p->consumer), 0);
    assert_int_equal(mbr__region_attach(p->producer.fd, RING_PAGE, capacity, &p->seen_producer), 0);
    assert_int_equal(mbr__region_attach(p->consumer.fd, RING_PAGE, RING_PAGE, &p->seen_consumer),
                     0);
    p->producer_page = ring_page(&p->producer);
    p->consumer_page = ring_page(&p->consumer);
    mbr__ring_tx_init(&p->tx, mbr__region_body(&p->producer), capacity);
    mbr__ring_rx_init(&p->rx, mbr__region_body(&p->seen_producer), capacity, &p->consumer_page->rx,
                      &ring_page(&p->seen_producer)->want, 0);
    assert_int_equal(mbr__ring_tx_attach(&p->tx, &ring_page(&p->seen_consumer)->rx,
                                         &ring_page(&p->seen_consumer)->want, 0),
                     0);
}

static inline void ring_pair_fini(struct ring_pair *p)
{
    mbr__region_release(&p->seen_producer);
    mbr__region_release(&p->seen_consumer);
    mbr__region_release(&p->producer);
    mbr__region_release(&p->consumer);
}

/* The bytes of record number `key`. */
static inline uint8_t ring_byte(uint64_t key, uint32_t at)
{
    return (uint8_t)(key * 131 + at * 7 + (at >> 8));
}

static inline void ring_fill(void *to, uint32_t len, uint64_t key)
{
    for (uint32_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] = ring_byte(key, i);
}

static inline bool ring_is(const void *data, uint32_t len, uint64_t key)
{
    for (uint32_t i = 0; i < len; i++) {
        if (((const uint8_t *)data)[i] != ring_byte(key, i))
            return false;
    }
    return true;
}

/* Reserves, fills and commits; false when there is no room. */
static inline bool ring_put(struct mbr__ring_tx *tx, uint32_t len, uint8_t kind, uint64_t key)
{
    void *to = mbr__ring_reserve(tx, len);

    if (to == NULL)
        return false;
    ring_fill(to, len, key);
    mbr__ring_commit(tx, len, kind);
    return true;
}

#endif
