/* SPDX-License-Identifier: MIT */
/*
 * Containers of shared objects, kept for those who may have them: for each a name, an owner, a
 * group and a descriptor of its memory (src/object/broker_wire.h). A connection that has created or
 * joined one is a member; the last to go takes the container with it unless it is to be kept. The
 * memory is checked once and never looked into.
 *
 * Who is who the kernel says: root and the daemon's own user may have everything, the owner's
 * processes and those of the group the one container.
 *
 * Not here: what is in containers, or how members meet there (src/object).
 */
#ifndef DAEMON_CONTAINERS_H
#define DAEMON_CONTAINERS_H

#include "base/hash.h"
#include "base/list.h"
#include "server.h"

struct shelf;
struct stream_in;
struct stream_out;

struct containers {
    struct server *server;
    struct source accepting;
    int listener;   /* -1: not served */
    bool listening; /* the listener is in the epoll set */
    char *path;     /* of the socket that is ours to remove; NULL if it was passed */
    struct mbr__bytes_map named;
    struct mbr__hash users;    /* of struct container_user, by uid + 1 */
    struct mbr__list all;      /* of struct container, in the order of their numbers */
    struct mbr__list sessions; /* of struct session */
    struct mbr__list ended;    /* of struct session: closed, to be freed at the end of the turn */
    uint32_t last;             /* number given last */
    uint32_t count;            /* sessions */
    struct shelf *shelf;       /* NULL: none are on disk */
    struct source shelved;
    uint64_t reread_at; /* no sooner are those tried again that could not be read */
    bool settling;      /* other members are looked at */
    bool stopping;      /* the shelf's thread has ended */
};

/* An empty one, which cannot fail; to be ended also when nothing else was called. */
void containers_init(struct containers *c, struct server *server);
void containers_fini(struct containers *c);

/*
 * Makes the socket beside the store's, at STORE_PATH with MBR__BROKER_SUFFIX, under the lock that
 * the daemon holds on that path; or takes FD, a listener that was passed, if it is not -1. Returns
 * an exit code, after an error message unless it is 0.
 */
int containers_open(struct containers *c, const char *store_path, int fd);

/* Puts the listener into the loop. 0 or a negative errno. */
int containers_watch(struct containers *c);

/* Accepts again after a shortage of descriptors. */
void containers_accept_again(struct containers *c);

/* End of a turn: frees connections that were closed. */
void containers_bury(struct containers *c);

/*
 * The directory of those on disk, if the settings name one: opened; later, when a live update's
 * containers are known, looked through, and its thread started; put into the loop. Exit codes after
 * error messages; watch: 0 or a negative errno.
 */
int containers_open_shelf(struct containers *c);
int containers_start_shelf(struct containers *c);
int containers_watch_shelf(struct containers *c);
/* Whether all on disk are known, after another look at those that could not be read; if not, a name
 * that nobody has may be one of theirs. */
bool containers_complete(struct containers *c);
/* Answers what the disk has finished. */
void containers_collect(struct containers *c);
/* Waits until the disk has nothing to do, and answers; false: it has, after some seconds. */
bool containers_settle(struct containers *c);

/* Live update: writes what there is; calls VISIT for each descriptor; reads it. With C NULL reading
 * only checks. 0 or a negative errno. */
void containers_put(struct containers *c, struct stream_out *out);
void containers_each_fd(struct containers *c, void (*visit)(int fd, void *user), void *user);
int containers_get(struct containers *c, struct stream_in *in);

#endif
