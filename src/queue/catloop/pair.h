/* SPDX-License-Identifier: MIT */
/*
 * Pairs: what catloop's connections run on. A pair is two halves (catmem/half_shm.h) that join two
 * instances, one of which, the client, began it. It carries one connection after another: memory is
 * mapped and processes are looked at only for the first one, the others cost two records.
 *
 * Between connections both rings end with the end marker. The client takes back what it said of its
 * ring and appends a CONNECT record; the server answers with ACCEPT or REFUSE in its own ring. Who
 * closes puts the end marker again, reads on until it sees the other's, and then the pair is idle.
 * An end marker of LEFT alone says that the pair will not be used again.
 *
 * A client asks for the first connection before it makes the pair known, so a pair without a
 * question is refused; of those that are idle a server keeps the last ones used. A client that asks
 * on one which the server has just given up takes another.
 *
 * Within a connection a pair is a pipe like any other (catmem/pipe.h) whose p->sock is the socket.
 */
#ifndef MBR_CATLOOP_PAIR_H
#define MBR_CATLOOP_PAIR_H

#include "queue/catloop/connect_shm.h"
#include "queue/catmem/hello.h"
#include "queue/catmem/pipe.h"
#include "queue/sock.h"

#define MBR__PAIRS_IDLE   64u        /* that an instance keeps as a client */
#define MBR__PAIRS_SERVED 512u       /* ... as a server, of all its clients */
#define MBR__PAIR_BELL    (1u << 31) /* set in the bells of pairs */

enum mbr__pair_state {
    MBR__PAIR_GREETING, /* client: the server does not know it yet, or has not replied */
    MBR__PAIR_ASKING,   /* client: CONNECT is in the ring */
    MBR__PAIR_QUEUED,   /* server: connected, waits for an accept */
    MBR__PAIR_OPEN,
    MBR__PAIR_CLOSING, /* closed by us */
    MBR__PAIR_IDLE,
};

struct mbr__pair {
    struct mbr__pipe pipe; /* first */
    uint8_t state;
    bool client;
    bool reused;              /* client: this is not its first connection */
    bool counted;             /* `key` is in the instance's map of connections */
    uint64_t key;             /* of both addresses, at the server */
    struct mbr__list node;    /* in the instance's list of idle ones, or in a queue */
    struct mbr__list flow;    /* in a datagram socket's list */
    struct mbr__sock *sock;   /* whose connect, queue, or flow it is; NULL none */
    union mbr__addr from, to; /* the client's address, and the one it connected to */
    struct mbr__connect_shm ask;
    uint64_t inst; /* GREETING: the server's mailbox, */
    int conn;      /* and what the reply comes over; -1 none */
    struct mbr__watch answer_watch;
};

/* Client: begins to connect to the socket `target` of the instance that a link leads to. Errors:
 * -ECONNREFUSED it is gone; -ENOMEM, -EMFILE, -ENFILE, ... */
int mbr__pair_connect(struct mbr__sock *s, const struct mbr__link *link,
                      const union mbr__addr *from, const union mbr__addr *to,
                      struct mbr__pair **out);
/* Gives up the connection, in any state; the pair is kept for the next one if it can be. */
void mbr__pair_leave(struct mbr__pair *pair);
/* Breaks off an open connection: the peer gets what it has been sent, then -ECONNRESET. The pair is
 * freed. In any other state as mbr__pair_leave(). */
void mbr__pair_reset(struct mbr__pair *pair);
/* Server: there shall be one connection of these two addresses at a time: -EADDRINUSE, -ENOMEM. */
int mbr__pair_count(struct mbr__pair *pair);
/* Frees a pair at once; its peer is told. */
void mbr__pair_free(struct mbr__pair *pair);
/* Server: a note of the kind CONNECT, and the connection it came over, both the caller's. */
void mbr__pair_hello(struct mbr_libos *l, const struct mbr__hello *h, struct mbr__note *note,
                     int conn);

static inline struct mbr__pair *mbr__pair_of(struct mbr__pipe *p)
{
    return (struct mbr__pair *)(void *)p;
}

/* ---- what the sockets do for pairs ---- */

/* Client: the answer has come. 0, or a negative errno: then the pair is not the socket's any more.
 */
void mbr__catloop_answered(struct mbr__pair *pair, int error);
/* Server: somebody connects. 0: the pair has been queued; or why not. */
int mbr__catloop_asked(struct mbr__pair *pair, const uint64_t target[2]);
/* The connection has made progress. */
void mbr__catloop_moved(struct mbr__pair *pair);

#endif
