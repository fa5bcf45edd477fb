/* SPDX-License-Identifier: MIT */
/*
 * Messages by reference: each in a new buffer lent to the peer, who reads it as it lies and gives
 * it back. Untouched means that only the first and the last word are written and read; the figures
 * of the other subjects, who touch all, are to be compared with "touched".
 */
#include "bench/membrane/membrane.h"

#include <errno.h>

#include "bench/membrane/native.h"

/* All that may be lent is out: until the peer gives something back. */
BENCH_INLINE int await_return(struct bench_native *end, struct bench_probe *probe)
{
    int result;

    if (!probe->blocking) {
        return bench_spin(probe);
    }
    result = mbr_pipe_await(end->l, end->qd, MBR_READABLE, 0, MBR_FOREVER);
    return result < 0 ? result : 0;
}

BENCH_INLINE int put(struct bench_native *end, struct bench_probe *probe, uint64_t word, bool touch)
{
    demi_sgarray_t sga;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result;

    while ((result = mbr_lend_alloc(end->l, end->qd, probe->size, &sga)) == -EAGAIN) {
        result = await_return(end, probe);
        if (result != 0) {
            return result;
        }
    }
    if (result != 0) {
        return result;
    }
    if (touch) {
        bench_fill(sga.sga_segs[0].sgaseg_buf, probe->size, word);
    } else {
        bench_fill_ends(sga.sga_segs[0].sgaseg_buf, probe->size, word);
    }
    result = mbr_push(end->l, end->qd, &sga, &qt);
    (void)mbr_sga_free(&sga);
    return result != 0 ? result : bench_native_wait(end, qt, &qr);
}

BENCH_INLINE int take(struct bench_native *end, uint64_t word, bool touch)
{
    demi_qtoken_t qt;
    demi_qresult_t qr;
    int result = mbr_pop_in_place(end->l, end->qd, &qt);
    const demi_sgaseg_t *segment = &qr.qr_value.sga.sga_segs[0];

    if (result == 0) {
        result = bench_native_wait(end, qt, &qr);
    }
    if (result != 0) {
        return result;
    }
    result = touch ? bench_check(segment->sgaseg_buf, segment->sgaseg_len, word)
                   : bench_check_ends(segment->sgaseg_buf, segment->sgaseg_len, word);
    (void)mbr_sga_free(&qr.qr_value.sga);
    return result;
}

BENCH_INLINE int show(void *end)
{
    (void)end; /* each push is seen at once */
    return 0;
}

BENCH_INLINE int ends_put(void *end, struct bench_probe *probe, uint64_t word)
{
    return put(end, probe, word, false);
}

BENCH_INLINE int ends_take(void *end, struct bench_probe *probe, uint64_t word)
{
    (void)probe;
    return take(end, word, false);
}

BENCH_INLINE int all_put(void *end, struct bench_probe *probe, uint64_t word)
{
    return put(end, probe, word, true);
}

BENCH_INLINE int all_take(void *end, struct bench_probe *probe, uint64_t word)
{
    (void)probe;
    return take(end, word, true);
}

#define ends_show show
#define all_show  show
BENCH_ROLES(ends)
BENCH_ROLES(all)

const struct bench_subject bench_reference = {
    .name = "reference",
    .about = "pipe, by reference, only the ends of a message touched",
    .flags = BENCH_SPINS | BENCH_BLOCKS,
    .start = bench_meet_start,
    .stop = bench_meet_stop,
    .open = bench_native_open,
    .close = bench_native_close,
    BENCH_ROLES_OF(ends),
    .await_death = bench_native_await_death,
};

const struct bench_subject bench_reference_touched = {
    .name = "reference-touched",
    .about = "pipe, by reference",
    .flags = BENCH_SPINS | BENCH_BLOCKS,
    .start = bench_meet_start,
    .stop = bench_meet_stop,
    .open = bench_native_open,
    .close = bench_native_close,
    BENCH_ROLES_OF(all),
};
