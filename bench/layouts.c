/* SPDX-License-Identifier: MIT */
/*
 * Layouts and ring sizes of the hand-tuned rings, compared. All cells of one ring size stand next
 * to each other in the plan, so they share whatever the machine does at that moment.
 */
#include "bench/layouts.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/baseline/baseline.h"
#include "bench/lib/table.h"
#include "bench/subjects.h"

#define KIB ((size_t)1024)

static const size_t sizes[] = {64 * KIB, 256 * KIB, 1024 * KIB, 8192 * KIB};
static const char *const layouts[] = {"tuned-index", "tuned-slot", "tuned-block"};
static const enum bench_kind kinds[] = {BENCH_RTT, BENCH_STREAM};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int bench_layouts_plan(struct bench_plan *plan, uint64_t warm_ns, uint64_t span_ns)
{
    for (size_t size = 0; size < COUNT(sizes); size++) {
        for (size_t kind = 0; kind < COUNT(kinds); kind++) {
            struct bench_case bc = {.kind = kinds[kind],
                                    .size = 64,
                                    .ring_bytes = sizes[size],
                                    .warm_ns = warm_ns,
                                    .span_ns = span_ns};
            size_t base = BENCH_NO_CELL;

            for (size_t i = 0; i < COUNT(layouts); i++) {
                const struct bench_subject *subject = bench_subject_find(layouts[i]);
                size_t number;
                int result = bench_plan_add(plan, subject, &bc, &number);

                if (result != 0) {
                    return result;
                }
                base = base == BENCH_NO_CELL ? number : base;
                plan->cell[number].against = base;
            }
        }
    }
    return 0;
}

static const struct bench_cell *find_cell(const struct bench_plan *plan, size_t ring_bytes,
                                          enum bench_kind kind, const char *layout)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct bench_cell *cell = &plan->cell[i];

        if (cell->bc.ring_bytes == ring_bytes && cell->bc.kind == kind &&
            strcmp(cell->subject->name, layout) == 0) {
            return cell;
        }
    }
    return NULL;
}

/* "325 ns (0.69x)": the figure and its ratio to the first layout. */
static void cell_text(const struct bench_plan *plan, const struct bench_cell *cell, char *text,
                      size_t size)
{
    struct bench_spread spread = bench_cell_spread(cell);
    struct bench_spread ratio = bench_cell_ratio(cell, &plan->cell[cell->against]);
    char figure[16];

    if (isnan(spread.median)) {
        snprintf(text, size, "failed");
        return;
    }
    if (cell->bc.kind == BENCH_STREAM) {
        bench_rate_text(spread.median, figure, sizeof(figure));
    } else {
        bench_time_text(spread.median, figure, sizeof(figure));
    }
    snprintf(text, size, "%s (%.2fx)", figure, ratio.median);
}

int bench_layouts_report(const struct bench_plan *plan, FILE *out)
{
    static const char *const heading[] = {"64 B messages", "index rtt",    "slot rtt",
                                          "block rtt",     "index stream", "slot stream",
                                          "block stream"};
    struct bench_table table;
    int result;

    bench_table_init(&table, COUNT(heading), heading);
    for (size_t size = 0; size < COUNT(sizes); size++) {
        char text[COUNT(heading)][32];
        const char *row[COUNT(heading)];
        char ring[16];
        size_t column = 1;

        snprintf(text[0], sizeof(text[0]), "ring of %s",
                 bench_size_text(sizes[size], ring, sizeof(ring)));
        row[0] = text[0];
        for (size_t kind = 0; kind < COUNT(kinds); kind++) {
            for (size_t i = 0; i < COUNT(layouts); i++, column++) {
                cell_text(plan, find_cell(plan, sizes[size], kinds[kind], layouts[i]), text[column],
                          sizeof(text[column]));
                row[column] = text[column];
            }
        }
        bench_table_row(&table, row);
    }
    result = bench_table_print(&table, out);
    bench_table_fini(&table);
    fputs("Each ratio is to the index layout in the same repetition.\n", out);
    return result;
}
