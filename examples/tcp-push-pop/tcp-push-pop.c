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
#include "../demi_steps.h"

#define UNDER_WAY 8 /* pushes that have not been waited for */

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
        demi_sgarray_t sga = pop(qd);
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
    demi_qtoken_t qts[UNDER_WAY];
    int qd = connected(addr);

    for (size_t i = 0; i < messages; i++) {
        demi_sgarray_t sga = filled(size, (int)(i & 255));

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
    struct sockaddr_in addr;
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : 64;
    size_t messages = argc > 5 ? strtoul(argv[5], NULL, 10) : 1024;

    if (argc < 4 || size == 0 || !read_address(argv + 2, &addr)) {
        fprintf(stderr, "usage: tcp-push-pop --server|--client IP PORT [SIZE [MESSAGES]]\n");
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        take(&addr, size, messages);
    else
        give(&addr, size, messages);
    return 0;
}
