/* SPDX-License-Identifier: MIT */
/*
 * Bytes back and forth over one connection, on the Demikernel C API.
 *
 *   tcp-ping-pong --server IP PORT [SIZE [MESSAGES]]
 *   tcp-ping-pong --client IP PORT [SIZE [MESSAGES]]
 *
 * The client sends MESSAGES (1024) of SIZE (64) bytes, one at a time, and checks that each comes
 * back; the server sends back what it gets until it has seen SIZE times MESSAGES bytes.
 * LIBOS=catnap or LIBOS=catloop says over what. For many connections at once see ../tcp-echo.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

static void check(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "tcp-ping-pong: %s: %s\n", what, strerror(error));
    exit(1);
}

/* Waits for one operation, which must succeed. */
static demi_qresult_t finish(demi_qtoken_t qt, const char *what)
{
    demi_qresult_t qr;

    check(demi_wait(&qr, qt, NULL), "demi_wait");
    if (qr.qr_opcode == DEMI_OPC_FAILED)
        check((int)qr.qr_ret, what);
    return qr;
}

static void push(int qd, const demi_sgarray_t *sga)
{
    demi_qtoken_t qt;

    check(demi_push(&qt, qd, sga), "demi_push");
    finish(qt, "push");
}

/* Some bytes of the stream; no bytes are its end. Give them back with demi_sgafree(). */
static demi_sgarray_t pop(int qd)
{
    demi_qtoken_t qt;

    check(demi_pop(&qt, qd), "demi_pop");
    return finish(qt, "pop").qr_value.sga;
}

static int accept_one(const struct sockaddr_in *addr)
{
    demi_qtoken_t qt;
    int listener, qd;

    check(demi_socket(&listener, AF_INET, SOCK_STREAM, 0), "demi_socket");
    check(demi_bind(listener, (const struct sockaddr *)addr, sizeof(*addr)), "demi_bind");
    check(demi_listen(listener, 16), "demi_listen");
    check(demi_accept(&qt, listener), "demi_accept");
    qd = finish(qt, "accept").qr_value.ares.qd;
    check(demi_close(listener), "demi_close");
    return qd;
}

static void serve(const struct sockaddr_in *addr, size_t whole)
{
    int qd = accept_one(addr);
    size_t seen = 0;

    while (seen < whole) {
        demi_sgarray_t sga = pop(qd);

        if (sga.sga_segs[0].sgaseg_len == 0) {
            fprintf(stderr, "tcp-ping-pong: the client left after %zu bytes\n", seen);
            exit(1);
        }
        seen += sga.sga_segs[0].sgaseg_len;
        push(qd, &sga);
        check(demi_sgafree(&sga), "demi_sgafree");
    }
    check(demi_close(qd), "demi_close");
    printf("server: %zu bytes\n", seen);
}

/* A stream keeps the order of bytes, not the size of pieces: one push may come back in several. */
static void compare(int qd, size_t size, int byte)
{
    for (size_t got = 0; got < size;) {
        demi_sgarray_t sga = pop(qd);
        const unsigned char *data = sga.sga_segs[0].sgaseg_buf;
        size_t len = sga.sga_segs[0].sgaseg_len;
        int same = len > 0 && len <= size - got;

        for (size_t i = 0; same && i < len; i++)
            same = data[i] == byte;
        if (!same) {
            fprintf(stderr, "tcp-ping-pong: what came back is not what was sent\n");
            exit(1);
        }
        got += len;
        check(demi_sgafree(&sga), "demi_sgafree");
    }
}

static void ask(const struct sockaddr_in *addr, size_t size, size_t messages)
{
    demi_qtoken_t qt;
    int qd;

    check(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), "demi_socket");
    check(demi_connect(&qt, qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_connect");
    finish(qt, "connect");
    for (size_t i = 0; i < messages; i++) {
        demi_sgarray_t sga = demi_sgaalloc(size);

        if (sga.sga_buf == NULL) {
            fprintf(stderr, "tcp-ping-pong: no memory\n");
            exit(1);
        }
        memset(sga.sga_segs[0].sgaseg_buf, (int)(i & 255), size);
        push(qd, &sga);
        check(demi_sgafree(&sga), "demi_sgafree");
        compare(qd, size, (int)(i & 255));
    }
    check(demi_close(qd), "demi_close");
    printf("client: %zu messages of %zu bytes\n", messages, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    struct sockaddr_in addr = {.sin_family = AF_INET};
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : 64;
    size_t messages = argc > 5 ? strtoul(argv[5], NULL, 10) : 1024;

    if (argc < 4 || size == 0 || inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1) {
        fprintf(stderr, "usage: tcp-ping-pong --server|--client IP PORT [SIZE [MESSAGES]]\n");
        return 2;
    }
    addr.sin_port = htons((unsigned short)atoi(argv[3]));
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        serve(&addr, size * messages);
    else
        ask(&addr, size, messages);
    return 0;
}
