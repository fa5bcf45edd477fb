/* SPDX-License-Identifier: MIT */
/*
 * What the native socket calls add to the demi ones: both families, bytes without tokens,
 * readiness, half-closed connections, several instances in one process; and every call with wrong
 * arguments.
 *
 *   test_native_socket catnap|catloop
 */
#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <membrane/socket.h>

#include "../multi/stage.h"

#include <cmocka.h>

static const char *kind;
static struct mbr_libos *here, *there; /* two instances of one process */

static struct sockaddr_in host(uint16_t port)
{
    unsigned id = (unsigned)getpid();
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    a.sin_addr.s_addr =
        htonl(0x7f000000u | (1 + (id >> 16) % 250) << 16 | (id & 0xff00) | (1 + id % 250));
    return a;
}

/* ---- going on in both instances ---- */

static void turn(struct mbr_libos *l)
{
    demi_qresult_t qr;
    int offset;

    CHECK_INT(mbr_wait_any(l, &(demi_qtoken_t){0}, 0, 0, &qr, &offset), -ETIMEDOUT);
}

static demi_qresult_t finish(struct mbr_libos *l, demi_qtoken_t qt)
{
    demi_qresult_t qr;
    int r;

    while ((r = mbr_wait(l, qt, 1000000, &qr)) == -ETIMEDOUT) {
        turn(here);
        turn(there);
    }
    CHECK_INT(r, 0);
    return qr;
}

static int new_socket(struct mbr_libos *l, int domain, int type)
{
    int qd = -1;

    CHECK_INT(mbr_socket(l, domain, type, 0, &qd), 0);
    return qd;
}

static int listening(struct mbr_libos *l, struct sockaddr *a, socklen_t size)
{
    int qd = new_socket(l, a->sa_family, SOCK_STREAM);

    CHECK_INT(mbr_bind(l, qd, a, size), 0);
    CHECK_INT(mbr_listen(l, qd, 16), 0);
    CHECK_INT(mbr_getsockname(l, qd, a, &size), 0);
    return qd;
}

/* A connection from `there` to `here`. */
static void connect_both(struct sockaddr *a, socklen_t size, int *client, int *server)
{
    int listener = listening(here, a, size);
    demi_qtoken_t accept, connect;

    *client = new_socket(there, a->sa_family, SOCK_STREAM);
    CHECK_INT(mbr_accept(here, listener, &accept), 0);
    CHECK_INT(mbr_connect(there, *client, a, size, &connect), 0);
    demi_qresult_t qr = finish(there, connect);

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    qr = finish(here, accept);
    CHECK_INT(qr.qr_opcode, DEMI_OPC_ACCEPT);
    *server = qr.qr_value.ares.qd;
    CHECK_INT(mbr_close(here, listener), 0);
}

static void connect_v4(int *client, int *server)
{
    struct sockaddr_in a = host(0);

    connect_both((struct sockaddr *)&a, sizeof(a), client, server);
}

static void close_both(int client, int server)
{
    CHECK_INT(mbr_close(there, client), 0);
    CHECK_INT(mbr_close(here, server), 0);
}

/* Receives exactly so many bytes. */
static void receive(struct mbr_libos *l, int qd, char *to, size_t len)
{
    size_t got = 0;

    while (got < len) {
        int64_t n = mbr_sock_recv(l, qd, to + got, len - got, 0, NULL, NULL);

        CHECK(n > 0 || n == -EAGAIN);
        got += n > 0 ? (size_t)n : 0;
        turn(here);
        turn(there);
    }
}

/* ---- cases ---- */

static void ipv6(void **state)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in6 peer;
    socklen_t size = sizeof(peer);
    struct sockaddr_in four = host(0);
    int client, server;
    char data[5];
    int probe = new_socket(here, AF_INET6, SOCK_STREAM);
    int r = mbr_bind(here, probe, (struct sockaddr *)&a, sizeof(a));

    CHECK_INT(mbr_close(here, probe), 0);
    if (r == -EADDRNOTAVAIL)
        return; /* a machine without IPv6 */
    CHECK_INT(r, 0);
    connect_both((struct sockaddr *)&a, sizeof(a), &client, &server);
    CHECK_INT(mbr_getpeername(here, server, (struct sockaddr *)&peer, &size), 0);
    CHECK(size == sizeof(peer) && peer.sin6_family == AF_INET6 && peer.sin6_port != 0);
    CHECK_INT(mbr_sock_send(there, client, "hello", 5, NULL, 0), 5);
    receive(here, server, data, 5);
    CHECK(memcmp(data, "hello", 5) == 0);
    close_both(client, server);
    probe = new_socket(here, AF_INET6, SOCK_STREAM);
    CHECK_INT(mbr_bind(here, probe, (struct sockaddr *)&four, sizeof(four)), -EINVAL);
    CHECK_INT(mbr_close(here, probe), 0);
}

static void bytes_in_any_pieces(void **state)
{
    enum { N = 300000 };
    static char out[N], in[N];
    int client, server;
    size_t sent = 0, got = 0;
    uint64_t seed = stage_seed();

    connect_v4(&client, &server);
    stage_fill(out, N, 1);
    while (got < N) {
        size_t some = 1 + stage_below(&seed, 20000);
        int64_t n =
            mbr_sock_send(there, client, out + sent, some < N - sent ? some : N - sent, NULL, 0);

        CHECK(n >= 0 || n == -EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        some = 1 + stage_below(&seed, 20000);
        char first = 0;
        int64_t peeked = mbr_sock_recv(here, server, &first, 1, MBR_SOCK_PEEK, NULL, NULL);

        n = mbr_sock_recv(here, server, in + got, some < N - got ? some : N - got, 0, NULL, NULL);
        CHECK(n > 0 || n == -EAGAIN || got == N);
        CHECK(peeked != 1 || first == in[got]);
        got += n > 0 ? (size_t)n : 0;
        turn(here);
        turn(there);
    }
    CHECK(memcmp(in, out, N) == 0);
    CHECK_INT(mbr_sock_recv(here, server, in, 1, 0, NULL, NULL), -EAGAIN);
    close_both(client, server);
}

static void half_closed(void **state)
{
    int client, server;
    char data[8];

    connect_v4(&client, &server);
    CHECK_INT(mbr_sock_send(there, client, "last", 4, NULL, 0), 4);
    CHECK_INT(mbr_shutdown(there, client, MBR_SHUT_SEND), 0);
    CHECK_INT(mbr_sock_send(there, client, "more", 4, NULL, 0), -EPIPE);
    receive(here, server, data, 4);
    while (mbr_sock_recv(here, server, data, 1, 0, NULL, NULL) == -EAGAIN)
        turn(here);
    CHECK_INT(mbr_sock_recv(here, server, data, 1, 0, NULL, NULL), 0);
    CHECK((mbr_sock_ready(here, server, NULL) & (MBR_READABLE | MBR_SOCK_RDHUP)) ==
          (MBR_READABLE | MBR_SOCK_RDHUP));
    /* The other direction goes on. */
    CHECK_INT(mbr_sock_send(here, server, "answer", 6, NULL, 0), 6);
    receive(there, client, data, 6);
    CHECK(memcmp(data, "answer", 6) == 0);
    close_both(client, server);
}

static void readiness(void **state)
{
    struct mbr_ready_event events[4];
    int client, server, mark = 0;
    size_t bytes = 99;
    char data[8];

    connect_v4(&client, &server);
    CHECK_INT(mbr_sock_ready(here, server, &bytes), MBR_WRITABLE);
    CHECK_INT(bytes, 0);
    CHECK_INT(mbr_sock_watch(here, server, MBR_WRITABLE, &mark), 0);
    CHECK_INT(mbr_ready_next(here, 0, events, 4), 1);
    CHECK(events[0].qd == server && events[0].what == MBR_WRITABLE && events[0].data == &mark);
    CHECK_INT(mbr_ready_next(here, 0, events, 4), -ETIMEDOUT); /* told once */
    CHECK_INT(mbr_sock_watch(here, server, MBR_READABLE, NULL), 0);
    CHECK_INT(mbr_ready_next(here, 0, events, 4), -ETIMEDOUT);
    CHECK_INT(mbr_sock_send(there, client, "x", 1, NULL, 0), 1);
    CHECK_INT(mbr_ready_next(here, MBR_FOREVER, events, 4), 1);
    CHECK(events[0].what == MBR_READABLE);
    CHECK((mbr_sock_ready(here, server, &bytes) & MBR_READABLE) != 0 && bytes == 1);
    receive(here, server, data, 1);
    CHECK_INT(mbr_sock_watch(here, server, MBR_READABLE, NULL), 0);
    CHECK_INT(mbr_sock_watch(here, server, 0, NULL), 0); /* and not any more */
    CHECK_INT(mbr_close(there, client), 0);
    turn(there);
    CHECK_INT(mbr_ready_next(here, 1000000, events, 4), -ETIMEDOUT);
    CHECK_INT(mbr_sock_watch(here, server, MBR_READABLE, NULL), 0);
    CHECK_INT(mbr_ready_next(here, MBR_FOREVER, events, 4), 1);
    CHECK((events[0].what & MBR_READABLE) != 0);
    CHECK_INT(mbr_sock_recv(here, server, data, 1, 0, NULL, NULL), 0);
    CHECK_INT(mbr_close(here, server), 0);
    mbr_libos_interrupt(here);
    CHECK_INT(mbr_ready_next(here, MBR_FOREVER, events, 4), -EINTR);
}

static void accept_and_connect_without_tokens(void **state)
{
    struct sockaddr_in a = host(0), dead = host(1);
    struct mbr_ready_event event;
    int listener = listening(here, (struct sockaddr *)&a, sizeof(a));
    int client = new_socket(there, AF_INET, SOCK_STREAM), server = -1, error = -1;
    socklen_t size = sizeof(error);

    CHECK_INT(mbr_sock_accept(here, listener, &server), -EAGAIN);
    CHECK_INT(mbr_sock_watch(here, listener, MBR_READABLE, NULL), 0);
    int r = mbr_sock_connect(there, client, (struct sockaddr *)&a, sizeof(a));

    CHECK(r == 0 || r == -EINPROGRESS);
    while ((r = mbr_ready_next(here, 1000000, &event, 1)) == -ETIMEDOUT)
        turn(there);
    CHECK(r == 1 && event.qd == listener && (event.what & MBR_READABLE) != 0);
    CHECK_INT(mbr_sock_accept(here, listener, &server), 0);
    while ((mbr_sock_ready(there, client, NULL) & MBR_WRITABLE) == 0)
        turn(there);
    CHECK_INT(mbr_getsockopt(there, client, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    CHECK_INT(error, 0);
    close_both(client, server);
    CHECK_INT(mbr_close(here, listener), 0);
    /* A refusal. */
    client = new_socket(there, AF_INET, SOCK_STREAM);
    r = mbr_sock_connect(there, client, (struct sockaddr *)&dead, sizeof(dead));
    CHECK_INT(r, -ECONNREFUSED);
    CHECK_INT(mbr_getsockopt(there, client, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    CHECK_INT(error, ECONNREFUSED);
    CHECK_INT(mbr_close(there, client), 0);
}

/* A reader that does not read bounds what its peer can send. */
static void slow_readers_hold_their_peers(void **state)
{
    static char data[65536];
    int client, server;
    uint64_t sent = 0;
    int64_t n;

    connect_v4(&client, &server);
    while ((n = mbr_sock_send(there, client, data, sizeof(data), NULL, 0)) > 0)
        sent += (uint64_t)n;
    CHECK_INT(n, -EAGAIN);
    CHECK(sent > 0 && sent < UINT64_C(64) << 20);
    CHECK((mbr_sock_ready(there, client, NULL) & MBR_WRITABLE) == 0);
    while (sent > 0) {
        n = mbr_sock_recv(here, server, data, sizeof(data), 0, NULL, NULL);
        CHECK(n > 0 || n == -EAGAIN);
        sent -= n > 0 ? (uint64_t)n : 0;
    }
    CHECK_INT(mbr_sock_send(there, client, data, 1, NULL, 0), 1);
    close_both(client, server);
}

static void backlog_is_enforced(void **state)
{
    struct sockaddr_in a = host(0);
    socklen_t size = sizeof(a);
    int listener = new_socket(here, AF_INET, SOCK_STREAM), clients[4];
    unsigned refused = 0;

    if (strcmp(kind, "catloop") != 0)
        return; /* the kernel has its own rules */
    CHECK_INT(mbr_bind(here, listener, (struct sockaddr *)&a, size), 0);
    CHECK_INT(mbr_listen(here, listener, 2), 0);
    CHECK_INT(mbr_getsockname(here, listener, (struct sockaddr *)&a, &size), 0);
    for (int i = 0; i < 4; i++) {
        demi_qtoken_t qt;

        clients[i] = new_socket(there, AF_INET, SOCK_STREAM);
        CHECK_INT(mbr_connect(there, clients[i], (struct sockaddr *)&a, size, &qt), 0);
        demi_qresult_t qr = finish(there, qt);

        CHECK(qr.qr_opcode == (i < 2 ? DEMI_OPC_CONNECT : DEMI_OPC_FAILED));
        CHECK(i < 2 || qr.qr_ret == ECONNREFUSED);
        refused += qr.qr_opcode == DEMI_OPC_FAILED;
    }
    CHECK_INT(refused, 2);
    for (int i = 0; i < 4; i++)
        CHECK_INT(mbr_close(there, clients[i]), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

/* Many connections one after another: nothing piles up. */
static void connections_leave_nothing(void **state)
{
    int client, server;
    size_t fds = 0;

    for (int i = 0; i < 300; i++) {
        connect_v4(&client, &server);
        CHECK_INT(mbr_sock_send(there, client, "x", 1, NULL, 0), 1);
        close_both(client, server);
        turn(here);
        turn(there);
        if (i == 100)
            fds = stage_count_fds();
    }
    CHECK(stage_count_fds() <= fds + 4);
}

static void close_takes_its_time(void **state)
{
    demi_sgarray_t sga = mbr_sga_alloc(4 << 20);
    demi_qtoken_t push, close;
    int client, server;
    uint64_t got = 0;
    static char data[65536];
    int64_t n;

    connect_v4(&client, &server);
    CHECK_INT(mbr_push(there, client, &sga, &push), 0);
    CHECK_INT(mbr_sga_free(&sga), 0);
    CHECK_INT(mbr_close_async(there, client, &close), 0);
    CHECK_INT(mbr_close_async(there, client, &close), -EBADF);
    while ((n = mbr_sock_recv(here, server, data, sizeof(data), 0, NULL, NULL)) != 0) {
        CHECK(n > 0 || n == -EAGAIN);
        got += n > 0 ? (uint64_t)n : 0;
        turn(there);
    }
    CHECK(got == 4 << 20);
    demi_qresult_t qr = finish(there, push);

    CHECK_INT(qr.qr_opcode, DEMI_OPC_PUSH);
    qr = finish(there, close);
    CHECK_INT(qr.qr_opcode, DEMI_OPC_CLOSE);
    CHECK_INT(mbr_close(here, server), 0);
}

static void linger_zero(int client)
{
    struct linger none = {1, 0};

    CHECK_INT(mbr_setsockopt(there, client, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
}

static void expect_reset(int server)
{
    char byte;
    int64_t n;

    while ((n = mbr_sock_recv(here, server, &byte, 1, 0, NULL, NULL)) == -EAGAIN)
        turn(here);
    CHECK(n == -ECONNRESET);
    n = mbr_sock_send(here, server, "x", 1, NULL, 0);
    CHECK(n == -ECONNRESET || n == -EPIPE);
}

/* SO_LINGER with time 0: the peer has what came, and then a reset. */
static void a_close_without_linger_breaks_off(void **state)
{
    int client, server;
    char got[4];
    demi_qtoken_t pop;

    connect_v4(&client, &server);
    linger_zero(client);
    CHECK(mbr_sock_send(there, client, "last", 4, NULL, 0) == 4);
    CHECK_INT(mbr_close(there, client), 0);
    receive(here, server, got, 4);
    CHECK(memcmp(got, "last", 4) == 0);
    expect_reset(server);
    CHECK_INT(mbr_close(here, server), 0);

    connect_v4(&client, &server);
    linger_zero(client);
    CHECK_INT(mbr_pop(here, server, 0, &pop), 0);
    turn(here);
    CHECK_INT(mbr_close(there, client), 0);
    demi_qresult_t qr = finish(here, pop);

    CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
    CHECK_INT(qr.qr_ret, ECONNRESET);
    CHECK_INT(mbr_close(here, server), 0);
}

/* In the kernel's sockets a push has to have left; in memory nothing waits. */
static void an_asynchronous_one_does_not_wait(void **state)
{
    demi_sgarray_t sga = mbr_sga_alloc(4 << 20);
    demi_qtoken_t push, close;
    int client, server;

    if (strcmp(kind, "catloop") != 0) {
        CHECK_INT(mbr_sga_free(&sga), 0);
        return;
    }
    connect_v4(&client, &server);
    linger_zero(client);
    CHECK_INT(mbr_push(there, client, &sga, &push), 0);
    CHECK_INT(mbr_sga_free(&sga), 0);
    CHECK_INT(mbr_close_async(there, client, &close), 0);
    demi_qresult_t qr = finish(there, close);

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CLOSE);
    qr = finish(there, push);
    CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
    CHECK_INT(mbr_close(here, server), 0);
}

/* The server has not closed its end, and both addresses are free again. */
static void a_reset_frees_the_addresses(void **state)
{
    struct sockaddr_in a = host(0);
    struct sockaddr_in mine = host(0);
    socklen_t size = sizeof(mine);
    int listener = listening(here, (struct sockaddr *)&a, sizeof(a));
    int servers[3];

    for (int i = 0; i < 3; i++) {
        int client = new_socket(there, AF_INET, SOCK_STREAM);
        demi_qtoken_t accept, connect;

        CHECK_INT(mbr_bind(there, client, (struct sockaddr *)&mine, sizeof(mine)), 0);
        CHECK_INT(mbr_getsockname(there, client, (struct sockaddr *)&mine, &size), 0);
        CHECK_INT(mbr_accept(here, listener, &accept), 0);
        CHECK_INT(mbr_connect(there, client, (struct sockaddr *)&a, sizeof(a), &connect), 0);
        CHECK_INT(finish(there, connect).qr_opcode, DEMI_OPC_CONNECT);
        servers[i] = finish(here, accept).qr_value.ares.qd;
        linger_zero(client);
        CHECK_INT(mbr_close(there, client), 0);
    }
    for (int i = 0; i < 3; i++)
        CHECK_INT(mbr_close(here, servers[i]), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

/* ---- wrong arguments: each call with each; nothing may change, and nothing be stored ---- */

static void wrong_sockets(int qd, struct sockaddr *sa, socklen_t size)
{
    struct sockaddr_un_like {
        sa_family_t family;
        char path[30];
    } un = {.family = AF_UNIX};
    demi_qtoken_t qt = 77;
    int out = 77;

    CHECK_INT(mbr_socket(NULL, AF_INET, SOCK_STREAM, 0, &out), -EINVAL);
    CHECK_INT(mbr_socket(here, AF_INET, SOCK_STREAM, 0, NULL), -EINVAL);
    CHECK_INT(mbr_socket(here, AF_UNIX, SOCK_STREAM, 0, &out), -ENOTSUP);
    CHECK_INT(mbr_socket(here, AF_INET, SOCK_RAW, 0, &out), -ENOTSUP);
    CHECK_INT(mbr_bind(here, qd, NULL, size), -EINVAL);
    CHECK_INT(mbr_bind(here, qd, sa, 0), -EINVAL);
    CHECK_INT(mbr_bind(here, qd, sa, size + 1), -EINVAL);
    CHECK_INT(mbr_bind(here, qd, (struct sockaddr *)&un, sizeof(un)), -ENOTSUP);
    CHECK_INT(mbr_bind(here, -1, sa, size), -EBADF);
    CHECK_INT(mbr_listen(here, qd, 0), -EINVAL);
    CHECK_INT(mbr_listen(here, -1, 1), -EBADF);
    CHECK_INT(mbr_accept(here, qd, NULL), -EINVAL);
    CHECK_INT(mbr_accept(here, qd, &qt), -EINVAL);
    CHECK_INT(mbr_sock_accept(here, qd, NULL), -EINVAL);
    CHECK_INT(mbr_connect(here, qd, NULL, size, &qt), -EINVAL);
    CHECK_INT(mbr_connect(here, qd, sa, size, NULL), -EINVAL);
    CHECK_INT(mbr_connect(here, qd, sa, 3, &qt), -EINVAL);
    CHECK_INT(mbr_connect(here, 499, sa, size, &qt), -EBADF);
    CHECK(out == 77 && qt == 77);
}

static void wrong_bytes(int qd, struct sockaddr *sa, socklen_t size)
{
    demi_sgarray_t sga = mbr_sga_alloc(8);
    demi_qtoken_t qt = 77;
    char byte;

    CHECK_INT(mbr_pushto(here, qd, NULL, sa, size, &qt), -EINVAL);
    CHECK_INT(mbr_pushto(here, qd, &sga, NULL, size, &qt), -EINVAL);
    CHECK_INT(mbr_pushto(here, qd, &sga, sa, 5, &qt), -EINVAL);
    CHECK_INT(mbr_pushto(here, qd, &sga, sa, size, NULL), -EINVAL);
    CHECK_INT(mbr_pushto(here, qd, &sga, sa, size, &qt), -ENOTCONN);
    CHECK_INT(mbr_sock_recv(here, qd, &byte, 1, 0, NULL, NULL), -ENOTCONN);
    CHECK_INT(mbr_sock_recv(here, qd, NULL, 1, 0, NULL, NULL), -EINVAL);
    CHECK_INT(mbr_sock_recv(here, qd, &byte, 1, 0x80, NULL, NULL), -EINVAL);
    CHECK_INT(mbr_sock_send(here, qd, NULL, 1, NULL, 0), -EINVAL);
    CHECK_INT(mbr_sock_send(here, qd, &byte, 1, NULL, 0), -ENOTCONN);
    CHECK(qt == 77);
    CHECK_INT(mbr_sga_free(&sga), 0);
}

static void wrong_options(int qd, struct sockaddr *sa, socklen_t size)
{
    socklen_t small = 1;
    int value = 1;

    CHECK_INT(mbr_setsockopt(here, qd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(value)), -EINVAL);
    CHECK_INT(mbr_setsockopt(here, qd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), -EINVAL);
    CHECK_INT(mbr_setsockopt(here, qd, SOL_SOCKET, SO_TYPE, &value, sizeof(value)), -ENOPROTOOPT);
    CHECK_INT(mbr_setsockopt(here, qd, 12345, 1, &value, sizeof(value)), -ENOTSUP);
    CHECK_INT(mbr_getsockopt(here, qd, SOL_SOCKET, SO_KEEPALIVE, &value, NULL), -EINVAL);
    CHECK_INT(mbr_getsockopt(here, qd, SOL_SOCKET, SO_KEEPALIVE, &value, &small), -EINVAL);
    CHECK_INT(mbr_getsockname(here, qd, NULL, &size), -EINVAL);
    CHECK_INT(mbr_getsockname(here, qd, sa, NULL), -EINVAL);
    CHECK_INT(mbr_getpeername(here, qd, sa, &size), -ENOTCONN);
}

static void wrong_waits_and_ends(int qd)
{
    struct mbr_ready_event event;

    CHECK_INT(mbr_sock_ready(here, -1, NULL), -EBADF);
    CHECK_INT(mbr_sock_watch(here, qd, 0x1000, NULL), -EINVAL);
    CHECK_INT(mbr_sock_watch(here, -1, MBR_READABLE, NULL), -EBADF);
    CHECK_INT(mbr_ready_next(here, 0, NULL, 1), -EINVAL);
    CHECK_INT(mbr_ready_next(here, 0, &event, 0), -EINVAL);
    CHECK_INT(mbr_shutdown(here, qd, MBR_SHUT_BOTH), -ENOTCONN);
    CHECK_INT(mbr_close_async(here, qd, NULL), -EINVAL);
}

static void wrong_kinds(int qd, struct sockaddr *sa, socklen_t size)
{
    char byte;
    int pipe;

    CHECK_INT(mbr_pipe_create(here, "beside", NULL, &pipe), 0);
    CHECK_INT(mbr_bind(here, pipe, sa, size), -ENOTSUP);
    CHECK_INT(mbr_sock_send(here, pipe, &byte, 1, NULL, 0), -ENOTSUP);
    CHECK_INT(mbr_pipe_flush(here, qd), -EBADF);
    CHECK_INT(mbr_close(here, pipe), 0);
}

static void wrong_arguments(void **state)
{
    struct sockaddr_in a = host(0);
    struct sockaddr *sa = (struct sockaddr *)&a;
    int qd = new_socket(here, AF_INET, SOCK_STREAM);

    wrong_sockets(qd, sa, sizeof(a));
    wrong_bytes(qd, sa, sizeof(a));
    wrong_options(qd, sa, sizeof(a));
    wrong_waits_and_ends(qd);
    wrong_kinds(qd, sa, sizeof(a));
    CHECK_INT(mbr_close(here, qd), 0);
}

static int open_both(void **state)
{
    CHECK_INT(mbr_libos_open(kind, NULL, &here), 0);
    CHECK_INT(mbr_libos_open(kind, NULL, &there), 0);
    return 0;
}

static int close_libos(void **state)
{
    mbr_libos_close(here);
    mbr_libos_close(there);
    return 0;
}

/* ---- addresses that are shared, or not ---- */

static int try_share(struct mbr_libos *l, const struct sockaddr_in *a, int on, int *qd)
{
    *qd = new_socket(l, AF_INET, SOCK_STREAM);
    CHECK_INT(mbr_setsockopt(l, *qd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    return mbr_bind(l, *qd, (const struct sockaddr *)a, sizeof(*a));
}

static int connect_out(const struct sockaddr_in *to)
{
    int qd = new_socket(there, AF_INET, SOCK_STREAM);
    demi_qtoken_t connect;

    CHECK_INT(mbr_connect(there, qd, (const struct sockaddr *)to, sizeof(*to), &connect), 0);
    demi_qresult_t qr = finish(there, connect);

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    return qd;
}

/* Accepts what has come; how many. */
static int accept_there(struct mbr_libos *l, int listener)
{
    int qd = -1;
    int n = 0;

    turn(l);
    while (mbr_sock_accept(l, listener, &qd) == 0) {
        CHECK_INT(mbr_close(l, qd), 0);
        n++;
    }
    return n;
}

static void an_address_is_shared_by_consent(void **state)
{
    struct sockaddr_in a = host(7100);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7100)};
    int first, second, third, qd, got[3] = {0};

    CHECK_INT(try_share(here, &a, 1, &first), 0);
    CHECK_INT(try_share(here, &a, 1, &second), 0); /* the same instance */
    CHECK_INT(try_share(there, &a, 1, &third), 0); /* and another */
    CHECK_INT(try_share(here, &a, 0, &qd), -EADDRINUSE);
    CHECK_INT(mbr_close(here, qd), 0);
    CHECK_INT(try_share(there, &a, 0, &qd), -EADDRINUSE);
    CHECK_INT(mbr_close(there, qd), 0);
    /* The kernel sees no conflict before somebody listens. */
    CHECK_INT(try_share(there, &any, 0, &qd), strcmp(kind, "catnap") == 0 ? 0 : -EADDRINUSE);
    CHECK_INT(mbr_close(there, qd), 0);
    CHECK_INT(mbr_bind(here, first, (struct sockaddr *)&a, sizeof(a)), -EADDRINUSE);
    CHECK_INT(mbr_listen(here, first, 64), 0);
    CHECK_INT(mbr_listen(here, second, 64), 0);
    CHECK_INT(mbr_listen(there, third, 64), 0);
    for (int i = 0; i < 60; i++) {
        CHECK_INT(mbr_close(there, connect_out(&a)), 0);
        got[0] += accept_there(here, first);
        got[1] += accept_there(here, second);
        got[2] += accept_there(there, third);
    }
    CHECK_INT(got[0] + got[1] + got[2], 60);
    CHECK(got[0] > 0 && got[1] > 0 && got[2] > 0);
    CHECK_INT(mbr_close(here, first), 0); /* what comes now is the others' */
    for (int i = 0; i < 20; i++)
        CHECK_INT(mbr_close(there, connect_out(&a)), 0);
    CHECK_INT(accept_there(here, second) + accept_there(there, third), 20);
    CHECK_INT(mbr_close(here, second), 0);
    CHECK_INT(mbr_close(there, third), 0);
    CHECK_INT(try_share(here, &a, 0, &qd), 0);
    CHECK_INT(mbr_close(here, qd), 0);
}

/* A failed listen changes nothing: the queue is as long as it was. */
static void a_second_listen_changes_nothing(void **state)
{
    struct sockaddr_in a = host(0);
    socklen_t size = sizeof(a);
    int listener = listening(here, (struct sockaddr *)&a, size);
    int qd;

    CHECK_INT(mbr_listen(here, listener, 1), -EADDRINUSE);
    for (int i = 0; i < 8; i++) {
        qd = connect_out(&a);
        CHECK_INT(mbr_close(there, qd), 0);
    }
    CHECK_INT(accept_there(here, listener), 8);
    CHECK_INT(mbr_close(here, listener), 0);
}

static void be_bound(struct stage_actor *parent, void *arg)
{
    struct sockaddr_in *a = arg;
    struct mbr_libos *l = NULL;
    int qd;

    CHECK_INT(mbr_libos_open(kind, NULL, &l), 0);
    CHECK_INT(mbr_socket(l, AF_INET, SOCK_STREAM, 0, &qd), 0);
    CHECK_INT(mbr_bind(l, qd, (struct sockaddr *)a, sizeof(*a)), 0);
    CHECK_INT(mbr_listen(l, qd, 4), 0);
    stage_say(parent, 1);
    (void)stage_hear(parent); /* killed */
}

/* What a dead server has left does not hide who has all addresses now. */
static void the_dead_hide_nobody(void **state)
{
    struct sockaddr_in a = host(7200);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7200)};
    struct stage_actor actor;

    stage_spawn(&actor, be_bound, &a);
    (void)stage_hear(&actor);
    stage_kill(&actor);
    int listener = listening(here, (struct sockaddr *)&any, sizeof(any));
    int qd = connect_out(&a);

    CHECK_INT(accept_there(here, listener), 1);
    CHECK_INT(mbr_close(there, qd), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

static void ports_of_connects_are_nobody_elses(void **state)
{
    struct sockaddr_in a = host(0);
    socklen_t size = sizeof(a);
    int listener = listening(here, (struct sockaddr *)&a, size);
    int qds[200];
    uint16_t ports[200];

    for (int i = 0; i < 200; i++) {
        struct sockaddr_in mine;

        size = sizeof(mine);
        qds[i] = connect_out(&a);
        CHECK_INT(mbr_getsockname(there, qds[i], (struct sockaddr *)&mine, &size), 0);
        ports[i] = mine.sin_port;
        for (int k = 0; k < i; k++)
            CHECK(ports[k] != ports[i]);
        CHECK(ports[i] != a.sin_port);
        (void)accept_there(here, listener);
    }
    for (int i = 0; i < 200; i++)
        CHECK_INT(mbr_close(there, qds[i]), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

/* ---- datagrams without tokens ---- */

#define SENDERS 80 /* more than a socket keeps ways to */

static int datagram_socket(struct mbr_libos *l, struct sockaddr_in *a)
{
    socklen_t size = sizeof(*a);
    int qd = new_socket(l, AF_INET, SOCK_DGRAM);

    *a = host(0);
    CHECK_INT(mbr_bind(l, qd, (struct sockaddr *)a, size), 0);
    CHECK_INT(mbr_getsockname(l, qd, (struct sockaddr *)a, &size), 0);
    return qd;
}

static void send_datagram(struct mbr_libos *l, int qd, const void *data, size_t len,
                          const struct sockaddr_in *to)
{
    int64_t n;

    while ((n = mbr_sock_send(l, qd, data, len, (const struct sockaddr *)to, sizeof(*to))) ==
           -EAGAIN) {
        turn(here);
        turn(there);
    }
    CHECK_INT(n, len);
}

static int64_t receive_datagram(struct mbr_libos *l, int qd, void *data, size_t len, unsigned flags,
                                struct sockaddr_in *from)
{
    socklen_t size = sizeof(*from);
    int64_t n;

    while ((n = mbr_sock_recv(l, qd, data, len, flags, (struct sockaddr *)from, &size)) ==
           -EAGAIN) {
        turn(here);
        turn(there);
    }
    CHECK_INT(size, sizeof(*from));
    return n;
}

static void datagrams_are_cut_and_looked_at(void **state)
{
    static char sent[65508], got[65508];
    struct sockaddr_in at_one, at_two, from;
    int one = datagram_socket(here, &at_one);
    int two = datagram_socket(there, &at_two);

    stage_fill(sent, sizeof(sent), 1);
    send_datagram(here, one, sent, 100, &at_two);
    CHECK_INT(receive_datagram(there, two, got, 10, MBR_SOCK_PEEK | MBR_SOCK_TRUNC, &from), 100);
    CHECK_INT(receive_datagram(there, two, got, 10, MBR_SOCK_PEEK, &from), 10);
    CHECK(from.sin_port == at_one.sin_port && memcmp(got, sent, 10) == 0);
    CHECK_INT(receive_datagram(there, two, got, 10, 0, &from), 10); /* the rest is lost */
    CHECK_INT(mbr_sock_recv(there, two, got, 10, 0, NULL, NULL), -EAGAIN);
    send_datagram(here, one, NULL, 0, &at_two); /* of no bytes, and no end of file */
    send_datagram(here, one, sent, 65507, &at_two);
    CHECK_INT(receive_datagram(there, two, NULL, 0, 0, &from), 0);
    CHECK_INT(receive_datagram(there, two, got, sizeof(got), 0, &from), 65507);
    CHECK(memcmp(got, sent, 65507) == 0);
    CHECK_INT(mbr_sock_send(here, one, sent, 65508, (struct sockaddr *)&at_two, sizeof(at_two)),
              -EMSGSIZE);
    for (uint64_t i = 0; i < 200; i++)
        send_datagram(here, one, &i, sizeof(i), &at_two);
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t number = 0;

        CHECK_INT(receive_datagram(there, two, &number, sizeof(number), 0, &from), sizeof(number));
        CHECK_INT(number, i);
    }
    CHECK_INT(mbr_close(here, one), 0);
    CHECK_INT(mbr_close(there, two), 0);
}

static void many_send_datagrams_to_one(void **state)
{
    struct sockaddr_in at_one, at[SENDERS], from;
    int one = datagram_socket(here, &at_one);
    int qds[SENDERS];

    for (int i = 0; i < SENDERS; i++)
        qds[i] = datagram_socket(there, &at[i]);
    for (int round = 0; round < 2; round++) {
        bool seen[SENDERS] = {false};

        for (int i = 0; i < SENDERS; i++)
            send_datagram(there, qds[i], &i, sizeof(i), &at_one);
        for (int i = 0; i < SENDERS; i++) {
            int who = -1;

            CHECK_INT(receive_datagram(here, one, &who, sizeof(who), 0, &from), sizeof(who));
            CHECK(who >= 0 && who < SENDERS && !seen[who] && from.sin_port == at[who].sin_port);
            seen[who] = true;
            send_datagram(here, one, &who, sizeof(who), &from);
        }
        for (int i = 0; i < SENDERS; i++) {
            int who = -1;

            CHECK_INT(receive_datagram(there, qds[i], &who, sizeof(who), 0, &from), sizeof(who));
            CHECK_INT(who, i);
            CHECK(from.sin_port == at_one.sin_port);
        }
    }
    for (int i = 0; i < SENDERS; i++)
        CHECK_INT(mbr_close(there, qds[i]), 0);
    CHECK_INT(mbr_close(here, one), 0);
}

/* ---- one's own address, and that of the whole machine ---- */

static struct sockaddr_in peer_of(struct mbr_libos *l, int qd)
{
    struct sockaddr_in a;
    socklen_t size = sizeof(a);

    CHECK_INT(mbr_getpeername(l, qd, (struct sockaddr *)&a, &size), 0);
    return a;
}

static bool same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

/* The wildcard as a destination: the own address of who is bound to one, loopback else. */
static void datagrams_to_the_wildcard(void **state)
{
    struct sockaddr_in at_one, at_two, from;
    struct sockaddr_in loopback = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in to = {.sin_family = AF_INET};
    socklen_t size = sizeof(to);
    int one = datagram_socket(here, &at_one);
    int two = datagram_socket(there, &at_two);
    int three = new_socket(there, AF_INET, SOCK_DGRAM);
    int four = new_socket(here, AF_INET, SOCK_DGRAM);
    char got[8];

    to.sin_port = at_two.sin_port;
    send_datagram(here, one, "one", 3, &to);
    CHECK_INT(receive_datagram(there, two, got, sizeof(got), 0, &from), 3);
    CHECK(same(&from, &at_one));
    CHECK_INT(mbr_bind(there, three, (struct sockaddr *)&loopback, size), 0);
    CHECK_INT(mbr_getsockname(there, three, (struct sockaddr *)&loopback, &size), 0);
    to.sin_port = loopback.sin_port;
    send_datagram(here, four, "four", 4, &to);
    CHECK_INT(receive_datagram(there, three, got, sizeof(got), 0, &from), 4);
    CHECK_INT(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK);
    CHECK_INT(mbr_sock_connect(here, four, (struct sockaddr *)&to, sizeof(to)), 0);
    to = peer_of(here, four);
    CHECK(same(&to, &loopback));
    CHECK_INT(mbr_sock_send(here, four, "back", 4, NULL, 0), 4);
    CHECK_INT(receive_datagram(there, three, got, sizeof(got), 0, &from), 4);
    CHECK_INT(mbr_close(here, one), 0);
    CHECK_INT(mbr_close(there, two), 0);
    CHECK_INT(mbr_close(there, three), 0);
    CHECK_INT(mbr_close(here, four), 0);
}

static demi_qresult_t try_connect(struct mbr_libos *l, int qd, const struct sockaddr *to,
                                  socklen_t size)
{
    demi_qtoken_t connect;

    CHECK_INT(mbr_connect(l, qd, to, size, &connect), 0);
    return finish(l, connect);
}

static void connects_to_the_wildcard(void **state)
{
    struct sockaddr_in a = host(0);
    struct sockaddr_in mine = host(0);
    struct sockaddr_in to = {.sin_family = AF_INET};
    int listener = listening(here, (struct sockaddr *)&a, sizeof(a));
    int qd = new_socket(there, AF_INET, SOCK_STREAM);

    to.sin_port = a.sin_port;
    CHECK_INT(mbr_bind(there, qd, (struct sockaddr *)&mine, sizeof(mine)), 0);
    demi_qresult_t qr = try_connect(there, qd, (struct sockaddr *)&to, sizeof(to));

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    to = peer_of(there, qd);
    CHECK(same(&to, &a));
    CHECK_INT(accept_there(here, listener), 1);
    CHECK_INT(mbr_close(there, qd), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

static void connects_to_the_wildcard_of_ipv6(void **state)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};
    struct sockaddr_in6 peer;
    socklen_t size = sizeof(peer);
    int probe = new_socket(here, AF_INET6, SOCK_STREAM);
    int r = mbr_bind(here, probe, (struct sockaddr *)&a, sizeof(a));

    CHECK_INT(mbr_close(here, probe), 0);
    if (r == -EADDRNOTAVAIL)
        return; /* a machine without IPv6 */
    int listener = listening(here, (struct sockaddr *)&a, sizeof(a));
    int qd = new_socket(there, AF_INET6, SOCK_STREAM);

    to.sin6_port = a.sin6_port;
    demi_qresult_t qr = try_connect(there, qd, (struct sockaddr *)&to, sizeof(to));

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    CHECK_INT(mbr_getpeername(there, qd, (struct sockaddr *)&peer, &size), 0);
    CHECK(memcmp(&peer.sin6_addr, &a.sin6_addr, sizeof(a.sin6_addr)) == 0);
    CHECK_INT(accept_there(here, listener), 1);
    CHECK_INT(mbr_close(there, qd), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

static void datagrams_to_oneself(void **state)
{
    struct sockaddr_in a, from;
    int qd = datagram_socket(here, &a);
    char got[8];

    send_datagram(here, qd, "first", 5, &a);
    CHECK_INT(receive_datagram(here, qd, got, sizeof(got), 0, &from), 5);
    CHECK(same(&from, &a));
    CHECK_INT(mbr_sock_connect(here, qd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(mbr_sock_send(here, qd, "again", 5, NULL, 0), 5);
    CHECK_INT(receive_datagram(here, qd, got, sizeof(got), 0, &from), 5);
    CHECK(memcmp(got, "again", 5) == 0 && same(&from, &a));
    CHECK_INT(mbr_close(here, qd), 0);
}

/* TCP connects a socket with itself; in shared memory nobody listens there. */
static void a_connect_to_oneself(void **state)
{
    struct sockaddr_in a = host(0);
    socklen_t size = sizeof(a);
    int qd = new_socket(here, AF_INET, SOCK_STREAM);

    CHECK_INT(mbr_bind(here, qd, (struct sockaddr *)&a, size), 0);
    CHECK_INT(mbr_getsockname(here, qd, (struct sockaddr *)&a, &size), 0);
    demi_qresult_t qr = try_connect(here, qd, (struct sockaddr *)&a, size);

    if (strcmp(kind, "catnap") == 0) {
        CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    } else {
        CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
        CHECK_INT(qr.qr_ret, ECONNREFUSED);
    }
    CHECK_INT(mbr_close(here, qd), 0);
}

static void a_pair_of_addresses_is_one_connection(void **state)
{
    struct sockaddr_in a = host(0);
    struct sockaddr_in mine = host(0);
    socklen_t size = sizeof(mine);
    int listener = listening(here, (struct sockaddr *)&a, sizeof(a));
    int first, second;

    CHECK_INT(try_share(there, &mine, 1, &first), 0);
    CHECK_INT(mbr_getsockname(there, first, (struct sockaddr *)&mine, &size), 0);
    CHECK_INT(try_share(there, &mine, 1, &second), 0);
    demi_qresult_t qr = try_connect(there, first, (struct sockaddr *)&a, sizeof(a));

    CHECK_INT(qr.qr_opcode, DEMI_OPC_CONNECT);
    qr = try_connect(there, second, (struct sockaddr *)&a, sizeof(a));
    CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
    CHECK_INT(qr.qr_ret, EADDRNOTAVAIL);
    CHECK_INT(accept_there(here, listener), 1);
    CHECK_INT(mbr_close(there, first), 0);
    CHECK_INT(mbr_close(there, second), 0);
    CHECK_INT(mbr_close(here, listener), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(ipv6),
        cmocka_unit_test(bytes_in_any_pieces),
        cmocka_unit_test(half_closed),
        cmocka_unit_test(readiness),
        cmocka_unit_test(accept_and_connect_without_tokens),
        cmocka_unit_test(slow_readers_hold_their_peers),
        cmocka_unit_test(backlog_is_enforced),
        cmocka_unit_test(connections_leave_nothing),
        cmocka_unit_test(close_takes_its_time),
        cmocka_unit_test(a_close_without_linger_breaks_off),
        cmocka_unit_test(an_asynchronous_one_does_not_wait),
        cmocka_unit_test(a_reset_frees_the_addresses),
        cmocka_unit_test(an_address_is_shared_by_consent),
        cmocka_unit_test(a_second_listen_changes_nothing),
        cmocka_unit_test(the_dead_hide_nobody),
        cmocka_unit_test(datagrams_are_cut_and_looked_at),
        cmocka_unit_test(many_send_datagrams_to_one),
        cmocka_unit_test(ports_of_connects_are_nobody_elses),
        cmocka_unit_test(datagrams_to_the_wildcard),
        cmocka_unit_test(connects_to_the_wildcard),
        cmocka_unit_test(connects_to_the_wildcard_of_ipv6),
        cmocka_unit_test(datagrams_to_oneself),
        cmocka_unit_test(a_connect_to_oneself),
        cmocka_unit_test(a_pair_of_addresses_is_one_connection),
    };

    CHECK_INT(argc, 2);
    kind = argv[1];
    return cmocka_run_group_tests(tests, open_both, close_libos);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
