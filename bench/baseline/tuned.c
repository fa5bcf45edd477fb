/* SPDX-License-Identifier: MIT */
/*
 * The hand-tuned rings as subjects: each layout in place and copying. The loops are written once
 * and compiled for each layout by constant arguments.
 */
#include "bench/baseline/baseline.h"

#include <stdlib.h>
#include <string.h>

#include "bench/baseline/tuned_ring.h"

/*
 * Bytes published at once in a stream (larger records go one by one), and the part of the ring that
 * is given back at once. Between 512 bytes and 16 KiB, 1/4 and 1/16, differences were noise.
 */
#define PUBLISH_BYTES 2048ul
#define RELEASE_PART  8u

struct pair {
    struct tuned_ring ring[2]; /* A to B, B to A */
};

struct end {
    struct tuned_end out, in;
    char *buffer; /* of the copying variants: where a user would have its message */
};

static int start(const struct bench_subject *self, const struct bench_case *bc, void **shared)
{
    struct pair *pair;
    int result;

    (void)self;
    if (bc->size + 2 * TUNED_HEADER > bench_ring_bytes(bc)) {
        return -EMSGSIZE;
    }
    pair = calloc(1, sizeof(*pair));
    if (pair == NULL) {
        return -ENOMEM;
    }
    result = tuned_ring_make(&pair->ring[0], bench_ring_bytes(bc));
    if (result == 0) {
        result = tuned_ring_make(&pair->ring[1], bench_ring_bytes(bc));
        if (result != 0) {
            tuned_ring_free(&pair->ring[0]);
        }
    }
    if (result != 0) {
        free(pair);
        return result;
    }
    *shared = pair;
    return 0;
}

static void stop(void *shared)
{
    struct pair *pair = shared;

    tuned_ring_free(&pair->ring[0]);
    tuned_ring_free(&pair->ring[1]);
    free(pair);
}

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct pair *pair = shared;
    const struct tuned_ring *out = &pair->ring[side == BENCH_A ? 0 : 1];
    const struct tuned_ring *in = &pair->ring[side == BENCH_A ? 1 : 0];
    struct end *made = aligned_alloc(128, (sizeof(*made) + 127) / 128 * 128);
    uint64_t publish = PUBLISH_BYTES < out->capacity / 8 ? PUBLISH_BYTES : out->capacity / 8;

    if (made == NULL) {
        return -ENOMEM;
    }
    made->buffer = aligned_alloc(4096, (bc->size + 4095) / 4096 * 4096);
    if (made->buffer == NULL) {
        free(made);
        return -ENOMEM;
    }
    memset(made->buffer, 0, bc->size);
    tuned_end_init(&made->out, out, publish);
    tuned_end_init(&made->in, in, in->capacity / RELEASE_PART);
    *end = made;
    return 0;
}

static void close_end(void *end)
{
    struct end *made = end;

    free(made->buffer);
    free(made);
}

/* Puts one message into the ring; waits while it is full. Copying costs one pass more. */
TUNED_INLINE int put(struct end *end, struct bench_probe *probe, uint64_t word, bool copy,
                     enum tuned_layout layout)
{
    size_t size = probe->size;
    void *to;

    if (copy) {
        bench_fill(end->buffer, size, word);
    }
    while ((to = tuned_reserve(&end->out, size, layout)) == NULL) {
        int result;

        if (end->out.told != end->out.at) {
            tuned_publish(&end->out, layout);
        }
        result = bench_spin(probe);
        if (result != 0) {
            return result;
        }
    }
    if (copy) {
        memcpy(to, end->buffer, size);
    } else {
        bench_fill(to, size, word);
    }
    tuned_commit(&end->out, size, layout);
    return 0;
}

/* Takes one message and checks it: 0, BENCH_ENDED or a negative errno. */
TUNED_INLINE int take(struct end *end, struct bench_probe *probe, uint64_t word, bool copy,
                      enum tuned_layout layout)
{
    const void *from;
    size_t size;
    int result;

    while ((from = tuned_peek(&end->in, &size, layout)) == NULL) {
        if (end->in.told != end->in.at) {
            tuned_release(&end->in);
        }
        result = bench_spin(probe);
        if (result != 0) {
            return result;
        }
    }
    if (copy) {
        memcpy(end->buffer, from, size);
        result = 0;
    } else {
        result = bench_check(from, size, word);
    }
    tuned_next(&end->in, size, layout);
    if (end->in.at - end->in.told >= end->in.batch) {
        tuned_release(&end->in);
    }
    return copy ? bench_check(end->buffer, size, word) : result;
}

TUNED_INLINE int do_ping(struct end *end, struct bench_probe *probe, bool copy,
                         enum tuned_layout layout)
{
    uint64_t word = 0;
    int result;

    bench_lap_start(probe);
    do {
        result = put(end, probe, word, copy, layout);
        if (result != 0) {
            return result;
        }
        tuned_publish(&end->out, layout);
        result = take(end, probe, word++, copy, layout);
        if (result != 0) {
            return result < 0 ? result : -EPROTO;
        }
    } while (bench_lap(probe));
    result = put(end, probe, BENCH_END, copy, layout);
    tuned_publish(&end->out, layout);
    return result;
}

TUNED_INLINE int do_pong(struct end *end, struct bench_probe *probe, bool copy,
                         enum tuned_layout layout)
{
    for (uint64_t word = 0;; word++) {
        int result = take(end, probe, word, copy, layout);

        if (result != 0) {
            return result < 0 ? result : 0;
        }
        result = put(end, probe, word, copy, layout);
        if (result != 0) {
            return result;
        }
        tuned_publish(&end->out, layout);
    }
}

TUNED_INLINE int do_send(struct end *end, struct bench_probe *probe, bool copy,
                         enum tuned_layout layout)
{
    int result;

    for (uint64_t seq = 0; bench_more(probe, seq); seq++) {
        result = put(end, probe, seq, copy, layout);
        if (result != 0) {
            return result;
        }
        if (end->out.at - end->out.told >= end->out.batch) {
            tuned_publish(&end->out, layout);
        }
    }
    result = put(end, probe, BENCH_END, copy, layout);
    tuned_publish(&end->out, layout);
    return result;
}

TUNED_INLINE int do_recv(struct end *end, struct bench_probe *probe, bool copy,
                         enum tuned_layout layout)
{
    for (uint64_t seq = 0;; seq++) {
        int result = take(end, probe, seq, copy, layout);

        if (__builtin_expect(result != 0, 0)) {
            bench_took_end(probe, seq);
            return result < 0 ? result : 0;
        }
        bench_took(probe, seq);
    }
}

#define TUNED_ROLES(NAME, COPY, LAYOUT)                          \
    static int NAME##_ping(void *end, struct bench_probe *probe) \
    {                                                            \
        return do_ping(end, probe, COPY, LAYOUT);                \
    }                                                            \
    static int NAME##_pong(void *end, struct bench_probe *probe) \
    {                                                            \
        return do_pong(end, probe, COPY, LAYOUT);                \
    }                                                            \
    static int NAME##_send(void *end, struct bench_probe *probe) \
    {                                                            \
        return do_send(end, probe, COPY, LAYOUT);                \
    }                                                            \
    static int NAME##_recv(void *end, struct bench_probe *probe) \
    {                                                            \
        return do_recv(end, probe, COPY, LAYOUT);                \
    }

TUNED_ROLES(index_place, false, TUNED_INDEX)
TUNED_ROLES(index_copy, true, TUNED_INDEX)
TUNED_ROLES(slot_place, false, TUNED_SLOT)
TUNED_ROLES(slot_copy, true, TUNED_SLOT)
TUNED_ROLES(block_place, false, TUNED_BLOCK)

#define TUNED_SUBJECT(NAME, ABOUT, LIMIT, ROLES)                                                  \
    {                                                                                             \
        .name = NAME, .about = ABOUT, .flags = BENCH_SPINS, .max_message = LIMIT, .start = start, \
        .stop = stop, .open = open_end, .close = close_end, .ping = ROLES##_ping,                 \
        .pong = ROLES##_pong, .send = ROLES##_send, .recv = ROLES##_recv                          \
    }

const struct bench_subject bench_tuned[] = {
    TUNED_SUBJECT("tuned-index", "hand-tuned ring, index line, in place", 0, index_place),
    TUNED_SUBJECT("tuned-index-copy", "hand-tuned ring, index line, one copy in and one out", 0,
                  index_copy),
    TUNED_SUBJECT("tuned-slot", "hand-tuned ring, flag word in each record, in place", 0,
                  slot_place),
    TUNED_SUBJECT("tuned-slot-copy", "hand-tuned ring, flag word in each record, copying", 0,
                  slot_copy),
    TUNED_SUBJECT("tuned-block", "hand-tuned ring, numbered 128-byte blocks, in place",
                  TUNED_BLOCK_BYTES - TUNED_HEADER, block_place),
};
const size_t bench_tuned_count = sizeof(bench_tuned) / sizeof(bench_tuned[0]);
