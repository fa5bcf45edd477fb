/* SPDX-License-Identifier: MIT */
/*
 * membrane-turns WHAT N: does a thing N times and nothing else, to be run under a program that
 * counts. The difference between two runs is what N costs; membrane-costs does that. With a third
 * argument, "marked", it sends itself SIGUSR1 before and after the N times, for a tracer. The demi
 * API comes from the shared library, as in any program.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/costs/turns.h"
#include "bench/membrane/meet.h"
#include "sched/sched.h"

enum { EXIT_NEGATIVE = 1, EXIT_USAGE = 2 };

#define MESSAGE_BYTES 64u
#define LARGE_BYTES   ((size_t)1 << 20)
#define WARM_TURNS    1000u

static bool marked;

static void mark(void)
{
    if (marked) {
        (void)raise(SIGUSR1);
    }
}

static int turns_of(size_t size, uint64_t count)
{
    struct costs_pipe pipe;
    int result = costs_open(&pipe);

    if (result != 0) {
        return result;
    }
    result = costs_turns(&pipe, WARM_TURNS, size);
    mark();
    if (result == 0) {
        result = costs_turns(&pipe, count, size);
    }
    mark();
    costs_close(&pipe);
    return result;
}

static int turns(uint64_t count)
{
    return turns_of(MESSAGE_BYTES, count);
}

static int large_turns(uint64_t count)
{
    return turns_of(LARGE_BYTES, count);
}

/* Two tasks that wake each other: every call is a switch. */
struct partner {
    struct mbr__task task;
    struct mbr__task *other;
};

static enum mbr__task_result call_other(struct mbr__task *task)
{
    mbr__sched_wake(((struct partner *)(void *)task)->other);
    return MBR__TASK_PENDING;
}

static int switches(uint64_t count)
{
    struct partner partner[2];
    struct mbr__sched sched;
    int result = 0;

    mbr__sched_init(&sched);
    for (int i = 0; i < 2 && result == 0; i++) {
        mbr__task_init(&partner[i].task, call_other);
        partner[i].other = &partner[1 - i].task;
        result = mbr__sched_add(&sched, &partner[i].task);
    }
    mark();
    if (result == 0) {
        (void)mbr__sched_run(&sched, count);
    }
    mark();
    mbr__sched_fini(&sched);
    return result;
}

static const struct {
    const char *name;
    const char *about;
    int (*run)(uint64_t count);
} things[] = {
    {"turns", "messages of 64 bytes from one end to the other, in one thread", turns},
    {"large", "the same with messages of 1 MiB", large_turns},
    {"stream", "messages of 64 bytes from another process", costs_stream},
    {"switches", "task switches", switches},
};
#define THINGS (sizeof(things) / sizeof(things[0]))

static int usage(void)
{
    fputs("usage: membrane-turns WHAT N [marked]\n", stderr);
    for (size_t i = 0; i < THINGS; i++) {
        fprintf(stderr, "  %-9s %s\n", things[i].name, things[i].about);
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const struct bench_case bc = {.ring_bytes = COSTS_RING_BYTES};
    void *shared;
    size_t i = 0;
    int result;

    marked = argc == 4 && strcmp(argv[3], "marked") == 0;
    if (argc != 3 + marked || argv[2][strspn(argv[2], "0123456789")] != '\0') {
        return usage();
    }
    while (i < THINGS && strcmp(argv[1], things[i].name) != 0) {
        i++;
    }
    if (i == THINGS) {
        return usage();
    }
    result = bench_meet_start(NULL, &bc, &shared);
    if (result == 0) {
        result = things[i].run(strtoull(argv[2], NULL, 10));
        bench_meet_stop(shared);
    }
    if (result != 0) {
        fprintf(stderr, "membrane-turns: %s: %s\n", argv[1], strerror(-result));
        return EXIT_NEGATIVE;
    }
    return EXIT_SUCCESS;
}
