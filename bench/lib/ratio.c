/* SPDX-License-Identifier: MIT */
/* See ratio.h. */
#include "bench/lib/ratio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/lib/env.h"
#include "bench/lib/json.h"
#include "bench/lib/plan.h"

static double middle(const double *values, int count)
{
    double sorted[BENCH_RATIO_RUNS];

    memcpy(sorted, values, (size_t)count * sizeof(*sorted));
    return bench_median(sorted, (size_t)count);
}

void bench_ratio_head(void)
{
    printf("%-40s %12s %12s %8s       goal\n", "", "here", "base", "ratio");
}

int bench_ratio_take(struct bench_ratio *row, double value, double base)
{
    if (value < 0 || base < 0)
        return (int)(value < 0 ? value : base);
    if (row->count == BENCH_RATIO_RUNS)
        return -EOVERFLOW;
    row->value[row->count] = value;
    row->base[row->count] = base;
    row->ratio[row->count++] = base > 0 ? value / base : value;
    return 0;
}

static json_t *samples(const double *values, int count)
{
    json_t *array = json_array();

    for (int i = 0; i < count; i++)
        (void)json_array_append_new(array, json_real(values[i]));
    return array;
}

static void print(const struct bench_ratio *row, double value, double base, double ratio, bool met)
{
    printf("%-40s %12.4g %12.4g %8.3g %-5s", row->name, value, base, ratio, row->unit);
    if (row->goal > 0)
        printf(" %s %-6.3g %s", row->at_most ? "<=" : ">=", row->goal, met ? "met" : "missed");
    printf("\n");
    (void)fflush(stdout);
}

void bench_ratio_report(struct bench_ratios *all, const struct bench_ratio *row, int error)
{
    double value, base, ratio;
    bool met;

    if (error < 0 || row->count == 0) {
        fprintf(stderr, "%s: %s: %s\n", all->program, row->name, strerror(-error));
        all->failed++;
        return;
    }
    value = middle(row->value, row->count);
    base = middle(row->base, row->count);
    ratio = middle(row->ratio, row->count);
    met = row->goal <= 0 || (row->at_most ? ratio <= row->goal : ratio >= row->goal);
    all->missed += !met;
    print(row, value, base, ratio, met);
    (void)json_array_append_new(
        all->rows,
        json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:b, s:b, s:o, s:o}", "name", row->name, "unit",
                  row->unit, "value", value, "base", base, "ratio", ratio, "goal", row->goal,
                  "at_most", row->at_most, "met", met, "values", samples(row->value, row->count),
                  "bases", samples(row->base, row->count)));
}

bool bench_ratio_end(const struct bench_ratios *all)
{
    printf("%d goals missed, %d rows failed\n", all->missed, all->failed);
    return all->failed == 0;
}

int bench_ratio_json(const struct bench_ratios *all, const char *path)
{
    struct bench_env env;
    json_t *value;
    int rc;

    bench_env_read(&env);
    value = json_pack("{s:o, s:O}", "environment", bench_env_json(&env), "rows", all->rows);
    rc = value == NULL ? -ENOMEM : bench_json_write(value, path);
    json_decref(value);
    return rc;
}
