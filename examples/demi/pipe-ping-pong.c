/* SPDX-License-Identifier: MIT */
/*
 * Messages back and forth between two processes, through the Demikernel C API:
 *
 *     pipe-ping-pong --server NAME [SIZE [MESSAGES]]
 *     pipe-ping-pong --client NAME [SIZE [MESSAGES]]
 *
 * The server creates the pipes NAME:rx and NAME:tx and sends everything back that the client sends;
 * the client checks what comes back. Build: gcc -std=c99 -I include pipe-ping-pong.c -ldemikernel.
 * Run with LIBOS=catmem and CONFIG_PATH set to a YAML file. One pipe would do, both ends can push
 * and pop: two are used because programs written for older versions do so.
 */
#define _POSIX_C_SOURCE 200809L
#include "../demi_steps.h"

static void serve(const char *name, size_t size, size_t messages)
{
    int rx = named_pipe(demi_create_pipe, name, "rx");
    int tx = named_pipe(demi_create_pipe, name, "tx");
    size_t received = 0;

    while (received < size * messages) {
        demi_sgarray_t sga = pop(rx);
        if (sga.sga_segs[0].sgaseg_len == 0)
            break;
        received += sga.sga_segs[0].sgaseg_len;
        push(tx, &sga);
        check(demi_sgafree(&sga), "demi_sgafree");
    }
    check(demi_close(tx), "demi_close");
    check(demi_close(rx), "demi_close");
    printf("server: %zu bytes\n", received);
    exit(received == size * messages ? 0 : 1);
}

static void ask(const char *name, size_t size, size_t messages)
{
    int tx = named_pipe(demi_open_pipe, name, "rx");
    int rx = named_pipe(demi_open_pipe, name, "tx");

    for (size_t i = 0; i < messages; i++) {
        demi_sgarray_t sent = filled(size, (int)(i % 256));

        push(tx, &sent);
        demi_sgarray_t back = pop(rx);
        if (back.sga_segs[0].sgaseg_len != size ||
            memcmp(back.sga_segs[0].sgaseg_buf, sent.sga_segs[0].sgaseg_buf, size) != 0) {
            fprintf(stderr, "message %zu came back changed\n", i);
            exit(1);
        }
        check(demi_sgafree(&back), "demi_sgafree");
        check(demi_sgafree(&sent), "demi_sgafree");
    }
    check(demi_close(rx), "demi_close");
    check(demi_close(tx), "demi_close");
    printf("client: %zu messages of %zu bytes\n", messages, size);
}

int main(int argc, char **argv)
{
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;
    size_t messages = argc > 4 ? strtoul(argv[4], NULL, 10) : 1024;
    struct demi_args args = {.argc = argc, .argv = argv};

    if (argc < 3) {
        fprintf(stderr, "usage: %s --server|--client NAME [SIZE [MESSAGES]]\n", argv[0]);
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0)
        serve(argv[2], size, messages);
    else
        ask(argv[2], size, messages);
    return 0;
}
