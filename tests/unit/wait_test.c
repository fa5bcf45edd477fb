/* SPDX-License-Identifier: MIT */
/*
 * The wait set from inside, one thread: what fires and when, demotion of silent words, the bell,
 * removal from within callbacks, interruption, foreign loops. Two threads: wait_park_test.c. The
 * public face: waitset_public_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "event/wait.h"
#include "shm/proc.h"
#include "shm_test.h"

#include "event_test.h"

#define MS    UINT64_C(1000000)
#define CROWD 1000u

/* A watch that counts, and does what a test wants done in its callback. */
struct probe {
    struct mbr__watch watch;
    struct mbr__want_shm want;
    uint64_t word;
    unsigned calls;
    uint32_t events;
    void (*act)(struct probe *self);
    struct probe *other;
    int pipe[2];
};

static struct mbr__waitset set;

static int setup(void **state)
{
    assert_int_equal(mbr__waitset_init(&set), 0);
    return 0;
}

static int teardown(void **state)
{
    mbr__waitset_fini(&set);
    return 0;
}

static struct probe *probe_of(struct mbr__watch *w)
{
    return mbr__container_of(w, struct probe, watch);
}

static void fired(struct mbr__watch *w, uint32_t events)
{
    struct probe *p = probe_of(w);

    p->calls++;
    p->events = events;
    if (p->act != NULL)
        p->act(p);
}

/* What a user does: takes note of the news. */
static void see(struct probe *p)
{
    mbr__watch_seen(&p->watch, &p->word, mbr_load_acquire(&p->word));
}

static void watch_word(struct probe *p)
{
    mbr__watch_word(&set, &p->watch, &p->word, p->word, &p->want, MBR__WANT_DATA, NULL, fired);
    if (p->act == NULL)
        p->act = see;
}

static void watch_pipe(struct probe *p)
{
    assert_int_equal(pipe2(p->pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(mbr__watch_fd(&set, &p->watch, p->pipe[0], EPOLLIN, fired), 0);
}

static void say(struct probe *p)
{
    assert_int_equal(write(p->pipe[1], "x", 1), 1);
}

static void hear(struct probe *p)
{
    char c;

    assert_int_equal(read(p->pipe[0], &c, 1), 1);
}

static void end_watch(struct probe *p)
{
    mbr__watch_end(&set, &p->watch);
}

static void end_pipe(struct probe *p)
{
    end_watch(p);
    close(p->pipe[0]);
    close(p->pipe[1]);
}

/* Publishes news as a peer does: the word, a fence, the wish, the bell. Whether it rang. */
static bool publish(struct probe *p, uint32_t bell)
{
    mbr_store_release(&p->word, p->word + 1);
    mbr_fence_full();
    if (mbr_load_relaxed(&p->want.data) == 0)
        return false;
    mbr__bell_ring(set.bell, bell);
    return true;
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static void nothing_to_wait_for(void **state)
{
    uint64_t deadline = mbr__now_ns() + 2 * MS;

    assert_int_equal(mbr__waitset_poll(&set, true), 0);
    assert_int_equal(mbr__waitset_wait(&set, 0), -ETIMEDOUT);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns()), -ETIMEDOUT);
    assert_int_equal(mbr__waitset_wait(&set, deadline), -ETIMEDOUT);
    assert_true(mbr__now_ns() >= deadline); /* not before */
}

/* Whatever the deadline, what is there is found: it is looked for before the clock is. */
static void news_before_deadline(void **state)
{
    const uint64_t deadlines[] = {0, 1, MBR__NEVER};
    struct probe w = {.word = 7};
    struct probe f = {.act = hear};

    watch_word(&w);
    watch_pipe(&f);
    for (size_t i = 0; i < 3; i++) {
        w.word++;
        assert_int_equal(mbr__waitset_wait(&set, deadlines[i]), 1);
        assert_int_equal(w.calls, i + 1);
        say(&f);
        assert_int_equal(mbr__waitset_wait(&set, deadlines[i]), 1);
        assert_int_equal(f.calls, i + 1);
        assert_int_equal(f.events, EPOLLIN);
        assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    }
    end_watch(&w);
    end_pipe(&f);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void words_fire_until_seen(void **state)
{
    struct probe a = {.word = UINT64_MAX};
    struct probe b = {.word = 0};

    watch_word(&a);
    watch_word(&b);
    a.act = NULL; /* takes no note */
    assert_int_equal(mbr__waitset_poll(&set, false), 0);
    a.word = 0;
    assert_int_equal(mbr__waitset_poll(&set, false), 1);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(a.calls, 2);
    see(&a);
    assert_int_equal(mbr__waitset_poll(&set, false), 0);
    a.word = b.word = 3;
    assert_int_equal(mbr__waitset_poll(&set, false), 2);
    assert_int_equal(b.calls, 1);
    end_watch(&a);
    end_watch(&b);
    assert_int_equal(mbr__waitset_poll(&set, false), 0);
}

/* The wish is shown while the thread sleeps and not a moment longer than the next look. */
static void wishes_are_taken_back(void **state)
{
    struct probe a = {0};
    struct probe b = {0};

    watch_word(&a);
    mbr__watch_word(&set, &b.watch, &b.word, 0, &b.want, MBR__WANT_SPACE, NULL, fired);
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns() + MS), -ETIMEDOUT);
    assert_int_equal(a.want.data | a.want.space | b.want.data | b.want.space, 0);
    assert_true(a.want.cpu < 4096); /* it has said where */
    assert_int_equal(mbr__waitset_prepare(&set), 0);
    assert_true(a.want.data != 0 && a.want.space == 0);
    assert_true(b.want.space != 0 && b.want.data == 0);
    assert_true(a.want.data != b.want.space); /* each arming has its own number */
    end_watch(&b);
    assert_int_equal(b.want.space, 0);
    assert_int_equal(mbr__waitset_poll(&set, false), 0);
    assert_int_equal(a.want.data, 0);
    end_watch(&a);
}

/* ---- descriptors, timers, deaths ------------------------------------------------------------- */

static void descriptors_that_cannot_be_watched(void **state)
{
    struct probe p = {0};
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_int_equal(mbr__watch_fd(&set, &p.watch, -1, EPOLLIN, fired), -EBADF);
    assert_int_equal(mbr__watch_fd(&set, &p.watch, file, EPOLLIN, fired), -EPERM);
    assert_int_equal(mbr__watch_fd(&set, &p.watch, set.ep, EPOLLIN, fired), -EINVAL);
    assert_false(mbr__watch_active(&p.watch));
    mbr__watch_end(&set, &p.watch); /* harmless */
    close(file);
}

static void events_of_a_descriptor_change(void **state)
{
    struct probe p = {0};

    watch_pipe(&p);
    say(&p);
    assert_int_equal(mbr__watch_fd_events(&set, &p.watch, 0), 0);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    assert_int_equal(mbr__watch_fd_events(&set, &p.watch, EPOLLIN | EPOLLET), 0);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT); /* an edge is told once */
    close(p.pipe[1]);
    p.pipe[1] = -1;
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_true((p.events & EPOLLHUP) != 0);
    end_watch(&p);
    close(p.pipe[0]);
}

/* Many at once come in several batches, and none is forgotten. */
static void many_descriptors(void **state)
{
    enum { MANY = 50 };
    struct probe p[MANY] = {0};
    int total = 0;

    for (int i = 0; i < MANY; i++) {
        p[i].act = hear;
        watch_pipe(&p[i]);
        say(&p[i]);
    }
    while (total < MANY) {
        int r = mbr__waitset_wait(&set, 0);

        assert_true(r > 0);
        total += r;
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(p[i].calls, 1);
        end_pipe(&p[i]);
    }
}

struct alarm_clock {
    struct mbr__timer timer;
    unsigned calls;
};

static void rings(struct mbr__timer *t)
{
    mbr__container_of(t, struct alarm_clock, timer)->calls++;
}

static void timers(void **state)
{
    struct alarm_clock soon = {0};
    struct alarm_clock late = {0};
    uint64_t now = mbr__now_ns();

    mbr__timer_init(&soon.timer, rings);
    mbr__timer_init(&late.timer, rings);
    assert_int_equal(mbr__timer_add(&set.timers, &late.timer, now + 3600000 * MS), 0);
    assert_int_equal(mbr__timer_add(&set.timers, &soon.timer, now + 2 * MS), 0);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_true(mbr__now_ns() >= now + 2 * MS);
    assert_int_equal(soon.calls, 1);
    assert_int_equal(mbr__timer_add(&set.timers, &soon.timer, 1), 0); /* long past */
    assert_int_equal(mbr__waitset_wait(&set, 0), 1);
    assert_int_equal(soon.calls, 2);
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns() + MS), -ETIMEDOUT);
    assert_int_equal(late.calls, 0);
    mbr__timer_cancel(&set.timers, &late.timer);
}

static pid_t start_child(int go[2])
{
    pid_t pid;
    char c;

    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(go[1]);
        (void)!read(go[0], &c, 1); /* until the parent closes it, or dies */
        _exit(0);
    }
    close(go[0]);
    return pid;
}

static void death_of_a_child(void **state)
{
    struct mbr__proc proc = {0};
    struct probe p = {0};
    int go[2];
    int pidfd = -1;
    pid_t pid = start_child(go);

    proc.pid = pid;
    assert_int_equal(mbr__proc_start(pid, &proc.start), 0);
    assert_int_equal(mbr__proc_pidfd(&proc, &pidfd), 0);
    assert_int_equal(mbr__watch_fd(&set, &p.watch, pidfd, EPOLLIN, fired), 0);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    close(go[1]);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(p.events & EPOLLIN, EPOLLIN);
    assert_int_equal(mbr__waitset_wait(&set, 0), 1); /* the dead stay dead */
    end_watch(&p);
    close(pidfd);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A word, a descriptor, a timer and a death in one wait set: all are told, once each. */
static void a_mixture(void **state)
{
    struct alarm_clock clock = {0};
    struct probe word = {0};
    struct probe file = {.act = hear};
    struct probe dead = {.act = end_watch};
    struct mbr__proc proc = {0};
    int go[2];
    int pidfd = -1;
    int total = 0;

    proc.pid = start_child(go);
    assert_int_equal(mbr__proc_start(proc.pid, &proc.start), 0);
    assert_int_equal(mbr__proc_pidfd(&proc, &pidfd), 0);
    mbr__timer_init(&clock.timer, rings);
    watch_word(&word);
    watch_pipe(&file);
    assert_int_equal(mbr__watch_fd(&set, &dead.watch, pidfd, EPOLLIN, fired), 0);
    assert_int_equal(mbr__timer_add(&set.timers, &clock.timer, mbr__now_ns() + MS), 0);
    close(go[1]);
    say(&file);
    word.word = 1;
    while (total < 4) {
        int r = mbr__waitset_wait(&set, MBR__NEVER);

        assert_true(r > 0);
        total += r;
    }
    assert_int_equal(word.calls, 1);
    assert_int_equal(file.calls, 1);
    assert_int_equal(dead.calls, 1);
    assert_int_equal(clock.calls, 1);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    end_watch(&word);
    end_pipe(&file);
    close(pidfd);
    assert_int_equal(waitpid(proc.pid, NULL, 0), proc.pid);
}

/* ---- hot and cold ---------------------------------------------------------------------------- */

static struct probe *crowd; /* CROWD words */

static void heated(struct mbr__waitset *ws, uint32_t bell)
{
    if (bell <= CROWD)
        mbr__watch_heat(ws, &crowd[bell - 1].watch);
}

/* 1,000 words, of which number 0 is busy until the others have gone cold. */
static int crowd_setup(void **state)
{
    setup(state);
    crowd = calloc(CROWD, sizeof(*crowd));
    assert_non_null(crowd);
    set.rang = heated;
    for (uint32_t i = 0; i < CROWD; i++)
        watch_word(&crowd[i]);
    for (uint32_t round = 0; round < 1000; round++) {
        crowd[0].word++;
        assert_int_equal(mbr__waitset_poll(&set, false), 1);
    }
    return 0;
}

static int crowd_teardown(void **state)
{
    for (uint32_t i = 0; i < CROWD; i++)
        end_watch(&crowd[i]);
    free(crowd);
    return teardown(state);
}

/* Silent words cost nothing: they are out of the rounds, and their wish is shown for good. The
 * fewer are left, the longer they may stay: after a thousand rounds a few. */
static void silent_words_go_cold(void **state)
{
    uint32_t shown = 0;

    assert_int_equal(set.nhot + set.ncold, CROWD);
    assert_true(set.nhot <= 20);
    assert_int_equal(crowd[0].calls, 1000);
    assert_int_equal(crowd[0].want.data, 0);
    for (uint32_t i = 1; i < CROWD; i++)
        shown += crowd[i].want.data != 0;
    assert_int_equal(shown, set.ncold);
}

/* A cold word that speaks rings, is heated and fires; afterwards it is looked at at every round. */
static void a_bell_heats_its_word(void **state)
{
    assert_true(publish(&crowd[500], 501));
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(crowd[500].calls, 1);
    for (int i = 0; i < 100; i++) {
        crowd[500].word++;
        assert_int_equal(mbr__waitset_poll(&set, false), 1);
    }
}

/* "Look once" is a whole look: what was rung for before is found by it. */
static void one_look_hears_the_bell(void **state)
{
    assert_true(publish(&crowd[700], 701));
    assert_int_equal(mbr__waitset_wait(&set, 0), 1);
    assert_int_equal(crowd[700].calls, 1);
}

/* One cold word is looked at in each round, so even one whose peer never rings is found. */
static void cold_words_have_their_turn(void **state)
{
    uint32_t polls = 0;

    crowd[900].word++;
    while (crowd[900].calls == 0 && polls++ <= CROWD)
        (void)mbr__waitset_poll(&set, false);
    assert_int_equal(crowd[900].calls, 1);
}

/* Without a function that knows names, a bell means "look at all". */
static void a_bell_without_a_name(void **state)
{
    set.rang = NULL;
    assert_true(publish(&crowd[333], 9));
    assert_true(publish(&crowd[666], 9));
    while (crowd[333].calls + crowd[666].calls < 2)
        assert_true(mbr__waitset_wait(&set, mbr__now_ns() + 20000 * MS) > 0);
}

/* All speak at once, more than a pipe's worth of rings before them. */
static void the_whole_crowd_speaks(void **state)
{
    uint32_t heard = 0;

    for (uint32_t i = 0; i < CROWD; i++)
        (void)publish(&crowd[i], i + 1);
    while (heard < CROWD) {
        int r = mbr__waitset_wait(&set, MBR__NEVER);

        assert_true(r > 0);
        heard += (uint32_t)r;
    }
    for (uint32_t i = 1; i < CROWD; i++)
        assert_int_equal(crowd[i].calls, 1);
}

static void end_many(struct probe *p)
{
    see(p);
    for (uint32_t i = 0; i < CROWD; i++) {
        if (&crowd[i] != p)
            end_watch(&crowd[i]);
    }
}

static void removal_of_cold_words(void **state)
{
    crowd[400].act = end_many;
    assert_true(publish(&crowd[400], 401));
    assert_true(publish(&crowd[401], 402)); /* ended before its turn */
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(set.nhot + set.ncold, 1);
    assert_int_equal(crowd[401].calls, 0);
}

/* ---- the bell -------------------------------------------------------------------------------- */

/* Until the pipe takes no more. */
static void fill_bell(uint32_t bell)
{
    while (write(set.bell, &bell, sizeof(bell)) == (ssize_t)sizeof(bell))
        ;
    assert_int_equal(errno, EAGAIN);
}

/* The ring of a cold word does not fit into the pipe: it is not lost with it. */
static void ring_lost_on_a_full_pipe(void **state)
{
    fill_bell(2);
    assert_true(publish(&crowd[800], 801));
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns() + 20000 * MS), 1);
    assert_int_equal(crowd[800].calls, 1);
    fill_bell(0); /* and again, after it was emptied */
    assert_true(publish(&crowd[801], 802));
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns() + 20000 * MS), 1);
    assert_int_equal(crowd[801].calls, 1);
}

/* With nothing cold the bell is never read, so it fills up in the end. The kernel is asked all the
 * same, and nobody spins. */
static void a_full_pipe_does_not_deafen(void **state)
{
    struct probe word = {0};
    struct probe file = {.act = hear};

    watch_word(&word);
    watch_pipe(&file);
    fill_bell(7);
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns() + MS), -ETIMEDOUT);
    say(&file);
    assert_int_equal(mbr__waitset_wait(&set, mbr__now_ns() + 1000 * MS), 1);
    assert_int_equal(file.calls, 1);
    assert_false(set.sweep); /* or the next park would not sleep */
    end_watch(&word);
    end_pipe(&file);
}

/* ---- removal from within callbacks ----------------------------------------------------------- */

static void end_self(struct probe *p)
{
    end_watch(p);
}

static void end_other(struct probe *p)
{
    if (p->watch.kind == MBR__WATCH_WORD)
        see(p);
    end_watch(p->other);
}

static void words_end_themselves(void **state)
{
    struct probe p[3] = {0};

    for (int i = 0; i < 3; i++) {
        p[i].act = end_self;
        watch_word(&p[i]);
        p[i].word = 1;
    }
    assert_int_equal(mbr__waitset_poll(&set, false), 3);
    assert_int_equal(mbr__waitset_poll(&set, false), 0);
    assert_int_equal(set.nhot, 0);
}

/* Each of three ends each other one: what was ended does not fire, all others do. */
static void words_end_each_other(void **state)
{
    for (int from = 0; from < 3; from++) {
        for (int to = 0; to < 3; to++) {
            struct probe p[3] = {0};

            if (from == to)
                continue;
            for (int i = 0; i < 3; i++) {
                watch_word(&p[i]);
                p[i].word = 1;
            }
            p[from].act = end_other;
            p[from].other = &p[to];
            assert_int_equal(mbr__waitset_poll(&set, false), to > from ? 2 : 3);
            assert_int_equal(p[to].calls, to > from ? 0 : 1);
            for (int i = 0; i < 3; i++)
                end_watch(&p[i]);
        }
    }
}

/* Two pipes in one batch of epoll, each of which ends the other: one fires. */
static void descriptors_end_each_other(void **state)
{
    struct probe a = {.act = end_other};
    struct probe b = {.act = end_other, .other = &a};

    a.other = &b;
    watch_pipe(&a);
    watch_pipe(&b);
    say(&a);
    say(&b);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(a.calls + b.calls, 1);
    end_pipe(&a);
    end_pipe(&b);
}

/* Ended, closed, and another descriptor with the same number and the same watch begun. */
static void begin_again(struct probe *p)
{
    struct probe *other = p->other;

    hear(p);
    end_pipe(other);
    watch_pipe(other);
}

static void a_watch_begins_anew_in_the_same_batch(void **state)
{
    struct probe a = {.act = begin_again};
    struct probe b = {.act = begin_again, .other = &a};

    a.other = &b;
    watch_pipe(&a);
    watch_pipe(&b);
    say(&a);
    say(&b);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1); /* the new one has nothing to say */
    assert_int_equal(a.calls + b.calls, 1);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    end_pipe(&a);
    end_pipe(&b);
}

static void begin_other(struct probe *p)
{
    see(p);
    if (!mbr__watch_active(&p->other->watch))
        watch_word(p->other);
}

static void words_begin_in_callbacks(void **state)
{
    struct probe b = {0};
    struct probe a = {.act = begin_other, .other = &b};

    watch_word(&a);
    a.word = 1;
    assert_int_equal(mbr__waitset_poll(&set, false), 1);
    b.word = 1;
    assert_int_equal(mbr__waitset_poll(&set, false), 1);
    assert_int_equal(b.calls, 1);
    end_watch(&a);
    end_watch(&b);
}

/* A descriptor's callback ends a word and the other way round. */
static void kinds_end_each_other(void **state)
{
    struct probe file = {.act = end_other};
    struct probe word = {.act = end_other, .other = &file};

    file.other = &word;
    watch_pipe(&file);
    watch_word(&word);
    say(&file);
    word.word = 1;
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    assert_int_equal(word.calls, 1);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    assert_int_equal(file.calls, 0);
    end_watch(&word);
    end_pipe(&file);
}

/* ---- interruption ---------------------------------------------------------------------------- */

static void an_interrupt_ends_one_wait(void **state)
{
    mbr__waitset_interrupt(&set);
    mbr__waitset_interrupt(&set);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), -EINTR);
    assert_int_equal(mbr__waitset_wait(&set, 1), -ETIMEDOUT);
    mbr__waitset_interrupt(&set);
    assert_int_equal(mbr__waitset_wait(&set, 0), -EINTR);
}

static void interrupted_by_handler(int number)
{
    (void)number;
    mbr__waitset_interrupt(&set);
}

static void only_a_signal(int number)
{
    (void)number;
}

struct sender {
    pthread_t target;
    pid_t tid;
    int number; /* a signal, 0: interrupts from the thread */
    uint32_t *shown;
};

/* Once the target sleeps, sends it a signal, or interrupts it. */
static void *send_when_asleep(void *arg)
{
    struct sender *s = arg;

    event_until_asleep(getpid(), s->tid, s->shown);
    if (s->number != 0)
        pthread_kill(s->target, s->number);
    else
        mbr__waitset_interrupt(&set);
    return NULL;
}

static int wait_for_sender(int number, uint64_t deadline)
{
    struct probe p = {0};
    struct sender s = {
        .target = pthread_self(), .tid = gettid(), .number = number, .shown = &p.want.data};
    pthread_t thread;

    watch_word(&p);
    assert_int_equal(pthread_create(&thread, NULL, send_when_asleep, &s), 0);
    int r = mbr__waitset_wait(&set, deadline);

    assert_int_equal(pthread_join(thread, NULL), 0);
    end_watch(&p);
    return r;
}

static void from_a_handler_and_a_thread(void **state)
{
    struct sigaction act = {.sa_handler = interrupted_by_handler};

    assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
    assert_int_equal(wait_for_sender(SIGUSR1, MBR__NEVER), -EINTR);
    assert_int_equal(wait_for_sender(0, MBR__NEVER), -EINTR);
    act.sa_handler = SIG_DFL;
    assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
}

/* A signal as such is none of our business. */
static void a_signal_is_no_interrupt(void **state)
{
    struct sigaction act = {.sa_handler = only_a_signal};
    uint64_t deadline = mbr__now_ns() + 300 * MS;

    assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
    assert_int_equal(wait_for_sender(SIGUSR1, deadline), -ETIMEDOUT);
    assert_true(mbr__now_ns() >= deadline);
    act.sa_handler = SIG_DFL;
    assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
}

/* ---- foreign loops --------------------------------------------------------------------------- */

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static void foreign_loop_sees_words(void **state)
{
    struct probe p = {0};

    watch_word(&p);
    p.word = 1;
    assert_int_equal(mbr__waitset_prepare(&set), 1); /* at once */
    assert_int_equal(mbr__waitset_poll(&set, true), 1);
    while (readable(set.ep, 0)) /* what making it has left */
        (void)mbr__waitset_poll(&set, true);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(mbr__waitset_prepare(&set), 0);
        assert_false(readable(set.ep, 0));
        assert_true(publish(&p, 1));
        assert_true(readable(set.ep, 10000));
        assert_true(mbr__waitset_poll(&set, true) >= 1);
        assert_int_equal(p.want.data, 0);
        assert_false(publish(&p, 1)); /* awake: no ring */
        assert_int_equal(mbr__waitset_poll(&set, true), 1);
    }
    end_watch(&p);
}

static void foreign_loop_sees_the_rest(void **state)
{
    struct alarm_clock clock = {0};
    struct probe file = {.act = hear};

    mbr__timer_init(&clock.timer, rings);
    watch_pipe(&file);
    (void)mbr__waitset_poll(&set, true);
    assert_int_equal(mbr__waitset_prepare(&set), 0);
    assert_false(readable(set.ep, 0));
    say(&file);
    assert_true(readable(set.ep, 10000));
    assert_int_equal(mbr__waitset_poll(&set, true), 1);
    assert_int_equal(mbr__timer_add(&set.timers, &clock.timer, mbr__now_ns() + MS), 0);
    assert_int_equal(mbr__waitset_prepare(&set), 0);
    assert_true(readable(set.ep, 10000));
    assert_true(mbr__waitset_poll(&set, true) >= 1);
    assert_int_equal(clock.calls, 1);
    mbr__waitset_interrupt(&set);
    assert_int_equal(mbr__waitset_prepare(&set), 1);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), -EINTR);
    /* A timer that was taken back does not wake the loop. */
    assert_int_equal(mbr__timer_add(&set.timers, &clock.timer, mbr__now_ns() + MS), 0);
    assert_int_equal(mbr__waitset_prepare(&set), 0);
    mbr__timer_cancel(&set.timers, &clock.timer);
    (void)mbr__waitset_poll(&set, true);
    assert_int_equal(mbr__waitset_prepare(&set), 0);
    assert_false(readable(set.ep, 20));
    end_pipe(&file);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* A child that clears away what it inherited does not take it from its parent. */
static void a_child_ends_nothing(void **state)
{
    struct probe word = {0};
    struct probe file = {.act = hear};
    int status = -1;

    watch_word(&word);
    watch_pipe(&file);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        end_watch(&word);
        end_pipe(&file);
        mbr__waitset_fini(&set);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    say(&file);
    assert_int_equal(mbr__waitset_wait(&set, MBR__NEVER), 1);
    end_watch(&word);
    end_pipe(&file);
}

static void nothing_stays_open(void **state)
{
    struct test_held before = test_held();
    struct alarm_clock clock = {0};

    assert_int_equal(mbr__waitset_init(&set), 0);
    mbr__timer_init(&clock.timer, rings);
    assert_int_equal(mbr__timer_add(&set.timers, &clock.timer, MBR__NEVER - 1), 0);
    assert_int_equal(mbr__waitset_prepare(&set), 0); /* makes the timer's descriptor */
    mbr__timer_cancel(&set.timers, &clock.timer);
    mbr__waitset_fini(&set);
    test_assert_held(before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define COLD(f) cmocka_unit_test_setup_teardown(f, crowd_setup, crowd_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_to_wait_for),
        TEST(news_before_deadline),
        TEST(words_fire_until_seen),
        TEST(wishes_are_taken_back),
        TEST(descriptors_that_cannot_be_watched),
        TEST(events_of_a_descriptor_change),
        TEST(many_descriptors),
        TEST(timers),
        TEST(death_of_a_child),
        TEST(a_mixture),
        COLD(silent_words_go_cold),
        COLD(a_bell_heats_its_word),
        COLD(one_look_hears_the_bell),
        COLD(cold_words_have_their_turn),
        COLD(a_bell_without_a_name),
        COLD(the_whole_crowd_speaks),
        COLD(removal_of_cold_words),
        COLD(ring_lost_on_a_full_pipe),
        TEST(a_full_pipe_does_not_deafen),
        TEST(words_end_themselves),
        TEST(words_end_each_other),
        TEST(descriptors_end_each_other),
        TEST(a_watch_begins_anew_in_the_same_batch),
        TEST(words_begin_in_callbacks),
        TEST(kinds_end_each_other),
        TEST(an_interrupt_ends_one_wait),
        TEST(from_a_handler_and_a_thread),
        TEST(a_signal_is_no_interrupt),
        TEST(foreign_loop_sees_words),
        TEST(foreign_loop_sees_the_rest),
        TEST(a_child_ends_nothing),
        cmocka_unit_test(nothing_stays_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
