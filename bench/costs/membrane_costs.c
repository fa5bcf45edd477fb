/* SPDX-License-Identifier: MIT */
/*
 * membrane-costs: what the library uses besides time. Memory and descriptors of idle pipes,
 * allocations and system calls of the busy path, instructions of a message and of a task switch;
 * each beside its goal. Counts, not times: they need no quiet machine.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/costs/allocations.h"
#include "bench/costs/idle.h"
#include "bench/costs/outside.h"
#include "bench/costs/turns.h"
#include "bench/lib/json.h"
#include "bench/lib/out.h"
#include "bench/lib/table.h"
#include "bench/membrane/meet.h"

#ifndef MBR_BENCH_VERSION
#define MBR_BENCH_VERSION "unknown"
#endif

enum { EXIT_NEGATIVE = 1, EXIT_USAGE = 2, EXIT_INTERNAL = 70 };

#define KIB             1024.0
#define IDLE_GOAL_BYTES (160 * KIB)
#define IDLE_GOAL_FDS   2.0
#define SWITCH_GOAL     60.0
/* The system calls of 100,000 messages that two processes may need because one of them lost its CPU
 * meanwhile and the other fell asleep. */
#define CALLS_GOAL 0.001

struct report {
    struct bench_table table;
    json_t *json;
};

/* One line; NaN stands for "not measured" and, as a goal, for none. */
static void add(struct report *report, const char *what, double found, double goal,
                const char *note)
{
    char text[2][32] = {"not measured", ""};
    const char *row[4] = {what, text[0], text[1], note};

    if (!isnan(found)) {
        (void)snprintf(text[0], sizeof(text[0]), "%.6g", found);
    }
    if (!isnan(goal)) {
        (void)snprintf(text[1], sizeof(text[1]), "at most %.6g", goal);
        if (!isnan(found)) {
            row[3] = found <= goal ? "yes" : "NO";
        }
    }
    bench_table_row(&report->table, row);
    (void)json_array_append_new(report->json,
                                json_pack("{s:s, s:o, s:o}", "what", what, "found",
                                          isnan(found) ? json_null() : json_real(found), "goal",
                                          isnan(goal) ? json_null() : json_real(goal)));
}

/* ---- idle pipes ---- */

static void add_end(struct report *report, const char *end, const char *which,
                    const struct costs_holdings *holdings, bool failed)
{
    double bytes = (double)(holdings->shared + holdings->anonymous + holdings->tables);
    char what[96];

    (void)snprintf(what, sizeof(what), "%s, %s: KiB", which, end);
    add(report, what, failed ? NAN : bytes / KIB, IDLE_GOAL_BYTES / KIB, "");
    (void)snprintf(what, sizeof(what), "%s, %s: KiB of it shared", which, end);
    add(report, what, failed ? NAN : (double)holdings->shared / KIB, NAN, "");
    (void)snprintf(what, sizeof(what), "%s, %s: descriptors", which, end);
    add(report, what, failed ? NAN : (double)holdings->descriptors, IDLE_GOAL_FDS, "");
}

static void add_idle(struct report *report)
{
    static const struct {
        const char *which;
        unsigned pipes, peers;
    } runs[] = {
        {"1 idle pipe", 1, 1},
        {"each of 100 to one process", 100, 1},
        {"each of 100 to 100 processes", 100, 100},
    };
    struct costs_idle idle = {0};

    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        /* Directory and rings are the defaults of a program without a configuration. */
        int result = costs_idle(runs[i].pipes, runs[i].peers, &idle);

        add_end(report, "creator", runs[i].which, &idle.creator, result != 0);
        add_end(report, "opener", runs[i].which, &idle.opener, result != 0);
    }
    add(report, "instance: KiB", (double)(idle.instance.anonymous + idle.instance.tables) / KIB,
        NAN, "once");
    add(report, "instance: descriptors", (double)idle.instance.descriptors, NAN, "once");
}

/* ---- the busy path ---- */

static double count_allocations(size_t size, uint64_t turns)
{
    struct costs_pipe pipe;
    uint64_t before;
    double each = NAN;

    if (costs_open(&pipe) != 0) {
        return NAN;
    }
    if (costs_turns(&pipe, turns / 10, size) == 0) {
        before = costs_allocations();
        if (costs_turns(&pipe, turns, size) == 0) {
            each = (double)(costs_allocations() - before) / (double)turns;
        }
    }
    costs_close(&pipe);
    return each;
}

/* In a process of its own, since the demi API's instance is the thread's. */
static double count_apart(size_t size, uint64_t turns)
{
    double each = NAN;
    int ends[2];
    pid_t pid;

    if (pipe(ends) != 0) {
        return NAN;
    }
    pid = fork();
    if (pid == 0) {
        each = count_allocations(size, turns);
        (void)!write(ends[1], &each, sizeof(each));
        _exit(0);
    }
    (void)close(ends[1]);
    if (pid < 0 || read(ends[0], &each, sizeof(each)) != (ssize_t)sizeof(each)) {
        each = NAN;
    }
    (void)close(ends[0]);
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
    return each;
}

static const char *reason(int result)
{
    return result == 0 ? "" : result == -ENOENT ? "no such program" : strerror(-result);
}

static void add_busy(struct report *report, const char *turns)
{
    double each = NAN;
    int result;

    add(report, "allocations of a 64 B message", count_apart(64, 1000000), 0, "");
    add(report, "allocations of a 16 KiB message", count_apart(16384, 100000), 0, "");
    add(report, "allocations of a 1 MiB message", count_apart(1048576, 2000), 0, "");
    result = costs_system_calls(turns, "turns", 1000000, &each);
    add(report, "system calls of a message, one thread", result == 0 ? each : NAN, 0,
        reason(result));
    result = costs_system_calls(turns, "large", 1000, &each);
    add(report, "system calls of a 1 MiB message, one thread", result == 0 ? each : NAN, 0,
        reason(result));
    result = costs_system_calls(turns, "stream", 1000000, &each);
    add(report, "system calls of a message, two processes", result == 0 ? each : NAN, CALLS_GOAL,
        reason(result));
    result = costs_instructions(turns, "turns", 100, &each);
    add(report, "instructions of a message (push to free)", result == 0 ? each : NAN, NAN,
        reason(result));
    result = costs_instructions(turns, "switches", 1000, &each);
    add(report, "instructions of a task switch", result == 0 ? each : NAN, SWITCH_GOAL,
        reason(result));
}

/* ---- the program ---- */

/* membrane-turns lies beside this program. */
static int find_turns(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (length <= 0) {
        return -ENOENT;
    }
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) + sizeof("/membrane-turns") > size) {
        return -ENAMETOOLONG;
    }
    memcpy(slash, "/membrane-turns", sizeof("/membrane-turns"));
    return 0;
}

static int report_all(const char *json)
{
    static const char *const heading[] = {"cost", "found", "wanted", "reached"};
    const struct bench_case bc = {.ring_bytes = COSTS_RING_BYTES};
    struct report report = {.json = json_array()};
    char turns[4096];
    void *shared = NULL;
    int result = find_turns(turns, sizeof(turns));

    bench_table_init(&report.table, 4, heading);
    if (result == 0) {
        result = bench_meet_start(NULL, &bc, &shared);
    }
    if (result == 0) {
        add_idle(&report);
        add_busy(&report, turns);
        bench_meet_stop(shared);
        result = bench_table_print(&report.table, stdout);
    }
    if (result == 0 && json != NULL) {
        result = bench_json_write(report.json, json);
    }
    bench_table_fini(&report.table);
    json_decref(report.json);
    return result;
}

static int usage(FILE *out, int status)
{
    fputs("Examples:\n"
          "  membrane-costs                     a table, in some 15 seconds\n"
          "  membrane-costs --json costs.json   and a file\n"
          "\n"
          "usage: membrane-costs [--json FILE] [--help] [--version]\n"
          "Counts what the library uses besides time. System calls need strace, instructions\n"
          "need ptrace(2); where they cannot be had, these lines say so.\n"
          "\n"
          "Exit status: 0 all was counted; 1 something failed; 2 wrong usage.\n",
          out);
    return status;
}

static int body(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    const char *json = NULL;
    int letter, result;

    while ((letter = getopt_long(argc, argv, "j:hV", options, NULL)) != -1) {
        switch (letter) {
        case 'j':
            json = optarg;
            break;
        case 'h':
            return usage(stdout, EXIT_SUCCESS);
        case 'V':
            puts("membrane-costs " MBR_BENCH_VERSION);
            return EXIT_SUCCESS;
        default:
            return usage(stderr, EXIT_USAGE);
        }
    }
    if (optind < argc) {
        return usage(stderr, EXIT_USAGE);
    }
    result = report_all(json);
    if (result != 0) {
        fprintf(stderr, "membrane-costs: %s\n", strerror(-result));
        return result == -ENOMEM ? EXIT_INTERNAL : EXIT_NEGATIVE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    return bench_out("membrane-costs", body, argc, argv);
}
