/* SPDX-License-Identifier: MIT */
/*
 * A stream of records of all sizes through one ring, between two threads over one mapping (which
 * ThreadSanitizer can follow) and between two processes over two mappings: every record comes
 * whole, in order and once, through many laps, in batches, to the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring_pair.h"

#define CAPACITY UINT64_C(16384)
#define RECORDS  60000u

static uint32_t length_of(uint64_t key)
{
    return key % 997 == 0 ? (uint32_t)(key % mbr__ring_largest(CAPACITY))
                          : (uint32_t)(key * 2654435761u % 257);
}

/* Pushes them all, so many to a publish, and ends. */
static void produce(struct mbr__ring_tx *tx)
{
    uint64_t key = 0;

    while (key < RECORDS) {
        uint64_t batch = 1 + key % 5;

        while (batch > 0 && key < RECORDS) {
            if (!ring_put(tx, length_of(key), (uint8_t)(1 + key % 254), key))
                break;
            key++;
            batch--;
        }
        (void)mbr__ring_publish(tx);
        if (batch > 0)
            sched_yield(); /* full */
    }
    (void)mbr__ring_end(tx, MBR__RING_END);
}

/* How many came as they should, up to the end; stops at the first that did not. */
static uint64_t consume(struct mbr__ring_rx *rx)
{
    uint64_t key = 0;

    for (;;) {
        struct mbr__record rec = {0};
        int r = mbr__ring_peek(rx, &rec);

        if (r < 0 || (r == 0 && rx->flags != 0))
            return r < 0 ? 0 : key;
        if (r == 0) {
            (void)mbr__ring_retire(rx);
            sched_yield();
            continue;
        }
        if (rec.len != length_of(key) || rec.kind != 1 + key % 254 ||
            !ring_is(rec.data, rec.len, key))
            return key;
        mbr__ring_release(rx, &rec);
        if (++key % 3 == 0)
            (void)mbr__ring_retire(rx);
    }
}

static void *produce_thread(void *arg)
{
    produce(arg);
    return NULL;
}

static void between_threads(void **state)
{
    struct ring_pair p;
    pthread_t thread;

    ring_pair_init(&p, CAPACITY);
    mbr__ring_rx_init(&p.rx, p.tx.data, CAPACITY, &p.consumer_page->rx, &p.producer_page->want, 0);
    assert_int_equal(mbr__ring_tx_attach(&p.tx, &p.consumer_page->rx, &p.consumer_page->want, 0),
                     0);
    assert_int_equal(pthread_create(&thread, NULL, produce_thread, &p.tx), 0);
    uint64_t got = consume(&p.rx);

    assert_int_equal(got, RECORDS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ring_pair_fini(&p);
}

/* The producer is a child: it makes its region, says where, and maps ours. */
static void child(int to_parent, const struct mbr__region *consumer)
{
    struct mbr__region own;
    struct mbr__region theirs;
    struct mbr__ring_tx tx;

    if (mbr__region_create("producer", RING_PAGE, CAPACITY, &own) != 0 ||
        mbr__region_attach(consumer->fd, RING_PAGE, RING_PAGE, &theirs) != 0)
        _exit(2);
    mbr__ring_tx_init(&tx, mbr__region_body(&own), CAPACITY);
    if (mbr__ring_tx_attach(&tx, &ring_page(&theirs)->rx, &ring_page(&theirs)->want, 0) != 0 ||
        write(to_parent, &own.fd, sizeof(own.fd)) != (ssize_t)sizeof(own.fd))
        _exit(2);
    produce(&tx);
    while (getppid() != 1 && mbr_load_acquire(&ring_page(&theirs)->want.done) == 0)
        sched_yield();
    _exit(0);
}

static void attach_to_child(pid_t pid, int fd, struct mbr__region *out)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
    int memory = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(memory >= 0);
    assert_int_equal(mbr__region_attach(memory, RING_PAGE, CAPACITY, out), 0);
    close(memory);
}

static void between_processes(void **state)
{
    struct mbr__region own;
    struct mbr__region theirs;
    struct mbr__ring_rx rx;
    int ends[2];
    int status = -1;
    int fd = -1;

    assert_int_equal(mbr__region_create("consumer", RING_PAGE, RING_PAGE, &own), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(50);
        child(ends[1], &own);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &fd, sizeof(fd)), sizeof(fd));
    close(ends[0]);
    attach_to_child(pid, fd, &theirs);
    mbr__ring_rx_init(&rx, mbr__region_body(&theirs), CAPACITY, &ring_page(&own)->rx,
                      &ring_page(&theirs)->want, 0);
    uint64_t got = consume(&rx);

    (void)mbr__ring_refuse(&rx, &ring_page(&own)->want, MBR__RING_FLAGS);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(got, RECORDS);
    assert_int_equal(status, 0);
    mbr__region_release(&theirs);
    mbr__region_release(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_threads),
        cmocka_unit_test(between_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
