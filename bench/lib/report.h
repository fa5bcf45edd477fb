/* SPDX-License-Identifier: MIT */
/*
 * A finished plan as tables for people: one table for each case, in the order of the plan.
 */
#ifndef BENCH_LIB_REPORT_H
#define BENCH_LIB_REPORT_H

#include <stdio.h>

#include "bench/lib/plan.h"

/* -ENOMEM when a table could not be made. */
int bench_report_plan(const struct bench_plan *plan, FILE *out);

/* What a reader must know about the run: CPUs, priority, the bare lines, dropped samples. */
void bench_report_conditions(const struct bench_plan *plan, const struct bench_runner *runner,
                             FILE *out);

#endif
