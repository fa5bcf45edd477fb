/* SPDX-License-Identifier: MIT */
/*
 * The demo's table: a plan of two cases for each subject, printed as one row for each subject.
 * With one CPU everything blocks instead of spinning, because two spinning processes on one CPU
 * measure the scheduler's time slice.
 */
#include "bench/lib/quick.h"

#include <errno.h>
#include <math.h>

#include "bench/baseline/baseline.h"
#include "bench/lib/env.h"
#include "bench/lib/json.h"
#include "bench/lib/plan.h"
#include "bench/lib/report.h"
#include "bench/lib/table.h"

#define DEFAULT_RUNS      3u
#define DEFAULT_BUDGET_NS (7 * BENCH_S)
#define MIB               ((size_t)1 << 20)
/* What a sample costs beside its own time: processes, connecting, line games. */
#define OVERHEAD_NS (15 * BENCH_MS)

struct row {
    const struct bench_subject *subject;
    size_t stream, rtt; /* cells, or BENCH_NO_CELL */
};

struct quick {
    struct bench_runner runner;
    struct bench_plan plan;
    struct row row[16];
    size_t rows;
    FILE *progress;
};

static const struct bench_subject *const others[] = {&bench_pipe, &bench_unix, &bench_tcp};
#define OTHERS (sizeof(others) / sizeof(others[0]))

static size_t add_cell(struct quick *quick, const struct bench_subject *subject,
                       const struct bench_case *bc)
{
    size_t number;

    return bench_plan_add(&quick->plan, subject, bc, &number) == 0 ? number : BENCH_NO_CELL;
}

static void add_row(struct quick *quick, const struct bench_subject *subject,
                    const struct bench_case *stream, const struct bench_case *rtt)
{
    if (quick->rows < sizeof(quick->row) / sizeof(quick->row[0])) {
        quick->row[quick->rows++] =
            (struct row){subject, add_cell(quick, subject, stream), add_cell(quick, subject, rtt)};
    }
}

static void make_plan(struct quick *quick, const struct bench_subject *ours, size_t count,
                      const struct bench_quick_options *options)
{
    unsigned runs = options->runs != 0 ? options->runs : DEFAULT_RUNS;
    uint64_t budget_ns = options->budget_ns != 0 ? options->budget_ns : DEFAULT_BUDGET_NS;
    uint64_t each_ns = budget_ns / (2 * (count + OTHERS) * runs);
    bool blocking = quick->runner.cpus == 1;
    struct bench_case stream = {.kind = BENCH_STREAM,
                                .blocking = blocking,
                                .one_cpu = blocking,
                                .size = options->stream_size != 0 ? options->stream_size : MIB};
    struct bench_case rtt = {
        .kind = BENCH_RTT, .blocking = blocking, .one_cpu = blocking, .size = 64};

    each_ns = each_ns > 2 * OVERHEAD_NS ? each_ns - OVERHEAD_NS : OVERHEAD_NS;
    stream.warm_ns = rtt.warm_ns = each_ns / 5;
    stream.span_ns = rtt.span_ns = each_ns - each_ns / 5;
    bench_plan_init(&quick->plan, runs);
    quick->plan.lenient = true; /* an overview with a remark is better than one with holes */
    for (size_t i = 0; i < count; i++) {
        add_row(quick, &ours[i], &stream, &rtt);
    }
    for (size_t i = 0; i < OTHERS; i++) {
        add_row(quick, others[i], &stream, &rtt);
    }
}

static double pick_p50(const struct bench_sample *sample)
{
    return sample->p50;
}

static double pick_p99(const struct bench_sample *sample)
{
    return sample->p99;
}

/* The speed, p50 and p99 of a row as texts; "failed" where there is none. */
static void row_text(const struct quick *quick, const struct row *row, char text[3][16])
{
    const struct bench_cell *cell = quick->plan.cell;

    snprintf(text[0], 16, "failed");
    snprintf(text[1], 16, "failed");
    snprintf(text[2], 16, "failed");
    if (row->stream != BENCH_NO_CELL) {
        double rate = bench_cell_spread(&cell[row->stream]).median;

        if (!isnan(rate)) {
            bench_speed_text(rate * (double)cell[row->stream].bc.size, text[0], 16);
        }
    }
    if (row->rtt != BENCH_NO_CELL && !isnan(bench_cell_spread(&cell[row->rtt]).median)) {
        bench_time_text(bench_cell_median(&cell[row->rtt], pick_p50), text[1], 16);
        bench_time_text(bench_cell_median(&cell[row->rtt], pick_p99), text[2], 16);
    }
}

static int print_table(const struct quick *quick, size_t stream_size, FILE *out)
{
    char size[16], stream[40];
    const char *const heading[] = {"", stream, "64 B round trip p50", "p99"};
    struct bench_table table;
    int result;

    snprintf(stream, sizeof(stream), "%s messages",
             bench_size_text(stream_size, size, sizeof(size)));
    bench_table_init(&table, 4, heading);
    for (size_t i = 0; i < quick->rows; i++) {
        char text[3][16];
        const char *row[4] = {quick->row[i].subject->about, text[0], text[1], text[2]};

        row_text(quick, &quick->row[i], text);
        bench_table_row(&table, row);
    }
    result = bench_table_print(&table, out);
    bench_table_fini(&table);
    for (size_t i = 0; i < quick->plan.count; i++) {
        const char *error = bench_cell_error(&quick->plan.cell[i]);

        if (error != NULL) {
            fprintf(out, "%s failed: %s\n", quick->plan.cell[i].subject->name, error);
        }
    }
    return result;
}

/* -EIO when a row of ours has no figure; the others are no fault of ours. */
static int judge_ours(const struct quick *quick, size_t count)
{
    for (size_t i = 0; i < count && i < quick->rows; i++) {
        const struct row *row = &quick->row[i];

        if (row->stream == BENCH_NO_CELL || row->rtt == BENCH_NO_CELL ||
            bench_cell_error(&quick->plan.cell[row->stream]) != NULL ||
            bench_cell_error(&quick->plan.cell[row->rtt]) != NULL) {
            return -EIO;
        }
    }
    return 0;
}

static void show_progress(void *user, size_t done, size_t total, const struct bench_cell *cell)
{
    const struct quick *quick = user;

    if (quick->progress != NULL) {
        fprintf(quick->progress, "\rmeasuring %s (%zu/%zu)\033[K", cell->subject->name, done + 1,
                total);
        (void)fflush(quick->progress);
    }
}

static int measure(struct quick *quick)
{
    int result = bench_runner_warm_up(&quick->runner);

    if (result == 0) {
        result = bench_plan_run(&quick->plan, &quick->runner, show_progress, quick);
    }
    if (quick->progress != NULL) {
        fputs("\r\033[K", quick->progress);
        (void)fflush(quick->progress);
    }
    return result;
}

static int add_json(const struct quick *quick, const struct bench_env *env, json_t *opt_json)
{
    json_t *value;

    if (opt_json == NULL) {
        return 0;
    }
    value = bench_plan_json(&quick->plan, &quick->runner, env);
    return json_object_set_new(opt_json, "bench", value) == 0 ? 0 : -ENOMEM;
}

int bench_quick_table(FILE *out, json_t *opt_json, const struct bench_subject *ours, size_t count,
                      const struct bench_quick_options *options)
{
    static const struct bench_quick_options defaults;
    struct quick quick = {.rows = 0};
    struct bench_env env;
    int result = bench_runner_init(&quick.runner);
    int told;

    if (result != 0) {
        return result;
    }
    options = options != NULL ? options : &defaults;
    quick.progress = options->progress;
    make_plan(&quick, ours, count, options);
    bench_env_read(&env);
    result = measure(&quick);
    told = print_table(&quick, options->stream_size != 0 ? options->stream_size : MIB, out);
    bench_report_conditions(&quick.plan, &quick.runner, out);
    bench_env_print(&env, out);
    if (told == 0) {
        told = add_json(&quick, &env, opt_json);
    }
    if (result == 0) {
        result = told != 0 ? told : judge_ours(&quick, count);
    }
    bench_plan_fini(&quick.plan);
    bench_runner_fini(&quick.runner);
    return result;
}
