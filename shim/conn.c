/* SPDX-License-Identifier: MIT */
/* Connections: settings, making, finding and ending them. conn.h says what they are. */
#include "conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "epoll.h"
#include "jumps.h"
#include "real.h"

struct shim_settings shim_settings = {.capacity = 65536};

/* ---- settings -------------------------------------------------------------------------------- */

/* Digits, then nothing or one of K, M and G. A wrong value was refused by `membrane shim`; here it
 * leaves the default. */
static uint64_t capacity_of(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    uint64_t power = 4096;

    if (end == text || (shift != 0 ? end[1] : end[0]) != '\0' || n == 0 || n > (1u << 30) >> shift)
        return 65536;
    while (power < n << shift)
        power *= 2;
    return power;
}

void shim_settings_read(void)
{
    const char *libos = getenv("MEMBRANE_SHIM");
    const char *names = getenv("MEMBRANE_SHIM_NAMES");
    const char *capacity = getenv("MEMBRANE_CAPACITY");

    shim_settings.off = libos != NULL && strcmp(libos, "off") == 0;
    shim_settings.rings = libos == NULL || strcmp(libos, "catloop") == 0;
    shim_settings.names = shim_settings.rings && (names == NULL || strcmp(names, "off") != 0);
    if (capacity != NULL)
        shim_settings.capacity = capacity_of(capacity);
}

/* ---- locks ----------------------------------------------------------------------------------- */

void shim_conn_locks(struct shim_conn *c)
{
    c->rx = c->tx = (struct shim_lock){0};
    c->park = c->up = 0;
}

/* Who has it in another process may have it for long. */
static int kin_lock(pthread_mutex_t *m, bool wait)
{
    SHIM_ALLOWED;

    return shim_kin_lock(m, wait);
}

/* The same in the other processes. */
static int lock_kin(struct shim_conn *c, struct shim_lock *l, struct shim_kin *k, bool wait)
{
    pthread_mutex_t *m = l == &c->rx ? &k->rx : &k->tx;
    int err = kin_lock(m, wait);

    if (err != 0 && err != -EOWNERDEAD)
        return err;
    if (c->kin_late && !mbr_load_relaxed(&k->joined))
        mbr_store_release(&k->joined, (uint32_t)1);
    l->kin = m;
    /* What a process did in a ring is whole at each point. What it took from the kernel may not
     * have been counted. */
    if (err == -EOWNERDEAD && l == &c->rx && !c->rx_ring)
        mbr_store_release(&c->mode, (uint32_t)SHIM_LOST);
    return 0;
}

/* A signal handler has jumped out of the call that took the lock, and what that call has got from
 * the kernel, or given to it, may not have been counted. Its lock is ours. */
static void adopt(struct shim_conn *c, struct shim_lock *l)
{
    bool in_ring = l == &c->rx ? shim_rx_in_ring(c) : shim_tx_in_ring(c);

    shim_hold();
    l->jumps = shim_jumps;
    if (!in_ring && !shim_conn_pin(c))
        mbr_store_release(&c->mode, (uint32_t)SHIM_LOST);
    shim_jumped();
}

int shim_lock(struct shim_conn *c, struct shim_lock *l, bool wait)
{
    int err = shim_latch(&l->here, wait);
    struct shim_kin *k;

    if (err == -EDEADLK && l->jumps != shim_jumps) {
        adopt(c, l);
        return 0;
    }
    if (err < 0)
        return err;
    l->jumps = shim_jumps;
    k = shim_kin(c);
    if (!shim_kin_others(k))
        return 0;
    err = lock_kin(c, l, k, wait);
    if (err < 0)
        shim_unlatch(&l->here);
    return err;
}

void shim_unlock(struct shim_lock *l)
{
    if (l->kin != NULL) {
        pthread_mutex_t *m = l->kin;

        l->kin = NULL;
        pthread_mutex_unlock(m);
    }
    shim_unlatch(&l->here);
}

void shim_call_end(struct shim_call *call)
{
    struct shim_conn *c = call->c;

    if (c == NULL)
        return;
    if (call->pumping)
        mbr_store_release(&c->pump, (uint32_t)0);
    if (call->parked)
        shim_unpark(c);
    if (call->lock != NULL)
        shim_unlock(call->lock);
    shim_conn_put(c);
}

/* ---- making and finding ---------------------------------------------------------------------- */

static struct shim_conn *fresh(void)
{
    struct shim_object *o = shim_free_list_take(SHIM_CONN);
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    if (c == NULL)
        c = calloc(1, sizeof(*c));
    else
        memset(&c->mode, 0, sizeof(*c) - offsetof(struct shim_conn, mode));
    if (c == NULL)
        return NULL;
    c->object.kind = SHIM_CONN;
    shim_conn_locks(c);
    c->mine.fd = c->theirs.fd = -1;
    return c;
}

struct shim_conn *shim_conn_new(int fd, bool nonblock, enum shim_mode mode, enum shim_role role)
{
    struct shim_conn *c = shim_settings.off || mbr_load_relaxed(&shim_confined) ? NULL : fresh();
    struct shim_object *old = NULL;
    bool kept;

    if (c == NULL) {
        (void)shim_table_set(fd, NULL, &old);
    } else {
        c->nonblock = nonblock;
        c->mode = shim_settings.rings ? mode : SHIM_PLAIN;
        c->role = role;
        mbr_store_release(&c->object.refs, (uint32_t)1);
        kept = shim_table_set(fd, &c->object, &old);
        shim_conn_put(c);
        if (!kept)
            c = NULL;
    }
    /* Somebody closed the descriptor behind our back. */
    if (old != NULL)
        shim_unref(old);
    return c;
}

struct shim_conn *shim_conn_get(int fd)
{
    struct shim_object *o = shim_table_peek(fd);

    if (o == NULL || o->kind != SHIM_CONN)
        return NULL;
    o = shim_table_get(fd);
    if (o != NULL && o->kind != SHIM_CONN) {
        shim_unref(o);
        o = NULL;
    }
    return (struct shim_conn *)(void *)o;
}

struct shim_conn *shim_conn_busy(int fd)
{
    struct shim_object *o = shim_table_peek(fd);
    struct shim_conn *c;

    if (o == NULL || o->kind != SHIM_CONN ||
        mbr_load_acquire(&((struct shim_conn *)(void *)o)->mode) == SHIM_PLAIN)
        return NULL;
    c = shim_conn_get(fd);
    if (c != NULL && mbr_load_acquire(&c->mode) == SHIM_PLAIN) {
        shim_conn_put(c);
        return NULL;
    }
    return c;
}

/* ---- ending ---------------------------------------------------------------------------------- */

void shim_conn_dead(struct shim_conn *c)
{
    shim_conn_wet(c);
    shim_upgrade_drop(c);
    shim_free_list_put(&c->object);
}

static void reset_on_close(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};

    (void)real.setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* What the kernel would do with bytes nobody has read: tell the peer by a reset. And a wake-up byte
 * nobody has read must not make it do the same. */
static void ring_bye(struct shim_conn *c, int fd)
{
    char some[256];
    bool unread = shim_avail(c) > 0;

    mbr_store_relaxed(&c->own->closed,
                      (uint32_t)(unread || c->linger_reset ? SHIM_CLOSED_RESET : SHIM_CLOSED_WELL));
    mbr_store_relaxed(&c->own->rx_parked, (uint32_t)0);
    mbr_store_relaxed(&c->own->tx_parked, (uint32_t)0);
    if (!unread)
        mbr_store_release(&c->own->fin, (uint32_t)1);
    mbr_fence_full();
    while (shim_quiet_recv(fd, some, sizeof(some), 0) > 0)
        unread |= !c->rx_ring;
    if (unread)
        reset_on_close(fd);
}

void shim_conn_bye(struct shim_conn *c, int fd)
{
    int error = errno;

    if (mbr_load_relaxed(&c->epolls))
        shim_epoll_forget(c, fd);
    (void)shim_conn_pin(c);
    if (mbr_load_relaxed(&c->named))
        shim_upgrade_withdraw(c);
    if (mbr_load_acquire(&c->mode) == SHIM_RING && c->own != NULL && c->peer != NULL &&
        (shim_kin(c) == NULL || shim_kin_leave(shim_kin(c)) == 0))
        ring_bye(c, fd);
    errno = error;
}
