/* SPDX-License-Identifier: MIT */
/*
 * Plans: interleaved repetition, medians, ratios within a repetition.
 */
#include "bench/lib/plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void bench_plan_init(struct bench_plan *plan, unsigned runs)
{
    *plan = (struct bench_plan){.runs = runs};
}

void bench_plan_fini(struct bench_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->cell[i].sample);
    }
    free(plan->cell);
    *plan = (struct bench_plan){.runs = plan->runs};
}

static bool same_case(const struct bench_case *a, const struct bench_case *b)
{
    return a->kind == b->kind && a->blocking == b->blocking && a->one_cpu == b->one_cpu &&
           a->size == b->size && a->ring_bytes == b->ring_bytes && a->idle == b->idle &&
           a->rest_ns == b->rest_ns;
}

int bench_plan_add(struct bench_plan *plan, const struct bench_subject *subject,
                   const struct bench_case *bc, size_t *number)
{
    struct bench_cell *grown;
    struct bench_sample *sample;

    if (!bench_subject_can(subject, bc)) {
        return -ENOTSUP;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->cell[i].subject == subject && same_case(&plan->cell[i].bc, bc)) {
            *number = i;
            return 0;
        }
    }
    sample = calloc(plan->runs, sizeof(*sample));
    grown = realloc(plan->cell, (plan->count + 1) * sizeof(*grown));
    if (grown != NULL) {
        plan->cell = grown;
    }
    if (sample == NULL || grown == NULL) {
        free(sample);
        return -ENOMEM;
    }
    grown[plan->count] = (struct bench_cell){.subject = subject,
                                             .bc = *bc,
                                             .against = BENCH_NO_CELL,
                                             .sample = sample,
                                             .lenient = plan->lenient};
    *number = plan->count++;
    return 0;
}

/* What the first samples were judged by was little; now all line games are known. */
static void judge_again(struct bench_plan *plan, const struct bench_runner *runner)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct bench_cell *cell = &plan->cell[i];

        for (unsigned run = 0; run < cell->samples && !cell->bc.one_cpu; run++) {
            cell->sample[run].shared_core = bench_sample_on_shared_core(runner, &cell->sample[run]);
        }
    }
}

int bench_plan_run(struct bench_plan *plan, struct bench_runner *runner, bench_progress *progress,
                   void *user)
{
    size_t total = plan->count * plan->runs;
    size_t done = 0;
    int result = 0;

    for (unsigned run = 0; run < plan->runs && result == 0; run++) {
        for (size_t i = 0; i < plan->count && result == 0; i++) {
            struct bench_cell *cell = &plan->cell[i];

            if (progress != NULL) {
                progress(user, done++, total, cell);
            }
            result = bench_runner_sample(runner, cell->subject, &cell->bc, &cell->sample[run]);
            if (result == 0) {
                cell->samples = run + 1;
            }
        }
    }
    judge_again(plan, runner);
    return result;
}

static bool is_clean(const struct bench_sample *sample)
{
    return sample->status == 0 && !sample->shared_core;
}

static bool has_clean(const struct bench_cell *cell)
{
    for (unsigned run = 0; run < cell->samples; run++) {
        if (is_clean(&cell->sample[run])) {
            return true;
        }
    }
    return false;
}

bool bench_cell_usable(const struct bench_cell *cell, unsigned run)
{
    if (run >= cell->samples || cell->sample[run].status != 0) {
        return false;
    }
    return is_clean(&cell->sample[run]) || (cell->lenient && !has_clean(cell));
}

double bench_sample_figure(const struct bench_sample *sample, enum bench_kind kind)
{
    return kind == BENCH_STREAM ? (double)sample->count / sample->span_ns * 1e9 : sample->p50;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double bench_median(double *value, size_t count)
{
    if (count == 0) {
        return NAN;
    }
    qsort(value, count, sizeof(*value), compare_doubles);
    return count % 2 != 0 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

/* Median, least and greatest; sorts the values. */
static void spread_of(struct bench_spread *spread, double *value, unsigned count)
{
    spread->used = count;
    spread->median = bench_median(value, count);
    spread->min = count > 0 ? value[0] : NAN;
    spread->max = count > 0 ? value[count - 1] : NAN;
}

double bench_cell_median(const struct bench_cell *cell,
                         double (*pick)(const struct bench_sample *sample))
{
    double *value = calloc(cell->samples + 1, sizeof(*value));
    size_t count = 0;
    double median;

    if (value == NULL) {
        return NAN;
    }
    for (unsigned run = 0; run < cell->samples; run++) {
        if (bench_cell_usable(cell, run)) {
            value[count++] = pick(&cell->sample[run]);
        }
    }
    median = bench_median(value, count);
    free(value);
    return median;
}

struct bench_spread bench_cell_spread(const struct bench_cell *cell)
{
    struct bench_spread spread = {.median = NAN, .min = NAN, .max = NAN};
    double *value = calloc(cell->samples + 1, sizeof(*value));
    unsigned count = 0;

    if (value == NULL) {
        return spread;
    }
    for (unsigned run = 0; run < cell->samples; run++) {
        if (bench_cell_usable(cell, run)) {
            value[count++] = bench_sample_figure(&cell->sample[run], cell->bc.kind);
        } else if (cell->sample[run].status != 0) {
            spread.failed++;
        } else {
            spread.dropped++;
        }
    }
    spread_of(&spread, value, count);
    free(value);
    return spread;
}

struct bench_spread bench_cell_ratio(const struct bench_cell *cell,
                                     const struct bench_cell *against)
{
    struct bench_spread spread = {.median = NAN, .min = NAN, .max = NAN};
    double *value = calloc(cell->samples + 1, sizeof(*value));
    unsigned count = 0;

    if (value == NULL) {
        return spread;
    }
    for (unsigned run = 0; run < cell->samples; run++) {
        if (bench_cell_usable(cell, run) && bench_cell_usable(against, run)) {
            value[count++] = bench_sample_figure(&cell->sample[run], cell->bc.kind) /
                             bench_sample_figure(&against->sample[run], against->bc.kind);
        }
    }
    spread_of(&spread, value, count);
    free(value);
    return spread;
}

const char *bench_cell_error(const struct bench_cell *cell)
{
    for (unsigned run = 0; run < cell->samples; run++) {
        if (cell->sample[run].status != 0) {
            return cell->sample[run].error;
        }
    }
    return NULL;
}
