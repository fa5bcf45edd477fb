/* SPDX-License-Identifier: MIT */
/*
 * The interleaver: coroutines, and a walk through all schedules by replay.
 *
 * A schedule is a sequence of choices. At each scheduling point the first choice is that the actor
 * goes on, or, if it cannot, the next one in a circle; the others are that somebody else does, or
 * that one is killed. Schedules are bounded by how many of their choices are such delays (Emmi,
 * Qadeer and Rakamaric, POPL 2011) and kills, not by their length. The walk is depth-first: run
 * with the choices of the trail, take the first choice beyond its end, then change the last choice
 * that has an alternative. Nothing is random and no clock is read, so a trail means the same at
 * every run.
 *
 * When nobody can run, time jumps to the next deadline. When nobody can and nobody waits for a
 * time, whoever still lives is stuck.
 */
#include "session_world.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WORLD_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WORLD_ASAN 1
#endif
#ifdef WORLD_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_BYTES    (128u << 10)
#define TRAIL_MAX      8192
#define TRACE_MAX      4096
#define STEPS_MAX      3000 /* of one schedule: more is a livelock */
#define STEPS_SHOWN    400
#define VIOLATIONS_MAX 32

struct actor actors[ACTORS_MAX];
int nactors;

struct fiber {
    ucontext_t context;
    void *stack;
    void *fake_stack; /* AddressSanitizer's */
    bool dying;       /* to be resumed once more, to leave for good */
};

enum deed { RUN, KILL, ADVANCE, FINISHED };

struct decision {
    enum deed deed;
    int actor;
    int cost; /* delays */
};

struct trace {
    int actor;
    const char *label;
    enum deed deed;
};

static struct fiber fibers[ACTORS_MAX];
static struct fiber scheduler;
#ifdef WORLD_ASAN
static void *scheduler_stack;
static size_t scheduler_stack_size;
#endif

static int current = -1;
static struct decision pending; /* for the scheduler, from the actor that gave way */
static uint64_t now;
static int steps;
static int delays_left, kills_left;
static const struct scenario *scenario;

static uint8_t trail[TRAIL_MAX], alternatives[TRAIL_MAX];
static int trail_length, trail_at;

static struct trace trace[TRACE_MAX];
static int trace_length;
static char notes[16384];
static size_t notes_used;

static char violations[VIOLATIONS_MAX][256];
static unsigned nviolations;
static bool violated; /* in this schedule */

struct actor *world_self(void)
{
    return current < 0 ? NULL : &actors[current];
}

uint64_t world_now(void)
{
    return now;
}

/* ---- what happened --------------------------------------------------------------------------- */

static void trace_add(int actor, const char *label, enum deed deed)
{
    if (trace_length < TRACE_MAX)
        trace[trace_length++] = (struct trace){actor, label, deed};
}

void world_note(const char *format, ...)
{
    char *to = notes + notes_used;
    size_t room = sizeof(notes) - notes_used;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(to, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n + 1 >= room)
        return;
    notes_used += (size_t)n + 1;
    trace_add(current, to, FINISHED);
}

/* One line for each stretch of an actor, its steps in order; of a livelock the beginning. */
static void print_trace(void)
{
    int who = -2;

    for (int i = 0; i < trace_length && i < STEPS_SHOWN; i++) {
        const struct trace *t = &trace[i];

        if (t->deed == KILL) {
            fprintf(stderr, "\n    ** %s is killed", actors[t->actor].name);
            who = -2;
            continue;
        }
        if (t->actor != who)
            fprintf(stderr, "\n    %s:", t->actor < 0 ? "-" : actors[t->actor].name);
        who = t->actor;
        fprintf(stderr, t->deed == FINISHED ? " [%s]" : " %s", t->label);
    }
    fprintf(stderr, "\n");
}

void world_violation(const char *format, ...)
{
    char text[256];
    va_list args;

    if (violated) /* one thing that is wrong makes others wrong */
        return;
    violated = true;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (unsigned i = 0; i < nviolations; i++) {
        if (strcmp(violations[i], text) == 0)
            return;
    }
    if (nviolations < VIOLATIONS_MAX)
        strcpy(violations[nviolations++], text);
    fprintf(stderr, "%s: %s\n  schedule (steps before what they name; [results]):", scenario->name,
            text);
    print_trace();
}

/* The library's assertions abort: say in which schedule. */
static void aborted(int number)
{
    static const char text[] = "aborted in this schedule:";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    print_trace();
    signal(SIGABRT, SIG_DFL);
}

/* ---- choices --------------------------------------------------------------------------------- */

static int choose(int options)
{
    if (trail_at == trail_length) {
        if (trail_length == TRAIL_MAX)
            return 0;
        trail[trail_length] = 0;
        alternatives[trail_length] = (uint8_t)options;
        trail_length++;
    }
    if (alternatives[trail_at] != options) {
        fprintf(stderr, "the schedule is not the same when it is run again\n");
        abort();
    }
    return trail[trail_at++];
}

/* The next trail, or false at the end of the walk. */
static bool next_trail(void)
{
    while (trail_length > 0 && trail[trail_length - 1] + 1 == alternatives[trail_length - 1])
        trail_length--;
    if (trail_length == 0)
        return false;
    trail[trail_length - 1]++;
    return true;
}

static bool others_ended(const struct actor *a)
{
    for (int i = 0; i < nactors; i++) {
        if (&actors[i] != a && actor_lives(&actors[i]))
            return false;
    }
    return true;
}

static bool can_run(const struct actor *a)
{
    if (a->state == ACTOR_RUNS)
        return a->begun || !a->last || others_ended(a);
    return a->state == ACTOR_BLOCKED && (a->deadline <= now || a->ready(a->ready_arg));
}

bool world_quiet(const struct actor *a)
{
    for (int i = 0; i < nactors; i++) {
        const struct actor *b = &actors[i];

        /* Only actors whose own readiness does not depend on this question. */
        if (b == a || b->late)
            continue;
        if (can_run(b))
            return false;
    }
    return true;
}

static bool can_be_killed(const struct actor *a)
{
    return actor_lives(a) && a->begun && !a->immortal;
}

static uint64_t next_deadline(void)
{
    uint64_t next = UINT64_MAX;

    for (int i = 0; i < nactors; i++) {
        if (actors[i].state == ACTOR_BLOCKED && actors[i].deadline < next)
            next = actors[i].deadline;
    }
    return next;
}

/* Who runs if nothing interferes: `from`, else the next one in a circle. -1 nobody can. */
static int default_choice(int from)
{
    int first = from < 0 ? 0 : from;

    for (int i = 0; i < nactors; i++) {
        if (can_run(&actors[(first + i) % nactors]))
            return (first + i) % nactors;
    }
    return -1;
}

/* All that may happen now; `from` comes to a step, blocks, has ended or was killed. */
static int list_options(int from, struct decision *out)
{
    int first = default_choice(from);
    int n = 0;

    if (first >= 0)
        out[n++] = (struct decision){RUN, first, 0};
    else if (next_deadline() != UINT64_MAX)
        out[n++] = (struct decision){ADVANCE, -1, 0};
    else
        return 0;
    for (int i = 0; delays_left > 0 && i < nactors; i++) {
        if (i != first && can_run(&actors[i]))
            out[n++] = (struct decision){RUN, i, 1};
    }
    for (int i = 0; kills_left > 0 && i < nactors; i++) {
        int cost = i == from || first != from ? 0 : 1;

        if (cost <= delays_left && can_be_killed(&actors[i]))
            out[n++] = (struct decision){KILL, i, cost};
    }
    return n;
}

static struct decision decide(int from)
{
    struct decision options[2 * ACTORS_MAX + 2];
    int n = list_options(from, options);

    if (n == 0)
        return (struct decision){FINISHED, -1, 0};
    struct decision d = options[n == 1 ? 0 : choose(n)];

    delays_left -= d.cost;
    return d;
}

/* ---- switching ------------------------------------------------------------------------------- */

static void switch_fiber(struct fiber *from, struct fiber *to, bool for_good)
{
#ifdef WORLD_ASAN
    const void *bottom = to == &scheduler ? scheduler_stack : to->stack;
    size_t size = to == &scheduler ? scheduler_stack_size : STACK_BYTES;

    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, bottom, size);
#else
    (void)for_good;
#endif
    swapcontext(&from->context, &to->context);
#ifdef WORLD_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

static void give_way(struct decision d)
{
    struct fiber *f = &fibers[current];

    pending = d;
    switch_fiber(f, &scheduler, false);
    if (f->dying)
        switch_fiber(f, &scheduler, true);
}

static void start(void)
{
    struct actor *a = &actors[current];

#ifdef WORLD_ASAN
    __sanitizer_finish_switch_fiber(NULL, (const void **)&scheduler_stack, &scheduler_stack_size);
#endif
    a->script(a);
    if (a->live_allocations != 0)
        world_violation("%s ended with %d allocations that it had not freed", a->name,
                        a->live_allocations);
    if (kernel_open_files(a) != 0)
        world_violation("%s ended with %d descriptors open", a->name, kernel_open_files(a));
    a->state = ACTOR_DONE;
    kernel_exit(a);
    shm_exit(a);
    switch_fiber(&fibers[a->number], &scheduler, true);
}

static void step(const char *label)
{
    struct actor *a = world_self();

    if (scenario->watch != NULL)
        scenario->watch();
    if (++steps >= STEPS_MAX) {
        world_violation("no end after %d steps", STEPS_MAX);
        give_way((struct decision){FINISHED, -1, 0});
    }
    struct decision d = decide(current);

    if (d.deed != RUN || d.actor != current)
        give_way(d);
    a->state = ACTOR_RUNS;
    trace_add(current, label, RUN);
}

void world_step(const char *label)
{
    step(label);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

bool world_block(const char *label, bool (*ready)(void *arg), void *arg, uint64_t deadline)
{
    struct actor *a = world_self();

    a->ready = ready;
    a->ready_arg = arg;
    a->deadline = deadline;
    a->state = ACTOR_BLOCKED;
    step(label);
    a->ready = always;
    return ready(arg);
}

struct actor *world_process(const struct mbr__proc *p)
{
    int i = p->pid - PID_BASE;

    return i >= 0 && i < nactors ? &actors[i] : NULL;
}

/* ---- a schedule ------------------------------------------------------------------------------ */

static void resume(int i)
{
    current = i;
    actors[i].begun = true;
    switch_fiber(&scheduler, &fibers[i], false);
    current = -1;
}

static void kill_actor(int i)
{
    struct actor *a = &actors[i];

    kills_left--;
    trace_add(i, "", KILL);
    a->state = ACTOR_KILLED;
    kernel_exit(a);
    shm_exit(a);
#ifdef WORLD_ASAN
    fibers[i].dying = true; /* its shadow stack goes when it leaves for good */
    resume(i);
#endif
}

static void new_world(void)
{
    memset(actors, 0, sizeof(actors));
    nactors = 0;
    now = 1;
    steps = 0;
    trace_length = 0;
    notes_used = 0;
    violated = false;
    trail_at = 0;
    kernel_reset();
    shm_reset();
    scenario->setup();
    for (int i = 0; i < nactors; i++) {
        struct fiber *f = &fibers[i];

        actors[i].number = i;
        f->dying = false;
        getcontext(&f->context);
        f->context.uc_stack.ss_sp = f->stack;
        f->context.uc_stack.ss_size = STACK_BYTES;
        f->context.uc_link = NULL;
        makecontext(&f->context, start, 0);
    }
}

static void run_schedule(void)
{
    struct decision d = decide(-1);
    int from = -1;

    while (d.deed != FINISHED && steps < STEPS_MAX) {
        if (d.deed == RUN) {
            from = d.actor;
            resume(from);
            d = pending;
            if (actor_lives(&actors[from]))
                continue; /* it has decided who is next */
        } else if (d.deed == KILL) {
            kill_actor(d.actor);
        } else {
            now = next_deadline();
        }
        d = decide(from);
    }
    for (int i = 0; i < nactors; i++) {
        if (actor_lives(&actors[i]) && steps < STEPS_MAX)
            world_violation("%s waits for ever", actors[i].name);
    }
    scenario->check();
}

/* Stacks with a page in front that faults. */
static void make_stacks(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (int i = 0; i < ACTORS_MAX && fibers[i].stack == NULL; i++) {
        uint8_t *p = mmap(NULL, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) < 0)
            abort();
        fibers[i].stack = p + page;
    }
}

void world_explore(const struct scenario *s, int delays, int kills, struct tally *tally)
{
    void (*before)(int) = signal(SIGABRT, aborted);

    scenario = s;
    make_stacks();
    nviolations = tally->violations;
    trail_length = 0;
    do {
        delays_left = delays;
        kills_left = kills;
        new_world();
        run_schedule();
        tally->schedules++;
        tally->steps += (uint64_t)steps;
    } while (next_trail());
    tally->violations = nviolations;
    signal(SIGABRT, before);
}
