/* SPDX-License-Identifier: MIT */
/*
 * What the atomic macros return, on all three kinds of words, and the pairs between two threads. (A
 * run on one machine can only find an ordering missing, not prove it there: that is for the
 * models.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <cmocka.h>

#include "base/atomic.h"

#define ROUNDS 20000u

static void words_of_32_bits(void **state)
{
    uint32_t word = 1;
    const uint32_t *reader = &word;
    uint32_t expected = 7;

    mbr_store_relaxed(&word, 2u);
    assert_int_equal(mbr_load_relaxed(reader), 2);
    mbr_store_release(&word, UINT32_MAX);
    assert_int_equal(mbr_load_acquire(reader), UINT32_MAX);
    assert_int_equal(mbr_fetch_add(&word, 3u), UINT32_MAX);
    assert_int_equal(mbr_fetch_or(&word, 8u), 2);
    assert_int_equal(mbr_fetch_and(&word, 9u), 10);
    assert_int_equal(mbr_exchange(&word, 5u), 8);
    assert_false(mbr_cas(&word, &expected, 6u));
    assert_int_equal(expected, 5);
    assert_true(mbr_cas(&word, &expected, 6u));
    assert_int_equal(word, 6);
}

static void words_of_64_bits(void **state)
{
    uint64_t word = 1;
    const uint64_t *reader = &word;
    uint64_t expected = 7;

    mbr_store_relaxed(&word, 1ull << 40);
    assert_true(mbr_load_relaxed(reader) == 1ull << 40);
    mbr_store_release(&word, UINT64_MAX);
    assert_true(mbr_load_acquire(reader) == UINT64_MAX);
    assert_true(mbr_fetch_add(&word, 3u) == UINT64_MAX);
    assert_true(mbr_fetch_or(&word, 1ull << 63) == 2);
    assert_true(mbr_fetch_and(&word, 3ull << 62) == (1ull << 63 | 2));
    assert_true(mbr_exchange(&word, 5u) == 1ull << 63);
    assert_false(mbr_cas(&word, &expected, 6u));
    assert_true(expected == 5);
    assert_true(mbr_cas(&word, &expected, 6u));
    assert_true(word == 6);
}

static void pointers(void **state)
{
    int a, b;
    int *word = &a;
    int *expected = &b;

    mbr_store_release(&word, &b);
    assert_ptr_equal(mbr_load_acquire(&word), &b);
    assert_ptr_equal(mbr_exchange(&word, &a), &b);
    assert_false(mbr_cas(&word, &expected, &b));
    assert_ptr_equal(expected, &a);
    assert_true(mbr_cas(&word, &expected, &b));
    mbr_cpu_relax();
    assert_ptr_equal(mbr_cpu_gap(word), &b);
}

static uint64_t published;
static uint64_t payload;

static void *publish(void *argument)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        while (mbr_load_acquire(&published) != 0)
            mbr_cpu_relax();
        payload = i * 3;
        mbr_store_release(&published, i);
    }
    return argument;
}

/* Pair A, both ways: the payload is plain, so ThreadSanitizer watches it too. */
static void publication(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, publish, NULL), 0);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        while (mbr_load_acquire(&published) == 0)
            mbr_cpu_relax();
        assert_true(payload == i * 3);
        mbr_store_release(&published, 0u);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static uint32_t mine[2][ROUNDS];
static uint32_t seen[2][ROUNDS];
static uint32_t started;

static void *store_then_load(void *argument)
{
    size_t side = argument == NULL ? 0 : 1;

    (void)mbr_fetch_add(&started, 1u);
    while (mbr_load_relaxed(&started) != 2)
        mbr_cpu_relax();
    for (size_t i = 0; i < ROUNDS; i++) {
        mbr_store_relaxed(&mine[side][i], 1u);
        mbr_fence_full();
        seen[side][i] = mbr_load_relaxed(&mine[1 - side][i]);
    }
    return argument;
}

/* Pair B: at least one of the two sees the other's store. */
static void store_and_load(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, store_then_load, &started), 0);
    (void)store_then_load(NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < ROUNDS; i++)
        assert_true(seen[0][i] || seen[1][i]);
}

static uint32_t lock;
static uint64_t tickets;
static uint64_t guarded;

static void *hand_over(void *argument)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t expected = 0;

        (void)mbr_fetch_add(&tickets, 1u);
        while (!mbr_cas(&lock, &expected, 1u)) {
            expected = 0;
            mbr_cpu_relax();
        }
        guarded++;
        (void)mbr_exchange(&lock, 0u);
    }
    return argument;
}

/* Pair C, as the simplest lock there is. */
static void handing_over(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, hand_over, NULL), 0);
    (void)hand_over(NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(mbr_load_relaxed(&tickets) == 2ull * ROUNDS);
    assert_true(guarded == 2ull * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_32_bits), cmocka_unit_test(words_of_64_bits),
        cmocka_unit_test(pointers),         cmocka_unit_test(publication),
        cmocka_unit_test(store_and_load),   cmocka_unit_test(handing_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
