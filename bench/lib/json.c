/* SPDX-License-Identifier: MIT */
/*
 * Plans and samples as JSON. A value that cannot be made (no memory) makes the whole NULL: half a
 * result would be read as a whole one.
 */
#include "bench/lib/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Numbers that do not exist are null; JSON has no NaN. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *sample_json(const struct bench_sample *sample, const struct bench_case *bc)
{
    json_t *object;

    if (sample->status != 0) {
        return json_pack("{s:i, s:s}", "status", sample->status, "error", sample->error);
    }
    object = json_pack("{s:i, s:I, s:b, s:I, s:I, s:o, s:o, s:o, s:o}", "status", 0, "count",
                       (json_int_t)sample->count, "shared_core", sample->shared_core, "preempted",
                       (json_int_t)sample->preempted, "switched", (json_int_t)sample->switched,
                       "line1_before_ns", number(sample->line_before), "line1_after_ns",
                       number(sample->line_after), "line2_before_ns", number(sample->lines_before),
                       "line2_after_ns", number(sample->lines_after));
    if (object == NULL) {
        return NULL;
    }
    if (bc->kind == BENCH_STREAM) {
        json_object_set_new(object, "span_ns", number(sample->span_ns));
        json_object_set_new(object, "messages_per_s",
                            number(bench_sample_figure(sample, bc->kind)));
        return object;
    }
    json_object_set_new(object, "min_ns", number(sample->min));
    json_object_set_new(object, "mean_ns", number(sample->mean));
    json_object_set_new(object, "p50_ns", number(sample->p50));
    json_object_set_new(object, "p90_ns", number(sample->p90));
    json_object_set_new(object, "p99_ns", number(sample->p99));
    json_object_set_new(object, "p99_9_ns", number(sample->p999));
    json_object_set_new(object, "max_ns", number(sample->max));
    if (bc->kind == BENCH_DEATH) {
        json_object_set_new(object, "parked", json_boolean(sample->parked));
    }
    return object;
}

static json_t *spread_json(const struct bench_spread *spread)
{
    return json_pack("{s:o, s:o, s:o, s:i}", "median", number(spread->median), "min",
                     number(spread->min), "max", number(spread->max), "runs", (int)spread->used);
}

static json_t *case_json(const struct bench_case *bc)
{
    static const char *const kinds[] = {"rtt", "stream", "death"};
    char name[64];

    return json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:i, s:I, s:I, s:I}", "name",
                     bench_case_name(bc, name, sizeof(name)), "kind", kinds[bc->kind], "blocking",
                     bc->blocking, "one_cpu", bc->one_cpu, "message_bytes", (json_int_t)bc->size,
                     "ring_bytes", (json_int_t)bench_ring_bytes(bc), "idle", (int)bc->idle,
                     "rest_ns", (json_int_t)bc->rest_ns, "warm_ns", (json_int_t)bc->warm_ns,
                     "span_ns", (json_int_t)bc->span_ns);
}

static json_t *cell_json(const struct bench_plan *plan, const struct bench_cell *cell)
{
    struct bench_spread spread = bench_cell_spread(cell);
    json_t *samples = json_array();
    json_t *object = json_pack("{s:s, s:o, s:s, s:o, s:i, s:i}", "subject", cell->subject->name,
                               "case", case_json(&cell->bc), "figure",
                               cell->bc.kind == BENCH_STREAM ? "messages_per_s" : "ns", "result",
                               spread_json(&spread), "failed", (int)spread.failed, "dropped",
                               (int)spread.dropped);

    if (object == NULL || samples == NULL) {
        json_decref(samples);
        json_decref(object);
        return NULL;
    }
    for (unsigned run = 0; run < cell->samples; run++) {
        (void)json_array_append_new(samples, sample_json(&cell->sample[run], &cell->bc));
    }
    json_object_set_new(object, "samples", samples);
    if (cell->against != BENCH_NO_CELL && &plan->cell[cell->against] != cell) {
        const struct bench_cell *against = &plan->cell[cell->against];
        struct bench_spread ratio = bench_cell_ratio(cell, against);

        json_object_set_new(object, "ratio", spread_json(&ratio));
        json_object_set_new(object, "ratio_to", json_string(against->subject->name));
    }
    return object;
}

json_t *bench_plan_json(const struct bench_plan *plan, const struct bench_runner *runner,
                        const struct bench_env *env)
{
    json_t *cells = json_array();

    for (size_t i = 0; i < plan->count; i++) {
        if (json_array_append_new(cells, cell_json(plan, &plan->cell[i])) != 0) {
            json_decref(cells);
            return NULL;
        }
    }
    return json_pack("{s:i, s:o, s:i, s:[i,i], s:s, s:o, s:i, s:o}", "format", 1, "environment",
                     bench_env_json(env), "runs", (int)plan->runs, "cpus", runner->place.cpu[0],
                     runner->place.cpu[1], "priority", bench_priority_name(runner->priority),
                     "line2_usual_ns", number(bench_line_usual(&runner->lines)), "samples_repeated",
                     (int)runner->dropped, "cells", cells);
}

int bench_json_write(const json_t *value, const char *path)
{
    const size_t flags = JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8);
    FILE *file = stdout;
    int result = 0;

    if (strcmp(path, "-") != 0) {
        file = fopen(path, "we");
        if (file == NULL) {
            return -errno;
        }
    }
    errno = 0;
    if (json_dumpf(value, file, flags) != 0 || fputc('\n', file) == EOF || fflush(file) != 0) {
        result = errno != 0 ? -errno : -EIO;
    }
    if (file != stdout && fclose(file) != 0 && result == 0) {
        result = -errno;
    }
    return result;
}
