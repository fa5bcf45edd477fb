/* SPDX-License-Identifier: MIT */
/*
 * Each allocation and each system call of each constructor fails in turn: an error, nothing left
 * behind, and the same call works afterwards.
 */
#include "object_test.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "failalloc.h"
#include "shm_test.h"

/* clang-format off */
TEST_WRAP(int, -1, memfd_create, (const char *name, unsigned int flags), (name, flags))
TEST_WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))
TEST_WRAP(int, -1, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
TEST_WRAP(void *, MAP_FAILED, mmap,
          (void *at, size_t size, int prot, int flags, int fd, off_t offset),
          (at, size, prot, flags, fd, offset))
TEST_WRAP(int, -1, madvise, (void *at, size_t size, int advice), (at, size, advice))
TEST_WRAP(int, -1, symlinkat, (const char *text, int dir, const char *name), (text, dir, name))
TEST_WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
TEST_WRAP(ssize_t, -1, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
/* clang-format on */

static int container;

static int create_container(void)
{
    return mbr_container_create("made", -1);
}

static int join_container(void)
{
    return mbr_container_join("c");
}

static int create_object(void)
{
    return mbr_object_create(container, "made", 14 * MBR_OBJECT_BLOCK);
}

static int join_object(void)
{
    return mbr_object_join(container, "o");
}

static int end_container(int c)
{
    return mbr_container_leave(c);
}

static int end_object(int o)
{
    return mbr_object_destroy_until(o, 0);
}

static int leave_object(int o)
{
    return mbr_object_leave(o);
}

struct constructor {
    int (*make)(void);
    int (*end)(int number);
};

static const struct constructor constructors[] = {
    {create_container, end_container},
    {join_container, end_container},
    {create_object, end_object},
    {join_object, leave_object},
};

static uint64_t bytes_now(void)
{
    struct mbr_container_attr attr;

    assert_int_equal(mbr_container_getattr(container, &attr), 0);
    return attr.bytes;
}

static uint32_t objects_now(void)
{
    struct mbr_container_attr attr;

    assert_int_equal(mbr_container_getattr(container, &attr), 0);
    return (uint32_t)attr.objects;
}

static void once(const struct constructor *k)
{
    int n = k->make();

    assert_true(n >= 0);
    assert_int_equal(k->end(n), 0);
}

/* What must be as before. */
struct scene {
    int fds;
    int links;
    uint64_t bytes;
    uint32_t objects;
};

static struct scene look(void)
{
    return (struct scene){test_count_fds(), object_test_count_links(), bytes_now(), objects_now()};
}

static void compare(const struct scene *before)
{
    struct scene now = look();

    assert_int_equal(now.fds, before->fds);
    assert_int_equal(now.links, before->links);
    assert_true(now.bytes == before->bytes);
    assert_int_equal(now.objects, before->objects);
}

static void fail_allocations(const struct constructor *k)
{
    struct scene before;
    unsigned n = 0;

    once(k);
    before = look();
    for (;; n++) {
        int rc;

        failalloc_arm(n);
        rc = k->make();
        if (!failalloc_disarm()) {
            assert_int_equal(k->end(rc), 0);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        compare(&before);
        once(k);
    }
}

static void fail_calls(const struct constructor *k, int error)
{
    struct scene before;

    once(k);
    before = look();
    for (int n = 0;; n++) {
        int rc;

        test_calls_arm(n, error);
        rc = k->make();
        if (!test_calls_disarm()) {
            assert_int_equal(k->end(rc), 0);
            break;
        }
        /* Some have another way (MFD_NOEXEC_SEAL) and succeed. */
        if (rc >= 0)
            assert_int_equal(k->end(rc), 0);
        compare(&before);
        once(k);
    }
}

/* In a container that a process of its own keeps, so that joining makes a member. */
static int keep(void *arg)
{
    int *ends = arg;
    char byte = 0;
    int c = mbr_container_create("c", -1);

    CHILD(c >= 0 && mbr_object_create(c, "o", 14 * MBR_OBJECT_BLOCK) >= 0);
    CHILD(write(ends[1], "x", 1) == 1);
    CHILD(read(ends[2], &byte, 1) == 1);
    return 0;
}

static void with_keeper(void (*run)(void))
{
    int ends[4];
    char byte;
    pid_t keeper;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(ends + 2), 0);
    keeper = object_test_child(keep, ends);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    container = mbr_container_join("c");
    assert_true(container >= 0);
    run();
    assert_int_equal(mbr_container_leave(container), 0);
    assert_int_equal(write(ends[3], "x", 1), 1);
    assert_int_equal(object_test_wait(keeper), 0);
    for (int i = 0; i < 4; i++)
        (void)close(ends[i]);
}

static void run_allocations(void)
{
    for (size_t i = 0; i < sizeof(constructors) / sizeof(constructors[0]); i++)
        fail_allocations(&constructors[i]);
}

static void test_allocations(void **state)
{
    with_keeper(run_allocations);
}

static void run_calls(void)
{
    static const int errors[] = {ENOMEM, ENOSPC, EMFILE};

    for (size_t i = 0; i < sizeof(constructors) / sizeof(constructors[0]); i++) {
        for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++)
            fail_calls(&constructors[i], errors[e]);
    }
}

static void test_calls(void **state)
{
    with_keeper(run_calls);
}

/* The first join of a process makes a member: that, too. */
static int child_joins_failing(void *arg)
{
    for (int n = 0;; n++) {
        int rc;

        failalloc_arm((unsigned)n);
        rc = mbr_container_join("c");
        if (!failalloc_disarm()) {
            CHILD(rc == 0 && mbr_container_leave(rc) == 0);
            break;
        }
        CHILD(rc == -ENOMEM);
    }
    for (int n = 0;; n++) {
        int fds = test_count_fds();
        int rc;

        test_calls_arm(n, ENOMEM);
        rc = mbr_container_join("c");
        if (!test_calls_disarm()) {
            CHILD(rc == 0 && mbr_container_leave(rc) == 0);
            break;
        }
        CHILD(rc < 0 || mbr_container_leave(rc) == 0);
        CHILD(test_count_fds() == fds);
    }
    return 0;
}

static void run_first_join(void)
{
    struct mbr_container_attr attr;

    assert_int_equal(object_test_wait(object_test_child(child_joins_failing, NULL)), 0);
    assert_int_equal(mbr_container_getattr(container, &attr), 0);
    assert_int_equal(attr.members, 2); /* the keeper and we */
}

static void test_first_join(void **state)
{
    with_keeper(run_first_join);
}

/* No descriptor left. */
static void test_descriptors(void **state)
{
    struct rlimit old;
    struct rlimit few;
    int c = mbr_container_create("c", -1);

    assert_true(c >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t n = 3;; n++) {
        int rc;

        few = (struct rlimit){n, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = mbr_container_create("d", -1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        if (rc >= 0) {
            assert_int_equal(mbr_container_leave(rc), 0);
            break;
        }
        assert_int_equal(rc, -EMFILE);
        assert_int_equal(object_test_count_links(), 2);
    }
    assert_int_equal(mbr_container_leave(c), 0);
}

/* A limit of file sizes must not kill. */
static int child_limited(void *arg)
{
    struct rlimit limit = {1 << 20, 1 << 20};

    CHILD(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHILD(mbr_container_create("d", -1) == -EFBIG);
    return 0;
}

static void test_file_size(void **state)
{
    assert_int_equal(object_test_wait(object_test_child(child_limited, NULL)), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, object_test_setup, object_test_teardown)
    const struct CMUnitTest tests[] = {T(test_allocations), T(test_calls), T(test_first_join),
                                       T(test_descriptors), T(test_file_size)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
