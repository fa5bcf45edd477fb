/* SPDX-License-Identifier: MIT */
/*
 * The shared page (and the array of round trips behind it) through which one measurement's keeper,
 * its two sides and the program that asked for it talk. Private to run.c, keeper.c and side.c.
 * Everything here is written by our own children only, so it is read without distrust; a child
 * that dies half way leaves `done` at 0.
 */
#ifndef BENCH_LIB_CONTROL_H
#define BENCH_LIB_CONTROL_H

#include <stdalign.h>
#include <stdint.h>

#include "bench/lib/linecheck.h"
#include "bench/lib/pin.h"
#include "bench/lib/subject.h"

#define BENCH_LAPS (1u << 18)

/* The line games: one line and two lines, before and after. */
enum { BENCH_LINE_1_BEFORE, BENCH_LINE_2_BEFORE, BENCH_LINE_1_AFTER, BENCH_LINE_2_AFTER };
#define BENCH_LINE_GAMES 4

/* Barriers a side passes; `step` holds the number of the last one it has reached. */
enum {
    BENCH_STEP_PINNED = 1, /* before open() */
    BENCH_STEP_OPEN,       /* both are connected */
    BENCH_STEP_START,      /* the line games are over: go */
    BENCH_STEP_END,        /* the measurement is over */
};

struct bench_side_state {
    alignas(128) uint32_t step;
    uint32_t done; /* 1: `status` is final */
    int32_t status;
    char where[16]; /* the function that failed */
    uint64_t lap_count;
    uint64_t first_seq, first_at, last_seq, last_at;
    uint64_t noticed_ns; /* BENCH_DEATH: when side A had been told */
    uint64_t preempted;  /* involuntary context switches while measuring */
    uint64_t switched;   /* voluntary ones */
    double line_ns[BENCH_LINE_GAMES];
};

struct bench_control {
    alignas(128) uint32_t abort; /* keeper to both sides: the other one is gone */
    struct bench_side_state side[2];
    struct bench_lines lines[BENCH_LINE_GAMES];
    int32_t status; /* keeper: 0, or what went wrong */
    uint32_t priority;
    uint32_t parked; /* BENCH_DEATH: side A was asleep when side B was killed */
    uint64_t killed_ns;
    char error[120];
    uint32_t laps[BENCH_LAPS];
};

/* One measurement as its processes see it. */
struct bench_job {
    const struct bench_subject *subject;
    const struct bench_case *bc;
    const struct bench_place *place;
    struct bench_control *control;
    uint64_t timeout_ns;
    int asker; /* pid of the program that asked: the keeper ends with it */
};

/* The whole life of the keeper process; does not return. */
_Noreturn void bench_keeper_main(const struct bench_job *job);

/* The whole life of a side process; does not return. */
_Noreturn void bench_side_main(const struct bench_job *job, enum bench_side side, void *shared,
                               int keeper);

#endif
