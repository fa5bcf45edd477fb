/* SPDX-License-Identifier: MIT */
/*
 * Containers and objects by operation and error, in one process and with children: numbers, names,
 * sizes, locks as others see them, what is left after each.
 */
#include "object_test.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include <membrane/queue.h>

#include "shm/proc.h"

#define BLOCK MBR_OBJECT_BLOCK
#define NOW   0

static uint64_t in_ms(uint64_t ms)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + ms * 1000000;
}

static uint64_t memory_of(int container)
{
    struct mbr_container_attr attr;

    assert_int_equal(mbr_container_getattr(container, &attr), 0);
    return attr.bytes;
}

/* ---- containers ------------------------------------------------------------------------------ */

static void test_names(void **state)
{
    char name[MBR_OBJECT_NAME_MAX + 2];
    int c;
    int o;

    assert_int_equal(mbr_container_create(NULL, -1), -EINVAL);
    assert_int_equal(mbr_container_create("", -1), -EINVAL);
    assert_int_equal(mbr_container_create("a/b", -1), -EINVAL);
    assert_int_equal(mbr_container_create("a\xff", -1), -EINVAL);
    assert_int_equal(mbr_container_join(NULL), -EINVAL);
    assert_int_equal(mbr_container_join("nobody"), -ENOENT);
    memset(name, 'x', sizeof(name));
    name[MBR_OBJECT_NAME_MAX + 1] = '\0';
    assert_int_equal(mbr_container_create(name, -1), -ENAMETOOLONG);
    assert_int_equal(mbr_container_join(name), -ENAMETOOLONG);
    name[MBR_OBJECT_NAME_MAX] = '\0';
    c = mbr_container_create(name, -1);
    assert_int_equal(c, 0);
    assert_int_equal(mbr_container_join(name), 1);
    assert_int_equal(mbr_object_create(c, NULL, 1), -EINVAL);
    assert_int_equal(mbr_object_create(c, "", 1), -EINVAL);
    assert_int_equal(mbr_object_create(c, "a/b", 1), -EINVAL);
    assert_int_equal(mbr_object_join(c, ""), -EINVAL);
    assert_int_equal(mbr_object_unlink(c, "/"), -EINVAL);
    o = mbr_object_create(c, name, 1);
    assert_int_equal(o, 0);
    name[MBR_OBJECT_NAME_MAX] = 'x';
    assert_int_equal(mbr_object_create(c, name, 1), -ENAMETOOLONG);
    assert_int_equal(mbr_object_rename(o, name), -ENAMETOOLONG);
    assert_int_equal(mbr_object_rename(o, NULL), -EINVAL);
    assert_int_equal(mbr_container_leave(1), 0);
    assert_int_equal(mbr_container_leave(c), 0);
    assert_int_equal(object_test_count_links(), 0);
}

static void test_create_join_leave(void **state)
{
    int c = mbr_container_create("c", -1);
    int d;

    assert_int_equal(c, 0);
    assert_int_equal(mbr_container_create("c", -1), -EEXIST);
    d = mbr_container_create("d", -1);
    assert_int_equal(d, 1);
    assert_int_equal(mbr_container_join("c"), 2);
    assert_int_equal(mbr_container_leave(c), 0);
    assert_int_equal(mbr_container_leave(c), -EBADF);
    assert_int_equal(mbr_container_join("d"), 0);
    assert_int_equal(mbr_container_create("c", -1), -EEXIST); /* number 2 has it */
    assert_int_equal(mbr_container_leave(2), 0);
    assert_int_equal(mbr_container_join("c"), -ENOENT);
    assert_int_equal(mbr_container_leave(d), 0);
    assert_int_equal(mbr_container_leave(0), 0);
    assert_int_equal(mbr_container_join("d"), -ENOENT);
    assert_int_equal(object_test_count_links(), 0);
}

static void test_numbers(void **state)
{
    static const int wrong[] = {-1, INT32_MIN, 1, 4096, INT32_MAX};
    struct mbr_container_attr ca;
    struct mbr_object_attr oa;
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;
    char *p;
    int c = mbr_container_create("c", -1);

    assert_int_equal(c, 0);
    assert_int_equal(mbr_object_create(c, "o", 1), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int n = wrong[i];

        assert_int_equal(mbr_container_leave(n), -EBADF);
        assert_int_equal(mbr_container_destroy_until(n, NOW), -EBADF);
        assert_int_equal(mbr_container_getattr(n, &ca), -EBADF);
        assert_int_equal(mbr_container_list(n, &cursor, name), -EBADF);
        assert_int_equal(mbr_object_create(n, "x", 1), -EBADF);
        assert_int_equal(mbr_object_join(n, "o"), -EBADF);
        assert_int_equal(mbr_object_unlink(n, "o"), -EBADF);
        assert_int_equal(mbr_object_leave(n), -EBADF);
        assert_int_equal(mbr_object_destroy_until(n, NOW), -EBADF);
        assert_int_equal(mbr_object_getattr(n, &oa), -EBADF);
        assert_int_equal(mbr_object_rename(n, "x"), -EBADF);
        assert_int_equal(mbr_object_resize_until(n, 2, NOW), -EBADF);
        assert_int_equal(mbr_object_read(n, 0, name, 1), -EBADF);
        assert_int_equal(mbr_object_write(n, 0, name, 1), -EBADF);
        assert_int_equal(mbr_object_get(n, 0, 1, &p), -EBADF);
        assert_int_equal(mbr_object_edit(n, 0, 1, &p), -EBADF);
        assert_int_equal(mbr_object_put(n), -EBADF);
        assert_int_equal(mbr_object_repair(n, 0, 1), -EBADF);
    }
    assert_int_equal(mbr_object_put(0), -EBADF);
    assert_int_equal(mbr_container_leave(c), 0);
    assert_int_equal(mbr_object_leave(0), -EBADF); /* went with the container's number */
}

static void test_arguments(void **state)
{
    struct mbr_container_options options = {.size = sizeof(options)};
    int c = mbr_container_create_with("c", -1, &options);
    uint64_t cursor = 0;
    char name[MBR_OBJECT_NAME_MAX + 1];
    int o;

    assert_int_equal(c, 0);
    options.size = 1;
    assert_int_equal(mbr_container_create_with("d", -1, &options), -EINVAL);
    options = (struct mbr_container_options){.size = sizeof(options), .policy = 7};
    assert_int_equal(mbr_container_create_with("d", -1, &options), -EINVAL);
    options = (struct mbr_container_options){.size = sizeof(options), .flags = 1u << 20};
    assert_int_equal(mbr_container_create_with("d", -1, &options), -EINVAL);
    assert_int_equal(mbr_container_create("d", -2), -EINVAL);
    assert_int_equal(mbr_container_getattr(c, NULL), -EINVAL);
    assert_int_equal(mbr_container_list(c, NULL, name), -EINVAL);
    assert_int_equal(mbr_container_list(c, &cursor, NULL), -EINVAL);
    assert_int_equal(mbr_object_create(c, "o", 0), -EINVAL);
    assert_int_equal(mbr_object_create(c, "o", SIZE_MAX), -EFBIG);
    assert_int_equal(mbr_object_create(c, "o", MBR_OBJECT_SIZE_MAX + 1), -EFBIG);
    assert_int_equal(mbr_object_create_with(c, "o", 1, (enum mbr_write_policy)9), -EINVAL);
    o = mbr_object_create(c, "o", 10);
    assert_int_equal(o, 0);
    assert_int_equal(mbr_object_getattr(o, NULL), -EINVAL);
    assert_int_equal(mbr_object_resize(o, 0), -EINVAL);
    assert_int_equal(mbr_object_resize(o, MBR_OBJECT_SIZE_MAX + 1), -EFBIG);
    assert_int_equal(mbr_object_read(o, 0, NULL, 1), -EINVAL);
    assert_int_equal(mbr_object_write(o, 0, NULL, 1), -EINVAL);
    assert_int_equal(mbr_object_get(o, 0, 1, NULL), -EINVAL);
    assert_int_equal(mbr_object_edit(o, 0, 1, NULL), -EINVAL);
    assert_int_equal(mbr_container_destroy(c), 0);
}

static void test_destroy_container(void **state)
{
    int c = mbr_container_create("c", -1);
    int d = mbr_container_join("c");

    assert_int_equal(mbr_container_destroy_until(c, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_container_destroy_until(c, in_ms(10)), -ETIMEDOUT);
    assert_int_equal(mbr_container_join("c"), 2); /* as if nothing had been */
    assert_int_equal(mbr_container_leave(2), 0);
    assert_int_equal(mbr_container_leave(d), 0);
    assert_int_equal(mbr_object_create(c, "o", 1), 0);
    assert_int_equal(mbr_container_destroy_until(c, NOW), 0);
    assert_int_equal(mbr_object_leave(0), -EBADF);
    assert_int_equal(mbr_container_destroy(c), -EBADF);
    assert_int_equal(mbr_container_join("c"), -ENOENT);
    assert_int_equal(object_test_count_links(), 0);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void test_objects(void **state)
{
    char name[MBR_OBJECT_NAME_MAX + 1];
    struct mbr_object_attr attr;
    uint64_t cursor = 0;
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 5 * BLOCK + 3);

    assert_int_equal(o, 0);
    assert_int_equal(mbr_object_create(c, "o", 1), -EEXIST);
    assert_int_equal(mbr_object_join(c, "p"), -ENOENT);
    assert_int_equal(mbr_object_join(c, "o"), 1);
    assert_int_equal(mbr_object_getattr(1, &attr), 0);
    assert_int_equal(attr.size, 5 * BLOCK + 3);
    assert_int_equal(attr.users, 1);
    assert_int_equal(attr.torn, 0);
    assert_int_equal(attr.version, 0);
    assert_int_equal(attr.allocated, 5 * BLOCK + 4096);
    assert_string_equal(attr.name, "o");
    assert_int_equal(mbr_object_leave(o), 0);
    assert_int_equal(mbr_object_rename(1, "o"), -EEXIST);
    assert_int_equal(mbr_object_rename(1, "p"), 0);
    assert_int_equal(mbr_object_join(c, "o"), -ENOENT);
    assert_int_equal(mbr_object_create(c, "o", 1), 0);
    assert_int_equal(mbr_object_rename(0, "p"), -EEXIST);
    assert_int_equal(mbr_container_list(c, &cursor, name), 1);
    assert_string_equal(name, "p");
    assert_int_equal(mbr_container_list(c, &cursor, name), 1);
    assert_string_equal(name, "o");
    assert_int_equal(mbr_container_list(c, &cursor, name), 0);
    cursor = UINT64_MAX;
    assert_int_equal(mbr_container_list(c, &cursor, name), 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void test_unlink(void **state)
{
    int c = mbr_container_create("c", -1);
    uint64_t before;
    int o;
    char byte = 0;

    assert_int_equal(mbr_object_unlink(c, "o"), -ENOENT);
    (void)mbr_object_create(c, "first", 1); /* what is allocated for the table stays */
    before = memory_of(c);
    o = mbr_object_create(c, "o", 20 * BLOCK);
    assert_true(memory_of(c) >= before + 20 * BLOCK);
    assert_int_equal(mbr_object_unlink(c, "o"), 0);
    assert_int_equal(mbr_object_unlink(c, "o"), -ENOENT);
    assert_int_equal(mbr_object_join(c, "o"), -ENOENT);
    assert_int_equal(mbr_object_write(o, 3, "x", 1), 0); /* lives on without its name */
    assert_int_equal(mbr_object_read(o, 3, &byte, 1), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(mbr_object_rename(o, "p"), -ENOENT);
    assert_int_equal(mbr_object_destroy(o), -ENOENT);
    assert_int_equal(mbr_object_create(c, "o", 1), 2);
    assert_int_equal(mbr_object_leave(o), 0);
    assert_int_equal(mbr_object_leave(2), 0);
    assert_int_equal(mbr_object_unlink(c, "o"), 0); /* nobody uses it */
    assert_int_equal(memory_of(c), before);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void test_destroy_object(void **state)
{
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 1);
    int again = mbr_object_join(c, "o");

    assert_int_equal(mbr_object_destroy_until(o, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_destroy_until(o, in_ms(10)), -ETIMEDOUT);
    assert_int_equal(mbr_object_join(c, "o"), 2);
    assert_int_equal(mbr_object_leave(2), 0);
    assert_int_equal(mbr_object_leave(again), 0);
    assert_int_equal(mbr_object_destroy_until(o, NOW), 0);
    assert_int_equal(mbr_object_destroy(o), -EBADF);
    assert_int_equal(mbr_object_join(c, "o"), -ENOENT);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void test_regions(void **state)
{
    static char out[3 * BLOCK];
    static char in[3 * BLOCK];
    const size_t size = 2 * BLOCK + 100;
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", size);
    char *p = NULL;

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 7 + i / 4096);
    assert_int_equal(mbr_object_read(o, 0, in, size), 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(in[i], 0);
    assert_int_equal(mbr_object_write(o, 0, out, size), 0);
    assert_int_equal(mbr_object_read(o, 0, in, size), 0);
    assert_memory_equal(in, out, size);
    assert_int_equal(mbr_object_write(o, BLOCK - 1, "ab", 2), 0);
    assert_int_equal(mbr_object_read(o, BLOCK - 1, in, 2), 0);
    assert_memory_equal(in, "ab", 2);
    /* up to the end and no further */
    assert_int_equal(mbr_object_write(o, size - 1, "z", 1), 0);
    assert_int_equal(mbr_object_write(o, size, "z", 1), -ERANGE);
    assert_int_equal(mbr_object_write(o, 0, out, size + 1), -ERANGE);
    assert_int_equal(mbr_object_write(o, SIZE_MAX, "z", 1), -ERANGE);
    assert_int_equal(mbr_object_write(o, SIZE_MAX, "z", SIZE_MAX), -ERANGE);
    assert_int_equal(mbr_object_read(o, 1, in, SIZE_MAX), -ERANGE);
    assert_int_equal(mbr_object_get(o, 2, SIZE_MAX - 1, &p), -ERANGE);
    assert_int_equal(mbr_object_repair(o, size, 1), -ERANGE);
    /* nothing at all */
    assert_int_equal(mbr_object_write(o, size, NULL, 0), 0);
    assert_int_equal(mbr_object_read(o, 0, NULL, 0), 0);
    assert_int_equal(mbr_object_read(o, size + 1, NULL, 0), -ERANGE);
    assert_int_equal(mbr_object_get(o, size, 0, &p), 0);
    assert_int_equal(mbr_object_write_until(o, 0, out, size, NOW), 0);
    assert_int_equal(mbr_object_put(0), 0);
    assert_int_equal(mbr_object_repair(o, 0, size), 0);
    assert_int_equal(mbr_object_repair(o, size, 0), 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void test_access(void **state)
{
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 20 * BLOCK);
    char byte = 0;
    char *p = NULL;
    char *q = NULL;

    /* blocks 13 and 14: beyond the near locks */
    assert_int_equal(mbr_object_write(o, 14 * BLOCK, "x", 1), 0);
    assert_int_equal(mbr_object_get(o, 13 * BLOCK + 5, BLOCK, &p), 0);
    assert_int_equal(p[BLOCK - 5], 'x');
    assert_int_equal(mbr_object_get(o, 14 * BLOCK, 1, &q), 1);
    assert_ptr_equal(q, p + BLOCK - 5);
    assert_int_equal(mbr_object_write_until(o, 14 * BLOCK + 100, "y", 1, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_write_until(o, 13 * BLOCK, "y", 1, in_ms(10)), -ETIMEDOUT);
    assert_int_equal(mbr_object_write_until(o, 12 * BLOCK, "y", 1, NOW), 0);
    assert_int_equal(mbr_object_write_until(o, 15 * BLOCK, "y", 1, NOW), 0);
    assert_int_equal(mbr_object_edit_until(o, 14 * BLOCK, 1, &q, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_put(0), 0);
    assert_int_equal(mbr_object_write_until(o, 14 * BLOCK + 100, "y", 1, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_put(1), 0);
    assert_int_equal(mbr_object_put(1), -EBADF);
    assert_int_equal(mbr_object_edit_until(o, 14 * BLOCK, 1, &q, NOW), 0);
    assert_int_equal(mbr_object_read_until(o, 14 * BLOCK + 7, &byte, 1, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_get_until(o, 14 * BLOCK + 7, 1, &p, NOW), -ETIMEDOUT);
    q[0] = 'z';
    assert_int_equal(mbr_object_put(0), 0);
    assert_int_equal(mbr_object_read(o, 14 * BLOCK, &byte, 1), 0);
    assert_int_equal(byte, 'z');
    assert_int_equal(mbr_object_get(o, 0, 20 * BLOCK, &p), 0);
    assert_int_equal(mbr_object_leave(o), 0); /* the access goes, too */
    assert_int_equal(mbr_object_put(0), -EBADF);
    o = mbr_object_join(c, "o");
    assert_int_equal(mbr_object_write_until(o, 0, "x", 1, NOW), 0);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* ---- reading once more ---- */

static void *await_writer(void *arg)
{
    int object = *(int *)arg;
    char *bytes;
    int access;

    while ((access = mbr_object_get_until(object, 0, 1, &bytes, 0)) >= 0)
        (void)mbr_object_put(access);
    assert_int_equal(access, -ETIMEDOUT);
    return NULL;
}

static int child_writes(void *arg)
{
    int c = mbr_container_join("c");

    (void)arg;
    CHILD(mbr_object_write(mbr_object_join(c, "o"), 0, "w", 1) == 0);
    return 0;
}

/* A writer waits for us: other readers wait behind it, but we may read what we read already. */
static void test_read_once_more(void **state)
{
    int c = mbr_container_create("c", -1);
    int object = mbr_object_create(c, "o", 2 * MBR_OBJECT_BLOCK);
    pthread_t other;
    char *bytes;
    int first;
    int again;
    pid_t writer;

    (void)state;
    first = mbr_object_get(object, 0, 10, &bytes);
    assert_true(first >= 0);
    writer = object_test_child(child_writes, NULL);
    assert_int_equal(pthread_create(&other, NULL, await_writer, &object), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    again = mbr_object_get_until(object, 5, MBR_OBJECT_BLOCK, &bytes, 0);
    assert_true(again >= 0);
    assert_int_equal(mbr_object_put(first), 0);
    assert_int_equal(bytes[0], 0); /* the writer waits for this one, too */
    assert_int_equal(mbr_object_put(again), 0);
    assert_int_equal(object_test_wait(writer), 0);
    assert_int_equal(mbr_container_destroy(c), 0);
}

static void test_access_max(void **state)
{
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", BLOCK);
    char byte;
    char *p;

    for (int i = 0; i < MBR_ACCESS_MAX; i++)
        assert_int_equal(mbr_object_get(o, (size_t)i, 1, &p), i);
    assert_int_equal(mbr_object_get(o, 0, 1, &p), -EMFILE);
    assert_int_equal(mbr_object_read(o, 0, &byte, 1), 0); /* needs none */
    assert_int_equal(mbr_object_write_until(o, 0, "x", 1, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_put(500), 0);
    assert_int_equal(mbr_object_get(o, 0, 1, &p), 500);
    assert_int_equal(mbr_object_leave(o), 0);
    for (int i = 0; i < MBR_ACCESS_MAX; i++)
        assert_int_equal(mbr_object_put(i), -EBADF);
    assert_int_equal(mbr_container_leave(c), 0);
}

static void test_resize(void **state)
{
    static char in[4 * BLOCK];
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 10);
    uint64_t small = memory_of(c);
    char *p = NULL;

    assert_int_equal(mbr_object_write(o, 0, "0123456789", 10), 0);
    assert_int_equal(mbr_object_get(o, 0, 10, &p), 0);
    assert_int_equal(mbr_object_resize(o, 30 * BLOCK), 0); /* others may go on reading */
    assert_memory_equal(p, "0123456789", 10);
    assert_int_equal(mbr_object_read(o, 26 * BLOCK, in, 4 * BLOCK), 0);
    for (size_t i = 0; i < sizeof(in); i++)
        assert_int_equal(in[i], 0);
    memset(in, 'x', sizeof(in));
    assert_int_equal(mbr_object_write(o, 26 * BLOCK, in, 4 * BLOCK), 0);
    assert_int_equal(mbr_object_resize_until(o, 5, NOW), -ETIMEDOUT);
    assert_int_equal(mbr_object_put(0), 0);
    assert_int_equal(mbr_object_resize_until(o, 27 * BLOCK + 1, NOW), 0);
    assert_int_equal(mbr_object_read(o, 27 * BLOCK + 1, in, 1), -ERANGE);
    assert_int_equal(mbr_object_resize(o, 30 * BLOCK), 0);
    assert_int_equal(mbr_object_read(o, 27 * BLOCK, in, 3), 0);
    assert_memory_equal(in, "x\0\0", 3);
    assert_int_equal(mbr_object_resize(o, 5), 0);
    assert_int_equal(mbr_object_read(o, 0, in, 5), 0);
    assert_memory_equal(in, "01234", 5);
    assert_int_equal(mbr_object_resize(o, 10), 0);
    assert_int_equal(mbr_object_read(o, 0, in, 10), 0);
    assert_memory_equal(in, "01234\0\0\0\0\0", 10);
    /* all but the locks, which stay: two pages for 18 blocks */
    assert_true(memory_of(c) <= small + 2 * 4096);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* More memory than there is. */
static void test_too_large(void **state)
{
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 1);
    uint64_t before = memory_of(c);
    long pages = sysconf(_SC_PHYS_PAGES);
    int rc;

    if ((uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) > MBR_OBJECT_SIZE_MAX)
        skip();
    rc = mbr_object_create(c, "p", MBR_OBJECT_SIZE_MAX);
    assert_true(rc == -ENOMEM || rc == -ENOSPC);
    rc = mbr_object_resize(o, MBR_OBJECT_SIZE_MAX);
    assert_true(rc == -ENOMEM || rc == -ENOSPC);
    assert_int_equal(memory_of(c), before);
    assert_int_equal(mbr_object_create(c, "p", 1), 1);
    assert_int_equal(mbr_container_leave(c), 0);
}

/* ---- other processes ------------------------------------------------------------------------- */

static int child_reads(void *arg)
{
    char byte = 0;
    int c;
    int o;

    CHILD(mbr_object_read(0, 0, &byte, 1) == -EPERM);
    CHILD(mbr_object_put(0) == -EPERM);
    CHILD(mbr_object_put(7) == -EBADF);
    CHILD(mbr_container_leave(0) == -EPERM);
    c = mbr_container_join("c");
    CHILD(c == 0);
    CHILD(mbr_object_read(0, 0, &byte, 1) == -EPERM); /* still the parent's */
    CHILD(mbr_object_put(0) == -EPERM);
    o = mbr_object_join(c, "o");
    CHILD(o == 0);
    CHILD(mbr_object_read(o, 0, &byte, 1) == 0 && byte == 'p');
    CHILD(mbr_object_write_until(o, 0, "c", 1, NOW) == -ETIMEDOUT); /* the parent's access */
    CHILD(mbr_object_write(o, BLOCK, "c", 1) == 0);
    CHILD(mbr_container_leave(c) == 0);
    return 0;
}

static void test_fork(void **state)
{
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 2 * BLOCK);
    char byte = 0;
    char *p;

    assert_int_equal(mbr_object_write(o, 0, "p", 1), 0);
    assert_int_equal(mbr_object_get(o, 0, 1, &p), 0);
    assert_int_equal(object_test_wait(object_test_child(child_reads, NULL)), 0);
    assert_int_equal(mbr_object_read(o, BLOCK, &byte, 1), 0);
    assert_int_equal(byte, 'c');
    assert_int_equal(mbr_object_put(0), 0);
    assert_int_equal(mbr_container_destroy_until(c, NOW), 0);
}

static int child_dies_holding(void *arg)
{
    int c = mbr_container_join("c");
    int o = mbr_object_join(c, "o");
    char *p;

    CHILD(c >= 0 && o >= 0);
    CHILD(mbr_object_get(o, 0, 1, &p) >= 0);
    CHILD(mbr_object_edit(o, BLOCK, 1, &p) >= 0);
    (void)kill(getpid(), SIGKILL);
    return 1;
}

static void test_death(void **state)
{
    struct mbr_container_attr ca;
    struct mbr_object_attr oa;
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 3 * BLOCK);
    char byte;

    assert_int_equal(object_test_wait(object_test_child(child_dies_holding, NULL)), -SIGKILL);
    assert_int_equal(mbr_object_write(o, 0, "x", 1), 0);
    assert_int_equal(mbr_object_read(o, BLOCK, &byte, 1), -EOWNERDEAD);
    assert_int_equal(mbr_object_read(o, BLOCK, &byte, 1), -ENOTRECOVERABLE);
    assert_int_equal(mbr_object_getattr(o, &oa), 0);
    assert_int_equal(oa.users, 1);
    assert_int_equal(oa.torn, 1);
    assert_int_equal(mbr_object_repair(o, 0, 3 * BLOCK), 0);
    assert_int_equal(mbr_object_read(o, BLOCK, &byte, 1), 0);
    assert_int_equal(mbr_container_getattr(c, &ca), 0);
    assert_int_equal(ca.members, 1);
    assert_int_equal(ca.objects, 1);
    assert_int_equal(mbr_object_destroy_until(o, NOW), 0);
    assert_int_equal(mbr_container_destroy_until(c, NOW), 0);
    assert_int_equal(object_test_count_links(), 0);
}

/* ---- how many members there are ---- */

#define CROWD 60

static int close_looks; /* since it was set to 0 */

int __real_mbr__proc_alive(const struct mbr__proc *p);
int __wrap_mbr__proc_alive(const struct mbr__proc *p);

int __wrap_mbr__proc_alive(const struct mbr__proc *p)
{
    close_looks++;
    return __real_mbr__proc_alive(p);
}

/* Joins, says so, and stays until it is killed. */
static int child_stays(void *arg)
{
    const int *said = arg;

    CHILD(mbr_object_join(mbr_container_join("c"), "o") >= 0);
    CHILD(write(said[1], "", 1) == 1);
    for (;;)
        (void)pause();
}

/* Counting them does not look at each closely, and leaves out one that has died just now. */
static void test_many_members(void **state)
{
    struct mbr_container_attr ca;
    struct mbr_object_attr oa;
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 1);
    pid_t child[CROWD];
    int said[2];
    char byte;

    assert_int_equal(pipe(said), 0);
    for (int i = 0; i < CROWD; i++) {
        child[i] = object_test_child(child_stays, said);
        assert_int_equal(read(said[0], &byte, 1), 1);
    }
    for (int i = 0; i < CROWD; i++) {
        close_looks = 0;
        assert_int_equal(mbr_object_getattr(o, &oa), 0);
        assert_int_equal(oa.users, CROWD - i + 1);
        assert_int_equal(mbr_container_getattr(c, &ca), 0);
        assert_int_equal(ca.members, CROWD - i + 1);
        assert_true(close_looks < CROWD);
        assert_int_equal(kill(child[i], SIGKILL), 0);
        assert_int_equal(object_test_wait(child[i]), -SIGKILL);
    }
    assert_int_equal(mbr_container_destroy_until(c, 0), 0);
    (void)close(said[0]);
    (void)close(said[1]);
}

/* ---- numbers that are not among the first ---- */

#define LATE     300
#define ACCESSES 100

static int child_tries_to_write(void *arg)
{
    int o = mbr_object_join(mbr_container_join("c"), "o");

    CHILD(mbr_object_write_until(o, 0, "!", 1, NOW) == *(int *)arg);
    return 0;
}

static void assert_others_write(int error)
{
    assert_int_equal(object_test_wait(object_test_child(child_tries_to_write, &error)), 0);
}

static void get_many(int object, int access[ACCESSES])
{
    char *p = NULL;

    for (int i = 0; i < ACCESSES; i++) {
        access[i] = mbr_object_get(object, (size_t)i, 1, &p);
        assert_int_equal(access[i], i);
    }
}

static void test_late_numbers(void **state)
{
    int c = mbr_container_create("c", -1);
    int first = mbr_object_create(c, "o", 3 * BLOCK);
    int access[ACCESSES];
    int late = first;
    char *p = NULL;

    while (late < LATE)
        late = mbr_object_join(c, "o");
    for (int round = 0; round < 3; round++) {
        get_many(late, access);
        assert_others_write(-ETIMEDOUT);
        for (int i = ACCESSES - 1; i > 0; i--)
            assert_int_equal(mbr_object_put(access[i]), 0);
        assert_int_equal(mbr_object_put(access[ACCESSES - 1]), -EBADF);
        assert_others_write(-ETIMEDOUT);
        assert_int_equal(mbr_object_put(access[0]), 0);
        assert_others_write(0);
    }
    assert_int_equal(mbr_object_get(late, 3 * BLOCK, 1, &p), -ERANGE);
    assert_int_equal(mbr_object_get(late, SIZE_MAX, 2, &p), -ERANGE);
    assert_int_equal(mbr_object_get(late, BLOCK, 0, &p), 0);
    assert_int_equal(mbr_object_put(0), 0);
    assert_int_equal(mbr_object_get(LATE + 1, 0, 1, &p), -EBADF);
    assert_int_equal(mbr_object_get(INT_MAX, 0, 1, &p), -EBADF);
    assert_int_equal(mbr_object_get(late, 0, 1, NULL), -EINVAL);
    get_many(late, access);
    assert_int_equal(mbr_object_leave(late), 0); /* and with it what was got through it */
    assert_others_write(0);
    for (int i = 0; i < ACCESSES; i++)
        assert_int_equal(mbr_object_put(access[i]), -EBADF);
    assert_int_equal(mbr_object_get(late, 0, 1, &p), -EBADF);
    assert_int_equal(mbr_container_destroy_until(c, NOW), 0);
}

/* A process that calls exec lives on without the container. */
static int child_execs_holding(void *arg)
{
    int *ends = arg;
    int c = mbr_container_join("c");
    int o = mbr_object_join(c, "o");
    char *p;

    CHILD(c >= 0 && o >= 0 && mbr_object_get(o, 0, 1, &p) >= 0);
    CHILD(dup2(ends[0], 0) == 0 && dup2(ends[3], 1) == 1);
    CHILD(close(ends[1]) == 0);
    (void)execl("/bin/cat", "cat", (char *)NULL);
    return 1;
}

static void test_exec(void **state)
{
    struct mbr_container_attr attr;
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 100);
    char byte = 0;
    int ends[4];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(ends + 2), 0);
    child = object_test_child(child_execs_holding, ends);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(ends[2], &byte, 1), 1); /* cat runs */
    assert_int_equal(mbr_object_write(o, 0, "x", 1), 0);
    assert_int_equal(mbr_container_getattr(c, &attr), 0);
    assert_int_equal(attr.members, 1);
    assert_int_equal(mbr_container_destroy_until(c, 0), 0);
    for (int i = 0; i < 4; i++)
        (void)close(ends[i]);
    assert_int_equal(object_test_wait(child), 0);
}

static int child_creates(void *arg)
{
    int *pipe_ = arg;
    char byte = 0;
    int c = mbr_container_create("c", -1);
    int o = mbr_object_create(c, "o", 10);

    CHILD(c >= 0 && mbr_object_write(o, 0, "hello", 5) == 0);
    CHILD(write(pipe_[1], "x", 1) == 1);
    CHILD(read(pipe_[2], &byte, 1) == 1);
    (void)kill(getpid(), SIGKILL);
    return 1;
}

static int child_joins(void *arg)
{
    char text[6] = "";
    int c = mbr_container_join("c");
    int o = mbr_object_join(c, "o");

    CHILD(c >= 0 && mbr_object_read(o, 0, text, 5) == 0 && strcmp(text, "hello") == 0);
    return 0;
}

/* The process that the name leads to is killed: another member is found, and the links mended. */
static void test_first_member_dies(void **state)
{
    int pipe_[4];
    char byte;
    pid_t creator;
    int c;

    assert_int_equal(pipe(pipe_), 0);
    assert_int_equal(pipe(pipe_ + 2), 0);
    creator = object_test_child(child_creates, pipe_);
    assert_int_equal(read(pipe_[0], &byte, 1), 1);
    c = mbr_container_join("c");
    assert_int_equal(c, 0);
    assert_int_equal(write(pipe_[3], "x", 1), 1);
    assert_int_equal(object_test_wait(creator), -SIGKILL);
    assert_int_equal(mbr_container_create("c", -1), -EEXIST);
    assert_int_equal(object_test_wait(object_test_child(child_joins, NULL)), 0);
    assert_int_equal(object_test_wait(object_test_child(child_joins, NULL)), 0);
    assert_int_equal(mbr_container_leave(c), 0);
    assert_int_equal(mbr_container_join("c"), -ENOENT);
    assert_int_equal(object_test_count_links(), 0);
    for (int i = 0; i < 4; i++)
        (void)close(pipe_[i]);
}

/* mbr_gc() removes the links of the dead, but for the one that leads to the living. */
static void test_gc(void **state)
{
    int pipe_[4];
    char byte;
    pid_t creator;
    int c;

    assert_int_equal(pipe(pipe_), 0);
    assert_int_equal(pipe(pipe_ + 2), 0);
    creator = object_test_child(child_creates, pipe_);
    assert_int_equal(read(pipe_[0], &byte, 1), 1);
    c = mbr_container_join("c");
    assert_int_equal(c, 0);
    assert_int_equal(mbr_gc(0, NULL, NULL), 0);
    assert_int_equal(object_test_count_links(), 3);
    assert_int_equal(write(pipe_[3], "x", 1), 1);
    assert_int_equal(object_test_wait(creator), -SIGKILL);
    assert_int_equal(mbr_gc(1, NULL, NULL), 1); /* the creator's own, not c.c */
    assert_int_equal(mbr_gc(0, NULL, NULL), 1);
    assert_int_equal(object_test_count_links(), 2);
    assert_int_equal(object_test_wait(object_test_child(child_joins, NULL)), 0);
    assert_int_equal(mbr_container_leave(c), 0);

    creator = object_test_child(child_creates, pipe_);
    assert_int_equal(read(pipe_[0], &byte, 1), 1);
    assert_int_equal(write(pipe_[3], "x", 1), 1);
    assert_int_equal(object_test_wait(creator), -SIGKILL);
    assert_int_equal(object_test_count_links(), 2);
    assert_int_equal(mbr_gc(0, NULL, NULL), 2);
    assert_int_equal(object_test_count_links(), 0);
    for (int i = 0; i < 4; i++)
        (void)close(pipe_[i]);
}

/* All are killed: the name is free, the memory gone. */
static void test_all_die(void **state)
{
    int pipe_[4];
    char byte;
    pid_t creator;

    assert_int_equal(pipe(pipe_), 0);
    assert_int_equal(pipe(pipe_ + 2), 0);
    creator = object_test_child(child_creates, pipe_);
    assert_int_equal(read(pipe_[0], &byte, 1), 1);
    assert_int_equal(write(pipe_[3], "x", 1), 1);
    assert_int_equal(object_test_wait(creator), -SIGKILL);
    assert_int_equal(mbr_container_join("c"), -ENOENT);
    assert_int_equal(object_test_count_links(), 0);
    assert_int_equal(mbr_container_create("c", -1), 0);
    assert_int_equal(mbr_container_leave(0), 0);
    for (int i = 0; i < 4; i++)
        (void)close(pipe_[i]);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, object_test_setup, object_test_teardown)
    const struct CMUnitTest tests[] = {
        T(test_names),     T(test_create_join_leave), T(test_numbers),
        T(test_arguments), T(test_destroy_container), T(test_objects),
        T(test_unlink),    T(test_destroy_object),    T(test_regions),
        T(test_access),    T(test_read_once_more),    T(test_access_max),
        T(test_resize),    T(test_too_large),         T(test_fork),
        T(test_death),     T(test_many_members),      T(test_late_numbers),
        T(test_exec),      T(test_first_member_dies), T(test_all_die),
        T(test_gc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
