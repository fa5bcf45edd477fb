/* SPDX-License-Identifier: MIT */
/*
 * The store's shared page: layout, bytes through both rings at every offset, impossible indices,
 * wake-ups, and both sides at once in two threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "store/ring.h"

static struct mbr__store_ring_shm shm;
static struct mbr__store_ring server;
static struct mbr__store_ring client;

static int setup(void **state)
{
    memset(&shm, 0, sizeof(shm));
    mbr__store_ring_init(&server, &shm, true);
    mbr__store_ring_init(&client, &shm, false);
    return 0;
}

static ssize_t put(struct mbr__store_ring *ring, const void *bytes, size_t length)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, length};

    return mbr__store_ring_write(ring, &iov, 1);
}

static void test_empty_and_full(void **state)
{
    unsigned char bytes[1500];
    unsigned char back[1500];

    memset(bytes, 7, sizeof(bytes));
    assert_int_equal(mbr__store_ring_read(&server, back, sizeof(back)), -EAGAIN);
    assert_false(mbr__store_ring_readable(&server));
    assert_true(mbr__store_ring_writable(&client));
    assert_int_equal(put(&client, bytes, sizeof(bytes)), 1024);
    assert_false(mbr__store_ring_writable(&client));
    assert_int_equal(put(&client, bytes, 1), -EAGAIN);
    assert_true(mbr__store_ring_readable(&server));
    assert_int_equal(mbr__store_ring_read(&server, back, 1000), 1000);
    assert_int_equal(mbr__store_ring_read(&server, back, 1000), 24);
    assert_int_equal(put(&server, bytes, 3), 3); /* the other ring is not concerned */
    assert_int_equal(mbr__store_ring_read(&client, back, 10), 3);
}

/* Every length from every offset, also over the end of the index. */
static void test_every_offset(void **state)
{
    unsigned char bytes[1024];
    unsigned char back[1024];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (uint32_t start = UINT32_MAX - 1100; start != 1100; start++) {
        uint32_t length = 1 + start % 1024;
        struct iovec iov[2] = {{bytes, length / 3}, {bytes + length / 3, length - length / 3}};

        shm.req_cons = start;
        shm.req_prod = start;
        mbr__store_ring_init(&server, &shm, true);
        mbr__store_ring_init(&client, &shm, false);
        assert_int_equal(mbr__store_ring_write(&client, iov, 2), length);
        assert_int_equal(mbr__store_ring_read(&server, back, sizeof(back)), length);
        assert_memory_equal(back, bytes, length);
    }
}

static void test_impossible_indices(void **state)
{
    static const uint32_t wrong[] = {1025, 2048, UINT32_MAX, 0x80000000u};
    unsigned char bytes[2048];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        (void)setup(NULL);
        shm.req_prod = wrong[i];
        assert_int_equal(mbr__store_ring_read(&server, bytes, sizeof(bytes)), -EPROTO);
        shm.rsp_cons = 0u - wrong[i];
        assert_int_equal(put(&server, "x", 1), -EPROTO);
    }
}

/* What the peer writes over our own indices has no effect. */
static void test_own_indices_are_private(void **state)
{
    unsigned char back[16];

    assert_int_equal(put(&client, "abc", 3), 3);
    shm.req_cons = 77;
    assert_int_equal(mbr__store_ring_read(&server, back, sizeof(back)), 3);
    assert_int_equal(shm.req_cons, 3);
    shm.rsp_prod = 999;
    assert_int_equal(put(&server, "de", 2), 2);
    assert_int_equal(shm.rsp_prod, 2);
}

static void test_wake(void **state)
{
    assert_false(mbr__store_ring_must_wake(&client));
    mbr__store_ring_sleep(&server, true);
    assert_true(mbr__store_ring_must_wake(&client));
    mbr__store_ring_sleep(&server, false);
    assert_false(mbr__store_ring_must_wake(&client));
    shm.client_asleep = 1; /* as a page is made: rung for each change */
    assert_true(mbr__store_ring_must_wake(&server));
}

static void test_restart(void **state)
{
    unsigned char back[16];

    assert_int_equal(put(&client, "abc", 3), 3);
    assert_int_equal(put(&server, "abc", 3), 3);
    mbr__store_ring_restart(&server);
    mbr__store_ring_init(&client, &shm, false);
    assert_int_equal(mbr__store_ring_read(&server, back, sizeof(back)), -EAGAIN);
    assert_int_equal(mbr__store_ring_read(&client, back, sizeof(back)), -EAGAIN);
}

#define STREAM_BYTES 4000000u

/* Sends a known sequence; yields when the ring is full. */
static void *send_all(void *argument)
{
    uint32_t sent = 0;
    unsigned char bytes[700];

    while (sent < STREAM_BYTES) {
        uint32_t length = 1 + sent % sizeof(bytes);
        ssize_t n;

        if (length > STREAM_BYTES - sent)
            length = STREAM_BYTES - sent;
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = (unsigned char)((sent + i) * 31 >> 3);
        n = put(argument, bytes, length);
        if (n == -EAGAIN)
            (void)sched_yield();
        else
            sent += (uint32_t)n;
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    pthread_t thread;
    uint32_t got = 0;
    unsigned char bytes[1024];

    assert_int_equal(pthread_create(&thread, NULL, send_all, &client), 0);
    while (got < STREAM_BYTES) {
        ssize_t n = mbr__store_ring_read(&server, bytes, sizeof(bytes));

        if (n == -EAGAIN) {
            (void)sched_yield();
            continue;
        }
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++, got++) {
            if (bytes[i] != (unsigned char)(got * 31 >> 3))
                fail_msg("byte %u is wrong", got);
        }
    }
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty_and_full, setup),
        cmocka_unit_test_setup(test_every_offset, setup),
        cmocka_unit_test_setup(test_impossible_indices, setup),
        cmocka_unit_test_setup(test_own_indices_are_private, setup),
        cmocka_unit_test_setup(test_wake, setup),
        cmocka_unit_test_setup(test_restart, setup),
        cmocka_unit_test_setup(test_two_threads, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
