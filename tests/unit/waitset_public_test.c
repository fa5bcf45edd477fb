/* SPDX-License-Identifier: MIT */
/*
 * The public wait set without counts (those: waitset_count_test.c): arguments, timers, descriptors,
 * deaths, interruption, foreign event loops, and what fork() leaves.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <membrane/event.h>

#include "base/clock.h"
#include "failalloc.h"
#include "shm_test.h"

#include "event_test.h"

#define MS UINT64_C(1000000)

/* A watch that notes when it was called. */
struct note {
    struct mbr_watch watch;
    unsigned int calls;
    unsigned int turn; /* of its last call among all calls */
    uint32_t events;
};

static unsigned int turns;

static void note(struct mbr_watch *w, uint32_t events)
{
    struct note *n = (struct note *)(void *)w;

    n->calls++;
    n->turn = ++turns;
    n->events = events;
}

static void note_and_end(struct mbr_watch *w, uint32_t events)
{
    note(w, events);
    mbr_watch_end(w);
}

static struct mbr_waitset *new_set(void)
{
    struct mbr_waitset *ws = NULL;

    turns = 0;
    assert_int_equal(mbr_waitset_new(&ws), 0);
    return ws;
}

/* ---- making and arguments -------------------------------------------------------------------- */

static void refuses_nonsense(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note a = {.calls = 0};

    assert_int_equal(mbr_waitset_new(NULL), -EINVAL);
    mbr_waitset_free(NULL);
    assert_int_equal(mbr_waitset_wait(NULL, 0), -EINVAL);
    assert_int_equal(mbr_waitset_poll(NULL), -EINVAL);
    assert_int_equal(mbr_waitset_fd(NULL), -EINVAL);
    assert_int_equal(mbr_waitset_prepare(NULL), -EINVAL);
    mbr_waitset_interrupt(NULL);

    assert_int_equal(mbr_watch_timer(NULL, &a.watch, 0, note), -EINVAL);
    assert_int_equal(mbr_watch_timer(ws, NULL, 0, note), -EINVAL);
    assert_int_equal(mbr_watch_timer(ws, &a.watch, 0, NULL), -EINVAL);
    assert_int_equal(mbr_watch_count(ws, &a.watch, NULL, 0, note), -EINVAL);
    assert_int_equal(mbr_watch_count_next(&a.watch, 1), -EINVAL);
    assert_int_equal(mbr_watch_fd_events(&a.watch, EPOLLIN), -EINVAL);
    assert_int_equal(mbr_watch_active(NULL), 0);
    assert_int_equal(mbr_watch_active(&a.watch), 0);
    mbr_watch_end(NULL);
    mbr_watch_end(&a.watch);

    assert_int_equal(mbr_watch_timer(ws, &a.watch, MBR_FOREVER, note), 0);
    assert_int_equal(mbr_watch_active(&a.watch), 1);
    assert_int_equal(mbr_watch_timer(ws, &a.watch, 0, note), -EBUSY);
    assert_int_equal(mbr_watch_death(ws, &a.watch, getpid(), note), -EBUSY);
    assert_int_equal(mbr_watch_fd_events(&a.watch, EPOLLIN), -EINVAL);
    assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    mbr_waitset_free(ws); /* ends the watch */
    assert_int_equal(mbr_watch_active(&a.watch), 0);
}

static void needs_memory_and_descriptors(void **state)
{
    struct test_held before = test_held();
    struct mbr_waitset *ws = NULL;
    struct rlimit old;
    int r;

    for (unsigned int n = 0;; n++) {
        failalloc_arm(n);
        r = mbr_waitset_new(&ws);
        if (!failalloc_disarm())
            break;
        assert_int_equal(r, -ENOMEM);
        assert_null(ws);
        test_assert_held(before);
    }
    assert_int_equal(r, 0);
    mbr_waitset_free(ws);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    r = -EMFILE;
    for (rlim_t limit = 3; r < 0; limit++) {
        struct rlimit low = {.rlim_cur = limit, .rlim_max = old.rlim_max};

        ws = NULL;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        r = mbr_waitset_new(&ws);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_true(r == 0 || (r == -EMFILE && ws == NULL));
        if (r < 0)
            test_assert_held(before);
    }
    mbr_waitset_free(ws);
    test_assert_held(before);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void fires_in_order(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note late = {.calls = 0};
    struct note early = {.calls = 0};
    struct note second = {.calls = 0};
    struct note never = {.calls = 0};
    uint64_t at = mbr__deadline_ns(2 * MS);

    assert_int_equal(mbr_watch_deadline(ws, &late.watch, at + MS, note), 0);
    assert_int_equal(mbr_watch_deadline(ws, &early.watch, at, note), 0);
    assert_int_equal(mbr_watch_deadline(ws, &second.watch, at, note), 0);
    assert_int_equal(mbr_watch_deadline(ws, &never.watch, MBR_FOREVER, note), 0);
    for (int fired = 0; fired < 3;) {
        int r = mbr_waitset_wait(ws, MBR_FOREVER);

        assert_true(r > 0);
        assert_true(mbr__now_ns() >= at);
        fired += r;
    }
    assert_true(mbr__now_ns() >= at + MS);
    assert_int_equal(early.turn, 1);
    assert_int_equal(second.turn, 2);
    assert_int_equal(late.turn, 3);
    assert_int_equal(mbr_watch_active(&late.watch), 0);
    assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);
    assert_int_equal(mbr_watch_active(&never.watch), 1);
    mbr_waitset_free(ws);
}

static void note_and_begin_anew(struct mbr_watch *w, uint32_t events)
{
    note(w, events);
    assert_int_equal(mbr_watch_active(w), 0);
    assert_int_equal(mbr_watch_timer(w->data, w, 0, note_and_begin_anew), 0);
}

static void begins_timers_anew(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note n = {.watch.data = ws};

    assert_int_equal(mbr_watch_deadline(ws, &n.watch, 0, note_and_begin_anew), 0);
    for (unsigned int i = 1; i <= 5; i++) {
        assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
        assert_int_equal(n.calls, i);
    }
    mbr_watch_end(&n.watch);
    assert_int_equal(mbr_waitset_wait(ws, MS), -ETIMEDOUT);

    failalloc_arm(0);
    struct note more[64] = {{.calls = 0}};
    int r = 0;

    for (int i = 0; r == 0 && i < 64; i++)
        r = mbr_watch_timer(ws, &more[i].watch, MBR_FOREVER, note);
    assert_true(failalloc_disarm());
    assert_int_equal(r, -ENOMEM);
    mbr_waitset_free(ws);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void reports_descriptors(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note in = {.calls = 0};
    struct note out = {.calls = 0};
    struct note other = {.calls = 0};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(mbr_watch_fd(ws, &in.watch, ends[0], EPOLLIN, note), 0);
    assert_int_equal(mbr_watch_fd(ws, &other.watch, ends[0], EPOLLIN, note), -EEXIST);
    assert_int_equal(mbr_watch_fd(ws, &other.watch, -1, EPOLLIN, note), -EBADF);
    assert_int_equal(mbr_watch_fd(ws, &other.watch, mbr_waitset_fd(ws), EPOLLIN, note), -EINVAL);
    assert_int_equal(mbr_watch_fd(ws, &other.watch, ends[1], EPOLLOUT | EPOLLEXCLUSIVE, note),
                     -EINVAL);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_int_equal(mbr_watch_fd(ws, &other.watch, file, EPOLLIN, note), -EPERM);
    close(file);
    assert_int_equal(mbr_watch_active(&other.watch), 0);

    assert_int_equal(mbr_waitset_wait(ws, MS), -ETIMEDOUT);
    assert_int_equal(mbr_watch_fd(ws, &out.watch, ends[1], EPOLLOUT, note), 0);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    assert_int_equal(out.events, EPOLLOUT);
    assert_int_equal(mbr_watch_fd_events(&out.watch, 0), 0);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(mbr_waitset_poll(ws), 1);
    assert_int_equal(mbr_waitset_wait(ws, 0), 1); /* level-triggered */
    assert_int_equal(in.calls, 2);
    assert_int_equal(in.events, EPOLLIN);

    mbr_watch_end(&out.watch);
    mbr_watch_end(&in.watch);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    assert_int_equal(mbr_watch_fd(ws, &in.watch, ends[0], EPOLLIN, note_and_end), 0);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    close(ends[0]);
    close(ends[1]);
    mbr_waitset_free(ws);
}

static void end_the_other(struct mbr_watch *w, uint32_t events)
{
    note(w, events);
    mbr_watch_end(w->data);
}

static void free_yourself(struct mbr_watch *w, uint32_t events)
{
    (void)events;
    turns++;
    mbr_watch_end(w);
    free(w);
}

static void ends_watches_from_callbacks(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note a = {.calls = 0};
    struct note b = {.watch.data = &a.watch};
    int ends[2];
    int others[2];

    a.watch.data = &b.watch;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pipe2(others, O_CLOEXEC), 0);
    assert_int_equal(mbr_watch_fd(ws, &a.watch, ends[1], EPOLLOUT, end_the_other), 0);
    assert_int_equal(mbr_watch_fd(ws, &b.watch, others[1], EPOLLOUT, end_the_other), 0);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1); /* who comes first ends the other */
    assert_int_equal(a.calls + b.calls, 1);
    mbr_watch_end(&a.watch);
    mbr_watch_end(&b.watch);

    struct mbr_watch *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(mbr_watch_fd(ws, w, ends[1], EPOLLOUT, free_yourself), 0);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    w = calloc(1, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(mbr_watch_timer(ws, w, 0, free_yourself), 0);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(others[i]);
    }
    mbr_waitset_free(ws);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static pid_t child_that_stays(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(50);
        for (;;)
            pause();
    }
    return pid;
}

static void hears_of_a_death(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct test_held before = test_held();
    struct note n = {.calls = 0};

    for (unsigned int i = 1; i <= 2; i++) { /* a second time with the same watch */
        pid_t pid = child_that_stays();

        assert_int_equal(mbr_watch_death(ws, &n.watch, pid, note), 0);
        assert_int_equal(mbr_waitset_wait(ws, MS), -ETIMEDOUT);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1); /* not reaped yet */
        assert_int_equal(n.calls, i);
        assert_int_equal(n.events, 0);
        assert_int_equal(mbr_watch_active(&n.watch), 0);
        assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);

        assert_int_equal(mbr_watch_death(ws, &n.watch, pid, note), -ESRCH);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(mbr_watch_death(ws, &n.watch, pid, note), -ESRCH);
    }
    assert_int_equal(mbr_watch_death(ws, &n.watch, 0, note), -ESRCH);
    assert_int_equal(mbr_watch_death(ws, &n.watch, -1, note), -ESRCH);
    assert_int_equal(mbr_watch_death(ws, &n.watch, getpid(), note), 0);
    mbr_watch_end(&n.watch);
    test_assert_held(before);
    mbr_waitset_free(ws);
}

/* ---- interruption ---------------------------------------------------------------------------- */

static struct mbr_waitset *to_interrupt;

static void on_alarm(int number)
{
    (void)number;
    mbr_waitset_interrupt(to_interrupt);
}

static void *interrupter_main(void *arg)
{
    pid_t *waiter = arg;

    while (!event_asleep(getpid(), *waiter))
        sched_yield();
    mbr_waitset_interrupt(to_interrupt);
    return NULL;
}

static void is_interrupted(void **state)
{
    struct sigaction act = {.sa_handler = on_alarm};
    struct sigaction old;
    pid_t me = gettid();
    pthread_t thread;

    to_interrupt = new_set();
    mbr_waitset_interrupt(to_interrupt);
    mbr_waitset_interrupt(to_interrupt);
    assert_int_equal(mbr_waitset_wait(to_interrupt, MBR_FOREVER), -EINTR);
    assert_int_equal(mbr_waitset_wait(to_interrupt, 0), -ETIMEDOUT);
    mbr_waitset_interrupt(to_interrupt);
    assert_int_equal(mbr_waitset_prepare(to_interrupt), 1);
    assert_int_equal(mbr_waitset_poll(to_interrupt), -EINTR);
    assert_int_equal(mbr_waitset_poll(to_interrupt), 0);

    assert_int_equal(pthread_create(&thread, NULL, interrupter_main, &me), 0);
    assert_int_equal(mbr_waitset_wait(to_interrupt, MBR_FOREVER), -EINTR);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
    ualarm(1000, 0);
    assert_int_equal(mbr_waitset_wait(to_interrupt, MBR_FOREVER), -EINTR);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    mbr_waitset_free(to_interrupt);
}

static int nested[4];

static void wait_within(struct mbr_watch *w, uint32_t events)
{
    (void)events;
    nested[0] = mbr_waitset_wait(w->data, 0);
    nested[1] = mbr_waitset_poll(w->data);
    nested[2] = mbr_waitset_prepare(w->data);
}

static void refuses_to_nest(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct mbr_watch w = {.data = ws};

    assert_int_equal(mbr_watch_timer(ws, &w, 0, wait_within), 0);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(nested[i], -EBUSY);
    mbr_waitset_free(ws);
}

/* ---- other event loops ----------------------------------------------------------------------- */

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

/* Waits as a foreign loop does, until something was called. */
static void foreign_wait(struct mbr_waitset *ws)
{
    int r = 0;

    while (r == 0) {
        r = mbr_waitset_prepare(ws);
        assert_true(r >= 0);
        if (r == 0)
            assert_true(readable(mbr_waitset_fd(ws), -1));
        r = mbr_waitset_poll(ws);
    }
    assert_int_equal(r, 1);
}

static void tells_a_foreign_loop(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note n = {.calls = 0};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    assert_int_equal(mbr_waitset_prepare(ws), 0);
    assert_false(readable(mbr_waitset_fd(ws), 0));

    uint64_t at = mbr__deadline_ns(2 * MS);

    assert_int_equal(mbr_watch_deadline(ws, &n.watch, at, note), 0);
    foreign_wait(ws);
    assert_true(mbr__now_ns() >= at);
    assert_int_equal(mbr_watch_deadline(ws, &n.watch, 0, note), 0);
    foreign_wait(ws);
    assert_int_equal(mbr_watch_timer(ws, &n.watch, MBR_FOREVER, note), 0);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    assert_int_equal(mbr_waitset_prepare(ws), 0);
    assert_false(readable(mbr_waitset_fd(ws), 0));
    mbr_watch_end(&n.watch);

    assert_int_equal(mbr_watch_fd(ws, &n.watch, ends[1], EPOLLOUT, note_and_end), 0);
    foreign_wait(ws);
    assert_int_equal(n.calls, 3);
    assert_int_equal(mbr_waitset_poll(ws), 0);
    assert_int_equal(mbr_waitset_prepare(ws), 0);
    assert_false(readable(mbr_waitset_fd(ws), 0));
    mbr_waitset_interrupt(ws);
    assert_true(readable(mbr_waitset_fd(ws), -1));
    assert_int_equal(mbr_waitset_poll(ws), -EINTR);
    close(ends[0]);
    close(ends[1]);
    mbr_waitset_free(ws);
}

/* ---- fork ------------------------------------------------------------------------------------ */

struct inherited {
    struct mbr_waitset *ws;
    struct note *pipe;
    struct note *timer;
};

static void use_inherited(void *arg)
{
    struct inherited *i = arg;
    struct note own = {.calls = 0};

    CHILD_CHECK(mbr_waitset_wait(i->ws, 0) == -EPERM);
    CHILD_CHECK(mbr_waitset_poll(i->ws) == -EPERM);
    CHILD_CHECK(mbr_waitset_prepare(i->ws) == -EPERM);
    CHILD_CHECK(mbr_watch_timer(i->ws, &own.watch, 0, note) == -EPERM);
    CHILD_CHECK(mbr_watch_fd_events(&i->pipe->watch, 0) == -EPERM);
    mbr_waitset_interrupt(i->ws);
    mbr_watch_end(&i->pipe->watch);
    CHILD_CHECK(mbr_watch_active(&i->pipe->watch) == 0);
    CHILD_CHECK(mbr_watch_active(&i->timer->watch) == 1);
    mbr_waitset_free(i->ws);
    CHILD_CHECK(mbr_watch_active(&i->timer->watch) == 0);
    CHILD_CHECK(i->pipe->calls == 0 && i->timer->calls == 0);
}

static void survives_a_fork(void **state)
{
    struct mbr_waitset *ws = new_set();
    struct note in = {.calls = 0};
    struct note timer = {.calls = 0};
    struct inherited i = {ws, &in, &timer};
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(mbr_watch_fd(ws, &in.watch, ends[0], EPOLLIN, note), 0);
    assert_int_equal(mbr_watch_timer(ws, &timer.watch, MBR_FOREVER, note), 0);
    test_child_passes(use_inherited, &i);
    assert_int_equal(mbr_waitset_wait(ws, 0), -ETIMEDOUT);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(mbr_waitset_wait(ws, MBR_FOREVER), 1);
    assert_int_equal(in.calls, 1);
    close(ends[0]);
    close(ends[1]);
    mbr_waitset_free(ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_nonsense),    cmocka_unit_test(needs_memory_and_descriptors),
        cmocka_unit_test(fires_in_order),      cmocka_unit_test(begins_timers_anew),
        cmocka_unit_test(reports_descriptors), cmocka_unit_test(ends_watches_from_callbacks),
        cmocka_unit_test(hears_of_a_death),    cmocka_unit_test(is_interrupted),
        cmocka_unit_test(refuses_to_nest),     cmocka_unit_test(tells_a_foreign_loop),
        cmocka_unit_test(survives_a_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
