/* SPDX-License-Identifier: MIT */
/*
 * The shared-page transport, the server's side: memory, eventfds, when to look and when to sleep.
 *
 * A ring is awake or asleep. An awake one is looked at in each turn of the loop, which then does
 * not wait; after as long without traffic as has lately been worth spinning for, it is put to
 * sleep: the page says so, and the client rings the eventfd.
 *
 * Not here: the page itself (store/ring.h), the messages (conn.h).
 */
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include <sys/types.h>
#include <sys/uio.h>

#include "event/spin.h"
#include "server.h"
#include "store/ring.h"

struct conn;

#define RING_ERROR_INDEX    MBR__STORE_RING_ERROR_INDEX
#define RING_ERROR_PROTOCOL MBR__STORE_RING_ERROR_PROTOCOL

struct ring {
    struct source source;
    struct server *server;
    struct conn *conn;
    struct mbr__store_ring page;
    int memory;    /* the memfd */
    int to_server; /* eventfd, rung by the client */
    int to_client; /* eventfd, rung by us */
    bool failed;   /* its error field is set; ignored until it is bound anew */
    bool moved;    /* an index has changed of which the client was not told */
    struct mbr__spin spin;
    uint64_t active; /* when there was traffic last */
    uint64_t parked; /* when it fell asleep; 0: awake */
};

/* A new page with its eventfds, for a domain that is known. 0 or a negative errno. */
int ring_new(struct server *server, uint32_t domid, struct ring **out);

/* The same from descriptors kept over a live update, which it owns also on failure. */
int ring_adopt(struct server *server, const int fds[3], struct ring **out);

/* NULL is fine. */
void ring_free(struct ring *ring);

/* The ring belongs to CONN: serves it from now on. */
void ring_attach(struct ring *ring, struct conn *conn);

/* As INTRODUCE of a domain that is introduced: the page starts anew, also after an error. */
void ring_rebind(struct ring *ring);

/* Looks at the ring in the next turn. */
void ring_look(struct ring *ring);

/* Ends the service of this page: the error field says why. */
void ring_fail(struct ring *ring, uint32_t error);

/* As recv() and send(), of the page; failures end the service and give -EAGAIN. */
ssize_t ring_receive(struct ring *ring, void *into, size_t size);
ssize_t ring_send(struct ring *ring, const struct iovec *iov, int count);

/* Serves the rings that are awake, for some microseconds if nothing is there. False: all sleep. */
bool rings_serve(struct server *server);

#endif
