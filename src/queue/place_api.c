/* SPDX-License-Identifier: MIT */
/*
 * The public calls that work in the ring itself: no token, no copy. <membrane/queue.h> is their
 * contract. What a program is shown here lies in memory that its peer may still write.
 */
#include <errno.h>
#include <string.h>

#include "queue/catmem/lend.h"
#include "queue/catmem/pipe.h"
#include "queue/libos.h"

/* ---- sending ---- */

static int reserve(struct mbr__pipe *p, uint32_t len, void **data)
{
    if (!p->can_send || p->closing)
        return -EBADF;
    if (len > mbr__ring_largest(p->tx.mask + 1))
        return -EMSGSIZE;
    if (!mbr__list_empty(&p->pushes))
        return -EAGAIN; /* what was pushed before goes first */
    int r = mbr__pipe_may_push(p);

    if (r < 0)
        return r;
    void *to = mbr__ring_reserve(&p->tx, len);

    if (to == NULL) {
        /* Looking for room may have shown that there will never be any. */
        r = mbr__pipe_may_push(p);
        return r < 0 ? r : -EAGAIN;
    }
    p->place.reserved = len;
    *data = to;
    return 0;
}

int mbr_pipe_reserve(struct mbr_libos *l, int qd, uint32_t len, void **data)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    r = data == NULL || len == 0 ? -EINVAL : reserve(p, len, data);
    mbr__libos_leave(l);
    return r;
}

int mbr_pipe_commit(struct mbr_libos *l, int qd, uint32_t len)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    if (len == 0 || len > p->place.reserved) {
        r = -EINVAL;
    } else {
        mbr__ring_commit(&p->tx, len, MBR__REC_WHOLE);
        p->pushed = true;
        p->place.reserved = 0;
    }
    mbr__libos_leave(l);
    return r;
}

int mbr_pipe_flush(struct mbr_libos *l, int qd)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    mbr__pipe_publish(p);
    if (__builtin_expect(p->lending != NULL, 0))
        mbr__lend_flush(p);
    mbr__libos_leave(l);
    return 0;
}

/* ---- receiving ---- */

/* A long message's first piece says how long it is. */
static int show_first(struct mbr__place *s, const void **data, uint32_t *len)
{
    uint64_t total;

    if (s->left > 0 || s->rec.len <= sizeof(total))
        return -EPROTO;
    memcpy(&total, s->rec.data, sizeof(total)); /* once */
    *data = (const uint8_t *)s->rec.data + sizeof(total);
    *len = s->rec.len - (uint32_t)sizeof(total);
    if (total > MBR_MESSAGE_MAX || total < *len)
        return -EPROTO;
    s->after = total - *len;
    return 0;
}

/* What the record looks like to the program: its bytes; and s->after, what follows of its message.
 */
static int show(struct mbr__pipe *p, const void **data, uint32_t *len)
{
    struct mbr__place *s = &p->place;

    if (s->rec.kind == MBR__REC_FIRST)
        return show_first(s, data, len);
    if (s->rec.kind == MBR__REC_LENT && s->left == 0) {
        s->after = 0;
        return mbr__lend_peek(p, &s->rec, data, len);
    }
    bool next = s->rec.kind == MBR__REC_NEXT;

    if ((!next && s->rec.kind != MBR__REC_WHOLE) || next != (s->left > 0) || s->rec.len == 0 ||
        (next && s->rec.len > s->left))
        return -EPROTO;
    *data = s->rec.data;
    *len = s->rec.len;
    s->after = next ? s->left - s->rec.len : 0;
    return 0;
}

int mbr__place_peek(struct mbr__pipe *p, const void **data, uint32_t *len, uint64_t *left)
{
    if (!p->can_recv || (p->ended && p->sock == NULL))
        return -EBADF;
    if (!mbr__list_empty(&p->pops) || p->in.buf != NULL)
        return -EBUSY;
    int r = p->place.shown ? 1 : mbr__pipe_peek(p, &p->place.rec);

    while (r > 0 && p->place.rec.kind == MBR__REC_RETURN) {
        r = mbr__lend_record(p, NULL, &p->place.rec);
        if (r == 0)
            r = mbr__pipe_peek(p, &p->place.rec);
    }
    if (r > 0)
        r = show(p, data, len);
    else if (r == 0)
        r = -EAGAIN;
    if (r == -EPROTO)
        mbr__pipe_fault(p, EPROTO);
    if (r < 0)
        return r;
    *left = p->place.after;
    p->place.shown = true;
    p->popped = true;
    return 0;
}

int mbr_pipe_peek(struct mbr_libos *l, int qd, const void **data, uint32_t *len, uint64_t *left)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    r = data == NULL || len == NULL || left == NULL ? -EINVAL : mbr__place_peek(p, data, len, left);
    mbr__libos_leave(l);
    return r;
}

int mbr__place_release(struct mbr__pipe *p)
{
    int r = 0;

    if (!p->place.shown)
        r = -EINVAL;
    else if (p->place.rec.kind == MBR__REC_LENT)
        r = mbr__lend_done(p, &p->place.rec);
    if (r == 0) {
        p->place.left = p->place.after;
        p->place.shown = false;
        mbr__ring_release(&p->rx, &p->place.rec);
    }
    return r;
}

int mbr_pipe_release(struct mbr_libos *l, int qd)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    r = mbr__place_release(p);
    mbr__libos_leave(l);
    return r;
}

int mbr_pipe_retire(struct mbr_libos *l, int qd)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    if (p->attached && p->can_recv)
        mbr__pipe_retire(p);
    mbr__libos_leave(l);
    return 0;
}

/* ---- waiting ---- */

struct awaiting {
    struct mbr__pipe *p;
    unsigned what;
    uint32_t len;
    int ready;
};

/* 0 not yet, 1 yes, -1 there is an end or an error to be had. */
static int readable(struct mbr__pipe *p)
{
    struct mbr__record rec;

    if (p->place.shown)
        return 1;
    return p->ended || !p->can_recv ? -1 : mbr__pipe_peek(p, &rec);
}

static int writable(struct mbr__pipe *p, uint32_t len)
{
    int r = p->can_send ? mbr__pipe_may_push(p) : -EBADF;

    if (r == 0 && !mbr__list_empty(&p->pushes))
        return 0; /* they go first */
    if (r == 0 && mbr__ring_reserve(&p->tx, len) != NULL)
        return 1;
    if (r == 0)
        r = mbr__pipe_may_push(p); /* looking for room may have shown that none will come */
    return r == -EAGAIN ? 0 : r;
}

/* Which of the wanted directions would not give -EAGAIN; both, once anything has ended. */
static bool pipe_ready(struct mbr_libos *l, void *arg)
{
    struct awaiting *a = arg;
    int in = (a->what & MBR_READABLE) != 0 ? readable(a->p) : 0;
    int out = (a->what & MBR_WRITABLE) != 0 ? writable(a->p, a->len) : 0;

    (void)l;
    a->ready = (in > 0 ? MBR_READABLE : 0) | (out > 0 ? MBR_WRITABLE : 0);
    if (in < 0 || out < 0)
        a->ready = MBR_READABLE | MBR_WRITABLE;
    if (a->ready != 0)
        return true;
    if ((a->what & MBR_READABLE) != 0)
        mbr__pipe_watch_rx(a->p);
    if ((a->what & MBR_WRITABLE) != 0)
        mbr__pipe_watch_tx(a->p);
    return false;
}

/* Whether the next record alone, looked at for a moment, ends the wait. */
static bool ready_soon(struct mbr_libos *l, struct awaiting *a, uint64_t timeout_ns)
{
    mbr__libos_count_wait(l, mbr__slab_count(&l->pipes) <= 1);
    return a->what == MBR_READABLE && timeout_ns != 0 && mbr__pipe_glance(a->p) && pipe_ready(l, a);
}

int mbr_pipe_await(struct mbr_libos *l, int qd, unsigned what, uint32_t len, uint64_t timeout_ns)
{
    struct awaiting a = {.what = what, .len = len};
    int r = mbr__pipe_enter(l, qd, &a.p);

    if (r < 0)
        return r;
    if (what == 0 || what > (MBR_READABLE | MBR_WRITABLE))
        r = -EINVAL;
    else if ((what & MBR_WRITABLE) != 0 && len > mbr__ring_largest(a.p->tx.mask + 1))
        r = -EMSGSIZE;
    else if (!ready_soon(l, &a, timeout_ns))
        r = mbr__libos_drive(l, timeout_ns, pipe_ready, &a);
    mbr__libos_leave(l);
    return r < 0 ? r : a.ready;
}
