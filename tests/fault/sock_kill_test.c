/* SPDX-License-Identifier: MIT */
/*
 * Processes that use sockets are killed at random moments: while they connect, are accepted, push,
 * pop or close. Whoever is left must be served or be told, and nothing must stay behind: a server
 * that has seen a thousand clients die holds what it held at first.
 *
 *   test_sock_kill catnap|catloop [KILLS]
 */
#include <setjmp.h>
#include <stdarg.h>

#include "../conformance/sock_util.h"

#include <cmocka.h>

#define PORT        6000
#define SERVER_EACH 8     /* of so many kills one is the server's */
#define MAX_DELAY   30000 /* rounds of the loop before a kill: up to some milliseconds */
#define SLACK       24    /* descriptors that may come and go */
#define MOST        64    /* connections of the server at one time */

static uint64_t kills = 1000;

/* ---- the server ---- */

/* A pop has completed: 1 it was answered, 0 the connection is over. */
static int serve(demi_qresult_t *qr)
{
    demi_sgarray_t *sga = &qr->qr_value.sga;
    demi_qtoken_t qt;
    int alive = 0;

    if (qr->qr_opcode != DEMI_OPC_POP)
        return 0;
    if (sga->sga_segs[0].sgaseg_len == sizeof(uint64_t)) {
        uint64_t held = stage_count_fds();

        memcpy(sga->sga_segs[0].sgaseg_buf, &held, sizeof(held));
    }
    if (sga->sga_segs[0].sgaseg_len > 0 && demi_push(&qt, qr->qr_qd, sga) == 0) {
        demi_qresult_t done = finish(qt);

        alive = done.qr_opcode == DEMI_OPC_PUSH;
    }
    CHECK_INT(demi_sgafree(sga), 0);
    return alive;
}

static void server(struct stage_actor *parent, void *arg)
{
    demi_qtoken_t qts[MOST + 1];
    demi_qresult_t qr;
    int n = 1, offset;

    start_demi();
    int listener = sock_listening(PORT, 64);

    qts[0] = start_accept(listener);
    stage_say(parent, 1);
    for (;;) {
        CHECK_INT(demi_wait_any(&qr, &offset, qts, n, NULL), 0);
        if (qr.qr_opcode == DEMI_OPC_ACCEPT) {
            CHECK(n <= MOST);
            qts[n++] = start_pop(qr.qr_value.ares.qd);
            qts[0] = start_accept(listener);
        } else if (offset == 0) {
            CHECK_INT(qr.qr_ret, 0); /* an accept never fails here */
        } else if (serve(&qr)) {
            qts[offset] = start_pop(qr.qr_qd);
        } else {
            CHECK_INT(demi_close(qr.qr_qd), 0);
            qts[offset] = qts[--n];
        }
    }
}

/* ---- clients ---- */

static bool is_told(const demi_qresult_t *qr)
{
    return qr->qr_opcode == DEMI_OPC_FAILED &&
           (qr->qr_ret == ECONNREFUSED || qr->qr_ret == ECONNRESET || qr->qr_ret == EPIPE ||
            qr->qr_ret == EADDRNOTAVAIL);
}

/* One connection: true if all of it went well. Else it was told why. */
static bool talk(size_t size, void *answer)
{
    int qd = sock_new(SOCK_STREAM);
    demi_qresult_t qr = finish(start_connect(qd, PORT));
    bool well = qr.qr_opcode == DEMI_OPC_CONNECT;

    CHECK(well || is_told(&qr));
    if (well) {
        qr = finish(start_push(qd, size, 1));
        well = qr.qr_opcode == DEMI_OPC_PUSH;
        CHECK(well || is_told(&qr));
    }
    if (well) {
        qr = finish(start_pop(qd));
        well = qr.qr_opcode == DEMI_OPC_POP && qr.qr_value.sga.sga_segs[0].sgaseg_len == size;
        CHECK(qr.qr_opcode == DEMI_OPC_POP || is_told(&qr));
        if (well && answer != NULL)
            memcpy(answer, qr.qr_value.sga.sga_segs[0].sgaseg_buf, size);
        if (qr.qr_opcode == DEMI_OPC_POP)
            CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    }
    CHECK_INT(demi_close(qd), 0);
    return well;
}

static void client(struct stage_actor *parent, void *arg)
{
    start_demi();
    stage_say(parent, 1);
    while (talk(64, NULL))
        ;
}

/* ---- the test ---- */

static void start_server(struct stage_actor *actor)
{
    stage_spawn(actor, server, NULL);
    CHECK_INT(stage_hear(actor), 1);
}

static void start_client(struct stage_actor *actor)
{
    stage_spawn(actor, client, NULL);
    CHECK_INT(stage_hear(actor), 1);
}

static void linger_a_moment(uint64_t *seed)
{
    for (uint64_t n = stage_below(seed, MAX_DELAY); n > 0; n--)
        __asm__ volatile("" ::: "memory");
}

static uint64_t descriptors_of_server(void)
{
    uint64_t held = 0;

    CHECK(talk(sizeof(held), &held));
    return held;
}

static void survivors_are_served_or_told(void **state)
{
    uint64_t seed = stage_seed(), first = 0;
    struct stage_actor serving, clients[2];

    start_server(&serving);
    first = descriptors_of_server();
    for (int i = 0; i < 2; i++)
        start_client(&clients[i]);
    for (uint64_t n = 1; n <= kills; n++) {
        linger_a_moment(&seed);
        if (n % SERVER_EACH != 0) {
            int which = (int)stage_below(&seed, 2);

            stage_kill(&clients[which]);
            CHECK(talk(64, NULL)); /* the server goes on */
            start_client(&clients[which]);
            continue;
        }
        uint64_t held = descriptors_of_server();

        CHECK(held <= first + SLACK);
        stage_kill(&serving);
        for (int i = 0; i < 2; i++)
            stage_join_ok(&clients[i]); /* they were told, and end */
        start_server(&serving);         /* at the same address */
        for (int i = 0; i < 2; i++)
            start_client(&clients[i]);
    }
    for (int i = 0; i < 2; i++)
        stage_kill(&clients[i]);
    stage_kill(&serving);
}

static void nothing_is_left(void **state)
{
    int listener = sock_listening(PORT, 4);

    CHECK_INT(demi_close(listener), 0);
}

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survivors_are_served_or_told),
        cmocka_unit_test(nothing_is_left),
    };

    CHECK(argc == 2 || argc == 3);
    kills = argc == 3 ? strtoull(argv[2], NULL, 10) : kills / stage_slowness();
    sock_setup(argv[1]);
    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(argc == 3 ? 900 : 100, argc, argv, run);
}
