/* SPDX-License-Identifier: MIT */
/*
 * membraned --objects, killed at random moments under members who stay: they go on when there is
 * another daemon, by themselves or, if a stranger has come first, by joining anew. Whatever sync,
 * creation, rename and removal was acknowledged is there afterwards, in the memory as on the disk;
 * nobody waits without end, and nobody has more descriptors at the end than at first. Members are
 * killed as well, and now and then all of them, so that what is on the disk is seen. The number of
 * kills is the argument.
 *
 * Each member has an object of its own, in place or versioned, and in round N fills it with N and
 * syncs it; and makes, renames and removes a small one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <membrane/objects.h>

#include "../multi/stored.h"

#define MEMBERS  3u
#define SIZE     (2 * MBR_OBJECT_BLOCK)
#define TOGETHER 8u /* kills between two looks at the disk */

enum where { NOWHERE, SMALL, OTHER };

/* What members have begun and been told, in memory that outlives them. */
struct told {
    uint64_t begun;
    uint64_t synced;
    uint32_t before; /* enum where the small object is; `after` is what was asked for last */
    uint32_t after;
    uint64_t turns; /* of both kinds, acknowledged */
    uint64_t stale; /* joined anew */
};

static struct told *told;
static struct stored daemon_;
static char *bytes;

/* The random moment, and looking again: not a synchronisation. */
static void pass(long ns)
{
    struct timespec span = {0, ns};

    (void)nanosleep(&span, NULL);
}

/* ---- members ---- */

struct member {
    unsigned me;
    int container;
    int object;
    char small[16];
    char other[16];
};

static void check_round(struct told *t, unsigned me)
{
    uint64_t round = t->begun + 1;

    while (round-- > t->synced) {
        if (stage_filled(bytes, SIZE, round * MEMBERS + me))
            break;
    }
    CHECK(round >= t->synced && round <= t->begun);
    t->begun = round; /* the next one is begun from here */
}

/* The daemon may be away. */
static int join_patiently(void)
{
    int c;

    while ((c = mbr_container_join("c")) == -ENOENT || c == -ECONNREFUSED)
        pass(1000000);
    CHECK(c >= 0);
    return c;
}

static int join_object(struct member *m)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "o%u", m->me);
    m->object = mbr_object_join(m->container, name);
    return m->object < 0 ? m->object : mbr_object_read(m->object, 0, bytes, SIZE);
}

static void come(struct member *m)
{
    for (;;) {
        int rc;

        m->container = join_patiently();
        rc = join_object(m);
        if (rc == 0)
            break;
        CHECK(rc == -ECONNREFUSED || rc == -ESTALE);
        CHECK_INT(mbr_container_leave(m->container), 0);
    }
    check_round(&told[m->me], m->me);
}

/* Whether RC means that it was done; else it may have been, and the daemon is back by now. */
static bool done(struct member *m, int rc)
{
    CHECK(rc >= 0 || rc == -ECONNREFUSED || rc == -ESTALE);
    if (rc == -ECONNREFUSED)
        pass(1000000);
    if (rc == -ESTALE) {
        CHECK_INT(mbr_container_leave(m->container), 0);
        told[m->me].stale++;
        come(m);
    }
    if (rc >= 0)
        told[m->me].turns++;
    return rc >= 0;
}

static void sync_round(struct member *m)
{
    struct told *t = &told[m->me];
    uint64_t round = t->begun + 1;

    stage_fill(bytes, SIZE, round * MEMBERS + m->me);
    t->begun = round;
    if (!done(m, mbr_object_write(m->object, 0, bytes, SIZE)))
        return;
    while (!done(m, mbr_object_sync(m->object))) {
        if (t->begun != round)
            return; /* joined anew: it has other bytes now */
    }
    t->synced = round;
}

/* Where it is as far as this member's memory goes: it was asked for one of two. */
static int find_small(struct member *m)
{
    struct told *t = &told[m->me];
    uint32_t where = SMALL;
    int o = mbr_object_join(m->container, m->small);

    if (o == -ENOENT) {
        where = OTHER;
        o = mbr_object_join(m->container, m->other);
    }
    if (o == -ENOENT)
        where = NOWHERE;
    CHECK(o >= 0 || o == -ENOENT || o == -ECONNREFUSED || o == -ESTALE);
    if (o >= 0 || o == -ENOENT) {
        CHECK(where == t->before || where == t->after);
        t->before = t->after = where;
    }
    return o;
}

static void change_round(struct member *m)
{
    struct told *t = &told[m->me];
    int o = find_small(m);
    int rc;

    if (o == -ENOENT) {
        t->after = SMALL;
        rc = mbr_object_create(m->container, m->small, 100);
        o = rc;
    } else if (o < 0) {
        rc = o;
    } else if (t->after == SMALL) {
        t->after = OTHER;
        rc = mbr_object_rename(o, m->other);
    } else {
        t->after = NOWHERE;
        rc = mbr_object_unlink(m->container, m->other);
    }
    if (o >= 0)
        CHECK_INT(mbr_object_leave(o), 0);
    if (rc != -ESTALE && rc != -ECONNREFUSED && rc != -ENOENT)
        t->before = t->after;
    /* What has been removed over the daemon's death is found out when it is asked for again. */
    (void)done(m, rc == -ENOENT ? 0 : rc);
}

static void member_role(struct stage_actor *parent, void *argument)
{
    struct member m = {.me = (unsigned)(uintptr_t)argument};
    unsigned open;

    (void)snprintf(m.small, sizeof(m.small), "small.%u", m.me);
    (void)snprintf(m.other, sizeof(m.other), "other.%u", m.me);
    come(&m);
    sync_round(&m);
    open = (unsigned)stage_count_fds();
    stage_say(parent, 1);
    for (uint64_t i = 0;; i++) {
        sync_round(&m);
        change_round(&m);
        if (i % 64 == 0)
            CHECK(stage_count_fds() <= open + 1);
    }
}

/* ---- the test ---- */

static void make_all(void)
{
    struct mbr_container_options options = {
        .size = sizeof(options), .flags = MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_CHECKSUMS};
    int c = mbr_container_create_with("c", -1, &options);

    CHECK(c >= 0);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[16];
        int o;

        (void)snprintf(name, sizeof(name), "o%u", i);
        o = mbr_object_create_with(c, name, SIZE, i % 2 ? MBR_WRITE_VERSIONED : MBR_WRITE_IN_PLACE);
        CHECK(o >= 0);
        stage_fill(bytes, SIZE, i);
        CHECK_INT(mbr_object_write(o, 0, bytes, SIZE), 0);
        CHECK_INT(mbr_object_sync(o), 0);
    }
    CHECK_INT(mbr_container_leave(c), 0);
}

/* A member that begins says so when it has synced once, with a daemon that lives. */
static void start_member(struct stage_actor *members, unsigned i)
{
    stage_spawn(&members[i], member_role, (void *)(uintptr_t)i);
    CHECK_INT(stage_hear(&members[i]), 1);
}

/* All go on: each acknowledges something. */
static void await_turns(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        uint64_t seen = __atomic_load_n(&told[i].turns, __ATOMIC_RELAXED);

        while (__atomic_load_n(&told[i].turns, __ATOMIC_RELAXED) < seen + 2)
            pass(100000); /* the stage's time limit ends it */
    }
}

/* What a new memory has is what is on the disk. */
static void look_at_the_disk(void)
{
    int c = join_patiently();

    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member m = {.me = i, .container = c};

        (void)snprintf(m.small, sizeof(m.small), "small.%u", i);
        (void)snprintf(m.other, sizeof(m.other), "other.%u", i);
        CHECK_INT(join_object(&m), 0);
        check_round(&told[i], i);
        (void)find_small(&m);
    }
    CHECK_INT(mbr_container_leave(c), 0);
}

static void one_life(const char *const *arguments, uint64_t *random, unsigned kills)
{
    struct stage_actor members[MEMBERS];

    for (unsigned i = 0; i < MEMBERS; i++)
        start_member(members, i);
    for (unsigned k = 0; k < kills; k++) {
        pass((long)stage_below(random, 20000000));
        if (stage_below(random, 3) == 0) {
            unsigned i = (unsigned)stage_below(random, MEMBERS);

            stage_kill(&members[i]);
            start_member(members, i);
        }
        stored_kill(&daemon_);
        pass((long)stage_below(random, 3000000));
        stored_start(&daemon_, NULL, arguments);
        if (stage_below(random, 4) == 0)
            CHECK_INT(mbr_container_leave(join_patiently()), 0); /* perhaps before them */
        await_turns();
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        stage_kill(&members[i]);
    stored_kill(&daemon_);
    stored_start(&daemon_, NULL, arguments);
    look_at_the_disk();
}

static int run(int argc, char **argv)
{
    unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 10) : 64 / stage_slowness();
    uint64_t random = stage_seed();
    char dir[600];
    const char *arguments[] = {"--objects", dir, NULL};

    stored_need();
    (void)snprintf(dir, sizeof(dir), "%s/objects", stage_dir());
    told = mmap(NULL, sizeof(*told) * MEMBERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    bytes = malloc(SIZE);
    CHECK(told != MAP_FAILED && bytes != NULL);
    stored_start(&daemon_, NULL, arguments);
    CHECK(setenv("XENSTORED_PATH", daemon_.path, 1) == 0);
    make_all();
    for (unsigned long i = 0; i < kills; i += TOGETHER)
        one_life(arguments, &random, TOGETHER);
    stored_stop(&daemon_);
    printf("%lu kills", kills);
    for (unsigned i = 0; i < MEMBERS; i++)
        printf(", %llu syncs and changes, %llu times joined anew",
               (unsigned long long)told[i].turns, (unsigned long long)told[i].stale);
    printf("\n");
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(argc > 1 ? 1800 : 190, argc, argv, run);
}
