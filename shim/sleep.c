/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the other end of an upgraded connection: looking for a while, then sleeping in the
 * kernel's own socket, where the peer's wake-up byte, its end, signals and the socket's timeouts
 * all arrive.
 *
 * A sleeper says so in its region (`rx_parked`, `tx_parked`: a number that is new each time), then
 * looks once more; the peer publishes, then looks for the number, and answers each number with one
 * byte (pair B).
 *
 * Several threads may sleep on one connection, for bytes or for room, in whatever call, and a byte
 * may be meant for any of them. So whoever takes one asks anew for all that somebody may wait for,
 * and then has those look who sleep in epolls, if there is something. Those who sleep on the socket
 * itself are woken by the byte alone: so it stays there until all of them have come out, and who
 * wants to sleep again meanwhile waits for that. The lock `park` keeps it exact: under it a byte is
 * taken, if nobody is asleep, and asked for again; and a sleeper is counted, before he asks.
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

#define NAP_NS   200000  /* the first one */
#define LATER_NS 1000000 /* who waits for others to come out looks so often: one may be stopped */

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

static void ask_data(struct shim_conn *c)
{
    mbr_fetch_add(&c->sleepers, 1);
    if (c->own != NULL)
        mbr_store_relaxed(&c->own->rx_parked, next_epoch(c));
}

/* An end that still reads from the kernel cannot be awake: its peer's switch comes as a byte. And
 * if there are others, they may sleep. */
static void ask_no_data(struct shim_conn *c)
{
    if (mbr_fetch_add(&c->sleepers, UINT32_MAX) == 1 && c->own != NULL && c->rx_ring &&
        !shim_kin_crowd(shim_kin(c)))
        mbr_store_relaxed(&c->own->rx_parked, (uint32_t)0);
}

void shim_park(struct shim_conn *c)
{
    bool mine = park_lock(c);

    ask_data(c);
    park_unlock(c, mine);
    mbr_fence_full(); /* pair B: the caller looks once more */
}

void shim_unpark(struct shim_conn *c)
{
    bool mine = park_lock(c);

    ask_no_data(c);
    park_unlock(c, mine);
}

void shim_park_tx(struct shim_conn *c)
{
    mbr_store_relaxed(&c->own->tx_parked, next_epoch(c));
    mbr_fence_full();
}

bool shim_sleep_begin(struct shim_conn *c, uint32_t how)
{
    bool mine = park_lock(c);
    bool now = !mbr_load_relaxed(&c->rung);

    if (now) {
        mbr_fetch_add(&c->asleep, 1);
        if (how & SHIM_ASLEEP_CALL)
            mbr_fetch_add(&c->pumps, 1);
        if (how & SHIM_ASLEEP_RX)
            ask_data(c);
    }
    park_unlock(c, mine);
    mbr_fence_full(); /* pair B, as above */
    return now;
}

void shim_sleep_end(struct shim_conn *c, uint32_t how, bool saw)
{
    bool mine = park_lock(c);
    uint32_t n = mbr_load_relaxed(&c->asleep);
    bool last = n <= 1;
    bool rung = mbr_load_relaxed(&c->rung) != 0;

    if (n > 0) /* a child that was made by a handler in here counts nobody */
        mbr_fetch_add(&c->asleep, UINT32_MAX);
    if (last || saw)
        mbr_store_relaxed(&c->rung, (uint32_t)!last);
    if ((how & SHIM_ASLEEP_CALL) && mbr_load_relaxed(&c->pumps) > 0)
        mbr_fetch_add(&c->pumps, UINT32_MAX);
    if (how & SHIM_ASLEEP_RX)
        ask_no_data(c);
    park_unlock(c, mine);
    if (!last || !rung)
        return;
    mbr_fetch_add(&c->bell, 1);
    mbr_fence_full(); /* who begins to wait now sees that it has changed */
    if (mbr_load_relaxed(&c->followers) > 0)
        (void)shim_kernel(SYS_futex, &c->bell, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

int shim_sleep_later(struct shim_conn *c)
{
    struct timespec ts = {.tv_nsec = LATER_NS};
    uint32_t seen = mbr_load_acquire(&c->bell);
    int r = 0;

    mbr_fetch_add(&c->followers, 1);
    mbr_fence_full();
    if (shim_awaited(c) && mbr_load_relaxed(&c->rung))
        r = (int)shim_kernel(SYS_futex, &c->bell, FUTEX_WAIT_PRIVATE, seen, &ts, NULL, 0);
    mbr_fetch_add(&c->followers, UINT32_MAX);
    return r < 0 && errno == EINTR ? -EINTR : 0;
}

bool shim_awaited(struct shim_conn *c)
{
    if (mbr_load_relaxed(&c->asleep) == 0)
        return false;
    shim_jumped(); /* it may be this thread, before it jumped out of there */
    shim_poll_jumped();
    return mbr_load_relaxed(&c->asleep) > 0;
}

bool shim_pumped(struct shim_conn *c)
{
    return shim_awaited(c) && mbr_load_acquire(&c->pumps) > 0;
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
        mbr_store_relaxed(&c->rx_error, error);
    else if (!mbr_load_relaxed(&c->tx_broken) && /* or a writer has said it */
             (closed == SHIM_CLOSED_RESET || (!all_read && (died || r < 0))))
        mbr_store_relaxed(&c->rx_error, ECONNRESET);
    if (mbr_load_relaxed(&c->rx_error) != 0)
        mbr_store_relaxed(&c->tx_broken, (uint32_t)EPIPE);
    else if (r < 0)
        mbr_store_relaxed(&c->excuse, (uint32_t)1);
    mbr_store_release(&c->rx_end, (uint32_t)1);
}

/* Bytes were taken, of which somebody else may have been meant: whoever sleeps is to be woken by
 * the next ones, too. True: there is room by now that somebody has asked for; it need not be asked
 * for any more, since nobody sleeps but in epolls. Under park, so that nobody begins to. */
static bool ask_again(struct shim_conn *c)
{
    struct shim_half *own = c->own;
    uint32_t asked = mbr_load_relaxed(&own->tx_parked);
    uint32_t anew = asked != 0 ? next_epoch(c) : 0;

    if (c->sleepers > 0 || shim_kin_crowd(shim_kin(c)))
        mbr_store_relaxed(&own->rx_parked, next_epoch(c));
    if (asked != 0) /* who asks just now keeps what he says */
        (void)mbr_cas(&own->tx_parked, &asked, anew);
    mbr_fence_full(); /* pair B: asked, then looked */
    if (asked == 0 || !(shim_conn_ready(c) & EPOLLOUT))
        return false;
    (void)mbr_cas(&own->tx_parked, &anew, 0);
    return true;
}

static bool any_data(struct shim_conn *c)
{
    return (shim_conn_ready(c) & ~(uint32_t)(EPOLLOUT | EPOLLWRNORM)) != 0;
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

/* The same unless somebody sleeps there: EAGAIN. And whether there is room that was asked for. */
static ssize_t take_alone(struct shim_conn *c, int fd, int *error, bool *room)
{
    bool mine = park_lock(c);
    ssize_t r = -1;

    *error = EAGAIN;
    if (mbr_load_relaxed(&c->asleep) == 0) {
        r = take_bells(c, fd);
        *error = errno;
        if (r > 0)
            *room = ask_again(c);
    }
    park_unlock(c, mine);
    return r;
}

void shim_drain(struct shim_conn *c, int fd)
{
    bool room = false;
    int error;
    ssize_t r;

    /* Who sleeps there would not see that something has come, and gone. */
    if (mbr_load_relaxed(&c->rx_end) || shim_awaited(c))
        return;
    if (mbr_load_acquire(&c->peer->left) != SHIM_LEFT_NO || mbr_load_relaxed(&c->own->frozen)) {
        shim_settle_locked(c, fd, false);
        return;
    }
    mbr_store_relaxed(&c->looked, mbr__ticks());
    r = take_alone(c, fd, &error, &room);
    if (r == 0 || (r < 0 && error != EAGAIN && error != EINTR))
        shim_kernel_end(c, r, error);
    else if (r > 0 && mbr_load_relaxed(&c->epolls) > 0 && (room || any_data(c)))
        mbr_store_relaxed(&c->heat, (uint32_t)1);
}

void shim_drain_free(struct shim_conn *c, int fd)
{
    if (shim_lock(c, &c->rx, false) < 0)
        return; /* its reader takes what there is */
    if (shim_rx_in_ring(c))
        shim_drain(c, fd);
    shim_unlock(&c->rx);
}

/* Where no lock is held. */
static void drain_and_tell(struct shim_conn *c, int fd)
{
    shim_drain_free(c, fd);
    shim_heat(c, fd);
}

/* ---- blocking -------------------------------------------------------------------------------- */

static bool rx_news(struct shim_conn *c)
{
    return shim_avail(c) != 0 || mbr_load_relaxed(&c->rx_end) ||
           mbr_load_relaxed(&c->rx_error) != 0 || (shim_shut(c) & SHIM_SHUT_RD) ||
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

static uint64_t end_of_patience(struct shim_conn *c, int fd, int option)
{
    int ms = patience(c, fd, option);

    return ms < 0 ? MBR__NEVER : mbr__deadline_ns((uint64_t)ms * 1000000);
}

/* Where another process may take the byte that is meant for us: looks by itself again and again. */
static int doze(struct shim_conn *c, int fd, bool (*news)(struct shim_conn *c), int option)
{
    uint64_t end = end_of_patience(c, fd, option);

    while (!news(c)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int r = real.poll(&p, 1, SHIM_KIN_SLICE_NS / 1000000);

        if (r < 0)
            return -errno;
        if (r > 0) {
            drain_and_tell(c, fd);
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

/* recv() has the timeout of receiving; that of sending is ours to keep. */
static ssize_t until_byte(struct shim_conn *c, int fd, bool sends)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char one;
    int r;

    if (!sends || !c->timed)
        return real.recv(fd, &one, 1, MSG_PEEK);
    r = real.poll(&p, 1, patience(c, fd, SO_SNDTIMEO));
    if (r > 0) {
        ssize_t n = real.recv(fd, &one, 1, MSG_PEEK | MSG_DONTWAIT);

        return n < 0 && errno == EAGAIN ? 1 : n;
    }
    if (r == 0)
        errno = EAGAIN;
    return -1;
}

static void asleep(struct shim_call *call, uint32_t how)
{
    call->asleep = how;
    shim_blocks_asleep(call->noted, how);
}

/* Blocks in the kernel for a wake-up byte or the end. */
static int pump(struct shim_call *call, int fd, bool sends)
{
    bool (*news)(struct shim_conn * c) = sends ? tx_news : rx_news;
    uint32_t how = sends ? SHIM_ASLEEP_CALL : SHIM_ASLEEP_CALL | SHIM_ASLEEP_RX;
    struct shim_conn *c = call->c;
    bool awake;
    ssize_t r = 1;
    int error = 0;

    if (!shim_sleep_begin(c, how)) {
        (void)shim_sleep_later(c);
        return 0;
    }
    asleep(call, how);
    if (sends)
        shim_park_tx(c);
    awake = news(c);
    if (!awake) {
        r = until_byte(c, fd, sends);
        error = errno;
    }
    asleep(call, SHIM_ASLEEP_NO);
    shim_sleep_end(c, how, !awake && r > 0);
    if (awake)
        return 0;
    if (r > 0)
        drain_and_tell(c, fd);
    else if (r < 0 && (error == EINTR || error == EAGAIN))
        return -error;
    else
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
    int r;

    if (shim_kin_others(shim_kin(c))) {
        shim_park(c);
        call->parked = true;
        r = doze(c, fd, rx_news, SO_RCVTIMEO);
        call->parked = false;
        shim_unpark(c);
    } else {
        r = pump(call, fd, false);
    }
    shim_spin_slept(&c->spin, mbr__ticks_to_ns(mbr__ticks() - begin));
    return r;
}

int shim_wait_rx(struct shim_call *call, int fd)
{
    struct shim_lock *l;
    int r = 0;

    shim_let_go(call, &l);
    if (!look(call->c, rx_news)) {
        call->noted = shim_blocks(call->c);
        r = sleep_rx(call, fd);
        shim_unblocks(call->noted);
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

/* As long as the byte that comes next may be the stream's, or the peer has no way to send one:
 * looks by itself, ever more rarely, and wakes from the peer's end. */
static int nap(struct shim_conn *c, int fd)
{
    uint64_t end = end_of_patience(c, fd, SO_SNDTIMEO);
    uint64_t ns = NAP_NS;
    int r = 0;

    while (r == 0 && !tx_news(c) && !shim_rx_in_ring(c)) {
        if (end != MBR__NEVER && mbr__now_ns() >= end)
            return -EAGAIN;
        struct timespec ts = {.tv_nsec = (long)ns};
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};

        r = real.ppoll(&p, 1, &ts, NULL);
        if (r > 0)
            (void)shim_quiet_nap((long)ns);
        ns = ns * 2 < SHIM_KIN_SLICE_NS ? ns * 2 : SHIM_KIN_SLICE_NS;
        shim_conn_phase(c);
        if (r > 0 && shim_doubt(c, fd))
            break;
    }
    return r < 0 ? -errno : 0;
}

static int sleep_tx(struct shim_call *call, int fd)
{
    struct shim_conn *c = call->c;

    if (tx_news(c) || mbr_load_relaxed(&c->tx_broken))
        return 0;
    if (mbr_load_relaxed(&c->rx_end))
        return ask_the_dead(c, fd);
    if (!shim_rx_in_ring(c))
        shim_conn_phase(c);
    if (!shim_rx_in_ring(c))
        return nap(c, fd);
    return shim_kin_others(shim_kin(c)) ? doze(c, fd, tx_news, SO_SNDTIMEO) : pump(call, fd, true);
}

int shim_wait_tx(struct shim_call *call, int fd)
{
    struct shim_lock *l;
    int r = 0;

    shim_let_go(call, &l);
    if (!look(call->c, tx_news)) {
        call->noted = shim_blocks(call->c);
        mbr_fetch_add(&call->c->starved, 1);
        shim_park_tx(call->c);
        r = sleep_tx(call, fd);
        shim_unblocks(call->noted);
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
    if (mbr_load_relaxed(&c->tx_broken) || mbr_load_relaxed(&c->tx_gone) ||
        (shim_shut(c) & SHIM_SHUT_WR))
        return EPOLLOUT;
    room = shim_room(c);
    return room < 0 || (uint64_t)room >= c->size / 4 ? EPOLLOUT : 0;
}

uint32_t shim_conn_ready(struct shim_conn *c)
{
    bool fin = mbr_load_acquire(&c->peer->fin) || mbr_load_acquire(&c->rx_end);
    int64_t avail = mbr_load_relaxed(&c->own->frozen) ? 0 : shim_avail(c);
    uint32_t ready = avail != 0 ? EPOLLIN | EPOLLRDNORM : 0;

    if (fin || mbr_load_relaxed(&c->rx_error) != 0 || (shim_shut(c) & SHIM_SHUT_RD))
        ready |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (mbr_load_relaxed(&c->rx_error) != 0)
        ready |= EPOLLERR | EPOLLHUP;
    if (fin && (shim_shut(c) & SHIM_SHUT_WR))
        ready |= EPOLLHUP;
    if (shim_tx_in_ring(c) && tx_ready(c))
        ready |= EPOLLOUT | EPOLLWRNORM;
    return ready;
}
