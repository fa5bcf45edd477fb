/* SPDX-License-Identifier: MIT */
/*
 * A connection: a stream of bytes from and to one client, cut into messages. The bytes come from a
 * socket, or from a shared page (ring.h); all else is the same.
 *
 * Reading stops while the engine says so (-EBUSY) or while more than the limit waits to be sent;
 * what was received by then waits in `pending`. So what a client can make the daemon hold is
 * bounded by SERVER_INPUT and the limit.
 */
#ifndef DAEMON_CONN_H
#define DAEMON_CONN_H

#include "server.h"

/* A shared page's half of a connection, ring.h. */
struct ring;

#define PASSED_MAX 3

/* Descriptors that go out with the byte at a place in the stream. */
struct passed {
    struct mbr__list node;
    uint64_t place; /* of `sent` */
    int fds[PASSED_MAX];
    int count;
};

/* A control call that is carried out after the request has returned (control.h). */
struct control_call;

struct user;

struct conn {
    struct source source;
    struct server *server;
    struct mbr__store_conn *store_conn;
    int fd;            /* the socket; -1 for a ring */
    struct ring *ring; /* NULL for a socket */
    struct user *user; /* the unprivileged user it belongs to, or NULL */
    uint32_t domid;

    uint32_t events; /* asked of epoll */
    bool blocked;    /* requests are not taken */
    bool ended;      /* the client sends no more */
    bool dead;       /* to be freed */
    bool complained; /* one line is enough */

    struct mbr__list node; /* in conns */
    struct mbr__list dirty;
    struct mbr__list resumable; /* or starved */
    struct mbr__list closing;   /* also in rings */
    struct mbr__list later;
    struct control_call *call;

    unsigned char *pending; /* received and not taken; NULL: nothing */
    uint32_t pending_length;

    uint64_t sent; /* bytes, from the start of the connection */
    struct mbr__list passed;
};

/*
 * A connection of DOMID over the socket FD, which it owns from then on, even if it fails.
 * PRIVILEGED as the engine means it. 0 or a negative errno.
 */
int conn_open(struct server *server, int fd, uint32_t domid, bool privileged, struct user *user,
              struct conn **out);

/* A connection over a shared page. The ring stays the caller's on failure. */
int conn_open_ring(struct server *server, struct ring *ring, uint32_t domid, struct conn **out);

/* Takes over a connection of the engine after a live update; as conn_open. */
int conn_adopt(struct server *server, struct mbr__store_conn *store_conn, int fd, struct ring *ring,
               struct user *user, struct conn **out);

/* Ends it at the end of the turn; harmless if it ends already. */
void conn_close(struct conn *conn);

/* The last part of conn_close(): frees everything. */
void conn_free(struct conn *conn);

/* Takes in what a client has sent, up to the budget. */
void conn_receive(struct conn *conn);

/* Goes on with what has been received and not taken. */
void conn_resume(struct conn *conn);

/* Sends what the engine shows, until the client takes no more. */
void conn_flush(struct conn *conn);

/* Has COUNT descriptors sent with the next byte that the engine queues; they are the connection's,
 * also on failure. -ENOMEM. */
int conn_pass(struct conn *conn, const int *fds, int count);

/* Logs one line about a client that breaks rules; later ones about the same are not. */
void conn_complain(struct conn *conn, const char *what);

/* Keeps LENGTH bytes at BYTES as not taken. -ENOMEM. */
int conn_keep(struct conn *conn, const unsigned char *bytes, size_t length);

#endif
