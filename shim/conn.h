/* SPDX-License-Identifier: MIT */
/*
 * A TCP socket of the process, as the shim sees it.
 *
 * Behind each is a real socket of the kernel under the same descriptor, and it begins as nothing
 * else: its address, its queue of connections, its errors and its end are the kernel's. Under
 * catloop a connection between two processes of one user is *eligible*: its bytes are counted, and
 * after the second exchange its ends try to find each other's memory (upgrade.c). Once both have,
 * bytes go through rings in shared memory (stream.c), and the kernel's socket carries only a byte
 * to wake a sleeper, and the news of the peer's death. When somebody needs the socket as it was the
 * connection goes back to it, for good (leave.c).
 *
 * Locks, in this order: rx, tx, up, park. Once a direction is in its ring its lock is not held
 * while a call sleeps. Before that it is: the kernel's bytes must be counted in the order in which
 * they came. After a fork rx and tx are taken in all processes (kin.h).
 */
#ifndef MBR_SHIM_CONN_H
#define MBR_SHIM_CONN_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/atomic.h"
#include "door.h"
#include "kin.h"
#include "latch.h"
#include "shm/region.h"
#include "spin.h"
#include "stream_shm.h"
#include "table.h"

enum shim_mode {
    SHIM_PLAIN = 0,    /* the kernel's alone; calls pass through */
    SHIM_ELIGIBLE = 1, /* the kernel's, counted, may be upgraded */
    SHIM_RING = 2,     /* upgraded; or on its way back, which ends with PLAIN */
    SHIM_LOST = 3,     /* upgraded before a fork, seen from the child: every call ECONNRESET */
};

enum shim_role { SHIM_NOBODY = 0, SHIM_CLIENT = 1, SHIM_SERVER = 2 };

/* Whether it is connected to a server of catloop: then it is the kernel's for good. */
enum shim_guest {
    SHIM_GUEST_NO = 0,
    SHIM_GUEST_NEW = 1,  /* the result of the connect has not been asked for */
    SHIM_GUEST_KNOWN = 2 /* it has */
};

/* One direction, locked against this process's threads and, if there is kin, against other
 * processes. */
struct shim_lock {
    uint32_t here;        /* a latch: a signal handler cannot wait for what it interrupted */
    pthread_mutex_t *kin; /* held as well, or NULL; under here */
    uint32_t jumps;       /* of its owner when he took it (jumps.h) */
};

struct shim_conn {
    struct shim_object object;
    struct shim_conn *made; /* of all that ever were: their memory is kept */
    uint32_t mode;          /* enum shim_mode; goes up, or to PLAIN */
    uint32_t role;
    uint32_t nonblock;     /* O_NONBLOCK as far as this process set it */
    uint32_t shut;         /* SHIM_SHUT_* that this process asked for */
    uint32_t no_delay;     /* what the program thinks TCP_NODELAY is */
    uint32_t rushed;       /* 1: the kernel has it set, whatever that is */
    uint32_t linger_reset; /* SO_LINGER with time 0 */
    uint32_t timed;        /* SO_RCVTIMEO or SO_SNDTIMEO was set */
    uint32_t guest;        /* enum shim_guest */
    uint16_t peer_port;    /* what that server's port is, if the kernel knows another; else 0 */
    struct shim_door door; /* of a listening socket */

    /* Receiving; under rx. */
    struct shim_lock rx;
    uint64_t rx_tcp;    /* bytes received through the kernel (without kin) */
    uint32_t rx_ring;   /* 1: what the peer sent through the kernel has been read; 0 again when
                           the rest comes through the kernel */
    uint32_t rx_end;    /* 1: the kernel says that the peer is gone */
    int rx_error;       /* an errno to be reported once, by whatever call comes first, or 0 */
    uint32_t heat;      /* 1: wake-up bytes were taken that an epoll may wait for */
    uint32_t rung_room; /* the peer's tx_parked we have answered */
    uint64_t looked;    /* ticks when the kernel was last asked */

    /* Sending; under tx. */
    struct shim_lock tx;
    uint64_t tx_tcp;
    uint32_t tx_ring;   /* 1: switched; 0 again when the ring has been emptied into the kernel */
    uint32_t rung_data; /* the peer's rx_parked we have answered */
    uint32_t tx_gone;   /* 1: the kernel says that the peer is gone */
    uint32_t tx_broken; /* an errno that every send gets, or 0 */
    uint32_t excuse;    /* 1: the next byte may fail without meaning anything */
    uint32_t dry;       /* 1: was starved before rx_ring, when the peer may be unable to ring */
    uint32_t starved;   /* how often there was no room: what edge-triggered EPOLLOUT counts */
    uint64_t asked;     /* ticks when the kernel was last asked whether the peer lives */
    uint64_t doubted;   /* the same, by who has no room and cannot be told of any */

    /* Sleeping; under park. */
    uint32_t park;     /* a latch */
    uint32_t sleepers; /* who must be woken through the kernel when bytes come */
    uint32_t epoch;
    uint32_t asleep;    /* threads in the kernel's waits from which a wake-up byte wakes them */
    uint32_t rung;      /* 1: some have come out for one that is still there, some have not yet */
    uint32_t bell;      /* futex: changes when they have */
    uint32_t followers; /* threads that wait for that */
    uint32_t pumps;     /* of those asleep: in a call that blocks */
    struct shim_spin spin;

    /* The upgrade; under up. */
    uint32_t up;     /* a latch */
    uint32_t ops;    /* transfers */
    uint32_t turns;  /* changes of their direction, the first one counted; no more than needed */
    bool sent;       /* the last one was ours */
    uint32_t epolls; /* memberships in epolls */
    struct mbr__region mine;
    struct mbr__region theirs;
    struct shim_half *own;        /* in mine, or NULL */
    const struct shim_half *peer; /* in theirs, or NULL; release after theirs is whole */
    uint64_t size;                /* bytes of our ring */
    uint64_t peer_size;           /* of theirs, from the region's size */
    uint64_t inode;               /* of the socket */
    uint32_t handed;              /* 1: a descriptor was made to be inherited */
    uint32_t untidy;              /* 1: has gone back, and its epolls do not know */
    struct shim_kin *kin;         /* in mine, after a fork; else NULL */
    uint32_t kin_late;            /* 1: this process got the connection from its parent */
    uint32_t departed; /* 1: left it in order to become another program; 2: as the last */
    uint32_t named;    /* a link is in the directory: */
    char name[120];
    uint32_t offer; /* its place in offers.c */

    /* While this process forks: */
    struct shim_conn *next_forked;
    uint32_t forking; /* 1: its locks are held */
};

enum { SHIM_SHUT_RD = 1, SHIM_SHUT_WR = 2 };

/* A fork may bring it while another thread waits. */
static inline struct shim_kin *shim_kin(const struct shim_conn *c)
{
    return mbr_load_acquire(&c->kin);
}

/* Our region once the peer may have it, from when on it stays; before, another thread may be making
 * it, or taking it back. Else NULL. */
static inline struct shim_half *shim_own(const struct shim_conn *c)
{
    return mbr_load_acquire(&c->peer) != NULL ? mbr_load_acquire(&c->own) : NULL;
}

/* What has been shut down, by whatever process. */
static inline uint32_t shim_shut(const struct shim_conn *c)
{
    return mbr_load_relaxed(&c->shut) | (shim_kin(c) != NULL ? mbr_load_relaxed(&c->kin->shut) : 0);
}

static inline void shim_shut_more(struct shim_conn *c, uint32_t what)
{
    mbr_fetch_or(&c->shut, what);
    if (shim_kin(c) != NULL)
        mbr_fetch_or(&c->kin->shut, what);
}

/* What `membrane shim` puts into the environment. */
struct shim_settings {
    bool rings;        /* catloop: eligible connections are upgraded */
    bool names;        /* catloop, and not switched off: programs that use catloop are met */
    bool off;          /* MEMBRANE_SHIM=off: everything passes through */
    uint64_t capacity; /* bytes of each ring */
};
extern struct shim_settings shim_settings;
void shim_settings_read(void);

/* A new connection for fd, with one slot; NULL: no memory, the descriptor passes through. */
struct shim_conn *shim_conn_new(int fd, bool nonblock, enum shim_mode mode, enum shim_role role);

/* The connection of fd with a reference if it is more than plain, else NULL. */
struct shim_conn *shim_conn_busy(int fd);
/* The connection of fd with a reference, or NULL. */
struct shim_conn *shim_conn_get(int fd);

static inline void shim_conn_put(struct shim_conn *c)
{
    shim_unref(&c->object);
}

/* The last reference went: unmap, keep the memory for the next one. */
void shim_conn_dead(struct shim_conn *c);

/* fd is about to be closed and is the last descriptor of c in this process: says goodbye to the
 * peer. The caller closes fd. */
void shim_conn_bye(struct shim_conn *c, int fd);

/* Keeps an eligible connection with the kernel for good. True unless it is upgraded already. */
bool shim_conn_pin(struct shim_conn *c);

/* Makes the locks, free; in a child, again. */
void shim_conn_locks(struct shim_conn *c);

/* Locks one direction. 0; -EAGAIN `wait` is false and somebody has it; -EDEADLK this thread has it,
 * and was interrupted by a signal handler. Never blocks for long once the direction is in its ring.
 */
int shim_lock(struct shim_conn *c, struct shim_lock *l, bool wait);
void shim_unlock(struct shim_lock *l);

/* Whether a thread is in a call that blocks until a wake-up byte comes. */
bool shim_pumped(struct shim_conn *c);
/* Whether any thread of this process sleeps in the kernel so that a wake-up byte is not to be taken
 * from there: it might sleep on. */
bool shim_awaited(struct shim_conn *c);

/* A call under way, so that pthread_cancel() can end it: a blocking call of the kernel then unwinds
 * through us, and shim_call_end(), as the cleanup of this variable, undoes what is set here. */
struct shim_call {
    struct shim_conn *c;    /* whose reference is given back; NULL: all done */
    struct shim_lock *lock; /* held */
    bool parked;
    bool noted;      /* by shim_blocks() */
    uint32_t asleep; /* SHIM_ASLEEP_* */
    uint64_t until;  /* when the socket's timeout is over; 0 not asked yet */
};
void shim_call_end(struct shim_call *call);
#define SHIM_CALL(name, conn) \
    struct shim_call name __attribute__((cleanup(shim_call_end))) = {.c = (conn)}

/* What has befallen the connection, for the first call that asks; reading or writing, as with the
 * kernel's sockets. An errno or 0. */
static inline int shim_take_error(struct shim_conn *c)
{
    return mbr_load_relaxed(&c->rx_error) != 0 ? mbr_exchange(&c->rx_error, 0) : 0;
}

/* How many bytes of the stream have come through the kernel. Under rx. */
static inline uint64_t *shim_rx_tcp(struct shim_conn *c)
{
    return shim_kin(c) != NULL ? &c->kin->rx_tcp : &c->rx_tcp;
}

/* ---- stream.c: bytes. All return 0 or more, or a negative errno; `fd` is c's descriptor. ---- */

ssize_t shim_receive(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags);
ssize_t shim_send(struct shim_conn *c, int fd, const struct iovec *iov, int n, int flags);

/* splice() from a pipe as long as the kernel has the bytes, which are counted. False: the ring has
 * them. */
bool shim_splice_kernel(struct shim_conn *c, int fd, int in, size_t n, unsigned flags,
                        ssize_t *result);

/* Leaves the kernel for the ring if the peer has committed: whether it has. Under tx. */
bool shim_switch_tx(struct shim_conn *c);
/* Says that nothing more is sent. Under tx, after the switch. */
void shim_send_end(struct shim_conn *c, int fd);

/* For who finds no room while our own reading is still the kernel's, where the peer's end may mean
 * that it has shut down its sending alone: whether the peer is gone (tx_gone). Not asked again
 * within 2 ms. Under tx; the other takes it if it is free. */
bool shim_doubt_locked(struct shim_conn *c, int fd);
bool shim_doubt(struct shim_conn *c, int fd);

/* Raises what write() raises with EPIPE, unless flags say MSG_NOSIGNAL. Returns -EPIPE. */
ssize_t shim_broken_pipe(int flags);

/* ---- sleep.c: when both sides have to wait ---- */

/* The kernel's end of the connection has come, with r and errno as recv gives them. Under rx. */
void shim_kernel_end(struct shim_conn *c, ssize_t r, int error);

/* Takes what wake-up bytes the kernel has for c, unless others are still to be woken by them, and
 * learns whether the peer is gone. What they may have been meant for is asked for again, or is
 * there by now: then c->heat says that epolls must look. Under rx, once rx_ring. Never blocks. */
void shim_drain(struct shim_conn *c, int fd);

/* The same where rx is not held: nothing if another thread has it. */
void shim_drain_free(struct shim_conn *c, int fd);

/* A thread is about to sleep in the kernel's wait for something to read from c's socket: bits are
 * RX to be woken by bytes (shim_park), CALL where it blocks in one call until then. False: not now,
 * see shim_sleep_later(). True: it is counted; it asks for room if it wants any, looks once more,
 * and says when it is back, and whether there was something to read. */
enum { SHIM_ASLEEP_NO = 0, SHIM_ASLEEP_RX = 1, SHIM_ASLEEP_CALL = 2 };
bool shim_sleep_begin(struct shim_conn *c, uint32_t how);
void shim_sleep_end(struct shim_conn *c, uint32_t how, bool saw);
/* Others have been woken and have not come out yet: waits for that, for a millisecond at most. 0 or
 * -EINTR. */
int shim_sleep_later(struct shim_conn *c);

/* After anything under rx, when it is released: has epolls look at c if wake-up bytes that were
 * meant for them have been taken. No lock of an epoll is held. */
void shim_heat(struct shim_conn *c, int fd);

/* Count and uncount a sleeper that the peer is to wake when it has sent something. */
void shim_park(struct shim_conn *c);
void shim_unpark(struct shim_conn *c);
/* Asks the peer to say when there is room. */
void shim_park_tx(struct shim_conn *c);

/* Blocks until there may be bytes (room). 0: look again; -EINTR, -EAGAIN a timeout of the socket.
 * The call's lock, which is rx (tx), is let go meanwhile. */
int shim_wait_rx(struct shim_call *call, int fd);
int shim_wait_tx(struct shim_call *call, int fd);

/* The call's lock is let go while it waits, and taken again; what the latter returns is r. */
void shim_let_go(struct shim_call *call, struct shim_lock **l);
int shim_take_again(struct shim_call *call, struct shim_lock *l, int r);

/* On the way back to the kernel: blocks until the kernel says one of `events`, or for a moment. */
int shim_wait_back(struct shim_call *call, int fd, short events);

/* What poll would say of a connection whose receiving side (and, as far as tx_ring, its sending
 * side) has left the kernel: EPOLL* bits. Any thread, no lock. */
uint32_t shim_conn_ready(struct shim_conn *c);

/* Notes that a connection has no room before the peer's switch has come; that it has some again, or
 * does not need this any more; whether there is any such one. */
void shim_conn_dry(struct shim_conn *c);
void shim_conn_wet(struct shim_conn *c);
bool shim_conn_any_dry(void);

/* If the peer has switched and everything from before is read: rx_ring. Takes rx if it is free. */
void shim_conn_phase(struct shim_conn *c);
/* The same under rx. */
void shim_phase_locked(struct shim_conn *c);
/* Tells the peer how much has been taken of what it has sent through the kernel. Under rx. */
void shim_publish_taken(struct shim_conn *c);

/* Whether the receiving side has left the kernel; the sending side. */
static inline bool shim_rx_in_ring(struct shim_conn *c)
{
    return mbr_load_acquire(&c->rx_ring) != 0;
}

static inline bool shim_tx_in_ring(struct shim_conn *c)
{
    return mbr_load_acquire(&c->tx_ring) != 0;
}

/* Whether this end has left its ring. */
static inline bool shim_has_left(const struct shim_half *h)
{
    return mbr_load_acquire(&h->left) == SHIM_LEFT_RING;
}

/* Whether there is something to settle (leave.c): an end has left, or is about to. c has both
 * regions. */
static inline bool shim_unsettled(const struct shim_conn *c)
{
    return (mbr_load_relaxed(&c->own->left) | mbr_load_relaxed(&c->peer->left)) != 0;
}

/* Whether the ring has been left and the kernel has not taken all of it. */
static inline bool shim_resending(struct shim_conn *c)
{
    return shim_tx_in_ring(c) && mbr_load_relaxed(&c->own->left) == SHIM_LEFT_RING;
}

/* Whether somebody else may take the byte that is to wake a sleeper: then sleep for no longer than
 * SHIM_KIN_SLICE_NS at a time. */
static inline bool shim_crowded(struct shim_conn *c)
{
    return shim_kin_others(shim_kin(c)) ||
           (shim_tx_in_ring(c) && !shim_rx_in_ring(c)) || /* the peer may be unable to ring */
           (mbr_load_acquire(&c->mode) == SHIM_RING && mbr_load_acquire(&c->peer) != NULL &&
            shim_own(c) != NULL && shim_unsettled(c));
}

/* Bytes to be read; -ECONNRESET the peer's index is impossible. */
static inline int64_t shim_avail(struct shim_conn *c)
{
    uint64_t n = mbr_load_acquire(&c->peer->tail) - mbr_load_relaxed(&c->own->head);

    return n <= c->peer_size ? (int64_t)n : -ECONNRESET;
}

/* Bytes that can be written; -ECONNRESET as above. */
static inline int64_t shim_room(struct shim_conn *c)
{
    uint64_t used = mbr_load_relaxed(&c->own->tail) - mbr_load_acquire(&c->peer->head);

    return used <= c->size ? (int64_t)(c->size - used) : -ECONNRESET;
}

/* ---- leave.c: back to the kernel. stream_shm.h has the protocol. ---- */

#define SHIM_RETURN_NS 100000000u /* for others that must do something meanwhile */

/* Whether the peer has taken what came before the ring: a byte then means "look". */
bool shim_may_ring(const struct shim_conn *c);
/* Sends such a byte, if it is wanted. 1 or -1 with errno. Under tx, once switched. */
ssize_t shim_ring(struct shim_conn *c, int fd);

/* Take what steps are due. Never block for long. Under tx, under rx, under neither; `wanted` leaves
 * also if the peer has not; `wait` waits for whoever is sending. The last: whether all is done. */
void shim_settle_tx(struct shim_conn *c, int fd, bool wanted);
void shim_settle_locked(struct shim_conn *c, int fd, bool wait);
bool shim_settle(struct shim_conn *c, int fd);

/* After any of them, when no lock is held, of an epoll neither: tells the epolls, and takes away
 * what is not needed any more. */
void shim_tidy(struct shim_conn *c, int fd);
/* c is dead: nobody needs to know any more. */
void shim_untidy_no_more(struct shim_conn *c);
/* Whether any connection of this process needs that. */
bool shim_any_untidy(void);

/* Lets our bytes go through the kernel from now on. False: not by the deadline (then later). */
bool shim_leave(struct shim_conn *c, int fd, uint64_t deadline);

/* The socket is about to be closed: the peer sends no bells any more, and those that it has sent
 * are taken, which the kernel would take for something unread. Waits for one that is on its way. */
void shim_silence(struct shim_conn *c, int fd);

/* Makes the connection the kernel's, so that its socket can be handed to others. True: it is, and
 * its mode is PLAIN. False: some SHIM_RETURN_NS did not suffice, because the peer, or a thread of
 * ours, is in the middle of something; it may be so later. With `alone` our other threads do not
 * matter. No lock is held. */
bool shim_return(struct shim_conn *c, int fd, bool alone);
/* The same with a deadline for several. */
bool shim_return_by(struct shim_conn *c, int fd, bool alone, uint64_t deadline);

/* ---- upgrade.c ---- */

/* After each successful transfer of an eligible connection, which was one of ours or of the peer: a
 * step on the way, now and then. */
void shim_upgrade(struct shim_conn *c, int fd, bool sent);
/* A server's end: whether the client has committed by now. Never blocks. */
bool shim_upgrade_done(struct shim_conn *c);
/* Releases what an upgrade, finished or not, has. */
void shim_upgrade_drop(struct shim_conn *c);
/* It has moved, and has gone back: what served the two ends to find each other goes. */
void shim_upgrade_tidy(struct shim_conn *c);
/* Takes its link out of the directory. */
void shim_upgrade_withdraw(struct shim_conn *c);

#endif
