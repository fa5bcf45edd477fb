/* SPDX-License-Identifier: MIT */
/*
 * Datagrams back and forth between two addresses, on the Demikernel C API.
 *
 *   udp-ping-pong --server LOCAL-IP PORT REMOTE-IP PORT [SIZE [DATAGRAMS]]
 *   udp-ping-pong --client LOCAL-IP PORT REMOTE-IP PORT [SIZE [DATAGRAMS]]
 *
 * The client sends DATAGRAMS (1024) of SIZE (64) bytes, one at a time, and checks that each comes
 * back; one that is lost is sent again. The server takes datagrams of REMOTE alone and ends with
 * the last one. LIBOS=catnap or LIBOS=catloop says over what.
 */
#define _POSIX_C_SOURCE 200809L
#include "../demi_steps.h"

static const struct timespec patience = {0, 200000000}; /* before a datagram is sent again */

/* Whether it is datagram number `i`, from there. */
static int is_number(const demi_sgarray_t *sga, size_t size, size_t i,
                     const struct sockaddr_in *from)
{
    const unsigned char *data = sga->sga_segs[0].sgaseg_buf;
    struct sockaddr_in sender = sga->sga_addr; /* the array is packed: no pointers into it */

    if (sga->sga_segs[0].sgaseg_len != size || sender.sin_port != from->sin_port ||
        sender.sin_addr.s_addr != from->sin_addr.s_addr)
        return 0;
    for (size_t k = 0; k < size; k++) {
        if (data[k] != (i & 255))
            return 0;
    }
    return 1;
}

static void serve(int qd, const struct sockaddr_in *remote, size_t size, size_t datagrams)
{
    size_t seen = 0;

    while (seen < datagrams) {
        demi_qresult_t qr = finish(start_pop(qd), "pop");

        /* The one before may come again: its answer was late. It is answered again. */
        int next = is_number(&qr.qr_value.sga, size, seen, remote);

        if (next || (seen > 0 && is_number(&qr.qr_value.sga, size, seen - 1, remote)))
            pushto(qd, &qr.qr_value.sga, remote);
        seen += (size_t)next;
        check(demi_sgafree(&qr.qr_value.sga), "demi_sgafree");
    }
    printf("server: %zu datagrams\n", seen);
}

static void ask(int qd, const struct sockaddr_in *remote, size_t size, size_t datagrams)
{
    demi_sgarray_t sga = filled(size, 0);
    demi_qtoken_t qt = start_pop(qd);
    size_t came = 0;

    while (came < datagrams) {
        demi_qresult_t qr;

        memset(sga.sga_segs[0].sgaseg_buf, (int)(came & 255), size);
        pushto(qd, &sga, remote);
        int r = demi_wait(&qr, qt, &patience);

        if (r == ETIMEDOUT)
            continue; /* the pop still waits */
        check(r, "demi_wait");
        if (qr.qr_opcode == DEMI_OPC_FAILED)
            check((int)qr.qr_ret, "pop");
        came += (size_t)is_number(&qr.qr_value.sga, size, came, remote);
        check(demi_sgafree(&qr.qr_value.sga), "demi_sgafree");
        qt = start_pop(qd);
    }
    check(demi_sgafree(&sga), "demi_sgafree");
    printf("client: %zu datagrams of %zu bytes\n", came, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    size_t size = argc > 6 ? strtoul(argv[6], NULL, 10) : 64;
    size_t datagrams = argc > 7 ? strtoul(argv[7], NULL, 10) : 1024;
    struct sockaddr_in local, remote;

    if (argc < 6 || size == 0 || !read_address(argv + 2, &local) ||
        !read_address(argv + 4, &remote)) {
        fprintf(stderr, "usage: udp-ping-pong --server|--client LOCAL-IP PORT REMOTE-IP PORT "
                        "[SIZE [DATAGRAMS]]\n");
        return 2;
    }
    check(demi_init(&args), "demi_init");
    int qd = bound(&local);

    if (strcmp(argv[1], "--server") == 0)
        serve(qd, &remote, size, datagrams);
    else
        ask(qd, &remote, size, datagrams);
    check(demi_close(qd), "demi_close");
    return 0;
}
