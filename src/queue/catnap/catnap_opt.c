/* SPDX-License-Identifier: MIT */
/* Options of kernel sockets: which ones may be set, and what new sockets begin with. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "queue/catnap/catnap.h"

struct option {
    int level;
    int name;
    socklen_t size;
    bool read_only;
};

static const struct option options[] = {
    {SOL_SOCKET, SO_LINGER, sizeof(struct linger), false},
    {SOL_SOCKET, SO_KEEPALIVE, sizeof(int), false},
    {SOL_SOCKET, SO_REUSEADDR, sizeof(int), false},
    {SOL_SOCKET, SO_REUSEPORT, sizeof(int), false},
    {SOL_SOCKET, SO_RCVBUF, sizeof(int), false},
    {SOL_SOCKET, SO_SNDBUF, sizeof(int), false},
    {SOL_SOCKET, SO_BROADCAST, sizeof(int), false},
    {SOL_SOCKET, SO_TYPE, sizeof(int), true},
    {SOL_SOCKET, SO_ERROR, sizeof(int), true},
    {SOL_SOCKET, SO_ACCEPTCONN, sizeof(int), true},
    {SOL_SOCKET, SO_DOMAIN, sizeof(int), true},
    {IPPROTO_TCP, TCP_NODELAY, sizeof(int), false},
    {IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int), false},
    {IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int), false},
    {IPPROTO_TCP, TCP_KEEPCNT, sizeof(int), false},
    {IPPROTO_IPV6, IPV6_V6ONLY, sizeof(int), false},
};

/* The option, or NULL and the errno of the refusal. */
static const struct option *find(int level, int name, int *error)
{
    *error = -ENOTSUP;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (options[i].level != level)
            continue;
        *error = -ENOPROTOOPT;
        if (options[i].name == name)
            return &options[i];
    }
    return NULL;
}

int mbr__catnap_setopt(struct mbr__sock *s, int level, int name, const void *value, socklen_t size)
{
    int r;
    const struct option *o = find(level, name, &r);

    if (o == NULL || o->read_only)
        return o == NULL ? r : -ENOPROTOOPT;
    if (value == NULL || size != o->size)
        return -EINVAL;
    return setsockopt(s->u.nap.fd, level, name, value, size) < 0 ? -errno : 0;
}

int mbr__catnap_getopt(struct mbr__sock *s, int level, int name, void *value, socklen_t *size)
{
    int r;
    const struct option *o = find(level, name, &r);

    if (o == NULL)
        return r;
    if (value == NULL || size == NULL || *size < o->size)
        return -EINVAL;
    if (level == SOL_SOCKET && name == SO_ERROR && s->u.nap.error != 0) {
        memcpy(value, &s->u.nap.error, sizeof(int)); /* of the connect, which we have read */
        s->u.nap.error = 0;
        *size = sizeof(int);
        return 0;
    }
    return getsockopt(s->u.nap.fd, level, name, value, size) < 0 ? -errno : 0;
}

static int seconds(uint32_t ms)
{
    return (int)(ms / 1000 + (ms % 1000 != 0));
}

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

void mbr__catnap_defaults(const struct mbr__sock *s)
{
    const struct mbr__sock_config *c = &s->l->sockets;
    int fd = s->u.nap.fd;

    if (s->type != SOCK_STREAM)
        return;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, c->nodelay);
    if (c->linger) {
        struct linger linger = {.l_onoff = 1, .l_linger = (int)c->linger_s};

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    if (!c->keepalive)
        return;
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (c->keepalive_ms != 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(c->keepalive_ms));
    if (c->keepalive_interval_ms != 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(c->keepalive_interval_ms));
}
