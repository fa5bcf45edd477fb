/* SPDX-License-Identifier: MIT */
/*
 * Pipes with push, pop and wait: one copy in and one out. One message at a time, as programs do it
 * that were written for queues.
 */
#include "bench/membrane/membrane.h"

#include <errno.h>

#include "bench/membrane/native.h"

BENCH_INLINE int copy_put(void *end, struct bench_probe *probe, uint64_t word)
{
    struct bench_native *native = end;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result;

    bench_fill(native->met.sga.sga_segs[0].sgaseg_buf, probe->size, word);
    result = mbr_push(native->l, native->qd, &native->met.sga, &qt);
    return result != 0 ? result : bench_native_wait(native, qt, &qr);
}

BENCH_INLINE int copy_show(void *end)
{
    (void)end; /* each push is seen at once */
    return 0;
}

BENCH_INLINE int copy_take(void *end, struct bench_probe *probe, uint64_t word)
{
    struct bench_native *native = end;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = mbr_pop(native->l, native->qd, 0, &qt);

    (void)probe;
    if (result == 0) {
        result = bench_native_wait(native, qt, &qr);
    }
    if (result != 0) {
        return result;
    }
    result = bench_check(qr.qr_value.sga.sga_segs[0].sgaseg_buf,
                         qr.qr_value.sga.sga_segs[0].sgaseg_len, word);
    (void)mbr_sga_free(&qr.qr_value.sga);
    return result;
}

BENCH_ROLES(copy)

const struct bench_subject bench_copy = {
    .name = "copy",
    .about = "pipe, push, pop and wait",
    .flags = BENCH_SPINS | BENCH_BLOCKS | BENCH_IDLES | BENCH_RESTS,
    .start = bench_meet_start,
    .stop = bench_meet_stop,
    .open = bench_native_open,
    .close = bench_native_close,
    BENCH_ROLES_OF(copy),
    .await_death = bench_native_await_death,
};
