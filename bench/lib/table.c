/* SPDX-License-Identifier: MIT */
/*
 * Text tables: rows are kept until all widths are known, then printed with two spaces between.
 */
#include "bench/lib/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void bench_table_init(struct bench_table *table, size_t columns, const char *const heading[])
{
    *table = (struct bench_table){.columns = columns};
    bench_table_row(table, heading);
}

void bench_table_fini(struct bench_table *table)
{
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        free(table->cell[i]);
    }
    free(table->cell);
    table->cell = NULL;
    table->rows = 0;
}

void bench_table_row(struct bench_table *table, const char *const cell[])
{
    size_t used = table->rows * table->columns;
    char **grown = realloc(table->cell, (used + table->columns) * sizeof(*grown));

    if (grown == NULL) {
        table->failed = -ENOMEM;
        return;
    }
    table->cell = grown;
    for (size_t i = 0; i < table->columns; i++) {
        grown[used + i] = strdup(cell[i] != NULL ? cell[i] : "");
        if (grown[used + i] == NULL) {
            while (i > 0) {
                free(grown[used + --i]);
            }
            table->failed = -ENOMEM;
            return;
        }
    }
    table->rows++;
}

static int column_width(const struct bench_table *table, size_t column)
{
    size_t width = 0;

    for (size_t row = 0; row < table->rows; row++) {
        size_t length = strlen(table->cell[row * table->columns + column]);

        width = length > width ? length : width;
    }
    return (int)width;
}

/* A line of dashes under the heading, as wide as each column. */
static void print_rule(const int width[], size_t columns, FILE *out)
{
    for (size_t i = 0; i < columns; i++) {
        fputs(i == 0 ? "" : "  ", out);
        for (int n = 0; n < width[i]; n++) {
            fputc('-', out);
        }
    }
    fputc('\n', out);
}

int bench_table_print(const struct bench_table *table, FILE *out)
{
    int width[BENCH_TABLE_COLUMNS] = {0};

    for (size_t i = 0; i < table->columns; i++) {
        width[i] = column_width(table, i);
    }
    for (size_t row = 0; row < table->rows; row++) {
        char *const *cell = table->cell + row * table->columns;

        fprintf(out, "%-*s", width[0], cell[0]);
        for (size_t i = 1; i < table->columns; i++) {
            fprintf(out, "  %*s", width[i], cell[i]);
        }
        fputc('\n', out);
        if (row == 0) {
            print_rule(width, table->columns, out);
        }
    }
    return table->failed;
}

const char *bench_size_text(size_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t unit = 0;

    while (unit < 3 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, "%zu %s", bytes, units[unit]);
    return text;
}

/* Three significant digits. */
static const char *scaled(double value, const char *unit, char *text, size_t size)
{
    int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

    snprintf(text, size, "%.*f %s", digits, value, unit);
    return text;
}

const char *bench_time_text(double ns, char *text, size_t size)
{
    if (ns < 999.5) {
        snprintf(text, size, "%.0f ns", ns);
        return text;
    }
    if (ns < 999.5e3) {
        return scaled(ns / 1e3, "us", text, size);
    }
    return ns < 999.5e6 ? scaled(ns / 1e6, "ms", text, size) : scaled(ns / 1e9, "s", text, size);
}

const char *bench_rate_text(double per_second, char *text, size_t size)
{
    return per_second < 999.5e3 ? scaled(per_second / 1e3, "k/s", text, size)
                                : scaled(per_second / 1e6, "M/s", text, size);
}

const char *bench_speed_text(double bytes_per_second, char *text, size_t size)
{
    return bytes_per_second < 999.5e6 ? scaled(bytes_per_second / 1e6, "MB/s", text, size)
                                      : scaled(bytes_per_second / 1e9, "GB/s", text, size);
}
