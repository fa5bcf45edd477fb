/* SPDX-License-Identifier: MIT */
/*
 * The frame of programs that do one of several things N times and nothing else, to be run under a
 * program that counts from outside: PROGRAM WHAT N [marked]. With "marked" they send themselves
 * SIGUSR1 before and after the N times, for a tracer.
 *
 * Include in one file of a program. Not here: who counts (bench/costs/outside.h).
 */
#ifndef BENCH_LIB_THINGS_H
#define BENCH_LIB_THINGS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_thing {
    const char *name;
    const char *about;
    int (*run)(uint64_t count); /* calls bench_mark() twice; 0 or a negative errno */
};

/* What is to be done. */
struct bench_order {
    const struct bench_thing *thing;
    uint64_t count;
};

enum { BENCH_EXIT_NEGATIVE = 1, BENCH_EXIT_USAGE = 2 };

static bool bench_marked;

static inline void bench_mark(void)
{
    if (bench_marked) {
        (void)raise(SIGUSR1);
    }
}

/* Reads the command line. False: it was wrong, and how it is used has been said. */
static inline bool bench_ordered(const char *program, const struct bench_thing *things,
                                 size_t count, int argc, char **argv, struct bench_order *out)
{
    size_t i = 0;

    bench_marked = argc == 4 && strcmp(argv[3], "marked") == 0;
    if (argc == 3 + bench_marked && argv[2][0] != '\0' &&
        argv[2][strspn(argv[2], "0123456789")] == '\0') {
        while (i < count && strcmp(argv[1], things[i].name) != 0) {
            i++;
        }
        if (i < count) {
            *out = (struct bench_order){&things[i], strtoull(argv[2], NULL, 10)};
            return true;
        }
    }
    fprintf(stderr, "usage: %s WHAT N [marked]\n", program);
    for (i = 0; i < count; i++) {
        fprintf(stderr, "  %-11s %s\n", things[i].name, things[i].about);
    }
    return false;
}

/* The exit code for a result of `run`, after a message if it is an error. */
static inline int bench_done(const char *program, const struct bench_order *order, int result)
{
    if (result == 0) {
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "%s: %s: %s\n", program, order->thing->name, strerror(-result));
    return BENCH_EXIT_NEGATIVE;
}

#endif
