/* SPDX-License-Identifier: MIT */
/*
 * Addresses as names: "127.0.0.1:80.s", "[::1]:80.d". The link's state is 'b', bound, 'l': others
 * may connect, or 'k': a program under the shim listens there, with a socket of the kernel.
 *
 * Sockets that share an address (SO_REUSEPORT) have a link each, "127.0.0.1#1:80.s" and so on
 * beside the first, with 1 as its value. Who connects takes any of them.
 *
 * Not here: an instance's own sockets (name.c).
 */
#define _GNU_SOURCE
#include "queue/catloop/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "queue/catloop/listens.h"
#include "shm/proc.h"

#define PLACES 64u /* sockets that share an address */

/* `place`: which of those that share the address; 0 the first, or the only one. */
void mbr__address_file(const union mbr__addr *a, int type, unsigned place,
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

/* The port of ":80.s" after a host. False: it is not so. */
static bool parse_port(const char *text, uint16_t *out)
{
    char *end = NULL;
    unsigned long port;

    if (text[0] != ':' || text[1] < '0' || text[1] > '9')
        return false;
    port = strtoul(text + 1, &end, 10);
    *out = (uint16_t)port;
    return port <= UINT16_MAX && strcmp(end, ".s") == 0;
}

bool mbr__address_parse(const char *file, union mbr__addr *out)
{
    bool six = file[0] == '[';
    size_t len = six ? strcspn(file, "]") : strcspn(file, ":");
    char host[INET6_ADDRSTRLEN];
    union mbr__addr a;
    uint16_t port = 0;

    if (file[len] == '\0' || len >= sizeof(host) || !parse_port(file + len + six, &port))
        return false;
    memcpy(host, file + six, len - six);
    host[len - six] = '\0';
    mbr__addr_any(six ? AF_INET6 : AF_INET, &a);
    mbr__addr_set_port(&a, port);
    if (inet_pton(a.sa.sa_family, host, six ? (void *)&a.v6.sin6_addr : &a.v4.sin_addr) != 1)
        return false;
    *out = a;
    return true;
}

/* Asks the kernel, by an attempt to bind a socket that is closed again. */
int mbr__address_local(const union mbr__addr *a)
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

/* Under the lock: whether the owner of a link keeps the address from who asks. What cannot be told
 * does. */
static bool keeps(const struct mbr__link *link, const union mbr__addr *a, unsigned asker)
{
    if (link->state == MBR__NAME_KERNEL)
        return (asker & MBR__NAME_BINDS) == 0 && mbr__listens_still(link, a);
    return !((asker & MBR__NAME_SHARES) != 0 && link->value == MBR__NAME_SHARED) &&
           mbr__proc_alive(&link->owner) != 0;
}

static bool is_dead(const struct mbr__link *link, const union mbr__addr *a)
{
    return link->state == MBR__NAME_KERNEL ? !mbr__listens_still(link, a)
                                           : mbr__proc_alive(&link->owner) == 0;
}

/* Under the lock: whether somebody alive has this address and does not share it with us. */
static bool is_taken(struct mbr__names *n, const union mbr__addr *a, int type, unsigned asker)
{
    char file[MBR__CATLOOP_FILE];
    struct mbr__link link;

    for (unsigned place = 0; place < PLACES; place++) {
        mbr__address_file(a, type, place, file);
        int r = mbr__names_read(n, file, &link);

        if (r != -ENOENT && (r < 0 || keeps(&link, a, asker)))
            return true;
    }
    return false;
}

bool mbr__address_place(struct mbr__names *n, const union mbr__addr *a, int type,
                        char file[MBR__CATLOOP_FILE])
{
    struct mbr__link link;

    for (unsigned place = 0; place < PLACES; place++) {
        mbr__address_file(a, type, place, file);
        int r = mbr__names_read(n, file, &link);

        if (r == -ENOENT || (r == 0 && is_dead(&link, a)))
            return true;
    }
    return false;
}

struct search {
    struct mbr__names *n;
    const union mbr__addr *any;
    char tail[16]; /* ":80.s" */
    unsigned asker;
    bool found;
};

/* What a dead owner has left is removed: it would hide the wildcard's socket from those who look
 * for that very address. */
static int look(void *arg, const char *file)
{
    struct search *s = arg;
    union mbr__addr a = *s->any;
    struct mbr__link link;
    size_t len = strlen(file);
    size_t tail = strlen(s->tail);

    if (len <= tail || strcmp(file + len - tail, s->tail) != 0 ||
        (file[0] == '[') != (a.sa.sa_family == AF_INET6) || mbr__names_read(s->n, file, &link) != 0)
        return 0;
    (void)mbr__address_parse(file, &a);
    s->found = keeps(&link, &a, s->asker);
    if (!s->found && is_dead(&link, &a))
        (void)mbr__names_remove(s->n, file);
    return s->found;
}

/* The wildcard address collides with each of its port, and each with it. */
bool mbr__address_collides(struct mbr__names *n, const union mbr__addr *a, int type, unsigned asker)
{
    union mbr__addr any;

    if (is_taken(n, a, type, asker))
        return true;
    mbr__addr_any(a->sa.sa_family, &any);
    mbr__addr_set_port(&any, mbr__addr_port(a));
    if (!mbr__addr_is_any(a))
        return is_taken(n, &any, type, asker);
    struct search s = {.n = n, .any = &any, .asker = asker};

    (void)snprintf(s.tail, sizeof(s.tail), ":%u.%c", mbr__addr_port(a),
                   type == SOCK_STREAM ? 's' : 'd');
    (void)mbr__names_each(n, look, &s);
    return s.found;
}

/* Any of those who share an address and listen, each as likely. -ENOENT nobody. */
static int find_shared(struct mbr__names *n, int type, const union mbr__addr *a,
                       struct mbr__link *out)
{
    struct mbr__link links[PLACES];
    char file[MBR__CATLOOP_FILE];
    unsigned count = 0;

    for (unsigned place = 0; place < PLACES; place++) {
        mbr__address_file(a, type, place, file);
        if (mbr__names_read(n, file, &links[count]) == 0 &&
            links[count].value == MBR__NAME_SHARED && links[count].state == 'l')
            count++;
    }
    while (count > 0) {
        unsigned i = (unsigned)(mbr__random_id() % count);

        if (mbr__proc_alive(&links[i].owner) != 0) {
            *out = links[i];
            return 0;
        }
        links[i] = links[--count];
    }
    return -ENOENT;
}

static int read_first(struct mbr__names *n, int type, const union mbr__addr *a,
                      struct mbr__link *out)
{
    char file[MBR__CATLOOP_FILE];

    mbr__address_file(a, type, 0, file);
    return mbr__names_read(n, file, out);
}

int mbr__address_peek(struct mbr__names *n, int type, const union mbr__addr *to,
                      struct mbr__link *out)
{
    union mbr__addr any;
    struct mbr__link link;
    int r = read_first(n, type, to, &link);

    if (r == -ENOENT) {
        mbr__addr_any(to->sa.sa_family, &any);
        mbr__addr_set_port(&any, mbr__addr_port(to));
        r = read_first(n, type, &any, &link);
        if (r == 0 && mbr__address_local(to) < 0)
            r = -ENOENT;
    }
    if (r == 0)
        *out = link;
    return r;
}

int mbr__address_find(struct mbr__names *n, int type, const union mbr__addr *to,
                      struct mbr__link *out)
{
    union mbr__addr any;
    int r = mbr__address_peek(n, type, to, out);

    /* With the first of those who share an address gone, others may still be there. */
    if (r != -ENOENT && !(r == 0 && out->value == MBR__NAME_SHARED))
        return r;
    r = find_shared(n, type, to, out);
    if (r != -ENOENT || mbr__address_local(to) < 0)
        return r;
    mbr__addr_any(to->sa.sa_family, &any);
    mbr__addr_set_port(&any, mbr__addr_port(to));
    return find_shared(n, type, &any, out);
}
