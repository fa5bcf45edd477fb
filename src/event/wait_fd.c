/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a wait set: epoll, the bell, the timer descriptor for foreign loops.
 *
 * The bell is a pipe of which we hold both ends in one descriptor, opened read-write through
 * /proc/self/fd (a peer opens it by the same road). It is watched edge-triggered and, as long as
 * nobody needs to know who rang, never read: each write is a new edge. It must not fill up, since a
 * write to a full pipe is no edge: so it is watched for writability too, and a report without
 * EPOLLOUT means "nearly full, empty it now".
 */
#define _GNU_SOURCE
#include "event/wait_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "shm/proc.h"

#define NS_PER_S UINT64_C(1000000000)

void mbr__bell_ring(int wake_fd, uint32_t bell)
{
    int saved = errno; /* we may be in a signal handler */

    /* EAGAIN: the pipe is full, its reader has an edge already. EPIPE cannot be while the reader
     * lives: it holds both ends; SIGPIPE could, of a dead one, so bells of other processes are
     * opened O_RDWR. */
    (void)!write(wake_fd, &bell, sizeof(bell));
    errno = saved;
}

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static int to_ms(const struct timespec *ts)
{
    int64_t ms = (int64_t)ts->tv_sec * 1000 + (ts->tv_nsec + 999999) / 1000000;

    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int open_bell(int *out)
{
    int ends[2];
    char path[32];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    int both = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK); // NOLINT(android-cloexec-open)
    int r = both < 0 ? -errno : 0;

    close(ends[0]);
    close(ends[1]);
    if (r == 0)
        *out = both;
    return r;
}

int mbr__waitset_init(struct mbr__waitset *ws)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = NULL};
    int bell = -1;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    int r = ep < 0 ? -errno : open_bell(&bell);

    if (r == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, bell, &ev) < 0)
        r = -errno;
    if (r < 0) {
        if (bell >= 0)
            close(bell);
        if (ep >= 0)
            close(ep);
        return r;
    }
    *ws = (struct mbr__waitset){
        .ep = ep, .bell = bell, .timer_fd = -1, .fork_mark = mbr__fork_mark()};
    mbr__list_init(&ws->hot);
    mbr__list_init(&ws->cold);
    mbr__list_init(&ws->probes);
    mbr__timers_init(&ws->timers);
    mbr__spin_init(&ws->spin);
    return 0;
}

void mbr__waitset_fini(struct mbr__waitset *ws)
{
    mbr__timers_fini(&ws->timers);
    if (ws->timer_fd >= 0)
        close(ws->timer_fd);
    close(ws->bell);
    close(ws->ep);
    ws->ep = ws->bell = ws->timer_fd = -1;
}

int mbr__watch_fd(struct mbr__waitset *ws, struct mbr__watch *w, int fd, uint32_t events,
                  mbr__watch_fn *fire)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};

    if (epoll_ctl(ws->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    *w = (struct mbr__watch){.fire = fire, .kind = MBR__WATCH_FD, .fd = fd};
    mbr__list_init(&w->node);
    ws->nfds++;
    return 0;
}

int mbr__watch_fd_events(struct mbr__waitset *ws, struct mbr__watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};

    return epoll_ctl(ws->ep, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void mbr__waitset_fd_end(struct mbr__waitset *ws, struct mbr__watch *w)
{
    /* In a forked child this epoll is the parent's too: its registrations are not ours to end. */
    if (ws->fork_mark == mbr__fork_mark())
        (void)epoll_ctl(ws->ep, EPOLL_CTL_DEL, w->fd, NULL);
    for (int i = 0; i < ws->nbatch; i++) {
        if (ws->batch[i].data.ptr == w)
            ws->batch[i].events = 0;
    }
    ws->nfds--;
}

/* Reads who rang. With few cold words it is cheaper to look at them all. */
static void hear_bells(struct mbr__waitset *ws)
{
    uint32_t bells[256];
    ssize_t n = read(ws->bell, bells, sizeof(bells));

    if (n <= 0) /* somebody rang and somebody else has read it */
        ws->sweep = ws->ncold > 0;
    for (; n > 0; n = n == (ssize_t)sizeof(bells) ? read(ws->bell, bells, sizeof(bells)) : 0) {
        for (ssize_t i = 0; i + (ssize_t)sizeof(bells[0]) <= n; i += (ssize_t)sizeof(bells[0])) {
            uint32_t bell = bells[(size_t)i / sizeof(bells[0])];

            if (bell != 0 && ws->rang != NULL)
                ws->rang(ws, bell);
            else if (bell != 0)
                ws->sweep = ws->ncold > 0;
        }
    }
}

static void bell_event(struct mbr__waitset *ws, uint32_t events)
{
    if ((events & EPOLLOUT) == 0) {
        ws->sweep = ws->ncold > 0; /* rings may have been lost on the full pipe */
        hear_bells(ws);
    } else if (ws->ncold > 0) {
        hear_bells(ws);
    }
}

static int sleep_in_epoll(struct mbr__waitset *ws, uint64_t deadline)
{
    struct timespec ts = {0, 0};
    int max = (int)(sizeof(ws->batch) / sizeof(ws->batch[0]));

    if (deadline != 0 && deadline != MBR__NEVER) {
        uint64_t now = mbr__now_ns();

        ts = to_timespec(deadline > now ? deadline - now : 0);
    }
    int n = epoll_pwait2(ws->ep, ws->batch, max, deadline == MBR__NEVER ? NULL : &ts, NULL);

    if (n < 0 && errno == ENOSYS) /* before Linux 5.11: whole milliseconds, rounded up */
        n = epoll_wait(ws->ep, ws->batch, max, deadline == MBR__NEVER ? -1 : to_ms(&ts));
    return n;
}

static int fire_batch(struct mbr__waitset *ws)
{
    int fired = 0;

    for (int i = 0; i < ws->nbatch; i++) {
        struct mbr__watch *w = ws->batch[i].data.ptr;
        uint32_t events = ws->batch[i].events;

        if (w == NULL) {
            bell_event(ws, events);
        } else if (events != 0) {
            fired++;
            w->fire(w, events);
        }
    }
    ws->nbatch = 0;
    return fired;
}

int mbr__waitset_collect(struct mbr__waitset *ws, uint64_t deadline)
{
    int n = sleep_in_epoll(ws, deadline);

    if (n <= 0) /* the time is up, or a signal: the caller looks at its words and at the clock */
        return 0;
    ws->nbatch = n;
    return fire_batch(ws);
}

static void timer_fired(struct mbr__watch *w, uint32_t events)
{
    uint64_t count;

    (void)events;
    (void)!read(w->fd, &count, sizeof(count));
}

int mbr__waitset_timer_fd(struct mbr__waitset *ws, uint64_t deadline)
{
    uint64_t ns = deadline == 0 ? 1 : deadline; /* 0 would switch the descriptor off */
    struct itimerspec at = {.it_value = to_timespec(deadline == MBR__NEVER ? 0 : ns)};

    if (ws->timer_fd < 0) {
        if (deadline == MBR__NEVER)
            return 0;
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

        if (fd < 0)
            return -errno;
        int r = mbr__watch_fd(ws, &ws->timer_watch, fd, EPOLLIN, timer_fired);

        if (r < 0) {
            close(fd);
            return r;
        }
        ws->timer_fd = fd;
    }
    return timerfd_settime(ws->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0 ? -errno : 0;
}
