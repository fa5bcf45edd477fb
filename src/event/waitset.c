/* SPDX-License-Identifier: MIT */
/*
 * The public face of the wait set: membrane/event.h over event/wait.h.
 *
 * What it adds: watches of which the user knows only the size, checks of arguments, of fork() and
 * of calls from callbacks, watches that end by themselves, and counts, whose watches have a place
 * in the count itself (count_watcher.c).
 */
#define _GNU_SOURCE
#include <membrane/event.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "event/count.h"
#include "event/wait.h"
#include "shm/proc.h"

/* A count that is always ahead must not keep descriptors from being looked at. */
#define KERNEL_EVERY 32u

struct mbr_waitset {
    struct mbr__waitset set;
    struct mbr__list watches;
    int fired; /* callbacks called in the wait under way */
    bool inside;
    uint32_t waits;
};

enum kind { NONE = 0, COUNT, DESCRIPTOR, TIMER, DEATH };

/* What lies in struct mbr_watch. */
struct watch {
    void *data;
    enum kind kind;
    int pidfd;
    struct mbr_waitset *ws;
    struct mbr__list node;
    mbr_watch_fn *fn;
    struct mbr__watch inner;
    struct mbr__timer timer;
    struct mbr_count *count;
    struct mbr_count_watcher *place;
    uint64_t value;
};

static_assert(sizeof(struct watch) <= sizeof(struct mbr_watch) &&
                  _Alignof(struct watch) <= _Alignof(struct mbr_watch) &&
                  offsetof(struct watch, data) == offsetof(struct mbr_watch, data),
              "struct watch fits into its public form");

static struct watch *inside_of(struct mbr_watch *w)
{
    return (struct watch *)(void *)w;
}

static bool inherited(const struct mbr_waitset *ws)
{
    return ws->set.fork_mark != mbr__fork_mark();
}

/* ---- the life of a wait set ------------------------------------------------------------------ */

int mbr_waitset_new(struct mbr_waitset **out)
{
    struct mbr_waitset *ws = out == NULL ? NULL : calloc(1, sizeof(*ws));

    if (ws == NULL)
        return out == NULL ? -EINVAL : -ENOMEM;
    int r = mbr__waitset_init(&ws->set);

    if (r < 0) {
        free(ws);
        return r;
    }
    mbr__list_init(&ws->watches);
    *out = ws;
    return 0;
}

void mbr_waitset_free(struct mbr_waitset *ws)
{
    struct mbr__list *node;

    if (ws == NULL)
        return;
    MBR_ASSERT(!ws->inside || inherited(ws));
    while ((node = mbr__list_first(&ws->watches)) != NULL)
        mbr_watch_end((struct mbr_watch *)(void *)mbr__container_of(node, struct watch, node));
    mbr__waitset_fini(&ws->set);
    free(ws);
}

/* ---- watches --------------------------------------------------------------------------------- */

static int may_begin(const struct mbr_waitset *ws, const struct mbr_watch *w, mbr_watch_fn *fn)
{
    if (ws == NULL || w == NULL || fn == NULL)
        return -EINVAL;
    if (inherited(ws))
        return -EPERM;
    return mbr_watch_active(w) ? -EBUSY : 0;
}

/* Puts a prepared watch into use; cannot fail, and comes after all that can. */
static void begun(struct mbr_waitset *ws, struct watch *w, enum kind kind, mbr_watch_fn *fn)
{
    w->kind = kind;
    w->ws = ws;
    w->fn = fn;
    mbr__list_push_back(&ws->watches, &w->node);
}

/* The last thing a fire does: the callback may free the watch. */
static void call_back(struct watch *w, uint32_t events)
{
    w->ws->fired++;
    w->fn((struct mbr_watch *)(void *)w, events);
}

int mbr_watch_active(const struct mbr_watch *w)
{
    return w != NULL && ((const struct watch *)(const void *)w)->kind != NONE;
}

void mbr_watch_end(struct mbr_watch *public)
{
    if (!mbr_watch_active(public))
        return;
    struct watch *w = inside_of(public);

    if (w->kind == TIMER) {
        mbr__timer_cancel(&w->ws->set.timers, &w->timer);
    } else {
        mbr__watch_end(&w->ws->set, &w->inner);
    }
    if (w->kind == COUNT && !inherited(w->ws))
        mbr__watcher_release(w->place);
    if (w->kind == DEATH)
        close(w->pidfd);
    mbr__list_del(&w->node);
    w->kind = NONE;
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* The next value to wait for on the way to the one that is asked for: a token cannot name values
 * that are far ahead. */
static uint64_t next_stop(const struct watch *w)
{
    uint64_t now = mbr_count_read(w->count);
    uint64_t left = w->value - now;

    return left <= INT64_MAX && left > MBR__COUNT_STEP ? now + MBR__COUNT_STEP : w->value;
}

static void count_fired(struct mbr__watch *inner, uint32_t events)
{
    struct watch *w = mbr__container_of(inner, struct watch, inner);

    if (mbr__count_reached(mbr_count_read(w->count), w->value)) {
        call_back(w, events);
    } else {
        uint64_t stop = next_stop(w);

        mbr__watch_reach_next(&w->ws->set, inner, stop, mbr__count_token(stop));
    }
}

int mbr_watch_count(struct mbr_waitset *ws, struct mbr_watch *public, struct mbr_count *c,
                    uint64_t value, mbr_watch_fn *fn)
{
    struct mbr_count_watcher *place = NULL;
    int r = c == NULL ? -EINVAL : may_begin(ws, public, fn);

    if (r == 0)
        r = mbr__watcher_claim(c, ws->set.bell, &place);
    if (r < 0)
        return r;
    struct watch *w = inside_of(public);

    w->count = c;
    w->place = place;
    w->value = value;
    w->inner = (struct mbr__watch){.kind = MBR__WATCH_NONE};
    uint64_t stop = next_stop(w);

    mbr__watch_reach(&ws->set, &w->inner, &c->value, stop, &place->armed, mbr__count_token(stop),
                     count_fired);
    begun(ws, w, COUNT, fn);
    return 0;
}

int mbr_watch_count_next(struct mbr_watch *public, uint64_t value)
{
    if (!mbr_watch_active(public) || inside_of(public)->kind != COUNT)
        return -EINVAL;
    struct watch *w = inside_of(public);

    if (inherited(w->ws))
        return -EPERM;
    w->value = value;
    uint64_t stop = next_stop(w);

    mbr__watch_reach_next(&w->ws->set, &w->inner, stop, mbr__count_token(stop));
    return 0;
}

/* ---- descriptors and deaths ------------------------------------------------------------------ */

static void fd_fired(struct mbr__watch *inner, uint32_t events)
{
    call_back(mbr__container_of(inner, struct watch, inner), events);
}

int mbr_watch_fd(struct mbr_waitset *ws, struct mbr_watch *public, int fd, uint32_t events,
                 mbr_watch_fn *fn)
{
    int r = may_begin(ws, public, fn);

    if (r == 0 && (events & EPOLLEXCLUSIVE) != 0) /* could not be changed afterwards */
        r = -EINVAL;
    if (r == 0)
        r = mbr__watch_fd(&ws->set, &inside_of(public)->inner, fd, events, fd_fired);
    if (r == 0)
        begun(ws, inside_of(public), DESCRIPTOR, fn);
    return r;
}

int mbr_watch_fd_events(struct mbr_watch *public, uint32_t events)
{
    if (!mbr_watch_active(public) || inside_of(public)->kind != DESCRIPTOR)
        return -EINVAL;
    struct watch *w = inside_of(public);

    return inherited(w->ws) ? -EPERM : mbr__watch_fd_events(&w->ws->set, &w->inner, events);
}

static void death_fired(struct mbr__watch *inner, uint32_t events)
{
    struct watch *w = mbr__container_of(inner, struct watch, inner);

    (void)events;
    mbr_watch_end((struct mbr_watch *)(void *)w); /* the dead stay dead */
    call_back(w, 0);
}

int mbr_watch_death(struct mbr_waitset *ws, struct mbr_watch *public, int pid, mbr_watch_fn *fn)
{
    struct mbr__proc p = {.pid = pid};
    int fd = -1;
    int r = may_begin(ws, public, fn);

    if (r == 0)
        r = mbr__proc_start(p.pid, &p.start);
    if (r == 0)
        r = mbr__proc_pidfd(&p, &fd);
    if (r < 0)
        return r;
    struct watch *w = inside_of(public);

    r = mbr__watch_fd(&ws->set, &w->inner, fd, EPOLLIN, death_fired);
    if (r < 0) {
        close(fd);
        return r;
    }
    w->pidfd = fd;
    begun(ws, w, DEATH, fn);
    return 0;
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void timer_fired(struct mbr__timer *timer)
{
    struct watch *w = mbr__container_of(timer, struct watch, timer);

    mbr_watch_end((struct mbr_watch *)(void *)w);
    call_back(w, 0);
}

int mbr_watch_deadline(struct mbr_waitset *ws, struct mbr_watch *public, uint64_t deadline_ns,
                       mbr_watch_fn *fn)
{
    int r = may_begin(ws, public, fn);

    if (r < 0)
        return r;
    struct watch *w = inside_of(public);

    mbr__timer_init(&w->timer, timer_fired);
    r = mbr__timer_add(&ws->set.timers, &w->timer, deadline_ns);
    if (r == 0)
        begun(ws, w, TIMER, fn);
    return r;
}

int mbr_watch_timer(struct mbr_waitset *ws, struct mbr_watch *w, uint64_t timeout_ns,
                    mbr_watch_fn *fn)
{
    return mbr_watch_deadline(ws, w, mbr__deadline_ns(timeout_ns), fn);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int enter(struct mbr_waitset *ws)
{
    if (ws == NULL)
        return -EINVAL;
    if (inherited(ws))
        return -EPERM;
    if (ws->inside)
        return -EBUSY;
    ws->inside = true;
    ws->fired = 0;
    return 0;
}

static int leave(struct mbr_waitset *ws, int r)
{
    ws->inside = false;
    return ws->fired > 0 ? ws->fired : r;
}

int mbr_waitset_wait(struct mbr_waitset *ws, uint64_t timeout_ns)
{
    int r = enter(ws);

    if (r < 0)
        return r;
    uint64_t deadline = timeout_ns == 0 ? 0 : mbr__deadline_ns(timeout_ns);

    if (ws->set.nfds > 0 && ++ws->waits % KERNEL_EVERY == 0)
        (void)mbr__waitset_poll(&ws->set, true);
    /* What the set counts as fired may be a step of a count, or its own timer descriptor. */
    while (ws->fired == 0 && r >= 0)
        r = mbr__waitset_wait(&ws->set, deadline);
    return leave(ws, r);
}

int mbr_waitset_poll(struct mbr_waitset *ws)
{
    int r = enter(ws);

    if (r < 0)
        return r;
    (void)mbr__waitset_poll(&ws->set, true);
    if (ws->fired == 0 && mbr_exchange(&ws->set.interrupted, 0) != 0)
        r = -EINTR;
    return leave(ws, r);
}

void mbr_waitset_interrupt(struct mbr_waitset *ws)
{
    if (ws != NULL && !inherited(ws))
        mbr__waitset_interrupt(&ws->set);
}

int mbr_waitset_fd(const struct mbr_waitset *ws)
{
    return ws == NULL ? -EINVAL : ws->set.ep;
}

int mbr_waitset_prepare(struct mbr_waitset *ws)
{
    int r = enter(ws);

    return r < 0 ? r : leave(ws, mbr__waitset_prepare(&ws->set));
}
