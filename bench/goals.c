/* SPDX-License-Identifier: MIT */
/*
 * Judging goals. Cells are found by subject and case name, because goals are written with names.
 */
#include "bench/goals.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "bench/lib/table.h"
#include "bench/subjects.h"

static const struct bench_cell *find_cell(const struct bench_plan *plan, const char *subject,
                                          const char *bc)
{
    for (size_t i = 0; i < plan->count; i++) {
        char name[64];

        if (strcmp(plan->cell[i].subject->name, subject) == 0 &&
            strcmp(bench_case_name(&plan->cell[i].bc, name, sizeof(name)), bc) == 0) {
            return &plan->cell[i];
        }
    }
    return NULL;
}

static const struct bench_case *find_case(const char *name)
{
    for (size_t i = 0; i < bench_case_count; i++) {
        char text[64];

        if (strcmp(bench_case_name(&bench_cases[i].bc, text, sizeof(text)), name) == 0) {
            return &bench_cases[i].bc;
        }
    }
    return NULL;
}

/* The case that the goal compares with: the named one, for the time of this one. */
static bool against_case(const struct bench_goal *goal, const struct bench_case *bc,
                         struct bench_case *like)
{
    const struct bench_case *found =
        find_case(goal->against_case != NULL ? goal->against_case : goal->bc);

    if (found == NULL) {
        return false;
    }
    *like = *found;
    like->warm_ns = bc->warm_ns;
    like->span_ns = bc->span_ns;
    return true;
}

/* Adds the cells of all subjects that the goal compares with. */
static int plan_goal(struct bench_plan *plan, const struct bench_goal *goal,
                     const struct bench_case *like)
{
    for (size_t i = 0; bench_subjects[i] != NULL; i++) {
        size_t number;
        int result;

        if (fnmatch(goal->against, bench_subjects[i]->name, 0) != 0) {
            continue;
        }
        result = bench_plan_add(plan, bench_subjects[i], like, &number);
        if (result != 0 && result != -ENOTSUP) {
            return result;
        }
    }
    return 0;
}

int bench_goals_plan(struct bench_plan *plan, const struct bench_subject *subject,
                     const struct bench_case *bc)
{
    char name[64];

    bench_case_name(bc, name, sizeof(name));
    for (size_t i = 0; i < bench_goal_count; i++) {
        const struct bench_goal *goal = &bench_goals[i];
        struct bench_case like;

        if (goal->against != NULL && strcmp(goal->subject, subject->name) == 0 &&
            strcmp(goal->bc, name) == 0 && against_case(goal, bc, &like)) {
            int result = plan_goal(plan, goal, &like);

            if (result != 0) {
                return result;
            }
        }
    }
    return 0;
}

static bool at_most(const struct bench_goal *goal)
{
    return goal->kind == BENCH_RATIO_AT_MOST || goal->kind == BENCH_LATER_AT_MOST;
}

/* The value beside one subject. */
static double value_beside(const struct bench_goal *goal, const struct bench_cell *cell,
                           const struct bench_cell *against)
{
    if (goal->kind == BENCH_LATER_AT_MOST) {
        return bench_cell_spread(cell).median - bench_cell_spread(against).median;
    }
    return bench_cell_ratio(cell, against).median;
}

/* The measured value of a goal, NaN when the plan has none. */
static double goal_value(const struct bench_plan *plan, const struct bench_goal *goal)
{
    const struct bench_cell *cell = find_cell(plan, goal->subject, goal->bc);
    const char *bc = goal->against_case != NULL ? goal->against_case : goal->bc;
    double worst = NAN;

    if (cell == NULL) {
        return NAN;
    }
    if (goal->kind == BENCH_RATE_AT_LEAST) {
        return bench_cell_spread(cell).median;
    }
    for (size_t i = 0; bench_subjects[i] != NULL; i++) {
        const char *name = bench_subjects[i]->name;
        const struct bench_cell *against =
            fnmatch(goal->against, name, 0) == 0 ? find_cell(plan, name, bc) : NULL;
        double value = against != NULL ? value_beside(goal, cell, against) : NAN;

        if (isnan(worst) || (at_most(goal) ? value > worst : value < worst)) {
            worst = value;
        }
    }
    return worst;
}

static bool reached(const struct bench_goal *goal, double value)
{
    return at_most(goal) ? value <= goal->limit : value >= goal->limit;
}

static const char *value_text(const struct bench_goal *goal, double value, char *text, size_t size)
{
    switch (goal->kind) {
    case BENCH_RATE_AT_LEAST:
        return bench_rate_text(value, text, size);
    case BENCH_LATER_AT_MOST:
        if (value < 0) {
            snprintf(text, size, "earlier");
            return text;
        }
        return bench_time_text(value, text, size);
    case BENCH_RATIO_AT_MOST:
    case BENCH_RATIO_AT_LEAST:
        break;
    }
    snprintf(text, size, "%.2fx", value);
    return text;
}

static void add_goal(struct bench_table *table, const struct bench_goal *goal, double value)
{
    char limit[16], found[16], bound[32], against[64];
    const char *row[6] = {goal->subject, goal->bc, against, bound, found, NULL};

    snprintf(against, sizeof(against), "%s%s%s", goal->against != NULL ? goal->against : "",
             goal->against_case != NULL ? ", " : "",
             goal->against_case != NULL ? goal->against_case : "");
    snprintf(bound, sizeof(bound), "%s %s", at_most(goal) ? "at most" : "at least",
             value_text(goal, goal->limit, limit, sizeof(limit)));
    value_text(goal, value, found, sizeof(found));
    row[5] = reached(goal, value) ? "yes" : "NO";
    bench_table_row(table, row);
}

int bench_goals_report(const struct bench_plan *plan, FILE *out)
{
    static const char *const heading[] = {"goal", "case", "beside", "wanted", "found", "reached"};
    struct bench_table table;
    int result = 0;

    bench_table_init(&table, 6, heading);
    for (size_t i = 0; i < bench_goal_count; i++) {
        double value = goal_value(plan, &bench_goals[i]);

        if (!isnan(value)) {
            add_goal(&table, &bench_goals[i], value);
        }
    }
    if (table.rows > 1) {
        result = bench_table_print(&table, out);
        fputc('\n', out);
    }
    bench_table_fini(&table);
    return result;
}

json_t *bench_goals_json(const struct bench_plan *plan)
{
    json_t *goals = json_array();

    for (size_t i = 0; i < bench_goal_count; i++) {
        const struct bench_goal *goal = &bench_goals[i];
        double value = goal_value(plan, goal);
        json_t *object;

        if (isnan(value)) {
            continue;
        }
        object = json_pack("{s:s, s:s, s:s*, s:s, s:f, s:f, s:b}", "subject", goal->subject, "case",
                           goal->bc, "against", goal->against, "wanted",
                           at_most(goal) ? "at most" : "at least", "limit", goal->limit, "found",
                           value, "reached", reached(goal, value));
        if (json_array_append_new(goals, object) != 0) {
            json_decref(goals);
            return NULL;
        }
    }
    return goals;
}
