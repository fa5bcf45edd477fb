/* SPDX-License-Identifier: MIT */
/* Connections: settings, making, finding and ending them. conn.h says what they are. */
#include "conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "epoll.h"
#include "jumps.h"
#include "real.h"

#define BYE_NS 1000000000u /* for a peer that does not read, where the kernel has no room */

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

/* What a process did in a ring is whole at each point. What it took from the kernel may not have
 * been counted, nor a bell that it sent or took; then the connection cannot go back. */
static void owner_died(struct shim_conn *c, const struct shim_lock *l)
{
    struct shim_half *own = c->own;

    if (l == &c->rx && !c->rx_ring && !own->rx_done)
        mbr_store_release(&c->mode, (uint32_t)SHIM_LOST);
    if (l == &c->tx && (own->tx_doubt & SHIM_DOUBT_MOVE))
        mbr_store_release(&c->mode, (uint32_t)SHIM_LOST);
    if (l == &c->tx && (own->tx_doubt & SHIM_DOUBT_BELL))
        own->tx_doubt |= SHIM_DOUBT_EVER;
    if (l == &c->rx && (own->rx_doubt & SHIM_DOUBT_BELL))
        own->rx_doubt |= SHIM_DOUBT_EVER;
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
    if (err == -EOWNERDEAD)
        owner_died(c, l);
    return 0;
}

/* A signal handler has jumped out of the call that took the lock, and what that call has got from
 * the kernel, or given to it, may not have been counted. Its lock is ours. */
static void adopt(struct shim_conn *c, struct shim_lock *l)
{
    bool in_ring = l == &c->rx ? shim_rx_in_ring(c) : shim_tx_in_ring(c);

    shim_hold();
    mbr_store_relaxed(&l->jumps, shim_jumps);
    if (!in_ring && !shim_conn_pin(c))
        mbr_store_release(&c->mode, (uint32_t)SHIM_LOST);
    shim_jumped();
}

int shim_lock(struct shim_conn *c, struct shim_lock *l, bool wait)
{
    int err = shim_latch(&l->here, wait);
    struct shim_kin *k;

    if (err == -EDEADLK && mbr_load_relaxed(&l->jumps) != shim_jumps) {
        adopt(c, l);
        return 0;
    }
    if (err < 0)
        return err;
    mbr_store_relaxed(&l->jumps, shim_jumps);
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
    if (call->asleep != SHIM_ASLEEP_NO)
        shim_sleep_end(c, call->asleep, false);
    if (call->parked)
        shim_unpark(c);
    if (call->lock != NULL)
        shim_unlock(call->lock);
    shim_conn_put(c);
}

/* ---- making and finding ---------------------------------------------------------------------- */

static struct shim_conn *made(void)
{
    static struct shim_conn *all;
    struct shim_conn *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->made = mbr_load_relaxed(&all);
    while (!mbr_cas(&all, &c->made, c))
        ;
    return c;
}

static struct shim_conn *fresh(void)
{
    struct shim_object *o = shim_free_list_take(SHIM_CONN);
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    if (c == NULL)
        c = made();
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
    shim_untidy_no_more(c);
    shim_upgrade_drop(c);
    shim_free_list_put(&c->object);
}

static void reset_on_close(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};

    if (!mbr_load_relaxed(&shim_confined)) /* then a reset in memory must do */
        (void)real.setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* On the way back to the kernel: what we have sent must be there before it can send it. What it
 * does not take because nobody reads is lost, and the peer is told so. */
static void last_steps(struct shim_conn *c, int fd)
{
    uint64_t deadline = mbr__deadline_ns(BYE_NS);

    if (mbr_load_relaxed(&c->own->strangers))
        (void)shim_return(c, fd, true);
    while (!shim_settle(c, fd) && shim_tx_in_ring(c) && shim_unsettled(c) &&
           mbr__now_ns() < deadline) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        (void)shim_quiet_poll(&p, 10000000);
    }
    if (mbr_load_acquire(&c->mode) == SHIM_RING && shim_resending(c))
        reset_on_close(fd);
}

/* Who closes with bytes in his ring that the peer has not read lets the kernel have them as well,
 * since the peer may hand the socket on; if the kernel has room, or else the peer can only read
 * them himself. */
static void leave_behind(struct shim_conn *c, int fd)
{
    uint64_t unread = c->own->tail - mbr_load_acquire(&c->peer->head);
    int room = 0;
    int used = 0;
    socklen_t len = sizeof(room);

    if (unread == 0 || mbr_load_relaxed(&shim_confined) ||
        real.getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &len) < 0 ||
        real.ioctl(fd, TIOCOUTQ, &used) < 0 || unread + (uint64_t)used >= (uint64_t)room / 2 ||
        shim_lock(c, &c->tx, false) < 0)
        return;
    shim_settle_tx(c, fd, true);
    shim_unlock(&c->tx);
}

/* What the kernel would do with bytes nobody has read: tell the peer by a reset. And a wake-up byte
 * nobody has read must not make it do the same. */
static void ring_bye(struct shim_conn *c, int fd)
{
    char some[256];
    bool back = shim_has_left(c->peer) || mbr_load_acquire(&c->own->rx_done);
    bool in_ring = c->rx_ring != 0;
    bool unread = !back && shim_avail(c) > 0;
    bool copy = back && in_ring && shim_avail(c) > 0;

    if (!unread && !c->linger_reset)
        leave_behind(c, fd);

    mbr_store_relaxed(&c->own->closed,
                      (uint32_t)(unread || c->linger_reset ? SHIM_CLOSED_RESET : SHIM_CLOSED_WELL));
    mbr_store_relaxed(&c->own->rx_parked, (uint32_t)0);
    mbr_store_relaxed(&c->own->tx_parked, (uint32_t)0);
    if (!unread && !shim_has_left(c->own))
        mbr_store_release(&c->own->fin, (uint32_t)1);
    mbr_fence_full();
    if (!unread)
        shim_silence(c, fd);
    while (!back && shim_quiet_recv(fd, some, sizeof(some), 0) > 0)
        unread |= !in_ring;
    if (unread || copy)
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
        (shim_kin(c) == NULL || shim_kin_leave(shim_kin(c)))) {
        if (shim_unsettled(c) || mbr_load_relaxed(&c->own->strangers))
            last_steps(c, fd);
        if (mbr_load_acquire(&c->mode) == SHIM_RING)
            ring_bye(c, fd);
    }
    shim_tidy(c, fd);
    errno = error;
}
