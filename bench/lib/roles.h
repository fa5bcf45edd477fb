/* SPDX-License-Identifier: MIT */
/*
 * The four roles of a subject, made of three functions of its own:
 *   put   one message; waits while there is no room; may hold it back to publish several at once
 *   show  publishes what put holds back
 *   take  the next message, checked: 0, BENCH_ENDED, or a negative errno; waits for it
 * The loops are inlined into each subject together with the three functions, so that the sharing of
 * this source costs the subjects nothing and distinguishes none of them.
 */
#ifndef BENCH_LIB_ROLES_H
#define BENCH_LIB_ROLES_H

#include <errno.h>

#include "bench/lib/subject.h"

#define BENCH_INLINE static inline __attribute__((always_inline))

typedef int bench_message_fn(void *end, struct bench_probe *probe, uint64_t word);
typedef int bench_show_fn(void *end);

BENCH_INLINE int bench_ping(void *end, struct bench_probe *probe, bench_message_fn *put,
                            bench_show_fn *show, bench_message_fn *take)
{
    uint64_t word = 0;
    int result;

    bench_lap_start(probe);
    do {
        result = put(end, probe, word);
        if (result == 0) {
            result = show(end);
        }
        if (result == 0) {
            result = take(end, probe, word++);
        }
        if (result != 0) {
            return result < 0 ? result : -EPROTO;
        }
    } while (bench_lap(probe));
    result = put(end, probe, BENCH_END);
    return result != 0 ? result : show(end);
}

BENCH_INLINE int bench_pong(void *end, struct bench_probe *probe, bench_message_fn *put,
                            bench_show_fn *show, bench_message_fn *take)
{
    for (uint64_t word = 0;; word++) {
        int result = take(end, probe, word);

        if (result != 0) {
            return result < 0 ? result : 0;
        }
        bench_rest(probe);
        result = put(end, probe, word);
        if (result == 0) {
            result = show(end);
        }
        if (result != 0) {
            return result;
        }
    }
}

BENCH_INLINE int bench_send(void *end, struct bench_probe *probe, bench_message_fn *put,
                            bench_show_fn *show)
{
    int result;

    for (uint64_t seq = 0; bench_more(probe, seq); seq++) {
        result = put(end, probe, seq);
        if (result != 0) {
            return result;
        }
    }
    result = put(end, probe, BENCH_END);
    return result != 0 ? result : show(end);
}

BENCH_INLINE int bench_recv(void *end, struct bench_probe *probe, bench_message_fn *take)
{
    for (uint64_t seq = 0;; seq++) {
        int result = take(end, probe, seq);

        if (__builtin_expect(result != 0, 0)) {
            bench_took_end(probe, seq);
            return result < 0 ? result : 0;
        }
        bench_took(probe, seq);
    }
}

/* Defines NAME_ping() to NAME_recv() out of NAME_put(), NAME_show() and NAME_take(). */
#define BENCH_ROLES(NAME)                                                    \
    static int NAME##_ping(void *end, struct bench_probe *probe)             \
    {                                                                        \
        return bench_ping(end, probe, NAME##_put, NAME##_show, NAME##_take); \
    }                                                                        \
    static int NAME##_pong(void *end, struct bench_probe *probe)             \
    {                                                                        \
        return bench_pong(end, probe, NAME##_put, NAME##_show, NAME##_take); \
    }                                                                        \
    static int NAME##_send(void *end, struct bench_probe *probe)             \
    {                                                                        \
        return bench_send(end, probe, NAME##_put, NAME##_show);              \
    }                                                                        \
    static int NAME##_recv(void *end, struct bench_probe *probe)             \
    {                                                                        \
        return bench_recv(end, probe, NAME##_take);                          \
    }

/* The members of a struct bench_subject that BENCH_ROLES(NAME) has defined. */
#define BENCH_ROLES_OF(NAME) \
    .ping = NAME##_ping, .pong = NAME##_pong, .send = NAME##_send, .recv = NAME##_recv

#endif
