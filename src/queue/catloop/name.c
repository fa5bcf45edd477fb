/* SPDX-License-Identifier: MIT */
/*
 * The names of catloop's sockets: taken, announced, released. How they look and how they are found
 * is in address.c. Who a link belongs to and how it is read and replaced is as for pipes
 * (docs/names.md).
 */
#define _GNU_SOURCE
#include <errno.h>

#include "queue/catloop/catloop.h"
#include "shm/proc.h"

#define EPHEMERAL_FIRST 49152u
#define EPHEMERAL_COUNT (65536u - EPHEMERAL_FIRST)

uint16_t mbr__catloop_any_port(void)
{
    return (uint16_t)(EPHEMERAL_FIRST + mbr__random_id() % EPHEMERAL_COUNT);
}

static int write_link(struct mbr__sock *s, char state)
{
    struct mbr__catloop *c = s->u.loop;
    struct mbr__link link = {
        .wake = s->l->ws.bell,
        .state = state,
        .id = {c->id[0], c->id[1]},
        .inst = s->l->box.inst,
        .value = c->shared ? MBR__NAME_SHARED : 0,
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
        if (!mbr__address_collides(&s->l->names, a, s->type,
                                   c->shared && !choose ? MBR__NAME_SHARES : 0))
            break;
    }
    if (n == 0 || !mbr__address_place(&s->l->names, a, s->type, c->file))
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

int mbr__catloop_find(struct mbr_libos *l, int type, const union mbr__addr *to,
                      struct mbr__link *out)
{
    int r = mbr__libos_name(l);

    if (r < 0)
        return r;
    r = mbr__address_find(&l->names, type, to, out);
    if (r == -ENOENT || r == -EPROTO ||
        (r == 0 && out->state != 'l' && out->state != MBR__NAME_KERNEL))
        return -ECONNREFUSED;
    return r;
}

bool mbr__catloop_is_bound(struct mbr_libos *l, int type, const union mbr__addr *a)
{
    char file[MBR__CATLOOP_FILE];
    struct mbr__link link;

    mbr__address_file(a, type, 0, file);
    return mbr__names_read(&l->names, file, &link) != -ENOENT;
}
