/* SPDX-License-Identifier: MIT */
/* Numbers of a process: the lowest free one, against a plain array; many threads; a full table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failalloc.h"
#include "object/ids.h"
#include "prop.h"

#define MODEL 9000 /* more than two words of the middle level hold */

static struct mbr__ids *new_ids(uint32_t limit)
{
    struct mbr__ids *ids = calloc(1, sizeof(*ids));

    assert_non_null(ids);
    mbr__ids_init(ids, limit);
    return ids;
}

static void free_ids(struct mbr__ids *ids)
{
    for (size_t i = 0; i < sizeof(ids->chunks) / sizeof(ids->chunks[0]); i++)
        free(ids->chunks[i]);
    free(ids);
}

static uint32_t lowest(const bool *taken)
{
    uint32_t i = 0;

    while (taken[i])
        i++;
    return i;
}

static void test_lowest(void **state)
{
    struct mbr__ids *ids = new_ids(MBR__IDS_MAX);
    static bool taken[MODEL + 1];
    uint64_t x = 88172645463325252u;
    void *slot = NULL;
    uint32_t id = 0;

    memset(taken, 0, sizeof(taken));
    for (uint32_t i = 0; i < MODEL; i++) {
        assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
        assert_int_equal(id, i);
        taken[i] = true;
    }
    for (int step = 0; step < 20000; step++) {
        uint32_t victim;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        victim = (uint32_t)(x >> 20) % MODEL;
        if (taken[victim] && (x & 3) != 0) {
            mbr__ids_give(ids, victim);
            taken[victim] = false;
        } else if (lowest(taken) < MODEL) {
            assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
            assert_int_equal(id, lowest(taken));
            assert_ptr_equal(slot, mbr__ids_at(ids, (int)id));
            taken[id] = true;
        }
    }
    free_ids(ids);
}

static void test_limit(void **state)
{
    static volatile int outside[] = {-1, 8192, INT32_MIN, INT32_MAX};
    struct mbr__ids *ids = new_ids(8192);
    void *slot = NULL;
    uint32_t id = 0;

    for (uint32_t i = 0; i < 8192; i++)
        assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
    assert_int_equal(mbr__ids_take(ids, &id, &slot), -EMFILE);
    mbr__ids_give(ids, 5000);
    assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
    assert_int_equal(id, 5000);
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        assert_null(mbr__ids_at(ids, outside[i]));
    free_ids(ids);
}

static void test_no_memory(void **state)
{
    struct mbr__ids *ids = new_ids(8192);
    void *slot = NULL;
    uint32_t id = 0;

    for (uint32_t i = 0; i < 1u << MBR__IDS_CHUNK_BITS; i++) { /* these need none */
        failalloc_arm(0);
        assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
        assert_false(failalloc_disarm());
    }
    failalloc_arm(0);
    assert_int_equal(mbr__ids_take(ids, &id, &slot), -ENOMEM);
    assert_true(failalloc_disarm());
    assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
    assert_int_equal(id, 1u << MBR__IDS_CHUNK_BITS);
    free_ids(ids);
}

#define THREADS 4
#define ROUNDS  20000

/* Each number has one owner at a time: it writes its mark into the slot and finds it again. */
static void *takes_and_gives(void *arg)
{
    struct mbr__ids *ids = arg;
    uint32_t mine[40];
    uint64_t *slots[40];
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        int n = (int)(i % 40) + 1;

        for (int k = 0; k < n; k++) {
            void *slot = NULL;

            if (mbr__ids_take(ids, &mine[k], &slot) != 0)
                return (void *)1;
            slots[k] = slot;
            *slots[k] = (uint64_t)(uintptr_t)&mine ^ i;
        }
        for (int k = 0; k < n; k++) {
            wrong += *slots[k] != ((uint64_t)(uintptr_t)&mine ^ i);
            mbr__ids_give(ids, mine[k]);
        }
    }
    return wrong == 0 ? NULL : (void *)2;
}

static void test_threads(void **state)
{
    struct mbr__ids *ids = new_ids(8192);
    pthread_t threads[THREADS];
    void *slot = NULL;
    uint32_t id = 0;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, takes_and_gives, ids), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    for (uint32_t i = 0; i < 8192; i++) {
        assert_int_equal(mbr__ids_take(ids, &id, &slot), 0);
        assert_int_equal(id, i);
    }
    free_ids(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lowest),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
