/* SPDX-License-Identifier: MIT */
/* The walk through all states of space.h: coroutines, store buffers, saved states. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* names of registers */
#endif
#include "space.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define STACK_BYTES   (16u << 10)
#define SAVED_MAX     (128u << 10)
#define DEPTH_MAX     20000u
#define VISITED_FIRST (UINT64_C(1) << 16)

enum mode { NEW, READY, ASLEEP, BLOCKED, DONE, KILLED };

struct buffered {
    void *word;
    uint64_t value;
    size_t size;
};

struct actor {
    enum mode mode;
    const char *label;
    bool (*ready)(int actor);
    uint32_t *futex;
    uint32_t bits;
    uint64_t until; /* when its nap ends; 0 it sleeps */
    bool timed_out; /* how its last sleep ended */
    bool napped;
    bool at_fence; /* its next step empties its buffer */
    uint32_t stores;
    struct buffered buffer[SPACE_STORES];
};

/* What of a state is neither shared memory nor stacks. */
static struct {
    struct actor actors[SPACE_ACTORS];
    uint32_t kills;
    uint32_t idle;
} now;

enum deed { RUN, FLUSH, KILL, NAP, HAPPEN, TICK };

struct frame {
    uint8_t *saved;
    size_t size;
    uint32_t tried; /* transitions of it */
    enum deed deed; /* the one that is being tried */
    int actor;
    const char *label;
};

const struct space_range *space_memory;
bool (*space_is_shared)(const void *word, const char *label);

static const struct space_case *now_case;
static uint8_t stacks[SPACE_ACTORS][STACK_BYTES] __attribute__((aligned(64)));
static ucontext_t contexts[SPACE_ACTORS], explorer, fresh;
static int current = -1;
static struct frame frames[DEPTH_MAX];
static uint32_t depth;
static char violation[256];
static uint64_t *visited;
static uint64_t visited_size, visited_used;

int space_self(void)
{
    return current;
}

void space_violation(const char *format, ...)
{
    va_list args;

    if (violation[0] != 0)
        return;
    va_start(args, format);
    vsnprintf(violation, sizeof(violation), format, args);
    va_end(args);
}

bool space_is_killed(int actor)
{
    return now.actors[actor].mode == KILLED;
}

bool space_is_asleep(int actor)
{
    return now.actors[actor].mode == ASLEEP;
}

bool space_napped(int actor)
{
    return now.actors[actor].napped;
}

void space_wake_up(int actor)
{
    now.actors[actor].napped = false;
}

void space_progress(void)
{
    now.idle = 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t get(const void *word, size_t size)
{
    return size == 4 ? *(const uint32_t *)word : *(const uint64_t *)word;
}

static void put(void *word, size_t size, uint64_t value)
{
    if (size == 4)
        *(uint32_t *)word = (uint32_t)value;
    else
        *(uint64_t *)word = value;
}

static void flush_one(struct actor *a)
{
    put(a->buffer[0].word, a->buffer[0].size, a->buffer[0].value);
    memmove(a->buffer, a->buffer + 1, sizeof(a->buffer) - sizeof(a->buffer[0]));
    memset(&a->buffer[--a->stores], 0, sizeof(a->buffer[0]));
}

static void flush(struct actor *a)
{
    while (a->stores > 0)
        flush_one(a);
}

static void give_way(void)
{
    swapcontext(&contexts[current], &explorer);
}

void space_point(const char *label)
{
    now.actors[current].label = label;
    give_way();
}

uint64_t space_load(const void *word, size_t size, const char *label)
{
    if (current < 0)
        return get(word, size);
    struct actor *a = &now.actors[current];

    if (space_is_shared(word, label))
        space_point(label);
    for (uint32_t i = a->stores; i > 0; i--) {
        if (a->buffer[i - 1].word == word)
            return a->buffer[i - 1].value;
    }
    return get(word, size);
}

void space_store(void *word, size_t size, uint64_t value)
{
    if (current < 0) {
        put(word, size, value);
        return;
    }
    struct actor *a = &now.actors[current];

    if (size == 4)
        value = (uint32_t)value;
    if (!space_is_shared(word, NULL)) {
        put(word, size, value);
        return;
    }
    if (a->stores == SPACE_STORES) {
        space_point("store buffer full");
        if (a->stores == SPACE_STORES)
            flush_one(a);
    }
    a->buffer[a->stores++] = (struct buffered){.word = word, .value = value, .size = size};
}

void space_fence(void)
{
    if (current < 0 || now.actors[current].stores == 0)
        return;
    now.actors[current].at_fence = true;
    space_point("fence");
    now.actors[current].at_fence = false;
    flush(&now.actors[current]);
}

uint64_t space_rmw(void *word, size_t size, enum space_op op, uint64_t value, const char *label)
{
    if (current >= 0 && space_is_shared(word, label)) {
        space_fence();
        space_point(label);
    }
    uint64_t old = get(word, size);

    put(word, size,
        op == SPACE_ADD   ? old + value
        : op == SPACE_OR  ? (old | value)
        : op == SPACE_AND ? (old & value)
                          : value);
    return old;
}

uint64_t space_cas(void *word, size_t size, uint64_t expected, uint64_t desired, const char *label)
{
    if (current >= 0 && space_is_shared(word, label)) {
        space_fence();
        space_point(label);
    }
    uint64_t old = get(word, size);

    if (old == expected)
        put(word, size, desired);
    return old;
}

/* ---- sleeping -------------------------------------------------------------------------------- */

int space_futex_wait(uint32_t *word, uint32_t seen, uint32_t bits)
{
    struct actor *a = &now.actors[current];

    space_fence();
    space_point("futex");
    if (*word != seen)
        return 0;
    a->mode = ASLEEP;
    a->futex = word;
    a->bits = bits;
    space_point("asleep");
    bool timed_out = a->timed_out;

    a->futex = NULL;
    a->bits = 0;
    a->timed_out = false;
    return timed_out ? -1 : 0;
}

void space_futex_wake(uint32_t *word, uint32_t bits)
{
    space_fence();
    space_point("wake");
    for (int i = 0; i < now_case->actors; i++) {
        struct actor *a = &now.actors[i];

        if (a->mode != ASLEEP || a->futex != word || (a->bits & bits) == 0)
            continue;
        a->mode = READY;
        a->timed_out = false;
    }
}

void space_block(const char *label, bool (*ready)(int actor))
{
    struct actor *a = &now.actors[current];

    space_fence();
    a->ready = ready;
    a->mode = BLOCKED;
    space_point(label);
    a->mode = READY;
    a->ready = NULL;
}

bool space_nap(const char *label, bool (*ready)(int actor), uint64_t until)
{
    struct actor *a = &now.actors[current];
    bool timed_out;

    space_fence();
    a->ready = ready;
    a->until = until;
    a->mode = ASLEEP;
    space_point(label);
    timed_out = a->timed_out;
    a->ready = NULL;
    a->until = 0;
    a->timed_out = a->napped = false;
    return !timed_out;
}

/* ---- actors ---------------------------------------------------------------------------------- */

static void start(void)
{
    now_case->run(current);
    flush(&now.actors[current]);
    now.actors[current].mode = DONE;
    for (;;)
        give_way();
}

static bool ended(int i)
{
    return now.actors[i].mode == DONE || now.actors[i].mode == KILLED;
}

static bool others_ended(int but)
{
    for (int i = 0; i < now_case->actors; i++) {
        if (i != but && !now_case->last[i] && !ended(i))
            return false;
    }
    return true;
}

static bool can_run(int i)
{
    const struct actor *a = &now.actors[i];

    if (a->mode == NEW)
        return !now_case->last[i] || others_ended(i);
    return a->mode == READY ||
           ((a->mode == BLOCKED || (a->mode == ASLEEP && a->until != 0)) && a->ready(i));
}

static bool can(enum deed deed, int i)
{
    const struct actor *a = &now.actors[i];

    switch (deed) {
    case RUN:
        return can_run(i);
    case FLUSH:
        /* The last one before a fence may as well leave with it. */
        return a->stores > (a->at_fence ? 1u : 0u);
    case KILL:
        return now_case->mortal[i] && now.kills < now_case->kills && !ended(i) && a->mode != NEW;
    case NAP:
        return now_case->restless && a->mode == ASLEEP;
    case HAPPEN:
        return now_case->may_happen != NULL && now_case->may_happen(i);
    default:
        return false;
    }
}

static void resume(int i)
{
    if (now.actors[i].mode == NEW || now.actors[i].mode == ASLEEP)
        now.actors[i].mode = READY;
    current = i;
    swapcontext(&explorer, &contexts[i]);
    current = -1;
}

static void end_nap(int i)
{
    now.actors[i].mode = READY;
    now.actors[i].timed_out = true;
    now.actors[i].napped = true;
}

static void do_kill(int i)
{
    now.kills++;
    now.actors[i] = (struct actor){.mode = KILLED};
    now_case->killed(i);
}

/* When the first nap ends; without a clock, all do. */
static uint64_t next_time(void)
{
    uint64_t next = UINT64_MAX;

    for (int i = 0; now_case->clock != NULL && i < now_case->actors; i++) {
        const struct actor *a = &now.actors[i];

        if (a->mode == ASLEEP && a->until != 0 && a->until < next)
            next = a->until;
    }
    return next;
}

/* Nobody can go on: all that sleep look around. */
static void tick(void)
{
    uint32_t idle = now_case->idle != 0 ? now_case->idle : SPACE_IDLE;
    uint64_t next = next_time();

    if (next != UINT64_MAX)
        *now_case->clock = next;
    for (int i = 0; i < now_case->actors; i++) {
        const struct actor *a = &now.actors[i];

        if (a->mode != ASLEEP || (next != UINT64_MAX && (a->until == 0 || a->until > next)))
            continue;
        if (now.kills == 0 && a->until == 0)
            space_violation("actor %d sleeps and nobody will wake it", i);
        end_nap(i);
    }
    if (++now.idle > idle)
        space_violation("no progress after %u naps", idle);
}

static bool anybody(enum mode mode)
{
    for (int i = 0; i < now_case->actors; i++) {
        if (now.actors[i].mode == mode)
            return true;
    }
    return false;
}

static void act(enum deed deed, int i)
{
    if (deed == RUN)
        resume(i);
    else if (deed == FLUSH)
        flush_one(&now.actors[i]);
    else if (deed == KILL)
        do_kill(i);
    else if (deed == NAP)
        end_nap(i);
    else if (deed == HAPPEN)
        now_case->happen(i);
    else
        tick();
}

/* ---- saving states --------------------------------------------------------------------------- */

/* Where the stack of an actor that gave way begins. */
static size_t stack_used(int i)
{
    const uint8_t *end = stacks[i] + STACK_BYTES;

#if defined(__x86_64__)
    return (size_t)(end - (const uint8_t *)contexts[i].uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
    return (size_t)(end - (const uint8_t *)contexts[i].uc_mcontext.sp);
#else
    return (size_t)(end - stacks[i]);
#endif
}

/* What of a context changes. */
#if defined(__x86_64__)
#define REGISTERS(i) (&contexts[i].uc_mcontext.gregs)
#else
#define REGISTERS(i) (&contexts[i])
#endif

static bool has_stack(int i)
{
    return now.actors[i].mode != NEW && !ended(i);
}

static uint8_t scratch[SAVED_MAX] __attribute__((aligned(64)));

static size_t copy_out(const void *from, size_t size, size_t at)
{
    memcpy(scratch + at, from, size);
    return at + (size + 7) / 8 * 8;
}

static size_t save(void)
{
    size_t n = copy_out(&now, sizeof(now), 0);

    for (const struct space_range *r = space_memory; r->size != 0; r++)
        n = copy_out(r->at, r->size, n);
    for (int i = 0; i < now_case->actors; i++) {
        if (!has_stack(i))
            continue;
        size_t used = stack_used(i);

        if (used > STACK_BYTES || n + used + sizeof(ucontext_t) > SAVED_MAX)
            abort();
        n = copy_out(REGISTERS(i), sizeof(*REGISTERS(i)), n);
        n = copy_out(stacks[i] + STACK_BYTES - used, used, n);
    }
    return n;
}

static size_t copy_in(void *to, size_t size, const uint8_t *saved, size_t at)
{
    memcpy(to, saved + at, size);
    return at + (size + 7) / 8 * 8;
}

static void prepare(int i)
{
    contexts[i] = fresh;
    contexts[i].uc_stack.ss_sp = stacks[i];
    contexts[i].uc_stack.ss_size = STACK_BYTES;
    contexts[i].uc_link = NULL;
    makecontext(&contexts[i], start, 0);
}

static void restore(const uint8_t *saved)
{
    size_t n = copy_in(&now, sizeof(now), saved, 0);

    for (const struct space_range *r = space_memory; r->size != 0; r++)
        n = copy_in(r->at, r->size, saved, n);
    for (int i = 0; i < now_case->actors; i++) {
        if (now.actors[i].mode == NEW)
            prepare(i);
        if (!has_stack(i))
            continue;
        n = copy_in(REGISTERS(i), sizeof(*REGISTERS(i)), saved, n);
        size_t used = stack_used(i);

        n = copy_in(stacks[i] + STACK_BYTES - used, used, saved, n);
    }
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 m =
        (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xe7037ed1a0b428db));

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Four chains, so that a multiplication does not wait for the one before it. */
static uint64_t hash(size_t size)
{
    const uint64_t *p = (const uint64_t *)(const void *)scratch;
    size_t words = size / 8;
    uint64_t h[4] = {size, 1, 2, 3};
    size_t i = 0;

    for (; i + 4 <= words; i += 4) {
        for (size_t j = 0; j < 4; j++)
            h[j] = mix(h[j] ^ p[i + j], (h[j] >> 29) + i);
    }
    for (; i < words; i++)
        h[0] = mix(h[0] ^ p[i], (h[0] >> 29) + i);
    return mix(mix(h[0], h[1]), mix(h[2], h[3])) | 1;
}

static void insert(uint64_t h)
{
    uint64_t at = h & (visited_size - 1);

    while (visited[at] != 0)
        at = (at + 1) & (visited_size - 1);
    visited[at] = h;
}

static void grow(void)
{
    uint64_t *old = visited;
    uint64_t size = visited_size;

    visited_size = size == 0 ? VISITED_FIRST : size * 2;
    visited = calloc(visited_size, sizeof(visited[0]));
    if (visited == NULL)
        abort();
    for (uint64_t i = 0; i < size; i++) {
        if (old[i] != 0)
            insert(old[i]);
    }
    free(old);
}

/* True once for each state. */
static bool is_new(size_t size)
{
    uint64_t h = hash(size);

    if ((visited_used + 1) * 2 > visited_size)
        grow();
    for (uint64_t at = h & (visited_size - 1); visited[at] != 0;
         at = (at + 1) & (visited_size - 1)) {
        if (visited[at] == h)
            return false;
    }
    insert(h);
    visited_used++;
    return true;
}

/* ---- walking --------------------------------------------------------------------------------- */

static void push(size_t size)
{
    struct frame *f = &frames[depth++];

    if (depth == DEPTH_MAX)
        abort();
    *f = (struct frame){.saved = malloc(size), .size = size};
    if (f->saved == NULL)
        abort();
    memcpy(f->saved, scratch, size);
}

/* The next transition of the state, which is the present one; false: no more. */
static bool choose(struct frame *f)
{
    uint32_t kinds = TICK;
    uint32_t n = (uint32_t)now_case->actors;

    while (f->tried < kinds * n) {
        f->deed = (enum deed)(f->tried / n);
        f->actor = (int)(f->tried % n);
        f->tried++;
        if (can(f->deed, f->actor)) {
            f->label = now.actors[f->actor].label;
            return true;
        }
    }
    if (f->tried++ > kinds * n)
        return false;
    for (int i = 0; i < now_case->actors; i++) {
        if (can(RUN, i) || can(FLUSH, i) || can(HAPPEN, i))
            return false;
    }
    f->deed = TICK;
    if (anybody(ASLEEP))
        return true;
    if (anybody(BLOCKED) || anybody(NEW))
        space_violation("somebody waits for what never comes");
    return false;
}

static void print_path(void)
{
    static const char *const names[] = {"", "flush", "KILLED", "nap ends", "arrives", "naps end"};
    int who = -1;

    fprintf(stderr, "%s: %s", now_case->name, violation);
    for (uint32_t i = 0; i < depth; i++) {
        const struct frame *f = &frames[i];

        if (f->actor != who || f->deed == TICK)
            fprintf(stderr, "\n  %d:", f->deed == TICK ? -1 : f->actor);
        who = f->deed == TICK ? -1 : f->actor;
        if (f->deed == RUN)
            fprintf(stderr, " [%s]", f->label == NULL ? "begins" : f->label);
        else
            fprintf(stderr, " <%s>", names[f->deed]);
    }
    fprintf(stderr, "\n");
}

static void walk(uint64_t limit, struct space_tally *tally)
{
    while (depth > 0 && violation[0] == 0) {
        struct frame *f = &frames[depth - 1];

        restore(f->saved);
        if (!choose(f)) {
            free(f->saved);
            depth--;
            continue;
        }
        act(f->deed, f->actor);
        tally->transitions++;
        if (violation[0] != 0)
            break;
        size_t size = save();

        if (!is_new(size))
            continue;
        if (++tally->states >= limit)
            return;
        push(size);
        if (depth > tally->deepest)
            tally->deepest = depth;
    }
    tally->complete = violation[0] == 0;
}

struct space_tally space_explore(const struct space_case *c, uint64_t limit)
{
    struct space_tally tally = {0};

    now_case = c;
    getcontext(&fresh);
    memset(&now, 0, sizeof(now));
    violation[0] = 0;
    visited_used = visited_size = 0;
    grow();
    c->reset();
    size_t size = save();

    (void)is_new(size);
    push(size);
    walk(limit, &tally);
    tally.violated = violation[0] != 0;
    if (tally.violated)
        print_path();
    while (depth > 0)
        free(frames[--depth].saved);
    free(visited);
    visited = NULL;
    return tally;
}
