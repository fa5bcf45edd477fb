/* SPDX-License-Identifier: MIT */
/*
 * Demikernel's list of 53 cases for stream sockets (its program tcp-test), re-expressed; run for
 * each libOS with sockets. The cases of asynchronous closes use the only close there is in C. Two
 * differ from upstream's, on purpose: the wildcard address and port 0 may be bound to.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "sock_util.h"

#include <cmocka.h>

#define LOCAL  12345
#define REMOTE 23456 /* nobody listens there */

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static void close_ok(int qd)
{
    CHECK_INT(demi_close(qd), 0);
}

static int closed_socket(void)
{
    int qd = sock_new(SOCK_STREAM);

    close_ok(qd);
    return qd;
}

/* Whether the token is still pending; one that has failed must have done so in a way that networks
 * do. */
static bool pending_or_failed(demi_qtoken_t qt)
{
    demi_qresult_t qr;
    int r = demi_wait(&qr, qt, &at_once);

    CHECK(r == ETIMEDOUT || (r == 0 && is_network_error(&qr)));
    return r == ETIMEDOUT;
}

/* After the socket was closed the token fails at once. */
static void expect_ended(demi_qtoken_t qt)
{
    demi_qresult_t qr;

    CHECK_INT(demi_wait(&qr, qt, &at_once), 0);
    CHECK(is_network_error(&qr));
}

/* A connect to nobody, and whether it is under way. */
static int connecting(demi_qtoken_t *qt, bool *pending)
{
    int qd = sock_new(SOCK_STREAM);

    *qt = start_connect(qd, REMOTE);
    *pending = pending_or_failed(*qt);
    return qd;
}

static void close_connecting(int qd, demi_qtoken_t qt, bool pending)
{
    close_ok(qd);
    if (pending)
        expect_ended(qt);
}

/* ---- socket ---- */

static void create_socket_using_unsupported_domain(void **state)
{
    for (int domain = 0; domain < 46; domain++) {
        int qd = 77;

        if (domain != AF_INET)
            CHECK_INT(demi_socket(&qd, domain, SOCK_STREAM, 0), ENOTSUP);
        CHECK_INT(qd, 77);
    }
}

static void create_socket_using_unsupported_type(void **state)
{
    static const int types[] = {SOCK_DCCP, SOCK_PACKET,    SOCK_RAW,
                                SOCK_RDM,  SOCK_SEQPACKET, SOCK_STREAM | SOCK_NONBLOCK};
    int qd = 77;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        CHECK_INT(demi_socket(&qd, AF_INET, types[i], 0), ENOTSUP);
    CHECK_INT(qd, 77);
}

/* ---- bind ---- */

static void bind_addr_to_invalid_queue_descriptor(void **state)
{
    CHECK_INT(sock_bind(0, LOCAL), EBADF);
}

static void bind_multiple_addresses_to_same_socket(void **state)
{
    int qd = sock_bound(SOCK_STREAM, 6739);

    CHECK_INT(sock_bind(qd, 6780), EINVAL);
    CHECK_INT(sock_bind(qd, 6739), EADDRINUSE);
    close_ok(qd);
}

static void bind_same_address_to_two_sockets(void **state)
{
    int one = sock_bound(SOCK_STREAM, 8080);
    int two = sock_new(SOCK_STREAM);

    CHECK_INT(sock_bind(two, 8080), EADDRINUSE);
    close_ok(one);
    CHECK_INT(sock_bind(two, 8080), 0);
    close_ok(two);
}

static void bind_to_private_ports(void **state)
{
    /* Each port in the long run of a release build, each 16th with sanitizers. */
    unsigned step = stage_sanitized() ? 64 : 4;

    for (unsigned port = 49152; port < 65535; port += step) {
        int qd = sock_new(SOCK_STREAM);
        int r = sock_bind(qd, (uint16_t)port);

        CHECK(r == 0 || r == EADDRINUSE || r == EBADF);
        close_ok(qd);
    }
}

/* Upstream expects ENOTSUP of these three. */
static void bind_to_wildcard_port(void **state)
{
    struct sockaddr_in a;
    socklen_t size = sizeof(a);
    int qd = sock_bound(SOCK_STREAM, 0);

    CHECK_INT(demi_getsockname(qd, (struct sockaddr *)&a, &size), 0);
    CHECK(a.sin_port != 0 && a.sin_addr.s_addr == sock_host.s_addr);
    close_ok(qd);
}

static void bind_to_any(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof(a);
    int qd = sock_new(SOCK_STREAM);

    CHECK_INT(demi_bind(qd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(demi_getsockname(qd, (struct sockaddr *)&a, &size), 0);
    CHECK(a.sin_addr.s_addr == 0 && (port == 0 ? a.sin_port != 0 : a.sin_port == htons(port)));
    close_ok(qd);
}

static void bind_to_wildcard_address(void **state)
{
    bind_to_any((uint16_t)(20000 + getpid() % 10000));
}

static void bind_to_wildcard_address_and_port(void **state)
{
    bind_to_any(0);
}

static void bind_to_non_local_address(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(LOCAL)};
    int qd = sock_new(SOCK_STREAM);

    CHECK(inet_pton(AF_INET, "192.0.2.1", &a.sin_addr) == 1);
    CHECK_INT(demi_bind(qd, (struct sockaddr *)&a, sizeof(a)), EADDRNOTAVAIL);
    close_ok(qd);
}

static void bind_to_closed_socket(void **state)
{
    CHECK_INT(sock_bind(closed_socket(), LOCAL), EBADF);
}

/* ---- listen ---- */

static void listen_invalid_queue_descriptor(void **state)
{
    CHECK_INT(demi_listen(0, 8), EBADF);
}

static void listen_unbound_socket(void **state)
{
    int qd = sock_new(SOCK_STREAM);

    CHECK_INT(demi_listen(qd, 16), EDESTADDRREQ);
    close_ok(qd);
}

static void listen_bound_socket(void **state)
{
    close_ok(sock_listening(LOCAL, 16));
}

static void listen_large_backlog_length(void **state)
{
    close_ok(sock_listening(LOCAL, SOMAXCONN + 1));
}

static void listen_invalid_zero_backlog_length(void **state)
{
    int qd = sock_bound(SOCK_STREAM, LOCAL);

    CHECK_INT(demi_listen(qd, 0), EINVAL);
    CHECK_INT(demi_listen(qd, -1), EINVAL);
    close_ok(qd);
}

static void listen_listening_socket(void **state)
{
    int qd = sock_listening(LOCAL, 16);

    CHECK_INT(demi_listen(qd, 16), EADDRINUSE);
    close_ok(qd);
}

static void listen_connecting_socket(void **state)
{
    demi_qtoken_t qt;
    bool pending;
    int qd = connecting(&qt, &pending);
    int r = demi_listen(qd, 16);

    CHECK_INT(r, pending ? EADDRINUSE : EBADF);
    close_connecting(qd, qt, pending);
}

static void listen_accepting_socket(void **state)
{
    int qd = sock_listening(LOCAL, 16);
    demi_qtoken_t qt = start_accept(qd);

    expect_pending(qt);
    CHECK_INT(demi_listen(qd, 16), EADDRINUSE);
    close_ok(qd);
    expect_ended(qt);
}

static void listen_closed_socket(void **state)
{
    CHECK_INT(demi_listen(closed_socket(), 16), EBADF);
}

/* ---- accept ---- */

static void accept_fails(int qd, int error)
{
    demi_qtoken_t qt = 77;

    CHECK_INT(demi_accept(&qt, qd), error);
    CHECK(qt == 77);
}

static void accept_invalid_queue_descriptor(void **state)
{
    accept_fails(0, EBADF);
}

static void accept_unbound_socket(void **state)
{
    int qd = sock_new(SOCK_STREAM);

    accept_fails(qd, EINVAL);
    close_ok(qd);
}

static void accept_active_socket(void **state)
{
    int qd = sock_bound(SOCK_STREAM, LOCAL);

    accept_fails(qd, EINVAL);
    close_ok(qd);
}

static void accept_listening_socket(void **state)
{
    int qd = sock_listening(LOCAL, 16);
    demi_qtoken_t qt = start_accept(qd);

    expect_pending(qt);
    close_ok(qd);
    expect_ended(qt);
}

static void accept_connecting_socket(void **state)
{
    demi_qtoken_t qt, none = 77;
    bool pending;
    int qd = connecting(&qt, &pending);
    int r = demi_accept(&none, qd);

    CHECK(r == EINVAL || r == EBADF);
    close_connecting(qd, qt, pending);
}

static void accept_closed_socket(void **state)
{
    accept_fails(closed_socket(), EBADF);
}

/* ---- connect ---- */

static void connect_invalid_queue_descriptor(void **state)
{
    demi_qtoken_t qt;

    CHECK_INT(try_connect(&qt, 0, REMOTE), EBADF);
}

static void connect_to_bad_remote(void **state)
{
    struct sockaddr_in nowhere = {.sin_family = AF_INET};
    demi_qtoken_t qt;
    int qd = sock_new(SOCK_STREAM);

    CHECK_INT(demi_connect(&qt, qd, (struct sockaddr *)&nowhere, sizeof(nowhere)), 0);
    demi_qresult_t qr = finish(qt);

    CHECK(is_network_error(&qr));
    close_ok(qd);
}

static void connect_unbound_socket(void **state)
{
    demi_qtoken_t qt;
    bool pending;
    int qd = connecting(&qt, &pending);

    close_connecting(qd, qt, pending);
}

static void connect_bound_socket(void **state)
{
    int qd = sock_bound(SOCK_STREAM, LOCAL);
    demi_qtoken_t qt = start_connect(qd, REMOTE);

    close_connecting(qd, qt, pending_or_failed(qt));
}

static void connect_fails(int qd, int error)
{
    demi_qtoken_t qt = 77;

    CHECK_INT(try_connect(&qt, qd, REMOTE), error);
    CHECK(qt == 77);
}

static void connect_listening_socket(void **state)
{
    int qd = sock_listening(LOCAL, 16);

    connect_fails(qd, EOPNOTSUPP);
    close_ok(qd);
}

static void connect_connecting_socket(void **state)
{
    demi_qtoken_t qt;
    bool pending;
    int qd = connecting(&qt, &pending);

    connect_fails(qd, pending ? EINPROGRESS : EBADF);
    close_connecting(qd, qt, pending);
}

static void connect_accepting_socket(void **state)
{
    int qd = sock_listening(LOCAL, 16);
    demi_qtoken_t qt = start_accept(qd);

    expect_pending(qt);
    connect_fails(qd, EOPNOTSUPP);
    close_ok(qd);
    expect_ended(qt);
}

static void connect_closed_socket(void **state)
{
    connect_fails(closed_socket(), EBADF);
}

/* Beyond upstream's list: a refusal has its own name, and its socket is of no use any more. */
static void connect_refused(void **state)
{
    int qd = sock_new(SOCK_STREAM);
    demi_qresult_t qr = finish(start_connect(qd, REMOTE));
    demi_qtoken_t qt;

    expect_failed(&qr, qd, ECONNREFUSED);
    connect_fails(qd, EBADF);
    CHECK_INT(demi_pop(&qt, qd), EBADF);
    close_ok(qd);
}

/* ---- close ---- */

static void close_invalid_queue_descriptor(void **state)
{
    CHECK_INT(demi_close(0), EBADF);
}

static void close_socket_twice(void **state)
{
    CHECK_INT(demi_close(closed_socket()), EBADF);
}

static void close_unbound_socket(void **state)
{
    close_ok(sock_new(SOCK_STREAM));
}

static void close_bound_socket(void **state)
{
    close_ok(sock_bound(SOCK_STREAM, LOCAL));
}

static void close_listening_socket(void **state)
{
    close_ok(sock_listening(LOCAL, 16));
}

/* ---- wait ---- */

/* Whoever waits for an accept that will never come must not take it for an orderly end. */
static void close_listening_socket_with_clients(void **state)
{
    int listener = sock_listening(LOCAL, 16), clients[3];

    for (int i = 0; i < 3; i++) {
        clients[i] = sock_new(SOCK_STREAM);
        demi_qresult_t qr = finish(start_connect(clients[i], LOCAL));

        expect_connected(&qr, clients[i]);
    }
    push_message(clients[1], 64, 1);
    demi_qtoken_t pop = start_pop(clients[2]);

    expect_pending(pop);
    CHECK_INT(demi_close(listener), 0);
    pop_fails(clients[0], ECONNRESET);
    pop_fails(clients[1], ECONNRESET);
    demi_qresult_t qr = finish(pop);

    expect_failed(&qr, clients[2], ECONNRESET);
    for (int i = 0; i < 3; i++)
        close_ok(clients[i]);
    close_ok(sock_listening(LOCAL, 16));
}

static void wait_after_close_accepting_socket(void **state)
{
    accept_listening_socket(state);
}

static void wait_after_close_connecting_socket(void **state)
{
    connect_unbound_socket(state);
}

static void wait_on_invalid_queue_token_returns_einval(void **state)
{
    demi_qresult_t qr;

    CHECK_INT(demi_wait(&qr, UINT64_MAX, &at_once), EINVAL);
    CHECK_INT(demi_wait(&qr, 0, &at_once), EINVAL);
}

/* The wait for the operation begins after the close; its result is taken once and no more. */
static void wait_for_accept_after_issuing_close(void **state)
{
    int qd = sock_listening(LOCAL, 16);
    demi_qtoken_t qt = start_accept(qd);
    demi_qresult_t qr;

    close_ok(qd);
    expect_ended(qt);
    CHECK_INT(demi_wait(&qr, qt, &at_once), EINVAL);
}

static void wait_for_connect_after_issuing_close(void **state)
{
    int qd = sock_new(SOCK_STREAM);
    demi_qtoken_t qt = start_connect(qd, REMOTE);

    close_ok(qd);
    expect_ended(qt);
}

/* ---- beyond the list: names, options, data ---- */

#define PORT 7000

static void names_of_both_ends(void **state)
{
    struct sockaddr_in at_client, at_server;
    socklen_t size = sizeof(at_client);
    int client, server, listener = sock_listening(PORT, 16);

    sock_pair(listener, PORT, &client, &server);
    CHECK_INT(demi_getpeername(client, (struct sockaddr *)&at_client, &size), 0);
    CHECK(at_client.sin_port == htons(PORT) && at_client.sin_addr.s_addr == sock_host.s_addr);
    CHECK_INT(demi_getsockname(server, (struct sockaddr *)&at_server, &size), 0);
    CHECK(at_server.sin_port == htons(PORT) && at_server.sin_addr.s_addr == sock_host.s_addr);
    CHECK_INT(demi_getsockname(client, (struct sockaddr *)&at_client, &size), 0);
    CHECK_INT(demi_getpeername(server, (struct sockaddr *)&at_server, &size), 0);
    CHECK(at_client.sin_port != 0 && at_client.sin_port == at_server.sin_port);
    CHECK(at_client.sin_addr.s_addr == at_server.sin_addr.s_addr);
    size = 15;
    CHECK_INT(demi_getpeername(server, (struct sockaddr *)&at_server, &size), EINVAL);
    size = sizeof(at_client);
    CHECK_INT(demi_getpeername(listener, (struct sockaddr *)&at_server, &size), ENOTCONN);
    close_ok(client);
    close_ok(server);
    close_ok(listener);
}

static void options_are_kept(void **state)
{
    static const int names[] = {SO_KEEPALIVE, SO_REUSEADDR};
    struct linger linger = {1, 1}, got = {0, 0};
    socklen_t size = sizeof(got);
    int qd = sock_new(SOCK_STREAM), value = 1;

    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &got, &size), 0);
    CHECK(got.l_onoff == 1 && got.l_linger == 1 && size == sizeof(got));
    linger.l_onoff = 0;
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &got, &size), 0);
    CHECK(got.l_onoff == 0);
    linger.l_onoff = 5; /* any but 0 is on, and comes back as 1 */
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &got, &size), 0);
    CHECK(got.l_onoff == 1 && got.l_linger == 1);
    /* The option is looked at before the pointers. */
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_DEBUG, NULL, &size), ENOPROTOOPT);
    CHECK_INT(demi_getsockopt(qd, IPPROTO_UDP, 1, NULL, NULL), ENOTSUP);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, NULL, &size), EINVAL);
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, NULL, sizeof(linger)), EINVAL);
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_DEBUG, &value, sizeof(value)), ENOPROTOOPT);
    CHECK_INT(demi_setsockopt(qd, IPPROTO_UDP, 1, &value, sizeof(value)), ENOTSUP);
    CHECK_INT(demi_setsockopt(-1, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), EBADF);
    /* Level, option and value come before the descriptor. */
    CHECK_INT(demi_setsockopt(-1, SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
    CHECK_INT(demi_setsockopt(-1, SOL_SOCKET, SO_DEBUG, &value, sizeof(value)), ENOPROTOOPT);
    CHECK_INT(demi_setsockopt(-1, IPPROTO_UDP, 1, NULL, 0), ENOTSUP);
    CHECK_INT(demi_getsockopt(-1, SOL_SOCKET, SO_LINGER, NULL, &size), EINVAL);
    CHECK_INT(demi_getsockopt(-1, SOL_SOCKET, SO_DEBUG, NULL, NULL), ENOPROTOOPT);
    CHECK_INT(demi_setsockopt(qd, IPPROTO_TCP, 1, &value, sizeof(value)), 0); /* TCP_NODELAY */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = 1;
        CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, names[i], &value, sizeof(value)), 0);
        value = 0;
        size = sizeof(value);
        CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, names[i], &value, &size), 0);
        CHECK(value == 1);
    }
    value = 65536;
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)), 0);
    CHECK_INT(demi_setsockopt(qd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)), 0);
    size = sizeof(value);
    CHECK_INT(demi_getsockopt(qd, SOL_SOCKET, SO_SNDBUF, &value, &size), 0);
    CHECK(value >= 65536);
    close_ok(qd);
}

static void data_travels_both_ways(void **state)
{
    int client, server, listener = sock_listening(PORT, 16);

    sock_pair(listener, PORT, &client, &server);
    for (uint64_t i = 0; i < 100; i++) {
        push_message(client, 64, i);
        pop_message(server, 64, i);
        push_message(server, 1024, i);
        pop_message(client, 1024, i);
    }
    close_ok(client);
    pop_eof(server);
    pop_eof(server); /* end of file repeats */
    close_ok(server);
    close_ok(listener);
}

static void an_unconnected_socket_moves_nothing(void **state)
{
    demi_sgarray_t sga = filled_sga(64, 0);
    struct sockaddr_in a = sock_addr(PORT);
    int qd = sock_new(SOCK_STREAM), listener = sock_listening(PORT, 1);
    demi_qtoken_t qt = 77;

    CHECK_INT(demi_push(&qt, qd, &sga), ENOTCONN);
    CHECK_INT(demi_pop(&qt, qd), ENOTCONN);
    CHECK_INT(demi_push(&qt, listener, &sga), ENOTCONN);
    CHECK_INT(demi_pop(&qt, listener), ENOTCONN);
    CHECK_INT(demi_pushto(&qt, qd, &sga, (struct sockaddr *)&a, sizeof(a)), ENOTCONN);
    CHECK_INT(demi_push(&qt, -1, &sga), EBADF);
    CHECK(qt == 77);
    CHECK_INT(demi_sgafree(&sga), 0);
    close_ok(qd);
    close_ok(listener);
}

static void a_pop_ends_with_its_socket(void **state)
{
    int client, server, listener = sock_listening(PORT, 16);

    sock_pair(listener, PORT, &client, &server);
    demi_qtoken_t qt = start_pop(server);

    expect_pending(qt);
    close_ok(server);
    expect_ended(qt);
    close_ok(client);
    close_ok(listener);
}

static void pipes_and_sockets_in_one_wait(void **state)
{
    int client, server, listener = sock_listening(PORT, 16), offset = -1;

    sock_pair(listener, PORT, &client, &server);
    int made = create_pipe("beside"), opened = open_pipe("beside");
    demi_qtoken_t qts[2] = {start_pop(made), start_pop(server)};
    demi_qresult_t qr;

    push_message(client, 64, 1);
    CHECK_INT(demi_wait_any(&qr, &offset, qts, 2, NULL), 0);
    CHECK_INT(offset, 1);
    expect_message(&qr, server, 64, 1);
    qts[1] = start_pop(server);
    push_message(opened, 64, 2);
    CHECK_INT(demi_wait_any(&qr, &offset, qts, 2, NULL), 0);
    CHECK_INT(offset, 0);
    expect_message(&qr, made, 64, 2);
    close_ok(opened);
    close_ok(made);
    close_ok(client);
    close_ok(server);
    close_ok(listener);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_socket_using_unsupported_domain),
        cmocka_unit_test(create_socket_using_unsupported_type),
        cmocka_unit_test(bind_addr_to_invalid_queue_descriptor),
        cmocka_unit_test(bind_multiple_addresses_to_same_socket),
        cmocka_unit_test(bind_same_address_to_two_sockets),
        cmocka_unit_test(bind_to_private_ports),
        cmocka_unit_test(bind_to_wildcard_port),
        cmocka_unit_test(bind_to_wildcard_address),
        cmocka_unit_test(bind_to_wildcard_address_and_port),
        cmocka_unit_test(bind_to_non_local_address),
        cmocka_unit_test(bind_to_closed_socket),
        cmocka_unit_test(listen_invalid_queue_descriptor),
        cmocka_unit_test(listen_unbound_socket),
        cmocka_unit_test(listen_bound_socket),
        cmocka_unit_test(listen_large_backlog_length),
        cmocka_unit_test(listen_invalid_zero_backlog_length),
        cmocka_unit_test(listen_listening_socket),
        cmocka_unit_test(listen_connecting_socket),
        cmocka_unit_test(listen_accepting_socket),
        cmocka_unit_test(listen_closed_socket),
        cmocka_unit_test(accept_invalid_queue_descriptor),
        cmocka_unit_test(accept_unbound_socket),
        cmocka_unit_test(accept_active_socket),
        cmocka_unit_test(accept_listening_socket),
        cmocka_unit_test(accept_connecting_socket),
        cmocka_unit_test(accept_closed_socket),
        cmocka_unit_test(connect_invalid_queue_descriptor),
        cmocka_unit_test(connect_to_bad_remote),
        cmocka_unit_test(connect_unbound_socket),
        cmocka_unit_test(connect_bound_socket),
        cmocka_unit_test(connect_listening_socket),
        cmocka_unit_test(connect_connecting_socket),
        cmocka_unit_test(connect_accepting_socket),
        cmocka_unit_test(connect_closed_socket),
        cmocka_unit_test(connect_refused),
        cmocka_unit_test(close_invalid_queue_descriptor),
        cmocka_unit_test(close_socket_twice),
        cmocka_unit_test(close_unbound_socket),
        cmocka_unit_test(close_bound_socket),
        cmocka_unit_test(close_listening_socket),
        cmocka_unit_test(close_listening_socket_with_clients),
        cmocka_unit_test(wait_after_close_accepting_socket),
        cmocka_unit_test(wait_after_close_connecting_socket),
        cmocka_unit_test(wait_on_invalid_queue_token_returns_einval),
        cmocka_unit_test(wait_for_accept_after_issuing_close),
        cmocka_unit_test(wait_for_connect_after_issuing_close),
        cmocka_unit_test(names_of_both_ends),
        cmocka_unit_test(options_are_kept),
        cmocka_unit_test(data_travels_both_ways),
        cmocka_unit_test(an_unconnected_socket_moves_nothing),
        cmocka_unit_test(a_pop_ends_with_its_socket),
        cmocka_unit_test(pipes_and_sockets_in_one_wait),
    };

    CHECK_INT(argc, 2);
    sock_setup(argv[1]);
    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
