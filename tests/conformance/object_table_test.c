/* SPDX-License-Identifier: MIT */
/*
 * Containers and objects by name, operation by operation and error by error: create, join, leave,
 * destroy, list, unlink, rename, resize, attributes. Not here: their bytes (object_bytes_test.c),
 * asynchronous operations (object_async_test.c).
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

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
    CHECK_INT(mbr_container_join("con"), -ENOENT);
    return 0;
}

/* ---- names ---- */

static char long_name[MBR_OBJECT_NAME_MAX + 2];

static const struct {
    const char *name;
    int error;
} bad_names[] = {
    {NULL, -EINVAL},
    {"", -EINVAL},
    {"/", -EINVAL},
    {"a/b", -EINVAL},
    {"a/", -EINVAL},
    {"\xff\xfe", -EINVAL},
    {"\xc3", -EINVAL},
    {"\xed\xa0\x80", -EINVAL},
    {long_name, -ENAMETOOLONG},
};

static void bad_names_are_refused(void **state)
{
    int obj = HAVE(mbr_object_create(con, "good", 1));

    memset(long_name, 'x', sizeof(long_name) - 1);
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        const char *name = bad_names[i].name;

        CHECK_INT(mbr_container_create(name, -1), bad_names[i].error);
        CHECK_INT(mbr_container_join(name), bad_names[i].error);
        CHECK_INT(mbr_object_create(con, name, 1), bad_names[i].error);
        CHECK_INT(mbr_object_join(con, name), bad_names[i].error);
        CHECK_INT(mbr_object_unlink(con, name), bad_names[i].error);
        CHECK_INT(mbr_object_rename(obj, name), bad_names[i].error);
    }
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void odd_names_are_fine(void **state)
{
    static const char *const names[] = {".",        "..",       " ",    "a b",
                                        "\xc3\xa4", "NAME.c.1", "\x01", "%s"};

    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[MBR_OBJECT_NAME_MAX] = '\0';
    for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
        const char *name = i < sizeof(names) / sizeof(names[0]) ? names[i] : long_name;
        int obj = HAVE(mbr_object_create(con, name, 10));

        CHECK(strcmp(object_attr_of(obj).name, name) == 0);
        int other = HAVE(mbr_container_create(name, -1));

        CHECK_INT(mbr_container_create(name, -1), -EEXIST);
        CHECK_INT(mbr_container_leave(other), 0);
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
    long_name[MBR_OBJECT_NAME_MAX] = 'x';
}

/* ---- numbers ---- */

static void numbers_are_the_lowest_free(void **state)
{
    int a = HAVE(mbr_container_join("con")), b = HAVE(mbr_container_join("con"));

    CHECK_INT(con, 0);
    CHECK_INT(a, 1);
    CHECK_INT(b, 2);
    CHECK_INT(mbr_container_leave(a), 0);
    CHECK_INT(mbr_container_leave(a), -EBADF);
    CHECK_INT(HAVE(mbr_container_join("con")), a);
    CHECK_INT(mbr_container_leave(a), 0);
    CHECK_INT(mbr_container_leave(b), 0);

    int x = HAVE(mbr_object_create(con, "x", 1)), y = HAVE(mbr_object_join(con, "x"));

    CHECK_INT(x, 0);
    CHECK_INT(y, 1);
    CHECK_INT(mbr_object_leave(x), 0);
    CHECK_INT(mbr_object_leave(x), -EBADF);
    CHECK_INT(HAVE(mbr_object_join(con, "x")), x);
    CHECK_INT(mbr_object_leave(x), 0);
    CHECK_INT(mbr_object_destroy(y), 0);
    CHECK_INT(mbr_object_destroy(y), -EBADF);
}

static void numbers_never_given(void **state)
{
    static const int numbers[] = {-1, INT32_MIN, 7, 4096, 1 << 20, INT32_MAX};
    struct mbr_container_attr c;
    struct mbr_object_attr o;
    char name[MBR_OBJECT_NAME_MAX + 1], byte = 0, *p = &byte;
    uint64_t cursor = 0, bytes;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int n = numbers[i];

        CHECK_INT(mbr_container_leave(n), -EBADF);
        CHECK_INT(mbr_container_destroy_until(n, 0), -EBADF);
        CHECK_INT(mbr_container_getattr(n, &c), -EBADF);
        CHECK_INT(mbr_container_list(n, &cursor, name), -EBADF);
        CHECK_INT(mbr_object_create(n, "x", 1), -EBADF);
        CHECK_INT(mbr_object_create_with(n, "x", 1, MBR_WRITE_VERSIONED), -EBADF);
        CHECK_INT(mbr_object_join(n, "x"), -EBADF);
        CHECK_INT(mbr_object_unlink(n, "x"), -EBADF);
        CHECK_INT(mbr_object_leave(n), -EBADF);
        CHECK_INT(mbr_object_destroy_until(n, 0), -EBADF);
        CHECK_INT(mbr_object_getattr(n, &o), -EBADF);
        CHECK_INT(mbr_object_rename(n, "x"), -EBADF);
        CHECK_INT(mbr_object_resize_until(n, 1, 0), -EBADF);
        CHECK_INT(mbr_object_write_until(n, 0, &byte, 1, 0), -EBADF);
        CHECK_INT(mbr_object_read_until(n, 0, &byte, 1, 0), -EBADF);
        CHECK_INT(mbr_object_get_until(n, 0, 1, &p, 0), -EBADF);
        CHECK_INT(mbr_object_edit_until(n, 0, 1, &p, 0), -EBADF);
        CHECK_INT(mbr_object_put(n), -EBADF);
        CHECK_INT(mbr_object_repair(n, 0, 1), -EBADF);
        CHECK_INT(mbr_object_sync(n), -EBADF);
        CHECK_INT(mbr_object_awrite(n, 0, &byte, 1), -EBADF);
        CHECK_INT(mbr_object_aread(n, 0, &byte, 1), -EBADF);
        CHECK_INT(mbr_object_opstatus(n), -EBADF);
        CHECK_INT(mbr_object_opcancel(n), -EBADF);
        CHECK_INT(mbr_object_opdone(n, &bytes), -EBADF);
        CHECK_INT(mbr_object_opwait(n, 0), -EBADF);
        CHECK_INT(mbr_object_return(n), -EBADF);
    }
    CHECK(p == &byte && cursor == 0);
}

static void null_pointers_are_refused(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 10));
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;

    CHECK_INT(mbr_container_getattr(con, NULL), -EINVAL);
    CHECK_INT(mbr_container_list(con, NULL, name), -EINVAL);
    CHECK_INT(mbr_container_list(con, &cursor, NULL), -EINVAL);
    CHECK_INT(mbr_object_getattr(obj, NULL), -EINVAL);
    CHECK_INT(mbr_object_write(obj, 0, NULL, 1), -EINVAL);
    CHECK_INT(mbr_object_read(obj, 0, NULL, 1), -EINVAL);
    CHECK_INT(mbr_object_get(obj, 0, 1, NULL), -EINVAL);
    CHECK_INT(mbr_object_edit(obj, 0, 1, NULL), -EINVAL);
    CHECK_INT(mbr_object_awrite(obj, 0, NULL, 1), -EINVAL);
    CHECK_INT(mbr_object_aread(obj, 0, NULL, 1), -EINVAL);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void leaving_a_container_gives_all_back(void **state)
{
    int again = HAVE(mbr_container_join("con"));
    int mine = HAVE(mbr_object_create(again, "mine", 100));
    int kept = HAVE(mbr_object_join(con, "mine"));
    char *p = NULL;
    int access = HAVE(mbr_object_get(mine, 0, 100, &p));

    CHECK_INT(mbr_container_leave(again), 0);
    CHECK_INT(mbr_object_put(access), -EBADF);
    CHECK_INT(mbr_object_leave(mine), -EBADF);
    CHECK_INT(object_put_key(kept, 0, 100, 1, 0), 0);
    CHECK_INT(mbr_object_destroy_until(kept, 0), 0);
}

/* ---- containers ---- */

static void container_attributes(void **state)
{
    struct mbr_container_attr attr;
    int again, obj;

    CHECK_INT(mbr_container_getattr(con, &attr), 0);
    CHECK_INT(attr.objects, 0);
    CHECK_INT(attr.members, 1);
    CHECK_INT(attr.policy, MBR_WRITE_IN_PLACE);
    CHECK_INT(attr.flags, 0);
    CHECK_INT(attr.uid, geteuid());
    CHECK_INT(attr.group, -1);
    CHECK(strcmp(attr.name, "con") == 0);
    uint64_t before = attr.bytes;

    obj = HAVE(mbr_object_create(con, "x", 3 * MIB));
    again = HAVE(mbr_container_join("con"));
    CHECK_INT(mbr_container_getattr(again, &attr), 0);
    CHECK_INT(attr.objects, 1);
    CHECK_INT(attr.members, 1);
    CHECK(attr.bytes >= before + 3 * MIB && attr.bytes < before + 4 * MIB);
    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_container_getattr(again, &attr), 0);
    CHECK_INT(attr.objects, 0);
    CHECK(attr.bytes < before + MIB);
    CHECK_INT(mbr_container_leave(again), 0);
}

static void container_exists_already(void **state)
{
    CHECK_INT(mbr_container_create("con", -1), -EEXIST);
    CHECK_INT(mbr_container_create_with("con", -1, NULL), -EEXIST);
    CHECK_INT(mbr_container_join("other"), -ENOENT);
    CHECK_INT(mbr_container_destroy(con), 0);
    con = HAVE(mbr_container_create("con", -1));
}

static void container_options(void **state)
{
    struct mbr_container_options o = {.size = sizeof(o), .policy = MBR_WRITE_VERSIONED};
    struct mbr_container_attr attr;
    int c = HAVE(mbr_container_create_with("versioned", -1, &o)), obj;

    CHECK_INT(mbr_container_getattr(c, &attr), 0);
    CHECK_INT(attr.policy, MBR_WRITE_VERSIONED);
    obj = HAVE(mbr_object_create(c, "x", 1));
    CHECK_INT(object_attr_of(obj).policy, MBR_WRITE_VERSIONED);
    obj = HAVE(mbr_object_create_with(c, "y", 1, MBR_WRITE_IN_PLACE));
    CHECK_INT(object_attr_of(obj).policy, MBR_WRITE_IN_PLACE);
    CHECK_INT(mbr_object_create_with(c, "z", 1, (enum mbr_write_policy)2), -EINVAL);
    CHECK_INT(mbr_container_leave(c), 0);
    o.policy = 2;
    CHECK_INT(mbr_container_create_with("bad", -1, &o), -EINVAL);
    o = (struct mbr_container_options){.size = sizeof(o), .flags = 1u << 20};
    CHECK_INT(mbr_container_create_with("bad", -1, &o), -EINVAL);
    o = (struct mbr_container_options){.size = sizeof(o), .reserved = 1};
    CHECK_INT(mbr_container_create_with("bad", -1, &o), -EINVAL);
    o = (struct mbr_container_options){.size = 1};
    CHECK_INT(mbr_container_create_with("bad", -1, &o), -EINVAL);
    o = (struct mbr_container_options){.size = sizeof(o), .directory = "/no/such/directory"};
    CHECK_INT(mbr_container_create_with("bad", -1, &o), -ENOENT);
    CHECK_INT(mbr_container_join("bad"), -ENOENT);
    CHECK_INT(mbr_container_create("bad", -2), -EINVAL);
}

static void persistent_container(void **state)
{
    struct mbr_container_options o = {.size = sizeof(o)};
    char path[300], other[320];
    struct mbr_container_attr attr;

    (void)snprintf(path, sizeof(path), "%s/disk", stage_dir());
    CHECK_INT(mkdir(path, 0700), 0);
    o.directory = path;
    int c = HAVE(mbr_container_create_with("kept", -1, &o));
    int obj = HAVE(mbr_object_create(c, "x", MIB + 5));

    CHECK_INT(mbr_container_create_with("again", -1, &o), -EEXIST);
    CHECK_INT(object_put_key(obj, 0, MIB + 5, 3, 0), 0);
    CHECK_INT(mbr_object_sync(obj), 0);
    CHECK_INT(mbr_container_getattr(c, &attr), 0);
    CHECK_INT(attr.flags, MBR_CONTAINER_PERSISTENT);
    CHECK_INT(mbr_container_leave(c), 0);
    CHECK_INT(mbr_container_join("kept"), -ENOENT);
    c = HAVE(mbr_container_create_with("kept", -1, &o)); /* under any name */
    obj = HAVE(mbr_object_join(c, "x"));
    CHECK(object_has_key(obj, 0, MIB + 5, 3));
    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_container_destroy(c), 0);
    CHECK_INT(stage_count_entries(path), 0);
    (void)snprintf(other, sizeof(other), "%s/file", path);
    CHECK_INT(close(HAVE(open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600))), 0);
    CHECK_INT(mbr_container_create_with("kept", -1, &o), -ENOTEMPTY);
}

/* An actor that is in the container until it is told to leave. */
static void be_member(struct stage_actor *parent, void *arg)
{
    int c = HAVE(mbr_container_join("con"));
    int o = arg != NULL ? HAVE(mbr_object_join(c, arg)) : -1;

    stage_say(parent, object_members(c));
    uint64_t how = stage_hear(parent);

    if (how == 1 && o >= 0)
        CHECK_INT(mbr_object_leave(o), 0);
    if (how == 1)
        CHECK_INT(mbr_container_leave(c), 0);
    stage_say(parent, 0);
    (void)stage_hear(parent);
}

static void container_destroy_waits_for_members(void **state)
{
    struct stage_actor member;

    stage_spawn(&member, be_member, NULL);
    CHECK_INT(stage_hear(&member), 2);
    CHECK_INT(object_members(con), 2);
    CHECK_INT(mbr_container_destroy_until(con, 0), -ETIMEDOUT);
    CHECK_INT(mbr_container_destroy_until(con, object_in_ms(20)), -ETIMEDOUT);
    /* "At -ETIMEDOUT it can be joined again." */
    CHECK_INT(mbr_container_leave(HAVE(mbr_container_join("con"))), 0);
    stage_say(&member, 1);
    CHECK_INT(mbr_container_destroy(con), 0);
    CHECK_INT(mbr_container_join("con"), -ENOENT);
    con = HAVE(mbr_container_create("con", -1));
    (void)stage_hear(&member);
    stage_say(&member, 0);
    stage_join_ok(&member);
}

static void container_destroy_waits_for_own_numbers(void **state)
{
    int again = HAVE(mbr_container_join("con"));

    CHECK_INT(mbr_container_destroy_until(con, 0), -ETIMEDOUT);
    CHECK_INT(mbr_container_leave(again), 0);
    CHECK_INT(mbr_container_destroy_until(con, 0), 0);
    con = HAVE(mbr_container_create("con", -1));
}

static void container_destroy_outlasts_the_dead(void **state)
{
    struct stage_actor member;

    stage_spawn(&member, be_member, NULL);
    (void)stage_hear(&member);
    stage_kill(&member);
    CHECK_INT(mbr_container_destroy_until(con, object_in_ms(10000)), 0);
    con = HAVE(mbr_container_create("con", -1));
}

static void destroy_container_role(struct stage_actor *parent, void *arg)
{
    int c = HAVE(mbr_container_join("con"));

    stage_say(parent, 0);
    CHECK_INT(mbr_container_destroy(c), 0);
}

static void container_that_is_being_destroyed(void **state)
{
    struct stage_actor killer;

    stage_spawn(&killer, destroy_container_role, NULL);
    (void)stage_hear(&killer);
    object_await_asleep(killer.pid);
    CHECK_INT(mbr_container_join("con"), -ENOENT);
    CHECK_INT(mbr_container_create("con", -1), -EEXIST);
    CHECK_INT(mbr_container_destroy_until(con, 0), -EALREADY);
    CHECK_INT(mbr_container_leave(con), 0);
    stage_join_ok(&killer);
    con = HAVE(mbr_container_create("con", -1));
}

static void container_outlives_its_creator(void **state)
{
    struct stage_actor member;
    int obj = HAVE(mbr_object_create(con, "x", 100));

    CHECK_INT(object_put_key(obj, 0, 100, 3, 0), 0);
    stage_spawn(&member, be_member, NULL);
    (void)stage_hear(&member);
    CHECK_INT(mbr_container_leave(con), 0);
    con = HAVE(mbr_container_join("con"));
    obj = HAVE(mbr_object_join(con, "x"));
    CHECK(object_has_key(obj, 0, 100, 3));
    stage_kill(&member);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

/* ---- objects ---- */

static void object_sizes(void **state)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 13 * MIB + 5};
    char byte;

    CHECK_INT(mbr_object_create(con, "x", 0), -EINVAL);
    CHECK_INT(mbr_object_create(con, "x", (size_t)MBR_OBJECT_SIZE_MAX + 1), -EFBIG);
    CHECK_INT(mbr_object_create(con, "x", SIZE_MAX), -EFBIG);
    CHECK_INT(
        mbr_object_create_with(con, "x", (size_t)MBR_OBJECT_SIZE_MAX / 2 + 1, MBR_WRITE_VERSIONED),
        -EFBIG);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int obj = HAVE(mbr_object_create(con, "x", sizes[i]));
        struct mbr_object_attr attr = object_attr_of(obj);

        CHECK_INT(attr.size, sizes[i]);
        CHECK(attr.allocated >= sizes[i] && attr.allocated < sizes[i] + MIB + 65536);
        CHECK_INT(attr.users, 1);
        CHECK_INT(attr.torn, 0);
        CHECK_INT(mbr_object_read(obj, sizes[i] - 1, &byte, 1), 0);
        CHECK_INT(byte, 0);
        CHECK_INT(mbr_object_read(obj, sizes[i], &byte, 1), -ERANGE);
        CHECK_INT(mbr_object_read(obj, sizes[i], &byte, 0), 0);
        CHECK_INT(mbr_object_read(obj, sizes[i] + 1, &byte, 0), -ERANGE);
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
}

static void object_larger_than_the_file_limit(void **state)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
        int rc;

        (void)setrlimit(RLIMIT_FSIZE, &limit);
        rc = mbr_container_create("limited", -1);
        if (rc >= 0)
            rc = mbr_object_create(rc, "x", 64 * MIB);
        _exit(rc == -EFBIG ? 0 : 1);
    }
    int status = 0;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0); /* in particular no SIGXFSZ */
}

static void object_exists_already(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 5));

    CHECK_INT(mbr_object_create(con, "x", 5), -EEXIST);
    CHECK_INT(mbr_object_create_with(con, "x", 5, MBR_WRITE_VERSIONED), -EEXIST);
    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
    obj = HAVE(mbr_object_create(con, "x", 7));
    CHECK_INT(object_attr_of(obj).size, 7);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

/* What was written into an object that is gone is not seen in the next one. */
static void new_objects_are_zero(void **state)
{
    static const char zero[4096];
    char *all = malloc(2 * MIB);

    CHECK(all != NULL);
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        for (int i = 0; i < 3; i++) {
            int obj =
                HAVE(mbr_object_create_with(con, "x", 2 * MIB, (enum mbr_write_policy)policy));

            CHECK_INT(mbr_object_read(obj, 0, all, 2 * MIB), 0);
            for (size_t at = 0; at < 2 * MIB; at += sizeof(zero))
                CHECK(memcmp(all + at, zero, sizeof(zero)) == 0);
            CHECK_INT(object_put_key(obj, 0, 2 * MIB, 9, 0), 0);
            CHECK_INT(mbr_object_destroy(obj), 0);
        }
    }
    free(all);
}

static void objects_stay_when_left(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 100));

    CHECK_INT(object_put_key(obj, 0, 100, 5, 0), 0);
    CHECK_INT(mbr_object_leave(obj), 0);
    obj = HAVE(mbr_object_join(con, "x"));
    CHECK(object_has_key(obj, 0, 100, 5));
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void object_destroy_waits_for_users(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 100));
    struct stage_actor member;

    stage_spawn(&member, be_member, "x");
    (void)stage_hear(&member);
    CHECK_INT(object_attr_of(obj).users, 2);
    CHECK_INT(mbr_object_destroy_until(obj, 0), -ETIMEDOUT);
    CHECK_INT(mbr_object_destroy_until(obj, object_in_ms(20)), -ETIMEDOUT);
    CHECK_INT(mbr_object_leave(HAVE(mbr_object_join(con, "x"))), 0);
    stage_say(&member, 1);
    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
    (void)stage_hear(&member);
    stage_say(&member, 0);
    stage_join_ok(&member);
}

static void object_destroy_outlasts_the_dead(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 100));
    struct stage_actor member;

    stage_spawn(&member, be_member, "x");
    (void)stage_hear(&member);
    stage_kill(&member);
    CHECK_INT(mbr_object_destroy_until(obj, object_in_ms(10000)), 0);
}

static void destroy_object_role(struct stage_actor *parent, void *arg)
{
    int o = HAVE(mbr_object_join(HAVE(mbr_container_join("con")), "x"));

    stage_say(parent, 0);
    CHECK_INT(mbr_object_destroy(o), 0);
}

static void object_that_is_being_destroyed(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 100));
    struct stage_actor killer;

    stage_spawn(&killer, destroy_object_role, NULL);
    (void)stage_hear(&killer);
    object_await_asleep(killer.pid);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
    CHECK_INT(mbr_object_create(con, "x", 1), -EEXIST);
    CHECK_INT(mbr_object_destroy_until(obj, 0), -EALREADY);
    CHECK_INT(object_put_key(obj, 0, 100, 5, 0), 0);
    CHECK_INT(mbr_object_leave(obj), 0);
    stage_join_ok(&killer);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
}

static void unlink_keeps_the_bytes_for_users(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 2 * MIB)), other;
    struct mbr_container_attr attr;

    CHECK_INT(object_put_key(obj, 0, 100, 5, 0), 0);
    CHECK_INT(mbr_object_unlink(con, "x"), 0);
    CHECK_INT(mbr_object_unlink(con, "x"), -ENOENT);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
    CHECK(object_has_key(obj, 0, 100, 5));
    other = HAVE(mbr_object_create(con, "x", 50));
    CHECK_INT(object_put_key(other, 0, 50, 6, 0), 0);
    CHECK(object_has_key(obj, 0, 100, 5));
    CHECK_INT(mbr_container_getattr(con, &attr), 0);
    uint64_t before = attr.bytes;

    CHECK_INT(mbr_object_leave(obj), 0);
    CHECK_INT(mbr_container_getattr(con, &attr), 0);
    CHECK(attr.bytes + 2 * MIB <= before);
    CHECK_INT(mbr_object_destroy(other), 0);
    /* Nobody has joined it: it goes at once. */
    CHECK_INT(mbr_object_leave(HAVE(mbr_object_create(con, "y", MIB))), 0);
    CHECK_INT(mbr_object_unlink(con, "y"), 0);
    CHECK_INT(mbr_container_getattr(con, &attr), 0);
    CHECK_INT(attr.objects, 0);
}

static void rename_moves_the_name(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 100)), other = HAVE(mbr_object_create(con, "y", 1));

    CHECK_INT(object_put_key(obj, 0, 100, 5, 0), 0);
    CHECK_INT(mbr_object_rename(obj, "y"), -EEXIST);
    CHECK_INT(mbr_object_rename(obj, "z"), 0);
    CHECK(strcmp(object_attr_of(obj).name, "z") == 0);
    CHECK_INT(mbr_object_join(con, "x"), -ENOENT);
    int again = HAVE(mbr_object_join(con, "z"));

    CHECK(object_has_key(again, 0, 100, 5));
    CHECK_INT(mbr_object_leave(again), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
    CHECK_INT(mbr_object_destroy(other), 0);
}

static void resize_keeps_what_stays(void **state)
{
    for (uint32_t policy = 0; policy < OBJECT_POLICIES; policy++) {
        int obj = HAVE(mbr_object_create_with(con, "x", MIB / 2, (enum mbr_write_policy)policy));
        static const char zero[100];
        char end[100];

        CHECK_INT(object_put_key(obj, 0, MIB / 2, 5, 0), 0);
        CHECK_INT(mbr_object_resize(obj, 0), -EINVAL);
        CHECK_INT(mbr_object_resize(obj, (size_t)MBR_OBJECT_SIZE_MAX + 1), -EFBIG);
        CHECK_INT(mbr_object_resize(obj, 14 * MIB + 100), 0);
        CHECK_INT(object_attr_of(obj).size, 14 * MIB + 100);
        CHECK(object_has_key(obj, 0, MIB / 2, 5));
        CHECK_INT(mbr_object_read(obj, 14 * MIB, end, 100), 0);
        CHECK(memcmp(end, zero, 100) == 0);
        CHECK_INT(mbr_object_read(obj, MIB / 2, end, 100), 0);
        CHECK(memcmp(end, zero, 100) == 0);
        CHECK_INT(object_put_key(obj, 14 * MIB, 100, 6, 0), 0);
        CHECK_INT(mbr_object_resize(obj, 1000), 0);
        CHECK(object_has_key(obj, 0, 1000, 5));
        CHECK_INT(mbr_object_read(obj, 901, end, 100), -ERANGE);
        CHECK(object_attr_of(obj).allocated <= 2 * MIB + 65536);
        /* What was cut off does not come back. */
        CHECK_INT(mbr_object_resize(obj, 2000), 0);
        CHECK_INT(mbr_object_read(obj, 1000, end, 100), 0);
        CHECK(memcmp(end, zero, 100) == 0);
        CHECK_INT(mbr_object_destroy(obj), 0);
    }
}

static void resize_waits_for_what_goes(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 3 * MIB));
    char *p;
    int access = HAVE(mbr_object_get(obj, 2 * MIB, 10, &p));

    CHECK_INT(mbr_object_resize_until(obj, MIB, 0), -ETIMEDOUT);
    CHECK_INT(object_attr_of(obj).size, 3 * MIB);
    CHECK_INT(mbr_object_resize_until(obj, 8 * MIB, 0), 0);
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(mbr_object_resize_until(obj, MIB, 0), 0);
    access = HAVE(mbr_object_get(obj, 0, 10, &p));
    CHECK_INT(mbr_object_resize_until(obj, 3 * MIB, 0), 0);
    p[0] = 'a';
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void another_process_sees_the_new_size(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 10));
    int again = HAVE(mbr_object_join(con, "x"));

    CHECK_INT(mbr_object_resize(obj, 5 * MIB), 0);
    CHECK_INT(object_put_key(again, 4 * MIB, MIB, 8, 0), 0);
    CHECK(object_has_key(obj, 4 * MIB, MIB, 8));
    CHECK_INT(mbr_object_resize(again, 10), 0);
    CHECK_INT(object_put_key(obj, 4 * MIB, 1, 8, 0), -ERANGE);
    CHECK_INT(mbr_object_leave(again), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static void list_shows_each_once(void **state)
{
    bool seen[100] = {false};
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;
    int rc, count = 0;

    CHECK_INT(mbr_container_list(con, &cursor, name), 0);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "object %d", i);
        CHECK_INT(mbr_object_leave(HAVE(mbr_object_create(con, name, 1))), 0);
    }
    cursor = 0;
    while ((rc = mbr_container_list(con, &cursor, name)) == 1) {
        int i = atoi(name + 7);

        CHECK(i >= 0 && i < 100 && !seen[i]);
        seen[i] = true;
        if (count++ % 2 == 0) /* going on although it was removed */
            CHECK_INT(mbr_object_unlink(con, name), 0);
    }
    CHECK_INT(rc, 0);
    CHECK_INT(count, 100);
    cursor = 0;
    while (mbr_container_list(con, &cursor, name) == 1)
        CHECK_INT(mbr_object_destroy(HAVE(mbr_object_join(con, name))), 0);
    cursor = UINT64_MAX; /* any cursor is harmless */
    CHECK(mbr_container_list(con, &cursor, name) <= 0);
}

/* ---- fork ---- */

static void numbers_are_dead_in_a_child(void **state)
{
    int obj = HAVE(mbr_object_create(con, "x", 100));
    char *p, byte = 0;
    int access = HAVE(mbr_object_get(obj, 0, 10, &p));
    pid_t pid = fork();

    if (pid == 0) {
        struct mbr_object_attr attr;
        int mine, theirs;

        CHECK_INT(mbr_container_leave(con), -EPERM);
        CHECK_INT(mbr_object_create(con, "y", 1), -EPERM);
        CHECK_INT(mbr_object_getattr(obj, &attr), -EPERM);
        CHECK_INT(mbr_object_read(obj, 0, &byte, 1), -EPERM);
        CHECK_INT(mbr_object_put(access), -EPERM);
        CHECK_INT(mbr_object_leave(obj), -EPERM);
        mine = HAVE(mbr_container_join("con"));
        CHECK_INT(object_members(mine), 2);
        theirs = HAVE(mbr_object_join(mine, "x"));
        CHECK_INT(object_put_key(theirs, 0, 10, 1, 0), -ETIMEDOUT); /* the parent reads it */
        _exit(0);
    }
    int status = 1;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    CHECK_INT(mbr_object_put(access), 0);
    CHECK_INT(mbr_object_destroy(obj), 0);
}

static int run(int argc, char **argv)
{
#define IN_CONTAINER(f) cmocka_unit_test_setup_teardown(f, make_container, leave_container)
    const struct CMUnitTest tests[] = {
        IN_CONTAINER(bad_names_are_refused),
        IN_CONTAINER(odd_names_are_fine),
        IN_CONTAINER(numbers_are_the_lowest_free),
        IN_CONTAINER(numbers_never_given),
        IN_CONTAINER(null_pointers_are_refused),
        IN_CONTAINER(leaving_a_container_gives_all_back),
        IN_CONTAINER(container_attributes),
        IN_CONTAINER(container_exists_already),
        IN_CONTAINER(container_options),
        IN_CONTAINER(persistent_container),
        IN_CONTAINER(container_destroy_waits_for_members),
        IN_CONTAINER(container_destroy_waits_for_own_numbers),
        IN_CONTAINER(container_destroy_outlasts_the_dead),
        IN_CONTAINER(container_that_is_being_destroyed),
        IN_CONTAINER(container_outlives_its_creator),
        IN_CONTAINER(object_sizes),
        IN_CONTAINER(object_larger_than_the_file_limit),
        IN_CONTAINER(object_exists_already),
        IN_CONTAINER(new_objects_are_zero),
        IN_CONTAINER(objects_stay_when_left),
        IN_CONTAINER(object_destroy_waits_for_users),
        IN_CONTAINER(object_destroy_outlasts_the_dead),
        IN_CONTAINER(object_that_is_being_destroyed),
        IN_CONTAINER(unlink_keeps_the_bytes_for_users),
        IN_CONTAINER(rename_moves_the_name),
        IN_CONTAINER(resize_keeps_what_stays),
        IN_CONTAINER(resize_waits_for_what_goes),
        IN_CONTAINER(another_process_sees_the_new_size),
        IN_CONTAINER(list_shows_each_once),
        IN_CONTAINER(numbers_are_dead_in_a_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
