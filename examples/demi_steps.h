/* SPDX-License-Identifier: MIT */
/*
 * The steps that the programs on the Demikernel C API beside this file all take: one operation from
 * its start to its end. What fails ends the program with a message. Not here: anything that an
 * example is there to show.
 */
#ifndef EXAMPLES_DEMI_STEPS_H
#define EXAMPLES_DEMI_STEPS_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

static inline void check(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

/* Waits for one operation, which must succeed. */
static inline demi_qresult_t finish(demi_qtoken_t qt, const char *what)
{
    demi_qresult_t qr;

    check(demi_wait(&qr, qt, NULL), "demi_wait");
    if (qr.qr_opcode == DEMI_OPC_FAILED)
        check((int)qr.qr_ret, what);
    return qr;
}

static inline demi_qtoken_t start_pop(int qd)
{
    demi_qtoken_t qt;

    check(demi_pop(&qt, qd), "demi_pop");
    return qt;
}

/* A message, or some bytes of a stream, of length 0 when the peer has closed. It is given back with
 * demi_sgafree(). */
static inline demi_sgarray_t pop(int qd)
{
    return finish(start_pop(qd), "pop").qr_value.sga;
}

static inline void push(int qd, const demi_sgarray_t *sga)
{
    demi_qtoken_t qt;

    check(demi_push(&qt, qd, sga), "demi_push");
    finish(qt, "push");
}

static inline void pushto(int qd, const demi_sgarray_t *sga, const struct sockaddr_in *to)
{
    demi_qtoken_t qt;

    check(demi_pushto(&qt, qd, sga, (const struct sockaddr *)to, sizeof(*to)), "demi_pushto");
    finish(qt, "pushto");
}

/* An array of `size` bytes of one value. */
static inline demi_sgarray_t filled(size_t size, int byte)
{
    demi_sgarray_t sga = demi_sgaalloc(size);

    if (sga.sga_buf == NULL) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    memset(sga.sga_segs[0].sgaseg_buf, byte, size);
    return sga;
}

/* The pipe NAME:SUFFIX. Who opens it may come before who creates it: then it is not there yet. */
static inline int named_pipe(int (*call)(int *, const char *), const char *name, const char *suffix)
{
    const struct timespec moment = {0, 1000000};
    char whole[256];
    int qd, rc, none;
    demi_qresult_t qr;
    demi_qtoken_t no_token = 0;

    snprintf(whole, sizeof(whole), "%s:%s", name, suffix);
    while ((rc = call(&qd, whole)) == ENOENT)
        (void)demi_wait_any(&qr, &none, &no_token, 0, &moment);
    check(rc, whole);
    return qd;
}

/* A socket for datagrams to this address. */
static inline int bound(const struct sockaddr_in *addr)
{
    int qd;

    check(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0), "demi_socket");
    check(demi_bind(qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_bind");
    return qd;
}

/* A socket that connections can be made to. */
static inline int listening(const struct sockaddr_in *addr)
{
    int qd;

    check(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), "demi_socket");
    check(demi_bind(qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_bind");
    check(demi_listen(qd, 64), "demi_listen");
    return qd;
}

/* The first connection to this address. */
static inline int accept_one(const struct sockaddr_in *addr)
{
    demi_qtoken_t qt;
    int listener = listening(addr);

    check(demi_accept(&qt, listener), "demi_accept");
    int qd = finish(qt, "accept").qr_value.ares.qd;
    check(demi_close(listener), "demi_close");
    return qd;
}

static inline int connected(const struct sockaddr_in *addr)
{
    demi_qtoken_t qt;
    int qd;

    check(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), "demi_socket");
    check(demi_connect(&qt, qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_connect");
    finish(qt, "connect");
    return qd;
}

/* IP PORT, from two arguments; 0 if that is no address. */
static inline int read_address(char **argv, struct sockaddr_in *out)
{
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    out->sin_port = htons((unsigned short)atoi(argv[1]));
    return inet_pton(AF_INET, argv[0], &out->sin_addr) == 1;
}

#endif
