/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a connection: through the kernel and counted while it is eligible, through the rings
 * once it is upgraded, and the point in between.
 *
 * Each direction switches by itself. Its writer notes how many bytes it has sent through the kernel
 * (`start`) and says `switched`; from then on it puts bytes into its ring, and a byte that it
 * still sends through the kernel means "look". Its reader takes `start` bytes from the kernel and
 * drops what follows. The writer says `switched` before it sends the first such byte, and the
 * reader looks at `switched` after it has received something, so it always knows which are which.
 *
 * Not here: waiting and wake-ups (sleep.c), how the ends found each other (upgrade.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "conn.h"
#include "epoll.h"
#include "hold.h"
#include "jumps.h"
#include "real.h"

/* With a peer that never sleeps we never enter the kernel, and would not hear of its death. */
#define ASK_NS   1000000u
#define LOOK_NS  20000 /* the kernel is asked no more often by who does not wait: nanoseconds */
#define DOUBT_NS 2000000u
#define SOON     10000 /* times that a thread gives way to one that is about to leave */

static size_t total(const struct iovec *iov, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* A copy of what is left of iov after `skip` bytes, in `out` (at least n entries; at most
 * IOV_SOME): its number of entries. */
#define IOV_SOME 64
static int rest_of(const struct iovec *iov, int n, size_t skip, struct iovec *out)
{
    int m = 0;

    for (int i = 0; i < n && m < IOV_SOME; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        out[m].iov_base = (char *)iov[i].iov_base + skip;
        out[m++].iov_len = iov[i].iov_len - skip;
        skip = 0;
    }
    return m;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* A byte through the kernel means "look" only once our own direction is in its ring: before, it
 * would be one of the stream. False: another thread is sending, through the kernel. One that sends
 * through the ring does not take long. */
static bool ring_room(struct shim_conn *c, int fd)
{
    int err = shim_lock(c, &c->tx, false);

    while (err == -EAGAIN && shim_tx_in_ring(c)) {
        mbr_cpu_relax();
        err = shim_lock(c, &c->tx, false);
    }
    if (err < 0)
        return false;
    if (c->tx_ring || shim_switch_tx(c))
        (void)shim_ring(c, fd);
    shim_unlock(&c->tx);
    return true;
}

/* Says to the peer that there is room, if it sleeps for it and there is enough to be worth it. */
static void tell_room(struct shim_conn *c, int fd, uint64_t avail)
{
    uint32_t asked;

    mbr_fence_full(); /* pair B: our head is out before we look whether somebody waits for it */
    asked = mbr_load_relaxed(&c->peer->tx_parked);
    if (asked == 0 || asked == c->rung_room || avail > c->peer_size / 4 * 3 ||
        mbr_load_relaxed(&c->peer->closed) != SHIM_CLOSED_NO)
        return;
    if (ring_room(c, fd))
        c->rung_room = asked;
}

/* Takes up to `avail` bytes out of the peer's ring. Its body is mapped twice over, so they lie in
 * one piece. */
static ssize_t take(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags,
                    uint64_t avail)
{
    uint64_t head = mbr_load_relaxed(&c->own->head);
    const uint8_t *from = mbr__region_body(&c->theirs) + head % c->peer_size;
    size_t done = 0;

    for (int i = 0; i < n && done < avail; i++) {
        size_t part = avail - done < iov[i].iov_len ? avail - done : iov[i].iov_len;

        if (!(flags & MSG_TRUNC)) /* which throws away, for TCP */
            memcpy(iov[i].iov_base, from + done, part);
        done += part;
    }
    if (!(flags & MSG_PEEK)) {
        mbr_store_release(&c->own->head, head + done); /* pair A: the bytes are copied */
        tell_room(c, fd, avail - done);
    }
    return (ssize_t)done;
}

/* What an empty ring means: 1 wait, 0 the end, or an error. */
static int empty(struct shim_conn *c)
{
    int error = shim_take_error(c);

    if (error != 0)
        return -error;
    return (shim_shut(c) & SHIM_SHUT_RD) || mbr_load_relaxed(&c->rx_end) ||
                   mbr_load_acquire(&c->peer->fin)
               ? 0
               : 1;
}

/* The ring has nothing for us any more, or nothing at the moment and somebody leaves. 0: the kernel
 * goes on with the stream; 1: nothing has changed; or an error. */
static int settle(struct shim_call *call, int fd, bool nonblock)
{
    struct shim_conn *c = call->c;

    shim_settle_locked(c, fd, true);
    if (!c->rx_ring)
        return 0;
    if (mbr_load_relaxed(&c->mode) == SHIM_LOST)
        return -ECONNRESET;
    if (!mbr_load_relaxed(&c->own->frozen) && mbr_load_acquire(&c->peer->left) == SHIM_LEFT_NO)
        return 1;
    if (mbr_load_relaxed(&c->rx_error) != 0 || mbr_load_relaxed(&c->rx_end))
        return 1;
    return nonblock ? -EAGAIN : shim_wait_back(call, fd, POLLIN);
}

/* What may still be taken from the ring. */
static int64_t readable(struct shim_conn *c)
{
    return mbr_load_relaxed(&c->own->frozen) ? 0 : shim_avail(c);
}

static ssize_t receive_ring(struct shim_call *call, int fd, const struct iovec *iov, int n,
                            int flags, bool nonblock, bool *again)
{
    struct shim_conn *c = call->c;

    for (;;) {
        /* The peer's last bytes were there before it said that they were the last. */
        bool left = mbr_load_acquire(&c->peer->left) != SHIM_LEFT_NO;
        bool ended = mbr_load_relaxed(&c->rx_end) || mbr_load_relaxed(&c->rx_error) != 0 ||
                     mbr_load_acquire(&c->peer->fin);
        int64_t avail = readable(c);
        int r;

        if (avail < 0)
            return avail;
        if (avail > 0)
            return take(c, fd, iov, n, flags, (uint64_t)avail);
        if (left || mbr_load_relaxed(&c->own->left) || mbr_load_relaxed(&c->own->frozen)) {
            r = settle(call, fd, nonblock);
            *again = r == 0;
            if (r <= 0)
                return r;
        }
        if (ended || (shim_shut(c) & SHIM_SHUT_RD))
            return empty(c);
        if (!nonblock) {
            r = shim_wait_rx(call, fd);
            if (r < 0)
                return r;
            continue;
        }
        if (mbr__ticks_to_ns(mbr__ticks() - mbr_load_relaxed(&c->looked)) < LOOK_NS)
            return -EAGAIN;
        shim_drain(c, fd);
        if (readable(c) == 0 && !mbr_load_relaxed(&c->rx_end) &&
            mbr_load_relaxed(&c->rx_error) == 0)
            return -EAGAIN;
    }
}

static void skipped_more(struct shim_conn *c, uint64_t n)
{
    mbr_store_relaxed(&c->own->skipped, mbr_load_relaxed(&c->own->skipped) + n);
}

/* Throws away `n` bytes that the kernel has for us. */
static void discard(struct shim_conn *c, int fd, size_t n)
{
    while (n > 0) {
        ssize_t r = shim_quiet_recv(fd, NULL, n, MSG_TRUNC);

        if (r <= 0)
            return;
        skipped_more(c, (uint64_t)r);
        n -= (size_t)r;
    }
}

/* Takes the first n of r bytes out of iov. */
static void cut_front(const struct iovec *iov, int count, size_t n, size_t r)
{
    int to = 0;
    size_t to_at = 0;
    size_t at = 0;

    for (int i = 0; i < count && at < r; i++) {
        for (size_t j = 0; j < iov[i].iov_len && at < r; j++, at++) {
            if (at < n)
                continue;
            while (to_at == iov[to].iov_len) {
                to++;
                to_at = 0;
            }
            ((char *)iov[to].iov_base)[to_at++] = ((const char *)iov[i].iov_base)[j];
        }
    }
}

/* We have never been in the peer's ring, and it has left it already. Of r bytes `due` came before
 * it, then perhaps bells (not behind bytes that were still to be read), then the copy of all that
 * is in the ring. */
static ssize_t never_enter(struct shim_conn *c, int fd, const struct iovec *iov, int n, ssize_t r,
                           uint64_t due, int flags)
{
    uint64_t bells =
        due == 0 ? mbr_load_relaxed(&c->peer->bells) - mbr_load_relaxed(&c->own->skipped) : 0;

    if (bells > (uint64_t)r)
        bells = (uint64_t)r;
    if (flags & MSG_PEEK) {
        if (bells > 0)
            discard(c, fd, bells);
        return bells > 0 ? 0 : r;
    }
    skipped_more(c, bells);
    mbr_store_relaxed(shim_rx_tcp(c), *shim_rx_tcp(c) + due);
    if ((uint64_t)r > due + bells)
        mbr_store_release(&c->own->rx_done, (uint32_t)1);
    if (bells > 0 && !(flags & MSG_TRUNC))
        cut_front(iov, n, bells, (size_t)r);
    return r - (ssize_t)bells;
}

/* Of r bytes that came through the kernel: how many are the stream's. */
static ssize_t sort_out(struct shim_conn *c, int fd, const struct iovec *iov, int n, ssize_t r,
                        int flags)
{
    const struct shim_half *peer = mbr_load_acquire(&c->peer);
    uint64_t *count = shim_rx_tcp(c);

    if (peer != NULL && shim_own(c) != NULL && mbr_load_acquire(&peer->switched)) {
        uint64_t due = mbr_load_relaxed(&peer->start) - *count;

        if (due < (uint64_t)r) { /* a start below the count is a lie: all are counted */
            if (shim_has_left(peer))
                return never_enter(c, fd, iov, n, r, due, flags);
            if (!(flags & MSG_PEEK))
                skipped_more(c, (uint64_t)r - due);
            else if (due == 0)
                discard(c, fd, (size_t)r);
            r = (ssize_t)due;
        }
    }
    if (!(flags & MSG_PEEK))
        mbr_store_relaxed(count, *count + (uint64_t)r);
    mbr_fence_full(); /* who makes our region meanwhile sees the count, or we see the region */
    shim_publish_taken(c);
    return r;
}

void shim_publish_taken(struct shim_conn *c)
{
    uint64_t count = *shim_rx_tcp(c);
    struct shim_half *own = shim_own(c);

    if (own == NULL || mbr_load_relaxed(&own->taken) == count)
        return;
    mbr_store_release(&own->taken, count);
    mbr_fence_full(); /* pair B: then we look whether the peer has switched */
}

/* What the kernel alone has to do with. One piece by the lesser call, which is cheaper, and which a
 * program that confines itself may allow alone. */
static ssize_t receive_kernel(int fd, const struct iovec *iov, int n, int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    ssize_t r = n == 1 ? real.recvfrom(fd, iov[0].iov_base, iov[0].iov_len, flags, NULL, NULL)
                       : real.recvmsg(fd, &m, flags);

    return r < 0 ? -errno : r;
}

/* Blocks with rx, where handlers may come. */
static ssize_t receive_allowed(int fd, const struct iovec *iov, int n, int flags)
{
    SHIM_ALLOWED;

    return receive_kernel(fd, iov, n, flags);
}

/* Through the kernel. 0 with *again: the stream goes on in the ring. */
static ssize_t receive_tcp(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags,
                           bool *again)
{
    bool noted = !(flags & MSG_DONTWAIT) && shim_blocks(c);
    ssize_t r = receive_allowed(fd, iov, n, flags);
    ssize_t data;

    shim_unblocks(noted);
    if (r <= 0)
        return r;
    data = sort_out(c, fd, iov, n, r, flags);
    if (data == 0) {
        shim_phase_locked(c);
        *again = true;
    }
    return data;
}

/* A call that got the last bytes from the kernel also gets those that are in the ring already, as
 * if they had never been apart. */
static ssize_t and_ring(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags,
                        ssize_t r)
{
    struct iovec rest[IOV_SOME];
    int m = rest_of(iov, n, (size_t)r, rest);
    int64_t avail;

    shim_phase_locked(c);
    if (!c->rx_ring || m == 0 || (flags & MSG_PEEK) || mbr_load_relaxed(&c->own->frozen))
        return r;
    avail = shim_avail(c);
    return avail > 0 ? r + take(c, fd, rest, m, flags, (uint64_t)avail) : r;
}

/* The stream has come back to the kernel. rx need not be held any more, and there is something to
 * do beside reading as long as the kernel has not taken all that we had sent. */
static ssize_t receive_back(struct shim_call *call, int fd, const struct iovec *iov, int n,
                            int flags, bool nonblock)
{
    struct shim_conn *c = call->c;
    struct shim_lock *l;
    bool noted;
    ssize_t r;

    shim_settle_locked(c, fd, true);
    while (!nonblock && shim_resending(c)) {
        r = receive_kernel(fd, iov, n, flags | MSG_DONTWAIT);
        if (r != -EAGAIN)
            return r;
        r = shim_wait_back(call, fd, POLLIN);
        if (r < 0)
            return r;
        shim_settle_locked(c, fd, true);
    }
    if (nonblock)
        return receive_kernel(fd, iov, n, flags | MSG_DONTWAIT);
    shim_let_go(call, &l);
    noted = shim_blocks(c);
    r = receive_kernel(fd, iov, n, flags);
    shim_unblocks(noted);
    (void)shim_take_again(call, l, 0);
    return r;
}

static bool is_back(struct shim_conn *c)
{
    return mbr_load_acquire(&c->mode) == SHIM_PLAIN ||
           (shim_own(c) != NULL && mbr_load_acquire(&c->own->rx_done));
}

static ssize_t receive_once(struct shim_call *call, int fd, const struct iovec *iov, int n,
                            int flags, bool nonblock)
{
    struct shim_conn *c = call->c;

    for (;;) {
        bool again = false;
        ssize_t r;

        shim_phase_locked(c);
        if (c->rx_ring) {
            r = receive_ring(call, fd, iov, n, flags, nonblock, &again);
            if (!again)
                return r;
            continue;
        }
        if (is_back(c))
            return receive_back(call, fd, iov, n, flags, nonblock);
        r = receive_tcp(c, fd, iov, n, flags | (nonblock ? MSG_DONTWAIT : 0), &again);
        if (!again)
            return r > 0 && !is_back(c) ? and_ring(c, fd, iov, n, flags, r) : r;
    }
}

/* MSG_WAITALL is our own doing, since the bytes may come from two places. */
static ssize_t receive_all(struct shim_call *call, int fd, const struct iovec *iov, int n,
                           int flags, bool nonblock)
{
    size_t want = total(iov, n);
    size_t got = 0;

    while (got < want) {
        struct iovec rest[IOV_SOME];
        int m = rest_of(iov, n, got, rest);
        ssize_t r = receive_once(call, fd, rest, m, flags & ~MSG_WAITALL, nonblock);

        if (r <= 0)
            return got > 0 ? (ssize_t)got : r;
        got += (size_t)r;
        if (flags & MSG_PEEK || nonblock)
            break;
    }
    return (ssize_t)got;
}

/* O_NONBLOCK belongs to the socket: another process may have changed it. */
static bool never_waits(struct shim_conn *c, int fd, int flags)
{
    if (flags & MSG_DONTWAIT)
        return true;
    if (shim_kin_crowd(shim_kin(c)))
        return (real.fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
    return mbr_load_relaxed(&c->nonblock) != 0;
}

/* For a call that never waits. Whoever is in a direction does not stay if it is in its ring; and if
 * the kernel has something for us he is about to leave, too. Else he blocks there, and so would we:
 * only then is it true that we must wait for news. */
static int lock_soon(struct shim_conn *c, struct shim_lock *l, int fd)
{
    bool receives = l == &c->rx;
    struct pollfd p = {.fd = fd, .events = receives ? POLLIN : POLLOUT};

    for (int i = 0;; i++) {
        bool in_ring = receives ? shim_rx_in_ring(c) : shim_tx_in_ring(c);
        int err = shim_lock(c, l, in_ring);

        if (err != -EAGAIN || i == SOON)
            return err;
        if (shim_quiet_poll(&p, 0) == 0 && !(receives ? shim_rx_in_ring(c) : shim_tx_in_ring(c)))
            return err;
        (void)sched_yield();
    }
}

/* Begins a call in one direction. */
static int begin(struct shim_call *call, struct shim_lock *l, int fd, bool nonblock)
{
    int err = nonblock ? lock_soon(call->c, l, fd) : shim_lock(call->c, l, true);

    if (err < 0) {
        if (l == &call->c->tx)
            mbr_fetch_add(&call->c->starved, 1);
        call->c = NULL;
        return nonblock ? -EAGAIN : err;
    }
    call->lock = l;
    return 0;
}

static void end(struct shim_call *call)
{
    shim_unlock(call->lock);
    call->c = NULL;
}

static ssize_t receive(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags)
{
    bool nonblock = never_waits(c, fd, flags);
    SHIM_CALL(call, c);
    ssize_t r = begin(&call, &c->rx, fd, nonblock);

    if (r < 0)
        return r;
    if (flags & MSG_WAITALL)
        r = receive_all(&call, fd, iov, n, flags, nonblock);
    else
        r = receive_once(&call, fd, iov, n, flags, nonblock);
    end(&call);
    return r;
}

ssize_t shim_receive(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags)
{
    int error = errno;
    ssize_t r;

    if (mbr_load_acquire(&c->mode) == SHIM_LOST)
        return -ECONNRESET;
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return receive_kernel(fd, iov, n, flags);
    r = receive(c, fd, iov, n, flags);
    shim_heat(c, fd);
    shim_tidy(c, fd);
    if (r > 0 && (mbr_load_relaxed(&c->named) || mbr_load_relaxed(&c->mode) == SHIM_ELIGIBLE))
        shim_upgrade(c, fd, false);
    errno = error;
    return r;
}

/* ---- sending --------------------------------------------------------------------------------- */

ssize_t shim_broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        (void)pthread_kill(pthread_self(), SIGPIPE);
    return -EPIPE;
}

/* Whether the peer reads no more, as far as we have heard. */
static bool gone(struct shim_conn *c)
{
    return mbr_load_relaxed(&c->tx_gone) || mbr_load_relaxed(&c->rx_end) ||
           mbr_load_relaxed(&c->peer->closed) != SHIM_CLOSED_NO;
}

/* What a byte through the kernel has met. If the kernel says "reset" only because of a wake-up byte
 * that the peer had not read it is excused. */
static void rung(struct shim_conn *c, ssize_t r)
{
    if (r == 1 || errno == EAGAIN || errno == EINTR)
        return;
    if (mbr_load_relaxed(&c->excuse))
        mbr_store_relaxed(&c->excuse, (uint32_t)0);
    else
        mbr_store_relaxed(&c->tx_broken, (uint32_t)errno);
}

/* Before bytes for a peer that is gone. The first byte to a socket that is closed by now succeeds
 * and makes the kernel say so; the next fails: as with the bytes of a stream. */
static void ring_gone(struct shim_conn *c, int fd)
{
    /* Who is gone does not count any more, unless its end is that of what it had left its ring for.
     */
    bool last = mbr_load_relaxed(&c->peer->left) == SHIM_LEFT_NO;

    rung(c, last ? shim_quiet_send(fd, "", 1) : shim_ring(c, fd));
}

/* The kernel says both that a peer sends no more and that it is dead by the same end. A bell makes
 * a difference: one who lives drops it, for the dead the kernel answers with a reset. Where no bell
 * may be sent the peer has bytes unread, for which its death is a reset anyway. */
bool shim_doubt_locked(struct shim_conn *c, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    uint64_t now = mbr__ticks();

    if (shim_rx_in_ring(c) || mbr__ticks_to_ns(now - mbr_load_relaxed(&c->doubted)) < DOUBT_NS)
        return false;
    mbr_store_relaxed(&c->doubted, now);
    if (shim_quiet_poll(&p, 0) <= 0)
        return false;
    if (!(p.revents & (POLLERR | POLLHUP))) {
        (void)shim_ring(c, fd);
        return false;
    }
    /* Its kernel knows of no bytes unread, and says nothing of a reset. */
    if (mbr_load_relaxed(&c->peer->closed) == SHIM_CLOSED_NO &&
        mbr_load_acquire(&c->peer->head) != mbr_load_relaxed(&c->own->tail))
        mbr_store_relaxed(&c->rx_error, ECONNRESET);
    mbr_store_relaxed(&c->tx_gone, (uint32_t)1);
    return true;
}

bool shim_doubt(struct shim_conn *c, int fd)
{
    bool gone;

    if (shim_rx_in_ring(c) || shim_lock(c, &c->tx, false) < 0)
        return false;
    gone = c->tx_ring && shim_doubt_locked(c, fd);
    shim_unlock(&c->tx);
    return gone;
}

/* After new bytes: wakes the peer if it sleeps, and now and then asks whether it still lives. */
static void tell_data(struct shim_conn *c, int fd)
{
    uint32_t asked;
    char one;

    mbr_fence_full(); /* pair B: the bytes are out before we look whether somebody sleeps */
    asked = mbr_load_relaxed(&c->peer->rx_parked);
    if (asked != 0 && asked != c->rung_data && shim_may_ring(c)) {
        c->rung_data = asked;
        rung(c, shim_ring(c, fd)); /* not if the peer is about to close, and has had the bytes */
        return;
    }
    if (mbr_load_relaxed(&c->peer->closed) == SHIM_CLOSED_NO) {
        uint64_t now = mbr__ticks();

        if (mbr__ticks_to_ns(now - c->asked) < ASK_NS)
            return;
        c->asked = now;
        if (!shim_rx_in_ring(c)) /* it may have shut down its sending alone */
            (void)shim_doubt_locked(c, fd);
        else if (shim_quiet_recv(fd, &one, 1, MSG_PEEK) == 0)
            mbr_store_relaxed(&c->tx_gone, (uint32_t)1);
    }
}

/* Puts as much as there is room for into the ring. */
static size_t put(struct shim_conn *c, const struct iovec *iov, int n, size_t skip, uint64_t room)
{
    uint64_t tail = mbr_load_relaxed(&c->own->tail);
    uint8_t *to = mbr__region_body(&c->mine) + tail % c->size;
    size_t done = 0;

    for (int i = 0; i < n && done < room; i++) {
        size_t part = iov[i].iov_len;

        if (skip >= part) {
            skip -= part;
            continue;
        }
        part = part - skip < room - done ? part - skip : room - done;
        memcpy(to + done, (const char *)iov[i].iov_base + skip, part);
        done += part;
        skip = 0;
    }
    mbr_store_release(&c->own->tail, tail + done); /* pair A */
    return done;
}

/* No room: remembers it and asks for news. True: there is some after all. */
static bool starve(struct shim_conn *c)
{
    mbr_fetch_add(&c->starved, 1);
    shim_conn_dry(c);
    shim_park_tx(c);
    return shim_room(c) != 0;
}

static ssize_t send_allowed(int fd, const struct iovec *iov, int n, int flags)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    SHIM_ALLOWED;

    return n == 1 ? real.sendto(fd, iov[0].iov_base, iov[0].iov_len, flags, NULL, 0)
                  : real.sendmsg(fd, &m, flags);
}

static ssize_t send_tcp(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags)
{
    bool noted = !(flags & MSG_DONTWAIT) && shim_blocks(c);
    ssize_t r = send_allowed(fd, iov, n, flags);

    shim_unblocks(noted);
    if (r < 0) {
        r = -errno;
        mbr_fetch_add(&c->starved, 1); /* which may have moved when there is room */
        return r;
    }
    c->tx_tcp += (uint64_t)r;
    return r;
}

/* Through the kernel what is left after `done` bytes have gone through the ring. */
static ssize_t send_rest(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags,
                         size_t done)
{
    size_t want = total(iov, n);

    do {
        struct iovec rest[IOV_SOME];
        int m = rest_of(iov, n, done, rest);
        ssize_t r = send_tcp(c, fd, rest, m, flags);

        if (r <= 0)
            return done > 0 ? (ssize_t)done : r;
        done += (size_t)r;
        if ((size_t)r < total(rest, m))
            break;
    } while (done < want);
    return (ssize_t)done;
}

/* An end leaves its ring. 0: ours has left and is empty; 1: look again; 2: go on as before; or an
 * error. */
static int settle_send(struct shim_call *call, int fd, bool nonblock)
{
    struct shim_conn *c = call->c;
    int r;

    shim_settle_tx(c, fd, false);
    if (mbr_load_relaxed(&c->mode) == SHIM_LOST)
        return -ECONNRESET;
    if (!c->tx_ring)
        return 0;
    if (!shim_has_left(c->own))
        return 2;
    if (nonblock) {
        mbr_fetch_add(&c->starved, 1);
        return -EAGAIN;
    }
    r = shim_wait_back(call, fd, POLLOUT);
    return r < 0 ? r : 1;
}

/* No room, and no call of ours that would sleep and hear of it: whether that is because the peer is
 * gone. The kernel is asked as often as by a reader who finds nothing. */
static bool asks_in_vain(struct shim_conn *c, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    uint64_t now = mbr__ticks();

    if (mbr__ticks_to_ns(now - c->asked) < LOOK_NS)
        return false;
    c->asked = now;
    if (shim_doubt_locked(c, fd))
        return true;
    if (real.poll(&p, 1, 0) > 0)
        shim_drain_free(c, fd);
    return mbr_load_relaxed(&c->tx_broken) != 0;
}

/* Nothing can be sent: the reason, once; then 0. */
static int broken(struct shim_conn *c, int64_t room)
{
    int error = shim_take_error(c);

    if (error == 0 && (mbr_load_relaxed(&c->tx_broken) == ECONNRESET || room < 0))
        error = ECONNRESET;
    if (error != 0)
        mbr_store_relaxed(&c->tx_broken, (uint32_t)EPIPE);
    return -error;
}

static ssize_t send_ring(struct shim_call *call, int fd, const struct iovec *iov, int n, int flags,
                         bool nonblock)
{
    struct shim_conn *c = call->c;
    size_t want = total(iov, n);
    size_t done = 0;

    while (done < want) {
        int64_t room = shim_room(c);
        int r;

        if (shim_unsettled(c)) {
            r = settle_send(call, fd, nonblock);
            if (r == 0)
                return send_rest(c, fd, iov, n, flags, done);
            if (r < 0)
                return done > 0 ? (ssize_t)done : r;
            if (r == 1)
                continue;
        }
        if (mbr_load_relaxed(&c->tx_broken) || (shim_shut(c) & SHIM_SHUT_WR) || room < 0) {
            if (done > 0)
                break;
            r = broken(c, room);
            return r < 0 ? r : shim_broken_pipe(flags);
        }
        if (gone(c)) {
            ring_gone(c, fd);
            if (mbr_load_relaxed(&c->tx_broken))
                continue;
        }
        if (room > 0) {
            done += put(c, iov, n, done, (uint64_t)room);
            tell_data(c, fd);
            continue;
        }
        if (nonblock) {
            if (starve(c) || asks_in_vain(c, fd))
                continue;
            return done > 0 ? (ssize_t)done : -EAGAIN;
        }
        r = shim_wait_tx(call, fd);
        if (r < 0)
            return done > 0 ? (ssize_t)done : r;
    }
    return (ssize_t)done;
}

/* What is sent up to here is `start`. */
bool shim_switch_tx(struct shim_conn *c)
{
    if (mbr_load_acquire(&c->mode) != SHIM_RING && !shim_upgrade_done(c))
        return false;
    if (mbr_load_relaxed(&c->own->left) != SHIM_LEFT_NO)
        return false;
    mbr_store_relaxed(&c->own->start, c->tx_tcp);
    mbr_store_release(&c->own->switched, (uint32_t)1);
    mbr_store_release(&c->tx_ring, (uint32_t)1);
    mbr_store_relaxed(&c->heat, (uint32_t)1); /* room comes as a byte now: epolls must ask for it */
    return true;
}

void shim_send_end(struct shim_conn *c, int fd)
{
    mbr_store_release(&c->own->fin, (uint32_t)1);
    tell_data(c, fd);
}

static ssize_t transmit(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags)
{
    bool nonblock = never_waits(c, fd, flags);
    SHIM_CALL(call, c);
    ssize_t r = begin(&call, &c->tx, fd, nonblock);
    bool kernels;

    if (r < 0)
        return r;
    kernels = !c->tx_ring && !shim_switch_tx(c);
    if (!kernels && (flags & MSG_OOB)) /* which the kernel alone can send */
        shim_settle_tx(c, fd, true);
    if (kernels)
        r = send_tcp(c, fd, iov, n, flags);
    else if ((flags & MSG_OOB) && !shim_has_left(c->own))
        r = -EOPNOTSUPP;
    else
        r = send_ring(&call, fd, iov, n, flags, nonblock);
    end(&call);
    return r;
}

ssize_t shim_send(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags)
{
    int error = errno;
    ssize_t r;

    if (mbr_load_acquire(&c->mode) == SHIM_LOST)
        return -ECONNRESET;
    r = transmit(c, fd, iov, n, flags);
    shim_tidy(c, fd);
    if (r > 0 && (mbr_load_relaxed(&c->named) || mbr_load_relaxed(&c->mode) == SHIM_ELIGIBLE))
        shim_upgrade(c, fd, true);
    errno = error;
    return r;
}

bool shim_splice_kernel(struct shim_conn *c, int fd, int in, size_t n, unsigned flags,
                        ssize_t *result)
{
    SHIM_CALL(call, c);
    bool kernels;

    *result = begin(&call, &c->tx, fd, never_waits(c, fd, 0));
    if (*result < 0)
        return true;
    kernels = !c->tx_ring && !shim_switch_tx(c);
    if (kernels) {
        SHIM_ALLOWED;

        *result = real.splice(in, NULL, fd, NULL, n, flags);
        c->tx_tcp += *result > 0 ? (uint64_t)*result : 0;
        *result = *result < 0 ? -errno : *result;
    }
    end(&call);
    return kernels;
}
