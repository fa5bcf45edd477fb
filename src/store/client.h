/* SPDX-License-Identifier: MIT */
/*
 * The inside of a client's handle (include/membrane/store.h), shared by the files client*.c.
 *
 * Work has two stages. Input turns bytes into finished requests and events; it may happen in any
 * call and calls nobody's function. Dispatch hands them out, in the order in which they came; it
 * happens only where the header says that callbacks are called. So no callback ever runs within a
 * call that does not expect it.
 *
 * Nothing here trusts the daemon: lengths are bounded before use, an answer must belong to a
 * question, a list must make progress, and what a watch may pile up is limited.
 *
 * Not here: the tree, and what the protocol means (engine.h); the codec (wire.h).
 */
#ifndef MBR_STORE_CLIENT_H
#define MBR_STORE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/store.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/slab.h"
#include "base/strbuf.h"
#include "store/wire.h"

#define MBR__CLIENT_INPUT    32768              /* bytes of the buffer of what came in */
#define MBR__CLIENT_RECEIVES 64                 /* at most, where a flood must not keep a call */
#define MBR__CLIENT_LIST_MAX ((size_t)64 << 20) /* bytes of the longest list */
#define MBR__CLIENT_RESTARTS 1000               /* of a list that changes while it is fetched */
#define MBR__CLIENT_WAITING  4096               /* events of one watch */
#define MBR__CLIENT_WATCHES  (1u << 20)         /* of one handle */

/* What dispatch hands out: embedded first in a request, or in an event. */
struct mbr__client_ready {
    struct mbr__list node;
    bool is_event;
};

/* Who owns a request when it has been answered. */
enum mbr__client_owner {
    MBR__CLIENT_ASYNC,   /* dispatch, which calls fn and frees it */
    MBR__CLIENT_CALLER,  /* the blocking call that waits for it */
    MBR__CLIENT_NOBODY,  /* freed when the answer has come */
    MBR__CLIENT_OF_WATCH /* its watch, or nobody when that has ended */
};

/* A request, from its making to the end of its result. Its bytes are kept until it is answered, so
 * that it can be sent again. */
struct mbr__client_msg {
    struct mbr__client_ready ready; /* in pending, then in ready */
    enum mbr__client_owner owner;
    uint32_t type; /* on the wire; what it is answered with */
    uint32_t id;
    bool queued; /* in pending */
    bool done;
    bool repeat;       /* may be sent again although it was sent before */
    bool parts;        /* a list that is fetched in parts */
    bool wants_fd;     /* its answer brings a descriptor */
    int fd;            /* which, or -1 */
    uint32_t restarts; /* of them */
    mbr_store_done_fn *fn;
    void *arg;
    struct mbr_store_watcher *watch; /* whose WATCH it is; NULL: ended meanwhile */
    struct mbr__strbuf names;        /* of a list in parts: what has come so far */
    char generation[24];             /* which this is a list of */
    int error;
    uint64_t tx;   /* the result of BEGIN */
    char *data;    /* NULL: "" */
    size_t length; /* of data */
    uint32_t wire_tx;
    size_t path_length;   /* of a list's request, with its NUL */
    size_t size;          /* of the bytes to send */
    size_t room;          /* for them */
    unsigned char wire[]; /* header and payload */
};

/* An event that waits to be handed out. */
struct mbr__client_event {
    struct mbr__client_ready ready; /* in ready or polled */
    struct mbr__list of_watch;
    struct mbr_store_watcher *watch;
    int error;
    bool spare; /* the one that its watch keeps for need; never in the map */
    bool queued;
    size_t key_length;
    unsigned char key[]; /* the watch's handle (8 bytes), then the path with its NUL */
};

#define MBR__CLIENT_KEY_ID sizeof(uint64_t)

struct mbr_store_watcher {
    struct mbr_store *store;
    mbr_store_watch_fn *fn;
    void *arg;
    uint32_t depth;
    bool filter;             /* the daemon reports all depths: drop what is deeper */
    bool refused;            /* an event with the reason has been made */
    size_t slashes;          /* of its path, for the filter */
    struct mbr__list events; /* of_watch of those that wait */
    size_t waiting;
    struct mbr__client_event *spare;
    struct mbr__client_msg *begin; /* WATCH: sent at each connection */
    struct mbr__client_msg *end;   /* UNWATCH: made beforehand, so that ending cannot fail */
    char *path;
};

struct mbr__client_embedded;
struct mbr__store_conn;

struct mbr_store {
    uint32_t fork_mark;
    uint32_t flags;
    uint64_t timeout_ns;

    /* the connection */
    int fd;                                /* -1: none now */
    char *path;                            /* NULL: cannot be had again */
    struct mbr__client_embedded *embedded; /* the engine, and who else uses it; NULL: a socket */
    struct mbr__store_conn *conn;          /* to it; NULL: its domain was released */
    bool alert;                            /* conn may have something for us, or take something */
    bool broken;                           /* conn is to be reset */
    uint32_t era;                          /* of transactions: counts connections and resets */
    int lost;                              /* why there is no connection: a negative errno */
    uint64_t retry_at;                     /* when to try again */
    uint64_t retry_pause;
    uint64_t receive_timeout; /* as set at the socket; 0: not set */
    bool nonblocking;         /* the socket was given to us so: wait with poll() */
    bool end_unsent;          /* a blocking call's TRANSACTION_END was lost before it was sent */

    /* what goes out */
    struct mbr__list pending; /* requests, oldest first: sent, partly sent, not sent */
    struct mbr__list *unsent; /* the first not wholly sent; &pending: none */
    size_t sent;              /* bytes of it */
    size_t pending_count;
    uint32_t last_id;

    /* what came in */
    unsigned char *input;
    size_t input_length;
    unsigned fds_wanted; /* requests whose answers bring a descriptor */
    int passed;          /* one that has come before all of its answer; or -1 */
    bool passed_lost;    /* this process could not take one more */

    /* what is to be handed out */
    struct mbr__list ready;
    struct mbr__list polled;
    struct mbr__bytes_map waiting;     /* events by key, those that are not spare */
    struct mbr__client_event *fetched; /* what mbr_store_next_event() has given out */
    struct mbr__client_event *handed;  /* what a callback is being called with */
    struct mbr__slab watches;
    bool dispatching;
    bool closing;
    bool news; /* the connection was lost; process() has not said so */

    /* for foreign event loops, made when asked for */
    int epoll;
    int timer;
    uint64_t alarm; /* when the timer rings: 0 not, 1 now */
    uint32_t interest;
    bool registered; /* fd is in epoll */
};

/* ---- client.c ---- */

/* A handle without connection. NULL options: the defaults. */
int mbr__client_new(const struct mbr_store_options *options, struct mbr_store **out);
/* Frees one whose connection has been closed or never was. */
void mbr__client_free(struct mbr_store *s);
/* -ENOTCONN: there is no connection and will be none; else 0. */
int mbr__client_reachable(const struct mbr_store *s);
/* The checks that every call begins with. */
int mbr__client_enter(const struct mbr_store *s);
/* What every call ends with: makes the descriptor for foreign loops tell the truth. */
void mbr__client_leave(struct mbr_store *s);

/* ---- client_link.c: the connection ---- */

/* Connects to s->path. Waits until deadline_ns while the queue of the daemon is full. */
int mbr__client_connect(struct mbr_store *s, uint64_t deadline_ns);
/* Takes fd into use as a new connection; begins the watches anew. */
void mbr__client_connected(struct mbr_store *s, int fd);
/* Ends the connection because of `error`; requests that cannot be repeated are finished with it. */
void mbr__client_lose(struct mbr_store *s, int error);
/* Connects again if need be and possible; blocks until deadline_ns (0: does not block). */
int mbr__client_revive(struct mbr_store *s, uint64_t deadline_ns);
/* Sends what can be sent without blocking. */
void mbr__client_flush(struct mbr_store *s);
/* Receives what has come; with deadline_ns, 0 for not at all, waits for something. 0, also if
 * nothing has come or the connection was lost; -ETIMEDOUT. */
int mbr__client_receive(struct mbr_store *s, uint64_t deadline_ns);

/* ---- client_input.c: from bytes to results and events ---- */

/* Takes whole messages from the input buffer. Negative errno: the daemon has broken the protocol.
 */
int mbr__client_parse(struct mbr_store *s);
/* A list that was fetched in parts from a daemon that has gone: it is fetched from the start. */
void mbr__client_list_anew(struct mbr__client_msg *m);
/* A request has its result; takes it out of pending. */
void mbr__client_finish(struct mbr_store *s, struct mbr__client_msg *m, int error);

/* ---- client_msg.c: making requests, and waiting for them ---- */

/* A request with room for `room` bytes of payload; NULL without memory. */
struct mbr__client_msg *mbr__client_msg_new(uint32_t type, enum mbr__client_owner owner,
                                            size_t room);
void mbr__client_msg_free(struct mbr__client_msg *m);
/* Appends to the payload; the caller knows that there is room. */
void mbr__client_msg_add(struct mbr__client_msg *m, const void *bytes, size_t length);
/* Puts it at the end of what is pending; it is sent at the next flush. */
void mbr__client_msg_queue(struct mbr_store *s, struct mbr__client_msg *m);
/* Takes it out of pending. */
void mbr__client_msg_unqueue(struct mbr_store *s, struct mbr__client_msg *m);
/* Makes the message for a request of the header's. */
int mbr__client_msg_of(struct mbr_store *s, const struct mbr_store_request *r,
                       enum mbr__client_owner owner, struct mbr__client_msg **out);
/* Waits for the answer of m, owned by the caller, for the handle's timeout. Its error; then m is
 * the caller's to free, unless it was not answered: then *m_is is NULL. */
int mbr__client_await(struct mbr_store *s, struct mbr__client_msg **m_is);
/* A whole blocking call: *out is the answered message, for the caller to free; NULL: not wanted. */
int mbr__client_call(struct mbr_store *s, const struct mbr_store_request *r,
                     struct mbr__client_msg **out);

/* ---- client_watch.c ---- */

/* Begins all watches on a new connection, before anything else that is pending. */
void mbr__client_watches_again(struct mbr_store *s);
/* The answer to a WATCH has come; m->error tells. */
void mbr__client_watch_answered(struct mbr_store *s, struct mbr__client_msg *m);
/* An event from the wire; both texts are terminated. */
void mbr__client_event_came(struct mbr_store *s, const char *path, const char *token);
/* Takes an event out of all lists and maps, for handing it out. */
void mbr__client_event_take(struct mbr_store *s, struct mbr__client_event *e);
/* Done with it, having taken it. */
void mbr__client_event_free(struct mbr__client_event *e);
const char *mbr__client_event_path(const struct mbr__client_event *e);
/* Frees all watches and events of a handle. */
void mbr__client_watches_free(struct mbr_store *s);
void mbr__client_watches_init(struct mbr_store *s);

/* ---- client_text.c: what payloads are made of ---- */

/* A decimal number of `length` bytes, perhaps with a NUL behind it, up to max. -EPROTO. */
int mbr__client_number(const char *text, size_t length, uint64_t max, uint64_t *out);
/* Names, each with its NUL, as one block: an array of pointers, NULL behind the last, and the
 * text. -EPROTO the last has no NUL, or one is empty. */
int mbr__client_list(const char *text, size_t length, char ***names, size_t *count);

/* ---- client_embedded.c ---- */

/* Hands pending requests to the engine in this process and takes what it answers; true if there was
 * anything to hand or to take. */
bool mbr__client_embedded_run(struct mbr_store *s);
/* Waits until something may have changed there, for `left` ns at most; 0: -ETIMEDOUT. */
int mbr__client_embedded_wait(struct mbr_store *s, uint64_t left);
/* When mbr__client_embedded_run() has something to do: 0 never, 1 now, or a time. */
uint64_t mbr__client_embedded_when(const struct mbr_store *s);
void mbr__client_embedded_close(struct mbr_store *s);

#endif
