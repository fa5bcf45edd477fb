/* SPDX-License-Identifier: MIT */
/*
 * membrane-bench-objects: what objects cost, as ratios to a floor measured in the same run: memcpy,
 * one reader alone, a small container, and other ways to hand a value to another process. All
 * figures of a row take turns in each repetition; medians are shown and judged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/costs/outside.h"
#include "bench/lib/clock.h"
#include "bench/lib/out.h"
#include "bench/lib/ratio.h"
#include "bench/objects/load.h"
#include "bench/objects/wake.h"
#include "bench/objects/way.h"

struct world {
    int runs;
    uint64_t span;
    unsigned int values; /* handed over in one repetition */
    const char *only;
    struct bench_ratios all;
};

static bool wanted(const struct world *w, const char *name)
{
    return w->only == NULL || fnmatch(w->only, name, 0) == 0;
}

/* ---- rows ---- */

static void counted(struct world *w)
{
    static const char *const things[] = {"get-put", "read", "write"};
    struct bench_ratio instructions[] = {
        {.name = "get and put, instructions", .unit = "", .goal = 120, .at_most = true},
        {.name = "read of 64 bytes, instructions", .unit = ""},
        {.name = "write of 64 bytes, instructions", .unit = ""},
    };
    struct bench_ratio calls = {.name = "get and put, system calls", .unit = ""};
    char self[PATH_MAX - 32], program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    double each = 0, loop = 0;

    if (!wanted(w, "counted") || n < 0)
        return;
    self[n] = '\0';
    (void)snprintf(program, sizeof(program), "%s/membrane-object-turns", dirname(self));
    /* Less what it costs to call two functions that do nothing. */
    (void)costs_instructions(program, "nothing", 1000, &loop);
    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        int rc = costs_instructions(program, things[i], 1000, &each);

        bench_ratio_report(&w->all, &instructions[i],
                           rc < 0 ? rc : bench_ratio_take(&instructions[i], each - loop, 0));
    }
    int rc = costs_system_calls(program, "get-put", 1000, &each);

    bench_ratio_report(&w->all, &calls, rc < 0 ? rc : bench_ratio_take(&calls, each, 0));
}

static void times(struct world *w)
{
    struct bench_ratio get = {.name = "get and put", .unit = "ns"};
    struct bench_ratio both = {
        .name = "get and put, two of one block / alone", .unit = "1/s", .goal = 0.833};
    struct bench_ratio apart = {.name = "get and put, two of two objects / alone", .unit = "1/s"};
    int rc = 0;

    if (!wanted(w, "readers"))
        return;
    for (int i = 0; i < w->runs && rc == 0; i++) {
        double alone = load_readers(1, false, w->span);

        rc = bench_ratio_take(&get, alone > 0 ? 1e9 / alone : alone, 0);
        rc = rc < 0 ? rc : bench_ratio_take(&both, load_readers(2, false, w->span), alone);
        rc = rc < 0 ? rc : bench_ratio_take(&apart, load_readers(2, true, w->span), alone);
    }
    bench_ratio_report(&w->all, &get, rc);
    bench_ratio_report(&w->all, &both, rc);
    bench_ratio_report(&w->all, &apart, rc);
}

static void bandwidth(struct world *w)
{
    static const size_t sizes[] = {(size_t)1 << 20, (size_t)64 << 20};
    struct bench_ratio rows[] = {
        {.name = "write 1 MiB / memcpy", .unit = "B/s", .goal = 0.9},
        {.name = "read 1 MiB / memcpy", .unit = "B/s", .goal = 0.9},
        {.name = "write 64 MiB / memcpy", .unit = "B/s", .goal = 0.9},
        {.name = "read 64 MiB / memcpy", .unit = "B/s", .goal = 0.9},
    };

    if (!wanted(w, "bandwidth"))
        return;
    for (size_t s = 0; s < 2; s++) {
        int rc = load_copy_begin(sizes[s]);

        for (int i = 0; i < w->runs && rc == 0; i++) {
            rc = bench_ratio_take(&rows[2 * s], load_copy(LOAD_WRITE, w->span),
                                  load_copy(LOAD_MEMCPY_IN, w->span));
            rc = rc < 0 ? rc
                        : bench_ratio_take(&rows[2 * s + 1], load_copy(LOAD_READ, w->span),
                                           load_copy(LOAD_MEMCPY_OUT, w->span));
        }
        load_copy_end();
        bench_ratio_report(&w->all, &rows[2 * s], rc);
        bench_ratio_report(&w->all, &rows[2 * s + 1], rc);
    }
}

static double hand_over(struct world *w, const struct way *way)
{
    char directory[] = "/dev/shm/membrane-bench-XXXXXX";
    char command[80];
    double rate;
    int rc;

    if (mkdtemp(directory) == NULL)
        return -errno;
    rc = way->start(directory);
    rate = rc < 0 ? rc : way_hand_over(way, w->values);
    way->stop();
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    (void)!system(command); // NOLINT(cert-env33-c): its words are our own
    return rate;
}

static void against(struct world *w, const struct way *other, const char *name, double goal)
{
    struct bench_ratio row = {.name = name, .unit = "1/s", .goal = goal};
    int rc = 0;

    for (int i = 0; i < w->runs && rc == 0; i++)
        rc = bench_ratio_take(&row, hand_over(w, &way_objects), hand_over(w, other));
    if (rc == -ENOENT)
        fprintf(stderr, "membrane-bench-objects: %s: not installed\n", name);
    else
        bench_ratio_report(&w->all, &row, rc);
}

static void ways(struct world *w)
{
    struct bench_ratio versioned = {.name = "1 MiB, versioned / in place", .unit = "1/s"};
    struct bench_ratio reference = {.name = "1 MiB, by reference / touched", .unit = "1/s"};
    int rc = 0;

    if (!wanted(w, "values"))
        return;
    against(w, &way_redis, "1 MiB to another process / redis", 3);
    against(w, &way_memcached, "1 MiB to another process / memcached", 3);
#ifdef BENCH_WITH_LMDB
    against(w, &way_lmdb, "1 MiB to another process / LMDB", 1);
#endif
    for (int i = 0; i < w->runs && rc == 0; i++)
        rc = bench_ratio_take(&versioned, hand_over(w, &way_versioned), hand_over(w, &way_objects));
    bench_ratio_report(&w->all, &versioned, rc);
    rc = 0;
    for (int i = 0; i < w->runs && rc == 0; i++)
        rc = bench_ratio_take(&reference, hand_over(w, &way_reference), hand_over(w, &way_objects));
    bench_ratio_report(&w->all, &reference, rc);
}

static void wakes(struct world *w)
{
    struct bench_ratio rows[] = {
        {.name = "waking a reader / futex", .unit = "ns", .goal = 1.3, .at_most = true},
        {.name = "waking a writer / futex", .unit = "ns", .goal = 1.3, .at_most = true}};
    const enum wake_way ways[] = {WAKE_READER, WAKE_WRITER};
    int rc;

    if (!wanted(w, "wakes"))
        return;
    rc = wake_begin();
    for (int i = 0; i < w->runs && rc == 0; i++) {
        for (int r = 0; r < 2 && rc == 0; r++)
            rc = bench_ratio_take(&rows[r], wake_once(ways[r], 200), wake_once(WAKE_FUTEX, 200));
    }
    wake_end();
    for (int r = 0; r < 2; r++)
        bench_ratio_report(&w->all, &rows[r], rc);
}

static void crowds(struct world *w)
{
    static const struct {
        const char *name;
        enum load_step step;
    } steps[] = {{"create and destroy, crowd / few", LOAD_CREATE},
                 {"join and leave, crowd / few", LOAD_JOIN},
                 {"join of what is not there, crowd / few", LOAD_MISS},
                 {"join a container, crowd / few", LOAD_MEMBER}};
    struct bench_ratio rows[4];
    int rc;

    if (!wanted(w, "crowd"))
        return;
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < 4; i++) {
        rows[i].name = steps[i].name;
        rows[i].unit = "1/s";
        rows[i].goal = 0.75;
    }
    rc = load_crowd_begin(10000, 1000);
    for (int i = 0; i < w->runs && rc == 0; i++) {
        for (int s = 0; s < 4 && rc == 0; s++)
            rc = bench_ratio_take(&rows[s], load_crowd(true, steps[s].step, w->span),
                                  load_crowd(false, steps[s].step, w->span));
    }
    load_crowd_end();
    for (int s = 0; s < 4; s++)
        bench_ratio_report(&w->all, &rows[s], rc);
}

/* ---- the program ---- */

static int usage(int status)
{
    fputs("usage: membrane-bench-objects [--runs N] [--time MS] [--values N] [--only ROWS]\n"
          "                              [--json FILE]\n"
          "Rows: counted readers bandwidth values wakes crowd. Medians of N (5) repetitions of MS "
          "(100);\n"
          "N (500) values of 1 MiB are handed over in each. redis-server and memcached are\n"
          "measured if they are installed.\n"
          "Exit status: 0 all was measured; 1 something failed; 2 wrong usage.\n",
          status == 0 ? stdout : stderr);
    return status;
}

static int body(int argc, char **argv)
{
    static const struct option options[] = {
        {"runs", required_argument, NULL, 'n'},
        {"time", required_argument, NULL, 't'},
        {"values", required_argument, NULL, 'v'},
        {"only", required_argument, NULL, 'o'},
        {"json", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct world w = {.runs = 5,
                      .span = 100 * BENCH_MS,
                      .values = 500,
                      .all = {.program = "membrane-bench-objects"}};
    const char *json = NULL;
    int letter, rc = 0;
    bool good;

    while ((letter = getopt_long(argc, argv, "n:t:v:o:j:h", options, NULL)) != -1) {
        if (letter == 'h')
            return usage(0);
        if (letter == 'n')
            w.runs = (int)strtol(optarg, NULL, 10);
        else if (letter == 't')
            w.span = strtoull(optarg, NULL, 10) * BENCH_MS;
        else if (letter == 'v')
            w.values = (unsigned int)strtoul(optarg, NULL, 10);
        else if (letter == 'o')
            w.only = optarg;
        else if (letter == 'j')
            json = optarg;
        else
            return usage(2);
    }
    if (w.runs < 1 || w.runs > BENCH_RATIO_RUNS || w.span == 0 || w.values == 0 || optind < argc)
        return usage(2);
    w.all.rows = json_array();
    bench_ratio_head();
    counted(&w);
    times(&w);
    bandwidth(&w);
    ways(&w);
    wakes(&w);
    crowds(&w);
    good = bench_ratio_end(&w.all);
    if (json != NULL)
        rc = bench_ratio_json(&w.all, json);
    json_decref(w.all.rows);
    return rc < 0 || !good;
}

int main(int argc, char **argv)
{
    return bench_out("membrane-bench-objects", body, argc, argv);
}
