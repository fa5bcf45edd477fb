/* SPDX-License-Identifier: MIT */
/*
 * Datagrams one way, on the Demikernel C API.
 *
 *   udp-push-pop --server LOCAL-IP PORT [SIZE [DATAGRAMS]]
 *   udp-push-pop --client LOCAL-IP PORT REMOTE-IP PORT [SIZE [DATAGRAMS]]
 *
 * The client sends DATAGRAMS (1024) of SIZE (64) bytes, then says so with a datagram of one zero
 * byte until it is answered; the server counts what has arrived, each of which must be whole. The
 * kernel drops what its buffer has no room for (catnap); over shared memory (catloop) the sender
 * waits for room instead. LIBOS says over what.
 */
#define _POSIX_C_SOURCE 200809L
#include "../demi_steps.h"

static const struct timespec patience = {0, 200000000}; /* before the end is said again */

static int is_end(const demi_sgarray_t *sga)
{
    return sga->sga_segs[0].sgaseg_len == 1 && *(unsigned char *)sga->sga_segs[0].sgaseg_buf == 0;
}

static int is_whole(const demi_sgarray_t *sga, size_t size)
{
    const unsigned char *data = sga->sga_segs[0].sgaseg_buf;
    int same = sga->sga_segs[0].sgaseg_len == size;

    for (size_t i = 0; same && i < size; i++)
        same = data[i] == 1;
    return same;
}

static void take(const struct sockaddr_in *local, size_t size, size_t datagrams)
{
    int qd = bound(local), ended = 0;
    size_t came = 0;

    printf("server: ready\n");
    fflush(stdout);
    while (!ended) {
        demi_qresult_t qr = finish(start_pop(qd), "pop");

        ended = is_end(&qr.qr_value.sga);
        if (!ended && !is_whole(&qr.qr_value.sga, size)) {
            fprintf(stderr, "udp-push-pop: a datagram came that nobody had sent\n");
            exit(1);
        }
        if (ended) {
            struct sockaddr_in from = qr.qr_value.sga.sga_addr;

            pushto(qd, &qr.qr_value.sga, &from);
        } else {
            came++;
        }
        check(demi_sgafree(&qr.qr_value.sga), "demi_sgafree");
    }
    check(demi_close(qd), "demi_close");
    printf("server: %zu of %zu datagrams\n", came, datagrams);
}

/* Until the server has answered. */
static void say_end(int qd, const struct sockaddr_in *remote)
{
    demi_sgarray_t end = filled(1, 0);
    demi_qtoken_t qt = start_pop(qd);
    demi_qresult_t qr;
    int r;

    do {
        pushto(qd, &end, remote);
        r = demi_wait(&qr, qt, &patience);
    } while (r == ETIMEDOUT);
    check(r, "demi_wait");
    if (qr.qr_opcode == DEMI_OPC_FAILED)
        check((int)qr.qr_ret, "pop");
    check(demi_sgafree(&qr.qr_value.sga), "demi_sgafree");
    check(demi_sgafree(&end), "demi_sgafree");
}

static void give(const struct sockaddr_in *local, const struct sockaddr_in *remote, size_t size,
                 size_t datagrams)
{
    int qd = bound(local);
    demi_sgarray_t sga = filled(size, 1);

    for (size_t i = 0; i < datagrams; i++)
        pushto(qd, &sga, remote);
    check(demi_sgafree(&sga), "demi_sgafree");
    say_end(qd, remote);
    check(demi_close(qd), "demi_close");
    printf("client: %zu datagrams of %zu bytes\n", datagrams, size);
}

int main(int argc, char **argv)
{
    const struct demi_args args = {.argc = argc, .argv = argv};
    int server = argc > 1 && strcmp(argv[1], "--server") == 0;
    int at = server ? 4 : 6; /* of SIZE */
    size_t size = argc > at ? strtoul(argv[at], NULL, 10) : 64;
    size_t datagrams = argc > at + 1 ? strtoul(argv[at + 1], NULL, 10) : 1024;
    struct sockaddr_in local, remote;

    if (argc < at || size == 0 || !read_address(argv + 2, &local) ||
        (!server && !read_address(argv + 4, &remote))) {
        fprintf(stderr, "usage: udp-push-pop --server LOCAL-IP PORT [SIZE [DATAGRAMS]]\n"
                        "       udp-push-pop --client LOCAL-IP PORT REMOTE-IP PORT "
                        "[SIZE [DATAGRAMS]]\n");
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (server)
        take(&local, size, datagrams);
    else
        give(&local, &remote, size, datagrams);
    return 0;
}
