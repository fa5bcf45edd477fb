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
#include "../demi_steps.h"

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
    int qd = connected(addr);

    for (size_t i = 0; i < messages; i++) {
        demi_sgarray_t sga = filled(size, (int)(i & 255));

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
    struct sockaddr_in addr;
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : 64;
    size_t messages = argc > 5 ? strtoul(argv[5], NULL, 10) : 1024;

    if (argc < 4 || size == 0 || !read_address(argv + 2, &addr)) {
        fprintf(stderr, "usage: tcp-ping-pong --server|--client IP PORT [SIZE [MESSAGES]]\n");
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        serve(&addr, size * messages);
    else
        ask(&addr, size, messages);
    return 0;
}
