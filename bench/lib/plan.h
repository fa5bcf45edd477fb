/* SPDX-License-Identifier: MIT */
/*
 * A plan: cells (a subject in a case), each sampled once in each repetition. All cells take turns
 * inside a repetition, so that a machine that slows down slows all of them; a ratio is computed
 * inside each repetition first, and the median of these ratios is what counts.
 */
#ifndef BENCH_LIB_PLAN_H
#define BENCH_LIB_PLAN_H

#include "bench/lib/run.h"

#define BENCH_NO_CELL SIZE_MAX

struct bench_cell {
    const struct bench_subject *subject;
    struct bench_case bc;
    size_t against;              /* the cell its ratio is taken to, or BENCH_NO_CELL */
    struct bench_sample *sample; /* one for each repetition that was reached */
    unsigned samples;
    bool lenient; /* as its plan */
};

struct bench_plan {
    struct bench_cell *cell;
    size_t count;
    unsigned runs;
    bool lenient; /* a cell all of whose samples were taken on one core shows those */
};

/* Told before each sample: `done` of `total` are taken. */
typedef void bench_progress(void *user, size_t done, size_t total, const struct bench_cell *cell);

/* An empty plan of `runs` repetitions, at least 1. */
void bench_plan_init(struct bench_plan *plan, unsigned runs);
void bench_plan_fini(struct bench_plan *plan);

/*
 * Adds a cell, or finds the equal one that is there, and stores its number. -ENOTSUP when the
 * subject cannot do the case, -ENOMEM. The subject must outlive the plan.
 */
int bench_plan_add(struct bench_plan *plan, const struct bench_subject *subject,
                   const struct bench_case *bc, size_t *number);

/*
 * Takes all samples. -EINTR after bench_run_cancel(): what has been taken stays and can be printed.
 * Afterwards all samples are judged again for a shared core, with all that is known then.
 */
int bench_plan_run(struct bench_plan *plan, struct bench_runner *runner, bench_progress *progress,
                   void *user);

/* True when the cell has that sample and it may be used. */
bool bench_cell_usable(const struct bench_cell *cell, unsigned run);

/* The figure a sample is about: ns (p50 of round trips, death) or messages a second. */
double bench_sample_figure(const struct bench_sample *sample, enum bench_kind kind);

/* The median over the usable samples of whatever `pick` takes from one; NaN without any. */
double bench_cell_median(const struct bench_cell *cell,
                         double (*pick)(const struct bench_sample *sample));

struct bench_spread {
    double median, min, max; /* NaN without usable samples */
    unsigned used, failed, dropped;
};

/* Of the cell's figure over its samples. */
struct bench_spread bench_cell_spread(const struct bench_cell *cell);

/*
 * The median of (figure of `cell` / figure of `against`) over the repetitions in which both are
 * usable, and its extremes; NaN when there is none.
 */
struct bench_spread bench_cell_ratio(const struct bench_cell *cell,
                                     const struct bench_cell *against);

/* The first failed sample's text, or NULL. */
const char *bench_cell_error(const struct bench_cell *cell);

/* The median of `count` values, which it sorts; NaN when there are none. */
double bench_median(double *value, size_t count);

#endif
