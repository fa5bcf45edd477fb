/* SPDX-License-Identifier: MIT */
/*
 * poll, ppoll, select and pselect. What is upgraded is looked at in memory, the rest by the
 * kernel's poll; before it sleeps, the peers are told to wake us. The bits of POLL* and EPOLL* are
 * the same.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "blind.h"
#include "calls.h"
#include "conn.h"
#include "epoll.h"
#include "epoll_members.h"
#include "jumps.h"
#include "real.h"

#define FEW     32    /* descriptors for which no memory is needed */
#define TURN_NS 8000u /* while looking, the kernel is asked so often */

void __chk_fail(void) __attribute__((noreturn));
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask,
                size_t room);

/* What a thread holds while it polls: where it finds it again if a signal handler jumps out. */
struct held {
    struct shim_conn *conn[FEW];
    uint8_t how[FEW];
    nfds_t n;
    uint32_t jumps; /* of the thread when it began (jumps.h) */
    bool used;
};
static __thread struct held ours __attribute__((tls_model("initial-exec")));

/* How one waits for a connection: not yet; its peer has been told; and it is counted as asleep, to
 * be woken by any byte. */
enum { AWAKE, PARKED, ASLEEP };

struct set {
    struct pollfd *fds; /* the program's */
    nfds_t n;
    struct pollfd *kernel;   /* what the kernel is asked */
    struct shim_conn **conn; /* with references; NULL: the kernel's alone */
    uint8_t *how;
    uint64_t deadline;
    const sigset_t *mask;
    struct held *held; /* conn and how are its arrays; NULL others */
    bool vain;         /* the kernel has said what nobody asked for */
    void *memory;      /* of the arrays, or NULL */
};

/* ---- what is whose --------------------------------------------------------------------------- */

/* Whether any of them is more than the kernel's. */
static bool concerns_us(const struct pollfd *fds, nfds_t n)
{
    for (nfds_t i = 0; i < n; i++) {
        struct shim_object *o = fds[i].fd >= 0 ? shim_table_peek(fds[i].fd) : NULL;

        if (o == NULL)
            continue;
        if (o->kind == SHIM_EPOLL ||
            mbr_load_relaxed(&((struct shim_conn *)(void *)o)->mode) != SHIM_PLAIN)
            return true;
    }
    return false;
}

static void gather(struct set *s)
{
    for (nfds_t i = 0; i < s->n; i++) {
        struct shim_epoll *e;

        s->conn[i] = shim_conn_busy(s->fds[i].fd);
        if (s->conn[i] != NULL || (e = shim_epoll_get(s->fds[i].fd)) == NULL)
            continue;
        shim_epoll_watched(e);
        shim_unref(&e->object);
    }
}

static void put(struct shim_conn **at)
{
    struct shim_conn *c = *at;

    *at = NULL; /* a jump may come at any point: once at most */
    if (c != NULL)
        shim_conn_put(c);
}

static void release(struct set *s)
{
    for (nfds_t i = 0; i < s->n; i++)
        put(&s->conn[i]);
    if (s->held != NULL)
        s->held->used = false;
}

static void rise(struct shim_conn *c, uint8_t *how, bool saw)
{
    uint8_t was = *how;

    *how = AWAKE; /* as above */
    if (was == PARKED)
        shim_unpark(c);
    else if (was == ASLEEP)
        shim_sleep_end(c, SHIM_ASLEEP_RX, saw);
}

/* What is left of a poll that a handler has jumped out of. */
static void let_go(struct held *h)
{
    h->used = false;
    for (nfds_t i = 0; i < h->n; i++) {
        rise(h->conn[i], &h->how[i], false);
        put(&h->conn[i]);
    }
}

void shim_poll_jumped(void)
{
    if (ours.used && ours.jumps != shim_jumps)
        let_go(&ours);
}

/* The thread's own array, unless it is large, or this is a handler that has interrupted a poll. */
static void hold(struct set *s)
{
    if (s->n > FEW)
        return;
    shim_poll_jumped();
    if (ours.used)
        return;
    memset(ours.conn, 0, s->n * sizeof(struct shim_conn *));
    memset(ours.how, AWAKE, s->n);
    ours.n = s->n;
    ours.jumps = shim_jumps;
    s->held = &ours;
    s->conn = ours.conn;
    s->how = ours.how;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ours.used = true;
}

/* ---- readiness ------------------------------------------------------------------------------- */

/* Back to the kernel, as far as it goes now. */
static void settle(struct shim_conn *c, int fd)
{
    if (mbr_load_acquire(&c->mode) != SHIM_RING || shim_own(c) == NULL ||
        mbr_load_acquire(&c->peer) == NULL || !shim_unsettled(c))
        return;
    (void)shim_settle(c, fd);
    shim_tidy(c, fd);
}

static short from_memory(struct shim_conn *c, int fd, short events)
{
    shim_conn_phase(c);
    settle(c, fd);
    shim_heat(c, fd);
    if (!shim_rx_in_ring(c) && !shim_tx_in_ring(c))
        return 0;
    if (!shim_rx_in_ring(c) && mbr_load_relaxed(&c->dry) && (events & (POLLOUT | POLLWRNORM)))
        (void)shim_doubt(c, fd);
    if (!shim_rx_in_ring(c)) /* what comes is the kernel's to report */
        return (short)(shim_conn_ready(c) & (uint16_t)events & (POLLOUT | POLLWRNORM));
    return (short)(shim_conn_ready(c) & (uint16_t)(events | POLLERR | POLLHUP));
}

static int look_at_memory(struct set *s)
{
    int ready = 0;

    for (nfds_t i = 0; i < s->n; i++) {
        s->fds[i].revents = 0;
        if (s->conn[i] != NULL)
            s->fds[i].revents = from_memory(s->conn[i], s->fds[i].fd, s->fds[i].events);
        ready += s->fds[i].revents != 0;
    }
    return ready;
}

/* What the kernel is asked of an upgraded connection: whether a wake-up byte has come. */
static short asked(const struct set *s, nfds_t i)
{
    struct shim_conn *c = s->conn[i];
    short out = POLLOUT | POLLWRNORM;
    short events = s->fds[i].events;

    if (s->how[i] == ASLEEP)
        events |= POLLIN;
    if (!shim_tx_in_ring(c))
        return events;
    if (shim_resending(c))
        return (short)((events & POLLIN) | POLLOUT);
    if ((events & out) && (shim_rx_in_ring(c) || !s->vain))
        events |= POLLIN;
    return (short)(events & ~out);
}

static void prepare(struct set *s)
{
    for (nfds_t i = 0; i < s->n; i++) {
        s->kernel[i] = (struct pollfd){.fd = s->fds[i].fd, .events = s->fds[i].events};
        if (s->conn[i] != NULL)
            s->kernel[i].events = asked(s, i);
    }
}

static short from_kernel(struct shim_conn *c, const struct pollfd *asked, short events)
{
    short out = POLLOUT | POLLWRNORM;
    short got = asked->revents;
    bool was = shim_tx_in_ring(c);

    shim_conn_phase(c);
    settle(c, asked->fd);
    if (was) /* it was not asked about the program's bytes */
        got = (short)(got & ~out);
    if (shim_rx_in_ring(c)) {
        if (got & ~out)
            shim_drain_free(c, asked->fd);
        return (short)((got & events & out) | from_memory(c, asked->fd, events));
    }
    if (shim_tx_in_ring(c))
        got = (short)((got & ~out) | ((short)shim_conn_ready(c) & out));
    return (short)(got & (events | POLLERR | POLLHUP | POLLNVAL));
}

static int merge(struct set *s)
{
    int ready = 0;

    for (nfds_t i = 0; i < s->n; i++) {
        s->fds[i].revents = s->kernel[i].revents;
        if (s->conn[i] != NULL)
            s->fds[i].revents = from_kernel(s->conn[i], &s->kernel[i], s->fds[i].events);
        ready += s->fds[i].revents != 0;
        s->vain |= s->fds[i].revents == 0 && s->kernel[i].revents != 0;
    }
    return ready;
}

/* ---- the wait -------------------------------------------------------------------------------- */

static uint64_t left(const struct set *s)
{
    uint64_t now;

    if (s->deadline == MBR__NEVER || s->deadline == 0)
        return s->deadline;
    now = mbr__now_ns();
    return s->deadline > now ? s->deadline - now : 0;
}

static void rise_all(struct set *s, bool woken)
{
    for (nfds_t i = 0; i < s->n; i++)
        rise(s->conn[i], &s->how[i], woken && (s->kernel[i].revents & POLLIN));
}

/* Before what has come is looked at: a wake-up byte can be taken only when nobody sleeps. */
static int ask_kernel(struct set *s, uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    int r;

    prepare(s);
    r = real.ppoll(s->kernel, s->n, ns == MBR__NEVER ? NULL : &ts, s->mask);
    r = r < 0 ? -errno : r;
    rise_all(s, r > 0);
    return r < 0 ? r : merge(s);
}

/* Who asks for bytes is woken by them also as long as they are the stream's. */
static bool park_one(struct set *s, nfds_t i)
{
    struct shim_conn *c = s->conn[i];

    if (!(s->fds[i].events & POLLIN) && !shim_rx_in_ring(c)) {
        shim_park(c);
        s->how[i] = PARKED;
    } else if (shim_sleep_begin(c, SHIM_ASLEEP_RX)) {
        s->how[i] = ASLEEP;
    } else {
        return false;
    }
    if ((s->fds[i].events & (POLLOUT | POLLWRNORM)) && shim_tx_in_ring(c))
        shim_park_tx(c);
    return true;
}

/* 0; 1 look once more, others have not come out yet; -EINTR. */
static int park(struct set *s)
{
    for (nfds_t i = 0; i < s->n; i++) {
        if (s->conn[i] == NULL || park_one(s, i))
            continue;
        rise_all(s, false);
        return shim_sleep_later(s->conn[i]) < 0 ? -EINTR : 1;
    }
    return 0;
}

static struct shim_spin *spin_of(const struct set *s)
{
    for (nfds_t i = 0; i < s->n; i++) {
        if (s->conn[i] != NULL && shim_rx_in_ring(s->conn[i]))
            return &s->conn[i]->spin;
    }
    return NULL;
}

/* Looks for a while, if that has paid lately. The first connection's memory of it serves for all.
 */
static int look(struct set *s, struct shim_spin *spin)
{
    uint64_t budget = spin != NULL ? shim_spin_budget(spin) : 0;
    uint64_t begin = mbr__ticks();
    uint64_t peeked = 0;
    uint64_t yielded = 0;
    uint64_t ns = 0;
    int r;

    if (budget == 0)
        return 0;
    do {
        r = look_at_memory(s);
        ns = mbr__ticks_to_ns(mbr__ticks() - begin);
        if (r == 0 && ns - peeked > TURN_NS) {
            peeked = ns;
            r = ask_kernel(s, 0);
        }
        if (r != 0) {
            shim_spin_won(spin);
            return r;
        }
        if (!shim_spin_yield(spin, &yielded, ns))
            break;
        mbr_cpu_relax();
    } while (ns < budget && left(s) != 0);
    return 0;
}

/* How long to sleep at a time. */
static uint64_t slice(const struct set *s)
{
    uint64_t ns = left(s);

    for (nfds_t i = 0; i < s->n && ns > SHIM_KIN_SLICE_NS; i++) {
        if (s->conn[i] != NULL && shim_crowded(s->conn[i]))
            ns = SHIM_KIN_SLICE_NS;
    }
    return ns;
}

static int sleep_once(struct set *s, struct shim_spin *spin)
{
    uint64_t begin = mbr__ticks();
    int r = park(s);

    if (r != 0)
        return r < 0 ? r : 0;
    r = look_at_memory(s);
    r = ask_kernel(s, r > 0 ? 0 : slice(s));
    if (spin != NULL)
        shim_spin_slept(spin, mbr__ticks_to_ns(mbr__ticks() - begin));
    return r;
}

static int wait_set(struct set *s)
{
    struct shim_spin *spin = spin_of(s);

    for (;;) {
        int r = look_at_memory(s);
        bool over = left(s) == 0;

        if (r == 0 && !over)
            r = look(s, spin);
        /* What was there another thread may have taken meanwhile. */
        if (r > 0 || over)
            r = ask_kernel(s, 0);
        else if (r == 0)
            r = sleep_once(s, spin);
        if (r != 0 || over)
            return r;
    }
}

/* Also when the thread is cancelled in the kernel's wait. */
static void set_end(struct set *s)
{
    int error = errno;

    rise_all(s, false);
    release(s);
    free(s->memory);
    errno = error;
}

static int poll_ours(struct pollfd *fds, nfds_t n, uint64_t ns, const sigset_t *mask)
{
    SHIM_BLIND;
    struct pollfd few[FEW];
    struct shim_conn *few_conns[FEW];
    uint8_t few_hows[FEW] = {AWAKE};
    struct set s __attribute__((cleanup(set_end))) = {0};
    int error = errno;
    int r;

    s = (struct set){.fds = fds,
                     .n = n,
                     .kernel = few,
                     .conn = few_conns,
                     .how = few_hows,
                     .deadline = ns == 0 ? 0 : mbr__deadline_ns(ns),
                     .mask = mask};
    if (n > FEW) {
        s.memory = calloc(n, sizeof(*s.kernel) + sizeof(struct shim_conn *) + sizeof(*s.how));
        if (s.memory == NULL) {
            s.n = 0;
            errno = ENOMEM;
            return -1;
        }
        s.kernel = s.memory;
        s.conn = (struct shim_conn **)(void *)(s.kernel + n);
        s.how = (uint8_t *)(s.conn + n);
    }
    hold(&s);
    gather(&s);
    r = wait_set(&s);
    errno = r < 0 ? -r : error;
    return r < 0 ? -1 : r;
}

/* A limit on n keeps what the program passes from being read where the kernel would refuse it. */
static bool is_ours(const struct pollfd *fds, nfds_t n)
{
    return fds != NULL && n > 0 && n <= 1u << 20 && concerns_us(fds, n);
}

SHIM_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    shim_ready();
    if (!is_ours(fds, n))
        return real.poll(fds, n, timeout);
    return poll_ours(fds, n, timeout < 0 ? MBR__NEVER : (uint64_t)timeout * 1000000, NULL);
}

SHIM_ALIAS(poll);

SHIM_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
    if (room / sizeof(*fds) < n)
        __chk_fail();
    return poll(fds, n, timeout);
}

static bool valid_time(const struct timespec *ts)
{
    return ts == NULL || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000);
}

static uint64_t ns_of(const struct timespec *ts)
{
    if (ts == NULL || ts->tv_sec > 1000000000)
        return MBR__NEVER;
    return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

SHIM_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
    shim_ready();
    if (!valid_time(ts) || !is_ours(fds, n))
        return real.ppoll(fds, n, ts, mask);
    return poll_ours(fds, n, ns_of(ts), mask);
}

SHIM_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *ts,
                            const sigset_t *mask, size_t room)
{
    if (room / sizeof(*fds) < n)
        __chk_fail();
    return ppoll(fds, n, ts, mask);
}

/* ---- select ---------------------------------------------------------------------------------- */

#define SELECT_IN  (POLLIN | POLLRDNORM)
#define SELECT_OUT (POLLOUT | POLLWRNORM)

static bool in_set(int fd, const fd_set *set)
{
    return set != NULL && FD_ISSET(fd, set);
}

static nfds_t to_poll(int n, const fd_set *in, const fd_set *out, const fd_set *except,
                      struct pollfd *fds)
{
    nfds_t count = 0;

    for (int fd = 0; fd < n; fd++) {
        int events = (in_set(fd, in) ? SELECT_IN : 0) | (in_set(fd, out) ? SELECT_OUT : 0) |
                     (in_set(fd, except) ? POLLPRI : 0);

        if (events != 0)
            fds[count++] = (struct pollfd){.fd = fd, .events = (short)events};
    }
    return count;
}

static int put_back(fd_set *set, int fd, bool on)
{
    if (set == NULL || !FD_ISSET(fd, set))
        return 0;
    if (on)
        return 1;
    FD_CLR(fd, set);
    return 0;
}

/* An end and an error make a descriptor readable, an error writable: as the kernel has it. */
static int from_poll(const struct pollfd *fds, nfds_t n, fd_set *in, fd_set *out, fd_set *except)
{
    int count = 0;

    for (nfds_t i = 0; i < n; i++) {
        short r = fds[i].revents;

        count += put_back(in, fds[i].fd, r & (SELECT_IN | POLLHUP | POLLERR));
        count += put_back(out, fds[i].fd, r & (SELECT_OUT | POLLERR));
        count += put_back(except, fds[i].fd, r & POLLPRI);
    }
    return count;
}

static int select_ours(struct pollfd *fds, nfds_t n, fd_set *in, fd_set *out, fd_set *except,
                       uint64_t ns, const sigset_t *mask)
{
    int r = poll_ours(fds, n, ns, mask);

    if (r < 0)
        return r;
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents & POLLNVAL) {
            errno = EBADF;
            return -1;
        }
    }
    return from_poll(fds, n, in, out, except);
}

SHIM_EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *tv)
{
    struct pollfd fds[FD_SETSIZE];
    nfds_t count;
    uint64_t ns = MBR__NEVER;
    uint64_t begin;
    int r;

    shim_ready();
    if (n < 0 || n > FD_SETSIZE || (tv != NULL && (tv->tv_sec < 0 || tv->tv_usec < 0)))
        return real.select(n, in, out, except, tv);
    count = to_poll(n, in, out, except, fds);
    if (!is_ours(fds, count))
        return real.select(n, in, out, except, tv);
    if (tv != NULL && tv->tv_sec <= 1000000000)
        ns = (uint64_t)tv->tv_sec * 1000000000 + (uint64_t)tv->tv_usec * 1000;
    begin = mbr__now_ns();
    r = select_ours(fds, count, in, out, except, ns, NULL);
    if (tv != NULL && ns != MBR__NEVER) { /* Linux says how much time was left */
        uint64_t used = mbr__now_ns() - begin;
        uint64_t rest = used < ns ? ns - used : 0;

        tv->tv_sec = (time_t)(rest / 1000000000);
        tv->tv_usec = (suseconds_t)(rest % 1000000000 / 1000);
    }
    return r;
}

SHIM_EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *ts,
                        const sigset_t *mask)
{
    struct pollfd fds[FD_SETSIZE];
    nfds_t count;

    shim_ready();
    if (n < 0 || n > FD_SETSIZE || !valid_time(ts))
        return real.pselect(n, in, out, except, ts, mask);
    count = to_poll(n, in, out, except, fds);
    if (!is_ours(fds, count))
        return real.pselect(n, in, out, except, ts, mask);
    return select_ours(fds, count, in, out, except, ns_of(ts), mask);
}
