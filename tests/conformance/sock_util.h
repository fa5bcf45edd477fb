/* SPDX-License-Identifier: MIT */
/*
 * What tests of sockets do over and over, against the demi API. Each process has an address of its
 * own out of 127.0.0.0/8, so that ports never collide with those of another test.
 */
#ifndef MBR_TESTS_SOCK_UTIL_H
#define MBR_TESTS_SOCK_UTIL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "demi_util.h"

static struct in_addr sock_host; /* the address of this test */

/* Before demi_init(): which libOS, and the address. Actors inherit both. */
static inline void sock_setup(const char *libos)
{
    char text[32];
    unsigned id = (unsigned)getpid();

    snprintf(text, sizeof(text), "127.%u.%u.%u", 1 + (id >> 16) % 250, (id >> 8) & 255,
             1 + id % 250);
    CHECK(inet_pton(AF_INET, text, &sock_host) == 1);
    CHECK(setenv("LOCAL_IPV4_ADDR", text, 1) == 0);
    CHECK(setenv("LIBOS", libos, 1) == 0);
}

static inline struct sockaddr_in sock_addr(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = sock_host};
}

static inline int sock_new(int type)
{
    int qd = -1;

    CHECK_INT(demi_socket(&qd, AF_INET, type, 0), 0);
    CHECK(qd >= 500);
    return qd;
}

static inline int sock_bind(int qd, uint16_t port)
{
    struct sockaddr_in a = sock_addr(port);

    return demi_bind(qd, (struct sockaddr *)&a, sizeof(a));
}

static inline int sock_bound(int type, uint16_t port)
{
    int qd = sock_new(type);

    CHECK_INT(sock_bind(qd, port), 0);
    return qd;
}

static inline int sock_listening(uint16_t port, int backlog)
{
    int qd = sock_bound(SOCK_STREAM, port);

    CHECK_INT(demi_listen(qd, backlog), 0);
    return qd;
}

static inline demi_qtoken_t start_accept(int qd)
{
    demi_qtoken_t qt = 0;

    CHECK_INT(demi_accept(&qt, qd), 0);
    return qt;
}

static inline int try_connect(demi_qtoken_t *qt, int qd, uint16_t port)
{
    struct sockaddr_in a = sock_addr(port);

    return demi_connect(qt, qd, (struct sockaddr *)&a, sizeof(a));
}

static inline demi_qtoken_t start_connect(int qd, uint16_t port)
{
    demi_qtoken_t qt = 0;

    CHECK_INT(try_connect(&qt, qd, port), 0);
    return qt;
}

/* The new socket of an accept that has completed. */
static inline int accepted(const demi_qresult_t *qr, int listener)
{
    CHECK_INT(qr->qr_opcode, DEMI_OPC_ACCEPT);
    CHECK_INT(qr->qr_qd, listener);
    CHECK_INT(qr->qr_ret, 0);
    CHECK_INT(qr->qr_value.ares.addr.sin_family, AF_INET);
    CHECK(qr->qr_value.ares.qd >= 500 && qr->qr_value.ares.qd != listener);
    return qr->qr_value.ares.qd;
}

static inline void expect_connected(const demi_qresult_t *qr, int qd)
{
    CHECK_INT(qr->qr_opcode, DEMI_OPC_CONNECT);
    CHECK_INT(qr->qr_qd, qd);
    CHECK_INT(qr->qr_ret, 0);
}

/* Both ends of a connection within this thread. */
static inline void sock_pair(int listener, uint16_t port, int *client, int *server)
{
    *client = sock_new(SOCK_STREAM);
    demi_qtoken_t accept = start_accept(listener);
    demi_qtoken_t connect = start_connect(*client, port);
    demi_qresult_t qr = finish(connect);

    expect_connected(&qr, *client);
    qr = finish(accept);
    *server = accepted(&qr, listener);
}

/* What upstream's tests accept of an operation whose network has failed or gone. */
static inline bool is_network_error(const demi_qresult_t *qr)
{
    return qr->qr_opcode == DEMI_OPC_FAILED &&
           (qr->qr_ret == EBADF || qr->qr_ret == ECANCELED || qr->qr_ret == ECONNREFUSED ||
            qr->qr_ret == ECONNABORTED || qr->qr_ret == EADDRNOTAVAIL);
}

#endif
