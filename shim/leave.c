/* SPDX-License-Identifier: MIT */
/*
 * Back to the kernel: how a direction leaves its ring, and what is left to do until the socket is
 * one like any other. stream_shm.h has the protocol and its pairs of fences.
 *
 * A connection goes back when its socket is to be handed to somebody who has not got the memory, or
 * when a program wants something of it that only the kernel can do. It does not move again: who
 * else has the socket, and sends through it uncounted, nobody can tell.
 *
 * Not here: when that is (calls_*.c, exec.c, fork.c), and what epolls must be told (epoll.c).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "conn.h"
#include "epoll.h"
#include "fork.h"
#include "real.h"

#define NAP_NS       50000
#define GRACE_NS     10000000   /* for what is on its way */
#define DISCARD_MOST (1u << 20) /* at once, of what a peer says is no data */

static uint32_t untidy; /* connections that have gone back, and whose epolls do not know */

/* ---- doubt ----------------------------------------------------------------------------------- */

/* What a process is in the middle of, for those that find it dead. */
static void begin(uint32_t *doubt, uint32_t what)
{
    mbr_store_relaxed(doubt, mbr_load_relaxed(doubt) | what);
}

static void done(uint32_t *doubt, uint32_t what)
{
    mbr_store_relaxed(doubt, mbr_load_relaxed(doubt) & ~what);
}

static bool is_sure(const uint32_t *doubt)
{
    return (mbr_load_relaxed(doubt) & SHIM_DOUBT_EVER) == 0;
}

/* ---- bells ----------------------------------------------------------------------------------- */

bool shim_may_ring(const struct shim_conn *c)
{
    return mbr_load_relaxed(&c->peer->taken) == mbr_load_relaxed(&c->own->start);
}

ssize_t shim_ring(struct shim_conn *c, int fd)
{
    struct shim_half *own = c->own;
    ssize_t r = 1;

    if (mbr_load_relaxed(&own->left) != SHIM_LEFT_NO || !shim_may_ring(c))
        return 1;
    mbr_store_relaxed(&own->ringing, (uint32_t)1);
    mbr_fence_full(); /* pair C */
    if (!mbr_load_relaxed(&c->peer->frozen)) {
        begin(&own->tx_doubt, SHIM_DOUBT_BELL);
        r = shim_quiet_send(fd, "", 1);
        if (r == 1)
            mbr_store_release(&own->bells, mbr_load_relaxed(&own->bells) + 1);
        done(&own->tx_doubt, SHIM_DOUBT_BELL);
    }
    mbr_store_release(&own->ringing, (uint32_t)0);
    return r;
}

/* ---- leaving a ring -------------------------------------------------------------------------- */

/* Under tx. Whether our direction has left its ring. */
static bool leave(struct shim_conn *c)
{
    struct shim_half *own = c->own;
    uint64_t tail = mbr_load_relaxed(&own->tail);
    uint64_t head;

    if (mbr_load_relaxed(&own->left) == SHIM_LEFT_RING)
        return true;
    if (!is_sure(&own->tx_doubt) || (!shim_tx_in_ring(c) && !shim_switch_tx(c)))
        return false;
    begin(&own->tx_doubt, SHIM_DOUBT_MOVE);
    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_SOON);
    mbr_fence_full(); /* pair C */
    head = mbr_load_acquire(&c->peer->head);
    if (tail - head > c->size) { /* a lie */
        head = tail;
        mbr_store_relaxed(&c->tx_broken, (uint32_t)ECONNRESET);
    }
    mbr_store_relaxed(&own->mark,
                      (uint32_t)(shim_may_ring(c) && !mbr_load_relaxed(&c->peer->frozen)));
    mbr_store_relaxed(&own->resent, head);
    mbr_store_relaxed(&own->copied, head);
    mbr_store_relaxed(&own->bells, mbr_load_relaxed(&own->bells) + mbr_load_relaxed(&own->mark));
    mbr_store_release(&own->left, (uint32_t)SHIM_LEFT_RING);
    done(&own->tx_doubt, SHIM_DOUBT_MOVE);
    return true;
}

static bool all_resent(const struct shim_half *own)
{
    return mbr_load_relaxed(&own->mark) == 0 &&
           mbr_load_relaxed(&own->resent) == mbr_load_relaxed(&own->tail);
}

/* The last bell, then the copy, as far as the kernel takes it. */
static ssize_t resend(struct shim_conn *c, int fd)
{
    struct shim_half *own = c->own;
    uint64_t from = mbr_load_relaxed(&own->resent);
    bool bell = mbr_load_relaxed(&own->mark) != 0;
    ssize_t r;

    begin(&own->tx_doubt, SHIM_DOUBT_MOVE);
    if (bell)
        r = shim_quiet_send(fd, "", 1);
    else
        r = shim_quiet_send(fd, mbr__region_body(&c->mine) + from % c->size,
                            (size_t)(mbr_load_relaxed(&own->tail) - from));
    if (r > 0 && bell)
        mbr_store_relaxed(&own->mark, (uint32_t)0);
    else if (r > 0)
        mbr_store_relaxed(&own->resent, from + (uint64_t)r);
    done(&own->tx_doubt, SHIM_DOUBT_MOVE);
    return r;
}

/* A program that has made the kernel's buffer smaller than a ring gets it back as it was. Who may
 * not do this waits until there is room. */
static void resend_enlarged(struct shim_conn *c, int fd)
{
    int had = 0;
    int more = (int)(c->size < 1u << 28 ? c->size + 65536 : 1u << 28);
    socklen_t len = sizeof(had);

    if (mbr_load_relaxed(&shim_confined) ||
        real.getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &had, &len) < 0 || had >= 2 * more)
        return;
    (void)real.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &more, sizeof(more));
    while (!all_resent(c->own) && resend(c, fd) > 0)
        ;
    had /= 2; /* the kernel doubles what it is told */
    (void)real.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &had, sizeof(had));
}

/* Nobody is there to read it. */
static void give_up(struct shim_half *own)
{
    mbr_store_relaxed(&own->mark, (uint32_t)0);
    mbr_store_relaxed(&own->resent, mbr_load_relaxed(&own->tail));
}

/* Under tx, after leaving: until the ring is empty. A peer that closes may have had all of it from
 * the ring, and must not be reset for what it would have dropped. */
static void empty_ring(struct shim_conn *c, int fd)
{
    struct shim_half *own = c->own;
    ssize_t r = 1;

    while (!all_resent(own) && r > 0) {
        if (mbr_load_relaxed(&c->peer->closed) != SHIM_CLOSED_NO) {
            give_up(own);
            break;
        }
        r = resend(c, fd);
        if (r < 0 && errno == EINTR)
            r = 1;
    }
    if (r < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
        resend_enlarged(c, fd);
    } else if (r < 0) {
        give_up(own);
    }
    if (!all_resent(own))
        return;
    if (shim_shut(c) & SHIM_SHUT_WR)
        (void)real.shutdown(fd, SHUT_WR);
    mbr_store_release(&c->tx_ring, (uint32_t)0);
    mbr_store_relaxed(&c->heat, (uint32_t)1);
}

static void lost(struct shim_conn *c)
{
    uint32_t mode = SHIM_RING;

    (void)mbr_cas(&c->mode, &mode, (uint32_t)SHIM_LOST);
}

void shim_settle_tx(struct shim_conn *c, int fd, bool wanted)
{
    if (mbr_load_relaxed(&c->mode) != SHIM_RING)
        return;
    if (mbr_load_acquire(&c->own->left) != SHIM_LEFT_RING) {
        if (!wanted && mbr_load_acquire(&c->peer->left) == SHIM_LEFT_NO)
            return;
        if (!leave(c)) {
            /* The peer goes on in the kernel, where we cannot follow. */
            if (!is_sure(&c->own->tx_doubt) && mbr_load_relaxed(&c->peer->left) != SHIM_LEFT_NO)
                lost(c);
            return;
        }
    }
    if (shim_tx_in_ring(c))
        empty_ring(c, fd);
}

/* ---- leaving the peer's ring ----------------------------------------------------------------- */

/* How many of the kernel's bytes must be dropped before the next one is the stream's. Negative, an
 * errno: the peer's numbers are impossible, or its process is just about to leave. */
static int64_t to_skip(const struct shim_conn *c)
{
    uint32_t left = mbr_load_acquire(&c->peer->left);
    bool ringing = mbr_load_acquire(&c->peer->ringing);
    uint64_t n = mbr_load_acquire(&c->peer->bells) - mbr_load_relaxed(&c->own->skipped);

    if ((left != SHIM_LEFT_NO && left != SHIM_LEFT_RING) || (left == SHIM_LEFT_NO && ringing))
        return -EAGAIN;
    if (left == SHIM_LEFT_RING) {
        uint64_t had = mbr_load_relaxed(&c->own->head) - mbr_load_relaxed(&c->peer->copied);

        if (had > c->peer_size)
            return -ECONNRESET;
        n += had;
    }
    return n > INT64_MAX ? -ECONNRESET : (int64_t)n;
}

/* Takes n bytes that are no data. What recv returned for the last of them. */
static ssize_t drop(struct shim_conn *c, int fd, uint64_t n)
{
    struct shim_half *own = c->own;
    uint64_t before = mbr_load_relaxed(&own->skipped);
    uint64_t taken = 0;
    ssize_t r = 1;

    begin(&own->rx_doubt, SHIM_DOUBT_BELL);
    while (r > 0 && taken < n) {
        r = shim_quiet_recv(fd, NULL, (size_t)(n - taken), MSG_TRUNC);
        taken += r > 0 ? (uint64_t)r : 0;
        mbr_store_relaxed(&own->skipped, before + taken);
    }
    done(&own->rx_doubt, SHIM_DOUBT_BELL);
    return r;
}

static void rx_is_back(struct shim_conn *c, int fd)
{
    mbr_store_release(&c->own->rx_done, (uint32_t)1);
    if (shim_shut(c) & SHIM_SHUT_RD)
        (void)real.shutdown(fd, SHUT_RD);
}

/* Whether the peer has, with whatever there still is to be read. */
static bool has_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    return shim_quiet_poll(&p, 0) > 0;
}

/* Under rx, when nothing more is taken from the ring. */
static void skip(struct shim_conn *c, int fd)
{
    int64_t n = to_skip(c);
    ssize_t r = 1;

    if (n == -EAGAIN) {
        if (has_ended(fd))
            shim_kernel_end(c, 0, 0);
        return;
    }
    if (n < 0 || !is_sure(&c->own->rx_doubt)) {
        mbr_store_relaxed(&c->rx_error, ECONNRESET);
        mbr_store_release(&c->rx_end, (uint32_t)1);
        return;
    }
    if (n > 0 && shim_awaited(c))
        return; /* who sleeps in the kernel for them comes out first */
    if (n > 0)
        r = drop(c, fd, n < DISCARD_MOST ? (uint64_t)n : DISCARD_MOST);
    if (r < 0 && errno != EAGAIN && errno != EINTR)
        shim_kernel_end(c, r, errno);
    /* An end of the stream comes again for whoever asks the kernel. */
    if (r == 0 || to_skip(c) == 0)
        rx_is_back(c, fd);
}

static void settle_rx(struct shim_conn *c, int fd)
{
    struct shim_half *own = c->own;

    if (!mbr_load_acquire(&own->rx_done) &&
        (mbr_load_relaxed(&own->frozen) ||
         (shim_rx_in_ring(c) && mbr_load_acquire(&c->peer->left) != SHIM_LEFT_NO &&
          shim_avail(c) == 0)))
        skip(c, fd);
    if (mbr_load_acquire(&own->rx_done))
        mbr_store_release(&c->rx_ring, (uint32_t)0);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Whether the connection is the kernel's alone. */
static bool is_home(struct shim_conn *c)
{
    struct shim_half *own = c->own;
    uint32_t mode = SHIM_RING;

    if (mbr_load_acquire(&c->mode) != SHIM_RING)
        return true;
    if (mbr_load_acquire(&own->left) != SHIM_LEFT_RING || !all_resent(own) ||
        !mbr_load_acquire(&own->rx_done) || shim_tx_in_ring(c) || shim_rx_in_ring(c))
        return false;
    if (mbr_cas(&c->mode, &mode, (uint32_t)SHIM_PLAIN)) {
        mbr_store_release(&c->untidy, (uint32_t)1);
        mbr_fetch_add(&untidy, 1);
    }
    return true;
}

void shim_settle_locked(struct shim_conn *c, int fd, bool wait)
{
    if (mbr_load_relaxed(&c->mode) != SHIM_RING)
        return;
    /* Who has it stays for long only where he sends through the kernel, and then has left. */
    if (shim_lock(c, &c->tx, wait && shim_tx_in_ring(c)) == 0) {
        shim_settle_tx(c, fd, false);
        shim_unlock(&c->tx);
    }
    settle_rx(c, fd);
    (void)is_home(c);
}

bool shim_settle(struct shim_conn *c, int fd)
{
    if (mbr_load_acquire(&c->mode) != SHIM_RING)
        return true;
    if (shim_lock(c, &c->rx, false) == 0) {
        shim_settle_locked(c, fd, false);
        shim_unlock(&c->rx);
    } else if (shim_lock(c, &c->tx, false) == 0) {
        shim_settle_tx(c, fd, false);
        shim_unlock(&c->tx);
    }
    return is_home(c);
}

bool shim_any_untidy(void)
{
    return mbr_load_relaxed(&untidy) > 0;
}

static bool is_untidy(struct shim_conn *c)
{
    uint32_t one = 1;

    if (!mbr_load_relaxed(&c->untidy) || !mbr_cas(&c->untidy, &one, (uint32_t)0))
        return false;
    mbr_fetch_add(&untidy, UINT32_MAX);
    return true;
}

void shim_untidy_no_more(struct shim_conn *c)
{
    (void)is_untidy(c);
}

/* A child of vfork() has not got the descriptors of its parent's epolls. A program that has
 * confined itself keeps until it ends what it does not need any more. */
void shim_tidy(struct shim_conn *c, int fd)
{
    bool confined = mbr_load_relaxed(&shim_confined) != 0;
    bool guest;
    int off = 0;

    shim_heat(c, fd);
    if (!mbr_load_relaxed(&c->untidy))
        return;
    guest = shim_is_vforked();
    if ((guest && mbr_load_relaxed(&c->epolls) > 0) || !is_untidy(c))
        return;
    if (!mbr_load_relaxed(&c->no_delay) && !confined)
        (void)real.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
    shim_conn_wet(c);
    if (!guest && !confined)
        shim_upgrade_tidy(c);
    if (mbr_load_relaxed(&c->epolls) > 0)
        shim_epoll_home(c);
}

/* ---- on purpose ------------------------------------------------------------------------------ */

/* Another connection of this process may be the other end. */
static void settle_other(int fd, struct shim_object *o, void *arg)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    if (o->kind != SHIM_CONN || o == arg || mbr_load_acquire(&c->mode) != SHIM_RING ||
        shim_own(c) == NULL || c->peer == NULL || !shim_unsettled(c))
        return;
    (void)shim_settle(c, fd);
    shim_tidy(c, fd);
}

/* One more round of waiting for others. False: the time is over. */
static bool patiently(struct shim_conn *c, uint64_t deadline)
{
    if (mbr__now_ns() >= deadline)
        return false;
    if (!shim_is_vforked()) /* whose descriptors may be others */
        shim_table_each(0, INT32_MAX, settle_other, c);
    (void)shim_quiet_nap(NAP_NS);
    return true;
}

static bool lock_by(struct shim_conn *c, struct shim_lock *l, uint64_t deadline)
{
    while (shim_lock(c, l, false) < 0) {
        if (!patiently(c, deadline))
            return false;
    }
    return true;
}

/* What the peer has written and we have not read can be sent by the peer alone, when it looks: a
 * moment, unless it is busy with something else. And its bell wakes our own threads. */
static bool needs_peer(struct shim_conn *c, bool alone)
{
    return !shim_has_left(c->peer) && !mbr_load_relaxed(&c->rx_end) &&
           mbr_load_relaxed(&c->peer->closed) == SHIM_CLOSED_NO &&
           (shim_avail(c) > 0 || (!alone && mbr_load_relaxed(&c->sleepers) > 0));
}

static bool unread_for_ever(struct shim_conn *c, int fd)
{
    return !shim_has_left(c->peer) && !mbr_load_relaxed(&c->own->frozen) && shim_avail(c) != 0 &&
           (mbr_load_relaxed(&c->peer->closed) != SHIM_CLOSED_NO || has_ended(fd));
}

/* Takes no more from the peer's ring, and wants no bells. */
static bool freeze(struct shim_conn *c, int fd, uint64_t deadline)
{
    while (!mbr_load_acquire(&c->own->rx_done)) {
        if (shim_lock(c, &c->rx, false) == 0) {
            mbr_store_release(&c->own->frozen, (uint32_t)1);
            mbr_fence_full(); /* pair C */
            settle_rx(c, fd);
            shim_unlock(&c->rx);
        }
        if (!mbr_load_acquire(&c->own->rx_done) && !patiently(c, deadline))
            return false;
    }
    return true;
}

void shim_silence(struct shim_conn *c, int fd)
{
    if (shim_lock(c, &c->rx, false) < 0)
        return; /* whoever blocks there gets the rest, or is told */
    shim_unlock(&c->rx);
    (void)freeze(c, fd, mbr__deadline_ns(GRACE_NS));
}

bool shim_leave(struct shim_conn *c, int fd, uint64_t deadline)
{
    if (mbr_load_acquire(&c->mode) != SHIM_RING || shim_own(c) == NULL || c->peer == NULL)
        return false;
    for (;;) {
        bool left;

        if (!lock_by(c, &c->tx, deadline))
            return false;
        shim_settle_tx(c, fd, true);
        left = mbr_load_relaxed(&c->own->left) == SHIM_LEFT_RING && !shim_tx_in_ring(c);
        shim_unlock(&c->tx);
        shim_tidy(c, fd);
        if (left || !patiently(c, deadline))
            return left;
    }
}

bool shim_return_by(struct shim_conn *c, int fd, bool alone, uint64_t deadline)
{
    int error = errno;
    bool done = mbr_load_acquire(&c->mode) == SHIM_PLAIN;

    if (!done && shim_leave(c, fd, deadline)) {
        while (needs_peer(c, alone) && patiently(c, deadline))
            ;
        deadline += GRACE_NS;
        /* Who stays can go on reading what its peer, which is gone, has not sent once more. */
        if ((alone || !unread_for_ever(c, fd)) && freeze(c, fd, deadline)) {
            while (!shim_settle(c, fd) && patiently(c, deadline))
                ;
            done = mbr_load_acquire(&c->mode) == SHIM_PLAIN;
        }
    }
    shim_tidy(c, fd);
    errno = error;
    return done;
}

bool shim_return(struct shim_conn *c, int fd, bool alone)
{
    return shim_return_by(c, fd, alone, mbr__deadline_ns(SHIM_RETURN_NS));
}
