/* SPDX-License-Identifier: MIT */
/*
 * membrane-bench-store: the store's speed as ratios to a floor that is measured in the same run.
 * All figures of a row take turns in each repetition; medians are shown and judged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/lib/clock.h"
#include "bench/lib/out.h"
#include "bench/lib/pin.h"
#include "bench/lib/ratio.h"
#include "bench/store/load.h"
#include "bench/store/peer.h"

#define CROWD   4000
#define WATCHES 100000
#define WIDE    100000
#define NODES   900000 /* and WIDE, and some: a million */
#define FAN     50
#define DURABLE 16

struct world {
    struct peer floor, store, durable;
    struct bench_place cpus;
    uint64_t span;
    int runs;
    const char *only;
    struct bench_ratios all;
};

static bool wanted(const struct world *w, const char *name)
{
    return w->only == NULL || fnmatch(w->only, name, 0) == 0;
}

/* ---- rows ---- */

/* Everybody on one CPU, on two, or anywhere: where the kernel puts two processes moves their round
 * trip by four times, and puts them there for minutes. */
enum place { TOGETHER, APART, ANYWHERE };

static int put(struct world *w, enum place place)
{
    int client = place == ANYWHERE ? -1 : w->cpus.cpu[0];
    int server = place == APART ? w->cpus.cpu[1] : client;
    int rc = peer_place(0, client);

    if (rc == 0)
        rc = peer_place(w->floor.pid, server);
    return rc < 0 ? rc : peer_place(w->store.pid, server);
}

/* One request at a time: all in turns of a millisecond. On two CPUs most of the time is that of a
 * CPU that sleeps and is woken, for each message one; that is shown, and nothing judged by it. */
static void single_requests(struct world *w, enum place place)
{
    bool apart = place == APART;
    struct bench_ratio rows[] = {
        {.name = "read 1x1 / floor", .unit = "1/s", .goal = 0.9},
        {.name = "write 1x1 / read", .unit = "1/s", .goal = 0.85},
        {.name = "transaction / read", .unit = "1/s", .goal = 0.24},
        {.name = "write to event / floor", .unit = "ns", .goal = 1.3, .at_most = true},
    };
    struct bench_ratio woken[] = {
        {.name = "two CPUs: read 1x1 / floor", .unit = "1/s"},
        {.name = "two CPUs: write 1x1 / read", .unit = "1/s"},
        {.name = "two CPUs: transaction / read", .unit = "1/s"},
        {.name = "two CPUs: write to event / floor", .unit = "ns"},
    };
    struct bench_ratio *row = apart ? woken : rows;
    int rc = put(w, place);

    for (int i = 0; i < w->runs && rc == 0; i++) {
        double t[LOAD_TURNS];

        rc = load_in_turns(&w->floor, &w->store, w->span * LOAD_TURNS, t);
        if (rc < 0)
            break;
        rc = bench_ratio_take(&row[0], 1e9 / t[LOAD_READ], 1e9 / t[LOAD_FLOOR]);
        if (rc == 0)
            rc = bench_ratio_take(&row[1], 1e9 / t[LOAD_WRITE], 1e9 / t[LOAD_READ]);
        if (rc == 0)
            rc = bench_ratio_take(&row[2], 1e9 / t[LOAD_TRANSACTION], 1e9 / t[LOAD_READ]);
        if (rc == 0)
            rc = bench_ratio_take(&row[3], t[LOAD_DELIVERY], t[LOAD_FLOOR]);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        bench_ratio_report(&w->all, &row[i], rc);
}

static void many_requests(struct world *w)
{
    struct bench_ratio all = {.name = "read 16x16 / floor", .unit = "1/s", .goal = 0.7};
    struct bench_ratio write16 = {.name = "write 16x16 / read", .unit = "1/s", .goal = 0.85};
    struct bench_ratio fan = {.name = "events to 50 watchers", .unit = "1/s", .goal = 500e3};
    struct bench_ratio fan1 = {
        .name = "the same, a write at a time / floor", .unit = "1/s", .goal = 0.9};
    int rc = put(w, ANYWHERE);

    for (int i = 0; i < w->runs && rc == 0; i++) {
        double read16 = load_requests(&w->store, MBR__XS_READ, 16, 16, w->span);

        rc =
            bench_ratio_take(&all, read16, load_requests(&w->floor, MBR__XS_READ, 16, 16, w->span));
        if (rc == 0)
            rc = bench_ratio_take(&write16,
                                  load_requests(&w->store, MBR__XS_WRITE, 16, 16, w->span), read16);
        if (rc == 0)
            rc = bench_ratio_take(&fan, load_fan_out(&w->store, FAN, LOAD_BURST, w->span), 0);
        if (rc == 0)
            rc = bench_ratio_take(&fan1, load_fan_out(&w->store, FAN, 1, w->span),
                                  load_fan_out(&w->floor, FAN, 1, w->span));
    }
    bench_ratio_report(&w->all, &all, rc);
    bench_ratio_report(&w->all, &write16, rc);
    bench_ratio_report(&w->all, &fan, rc);
    bench_ratio_report(&w->all, &fan1, rc);
}

static void requests(struct world *w)
{
    if (!wanted(w, "requests"))
        return;
    single_requests(w, TOGETHER);
    if (w->cpus.cpu[0] != w->cpus.cpu[1])
        single_requests(w, APART);
    many_requests(w);
}

/* Both sides of a ring look before they sleep, for which each needs a CPU. A socket is fastest with
 * both on one. */
static void ring(struct world *w)
{
    struct bench_ratio row = {.name = "ring / socket, read 1x1", .unit = "1/s", .goal = 5};
    int rc = 0;

    if (!wanted(w, "ring"))
        return;
    for (int i = 0; i < w->runs && rc == 0; i++) {
        double ring = (rc = put(w, APART)) < 0 ? rc : load_ring(&w->store, w->span);

        if (rc == 0)
            rc = put(w, TOGETHER);
        if (rc == 0)
            rc =
                bench_ratio_take(&row, ring, load_requests(&w->store, MBR__XS_READ, 1, 1, w->span));
    }
    if (rc == 0)
        rc = put(w, ANYWHERE);
    bench_ratio_report(&w->all, &row, rc);
}

/* The rate with a crowd, held against the rate without, each time anew. */
static void crowded(struct world *w, struct bench_ratio *row, int connections, int with_watch,
                    int watches)
{
    int rc = 0;

    if (!wanted(w, "crowd"))
        return;
    rc = put(w, TOGETHER);
    for (int i = 0; i < w->runs && rc == 0; i++) {
        double without = load_requests(&w->store, MBR__XS_WRITE, 1, 1, w->span);

        rc = watches > 0 ? load_watches(&w->store, watches)
                         : load_crowd(&w->store, connections, with_watch);
        if (rc == 0)
            rc = bench_ratio_take(row, load_requests(&w->store, MBR__XS_WRITE, 1, 1, w->span),
                                  without);
        load_crowd_end();
    }
    bench_ratio_report(&w->all, row, rc);
}

static void crowds(struct world *w)
{
    struct bench_ratio idle = {
        .name = "write, 4000 connections / none", .unit = "1/s", .goal = 0.9};
    struct bench_ratio each = {
        .name = "write, 4000 with a watch / none", .unit = "1/s", .goal = 0.9};
    struct bench_ratio all = {.name = "write, 100000 watches / none", .unit = "1/s", .goal = 0.9};

    crowded(w, &idle, CROWD, 0, 0);
    crowded(w, &each, CROWD, 1, 0);
    crowded(w, &all, 0, 0, WATCHES);
    (void)put(w, ANYWHERE);
}

static void big_tree(struct world *w)
{
    struct bench_ratio child = {
        .name = "child of 100000 / of an empty one", .unit = "1/s", .goal = 0.9};
    struct bench_ratio bytes = {
        .name = "bytes of a node", .unit = "B", .goal = 200, .at_most = true};
    struct bench_ratio still = {.name = "longest wait of 2000 reads, ns", .unit = "ns"};
    struct bench_ratio delay = {
        .name = "longest wait in a removal, ns", .unit = "ns", .goal = 5e6, .at_most = true};
    uint64_t before = peer_memory(&w->store);
    char directory[32];
    int rc = 0;

    if (!wanted(w, "tree"))
        return;
    for (int i = 0; i < NODES / WIDE && rc == 0; i++) {
        (void)snprintf(directory, sizeof(directory), "/tree/%d", i);
        rc = load_nodes(&w->store, directory, WIDE);
    }
    if (rc == 0)
        rc = load_nodes(&w->store, "/wide", WIDE);
    if (rc == 0)
        rc =
            bench_ratio_take(&bytes, (double)(peer_memory(&w->store) - before) / (NODES + WIDE), 0);
    for (int i = 0; i < w->runs && rc == 0; i++) {
        (void)snprintf(directory, sizeof(directory), "/empty%d", i);
        rc = bench_ratio_take(&child, load_children(&w->store, "/wide", w->span),
                              load_children(&w->store, directory, w->span));
    }
    for (int i = 0; i < w->runs && i < NODES / WIDE && rc == 0; i++) {
        (void)snprintf(directory, sizeof(directory), "/tree/%d", i);
        rc = bench_ratio_take(&still, load_quiet_wait(&w->store, 2000), 0);
        if (rc == 0)
            rc = bench_ratio_take(&delay, load_removal(&w->store, directory), 0);
    }
    bench_ratio_report(&w->all, &bytes, rc);
    bench_ratio_report(&w->all, &child, rc);
    bench_ratio_report(&w->all, &still, rc);
    bench_ratio_report(&w->all, &delay, rc);
}

/* One client that waits for each answer: a commit a write. */
static void durable(struct world *w)
{
    struct bench_ratio one = {.name = "durable writes 16x1 / 1x1", .unit = "1/s", .goal = 5};
    struct bench_ratio all = {.name = "durable writes 16x16 / 1x1", .unit = "1/s", .goal = 20};
    int rc = 0;

    if (!wanted(w, "durable"))
        return;
    for (int i = 0; i < w->runs && rc == 0; i++) {
        double single = load_requests(&w->durable, MBR__XS_WRITE, 1, 1, w->span);

        rc = bench_ratio_take(&one, load_requests(&w->durable, MBR__XS_WRITE, DURABLE, 1, w->span),
                              single);
        rc = rc < 0
                 ? rc
                 : bench_ratio_take(
                       &all, load_requests(&w->durable, MBR__XS_WRITE, DURABLE, DURABLE, w->span),
                       single);
    }
    bench_ratio_report(&w->all, &one, rc);
    bench_ratio_report(&w->all, &all, rc);
}

/* ---- the program ---- */

static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int measure(struct world *w)
{
    int rc = bench_place_choose(&w->cpus);

    if (rc >= 0)
        rc = peer_floor(&w->floor);
    if (rc == 0)
        rc = peer_store(&w->store, 0);
    if (rc == 0)
        rc = peer_store(&w->durable, 1);
    if (rc < 0) {
        fprintf(stderr, "membrane-bench-store: cannot start the servers: %s\n", strerror(-rc));
        return rc;
    }
    bench_ratio_head();
    requests(w);
    ring(w);
    crowds(w);
    durable(w);
    big_tree(w);
    return 0;
}

static int usage(int status)
{
    fputs("usage: membrane-bench-store [--runs N] [--time MS] [--only ROWS] [--json FILE]\n"
          "Rows: requests ring crowd durable tree. Measures membraned, which must be beside this\n"
          "program, against an echo server that answers the same bytes; medians of N (5).\n"
          "Exit status: 0 all was measured; 1 something failed; 2 wrong usage.\n",
          status == 0 ? stdout : stderr);
    return status;
}

static int body(int argc, char **argv)
{
    static const struct option options[] = {
        {"runs", required_argument, NULL, 'n'}, {"time", required_argument, NULL, 't'},
        {"only", required_argument, NULL, 'o'}, {"json", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},       {0},
    };
    struct world w = {
        .runs = 5, .span = 200 * BENCH_MS, .all = {.program = "membrane-bench-store"}};
    const char *json = NULL;
    int letter, rc;
    bool good;

    while ((letter = getopt_long(argc, argv, "n:t:o:j:h", options, NULL)) != -1) {
        if (letter == 'h')
            return usage(0);
        if (letter == 'n')
            w.runs = (int)strtol(optarg, NULL, 10);
        else if (letter == 't')
            w.span = strtoull(optarg, NULL, 10) * BENCH_MS;
        else if (letter == 'o')
            w.only = optarg;
        else if (letter == 'j')
            json = optarg;
        else
            return usage(2);
    }
    if (w.runs < 1 || w.runs > BENCH_RATIO_RUNS || w.span == 0 || optind < argc)
        return usage(2);
    w.all.rows = json_array();
    raise_limits();
    rc = measure(&w);
    peer_end(&w.floor);
    peer_end(&w.store);
    peer_end(&w.durable);
    good = bench_ratio_end(&w.all);
    if (rc == 0 && json != NULL)
        rc = bench_ratio_json(&w.all, json);
    json_decref(w.all.rows);
    return rc < 0 || !good;
}

int main(int argc, char **argv)
{
    return bench_out("membrane-bench-store", body, argc, argv);
}
