/* SPDX-License-Identifier: MIT */
/*
 * Tables of a plan. Times show their distribution (medians over the runs of each percentile),
 * streams both messages and bytes a second; both the extremes over the runs and the ratio.
 */
#include "bench/lib/report.h"

#include <math.h>
#include <string.h>

#include "bench/lib/table.h"

#define CELL 48

static double pick_p50(const struct bench_sample *sample)
{
    return sample->p50;
}

static double pick_p90(const struct bench_sample *sample)
{
    return sample->p90;
}

static double pick_p99(const struct bench_sample *sample)
{
    return sample->p99;
}

static double pick_p999(const struct bench_sample *sample)
{
    return sample->p999;
}

static double pick_max(const struct bench_sample *sample)
{
    return sample->max;
}

typedef double picker(const struct bench_sample *sample);

/* "0.93x tuned-index", or nothing. */
static void ratio_text(const struct bench_plan *plan, const struct bench_cell *cell, char *text)
{
    const struct bench_cell *against;
    struct bench_spread ratio;

    text[0] = '\0';
    if (cell->against == BENCH_NO_CELL || &plan->cell[cell->against] == cell) {
        return;
    }
    against = &plan->cell[cell->against];
    ratio = bench_cell_ratio(cell, against);
    if (!isnan(ratio.median)) {
        snprintf(text, CELL, "%.*fx %s", ratio.median < 0.0995 ? 3 : 2, ratio.median,
                 against->subject->name);
    }
}

/* "0.41-0.44 us": the extremes of the figure over the runs. */
static void range_text(const struct bench_cell *cell, const struct bench_spread *spread, char *text)
{
    char low[16], high[16];
    bool stream = cell->bc.kind == BENCH_STREAM;
    const char *(*show)(double, char *, size_t) = stream ? bench_rate_text : bench_time_text;

    show(spread->min, low, sizeof(low));
    show(spread->max, high, sizeof(high));
    snprintf(text, CELL, "%s - %s", low, high);
}

static void error_row(struct bench_table *table, const struct bench_cell *cell)
{
    const char *row[BENCH_TABLE_COLUMNS] = {cell->subject->name};

    row[1] = cell->samples == 0 ? "not run" : bench_cell_error(cell) != NULL ? "failed" : "dropped";
    bench_table_row(table, row);
}

static void time_row(struct bench_table *table, const struct bench_plan *plan,
                     const struct bench_cell *cell)
{
    static picker *const pick[] = {pick_p50, pick_p90, pick_p99, pick_p999, pick_max};
    struct bench_spread spread = bench_cell_spread(cell);
    char text[7][CELL];
    const char *row[8] = {cell->subject->name};

    for (size_t i = 0; i < 5; i++) {
        row[i + 1] = bench_time_text(bench_cell_median(cell, pick[i]), text[i], CELL);
    }
    range_text(cell, &spread, text[5]);
    ratio_text(plan, cell, text[6]);
    row[6] = text[5];
    row[7] = text[6];
    bench_table_row(table, row);
}

static void stream_row(struct bench_table *table, const struct bench_plan *plan,
                       const struct bench_cell *cell)
{
    struct bench_spread spread = bench_cell_spread(cell);
    char rate[CELL], speed[CELL], range[CELL], ratio[CELL];
    const char *row[5] = {cell->subject->name, rate, speed, range, ratio};

    bench_rate_text(spread.median, rate, sizeof(rate));
    bench_speed_text(spread.median * (double)cell->bc.size, speed, sizeof(speed));
    range_text(cell, &spread, range);
    ratio_text(plan, cell, ratio);
    bench_table_row(table, row);
}

/* A death is one event a run: its distribution is over the runs. */
static void death_row(struct bench_table *table, const struct bench_plan *plan,
                      const struct bench_cell *cell)
{
    struct bench_spread spread = bench_cell_spread(cell);
    char median[CELL], range[CELL], ratio[CELL];
    const char *row[4] = {cell->subject->name, median, range, ratio};

    bench_time_text(spread.median, median, sizeof(median));
    range_text(cell, &spread, range);
    ratio_text(plan, cell, ratio);
    bench_table_row(table, row);
}

static void begin_table(struct bench_table *table, enum bench_kind kind, const char *title)
{
    const char *const times[] = {title,   "p50", "p90",         "p99",
                                 "p99.9", "max", "p50 of runs", "ratio"};
    const char *const streams[] = {title, "messages", "bytes", "runs", "ratio"};
    const char *const deaths[] = {title, "median", "runs", "ratio"};

    switch (kind) {
    case BENCH_RTT:
        bench_table_init(table, 8, times);
        break;
    case BENCH_STREAM:
        bench_table_init(table, 5, streams);
        break;
    case BENCH_DEATH:
        bench_table_init(table, 4, deaths);
        break;
    }
}

static void add_row(struct bench_table *table, const struct bench_plan *plan,
                    const struct bench_cell *cell)
{
    if (isnan(bench_cell_spread(cell).median)) {
        error_row(table, cell);
    } else if (cell->bc.kind == BENCH_RTT) {
        time_row(table, plan, cell);
    } else if (cell->bc.kind == BENCH_STREAM) {
        stream_row(table, plan, cell);
    } else {
        death_row(table, plan, cell);
    }
}

static const char *title_of(const struct bench_cell *cell, char *text, size_t size)
{
    return bench_case_name(&cell->bc, text, size);
}

/* The table of the case of cell number `first`, and the reasons of what failed in it. */
static int report_case(const struct bench_plan *plan, size_t first, const char *title, FILE *out)
{
    struct bench_table table;
    char other[64];
    int result;

    begin_table(&table, plan->cell[first].bc.kind, title);
    for (size_t i = first; i < plan->count; i++) {
        if (strcmp(title, title_of(&plan->cell[i], other, sizeof(other))) == 0) {
            add_row(&table, plan, &plan->cell[i]);
        }
    }
    result = bench_table_print(&table, out);
    bench_table_fini(&table);
    for (size_t i = first; i < plan->count; i++) {
        const char *error = bench_cell_error(&plan->cell[i]);

        if (error != NULL && strcmp(title, title_of(&plan->cell[i], other, sizeof(other))) == 0) {
            fprintf(out, "%s failed: %s\n", plan->cell[i].subject->name, error);
        }
    }
    fputc('\n', out);
    return result;
}

int bench_report_plan(const struct bench_plan *plan, FILE *out)
{
    int result = 0;

    for (size_t i = 0; i < plan->count && result == 0; i++) {
        char title[64], other[64];
        bool seen = false;

        title_of(&plan->cell[i], title, sizeof(title));
        for (size_t before = 0; before < i && !seen; before++) {
            seen = strcmp(title, title_of(&plan->cell[before], other, sizeof(other))) == 0;
        }
        if (!seen) {
            result = report_case(plan, i, title, out);
        }
    }
    return result;
}

void bench_report_conditions(const struct bench_plan *plan, const struct bench_runner *runner,
                             FILE *out)
{
    unsigned unusable = 0, preempted = 0, taken = 0;
    char usual[16];

    for (size_t i = 0; i < plan->count; i++) {
        const struct bench_cell *cell = &plan->cell[i];

        for (unsigned run = 0; run < cell->samples; run++) {
            taken++;
            unusable += cell->sample[run].shared_core;
            /* A sample of a tenth of a second sees some ticks of the kernel's own threads. */
            preempted += !cell->bc.one_cpu && cell->sample[run].preempted > 50;
        }
    }
    fprintf(out, "CPUs %d and %d%s, priority %s; ", runner->place.cpu[0], runner->place.cpu[1],
            bench_place_is_smt(&runner->place) ? " (threads of one core)" : "",
            bench_priority_name(runner->priority));
    if (runner->cpus == 2) {
        fprintf(out, "two bare cache lines: %s a round trip\n",
                bench_time_text(bench_line_usual(&runner->lines), usual, sizeof(usual)));
    } else {
        fputs("only one CPU: figures of spinning say little\n", out);
    }
    fprintf(out, "%u samples", taken);
    if (runner->dropped + unusable > 0) {
        fprintf(out, ", %u taken again or dropped because both CPUs were one core",
                runner->dropped + unusable);
    }
    if (preempted > 0) {
        fprintf(out, ", %u disturbed by other work (over 50 preemptions)", preempted);
    }
    fputc('\n', out);
}
