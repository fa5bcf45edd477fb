/* SPDX-License-Identifier: MIT */
/*
 * Commit, order of watches and live update under every schedule: short programs of three
 * connections on the real engine, in every order, with a live update, a death or a reset after
 * each step, compared step by step with a specification of a few pages (store_spec.h): which
 * commits fail, what is answered, who is told what and in which order, that own events come before
 * the answer and OK before the first event of a watch, and that nothing is lost or told twice over
 * a live update.
 *
 * The programs are made by putting requests from short lists together in every way. The argument
 * `full` makes the lists longer; `mutants` shows that the model finds faults that are put in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store_mutants.h"
#include "store_run.h"

static struct {
    unsigned long long programs, runs;
    bool failed; /* the first fault of a family ends it */
} tally;

static bool deep;

/* ---- every order, every trouble -------------------------------------------------------------- */

static void complain(const struct run_program *program)
{
    tally.failed = true;
    if (mutant != MUTANT_NONE)
        return;
    print_error("%s\nsetup: %s\n", run_wrong(), program->setup);
    for (int c = 0; c < RUN_CONNS; c++)
        print_error("%c: %s\n", program->who[c], program->text[c]);
    print_error("%s", run_trace());
}

static void one_run(const struct run_program *program, struct run_plan *plan)
{
    tally.runs++;
    if (!tally.failed && !run(program, plan))
        complain(program);
}

/* One order: as it is, and with each trouble after each step. */
static void in_this_order(const struct run_program *program, struct run_plan *plan,
                          const int length[RUN_CONNS])
{
    plan->trouble = RUN_NONE;
    one_run(program, plan);
    plan->trouble = RUN_UPDATE_ALWAYS;
    one_run(program, plan);
    for (plan->at = 0; plan->at < plan->steps; plan->at++) {
        plan->who = 0;
        plan->trouble = RUN_UPDATE;
        one_run(program, plan);
        for (plan->who = 0; plan->who < RUN_CONNS; plan->who++) {
            plan->trouble = RUN_UPDATE_AND_EAT;
            one_run(program, plan);
            plan->trouble = RUN_DEATH;
            one_run(program, plan);
            plan->trouble = RUN_RESET;
            if (length[plan->who] > 0)
                one_run(program, plan);
        }
    }
}

static void in_every_order(const struct run_program *program, struct run_plan *plan,
                           const int length[RUN_CONNS], int done[RUN_CONNS])
{
    bool any = false;

    for (int c = 0; c < RUN_CONNS && !tally.failed; c++) {
        if (done[c] == length[c])
            continue;
        any = true;
        done[c]++;
        plan->order[plan->steps++] = c;
        in_every_order(program, plan, length, done);
        plan->steps--;
        done[c]--;
    }
    if (!any && !tally.failed)
        in_this_order(program, plan, length);
}

static void explore(const struct run_program *program)
{
    struct run_plan plan = {.steps = 0};
    int length[RUN_CONNS];
    int done[RUN_CONNS] = {0};

    if (tally.failed)
        return;
    for (int c = 0; c < RUN_CONNS; c++) {
        length[c] = run_length(program->text[c]);
        if (length[c] == 0 && program->text[c][0] != '\0')
            fail_msg("no program: %s", program->text[c]);
    }
    tally.programs++;
    in_every_order(program, &plan, length, done);
}

/* ---- programs from lists --------------------------------------------------------------------- */

#define LIST_MAX 16

/* Texts, the first `quick` of which are enough for the quick variant. */
struct list {
    int quick;
    const char *text[LIST_MAX];
};

static int length_of(const struct list *list)
{
    int n = 0;

    while (n < LIST_MAX && list->text[n] != NULL)
        n++;
    return deep || n < list->quick ? n : list->quick;
}

/*
 * A family: what each connection does, as a pattern in which '1' to '4' in angle brackets stand for
 * a text of that list.
 */
struct family {
    const char *name;
    const char *who;
    const char *setup;
    const char *pattern[RUN_CONNS];
    const struct list *list[4];
};

static void fill(char *out, size_t size, const char *pattern, const char *const text[4])
{
    size_t n = 0;

    out[0] = '\0';
    for (; *pattern != '\0'; pattern++) {
        const char *more = NULL;

        if (*pattern == '<') {
            more = text[pattern[1] - '1'];
            pattern += 2;
        }
        n += (size_t)snprintf(out + n, size - n, more != NULL ? "%s" : "%.1s",
                              more != NULL ? more : pattern);
        assert_true(n < size);
    }
}

static void make_programs(const struct family *f, int level, const char *text[4])
{
    struct run_program program;

    if (level < 4 && f->list[level] != NULL) {
        for (int i = 0; i < length_of(f->list[level]); i++) {
            text[level] = f->list[level]->text[i];
            make_programs(f, level + 1, text);
        }
        return;
    }
    (void)snprintf(program.who, sizeof(program.who), "%s", f->who);
    fill(program.setup, sizeof(program.setup), f->setup, text);
    for (int c = 0; c < RUN_CONNS; c++)
        fill(program.text[c], sizeof(program.text[c]), f->pattern[c], text);
    explore(&program);
}

/* Within a transaction; the first ones show each kind of conflict. */
static const struct list inside = {
    4,
    {"TRa", "TXa", "TDp", "TWx1", "TWa1", "TRb", "TXp", "TPa3", "TMb", "TGp", "TXx", "TMx", "TXb"}};
static const struct list inside_more = {1, {"TWb1", "TXp", "TRa", "TWa2", "TDp", "TMx"}};
static const struct list outside = {4, {"Wa2", "Wb2", "Xa", "Pa3", "Xp", "Wx2", "Mb", "Ma", "Pp1"}};
static const struct list outside_more = {1, {"Wa3", "Xp", "Wb3"}};
static const struct list few_inside = {1, {"TWb1", "TXp", "TDp"}};
static const struct list few_outside = {1, {"Wa2", "Xp", "Mb"}};
static const struct list changes = {3, {"Wa1", "Xp", "Wx1", "Pa3", "Xa", "Mb", "Xx"}};
static const struct list places = {
    3, {"wp1 up1", "oa1 ua1", "wx1 ux1", "wr1 ur1", "op1 up1", "wb1 wb1"}};
static const struct list reading = {2, {"e", "e20", "e7 e", "e e20"}};
static const struct list secrets = {2, {"Pa3", "Pa0", "Pp4", "Pp1", "Pa5", "Px3"}};
static const struct list guests_do = {2, {"Wa2", "Xa", "Wb2", "Px2", "Ra", "Mx", "Da"}};
static const struct list ends = {1, {"C", "F"}};

static const struct family families[] = {
    {"a transaction and its neighbours",
     "ABC",
     "A.Wx0 B.wp1 A.wa2",
     {"S <1> C", "<2>", ""},
     {&inside, &outside, NULL, NULL}},
    {"guests",
     "Aab",
     "A.Wx0 A.Pa4 A.Pp4 a.wp1 b.wa2 A.wp3",
     {"<1>", "S T<2> C", "<2>"},
     {&secrets, &guests_do, NULL, NULL}},
    {"guests that are told",
     "Aab",
     "A.Wx0 A.Pp1 A.Pa1 A.Px1 a.wr1 b.wx2 b.oa3",
     {"<1> <2>", "<3>", "e"},
     {&secrets, &changes, &guests_do, NULL}},
    {"two requests in it, two beside it",
     "ABC",
     "A.Wx0 C.wp1 B.oa2",
     {"S <1> <2> C", "<3> <4>", ""},
     {&inside, &inside_more, &outside, &outside_more}},
    {"two transactions",
     "ABC",
     "A.Wx0 C.wr1 B.wa2",
     {"S <1> C", "S <2> <3>", ""},
     {&inside, &inside, &ends, NULL}},
    {"watches that come and go",
     "ABC",
     "A.Wx0 C.wp1 C.wp2",
     {"<1>", "<2> <3>", "e"},
     {&places, &changes, &changes, NULL}},
    {"readers that are slow",
     "ABC",
     "A.Wx0 C.wp1 C.oa2 A.wr3",
     {"<1> <1>", "<2>", "<3>"},
     {&changes, &changes, &reading, NULL}},
    {"three at once",
     "ABC",
     "A.Wx0 B.wp1 C.wa2",
     {"S TWa1 C", "S TRa <1> C", "<2>"},
     {&few_inside, &few_outside, NULL, NULL}},
    {"a reset by the client itself",
     "ABC",
     "A.Wx0 A.wp1 B.wp2",
     {"S <1> Z", "<2>", ""},
     {&inside, &outside, NULL, NULL}},
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static void explore_family(const struct family *f)
{
    const char *text[4] = {0};

    make_programs(f, 0, text);
}

static void family_holds(void **state)
{
    const struct family *f = *state;

    memset(&tally, 0, sizeof(tally));
    explore_family(f);
    print_message("  %s: %llu programs, %llu runs\n", f->name, tally.programs, tally.runs);
    assert_false(tally.failed);
}

/* ---- the model can fail ---------------------------------------------------------------------- */

static void mutant_is_found(void **state)
{
    memset(&tally, 0, sizeof(tally));
    mutant = (enum mutant)(uintptr_t)*state;
    for (size_t i = 0; i < FAMILIES && !tally.failed; i++)
        explore_family(&families[i]);
    if (tally.failed)
        print_message("  %s: found in run %llu: %s\n", mutant_names[mutant], tally.runs,
                      run_wrong());
    mutant = MUTANT_NONE;
    assert_true(tally.failed);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[FAMILIES + MUTANTS];
    bool mutants = argc > 1 && strcmp(argv[1], "mutants") == 0;
    size_t n = 0;

    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    for (size_t i = 0; i < FAMILIES && !mutants; i++)
        tests[n++] = (struct CMUnitTest){.name = families[i].name,
                                         .test_func = family_holds,
                                         .initial_state = (void *)(uintptr_t)&families[i]};
    for (uintptr_t i = MUTANT_NONE + 1; i < MUTANTS && mutants; i++)
        tests[n++] = (struct CMUnitTest){
            .name = mutant_names[i], .test_func = mutant_is_found, .initial_state = (void *)i};
    return _cmocka_run_group_tests("store", tests, n, NULL, NULL);
}
