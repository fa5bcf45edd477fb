/* SPDX-License-Identifier: MIT */
/* The life of a kernel socket: catnap.h says how it is used. */
#define _GNU_SOURCE
#include "queue/catnap/catnap.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int error_of(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

static void read_name(int fd, union mbr__addr *out)
{
    union mbr__addr a;
    socklen_t size = sizeof(a);

    if (getsockname(fd, &a.sa, &size) == 0)
        *out = a;
}

/* The kernel connects to itself when it is asked for the wildcard. */
static void read_peer(int fd, union mbr__addr *out)
{
    union mbr__addr a;
    socklen_t size = sizeof(a);

    if (mbr__addr_is_any(out) && getpeername(fd, &a.sa, &size) == 0)
        *out = a;
}

void mbr__catnap_sent(struct mbr__sock *s)
{
    if (s->type != SOCK_DGRAM || s->state.current != MBR__SOCK_UNBOUND ||
        mbr__sock_prepare(&s->state, MBR__SOCK_OP_BIND) < 0)
        return;
    mbr__sock_commit(&s->state);
    read_name(s->u.nap.fd, &s->local);
}

/* ---- watching ---- */

static void fired(struct mbr__watch *w, uint32_t events)
{
    struct mbr__sock *s = mbr__container_of(w, struct mbr__sock, u.nap.watch);

    (void)events;
    mbr__sched_wake(&s->task);
    mbr__sock_maybe_ready(s);
}

int mbr__catnap_arm(struct mbr__sock *s, uint32_t events)
{
    struct mbr__catnap *n = &s->u.nap;
    uint32_t all = n->events | events | EPOLLET;
    int r;

    if (n->events == all)
        return 0;
    if (mbr__watch_active(&n->watch))
        r = mbr__watch_fd_events(&s->l->ws, &n->watch, all);
    else
        r = mbr__watch_fd(&s->l->ws, &n->watch, n->fd, all, fired);
    if (r == 0)
        n->events = all;
    return r;
}

/* While a pop waits the receive itself is tried at each round of a spinning wait. */
static bool look(struct mbr__probe *p)
{
    struct mbr__sock *s = mbr__container_of(p, struct mbr__sock, u.nap.probe);
    struct mbr__list *node = mbr__list_pop_front(&s->pops);

    if (mbr__catnap_pop(s, mbr__container_of(node, struct mbr__op, node))) {
        if (mbr__list_empty(&s->pops))
            mbr__probe_end(&s->l->ws, p);
        return true;
    }
    mbr__list_push_front(&s->pops, node);
    return false;
}

static void fail_all(struct mbr__sock *s, int error)
{
    mbr__sock_fail(s, &s->pops, error);
    mbr__sock_fail(s, &s->pushes, error);
    if (s->state.current == MBR__SOCK_CONNECTING)
        mbr__sock_connected(s, -error);
}

static void await(struct mbr__sock *s)
{
    bool in = !mbr__list_empty(&s->pops);
    bool out = !mbr__list_empty(&s->pushes) || s->state.current == MBR__SOCK_CONNECTING;

    if (in && s->state.current != MBR__SOCK_LISTENING)
        mbr__probe_begin(&s->l->ws, &s->u.nap.probe, look);
    else
        mbr__probe_end(&s->l->ws, &s->u.nap.probe);
    if (!in && !out)
        return;
    int r = mbr__catnap_arm(s, (in ? EPOLLIN | EPOLLRDHUP : 0u) | (out ? EPOLLOUT : 0u));

    if (r < 0) /* no watch is left: what cannot be waited for fails */
        fail_all(s, -r);
}

static int watch(struct mbr__sock *s, unsigned what)
{
    uint32_t events = EPOLLRDHUP;

    if ((what & (MBR_READABLE | MBR_SOCK_RDHUP)) != 0)
        events |= EPOLLIN;
    if ((what & MBR_WRITABLE) != 0)
        events |= EPOLLOUT;
    return mbr__catnap_arm(s, events);
}

/* ---- making, binding, listening ---- */

void mbr__catnap_adopt(struct mbr__sock *s, int fd)
{
    s->u.nap = (struct mbr__catnap){.fd = fd};
    mbr__catnap_defaults(s);
}

static int open_socket(struct mbr__sock *s)
{
    int on = 1;
    int fd = socket(s->domain, s->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* A server that starts again need not wait for connections of its predecessor to be forgotten.
     * On datagrams the same option would let strangers share a port. */
    if (s->type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    mbr__catnap_adopt(s, fd);
    return 0;
}

static int bind_socket(struct mbr__sock *s, union mbr__addr *addr)
{
    if (bind(s->u.nap.fd, &addr->sa, mbr__addr_size(addr)) < 0)
        return -errno;
    read_name(s->u.nap.fd, addr);
    return 0;
}

static int listen_socket(struct mbr__sock *s)
{
    return listen(s->u.nap.fd, s->backlog) < 0 ? -errno : 0;
}

static int accept_socket(struct mbr__sock *s, struct mbr__sock **out)
{
    union mbr__addr peer;
    socklen_t size = sizeof(peer);
    struct mbr__sock *conn = NULL;
    int fd;

    do {
        size = sizeof(peer);
        fd = accept4(s->u.nap.fd, &peer.sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    if (fd < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    int r = mbr__sock_new(s->l, s->domain, s->type, &conn);

    if (r < 0) {
        close(fd);
        return r;
    }
    conn->t = s->t;
    mbr__catnap_adopt(conn, fd);
    conn->state.current = MBR__SOCK_ESTABLISHED;
    conn->remote = peer;
    read_name(fd, &conn->local);
    *out = conn;
    return 0;
}

/* ---- connecting ---- */

/* Whether a connect has ended: -EINPROGRESS, 0, or why it failed. */
static int connect_status(struct mbr__sock *s)
{
    struct pollfd pfd = {.fd = s->u.nap.fd, .events = POLLOUT};

    if (poll(&pfd, 1, 0) <= 0)
        return -EINPROGRESS;
    int r = error_of(s->u.nap.fd);

    if (r == 0 && (pfd.revents & (POLLERR | POLLHUP)) != 0)
        r = -ECONNREFUSED; /* ended, and the reason was read by somebody else */
    s->u.nap.error = -r;
    if (r == 0)
        read_name(s->u.nap.fd, &s->local);
    if (r == 0)
        read_peer(s->u.nap.fd, &s->remote);
    return r;
}

static int connect_socket(struct mbr__sock *s, union mbr__addr *to)
{
    int r;

    do
        r = connect(s->u.nap.fd, &to->sa, mbr__addr_size(to));
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno != EINPROGRESS) {
        s->u.nap.error = s->type == SOCK_STREAM ? errno : 0;
        return -errno;
    }
    if (s->type == SOCK_DGRAM || r == 0) {
        read_name(s->u.nap.fd, &s->local);
        read_peer(s->u.nap.fd, to);
        return 0;
    }
    return connect_status(s); /* on loopback it has mostly ended by now */
}

static void progress(struct mbr__sock *s)
{
    if (s->state.current == MBR__SOCK_CONNECTING) {
        int r = connect_status(s);

        if (r != -EINPROGRESS)
            mbr__sock_connected(s, r);
    }
    if (s->state.current == MBR__SOCK_LISTENING)
        mbr__sock_progress_accepts(s);
    else
        mbr__sock_progress(s);
}

/* ---- ending ---- */

static int shut(struct mbr__sock *s, unsigned how)
{
    int as = how == MBR_SHUT_BOTH ? SHUT_RDWR : how == MBR_SHUT_SEND ? SHUT_WR : SHUT_RD;

    return shutdown(s->u.nap.fd, as) < 0 ? -errno : 0;
}

static void close_socket(struct mbr__sock *s)
{
    mbr__probe_end(&s->l->ws, &s->u.nap.probe);
    if (mbr__watch_active(&s->u.nap.watch))
        mbr__watch_end(&s->l->ws, &s->u.nap.watch);
    close(s->u.nap.fd);
    s->u.nap.fd = -1;
}

const struct mbr__transport mbr__catnap_transport = {
    .open = open_socket,
    .bind = bind_socket,
    .listen = listen_socket,
    .connect = connect_socket,
    .progress = progress,
    .accept = accept_socket,
    .push = mbr__catnap_push,
    .pop = mbr__catnap_pop,
    .await = await,
    .shutdown = shut,
    .close = close_socket,
    .setopt = mbr__catnap_setopt,
    .getopt = mbr__catnap_getopt,
    .recv = mbr__catnap_recv,
    .send = mbr__catnap_send,
    .ready = mbr__catnap_ready,
    .watch = watch,
};
