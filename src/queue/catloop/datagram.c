/* SPDX-License-Identifier: MIT */
/*
 * Datagrams between processes. A socket has a pair to each destination it sends to, begun at the
 * first datagram, and one from each sender; a pair's ring is larger than four of the longest
 * datagrams, so each travels whole. What nobody can take is lost without an error. What somebody
 * has no room for waits, and so do those behind it.
 */
#include <errno.h>
#include <string.h>

#include "queue/catloop/catloop.h"

static struct mbr__pair *pair_of(struct mbr__list *node)
{
    return mbr__container_of(node, struct mbr__pair, flow);
}

static union mbr__addr destination(const struct mbr__sock *s, const struct mbr__op *op)
{
    return mbr__catloop_aim(s, op->has_addr ? &op->addr : &s->remote);
}

/* ---- sending ---- */

static struct mbr__pair *find_flow(struct mbr__sock *s, const union mbr__addr *to)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__list *node;

    mbr__list_for_each (node, &c->out) {
        if (mbr__addr_equal(&pair_of(node)->to, to)) {
            mbr__list_del(node);
            mbr__list_push_front(&c->out, node);
            return pair_of(node);
        }
    }
    return NULL;
}

static void drop_flow(struct mbr__pair *pair)
{
    pair->sock->u.loop->outs--;
    mbr__pair_leave(pair);
}

/* A socket without an address gets one, or nobody could answer. */
static int choose_local(struct mbr__sock *s, const union mbr__addr *to)
{
    union mbr__addr a = *to;

    if (s->local.sa.sa_family != AF_UNSPEC)
        return 0;
    if (a.sa.sa_family == AF_INET && s->l->sockets.local.s_addr != 0)
        a.v4.sin_addr = s->l->sockets.local;
    mbr__addr_set_port(&a, 0);
    int r = mbr__sock_prepare(&s->state, MBR__SOCK_OP_BIND);

    if (r == 0)
        r = s->t->bind(s, &a);
    if (r < 0) {
        mbr__sock_abort(&s->state);
        return r;
    }
    mbr__sock_commit(&s->state);
    s->local = a;
    return 0;
}

static int begin_flow(struct mbr__sock *s, const union mbr__addr *to, struct mbr__pair **out)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__link link;
    union mbr__addr from;
    int r = mbr__catloop_find(s->l, SOCK_DGRAM, to, &link);

    if (r == 0)
        r = choose_local(s, to);
    if (r < 0)
        return r;
    from = s->local;
    if (mbr__addr_is_any(&from)) {
        from = *to;
        mbr__addr_set_port(&from, mbr__addr_port(&s->local));
    }
    if (c->outs >= MBR__CATLOOP_FLOWS)
        drop_flow(pair_of(c->out.prev));
    r = mbr__pair_connect(s, &link, &from, to, out);
    if (r == 0) {
        mbr__list_push_front(&c->out, &(*out)->flow);
        c->outs++;
    }
    return r;
}

/* The pair that leads to `to`, and may be pushed to: 0, -EAGAIN not yet, -ECONNREFUSED nobody is
 * there. */
static int get_flow(struct mbr__sock *s, const union mbr__addr *to, struct mbr__pair **out)
{
    struct mbr__pair *pair = find_flow(s, to);
    int r = 0;

    if (pair != NULL && pair->state == MBR__PAIR_OPEN && mbr__pipe_may_push(&pair->pipe) < 0) {
        drop_flow(pair); /* he has closed; perhaps somebody else is there now */
        pair = NULL;
    }
    if (pair == NULL)
        r = begin_flow(s, to, &pair);
    if (r == 0 && pair->state != MBR__PAIR_OPEN)
        r = -EAGAIN;
    if (r == 0)
        *out = pair;
    return r;
}

bool mbr__datagram_push(struct mbr__sock *s, struct mbr__op *op)
{
    size_t max = s->domain == AF_INET6 ? MBR__DATAGRAM6_MAX : MBR__DATAGRAM_MAX;
    union mbr__addr to = destination(s, op);
    struct mbr__pair *pair = NULL;
    int r = op->len > max ? -EMSGSIZE : get_flow(s, &to, &pair);

    if (r == -EAGAIN)
        return false;
    if (r == 0)
        return mbr__pipe_try_push(&pair->pipe, op);
    bool lost = r == -ECONNREFUSED;

    mbr__op_complete(s->l, op, lost ? DEMI_OPC_PUSH : DEMI_OPC_FAILED, lost ? 0 : -r);
    return true;
}

/* ---- receiving ---- */

/* Whether the socket takes what comes from there. */
static bool wanted(const struct mbr__sock *s, const struct mbr__pair *pair)
{
    return s->remote.sa.sa_family == AF_UNSPEC || mbr__addr_equal(&s->remote, &pair->from);
}

/* The next sender of whom something is there, or NULL. Those that have left are parted from. */
static struct mbr__pair *next_sender(struct mbr__sock *s)
{
    struct mbr__list *node;
    struct mbr__list *after;
    struct mbr__record rec = {0};

    mbr__list_for_each_safe (node, after, &s->u.loop->in) {
        struct mbr__pair *pair = pair_of(node);
        int r = mbr__pipe_peek(&pair->pipe, &rec);

        if (r < 0)
            mbr__pair_leave(pair);
        else if (r > 0 && wanted(s, pair))
            return pair;
    }
    return NULL;
}

static bool give_held(struct mbr__sock *s, struct mbr__op *op)
{
    struct mbr__catloop *c = s->u.loop;

    op->buf = c->held;
    op->data = c->held->data;
    op->len = (uint32_t)c->held_len;
    op->addr = c->held_from;
    op->has_addr = true;
    c->held = NULL;
    mbr__op_complete(s->l, op, DEMI_OPC_POP, 0);
    return true;
}

/* A datagram of no bytes, which is none of a pipe's messages. */
static bool take_empty(struct mbr__pair *pair, struct mbr__op *op)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__record rec = {0};

    if (p->in.buf != NULL || mbr__pipe_peek(p, &rec) <= 0 || rec.kind != MBR__REC_WHOLE ||
        rec.len != 0)
        return false;
    struct mbr__buf *buf = mbr__buf_alloc(1);

    if (buf == NULL) {
        mbr__op_complete(p->l, op, DEMI_OPC_FAILED, ENOMEM);
        return true;
    }
    mbr__ring_release(&p->rx, &rec);
    mbr__pipe_retire(p);
    op->buf = buf;
    op->data = buf->data;
    op->len = 0;
    mbr__op_complete(p->l, op, DEMI_OPC_POP, 0);
    return true;
}

bool mbr__datagram_pop(struct mbr__sock *s, struct mbr__op *op)
{
    struct mbr__catloop *c = s->u.loop;
    size_t max = op->max;
    struct mbr__pair *pair = NULL;
    bool done = c->held != NULL && give_held(s, op);

    while (!done && (pair = next_sender(s)) != NULL) {
        op->max = 0;
        op->addr = pair->from;
        op->has_addr = true;
        /* Who was served goes behind the others. */
        mbr__list_del(&pair->flow);
        mbr__list_push_back(&c->in, &pair->flow);
        done = take_empty(pair, op) || mbr__pipe_try_pop(&pair->pipe, op);
    }
    op->max = max;
    if (done && op->opcode == DEMI_OPC_POP && max != 0 && op->len > max)
        op->len = (uint32_t)max;
    return done;
}

/* ---- waiting ---- */

static void watch_senders(struct mbr__sock *s)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &s->u.loop->in)
        mbr__pipe_watch_rx(&pair_of(node)->pipe);
}

static void watch_room(struct mbr__sock *s)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &s->u.loop->out) {
        struct mbr__pipe *p = &pair_of(node)->pipe;

        if (pair_of(node)->state != MBR__PAIR_OPEN)
            continue;
        (void)mbr__ring_refresh(&p->tx); /* or what was read already would be news */
        mbr__pipe_watch_tx(p);
    }
}

void mbr__datagram_await(struct mbr__sock *s)
{
    if (!mbr__list_empty(&s->pops) || (s->watched & MBR_READABLE) != 0)
        watch_senders(s);
    if (!mbr__list_empty(&s->pushes) || s->u.loop->blocked)
        watch_room(s);
}

void mbr__datagram_watch(struct mbr__sock *s, unsigned what)
{
    if ((what & MBR_READABLE) != 0)
        watch_senders(s);
    if ((what & MBR_WRITABLE) != 0)
        watch_room(s);
}

unsigned mbr__datagram_ready(struct mbr__sock *s, size_t *bytes)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__record rec = {0};
    struct mbr__pair *pair = c->held == NULL ? next_sender(s) : NULL;
    unsigned what = mbr__list_empty(&s->pushes) && !c->blocked ? MBR_WRITABLE : 0;

    if (c->held != NULL || pair != NULL)
        what |= MBR_READABLE;
    if (bytes != NULL && c->held != NULL)
        *bytes = c->held_len;
    else if (bytes != NULL && pair != NULL && mbr__pipe_peek(&pair->pipe, &rec) > 0)
        *bytes = rec.len;
    return what;
}

/* ---- what pairs tell ---- */

void mbr__datagram_moved(struct mbr__pair *pair)
{
    struct mbr__sock *s = pair->sock;
    struct mbr__record rec = {0};

    /* Of somebody who has gone nothing is kept but what he has sent. */
    if (pair->client && mbr__pipe_may_push(&pair->pipe) < 0)
        drop_flow(pair);
    else if (!pair->client && mbr__pipe_peek(&pair->pipe, &rec) < 0)
        mbr__pair_leave(pair);
    s->u.loop->blocked = false;
    mbr__sock_progress(s);
    mbr__sock_maybe_ready(s);
}

int mbr__datagram_asked(struct mbr__sock *s, struct mbr__pair *pair)
{
    struct mbr__list *node;
    unsigned senders = 0;

    mbr__list_for_each (node, &s->u.loop->in)
        senders++;
    if (senders >= MBR__CATLOOP_SENDERS)
        return -ECONNREFUSED;
    pair->state = MBR__PAIR_OPEN;
    pair->sock = s;
    pair->pipe.sock = s;
    mbr__list_push_back(&s->u.loop->in, &pair->flow);
    mbr__sched_wake(&pair->pipe.task);
    return 0;
}

/* Nobody is there: what was to be sent there is lost. */
static void lose(struct mbr__sock *s, const union mbr__addr *to)
{
    struct mbr__list *node;
    struct mbr__list *after;

    mbr__list_for_each_safe (node, after, &s->pushes) {
        struct mbr__op *op = mbr__container_of(node, struct mbr__op, node);
        union mbr__addr its = destination(s, op);

        if (!mbr__addr_equal(&its, to))
            continue;
        mbr__list_del(node);
        mbr__op_complete(s->l, op, DEMI_OPC_PUSH, 0);
    }
}

void mbr__datagram_answered(struct mbr__pair *pair, int error)
{
    struct mbr__sock *s = pair->sock;

    s->u.loop->blocked = false;
    if (error == 0) {
        pair->pipe.sock = s;
    } else {
        s->u.loop->outs--;
        mbr__list_del(&pair->flow);
        pair->sock = NULL;
        lose(s, &pair->to);
    }
    mbr__sched_wake(&s->task);
    mbr__sock_maybe_ready(s);
}

void mbr__datagram_close(struct mbr__sock *s)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__list *node;

    while ((node = mbr__list_first(&c->in)) != NULL)
        mbr__pair_leave(pair_of(node));
    while ((node = mbr__list_first(&c->out)) != NULL)
        drop_flow(pair_of(node));
    mbr__buf_unref(c->held);
    c->held = NULL;
}

/* ---- without operations ---- */

/* Takes the next datagram into `held`. -EAGAIN, -ENOMEM, ... */
static int hold(struct mbr__sock *s)
{
    struct mbr__catloop *c = s->u.loop;

    if (c->held != NULL)
        return 0;
    struct mbr__op *op = mbr__op_make(s->l, s->qd, NULL, DEMI_OPC_POP);

    if (op == NULL)
        return -ENOMEM;
    if (!mbr__datagram_pop(s, op)) {
        mbr__op_drop(s->l, op);
        return -EAGAIN;
    }
    int r = op->opcode == DEMI_OPC_POP ? 0 : -op->error;

    c->held = op->buf;
    c->held_len = op->len;
    c->held_from = op->addr;
    mbr__list_del(&op->node);
    mbr__slab_free(&s->l->ops, op);
    return r;
}

int64_t mbr__datagram_recv(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                           union mbr__addr *from)
{
    struct mbr__catloop *c = s->u.loop;
    int r = hold(s);

    if (r < 0)
        return r;
    size_t whole = c->held_len;
    size_t n = whole < len ? whole : len;

    if (n > 0)
        memcpy(data, c->held->data, n);
    *from = c->held_from;
    if ((flags & MBR_SOCK_PEEK) == 0) {
        mbr__buf_unref(c->held);
        c->held = NULL;
    }
    return (int64_t)((flags & MBR_SOCK_TRUNC) != 0 ? whole : n);
}

int64_t mbr__datagram_send(struct mbr__sock *s, const void *data, size_t len,
                           const union mbr__addr *to)
{
    size_t max = s->domain == AF_INET6 ? MBR__DATAGRAM6_MAX : MBR__DATAGRAM_MAX;
    union mbr__addr a = mbr__catloop_aim(s, to == NULL ? &s->remote : to);
    struct mbr__pair *pair = NULL;
    int r = len > max ? -EMSGSIZE : get_flow(s, &a, &pair);

    if (r == -ECONNREFUSED)
        return (int64_t)len;
    void *room = r == 0 ? mbr__ring_reserve(&pair->pipe.tx, (uint32_t)len) : NULL;

    s->u.loop->blocked = room == NULL && (r == 0 || r == -EAGAIN);
    if (room == NULL) {
        mbr__datagram_await(s);
        return r == 0 ? -EAGAIN : r;
    }
    if (len > 0)
        memcpy(room, data, len);
    mbr__ring_commit(&pair->pipe.tx, (uint32_t)len, MBR__REC_WHOLE);
    mbr__pipe_publish(&pair->pipe);
    return (int64_t)len;
}
