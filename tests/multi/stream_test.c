/* SPDX-License-Identifier: MIT */
/*
 * Streams of messages between two processes, every byte of them checked: all sizes, one way, both
 * ways at once, over many pipes at once, and back and forth. The argument is the number of bytes of
 * the long stream (with K, M or G). What is sent follows from a seed that both sides know, so the
 * receiver sees a byte that is wrong, missing, repeated or out of order. Not here: deaths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "native_util.h"

#include <cmocka.h>

#define LANES_MAX 40

static uint64_t stream_bytes = 64u << 20;

/* One pipe: what this side still has to send and to receive over it. */
struct lane {
    int qd;
    uint64_t out_left, in_left;     /* bytes */
    uint64_t out_random, in_random; /* where sizes come from */
    uint64_t out_count, in_count;   /* messages so far: their keys */
    size_t in_size;                 /* of the message that comes next */
};

/* Sizes of every magnitude; where layouts have their edges, more of them; a few are large. */
static size_t next_size(uint64_t *random, uint64_t left, size_t largest)
{
    static const size_t edges[] = {64, 4096, 8192, 16384, 32768, 65536, 131072};
    uint64_t kind = stage_below(random, 16), size;

    if (kind < 6)
        size = 1 + stage_below(random, 128);
    else if (kind < 11)
        size = 1 + stage_below(random, 8192);
    else if (kind < 15)
        size = edges[stage_below(random, 7)] + stage_below(random, 96) - 48;
    else
        size = 1 + stage_below(random, largest);
    if (size > largest)
        size = 1 + size % largest;
    return size < left ? size : left;
}

/* The tokens under way, and which way of which lane each is: 2 * lane + (1 if it is a push). */
struct flight {
    struct mbr_libos *l;
    struct lane *lanes;
    size_t largest;
    demi_qtoken_t qts[2 * LANES_MAX];
    int what[2 * LANES_MAX];
    int n;
};

/* Starts the next operation of this way in place AT; false when there is none. */
static bool start_next(struct flight *f, int at, int what)
{
    struct lane *lane = &f->lanes[what / 2];

    f->what[at] = what;
    if (what % 2) {
        if (lane->out_left == 0)
            return false;
        size_t size = next_size(&lane->out_random, lane->out_left, f->largest);
        f->qts[at] = native_start_push(f->l, lane->qd, size, lane->out_count++);
        lane->out_left -= size;
        return true;
    }
    if (lane->in_left == 0)
        return false;
    lane->in_size = next_size(&lane->in_random, lane->in_left, f->largest);
    lane->in_left -= lane->in_size;
    f->qts[at] = native_start_pop(f->l, lane->qd, 0);
    return true;
}

static void land(struct flight *f, int at, demi_qresult_t *qr)
{
    struct lane *lane = &f->lanes[f->what[at] / 2];

    CHECK_INT(qr->qr_qd, lane->qd);
    if (f->what[at] % 2)
        native_expect(qr, DEMI_OPC_PUSH, 0);
    else
        native_expect_message(qr, lane->in_size, lane->in_count++);
    if (!start_next(f, at, f->what[at])) {
        f->n--;
        f->qts[at] = f->qts[f->n];
        f->what[at] = f->what[f->n];
    }
}

static void run_lanes(struct mbr_libos *l, struct lane *lanes, int n, size_t largest)
{
    struct flight f = {.l = l, .lanes = lanes, .largest = largest};

    for (int what = 0; what < 2 * n; what++)
        f.n += start_next(&f, f.n, what);
    while (f.n > 0) {
        demi_qresult_t qr;
        int at = -1;

        CHECK_INT(mbr_wait_any(l, f.qts, f.n, MBR_FOREVER, &qr, &at), 0);
        CHECK(at >= 0 && at < f.n && qr.qr_qt == f.qts[at]);
        land(&f, at, &qr);
    }
}

/* What the two sides of a test agree on. */
struct plan {
    int lanes;
    uint64_t forth, back; /* bytes per lane, from the creator and to it */
    size_t largest;
    bool creates; /* this side */
};

static void set_lane(struct lane *lane, const struct plan *plan, int i, int qd)
{
    uint64_t forth = stage_seed() + 2 * (uint64_t)i, back = forth + 1;

    *lane = (struct lane){
        .qd = qd,
        .out_left = plan->creates ? plan->forth : plan->back,
        .in_left = plan->creates ? plan->back : plan->forth,
        .out_random = plan->creates ? forth : back,
        .in_random = plan->creates ? back : forth,
    };
}

static void play_side(struct stage_actor *parent, void *arg)
{
    const struct plan *plan = arg;
    struct mbr_libos *l = open_libos();
    static struct lane lanes[LANES_MAX];
    char name[32];

    for (int i = 0; i < plan->lanes; i++) {
        snprintf(name, sizeof(name), "lane-%d", i);
        set_lane(&lanes[i], plan, i,
                 plan->creates ? native_create(l, name) : native_open_soon(l, name));
    }
    run_lanes(l, lanes, plan->lanes, plan->largest);
    /* The creator closes first: an opener that has not pushed would leave no end of file. */
    for (int i = 0; i < plan->lanes; i++) {
        if (!plan->creates)
            native_pop_eof(l, lanes[i].qd);
        CHECK_INT(mbr_close(l, lanes[i].qd), 0);
    }
    mbr_libos_close(l);
}

static void play(struct plan plan)
{
    struct stage_actor creator, opener;
    struct plan other = plan;

    (void)stage_seed(); /* both sides shall have the same */
    plan.creates = true;
    stage_spawn(&creator, play_side, &plan);
    stage_spawn(&opener, play_side, &other);
    stage_join_ok(&opener);
    stage_join_ok(&creator);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

static void long_stream_from_creator(void **state)
{
    play((struct plan){.lanes = 1, .forth = stream_bytes, .largest = 4u << 20});
}

static void long_stream_to_creator(void **state)
{
    play((struct plan){.lanes = 1, .back = stream_bytes, .largest = 4u << 20});
}

static void small_messages(void **state)
{
    play((struct plan){.lanes = 1, .back = stream_bytes / 16, .largest = 64});
}

static void both_ways_at_once(void **state)
{
    play((struct plan){
        .lanes = 1, .forth = stream_bytes / 2, .back = stream_bytes / 2, .largest = 4u << 20});
}

static void many_pipes_at_once(void **state)
{
    play((struct plan){.lanes = LANES_MAX,
                       .forth = stream_bytes / LANES_MAX,
                       .back = stream_bytes / LANES_MAX,
                       .largest = 300000});
}

/* ---- one size after the other ---- */

#define EVERY_SIZE 10000

static void send_every_size(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "sizes");
    demi_qtoken_t window[64];

    for (uint64_t i = 0; i < EVERY_SIZE; i++) {
        if (i >= 64) {
            demi_qresult_t qr = native_finish(l, window[i % 64]);
            native_expect(&qr, DEMI_OPC_PUSH, 0);
        }
        window[i % 64] = native_start_push(l, qd, i + 1, i);
    }
    demi_qtoken_t qt;
    CHECK_INT(mbr_close_async(l, qd, &qt), 0);
    demi_qresult_t qr = native_finish(l, qt);
    native_expect(&qr, DEMI_OPC_CLOSE, 0);
    mbr_libos_close(l);
}

static void receive_every_size(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_open_soon(l, "sizes");

    for (uint64_t i = 0; i < EVERY_SIZE; i++)
        native_pop(l, qd, i + 1, i);
    native_pop_eof(l, qd);
    mbr_libos_close(l);
}

static void every_size(void **state)
{
    struct stage_actor sender, receiver;

    stage_spawn(&sender, send_every_size, NULL);
    stage_spawn(&receiver, receive_every_size, NULL);
    stage_join_ok(&receiver);
    stage_join_ok(&sender);
}

/* ---- back and forth ---- */

#define TRIPS 20000

static size_t trip_size(uint64_t i)
{
    return i % 100 == 99 ? 30000 + i : 1 + i % 300;
}

static void serve_trips(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "trips");

    for (uint64_t i = 0; i < TRIPS; i++) {
        native_pop(l, qd, trip_size(i), i);
        native_push(l, qd, trip_size(i), ~i);
    }
    native_pop_eof(l, qd);
    mbr_libos_close(l);
}

static void make_trips(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_open_soon(l, "trips");

    for (uint64_t i = 0; i < TRIPS; i++) {
        native_push(l, qd, trip_size(i), i);
        native_pop(l, qd, trip_size(i), ~i);
    }
    /* An orderly end: the instance closes its queues. */
    mbr_libos_close(l);
}

static void ping_pong(void **state)
{
    struct stage_actor server, client;

    stage_spawn(&server, serve_trips, NULL);
    stage_spawn(&client, make_trips, NULL);
    stage_join_ok(&client);
    stage_join_ok(&server);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size),
        cmocka_unit_test(ping_pong),
        cmocka_unit_test(small_messages),
        cmocka_unit_test(long_stream_from_creator),
        cmocka_unit_test(long_stream_to_creator),
        cmocka_unit_test(both_ways_at_once),
        cmocka_unit_test(many_pipes_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

static uint64_t bytes_of(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    for (const char *unit = "KMG"; *unit; unit++) {
        n <<= 10;
        if (*end == *unit)
            return n;
    }
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
    unsigned int seconds = 100;

    if (argc > 1) {
        stream_bytes = bytes_of(argv[1]);
        seconds += (unsigned int)(stream_bytes >> 20);
    }
    return stage_main(seconds, argc, argv, run);
}
