/* SPDX-License-Identifier: MIT */
/*
 * Waiting on an epoll: first what is ready in memory, then looking for a while, then the kernel.
 *
 * The kernel is asked now and then even while memory always has something, so that pipes, timers
 * and listening sockets get their turn.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/clock.h"
#include "blind.h"
#include "calls.h"
#include "conn.h"
#include "epoll_members.h"
#include "real.h"

#define TURN_ROUNDS 32u    /* waits served from memory before the kernel is asked */
#define TURN_NS     50000u /* ... or so much time */
#define PEEK_NS     8000u  /* while looking, the kernel is asked so often */
#define STALE_NS    1000000
#define BATCH       128 /* events asked of the kernel at once */

/* Connections whose wake-up bytes were taken, and which are in other epolls as well. */
struct elsewhere {
    struct shim_conn *c[BATCH]; /* with references */
    int fd[BATCH];
    int n;
};

struct wait {
    struct shim_epoll *e;
    struct epoll_event *out;
    int max;
    int n; /* reported by now */
    uint64_t id;
    uint64_t deadline;
    const sigset_t *mask;
    bool waiting; /* counted in e->waiting */
};

/* ---- from memory ----------------------------------------------------------------------------- */

/* A member that both memory and the kernel have something to say of is one event. */
static bool report(struct wait *w, uint32_t slot, uint32_t events)
{
    struct shim_member *m = &w->e->members[slot];

    if (m->wait != w->id) {
        if (w->n >= w->max)
            return false;
        m->wait = w->id;
        m->place = w->n++;
        w->out[m->place] = (struct epoll_event){.data.u64 = m->data};
    }
    w->out[m->place].events |= events;
    shim_member_reported(w->e, slot);
    return true;
}

/* Hot members in turn, each wait beginning behind where the last one ended. */
static void collect(struct wait *w)
{
    struct shim_epoll *e = w->e;
    uint32_t n = e->n_hot;

    for (uint32_t i = 0; i < n && w->n < w->max; i++) {
        uint32_t slot = e->hot[(e->first_hot + i) % n];
        uint32_t events = shim_member_pending(&e->members[slot]);

        if (events != 0)
            (void)report(w, slot, events);
        if (w->n == w->max)
            e->first_hot = (e->first_hot + i + 1) % n;
    }
}

static bool any_pending(struct shim_epoll *e)
{
    for (uint32_t i = 0; i < e->n_hot; i++) {
        if (shim_member_pending(&e->members[e->hot[i]]) != 0)
            return true;
    }
    return false;
}

/* ---- from the kernel ------------------------------------------------------------------------- */

/* A wake-up byte was taken. This member looks; are there others? */
static void taken(struct elsewhere *others, const struct shim_member *m)
{
    struct shim_conn *c = m->c;

    if (!mbr_load_relaxed(&c->heat))
        return;
    if (mbr_load_relaxed(&c->epolls) == 1) {
        mbr_store_relaxed(&c->heat, (uint32_t)0);
        return;
    }
    mbr_fetch_add(&c->object.refs, 1);
    others->fd[others->n] = m->fd;
    others->c[others->n++] = c;
}

static void tell_others(struct elsewhere *others)
{
    for (int i = 0; i < others->n; i++) {
        shim_heat(others->c[i], others->fd[i]);
        shim_conn_put(others->c[i]);
    }
}

/* The kernel has news of a member: real ones, or a wake-up. */
static void member_news(struct wait *w, uint32_t slot, uint32_t kernel, struct elsewhere *others)
{
    struct shim_epoll *e = w->e;
    struct shim_member *m = &e->members[slot];
    uint32_t events = kernel;

    if (m->disabled)
        return;
    if (m->c != NULL) {
        uint32_t out = EPOLLOUT | EPOLLWRNORM;

        shim_conn_phase(m->c);
        if (mbr_load_acquire(&m->c->mode) == SHIM_RING && shim_unsettled(m->c))
            (void)shim_settle(m->c, m->fd);
        if (mbr_load_acquire(&m->c->mode) == SHIM_PLAIN) /* it may have been asked for more */
            events &= m->events | EPOLLERR | EPOLLHUP;
        if (shim_tx_in_ring(m->c)) {
            events = (events & ~out) | (shim_conn_ready(m->c) & out);
            events &= m->events | EPOLLERR | EPOLLHUP;
        }
        if (shim_rx_in_ring(m->c)) {
            if (kernel & ~out)
                shim_drain_free(m->c, m->fd);
            taken(others, m);
            shim_member_heat(e, slot);
            events = (events & m->events & out) | shim_member_pending(m);
        } else if (shim_tx_in_ring(m->c)) {
            shim_member_heat(e, slot); /* for its room the kernel is not asked any more */
        }
    }
    if ((events == 0 || !report(w, slot, events)) && (m->kernel & EPOLLONESHOT)) {
        m->kernel = 0; /* the kernel has used up a one-shot for nothing */
        shim_member_update(e, slot);
    }
    if (m->c != NULL && (shim_rx_in_ring(m->c) || shim_tx_in_ring(m->c)))
        shim_member_update(e, slot);
}

/* How many of them were news of somebody. */
static int translate(struct wait *w, const struct epoll_event *ev, int n, struct elsewhere *others)
{
    int news = 0;

    for (int i = 0; i < n; i++) {
        int slot = shim_member_of(w->e, ev[i].data.u64);

        news += slot != SHIM_STALE;
        if (slot >= 0)
            member_news(w, (uint32_t)slot, ev[i].events, others);
        else if (slot == SHIM_NO_TICKET && w->n < w->max)
            w->out[w->n++] = ev[i];
    }
    return news;
}

static int in_kernel(const struct wait *w, struct epoll_event *ev, int max, uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    uint64_t ms;
    int wait;

    if (ns != 0 && ns != MBR__NEVER && ns % 1000000 != 0 && real.epoll_pwait2 != NULL &&
        !mbr_load_relaxed(&shim_confined)) {
        int r = real.epoll_pwait2(w->e->fd, ev, max, &ts, w->mask);

        if (r >= 0 || errno != ENOSYS)
            return r;
    }
    ms = ns == MBR__NEVER ? UINT64_MAX : ns / 1000000 + (ns % 1000000 != 0);
    wait = ns == MBR__NEVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
    return w->mask == NULL ? real.epoll_wait(w->e->fd, ev, max, wait)
                           : real.epoll_pwait(w->e->fd, ev, max, wait, w->mask);
}

/* Asks the kernel for as many events as there is place, for at most ns. 0 or a negative errno. The
 * lock is not held. */
static int ask_kernel(struct wait *w, uint64_t ns)
{
    struct epoll_event ev[BATCH];
    struct elsewhere others;
    int max = w->max - w->n < BATCH ? w->max - w->n : BATCH;
    int r;

    if (max == 0)
        return 0;
    r = in_kernel(w, ev, max, ns);
    if (r <= 0)
        return r < 0 ? -errno : 0;
    if (!shim_epoll_lock(w->e))
        return -EINTR;
    others.n = 0;
    r = translate(w, ev, r, &others);
    shim_epoll_unlock(w->e);
    tell_others(&others);
    /* What we have closed and another process has not: nobody can take it out of the epoll. */
    if (r == 0 && ns != 0)
        (void)shim_quiet_nap(STALE_NS);
    return 0;
}

/* ---- the wait -------------------------------------------------------------------------------- */

static uint64_t left(const struct wait *w)
{
    uint64_t now;

    if (w->deadline == MBR__NEVER || w->deadline == 0)
        return w->deadline;
    now = mbr__now_ns();
    return w->deadline > now ? w->deadline - now : 0;
}

/* Under the lock. A hot member's pending state is a few loads; the lock keeps members in place. */
static bool look_once(struct wait *w)
{
    struct shim_epoll *e = w->e;
    bool found;

    if (!shim_epoll_lock(e))
        return false;
    found = any_pending(e);
    shim_epoll_unlock(e);
    return found;
}

/* Looks at memory, and at the kernel in between. True: something is there (or was reported). */
static bool look(struct wait *w)
{
    struct shim_spin *spin = &w->e->spin;
    uint64_t budget = shim_spin_budget(spin);
    uint64_t begin = mbr__ticks();
    uint64_t peeked = 0;
    uint64_t yielded = 0;
    uint64_t ns = 0;
    bool memory = w->e->n_hot > 0;

    if (budget == 0 || (!memory && (shim_settings.rings || mbr_load_relaxed(&w->e->used) == 0)))
        return false;
    do {
        if (memory && look_once(w)) {
            shim_spin_won(spin);
            return true;
        }
        for (int i = 0; i < 4; i++)
            mbr_cpu_relax();
        ns = mbr__ticks_to_ns(mbr__ticks() - begin);
        if (!memory || ns - peeked > PEEK_NS) {
            peeked = ns;
            if (ask_kernel(w, 0) < 0 || w->n > 0) {
                shim_spin_won(spin);
                return true;
            }
        }
        if (!memory)
            yielded = ns - SHIM_SPIN_YIELD_NS;
        if (!shim_spin_yield(spin, &yielded, ns))
            break;
    } while (ns < budget && left(w) != 0);
    return false;
}

/* All hot members become cold. True: the kernel's wait may begin. */
static bool all_cold(struct shim_epoll *e)
{
    bool cold;

    shim_members_purge(e);
    for (uint32_t i = 0; i < e->n_hot; i++) {
        struct shim_member *m = &e->members[e->hot[i]];

        shim_park(m->c);
        if ((m->events & EPOLLOUT) && shim_tx_in_ring(m->c))
            shim_park_tx(m->c);
        shim_member_update(e, e->hot[i]);
    }
    cold = !any_pending(e);
    for (uint32_t i = 0; i < e->n_hot; i++) {
        if (cold)
            e->members[e->hot[i]].hot = false;
        else
            shim_unpark(e->members[e->hot[i]].c);
    }
    if (cold)
        e->n_hot = 0;
    return cold;
}

/* Where other processes may take the bytes that are to wake us, or the member itself out of the
 * kernel's epoll, members are looked at even if they are cold. */
static bool heat_crowd(struct shim_epoll *e)
{
    bool any = false;

    for (uint32_t i = 0; i < e->n_members; i++) {
        struct shim_conn *c = e->members[i].fd >= 0 ? e->members[i].c : NULL;

        if (c == NULL || shim_kin(c) == NULL || !shim_rx_in_ring(c))
            continue;
        if (e->inherited)
            shim_member_renew(e, i);
        else if (!shim_kin_others(shim_kin(c)) || shim_kin_count_others(shim_kin(c)) == 0)
            continue;
        shim_member_heat(e, i);
        any = true;
    }
    return any;
}

/* Members that wait for room, and whose peer may have no way to say that there is some: another of
 * its threads may be blocked in sending through the kernel. */
static bool heat_dry(struct shim_epoll *e)
{
    bool any = false;

    for (uint32_t i = 0; i < e->n_members; i++) {
        struct shim_conn *c = e->members[i].fd >= 0 ? e->members[i].c : NULL;

        if (c == NULL || !mbr_load_relaxed(&c->dry))
            continue;
        if (shim_rx_in_ring(c) || shim_room(c) != 0)
            shim_conn_wet(c);
        else
            (void)shim_doubt(c, e->members[i].fd);
        shim_member_heat(e, i);
        any = true;
    }
    return any;
}

static void waited(struct wait *w)
{
    mbr_fetch_add(&w->e->waiting, UINT32_MAX);
    w->waiting = false;
}

static int sleep_once(struct wait *w)
{
    struct shim_epoll *e = w->e;
    uint64_t ns = left(w);
    uint64_t begin;
    bool cold;
    int r;

    if (!shim_epoll_lock(e))
        return -EINTR;
    if (shim_kin_any() && heat_crowd(e) && ns > SHIM_KIN_SLICE_NS)
        ns = SHIM_KIN_SLICE_NS;
    if (shim_conn_any_dry() && heat_dry(e) && ns > SHIM_KIN_SLICE_NS)
        ns = SHIM_KIN_SLICE_NS;
    if (shim_members_settle(e) && ns > SHIM_KIN_SLICE_NS)
        ns = SHIM_KIN_SLICE_NS;
    cold = all_cold(e);
    if (cold) {
        mbr_fetch_add(&e->waiting, 1);
        w->waiting = true;
    }
    shim_epoll_unlock(e);
    if (!cold)
        return 0;
    begin = mbr__ticks();
    r = ask_kernel(w, ns);
    shim_spin_slept(&e->spin, mbr__ticks_to_ns(mbr__ticks() - begin));
    waited(w);
    return r;
}

static void from_memory(struct wait *w)
{
    if (!shim_epoll_lock(w->e))
        return;
    (void)shim_members_settle(w->e);
    collect(w);
    shim_epoll_unlock(w->e);
    if (shim_any_untidy())
        shim_members_tidy(w->e);
}

/* What memory has is reported at once, and now and then what the kernel has, too. */
static void kernels_turn(struct wait *w)
{
    struct shim_epoll *e = w->e;
    uint64_t now = mbr__ticks();

    if (++e->rounds < TURN_ROUNDS && mbr__ticks_to_ns(now - e->asked) < TURN_NS)
        return;
    e->rounds = 0;
    e->asked = now;
    (void)ask_kernel(w, 0);
}

static int wait_members(struct wait *w)
{
    for (;;) {
        int r;

        from_memory(w);
        if (w->n > 0) {
            kernels_turn(w);
            return w->n;
        }
        if (left(w) == 0) {
            r = ask_kernel(w, 0);
            return r < 0 ? r : w->n;
        }
        if (look(w)) {
            if (w->n > 0)
                return w->n;
            continue;
        }
        r = sleep_once(w);
        if (r < 0)
            return r;
        if (w->n > 0)
            return w->n;
        if (left(w) == 0) {
            from_memory(w);
            return w->n;
        }
    }
}

/* Also when the thread is cancelled in the kernel's wait. */
static void wait_end(struct wait *w)
{
    int error = errno;

    if (w->waiting)
        waited(w);
    /* Nobody looks at hot members until this thread comes back: those who sleep must be woken. */
    if ((mbr_load_relaxed(&w->e->watched) || mbr_load_relaxed(&w->e->waiting) > 0) &&
        shim_epoll_lock(w->e)) {
        shim_epoll_settle(w->e);
        shim_epoll_unlock(w->e);
    }
    shim_unref(&w->e->object);
    errno = error;
}

/* Also one without members: another thread may add some while this one waits. */
static struct shim_epoll *waited_for(int fd, const struct epoll_event *ev, int max)
{
    return ev != NULL && max > 0 ? shim_epoll_get(fd) : NULL;
}

static int wait_for(struct shim_epoll *e, struct epoll_event *ev, int max, uint64_t ns,
                    const sigset_t *mask)
{
    SHIM_BLIND;
    struct wait w
        __attribute__((cleanup(wait_end))) = {.e = e,
                                              .out = ev,
                                              .max = max,
                                              .deadline = ns == 0 ? 0 : mbr__deadline_ns(ns),
                                              .mask = mask,
                                              .id = mbr_fetch_add(&e->waits, 1) + 1};
    int error = errno;
    int r = wait_members(&w);

    errno = r < 0 ? -r : error;
    return r < 0 ? -1 : r;
}

static uint64_t ns_of(int ms)
{
    return ms < 0 ? MBR__NEVER : (uint64_t)ms * 1000000;
}

SHIM_EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
    struct shim_epoll *e;

    shim_ready();
    e = waited_for(epfd, ev, max);
    if (e == NULL)
        return real.epoll_wait(epfd, ev, max, timeout);
    return wait_for(e, ev, max, ns_of(timeout), NULL);
}

SHIM_ALIAS(epoll_wait);

SHIM_EXPORT int epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout,
                            const sigset_t *mask)
{
    struct shim_epoll *e;

    shim_ready();
    e = waited_for(epfd, ev, max);
    if (e == NULL)
        return real.epoll_pwait(epfd, ev, max, timeout, mask);
    return wait_for(e, ev, max, ns_of(timeout), mask);
}

SHIM_ALIAS(epoll_pwait);

SHIM_EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int max, const struct timespec *ts,
                             const sigset_t *mask)
{
    struct shim_epoll *e;
    bool valid = ts == NULL || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000);

    shim_ready();
    e = valid ? waited_for(epfd, ev, max) : NULL;
    if (e != NULL)
        return wait_for(e, ev, max,
                        ts == NULL ? MBR__NEVER
                                   : (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec,
                        mask);
    if (real.epoll_pwait2 != NULL)
        return real.epoll_pwait2(epfd, ev, max, ts, mask);
    errno = ENOSYS;
    return -1;
}

SHIM_ALIAS(epoll_pwait2);
