/* SPDX-License-Identifier: MIT */
/*
 * Goals: turning them into cells of a plan, and saying which of them a finished plan reaches.
 * They are printed, never tested: a wall-clock figure on a shared machine proves nothing by itself.
 */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

#include <jansson.h>
#include <stdio.h>

#include "bench/lib/plan.h"

/* Adds the cells that judging the goals of this subject in this case needs. -ENOMEM. */
int bench_goals_plan(struct bench_plan *plan, const struct bench_subject *subject,
                     const struct bench_case *bc);

/* A table of the goals that the plan has figures for; nothing when there are none. -ENOMEM. */
int bench_goals_report(const struct bench_plan *plan, FILE *out);

/* The same as a JSON array. NULL without memory. */
json_t *bench_goals_json(const struct bench_plan *plan);

#endif
