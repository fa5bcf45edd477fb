/* SPDX-License-Identifier: MIT */
/*
 * Results as JSON: the environment, every sample as it was taken, medians and ratios. Times are
 * nanoseconds, rates are per second, sizes are bytes; the names say so.
 */
#ifndef BENCH_LIB_JSON_H
#define BENCH_LIB_JSON_H

#include <jansson.h>

#include "bench/lib/env.h"
#include "bench/lib/plan.h"

/* All of a finished plan. NULL without memory. The caller owns the reference. */
json_t *bench_plan_json(const struct bench_plan *plan, const struct bench_runner *runner,
                        const struct bench_env *env);

/* Writes the value to a file, "-" being standard output. -errno of opening or writing. */
int bench_json_write(const json_t *value, const char *path);

#endif
