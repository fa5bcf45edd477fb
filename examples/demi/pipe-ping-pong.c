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
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

static void check(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

/* Waits for an operation, which must succeed. */
static demi_qresult_t wait_for(demi_qtoken_t qt, const char *what)
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
    (void)wait_for(qt, "push");
}

/* The next message, of length 0 when the peer has closed. It is given back with demi_sgafree(). */
static demi_sgarray_t pop(int qd)
{
    demi_qtoken_t qt;

    check(demi_pop(&qt, qd), "demi_pop");
    return wait_for(qt, "pop").qr_value.sga;
}

static int named_pipe(int (*call)(int *, const char *), const char *name, const char *suffix)
{
    const struct timespec moment = {0, 1000000};
    char whole[256];
    int qd, rc, none;
    demi_qresult_t qr;

    snprintf(whole, sizeof(whole), "%s:%s", name, suffix);
    /* Whoever opens may come first: then the pipe is not there yet. */
    while ((rc = call(&qd, whole)) == ENOENT)
        (void)demi_wait_any(&qr, &none, (demi_qtoken_t[]){0}, 0, &moment);
    check(rc, whole);
    return qd;
}

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
        demi_sgarray_t sent = demi_sgaalloc(size), back;
        check(sent.sga_buf ? 0 : ENOMEM, "demi_sgaalloc");
        memset(sent.sga_segs[0].sgaseg_buf, (int)(i % 256), size);
        push(tx, &sent);
        back = pop(rx);
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
