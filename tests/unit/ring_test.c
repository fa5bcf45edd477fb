/* SPDX-License-Identifier: MIT */
/*
 * The record ring against its contract: how much fits, what is seen when, what wraps, who is rung,
 * how it ends, and what a peer may write into its words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ring_pair.h"

#define CAPACITY UINT64_C(4096)

static int setup(void **state)
{
    struct ring_pair *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    ring_pair_init(p, CAPACITY);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    ring_pair_fini(*state);
    free(*state);
    return 0;
}

/* The next record is this one; takes it. */
static void expect(struct mbr__ring_rx *rx, uint32_t len, uint8_t kind, uint64_t key)
{
    struct mbr__record rec = {0};

    assert_int_equal(mbr__ring_peek(rx, &rec), 1);
    assert_int_equal(rec.len, len);
    assert_int_equal(rec.kind, kind);
    assert_true(ring_is(rec.data, len, key));
    mbr__ring_release(rx, &rec);
}

static void expect_none(struct mbr__ring_rx *rx)
{
    struct mbr__record rec = {.len = 77};

    assert_int_equal(mbr__ring_peek(rx, &rec), 0);
    assert_int_equal(rec.len, 77); /* untouched */
    assert_false(mbr__ring_has_record(rx));
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void capacities(void **state)
{
    assert_true(mbr__ring_capacity_ok(4096));
    assert_true(mbr__ring_capacity_ok(UINT64_C(1) << 30));
    assert_false(mbr__ring_capacity_ok(0));
    assert_false(mbr__ring_capacity_ok(2048));
    assert_false(mbr__ring_capacity_ok(4097));
    assert_false(mbr__ring_capacity_ok(12288));
    assert_false(mbr__ring_capacity_ok(UINT64_C(1) << 31));
    assert_int_equal(mbr__record_size(0), 8);
    assert_int_equal(mbr__record_size(1), 16);
    assert_int_equal(mbr__record_size(8), 16);
    assert_int_equal(mbr__record_size(9), 24);
    assert_int_equal(mbr__record_size(UINT32_MAX), (UINT64_C(1) << 32) + 8);
    assert_int_equal(mbr__ring_largest(4096), 4080);
}

/* Empty records take 8 bytes each, and 8 bytes behind the last one stay free: not one more. */
static void full_to_the_byte(void **state)
{
    struct ring_pair *p = *state;
    uint32_t n = (uint32_t)(CAPACITY / 8) - 1;

    for (uint32_t lap = 0; lap < 3; lap++) {
        for (uint32_t i = 0; i < n; i++)
            assert_true(ring_put(&p->tx, 0, 1, i));
        assert_false(ring_put(&p->tx, 0, 1, n));
        assert_int_equal(mbr__ring_known_free(&p->tx), 0);
        (void)mbr__ring_publish(&p->tx);
        for (uint32_t i = 0; i < n; i++)
            expect(&p->rx, 0, 1, i);
        expect_none(&p->rx);
        assert_false(ring_put(&p->tx, 0, 1, n)); /* released, not retired */
        (void)mbr__ring_retire(&p->rx);
        assert_int_equal(mbr__ring_refresh(&p->tx), CAPACITY - 8);
    }
}

/* One record out, one of the same size in, and no larger one. */
static void room_for_what_was_retired(void **state)
{
    struct ring_pair *p = *state;

    while (ring_put(&p->tx, 40, 1, 0))
        ;
    while (ring_put(&p->tx, 0, 2, 0))
        ;
    (void)mbr__ring_publish(&p->tx);
    expect(&p->rx, 40, 1, 0);
    (void)mbr__ring_retire(&p->rx);
    assert_null(mbr__ring_reserve(&p->tx, 41));
    assert_non_null(mbr__ring_reserve(&p->tx, 40));
}

static void largest_and_smallest(void **state)
{
    struct ring_pair *p = *state;
    uint32_t most = (uint32_t)mbr__ring_largest(CAPACITY);

    assert_null(mbr__ring_reserve(&p->tx, most + 1));
    assert_null(mbr__ring_reserve(&p->tx, UINT32_MAX));
    for (uint64_t key = 0; key < 5; key++) { /* at five places */
        assert_true(ring_put(&p->tx, most, 254, key));
        assert_null(mbr__ring_reserve(&p->tx, 0));
        (void)mbr__ring_publish(&p->tx);
        expect(&p->rx, most, 254, key);
        (void)mbr__ring_retire(&p->rx);
        assert_true(ring_put(&p->tx, 0, 1, key));
        (void)mbr__ring_publish(&p->tx);
        expect(&p->rx, 0, 1, key);
        expect_none(&p->rx);
        (void)mbr__ring_retire(&p->rx);
    }
}

/* ---- what is seen when ----------------------------------------------------------------------- */

static void commit_is_not_publish(void **state)
{
    struct ring_pair *p = *state;

    expect_none(&p->rx);
    void *to = mbr__ring_reserve(&p->tx, 100);

    assert_ptr_equal(mbr__ring_reserve(&p->tx, 64), to); /* nothing was committed */
    ring_fill(to, 30, 1);
    expect_none(&p->rx);
    mbr__ring_commit(&p->tx, 30, 7); /* less than was reserved */
    expect_none(&p->rx);
    assert_true(ring_put(&p->tx, 5, 8, 2));
    assert_true(ring_put(&p->tx, 0, 9, 3));
    expect_none(&p->rx);
    (void)mbr__ring_publish(&p->tx);
    expect(&p->rx, 30, 7, 1);
    expect(&p->rx, 5, 8, 2);
    expect(&p->rx, 0, 9, 3);
    expect_none(&p->rx);
}

/* A peeked record can be peeked again until it is released; release is not retire. */
static void release_is_not_retire(void **state)
{
    struct ring_pair *p = *state;
    struct mbr__record a = {0};
    struct mbr__record b = {0};

    assert_true(ring_put(&p->tx, 16, 1, 0));
    assert_true(ring_put(&p->tx, 24, 2, 1));
    (void)mbr__ring_publish(&p->tx);
    assert_int_equal(mbr__ring_peek(&p->rx, &a), 1);
    assert_int_equal(mbr__ring_peek(&p->rx, &b), 1);
    assert_ptr_equal(a.data, b.data);
    mbr__ring_release(&p->rx, &a);
    expect(&p->rx, 24, 2, 1);
    assert_int_equal(mbr__ring_refresh(&p->tx), CAPACITY - 8 - 24 - 32);
    (void)mbr__ring_retire(&p->rx);
    assert_int_equal(mbr__ring_refresh(&p->tx), CAPACITY - 8);
}

/* Whatever an earlier lap left behind, it is never taken for a record. */
static void nothing_of_earlier_laps(void **state)
{
    struct ring_pair *p = *state;
    uint64_t header = (uint64_t)3 << 32 | 8;

    for (uint32_t lap = 0; lap < 2000; lap++) {
        uint32_t len = lap * 37 % 600;
        uint8_t *to = mbr__ring_reserve(&p->tx, len);

        assert_non_null(to);
        for (uint32_t i = 0; i + 8 <= len; i += 8) /* payload that looks like headers */
            memcpy(to + i, &header, 8);
        mbr__ring_commit(&p->tx, len, 1);
        (void)mbr__ring_publish(&p->tx);
        struct mbr__record rec = {0};

        assert_int_equal(mbr__ring_peek(&p->rx, &rec), 1);
        assert_int_equal(rec.len, len);
        mbr__ring_release(&p->rx, &rec);
        expect_none(&p->rx);
        (void)mbr__ring_retire(&p->rx);
    }
}

/* A record that begins before the end of the ring and ends behind it is one piece for both, at any
 * place where it can begin. */
static void contiguous_across_the_wrap(void **state)
{
    struct ring_pair *p = *state;
    const uint8_t *end = mbr__region_body(&p->seen_producer) + CAPACITY;
    uint32_t wrapped = 0;

    for (uint64_t key = 0; key < 3000; key++) {
        struct mbr__record rec = {0};
        uint32_t len = 1000 + (uint32_t)(key * 8 % 264);

        assert_true(ring_put(&p->tx, len, 1, key));
        (void)mbr__ring_publish(&p->tx);
        assert_int_equal(mbr__ring_peek(&p->rx, &rec), 1);
        assert_true(ring_is(rec.data, len, key));
        wrapped += (const uint8_t *)rec.data < end && (const uint8_t *)rec.data + len > end;
        mbr__ring_release(&p->rx, &rec);
        (void)mbr__ring_retire(&p->rx);
    }
    assert_in_range(wrapped, 500, 1000);
}

/* Positions are 64 bits and free-running: nothing special happens near any power of two. */
static void positions_beyond_32_bits(void **state)
{
    struct ring_pair *p = *state;
    uint64_t start = (UINT64_C(1) << 32) - CAPACITY;

    p->tx.tail = p->tx.head = start;
    mbr__ring_rx_init(&p->rx, p->rx.data, CAPACITY, p->rx.shm, p->rx.peer_want, start);
    for (uint64_t key = 0; key < 100; key++) {
        assert_true(ring_put(&p->tx, 200, 1, key));
        (void)mbr__ring_publish(&p->tx);
        expect(&p->rx, 200, 1, key);
        (void)mbr__ring_retire(&p->rx);
    }
    assert_true(p->rx.head > UINT64_C(1) << 32);
    assert_int_equal(p->consumer_page->rx.head, p->rx.head);
}

/* ---- wishes ---------------------------------------------------------------------------------- */

static uint32_t publish_one(struct ring_pair *p)
{
    assert_true(ring_put(&p->tx, 8, 1, 0));
    return mbr__ring_publish(&p->tx);
}

static uint32_t retire_one(struct ring_pair *p)
{
    struct mbr__record rec = {0};

    assert_int_equal(mbr__ring_peek(&p->rx, &rec), 1);
    mbr__ring_release(&p->rx, &rec);
    return mbr__ring_retire(&p->rx);
}

static void one_ring_per_arming(void **state)
{
    struct ring_pair *p = *state;
    uint32_t *wish = &p->consumer_page->want.data;

    assert_int_equal(publish_one(p), 0);
    mbr_store_relaxed(wish, 5u);
    assert_int_equal(mbr__ring_publish(&p->tx), 0); /* nothing to tell */
    assert_int_equal(publish_one(p), 5);
    assert_int_equal(publish_one(p), 0);
    mbr_store_relaxed(wish, 0u);
    assert_int_equal(publish_one(p), 0);
    mbr_store_relaxed(wish, 6u);
    assert_int_equal(publish_one(p), 6);
    mbr_store_relaxed(wish, 7u);
    assert_int_equal(publish_one(p), 7);
    assert_int_equal(publish_one(p), 0);
}

static void one_ring_for_space(void **state)
{
    struct ring_pair *p = *state;
    uint32_t *wish = &p->producer_page->want.space;

    for (int i = 0; i < 8; i++)
        (void)publish_one(p);
    assert_int_equal(retire_one(p), 0);
    mbr_store_relaxed(wish, 9u);
    assert_int_equal(retire_one(p), 9);
    assert_int_equal(retire_one(p), 0);
    mbr_store_relaxed(&p->producer_page->want.data, 1u); /* the other direction's */
    assert_int_equal(retire_one(p), 0);
    mbr_store_relaxed(wish, 10u);
    assert_int_equal(retire_one(p), 10);
    assert_int_equal(mbr__ring_retire(&p->rx), 0);
}

/* A consumer that comes anew starts with a clean slate: its first wish counts, whatever its number.
 */
static void a_new_consumer_is_rung(void **state)
{
    struct ring_pair *p = *state;
    const struct mbr__ring_rx_shm *head = p->tx.peer;
    const struct mbr__want_shm *want = p->tx.peer_want;

    mbr_store_relaxed(&p->consumer_page->want.data, 5u);
    assert_int_equal(publish_one(p), 5);
    mbr__ring_tx_detach(&p->tx);
    assert_int_equal(publish_one(p), 0); /* nobody is there */
    assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, 0), 0);
    assert_int_equal(publish_one(p), 5);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void end_comes_after_the_records(void **state)
{
    struct ring_pair *p = *state;

    assert_true(ring_put(&p->tx, 10, 1, 1));
    assert_true(ring_put(&p->tx, 20, 1, 2)); /* committed only: the end publishes */
    mbr_store_relaxed(&p->consumer_page->want.data, 3u);
    assert_int_equal(mbr__ring_end(&p->tx, MBR__RING_END), 3);
    assert_int_equal(mbr__ring_publish(&p->tx), 0); /* does not take it back */
    expect(&p->rx, 10, 1, 1);
    assert_int_equal(p->rx.flags, 0);
    expect(&p->rx, 20, 1, 2);
    expect_none(&p->rx);
    assert_int_equal(p->rx.flags, MBR__RING_END);
    assert_int_equal(mbr__ring_seen(&p->rx), mbr_load_acquire(mbr__ring_next(&p->rx)));
    assert_int_equal(mbr__ring_end(&p->tx, MBR__RING_FLAGS), 3); /* once more, and it has left */
    expect_none(&p->rx);
    assert_int_equal(p->rx.flags, MBR__RING_FLAGS);
}

static void a_full_ring_ends_too(void **state)
{
    struct ring_pair *p = *state;
    uint32_t n = 0;

    while (ring_put(&p->tx, 48, 1, n))
        n++;
    while (ring_put(&p->tx, 0, 2, 0))
        ;
    (void)mbr__ring_publish(&p->tx);
    (void)mbr__ring_end(&p->tx, MBR__RING_FLAGS);
    for (uint32_t i = 0; i < n; i++)
        expect(&p->rx, 48, 1, i);
    while (mbr__ring_has_record(&p->rx))
        expect(&p->rx, 0, 2, 0);
    expect_none(&p->rx);
    assert_int_equal(p->rx.flags, MBR__RING_FLAGS);
}

static void refusing(void **state)
{
    struct ring_pair *p = *state;
    struct mbr__want_shm *own = &p->consumer_page->want;

    (void)publish_one(p);
    (void)publish_one(p);
    assert_int_equal(retire_one(p), 0);
    assert_false(mbr__ring_done(&p->tx));
    mbr_store_relaxed(&p->producer_page->want.space, 4u);
    assert_int_equal(mbr__ring_refuse(&p->rx, own, MBR__RING_END), 4);
    assert_true(mbr__ring_done(&p->tx));
    assert_int_equal(mbr__ring_refresh(&p->tx), CAPACITY - 8 - 16);
    assert_int_equal(p->tx.flags, MBR__RING_END);
    assert_int_equal(retire_one(p), 4); /* a later retire keeps the flag */
    p->tx.flags = 0;
    (void)mbr__ring_refresh(&p->tx);
    assert_int_equal(p->tx.flags, MBR__RING_END);
    (void)mbr__ring_refuse(&p->rx, own, MBR__RING_LEFT);
    (void)mbr__ring_refresh(&p->tx);
    assert_int_equal(p->tx.flags, MBR__RING_FLAGS);
    assert_false(p->tx.broken);
}

/* Without a consumer nothing is freed; the next one goes on where it is told to. */
static void coming_and_going(void **state)
{
    struct ring_pair *p = *state;
    const struct mbr__ring_rx_shm *head = p->tx.peer;
    const struct mbr__want_shm *want = p->tx.peer_want;
    uint32_t n = 0;

    mbr__ring_tx_detach(&p->tx);
    while (ring_put(&p->tx, 56, 1, n)) {
        assert_int_equal(mbr__ring_publish(&p->tx), 0);
        n++;
    }
    assert_int_equal(n, (CAPACITY - 8) / 64);
    assert_false(mbr__ring_done(&p->tx));
    assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, 128), 0);
    assert_int_equal(mbr__ring_known_free(&p->tx), CAPACITY - 8 - n * 64 + 128);
    mbr__ring_rx_init(&p->rx, p->rx.data, CAPACITY, p->rx.shm, p->rx.peer_want, 128);
    for (uint32_t i = 2; i < n; i++)
        expect(&p->rx, 56, 1, i);
    expect_none(&p->rx);
    /* Nobody may begin ahead of the tail, behind what was released, or in between two words. */
    (void)mbr__ring_retire(&p->rx);
    (void)mbr__ring_refresh(&p->tx);
    assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, p->tx.tail + 8), -EPROTO);
    assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, p->tx.head - 8), -EPROTO);
    assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, p->tx.tail - 4), -EPROTO);
    assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, p->tx.tail), 0);
}

/* ---- a peer that does not keep the rules ------------------------------------------------------
 */

static uint64_t header(uint64_t rest, uint8_t kind, uint32_t len)
{
    return rest << 40 | (uint64_t)kind << 32 | len;
}

/* What the consumer makes of any word in a header's place. */
static void hostile_headers(void **state)
{
    struct ring_pair *p = *state;
    uint32_t most = (uint32_t)mbr__ring_largest(CAPACITY);
    const struct {
        uint64_t word;
        int result;
        uint64_t flags;
    } cases[] = {
        {header(0, 1, 0), 1, 0},
        {header(0, 1, most), 1, 0},
        {header(0, 254, 1), 1, 0},
        {header(0, 1, most + 1), -EPROTO, 0},
        {header(0, 1, UINT32_MAX), -EPROTO, 0},
        {header(0, 1, UINT32_MAX - 7), -EPROTO, 0},
        {header(1, 1, 8), -EPROTO, 0},
        {header(0x800000, 1, 8), -EPROTO, 0},
        {header(0, 0, 8), -EPROTO, 0},
        {header(1, 0, 0), -EPROTO, 0},
        {UINT64_MAX, -EPROTO, 0},
        {header(0, MBR__RECORD_END, 1), 0, MBR__RING_END},
        {header(0, MBR__RECORD_END, 3), 0, MBR__RING_FLAGS},
        {header(0, MBR__RECORD_END, 4), -EPROTO, 0},
        {header(0, MBR__RECORD_END, UINT32_MAX), -EPROTO, 0},
        {header(1, MBR__RECORD_END, 1), -EPROTO, 0},
        /* An end that says nothing would be news at every look and never anything else. */
        {header(0, MBR__RECORD_END, 0), -EPROTO, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mbr__record rec = {.len = 77};
        const uint8_t *data = mbr__region_body(&p->seen_producer);

        p->rx.flags = 0;
        mbr_store_release((uint64_t *)(void *)p->tx.data, cases[i].word);
        assert_int_equal(mbr__ring_peek(&p->rx, &rec), cases[i].result);
        assert_int_equal(p->rx.flags, cases[i].flags);
        if (cases[i].result == 1)
            assert_true((const uint8_t *)rec.data + rec.len <= data + 2 * CAPACITY);
        else
            assert_int_equal(rec.len, 77);
        if (cases[i].result == 0)
            assert_int_equal(mbr__ring_seen(&p->rx), cases[i].word);
    }
}

/* The largest record anywhere is still within the two copies of the ring. */
static void hostile_lengths_everywhere(void **state)
{
    struct ring_pair *p = *state;
    const uint8_t *data = mbr__region_body(&p->seen_producer);
    uint64_t word = header(0, 1, (uint32_t)mbr__ring_largest(CAPACITY));

    for (uint64_t at = 0; at < CAPACITY; at += 8) {
        struct mbr__record rec = {0};

        memcpy(p->tx.data + at, &word, 8);
        p->rx.head = at;
        assert_int_equal(mbr__ring_peek(&p->rx, &rec), 1);
        assert_true((const uint8_t *)rec.data >= data &&
                    (const uint8_t *)rec.data + rec.len <= data + 2 * CAPACITY);
        assert_int_equal(((const volatile uint8_t *)rec.data)[rec.len - 1] & 0, 0); /* readable */
    }
}

/* What the producer makes of any word in the head's place. */
static void hostile_heads(void **state)
{
    struct ring_pair *p = *state;
    const struct {
        int64_t from_tail;
        uint64_t bits;
        bool broken;
    } cases[] = {
        {0, 0, false},   {-16, 0, false},  {0, 1, false},        {-16, 3, false},
        {8, 0, true},    {0, 4, true},     {-8, 4, true},        {-64, 0, true},
        {4096, 0, true}, {-4096, 0, true}, {INT64_MIN, 0, true}, {INT64_MAX - 7, 0, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct mbr__ring_rx_shm *head = p->tx.peer;
        const struct mbr__want_shm *want = p->tx.peer_want;
        uint64_t free_before;

        p->tx.tail = 1000 * CAPACITY;
        p->tx.head = p->tx.tail - 48; /* three records are out */
        p->tx.broken = false;
        p->tx.flags = 0;
        free_before = mbr__ring_known_free(&p->tx);
        mbr_store_release(&p->consumer_page->rx.head,
                          (p->tx.tail + (uint64_t)cases[i].from_tail) | cases[i].bits);
        uint64_t room = mbr__ring_refresh(&p->tx);

        assert_int_equal(p->tx.broken, cases[i].broken);
        if (cases[i].broken) {
            assert_int_equal(room, free_before); /* and nothing has been freed */
            mbr_store_release(&p->consumer_page->rx.head, p->tx.tail);
            assert_int_equal(mbr__ring_refresh(&p->tx), free_before); /* for good */
            assert_int_equal(mbr__ring_tx_attach(&p->tx, head, want, p->tx.head), 0);
            assert_false(p->tx.broken); /* until another one comes */
        } else {
            assert_int_equal(room, CAPACITY - 8 + (uint64_t)cases[i].from_tail);
            assert_int_equal(p->tx.flags, cases[i].bits);
        }
    }
}

/* A head that goes back, by one word, after it was believed. */
static void head_goes_back(void **state)
{
    struct ring_pair *p = *state;

    (void)publish_one(p);
    (void)publish_one(p);
    (void)retire_one(p);
    (void)mbr__ring_refresh(&p->tx);
    mbr_store_release(&p->consumer_page->rx.head, UINT64_C(8));
    (void)mbr__ring_refresh(&p->tx);
    assert_true(p->tx.broken);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacities),
        TEST(full_to_the_byte),
        TEST(room_for_what_was_retired),
        TEST(largest_and_smallest),
        TEST(commit_is_not_publish),
        TEST(release_is_not_retire),
        TEST(nothing_of_earlier_laps),
        TEST(contiguous_across_the_wrap),
        TEST(positions_beyond_32_bits),
        TEST(one_ring_per_arming),
        TEST(one_ring_for_space),
        TEST(a_new_consumer_is_rung),
        TEST(end_comes_after_the_records),
        TEST(a_full_ring_ends_too),
        TEST(refusing),
        TEST(coming_and_going),
        TEST(hostile_headers),
        TEST(hostile_lengths_everywhere),
        TEST(hostile_heads),
        TEST(head_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
