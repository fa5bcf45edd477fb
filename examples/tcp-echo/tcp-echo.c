/* SPDX-License-Identifier: MIT */
/*
 * A TCP echo server and its client, on the Demikernel C API.
 *
 *   tcp-echo --server IP PORT [CONNECTIONS]        serves so many (1), then ends
 *   tcp-echo --client IP PORT [SIZE [MESSAGES]]    sends MESSAGES (1024) of SIZE (64) bytes
 *
 * LIBOS=catnap or LIBOS=catloop says over what.
 */
#define _POSIX_C_SOURCE 200809L
#include "../demi_steps.h"

#define MOST 64 /* connections at one time */

/* Gives back what was popped. 0: end of file, the connection is closed. */
static int echo(demi_qresult_t *qr)
{
    int more = qr->qr_opcode == DEMI_OPC_POP && qr->qr_value.sga.sga_segs[0].sgaseg_len > 0;

    if (more)
        push(qr->qr_qd, &qr->qr_value.sga);
    if (qr->qr_opcode == DEMI_OPC_POP)
        check(demi_sgafree(&qr->qr_value.sga), "demi_sgafree");
    if (!more)
        check(demi_close(qr->qr_qd), "demi_close");
    return more;
}

static void serve(const struct sockaddr_in *addr, int connections)
{
    demi_qtoken_t qts[MOST + 1];
    demi_qresult_t qr;
    int listener = listening(addr), n = 1, at;

    check(demi_accept(&qts[0], listener), "demi_accept");
    while (connections > 0) {
        check(demi_wait_any(&qr, &at, qts, n, NULL), "demi_wait_any");
        if (qr.qr_opcode == DEMI_OPC_ACCEPT) {
            if (n == MOST + 1) { /* no room for more: a client that is turned away sees it */
                check(demi_close(qr.qr_value.ares.qd), "demi_close");
            } else {
                qts[n++] = start_pop(qr.qr_value.ares.qd);
            }
            check(demi_accept(&qts[0], listener), "demi_accept");
        } else if (at == 0) {
            check((int)qr.qr_ret, "accept");
        } else if (echo(&qr)) {
            qts[at] = start_pop(qr.qr_qd);
        } else {
            qts[at] = qts[--n];
            connections--;
        }
    }
    check(demi_close(listener), "demi_close");
}

/* A stream gives back the bytes, in any pieces. */
static void compare(int qd, const unsigned char *sent, size_t size)
{
    size_t got = 0;

    while (got < size) {
        demi_sgarray_t sga = pop(qd);
        size_t len = sga.sga_segs[0].sgaseg_len;

        if (len == 0 || len > size - got ||
            memcmp(sga.sga_segs[0].sgaseg_buf, sent + got, len) != 0) {
            fprintf(stderr, "tcp-echo: what came back is not what was sent\n");
            exit(1);
        }
        got += len;
        check(demi_sgafree(&sga), "demi_sgafree");
    }
}

static void ask(const struct sockaddr_in *addr, size_t size, int messages)
{
    int qd = connected(addr);
    demi_sgarray_t sga = filled(size, 0);

    for (int i = 0; i < messages; i++) {
        memset(sga.sga_segs[0].sgaseg_buf, i & 255, size);
        push(qd, &sga);
        compare(qd, sga.sga_segs[0].sgaseg_buf, size);
    }
    check(demi_sgafree(&sga), "demi_sgafree");
    check(demi_close(qd), "demi_close");
    printf("%d messages of %zu bytes came back\n", messages, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    struct sockaddr_in addr;

    if (argc < 4 || !read_address(argv + 2, &addr)) {
        fprintf(stderr, "usage: tcp-echo --server IP PORT [CONNECTIONS]\n"
                        "       tcp-echo --client IP PORT [SIZE [MESSAGES]]\n");
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        serve(&addr, argc > 4 ? atoi(argv[4]) : 1);
    else
        ask(&addr, argc > 4 ? (size_t)atol(argv[4]) : 64, argc > 5 ? atoi(argv[5]) : 1024);
    return 0;
}
