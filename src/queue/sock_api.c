/* SPDX-License-Identifier: MIT */
/*
 * The public calls on sockets: checks in the published order, transitions of the state, then the
 * transport does the work. <membrane/socket.h> is their contract. Readiness is in sock_ready.c.
 */
#include <errno.h>
#include <string.h>

#include "queue/catmem/pipe.h"
#include "queue/sock.h"

/* Enters the libOS and finds the socket; on failure nothing is entered. */
static int enter(struct mbr_libos *l, int qd, struct mbr__sock **out)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    *out = mbr__libos_sock(l, qd);
    if (*out != NULL)
        return 0;
    r = l->kind == MBR__CATMEM || mbr__libos_queue(l, qd) != NULL ? -ENOTSUP : -EBADF;
    mbr__libos_leave(l);
    return r;
}

static int leave(struct mbr_libos *l, int r)
{
    mbr__libos_leave(l);
    return r;
}

static bool open_state(const struct mbr__sock *s)
{
    return s->state.current < MBR__SOCK_CLOSING;
}

static const struct mbr__transport *transport(const struct mbr_libos *l)
{
    if (l->kind == MBR__CATMEM)
        return NULL;
    return l->kind == MBR__CATNAP ? &mbr__catnap_transport : &mbr__catloop_transport;
}

static int make(struct mbr_libos *l, int domain, int type, int *qd)
{
    struct mbr__sock *s = NULL;

    if ((domain != AF_INET && domain != AF_INET6) || (type != SOCK_STREAM && type != SOCK_DGRAM))
        return -ENOTSUP;
    int r = mbr__sock_new(l, domain, type, &s);

    if (r < 0)
        return r;
    s->t = transport(l);
    r = s->t->open(s);
    if (r < 0) {
        mbr__sock_free(s);
        return r;
    }
    *qd = s->qd;
    return 0;
}

int mbr_socket(struct mbr_libos *l, int domain, int type, int protocol, int *qd)
{
    int r = mbr__libos_enter(l);

    (void)protocol;
    if (r < 0)
        return r;
    if (qd == NULL)
        r = -EINVAL;
    else
        r = transport(l) == NULL ? -ENOTSUP : make(l, domain, type, qd);
    return leave(l, r);
}

/* ---- bind, listen ---- */

/* Whether a socket may share its address with others that say the same. */
static bool shares(struct mbr__sock *s)
{
    int on = 0;
    socklen_t size = sizeof(on);

    return s->t->getopt(s, SOL_SOCKET, SO_REUSEPORT, &on, &size) == 0 && on != 0;
}

/* Whether a socket of the instance has the address: upstream's table of addresses. */
static bool is_taken(struct mbr_libos *l, struct mbr__sock *s, const union mbr__addr *a)
{
    uint32_t cursor = 0;
    struct mbr__sock *other;

    if (mbr__addr_port(a) == 0)
        return false;
    while ((other = mbr__slab_next(&l->pipes, &cursor)) != NULL) {
        if (other->kind == MBR__QUEUE_SOCK && other->type == s->type &&
            (other == s || other->state.current == MBR__SOCK_BOUND ||
             other->state.current == MBR__SOCK_LISTENING) &&
            other->local.sa.sa_family != AF_UNSPEC && mbr__addr_equal(&other->local, a) &&
            (other == s || !shares(other) || !shares(s)))
            return true;
    }
    return false;
}

static int bind_to(struct mbr__sock *s, const union mbr__addr *to)
{
    const struct in_addr only = s->l->sockets.local;
    union mbr__addr a = *to;

    if (!open_state(s))
        return -EBADF;
    if (a.sa.sa_family != s->domain)
        return -EINVAL;
    if (a.sa.sa_family == AF_INET && only.s_addr != 0 && !mbr__addr_is_any(&a) &&
        a.v4.sin_addr.s_addr != only.s_addr)
        return -EADDRNOTAVAIL;
    if (is_taken(s->l, s, &a))
        return -EADDRINUSE;
    int r = mbr__sock_prepare(&s->state, MBR__SOCK_OP_BIND);

    if (r < 0)
        return r;
    r = s->t->bind(s, &a);
    if (r < 0) {
        mbr__sock_abort(&s->state);
        return r;
    }
    mbr__sock_commit(&s->state);
    s->local = a;
    return 0;
}

int mbr_bind(struct mbr_libos *l, int qd, const struct sockaddr *addr, socklen_t size)
{
    union mbr__addr a;
    struct mbr__sock *s = NULL;
    int wrong = mbr__addr_read(addr, size, &a);
    int r = enter(l, qd, &s);

    if (r == -EBADF || r == 0)
        wrong = wrong < 0 ? wrong : r;
    else
        wrong = r;
    if (r < 0)
        return wrong;
    return leave(l, wrong < 0 ? wrong : bind_to(s, &a));
}

int mbr_listen(struct mbr_libos *l, int qd, int backlog)
{
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (backlog < 1 && (r == 0 || r == -EBADF)) {
        if (r == 0)
            mbr__libos_leave(l);
        return -EINVAL;
    }
    if (r < 0)
        return r;
    int old = s->backlog;

    if (!open_state(s))
        r = -EBADF;
    else if (s->type != SOCK_STREAM)
        r = -EOPNOTSUPP;
    else
        r = mbr__sock_prepare(&s->state, MBR__SOCK_OP_LISTEN);
    if (r == 0) {
        s->backlog = backlog > SOMAXCONN ? SOMAXCONN : backlog;
        r = s->t->listen(s);
        if (r == 0)
            mbr__sock_commit(&s->state);
        else
            mbr__sock_abort(&s->state);
        s->backlog = r == 0 ? s->backlog : old;
    }
    return leave(l, r);
}

/* ---- accept, connect ---- */

static int may_accept(const struct mbr__sock *s)
{
    if (!open_state(s))
        return -EBADF;
    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    return s->state.current == MBR__SOCK_LISTENING ? 0 : -EINVAL;
}

static int begin_accept(struct mbr__sock *s, demi_qtoken_t *qt)
{
    int r = may_accept(s);
    struct mbr__op *op = r < 0 ? NULL : mbr__op_make(s->l, s->qd, NULL, DEMI_OPC_ACCEPT);

    if (r < 0 || op == NULL)
        return r < 0 ? r : -ENOMEM;
    *qt = op->token;
    mbr__list_push_back(&s->pops, &op->node);
    mbr__sock_progress_accepts(s);
    return 0;
}

int mbr_accept(struct mbr_libos *l, int qd, demi_qtoken_t *qt)
{
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r == -EBADF && qt == NULL ? -EINVAL : r;
    return leave(l, qt == NULL ? -EINVAL : begin_accept(s, qt));
}

int mbr_sock_accept(struct mbr_libos *l, int qd, int *new_qd)
{
    struct mbr__sock *conn = NULL;
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    r = new_qd == NULL ? -EINVAL : may_accept(s);
    if (r == 0)
        r = mbr__list_empty(&s->pops) ? s->t->accept(s, &conn) : -EAGAIN;
    if (r == 0)
        *new_qd = conn->qd;
    return leave(l, r);
}

/* A datagram socket that connects only gets a destination, and an address if it has none. */
static int connect_datagram(struct mbr__sock *s, const union mbr__addr *to)
{
    if (s->state.current == MBR__SOCK_UNBOUND) {
        union mbr__addr any;

        mbr__addr_any(s->domain, &any);
        int r = bind_to(s, &any);

        if (r < 0)
            return r;
    }
    union mbr__addr true_to = *to;
    int r = s->t->connect(s, &true_to);

    if (r == 0)
        s->remote = true_to;
    return r;
}

/* 0 connected, -EINPROGRESS, another errno: refused (the state is as before) or, with *failed,
 * ended. */
static int start_connect(struct mbr__sock *s, const union mbr__addr *to, bool *failed)
{
    *failed = false;
    if (!open_state(s))
        return -EBADF;
    if (to->sa.sa_family != s->domain)
        return -EINVAL;
    if (s->type == SOCK_DGRAM)
        return connect_datagram(s, to);
    int r = mbr__sock_prepare(&s->state, MBR__SOCK_OP_CONNECT);

    if (r < 0)
        return r;
    mbr__sock_commit(&s->state);
    s->remote = *to;
    r = s->t->connect(s, &s->remote);
    if (r == -ENOMEM || r == -EMFILE || r == -ENFILE) { /* ours, not the network's */
        mbr__sock_rollback(&s->state);
        s->remote.sa.sa_family = AF_UNSPEC;
        return r;
    }
    *failed = r < 0 && r != -EINPROGRESS;
    if (r != -EINPROGRESS)
        mbr__sock_connected(s, r);
    else
        s->t->await(s);
    return r;
}

static int begin_connect(struct mbr__sock *s, const union mbr__addr *to, demi_qtoken_t *qt)
{
    bool failed = false;
    struct mbr__op *op = mbr__op_make(s->l, s->qd, NULL, DEMI_OPC_CONNECT);

    if (op == NULL)
        return -ENOMEM;
    mbr__list_init(&op->node);
    int r = start_connect(s, to, &failed);

    if (r == -EINPROGRESS && s->state.current == MBR__SOCK_CONNECTING && s->connect_op == NULL)
        s->connect_op = op;
    else if (r == 0 || failed)
        mbr__op_complete(s->l, op, r < 0 ? DEMI_OPC_FAILED : DEMI_OPC_CONNECT, -r);
    else {
        mbr__op_drop(s->l, op);
        return r;
    }
    *qt = op->token;
    return 0;
}

int mbr_connect(struct mbr_libos *l, int qd, const struct sockaddr *addr, socklen_t size,
                demi_qtoken_t *qt)
{
    union mbr__addr a;
    struct mbr__sock *s = NULL;
    int wrong = qt == NULL ? -EINVAL : mbr__addr_read(addr, size, &a);
    int r = enter(l, qd, &s);

    if (r < 0)
        return r == -EBADF && wrong < 0 ? wrong : r;
    return leave(l, wrong < 0 ? wrong : begin_connect(s, &a, qt));
}

int mbr_sock_connect(struct mbr_libos *l, int qd, const struct sockaddr *addr, socklen_t size)
{
    union mbr__addr a;
    bool failed = false;
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    r = mbr__addr_read(addr, size, &a);
    if (r == 0 && s->state.current == MBR__SOCK_CONNECTING)
        s->t->progress(s);
    if (r == 0 && s->state.current == MBR__SOCK_CONNECTING)
        r = -EALREADY;
    else if (r == 0)
        r = start_connect(s, &a, &failed);
    return leave(l, r);
}

/* ---- data ---- */

int mbr_pushto(struct mbr_libos *l, int qd, const demi_sgarray_t *sga, const struct sockaddr *addr,
               socklen_t size, demi_qtoken_t *qt)
{
    union mbr__addr to;
    struct mbr__buf *buf = NULL;
    struct mbr__sock *s = NULL;
    int wrong = qt == NULL ? -EINVAL : mbr__push_check(sga, &buf);

    if (wrong == 0)
        wrong = mbr__addr_read(addr, size, &to);
    int r = enter(l, qd, &s);

    if (r < 0)
        return r == -EBADF && wrong < 0 ? wrong : r;
    if (wrong == 0 && to.sa.sa_family != s->domain)
        wrong = -EINVAL;
    if (wrong < 0)
        return leave(l, wrong);
    struct mbr__pipe *p = mbr__sock_pipe(s);

    if (p != NULL && s->type == SOCK_STREAM)
        r = mbr__push_begin(p, buf, &sga->sga_segs[0], qt);
    else
        r = mbr__sock_push(l, qd, buf, &sga->sga_segs[0], &to, qt);
    return leave(l, r);
}

int64_t mbr_sock_recv(struct mbr_libos *l, int qd, void *data, size_t len, unsigned flags,
                      struct sockaddr *from, socklen_t *fromlen)
{
    union mbr__addr a;
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);
    int64_t n;

    if (r < 0)
        return r;
    mbr__addr_any(AF_UNSPEC, &a);
    if ((data == NULL && len > 0) || (flags & ~(unsigned)(MBR_SOCK_PEEK | MBR_SOCK_TRUNC)) != 0 ||
        (from == NULL) != (fromlen == NULL))
        n = -EINVAL;
    else if (!open_state(s))
        n = -EBADF;
    else if (s->type == SOCK_STREAM && s->state.current != MBR__SOCK_ESTABLISHED)
        n = -ENOTCONN;
    else if ((s->shut & MBR_SHUT_RECV) != 0)
        n = 0;
    else
        n = mbr__list_empty(&s->pops) ? s->t->recv(s, data, len, flags, &a) : -EAGAIN;
    if (n >= 0 && from != NULL && a.sa.sa_family != AF_UNSPEC)
        (void)mbr__addr_write(&a, from, fromlen);
    else if (n >= 0 && from != NULL)
        *fromlen = 0;
    mbr__libos_leave(l);
    return n;
}

static int may_send(const struct mbr__sock *s, const union mbr__addr *to)
{
    if (!open_state(s))
        return -EBADF;
    if (s->type == SOCK_STREAM && s->state.current != MBR__SOCK_ESTABLISHED)
        return -ENOTCONN;
    if (s->type == SOCK_DGRAM && to == NULL && s->remote.sa.sa_family == AF_UNSPEC)
        return -EDESTADDRREQ;
    if (to != NULL && to->sa.sa_family != s->domain)
        return -EINVAL;
    return (s->shut & MBR_SHUT_SEND) != 0 ? -EPIPE : 0;
}

int64_t mbr_sock_send(struct mbr_libos *l, int qd, const void *data, size_t len,
                      const struct sockaddr *to, socklen_t tolen)
{
    union mbr__addr a;
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);
    int64_t n;

    if (r < 0)
        return r;
    n = data == NULL && len > 0 ? -EINVAL : 0;
    if (n == 0 && to != NULL)
        n = mbr__addr_read(to, tolen, &a);
    if (n == 0)
        n = may_send(s, to == NULL ? NULL : &a);
    if (n == 0)
        n = mbr__list_empty(&s->pushes)
                ? s->t->send(s, data, len, to == NULL || s->type == SOCK_STREAM ? NULL : &a)
                : -EAGAIN;
    mbr__libos_leave(l);
    return n;
}

/* ---- names and options ---- */

int mbr_getsockname(struct mbr_libos *l, int qd, struct sockaddr *addr, socklen_t *size)
{
    union mbr__addr any;
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    mbr__addr_any(s->domain, &any);
    if (!open_state(s) && s->state.current == MBR__SOCK_CLOSING)
        r = -EBADF;
    else
        r = mbr__addr_write(s->local.sa.sa_family == AF_UNSPEC ? &any : &s->local, addr, size);
    return leave(l, r);
}

int mbr_getpeername(struct mbr_libos *l, int qd, struct sockaddr *addr, socklen_t *size)
{
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    if (!open_state(s))
        r = -EBADF;
    else if (addr == NULL || size == NULL || *size == 0)
        r = -EINVAL;
    else if (s->remote.sa.sa_family == AF_UNSPEC ||
             (s->type == SOCK_STREAM && s->state.current != MBR__SOCK_ESTABLISHED))
        r = -ENOTCONN;
    else
        r = mbr__addr_write(&s->remote, addr, size);
    return leave(l, r);
}

int mbr_setsockopt(struct mbr_libos *l, int qd, int level, int name, const void *value,
                   socklen_t size)
{
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    return leave(l, s->state.current == MBR__SOCK_CLOSING
                        ? -EBUSY
                        : s->t->setopt(s, level, name, value, size));
}

int mbr_getsockopt(struct mbr_libos *l, int qd, int level, int name, void *value, socklen_t *size)
{
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    return leave(l, s->t->getopt(s, level, name, value, size));
}

int mbr_sock_fd(struct mbr_libos *l, int qd)
{
    struct mbr__sock *s = NULL;
    int r = enter(l, qd, &s);

    if (r < 0)
        return r;
    return leave(l, s->t == &mbr__catnap_transport ? s->u.nap.fd : -EOPNOTSUPP);
}
