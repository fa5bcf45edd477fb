/* SPDX-License-Identifier: MIT */
/*
 * A UDP echo server and its client, on the Demikernel C API.
 *
 *   udp-echo --server IP PORT [DATAGRAMS]              serves so many (1024), then ends
 *   udp-echo --client IP PORT [SIZE [DATAGRAMS]]       sends DATAGRAMS (1024) of SIZE (64) bytes
 *
 * LIBOS=catnap or LIBOS=catloop says over what. A datagram that gets lost is sent again.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

static const struct timespec patience = {0, 200000000}; /* before a datagram is sent again */

static void check(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "udp-echo: %s: %s\n", what, strerror(error));
        exit(1);
    }
}

static void pushto(int qd, const demi_sgarray_t *sga, const struct sockaddr_in *to)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;

    check(demi_pushto(&qt, qd, sga, (const struct sockaddr *)to, sizeof(*to)), "demi_pushto");
    check(demi_wait(&qr, qt, NULL), "demi_wait");
    if (qr.qr_opcode == DEMI_OPC_FAILED)
        check((int)qr.qr_ret, "pushto");
}

static int bound(const struct sockaddr_in *addr)
{
    int qd;

    check(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0), "demi_socket");
    check(demi_bind(qd, (const struct sockaddr *)addr, sizeof(*addr)), "demi_bind");
    return qd;
}

static void serve(const struct sockaddr_in *addr, int datagrams)
{
    int qd = bound(addr);

    for (int i = 0; i < datagrams; i++) {
        demi_qtoken_t qt;
        demi_qresult_t qr;

        check(demi_pop(&qt, qd), "demi_pop");
        check(demi_wait(&qr, qt, NULL), "demi_wait");
        if (qr.qr_opcode == DEMI_OPC_FAILED)
            check((int)qr.qr_ret, "pop");
        /* sga_addr is who has sent it. */
        struct sockaddr_in from = qr.qr_value.sga.sga_addr;

        pushto(qd, &qr.qr_value.sga, &from);
        check(demi_sgafree(&qr.qr_value.sga), "demi_sgafree");
    }
    check(demi_close(qd), "demi_close");
}

/* The answer to datagram number `i`; 0 if it is another's, late. */
static int is_answer(demi_qresult_t *qr, size_t size, int i)
{
    const unsigned char *data = qr->qr_value.sga.sga_segs[0].sgaseg_buf;
    int same = qr->qr_value.sga.sga_segs[0].sgaseg_len == size;

    for (size_t k = 0; k < size && same; k++)
        same = data[k] == (unsigned char)(i & 255);
    check(demi_sgafree(&qr->qr_value.sga), "demi_sgafree");
    return same;
}

static void ask(const struct sockaddr_in *server, size_t size, int datagrams)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int qd, came = 0;
    demi_qtoken_t qt;
    demi_qresult_t qr;

    any.sin_addr = server->sin_addr; /* port 0: any free one */
    qd = bound(&any);
    demi_sgarray_t sga = demi_sgaalloc(size);

    if (sga.sga_buf == NULL) {
        fprintf(stderr, "udp-echo: no memory\n");
        exit(1);
    }
    check(demi_pop(&qt, qd), "demi_pop");
    while (came < datagrams) {
        memset(sga.sga_segs[0].sgaseg_buf, came & 255, size);
        pushto(qd, &sga, server);
        int r = demi_wait(&qr, qt, &patience);

        if (r == ETIMEDOUT)
            continue;
        check(r, "demi_wait");
        if (qr.qr_opcode == DEMI_OPC_FAILED)
            check((int)qr.qr_ret, "pop");
        came += is_answer(&qr, size, came);
        check(demi_pop(&qt, qd), "demi_pop");
    }
    check(demi_sgafree(&sga), "demi_sgafree");
    check(demi_close(qd), "demi_close");
    printf("%d datagrams of %zu bytes came back\n", came, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    struct sockaddr_in addr = {.sin_family = AF_INET};

    if (argc < 4 || inet_pton(AF_INET, argv[2], &addr.sin_addr) != 1) {
        fprintf(stderr, "usage: udp-echo --server IP PORT [DATAGRAMS]\n"
                        "       udp-echo --client IP PORT [SIZE [DATAGRAMS]]\n");
        return 2;
    }
    addr.sin_port = htons((unsigned short)atoi(argv[3]));
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        serve(&addr, argc > 4 ? atoi(argv[4]) : 1024);
    else
        ask(&addr, argc > 4 ? (size_t)atol(argv[4]) : 64, argc > 5 ? atoi(argv[5]) : 1024);
    return 0;
}
