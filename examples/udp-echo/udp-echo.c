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
#include "../demi_steps.h"

static const struct timespec patience = {0, 200000000}; /* before a datagram is sent again */

static void serve(const struct sockaddr_in *addr, int datagrams)
{
    int qd = bound(addr);

    for (int i = 0; i < datagrams; i++) {
        demi_sgarray_t sga = pop(qd);
        struct sockaddr_in from = sga.sga_addr; /* who has sent it */

        pushto(qd, &sga, &from);
        check(demi_sgafree(&sga), "demi_sgafree");
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
    demi_sgarray_t sga = filled(size, 0);
    demi_qresult_t qr;
    int came = 0;

    any.sin_addr = server->sin_addr; /* port 0: any free one */
    int qd = bound(&any);
    demi_qtoken_t qt = start_pop(qd);

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
        qt = start_pop(qd);
    }
    check(demi_sgafree(&sga), "demi_sgafree");
    check(demi_close(qd), "demi_close");
    printf("%d datagrams of %zu bytes came back\n", came, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    struct sockaddr_in addr;

    if (argc < 4 || !read_address(argv + 2, &addr)) {
        fprintf(stderr, "usage: udp-echo --server IP PORT [DATAGRAMS]\n"
                        "       udp-echo --client IP PORT [SIZE [DATAGRAMS]]\n");
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        serve(&addr, argc > 4 ? atoi(argv[4]) : 1024);
    else
        ask(&addr, argc > 4 ? (size_t)atol(argv[4]) : 64, argc > 5 ? atoi(argv[5]) : 1024);
    return 0;
}
