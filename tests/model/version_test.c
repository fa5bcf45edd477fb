/* SPDX-License-Identifier: MIT */
/*
 * Publishing, pinning and using blocks again, in all states of two or three processes that may be
 * killed after any of their steps (space.h). The real object/version.c and version_write.c,
 * compiled for it, with blocks of 64 bytes.
 *
 * What must hold: whoever reads sees the bytes of one version, for as long as it has access; a
 * writer that is killed changes nothing; nobody waits for a reader, and nobody for the dead; when
 * all have ended a writer needs no more blocks than twice the object.
 */
#define MBR_ATOMIC_MODEL "../../tests/model/space_atomic.h"
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <membrane/objects.h>

#include "space.h"

#undef MBR_OBJECT_BLOCK
#undef MBR_OBJECT_SIZE_MAX
#define MBR_OBJECT_BLOCK    ((size_t)64)
#define MBR_OBJECT_SIZE_MAX (UINT64_C(64) << 16)

/* The memory is there before anything runs; the code's own mappings are views of it. */
static void *model_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
#define mmap    model_mmap
#define munmap  model_munmap
#define madvise model_madvise
static int model_munmap(void *at, size_t size);
static int model_madvise(void *at, size_t size, int advice);

#ifndef VERSION_SOURCE
#define VERSION_SOURCE "object/version.c"
#endif
#ifndef VERSION_WRITE_SOURCE
#define VERSION_WRITE_SOURCE "object/version_write.c"
#endif
#include VERSION_SOURCE
#include VERSION_WRITE_SOURCE
#undef mmap
#undef munmap
#undef madvise

#define SLOTS  4
#define BLOCKS 2u
#define SIZE   (BLOCKS * MBR_OBJECT_BLOCK)
#define MIDDLE \
    (MBR_OBJECT_BLOCK - 8) /* 16 bytes from here on are in both blocks, and always alike */
#define PLACES 4
#define PLENTY 8u /* physical blocks */

struct view_of {
    struct mbr__container c;
    struct mbr__object o;
    struct mbr__view view;
    struct mbr__versions versions;
    struct mbr__shown shown;
};

static struct view_of views[SLOTS];
static uint8_t *tables, *maps;
static uint8_t data[64 * 64] __attribute__((aligned(64)));
static struct {
    int32_t writer; /* actor + 1 who has entry.writer */
    int32_t burier;
} own;
static struct space_range memory[64];
static const char *const *scripts;

/* ---- the world ------------------------------------------------------------------------------- */

static void *model_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    (void)at, (void)size, (void)protection, (void)flags, (void)fd, (void)offset;
    return MAP_FAILED; /* what one reads in these cases lies side by side or is copied */
}

static int model_munmap(void *at, size_t size)
{
    (void)at, (void)size;
    return 0;
}

static int model_madvise(void *at, size_t size, int advice)
{
    (void)at, (void)size, (void)advice;
    return 0;
}

int mbr__container_map(const struct mbr__container *c, uint64_t offset, uint64_t size,
                       uint8_t **out)
{
    (void)c, (void)offset, (void)size, (void)out;
    return -ENOMEM;
}

int mbr__container_allocate(const struct mbr__container *c, uint64_t offset, uint64_t size)
{
    (void)c, (void)offset, (void)size;
    return 0;
}

void mbr__container_punch(const struct mbr__container *c, uint64_t offset, uint64_t size)
{
    (void)c;
    memset(data + (offset - mbr__range_of(0) - MBR__OBJ_DATA_AT), 0, size);
}

int mbr__object_view_slow(struct mbr__object *o, uint64_t end, struct mbr__view **out)
{
    (void)o, (void)end, (void)out;
    return -ENOMEM;
}

/* The container has no directory. */
int mbr__persist_resize(struct mbr__container *c, uint32_t index, uint64_t size, uint64_t deadline)
{
    (void)c, (void)index, (void)size, (void)deadline;
    return 0;
}

void mbr__persist_resized(struct mbr__container *c, uint32_t index)
{
    (void)c, (void)index;
}

int mbr__persist_follow_size(struct mbr__container *c, uint32_t index, uint64_t deadline)
{
    (void)c, (void)index, (void)deadline;
    return 0;
}

bool mbr__data_has_memory(uint64_t size)
{
    (void)size;
    return true;
}

int mbr__hold_take(struct mbr__container *c, uint32_t *hold)
{
    (void)c;
    *hold = 0;
    return 0;
}

void mbr__hold_give(struct mbr__container *c, uint32_t hold)
{
    (void)c, (void)hold;
}

static bool writer_is_free(int actor)
{
    (void)actor;
    return own.writer == 0 || space_is_killed(own.writer - 1);
}

int mbr__shm_lock(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint64_t deadline,
                  uint32_t *dead)
{
    (void)w, (void)m;
    if (deadline == 0) {
        space_point("try");
        if (!writer_is_free(space_self()))
            return -ETIMEDOUT;
    }
    space_block("writer", writer_is_free);
    bool of_the_dead = own.writer != 0;

    *dead = (uint32_t)own.writer;
    own.writer = space_self() + 1;
    return of_the_dead ? -EOWNERDEAD : 0;
}

void mbr__shm_unlock(struct mbr__lock_world *w, struct mbr__shm_mutex *m)
{
    (void)w, (void)m;
    mbr_fence_full();
    space_point("unlock");
    own.writer = 0;
}

static bool alive(struct mbr__lock_world *w, uint32_t slot)
{
    (void)w;
    space_point("alive");
    return !space_is_killed((int)slot);
}

static bool mutex_is_free(int actor)
{
    (void)actor;
    return own.burier == 0 || space_is_killed(own.burier - 1);
}

static void bury(struct mbr__lock_world *w, uint32_t slot)
{
    space_block("mutex", mutex_is_free);
    own.burier = space_self() + 1;
    mbr_store_release(&mbr__holds_at(&views[w->self].c, slot)[0].what, 0);
    mbr_fence_full();
    own.burier = 0;
    space_progress();
}

static bool within(const void *p, const void *from, size_t size)
{
    return (const uint8_t *)p >= (const uint8_t *)from &&
           (const uint8_t *)p < (const uint8_t *)from + size;
}

static struct mbr__entry *entry(void)
{
    return mbr__entry_at(&views[0].c, 0);
}

static bool is_shared(const void *word, const char *label)
{
    (void)label;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (word == &mbr__holds_at(&views[0].c, i)[0].what)
            return true;
    }
    return word == &entry()->current || word == &entry()->size ||
           within(word, maps + MBR__MAPS_FIRST, MBR__MAPS * MBR__MAP_STRIDE);
}

static void range(void *at, size_t size)
{
    for (struct space_range *r = memory;; r++) {
        if (r->size != 0)
            continue;
        *r = (struct space_range){at, size};
        r[1] = (struct space_range){NULL, 0};
        return;
    }
}

static void make_view(uint32_t i)
{
    struct view_of *v = &views[i];

    v->c.tables = tables;
    v->c.world = (struct mbr__lock_world){.self = i, .alive = alive, .bury = bury};
    v->view = (struct mbr__view){.data = data, .capacity = sizeof(data)};
    v->shown = (struct mbr__shown){.data = data, .capacity = sizeof(data)};
    v->versions =
        (struct mbr__versions){.shm = (struct mbr__version_shm *)(void *)maps, .shown = &v->shown};
    v->o = (struct mbr__object){.c = &v->c,
                                .entry = entry(),
                                .view = &v->view,
                                .versions = &v->versions,
                                .policy = MBR_WRITE_VERSIONED};
    range(v->versions.places, 8);
    range(v->versions.blocks, 8);
    range(mbr__holds_at(&v->c, i), sizeof(struct mbr__hold));
    mbr__member_at(&v->c, i)->holds = 1;
    mbr__holds_at(&v->c, i)[0].what = 0;
}

static void reset(void)
{
    memset(memory, 0, sizeof(memory));
    memset(data, 0, sizeof(data));
    memset(&own, 0, sizeof(own));
    memset(maps, 0, MBR__MAPS_FIRST);
    for (uint32_t i = 0; i < SLOTS; i++)
        views[i].c.tables = tables;
    memset(entry(), 0, sizeof(*entry()));
    for (uint32_t i = 0; i < SLOTS; i++)
        make_view(i);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct mbr__version_map *m = mbr__map_at(&views[0].o, i);

        memset(m, 0, sizeof(*m) + 8);
        range(&m->size, 8);
        range(m->physical, 4 * BLOCKS);
    }
    range(data, PLENTY * MBR_OBJECT_BLOCK);
    range(&own, sizeof(own));
    range(&entry()->current, 8);
    range(&entry()->size, 8);
    range(maps, 64);
    range(((struct mbr__version_shm *)(void *)maps)->map_pages, 8);
    range(((struct mbr__version_shm *)(void *)maps)->pages, 2 * PLENTY);
    entry()->users[0] = (1u << SLOTS) - 1;
    entry()->size = SIZE;
    (void)mbr__version_first(&views[0].o, SIZE);
}

static void killed(int actor)
{
    (void)actor;
}

/* ---- what the actors do, and what must hold -------------------------------------------------- */

static void alike(const uint64_t *words, const char *what)
{
    if (words[0] != words[1])
        space_violation("actor %d sees parts of two versions, %s", space_self(), what);
}

static void copies(struct mbr__object *o)
{
    uint64_t words[2];
    int r = mbr__version_read(o, MIDDLE, words, sizeof(words));

    if (r < 0)
        space_violation("reading fails with %d", r);
    else
        alike(words, "copied");
}

/* Has access for a while. */
static void keeps(struct mbr__object *o)
{
    struct mbr__io io;
    uint64_t first, then;
    int r = mbr__version_get(o, MIDDLE, 8, &io);

    if (r < 0) {
        space_violation("access fails with %d", r);
        return;
    }
    memcpy(&first, io.bytes, 8);
    space_point("has access");
    memcpy(&then, io.bytes, 8);
    mbr__version_put(o, &io);
    if (first != then)
        space_violation("what actor %d has access to changes", space_self());
}

static void writes(struct mbr__object *o, uint64_t value, bool all)
{
    uint64_t words[SIZE / 8];
    int r;

    for (size_t i = 0; i < SIZE / 8; i++)
        words[i] = value;
    r = all ? mbr__version_write(o, 0, words, SIZE, MBR_FOREVER)
            : mbr__version_write(o, MIDDLE, words, 16, MBR_FOREVER);
    if (r < 0)
        space_violation("writing fails with %d", r);
}

/* Each writer that has ended leaves what it wrote, or somebody has written later. */
static void checks(struct mbr__object *o)
{
    uint64_t words[2] = {0};

    copies(o);
    writes(o, 77, true);
    writes(o, 78, true);
    mbr_fence_full();
    (void)mbr__version_read(o, MIDDLE, words, sizeof(words));
    if (words[0] != 78 || words[1] != 78)
        space_violation("what was written is not there");
    if (o->versions->shm->held > 2 * BLOCKS)
        space_violation("%u blocks are kept", o->versions->shm->held);
}

static void run(int actor)
{
    struct mbr__object *o = &views[actor].o;
    uint64_t value = (uint64_t)actor * 10 + 1;

    for (const char *op = scripts[actor]; *op != 0; op++) {
        if (*op == 'R')
            copies(o);
        else if (*op == 'G')
            keeps(o);
        else if (*op == 'C')
            checks(o);
        else
            writes(o, value++, *op == 'W');
        space_progress();
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* R copies 16 bytes that lie in both blocks, G has access to some for a while, W writes all, P
 * those 16 bytes. */
static const struct kase {
    const char *name;
    const char *scripts[SPACE_ACTORS];
    uint8_t kills;
    bool full;
} kases[] = {
    {.name = "a reader and a writer", .scripts = {"R", "WP"}, .kills = 1},
    {.name = "access and a writer", .scripts = {"G", "WWP"}, .kills = 1},
    {.name = "a reader twice and a writer", .scripts = {"RG", "PWP"}, .kills = 1},
    {.name = "two writers", .scripts = {"WP", "PW"}, .kills = 1},
    {.name = "two writers, both killed", .scripts = {"W", "P"}, .kills = 2},
    {.name = "access and two writers", .scripts = {"G", "WP", "P"}, .kills = 0},
    {.name = "access and two writers, killed",
     .scripts = {"G", "WP", "P"},
     .kills = 1,
     .full = true},
    {.name = "two that have access", .scripts = {"G", "RG", "WPW"}, .kills = 1, .full = true},
};

#define QUICK_STATES UINT64_C(3000000)
#define FULL_STATES  UINT64_C(60000000)

static bool deep, stop_at_once;

static void explore(void **state)
{
    const struct kase *k = *state;
    const char *with_check[SPACE_ACTORS] = {0};
    struct space_case c = {
        .name = k->name, .reset = reset, .run = run, .killed = killed, .kills = k->kills};

    while (k->scripts[c.actors] != NULL) {
        with_check[c.actors] = k->scripts[c.actors];
        c.mortal[c.actors++] = true;
    }
    with_check[c.actors] = "C";
    c.last[c.actors++] = true;
    scripts = with_check;
    space_memory = memory;
    space_is_shared = is_shared;
    struct space_tally t = space_explore(&c, deep || stop_at_once ? FULL_STATES : QUICK_STATES);

    printf("  %s: %llu states, %llu transitions, depth %u%s\n", k->name,
           (unsigned long long)t.states, (unsigned long long)t.transitions, t.deepest,
           t.complete ? "" : ", not all");
    if (t.violated && stop_at_once)
        exit(1);
    assert_false(t.violated);
    assert_true(t.complete);
    scripts = NULL;
}

static void *reserve(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);

    if (at == MAP_FAILED)
        abort();
    return at;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[sizeof(kases) / sizeof(kases[0])];
    size_t n = 0;

    tables = reserve(MBR__OBJ_TABLES_END);
    maps = reserve(MBR__MAPS_END);
    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    stop_at_once = argc > 1 && strcmp(argv[1], "first") == 0;
    for (size_t i = 0; i < sizeof(kases) / sizeof(kases[0]); i++) {
        if (argc > 2 ? strcmp(argv[2], kases[i].name) != 0 : kases[i].full && !deep)
            continue;
        tests[n++] = (struct CMUnitTest){.name = kases[i].name,
                                         .test_func = explore,
                                         .initial_state = (void *)(uintptr_t)&kases[i]};
    }
    return _cmocka_run_group_tests("versions", tests, n, NULL, NULL);
}
