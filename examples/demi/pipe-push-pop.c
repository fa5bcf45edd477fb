/* SPDX-License-Identifier: MIT */
/*
 * A stream of messages one way, through the Demikernel C API:
 *
 *     pipe-push-pop --server NAME [SIZE [MESSAGES]]     creates NAME:rx and pops
 *     pipe-push-pop --client NAME [SIZE [MESSAGES]]     opens it and pushes
 *
 * The client keeps several pushes under way and waits for whichever completes first; the server
 * checks every byte. Build: gcc -std=c99 -I include pipe-push-pop.c -ldemikernel. Run with
 * LIBOS=catmem and CONFIG_PATH set to a YAML file.
 */
#define _POSIX_C_SOURCE 200809L
#include "../demi_steps.h"

#define WINDOW 8

static demi_qtoken_t start_push(int qd, size_t size, size_t number)
{
    demi_sgarray_t sga = filled(size, (int)(number % 256));
    demi_qtoken_t qt;

    check(demi_push(&qt, qd, &sga), "demi_push");
    /* The library has its own reference until the push completes. */
    check(demi_sgafree(&sga), "demi_sgafree");
    return qt;
}

static void send_all(int qd, size_t size, size_t messages)
{
    demi_qtoken_t qts[WINDOW];
    size_t started = 0, done = 0;
    int n = 0;

    while (done < messages) {
        demi_qresult_t qr;
        int at;

        while (n < WINDOW && started < messages)
            qts[n++] = start_push(qd, size, started++);
        check(demi_wait_any(&qr, &at, qts, n, NULL), "demi_wait_any");
        if (qr.qr_opcode == DEMI_OPC_FAILED)
            check((int)qr.qr_ret, "push");
        qts[at] = qts[--n];
        done++;
    }
    printf("client: %zu messages of %zu bytes\n", messages, size);
}

/* Every byte of message NUMBER. */
static void examine(const demi_sgarray_t *sga, size_t size, size_t number)
{
    const unsigned char *data = sga->sga_segs[0].sgaseg_buf;
    int good = sga->sga_segs[0].sgaseg_len == size;

    for (size_t i = 0; good && i < size; i++)
        good = data[i] == number % 256;
    if (!good) {
        fprintf(stderr, "message %zu is wrong\n", number);
        exit(1);
    }
}

static void receive_all(int qd, size_t size, size_t messages)
{
    for (size_t i = 0;; i++) {
        demi_sgarray_t sga = pop(qd);
        size_t length = sga.sga_segs[0].sgaseg_len;

        if (length > 0)
            examine(&sga, size, i);
        check(demi_sgafree(&sga), "demi_sgafree");
        if (length > 0)
            continue;
        printf("server: %zu messages\n", i);
        exit(i == messages ? 0 : 1);
    }
}

int main(int argc, char **argv)
{
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;
    size_t messages = argc > 4 ? strtoul(argv[4], NULL, 10) : 1024;
    struct demi_args args = {.argc = argc, .argv = argv};
    int qd;

    if (argc < 3) {
        fprintf(stderr, "usage: %s --server|--client NAME [SIZE [MESSAGES]]\n", argv[0]);
        return 2;
    }
    check(demi_init(&args), "demi_init");
    if (strcmp(argv[1], "--server") == 0) {
        qd = named_pipe(demi_create_pipe, argv[2], "rx");
        receive_all(qd, size, messages);
    } else {
        qd = named_pipe(demi_open_pipe, argv[2], "rx");
        send_all(qd, size, messages);
    }
    check(demi_close(qd), "demi_close");
    return 0;
}
