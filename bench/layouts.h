/* SPDX-License-Identifier: MIT */
/*
 * The measurement behind the choice of the record ring's layout: an index on a line of its own
 * against a flag word in each record, at several ring sizes.
 */
#ifndef BENCH_LAYOUTS_H
#define BENCH_LAYOUTS_H

#include <stdio.h>

#include "bench/lib/plan.h"

/* Adds the cells: each layout, 64 KiB to 8 MiB, 64-byte round trip and stream. -ENOMEM. */
int bench_layouts_plan(struct bench_plan *plan, uint64_t warm_ns, uint64_t span_ns);

/* One table: a row for each ring size, the layouts side by side. -ENOMEM. */
int bench_layouts_report(const struct bench_plan *plan, FILE *out);

#endif
