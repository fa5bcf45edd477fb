/* SPDX-License-Identifier: MIT */
/*
 * The table of subjects, cases and goals.
 */
#include "bench/subjects.h"

#include <string.h>

#include "bench/baseline/baseline.h"
#include "bench/membrane/membrane.h"
#include "bench/peers/peers.h"

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

const struct bench_subject *const bench_subjects[] = {
    &bench_line1,
    &bench_line2,
    &bench_tuned[0],
    &bench_tuned[1],
    &bench_tuned[2],
    &bench_tuned[3],
    &bench_tuned[4],
    &bench_ring,
    &bench_ring_armed,
    &bench_ring_each,
    &bench_place,
    &bench_place_poll,
    &bench_copy,
#ifdef BENCH_WITH_DEMI
    &bench_demi,
    &bench_demi_any,
    &bench_demi_next,
    &bench_catnap,
    &bench_catloop,
    &bench_catloop_connect,
    &bench_tcp_connect,
#endif
    &bench_reference,
    &bench_reference_touched,
    &bench_pipe,
    &bench_unix,
    &bench_tcp,
    &bench_futex,
    &bench_unix_buffered,
#ifdef BENCH_WITH_ZMQ
    &bench_zmq,
#endif
#ifdef BENCH_WITH_NNG
    &bench_nng,
#endif
#ifdef BENCH_WITH_NANOMSG
    &bench_nanomsg,
#endif
    NULL,
};

const struct bench_standard_case bench_cases[] = {
    {{.kind = BENCH_RTT, .size = 64}, "tuned-slot", true},
    {{.kind = BENCH_RTT, .size = 64, .idle = 1000}, NULL, false},
    {{.kind = BENCH_RTT, .size = 4 * KIB}, "tuned-slot", false},
    {{.kind = BENCH_RTT, .size = 64, .blocking = true, .one_cpu = true}, "futex", true},
    {{.kind = BENCH_RTT, .size = 64, .blocking = true}, "futex", true},
    {{.kind = BENCH_RTT, .size = 64, .blocking = true, .rest_ns = 300 * BENCH_US}, "futex", true},
    {{.kind = BENCH_STREAM, .size = 64}, "tuned-slot", true},
    {{.kind = BENCH_STREAM, .size = 8 * KIB}, "tcp", false},
    {{.kind = BENCH_STREAM, .size = 16 * KIB}, "tuned-slot", false},
    {{.kind = BENCH_STREAM, .size = MIB}, "tuned-slot", true},
    {{.kind = BENCH_DEATH, .size = 64, .blocking = true}, "pipe", true},
};
const size_t bench_case_count = sizeof(bench_cases) / sizeof(bench_cases[0]);

const struct bench_goal bench_goals[] = {
    {"place", "rtt 64 B", BENCH_RATIO_AT_MOST, 1.25, "ring", NULL},
    {"demi", "rtt 64 B", BENCH_RATIO_AT_MOST, 1.4, "ring", NULL},
    {"ring-armed", "stream 64 B", BENCH_RATE_AT_LEAST, 100e6, NULL, NULL},
    {"ring-armed", "stream 64 B", BENCH_RATIO_AT_LEAST, 0.8, "tuned-*", NULL},
    {"demi", "stream 64 B", BENCH_RATE_AT_LEAST, 20e6, NULL, NULL},
    {"copy", "stream 16 KiB", BENCH_RATIO_AT_LEAST, 0.9, "tuned-slot-copy", NULL},
    {"copy", "stream 1 MiB", BENCH_RATIO_AT_LEAST, 0.9, "tuned-slot-copy", NULL},
    {"place", "stream 16 KiB", BENCH_RATIO_AT_LEAST, 0.95, "tuned-slot", NULL},
    {"place", "stream 1 MiB", BENCH_RATIO_AT_LEAST, 0.95, "tuned-slot", NULL},
    {"reference", "stream 1 MiB", BENCH_RATIO_AT_LEAST, 0.5, "reference", "stream 64 B"},
    {"place", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "place", "rtt 64 B"},
    {"copy", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "copy", "rtt 64 B"},
    {"demi", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "demi", "rtt 64 B"},
    {"demi-any", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "demi-any", "rtt 64 B"},
    {"demi-next", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "demi-next", "rtt 64 B"},
    {"catnap", "rtt 64 B", BENCH_RATIO_AT_MOST, 1.1, "tcp", NULL},
    {"catnap", "stream 64 B", BENCH_RATIO_AT_LEAST, 0.95, "tcp", NULL},
    {"catnap", "stream 8 KiB", BENCH_RATIO_AT_LEAST, 0.95, "tcp", NULL},
    {"catnap", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "catnap", "rtt 64 B"},
    {"catloop", "rtt 64 B", BENCH_RATIO_AT_MOST, 1.1, "demi", NULL},
    {"catloop", "rtt 64 B idle1000", BENCH_RATIO_AT_MOST, 1.05, "catloop", "rtt 64 B"},
    {"catloop-connect", "rtt 64 B", BENCH_RATIO_AT_MOST, 1.0, "tcp-connect", NULL},
    {"place", "death", BENCH_LATER_AT_MOST, 5e6, "pipe", NULL},
    {"demi", "death", BENCH_LATER_AT_MOST, 5e6, "pipe", NULL},
    {"place", "rtt 64 B block 1cpu", BENCH_RATIO_AT_MOST, 1.15, "futex", NULL},
    {"place", "rtt 64 B block", BENCH_RATIO_AT_MOST, 1.3, "futex", NULL},
    {"place", "rtt 64 B woken", BENCH_RATIO_AT_MOST, 1.3, "futex", NULL},
};
const size_t bench_goal_count = sizeof(bench_goals) / sizeof(bench_goals[0]);

const struct bench_subject *bench_subject_find(const char *name)
{
    for (size_t i = 0; bench_subjects[i] != NULL; i++) {
        if (strcmp(bench_subjects[i]->name, name) == 0) {
            return bench_subjects[i];
        }
    }
    return NULL;
}
