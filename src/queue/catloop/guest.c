/* SPDX-License-Identifier: MIT */
/* Connections with programs under the shim; guest.h explains them. */
#define _GNU_SOURCE
#include "queue/catloop/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "queue/catnap/catnap.h"
#include "shm/post.h"

struct guest {
    struct mbr__list node; /* in its listener's list */
    int fd;
};

/* ---- server ---- */

static void admit(const struct mbr__hello *h, int conn)
{
    struct mbr__hello answer = {
        .magic = MBR__HELLO_MAGIC,
        .kind = MBR__HELLO_ADMITTED,
        .target = {h->target[0], h->target[1]},
    };
    struct mbr__note note = {.len = sizeof(answer)};

    memcpy(note.data, &answer, sizeof(answer));
    (void)mbr__conn_send(conn, &note); /* who does not wait for it needs none */
}

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

/* Whether what somebody has sent is a TCP socket of this family that is, or was, connected. */
static bool is_connection(int fd, int domain)
{
    union mbr__addr peer;
    socklen_t size = sizeof(peer);

    if (option_of(fd, SO_DOMAIN) != domain || option_of(fd, SO_TYPE) != SOCK_STREAM ||
        option_of(fd, SO_PROTOCOL) != IPPROTO_TCP || option_of(fd, SO_ACCEPTCONN) != 0)
        return false;
    return getpeername(fd, &peer.sa, &size) == 0 || errno == ENOTCONN;
}

void mbr__guest_hello(struct mbr_libos *l, const struct mbr__hello *h, struct mbr__note *note,
                      int conn)
{
    struct mbr__sock *s = mbr__catloop_target(l, h->target);

    if (s == NULL || s->type != SOCK_STREAM || note->nfds != 1 || s->u.loop->queued >= s->backlog ||
        !is_connection(note->fds[0], s->domain))
        return;
    struct guest *g = malloc(sizeof(*g));

    if (g == NULL)
        return;
    g->fd = note->fds[0];
    note->fds[0] = -1;
    mbr__list_push_back(&s->u.loop->guests, &g->node);
    s->u.loop->queued++;
    admit(h, conn);
    mbr__sched_wake(&s->task);
    mbr__sock_maybe_ready(s);
}

/* As the client sees them, but for a port that was not to be had there. */
static void read_names(struct mbr__sock *conn, int fd, const struct mbr__sock *listener)
{
    socklen_t size = sizeof(conn->local);

    mbr__addr_any(listener->domain, &conn->local);
    (void)getsockname(fd, &conn->local.sa, &size);
    mbr__addr_set_port(&conn->local, mbr__addr_port(&listener->local));
    mbr__addr_any(listener->domain, &conn->remote);
    size = sizeof(conn->remote);
    (void)getpeername(fd, &conn->remote.sa, &size);
}

int mbr__guest_accept(struct mbr__sock *s, struct mbr__sock **out)
{
    const struct linger no = {0};
    struct mbr__sock *conn = NULL;
    int r = mbr__sock_new(s->l, s->domain, s->type, &conn);

    if (r < 0)
        return r;
    struct guest *g =
        mbr__container_of(mbr__list_pop_front(&s->u.loop->guests), struct guest, node);
    int fd = g->fd;

    s->u.loop->queued--;
    free(g);
    conn->t = &mbr__catnap_transport;
    /* Until now it was to be reset if nobody takes it. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &no, sizeof(no));
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    mbr__catnap_adopt(conn, fd);
    read_names(conn, fd, s);
    conn->state.current = MBR__SOCK_ESTABLISHED;
    *out = conn;
    return 0;
}

void mbr__guest_drop(struct mbr__catloop *c)
{
    struct mbr__list *node;
    struct mbr__list *after;

    mbr__list_for_each_safe (node, after, &c->guests) {
        struct guest *g = mbr__container_of(node, struct guest, node);

        mbr__list_del(node);
        close(g->fd);
        free(g);
    }
}

/* ---- client ---- */

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* What the program has set. What the kernel refuses is left out, as for catnap's own. */
static void set_options(int fd, const struct mbr__catloop *c)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, c->options[MBR__OPT_NODELAY]);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, c->options[MBR__OPT_KEEPALIVE]);
    if (c->options[MBR__OPT_SNDBUF] != 0)
        set_int(fd, SOL_SOCKET, SO_SNDBUF, c->options[MBR__OPT_SNDBUF]);
    if (c->options[MBR__OPT_RCVBUF] != 0)
        set_int(fd, SOL_SOCKET, SO_RCVBUF, c->options[MBR__OPT_RCVBUF]);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &c->linger, sizeof(c->linger));
}

/* The address that the peer is to see: what the socket was bound to, or the configured one. */
static int bind_own(struct mbr__sock *s, int fd)
{
    union mbr__addr own = s->local;

    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (own.sa.sa_family == AF_UNSPEC) {
        if (s->domain != AF_INET || s->l->sockets.local.s_addr == 0)
            return 0;
        mbr__addr_any(AF_INET, &own);
        own.v4.sin_addr = s->l->sockets.local;
        set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
    return bind(fd, &own.sa, mbr__addr_size(&own)) < 0 ? -errno : 0;
}

int mbr__guest_connect(struct mbr__sock *s, union mbr__addr *to)
{
    struct mbr__catloop *c = s->u.loop;
    int fd = socket(s->domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? -errno : bind_own(s, fd);

    if (r < 0) {
        if (fd >= 0)
            close(fd);
        return r;
    }
    /* From here on it is the kernel that has the socket's address. */
    mbr__catloop_release(s);
    s->t = &mbr__catnap_transport;
    mbr__catnap_adopt(s, fd);
    set_options(fd, c);
    free(c);
    return s->t->connect(s, to);
}
