/* SPDX-License-Identifier: MIT */
/*
 * Addresses as names: "127.0.0.1:80.s", "[::1]:80.d". The link's state is 'b', bound, or 'l':
 * others may connect. Who it belongs to and how it is read and replaced is as for pipes
 * (docs/names.md).
 *
 * Sockets that share an address (SO_REUSEPORT) have a link each, "127.0.0.1#1:80.s" and so on
 * beside the first, with 1 as its value. Who connects takes any of them.
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

#define PLACES 64u /* sockets that share an address */
#define SHARED 1u  /* value of their links */

/* `place`: which of those that share the address; 0 the first, or the only one. */
static void file_name(const union mbr__addr *a, int type, unsigned place,
                      char out[MBR__CATLOOP_FILE])
{
    char host[INET6_ADDRSTRLEN] = "";
    char number[8] = "";
    bool six = a->sa.sa_family == AF_INET6;

    (void)inet_ntop(a->sa.sa_family, six ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr, host,
                    sizeof(host));
    if (place > 0)
        (void)snprintf(number, sizeof(number), "#%u", place % PLACES);
    (void)snprintf(out, MBR__CATLOOP_FILE, six ? "[%s]%s:%u.%c" : "%s%s:%u.%c", host, number,
                   mbr__addr_port(a), type == SOCK_STREAM ? 's' : 'd');
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

/* Under the lock: whether the owner of a link keeps the address from us. What cannot be told does.
 */
static bool keeps(const struct mbr__link *link, bool share)
{
    return !(share && link->value == SHARED) && mbr__proc_alive(&link->owner) != 0;
}

/* Under the lock: whether somebody alive has this address and does not share it with us. */
static bool is_taken(struct mbr__names *n, const union mbr__addr *a, int type, bool share)
{
    char file[MBR__CATLOOP_FILE];
    struct mbr__link link;

    for (unsigned place = 0; place < PLACES; place++) {
        file_name(a, type, place, file);
        int r = mbr__names_read(n, file, &link);

        if (r != -ENOENT && (r < 0 || keeps(&link, share)))
            return true;
    }
    return false;
}

/* Under the lock: a free place at an address that may be had; its name. */
static bool find_place(struct mbr__names *n, const union mbr__addr *a, int type,
                       char file[MBR__CATLOOP_FILE])
{
    struct mbr__link link;

    for (unsigned place = 0; place < PLACES; place++) {
        file_name(a, type, place, file);
        int r = mbr__names_read(n, file, &link);

        if (r == -ENOENT || (r == 0 && mbr__proc_alive(&link.owner) == 0))
            return true;
    }
    return false;
}

struct search {
    struct mbr__names *n;
    char tail[16]; /* ":80.s" */
    bool six;
    bool share;
    bool found;
};

/* What a dead owner has left is removed: it would hide the wildcard's socket from those who look
 * for that very address. */
static int look(void *arg, const char *file)
{
    struct search *s = arg;
    struct mbr__link link;
    size_t len = strlen(file);
    size_t tail = strlen(s->tail);

    if (len <= tail || strcmp(file + len - tail, s->tail) != 0 || (file[0] == '[') != s->six ||
        mbr__names_read(s->n, file, &link) != 0)
        return 0;
    s->found = keeps(&link, s->share);
    if (!s->found && mbr__proc_alive(&link.owner) == 0)
        (void)mbr__names_remove(s->n, file);
    return s->found;
}

/* Under the lock: the wildcard address collides with each of its port, and each with it. */
static bool collides(struct mbr__names *n, const union mbr__addr *a, int type, bool share)
{
    union mbr__addr any;

    if (is_taken(n, a, type, share))
        return true;
    if (!mbr__addr_is_any(a)) {
        mbr__addr_any(a->sa.sa_family, &any);
        mbr__addr_set_port(&any, mbr__addr_port(a));
        return is_taken(n, &any, type, share);
    }
    struct search s = {.n = n, .six = a->sa.sa_family == AF_INET6, .share = share};

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
        .value = c->shared ? SHARED : 0,
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

    c->shared = c->options[MBR__OPT_REUSEPORT] != 0;
    for (; n > 0; n--, port = (port + 1) % EPHEMERAL_COUNT) {
        if (choose)
            mbr__addr_set_port(a, (uint16_t)(EPHEMERAL_FIRST + port));
        if (!collides(&s->l->names, a, s->type, c->shared && !choose))
            break;
    }
    if (n == 0 || !find_place(&s->l->names, a, s->type, c->file))
        return -EADDRINUSE;
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

/* Any of those who share an address and listen, each as likely. -ENOENT nobody. */
static int find_shared(struct mbr_libos *l, int type, const union mbr__addr *a,
                       struct mbr__link *out)
{
    struct mbr__link links[PLACES];
    char file[MBR__CATLOOP_FILE];
    unsigned n = 0;

    for (unsigned place = 0; place < PLACES; place++) {
        file_name(a, type, place, file);
        if (mbr__names_read(&l->names, file, &links[n]) == 0 && links[n].value == SHARED &&
            links[n].state == 'l')
            n++;
    }
    while (n > 0) {
        unsigned i = (unsigned)(mbr__random_id() % n);

        if (mbr__proc_alive(&links[i].owner) != 0) {
            *out = links[i];
            return 0;
        }
        links[i] = links[--n];
    }
    return -ENOENT;
}

static int read_first(struct mbr_libos *l, int type, const union mbr__addr *a,
                      struct mbr__link *out)
{
    char file[MBR__CATLOOP_FILE];

    file_name(a, type, 0, file);
    return mbr__names_read(&l->names, file, out);
}

int mbr__catloop_find(struct mbr_libos *l, int type, const union mbr__addr *to,
                      struct mbr__link *out)
{
    union mbr__addr any;
    int r = mbr__libos_name(l);

    if (r < 0)
        return r;
    mbr__addr_any(to->sa.sa_family, &any);
    mbr__addr_set_port(&any, mbr__addr_port(to));
    r = read_first(l, type, to, out);
    bool local = r == -ENOENT && mbr__catloop_local(to) == 0;

    if (local)
        r = read_first(l, type, &any, out);
    /* With the first of those who share an address gone, others may still be there. */
    if (r == -ENOENT || (r == 0 && out->value == SHARED)) {
        r = find_shared(l, type, to, out);
        if (r == -ENOENT && (local || mbr__catloop_local(to) == 0))
            r = find_shared(l, type, &any, out);
    }
    if (r == -ENOENT || r == -EPROTO || (r == 0 && out->state != 'l'))
        return -ECONNREFUSED;
    return r;
}

bool mbr__catloop_is_bound(struct mbr_libos *l, int type, const union mbr__addr *a)
{
    struct mbr__link link;

    return read_first(l, type, a, &link) != -ENOENT;
}
