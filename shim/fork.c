/* SPDX-License-Identifier: MIT */
/* What happens at fork, when the library is loaded, and at exit; fork.h says what holds. */
#include "fork.h"

#include <limits.h>
#include <unistd.h>

#include "conn.h"
#include "epoll.h"
#include "real.h"

static pid_t our_pid;

bool shim_is_vforked(void)
{
    return getpid() != our_pid;
}

static void pin(int fd, struct shim_object *o, void *arg)
{
    (void)fd;
    (void)arg;
    if (o->kind == SHIM_CONN)
        (void)shim_conn_pin((struct shim_conn *)(void *)o);
}

static void before_fork(void)
{
    if (shim_settings.rings)
        shim_table_each(0, INT_MAX, pin, NULL);
}

static void lose(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)fd;
    (void)arg;
    if (o->kind == SHIM_EPOLL) {
        shim_epoll_forked((struct shim_epoll *)(void *)o);
        return;
    }
    pthread_mutex_init(&c->rx, NULL);
    pthread_mutex_init(&c->tx, NULL);
    pthread_mutex_init(&c->park, NULL);
    pthread_mutex_init(&c->up, NULL);
    if (c->mode == SHIM_RING)
        c->mode = SHIM_LOST;
    /* The regions are not mapped here. */
    c->named = c->rx_ring = c->tx_ring = 0;
    c->own = NULL;
    c->peer = NULL;
}

static void in_child(void)
{
    our_pid = getpid();
    shim_table_forked();
    shim_upgrade_forked();
    shim_table_each(0, INT_MAX, lose, NULL);
}

__attribute__((constructor)) static void loaded(void)
{
    shim_ready();
    our_pid = getpid();
    (void)pthread_atfork(before_fork, NULL, in_child);
}

static void bye(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    (void)arg;
    if (o->kind == SHIM_CONN && mbr_load_acquire(&c->mode) != SHIM_PLAIN)
        shim_conn_bye(c, fd);
}

/* Other destructors may still use sockets, but whoever exits with an open connection has nothing to
 * say on it any more: the peer hears of an end in order, not of a reset. */
__attribute__((destructor)) static void unloaded(void)
{
    if (shim_settings.rings && !shim_is_vforked())
        shim_table_each(0, INT_MAX, bye, NULL);
}
