/* SPDX-License-Identifier: MIT */
/*
 * Plain aligned text tables, and figures in units for people. ASCII only, no colours: the same
 * bytes go to a terminal and to a file.
 */
#ifndef BENCH_LIB_TABLE_H
#define BENCH_LIB_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_TABLE_COLUMNS 12

struct bench_table {
    char **cell; /* rows * columns strings; the first row is the heading */
    size_t columns;
    size_t rows;
    int failed; /* -ENOMEM once a row could not be added */
};

/* Starts a table; the headings are `columns` strings (at most BENCH_TABLE_COLUMNS). */
void bench_table_init(struct bench_table *table, size_t columns, const char *const heading[]);
void bench_table_fini(struct bench_table *table);

/* Adds a row of table->columns strings, which are copied. NULL is an empty cell. */
void bench_table_row(struct bench_table *table, const char *const cell[]);

/* First column to the left, the others to the right. -ENOMEM when a row is missing. */
int bench_table_print(const struct bench_table *table, FILE *out);

/* "64 B", "16 KiB", "1 MiB" */
const char *bench_size_text(size_t bytes, char *text, size_t size);
/* Nanoseconds as "421 ns", "2.37 us", "76.9 us", "1.20 ms" */
const char *bench_time_text(double ns, char *text, size_t size);
/* Per second, as "138 M/s", "2.18 M/s", "600 k/s" */
const char *bench_rate_text(double per_second, char *text, size_t size);
/* Bytes a second, decimal, as "19.3 GB/s", "64.0 MB/s" */
const char *bench_speed_text(double bytes_per_second, char *text, size_t size);

#endif
