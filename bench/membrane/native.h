/* SPDX-License-Identifier: MIT */
/*
 * What the subjects of the native interface have in common: their end, and waiting for a token.
 */
#ifndef BENCH_MEMBRANE_NATIVE_H
#define BENCH_MEMBRANE_NATIVE_H

#include <membrane/queue.h>

#include "bench/lib/roles.h"
#include "bench/membrane/meet.h"

/* On lines of its own: the two sides' ends are in memory of their own, but the heap is shared with
 * whatever else the process has. */
struct bench_native {
    _Alignas(128) struct mbr_libos *l;
    int qd;
    uint64_t held;  /* in place: bytes committed and not flushed ... */
    uint64_t freed; /* ... and released and not retired */
    uint64_t hold;  /* flush and retire at the latest after so many */
    uint64_t keep;
    struct bench_met met;
};

int bench_native_open(void *shared, enum bench_side side, const struct bench_case *bc, void **end);
void bench_native_close(void *end);

/* For BENCH_DEATH, parked in a pop: 0 when it ended with ECONNRESET. */
int bench_native_await_death(void *end, struct bench_probe *probe);

/* Waits for one token; what the operation ended with. The library spins and parks as it likes. */
BENCH_INLINE int bench_native_wait(struct bench_native *end, demi_qtoken_t qt, demi_qresult_t *qr)
{
    int result = mbr_wait(end->l, qt, MBR_FOREVER, qr);

    return __builtin_expect(result == 0 && qr->qr_opcode == DEMI_OPC_FAILED, 0) ? -(int)qr->qr_ret
                                                                                : result;
}

#endif
