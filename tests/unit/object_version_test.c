/* SPDX-License-Identifier: MIT */
/*
 * Objects whose readers keep the version they began with: against a copy in plain memory, with
 * versions that are held, and with writers and readers that are killed. Schedules of publishing
 * and pinning are tests/model's.
 */
#include "object_test.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#define BLOCK MBR_OBJECT_BLOCK
#define NAME  "versions"

static int container, object;

static int open_object(void **state)
{
    (void)state;
    container = mbr_container_create("test", -1);
    return container < 0 ? container : 0;
}

static int close_object(void **state)
{
    (void)state;
    return mbr_container_leave(container);
}

static void make(size_t size)
{
    object = mbr_object_create_with(container, NAME, size, MBR_WRITE_VERSIONED);
    assert_true(object >= 0);
}

static uint64_t version_of(int obj)
{
    struct mbr_object_attr attr;

    assert_int_equal(mbr_object_getattr(obj, &attr), 0);
    assert_int_equal(attr.policy, MBR_WRITE_VERSIONED);
    return attr.version;
}

static uint64_t allocated(void)
{
    struct mbr_object_attr attr;

    assert_int_equal(mbr_object_getattr(object, &attr), 0);
    return attr.allocated;
}

static void small_one(void **state)
{
    char buf[64] = {0};

    make(64);
    assert_int_equal(mbr_object_read(object, 0, buf, 64), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(buf[i], 0);
    assert_int_equal(version_of(object), 0);
    assert_int_equal(mbr_object_write(object, 60, "abcd", 4), 0);
    assert_int_equal(mbr_object_write(object, 0, "xy", 2), 0);
    assert_int_equal(version_of(object), 2);
    assert_int_equal(mbr_object_read(object, 0, buf, 64), 0);
    assert_memory_equal(buf, "xy\0", 3);
    assert_memory_equal(buf + 60, "abcd", 4);
    assert_true(allocated() <= 2 * 4096);
    assert_int_equal(mbr_object_leave(object), 0);
}

static void errors(void **state)
{
    char buf[8];
    char *p = NULL;

    make(8);
    assert_int_equal(mbr_object_write(object, 8, buf, 1), -ERANGE);
    assert_int_equal(mbr_object_write(object, SIZE_MAX, buf, 2), -ERANGE);
    assert_int_equal(mbr_object_read(object, 4, buf, 5), -ERANGE);
    assert_int_equal(mbr_object_get(object, 0, 9, &p), -ERANGE);
    assert_int_equal(mbr_object_edit(object, 0, 8, &p), -EOPNOTSUPP);
    assert_int_equal(mbr_object_write(object, 8, NULL, 0), 0);
    assert_int_equal(mbr_object_read(object, 8, NULL, 0), 0);
    int a = mbr_object_get(object, 8, 0, &p);

    assert_true(a >= 0);
    assert_int_equal(mbr_object_put(a), 0);
    assert_int_equal(version_of(object), 0);
    assert_int_equal(mbr_object_resize(object, MBR_OBJECT_SIZE_MAX / 2 + 1), -EFBIG);
    assert_int_equal(
        mbr_object_create_with(container, "big", MBR_OBJECT_SIZE_MAX / 2 + 1, MBR_WRITE_VERSIONED),
        -EFBIG);
    assert_int_equal(mbr_object_leave(object), 0);
}

/* Who has access keeps what it has; who comes sees what is new. */
static void readers_keep_theirs(void **state)
{
    char *pointers[4];
    int accesses[4];
    char buf[BLOCK / 256];

    make(2 * BLOCK);
    for (int i = 0; i < 4; i++) {
        memset(buf, 'a' + i, sizeof(buf));
        assert_int_equal(mbr_object_write(object, BLOCK - 8, buf, sizeof(buf)), 0);
        accesses[i] = mbr_object_get(object, BLOCK - 8, sizeof(buf), &pointers[i]);
        assert_true(accesses[i] >= 0);
    }
    for (int i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof(buf); k++)
            assert_int_equal(pointers[i][k], 'a' + i);
        assert_int_equal(mbr_object_put(accesses[i]), 0);
    }
    assert_int_equal(mbr_object_leave(object), 0);
}

static void bytes_are_read_only(void **state)
{
    char *p;

    make(100);
    int a = mbr_object_get(object, 0, 100, &p);

    assert_true(a >= 0);
    /* The kernel may not write there for us either. */
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(ends[0], p, 1), -1);
    assert_int_equal(errno, EFAULT);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(mbr_object_put(a), 0);
    assert_int_equal(mbr_object_leave(object), 0);
}

/* A writer cannot have more than there is room for, and gets on when readers leave. */
static void many_versions_are_held(void **state)
{
    enum { HELD = 600 };
    static int accesses[HELD];
    static char *pointers[HELD];
    int n = 0;
    int rc = 0;

    make(sizeof(int));
    while (n < HELD && rc == 0) {
        rc = mbr_object_write(object, 0, &n, sizeof(n));
        if (rc != 0)
            break;
        accesses[n] = mbr_object_get(object, 0, sizeof(n), &pointers[n]);
        assert_true(accesses[n] >= 0);
        n++;
    }
    assert_int_equal(rc, -ENOSPC);
    assert_true(n > 500);
    for (int i = 0; i < n; i++) {
        int value;

        memcpy(&value, pointers[i], sizeof(value));
        assert_int_equal(value, i);
        assert_int_equal(mbr_object_put(accesses[i]), 0);
        if (i == 0)
            assert_int_equal(mbr_object_write(object, 0, &n, sizeof(n)), 0);
    }
    assert_int_equal(mbr_object_write(object, 0, &n, sizeof(n)), 0);
    assert_true(allocated() <= 4 * 4096); /* what nobody reads any more was given back */
    assert_int_equal(mbr_object_leave(object), 0);
}

static void sizes(void **state)
{
    char *p;
    char buf[16];

    make(3 * BLOCK);
    assert_int_equal(mbr_object_write(object, 3 * BLOCK - 16, "0123456789abcdef", 16), 0);
    int a = mbr_object_get(object, 0, 3 * BLOCK, &p);

    assert_true(a >= 0);
    assert_int_equal(mbr_object_resize(object, 3 * BLOCK - 8), 0);
    assert_int_equal(mbr_object_read(object, 3 * BLOCK - 16, buf, 16), -ERANGE);
    assert_memory_equal(p + 3 * BLOCK - 16, "0123456789abcdef", 16);
    assert_int_equal(mbr_object_resize(object, 3 * BLOCK + 100), 0);
    assert_int_equal(mbr_object_read(object, 3 * BLOCK - 16, buf, 16), 0);
    assert_memory_equal(buf, "01234567\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(mbr_object_resize(object, 10), 0);
    assert_int_equal(mbr_object_put(a), 0);
    assert_int_equal(mbr_object_write(object, 0, "x", 1), 0);
    assert_true(allocated() <= 2 * BLOCK);
    struct mbr_object_attr attr;

    assert_int_equal(mbr_object_getattr(object, &attr), 0);
    assert_int_equal(attr.size, 10);
    assert_int_equal(mbr_object_leave(object), 0);
}

/* ---- against a copy -------------------------------------------------------------------------- */

#define MOST  (5 * BLOCK + 1000)
#define TURNS 400

static uint64_t seed = 88172645463325252;

static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void same(const uint8_t *copy, size_t size, uint8_t *buf)
{
    size_t offset = any(size);
    size_t n = 1 + any(size - offset);
    char *p;

    assert_int_equal(mbr_object_read(object, offset, buf, n), 0);
    assert_memory_equal(buf, copy + offset, n);
    int a = mbr_object_get(object, offset, n, &p);

    assert_true(a >= 0);
    assert_memory_equal(p, copy + offset, n);
    assert_int_equal(mbr_object_put(a), 0);
}

static void against_a_copy(void **state)
{
    uint8_t *copy = calloc(1, MOST);
    uint8_t *buf = malloc(MOST);
    size_t size = 2 * BLOCK;

    assert_non_null(copy);
    assert_non_null(buf);
    make(size);
    for (int turn = 0; turn < TURNS; turn++) {
        if (any(8) == 0) {
            size_t to = 1 + any(MOST);

            assert_int_equal(mbr_object_resize(object, to), 0);
            if (to < size)
                memset(copy + to, 0, size - to);
            size = to;
        } else {
            size_t offset = any(size);
            size_t n = any(3) == 0 ? 1 + any(size - offset) : 1 + any(size - offset) % 5000;

            memset(buf, (int)any(256), n);
            assert_int_equal(mbr_object_write(object, offset, buf, n), 0);
            memcpy(copy + offset, buf, n);
        }
        same(copy, size, buf);
    }
    assert_true(allocated() <= 2 * (size + BLOCK));
    assert_int_equal(mbr_object_leave(object), 0);
    free(copy);
    free(buf);
}

/* ---- the dead -------------------------------------------------------------------------------- */

#define WORDS (BLOCK / 4 + 100) /* of 8 bytes: two blocks and a bit */

static int writes_for_ever(void *ready)
{
    static uint64_t words[WORDS];
    int c = mbr_container_join("test");
    int o = mbr_object_join(c, NAME);

    if (c < 0 || o < 0 || mbr_object_read(o, 0, words, sizeof(words)) != 0)
        return 1;
    for (uint64_t value = words[0];; value++) {
        for (size_t i = 0; i < WORDS; i++)
            words[i] = value;
        if (mbr_object_write(o, 0, words, sizeof(words)) != 0)
            return 2;
        __atomic_add_fetch((int *)ready, 1, __ATOMIC_SEQ_CST);
    }
}

/* A writer that is killed at any moment leaves a whole version, and one that was read before is
 * never followed by an older one. */
static void killed_writers(void **state)
{
    static uint64_t words[WORDS];
    int *ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t last = 0;

    assert_true(ready != MAP_FAILED);
    make(sizeof(words));
    for (int turn = 0; turn < 25; turn++) {
        __atomic_store_n(ready, 0, __ATOMIC_SEQ_CST);
        pid_t child = object_test_child(writes_for_ever, ready);

        while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) <= turn % 3) {
            assert_int_equal(mbr_object_read(object, 0, words, sizeof(words)), 0);
            for (size_t i = 0; i < WORDS; i++)
                assert_int_equal(words[i], words[0]);
            assert_true(words[0] >= last);
            last = words[0];
        }
        for (uint64_t i = any(300000); i > 0; i--)
            __asm__ volatile("");
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(mbr_object_read(object, 0, words, sizeof(words)), 0);
        for (size_t i = 0; i < WORDS; i++)
            assert_int_equal(words[i], words[0]);
        assert_true(words[0] >= last);
        last = words[0];
    }
    /* And who comes can write. The first of these may find the version before it beyond those that
     * were held by dead readers; by the third that is free and given back. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(mbr_object_write(object, 0, words, sizeof(words)), 0);
    assert_true(allocated() <= 2 * (sizeof(words) + BLOCK));
    assert_int_equal(munmap(ready, 4096), 0);
    assert_int_equal(mbr_object_leave(object), 0);
}

static int holds_for_ever(void *ready)
{
    int c = mbr_container_join("test");
    int o = mbr_object_join(c, NAME);
    char *p;

    if (c < 0 || o < 0 || mbr_object_get(o, 0, 8, &p) < 0)
        return 1;
    __atomic_store_n((int *)ready, 1, __ATOMIC_SEQ_CST);
    for (;;)
        (void)pause();
}

/* What a dead reader held is used again. */
static void killed_readers(void **state)
{
    int *ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(ready != MAP_FAILED);
    make(8);
    for (uint64_t turn = 0; turn < 20; turn++) {
        __atomic_store_n(ready, 0, __ATOMIC_SEQ_CST);
        assert_int_equal(mbr_object_write(object, 0, &turn, 8), 0);
        pid_t child = object_test_child(holds_for_ever, ready);

        while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) == 0)
            (void)sched_yield();
        assert_int_equal(mbr_object_write(object, 0, &turn, 8), 0);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    assert_int_equal(mbr_object_write(object, 0, "12345678", 8), 0);
    assert_int_equal(mbr_object_write(object, 0, "12345678", 8), 0);
    assert_true(allocated() <= 4 * 4096);
    assert_int_equal(munmap(ready, 4096), 0);
    assert_int_equal(mbr_object_leave(object), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_one, open_object, close_object),
        cmocka_unit_test_setup_teardown(errors, open_object, close_object),
        cmocka_unit_test_setup_teardown(readers_keep_theirs, open_object, close_object),
        cmocka_unit_test_setup_teardown(bytes_are_read_only, open_object, close_object),
        cmocka_unit_test_setup_teardown(many_versions_are_held, open_object, close_object),
        cmocka_unit_test_setup_teardown(sizes, open_object, close_object),
        cmocka_unit_test_setup_teardown(against_a_copy, open_object, close_object),
        cmocka_unit_test_setup_teardown(killed_writers, open_object, close_object),
        cmocka_unit_test_setup_teardown(killed_readers, open_object, close_object),
    };

    return cmocka_run_group_tests(tests, object_test_setup, object_test_teardown);
}
