/* SPDX-License-Identifier: MIT */
/*
 * Persistent containers on disk: checksums against published values, changes against a model
 * through two handles of one set, whose directory it is, what is refused, damage, space that is
 * given back, and every allocation and system call failing in turn.
 *
 * Not here: what a crash leaves (tests/fault/object_disk_crash_test.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "disk_model.h"
#include "failalloc.h"
#include "object/crc32c.h"
#include "object/disk_state.h"
#include "prop.h"
#include "shm_test.h"

#define NO_SYNC_FAILS test_calls_now
#include "no_sync.h"

TEST_WRAP(int, -1, openat, (int dir, const char *path, int flags, int mode),
          (dir, path, flags, mode))
TEST_WRAP(int, -1, open, (const char *path, int flags, int mode), (path, flags, mode))
TEST_WRAP(int, -1, fstat, (int fd, struct stat *st), (fd, st))
TEST_WRAP(int, -1, flock, (int fd, int how), (fd, how))

TEST_WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))
TEST_WRAP(ssize_t, -1, pread, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at))
TEST_WRAP(ssize_t, -1, pwrite, (int fd, const void *buf, size_t n, off_t at), (fd, buf, n, at))
TEST_WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
TEST_WRAP(int, -1, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))

static char scratch[] = "/tmp/membrane-disk-XXXXXX";
static char place[64];
static const uint64_t set_a[2] = {1, 2};
static const uint64_t set_b[2] = {3, 4};
static unsigned char block[MBR_OBJECT_BLOCK];

static const char *in_place(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", place, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(place, sizeof(place), "%s/d", scratch);
    return mkdir(place, 0700);
}

static int teardown(void **state)
{
    (void)state;
    model_remove_tree(place);
    return 0;
}

static struct mbr__disk *must_open(const uint64_t set[2])
{
    struct mbr__disk *d = NULL;

    assert_int_equal(mbr__disk_open(place, MBR__JOURNAL_CHECKSUMS, set, &d), 0);
    return d;
}

static int try_open(const char *path)
{
    struct mbr__disk *d;
    int err = mbr__disk_open(path, MBR__JOURNAL_CHECKSUMS, set_a, &d);

    if (err == 0)
        mbr__disk_close(d);
    return err;
}

static int put_block(struct mbr__disk *d, uint64_t id, uint32_t number, uint32_t seed)
{
    struct mbr__disk_dirty dirty = {number, block};
    struct mbr__disk_write *write;
    int err;

    model_fill(block, seed, sizeof(block));
    err = mbr__disk_write(d, id, &dirty, 1, &write);
    return err < 0 ? err : mbr__disk_commit(d, write);
}

/* Changes bytes of a file. */
static void poke(const char *name, off_t at, const void *bytes, size_t n)
{
    int fd = open(in_place(name), O_WRONLY | O_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
    close(fd);
}

static off_t size_of(const char *name)
{
    struct stat st;

    assert_int_equal(stat(in_place(name), &st), 0);
    return st.st_size;
}

/* ---- checksums ------------------------------------------------------------------------------- */

static void sums_are_those_of_the_standard(void **state)
{
    unsigned char bytes[32];

    /* RFC 3720, B.4, and the check value of the catalogue of parametrised CRCs. */
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(mbr__crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(mbr__crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(mbr__crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(mbr__crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(mbr__crc32c_tables(0, "123456789", 9), 0xe3069283);
    assert_int_equal(mbr__crc32c(0, NULL, 0), 0);
}

static bool sums_agree(struct prop *p)
{
    static unsigned char bytes[4096];
    uint32_t n = prop_choose(p, sizeof(bytes));
    uint32_t cut = prop_choose(p, n + 1);
    uint32_t off = prop_choose(p, 8) % (uint32_t)(sizeof(bytes) - n);

    model_fill(bytes, prop_choose(p, 1000), sizeof(bytes));
    uint32_t sum = mbr__crc32c(0, bytes + off, n);

    PROP_CHECK(p, sum == mbr__crc32c_tables(0, bytes + off, n));
    PROP_CHECK(p, sum == mbr__crc32c(mbr__crc32c(0, bytes + off, cut), bytes + off + cut, n - cut));
    return true;
}

static void sums_with_and_without_instruction(void **state)
{
    prop_run("crc32c", sums_agree, 500);
}

/* ---- against the model ----------------------------------------------------------------------- */

static uint32_t choose_prop(void *state, uint32_t limit)
{
    return prop_choose(state, limit);
}

/* Steps that are refused change nothing. */
static bool refuses(struct prop *p, struct mbr__disk *d, struct model *m)
{
    const struct model_object *o = &m->object[prop_choose(p, MODEL_OBJECTS)];
    char text[16];

    PROP_CHECK(p, mbr__disk_remove(d, m->last_id + 9) == -ENOENT);
    PROP_CHECK(p, mbr__disk_create(d, m->last_id, "fresh", 1, 0) == -EINVAL);
    PROP_CHECK(p, mbr__disk_create(d, m->last_id + 1, "a/b", 1, 0) == -EINVAL);
    PROP_CHECK(p, mbr__disk_create(d, m->last_id + 1, "fresh", 0, 0) == -EINVAL);
    PROP_CHECK(p, mbr__disk_create(d, m->last_id + 1, "f", MBR_OBJECT_SIZE_MAX + 1, 0) == -EFBIG);
    if (o->id == 0)
        return true;
    model_name(o->name, text);
    PROP_CHECK(p, mbr__disk_create(d, m->last_id + 1, text, 1, 0) == -EEXIST);
    PROP_CHECK(p, mbr__disk_rename(d, o->id, text) == -EEXIST);
    PROP_CHECK(p, put_block(d, o->id, MODEL_BLOCKS, 1) == -ERANGE);
    return true;
}

static bool in_step(struct prop *p)
{
    struct mbr__disk *d[2] = {0};
    struct model m = {0};
    bool ok = mbr__disk_open(place, prop_choose(p, 2), set_a, &d[0]) == 0 &&
              mbr__disk_join(place, set_a, &d[1]) == 0;

    while (ok && prop_more(p)) {
        uint32_t which = prop_choose(p, 2);
        struct model_step s = model_choose(&m, choose_prop, p);

        ok = mbr__disk_refresh(d[which], prop_choose(p, 16) == 1) == 0 &&
             model_same(d[which], &m, false) && refuses(p, d[which], &m) &&
             model_run(d[which], &s) == 0;
        model_apply(&m, &s);
        ok = ok && model_same(d[which], &m, prop_choose(p, 8) == 1);
        if (ok && prop_choose(p, 16) == 1) {
            mbr__disk_close(d[which]);
            ok = mbr__disk_join(place, set_a, &d[which]) == 0;
        }
        if (ok && prop_choose(p, 32) == 1) {
            mbr__disk_close(d[0]);
            mbr__disk_close(d[1]);
            d[0] = d[1] = NULL;
            ok = mbr__disk_open(place, 0, set_a, &d[0]) == 0 &&
                 mbr__disk_join(place, set_a, &d[1]) == 0;
        }
    }
    ok = ok && mbr__disk_refresh(d[1], false) == 0 && model_same(d[1], &m, true);
    mbr__disk_close(d[0]);
    mbr__disk_close(d[1]);
    model_remove_tree(place);
    (void)mkdir(place, 0700);
    PROP_CHECK(p, ok);
    return true;
}

static void two_handles_follow_the_model(void **state)
{
    prop_run("disk", in_step, 25);
}

/* ---- whose directory ------------------------------------------------------------------------- */

static void one_set_at_a_time(void **state)
{
    struct mbr__disk *a = must_open(set_a);
    struct mbr__disk *second = NULL;
    struct mbr__disk *none = NULL;

    assert_int_equal(mbr__disk_open(place, 0, set_b, &none), -EEXIST);
    assert_int_equal(mbr__disk_join(place, set_b, &none), -ESTALE);
    assert_int_equal(mbr__disk_join(place, set_a, &second), 0);
    mbr__disk_close(a);
    assert_int_equal(mbr__disk_open(place, 0, set_b, &none), -EEXIST);
    mbr__disk_close(second);
    a = must_open(set_b);
    assert_int_equal(mbr__disk_join(place, set_a, &none), -ESTALE);
    assert_null(none);
    mbr__disk_close(a);
}

static void refuses_what_is_not_ours(void **state)
{
    char link[64];

    assert_int_equal(chmod(place, 0770), 0);
    assert_int_equal(try_open(place), -EPERM);
    assert_int_equal(chmod(place, 0700), 0);
    snprintf(link, sizeof(link), "%s/l", scratch);
    assert_int_equal(symlink(place, link), 0);
    assert_true(try_open(link) == -ELOOP || try_open(link) == -ENOTDIR);
    strcat(link, "/");
    assert_true(try_open(link) == -ELOOP || try_open(link) == -ENOTDIR);
    link[strlen(link) - 1] = '\0';
    assert_int_equal(unlink(link), 0);
    assert_int_equal(try_open(""), -ENOENT);
    assert_int_equal(try_open("/nowhere/at/all"), -ENOENT);
    assert_int_equal(try_open("/dev/null"), -ENOTDIR);
    if (geteuid() != 0)
        assert_int_equal(try_open("/"), -EPERM);
    else
        assert_int_equal(try_open("/tmp"), -EPERM);
    close(open(in_place("letter"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(try_open(place), -ENOTEMPTY);
    assert_int_equal(access(in_place(MBR__DISK_SET), F_OK), -1);
}

static void follows_no_links_inside(void **state)
{
    mbr__disk_close(must_open(set_a));
    char other[64];

    snprintf(other, sizeof(other), "%s/other", scratch);
    assert_int_equal(rename(in_place(MBR__DISK_BLOCKS), other), 0);
    assert_int_equal(symlink(other, in_place(MBR__DISK_BLOCKS)), 0);
    assert_int_equal(try_open(place), -ELOOP);
    assert_int_equal(unlink(in_place(MBR__DISK_BLOCKS)), 0);
    assert_int_equal(try_open(place), -EBADMSG);
    assert_int_equal(mkfifo(in_place(MBR__DISK_BLOCKS), 0600), 0);
    assert_int_equal(try_open(place), -EBADMSG);
    assert_int_equal(unlink(in_place(MBR__DISK_BLOCKS)), 0);
    assert_int_equal(mkdir(in_place(MBR__DISK_BLOCKS), 0700), 0);
    assert_int_equal(try_open(place), -EBADMSG);
    assert_int_equal(rmdir(in_place(MBR__DISK_BLOCKS)), 0);
    assert_int_equal(rename(other, in_place(MBR__DISK_BLOCKS)), 0);
    assert_int_equal(chmod(in_place(MBR__DISK_BLOCKS), 0666), 0);
    assert_int_equal(try_open(place), -EPERM);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Two objects, the first with a block of 5000 bytes. */
static void make_two(void)
{
    struct mbr__disk *d = must_open(set_a);

    assert_int_equal(mbr__disk_create(d, 1, "one", 5000, 0), 0);
    assert_int_equal(put_block(d, 1, 0, 7), 0);
    assert_int_equal(mbr__disk_create(d, 2, "two", 100, 1), 0);
    mbr__disk_close(d);
}

static void finds_damaged_blocks(void **state)
{
    struct mbr__disk *d;

    make_two();
    d = must_open(set_a);
    assert_int_equal(mbr__disk_read(d, 1, 0, block), 0);
    poke(MBR__DISK_BLOCKS, 4999, "\377", 1);
    assert_int_equal(mbr__disk_read(d, 1, 0, block), -EBADMSG);
    assert_int_equal(mbr__disk_read(d, 2, 0, block), 0);
    assert_int_equal(truncate(in_place(MBR__DISK_BLOCKS), 4999), 0);
    assert_int_equal(mbr__disk_read(d, 1, 0, block), -EIO);
    assert_int_equal(mbr__disk_read(d, 1, 1, block), -ERANGE);
    assert_int_equal(mbr__disk_read(d, 3, 0, block), -ENOENT);
    assert_int_equal(put_block(d, 1, 0, 8), 0);
    assert_int_equal(mbr__disk_read(d, 1, 0, block), 0);
    mbr__disk_close(d);
}

static void drops_a_torn_tail(void **state)
{
    off_t length = (off_t)mbr__journal_record_size(MBR__JOURNAL_REMOVE, 0, 0);

    for (off_t cut = 1; cut <= length; cut++) {
        struct mbr__disk *d;

        make_two();
        d = must_open(set_a);
        assert_int_equal(mbr__disk_remove(d, 2), 0);
        mbr__disk_close(d);
        assert_int_equal(truncate(in_place(MBR__DISK_JOURNAL), size_of(MBR__DISK_JOURNAL) - cut),
                         0);
        d = must_open(set_a);
        assert_non_null(mbr__catalog_find(mbr__disk_catalog(d), "two", 3));
        assert_int_equal(mbr__disk_remove(d, 2), 0);
        mbr__disk_close(d);
        d = must_open(set_a);
        assert_null(mbr__catalog_find(mbr__disk_catalog(d), "two", 3));
        mbr__disk_close(d);
        model_remove_tree(place);
        assert_int_equal(mkdir(place, 0700), 0);
    }
}

/* Any byte of what was durable at once, or before another record. */
static void refuses_damage_before_the_tail(void **state)
{
    struct mbr__disk *d;
    off_t end;

    make_two();
    d = must_open(set_a);
    end = size_of(MBR__DISK_JOURNAL);
    assert_int_equal(mbr__disk_rename(d, 1, "uno"), 0);
    assert_int_equal(mbr__disk_rename(d, 2, "due"), 0);
    mbr__disk_close(d);
    end += (off_t)mbr__journal_record_size(MBR__JOURNAL_RENAME, 3, 0);
    for (off_t at = 0; at < end; at++) {
        unsigned char was;
        unsigned char is;
        int fd = open(in_place(MBR__DISK_JOURNAL), O_RDWR | O_CLOEXEC, 0);
        int err;

        assert_int_equal(pread(fd, &was, 1, at), 1);
        is = was ^ 0x10;
        assert_int_equal(pwrite(fd, &is, 1, at), 1);
        err = try_open(place);
        assert_true(err == -EBADMSG || (at >= 8 && at < 12 && err == -EPROTONOSUPPORT));
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
        close(fd);
    }
    assert_int_equal(truncate(in_place(MBR__DISK_JOURNAL), 95), 0);
    assert_int_equal(try_open(place), -EBADMSG);
    assert_int_equal(unlink(in_place(MBR__DISK_JOURNAL)), 0);
    assert_int_equal(try_open(place), -EBADMSG);
}

static void notices_a_journal_that_shrinks(void **state)
{
    struct mbr__disk *d;

    make_two();
    d = must_open(set_a);
    assert_int_equal(truncate(in_place(MBR__DISK_JOURNAL), 120), 0);
    assert_int_equal(mbr__disk_refresh(d, false), -EIO);
    assert_int_equal(unlink(in_place(MBR__DISK_JOURNAL)), 0);
    assert_int_equal(mbr__disk_refresh(d, false), -EIO);
    mbr__disk_close(d);
}

/* ---- space ----------------------------------------------------------------------------------- */

static void gives_space_back(void **state)
{
    struct mbr__disk *d = must_open(set_a);
    uint64_t full;
    uint64_t now;

    assert_int_equal(mbr__disk_create(d, 1, "big", 3 * MBR_OBJECT_BLOCK, 0), 0);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(put_block(d, 1, i % 3, i), 0);
    assert_int_equal(mbr__disk_usage(d, &full), 0);
    assert_true(full >= 3 * MBR_OBJECT_BLOCK && full <= 4 * MBR_OBJECT_BLOCK + 262144);
    assert_true(size_of(MBR__DISK_BLOCKS) <= (off_t)(4 * MBR_OBJECT_BLOCK));
    assert_int_equal(mbr__disk_resize(d, 1, 10), 0);
    assert_int_equal(mbr__disk_usage(d, &now), 0);
    assert_true(now < full - MBR_OBJECT_BLOCK);
    assert_int_equal(mbr__disk_remove(d, 1), 0);
    assert_int_equal(mbr__disk_usage(d, &now), 0);
    assert_true(now <= 262144);
    mbr__disk_close(d);
    mbr__disk_close(must_open(set_a));
    assert_int_equal(size_of(MBR__DISK_BLOCKS), 0);
}

static void journal_stays_short(void **state)
{
    struct mbr__disk *d = must_open(set_a);
    struct mbr__disk *other;
    char name[16];

    assert_int_equal(mbr__disk_join(place, set_a, &other), 0);
    assert_int_equal(mbr__disk_create(d, 1, "x", 1, 0), 0);
    for (uint32_t i = 0; i < 4000; i++)
        assert_int_equal(mbr__disk_rename(d, 1, model_name(i, name)), 0);
    assert_true(size_of(MBR__DISK_JOURNAL) < 70000);
    assert_int_equal(mbr__disk_refresh(other, false), 0);
    assert_non_null(mbr__catalog_find(mbr__disk_catalog(other), name, strlen(name)));
    mbr__disk_close(other);
    mbr__disk_close(d);
}

static void removes_everything(void **state)
{
    struct mbr__disk *d;
    struct mbr__disk *other;

    make_two();
    d = must_open(set_a);
    assert_int_equal(mbr__disk_join(place, set_a, &other), 0);
    assert_int_equal(mbr__disk_destroy(d), 0);
    assert_int_equal(mbr__disk_destroy(d), 0);
    assert_int_equal(mbr__disk_create(d, 9, "late", 1, 0), -ESTALE);
    assert_int_equal(mbr__disk_refresh(d, false), -ESTALE);
    assert_int_equal(mbr__disk_refresh(other, false), -EIO);
    mbr__disk_close(d);
    mbr__disk_close(other);
    assert_int_equal(rmdir(place), 0);
    assert_int_equal(mkdir(place, 0700), 0);
}

/* Beyond the limit the kernel would send SIGXFSZ, which ends a process. */
static void respects_the_file_size_limit(void **state)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        struct mbr__disk *d;
        int bad = mbr__disk_open(place, 0, set_a, &d) != 0;

        bad = bad || mbr__disk_create(d, 1, "x", 2 * MBR_OBJECT_BLOCK, 0) != 0 ||
              put_block(d, 1, 0, 1) != 0;
        bad = bad || setrlimit(RLIMIT_FSIZE, &limit) != 0 || put_block(d, 1, 1, 1) != -EFBIG ||
              mbr__disk_rename(d, 1, "y") != 0;
        _exit(bad);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* One of each change, after the first `begun` that were made. How many are made. */
static int changes(struct mbr__disk *d, int begun, int *err)
{
    int i = begun;

    *err = 0;
    for (; i < 6; i++) {
        *err = i == 0   ? mbr__disk_create(d, 10, "ten", 70000, 0)
               : i == 1 ? put_block(d, 10, 0, 3)
               : i == 2 ? put_block(d, 10, 0, 4)
               : i == 3 ? mbr__disk_rename(d, 10, "zehn")
               : i == 4 ? mbr__disk_resize(d, 10, 60000)
                        : mbr__disk_remove(d, 10);
        if (*err < 0)
            break;
    }
    return i;
}

static void check_after(struct mbr__disk *d, int made)
{
    const struct mbr__catalog_object *o = mbr__catalog_by_id(mbr__disk_catalog(d), 10);

    assert_int_equal(o != NULL, made >= 1 && made < 6);
    if (o == NULL)
        return;
    assert_string_equal(o->name, made >= 4 ? "zehn" : "ten");
    assert_int_equal(o->size, made >= 5 ? 60000 : 70000);
    assert_int_equal(mbr__disk_read(d, 10, 0, block), 0);
    static unsigned char should[70000];

    memset(should, 0, sizeof(should));
    if (made >= 2)
        model_fill(should, made >= 3 ? 4 : 3, sizeof(should));
    assert_memory_equal(block, should, o->size);
}

/* Call number N of each kind fails: the old state stands, for us and for who comes after a kill of
 * everybody, and the rest can be made. */
static bool fails_at(int n, int error, bool again)
{
    struct mbr__disk *d = must_open(set_a);
    bool hit;
    int err;
    int made;

    test_calls_arm(n, error);
    made = changes(d, 0, &err);
    hit = test_calls_disarm();
    if (err < 0)
        check_after(d, made);
    if (again) {
        mbr__disk_close(d);
        d = must_open(set_a);
        check_after(d, made);
    }
    assert_int_equal(changes(d, made, &err), 6);
    check_after(d, 6);
    mbr__disk_close(d);
    model_remove_tree(place);
    assert_int_equal(mkdir(place, 0700), 0);
    return hit;
}

static void every_call_may_fail(void **state)
{
    for (int again = 0; again < 2; again++) {
        int n = 0;

        while (fails_at(n, n % 2 ? EIO : ENOSPC, again))
            n++;
        assert_true(n > 15);
    }
}

static void opening_fails_cleanly(void)
{
    struct test_held held = test_held();
    bool hit = true;

    for (int n = 0; hit; n++) {
        test_calls_arm(n, EIO);
        int err = try_open(place);

        hit = test_calls_disarm();
        assert_true(err == 0 || (hit && err == -EIO));
        test_assert_held(held);
    }
}

static void opening_may_fail(void **state)
{
    opening_fails_cleanly();
    make_two();
    opening_fails_cleanly();
    struct mbr__disk *d = must_open(set_a);

    assert_non_null(mbr__catalog_find(mbr__disk_catalog(d), "one", 3));
    mbr__disk_close(d);
}

static void removal_may_fail(void **state)
{
    for (int n = 0, hit = 1; hit; n++) {
        struct mbr__disk *d;

        make_two();
        d = must_open(set_a);
        test_calls_arm(n, EIO);
        int err = mbr__disk_destroy(d);

        hit = test_calls_disarm();
        assert_true(err == -EIO || !hit || err == 0);
        if (n % 2)
            assert_int_equal(mbr__disk_destroy(d), 0);
        mbr__disk_close(d);
        d = must_open(set_a);
        size_t left = mbr__disk_catalog(d)->by_id.count;

        assert_true(left == 0 || (n % 2 == 0 && left == 2));
        mbr__disk_close(d);
        model_remove_tree(place);
        assert_int_equal(mkdir(place, 0700), 0);
    }
}

static void every_allocation_may_fail(void **state)
{
    struct mbr__disk *d = must_open(set_a);
    struct mbr__disk *other;
    int made = 0;
    int err;

    mbr__disk_close(d);
    for (unsigned n = 0;; n++) {
        failalloc_arm(n);
        err = mbr__disk_open(place, 0, set_a, &d);
        if (!failalloc_disarm())
            break;
        assert_true(err == -ENOMEM || err == 0);
        if (err == 0)
            mbr__disk_close(d);
    }
    for (unsigned n = 0; made < 6; n = n < 9 ? n + 1 : 0) {
        failalloc_arm(n);
        made = changes(d, made, &err);
        failalloc_disarm();
        assert_true(err == 0 || err == -ENOMEM);
        check_after(d, made);
    }
    assert_int_equal(mbr__disk_create(d, 20, "more", 1, 0), 0);
    for (unsigned n = 0;; n++) {
        failalloc_arm(n);
        err = mbr__disk_join(place, set_a, &other);
        if (!failalloc_disarm())
            break;
        assert_int_equal(err, -ENOMEM);
    }
    assert_int_equal(err, 0);
    mbr__disk_close(other);
    mbr__disk_close(d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int make_scratch(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    model_remove_tree(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sums_are_those_of_the_standard),
        TEST(sums_with_and_without_instruction),
        TEST(two_handles_follow_the_model),
        TEST(one_set_at_a_time),
        TEST(refuses_what_is_not_ours),
        TEST(follows_no_links_inside),
        TEST(finds_damaged_blocks),
        TEST(drops_a_torn_tail),
        TEST(refuses_damage_before_the_tail),
        TEST(notices_a_journal_that_shrinks),
        TEST(gives_space_back),
        TEST(journal_stays_short),
        TEST(removes_everything),
        TEST(respects_the_file_size_limit),
        TEST(every_call_may_fail),
        TEST(opening_may_fail),
        TEST(removal_may_fail),
        TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("object_disk", tests, make_scratch, remove_scratch);
}
