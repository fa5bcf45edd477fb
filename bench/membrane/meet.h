/* SPDX-License-Identifier: MIT */
/*
 * How the two sides of a pipe's measurement find each other: a directory of names of their own, a
 * configuration file for the demi API, and the introduction, which leaves both ends known to each
 * other and all idle channels in place before anything is timed.
 */
#ifndef BENCH_MEMBRANE_MEET_H
#define BENCH_MEMBRANE_MEET_H

#include <demi/types.h>

#include "bench/lib/subject.h"

/* start() and stop() of all subjects that use pipes. The environment of the keeper, and so of both
 * sides, then leads to a temporary directory, which stop() removes. */
int bench_meet_start(const struct bench_subject *self, const struct bench_case *bc, void **shared);
void bench_meet_stop(void *shared);

/* One of the two interfaces, as far as the introduction needs it. Negative errnos; open() returns
 * -ENOENT until there is such a pipe, wait() returns what the operation ended with. */
struct bench_calls {
    int (*create)(void *lib, const char *name, uint64_t capacity, int *qd);
    int (*open)(void *lib, const char *name, int *qd);
    demi_sgarray_t (*alloc)(size_t size);
    int (*free)(demi_sgarray_t *sga);
    int (*push)(void *lib, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt);
    int (*pop)(void *lib, int qd, demi_qtoken_t *qt);
    int (*wait)(void *lib, demi_qtoken_t qt, demi_qresult_t *qr);
};

/* What a side has afterwards. */
struct bench_met {
    int qd;
    demi_sgarray_t sga; /* a message's worth of memory, to push from */
    /* Pending pops of the idle channels, on side B; tokens[0] is left for the busy one. */
    demi_qtoken_t *tokens;
    int count; /* at least 1 */
};

/* Opens side `side` of everything the case wants. On failure the process ends anyway, so what is
 * open stays open. Blocks until the other side has come. */
int bench_meet(const struct bench_calls *calls, void *lib, enum bench_side side,
               const struct bench_case *bc, struct bench_met *met);
void bench_part(const struct bench_calls *calls, struct bench_met *met);

/* The native interface; `lib` is a struct mbr_libos. */
extern const struct bench_calls bench_native_calls;

#endif
