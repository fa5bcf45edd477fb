/* SPDX-License-Identifier: MIT */
/*
 * The interface between the benchmarks and what they measure. A subject is one constant table of
 * functions; a case says what is measured of it. One measurement is made by three processes:
 *
 *   keeper   calls start(), forks the two sides, calls parted(), waits for both, calls stop()
 *   side A   open(), then ping() or send() or await_death(), close()
 *   side B   open(), then pong() or recv() or victim(), close()
 *
 * The sides are pinned before open() and meet at a barrier before and after it, so connecting is
 * never timed. All functions return 0 or a negative errno, which ends the measurement and is
 * reported; functions that wait must return when bench_spin() says so or be blocked in a system
 * call, from which the keeper ends them by SIGKILL at the deadline.
 */
#ifndef BENCH_LIB_SUBJECT_H
#define BENCH_LIB_SUBJECT_H

#include "bench/lib/probe.h"

enum bench_kind {
    BENCH_RTT,    /* ping-pong: time of each round trip */
    BENCH_STREAM, /* one way: messages a second */
    BENCH_DEATH,  /* from SIGKILL of side B until the parked side A has been told */
};

enum bench_side { BENCH_A, BENCH_B };

struct bench_case {
    enum bench_kind kind;
    bool blocking;       /* wait in the kernel; otherwise spin, without ever sleeping */
    bool one_cpu;        /* both sides on one CPU; otherwise one each */
    size_t size;         /* bytes of a message, a multiple of 8 */
    size_t ring_bytes;   /* capacity of a ring; 0: what suits the case, see bench_ring_bytes() */
    unsigned idle;       /* that many other channels with an operation pending on side B */
    uint64_t rest_ns;    /* BENCH_RTT: both sides work for so long before each message, while the
                            other one falls asleep; not part of the figure */
    uint64_t warm_ns;    /* not measured */
    uint64_t span_ns;    /* measured */
    uint64_t timeout_ns; /* of the whole measurement; 0: four times the above and 3 s */
};

/* Flags of a subject. */
#define BENCH_SPINS  1u /* can do cases that spin */
#define BENCH_BLOCKS 2u /* can do cases that block */
#define BENCH_IDLES  4u /* can do cases with idle channels */
#define BENCH_RESTS  8u /* its pong() calls bench_rest() before each answer */

struct bench_subject {
    const char *name;  /* unique, without spaces */
    const char *about; /* one line */
    unsigned flags;
    size_t max_message; /* bytes; 0: any */
    const void *config; /* for start() */

    /* In the keeper: makes what both sides inherit. NULL when they find each other by name. */
    int (*start)(const struct bench_subject *self, const struct bench_case *bc, void **shared);
    /* In the keeper, when both sides are forked: closes descriptors that only they shall hold. */
    void (*parted)(void *shared);
    /* In the keeper, when both sides are gone, however they went. */
    void (*stop)(void *shared);

    /* In each side. `shared` is what start() made, or NULL. */
    int (*open)(void *shared, enum bench_side side, const struct bench_case *bc, void **end);
    void (*close)(void *end);

    /* BENCH_RTT: round trips until bench_lap() says stop, then BENCH_END to the other side. */
    int (*ping)(void *end, struct bench_probe *probe);
    /* Answers each message with one of its own, until BENCH_END (which it does not answer). */
    int (*pong)(void *end, struct bench_probe *probe);

    /* BENCH_STREAM: messages 0, 1, ... while bench_more(), then BENCH_END. */
    int (*send)(void *end, struct bench_probe *probe);
    /* Checks each, calls bench_took() for each and bench_took_end() at BENCH_END. */
    int (*recv)(void *end, struct bench_probe *probe);

    /* BENCH_DEATH: waits, parked, until told that side B is gone; 0 when it was. */
    int (*await_death)(void *end, struct bench_probe *probe);
    /* Anything side B shall do before it waits for its end; NULL: nothing. */
    int (*victim)(void *end, struct bench_probe *probe);
};

/* True when the subject has the functions, flags and message size that the case asks for. */
bool bench_subject_can(const struct bench_subject *subject, const struct bench_case *bc);

/* The ring size of a case: its own, or the default for its kind and message size. */
size_t bench_ring_bytes(const struct bench_case *bc);

/* "rtt 64 B", "stream 1 MiB block", ... Returns `text`. */
const char *bench_case_name(const struct bench_case *bc, char *text, size_t size);

#endif
