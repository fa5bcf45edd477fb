/* SPDX-License-Identifier: MIT */
/*
 * membraned --objects, killed at random moments while members of two users write, sync, make and
 * rename objects: every sync, creation and rename that was acknowledged is there afterwards, of an
 * object that was synced the bytes of one sync and no mixture. Between the kills the daemon is
 * updated live, which nobody may notice, and members are killed. The number of kills is the
 * argument.
 *
 * Each member has an object of its own, in place or versioned, and in round N fills it with N and
 * syncs it; makes "small.ME" where it is missing, renames it to "other.ME" and back, and removes
 * it.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <membrane/objects.h>

#include "../multi/stored.h"

#define MEMBERS 3u
#define SIZE    (2 * MBR_OBJECT_BLOCK)
#define USER    61051u /* and the next */
#define GROUP   61060u

enum where { NOWHERE, SMALL, OTHER };

/* What members have begun and been told, in memory that outlives them. */
struct told {
    uint64_t begun;
    uint64_t synced;
    uint32_t before; /* enum where the small object is; `after` is what was asked for last */
    uint32_t after;
    uint64_t changes;
};

static struct told *told;
static struct stored daemon_;
static bool root;
static char *bytes;

static void become_user(unsigned me)
{
    gid_t group = GROUP;
    char dir[600];

    if (!root)
        return;
    (void)snprintf(dir, sizeof(dir), "%s/u%u", stage_dir(), me);
    CHECK(mkdir(dir, 0700) == 0 || errno == EEXIST);
    CHECK(chown(dir, USER + me % 2, GROUP) == 0);
    CHECK(setenv("MEMBRANE_DIR", dir, 1) == 0);
    CHECK(setgroups(1, &group) == 0 && setgid(GROUP) == 0 && setuid(USER + me % 2) == 0);
}

/* Whether the daemon has gone; other errors are failures. */
static bool gone(int rc)
{
    if (rc < 0 && rc != -ECONNREFUSED)
        CHECK_INT(rc, 0);
    return rc < 0;
}

static bool sync_round(int object, unsigned me)
{
    uint64_t round = told[me].begun + 1;

    told[me].begun = round;
    stage_fill(bytes, SIZE, round * MEMBERS + me);
    CHECK_INT(mbr_object_write(object, 0, bytes, SIZE), 0);
    if (gone(mbr_object_sync(object)))
        return false;
    told[me].synced = round;
    return true;
}

static void names_of(unsigned me, char small[16], char other[16])
{
    (void)snprintf(small, 16, "small.%u", me);
    (void)snprintf(other, 16, "other.%u", me);
}

static bool changed(unsigned me, int rc)
{
    if (gone(rc))
        return false;
    told[me].before = told[me].after;
    told[me].changes++;
    return true;
}

/* The one that a killed predecessor has left under either name. */
static int join_small(int c, unsigned me)
{
    char small[16];
    char other[16];
    int o;

    names_of(me, small, other);
    o = mbr_object_join(c, small);
    if (o >= 0)
        told[me].before = told[me].after = SMALL;
    if (o != -ENOENT)
        return o; /* without the daemon nothing is known */
    o = mbr_object_join(c, other);
    if (o >= 0)
        told[me].before = told[me].after = OTHER;
    return o;
}

static bool change_round(int c, unsigned me)
{
    char small[16];
    char other[16];
    int o = join_small(c, me);

    names_of(me, small, other);
    if (o == -ENOENT) {
        told[me].before = NOWHERE;
        told[me].after = SMALL;
        o = mbr_object_create(c, small, 100);
        if (!changed(me, o < 0 ? o : 0))
            return false;
    }
    if (gone(o))
        return false;
    if (told[me].after == SMALL) {
        told[me].after = OTHER;
        if (!changed(me, mbr_object_rename(o, other)))
            return false;
    }
    told[me].after = SMALL;
    if (!changed(me, mbr_object_rename(o, small)))
        return false;
    told[me].after = NOWHERE;
    if (!changed(me, mbr_object_unlink(c, small)))
        return false;
    return mbr_object_leave(o) == 0;
}

static void member_role(struct stage_actor *parent, void *argument)
{
    unsigned me = (unsigned)(uintptr_t)argument;
    char name[16];
    int c;
    int o;

    become_user(me);
    c = mbr_container_join("c");
    CHECK(c >= 0);
    (void)snprintf(name, sizeof(name), "o%u", me);
    o = mbr_object_join(c, name);
    CHECK(o >= 0);
    stage_say(parent, 1);
    while (sync_round(o, me) && change_round(c, me))
        continue;
    CHECK_INT(mbr_container_leave(c), 0);
}

/* ---- the test ---- */

static void make_all(void)
{
    struct mbr_container_options options = {
        .size = sizeof(options), .flags = MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_CHECKSUMS};
    int c = mbr_container_create_with("c", root ? (int)GROUP : -1, &options);

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

static uint32_t where_is(int c, unsigned me)
{
    char small[16];
    char other[16];
    int s;
    int o;

    names_of(me, small, other);
    s = mbr_object_join(c, small);
    o = mbr_object_join(c, other);
    CHECK((s >= 0 || s == -ENOENT) && (o >= 0 || o == -ENOENT));
    CHECK(s < 0 || o < 0);
    if (s >= 0)
        CHECK_INT(mbr_object_leave(s), 0);
    if (o >= 0)
        CHECK_INT(mbr_object_leave(o), 0);
    return s >= 0 ? SMALL : o >= 0 ? OTHER : NOWHERE;
}

static void verify(int c, unsigned me)
{
    struct told *t = &told[me];
    uint32_t where = where_is(c, me);
    uint64_t round = t->begun + 1;
    char name[16];
    int o;

    (void)snprintf(name, sizeof(name), "o%u", me);
    o = mbr_object_join(c, name);
    CHECK(o >= 0);
    CHECK_INT(mbr_object_read(o, 0, bytes, SIZE), 0);
    while (round-- > t->synced) {
        if (stage_filled(bytes, SIZE, round * MEMBERS + me))
            break;
    }
    CHECK(round >= t->synced && round <= t->begun);
    CHECK(where == t->before || where == t->after);
    CHECK_INT(mbr_object_leave(o), 0);
    t->synced = round;
    t->before = t->after = where;
}

static void update(void)
{
    int fd = stored_connect(daemon_.path);
    struct stored_reply reply;

    CHECK_INT(stored_ask(fd, MBR__XS_CONTROL, 0, &reply, "live-update", "-s", NULL), 0);
    CHECK(strcmp(reply.payload, "OK") == 0);
    (void)close(fd);
}

/* The random moment, not a synchronisation. */
static void wait_a_moment(uint64_t *random)
{
    struct timespec span = {0, (long)stage_below(random, 30000000)};

    (void)nanosleep(&span, NULL);
}

static void start_member(struct stage_actor *members, unsigned i)
{
    stage_spawn(&members[i], member_role, (void *)(uintptr_t)i);
    CHECK_INT(stage_hear(&members[i]), 1);
}

static void one_kill(const char *const *arguments, uint64_t *random)
{
    struct stage_actor members[MEMBERS];
    int c;

    stored_start(&daemon_, NULL, arguments);
    c = mbr_container_join("c");
    CHECK(c >= 0);
    for (unsigned i = 0; i < MEMBERS; i++)
        verify(c, i);
    CHECK_INT(mbr_container_leave(c), 0);
    for (unsigned i = 0; i < MEMBERS; i++)
        start_member(members, i);
    wait_a_moment(random);
    if (stage_below(random, 4) == 0) {
        update();
        wait_a_moment(random);
    }
    if (stage_below(random, 2) == 0) {
        unsigned i = (unsigned)stage_below(random, MEMBERS);

        stage_kill(&members[i]);
        start_member(members, i);
        wait_a_moment(random);
    }
    stored_kill(&daemon_);
    for (unsigned i = 0; i < MEMBERS; i++)
        stage_join_ok(&members[i]);
}

static int run(int argc, char **argv)
{
    unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 10) : 100 / stage_slowness();
    uint64_t random = stage_seed();
    char dir[600];
    const char *arguments[] = {"--objects", dir, NULL};

    stored_need();
    root = geteuid() == 0;
    if (root)
        CHECK(chmod(stage_dir(), 0755) == 0);
    (void)snprintf(dir, sizeof(dir), "%s/objects", stage_dir());
    told = mmap(NULL, sizeof(*told) * MEMBERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    bytes = malloc(SIZE);
    CHECK(told != MAP_FAILED && bytes != NULL);
    stored_start(&daemon_, NULL, arguments);
    CHECK(setenv("XENSTORED_PATH", daemon_.path, 1) == 0);
    make_all();
    stored_kill(&daemon_);
    for (unsigned long i = 0; i < kills; i++)
        one_kill(arguments, &random);
    printf("%lu kills", kills);
    for (unsigned i = 0; i < MEMBERS; i++)
        printf(", %llu syncs and %llu changes", (unsigned long long)told[i].synced,
               (unsigned long long)told[i].changes);
    printf("\n");
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(argc > 1 ? 1200 : 190, argc, argv, run);
}
