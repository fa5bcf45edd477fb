/* SPDX-License-Identifier: MIT */
/*
 * A ring whose producer writes anything at all. The consumer must stay within the ring, whatever
 * headers it meets, and must not go round in one place for ever.
 */
#include <stdlib.h>
#include <string.h>

#include "ring/ring.h"

#define CAPACITY 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The consumer's view: twice the same bytes in a row. */
static void fill(uint8_t *ring, const uint8_t *data, size_t size)
{
    memset(ring, 0, CAPACITY);
    if (size > 0)
        memcpy(ring, data, size < CAPACITY ? size : CAPACITY);
    memcpy(ring + CAPACITY, ring, CAPACITY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(8) uint8_t ring[2 * CAPACITY];
    static struct mbr__ring_rx_shm head;
    static struct mbr__want_shm want;
    volatile uint8_t sink = 0;
    struct mbr__ring_rx rx;
    struct mbr__record rec;

    fill(ring, data, size);
    mbr__ring_rx_init(&rx, ring, CAPACITY, &head, &want, 0);
    for (int i = 0; i < 10000 && mbr__ring_peek(&rx, &rec) > 0; i++) {
        const uint8_t *at = rec.data;

        if (at < ring || at + rec.len > ring + sizeof(ring))
            abort();
        for (uint32_t k = 0; k < rec.len; k++)
            sink = (uint8_t)(sink ^ at[k]);
        uint64_t before = rx.head;

        mbr__ring_release(&rx, &rec);
        if (rx.head <= before)
            abort();
        (void)mbr__ring_retire(&rx);
    }
    return 0;
}
