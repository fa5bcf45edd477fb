/* SPDX-License-Identifier: MIT */
/*
 * membrane-types-costs: instructions of closures, exceptions and type look-ups, each beside its
 * goal. Counted, by stepping through membrane-types-turns, which lies beside this program.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/costs/outside.h"
#include "bench/lib/out.h"
#include "bench/lib/table.h"

enum { EXIT_NEGATIVE = 1, EXIT_USAGE = 2 };

#define TURNS "membrane-types-turns"

/* Twice each of the 64 names that are looked up. */
#define REPETITIONS 128ul

static int failures;

/* One line; a NaN goal is none. */
static void add(struct bench_table *table, const char *what, double found, double goal)
{
    char text[2][32] = {"not measured", ""};
    const char *row[4] = {what, text[0], text[1], ""};

    if (!isnan(found)) {
        (void)snprintf(text[0], sizeof(text[0]), "%.6g", found);
    }
    if (!isnan(goal)) {
        (void)snprintf(text[1], sizeof(text[1]), "at most %.6g", goal);
        row[3] = isnan(found) ? "" : found <= goal ? "yes" : "NO";
    }
    failures += isnan(found);
    bench_table_row(table, row);
}

static double count(const char *program, const char *what)
{
    double each = NAN;

    return costs_instructions(program, what, REPETITIONS, &each) == 0 ? each : NAN;
}

static void add_all(struct bench_table *table, const char *program)
{
    /* What a look-up may cost more among 10,000 times as many types: chains in a map are longer. */
    const double growth = 1.25;
    double table_call = count(program, "table"), plain = count(program, "setjmp");
    double by_code = count(program, "code10"), by_name = count(program, "name10");

    add(table, "call through a hand-written table", table_call, NAN);
    add(table, "call through a closure", count(program, "closure"), table_call);
    add(table, "_setjmp and loop", plain, NAN);
    add(table, "TRY without RAISE, beyond that", count(program, "try") - plain, 40);
    add(table, "TRY with FINALLY, beyond that", count(program, "finally") - plain, 40);
    add(table, "type by code, of 10", by_code, NAN);
    add(table, "type by code, of 100,000", count(program, "code100000"), by_code * growth);
    add(table, "type by name, of 10", by_name, NAN);
    add(table, "type by name, of 100,000", count(program, "name100000"), by_name * growth);
}

static int find_turns(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (length <= 0) {
        return -ENOENT;
    }
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash + 1 - path) + sizeof(TURNS) > size) {
        return -ENAMETOOLONG;
    }
    memcpy(slash + 1, TURNS, sizeof(TURNS));
    return 0;
}

static int body(int argc, char **argv)
{
    static const char *const heading[4] = {"instructions of", "found", "goal", "met"};
    struct bench_table table;
    char program[4096];
    int result;

    (void)argv;
    if (argc > 1) {
        fputs("usage: membrane-types-costs\n"
              "Counts instructions of closures, exceptions and type look-ups with ptrace(2).\n",
              stderr);
        return EXIT_USAGE;
    }
    bench_table_init(&table, 4, heading);
    result = find_turns(program, sizeof(program));
    if (result == 0) {
        add_all(&table, program);
        result = bench_table_print(&table, stdout);
    }
    bench_table_fini(&table);
    return result == 0 && failures == 0 ? EXIT_SUCCESS : EXIT_NEGATIVE;
}

int main(int argc, char **argv)
{
    return bench_out("membrane-types-costs", body, argc, argv);
}
