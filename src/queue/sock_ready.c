/* SPDX-License-Identifier: MIT */
/*
 * Readiness without an operation, for programs that have a loop of their own. A socket that is
 * watched and may be ready stands in the instance's list; whether it is so is asked when the
 * program takes it, so that nobody is told of what has gone meanwhile.
 */
#include <errno.h>

#include "queue/catmem/pipe.h"
#include "queue/sock.h"

#define ALWAYS (unsigned)(MBR_SOCK_ERROR | MBR_SOCK_HANGUP)
#define ALL \
    (unsigned)(MBR_READABLE | MBR_WRITABLE | MBR_SOCK_ERROR | MBR_SOCK_HANGUP | MBR_SOCK_RDHUP)

int mbr_sock_ready(struct mbr_libos *l, int qd, size_t *bytes)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__sock *s = mbr__libos_sock(l, qd);
    size_t n = 0;

    if (s == NULL || s->state.current == MBR__SOCK_CLOSING)
        r = -EBADF;
    else
        r = (int)s->t->ready(s, &n);
    if (r >= 0 && bytes != NULL)
        *bytes = n;
    mbr__libos_leave(l);
    return r;
}

int mbr_sock_watch(struct mbr_libos *l, int qd, unsigned what, void *data)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__sock *s = mbr__libos_sock(l, qd);

    if (s == NULL || s->state.current == MBR__SOCK_CLOSING)
        r = -EBADF;
    else if ((what & ~ALL) != 0)
        r = -EINVAL;
    else if (what != 0)
        r = s->t->watch(s, what);
    if (r == 0) {
        s->watched = what == 0 ? 0 : what | ALWAYS;
        s->watch_data = data;
        mbr__list_del(&s->ready);
        if (what != 0 && (s->t->ready(s, NULL) & s->watched) != 0)
            mbr__sock_maybe_ready(s);
    }
    mbr__libos_leave(l);
    return r;
}

/* Takes what is truly ready; the rest goes on being watched. */
static int take(struct mbr_libos *l, struct mbr_ready_event *events, int max)
{
    struct mbr__list *node;
    int n = 0;

    while (n < max && (node = mbr__list_pop_front(&l->ready)) != NULL) {
        struct mbr__sock *s = mbr__container_of(node, struct mbr__sock, ready);
        unsigned what = s->t->ready(s, NULL) & s->watched;

        if (what == 0 && s->t->watch(s, s->watched) == 0)
            continue;
        events[n++] = (struct mbr_ready_event){.qd = s->qd, .what = what, .data = s->watch_data};
        s->watched = 0;
    }
    return n;
}

struct taking {
    struct mbr_ready_event *events;
    int max;
    int n;
};

static bool taken_any(struct mbr_libos *l, void *arg)
{
    struct taking *t = arg;

    t->n = take(l, t->events, t->max);
    return t->n > 0 || !mbr__list_empty(&l->done);
}

int mbr_ready_next(struct mbr_libos *l, uint64_t timeout_ns, struct mbr_ready_event *events,
                   int max)
{
    struct taking t = {.events = events, .max = max};
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    if (events == NULL || max < 1) {
        r = -EINVAL;
    } else {
        mbr__libos_count_wait(l, false);
        r = mbr__libos_drive(l, timeout_ns, taken_any, &t);
    }
    mbr__libos_leave(l);
    if (r < 0)
        return r;
    return t.n > 0 ? t.n : -EINTR;
}
