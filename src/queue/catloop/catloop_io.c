/* SPDX-License-Identifier: MIT */
/*
 * Catloop without operations: a connection as a stream of bytes, readiness, and options. Operations
 * on a connection are those of its pipe (catmem/pipe.c).
 */
#include <errno.h>
#include <string.h>

#include <netinet/tcp.h>

#include "queue/catloop/catloop.h"

#define SHARE 4u /* a record of a stream is at most this part of the ring */

/* ---- receiving ---- */

/* What is left of the record that is shown. -EAGAIN, -ENODATA end of file, ... */
static int show(struct mbr__sock *s, const uint8_t **data, size_t *len)
{
    struct mbr__catloop *c = s->u.loop;
    const void *at = NULL;
    uint32_t whole = 0;
    uint64_t left = 0;
    int r = mbr__place_peek(&c->pair->pipe, &at, &whole, &left);

    if (r < 0)
        return r;
    *data = (const uint8_t *)at + c->taken;
    *len = whole - c->taken;
    return 0;
}

static void take(struct mbr__sock *s, size_t n, bool all)
{
    struct mbr__catloop *c = s->u.loop;

    c->taken += n;
    if (!all)
        return;
    c->taken = 0;
    (void)mbr__place_release(&c->pair->pipe); /* nothing is lent through sockets */
}

static int64_t receive(struct mbr__sock *s, uint8_t *to, size_t len, unsigned flags)
{
    struct mbr__pipe *p = &s->u.loop->pair->pipe;
    const uint8_t *from = NULL;
    size_t got = 0;
    size_t there = 0;
    int r = 0;

    while (got < len) {
        r = show(s, &from, &there);
        if (r < 0)
            break;
        size_t n = there < len - got ? there : len - got;

        memcpy(to + got, from, n);
        got += n;
        if ((flags & MBR_SOCK_PEEK) != 0)
            break;
        take(s, n, n == there);
    }
    if (got > 0 && (flags & MBR_SOCK_PEEK) == 0)
        mbr__pipe_retire(p);
    if (got > 0 || len == 0)
        return (int64_t)got;
    return r == -ENODATA ? 0 : r;
}

int64_t mbr__catloop_recv(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                          union mbr__addr *from)
{
    if (s->type == SOCK_DGRAM)
        return mbr__datagram_recv(s, data, len, flags, from);
    struct mbr__pipe *p = mbr__sock_pipe(s);

    if (p == NULL)
        return -ENOTCONN;
    return mbr__list_empty(&p->pops) ? receive(s, data, len, flags) : -EAGAIN;
}

/* ---- sending ---- */

int64_t mbr__catloop_send(struct mbr__sock *s, const void *data, size_t len,
                          const union mbr__addr *to)
{
    if (s->type == SOCK_DGRAM)
        return mbr__datagram_send(s, data, len, to);
    struct mbr__pipe *p = mbr__sock_pipe(s);
    size_t sent = 0;

    if (p == NULL)
        return -ENOTCONN;
    if (p->place.reserved != 0)
        return -EBUSY;
    int r = mbr__list_empty(&p->pushes) ? mbr__pipe_may_push(p) : -EAGAIN;
    size_t most = (size_t)((p->tx.mask + 1) / SHARE - MBR__RECORD_HEADER);

    while (r == 0 && sent < len) {
        size_t n = len - sent < most ? len - sent : most;
        void *room = mbr__ring_reserve(&p->tx, (uint32_t)n);

        if (room == NULL)
            break;
        memcpy(room, (const uint8_t *)data + sent, n);
        mbr__ring_commit(&p->tx, (uint32_t)n, MBR__REC_WHOLE);
        sent += n;
    }
    if (sent > 0) {
        p->pushed = true;
        mbr__pipe_publish(p);
        return (int64_t)sent;
    }
    if (r == 0 && len > 0) {
        r = mbr__pipe_may_push(p); /* looking for room may have shown that none will come */
        return r < 0 ? r : -EAGAIN;
    }
    return r;
}

/* ---- readiness ---- */

static unsigned connection_ready(struct mbr__sock *s, struct mbr__pipe *p, size_t *bytes)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    unsigned what = 0;
    bool popping = !mbr__list_empty(&p->pops) || p->in.buf != NULL;
    int in = (s->shut & MBR_SHUT_RECV) != 0 ? -ENODATA : popping ? -EAGAIN : show(s, &data, &len);
    int out = p->can_send ? mbr__pipe_may_push(p) : -EPIPE;

    if (in == 0 && bytes != NULL)
        *bytes = len;
    if (in != -EAGAIN)
        what |= MBR_READABLE;
    if (in == -ENODATA)
        what |= MBR_SOCK_RDHUP;
    if (out < 0 ||
        (mbr__list_empty(&p->pushes) && mbr__ring_refresh(&p->tx) >= (p->tx.mask + 1) / SHARE))
        what |= MBR_WRITABLE;
    if (in == -ENODATA && out < 0)
        what |= MBR_SOCK_HANGUP;
    if (p->fault != 0)
        what |= MBR_SOCK_ERROR | MBR_SOCK_HANGUP | MBR_READABLE;
    return what;
}

unsigned mbr__catloop_ready(struct mbr__sock *s, size_t *bytes)
{
    struct mbr__pipe *p = mbr__sock_pipe(s);

    if (s->type == SOCK_DGRAM)
        return mbr__datagram_ready(s, bytes);
    if (p != NULL)
        return connection_ready(s, p, bytes);
    if (s->state.current == MBR__SOCK_LISTENING)
        return s->u.loop->queued > 0 ? MBR_READABLE : 0;
    if (s->state.current == MBR__SOCK_CONNECTING)
        return 0;
    /* As a kernel socket that is not connected, or whose connect has failed. */
    return MBR_WRITABLE | MBR_SOCK_HANGUP |
           (s->u.loop->error != 0 ? MBR_SOCK_ERROR | MBR_READABLE : 0u);
}

int mbr__catloop_watch(struct mbr__sock *s, unsigned what)
{
    struct mbr__pipe *p = mbr__sock_pipe(s);

    if (s->type == SOCK_DGRAM)
        mbr__datagram_watch(s, what);
    if (p == NULL)
        return 0; /* a listener and a connect are told of what comes */
    mbr__pipe_watch_rx(p);
    if ((what & MBR_WRITABLE) != 0)
        mbr__pipe_watch_tx(p);
    return 0;
}

/* ---- options ---- */

struct option {
    int level;
    int name;
    int index;
    bool flag; /* on or off */
};

static const struct option options[] = {
    {SOL_SOCKET, SO_KEEPALIVE, MBR__OPT_KEEPALIVE, true},
    {SOL_SOCKET, SO_REUSEADDR, MBR__OPT_REUSEADDR, true},
    {SOL_SOCKET, SO_REUSEPORT, MBR__OPT_REUSEPORT, true},
    {SOL_SOCKET, SO_RCVBUF, MBR__OPT_RCVBUF, false},
    {SOL_SOCKET, SO_SNDBUF, MBR__OPT_SNDBUF, false},
    {SOL_SOCKET, SO_BROADCAST, MBR__OPT_BROADCAST, true},
    {IPPROTO_TCP, TCP_NODELAY, MBR__OPT_NODELAY, true},
    {IPPROTO_IPV6, IPV6_V6ONLY, MBR__OPT_V6ONLY, true},
};

static const struct option *find(int level, int name)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (options[i].level == level && options[i].name == name)
            return &options[i];
    }
    return NULL;
}

static int unknown(int level)
{
    return level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IPV6 ? -ENOPROTOOPT
                                                                                : -ENOTSUP;
}

int mbr__catloop_setopt(struct mbr__sock *s, int level, int name, const void *value, socklen_t size)
{
    bool linger = level == SOL_SOCKET && name == SO_LINGER;
    const struct option *o = find(level, name);
    int n;

    if (o == NULL && !linger)
        return unknown(level);
    if (value == NULL || size != (linger ? sizeof(struct linger) : sizeof(int)))
        return -EINVAL;
    if (linger) {
        memcpy(&s->u.loop->linger, value, sizeof(struct linger));
        s->u.loop->linger.l_onoff =
            s->u.loop->linger.l_onoff != 0; /* as the kernel gives it back */
        return 0;
    }
    memcpy(&n, value, sizeof(n));
    if (!o->flag && n < 0)
        return -EINVAL;
    s->u.loop->options[o->index] = o->flag ? n != 0 : n;
    return 0;
}

/* Options that are a property of the socket. */
static bool is_property(int level, int name)
{
    return level == SOL_SOCKET &&
           (name == SO_TYPE || name == SO_DOMAIN || name == SO_ACCEPTCONN || name == SO_ERROR);
}

/* Of a connect that was refused, or a peer that broke the rules; told once. */
static int take_error(struct mbr__sock *s)
{
    struct mbr__pipe *p = mbr__sock_pipe(s);
    int error = p != NULL && p->fault != 0 ? p->fault : s->u.loop->error;

    s->u.loop->error = 0;
    return error;
}

static int property(struct mbr__sock *s, int name)
{
    switch (name) {
    case SO_TYPE:
        return s->type;
    case SO_DOMAIN:
        return s->domain;
    case SO_ACCEPTCONN:
        return s->state.current == MBR__SOCK_LISTENING;
    default:
        return take_error(s);
    }
}

int mbr__catloop_getopt(struct mbr__sock *s, int level, int name, void *value, socklen_t *size)
{
    bool linger = level == SOL_SOCKET && name == SO_LINGER;
    const struct option *o = find(level, name);
    socklen_t whole = linger ? sizeof(struct linger) : sizeof(int);
    int n = 0;

    if (o == NULL && !linger && !is_property(level, name))
        return unknown(level);
    if (value == NULL || size == NULL || *size < whole)
        return -EINVAL;
    if (o != NULL)
        n = s->u.loop->options[o->index];
    else if (!linger)
        n = property(s, name);
    memcpy(value, linger ? (const void *)&s->u.loop->linger : &n, whole);
    *size = whole;
    return 0;
}
