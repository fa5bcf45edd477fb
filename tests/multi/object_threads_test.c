/* SPDX-License-Identifier: MIT */
/*
 * Threads of one process, and a second process, on the same objects at once: reads see whole
 * writes, numbers are given and taken back by all, nobody gets another's. Best run under TSan. Not
 * here: results one by one (object_model_test.c), deaths (fault/object_kill_test.c).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include "../conformance/object_util.h"

#include <cmocka.h>

#define THREADS 4
#define STEPS   300
#define BLOCKS  2
#define SIZE    (BLOCKS * MIB)

static int con, in_place, versioned;

static void stamp(char *bytes, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n / 8; i++)
        memcpy(bytes + 8 * i, &value, 8);
}

static bool stamped(const char *bytes, size_t n)
{
    return memcmp(bytes, bytes + 8, n - 8) == 0;
}

/* What is written as one is read as one, by copy and in place. */
static void use_bytes(int object, uint64_t *random, char *bytes)
{
    bool one = object == in_place && stage_below(random, 2) == 0;
    size_t at = one ? stage_below(random, BLOCKS) * MIB : 0, n = one ? MIB : SIZE;
    char *p;
    int rc;

    switch (stage_below(random, 5)) {
    case 0:
        stamp(bytes, n, stage_random(random));
        CHECK_INT(mbr_object_write(object, at, bytes, n), 0);
        break;
    case 1:
        CHECK_INT(mbr_object_read(object, at, bytes, n), 0);
        CHECK(stamped(bytes, MIB));
        break;
    case 2:
        rc = HAVE(mbr_object_get(object, at, n, &p));
        CHECK(stamped(p, MIB));
        CHECK_INT(mbr_object_put(rc), 0);
        break;
    case 3:
        if (object != in_place)
            break;
        rc = HAVE(mbr_object_edit(object, at, n, &p));
        stamp(p, n, stage_random(random));
        CHECK_INT(mbr_object_put(rc), 0);
        break;
    default:
        rc = HAVE(mbr_object_aread(object, at, bytes, n));
        if (stage_below(random, 3) == 0)
            (void)mbr_object_opcancel(rc);
        CHECK_INT(mbr_object_opwait(rc, MBR_FOREVER), 0);
        rc = mbr_object_return(rc);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0)
            CHECK(stamped(bytes, MIB));
        break;
    }
}

static void use_names(uint64_t *random)
{
    char name[16];
    int o, rc;

    (void)snprintf(name, sizeof(name), "churn %d", (int)stage_below(random, 3));
    o = mbr_object_create(con, name, 5000);
    if (o == -EEXIST)
        o = mbr_object_join(con, name);
    if (o == -ENOENT)
        return;
    CHECK(o >= 0);
    rc = object_put_key(o, 0, 100, 1, MBR_FOREVER);
    CHECK_INT(rc, 0);
    if (stage_below(random, 2) == 0) {
        rc = mbr_object_destroy_until(o, 0);
        CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -EALREADY || rc == -ENOENT);
        if (rc == 0)
            return;
    }
    CHECK_INT(mbr_object_leave(o), 0);
}

static void use_containers(void)
{
    int again = HAVE(mbr_container_join("con"));
    int o = HAVE(mbr_object_join(again, "in place"));
    char byte;

    CHECK_INT(mbr_object_read(o, 0, &byte, 1), 0);
    CHECK_INT(mbr_container_leave(again), 0); /* and the object with it */
}

static void *work(void *arg)
{
    uint64_t random = *(const uint64_t *)arg;
    char *bytes = malloc(SIZE);

    CHECK(bytes != NULL);
    for (unsigned int i = 0; i < STEPS / stage_slowness(); i++) {
        uint64_t what = stage_below(&random, 8);

        if (what < 3)
            use_bytes(in_place, &random, bytes);
        else if (what < 5)
            use_bytes(versioned, &random, bytes);
        else if (what < 7)
            use_names(&random);
        else
            use_containers();
    }
    free(bytes);
    return NULL;
}

static void all_work(uint64_t seed)
{
    pthread_t thread[THREADS];
    uint64_t seeds[THREADS];

    for (int i = 0; i < THREADS; i++) {
        seeds[i] = stage_random(&seed);
        CHECK_INT(pthread_create(&thread[i], NULL, work, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
}

static void open_objects(void)
{
    in_place = HAVE(mbr_object_join(con, "in place"));
    versioned = HAVE(mbr_object_join(con, "versioned"));
}

static void other_process(struct stage_actor *parent, void *arg)
{
    con = HAVE(mbr_container_join("con"));
    open_objects();
    stage_say(parent, 0);
    all_work(stage_seed() + 1);
    CHECK_INT(mbr_container_leave(con), 0);
}

static void threads_share_objects(void **state)
{
    struct stage_actor other;

    con = HAVE(mbr_container_create("con", -1));
    HAVE(mbr_object_create(con, "in place", SIZE));
    HAVE(mbr_object_create_with(con, "versioned", SIZE, MBR_WRITE_VERSIONED));
    open_objects();
    stage_spawn(&other, other_process, NULL);
    (void)stage_hear(&other);
    all_work(stage_seed());
    stage_join_ok(&other);
    CHECK_INT(mbr_container_leave(con), 0);
    CHECK_INT(mbr_container_join("con"), -ENOENT);
}

/* The same number given back by many threads at once: one of them has done it. */
static int shared_number;

static void *give_back(void *arg)
{
    *(int *)arg = mbr_object_leave(shared_number);
    return NULL;
}

static void one_of_many_gives_back(void **state)
{
    con = HAVE(mbr_container_create("con", -1));
    int keep = HAVE(mbr_object_create(con, "x", 10));

    for (int round = 0; round < 50; round++) {
        pthread_t thread[THREADS];
        int rc[THREADS], done = 0;

        shared_number = HAVE(mbr_object_join(con, "x"));
        for (int i = 0; i < THREADS; i++)
            CHECK_INT(pthread_create(&thread[i], NULL, give_back, &rc[i]), 0);
        for (int i = 0; i < THREADS; i++) {
            CHECK_INT(pthread_join(thread[i], NULL), 0);
            CHECK(rc[i] == 0 || rc[i] == -EBADF);
            done += rc[i] == 0;
        }
        CHECK_INT(done, 1);
    }
    CHECK_INT(mbr_object_destroy(keep), 0);
    CHECK_INT(mbr_container_leave(con), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_objects),
        cmocka_unit_test(one_of_many_gives_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
