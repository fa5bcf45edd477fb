/* SPDX-License-Identifier: MIT */
/*
 * Ends of the native interface: opening, closing, and the calls the introduction is made with.
 */
#include "bench/membrane/native.h"

#include <errno.h>
#include <stdlib.h>

/* As the hand-tuned rings: bytes published at once, and the part of the ring given back at once. */
#define PUBLISH_BYTES 2048u
#define RETIRE_PART   8u

static int create(void *lib, const char *name, uint64_t capacity, int *qd)
{
    const struct mbr_pipe_options options = {.size = sizeof(options), .capacity = capacity};

    return mbr_pipe_create(lib, name, &options, qd);
}

static int open_pipe(void *lib, const char *name, int *qd)
{
    return mbr_pipe_open(lib, name, NULL, qd);
}

static int push(void *lib, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt)
{
    return mbr_push(lib, qd, sga, qt);
}

static int pop(void *lib, int qd, demi_qtoken_t *qt)
{
    return mbr_pop(lib, qd, 0, qt);
}

static int wait_for(void *lib, demi_qtoken_t qt, demi_qresult_t *qr)
{
    int result = mbr_wait(lib, qt, MBR_FOREVER, qr);

    return result == 0 && qr->qr_opcode == DEMI_OPC_FAILED ? -(int)qr->qr_ret : result;
}

const struct bench_calls bench_native_calls = {
    .create = create,
    .open = open_pipe,
    .alloc = mbr_sga_alloc,
    .free = mbr_sga_free,
    .push = push,
    .pop = pop,
    .wait = wait_for,
};

int bench_native_open(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    struct bench_native *made = aligned_alloc(128, sizeof(*made));
    uint64_t capacity = bench_ring_bytes(bc);
    int result;

    (void)shared; /* the environment leads to it */
    if (made == NULL) {
        return -ENOMEM;
    }
    *made = (struct bench_native){
        .hold = PUBLISH_BYTES < capacity / RETIRE_PART ? PUBLISH_BYTES : capacity / RETIRE_PART,
        .keep = capacity / RETIRE_PART,
    };
    result = mbr_libos_open("catmem", NULL, &made->l);
    if (result == 0) {
        result = bench_meet(&bench_native_calls, made->l, side, bc, &made->met);
        if (result != 0) {
            mbr_libos_close(made->l);
        }
    }
    if (result != 0) {
        free(made);
        return result;
    }
    made->qd = made->met.qd;
    *end = made;
    return 0;
}

void bench_native_close(void *end)
{
    struct bench_native *made = end;

    bench_part(&bench_native_calls, &made->met);
    mbr_libos_close(made->l);
    free(made);
}

int bench_native_await_death(void *end, struct bench_probe *probe)
{
    struct bench_native *native = end;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = mbr_pop(native->l, native->qd, 0, &qt);

    (void)probe;
    if (result == 0) {
        result = bench_native_wait(native, qt, &qr);
    }
    if (result == -ECONNRESET) {
        return 0;
    }
    return result < 0 ? result : -EPROTO;
}
