/* SPDX-License-Identifier: MIT */
/*
 * Pipes in place: messages are made and read in the ring itself. Several are flushed, and retired,
 * at once, as the hand-tuned rings do it.
 */
#include "bench/membrane/membrane.h"

#include <errno.h>

#include "bench/membrane/native.h"

BENCH_INLINE int flush(struct bench_native *end)
{
    end->held = 0;
    return mbr_pipe_flush(end->l, end->qd);
}

BENCH_INLINE int retire(struct bench_native *end)
{
    end->freed = 0;
    return mbr_pipe_retire(end->l, end->qd);
}

/* There is no room, or no message, now. */
BENCH_INLINE int await(struct bench_native *end, struct bench_probe *probe, unsigned what,
                       bool poll)
{
    int result;

    if (poll && !probe->blocking) {
        return bench_spin(probe);
    }
    result = mbr_pipe_await(end->l, end->qd, what, (uint32_t)probe->size, MBR_FOREVER);
    return result < 0 ? result : 0;
}

BENCH_INLINE int put(struct bench_native *end, struct bench_probe *probe, uint64_t word, bool poll)
{
    uint32_t size = (uint32_t)probe->size;
    void *to;
    int result;

    while ((result = mbr_pipe_reserve(end->l, end->qd, size, &to)) == -EAGAIN) {
        result = end->held != 0 ? flush(end) : 0;
        if (result == 0) {
            result = await(end, probe, MBR_WRITABLE, poll);
        }
        if (result != 0) {
            return result;
        }
    }
    if (result != 0) {
        return result;
    }
    bench_fill(to, size, word);
    result = mbr_pipe_commit(end->l, end->qd, size);
    end->held += size;
    return end->held >= end->hold && result == 0 ? flush(end) : result;
}

BENCH_INLINE int take(struct bench_native *end, struct bench_probe *probe, uint64_t word, bool poll)
{
    const void *from;
    uint64_t left;
    uint32_t size;
    int result, checked;

    while ((result = mbr_pipe_peek(end->l, end->qd, &from, &size, &left)) == -EAGAIN) {
        result = end->freed != 0 ? retire(end) : 0;
        if (result == 0) {
            result = await(end, probe, MBR_READABLE, poll);
        }
        if (result != 0) {
            return result;
        }
    }
    if (result != 0) {
        return result;
    }
    checked = left == 0 ? bench_check(from, size, word) : -EBADMSG;
    result = mbr_pipe_release(end->l, end->qd);
    end->freed += size;
    if (end->freed >= end->keep && result == 0) {
        result = retire(end);
    }
    return result != 0 ? result : checked;
}

BENCH_INLINE int show(void *end)
{
    struct bench_native *native = end;

    return native->held != 0 ? flush(native) : 0;
}

BENCH_INLINE int place_put(void *end, struct bench_probe *probe, uint64_t word)
{
    return put(end, probe, word, false);
}

BENCH_INLINE int place_take(void *end, struct bench_probe *probe, uint64_t word)
{
    return take(end, probe, word, false);
}

BENCH_INLINE int poll_put(void *end, struct bench_probe *probe, uint64_t word)
{
    return put(end, probe, word, true);
}

BENCH_INLINE int poll_take(void *end, struct bench_probe *probe, uint64_t word)
{
    return take(end, probe, word, true);
}

#define place_show show
#define poll_show  show
BENCH_ROLES(place)
BENCH_ROLES(poll)

/* Parked in the wait for a message. */
static int await_death(void *end, struct bench_probe *probe)
{
    struct bench_native *native = end;
    const void *from;
    uint64_t left;
    uint32_t size;
    int result;

    while ((result = mbr_pipe_peek(native->l, native->qd, &from, &size, &left)) == -EAGAIN) {
        result = await(native, probe, MBR_READABLE, false);
        if (result != 0) {
            return result;
        }
    }
    if (result == -ECONNRESET) {
        return 0;
    }
    return result < 0 ? result : -EPROTO;
}

const struct bench_subject bench_place = {
    .name = "place",
    .about = "pipe, in place",
    .flags = BENCH_SPINS | BENCH_BLOCKS | BENCH_IDLES | BENCH_RESTS,
    .start = bench_meet_start,
    .stop = bench_meet_stop,
    .open = bench_native_open,
    .close = bench_native_close,
    BENCH_ROLES_OF(place),
    .await_death = await_death,
};

const struct bench_subject bench_place_poll = {
    .name = "place-poll",
    .about = "pipe, in place, looking again instead of waiting",
    .flags = BENCH_SPINS,
    .start = bench_meet_start,
    .stop = bench_meet_stop,
    .open = bench_native_open,
    .close = bench_native_close,
    BENCH_ROLES_OF(poll),
};
