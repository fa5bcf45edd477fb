/* SPDX-License-Identifier: MIT */
/*
 * What a client can make a catloop server hold: pairs that it never asks anything on, and idle ones
 * without end. Each is bounded, and whoever asks on a pair that the server gives up at the same
 * moment is connected all the same.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include <membrane/socket.h>

#include "../multi/stage.h"
#include "queue/catloop/catloop.h"
#include "queue/libos.h"

#include <cmocka.h>

#define CLIENTS 10
#define EACH    60 /* connections of a client at a time: it keeps all of their pairs */

static struct mbr_libos *server;
static struct mbr_libos *clients[CLIENTS];
static struct sockaddr_in address;
static int listener;

static struct mbr_libos *open_catloop(void)
{
    const struct mbr_libos_options options = {.size = sizeof(options), .capacity = 4096};
    struct mbr_libos *l = NULL;

    CHECK_INT(mbr_libos_open("catloop", &options, &l), 0);
    return l;
}

static void turn(struct mbr_libos *l)
{
    demi_qresult_t qr;
    int offset;

    CHECK_INT(mbr_wait_any(l, &(demi_qtoken_t){0}, 0, 0, &qr, &offset), -ETIMEDOUT);
}

static int open_all(void **state)
{
    socklen_t size = sizeof(address);

    (void)state;
    server = open_catloop();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = open_catloop();
    address = (struct sockaddr_in){.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_INT(mbr_socket(server, AF_INET, SOCK_STREAM, 0, &listener), 0);
    CHECK_INT(mbr_bind(server, listener, (struct sockaddr *)&address, size), 0);
    CHECK_INT(mbr_listen(server, listener, 2 * EACH), 0);
    CHECK_INT(mbr_getsockname(server, listener, (struct sockaddr *)&address, &size), 0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++)
        mbr_libos_close(clients[i]);
    mbr_libos_close(server);
    return 0;
}

struct wave {
    struct mbr_libos *l;
    int client[EACH];
    int server[EACH];
    demi_qtoken_t connect[EACH];
};

static void ask(struct wave *w, struct mbr_libos *l)
{
    w->l = l;
    for (int i = 0; i < EACH; i++) {
        CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &w->client[i]), 0);
        CHECK_INT(mbr_connect(l, w->client[i], (struct sockaddr *)&address, sizeof(address),
                              &w->connect[i]),
                  0);
    }
}

/* All of them get a connection. */
static void expect_connected(struct wave *w)
{
    for (int i = 0; i < EACH; i++) {
        demi_qresult_t qr;
        int r;

        while ((r = mbr_wait(w->l, w->connect[i], 0, &qr)) == -ETIMEDOUT)
            turn(server);
        CHECK_INT(r, 0);
        CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
        while ((r = mbr_sock_accept(server, listener, &w->server[i])) == -EAGAIN)
            turn(server);
        CHECK_INT(r, 0);
    }
}

static void end(struct wave *w)
{
    for (int i = 0; i < EACH; i++) {
        CHECK_INT(mbr_close(w->l, w->client[i]), 0);
        CHECK_INT(mbr_close(server, w->server[i]), 0);
    }
}

static void idle_pairs_are_bounded(void **state)
{
    static struct wave waves[2];

    (void)state;
    for (int i = 0; i < 3 * CLIENTS; i++) {
        struct wave *now = &waves[i % 2];

        ask(now, clients[i % CLIENTS]);
        if (i > 0) { /* the server hears of both at the same time */
            end(&waves[(i + 1) % 2]);
            turn(waves[(i + 1) % 2].l);
        }
        expect_connected(now);
        turn(server);
        CHECK(server->served_pairs <= MBR__PAIRS_SERVED);
        CHECK(server->pairs.used <= MBR__PAIRS_SERVED + 2 * EACH);
    }
    CHECK(server->served_pairs > MBR__PAIRS_SERVED - 2 * EACH); /* the bound was reached */
    end(&waves[(3 * CLIENTS - 1) % 2]);
}

/* A pair is made known, and nothing is asked. */
static void who_asks_nothing_is_refused(void **state)
{
    struct mbr_libos *l = open_catloop();
    uint32_t before;

    (void)state;
    turn(server);
    before = server->pairs.used;
    for (int i = 0; i < 100; i++) {
        demi_qtoken_t connect;
        demi_qresult_t qr;
        int qd = -1;
        int r;

        CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
        CHECK_INT(mbr_connect(l, qd, (struct sockaddr *)&address, sizeof(address), &connect), 0);
        struct mbr__pipe *p = &mbr__libos_sock(l, qd)->u.loop->pair->pipe;

        mbr_store_release(mbr__ring_word(&p->tx, p->tx.first), (uint64_t)0);
        while ((r = mbr_wait(l, connect, 0, &qr)) == -ETIMEDOUT)
            turn(server);
        CHECK_INT(r, 0);
        CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
        CHECK_INT(qr.qr_ret, ECONNREFUSED);
        CHECK_INT(mbr_close(l, qd), 0);
    }
    turn(server);
    CHECK(server->pairs.used <= before);
    mbr_libos_close(l);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_pairs_are_bounded),
        cmocka_unit_test(who_asks_nothing_is_refused),
    };

    (void)argc;
    (void)argv;
    return cmocka_run_group_tests(tests, open_all, close_all);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
