/* SPDX-License-Identifier: MIT */
/*
 * The bytes of objects, operation by operation and error by error: write, read, get, edit, put,
 * repair, sync; who excludes whom, under both policies; deadlines; torn blocks. Not here: names and
 * sizes (object_table_test.c), many at once (multi/object_model_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include "object_util.h"

#include <cmocka.h>

static int con;

static int make_container(void **state)
{
    con = HAVE(mbr_container_create("con", -1));
    return 0;
}

static int leave_container(void **state)
{
    CHECK_INT(mbr_container_leave(con), 0);
    return 0;
}

/* ---- regions ---- */

static const struct {
    size_t offset, size;
} outside[] = {
    {3 * MIB, 1},         {3 * MIB + 1, 0},     {0, 3 * MIB + 1},    {3 * MIB - 1, 2},
    {SIZE_MAX, 1},        {SIZE_MAX, SIZE_MAX}, {1, SIZE_MAX},       {SIZE_MAX - 10, 20},
    {(size_t)1 << 40, 1}, {0, (size_t)1 << 63}, {MIB, (size_t)-MIB},
};

static void regions_outside(void **state)
{
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        int obj = HAVE(mbr_object_create_with(con, "x", 3 * MIB, (enum mbr_write_policy)policy));
        char byte = 0, *p = &byte;

        for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
            size_t at = outside[i].offset, n = outside[i].size;

            CHECK_INT(mbr_object_write(obj, at, &byte, n), -ERANGE);
            CHECK_INT(mbr_object_read(obj, at, &byte, n), -ERANGE);
            CHECK_INT(mbr_object_get(obj, at, n, &p), -ERANGE);
            CHECK_INT(mbr_object_edit(obj, at, n, &p), policy == 0 ? -ERANGE : -EOPNOTSUPP);
            CHECK_INT(mbr_object_repair(obj, at, n), -ERANGE);
            CHECK_INT(mbr_object_awrite(obj, at, &byte, n), -ERANGE);
            CHECK_INT(mbr_object_aread(obj, at, &byte, n), -ERANGE);
        }
        CHECK(p == &byte);
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
}

static void empty_regions(void **state)
{
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        int obj = HAVE(mbr_object_create_with(con, "x", MIB, (enum mbr_write_policy)policy));
        char byte = 0, *p = NULL;
        uint64_t version = object_attr_of(obj).version;

        CHECK_INT(mbr_object_write(obj, 0, &byte, 0), 0);
        CHECK_INT(mbr_object_write(obj, MIB, &byte, 0), 0);
        CHECK_INT(mbr_object_read(obj, MIB, &byte, 0), 0);
        int access = HAVE(mbr_object_get(obj, MIB, 0, &p));

        CHECK_INT(object_put_key(obj, 0, MIB, 1, 0), 0); /* it holds nothing */
        CHECK_INT(mbr_object_put(access), 0);
        CHECK_INT(mbr_object_put(access), -EBADF);
        CHECK(object_attr_of(obj).version > version);
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
}

/* Every kind of edge of a block: what is written is read, and nothing beside it changes. */
static void writes_change_their_region_alone(void **state)
{
    static const size_t edges[] = {0,       1,           MIB - 1,     MIB,    MIB + 1,
                                   2 * MIB, 2 * MIB + 7, 3 * MIB - 1, 3 * MIB};
    const size_t n = sizeof(edges) / sizeof(edges[0]), size = 3 * MIB;
    char *model = calloc(1, size), *bytes = malloc(size);

    CHECK(model != NULL && bytes != NULL);
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        int obj = HAVE(mbr_object_create_with(con, "x", size, (enum mbr_write_policy)policy));
        uint64_t key = 0, version = object_attr_of(obj).version;

        memset(model, 0, size);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = i + 1; j < n; j++) {
                stage_fill(model + edges[i], edges[j] - edges[i], ++key);
                CHECK_INT(mbr_object_write(obj, edges[i], model + edges[i], edges[j] - edges[i]),
                          0);
                CHECK_INT(mbr_object_read(obj, 0, bytes, size), 0);
                CHECK(memcmp(bytes, model, size) == 0);
                CHECK(object_attr_of(obj).version > version);
                version = object_attr_of(obj).version;
            }
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = i + 1; j < n; j++) {
                char *p = NULL;
                int access = HAVE(mbr_object_get(obj, edges[i], edges[j] - edges[i], &p));

                CHECK(memcmp(p, model + edges[i], edges[j] - edges[i]) == 0);
                CHECK_INT(mbr_object_put(access), 0);
            }
        }
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
    free(model);
    free(bytes);
}

/* More blocks than have their locks in the first page. */
static void far_blocks(void **state)
{
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        int obj = HAVE(mbr_object_create_with(con, "x", 40 * MIB, (enum mbr_write_policy)policy));
        char *p;

        for (size_t b = 0; b < 40; b += 3)
            CHECK_INT(object_put_key(obj, b * MIB + 5, 1000, b, 0), 0);
        for (size_t b = 0; b < 40; b += 3)
            CHECK(object_has_key(obj, b * MIB + 5, 1000, b));
        int access = HAVE(mbr_object_get(obj, 10 * MIB + 3, 20 * MIB, &p));

        CHECK(stage_filled(p + 2 * MIB + 2, 1000, 12) && stage_filled(p + 5 * MIB + 2, 1000, 15));
        CHECK_INT(object_put_key(obj, 29 * MIB, 10, 1, 0), policy == 0 ? -ETIMEDOUT : 0);
        CHECK_INT(mbr_object_put(access), 0);
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
}

/* ---- who excludes whom ---- */

static void readers_share_and_exclude_writers(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 4 * MIB));
    char *p = NULL, *q = NULL, byte;
    int a = HAVE(mbr_object_get(obj, MIB - 1, 2, &p)), b = HAVE(mbr_object_get(obj, MIB, 10, &q));

    CHECK(q == p + 1);
    CHECK_INT(mbr_object_read_until(obj, 0, &byte, 1, 0), 0);
    CHECK_INT(object_put_key(obj, 0, 1, 1, 0), -ETIMEDOUT);
    CHECK_INT(object_put_key(obj, MIB, 1, 1, 0), -ETIMEDOUT);
    CHECK_INT(object_put_key(obj, 2 * MIB, MIB, 1, 0), 0);
    CHECK_INT(mbr_object_edit_until(obj, 0, 1, &p, 0), -ETIMEDOUT);
    CHECK_INT(mbr_object_put(a), 0);
    CHECK_INT(object_put_key(obj, 0, MIB, 1, 0), 0);
    CHECK_INT(object_put_key(obj, MIB, 1, 1, 0), -ETIMEDOUT);
    uint64_t begun = object_now(), until = object_in_ms(15);

    CHECK_INT(object_put_key(obj, MIB, 1, 1, until), -ETIMEDOUT);
    CHECK(object_now() >= until && until > begun);
    CHECK_INT(mbr_object_put(b), 0);
    CHECK_INT(object_put_key(obj, 0, 4 * MIB, 1, 0), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void edit_excludes_all(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 3 * MIB));
    char *p = NULL, *q = NULL, byte;
    uint64_t version = object_attr_of(obj).version;
    int a = HAVE(mbr_object_edit(obj, MIB + 5, 10, &p));

    CHECK_INT(mbr_object_get_until(obj, MIB, 1, &q, 0), -ETIMEDOUT);
    CHECK_INT(mbr_object_edit_until(obj, 2 * MIB - 1, 1, &q, 0), -ETIMEDOUT);
    CHECK_INT(mbr_object_read_until(obj, 0, &byte, 1, 0), 0);
    CHECK_INT(mbr_object_read_until(obj, MIB, &byte, 1, 0), -ETIMEDOUT);
    CHECK_INT(object_put_key(obj, 0, 3 * MIB, 1, 0), -ETIMEDOUT);
    CHECK(q == NULL);
    stage_fill(p, 10, 77);
    CHECK_INT(mbr_object_put(a), 0);
    CHECK(object_attr_of(obj).version > version);
    CHECK(object_has_key(obj, MIB + 5, 10, 77));
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void versioned_readers_keep_what_they_have(void **state)
{
    int obj = HAVE(mbr_object_create_with(con, "x", 2 * MIB, MBR_WRITE_VERSIONED));
    char *p[6], *q;
    int access[6];

    for (unsigned int i = 0; i < 6; i++) {
        CHECK_INT(object_put_key(obj, MIB / 2, MIB, 100 + i, 0), 0);
        access[i] = HAVE(mbr_object_get_until(obj, MIB / 2, MIB, &p[i], 0));
        CHECK(object_has_key(obj, MIB / 2, MIB, 100 + i));
        CHECK_INT(object_put_key(obj, 0, 2 * MIB, 200 + i, object_in_ms(10000)), 0);
    }
    for (unsigned int i = 0; i < 6; i++)
        CHECK(stage_filled(p[i], MIB, 100 + i));
    for (unsigned int i = 0; i < 6; i++)
        CHECK_INT(mbr_object_put(access[i]), 0);
    CHECK(object_has_key(obj, 0, 2 * MIB, 205));
    CHECK_INT(mbr_object_edit(obj, 0, 1, &q), -EOPNOTSUPP);
    CHECK(object_attr_of(obj).allocated <= 4 * MIB + 131072);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

/* "A versioned object's readers keep it instead." */
static void versioned_readers_outlast_a_resize(void **state)
{
    int obj = HAVE(mbr_object_create_with(con, "x", 3 * MIB, MBR_WRITE_VERSIONED));
    char *p;

    CHECK_INT(object_put_key(obj, 2 * MIB, MIB, 5, 0), 0);
    int access = HAVE(mbr_object_get_until(obj, 2 * MIB, MIB, &p, 0));

    CHECK_INT(mbr_object_resize_until(obj, 10, object_in_ms(10000)), 0);
    CHECK(stage_filled(p, MIB, 5));
    CHECK_INT(mbr_object_resize_until(obj, 3 * MIB, object_in_ms(10000)), 0);
    CHECK_INT(object_put_key(obj, 0, 3 * MIB, 6, object_in_ms(10000)), 0);
    CHECK(stage_filled(p, MIB, 5));
    CHECK_INT(mbr_object_put(access), 0);
    CHECK(object_has_key(obj, 0, 3 * MIB, 6));
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void too_many_accesses(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", MIB)), n = 0, rc;
    static int access[MBR_ACCESS_MAX + 1];
    char *p, byte;

    while (n <= MBR_ACCESS_MAX && (rc = mbr_object_get(obj, 0, 1, &p)) >= 0)
        access[n++] = rc;
    CHECK_INT(rc, -EMFILE);
    CHECK(n <= MBR_ACCESS_MAX && n >= MBR_ACCESS_MAX - 64);
    CHECK_INT(mbr_object_read(obj, 0, &byte, 1), 0); /* calls do not need one of those */
    while (n > 0)
        CHECK_INT(mbr_object_put(access[--n]), 0);
    CHECK_INT(object_put_key(obj, 0, MIB, 1, 0), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void accesses_end_with_their_number(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", MIB)), again = HAVE(mbr_object_join(con, "x"));
    char *p;
    int access = HAVE(mbr_object_get(again, 0, 1, &p));

    CHECK_INT(object_put_key(obj, 0, 1, 1, 0), -ETIMEDOUT);
    CHECK_INT(mbr_object_leave(again), 0);
    CHECK_INT(mbr_object_put(access), -EBADF);
    CHECK_INT(object_put_key(obj, 0, 1, 1, 0), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

/* ---- other processes ---- */

/* Holds a region of "x" (offset, size, 1 to edit), until it hears something. */
static void hold_region(struct stage_actor *parent, void *arg)
{
    int o = HAVE(mbr_object_join(HAVE(mbr_container_join("con")), "x"));
    size_t at = stage_hear(parent), n = stage_hear(parent);
    bool edit = stage_hear(parent) != 0;
    char *p;
    int access = HAVE(edit ? mbr_object_edit(o, at, n, &p) : mbr_object_get(o, at, n, &p));

    if (edit)
        memset(p, 0xee, n);
    stage_say(parent, 0);
    (void)stage_hear(parent);
    CHECK_INT(mbr_object_put(access), 0);
    stage_say(parent, 0);
    (void)stage_hear(parent);
}

static void spawn_holder(struct stage_actor *actor, size_t at, size_t n, bool edit)
{
    stage_spawn(actor, hold_region, NULL);
    stage_say(actor, at);
    stage_say(actor, n);
    stage_say(actor, edit);
    (void)stage_hear(actor);
}

static void write_role(struct stage_actor *parent, void *arg)
{
    int o = HAVE(mbr_object_join(HAVE(mbr_container_join("con")), "x"));

    stage_say(parent, 0);
    CHECK_INT(object_put_key(o, 0, 2 * MIB, 42, MBR_FOREVER), 0);
}

static void read_role(struct stage_actor *parent, void *arg)
{
    int o = HAVE(mbr_object_join(HAVE(mbr_container_join("con")), "x"));

    stage_say(parent, 0);
    CHECK(object_has_key(o, MIB, 10, 7));
}

static void writer_is_woken_by_the_last_reader(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 2 * MIB));
    struct stage_actor writer;
    char *p, *q;
    int a = HAVE(mbr_object_get(obj, 0, 1, &p)), b = HAVE(mbr_object_get(obj, MIB, 1, &q));

    stage_spawn(&writer, write_role, NULL);
    (void)stage_hear(&writer);
    object_await_asleep(writer.pid);
    CHECK_INT(mbr_object_put(b), 0);
    object_await_asleep(writer.pid);
    CHECK_INT(*p, 0);
    CHECK_INT(mbr_object_put(a), 0);
    stage_join_ok(&writer);
    CHECK(object_has_key(obj, 0, 2 * MIB, 42));
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void reader_is_woken_by_the_writer(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 2 * MIB));
    struct stage_actor reader;
    char *p;
    int a = HAVE(mbr_object_edit(obj, MIB, 10, &p));

    stage_spawn(&reader, read_role, NULL);
    (void)stage_hear(&reader);
    object_await_asleep(reader.pid);
    stage_fill(p, 10, 7);
    CHECK_INT(mbr_object_put(a), 0);
    stage_join_ok(&reader);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void dead_reader_frees_the_writer(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 2 * MIB));
    struct stage_actor holder;

    spawn_holder(&holder, 0, MIB, false);
    CHECK_INT(object_put_key(obj, 0, 1, 1, 0), -ETIMEDOUT);
    stage_kill(&holder);
    CHECK_INT(object_put_key(obj, 0, 1, 1, object_in_ms(10000)), 0);
    CHECK_INT(object_attr_of(obj).torn, 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

/* ---- torn ---- */

/* Leaves blocks 1 and 2 of "x" torn, which has 4. */
static int make_torn(void)
{
    int obj = HAVE(mbr_object_create(con, "x", 4 * MIB));
    struct stage_actor holder;

    spawn_holder(&holder, MIB + 100, MIB, true);
    stage_kill(&holder);
    return obj;
}

static void torn_is_told_once_for_each_block(void **state)
{
    int obj = make_torn();
    char byte, *p = NULL;

    CHECK_INT(mbr_object_read_until(obj, 0, &byte, 1, 0), 0);
    CHECK_INT(mbr_object_read(obj, MIB, &byte, 1), -EOWNERDEAD);
    CHECK_INT(mbr_object_read(obj, MIB, &byte, 1), -ENOTRECOVERABLE);
    CHECK_INT(object_attr_of(obj).torn, 2);
    CHECK_INT(mbr_object_get(obj, 2 * MIB, 5, &p), -EOWNERDEAD);
    CHECK_INT(mbr_object_get(obj, 2 * MIB, 5, &p), -ENOTRECOVERABLE);
    CHECK_INT(mbr_object_edit(obj, 2 * MIB, 5, &p), -ENOTRECOVERABLE);
    CHECK_INT(object_put_key(obj, MIB, 5, 1, 0), -ENOTRECOVERABLE);
    CHECK_INT(object_put_key(obj, 0, MIB, 1, 0), 0);
    CHECK(p == NULL);
    CHECK_INT(mbr_object_repair(obj, MIB, 1), 0);
    CHECK_INT(object_attr_of(obj).torn, 1);
    CHECK_INT(mbr_object_read(obj, MIB, &byte, 1), 0);
    CHECK_INT(mbr_object_read(obj, MIB + 100, &byte, 1), 0);
    CHECK_INT((unsigned char)byte, 0xee);
    CHECK_INT(mbr_object_repair(obj, 0, 4 * MIB), 0);
    CHECK_INT(object_attr_of(obj).torn, 0);
    CHECK_INT(object_put_key(obj, 0, 4 * MIB, 1, 0), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void whole_blocks_need_no_repair(void **state)
{
    int obj = make_torn();

    CHECK_INT(object_put_key(obj, MIB, 2 * MIB, 5, object_in_ms(10000)), 0);
    CHECK_INT(object_attr_of(obj).torn, 0);
    CHECK(object_has_key(obj, MIB, 2 * MIB, 5));
    CHECK_INT(mbr_object_destroy(obj), 0);
}

/* A region of blocks of which one is torn: what is told changes nothing. */
static void torn_in_the_middle_changes_nothing(void **state)
{
    int obj = make_torn();

    CHECK_INT(object_put_key(obj, MIB / 2, 3 * MIB / 4, 5, object_in_ms(10000)), -EOWNERDEAD);
    char byte = 1;

    CHECK_INT(mbr_object_read(obj, MIB / 2, &byte, 1), 0);
    CHECK_INT(byte, 0);
    CHECK_INT(mbr_object_repair(obj, 0, 4 * MIB), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void resize_takes_torn_away(void **state)
{
    int obj = make_torn();
    char byte = 1;

    CHECK_INT(mbr_object_resize(obj, MIB), 0);
    CHECK_INT(object_attr_of(obj).torn, 0);
    CHECK_INT(mbr_object_resize(obj, 4 * MIB), 0);
    CHECK_INT(mbr_object_read(obj, 2 * MIB, &byte, 1), 0);
    CHECK_INT(byte, 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void volatile_objects_cannot_be_synced(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 10));

    CHECK_INT(mbr_object_sync(obj), -EOPNOTSUPP);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static int run(int argc, char **argv)
{
#define IN_CONTAINER(f) cmocka_unit_test_setup_teardown(f, make_container, leave_container)
    const struct CMUnitTest tests[] = {
        IN_CONTAINER(regions_outside),
        IN_CONTAINER(empty_regions),
        IN_CONTAINER(writes_change_their_region_alone),
        IN_CONTAINER(far_blocks),
        IN_CONTAINER(readers_share_and_exclude_writers),
        IN_CONTAINER(edit_excludes_all),
        IN_CONTAINER(versioned_readers_keep_what_they_have),
        IN_CONTAINER(versioned_readers_outlast_a_resize),
        IN_CONTAINER(too_many_accesses),
        IN_CONTAINER(accesses_end_with_their_number),
        IN_CONTAINER(writer_is_woken_by_the_last_reader),
        IN_CONTAINER(reader_is_woken_by_the_writer),
        IN_CONTAINER(dead_reader_frees_the_writer),
        IN_CONTAINER(torn_is_told_once_for_each_block),
        IN_CONTAINER(whole_blocks_need_no_repair),
        IN_CONTAINER(torn_in_the_middle_changes_nothing),
        IN_CONTAINER(resize_takes_torn_away),
        IN_CONTAINER(volatile_objects_cannot_be_synced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
