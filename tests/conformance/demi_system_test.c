/* SPDX-License-Identifier: MIT */
/*
 * Demikernel's system tests (tcp-echo, tcp-close, tcp-wait) and its datagram programs,
 * re-expressed: a server and clients in processes of their own. Upstream runs them with one client
 * on catloop; here both libOSes have the same matrix.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "sock_util.h"

#include <cmocka.h>

#define PORT    5000
#define CLIENTS 32

static bool is_gone(const demi_qresult_t *qr)
{
    return (qr->qr_opcode == DEMI_OPC_POP && qr->qr_value.sga.sga_segs[0].sgaseg_len == 0) ||
           (qr->qr_opcode == DEMI_OPC_FAILED &&
            (qr->qr_ret == ECONNRESET || qr->qr_ret == ENOTCONN || qr->qr_ret == ECANCELED ||
             qr->qr_ret == EBADF));
}

static int connect_to(uint16_t port)
{
    int qd = sock_new(SOCK_STREAM);
    demi_qresult_t qr = finish(start_connect(qd, port));

    expect_connected(&qr, qd);
    return qd;
}

static int accept_one(int listener)
{
    demi_qresult_t qr = finish(start_accept(listener));

    return accepted(&qr, listener);
}

/* ---- echo ---- */

struct echo {
    size_t size;
    unsigned clients; /* of one process, at the same time */
    unsigned requests;
};

static size_t pop_some(int qd, unsigned char *data, size_t room)
{
    demi_qresult_t qr = finish(start_pop(qd));
    demi_sgarray_t *sga = &qr.qr_value.sga;

    CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
    size_t n = sga->sga_segs[0].sgaseg_len;

    CHECK(n > 0 && n <= room);
    memcpy(data, sga->sga_segs[0].sgaseg_buf, n);
    CHECK_INT(demi_sgafree(sga), 0);
    return n;
}

static void echo_client(struct stage_actor *parent, void *arg)
{
    const struct echo *e = arg;
    int qds[CLIENTS];
    unsigned char data[4096];

    start_demi();
    for (unsigned c = 0; c < e->clients; c++)
        qds[c] = connect_to(PORT);
    for (uint64_t i = 0; i < e->requests; i++) {
        for (unsigned c = 0; c < e->clients; c++)
            push_message(qds[c], e->size, i + c);
        for (unsigned c = 0; c < e->clients; c++) {
            size_t got = 0;

            while (got < e->size)
                got += pop_some(qds[c], data + got, e->size - got);
            CHECK(stage_filled(data, e->size, i + c));
        }
    }
    for (unsigned c = 0; c < e->clients; c++)
        CHECK_INT(demi_close(qds[c]), 0);
}

/* Gives back what a pop has brought, and pops again; at end of file closes. Returns how many have
 * ended. */
static int echo_back(const demi_qresult_t *qr, demi_qtoken_t *qt)
{
    demi_sgarray_t sga = qr->qr_value.sga;
    int qd = qr->qr_qd;

    *qt = 0;
    if (is_gone(qr)) {
        if (qr->qr_opcode == DEMI_OPC_POP)
            CHECK_INT(demi_sgafree(&sga), 0);
        CHECK_INT(demi_close(qd), 0);
        return 1;
    }
    CHECK_INT(qr->qr_opcode, DEMI_OPC_POP);
    demi_qtoken_t push;

    CHECK_INT(demi_push(&push, qd, &sga), 0);
    CHECK_INT(demi_sgafree(&sga), 0);
    demi_qresult_t done = finish(push);

    expect_push(&done, qd);
    *qt = start_pop(qd);
    return 0;
}

/* Serves until that many clients have come and gone. */
static void echo_server(int listener, int clients)
{
    demi_qtoken_t qts[CLIENTS * 8 + 1];
    int n = 1, ended = 0, came = 0, offset;
    demi_qresult_t qr;

    CHECK(clients < (int)(sizeof(qts) / sizeof(qts[0])));
    qts[0] = start_accept(listener);
    while (ended < clients) {
        CHECK_INT(demi_wait_any(&qr, &offset, qts, n, NULL), 0);
        if (qr.qr_opcode == DEMI_OPC_ACCEPT) {
            qts[offset] = ++came < clients ? start_accept(listener) : 0;
            if (qts[offset] == 0)
                qts[offset] = qts[--n];
            qts[n++] = start_pop(accepted(&qr, listener));
            continue;
        }
        ended += echo_back(&qr, &qts[offset]);
        if (qts[offset] == 0)
            qts[offset] = qts[--n];
    }
}

static void echo(size_t size, unsigned processes, unsigned clients, unsigned requests)
{
    struct echo e = {size, clients, requests};
    struct stage_actor actors[8];
    int listener = sock_listening(PORT, 512);

    for (unsigned i = 0; i < processes; i++)
        stage_spawn(&actors[i], echo_client, &e);
    echo_server(listener, (int)(processes * clients));
    for (unsigned i = 0; i < processes; i++)
        stage_join_ok(&actors[i]);
    CHECK_INT(demi_close(listener), 0);
}

static void echo_64(void **state)
{
    echo(64, 1, 1, 1024);
}

static void echo_1024(void **state)
{
    echo(1024, 1, 1, 128);
}

static void echo_32_connections(void **state)
{
    echo(64, 1, 32, 128);
    echo(1024, 1, 32, 32);
}

static void echo_many_processes(void **state)
{
    echo(64, 4, 8, 64);
}

/* ---- close ---- */

struct closing {
    bool client_closes;
    bool concurrent;
};

static void see_the_end(int qd)
{
    demi_qresult_t qr = finish(start_pop(qd));

    CHECK(is_gone(&qr));
    if (qr.qr_opcode == DEMI_OPC_POP)
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    CHECK_INT(demi_close(qd), 0);
}

static void end_here(int qd, bool we_close)
{
    if (we_close)
        CHECK_INT(demi_close(qd), 0);
    else
        see_the_end(qd);
}

static void closing_client(struct stage_actor *parent, void *arg)
{
    const struct closing *c = arg;
    int qds[CLIENTS];

    start_demi();
    for (int i = 0; i < CLIENTS; i++) {
        qds[i] = connect_to(PORT);
        if (!c->concurrent)
            end_here(qds[i], c->client_closes);
    }
    for (int i = 0; c->concurrent && i < CLIENTS; i++)
        end_here(qds[i], c->client_closes);
}

static void close_matrix(void **state)
{
    int listener = sock_listening(PORT, 128);

    for (int kind = 0; kind < 4; kind++) {
        struct closing c = {(kind & 1) != 0, (kind & 2) != 0};
        struct stage_actor actor;
        int qds[CLIENTS];

        stage_spawn(&actor, closing_client, &c);
        for (int i = 0; i < CLIENTS; i++) {
            qds[i] = accept_one(listener);
            if (!c.concurrent)
                end_here(qds[i], !c.client_closes);
        }
        for (int i = 0; c.concurrent && i < CLIENTS; i++)
            end_here(qds[i], !c.client_closes);
        stage_join_ok(&actor);
    }
    CHECK_INT(demi_close(listener), 0);
}

/* ---- wait ---- */

static void waiting_client(struct stage_actor *parent, void *arg)
{
    bool push = *(bool *)arg;
    demi_qresult_t qr;

    start_demi();
    for (int i = 0; i < CLIENTS; i++) {
        int qd = connect_to(PORT);
        demi_qtoken_t qt = push ? start_push(qd, 64, 1) : start_pop(qd);

        CHECK_INT(demi_close(qd), 0);
        CHECK_INT(demi_wait(&qr, qt, &at_once), 0);
        CHECK((push && qr.qr_opcode == DEMI_OPC_PUSH) ||
              (qr.qr_opcode == DEMI_OPC_FAILED && (qr.qr_ret == EBADF || qr.qr_ret == ECANCELED)));
    }
}

static void wait_after_close(void **state)
{
    int listener = sock_listening(PORT, 128);

    for (int kind = 0; kind < 2; kind++) {
        bool push = kind != 0;
        struct stage_actor actor;

        stage_spawn(&actor, waiting_client, &push);
        for (int i = 0; i < CLIENTS; i++) {
            int qd = accept_one(listener);

            if (push)
                pop_message(qd, 64, 1);
            see_the_end(qd);
        }
        stage_join_ok(&actor);
    }
    CHECK_INT(demi_close(listener), 0);
}

/* ---- the listener's queue ---- */

static void crowd_client(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = sock_new(SOCK_STREAM);

    (void)stage_hear(parent); /* all at once */
    demi_qresult_t qr = finish(start_connect(qd, PORT));

    if (qr.qr_opcode == DEMI_OPC_CONNECT) {
        push_message(qd, sizeof(uint64_t), (uint64_t)getpid());
        pop_message(qd, sizeof(uint64_t), (uint64_t)getpid() + 1);
    } else {
        expect_failed(&qr, qd, ECONNREFUSED);
    }
    stage_say(parent, qr.qr_opcode == DEMI_OPC_CONNECT);
    CHECK_INT(demi_close(qd), 0);
}

/* Each client must be answered with what it has sent, and nobody else. */
static void many_connect_at_once(void **state)
{
    enum { CROWD = 100 };
    static struct stage_actor actors[CROWD];
    int listener = sock_listening(PORT, CROWD);
    uint64_t served = 0, connected = 0;
    demi_qresult_t qr;

    for (int i = 0; i < CROWD; i++)
        stage_spawn(&actors[i], crowd_client, NULL);
    for (int i = 0; i < CROWD; i++)
        stage_say(&actors[i], 1);
    demi_qtoken_t accept = start_accept(listener);

    for (int i = 0; i < CROWD; i++) {
        int qd = -1;

        qr = finish(accept);
        qd = accepted(&qr, listener);
        accept = start_accept(listener);
        qr = finish(start_pop(qd));
        CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
        CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, sizeof(uint64_t));
        for (int k = 0; k < CROWD; k++) {
            uint64_t key = (uint64_t)actors[k].pid;

            if (stage_filled(qr.qr_value.sga.sga_segs[0].sgaseg_buf, sizeof(uint64_t), key)) {
                push_message(qd, sizeof(uint64_t), key + 1);
                served++;
            }
        }
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
        see_the_end(qd);
    }
    for (int i = 0; i < CROWD; i++) {
        connected += stage_hear(&actors[i]);
        stage_join_ok(&actors[i]);
    }
    CHECK(connected == CROWD && served == CROWD);
    CHECK_INT(demi_close(listener), 0);
    expect_failed((qr = finish(accept), &qr), listener, EBADF);
}

/* ---- datagrams ---- */

static int dgram_addr(int qd, struct sockaddr_in *a)
{
    socklen_t size = sizeof(*a);

    return demi_getsockname(qd, (struct sockaddr *)a, &size);
}

static demi_qtoken_t start_pushto(int qd, size_t n, uint64_t key, const struct sockaddr_in *to)
{
    demi_sgarray_t sga = filled_sga(n, key);
    demi_qtoken_t qt = 0;

    CHECK_INT(demi_pushto(&qt, qd, &sga, (const struct sockaddr *)to, sizeof(*to)), 0);
    CHECK_INT(demi_sgafree(&sga), 0);
    return qt;
}

static void pushto(int qd, size_t n, uint64_t key, const struct sockaddr_in *to)
{
    demi_qresult_t qr = finish(start_pushto(qd, n, key, to));

    expect_push(&qr, qd);
}

static void pop_datagram(int qd, size_t n, uint64_t key, struct sockaddr_in *from)
{
    demi_qresult_t qr = finish(start_pop(qd));
    demi_sgarray_t *sga = &qr.qr_value.sga;

    CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
    CHECK_INT(sga->sga_segs[0].sgaseg_len, n);
    CHECK(stage_filled(sga->sga_segs[0].sgaseg_buf, n, key));
    CHECK_INT(sga->sga_addr.sin_family, AF_INET);
    *from = sga->sga_addr;
    CHECK_INT(demi_sgafree(sga), 0);
}

static void datagram_client(struct stage_actor *parent, void *arg)
{
    struct sockaddr_in server = sock_addr(PORT), from;
    int qd;

    start_demi();
    qd = sock_bound(SOCK_DGRAM, 0);
    for (uint64_t i = 0; i < 500; i++) {
        pushto(qd, 64, i, &server);
        pop_datagram(qd, 64, i, &from);
        CHECK(from.sin_port == server.sin_port && from.sin_addr.s_addr == server.sin_addr.s_addr);
    }
    CHECK_INT(demi_close(qd), 0);
}

static void datagram_ping_pong(void **state)
{
    struct stage_actor actors[2];
    struct sockaddr_in from;
    int qd = sock_bound(SOCK_DGRAM, PORT);

    for (int i = 0; i < 2; i++)
        stage_spawn(&actors[i], datagram_client, NULL);
    for (int i = 0; i < 1000; i++) {
        demi_qresult_t qr = finish(start_pop(qd));

        CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
        from = qr.qr_value.sga.sga_addr;
        demi_qtoken_t qt;

        CHECK_INT(demi_pushto(&qt, qd, &qr.qr_value.sga, (struct sockaddr *)&from, sizeof(from)),
                  0);
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
        qr = finish(qt);
        expect_push(&qr, qd);
    }
    for (int i = 0; i < 2; i++)
        stage_join_ok(&actors[i]);
    CHECK_INT(demi_close(qd), 0);
}

static void datagrams_are_whole(void **state)
{
    static const size_t sizes[] = {1, 1472, 8192, 8193, 9000, 65507};
    struct sockaddr_in at_one, at_two, from;
    int one = sock_bound(SOCK_DGRAM, PORT), two = sock_bound(SOCK_DGRAM, 0);

    CHECK_INT(dgram_addr(one, &at_one), 0);
    CHECK_INT(dgram_addr(two, &at_two), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pushto(one, sizes[i], i, &at_two);
        pop_datagram(two, sizes[i], i, &from);
        CHECK(from.sin_port == at_one.sin_port && from.sin_addr.s_addr == at_one.sin_addr.s_addr);
    }
    demi_qresult_t qr = finish(start_pushto(one, 65508, 0, &at_two));

    expect_failed(&qr, one, EMSGSIZE);
    CHECK_INT(demi_close(one), 0);
    CHECK_INT(demi_close(two), 0);
}

static void datagram_states(void **state)
{
    struct sockaddr_in nobody = sock_addr(5999), a = sock_addr(PORT);
    demi_sgarray_t sga = filled_sga(64, 0);
    demi_qtoken_t qt = 77;
    int qd = sock_new(SOCK_DGRAM);

    CHECK_INT(demi_pop(&qt, qd), EDESTADDRREQ);
    CHECK_INT(demi_push(&qt, qd, &sga), EDESTADDRREQ);
    CHECK_INT(demi_listen(qd, 1), EOPNOTSUPP);
    CHECK_INT(demi_accept(&qt, qd), EOPNOTSUPP);
    CHECK(qt == 77);
    CHECK_INT(sock_bind(qd, PORT), 0);
    CHECK_INT(sock_bind(qd, PORT), EADDRINUSE);
    CHECK_INT(sock_bind(qd, PORT + 1), EINVAL);
    int other = sock_new(SOCK_DGRAM);

    CHECK_INT(sock_bind(other, PORT), EADDRINUSE);
    CHECK_INT(sock_bind(other, 0), 0);
    CHECK_INT(demi_close(sock_bound(SOCK_DGRAM, 0)), 0);
    pushto(other, 64, 1, &nobody); /* lost, and no error */
    demi_qtoken_t pop = start_pop(qd);

    expect_pending(pop);
    /* A default destination. */
    demi_qresult_t qr = finish(start_connect(other, PORT));

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    push_message(other, 64, 2);
    qr = finish(pop);
    CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
    CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    CHECK_INT(demi_sgafree(&sga), 0);
    CHECK_INT(demi_close(other), 0);
    CHECK_INT(demi_close(qd), 0);
    CHECK_INT(demi_bind(qd, (struct sockaddr *)&a, sizeof(a)), EBADF);
}

/* The first datagram gives a socket its port, to which the answer comes. */
static void datagram_client_that_does_not_bind(void **state)
{
    int server = sock_bound(SOCK_DGRAM, PORT), client = sock_new(SOCK_DGRAM);
    struct sockaddr_in at_server = sock_addr(PORT), mine, from;

    pushto(client, 64, 1, &at_server);
    CHECK_INT(dgram_addr(client, &mine), 0);
    CHECK(mine.sin_port != 0);
    pop_datagram(server, 64, 1, &from);
    CHECK(from.sin_port == mine.sin_port);
    demi_qtoken_t pop = start_pop(client);

    pushto(server, 65, 2, &from);
    demi_qresult_t qr = finish(pop);

    CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
    CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, 65);
    CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    CHECK_INT(sock_bind(client, 0), EINVAL);
    CHECK_INT(demi_close(client), 0);
    CHECK_INT(demi_close(server), 0);
}

/* With the kernel it is the socket's own address, or loopback: nobody's here. */
static void the_wildcard_is_the_configured_address(void **state)
{
    int server = sock_bound(SOCK_DGRAM, PORT), client = sock_new(SOCK_DGRAM);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct sockaddr_in from;

    if (strcmp(getenv("LIBOS"), "catnap") == 0)
        CHECK_INT(sock_bind(client, 0), 0);
    pushto(client, 64, 1, &any);
    pop_datagram(server, 64, 1, &from);
    CHECK(from.sin_addr.s_addr == sock_addr(0).sin_addr.s_addr);
    CHECK_INT(demi_close(client), 0);
    CHECK_INT(demi_close(server), 0);
}

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagram_states),
        cmocka_unit_test(datagrams_are_whole),
        cmocka_unit_test(datagram_client_that_does_not_bind),
        cmocka_unit_test(the_wildcard_is_the_configured_address),
        cmocka_unit_test(datagram_ping_pong),
        cmocka_unit_test(echo_64),
        cmocka_unit_test(echo_1024),
        cmocka_unit_test(echo_32_connections),
        cmocka_unit_test(echo_many_processes),
        cmocka_unit_test(close_matrix),
        cmocka_unit_test(wait_after_close),
        cmocka_unit_test(many_connect_at_once),
    };

    CHECK_INT(argc, 2);
    sock_setup(argv[1]);
    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
