/* SPDX-License-Identifier: MIT */
/*
 * Pipes through the Demikernel API, in three habits of waiting for a pop: for its token alone, for
 * any of all the tokens that are pending, and for whatever completes next. Pushes are always waited
 * for by their token.
 */
#include "bench/membrane/membrane.h"

#include <errno.h>
#include <stdlib.h>

#include <demi/libos.h>
#include <demi/sga.h>
#include <demi/wait.h>

#include "bench/lib/roles.h"
#include "bench/membrane/meet.h"

enum habit { WAIT_ONE, WAIT_ANY, WAIT_NEXT };

static int create(void *lib, const char *name, uint64_t capacity, int *qd)
{
    (void)lib;
    (void)capacity; /* the configuration file has it */
    return -demi_create_pipe(qd, name);
}

static int open_pipe(void *lib, const char *name, int *qd)
{
    (void)lib;
    return -demi_open_pipe(qd, name);
}

static int push(void *lib, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt)
{
    (void)lib;
    return -demi_push(qt, qd, sga);
}

static int pop(void *lib, int qd, demi_qtoken_t *qt)
{
    (void)lib;
    return -demi_pop(qt, qd);
}

static int sga_free(demi_sgarray_t *sga)
{
    return -demi_sgafree(sga);
}

BENCH_INLINE int outcome(int error, const demi_qresult_t *qr)
{
    if (__builtin_expect(error == 0 && qr->qr_opcode == DEMI_OPC_FAILED, 0)) {
        return -(int)qr->qr_ret;
    }
    return -error;
}

static int wait_for(void *lib, demi_qtoken_t qt, demi_qresult_t *qr)
{
    (void)lib;
    return outcome(demi_wait(qr, qt, NULL), qr);
}

static const struct bench_calls calls = {
    .create = create,
    .open = open_pipe,
    .alloc = demi_sgaalloc,
    .free = sga_free,
    .push = push,
    .pop = pop,
    .wait = wait_for,
};

static int open_end(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    const struct demi_args args = {.argc = 0};
    struct bench_met *met = malloc(sizeof(*met));
    int result;

    (void)shared; /* the environment leads to it */
    if (met == NULL) {
        return -ENOMEM;
    }
    result = -demi_init(&args);
    if (result == 0) {
        result = bench_meet(&calls, NULL, side, bc, met);
    }
    if (result != 0) {
        free(met);
        return result;
    }
    *end = met;
    return 0;
}

static void close_end(void *end)
{
    struct bench_met *met = end;

    (void)demi_close(met->qd);
    bench_part(&calls, met);
    free(met);
}

BENCH_INLINE int put(struct bench_met *met, struct bench_probe *probe, uint64_t word)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int error;

    bench_fill(met->sga.sga_segs[0].sgaseg_buf, probe->size, word);
    error = demi_push(&qt, met->qd, &met->sga);
    return error != 0 ? -error : outcome(demi_wait(&qr, qt, NULL), &qr);
}

BENCH_INLINE int await(struct bench_met *met, demi_qresult_t *qr, enum habit habit)
{
    int number = 0;
    int error;

    switch (habit) {
    case WAIT_ANY:
        error = demi_wait_any(qr, &number, met->tokens, met->count, NULL);
        break;
    case WAIT_NEXT:
        error = demi_wait_next_n(qr, 1, &number, NULL);
        break;
    case WAIT_ONE:
    default:
        error = demi_wait(qr, met->tokens[0], NULL);
        break;
    }
    return outcome(error, qr);
}

BENCH_INLINE int take(struct bench_met *met, uint64_t word, enum habit habit)
{
    demi_qresult_t qr;
    int result = -demi_pop(&met->tokens[0], met->qd);

    if (result == 0) {
        result = await(met, &qr, habit);
    }
    if (result != 0) {
        return result;
    }
    result = bench_check(qr.qr_value.sga.sga_segs[0].sgaseg_buf,
                         qr.qr_value.sga.sga_segs[0].sgaseg_len, word);
    (void)demi_sgafree(&qr.qr_value.sga);
    return result;
}

BENCH_INLINE int show(void *end)
{
    (void)end; /* each push is seen at once */
    return 0;
}

#define DEMI_ROLES(NAME, HABIT)                                                       \
    BENCH_INLINE int NAME##_put(void *end, struct bench_probe *probe, uint64_t word)  \
    {                                                                                 \
        return put(end, probe, word);                                                 \
    }                                                                                 \
    BENCH_INLINE int NAME##_show(void *end)                                           \
    {                                                                                 \
        return show(end);                                                             \
    }                                                                                 \
    BENCH_INLINE int NAME##_take(void *end, struct bench_probe *probe, uint64_t word) \
    {                                                                                 \
        (void)probe;                                                                  \
        return take(end, word, HABIT);                                                \
    }                                                                                 \
    BENCH_ROLES(NAME)

DEMI_ROLES(one, WAIT_ONE)
DEMI_ROLES(any, WAIT_ANY)
DEMI_ROLES(next, WAIT_NEXT)

static int await_death(void *end, struct bench_probe *probe)
{
    struct bench_met *met = end;
    demi_qresult_t qr;
    int result = -demi_pop(&met->tokens[0], met->qd);

    (void)probe;
    if (result == 0) {
        result = await(met, &qr, WAIT_ONE);
    }
    if (result == -ECONNRESET) {
        return 0;
    }
    return result < 0 ? result : -EPROTO;
}

#define DEMI_ENDS \
    .start = bench_meet_start, .stop = bench_meet_stop, .open = open_end, .close = close_end

const struct bench_subject bench_demi = {
    .name = "demi",
    .about = "pipe, demi_push, demi_pop and demi_wait",
    .flags = BENCH_SPINS | BENCH_BLOCKS | BENCH_IDLES | BENCH_RESTS,
    DEMI_ENDS,
    BENCH_ROLES_OF(one),
    .await_death = await_death,
};

const struct bench_subject bench_demi_any = {
    .name = "demi-any",
    .about = "the same with demi_wait_any on all pending pops",
    .flags = BENCH_SPINS | BENCH_IDLES,
    .max_message = 64,
    DEMI_ENDS,
    BENCH_ROLES_OF(any),
};

const struct bench_subject bench_demi_next = {
    .name = "demi-next",
    .about = "the same with demi_wait_next_n",
    .flags = BENCH_SPINS | BENCH_IDLES,
    .max_message = 64,
    DEMI_ENDS,
    BENCH_ROLES_OF(next),
};
