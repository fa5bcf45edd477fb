/* SPDX-License-Identifier: MIT */
/*
 * Members of a container that membraned keeps on disk, when it has died and another one is there:
 * they go on with the memory they have, unless that is not the last one any more. And offers of
 * memory by hand that no member of good will would make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object/broker.h"
#include "object/memory.h"
#include "shm/post.h"
#include "stored.h"

#define OWNER    61071u
#define STRANGER 61072u
#define SIZE     (MBR_OBJECT_BLOCK + 100)

static struct stored daemon_;
static char objects[600]; /* the daemon's directory */
static char *buffer;

static void start(void)
{
    const char *const arguments[] = {"--objects", objects, NULL};

    stored_start(&daemon_, NULL, arguments);
}

static void restart(void)
{
    stored_kill(&daemon_);
    start();
}

static int create(void)
{
    struct mbr_container_options options = {.size = sizeof(options),
                                            .flags = MBR_CONTAINER_PERSISTENT};
    int c = mbr_container_create_with("c", -1, &options);

    CHECK(c >= 0);
    return c;
}

static void put(int object, uint64_t key)
{
    stage_fill(buffer, SIZE, key);
    CHECK_INT(mbr_object_write(object, 0, buffer, SIZE), 0);
}

static void expect(int object, uint64_t key)
{
    CHECK_INT(mbr_object_read(object, 0, buffer, SIZE), 0);
    CHECK(stage_filled(buffer, SIZE, key));
}

/* ---- others ------------------------------------------------------------------------------------
 */

/* Joins, says so, and then does for each number what it says. */
enum { EXPECT, PUT_SYNCED, DESTROY, GO = 1000 };

static void other_role(struct stage_actor *parent, void *argument)
{
    int c = mbr_container_join("c");
    int o = mbr_object_join(c, "o");
    uint64_t number;

    (void)argument;
    CHECK(c >= 0 && o >= 0);
    stage_say(parent, 1);
    while (stage_listen(parent, &number)) {
        uint64_t key = number / GO;

        if (number % GO == EXPECT) {
            expect(o, key);
        } else if (number % GO == PUT_SYNCED) {
            put(o, key);
            CHECK_INT(mbr_object_sync(o), 0);
        } else {
            CHECK_INT(mbr_container_destroy(c), 0);
        }
        stage_say(parent, 1);
    }
}

static struct stage_actor other_begin(void)
{
    struct stage_actor other;

    stage_spawn(&other, other_role, NULL);
    CHECK_INT(stage_hear(&other), 1);
    return other;
}

static void other_do(struct stage_actor *other, uint64_t what, uint64_t key)
{
    stage_say(other, key * GO + what);
    CHECK_INT(stage_hear(other), 1);
}

static void other_once(uint64_t what, uint64_t key)
{
    struct stage_actor other = other_begin();

    other_do(&other, what, key);
    stage_kill(&other);
}

/* ---- going on ----------------------------------------------------------------------------------
 */

static void test_goes_on(void **state)
{
    int c = create();
    int o = mbr_object_create(c, "o", SIZE);
    int v = mbr_object_create_with(c, "v", SIZE, MBR_WRITE_VERSIONED);
    int p;

    (void)state;
    CHECK(o >= 0 && v >= 0);
    put(o, 1);
    put(v, 2);
    CHECK_INT(mbr_object_sync(o), 0);
    CHECK_INT(mbr_object_sync(v), 0);
    stored_kill(&daemon_);
    put(o, 3);
    expect(o, 3);
    expect(v, 2);
    CHECK_INT(mbr_object_sync(o), -ECONNREFUSED);
    CHECK_INT(mbr_object_create(c, "p", SIZE), -ECONNREFUSED);
    CHECK_INT(mbr_object_rename(v, "w"), -ECONNREFUSED);
    CHECK_INT(mbr_object_resize(v, SIZE + 1), -ECONNREFUSED);
    CHECK_INT(mbr_object_unlink(c, "o"), -ECONNREFUSED);
    CHECK_INT(mbr_container_destroy(c), -ECONNREFUSED);
    start();
    CHECK_INT(mbr_object_sync(v), 0);
    other_once(EXPECT, 3); /* what was never synced, too */
    CHECK_INT(mbr_object_sync(o), 0);
    p = mbr_object_create(c, "p", SIZE);
    CHECK(p >= 0);
    CHECK_INT(mbr_object_resize(v, SIZE + 1), 0);
    CHECK_INT(mbr_object_rename(v, "w"), 0);
    CHECK_INT(mbr_object_unlink(c, "p"), 0);
    CHECK_INT(mbr_container_leave(c), 0);
    restart();
    other_once(EXPECT, 3);
    c = mbr_container_join("c");
    CHECK_INT(mbr_object_join(c, "p"), -ENOENT);
    v = mbr_object_join(c, "w");
    CHECK(v >= 0);
    expect(v, 2);
    CHECK_INT(mbr_object_leave(v), 0);
    stored_kill(&daemon_);
    start();
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(stage_count_entries(objects), 0);
}

static void test_each_member_goes_on(void **state)
{
    int c = create();
    int o = mbr_object_create(c, "o", SIZE);
    struct stage_actor other;
    size_t fds = 0;

    (void)state;
    put(o, 1);
    CHECK_INT(mbr_object_sync(o), 0);
    other = other_begin();
    for (uint64_t key = 2; key < 10; key += 2) {
        restart();
        other_do(&other, PUT_SYNCED, key);
        expect(o, key);
        put(o, key + 1);
        CHECK_INT(mbr_object_sync(o), 0);
        other_do(&other, EXPECT, key + 1);
        CHECK(fds == 0 || stage_count_fds() == fds);
        fds = stage_count_fds();
    }
    stage_kill(&other);
    CHECK_INT(mbr_container_destroy(c), 0);
}

/* ---- not going on ------------------------------------------------------------------------------
 */

static void expect_stale(int c, int o, uint64_t key)
{
    put(o, key);
    CHECK_INT(mbr_object_sync(o), -ESTALE);
    CHECK_INT(mbr_object_create(c, "p", 1), -ESTALE);
    CHECK_INT(mbr_object_sync(o), -ESTALE);
    expect(o, key); /* in the memory of those who have stayed behind */
    CHECK_INT(mbr_container_leave(c), 0);
}

static void test_somebody_else_was_first(void **state)
{
    int c = create();
    int o = mbr_object_create(c, "o", SIZE);

    (void)state;
    put(o, 1);
    CHECK_INT(mbr_object_sync(o), 0);
    restart();
    other_once(PUT_SYNCED, 2);
    expect_stale(c, o, 3);
    other_once(EXPECT, 2);
    c = mbr_container_join("c");
    CHECK_INT(mbr_container_destroy(c), 0);
}

/* What was synced through other memory in between is not written over. */
static void test_somebody_else_was_first_once(void **state)
{
    int c = create();
    int o = mbr_object_create(c, "o", SIZE);

    (void)state;
    put(o, 1);
    CHECK_INT(mbr_object_sync(o), 0);
    restart();
    other_once(PUT_SYNCED, 2);
    restart(); /* nobody has the container's memory now but those of the first */
    expect_stale(c, o, 3);
    other_once(EXPECT, 2);
    c = mbr_container_join("c");
    CHECK_INT(mbr_container_destroy(c), 0);
}

static void test_another_of_that_name(void **state)
{
    int c = create();
    int o = mbr_object_create(c, "o", SIZE);
    int p;

    (void)state;
    put(o, 1);
    CHECK_INT(mbr_object_sync(o), 0);
    restart();
    other_once(DESTROY, 0);
    put(o, 2);
    CHECK_INT(mbr_object_sync(o), -ESTALE);
    restart();
    p = create();
    CHECK(mbr_object_create(p, "o", SIZE) >= 0);
    expect_stale(c, o, 3);
    CHECK_INT(mbr_container_destroy(p), 0);
}

/* ---- by hand -----------------------------------------------------------------------------------
 */

/* A connection to the daemon that belongs to no container: its lists are asked for over it. */
static int offer(const char *name, int memory)
{
    struct mbr__broker_found found;
    int rc;

    CHECK_INT(mbr__broker_join("d", &found), 0); /* for its address alone */
    (void)close(found.memory);
    rc = mbr__broker_rejoin(name, memory, UINT64_MAX, found.session);
    (void)close(found.session);
    return rc;
}

static void test_offers(void **state)
{
    struct mbr_container_options options = {.size = sizeof(options),
                                            .flags = MBR_CONTAINER_PERSISTENT | MBR_CONTAINER_KEPT};
    char longest[MBR_OBJECT_NAME_MAX + 1];
    struct mbr__broker_found found;
    int c = create();
    int other = -1;
    int file = memfd_create("file", MFD_CLOEXEC);
    int d = mbr_container_create_with("d", -1, &options);

    (void)state;
    CHECK(d >= 0 && file >= 0);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    CHECK(mbr_object_create(c, "o", 1) >= 0);
    CHECK_INT(mbr__broker_join("c", &found), 0);
    CHECK_INT(mbr__object_memory_new("other", &other), 0);
    CHECK_INT(offer("c", file), -EPROTO);
    CHECK_INT(offer("c", other), -ESTALE);
    CHECK_INT(offer("nothing", found.memory), -ESTALE);
    CHECK_INT(offer(longest, found.memory), -ESTALE);
    CHECK_INT(offer("a/b", found.memory), -EINVAL);
    CHECK_INT(offer("d", found.memory), -ESTALE);
    CHECK_INT(offer("c", found.memory), 0);
    restart();
    CHECK_INT(offer("c", file), -EPROTO);
    CHECK_INT(offer("c", other), -ESTALE);
    CHECK_INT(offer("d", found.memory), -ESTALE);
    CHECK_INT(offer("c", found.memory), 0);
    CHECK_INT(offer("c", other), -ESTALE);
    CHECK_INT(offer("c", found.memory), 0);
    (void)close(other);
    (void)close(file);
    (void)close(found.memory);
    (void)close(found.session);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(mbr_container_leave(d), 0);
    d = mbr_container_join("d");
    CHECK_INT(mbr_container_destroy(d), 0);
}

/* Its descriptor has come to somebody who may not join. */
static void stranger_role(struct stage_actor *parent, void *argument)
{
    const int *fds = argument;

    stage_become_user(STRANGER, STRANGER);
    CHECK_INT(mbr__broker_rejoin("c", fds[0], UINT64_MAX, fds[1]), -EACCES);
    stage_say(parent, 1);
}

static void test_a_stranger(void **state)
{
    struct stage_actor stranger;
    struct mbr__broker_found found;
    int fds[2];
    int c;

    (void)state;
    if (geteuid() != 0)
        skip();
    CHECK(chmod(stage_dir(), 0755) == 0);
    c = create();
    CHECK(mbr_object_create(c, "o", SIZE) >= 0);
    CHECK_INT(mbr__broker_join("c", &found), 0);
    fds[0] = found.memory;
    fds[1] = found.session;
    for (int i = 0; i < 2; i++) {
        stage_spawn(&stranger, stranger_role, fds);
        CHECK_INT(stage_hear(&stranger), 1);
        stage_join_ok(&stranger);
        restart();
    }
    (void)close(found.memory);
    (void)close(found.session);
    CHECK_INT(mbr_container_destroy(c), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_each_member_goes_on),
        cmocka_unit_test(test_somebody_else_was_first),
        cmocka_unit_test(test_somebody_else_was_first_once),
        cmocka_unit_test(test_another_of_that_name),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_a_stranger),
    };
    int failed;

    (void)argc;
    (void)argv;
    stored_need();
    buffer = malloc(SIZE);
    CHECK(buffer != NULL);
    (void)snprintf(objects, sizeof(objects), "%s/objects", stage_dir());
    start();
    CHECK(setenv("XENSTORED_PATH", daemon_.path, 1) == 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    stored_stop(&daemon_);
    free(buffer);
    return failed;
}

int main(int argc, char **argv)
{
    return stage_main(100, argc, argv, run);
}
