/* SPDX-License-Identifier: MIT */
/*
 * The command line of membrane-bench. One table of options is read by getopt_long(3) and printed by
 * --help.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses, those of all tools. */
enum { BENCH_EXIT_NEGATIVE = 1, BENCH_EXIT_USAGE = 2, BENCH_EXIT_INTERNAL = 70 };

#define BENCH_MAX_PATTERNS 32

struct bench_options {
    const char *only[BENCH_MAX_PATTERNS];
    size_t only_count;
    const char *only_case[BENCH_MAX_PATTERNS];
    size_t case_count;
    const char *json;
    unsigned runs;
    unsigned sample_ms; /* 0: by kind of run */
    int cpu[2];         /* -1: chosen */
    bool quick, layouts, quiet;
};

/*
 * Fills in the options, with the defaults of what was not given. 0: go on; 1: all is done (--help,
 * --list, --version were answered); negative: minus the exit status, and the reason was printed.
 */
int bench_options_parse(int argc, char **argv, struct bench_options *options);

/* "membrane-bench: what: value (try: try)" on stderr; returns minus the exit status for usage. */
int bench_usage_error(const char *what, const char *value, const char *try);

#endif
