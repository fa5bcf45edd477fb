/* SPDX-License-Identifier: MIT */
/*
 * Event counts and sequencers among threads and among processes: values, wrapping, deadlines, who
 * is woken by what, deaths of sleepers, and that no wake-up is lost. (Counts in wait sets:
 * waitset_public_test.c.)
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <membrane/event.h>

#include "base/clock.h"
#include "prop.h"
#include "shm_test.h"

#include "event_test.h"

#define HANDOVERS 100000u
#define MS        UINT64_C(1000000)

/* ---- one thread ------------------------------------------------------------------------------ */

static void counts_what_is_added(void **state)
{
    static struct mbr_count c; /* zeroed memory is a count */

    assert_int_equal(mbr_count_read(&c), 0);
    assert_int_equal(mbr_count_advance(&c, 1), 1);
    assert_int_equal(mbr_count_advance(&c, 0), 1);
    assert_int_equal(mbr_count_advance(&c, UINT64_C(1) << 40), (UINT64_C(1) << 40) + 1);
    mbr_count_init(&c, 7);
    assert_int_equal(mbr_count_read(&c), 7);
    assert_int_equal(mbr_count_await(&c, 7, MBR_FOREVER), 0);
    assert_int_equal(mbr_count_await(&c, 0, MBR_FOREVER), 0);
    assert_int_equal(mbr_count_await_until(&c, 6, 0), 0);
}

static void gives_each_ticket_once(void **state)
{
    static struct mbr_sequencer s;

    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(mbr_sequencer_ticket(&s), i);
    mbr_sequencer_init(&s, UINT64_MAX);
    assert_int_equal(mbr_sequencer_ticket(&s), UINT64_MAX);
    assert_int_equal(mbr_sequencer_ticket(&s), 0);
}

static void gives_up_at_the_deadline(void **state)
{
    struct mbr_count c;

    mbr_count_init(&c, 5);
    assert_int_equal(mbr_count_await(&c, 6, 0), -ETIMEDOUT);
    assert_int_equal(mbr_count_await_until(&c, 6, 0), -ETIMEDOUT);
    assert_int_equal(mbr_count_await_until(&c, 6, 1), -ETIMEDOUT);
    for (uint64_t ns = 1; ns < 5 * MS; ns *= 30) {
        uint64_t deadline = mbr__deadline_ns(ns);

        assert_int_equal(mbr_count_await_until(&c, 6, deadline), -ETIMEDOUT);
        assert_true(mbr__now_ns() >= deadline);
        assert_int_equal(mbr_count_await(&c, 6, ns), -ETIMEDOUT);
    }
    assert_int_equal(mbr_count_read(&c), 5);
}

static void compares_across_the_wrap(void **state)
{
    struct mbr_count c;

    mbr_count_init(&c, UINT64_MAX);
    assert_int_equal(mbr_count_await(&c, UINT64_MAX, 0), 0);
    assert_int_equal(mbr_count_await(&c, 0, 0), -ETIMEDOUT);
    assert_int_equal(mbr_count_await(&c, (uint64_t)INT64_MAX - 1, 0), -ETIMEDOUT);
    assert_int_equal(mbr_count_advance(&c, 3), 2);
    assert_int_equal(mbr_count_await(&c, UINT64_MAX, 0), 0);
    assert_int_equal(mbr_count_await(&c, 0, 0), 0);
    assert_int_equal(mbr_count_await(&c, 2, 0), 0);
    assert_int_equal(mbr_count_await(&c, 3, 0), -ETIMEDOUT);
}

/* With everybody's bit shown and nobody there, an advance clears exactly the bits of the values it
 * has passed: that is also whom it would have woken. */
static bool passes_what_it_passes(struct prop *p)
{
    struct mbr_count c;
    uint64_t base = prop_choose(p, 2) ? UINT64_MAX - 40 : 0;

    mbr_count_init(&c, base + prop_choose(p, 100));
    while (prop_more(p)) {
        uint64_t old = mbr_count_read(&c);
        uint64_t n = prop_choose(p, 8) ? prop_choose(p, 40) : (uint64_t)prop_choose(p, 3) << 32;
        uint32_t left = UINT32_MAX;

        for (uint64_t i = 1; i <= n && i <= 32; i++)
            left &= ~(UINT32_C(1) << (old + i) % 32);
        c.sleepers = UINT32_MAX;
        mbr_count_advance(&c, n);
        PROP_CHECK(p, c.sleepers == left);
        c.sleepers = left;
        uint32_t wakes = c.wakes;

        mbr_count_advance(&c, 0);
        PROP_CHECK(p, c.wakes == wakes);
    }
    return true;
}

static void wakes_whom_it_concerns(void **state)
{
    prop_run("passes_what_it_passes", passes_what_it_passes, 200);
}

/* Who has given up costs two system calls more, once. */
static void forgets_who_gave_up(void **state)
{
    struct mbr_count c;

    mbr_count_init(&c, 0);
    assert_int_equal(mbr_count_await(&c, 3, MS), -ETIMEDOUT);
    assert_int_equal(c.sleepers, 1u << 3);
    mbr_count_advance(&c, 2);
    assert_int_equal(c.wakes, 0);
    mbr_count_advance(&c, 1);
    assert_int_equal(c.sleepers, 0);
    assert_int_equal(c.wakes, 2);
    mbr_count_advance(&c, 100);
    assert_int_equal(c.wakes, 2);
}

/* ---- sleepers -------------------------------------------------------------------------------- */

struct sleeper {
    pthread_t thread;
    pid_t tid;
    struct mbr_count *c;
    struct mbr_count *done;
    uint64_t value;
    int result;
};

static void *sleeper_main(void *arg)
{
    struct sleeper *s = arg;

    mbr_store_release((uint32_t *)&s->tid, (uint32_t)gettid());
    s->result = mbr_count_await(s->c, s->value, MBR_FOREVER);
    if (s->done != NULL)
        mbr_count_advance(s->done, 1);
    return NULL;
}

static void sleeper_start(struct sleeper *s, struct mbr_count *c, uint64_t value)
{
    *s = (struct sleeper){.c = c, .value = value, .result = 1};
    assert_int_equal(pthread_create(&s->thread, NULL, sleeper_main, s), 0);
}

/* Returns when it sleeps. */
static void sleeper_settle(struct sleeper *s)
{
    while (mbr_load_acquire((uint32_t *)&s->tid) == 0)
        sched_yield();
    event_until_asleep(getpid(), s->tid, &s->c->sleepers);
}

static void sleeper_end(struct sleeper *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    assert_int_equal(s->result, 0);
}

static void leaves_others_asleep(void **state)
{
    struct mbr_count c;
    struct sleeper s;

    mbr_count_init(&c, UINT64_MAX - 2); /* the values go round the corner */
    sleeper_start(&s, &c, 40);
    sleeper_settle(&s);
    for (uint64_t v = mbr_count_read(&c) + 1; v != 8; v++)
        assert_int_equal(mbr_count_advance(&c, 1), v);
    assert_int_equal(c.wakes, 0);
    assert_int_equal(mbr_count_advance(&c, 1), 8); /* 40 - 32: woken for nothing */
    assert_int_equal(c.wakes, 1);
    sleeper_settle(&s);
    mbr_count_advance(&c, 31);
    assert_int_equal(c.wakes, 1);
    mbr_count_advance(&c, 1);
    sleeper_end(&s);
}

/* The low half of the value is the same afterwards. */
static void wakes_by_a_step_of_4_gi(void **state)
{
    struct mbr_count c;
    struct sleeper s;

    mbr_count_init(&c, 1);
    sleeper_start(&s, &c, 1 + (UINT64_C(1) << 32));
    sleeper_settle(&s);
    mbr_count_advance(&c, UINT64_C(1) << 32);
    sleeper_end(&s);
}

static uint32_t signals_seen;

static void on_signal(int number)
{
    (void)number;
    (void)mbr_fetch_add(&signals_seen, 1);
}

static void sleeps_through_signals(void **state)
{
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART */
    struct sigaction old;
    struct mbr_count c;
    struct sleeper s;

    mbr_count_init(&c, 0);
    assert_int_equal(sigaction(SIGUSR1, &act, &old), 0);
    mbr_store_relaxed(&signals_seen, 0);
    sleeper_start(&s, &c, 1);
    for (uint32_t i = 1; i <= 20; i++) {
        sleeper_settle(&s);
        assert_int_equal(pthread_kill(s.thread, SIGUSR1), 0);
        while (mbr_load_acquire(&signals_seen) < i)
            sched_yield();
    }
    mbr_count_advance(&c, 1);
    sleeper_end(&s);
    assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
}

#define CROWD 70

/* Each value twice, more values than buckets; all asleep, then one step at a time. */
static void serves_a_crowd(void **state)
{
    struct sleeper crowd[CROWD];
    struct mbr_count c;
    struct mbr_count done;

    mbr_count_init(&c, UINT64_MAX - 5);
    mbr_count_init(&done, 0);
    for (uint64_t i = 0; i < CROWD; i++) {
        sleeper_start(&crowd[i], &c, mbr_count_read(&c) + 1 + i / 2);
        crowd[i].done = &done;
    }
    for (int i = 0; i < CROWD; i++)
        sleeper_settle(&crowd[i]);
    for (uint64_t i = 1; i <= CROWD / 2; i++) {
        assert_int_equal(mbr_count_read(&done), 2 * i - 2);
        mbr_count_advance(&c, 1);
        assert_int_equal(mbr_count_await(&done, 2 * i, MBR_FOREVER), 0);
    }
    for (int i = 0; i < CROWD; i++)
        sleeper_end(&crowd[i]);
}

static void wakes_all_at_once(void **state)
{
    struct sleeper crowd[CROWD];
    struct mbr_count c;

    mbr_count_init(&c, 0);
    for (uint64_t i = 0; i < CROWD; i++)
        sleeper_start(&crowd[i], &c, 1 + i);
    for (int i = 0; i < CROWD; i++)
        sleeper_settle(&crowd[i]);
    mbr_count_advance(&c, CROWD);
    for (int i = 0; i < CROWD; i++)
        sleeper_end(&crowd[i]);
}

/* ---- mutual exclusion ------------------------------------------------------------------------ */

#define LOCKERS 4
#define LOCKS   3000u

struct lock {
    struct mbr_count turn;
    struct mbr_sequencer tickets;
    uint64_t inside; /* plain: ThreadSanitizer sees whether the lock orders it */
};

static void *locker_main(void *arg)
{
    struct lock *lock = arg;

    for (uint32_t i = 0; i < LOCKS; i++) {
        (void)mbr_count_await(&lock->turn, mbr_sequencer_ticket(&lock->tickets), MBR_FOREVER);
        lock->inside++;
        mbr_count_advance(&lock->turn, 1);
    }
    return NULL;
}

static void excludes_each_other(void **state)
{
    pthread_t threads[LOCKERS];
    static struct lock lock;

    mbr_count_init(&lock.turn, UINT64_MAX - 100);
    mbr_sequencer_init(&lock.tickets, UINT64_MAX - 100);
    for (int i = 0; i < LOCKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, locker_main, &lock), 0);
    for (int i = 0; i < LOCKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(lock.inside, LOCKERS * LOCKS);
}

/* ---- no wake-up is lost ---------------------------------------------------------------------- */

struct pingpong {
    struct mbr_count there;
    struct mbr_count back;
    uint32_t n;
    uint64_t data; /* plain, as above */
    int result;
};

static int pong(struct pingpong *p)
{
    for (uint32_t i = 1; i <= p->n; i++) {
        if (mbr_count_await(&p->there, i, MBR_FOREVER) != 0 || p->data != i)
            return -1;
        p->data = ~(uint64_t)i;
        mbr_count_advance(&p->back, 1);
    }
    return 0;
}

static int ping(struct pingpong *p)
{
    for (uint32_t i = 1; i <= p->n; i++) {
        p->data = i;
        mbr_count_advance(&p->there, 1);
        if (mbr_count_await(&p->back, i, MBR_FOREVER) != 0 || p->data != ~(uint64_t)i)
            return -1;
    }
    return 0;
}

static void *pong_main(void *arg)
{
    struct pingpong *p = arg;

    p->result = pong(p);
    return NULL;
}

static void play_with_thread(uint32_t n)
{
    struct pingpong p = {.n = n};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, pong_main, &p), 0);
    assert_int_equal(ping(&p), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p.result, 0);
}

static void play_with_process(uint32_t n)
{
    struct pingpong *p = event_shared();
    int status = -1;

    p->n = n;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(pong(p) == 0 ? 0 : 1);
    assert_int_equal(ping(p), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    munmap(p, event_shared_size);
}

static void hands_over_between_threads(void **state)
{
    play_with_thread(HANDOVERS);
}

static void hands_over_between_processes(void **state)
{
    play_with_process(HANDOVERS);
}

/* On one CPU each hand-over is a sleep. */
static void hands_over_asleep(void **state)
{
    cpu_set_t cpus;

    event_pin(&cpus);
    play_with_thread(HANDOVERS / 4);
    play_with_process(HANDOVERS / 4);
    event_unpin(&cpus);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void outlives_its_sleepers(void **state)
{
    struct mbr_count *c = event_shared();

    for (uint64_t i = 1; i <= 40; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            (void)mbr_count_await(c, i, MBR_FOREVER);
            _exit(0);
        }
        event_until_asleep(pid, pid, &c->sleepers);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        mbr_count_advance(c, 1);
        assert_int_equal(c->sleepers, 0); /* the next advance makes no system call */
    }
    munmap(c, event_shared_size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_added),
        cmocka_unit_test(gives_each_ticket_once),
        cmocka_unit_test(gives_up_at_the_deadline),
        cmocka_unit_test(compares_across_the_wrap),
        cmocka_unit_test(wakes_whom_it_concerns),
        cmocka_unit_test(forgets_who_gave_up),
        cmocka_unit_test(leaves_others_asleep),
        cmocka_unit_test(wakes_by_a_step_of_4_gi),
        cmocka_unit_test(sleeps_through_signals),
        cmocka_unit_test(serves_a_crowd),
        cmocka_unit_test(wakes_all_at_once),
        cmocka_unit_test(excludes_each_other),
        cmocka_unit_test(hands_over_between_threads),
        cmocka_unit_test(hands_over_between_processes),
        cmocka_unit_test(hands_over_asleep),
        cmocka_unit_test(outlives_its_sleepers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
