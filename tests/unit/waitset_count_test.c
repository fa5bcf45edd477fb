/* SPDX-License-Identifier: MIT */
/*
 * Event counts in public wait sets: when they fire, that an advancer wakes a set that sleeps on
 * descriptors too, among threads and among processes, and what becomes of the places in a count
 * when their owners die, fork, call exec, lose their bell or cannot be reached.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include <membrane/event.h>

#include "shm_test.h"

#include "event_test.h"

#define HANDOVERS 20000u
#define MS        UINT64_C(1000000)

/* A set that watches a count, and a pipe that stays silent so that it sleeps in epoll. */
struct waiter {
    struct mbr_waitset *ws;
    struct mbr_watch watch;
    struct mbr_watch pipe;
    int ends[2];
    struct mbr_count *c;
    uint64_t value;
    unsigned int calls;
};

static void count_reached(struct mbr_watch *w, uint32_t events)
{
    struct waiter *me = w->data;

    (void)events;
    me->calls++;
    (void)mbr_watch_count_next(w, ++me->value);
}

static void nothing(struct mbr_watch *w, uint32_t events)
{
    (void)w;
    (void)events;
}

/* Returns 0, or what failed; also for children. */
static int waiter_begin(struct waiter *me, struct mbr_count *c, uint64_t value)
{
    *me = (struct waiter){.c = c, .value = value, .watch.data = me};
    int r = mbr_waitset_new(&me->ws);

    if (r == 0)
        r = pipe2(me->ends, O_CLOEXEC);
    if (r == 0)
        r = mbr_watch_fd(me->ws, &me->pipe, me->ends[0], EPOLLIN, nothing);
    if (r == 0)
        r = mbr_watch_count(me->ws, &me->watch, c, value, count_reached);
    return r;
}

static void waiter_end(struct waiter *me)
{
    mbr_waitset_free(me->ws);
    close(me->ends[0]);
    close(me->ends[1]);
}

/* ---- when it fires --------------------------------------------------------------------------- */

static unsigned int calls;

static void only_count(struct mbr_watch *w, uint32_t events)
{
    (void)w;
    assert_int_equal(events, 0);
    calls++;
}

static void fires_while_reached(void **state)
{
    struct mbr_waitset *ws = NULL;
    struct mbr_watch w = {.data = NULL};
    struct mbr_count c;

    calls = 0;
    mbr_count_init(&c, UINT64_MAX - 1);
    assert_int_equal(mbr_waitset_new(&ws), 0);
    assert_int_equal(mbr_watch_count(ws, &w, &c, UINT64_MAX - 1, only_count), 0);
    assert_int_equal(mbr_watch_count(ws, &w, &c, 0, only_count), -EBUSY);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    assert_int_equal(mbr_waitset_poll(ws), 1);
    assert_int_equal(mbr_waitset_prepare(ws), 1);
    assert_int_equal(mbr_watch_count_next(&w, 1), 0); /* beyond the wrap */
    assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);
    mbr_count_advance(&c, 2); /* 0 */
    assert_int_equal(mbr_waitset_wait(ws, MS), -ETIMEDOUT);
    mbr_count_advance(&c, 5);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    assert_int_equal(calls, 3);
    mbr_watch_end(&w);
    assert_int_equal(mbr_watch_count_next(&w, 1), -EINVAL);
    assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);
    assert_memory_equal(c.watcher, (struct mbr_count_watcher[MBR_COUNT_WATCHERS]){0},
                        sizeof(c.watcher[0].owner));
    mbr_waitset_free(ws);
}

/* Farther than a token can tell: the set goes there in steps, and nobody sees them. */
static void reaches_far_values(void **state)
{
    const uint64_t steps[] = {1, (UINT64_C(1) << 29) - 1, UINT64_C(1) << 29, UINT64_C(1) << 31,
                              UINT64_C(3) << 30};
    struct mbr_count c;
    struct waiter me;

    mbr_count_init(&c, UINT64_MAX - (UINT64_C(1) << 33));
    uint64_t value = mbr_count_read(&c) + (UINT64_C(1) << 34);

    assert_int_equal(waiter_begin(&me, &c, value), 0);
    for (unsigned int i = 0; value - mbr_count_read(&c) > UINT64_C(1) << 32; i++) {
        assert_int_equal(mbr_waitset_prepare(me.ws), 0);
        mbr_count_advance(&c, steps[i % (sizeof(steps) / sizeof(steps[0]))]);
        assert_int_equal(mbr_waitset_wait(me.ws, MS), -ETIMEDOUT);
    }
    mbr_count_advance(&c, value - mbr_count_read(&c) - 1);
    assert_int_equal(mbr_waitset_wait(me.ws, MS), -ETIMEDOUT);
    mbr_count_advance(&c, 1);
    assert_int_equal(mbr_waitset_wait(me.ws, MBR_FOREVER), 1);
    assert_int_equal(me.calls, 1);
    waiter_end(&me);
}

/* A count that is always ahead does not hide a descriptor. */
static void takes_turns(void **state)
{
    struct mbr_count c;
    struct waiter me;
    struct mbr_watch busy = {.data = NULL};

    mbr_count_init(&c, 1);
    assert_int_equal(waiter_begin(&me, &c, 2), 0);
    assert_int_equal(mbr_watch_count(me.ws, &busy, &c, 0, nothing), 0);
    mbr_watch_end(&me.pipe);
    calls = 0;
    assert_int_equal(mbr_watch_fd(me.ws, &me.pipe, me.ends[1], EPOLLOUT | EPOLLET, nothing), 0);
    int waits = 0;

    while (mbr_waitset_wait(me.ws, MBR_FOREVER) == 1)
        assert_true(++waits < 1000);
    waiter_end(&me);
}

/* ---- waking ---------------------------------------------------------------------------------- */

/* Whether a foreign loop would wake up now. */
static bool rung(const struct waiter *me)
{
    struct pollfd p = {.fd = mbr_waitset_fd(me->ws), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* Shows the wish, as a set that is about to sleep. */
static void show(struct waiter *me)
{
    assert_int_equal(mbr_waitset_poll(me->ws), 0);
    assert_int_equal(mbr_waitset_prepare(me->ws), 0);
    assert_false(rung(me));
}

static void rings_only_when_due(void **state)
{
    struct mbr_count c;
    struct waiter me;

    mbr_count_init(&c, 0);
    assert_int_equal(waiter_begin(&me, &c, 3), 0);
    mbr_count_advance(&c, 1); /* awake: nobody rings */
    show(&me);
    mbr_count_advance(&c, 1);
    assert_false(rung(&me));
    assert_int_not_equal(c.watcher[0].armed, 0);
    mbr_count_advance(&c, 1);
    assert_true(rung(&me));
    assert_int_equal(c.watcher[0].armed, 0); /* once */
    assert_int_equal(mbr_waitset_poll(me.ws), 1);

    show(&me); /* both of these take the wish back */
    assert_int_equal(mbr_waitset_wait(me.ws, 0), -ETIMEDOUT);
    assert_int_equal(c.watcher[0].armed, 0);
    show(&me);
    assert_int_equal(mbr_waitset_poll(me.ws), 0);
    assert_int_equal(c.watcher[0].armed, 0);
    show(&me);
    assert_int_equal(mbr_watch_count_next(&me.watch, 10), 0); /* too late to be shown */
    assert_int_equal(c.watcher[0].armed, 0);
    waiter_end(&me);
}

/* What a place shows of a value is 31 bits long; steps and distances beyond that must not confuse
 * it.
 */
static void rings_for_any_step(void **state)
{
    const uint64_t steps[] = {UINT64_C(1) << 29, (UINT64_C(1) << 30) - 1, (UINT64_C(1) << 30) + 10,
                              UINT64_C(1) << 31, UINT64_C(1) << 32,       (uint64_t)INT64_MAX - 10};
    struct mbr_count c;
    struct waiter me;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        mbr_count_init(&c, UINT64_MAX);
        assert_int_equal(waiter_begin(&me, &c, 4), 0);
        show(&me);
        mbr_count_advance(&c, steps[i]);
        assert_true(rung(&me));
        waiter_end(&me);

        mbr_count_init(&c, UINT64_MAX);
        assert_int_equal(waiter_begin(&me, &c, steps[i] - 5), 0);
        show(&me);
        mbr_count_advance(&c, 1);
        assert_false(rung(&me));
        assert_int_not_equal(c.watcher[0].armed, 0);
        waiter_end(&me);
    }
}

/* An advancer that was killed after counting: the next one makes good for it. */
static void rings_for_the_dead(void **state)
{
    struct mbr_count c;
    struct waiter me;

    mbr_count_init(&c, 0);
    assert_int_equal(waiter_begin(&me, &c, 1), 0);
    show(&me);
    (void)mbr_fetch_add(&c.value, 1);
    assert_false(rung(&me));
    mbr_count_advance(&c, 1);
    assert_true(rung(&me));
    waiter_end(&me);
}

#define IDLE 40

struct poker {
    struct mbr_count *c;
    pid_t waiter;
    uint32_t *armed;
};

static void *poker_main(void *arg)
{
    struct poker *p = arg;

    event_until_asleep(getpid(), p->waiter, p->armed);
    mbr_count_advance(p->c, 1);
    return NULL;
}

/* Silent counts are looked at only in turn while a busy one keeps the set awake; they must still be
 * heard, asleep and awake. */
static void hears_silent_counts(void **state)
{
    struct mbr_count idle[IDLE];
    struct mbr_watch w[IDLE] = {{.data = NULL}};
    struct mbr_count busy;
    struct waiter me;
    pthread_t thread;

    mbr_count_init(&busy, 0);
    assert_int_equal(waiter_begin(&me, &busy, 1), 0);
    calls = 0;
    for (int i = 0; i < IDLE; i++) {
        mbr_count_init(&idle[i], 0);
        assert_int_equal(mbr_watch_count(me.ws, &w[i], &idle[i], 1, only_count), 0);
    }
    for (unsigned int i = 1; i <= 2000; i++) {
        mbr_count_advance(&busy, 1);
        assert_int_equal(mbr_waitset_wait(me.ws, MBR_FOREVER), 1);
        assert_int_equal(me.calls, i);
    }
    for (int i = 0; i < IDLE; i++) { /* their wish is shown though we are awake */
        assert_int_not_equal(idle[i].watcher[0].armed, 0);
        mbr_count_advance(&idle[i], 1);
        assert_int_equal(mbr_waitset_wait(me.ws, MBR_FOREVER), 1);
        assert_int_equal(mbr_watch_count_next(&w[i], 2), 0);
    }
    for (int i = 0; i < IDLE; i++) {
        struct poker p = {&idle[i], gettid(), &busy.watcher[0].armed};

        assert_int_equal(pthread_create(&thread, NULL, poker_main, &p), 0);
        assert_int_equal(mbr_waitset_wait(me.ws, MBR_FOREVER), 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(mbr_watch_count_next(&w[i], 3), 0);
    }
    assert_int_equal(calls, 2 * IDLE);
    waiter_end(&me);
}

struct pingpong {
    struct mbr_count there;
    struct mbr_count back;
    uint32_t n;
    int result;
};

/* Answers each advance of `in` by one of `out`, waiting in a wait set. */
static int play(struct mbr_count *in, struct mbr_count *out, uint32_t n, bool first)
{
    struct waiter me;
    int r = waiter_begin(&me, in, 1);

    if (first)
        mbr_count_advance(out, 1);
    while (r >= 0 && me.calls < n) {
        unsigned int before = me.calls;

        r = mbr_waitset_wait(me.ws, MBR_FOREVER);
        if (r != 1 || me.calls != before + 1)
            r = -EPROTO;
        else if (!first || me.calls < n)
            mbr_count_advance(out, 1);
    }
    waiter_end(&me);
    return r < 0 ? r : 0;
}

static void *player_main(void *arg)
{
    struct pingpong *p = arg;

    p->result = play(&p->there, &p->back, p->n, false);
    return NULL;
}

static void play_with_thread(uint32_t n)
{
    struct pingpong p = {.n = n};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, player_main, &p), 0);
    assert_int_equal(play(&p.back, &p.there, n, true), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p.result, 0);
}

static void child_plays(void *arg)
{
    struct pingpong *p = arg;

    CHILD_CHECK(play(&p->there, &p->back, p->n, false) == 0);
}

static void play_with_process(uint32_t n)
{
    struct pingpong *p = event_shared();
    int status = -1;

    p->n = n;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        child_plays(p);
        _exit(0);
    }
    assert_int_equal(play(&p->back, &p->there, n, true), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    munmap(p, event_shared_size);
}

static void hands_over(void **state)
{
    play_with_thread(HANDOVERS);
    play_with_process(HANDOVERS);
}

/* On one CPU each hand-over is a sleep and a ring, between processes through /proc. */
static void hands_over_asleep(void **state)
{
    cpu_set_t cpus;

    event_pin(&cpus);
    play_with_thread(HANDOVERS);
    play_with_process(HANDOVERS / 4);
    event_unpin(&cpus);
}

/* ---- places ---------------------------------------------------------------------------------- */

static void has_few_places(void **state)
{
    struct mbr_watch w[MBR_COUNT_WATCHERS + 1] = {{.data = NULL}};
    struct mbr_waitset *ws = NULL;
    struct mbr_count c;

    mbr_count_init(&c, 0);
    assert_int_equal(mbr_waitset_new(&ws), 0);
    for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
        assert_int_equal(mbr_watch_count(ws, &w[i], &c, 1, only_count), 0);
    assert_int_equal(mbr_watch_count(ws, &w[MBR_COUNT_WATCHERS], &c, 1, only_count), -ENOSPC);
    assert_int_equal(mbr_watch_active(&w[MBR_COUNT_WATCHERS]), 0);
    calls = 0;
    mbr_count_advance(&c, 1);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), MBR_COUNT_WATCHERS);
    mbr_watch_end(&w[1]);
    assert_int_equal(mbr_watch_count(ws, &w[MBR_COUNT_WATCHERS], &c, 1, only_count), 0);
    mbr_waitset_free(ws); /* gives all places back */
    for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
        assert_int_equal(c.watcher[i].owner, 0);
}

/* A child that sleeps in a set that waits for the next value. */
static pid_t sleeping_child(struct mbr_count *c)
{
    struct waiter me;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(50);
        CHILD_CHECK(waiter_begin(&me, c, mbr_count_read(c) + 1) == 0);
        for (;;)
            (void)mbr_waitset_wait(me.ws, MBR_FOREVER);
    }
    return pid;
}

static void until_armed(struct mbr_count *c, int place, pid_t pid)
{
    event_until_asleep(pid, pid, &c->watcher[place].armed);
}

static void outlives_its_watchers(void **state)
{
    struct mbr_count *c = event_shared();
    pid_t pids[MBR_COUNT_WATCHERS];
    struct waiter me;

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < MBR_COUNT_WATCHERS; i++) {
            pids[i] = sleeping_child(c);
            until_armed(c, i, pids[i]);
        }
        for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
            assert_int_equal(kill(pids[i], SIGKILL), 0);
        for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
            assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
        mbr_count_advance(c, 1);
        for (int i = 0; i < MBR_COUNT_WATCHERS; i++) /* the next advance looks after nobody */
            assert_int_equal(c->watcher[i].armed, 0);
    }
    assert_int_equal(waiter_begin(&me, c, mbr_count_read(c) + 1), 0);
    show(&me);
    mbr_count_advance(c, 1);
    assert_true(rung(&me));
    waiter_end(&me);
    munmap(c, event_shared_size);
}

/* Killed while it was claiming its place, before it said which bell. */
static void outlives_a_claim(void **state)
{
    struct mbr_count *c = event_shared();
    struct mbr_watch w[MBR_COUNT_WATCHERS] = {{.data = NULL}};
    struct mbr_waitset *ws = NULL;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    c->watcher[1].owner = (uint64_t)pid | UINT64_C(1) << 63;
    c->watcher[1].armed = 3;
    assert_int_equal(mbr_waitset_new(&ws), 0);
    assert_int_equal(mbr_watch_count(ws, &w[0], c, 9, only_count), 0);
    assert_int_equal(mbr_watch_count(ws, &w[1], c, 9, only_count), 0);
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    mbr_count_advance(c, 1);
    assert_int_equal(mbr_watch_count(ws, &w[2], c, 9, only_count), 0);
    assert_int_equal(c->watcher[1].armed, 0);
    mbr_waitset_free(ws);
    munmap(c, event_shared_size);
}

/* The numbers of a bell's descriptor are another pipe's now: it must not be written to, and the
 * place is free again. */
static void never_rings_elsewhere(void **state)
{
    struct mbr_count *c = event_shared();
    struct waiter me;
    int ends[2];
    int done[2];
    char byte;

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(pipe2(done, O_CLOEXEC), 0);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        close(done[0]);
        CHILD_CHECK(waiter_begin(&me, c, 1) == 0 && mbr_waitset_prepare(me.ws) == 0);
        int bell = (int)(c->watcher[0].owner >> 22 & INT32_MAX);

        CHILD_CHECK(dup2(ends[1], bell) == bell);
        execlp("sleep", "sleep", "50", (char *)NULL);
        _exit(1);
    }
    close(done[1]);
    assert_int_equal(read(done[0], &byte, 1), 0); /* closed by exec */
    assert_int_not_equal(c->watcher[0].armed, 0);
    mbr_count_advance(c, 1);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(c->watcher[0].armed, 0);

    struct mbr_watch w[MBR_COUNT_WATCHERS] = {{.data = NULL}};
    struct mbr_waitset *ws = NULL;

    assert_int_equal(mbr_waitset_new(&ws), 0);
    for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
        assert_int_equal(mbr_watch_count(ws, &w[i], c, 9, only_count), 0);
    mbr_waitset_free(ws);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (int i = 0; i < 2; i++)
        close(ends[i]);
    close(done[0]);
    munmap(c, event_shared_size);
}

static unsigned int warnings;

static void note_warning(struct mbr_log_sink *self, enum mbr_log_level level, const char *message)
{
    (void)self;
    (void)message;
    warnings += level == MBR_LOG_WARNING;
}

static void advance_as_nobody(void *arg)
{
    static struct mbr_log_sink sink = {note_warning, MBR_LOG_WARNING};

    test_drop_root();
    mbr_log_set_sink(&sink);
    CHILD_CHECK(mbr_count_advance(arg, 1) == 1);
    CHILD_CHECK(warnings == 1);
}

/* Who cannot be reached stays armed, for somebody who can reach him. */
static void says_whom_it_cannot_reach(void **state)
{
    struct mbr_count *c = event_shared();
    struct waiter me;

    assert_int_equal(prctl(PR_SET_DUMPABLE, 0), 0);
    assert_int_equal(waiter_begin(&me, c, 1), 0);
    show(&me);
    test_child_passes(advance_as_nobody, c);
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
    assert_false(rung(&me));
    assert_int_not_equal(c->watcher[0].armed, 0);
    mbr_count_advance(c, 1);
    assert_true(rung(&me));
    waiter_end(&me);
    munmap(c, event_shared_size);
}

static void forget_inherited(void *arg)
{
    struct waiter *me = arg;

    CHILD_CHECK(mbr_watch_count_next(&me->watch, 5) == -EPERM);
    mbr_watch_end(&me->watch);
    mbr_waitset_free(me->ws);
    CHILD_CHECK(mbr_count_advance(me->c, 1) == 1);
}

static void survives_a_fork(void **state)
{
    struct mbr_count *c = event_shared();
    struct waiter me;

    assert_int_equal(waiter_begin(&me, c, 1), 0);
    show(&me);
    test_child_passes(forget_inherited, &me);
    assert_true(rung(&me));
    assert_int_equal(mbr_waitset_poll(me.ws), 1);
    assert_int_equal(me.calls, 1);
    waiter_end(&me);
    munmap(c, event_shared_size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_while_reached),   cmocka_unit_test(reaches_far_values),
        cmocka_unit_test(takes_turns),           cmocka_unit_test(rings_only_when_due),
        cmocka_unit_test(rings_for_any_step),    cmocka_unit_test(rings_for_the_dead),
        cmocka_unit_test(hears_silent_counts),   cmocka_unit_test(hands_over),
        cmocka_unit_test(hands_over_asleep),     cmocka_unit_test(has_few_places),
        cmocka_unit_test(outlives_its_watchers), cmocka_unit_test(outlives_a_claim),
        cmocka_unit_test(never_rings_elsewhere), cmocka_unit_test(says_whom_it_cannot_reach),
        cmocka_unit_test(survives_a_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
