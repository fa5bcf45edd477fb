/* SPDX-License-Identifier: MIT */
/*
 * The daemon's one loop and what hangs on it: an engine, connections, rings, users, a journal.
 * Everything here belongs to one thread.
 *
 * A turn of the loop: wait for descriptors, serve each that is ready within its budget, send what
 * that has caused, hand the journal what has changed, work off a slice of background work. An idle
 * connection costs nothing in any of these steps.
 *
 * Not here: the store itself (src/store), the files behind the journal (journal.h).
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "settings.h"
#include "spare.h"
#include "store/engine.h"

/*
 * What is taken from one connection in one turn, in bytes: the smallest requests have 17, so a
 * flooding client gets at most some 480 of them served before everybody else has had a turn.
 */
#define SERVER_BUDGET 8192u
/* A partial message may stand before what is received. */
#define SERVER_INPUT (SERVER_BUDGET + MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX)

struct server;

/* What epoll reports: the address of one of these, inside the object that is concerned. */
struct source {
    void (*ready)(struct source *self, uint32_t events);
};

struct containers;
struct journal;
struct update;

struct server {
    const struct settings *settings;
    struct mbr__store *store;
    struct journal *journal; /* NULL: nothing is durable */
    struct update *update;
    struct containers *containers;

    int epoll;
    int listener;
    int lock;    /* -1: the socket was passed, its path is not ours */
    int signals; /* signalfd */
    int spare;   /* a descriptor to give up when none is left, so that connections can be refused */
    struct source accepting;
    struct source signalled;
    struct source journaled;
    bool listening; /* the listener is in the epoll set */
    bool refusing;  /* a shortage was logged and is not over */
    bool sandboxed;
    bool stopping;
    int exit_code;

    struct mbr__list conns;     /* all, of struct conn */
    struct mbr__list dirty;     /* those with output that was not tried to send */
    struct mbr__list resumable; /* those that may go on with requests they have read */
    struct mbr__list starved;   /* those that wait for memory */
    struct mbr__list closing;   /* to be freed at the end of the turn */
    struct mbr__list rings;     /* all rings' connections */
    struct mbr__list later;     /* those whose control call waits to be carried out */
    struct mbr__hash users;     /* of struct user, by uid + 1 */
    struct mbr__hash domains;   /* of struct user, by domid */
    uint32_t next_domid;
    uint64_t next_conn; /* number of the next connection */
    uint32_t count;     /* connections with a descriptor */
    uint32_t unread_limit;
    bool work_left;
    uint64_t watchdog_ns;
    uint64_t watchdog_next;
    uint64_t starved_until;
    struct spare spares;

    unsigned char input[SERVER_INPUT];
};

/* Makes the engine and what belongs to it. 0 or a negative errno. */
int server_init(struct server *server, const struct settings *settings);
void server_fini(struct server *server);

/* The options with which every engine of this daemon is made. */
void server_store_options(struct server *server, struct mbr__store_options *out);

/* Puts the listener and the signals into the loop. 0 or a negative errno. */
int server_watch(struct server *server);

/* Adds a descriptor, for EPOLLIN unless `events` says else. 0 or a negative errno. */
int server_add(struct server *server, int fd, struct source *source, uint32_t events);

/* Takes a descriptor out again, before it is closed: closing it is not enough while somebody else
 * has it too, be it a client that it was passed to or a child before its execve(2). Harmless for
 * one that was not added. */
void server_remove(struct server *server, int fd);

/* Serves until a signal or a failure ends it; the exit code. */
int server_run(struct server *server);

/* Sends what is waiting to be sent, and carries out what was put off to the end of a request. */
void server_settle(struct server *server);

/* A shortage of descriptors or memory is over: accepts again. */
void server_accept_again(struct server *server);

#endif
