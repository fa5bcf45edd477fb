/* SPDX-License-Identifier: MIT */
/*
 * A stream of bytes one way, on the Demikernel C API.
 *
 *   tcp-push-pop --server IP PORT [SIZE [MESSAGES]]
 *   tcp-push-pop --client IP PORT [SIZE [MESSAGES]]
 *
 * The client pushes MESSAGES (1024) of SIZE (64) bytes with several pushes under way, the server
 * checks each byte and their number up to the end of the stream. LIBOS=catnap or LIBOS=catloop says
 * over what.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

#define UNDER_WAY 8 /* pushes that have not been waited for */

static void check(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "tcp-push-pop: %s: %s\n", what, strerror(error));
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

/* Byte number `at` of the stream. */
static unsigned char expected(size_t at, size_t size)
{
    return (unsigned char)(at / size & 255);
}

static void take(const struct sockaddr_in *addr, size_t size, size_t messages)
{
    int qd = accept_one(addr);
    size_t got = 0, len;

    do {
        demi_qtoken_t qt;

        check(demi_pop(&qt, qd), "demi_pop");
        demi_sgarray_t sga = finish(qt, "pop").qr_value.sga;
        const unsigned char *data = sga.sga_segs[0].sgaseg_buf;

        len = sga.sga_segs[0].sgaseg_len;
        for (size_t i = 0; i < len; i++) {
            if (data[i] != expected(got + i, size)) {
                fprintf(stderr, "tcp-push-pop: byte %zu is another\n", got + i);
                exit(1);
            }
        }
        got += len;
        check(demi_sgafree(&sga), "demi_sgafree");
    } while (len > 0);
    check(demi_close(qd), "demi_close");
    printf("server: %zu bytes\n", got);
    if (got != size * messages)
        exit(1);
}

static void give(const struct sockaddr_in *addr, size_t size, size_t messages)
{
    demi_qtoken_t qts[UNDER_WAY], qt;
    int qd;

    check(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), "demi_socket");
    check(demi_connect(&qt, qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_connect");
    finish(qt, "connect");
    for (size_t i = 0; i < messages; i++) {
        demi_sgarray_t sga = demi_sgaalloc(size);

        if (sga.sga_buf == NULL) {
            fprintf(stderr, "tcp-push-pop: no memory\n");
            exit(1);
        }
        memset(sga.sga_segs[0].sgaseg_buf, (int)(i & 255), size);
        if (i >= UNDER_WAY)
            finish(qts[i % UNDER_WAY], "push");
        check(demi_push(&qts[i % UNDER_WAY], qd, &sga), "demi_push");
        /* The push has a reference of its own. */
        check(demi_sgafree(&sga), "demi_sgafree");
    }
    for (size_t i = messages > UNDER_WAY ? messages - UNDER_WAY : 0; i < messages; i++)
        finish(qts[i % UNDER_WAY], "push");
    check(demi_close(qd), "demi_close"); /* the server sees the end of the stream */
    printf("client: %zu messages of %zu bytes\n", messages, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    struct sockaddr_in addr = {.sin_family = AF_INET};
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : 64;
    size_t messages = argc > 5 ? strtoul(argv[5], NULL, 10) : 1024;

    if (argc < 4 || size == 0 || inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1) {
        fprintf(stderr, "usage: tcp-push-pop --server|--client IP PORT [SIZE [MESSAGES]]\n");
        return 2;
    }
    addr.sin_port = htons((unsigned short)atoi(argv[3]));
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        take(&addr, size, messages);
    else
        give(&addr, size, messages);
    return 0;
}
