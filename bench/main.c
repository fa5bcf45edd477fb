/* SPDX-License-Identifier: MIT */
/*
 * membrane-bench: measures the library and its baselines in one run and prints tables, goals and,
 * if asked, JSON. Not here: how anything is measured (lib/), what is measured (subjects.c).
 */
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/goals.h"
#include "bench/layouts.h"
#include "bench/lib/env.h"
#include "bench/lib/json.h"
#include "bench/lib/out.h"
#include "bench/lib/report.h"
#include "bench/options.h"
#include "bench/subjects.h"

static bool matches(const char *const list[], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (fnmatch(list[i], name, 0) == 0) {
            return true;
        }
    }
    return count == 0;
}

/* Adds one case of all wanted subjects, with the yardsticks their ratios need. */
static int plan_case(const struct bench_options *options,
                     const struct bench_standard_case *standard, struct bench_plan *plan)
{
    const struct bench_subject *yardstick =
        standard->yardstick != NULL ? bench_subject_find(standard->yardstick) : NULL;
    struct bench_case bc = standard->bc;
    size_t base = BENCH_NO_CELL;

    bc.span_ns = options->sample_ms * BENCH_MS;
    bc.warm_ns = bc.span_ns / 5;
    for (size_t i = 0; bench_subjects[i] != NULL; i++) {
        const struct bench_subject *subject = bench_subjects[i];
        size_t number;
        int result;

        if (!matches(options->only, options->only_count, subject->name) ||
            !bench_subject_can(subject, &bc)) {
            continue;
        }
        if (yardstick != NULL && base == BENCH_NO_CELL &&
            bench_plan_add(plan, yardstick, &bc, &base) == -ENOMEM) {
            return -ENOMEM;
        }
        result = bench_plan_add(plan, subject, &bc, &number);
        if (result == 0) {
            plan->cell[number].against = base;
            result = bench_goals_plan(plan, subject, &bc);
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int make_plan(const struct bench_options *options, struct bench_plan *plan)
{
    uint64_t span_ns = options->sample_ms * BENCH_MS;

    if (options->layouts) {
        return bench_layouts_plan(plan, span_ns / 5, span_ns);
    }
    for (size_t i = 0; i < bench_case_count; i++) {
        char name[64];
        int result;

        if ((options->quick && !bench_cases[i].quick) ||
            !matches(options->only_case, options->case_count,
                     bench_case_name(&bench_cases[i].bc, name, sizeof(name)))) {
            continue;
        }
        result = plan_case(options, &bench_cases[i], plan);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static void show_progress(void *user, size_t done, size_t total, const struct bench_cell *cell)
{
    char name[64];

    (void)user;
    fprintf(stderr, "\r%zu/%zu %s: %s\033[K", done + 1, total,
            bench_case_name(&cell->bc, name, sizeof(name)), cell->subject->name);
}

static void on_signal(int number)
{
    (void)number;
    bench_run_cancel();
}

static int write_json(const struct bench_options *options, const struct bench_plan *plan,
                      const struct bench_runner *runner, const struct bench_env *env)
{
    json_t *value = bench_plan_json(plan, runner, env);
    int result = value == NULL ? -ENOMEM : 0;

    if (result == 0) {
        result = json_object_set_new(value, "goals", bench_goals_json(plan)) == 0 ? 0 : -ENOMEM;
    }
    if (result == 0) {
        result = bench_json_write(value, options->json);
    }
    json_decref(value);
    if (result != 0) {
        fprintf(stderr, "membrane-bench: %s: %s (try: --json - )\n", options->json,
                strerror(-result));
    }
    return result;
}

static int report(const struct bench_options *options, const struct bench_plan *plan,
                  const struct bench_runner *runner)
{
    /* Tables step aside when the JSON wants standard output. */
    FILE *out = options->json != NULL && strcmp(options->json, "-") == 0 ? stderr : stdout;
    struct bench_env env;
    int result;

    bench_env_read(&env);
    result = options->layouts ? bench_layouts_report(plan, out) : bench_report_plan(plan, out);
    if (result == 0) {
        result = bench_goals_report(plan, out);
    }
    bench_report_conditions(plan, runner, out);
    bench_env_print(&env, out);
    if (result == 0 && options->json != NULL) {
        result = write_json(options, plan, runner, &env);
    }
    return result;
}

static bool anything_failed(const struct bench_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (bench_cell_error(&plan->cell[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* The exit status. */
static int run(const struct bench_options *options, struct bench_runner *runner,
               struct bench_plan *plan)
{
    bool progress = !options->quiet && isatty(STDERR_FILENO);
    int result = make_plan(options, plan);
    int told;

    if (result != 0) {
        fprintf(stderr, "membrane-bench: %s\n", strerror(-result));
        return BENCH_EXIT_INTERNAL;
    }
    if (plan->count == 0) {
        return -bench_usage_error("nothing to measure", "no subject does such a case", "--list");
    }
    result = bench_runner_warm_up(runner);
    if (result == 0) {
        result = bench_plan_run(plan, runner, progress ? show_progress : NULL, NULL);
    }
    if (progress) {
        fputs("\r\033[K", stderr);
    }
    if (result == -EINTR) {
        fputs("membrane-bench: interrupted; what was measured until then follows\n", stderr);
    } else if (result != 0) {
        fprintf(stderr, "membrane-bench: cannot measure: %s\n", strerror(-result));
    }
    told = report(options, plan, runner);
    if (told != 0) {
        return BENCH_EXIT_INTERNAL;
    }
    return result != 0 || anything_failed(plan) ? BENCH_EXIT_NEGATIVE : EXIT_SUCCESS;
}

static int body(int argc, char **argv)
{
    static const struct sigaction action = {.sa_handler = on_signal};
    struct bench_options options;
    struct bench_runner runner;
    struct bench_plan plan;
    int result = bench_options_parse(argc, argv, &options);

    if (result != 0) {
        return result > 0 ? EXIT_SUCCESS : -result;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    result = bench_runner_init(&runner);
    if (result != 0) {
        fprintf(stderr, "membrane-bench: cannot measure: %s\n", strerror(-result));
        return BENCH_EXIT_INTERNAL;
    }
    if (options.cpu[0] >= 0) {
        runner.place = (struct bench_place){.cpu = {options.cpu[0], options.cpu[1]}};
        runner.cpus = options.cpu[0] == options.cpu[1] ? 1 : 2;
    }
    bench_plan_init(&plan, options.runs);
    result = run(&options, &runner, &plan);
    bench_plan_fini(&plan);
    bench_runner_fini(&runner);
    return result;
}

int main(int argc, char **argv)
{
    return bench_out("membrane-bench", body, argc, argv);
}
