/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the other end of an upgraded connection: looking for a while, then sleeping in the
 * kernel's own socket, where the peer's wake-up byte, its end, signals and the socket's timeouts
 * all arrive.
 *
 * A sleeper says so in its region (`rx_parked`, `tx_parked`: a number that is new each time), then
 * looks once more; the peer publishes, then looks for the number, and answers each number with one
 * byte (pair B). Of two threads of one connection that sleep, one in reading and one in writing,
 * the first takes the bytes from the kernel and the other waits for it on a futex.
 *
 * Not here: sleeping for several connections at once (poll.c, epoll.c).
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "conn.h"
#include "epoll.h"
#include "jumps.h"
#include "kernel.h"
#include "real.h"

#define BELL_NS 10000000 /* a follower looks by itself so often: its leader may be stopped */

/* ---- signs ----------------------------------------------------------------------------------- */

static uint32_t next_epoch(struct shim_conn *c)
{
    uint32_t *epoch = shim_kin(c) != NULL ? &c->kin->epoch : &c->epoch;
    uint32_t e = mbr_fetch_add(epoch, 1) + 1;

    return e != 0 ? e : mbr_fetch_add(epoch, 1) + 1;
}

/* A signal handler whose thread has it goes on without: it leaves things as it found them. */
static bool park_lock(struct shim_conn *c)
{
    return shim_latch(&c->park, true) == 0;
}

static void park_unlock(struct shim_conn *c, bool mine)
{
    if (mine)
        shim_unlatch(&c->park);
}

void shim_park(struct shim_conn *c)
{
    bool mine = park_lock(c);

    mbr_fetch_add(&c->sleepers, 1);
    if (c->own != NULL)
        mbr_store_relaxed(&c->own->rx_parked, next_epoch(c));
    park_unlock(c, mine);
    mbr_fence_full(); /* pair B: the caller looks once more */
}

void shim_unpark(struct shim_conn *c)
{
    bool mine = park_lock(c);

    /* An end that still reads from the kernel cannot be awake: its peer's switch comes as a byte.
     * And if there are others, they may sleep. */
    if (mbr_fetch_add(&c->sleepers, UINT32_MAX) == 1 && c->own != NULL && c->rx_ring &&
        !shim_kin_crowd(shim_kin(c)))
        mbr_store_relaxed(&c->own->rx_parked, (uint32_t)0);
    park_unlock(c, mine);
}

void shim_park_tx(struct shim_conn *c)
{
    mbr_store_relaxed(&c->own->tx_parked, next_epoch(c));
    mbr_fence_full();
}

void shim_phase_locked(struct shim_conn *c)
{
    const struct shim_half *peer = mbr_load_acquire(&c->peer);
    bool mine;

    if (c->rx_ring || peer == NULL || shim_own(c) == NULL ||
        mbr_load_acquire(&c->mode) == SHIM_PLAIN || mbr_load_acquire(&c->own->rx_done))
        return;
    shim_publish_taken(c);
    if (!mbr_load_acquire(&peer->switched) || mbr_load_relaxed(&peer->start) != *shim_rx_tcp(c))
        return;
    (void)shim_upgrade_done(c);
    mine = park_lock(c);
    mbr_store_release(&c->rx_ring, (uint32_t)1);
    mbr_store_relaxed(&c->own->rx_parked,
                      c->sleepers > 0 || shim_kin_crowd(shim_kin(c)) ? next_epoch(c) : 0);
    mbr_store_relaxed(&c->heat, (uint32_t)1);
    park_unlock(c, mine);
    mbr_fence_full();
}

void shim_conn_phase(struct shim_conn *c)
{
    if (shim_rx_in_ring(c) || mbr_load_acquire(&c->peer) == NULL)
        return;
    if (shim_lock(c, &c->rx, false) < 0)
        return;
    shim_phase_locked(c);
    shim_unlock(&c->rx);
}

/* ---- the kernel's news ----------------------------------------------------------------------- */

/* A wake-up byte that nobody had read when the peer closed makes the kernel say "reset" where a
 * stream would have ended well; it was a reset if the peer meant it, or died, and left something of
 * ours unread. */
void shim_kernel_end(struct shim_conn *c, ssize_t r, int error)
{
    bool all_read = mbr_load_acquire(&c->peer->head) == mbr_load_relaxed(&c->own->tail);
    uint32_t closed = mbr_load_relaxed(&c->peer->closed);
    bool died = closed == SHIM_CLOSED_NO && !mbr_load_acquire(&c->peer->fin);

    if (r < 0 && error != ECONNRESET && error != EPIPE)
        c->rx_error = error;
    else if (closed == SHIM_CLOSED_RESET || (!all_read && (died || r < 0)))
        c->rx_error = ECONNRESET;
    if (c->rx_error != 0)
        mbr_store_relaxed(&c->tx_broken, (uint32_t)EPIPE);
    else if (r < 0)
        mbr_store_relaxed(&c->excuse, (uint32_t)1);
    mbr_store_release(&c->rx_end, (uint32_t)1);
}

static void wake_followers(struct shim_conn *c)
{
    mbr_fetch_add(&c->bell, 1);
    mbr_fence_full(); /* who begins to follow now sees that the bell has changed */
    if (mbr_load_relaxed(&c->followers) > 0)
        (void)shim_kernel(SYS_futex, &c->bell, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void took_bytes(struct shim_conn *c)
{
    bool mine = park_lock(c);

    /* Somebody else may have been meant: whoever sleeps is to be woken by the next bytes, too. */
    if (c->sleepers > 0 || shim_kin_crowd(shim_kin(c)))
        mbr_store_relaxed(&c->own->rx_parked, next_epoch(c));
    park_unlock(c, mine);
    if (mbr_load_relaxed(&c->epolls) > 0)
        mbr_store_relaxed(&c->heat, (uint32_t)1);
    wake_followers(c);
}

void shim_heat(struct shim_conn *c, int fd)
{
    if (!mbr_load_relaxed(&c->heat))
        return;
    mbr_store_relaxed(&c->heat, (uint32_t)0);
    if (mbr_load_relaxed(&c->epolls) > 0)
        shim_epoll_heat(c, fd);
}

/* Takes wake-up bytes: what recv says. As many as the peer has counted, since stream may follow; if
 * it has counted none by now one at least will come before that. */
static ssize_t take_bells(struct shim_conn *c, int fd)
{
    struct shim_half *own = c->own;
    uint64_t had = mbr_load_relaxed(&own->skipped);
    uint32_t doubt = mbr_load_relaxed(&own->rx_doubt);
    int64_t n = (int64_t)(mbr_load_acquire(&c->peer->bells) - had);
    char some[256];
    ssize_t r;

    mbr_store_relaxed(&own->rx_doubt, doubt | SHIM_DOUBT_BELL);
    r = shim_quiet_recv(fd, some,
                        n <= 0                      ? 1
                        : n < (int64_t)sizeof(some) ? (size_t)n
                                                    : sizeof(some),
                        0);
    if (r > 0)
        mbr_store_relaxed(&own->skipped, had + (uint64_t)r);
    mbr_store_relaxed(&own->rx_doubt, doubt);
    return r;
}

void shim_drain(struct shim_conn *c, int fd)
{
    ssize_t r;

    /* Who is blocked there would not see that something has come, and gone. */
    if (mbr_load_relaxed(&c->rx_end) || shim_pumped(c))
        return;
    if (mbr_load_acquire(&c->peer->left) != SHIM_LEFT_NO || mbr_load_relaxed(&c->own->frozen)) {
        shim_settle_locked(c, fd, false);
        return;
    }
    mbr_store_relaxed(&c->looked, mbr__ticks());
    r = take_bells(c, fd);
    if (r > 0)
        took_bytes(c);
    else if (r == 0 || (errno != EAGAIN && errno != EINTR))
        shim_kernel_end(c, r, errno);
}

void shim_drain_free(struct shim_conn *c, int fd)
{
    if (shim_lock(c, &c->rx, false) < 0)
        return; /* its reader takes what there is */
    if (shim_rx_in_ring(c))
        shim_drain(c, fd);
    shim_unlock(&c->rx);
}

/* ---- blocking -------------------------------------------------------------------------------- */

bool shim_pumped(struct shim_conn *c)
{
    uint32_t who = mbr_load_acquire(&c->pump);

    if (who == 0 || who != shim_latch_me() || mbr_load_relaxed(&c->pump_jumps) == shim_jumps)
        return who != 0;
    mbr_store_release(&c->pump, (uint32_t)0); /* we have jumped out of it */
    shim_jumped();
    return false;
}

static void wait_bell(struct shim_conn *c, uint32_t seen)
{
    struct timespec ts = {.tv_nsec = BELL_NS};

    mbr_fetch_add(&c->followers, 1);
    mbr_fence_full();
    (void)shim_kernel(SYS_futex, &c->bell, FUTEX_WAIT_PRIVATE, seen, &ts, NULL, 0);
    mbr_fetch_add(&c->followers, UINT32_MAX);
}

static bool rx_news(struct shim_conn *c)
{
    return shim_avail(c) != 0 || c->rx_end || c->rx_error != 0 || (shim_shut(c) & SHIM_SHUT_RD) ||
           mbr_load_acquire(&c->peer->fin) || mbr_load_relaxed(&c->peer->left) ||
           mbr_load_relaxed(&c->own->frozen);
}

static bool tx_news(struct shim_conn *c)
{
    return shim_room(c) != 0 || (shim_shut(c) & SHIM_SHUT_WR) || shim_unsettled(c);
}

/* How long the socket lets a call wait, in milliseconds; -1 for ever. */
static int patience(struct shim_conn *c, int fd, int option)
{
    struct timeval tv = {0};
    socklen_t len = sizeof(tv);

    if (!c->timed || real.getsockopt(fd, SOL_SOCKET, option, &tv, &len) < 0 ||
        (tv.tv_sec == 0 && tv.tv_usec == 0))
        return -1;
    return tv.tv_sec > INT_MAX / 2000 ? INT_MAX
                                      : (int)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
}

/* Where another process, or another thread, may take the byte that is meant for us: looks by itself
 * again and again. */
static int doze(struct shim_conn *c, int fd, bool (*news)(struct shim_conn *c), int option)
{
    int ms = patience(c, fd, option);
    uint64_t end = ms < 0 ? MBR__NEVER : mbr__deadline_ns((uint64_t)ms * 1000000);

    while (!news(c)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int r = real.poll(&p, 1, SHIM_KIN_SLICE_NS / 1000000);

        if (r < 0)
            return -errno;
        if (r > 0) {
            shim_drain_free(c, fd);
            return 0;
        }
        if (end != MBR__NEVER && mbr__now_ns() >= end)
            return -EAGAIN;
        if (shim_kin(c) != NULL && shim_kin_count_others(shim_kin(c)) == 0)
            return 0;
    }
    return 0;
}

static void heard(struct shim_conn *c, ssize_t r, int error)
{
    if (shim_lock(c, &c->rx, true) < 0)
        return;
    if (shim_rx_in_ring(c) && !mbr_load_relaxed(&c->peer->left))
        shim_kernel_end(c, r, error);
    shim_unlock(&c->rx);
}

/* Blocks in the kernel for a wake-up byte or the end. It takes none: when it wakes the stream may
 * have come back there. */
static int pump(struct shim_call *call, int fd, bool (*news)(struct shim_conn *c))
{
    struct shim_conn *c = call->c;
    uint32_t seen = mbr_load_acquire(&c->bell);
    uint32_t nobody = 0;
    char one;
    ssize_t r;
    int error;

    if (shim_pumped(c) || !mbr_cas(&c->pump, &nobody, shim_latch_me())) {
        wait_bell(c, seen);
        return 0;
    }
    mbr_store_relaxed(&c->pump_jumps, shim_jumps);
    call->pumping = true;
    if (news(c)) { /* and nobody may leave bytes for us any more */
        call->pumping = false;
        mbr_store_release(&c->pump, (uint32_t)0);
        return 0;
    }
    r = real.recv(fd, &one, 1, MSG_PEEK);
    error = errno;
    call->pumping = false;
    mbr_store_release(&c->pump, (uint32_t)0);
    if (r > 0)
        shim_drain_free(c, fd);
    wake_followers(c);
    if (r > 0)
        return 0;
    if (r < 0 && (error == EINTR || error == EAGAIN))
        return -error;
    heard(c, r, error);
    return 0;
}

/* Looks for as long as looking has paid lately. */
static bool look(struct shim_conn *c, bool (*news)(struct shim_conn *c))
{
    uint64_t budget = shim_spin_budget(&c->spin);
    uint64_t begin = mbr__ticks();
    uint64_t yielded = 0;

    for (uint64_t ns = 0; ns < budget; ns = mbr__ticks_to_ns(mbr__ticks() - begin)) {
        if (!shim_spin_yield(&c->spin, &yielded, ns))
            break;
        for (int i = 0; i < 16; i++) {
            if (news(c)) {
                shim_spin_won(&c->spin);
                return true;
            }
            mbr_cpu_relax();
        }
    }
    return news(c);
}

void shim_let_go(struct shim_call *call, struct shim_lock **l)
{
    *l = call->lock;
    call->lock = NULL;
    shim_unlock(*l);
}

int shim_take_again(struct shim_call *call, struct shim_lock *l, int r)
{
    int err = shim_lock(call->c, l, true);

    /* It was ours before, so nothing but a broken invariant can keep us from it. */
    MBR_ASSERT(err == 0);
    call->lock = l;
    return r;
}

static int sleep_rx(struct shim_call *call, int fd)
{
    struct shim_conn *c = call->c;
    uint64_t begin = mbr__ticks();
    int r = 0;

    shim_park(c);
    call->parked = true;
    if (!rx_news(c))
        r = shim_kin_others(shim_kin(c)) ? doze(c, fd, rx_news, SO_RCVTIMEO)
                                         : pump(call, fd, rx_news);
    call->parked = false;
    shim_unpark(c);
    shim_spin_slept(&c->spin, mbr__ticks_to_ns(mbr__ticks() - begin));
    return r;
}

int shim_wait_rx(struct shim_call *call, int fd)
{
    struct shim_lock *l;
    int r = 0;

    shim_let_go(call, &l);
    if (!look(call->c, rx_news)) {
        bool noted = shim_blocks(call->c);

        r = sleep_rx(call, fd);
        shim_unblocks(noted);
    }
    return shim_take_again(call, l, r);
}

/* A peer that is gone takes nothing any more: a byte to its socket makes the kernel say so. */
static int ask_the_dead(struct shim_conn *c, int fd)
{
    if (shim_quiet_send(fd, "", 1) < 0 && errno != EAGAIN) {
        mbr_store_relaxed(&c->tx_broken, (uint32_t)errno);
        return 0;
    }
    return shim_quiet_nap(1000000) < 0 ? -EINTR : 0;
}

/* While the byte that comes next is somebody else's (the stream's, or for one who sleeps in a
 * poll()): a short nap instead of a wake-up, from which only the peer's end wakes. */
static int nap(struct shim_conn *c, int fd)
{
    struct timespec ts = {.tv_nsec = 200000};
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    int r = real.ppoll(&p, 1, &ts, NULL);

    if (r < 0)
        return -errno;
    if (r > 0) {
        shim_drain_free(c, fd);
        if (!c->rx_end)
            (void)shim_quiet_nap(200000);
    }
    return 0;
}

static int sleep_tx(struct shim_call *call, int fd)
{
    struct shim_conn *c = call->c;

    if (tx_news(c) || c->tx_broken)
        return 0;
    if (c->rx_end)
        return ask_the_dead(c, fd);
    if (!shim_rx_in_ring(c)) {
        shim_conn_phase(c);
        return shim_rx_in_ring(c) ? 0 : nap(c, fd);
    }
    /* The timeouts of the socket are the kernel's affair only where recv() itself blocks. */
    if (c->timed || shim_kin_others(shim_kin(c)))
        return doze(c, fd, tx_news, SO_SNDTIMEO);
    return mbr_load_relaxed(&c->sleepers) > 0 ? nap(c, fd) : pump(call, fd, tx_news);
}

int shim_wait_tx(struct shim_call *call, int fd)
{
    struct shim_lock *l;
    int r = 0;

    shim_let_go(call, &l);
    if (!look(call->c, tx_news)) {
        bool noted = shim_blocks(call->c);

        mbr_fetch_add(&call->c->starved, 1);
        shim_park_tx(call->c);
        r = sleep_tx(call, fd);
        shim_unblocks(noted);
    }
    return shim_take_again(call, l, r);
}

static int nap_back(struct shim_call *call, int fd, short events)
{
    struct shim_conn *c = call->c;
    struct pollfd p = {.fd = fd, .events = events};
    int ms;

    if (call->until == 0) {
        ms = patience(c, fd, events & POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO);
        call->until = ms < 0 ? MBR__NEVER : mbr__deadline_ns((uint64_t)ms * 1000000);
    }
    if (shim_resending(c))
        p.events |= POLLOUT;
    if (call->until != MBR__NEVER && mbr__now_ns() >= call->until)
        return -EAGAIN;
    return real.poll(&p, 1, SHIM_KIN_SLICE_NS / 1000000) < 0 ? -errno : 0;
}

int shim_wait_back(struct shim_call *call, int fd, short events)
{
    struct shim_lock *l = call->lock;
    bool noted;
    int r;

    shim_let_go(call, &l);
    noted = shim_blocks(call->c);
    r = nap_back(call, fd, events);
    shim_unblocks(noted);
    return shim_take_again(call, l, r);
}

/* ---- room that nobody may announce ----------------------------------------------------------- */

static uint32_t dry; /* connections */

void shim_conn_dry(struct shim_conn *c)
{
    uint32_t no = 0;

    if (!shim_rx_in_ring(c) && mbr_cas(&c->dry, &no, (uint32_t)1))
        mbr_fetch_add(&dry, 1);
}

void shim_conn_wet(struct shim_conn *c)
{
    uint32_t yes = 1;

    if (mbr_cas(&c->dry, &yes, (uint32_t)0))
        mbr_fetch_add(&dry, UINT32_MAX);
}

bool shim_conn_any_dry(void)
{
    return mbr_load_relaxed(&dry) > 0;
}

/* ---- readiness ------------------------------------------------------------------------------- */

static uint32_t tx_ready(struct shim_conn *c)
{
    int64_t room;

    if (mbr_load_relaxed(&c->own->left) == SHIM_LEFT_RING)
        return 0; /* until the kernel has taken all of the ring */
    if (c->tx_broken || (shim_shut(c) & SHIM_SHUT_WR))
        return EPOLLOUT;
    room = shim_room(c);
    return room < 0 || (uint64_t)room >= c->size / 4 ? EPOLLOUT : 0;
}

uint32_t shim_conn_ready(struct shim_conn *c)
{
    bool fin = mbr_load_acquire(&c->peer->fin) || mbr_load_acquire(&c->rx_end);
    int64_t avail = mbr_load_relaxed(&c->own->frozen) ? 0 : shim_avail(c);
    uint32_t ready = avail != 0 ? EPOLLIN | EPOLLRDNORM : 0;

    if (fin || c->rx_error != 0 || (shim_shut(c) & SHIM_SHUT_RD))
        ready |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (c->rx_error != 0)
        ready |= EPOLLERR | EPOLLHUP;
    if (fin && (shim_shut(c) & SHIM_SHUT_WR))
        ready |= EPOLLHUP;
    if (shim_tx_in_ring(c) && tx_ready(c))
        ready |= EPOLLOUT | EPOLLWRNORM;
    return ready;
}
