/* SPDX-License-Identifier: MIT */
/*
 * The locks of blocks in all states of two or three processes and one or two blocks, any of which
 * may be killed after any of its steps (space.h). The real object/lock.c, compiled for it.
 *
 * What must hold: a writer is alone; a reader never sees a block that a killed writer was changing,
 * and of each such block one process is told EOWNERDEAD once; nobody sleeps without somebody who
 * will wake him unless somebody was killed, and then a look or two free him; when all have ended,
 * nothing is held any more; no reader passes a writer that has a word before the reader comes, and
 * no second writer passes a reader that sleeps.
 *
 * A program that is given a changed lock.c (LOCK_SOURCE) should find what is wrong in it:
 * object_mutants.py.
 */
#define MBR_ATOMIC_MODEL "../../tests/model/space_atomic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "space.h"

#ifndef LOCK_SOURCE
#define LOCK_SOURCE "object/lock.c"
#endif
#include LOCK_SOURCE
#ifndef MUTEX_SOURCE
#define MUTEX_SOURCE "object/mutex.c"
#endif
#define take mutex_take
#include MUTEX_SOURCE

#define SLOTS  4
#define HOLDS  2
#define BLOCKS 2

enum inside { OUT, READS, WRITES };

/* What the checks know of an actor. */
struct ghost {
    enum inside inside;
    uint32_t first, count;
    bool wrote;              /* it was in, in this operation */
    bool timed;              /* it may give up */
    bool writing;            /* it changes bytes: if it is killed they are torn */
    uint32_t before[BLOCKS]; /* words of writers that were there when it came */
    int32_t asleep_at;       /* block + 1 */
    uint32_t passed;         /* by so many writers since */
};

static struct mbr__member_shm pages[SLOTS];
static struct {
    struct mbr__hold holds[SLOTS][HOLDS];
    struct mbr__block_lock locks[BLOCKS];
    /* not shared, but part of the state */
    struct mbr__shm_mutex table;
    int32_t in_table;      /* actor + 1 */
    int32_t mutex;         /* actor + 1 */
    int32_t owner[SLOTS];  /* actor + 1 */
    uint32_t torn[BLOCKS]; /* as the word should be, once buried */
    struct ghost ghosts[SPACE_ACTORS];
} mem;

/* The operations of each actor: a letter, the first and the last block. R reads, r also (the way
 * that is not inline), W writes whole blocks, P parts of them, t and T read and write parts with a
 * deadline; D reads twice at a time; M uses the table; N takes the slot that follows when it is
 * free; C is the check at the end. */
static const char *const *scripts;
static const char *const no_scripts[SPACE_ACTORS];

static struct mbr__lock_world worlds[SPACE_ACTORS];
static struct mbr__lock_set sets[SPACE_ACTORS];

/* ---- the world ------------------------------------------------------------------------------- */

static bool within(const void *p, const void *from, size_t size)
{
    return (const char *)p >= (const char *)from && (const char *)p < (const char *)from + size;
}

static bool is_shared(const void *word, const char *label)
{
    /* A process looks at its own bit, which nobody else changes, and at its own hold when nobody
     * may grant to it. */
    if (label != NULL && (strstr(label, "self / 64") != NULL || strncmp(label, "&h->", 4) == 0))
        return strncmp(label, "or ", 3) == 0;
    if (within(word, worlds, sizeof(worlds)))
        return false; /* each process has its own */
    for (int i = 0; i < SLOTS; i++) {
        if (within(word, &pages[i], sizeof(pages[i])))
            return word != &pages[i].holds && word != &pages[i].nonce;
    }
    for (int b = 0; b < BLOCKS; b++) {
        const struct mbr__block_lock *l = &mem.locks[b];

        if (word == &l->version ||
            within(word, &l->readers[1], sizeof(l->readers) - sizeof(l->readers[0])))
            return false;
    }
    return true;
}

uint64_t mbr__now_ns(void)
{
    return space_self() >= 0 && space_napped(space_self()) ? 200 : 0;
}

int mbr__futex_wait(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t deadline)
{
    int self = space_self();
    struct ghost *g = &mem.ghosts[self];

    (void)deadline;
    for (int32_t b = 0; b < BLOCKS && bits == MBR__WAITS_READER; b++) {
        if (word == &mem.locks[b].turn && g->asleep_at != b + 1) {
            g->asleep_at = b + 1;
            g->passed = 0;
        }
    }
    int r = space_futex_wait(word, seen, bits);

    if (!g->timed)
        space_wake_up(self);
    return r < 0 ? -ETIMEDOUT : 0;
}

void mbr__futex_wake(uint32_t *word, uint32_t bits)
{
    space_futex_wake(word, bits);
}

static struct mbr__member_shm *member_of(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    return slot < SLOTS ? &pages[slot] : NULL;
}

static struct mbr__hold *holds_at(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    return slot < SLOTS ? mem.holds[slot] : NULL;
}

static bool lives(uint32_t slot)
{
    return pages[slot].state != MBR__MEMBER_FREE && mem.owner[slot] != 0 &&
           !space_is_killed(mem.owner[slot] - 1);
}

static bool alive(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    space_point("alive");
    return lives(slot);
}

static bool mutex_is_free(int actor)
{
    (void)actor;
    return mem.mutex == 0 || space_is_killed(mem.mutex - 1);
}

static void bury(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    space_block("mutex", mutex_is_free);
    mem.mutex = space_self() + 1;
    if (pages[slot].state != MBR__MEMBER_FREE && !lives(slot)) {
        for (int i = 0; i < HOLDS; i++) {
            if (mbr_load_acquire(&mem.holds[slot][i].what) != 0)
                mbr__lock_bury(&sets[space_self()], &mem.holds[slot][i]);
        }
        mbr_store_release(&pages[slot].state, MBR__MEMBER_FREE);
        mbr_fence_full();
        space_progress();
    }
    mem.mutex = 0;
}

static void reset(void)
{
    memset(&mem, 0, sizeof(mem));
    memset(pages, 0, sizeof(pages));
    for (int i = 0; i < SPACE_ACTORS; i++) {
        worlds[i] = (struct mbr__lock_world){.self = (uint32_t)i,
                                             .member = member_of,
                                             .holds = holds_at,
                                             .alive = alive,
                                             .bury = bury};
        sets[i] = (struct mbr__lock_set){
            .world = &worlds[i], .near = mem.locks, .object = 1, .blocks = BLOCKS};
        pages[i].holds = scripts[i] != NULL && scripts[i][0] == 'D' ? 2 : 1;
        if (scripts[i] != NULL && scripts[i][0] != 'N') {
            pages[i].state = MBR__MEMBER_HERE;
            mem.owner[i] = i + 1;
        }
    }
}

static void killed(int actor)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct mbr__hold *h = &mem.holds[slot][0];

        if (mem.owner[slot] != actor + 1)
            continue;
        if ((h->what & MBR__HOLD_WRITING) == 0) {
            if (mem.ghosts[actor].writing)
                space_violation("writer %d does not say that it writes", actor);
            continue;
        }
        for (uint32_t b = mbr__hold_first(h->what);
             b < mbr__hold_first(h->what) + mbr__hold_held(h->what); b++) {
            if (mem.locks[b].writer == h->ticket)
                mem.torn[b] = 1;
        }
    }
    mem.ghosts[actor] = (struct ghost){0};
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const struct ghost *ghost_of(uint32_t holder)
{
    uint32_t slot = mbr__holder_slot(holder);

    return slot < SLOTS && lives(slot) ? &mem.ghosts[mem.owner[slot] - 1] : NULL;
}

static void comes(struct ghost *g, uint32_t first, uint32_t count, bool timed)
{
    *g = (struct ghost){.first = first, .count = count, .timed = timed};
    for (uint32_t b = 0; b < BLOCKS; b++) {
        uint32_t writer = mem.locks[b].writer;
        uint32_t holder = writer != 0 ? writer : mem.locks[b].next;
        const struct ghost *w = ghost_of(holder);

        g->before[b] = w != NULL && !w->wrote && !w->timed ? holder : 0;
    }
    space_wake_up(space_self());
}

static bool overlap(const struct ghost *a, const struct ghost *b)
{
    return a->first < b->first + b->count && b->first < a->first + a->count;
}

/* A writer that dies while it grants may have left some out: each death costs one turn more. */
static bool somebody_died(void)
{
    bool any = false;

    for (int i = 0; i < SPACE_ACTORS; i++)
        any |= space_is_killed(i);
    return any;
}

static void enters(struct ghost *g, enum inside how, bool whole)
{
    int self = space_self();

    g->inside = how;
    for (int i = 0; i < SPACE_ACTORS; i++) {
        struct ghost *o = &mem.ghosts[i];

        if (o == g)
            continue;
        if (o->inside != OUT && overlap(o, g) && (o->inside == WRITES || how == WRITES))
            space_violation("actors %d and %d are in together", self, i);
        if (how == WRITES && o->asleep_at != 0 && (uint32_t)(o->asleep_at - 1) >= g->first &&
            (uint32_t)(o->asleep_at - 1) < g->first + g->count && ++o->passed > 1 &&
            !somebody_died())
            space_violation("writer %d passes sleeping reader %d as the second", self, i);
    }
    for (uint32_t b = g->first; b < g->first + g->count; b++) {
        const struct ghost *w = ghost_of(g->before[b]);

        if (mem.torn[b] != 0 && !whole)
            space_violation("actor %d is let into torn block %u", self, b);
        if (how == READS && g->before[b] != 0 && w != NULL && !w->wrote &&
            (mem.locks[b].writer == g->before[b] || mem.locks[b].next == g->before[b]))
            space_violation("reader %d passes a waiting writer", self);
    }
    g->asleep_at = 0;
    g->wrote = how == WRITES;
}

static void refused(struct ghost *g, int r)
{
    bool justified = r == -ETIMEDOUT && g->timed;

    g->asleep_at = 0;
    for (uint32_t b = g->first; b < g->first + g->count && !justified; b++) {
        if (mem.locks[b].torn != 2)
            continue;
        if (r == -ENOTRECOVERABLE)
            justified = true;
        if (r == -EOWNERDEAD && mem.torn[b] == 1) {
            mem.torn[b] = 2;
            justified = true;
        }
    }
    if (!justified)
        space_violation("actor %d is refused with %d", space_self(), r);
}

/* ---- what the actors do ---------------------------------------------------------------------- */

static void read_blocks(const struct mbr__lock_set *s, struct ghost *g, bool in_line)
{
    struct mbr__hold *h = &mem.holds[s->world->self][0];
    uint64_t deadline = g->timed ? 100 : MBR__NEVER;
    int r = in_line ? mbr__lock_read_inline(s, h, 0, g->first, g->count, deadline)
                    : mbr__lock_read(s, 0, g->first, g->count, deadline);

    if (r < 0) {
        refused(g, r);
        return;
    }
    enters(g, READS, false);
    space_point("reads");
    g->inside = OUT;
    if (in_line)
        mbr__unlock_read(s, h, g->first, g->count);
    else
        mbr__unlock(s, 0);
}

static void write_blocks(const struct mbr__lock_set *s, struct ghost *g, bool whole)
{
    int r = mbr__lock_write(s, 0, g->first, g->count, g->first, whole ? g->first + g->count : 0,
                            g->timed ? 100 : MBR__NEVER);

    if (r < 0) {
        refused(g, r);
        return;
    }
    enters(g, WRITES, whole);
    mbr__lock_writing(s, 0);
    g->writing = true;
    space_point("writes");
    g->writing = false;
    for (uint32_t b = g->first; b < g->first + g->count; b++)
        mem.torn[b] = 0;
    g->inside = OUT;
    mbr__unlock(s, 0);
}

/* A thread that reads a block reads it once more, and then ends the first of these. */
static void read_twice(const struct mbr__lock_set *s, struct ghost *g)
{
    struct mbr__hold *h = mem.holds[s->world->self];

    h[0].thread = h[1].thread = 1;
    if (mbr__lock_read_inline(s, &h[1], 1, g->first, g->count, MBR__NEVER) < 0)
        return; /* torn, which other cases look at */
    enters(g, READS, false);
    memset(g->before, 0, sizeof(g->before)); /* a writer may be passed now */
    if (mbr__lock_read_inline(s, &h[0], 0, g->first, g->count, MBR__NEVER) < 0)
        space_violation("actor %d may not read what it reads", space_self());
    mbr__unlock_read(s, &h[1], g->first, g->count);
    space_point("reads on");
    g->inside = OUT;
    mbr__unlock_read(s, &h[0], g->first, g->count);
}

/* The lock of a table. */
static void use_table(struct mbr__lock_world *w)
{
    uint32_t dead = 99;
    int r = mbr__shm_lock(w, &mem.table, MBR__NEVER, &dead);

    if (r != 0 && (r != -EOWNERDEAD || dead >= SLOTS || lives(dead)))
        space_violation("the mutex of a table fails with %d, %u", r, dead);
    if (mem.in_table != 0 && !space_is_killed(mem.in_table - 1))
        space_violation("actors %d and %d have the mutex", mem.in_table - 1, space_self());
    mem.in_table = space_self() + 1;
    space_point("changes the table");
    if (mem.in_table == space_self() + 1)
        mem.in_table = 0;
    mbr__shm_unlock(w, &mem.table);
}

static bool slot_is_free(int actor)
{
    return pages[(uint32_t)(scripts[actor][1] - '0')].state == MBR__MEMBER_FREE;
}

static void take_slot(int actor, uint32_t slot)
{
    space_block("slot", slot_is_free);
    worlds[actor].self = slot;
    mem.owner[slot] = actor + 1;
    mbr_store_release(&pages[slot].state, MBR__MEMBER_HERE);
}

/* After all others: who comes now finds everything as it should be. */
static void check_all(const struct mbr__lock_set *s, struct ghost *g)
{
    for (uint32_t b = 0; b < BLOCKS; b++) {
        comes(g, b, 1, false);
        read_blocks(s, g, false);
    }
    use_table(s->world);
    comes(g, 0, BLOCKS, false);
    write_blocks(s, g, true);
    for (uint32_t slot = 0; slot < SLOTS; slot++) { /* who was in nobody's way */
        if (!lives(slot))
            bury(s->world, slot);
    }
    mbr_fence_full();
    for (uint32_t b = 0; b < BLOCKS; b++) {
        const struct mbr__block_lock *l = &mem.locks[b];

        if (l->writer != 0 || l->next != 0 || l->torn != 0)
            space_violation("block %u is left with %x %x %u", b, l->writer, l->next, l->torn);
    }
    for (int i = 0; i < SLOTS * HOLDS; i++) {
        if (mem.holds[i / HOLDS][i % HOLDS].what != 0)
            space_violation("the hold of slot %d is left", i / HOLDS);
    }
}

static void run(int actor)
{
    struct ghost *g = &mem.ghosts[actor];

    for (const char *op = scripts[actor]; *op != 0; op += op[0] == 'N' ? 2 : 3) {
        char kind = op[0];

        if (kind == 'N') {
            take_slot(actor, (uint32_t)(op[1] - '0'));
            continue;
        }
        uint32_t first = (uint32_t)(op[1] - '0');

        comes(g, first, (uint32_t)(op[2] - '0') - first + 1, kind == 't' || kind == 'T');
        if (kind == 'D')
            read_twice(&sets[actor], g);
        else if (kind == 'M')
            use_table(&worlds[actor]);
        else if (kind == 'C')
            check_all(&sets[actor], g);
        else if (kind == 'R' || kind == 'r' || kind == 't')
            read_blocks(&sets[actor], g, kind == 'R');
        else
            write_blocks(&sets[actor], g, kind == 'W');
        space_progress();
        *g = (struct ghost){0};
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

struct kase {
    const char *name;
    const char *scripts[SPACE_ACTORS]; /* without the check */
    uint8_t kills;
    bool restless;
    bool full; /* many states */
};

static const struct kase kases[] = {
    {.name = "two writers", .scripts = {"P00", "P00"}, .kills = 1},
    {.name = "two writers, restless", .scripts = {"P00", "P00"}, .kills = 1, .restless = true},
    {.name = "writers of two blocks", .scripts = {"P01", "W01"}, .kills = 1},
    {.name = "a writer of two and one of the second", .scripts = {"P01", "P11"}, .kills = 1},
    {.name = "reader and writer", .scripts = {"R00", "P00"}, .kills = 1},
    {.name = "reader and writer, restless",
     .scripts = {"R00", "P00"},
     .kills = 1,
     .restless = true},
    {.name = "reader and writer twice", .scripts = {"R00R00", "W00W00"}, .kills = 1},
    {.name = "reader the long way and writer", .scripts = {"r00r00", "W00"}, .kills = 1},
    {.name = "reader and writer of two blocks", .scripts = {"R01", "P01"}, .kills = 1},
    {.name = "reader of two, writer of the first", .scripts = {"r01", "P00"}, .kills = 1},
    {.name = "reader of two, writer of the second", .scripts = {"r01", "P11"}, .kills = 1},
    {.name = "reader and writer, both killed", .scripts = {"R00", "W00"}, .kills = 2},
    {.name = "deadlines", .scripts = {"t01", "T01"}, .kills = 0, .restless = true},
    {.name = "deadlines and a killed one", .scripts = {"t00", "P00"}, .kills = 1, .restless = true},
    {.name = "reading once more", .scripts = {"D00", "W00"}, .kills = 1},
    {.name = "reading once more, two writers", .scripts = {"D00", "W00", "W00"}, .full = true},
    {.name = "a table", .scripts = {"M00", "M00"}, .kills = 1},
    {.name = "a table, restless", .scripts = {"M00M00", "M00"}, .kills = 1, .restless = true},
    {.name = "a table for three", .scripts = {"M00", "M00", "M00"}, .kills = 2, .full = true},
    {.name = "two readers and a writer", .full = true, .scripts = {"R00", "R00", "P00"}},
    {.name = "a reader and two writers", .full = true, .scripts = {"R00", "W00", "W00"}},
    {.name = "three writers", .scripts = {"W00", "W00", "W00"}},
    {.name = "a reader and two writers, restless",
     .full = true,
     .restless = true,
     .scripts = {"R00", "W00", "W00"}},
    {.name = "a crossing", .scripts = {"R01", "W01", "W11"}, .full = true},
    {.name = "two readers and a writer, killed",
     .scripts = {"R00", "R00", "P00"},
     .kills = 1,
     .full = true},
    {.name = "a reader and two writers, killed",
     .scripts = {"R00", "P00", "P00"},
     .kills = 1,
     .full = true},
    {.name = "three writers, two killed",
     .scripts = {"P00", "P00", "P00"},
     .kills = 2,
     .full = true},
    {.name = "three, one with a deadline",
     .scripts = {"t00", "W00", "W00"},
     .restless = true,
     .full = true},
    {.name = "three writers twice", .scripts = {"W00W00", "W00", "W00"}, .full = true},
};

#define QUICK_STATES UINT64_C(3000000)
#define FULL_STATES  UINT64_C(8000000)

#define PAGE(i)                                              \
    {&pages[i], offsetof(struct mbr__member_shm, reserved)}, \
    {                                                        \
        pages[i].tickets, 8                                  \
    }
#define OWN(i)                                            \
    {                                                     \
        worlds[i].own, 2 * sizeof(struct mbr__own_ticket) \
    }
static const struct space_range memory[] = {{&mem, sizeof(mem)},
                                            PAGE(0),
                                            PAGE(1),
                                            PAGE(2),
                                            PAGE(3),
                                            OWN(0),
                                            OWN(1),
                                            OWN(2),
                                            OWN(3),
                                            {NULL, 0}};

static bool deep;
static bool stop_at_once;

static void explore(void **state)
{
    const struct kase *k = *state;
    const char *with_check[SPACE_ACTORS] = {0};
    struct space_case c = {.name = k->name,
                           .reset = reset,
                           .run = run,
                           .killed = killed,
                           .kills = k->kills,
                           .restless = k->restless};

    while (k->scripts[c.actors] != NULL) {
        with_check[c.actors] = k->scripts[c.actors];
        c.mortal[c.actors++] = true;
    }
    with_check[c.actors] = "C00";
    c.last[c.actors++] = true;
    scripts = with_check;
    space_memory = memory;
    space_is_shared = is_shared;
    struct space_tally t = space_explore(&c, deep || stop_at_once ? FULL_STATES : QUICK_STATES);

    scripts = no_scripts;
    printf("  %s: %llu states, %llu transitions, depth %u%s\n", k->name,
           (unsigned long long)t.states, (unsigned long long)t.transitions, t.deepest,
           t.complete ? "" : ", not all");
    if (t.violated && stop_at_once)
        exit(1);
    assert_false(t.violated);
    assert_true(t.complete || k->full); /* some of those have more states than are looked at */
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[sizeof(kases) / sizeof(kases[0])];
    size_t n = 0;

    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    stop_at_once = argc > 1 && strcmp(argv[1], "first") == 0;
    for (size_t i = 0; i < sizeof(kases) / sizeof(kases[0]); i++) {
        if (argc > 2 ? strcmp(argv[2], kases[i].name) != 0
                     : kases[i].full && !deep && !stop_at_once)
            continue;
        tests[n++] = (struct CMUnitTest){.name = kases[i].name,
                                         .test_func = explore,
                                         .initial_state = (void *)(uintptr_t)&kases[i]};
    }
    return _cmocka_run_group_tests("lock", tests, n, NULL, NULL);
}
