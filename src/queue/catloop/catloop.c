/* SPDX-License-Identifier: MIT */
/* The life of a catloop socket; catloop.h says what it is made of. */
#define _GNU_SOURCE
#include "queue/catloop/catloop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "queue/catloop/guest.h"
#include "queue/catloop/listens.h"

#define TRIES 32u /* ephemeral ports that may turn out to be taken */

struct mbr__pipe *mbr__sock_pipe(struct mbr__sock *s)
{
    if (s->t != &mbr__catloop_transport || s->type != SOCK_STREAM || s->u.loop->pair == NULL ||
        s->u.loop->pair->state != MBR__PAIR_OPEN)
        return NULL;
    return &s->u.loop->pair->pipe;
}

uint64_t mbr__catloop_capacity(const struct mbr__sock *s)
{
    uint64_t wanted = (uint64_t)s->u.loop->options[MBR__OPT_SNDBUF];
    uint64_t c = MBR__RING_MIN;

    if (s->type == SOCK_DGRAM && wanted < MBR__DATAGRAM_RING)
        return MBR__DATAGRAM_RING;
    if (wanted == 0)
        return s->l->capacity;
    while (c < wanted && c < MBR__RING_MAX)
        c <<= 1;
    return c;
}

/* ---- making, binding, listening ---- */

static int open_socket(struct mbr__sock *s)
{
    const struct mbr__sock_config *config = &s->l->sockets;
    struct mbr__catloop *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -ENOMEM;
    c->s = s;
    c->linger = (struct linger){config->linger, (int)config->linger_s};
    c->options[MBR__OPT_NODELAY] = config->nodelay;
    c->options[MBR__OPT_KEEPALIVE] = config->keepalive;
    mbr__list_init(&c->node);
    mbr__list_init(&c->queue);
    mbr__list_init(&c->guests);
    mbr__list_init(&c->in);
    mbr__list_init(&c->out);
    s->u.loop = c;
    return 0;
}

static int bind_socket(struct mbr__sock *s, union mbr__addr *addr)
{
    int r = mbr__address_local(addr);

    if (r == 0)
        r = mbr__catloop_claim(s, addr);
    if (r == 0 && s->type == SOCK_DGRAM)
        mbr__list_push_back(&s->l->targets, &s->u.loop->node);
    return r;
}

static int listen_socket(struct mbr__sock *s)
{
    struct mbr__catloop *c = s->u.loop;

    mbr__list_push_back(&s->l->targets, &c->node);
    int r = mbr__catloop_announce(s);

    if (r < 0)
        mbr__list_del(&c->node);
    return r;
}

/* ---- accepting ---- */

struct mbr__sock *mbr__catloop_target(struct mbr_libos *l, const uint64_t id[2])
{
    struct mbr__list *node;

    mbr__list_for_each (node, &l->targets) {
        struct mbr__catloop *c = mbr__container_of(node, struct mbr__catloop, node);

        if (c->id[0] == id[0] && c->id[1] == id[1])
            return c->s;
    }
    return NULL;
}

int mbr__catloop_asked(struct mbr__pair *pair, const uint64_t target[2])
{
    struct mbr__sock *s = mbr__catloop_target(pair->pipe.l, target);

    if (s == NULL || pair->to.sa.sa_family != s->domain || pair->from.sa.sa_family != s->domain ||
        mbr__addr_port(&pair->to) != mbr__addr_port(&s->local))
        return -ECONNREFUSED;
    if (s->type == SOCK_DGRAM)
        return mbr__datagram_asked(s, pair);
    if (s->u.loop->queued >= s->backlog)
        return -ECONNREFUSED;
    int r = mbr__pair_count(pair);

    if (r < 0)
        return r;
    pair->state = MBR__PAIR_QUEUED;
    pair->sock = s;
    mbr__list_push_back(&s->u.loop->queue, &pair->node);
    s->u.loop->queued++;
    mbr__sched_wake(&s->task);
    mbr__sock_maybe_ready(s);
    return 0;
}

static int accept_pair(struct mbr__sock *s, struct mbr__sock **out)
{
    struct mbr__list *node = mbr__list_first(&s->u.loop->queue);
    struct mbr__sock *conn = NULL;
    int r = mbr__sock_new(s->l, s->domain, s->type, &conn);

    if (r < 0)
        return r;
    conn->t = s->t;
    r = open_socket(conn);
    if (r < 0) {
        mbr__sock_free(conn);
        return r;
    }
    struct mbr__pair *pair = mbr__container_of(node, struct mbr__pair, node);

    mbr__list_del(node);
    s->u.loop->queued--;
    pair->state = MBR__PAIR_OPEN;
    pair->sock = conn;
    pair->pipe.sock = conn;
    pair->pipe.qd = conn->qd;
    conn->u.loop->pair = pair;
    conn->state.current = MBR__SOCK_ESTABLISHED;
    conn->local = pair->to;
    conn->remote = pair->from;
    mbr__sched_wake(&pair->pipe.task);
    *out = conn;
    return 0;
}

static int accept_socket(struct mbr__sock *s, struct mbr__sock **out)
{
    struct mbr__catloop *c = s->u.loop;

    if (c->queued == 0)
        return -EAGAIN;
    bool guest = !mbr__list_empty(&c->guests) && (c->guests_turn || mbr__list_empty(&c->queue));

    c->guests_turn = !guest;
    return guest ? mbr__guest_accept(s, out) : accept_pair(s, out);
}

/* ---- connecting ---- */

/* A port that nobody has bound. As with TCP, two connections to different servers may have the same
 * one; that the same server sees it once is the server's to check. */
static void choose_port(struct mbr__sock *s)
{
    unsigned tries = TRIES;

    do
        mbr__addr_set_port(&s->local, mbr__catloop_any_port());
    while (mbr__catloop_is_bound(s->l, s->type, &s->local) && --tries > 0);
}

/* The local address of a socket that has none: the host it connects to, or the configured one. */
static void choose_local(struct mbr__sock *s, const union mbr__addr *to)
{
    s->local = *to;
    if (to->sa.sa_family == AF_INET && s->l->sockets.local.s_addr != 0)
        s->local.v4.sin_addr = s->l->sockets.local;
    choose_port(s);
}

static int try_connect(struct mbr__sock *s, const struct mbr__link *link)
{
    struct mbr__catloop *c = s->u.loop;
    union mbr__addr from = s->local;
    int r;

    if (mbr__addr_is_any(&from)) { /* bound to the wildcard: as that host it is seen */
        from = s->remote;
        mbr__addr_set_port(&from, mbr__addr_port(&s->local));
    }
    r = mbr__pair_connect(s, link, &from, &s->remote, &c->pair);
    return r < 0 ? r : -EINPROGRESS;
}

union mbr__addr mbr__catloop_aim(const struct mbr__sock *s, const union mbr__addr *to)
{
    union mbr__addr a = *to;

    if (!mbr__addr_is_any(to))
        return a;
    if (s->local.sa.sa_family != AF_UNSPEC && !mbr__addr_is_any(&s->local))
        a = s->local;
    else if (a.sa.sa_family == AF_INET6)
        a.v6.sin6_addr = in6addr_loopback;
    else if (s->l->sockets.local.s_addr != 0)
        a.v4.sin_addr = s->l->sockets.local;
    else
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    mbr__addr_set_port(&a, mbr__addr_port(to));
    return a;
}

static int connect_socket(struct mbr__sock *s, union mbr__addr *to)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__link link;

    *to = mbr__catloop_aim(s, to);
    if (s->type == SOCK_DGRAM)
        return 0;
    int r = mbr__catloop_find(s->l, s->type, to, &link);

    if (r == 0 && link.state == MBR__NAME_KERNEL) {
        r = mbr__listens_for_us(&link, to);
        if (r == 0)
            r = mbr__guest_connect(s, to);
        if (s->t != &mbr__catloop_transport)
            return r;
    }
    if (r < 0) {
        c->error = -r;
        return r;
    }
    c->ephemeral = s->local.sa.sa_family == AF_UNSPEC;
    if (c->ephemeral)
        choose_local(s, to);
    r = try_connect(s, &link);
    if (r == -EINPROGRESS)
        return r;
    c->error = -r;
    if (c->ephemeral)
        s->local.sa.sa_family = AF_UNSPEC; /* or another attempt would be bound to it */
    return r;
}

void mbr__catloop_answered(struct mbr__pair *pair, int error)
{
    struct mbr__sock *s = pair->sock;

    if (s == NULL)
        return;
    if (s->type == SOCK_DGRAM) {
        mbr__datagram_answered(pair, error);
        return;
    }
    struct mbr__catloop *c = s->u.loop;

    if (error == 0) {
        pair->pipe.sock = s;
        pair->pipe.qd = s->qd;
        mbr__sock_connected(s, 0);
        return;
    }
    pair->sock = NULL;
    c->pair = NULL;
    if (c->tries < TRIES && (error == -ECONNRESET || (error == -EADDRINUSE && c->ephemeral))) {
        struct mbr__link link;

        c->tries++;
        if (error == -EADDRINUSE)
            choose_port(s);
        error = mbr__catloop_find(s->l, s->type, &s->remote, &link);
        if (error == 0)
            error = link.state == 'l' ? try_connect(s, &link) : -ECONNREFUSED;
        if (error == -EINPROGRESS)
            return;
    }
    if (error == -ECONNRESET)
        error = -ECONNREFUSED;
    else if (error == -EADDRINUSE) /* the address is ours; the pair of both is not to be had */
        error = -EADDRNOTAVAIL;
    c->error = -error;
    mbr__sock_connected(s, error);
}

/* ---- going on ---- */

void mbr__catloop_moved(struct mbr__pair *pair)
{
    struct mbr__sock *s = pair->sock;

    if (s == NULL)
        return;
    if (s->type == SOCK_DGRAM) {
        mbr__datagram_moved(pair);
        return;
    }
    if (s->close_op != NULL)
        mbr__sched_wake(&s->task);
    if (s->watched != 0 && (mbr__catloop_ready(s, NULL) & s->watched) != 0)
        mbr__sock_maybe_ready(s);
    else if (s->watched != 0)
        (void)mbr__catloop_watch(s, s->watched);
}

static void await(struct mbr__sock *s)
{
    if (s->type == SOCK_DGRAM)
        mbr__datagram_await(s);
}

static void progress(struct mbr__sock *s)
{
    if (s->state.current == MBR__SOCK_LISTENING)
        mbr__sock_progress_accepts(s);
    else if (s->type == SOCK_DGRAM)
        mbr__sock_progress(s);
}

/* ---- ending ---- */

static int shut(struct mbr__sock *s, unsigned how)
{
    (void)s; /* of a datagram socket: nothing is told to anybody */
    (void)how;
    return 0;
}

bool mbr__sock_aborts(const struct mbr__sock *s)
{
    return s->t == &mbr__catloop_transport && s->type == SOCK_STREAM &&
           s->u.loop->linger.l_onoff != 0 && s->u.loop->linger.l_linger == 0;
}

static void close_socket(struct mbr__sock *s)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__list *node;

    mbr__list_del(&c->node);
    mbr__catloop_release(s);
    while ((node = mbr__list_first(&c->queue)) != NULL) /* nobody will ever read what they sent */
        mbr__pair_reset(mbr__container_of(node, struct mbr__pair, node));
    mbr__guest_drop(c);
    if (c->pair != NULL && mbr__sock_aborts(s))
        mbr__pair_reset(c->pair);
    else if (c->pair != NULL)
        mbr__pair_leave(c->pair);
    mbr__datagram_close(s);
    free(c);
    s->u.loop = NULL;
}

const struct mbr__transport mbr__catloop_transport = {
    .open = open_socket,
    .bind = bind_socket,
    .listen = listen_socket,
    .connect = connect_socket,
    .progress = progress,
    .accept = accept_socket,
    .push = mbr__datagram_push,
    .pop = mbr__datagram_pop,
    .await = await,
    .shutdown = shut,
    .close = close_socket,
    .setopt = mbr__catloop_setopt,
    .getopt = mbr__catloop_getopt,
    .recv = mbr__catloop_recv,
    .send = mbr__catloop_send,
    .ready = mbr__catloop_ready,
    .watch = mbr__catloop_watch,
};
