/* SPDX-License-Identifier: MIT */
/*
 * epoll: members, their registration with the kernel, and what is reported of them. epoll.h has the
 * idea; the waits are in epoll_wait.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "calls.h"
#include "conn.h"
#include "epoll_members.h"
#include "fork.h"
#include "real.h"
#include "shm/names.h"

#define SLOT_BITS 20

static uint32_t list_latch;
static struct shim_epoll *all;
static uint64_t ticket_mark; /* the upper half of tickets; no pointer and no small number */

/* False: this thread has it, and is where a handler that could not be put off has come; each change
 * of the list is one store, so the list can be used all the same. */
static bool list_lock(void)
{
    return shim_latch(&list_latch, true) == 0;
}

static void list_unlock(bool mine)
{
    if (mine)
        shim_unlatch(&list_latch);
}

/* ---- tickets --------------------------------------------------------------------------------- */

static uint64_t mark(void)
{
    uint64_t seen = mbr_load_relaxed(&ticket_mark);

    if (seen == 0) {
        uint64_t mine = mbr__random_id() | UINT64_C(1) << 63 | UINT64_C(1) << 60;

        mine &= ~UINT64_C(0xffffffff) & ~(UINT64_C(1) << 62);
        if (mbr_cas(&ticket_mark, &seen, mine))
            seen = mine;
    }
    return seen;
}

static bool is_ticket(uint64_t data)
{
    return (data & ~UINT64_C(0xffffffff)) == mark();
}

static uint64_t ticket(const struct shim_epoll *e, uint32_t slot)
{
    return mark() | (uint32_t)(e->members[slot].generation << SLOT_BITS) | slot;
}

int shim_member_of(const struct shim_epoll *e, uint64_t data)
{
    uint32_t slot = (uint32_t)data & ((1u << SLOT_BITS) - 1);

    if (!is_ticket(data))
        return SHIM_NO_TICKET;
    if (slot >= e->n_members || e->members[slot].fd < 0 || ticket(e, slot) != data)
        return SHIM_STALE;
    return (int)slot;
}

/* ---- hot and cold ---------------------------------------------------------------------------- */

void shim_member_heat(struct shim_epoll *e, uint32_t slot)
{
    struct shim_member *m = &e->members[slot];

    if (m->hot || m->c == NULL)
        return;
    m->hot = true;
    e->hot[e->n_hot++] = slot;
    shim_unpark(m->c);
}

void shim_member_cool(struct shim_epoll *e, uint32_t slot)
{
    struct shim_member *m = &e->members[slot];

    if (!m->hot)
        return;
    m->hot = false;
    for (uint32_t i = 0; i < e->n_hot; i++) {
        if (e->hot[i] == slot) {
            e->hot[i] = e->hot[--e->n_hot];
            break;
        }
    }
    shim_park(m->c);
}

/* ---- what the kernel is asked for ------------------------------------------------------------ */

/* Of a ring, both bytes and room are announced as something to read; that there is room now is for
 * us to know, and must not wake anybody. One-shot is ours as soon as the kernel may wake us for
 * nothing. */
static uint32_t wanted(const struct shim_member *m)
{
    uint32_t mask = m->events;
    bool rx;
    bool tx;

    if (m->c == NULL)
        return mask;
    rx = shim_rx_in_ring(m->c);
    tx = shim_tx_in_ring(m->c);
    if (!rx && !tx)
        return mask;
    if (m->disabled)
        return EPOLLET;
    mask &= ~(uint32_t)EPOLLONESHOT;
    if (shim_resending(m->c))
        return mask | EPOLLOUT; /* whatever the program wants: more can be sent then */
    if (!tx || !(mask & (EPOLLOUT | EPOLLWRNORM)))
        return mask;
    /* What the program does not want to read yet must not wake anybody again and again. */
    if (!rx && !(mask & (EPOLLIN | EPOLLRDNORM)))
        mask |= EPOLLET;
    return (mask & ~(uint32_t)(EPOLLOUT | EPOLLWRNORM)) | EPOLLIN;
}

static int tell_kernel(struct shim_epoll *e, int op, uint32_t slot, uint32_t mask)
{
    struct shim_member *m = &e->members[slot];
    struct epoll_event ev = {.events = mask, .data.u64 = ticket(e, slot)};

    if (real.epoll_ctl(e->fd, op, m->fd, &ev) < 0)
        return -errno;
    m->kernel = mask;
    return 0;
}

void shim_member_renew(struct shim_epoll *e, uint32_t slot)
{
    int error = errno;

    if (!e->members[slot].removed)
        (void)tell_kernel(e, EPOLL_CTL_ADD, slot, wanted(&e->members[slot]));
    errno = error;
}

void shim_member_update(struct shim_epoll *e, uint32_t slot)
{
    uint32_t mask = wanted(&e->members[slot]);

    if (mask != e->members[slot].kernel)
        (void)tell_kernel(e, EPOLL_CTL_MOD, slot, mask);
}

/* Somebody sleeps in the kernel, or watches the epoll from outside, and this member is hot: being
 * writable, which the kernel's socket is, brings him back to look. */
static void kick(struct shim_epoll *e, uint32_t slot)
{
    (void)tell_kernel(e, EPOLL_CTL_MOD, slot, (wanted(&e->members[slot]) | EPOLLOUT));
}

/* ---- what is reported ------------------------------------------------------------------------ */

/* Changes with everything that comes. */
static uint64_t arrivals(struct shim_conn *c)
{
    uint64_t end = mbr_load_acquire(&c->peer->fin) || mbr_load_acquire(&c->rx_end);

    return mbr_load_relaxed(&c->peer->tail) * 2 + (end != 0);
}

/* What comes is the kernel's to report, whether there is room is ours. */
static uint32_t pending_out(const struct shim_member *m)
{
    uint32_t ready = shim_conn_ready(m->c) & m->events & (EPOLLOUT | EPOLLWRNORM);

    if ((m->events & EPOLLET) && !m->fresh && mbr_load_relaxed(&m->c->starved) == m->seen_out)
        return 0;
    return ready;
}

uint32_t shim_member_pending(const struct shim_member *m)
{
    uint32_t ready;

    if (m->disabled || m->c == NULL)
        return 0;
    if (!shim_rx_in_ring(m->c))
        return shim_tx_in_ring(m->c) ? pending_out(m) : 0;
    ready = shim_conn_ready(m->c) & (m->events | EPOLLERR | EPOLLHUP);
    if (ready == 0 || !(m->events & EPOLLET) || m->fresh)
        return ready;
    if (arrivals(m->c) != m->seen_in ||
        ((ready & EPOLLOUT) && mbr_load_relaxed(&m->c->starved) != m->seen_out))
        return ready;
    return 0;
}

void shim_member_reported(struct shim_epoll *e, uint32_t slot)
{
    struct shim_member *m = &e->members[slot];

    m->fresh = false;
    m->seen_out = mbr_load_relaxed(&m->c->starved);
    if (shim_rx_in_ring(m->c))
        m->seen_in = arrivals(m->c);
    if (m->events & EPOLLONESHOT) {
        m->disabled = true;
        if (!(m->kernel & EPOLLONESHOT))
            shim_member_update(e, slot);
    }
}

/* ---- members --------------------------------------------------------------------------------- */

static bool grow_members(struct shim_epoll *e)
{
    uint32_t n = e->n_members == 0 ? 16 : e->n_members * 2;
    struct shim_member *members;
    uint32_t *hot;

    if (n > 1u << SLOT_BITS)
        return false;
    members = realloc(e->members, n * sizeof(*members));
    if (members == NULL)
        return false;
    e->members = members;
    hot = realloc(e->hot, n * sizeof(*hot));
    if (hot == NULL)
        return false;
    e->hot = hot;
    for (uint32_t i = e->n_members; i < n; i++) {
        members[i] = (struct shim_member){.fd = -1, .data = (uint64_t)(int64_t)e->free};
        e->free = (int)i;
    }
    e->n_members = n;
    return true;
}

static bool grow_slots(struct shim_epoll *e, int fd)
{
    int n = e->n_slots == 0 ? 64 : e->n_slots;
    int *slots;

    if (fd < e->n_slots)
        return true;
    while (n <= fd)
        n *= 2;
    slots = realloc(e->slots, (size_t)n * sizeof(*slots));
    if (slots == NULL)
        return false;
    for (int i = e->n_slots; i < n; i++)
        slots[i] = -1;
    e->slots = slots;
    e->n_slots = n;
    return true;
}

static int slot_of(const struct shim_epoll *e, int fd)
{
    return fd >= 0 && fd < e->n_slots ? e->slots[fd] : -1;
}

static void drop(struct shim_epoll *e, uint32_t slot)
{
    struct shim_member *m = &e->members[slot];
    struct shim_conn *c = m->c;

    if (slot_of(e, m->fd) == (int)slot)
        e->slots[m->fd] = -1;
    if (c != NULL) {
        shim_member_cool(e, slot);
        shim_unpark(c);
        mbr_fetch_add(&c->epolls, UINT32_MAX);
    }
    m->fd = -1;
    m->c = NULL;
    m->generation++;
    m->data = (uint64_t)(int64_t)e->free;
    e->free = (int)slot;
    e->used--;
    if (c != NULL)
        shim_conn_put(c);
}

/* Whether the kernel has no part in this member but that of a sleeper's bell. */
static bool in_rings(const struct shim_member *m)
{
    return m->c != NULL && shim_rx_in_ring(m->c) && shim_tx_in_ring(m->c);
}

/* Some programs take a socket out after each message and put it back before the next. */
static bool add_again(struct shim_epoll *e, uint32_t slot, struct shim_conn *c,
                      const struct epoll_event *ev)
{
    struct shim_member *m = &e->members[slot];

    if (!m->removed || m->c != c)
        return false;
    m->removed = m->disabled = false;
    m->fresh = true;
    m->events = ev->events;
    m->data = ev->data.u64;
    shim_member_update(e, slot);
    shim_conn_put(c);
    return true;
}

/* Takes over the caller's reference of c. */
static int add(struct shim_epoll *e, int fd, struct shim_conn *c, const struct epoll_event *ev)
{
    struct shim_member *m;
    uint32_t slot;
    int old = slot_of(e, fd);
    int err;

    if (old >= 0 && add_again(e, (uint32_t)old, c, ev))
        return old;
    if ((e->free < 0 && !grow_members(e)) || !grow_slots(e, fd)) {
        if (c != NULL)
            shim_conn_put(c);
        return -ENOMEM;
    }
    slot = (uint32_t)e->free;
    m = &e->members[slot];
    e->free = (int)(int64_t)m->data;
    *m = (struct shim_member){.c = c,
                              .fd = fd,
                              .events = ev->events,
                              .data = ev->data.u64,
                              .generation = m->generation,
                              .fresh = true};
    e->used++;
    if (c != NULL) {
        mbr_fetch_add(&c->epolls, 1);
        shim_park(c); /* cold to begin with */
    }
    err = tell_kernel(e, EPOLL_CTL_ADD, slot, wanted(m));
    if (err < 0) {
        drop(e, slot);
        return err;
    }
    e->slots[fd] = (int)slot;
    return (int)slot;
}

static int modify(struct shim_epoll *e, uint32_t slot, const struct epoll_event *ev)
{
    struct shim_member *m = &e->members[slot];
    struct shim_member before = *m;
    int err = 0;

    if (m->removed)
        return -ENOENT;
    m->events = ev->events;
    m->data = ev->data.u64;
    m->disabled = false;
    m->fresh = true;
    if (!in_rings(m) || wanted(m) != m->kernel)
        err = tell_kernel(e, EPOLL_CTL_MOD, slot, wanted(m));
    if (err < 0)
        *m = before;
    return err < 0 ? err : (int)slot;
}

/* After a change: a member in the rings is looked at in the next wait, and in those under way. */
static void changed(struct shim_epoll *e, uint32_t slot)
{
    struct shim_conn *c = e->members[slot].c;

    if (c == NULL || e->members[slot].removed)
        return;
    shim_conn_phase(c);
    if (!shim_rx_in_ring(c) && !shim_tx_in_ring(c))
        return;
    shim_member_heat(e, slot);
    if (mbr_load_relaxed(&e->waiting) > 0 || mbr_load_relaxed(&e->watched))
        kick(e, slot);
}

static int control(struct shim_epoll *e, int op, int fd, const struct epoll_event *ev)
{
    struct shim_conn *c = op == EPOLL_CTL_ADD ? shim_conn_get(fd) : NULL;
    int slot = slot_of(e, fd);
    int r;

    if (op == EPOLL_CTL_ADD && (c != NULL || is_ticket(ev->data.u64)))
        r = add(e, fd, c, ev);
    else if (op == EPOLL_CTL_MOD && slot >= 0)
        r = modify(e, (uint32_t)slot, ev);
    else
        return 1; /* the kernel's alone */
    if (r >= 0)
        changed(e, (uint32_t)r);
    return r < 0 ? r : 0;
}

static int remove_member(struct shim_epoll *e, int fd)
{
    struct epoll_event none = {0};
    int slot = slot_of(e, fd);
    int r;

    if (slot >= 0 && e->members[slot].removed)
        return -ENOENT;
    if (slot >= 0 && e->members[slot].hot && in_rings(&e->members[slot])) {
        e->members[slot].removed = e->members[slot].disabled = true;
        return 0;
    }
    r = real.epoll_ctl(e->fd, EPOLL_CTL_DEL, fd, &none);
    if (r < 0)
        return -errno;
    if (slot >= 0)
        drop(e, (uint32_t)slot);
    return 0;
}

void shim_members_purge(struct shim_epoll *e)
{
    struct epoll_event none = {0};

    for (uint32_t i = e->n_hot; i-- > 0;) {
        uint32_t slot = e->hot[i];

        if (!e->members[slot].removed)
            continue;
        (void)real.epoll_ctl(e->fd, EPOLL_CTL_DEL, e->members[slot].fd, &none);
        drop(e, slot);
    }
}

static bool unsettled(const struct shim_conn *c)
{
    return mbr_load_acquire(&c->mode) == SHIM_RING && shim_own(c) != NULL &&
           mbr_load_acquire(&c->peer) != NULL && shim_unsettled(c);
}

bool shim_members_settle(struct shim_epoll *e)
{
    bool any = false;

    for (uint32_t i = 0; i < e->n_hot; i++) {
        struct shim_member *m = &e->members[e->hot[i]];

        if (unsettled(m->c) && !shim_settle(m->c, m->fd))
            any = true;
    }
    return any;
}

#define SOME 16
void shim_members_tidy(struct shim_epoll *e)
{
    struct shim_conn *some[SOME];
    int fds[SOME];
    int n = 0;

    if (!shim_epoll_lock(e))
        return;
    for (uint32_t i = 0; i < e->n_members && n < SOME; i++) {
        struct shim_conn *c = e->members[i].fd >= 0 ? e->members[i].c : NULL;

        if (c == NULL || !mbr_load_relaxed(&c->untidy))
            continue;
        mbr_fetch_add(&c->object.refs, 1);
        fds[n] = e->members[i].fd;
        some[n++] = c;
    }
    shim_epoll_unlock(e);
    for (int i = 0; i < n; i++) {
        shim_tidy(some[i], fds[i]);
        shim_conn_put(some[i]);
    }
}

/* The kernel is asked for what the program wants, and says at once what there is. */
static void home(struct shim_epoll *e, uint32_t slot)
{
    struct shim_member *m = &e->members[slot];
    struct epoll_event none = {0};

    if (m->removed) {
        (void)real.epoll_ctl(e->fd, EPOLL_CTL_DEL, m->fd, &none);
        drop(e, slot);
        return;
    }
    shim_member_cool(e, slot);
    (void)tell_kernel(e, EPOLL_CTL_MOD, slot, m->disabled ? EPOLLET : m->events);
}

void shim_epoll_home(struct shim_conn *c)
{
    bool mine = list_lock();
    int error = errno;

    for (struct shim_epoll *e = all; e != NULL; e = e->next) {
        if (!shim_epoll_lock(e))
            continue;
        for (uint32_t i = 0; i < e->n_members; i++) {
            if (e->members[i].fd >= 0 && e->members[i].c == c)
                home(e, i);
        }
        shim_epoll_unlock(e);
    }
    list_unlock(mine);
    errno = error;
}

/* If the program wants to hear of it. */
static void ask_room(const struct shim_member *m)
{
    if ((m->events & (EPOLLOUT | EPOLLWRNORM)) && shim_tx_in_ring(m->c))
        shim_park_tx(m->c);
}

void shim_epoll_settle(struct shim_epoll *e)
{
    shim_members_purge(e);
    for (uint32_t i = e->n_hot; i-- > 0;) {
        uint32_t slot = e->hot[i];

        /* A wake-up byte that was overtaken would make the kernel's epoll readable for nothing. */
        if (mbr_load_relaxed(&e->watched))
            shim_drain_free(e->members[slot].c, e->members[slot].fd);
        shim_member_cool(e, slot);
        ask_room(&e->members[slot]);
        shim_member_update(e, slot);
        if (shim_member_pending(&e->members[slot]) == 0)
            continue;
        shim_member_heat(e, slot);
        kick(e, slot);
    }
}

void shim_epoll_watched(struct shim_epoll *e)
{
    mbr_store_relaxed(&e->watched, (uint32_t)1);
    if (!shim_epoll_lock(e))
        return;
    shim_epoll_settle(e);
    shim_epoll_unlock(e);
}

/* ---- the calls ------------------------------------------------------------------------------- */

/* A new one, or one that has been another before and keeps the memory of that. */
static void reset(struct shim_epoll *e, int fd)
{
    struct shim_epoll was = *e;

    *e = (struct shim_epoll){.object.kind = SHIM_EPOLL,
                             .fd = fd,
                             .members = was.members,
                             .n_members = was.n_members,
                             .free = was.n_members > 0 ? was.free : -1,
                             .slots = was.slots,
                             .n_slots = was.n_slots,
                             .hot = was.hot};
}

static int created(int fd)
{
    struct shim_epoll *e;
    struct shim_object *old = NULL;
    bool mine;

    if (fd < 0 || shim_settings.off || mbr_load_relaxed(&shim_confined))
        return fd;
    e = (struct shim_epoll *)(void *)shim_free_list_take(SHIM_EPOLL);
    if (e == NULL)
        e = calloc(1, sizeof(*e));
    if (e == NULL) {
        real.close(fd); /* without it the program would not hear of its sockets */
        errno = ENOMEM;
        return -1;
    }
    reset(e, fd);
    mbr_store_release(&e->object.refs, (uint32_t)1);
    mine = list_lock();
    e->next = all;
    all = e;
    list_unlock(mine);
    (void)shim_table_set(fd, &e->object, &old);
    if (old != NULL)
        shim_unref(old);
    shim_unref(&e->object);
    return fd;
}

SHIM_EXPORT int epoll_create(int size)
{
    shim_ready();
    return created(real.epoll_create(size));
}

SHIM_ALIAS(epoll_create);

SHIM_EXPORT int epoll_create1(int flags)
{
    shim_ready();
    return created(real.epoll_create1(flags));
}

SHIM_ALIAS(epoll_create1);

struct shim_epoll *shim_epoll_get(int fd)
{
    struct shim_object *o = shim_table_peek(fd);

    if (o == NULL || o->kind != SHIM_EPOLL)
        return NULL;
    o = shim_table_get(fd);
    if (o != NULL && o->kind != SHIM_EPOLL) {
        shim_unref(o);
        o = NULL;
    }
    return (struct shim_epoll *)(void *)o;
}

SHIM_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    struct shim_epoll *e;
    struct shim_epoll *inner;
    int r;

    shim_ready();
    e = shim_epoll_get(epfd);
    if (e == NULL || fd == epfd || (ev == NULL && op != EPOLL_CTL_DEL)) {
        if (e != NULL)
            shim_unref(&e->object);
        return real.epoll_ctl(epfd, op, fd, ev);
    }
    inner = op == EPOLL_CTL_ADD ? shim_epoll_get(fd) : NULL;
    if (inner != NULL) {
        shim_epoll_watched(inner);
        shim_unref(&inner->object);
    }
    r = shim_latch(&e->lock, true);
    if (r == 0) {
        r = op == EPOLL_CTL_DEL ? remove_member(e, fd) : control(e, op, fd, ev);
        if (r == 1)
            r = real.epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
        shim_epoll_unlock(e);
    }
    shim_unref(&e->object);
    if (r == 0)
        return 0;
    errno = -r;
    return -1;
}

SHIM_ALIAS(epoll_ctl);

/* ---- ends ------------------------------------------------------------------------------------ */

/* Its arrays stay for the next one: close() may be called by a signal handler, free() may not. */
void shim_epoll_dead(struct shim_epoll *e)
{
    struct shim_epoll **at = &all;
    bool mine = list_lock();

    while (*at != NULL && *at != e)
        at = &(*at)->next;
    if (*at != NULL)
        *at = e->next;
    list_unlock(mine);
    for (uint32_t i = 0; i < e->n_members; i++) {
        if (e->members[i].fd >= 0)
            drop(e, i);
    }
    shim_free_list_put(&e->object);
}

/* The kernel forgets by itself, unless another process still has the socket. A child leaves the
 * parent's epoll as it is. */
static void leave(struct shim_epoll *e, uint32_t slot)
{
    struct epoll_event none = {0};

    if (mbr_load_relaxed(&e->members[slot].c->mode) != SHIM_PLAIN && !e->inherited)
        (void)real.epoll_ctl(e->fd, EPOLL_CTL_DEL, e->members[slot].fd, &none);
    drop(e, slot);
}

static void forget_in(struct shim_epoll *e, struct shim_conn *c, int fd)
{
    int slot;

    if (!shim_epoll_lock(e))
        return;
    slot = slot_of(e, fd);
    if (slot >= 0 && e->members[slot].c == c)
        leave(e, (uint32_t)slot);
    /* Added under a descriptor that was a duplicate of this one? */
    for (uint32_t i = 0; fd < 0 && i < e->n_members; i++) {
        if (e->members[i].fd >= 0 && e->members[i].c == c)
            leave(e, i);
    }
    shim_epoll_unlock(e);
}

void shim_epoll_forget(struct shim_conn *c, int fd)
{
    struct shim_epoll *e;
    bool mine = list_lock();

    for (e = all; e != NULL && mbr_load_relaxed(&c->epolls) > 0; e = e->next)
        forget_in(e, c, fd);
    for (e = all; e != NULL && mbr_load_relaxed(&c->epolls) > 0; e = e->next)
        forget_in(e, c, -1);
    list_unlock(mine);
}

/* Heats c's member under fd, or all of them under whatever descriptor: how many there were. */
static uint32_t heat_in(struct shim_epoll *e, struct shim_conn *c, int fd)
{
    uint32_t n = 0;
    int slot;

    if (!shim_epoll_lock(e))
        return 0;
    slot = slot_of(e, fd);
    if (slot >= 0 && e->members[slot].c == c) {
        changed(e, (uint32_t)slot);
        n++;
    }
    for (uint32_t i = 0; fd < 0 && i < e->n_members; i++) {
        if (e->members[i].fd < 0 || e->members[i].c != c)
            continue;
        changed(e, i);
        n++;
    }
    shim_epoll_unlock(e);
    return n;
}

void shim_epoll_heat(struct shim_conn *c, int fd)
{
    bool mine = list_lock();
    uint32_t members = mbr_load_relaxed(&c->epolls); /* who is woken first may take one out */
    uint32_t n = 0;

    for (struct shim_epoll *e = all; e != NULL; e = e->next)
        n += heat_in(e, c, fd);
    /* Others are there under a descriptor that is a duplicate of this one. */
    if (n < members) {
        for (struct shim_epoll *e = all; e != NULL; e = e->next)
            (void)heat_in(e, c, -1);
    }
    list_unlock(mine);
}

void shim_epoll_forked(struct shim_epoll *e)
{
    list_latch = 0;
    e->lock = 0;
    e->waiting = 0;
    e->inherited = true;
}
