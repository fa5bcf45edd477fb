/* SPDX-License-Identifier: MIT */
/* What happens at fork, when the library is loaded, and at exit; fork.h says what holds. */
#include "fork.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "conn.h"
#include "directory.h"
#include "epoll.h"
#include "hold.h"
#include "offers.h"
#include "real.h"

static pid_t our_pid;

bool shim_is_vforked(void)
{
    return !mbr_load_relaxed(&shim_confined) && getpid() != our_pid;
}

/* From before a fork to after it: one at a time. A signal handler that forks while its thread does
 * gets no connections. */
static pthread_mutex_t fork_lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static bool fork_locked;
static struct shim_conn *forked; /* whose locks are held, each with a reference */

/* ---- before ---------------------------------------------------------------------------------- */

#define TRIES 1000 /* at a lock that somebody has for some instructions */

static bool try_lock(struct shim_conn *c, struct shim_lock *l)
{
    for (int i = 0; i < TRIES; i++) {
        if (shim_lock(c, l, false) == 0)
            return true;
        (void)sched_yield();
    }
    return false;
}

/* Whoever is in the middle of a call would go on in the parent alone, with what he has seen. */
static bool lock_all(struct shim_conn *c)
{
    if (!try_lock(c, &c->rx))
        return false;
    if (!try_lock(c, &c->tx)) {
        shim_unlock(&c->rx);
        return false;
    }
    /* One that sleeps in the kernel expects the next byte for itself. */
    if (shim_pumped(c)) {
        shim_unlock(&c->tx);
        shim_unlock(&c->rx);
        return false;
    }
    (void)shim_latch(&c->park, true);
    return true;
}

static void unlock_all(struct shim_conn *c)
{
    shim_unlatch(&c->park);
    shim_unlock(&c->tx);
    shim_unlock(&c->rx);
}

static bool prepare(struct shim_conn *c)
{
    if (!lock_all(c))
        return false;
    if (shim_kin_prepare(c))
        return true;
    unlock_all(c);
    return false;
}

/* First, when nothing is locked yet: what cannot be shared as it is goes back to the kernel, which
 * can share it. */
static void give_up(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    if (o->kind != SHIM_CONN || shim_conn_pin(c) || mbr_load_acquire(&c->mode) != SHIM_RING)
        return;
    if (lock_all(c)) {
        bool room = shim_kin(c) == NULL || shim_kin_room(shim_kin(c));

        unlock_all(c);
        if (room)
            return;
    }
    (void)shim_return_by(c, fd, false, *(uint64_t *)arg);
}

static void share(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)fd;
    (void)arg;
    if (o->kind != SHIM_CONN || c->forking || shim_conn_pin(c) || !fork_locked)
        return;
    if (mbr_load_acquire(&c->mode) != SHIM_RING || !prepare(c))
        return;
    mbr_fetch_add(&c->object.refs, 1);
    c->forking = 1;
    c->next_forked = forked;
    forked = c;
}

static void before_fork(void)
{
    int error = errno;

    if (shim_settings.rings) {
        bool mine = pthread_mutex_lock(&fork_lock) == 0;
        uint64_t deadline = mbr__deadline_ns(SHIM_RETURN_NS);

        if (mine)
            fork_locked = true;
        if (mine)
            shim_table_each(0, INT_MAX, give_up, &deadline);
        shim_table_each(0, INT_MAX, share, NULL);
    }
    errno = error;
}

/* ---- after ----------------------------------------------------------------------------------- */

static void let_go(void)
{
    while (forked != NULL) {
        struct shim_conn *c = forked;

        forked = c->next_forked;
        c->forking = 0;
        unlock_all(c);
        shim_conn_put(c);
    }
}

static void in_parent(void)
{
    int error = errno;

    mbr_fetch_add(&shim_door_forks, 1);
    if (fork_locked) {
        let_go();
        fork_locked = false;
        pthread_mutex_unlock(&fork_lock);
    }
    errno = error;
}

/* ---- in the child ---------------------------------------------------------------------------- */

static void lose(struct shim_conn *c)
{
    if (c->mode == SHIM_RING)
        c->mode = SHIM_LOST;
    shim_kin_drop(c);
    c->rx_ring = c->tx_ring = 0;
    c->own = NULL;
    c->peer = NULL;
}

static void inherit(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)fd;
    (void)arg;
    if (o->kind == SHIM_EPOLL) {
        shim_epoll_forked((struct shim_epoll *)(void *)o);
        return;
    }
    shim_conn_locks(c);
    c->named = 0; /* the link is the parent's, and so is who sleeps */
    c->asleep = c->rung = c->followers = c->pumps = 0;
    if (!c->forking)
        lose(c);
}

static void in_child(void)
{
    our_pid = getpid();
    shim_hold_forked();
    shim_table_forked();
    shim_names_forked();
    shim_offers_forked();
    shim_table_each(0, INT_MAX, inherit, NULL);
    while (forked != NULL) {
        struct shim_conn *c = forked;

        forked = c->next_forked;
        c->forking = 0;
        shim_kin_born(c);
        shim_conn_put(c);
    }
    fork_locked = false;
    fork_lock = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
}

void shim_fork_begin(void)
{
    before_fork();
}

void shim_fork_end(bool child)
{
    if (child)
        in_child();
    else
        in_parent();
}

/* ---- from the beginning to the end ----------------------------------------------------------- */

__attribute__((constructor)) static void loaded(void)
{
    shim_ready();
    our_pid = getpid();
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

static void bye(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)arg;
    if (o->kind != SHIM_CONN)
        return;
    shim_door_exit(&c->door);
    if (mbr_load_acquire(&c->mode) != SHIM_PLAIN)
        shim_conn_bye(c, fd);
}

/* Other destructors may still use sockets, but whoever exits with an open connection has nothing to
 * say on it any more: the peer hears of an end in order, not of a reset. */
__attribute__((destructor)) static void unloaded(void)
{
    if (shim_settings.rings && !shim_is_vforked())
        shim_table_each(0, INT_MAX, bye, NULL);
}
