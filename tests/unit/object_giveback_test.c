/* SPDX-License-Identifier: MIT */
/*
 * Threads of one process: joining and leaving the same container and objects at once, giving back a
 * number while others are inside a call with it, and many readers and writers. Run by
 * ThreadSanitizer, too.
 */
#include "object_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/atomic.h"

#define THREADS 4
#define SIZE    (2 * MBR_OBJECT_BLOCK)

static int container;
static uint32_t stop;

static void in_threads(void *(*fn)(void *arg), int n)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)(intptr_t)i), 0);
    for (int i = 0; i < n; i++) {
        void *result = NULL;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
}

/* In a thread: ends it as failed. */
#define THREAD(cond)                                                           \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "thread, %s:%d: %s\n", __FILE__, __LINE__, #cond); \
            return (void *)1;                                                  \
        }                                                                      \
    } while (0)

static void *joins_and_leaves(void *arg)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "own%d", (int)(intptr_t)arg);
    for (int i = 0; i < 150; i++) {
        int c = mbr_container_join("c");
        int o = mbr_object_join(c, "o");
        int mine = mbr_object_create(c, name, 100);
        char *p = NULL;
        int a;

        THREAD(c >= 0 && o >= 0 && mine >= 0);
        a = mbr_object_get(o, 0, 10, &p);
        THREAD(a >= 0 && mbr_object_write(mine, 0, p, 10) == 0);
        if (i % 3 == 0)
            THREAD(mbr_object_put(a) == 0 && mbr_object_leave(o) == 0);
        if (i % 2 == 0)
            THREAD(mbr_object_unlink(c, name) == 0);
        else
            THREAD(mbr_object_destroy_until(mine, MBR_FOREVER) == 0);
        THREAD(mbr_container_leave(c) == 0);
    }
    return NULL;
}

/* As the only member, so that each may be the first to come and the last to leave. */
static void *comes_and_goes(void *arg)
{
    (void)arg;
    for (int i = 0; i < 60; i++) {
        int c = mbr_container_join("c");

        if (c == -ENOENT) {
            c = mbr_container_create("c", -1);
            if (c == -EEXIST)
                continue;
        }
        THREAD(c >= 0 && mbr_container_leave(c) == 0);
    }
    return NULL;
}

static void test_join_leave(void **state)
{
    struct mbr_container_attr attr;

    container = mbr_container_create("c", -1);
    assert_int_equal(mbr_object_create(container, "o", 100), 0);
    in_threads(joins_and_leaves, THREADS);
    assert_int_equal(mbr_container_getattr(container, &attr), 0);
    assert_int_equal(attr.objects, 1);
    assert_int_equal(attr.members, 1);
    assert_int_equal(mbr_container_destroy_until(container, 0), 0);
    assert_int_equal(object_test_count_links(), 0);
}

static void test_first_and_last(void **state)
{
    in_threads(comes_and_goes, THREADS);
    assert_int_equal(object_test_count_links(), 0);
    assert_int_equal(mbr_container_join("c"), -ENOENT);
}

/* Uses whatever object number 0 is, while the main thread gives it back and gets it anew. */
static void *uses(void *arg)
{
    char bytes[64];
    char *p = NULL;

    (void)arg;
    while (mbr_load_relaxed(&stop) == 0) {
        int a = mbr_object_get(0, 0, 64, &p);
        int rc = mbr_object_read(0, 10, bytes, 64);

        THREAD(rc == 0 || rc == -EBADF);
        THREAD(a >= 0 || a == -EBADF);
        if (a >= 0) {
            rc = mbr_object_put(a);
            THREAD(rc == 0 || rc == -EBADF);
        }
        rc = mbr_object_write(0, MBR_OBJECT_BLOCK - 20, bytes, 64);
        THREAD(rc == 0 || rc == -EBADF);
    }
    return NULL;
}

static void *leaves(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        int o;

        THREAD(mbr_object_leave(0) == 0);
        o = mbr_object_join(container, "o");
        THREAD(o == 0);
    }
    mbr_store_relaxed(&stop, 1);
    return NULL;
}

static void *uses_or_leaves(void *arg)
{
    return (intptr_t)arg == 0 ? leaves(arg) : uses(arg);
}

static void test_leave_while_used(void **state)
{
    container = mbr_container_create("c", -1);
    assert_int_equal(mbr_object_create(container, "o", SIZE), 0);
    mbr_store_relaxed(&stop, 0);
    in_threads(uses_or_leaves, 3);
    assert_int_equal(mbr_object_write_until(0, 0, "x", 1, 0), 0); /* nothing is still locked */
    assert_int_equal(mbr_container_destroy_until(container, 0), 0);
}

/* A region across two blocks is written as one: a reader sees one writer's byte everywhere. */
static void *reads_and_writes(void *arg)
{
    unsigned char bytes[1000];
    char *p = NULL;

    for (int i = 0; i < 400; i++) {
        int a;

        memset(bytes, (int)(intptr_t)arg * 50 + i % 50, sizeof(bytes));
        THREAD(mbr_object_write(0, MBR_OBJECT_BLOCK - 500, bytes, sizeof(bytes)) == 0);
        a = mbr_object_get(0, MBR_OBJECT_BLOCK - 500, sizeof(bytes), &p);
        THREAD(a >= 0);
        for (size_t k = 1; k < sizeof(bytes); k++)
            THREAD(p[k] == p[0]);
        THREAD(mbr_object_put(a) == 0);
    }
    return NULL;
}

static void test_readers_and_writers(void **state)
{
    container = mbr_container_create("c", -1);
    assert_int_equal(mbr_object_create(container, "o", SIZE), 0);
    in_threads(reads_and_writes, THREADS);
    assert_int_equal(mbr_container_destroy_until(container, 0), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, object_test_setup, object_test_teardown)
    const struct CMUnitTest tests[] = {T(test_join_leave), T(test_first_and_last),
                                       T(test_leave_while_used), T(test_readers_and_writers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
