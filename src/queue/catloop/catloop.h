/* SPDX-License-Identifier: MIT */
/*
 * Catloop: sockets between processes of one user, over shared memory. A bound socket is a link
 * "IP:PORT.s" (stream) or "IP:PORT.d" (datagram) in the directory of names, a connection is a pair
 * (pair.h), and a connection's data travels as that of a pipe.
 *
 * catloop.c makes, binds, connects and ends sockets; catloop_io.c moves bytes without operations
 * and has readiness and options; datagram.c is what is different for datagrams; name.c has the
 * links. A connection with a program under the shim is a socket of the kernel at both ends
 * (guest.h): then catloop's socket becomes one of catnap's.
 */
#ifndef MBR_CATLOOP_H
#define MBR_CATLOOP_H

#include "queue/catloop/address.h"
#include "queue/catloop/pair.h"
#include "queue/sock.h"
#include "shm/names.h"

#define MBR__DATAGRAM_RING   (UINT64_C(1) << 18) /* holds the longest datagram in one piece */
#define MBR__CATLOOP_FLOWS   64u   /* destinations that a datagram socket keeps a pair to */
#define MBR__CATLOOP_SENDERS 1024u /* pairs of senders that it has */

enum mbr__catloop_option {
    MBR__OPT_KEEPALIVE,
    MBR__OPT_REUSEADDR,
    MBR__OPT_REUSEPORT,
    MBR__OPT_RCVBUF,
    MBR__OPT_SNDBUF,
    MBR__OPT_BROADCAST,
    MBR__OPT_NODELAY,
    MBR__OPT_V6ONLY,
    MBR__OPTIONS
};

/* Catloop's part of a socket. */
struct mbr__catloop {
    struct mbr__sock *s;
    struct mbr__list node; /* in the instance's list of targets, while others may connect */
    bool named;            /* the link exists */
    bool shared;           /* with others that have SO_REUSEPORT, too */
    bool ephemeral;        /* the local port was chosen for this connect alone */
    uint8_t tries;         /* ports that were taken */
    char file[MBR__CATLOOP_FILE];
    uint64_t id[2];          /* random identity, in the link */
    struct mbr__list queue;  /* connections that wait for an accept, */
    struct mbr__list guests; /* and those that have come through the kernel; they take turns */
    bool guests_turn;
    int queued;
    struct mbr__pair *pair; /* of a connect, or of the connection */
    size_t taken;           /* bytes of the record that is shown which were received */
    int error;              /* of a connect, until SO_ERROR is read; positive */
    int options[MBR__OPTIONS];
    struct linger linger;
    /* datagrams */
    struct mbr__list in;  /* pairs of senders */
    struct mbr__list out; /* pairs to destinations, the one used last first */
    unsigned outs;
    bool blocked;          /* a send has been refused for now */
    struct mbr__buf *held; /* a datagram that was looked at, and its sender */
    size_t held_len;
    union mbr__addr held_from;
};

/* Bytes of a new connection's rings. */
uint64_t mbr__catloop_capacity(const struct mbr__sock *s);

/* Where an address leads to as a destination. The wildcard is this machine: by the socket's own
 * address, else the configured one, else loopback. */
union mbr__addr mbr__catloop_aim(const struct mbr__sock *s, const union mbr__addr *to);

/* The socket that others connect to by this identity, or NULL. */
struct mbr__sock *mbr__catloop_target(struct mbr_libos *l, const uint64_t id[2]);

/* ---- name.c ---- */

/* Takes the name; port 0 becomes a free one. -EADDRINUSE; what the directory of names says. */
int mbr__catloop_claim(struct mbr__sock *s, union mbr__addr *a);
/* Says in the link that others may connect now. */
int mbr__catloop_announce(struct mbr__sock *s);
void mbr__catloop_release(struct mbr__sock *s);
/* The link of whom an address leads to, also by the wildcard: of state 'l', or MBR__NAME_KERNEL.
 * -ECONNREFUSED nobody. */
int mbr__catloop_find(struct mbr_libos *l, int type, const union mbr__addr *to,
                      struct mbr__link *out);
/* A port out of the ephemeral range, any. */
uint16_t mbr__catloop_any_port(void);
/* Whether somebody may have the address: a hint, without the lock. */
bool mbr__catloop_is_bound(struct mbr_libos *l, int type, const union mbr__addr *a);

/* ---- catloop_io.c ---- */

int64_t mbr__catloop_recv(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                          union mbr__addr *from);
int64_t mbr__catloop_send(struct mbr__sock *s, const void *data, size_t len,
                          const union mbr__addr *to);
unsigned mbr__catloop_ready(struct mbr__sock *s, size_t *bytes);
int mbr__catloop_watch(struct mbr__sock *s, unsigned what);
int mbr__catloop_setopt(struct mbr__sock *s, int level, int name, const void *value,
                        socklen_t size);
int mbr__catloop_getopt(struct mbr__sock *s, int level, int name, void *value, socklen_t *size);

/* ---- datagram.c ---- */

bool mbr__datagram_push(struct mbr__sock *s, struct mbr__op *op);
bool mbr__datagram_pop(struct mbr__sock *s, struct mbr__op *op);
void mbr__datagram_await(struct mbr__sock *s);
/* A pair of the socket has been accepted (0) or refused, has moved, or comes from a sender: 0, or
 * -ECONNREFUSED, there are too many. */
void mbr__datagram_answered(struct mbr__pair *pair, int error);
void mbr__datagram_moved(struct mbr__pair *pair);
int mbr__datagram_asked(struct mbr__sock *s, struct mbr__pair *pair);
int64_t mbr__datagram_recv(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                           union mbr__addr *from);
int64_t mbr__datagram_send(struct mbr__sock *s, const void *data, size_t len,
                           const union mbr__addr *to);
unsigned mbr__datagram_ready(struct mbr__sock *s, size_t *bytes);
void mbr__datagram_watch(struct mbr__sock *s, unsigned what);
void mbr__datagram_close(struct mbr__sock *s);

#endif
