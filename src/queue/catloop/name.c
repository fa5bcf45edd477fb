/* SPDX-License-Identifier: MIT */
/*
 * Addresses as names: "127.0.0.1:80.s", "[::1]:80.d". The link's state is 'b', bound, or 'l':
 * others may connect. Who it belongs to and how it is read and replaced is as for pipes
 * (docs/names.md).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "queue/catloop/catloop.h"
#include "shm/proc.h"

#define EPHEMERAL_FIRST 49152u
#define EPHEMERAL_COUNT (65536u - EPHEMERAL_FIRST)

static void file_name(const union mbr__addr *a, int type, char out[MBR__CATLOOP_FILE])
{
    char host[INET6_ADDRSTRLEN] = "";
    bool six = a->sa.sa_family == AF_INET6;

    (void)inet_ntop(a->sa.sa_family, six ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr, host,
                    sizeof(host));
    (void)snprintf(out, MBR__CATLOOP_FILE, six ? "[%s]:%u.%c" : "%s:%u.%c", host, mbr__addr_port(a),
                   type == SOCK_STREAM ? 's' : 'd');
}

/* Asks the kernel, by an attempt to bind a socket that is closed again. */
int mbr__catloop_local(const union mbr__addr *a)
{
    union mbr__addr probe = *a;

    if (mbr__addr_is_any(a) ||
        (a->sa.sa_family == AF_INET && ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) ||
        (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr)))
        return 0;
    int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EADDRNOTAVAIL;
    mbr__addr_set_port(&probe, 0);
    int r = bind(fd, &probe.sa, mbr__addr_size(&probe)) < 0 ? -EADDRNOTAVAIL : 0;

    close(fd);
    return r;
}

uint16_t mbr__catloop_any_port(void)
{
    return (uint16_t)(EPHEMERAL_FIRST + mbr__random_id() % EPHEMERAL_COUNT);
}

/* Under the lock: whether somebody alive has this address. */
static bool is_taken(struct mbr__names *n, const union mbr__addr *a, int type)
{
    char file[MBR__CATLOOP_FILE];
    struct mbr__link link;

    file_name(a, type, file);
    int r = mbr__names_read(n, file, &link);

    return r != -ENOENT && (r < 0 || mbr__proc_alive(&link.owner) != 0);
}

struct search {
    struct mbr__names *n;
    char tail[16]; /* ":80.s" */
    bool six;
    bool found;
};

static int look(void *arg, const char *file)
{
    struct search *s = arg;
    struct mbr__link link;
    size_t len = strlen(file);
    size_t tail = strlen(s->tail);

    if (len <= tail || strcmp(file + len - tail, s->tail) != 0 || (file[0] == '[') != s->six)
        return 0;
    s->found = mbr__names_read(s->n, file, &link) == 0 && mbr__proc_alive(&link.owner) != 0;
    return s->found;
}

/* Under the lock: the wildcard address collides with each of its port, and each with it. */
static bool collides(struct mbr__names *n, const union mbr__addr *a, int type)
{
    union mbr__addr any;

    if (is_taken(n, a, type))
        return true;
    if (!mbr__addr_is_any(a)) {
        mbr__addr_any(a->sa.sa_family, &any);
        mbr__addr_set_port(&any, mbr__addr_port(a));
        return is_taken(n, &any, type);
    }
    struct search s = {.n = n, .six = a->sa.sa_family == AF_INET6};

    (void)snprintf(s.tail, sizeof(s.tail), ":%u.%c", mbr__addr_port(a),
                   type == SOCK_STREAM ? 's' : 'd');
    (void)mbr__names_each(n, look, &s);
    return s.found;
}

static int write_link(struct mbr__sock *s, char state)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__link link = {
        .wake = s->l->ws.bell,
        .state = state,
        .id = {c->id[0], c->id[1]},
        .inst = s->l->box.inst,
    };
    int r = mbr__proc_self(&link.owner);

    return r < 0 ? r : mbr__names_write(&s->l->names, c->file, &link);
}

/* Under the lock: finds a free port if need be, and takes the name. */
static int claim(struct mbr__sock *s, union mbr__addr *a)
{
    bool choose = mbr__addr_port(a) == 0;
    uint32_t port = choose ? mbr__catloop_any_port() - EPHEMERAL_FIRST : 0;
    uint32_t n = choose ? EPHEMERAL_COUNT : 1;
    struct mbr__catloop *c = s->u.loop;

    for (; n > 0; n--, port = (port + 1) % EPHEMERAL_COUNT) {
        if (choose)
            mbr__addr_set_port(a, (uint16_t)(EPHEMERAL_FIRST + port));
        if (!collides(&s->l->names, a, s->type))
            break;
    }
    if (n == 0)
        return -EADDRINUSE;
    file_name(a, s->type, c->file);
    c->id[0] = mbr__random_id();
    c->id[1] = mbr__random_id();
    return write_link(s, s->type == SOCK_DGRAM ? 'l' : 'b');
}

int mbr__catloop_claim(struct mbr__sock *s, union mbr__addr *a)
{
    union mbr__addr taken = *a;
    int r = mbr__libos_name(s->l);

    if (r == 0)
        r = mbr__names_lock(&s->l->names, MBR__LOCK_NS);
    if (r < 0)
        return r;
    r = claim(s, &taken);
    mbr__names_unlock(&s->l->names);
    if (r == 0) {
        s->u.loop->named = true;
        *a = taken;
    }
    return r;
}

int mbr__catloop_announce(struct mbr__sock *s)
{
    int r = mbr__names_lock(&s->l->names, MBR__LOCK_NS);

    if (r < 0)
        return r;
    r = write_link(s, 'l');
    mbr__names_unlock(&s->l->names);
    return r;
}

void mbr__catloop_release(struct mbr__sock *s)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__names *n = &s->l->names;
    struct mbr__link link;

    if (!c->named || s->l->fork_mark != mbr__fork_mark() || mbr__names_lock(n, MBR__LOCK_NS) < 0)
        return; /* the link dangles once we are dead */
    if (mbr__names_read(n, c->file, &link) == 0 && link.id[0] == c->id[0] && link.id[1] == c->id[1])
        (void)mbr__names_remove(n, c->file);
    mbr__names_unlock(n);
    c->named = false;
}

int mbr__catloop_find(struct mbr_libos *l, int type, const union mbr__addr *to,
                      struct mbr__link *out)
{
    union mbr__addr any;
    char file[MBR__CATLOOP_FILE];
    int r = mbr__libos_name(l);

    if (r < 0)
        return r;
    file_name(to, type, file);
    r = mbr__names_read(&l->names, file, out);
    if (r == -ENOENT && mbr__catloop_local(to) == 0) {
        mbr__addr_any(to->sa.sa_family, &any);
        mbr__addr_set_port(&any, mbr__addr_port(to));
        file_name(&any, type, file);
        r = mbr__names_read(&l->names, file, out);
    }
    if (r == -ENOENT || r == -EPROTO || (r == 0 && out->state != 'l'))
        return -ECONNREFUSED;
    return r;
}
