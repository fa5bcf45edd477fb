/* SPDX-License-Identifier: MIT */
/*
 * Rendezvous and close under every schedule: creators and openers of one pipe run the real session
 * code in the world of session_world.h, are preempted at any step and killed at any step, and what
 * they have seen is judged at the end.
 *
 *   - never two living owners of a name, never two living openers of one pipe;
 *   - every operation of a survivor ends, with success or an error that the interface names;
 *   - what an opener pushed and was told is pushed, its creator pops before end of file or reset,
 *     whole, in order and once; an opener that leaves silently leaves nothing; one that dies or
 *     closes after a push is noticed; so the other way round;
 *   - nobody who closes everything leaves a descriptor or memory behind;
 *   - afterwards a newcomer can create the name, and mbr_gc() leaves the directory empty.
 *
 * The argument `full` goes deeper.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "queue/catmem/pipe.h"
#include "session_world.h"

#define NAME "p"
#define PATIENCE                                                                     \
    UINT64_C(1000000000000) /* of every wait: longer than anything that helps itself \
                             */

/* What a script does, as bits of its argument. */
#define PUSH_1      1
#define PUSH_2      2
#define POP_1       4   /* one message */
#define POP_ALL     8   /* until the pipe ends */
#define LATE        16  /* starts when nobody else can go on */
#define NO_LINGER   32  /* ends its process right after the close */
#define ASYNC_CLOSE 64  /* closes with mbr_close_async() */
#define POP_FIRST   128 /* pops before it pushes */
#define SHUT_SEND   256 /* ends its direction before it pops */
#define EXIT        512 /* leaves the close to that of its instance, as a process that ends does */

static bool deep;

/* ---- scripts --------------------------------------------------------------------------------- */

/* Whoever slept until time jumped, and then found something, was not woken for it. */
static int wait_for(struct actor *a, demi_qtoken_t qt, demi_qresult_t *qr)
{
    uint64_t patience = PATIENCE + (uint64_t)a->number; /* not all at the same moment */
    uint64_t before = world_now();
    int r;

    world_step("wait");
    r = mbr_wait(a->libos, qt, patience, qr);
    if (r != -ETIMEDOUT && world_now() - before >= patience)
        world_violation("%s slept although there was something to do", a->name);
    if (r == 0 && qr->qr_opcode == DEMI_OPC_FAILED)
        r = -(int)qr->qr_ret;
    return r;
}

/* 0 or a negative errno. The message says who sent it and its number. */
static int push_one(struct actor *a, int qd)
{
    demi_sgarray_t sga = mbr_sga_alloc(2);
    uint8_t *data = sga.sga_segs[0].sgaseg_buf;
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int r;

    data[0] = (uint8_t)a->number;
    data[1] = (uint8_t)a->log.tried;
    world_step("push");
    a->log.tried++;
    r = mbr_push(a->libos, qd, &sga, &qt);
    if (r == 0)
        r = wait_for(a, qt, &qr);
    mbr_sga_free(&sga);
    if (r == 0)
        a->log.acked++;
    else
        a->log.push_end = r;
    world_note("push %d", r);
    return r;
}

/* 0 a message, END_FILE, END_WAITS or a negative errno. */
static int pop_one(struct actor *a, int qd)
{
    struct actor_log *log = &a->log;
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int r;

    world_step("pop");
    r = mbr_pop(a->libos, qd, 0, &qt);
    if (r == 0)
        r = wait_for(a, qt, &qr);
    world_note("pop %d", r);
    if (r < 0)
        return r == -ETIMEDOUT ? END_WAITS : r;
    const demi_sgaseg_t *seg = &qr.qr_value.sga.sga_segs[0];
    const uint8_t *data = seg->sgaseg_buf;

    if (seg->sgaseg_len == 0) {
        r = END_FILE;
    } else if (seg->sgaseg_len != 2 || log->got == 16) {
        world_violation("%s popped what nobody pushed", a->name);
    } else {
        log->from[log->got] = data[0];
        log->number[log->got++] = data[1];
    }
    mbr_sga_free(&qr.qr_value.sga);
    return r;
}

static void pop_some(struct actor *a, int qd)
{
    int r;

    do
        r = pop_one(a, qd);
    while (r == 0 && (a->argument & POP_ALL) != 0);
    a->log.pop_end = r;
}

static void push_some(struct actor *a, int qd)
{
    int n = (a->argument & PUSH_1) + (a->argument & PUSH_2);

    while (n-- > 0 && push_one(a, qd) == 0)
        ;
}

static void close_pipe(struct actor *a, int qd)
{
    demi_qresult_t qr;
    demi_qtoken_t qt;
    int r = -EBADF;

    world_step("close");
    a->log.has = false;
    a->log.closed = true;
    if ((a->argument & EXIT) != 0)
        return;
    if ((a->argument & ASYNC_CLOSE) != 0) {
        r = mbr_close_async(a->libos, qd, &qt);
        if (r == 0)
            r = wait_for(a, qt, &qr);
    } else {
        r = mbr_close(a->libos, qd);
    }
    if (r != 0)
        world_violation("close returns %d", r);
}

static void use_pipe(struct actor *a, int qd)
{
    struct mbr__pipe *p = mbr__libos_pipe(a->libos, qd);

    a->log.has = true;
    memcpy(a->log.id, a->log.creator ? p->id : p->target, sizeof(a->log.id));
    if ((a->argument & POP_FIRST) != 0)
        pop_some(a, qd);
    push_some(a, qd);
    if ((a->argument & SHUT_SEND) != 0) {
        world_step("shutdown");
        a->log.shut = true;
        (void)mbr_shutdown(a->libos, qd, MBR_SHUT_SEND);
    }
    if ((a->argument & (POP_1 | POP_ALL)) != 0 && (a->argument & POP_FIRST) == 0)
        pop_some(a, qd);
    close_pipe(a, qd);
}

/* Whether all others have ended or do nothing any more. */
static bool others_done(void *arg)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        if (a != arg && actor_lives(a) && !a->log.lingers && !a->last)
            return false;
    }
    return true;
}

/* Whether the name has been created and nobody can go on. */
static bool all_wait(void *arg)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        if (a->log.creator && actor_lives(a) && a->log.made == NOT_TRIED)
            return false;
    }
    return world_quiet(arg);
}

/* A process that closes a pipe is not dead: its peers must be told, not only find out. */
static void linger(struct actor *a)
{
    if ((a->argument & (NO_LINGER | EXIT)) != 0)
        return;
    a->log.lingers = true;
    (void)world_block("linger", others_done, a, UINT64_MAX);
}

static void open_libos(struct actor *a)
{
    const struct mbr_libos_options options = {.size = sizeof(options), .capacity = 4096};

    if (mbr_libos_open("catmem", &options, &a->libos) != 0)
        world_violation("no instance");
}

static void close_libos(struct actor *a)
{
    mbr_libos_close(a->libos);
    a->libos = NULL;
}

static bool other_opener(const struct actor *than)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        if (a != than && !a->log.creator && a->log.has && actor_lives(a))
            return true;
    }
    return false;
}

static void run_end(struct actor *a, bool creator)
{
    int qd = -1;

    open_libos(a);
    a->late = (a->argument & LATE) != 0;
    if (a->late)
        (void)world_block("later", all_wait, a, UINT64_MAX);
    a->late = false;
    a->log.contended = other_opener(a);
    world_step(creator ? "create" : "open");
    a->log.made = creator ? mbr_pipe_create(a->libos, NAME, NULL, &qd)
                          : mbr_pipe_open(a->libos, NAME, NULL, &qd);
    world_note("%s %d", creator ? "create" : "open", a->log.made);
    if (a->log.made == 0)
        use_pipe(a, qd);
    linger(a);
    close_libos(a);
}

static void creator(struct actor *a)
{
    run_end(a, true);
}

static void opener(struct actor *a)
{
    run_end(a, false);
}

static void newcomer(struct actor *a)
{
    const char *left = NULL;
    int qd = -1;

    open_libos(a);
    int r = mbr_pipe_create(a->libos, NAME, NULL, &qd);

    if (r != 0)
        world_violation("a newcomer cannot create the name: %d", r);
    else if ((r = mbr_close(a->libos, qd)) != 0)
        world_violation("a newcomer cannot close: %d", r);
    close_libos(a);
    r = mbr_gc(0, NULL, NULL);
    if (r < 0 || shm_entries(&left) != 0)
        world_violation("mbr_gc() returns %d and leaves %s", r, left == NULL ? "nothing" : left);
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool same_pipe(const struct actor *a, const struct actor *b)
{
    return a->log.id[0] == b->log.id[0] && a->log.id[1] == b->log.id[1];
}

static void watch(void)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        for (int k = 0; k < i; k++) {
            const struct actor *b = &actors[k];

            if (!a->log.has || !b->log.has || !actor_lives(a) || !actor_lives(b) ||
                a->log.creator != b->log.creator)
                continue;
            if (a->log.creator)
                world_violation("%s and %s own the name", b->name, a->name);
            else if (same_pipe(a, b))
                world_violation("%s and %s have the second end", b->name, a->name);
        }
    }
}

/* How many messages `to` has popped of what `from` pushed; they must be the first ones, in order.
 */
static int received(const struct actor *to, const struct actor *from, int first)
{
    int next = first;

    for (int i = 0; i < to->log.got; i++) {
        if (to->log.from[i] != from->number)
            continue;
        if (to->log.number[i] != next)
            world_violation("%s popped message %d of %s, not %d", to->name, to->log.number[i],
                            from->name, next);
        next = to->log.number[i] + 1;
    }
    return next;
}

static bool killed(const struct actor *a)
{
    return a->state == ACTOR_KILLED;
}

/* A creator that popped to the end, and one that opened its pipe. */
static void judge_pair(const struct actor *c, const struct actor *x)
{
    int got = received(c, x, 0);
    int end = c->log.pop_end;

    if (killed(c) || end == 0)
        return;
    if (got < x->log.acked)
        world_violation("%s: %d pushes of %s acknowledged, %d popped (end %d)", c->name,
                        x->log.acked, x->name, got, end);
    if (end == END_WAITS && x->log.acked > 0 && (x->log.closed || x->log.shut || killed(x)))
        world_violation("%s is not told that %s, which had pushed, has %s", c->name, x->name,
                        killed(x) ? "died" : "closed");
    if (end == END_WAITS && x->log.push_end != 0)
        world_violation("%s: push fails with %d although its creator pops", x->name,
                        x->log.push_end);
}

static void judge_creator(const struct actor *c)
{
    bool speaker_closed = false;
    bool opener_died = false;
    int end = c->log.pop_end;

    for (int i = 0; i < nactors; i++) {
        const struct actor *x = &actors[i];

        if (x->log.creator)
            continue;
        if (killed(x) && (x->log.made == NOT_TRIED || same_pipe(c, x)))
            opener_died = true; /* perhaps while it was opening */
        if (x->log.made != 0 || !same_pipe(c, x))
            continue;
        judge_pair(c, x);
        speaker_closed |= x->log.shut || (x->log.closed && x->log.tried > 0);
    }
    if (end == END_FILE && !speaker_closed)
        world_violation("%s pops end of file, but nobody who had pushed has closed", c->name);
    if (end == -ECONNRESET && !opener_died)
        world_violation("%s pops a reset, but no opener has died", c->name);
    if (end < 0 && end != -ECONNRESET)
        world_violation("%s: pop fails with %d", c->name, end);
}

/* What openers popped of their creator. */
static void judge_sent(const struct actor *c)
{
    bool again = false;
    int next = 0;

    for (int i = 0; i < nactors; i++) {
        const struct actor *x = &actors[i];

        if (x->log.creator || x->log.made != 0 || !same_pipe(c, x))
            continue;
        /* A dead one may have popped what it did not give back; its successor sees that again. */
        int got = received(x, c, x->log.got > 0 ? x->log.number[0] : next);

        if (x->log.got > 0 && (x->log.number[0] > next || (x->log.number[0] < next && !again)))
            world_violation("%s begins with message %d of %s, not %d", x->name, x->log.number[0],
                            c->name, next);
        again |= killed(x);
        next = got > next ? got : next;
        if (killed(x) || x->log.pop_end == 0)
            continue;
        if (x->log.pop_end == END_WAITS && (killed(c) || c->log.closed))
            world_violation("%s pops for ever although %s has %s", x->name, c->name,
                            killed(c) ? "died" : "closed");
        if (x->log.pop_end == END_FILE && !c->log.closed)
            world_violation("%s pops end of file, but %s has not closed", x->name, c->name);
        if (x->log.pop_end == -ECONNRESET && !killed(c) && !c->log.closed)
            world_violation("%s pops a reset, but %s has neither died nor closed", x->name,
                            c->name);
        if (x->log.pop_end < 0 && x->log.pop_end != -ECONNRESET)
            world_violation("%s: pop fails with %d", x->name, x->log.pop_end);
        if (x->log.pop_end != 0 && got < c->log.acked && !killed(c) && !c->log.closed)
            world_violation("%s: %d pushes of %s acknowledged, %d popped (end %d)", x->name,
                            c->log.acked, c->name, got, x->log.pop_end);
    }
}

/* Whether the pipe should have taken a late opener: its creator waits to the end, and nobody else
 * had the second end. */
static bool still_open(const struct actor *late)
{
    bool waits = false;

    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        if (a == late || a->last)
            continue;
        if (a->log.creator)
            waits |= a->log.made == 0 && !killed(a) && a->log.pop_end == END_WAITS;
    }
    return waits && !late->log.contended;
}

static void judge_open(const struct actor *x)
{
    int r = x->log.made;

    if (r != 0 && r != NOT_TRIED && r != -ENOENT && r != -EBUSY && !killed(x) &&
        !(knobs.no_proc && r == -ETIMEDOUT)) /* its creator was asked and is busy elsewhere */
        world_violation("%s: open fails with %d", x->name, r);
    if ((x->argument & LATE) != 0 && !killed(x) && r != 0 && r != NOT_TRIED && still_open(x))
        world_violation("%s, late: open fails with %d although the pipe is free", x->name, r);
    if (x->log.push_end != 0 && x->log.push_end != -ECONNRESET)
        world_violation("%s: push fails with %d", x->name, x->log.push_end);
}

static void check(void)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *a = &actors[i];

        if (a->last)
            continue;
        if (!a->log.creator)
            judge_open(a);
        else if (a->log.made == 0)
            judge_creator(a);
        else if (a->log.made != NOT_TRIED && a->log.made != -EEXIST)
            world_violation("%s: create fails with %d", a->name, a->log.made);
        if (a->log.creator && a->log.made == 0)
            judge_sent(a);
    }
}

/* ---- scenarios ------------------------------------------------------------------------------- */

static void add(const char *name, void (*script)(struct actor *), int argument)
{
    actors[nactors++] = (struct actor){.name = name,
                                       .script = script,
                                       .argument = argument,
                                       .immortal = script == newcomer,
                                       .last = script == newcomer,
                                       .log = {.made = NOT_TRIED, .creator = script == creator}};
}

static void one_opener(void)
{
    add("C", creator, POP_ALL);
    add("A", opener, PUSH_1 | PUSH_2);
    add("N", newcomer, 0);
}

static void one_silent_opener(void)
{
    add("C", creator, POP_ALL);
    add("A", opener, 0);
    add("D", opener, LATE | PUSH_1);
    add("N", newcomer, 0);
}

static void two_openers(void)
{
    add("C", creator, POP_ALL);
    add("A", opener, PUSH_1);
    add("B", opener, PUSH_1);
    add("N", newcomer, 0);
}

static void silent_and_speaking(void)
{
    add("C", creator, POP_ALL);
    add("A", opener, 0);
    add("B", opener, PUSH_1 | NO_LINGER);
    add("D", opener, LATE | PUSH_1);
    add("N", newcomer, 0);
}

static void creator_sends(void)
{
    add("C", creator, PUSH_1 | PUSH_2);
    add("A", opener, POP_ALL);
    add("N", newcomer, 0);
}

static void creator_sends_and_waits(void)
{
    add("C", creator, PUSH_1 | PUSH_2 | POP_ALL);
    add("A", opener, POP_1);
    add("D", opener, LATE | POP_1 | POP_FIRST | PUSH_1);
    add("N", newcomer, 0);
}

static void there_and_back(void)
{
    add("C", creator, PUSH_1 | POP_ALL);
    add("A", opener, POP_1 | POP_FIRST | PUSH_1);
    add("N", newcomer, 0);
}

static void creator_closes_after_one(void)
{
    add("C", creator, POP_1);
    add("A", opener, PUSH_1 | PUSH_2 | POP_ALL);
    add("N", newcomer, 0);
}

static void creator_closes_at_once(void)
{
    add("C", creator, 0);
    add("A", opener, POP_ALL);
    add("B", opener, PUSH_1);
    add("N", newcomer, 0);
}

static void two_creators(void)
{
    add("C", creator, POP_ALL);
    add("E", creator, POP_ALL);
    add("A", opener, PUSH_1);
    add("N", newcomer, 0);
}

static void two_creators_that_close(void)
{
    add("C", creator, POP_1 | NO_LINGER);
    add("E", creator, POP_ALL);
    add("A", opener, PUSH_1);
    add("B", opener, PUSH_1);
    add("N", newcomer, 0);
}

static void without_proc(void)
{
    knobs.no_proc = true;
    one_opener();
}

static void without_proc_two(void)
{
    knobs.no_proc = true;
    two_openers();
}

static void full_mailbox(void)
{
    two_openers();
    knobs.post_room = 1;
}

static void asynchronous_close(void)
{
    add("C", creator, POP_ALL);
    add("A", opener, PUSH_1 | PUSH_2 | ASYNC_CLOSE);
    add("N", newcomer, 0);
}

static void ending_processes(void)
{
    add("C", creator, POP_1 | EXIT);
    add("A", opener, PUSH_1 | EXIT);
    add("B", opener, EXIT);
    add("D", opener, LATE | PUSH_1);
    add("N", newcomer, 0);
}

/* What the dead left is not cleared away on the way: create and open must do that themselves. */
static void crowded(void)
{
    knobs.crowd = 100;
    add("C", creator, POP_ALL);
    add("A", opener, PUSH_1);
    add("E", creator, POP_ALL);
    add("B", opener, PUSH_1);
    add("N", newcomer, 0);
}

static void half_closed(void)
{
    add("C", creator, POP_ALL);
    add("A", opener, PUSH_1 | SHUT_SEND | POP_ALL);
    add("N", newcomer, 0);
}

struct case_ {
    const char *name;
    void (*setup)(void);
};

static const struct case_ cases[] = {
    {"one opener", one_opener},
    {"one silent opener", one_silent_opener},
    {"two openers", two_openers},
    {"a silent opener and one that speaks", silent_and_speaking},
    {"a creator that sends", creator_sends},
    {"a creator that sends and waits", creator_sends_and_waits},
    {"there and back", there_and_back},
    {"a creator that closes after one", creator_closes_after_one},
    {"a creator that closes at once", creator_closes_at_once},
    {"two creators", two_creators},
    {"two creators that close", two_creators_that_close},
    {"without /proc", without_proc},
    {"without /proc, two openers", without_proc_two},
    {"a full mailbox", full_mailbox},
    {"asynchronous close", asynchronous_close},
    {"processes that end", ending_processes},
    {"a crowded directory", crowded},
    {"half closed", half_closed},
};

/* Delays and kills; the shallowest first, so that the first schedule found is a short one. */
static const int quick_bounds[][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {2, 0}};
static const int full_bounds[][2] = {{0, 2}, {2, 1}, {1, 2}, {3, 0}};

static void explore(void **state)
{
    const struct case_ *k = *state;
    const struct scenario s = {.name = k->name, .setup = k->setup, .check = check, .watch = watch};
    struct tally tally = {0};

    for (size_t i = 0; i < sizeof(quick_bounds) / sizeof(quick_bounds[0]); i++)
        world_explore(&s, quick_bounds[i][0], quick_bounds[i][1], &tally);
    for (size_t i = 0; deep && i < sizeof(full_bounds) / sizeof(full_bounds[0]); i++)
        world_explore(&s, full_bounds[i][0], full_bounds[i][1], &tally);
    print_message("  %s: %llu schedules, %llu steps\n", k->name,
                  (unsigned long long)tally.schedules, (unsigned long long)tally.steps);
    assert_int_equal(tally.violations, 0);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[sizeof(cases) / sizeof(cases[0])];
    size_t n = 0;

    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 2 && strcmp(argv[2], cases[i].name) != 0)
            continue;
        tests[n++] = (struct CMUnitTest){.name = cases[i].name,
                                         .test_func = explore,
                                         .initial_state = (void *)(uintptr_t)&cases[i]};
    }
    return _cmocka_run_group_tests("session", tests, n, NULL, NULL);
}
