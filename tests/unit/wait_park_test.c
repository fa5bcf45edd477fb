/* SPDX-License-Identifier: MIT */
/*
 * Two threads that sleep and wake each other many thousand times, through rings and bells, as two
 * processes do: no wake-up is ever lost. A wait that is not woken ends at a deadline far away, and
 * the test with it. Spinning is switched off, so that each wait parks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <errno.h>
#include <pthread.h>

#include <cmocka.h>

#include "base/clock.h"
#include "event/wait.h"
#include "ring_pair.h"

#define CAPACITY   UINT64_C(4096)
#define ROUNDS     20000u
#define RECORDS    60000u
#define FAR_AWAY   UINT64_C(30000000000)
#define DIRECTIONS 4u /* rings side by side, enough for silent ones to go cold */

/* One direction between two threads: a ring in plain memory that both see. */
struct line {
    struct mbr__ring_rx_shm head;
    struct mbr__want_shm producer, consumer;
    uint8_t data[2 * CAPACITY] __attribute__((aligned(64)));
    struct mbr__ring_tx tx;
    struct mbr__ring_rx rx;
    struct mbr__watch rx_watch, tx_watch;
};

struct side {
    struct mbr__waitset set;
    const struct mbr__waitset *peer;
    struct line *in[DIRECTIONS], *out[DIRECTIONS];
    uint64_t waits;
    bool spins;
    int failed; /* what a wait returned that it should not have */
};

static struct line lines[2 * DIRECTIONS];
static struct side sides[2];

/* Records in these tests are so small, and so aligned, that none lies across the end. */
static void line_init(struct line *l)
{
    memset(l, 0, sizeof(*l));
    l->producer.cpu = l->consumer.cpu = UINT32_MAX;
    mbr__ring_tx_init(&l->tx, l->data, CAPACITY);
    mbr__ring_rx_init(&l->rx, l->data, CAPACITY, &l->head, &l->producer, 0);
    assert_int_equal(mbr__ring_tx_attach(&l->tx, &l->head, &l->consumer, 0), 0);
}

static void none(struct mbr__watch *w, uint32_t events)
{
    (void)w;
    (void)events;
}

/* Sleeps until something is heard. False, and why, if nothing was. */
static bool sleep_on(struct side *s)
{
    if (!s->spins)
        s->set.spin.budget = 0;
    s->waits++;
    int r = mbr__waitset_wait(&s->set, mbr__now_ns() + FAR_AWAY);

    if (r < 0)
        s->failed = r;
    return r > 0;
}

static void wake_peer(const struct side *s, uint32_t want, uint32_t bell)
{
    if (want != 0)
        mbr__bell_ring(s->peer->bell, bell);
}

static void watch_in(struct side *s, struct line *l)
{
    const uint64_t *word = mbr__ring_next(&l->rx);

    if (mbr__watch_active(&l->rx_watch))
        mbr__watch_seen(&l->rx_watch, word, 0);
    else
        mbr__watch_word(&s->set, &l->rx_watch, word, 0, &l->consumer, MBR__WANT_DATA, &l->producer,
                        none);
}

static void watch_out(struct side *s, struct line *l)
{
    if (mbr__watch_active(&l->tx_watch))
        mbr__watch_seen(&l->tx_watch, &l->head.head, l->tx.head);
    else
        mbr__watch_word(&s->set, &l->tx_watch, &l->head.head, l->tx.head, &l->producer,
                        MBR__WANT_SPACE, &l->consumer, none);
}

/* Puts a number into the ring, sleeping while there is no room. */
static bool send(struct side *s, uint32_t n, uint64_t value)
{
    struct line *l = s->out[n];
    uint64_t *to;

    while ((to = mbr__ring_reserve(&l->tx, sizeof(value))) == NULL) {
        watch_out(s, l);
        if (!sleep_on(s))
            return false;
    }
    if (mbr__watch_active(&l->tx_watch))
        mbr__watch_end(&s->set, &l->tx_watch);
    *to = value;
    mbr__ring_commit(&l->tx, sizeof(value), 1);
    wake_peer(s, mbr__ring_publish(&l->tx), n + 1);
    return true;
}

/* Takes the next number from one of the rings, sleeping while all are empty. -1 on failure. */
static int64_t receive(struct side *s, uint32_t count)
{
    struct mbr__record rec = {0};

    for (;;) {
        for (uint32_t n = 0; n < count; n++) {
            struct line *l = s->in[n];
            uint64_t value;

            if (mbr__ring_peek(&l->rx, &rec) <= 0)
                continue;
            memcpy(&value, rec.data, sizeof(value));
            mbr__ring_release(&l->rx, &rec);
            wake_peer(s, mbr__ring_retire(&l->rx), n + 1);
            return (int64_t)value;
        }
        for (uint32_t n = 0; n < count; n++)
            watch_in(s, s->in[n]);
        if (!sleep_on(s))
            return -1;
    }
}

static void rang(struct mbr__waitset *ws, uint32_t bell)
{
    const struct side *s = mbr__container_of(ws, struct side, set);

    if (bell == 0 || bell > DIRECTIONS)
        return;
    mbr__watch_heat(ws, &s->in[bell - 1]->rx_watch);
    mbr__watch_heat(ws, &s->out[bell - 1]->tx_watch);
}

static int setup(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct side *s = &sides[i];

        memset(s, 0, sizeof(*s));
        assert_int_equal(mbr__waitset_init(&s->set), 0);
        s->set.rang = rang;
        s->peer = &sides[1 - i].set;
    }
    for (uint32_t n = 0; n < DIRECTIONS; n++) {
        line_init(&lines[n]);
        line_init(&lines[DIRECTIONS + n]);
        sides[0].out[n] = sides[1].in[n] = &lines[n];
        sides[1].out[n] = sides[0].in[n] = &lines[DIRECTIONS + n];
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 2; i++) {
        for (uint32_t n = 0; n < DIRECTIONS; n++) {
            mbr__watch_end(&sides[i].set, &sides[i].in[n]->rx_watch);
            mbr__watch_end(&sides[i].set, &sides[i].out[n]->tx_watch);
        }
        mbr__waitset_fini(&sides[i].set);
    }
    return 0;
}

/* ---- ping-pong ------------------------------------------------------------------------------- */

static void *echo(void *arg)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int64_t value = receive(arg, 1);

        if (value < 0 || !send(arg, 0, (uint64_t)value))
            break;
    }
    return NULL;
}

static void ping_pong(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, echo, &sides[1]), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (!send(&sides[0], 0, i) || receive(&sides[0], 1) != (int64_t)i)
            break;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sides[0].failed, 0);
    assert_int_equal(sides[1].failed, 0);
    assert_true(sides[0].waits + sides[1].waits > ROUNDS / 2); /* it was about sleeping */
    assert_false(sides[0].set.sweep || sides[1].set.sweep);    /* which it still can */
}

/* ---- a stream: the producer sleeps for space, the consumer for data ---------------------------
 */

static void *stream(void *arg)
{
    for (uint64_t i = 0; i < RECORDS && send(arg, 0, i); i++)
        ;
    return NULL;
}

static void streaming(void **state)
{
    pthread_t thread;
    uint64_t i = 0;

    assert_int_equal(pthread_create(&thread, NULL, stream, &sides[1]), 0);
    while (i < RECORDS && receive(&sides[0], 1) == (int64_t)i)
        i++;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sides[0].failed, 0);
    assert_int_equal(sides[1].failed, 0);
    assert_int_equal(i, RECORDS);
}

/* ---- several rings, of which most are silent most of the time ---------------------------------
 */

/* Stays with a ring for a while, then takes another. */
static uint32_t which(uint32_t i)
{
    return (i / 64 * 2654435761u >> 13) % DIRECTIONS;
}

static void *echo_many(void *arg)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int64_t value = receive(arg, DIRECTIONS);

        if (value < 0 || !send(arg, which((uint32_t)value), (uint64_t)value))
            break;
    }
    return NULL;
}

/* With spinning, so that there are enough rounds for the silent ones to go cold. */
static void ping_pong_among_cold_ones(void **state)
{
    pthread_t thread;
    uint32_t cold = 0;

    sides[0].spins = sides[1].spins = true;
    assert_int_equal(pthread_create(&thread, NULL, echo_many, &sides[1]), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (!send(&sides[0], which(i), i) || receive(&sides[0], DIRECTIONS) != (int64_t)i)
            break;
        cold += sides[0].set.ncold > 0;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sides[0].failed, 0);
    assert_int_equal(sides[1].failed, 0);
    print_message("  %u of %u rounds with cold rings\n", cold, ROUNDS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ping_pong),
        TEST(streaming),
        TEST(ping_pong_among_cold_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
