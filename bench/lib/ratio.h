/* SPDX-License-Identifier: MIT */
/*
 * Rows of ratios: a figure, what it is held against in the same repetition, and the goal of their
 * ratio. Both are taken in turns; the medians are shown and judged, all samples go into the JSON
 * file. For benchmarks whose rows differ in kind; a grid of cases and subjects is plan.h.
 */
#ifndef BENCH_LIB_RATIO_H
#define BENCH_LIB_RATIO_H

#include <jansson.h>
#include <stdbool.h>

#define BENCH_RATIO_RUNS 100 /* repetitions that a row has room for */

/* Zeroed but for the first four. */
struct bench_ratio {
    const char *name;
    const char *unit; /* of value and base */
    double goal;      /* of the ratio, or of the value itself if there is no base; 0: only shown */
    bool at_most;     /* else the ratio must be at least the goal */
    double value[BENCH_RATIO_RUNS], base[BENCH_RATIO_RUNS], ratio[BENCH_RATIO_RUNS];
    int count;
};

/* What the rows of a program add up to. `rows` is an array, the caller's; `program` is for
 * messages. */
struct bench_ratios {
    const char *program;
    json_t *rows;
    int missed, failed;
};

/* The line above the rows. */
void bench_ratio_head(void);

/* Adds a repetition; base 0: the value is judged by itself. A negative value or base is an errno
 * and is returned; at most BENCH_RATIO_RUNS of them. */
int bench_ratio_take(struct bench_ratio *row, double value, double base);

/* Prints the row and adds it to the rows; with an error, or without a repetition, says so and
 * counts it as failed. */
void bench_ratio_report(struct bench_ratios *all, const struct bench_ratio *row, int error);

/* Writes the environment and all rows to a file, "-" being standard output. -errno of opening or
 * writing; -ENOMEM. */
int bench_ratio_json(const struct bench_ratios *all, const char *path);

/* The last line, and whether nothing failed. */
bool bench_ratio_end(const struct bench_ratios *all);

#endif
