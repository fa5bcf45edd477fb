/* SPDX-License-Identifier: MIT */
/*
 * One container that is kept, one user of containers, one connection to them; who may what.
 * containers.h tells the whole.
 */
#ifndef DAEMON_CONTAINER_H
#define DAEMON_CONTAINER_H

#include <stdbool.h>
#include <sys/types.h>

#include "containers.h"
#include "object/broker_wire.h"
#include "shelf.h"

struct container_user {
    uid_t uid;
    uint32_t sessions;
    uint32_t containers;
};

struct container {
    struct mbr__list node; /* in all */
    char *name;            /* not zero-terminated for the map, zero-terminated for messages */
    size_t name_length;
    struct container_user *owner;
    int32_t group; /* -1: its owner alone */
    uint32_t flags;
    uint32_t number;
    uint32_t members; /* sessions that belong to it */
    bool removed;     /* has no name any more, lives until the last member leaves */
    int memory;       /* -1: on disk, and nobody has joined it yet */
    struct mbr__list sessions;
    struct stored *stored; /* on disk; NULL: not */
    uint32_t desks;        /* on the shelf that are about it */
    bool making;           /* not on disk yet: nobody may join it */
};

struct session {
    struct source source;
    struct containers *containers;
    struct mbr__list node; /* in sessions */
    struct container_user *user;
    struct mbr__list peer;       /* in the container's sessions */
    struct container *container; /* NULL: none yet */
    struct desk *desk;           /* NULL: none yet; while it is busy nothing is read */
    bool dead;                   /* closed, and freed at the end of the turn */
    int fd;
};

static inline bool session_busy(const struct session *session)
{
    return session->desk != NULL && session->desk->busy;
}

/* Counts a connection of this user in. -EAGAIN: he has as many as he may; -ENOMEM. */
int container_user_enter(struct containers *c, uid_t uid, struct container_user **out);
/* The same, held to no limit. */
int container_user_hold(struct containers *c, uid_t uid, struct container_user **out);
/* Counts it out; a user who has neither connections nor containers is forgotten. */
void container_user_leave(struct containers *c, struct container_user *user);

/* Whether this user is held to no limits: root, and the daemon's own. */
bool container_user_privileged(uid_t uid);

/* Keeps MEMORY and STORED, which are the container's from now on (on failure still the caller's).
 * -EEXIST, -ENOMEM. */
int container_new(struct containers *c, const struct container *like, struct container **out);

/* The session is a member from now on. */
void container_enter(struct container *container, struct session *session);
/* It is none any more; the last one takes the container with it unless it is kept. */
void container_leave(struct session *session);

/* Its name is free from now on. -ENOENT it has none. A kept one is kept no longer. */
int container_remove(struct containers *c, struct container *container);

void container_free(struct containers *c, struct container *container);
/* The same if nobody needs it any more. */
void container_release(struct containers *c, struct container *container);

/* Whether the process behind SESSION is in GROUP, as the kernel remembers from its connect(). */
bool session_in_group(const struct session *session, gid_t group);
/* Whether it may join. */
bool session_may_join(const struct session *session, const struct container *container);

/* A connected socket becomes a session, from then on its own to close; -EAGAIN as above. */
int session_open(struct containers *c, int fd, struct session **out);
void session_close(struct session *session);
/* One that was closed. */
void session_free(struct session *session);
/* Reads what it has sent, and serves it. False: it was closed. */
bool session_serve(struct session *session, int most);
/* Nothing is read from it until its desk comes back. */
int session_pause(struct session *session, bool pause);

/* ---- of containers on disk: container_stored.c ---- */

/* What a reply about containers says of CONTAINER. */
void container_describe(const struct container *container, struct mbr__broker_reply *out);
int session_reply(struct session *session, const struct mbr__broker_reply *head, int memory);

/* Begin what the disk has a part in; -EINPROGRESS: the reply follows. */
int stored_create(struct session *session, const struct container *like, uint32_t policy);
int stored_join(struct session *session, struct container *container);
/* MEMORY is taken over with -EINPROGRESS alone. -ESTALE: the container has other memory. */
int stored_rejoin(struct session *session, struct container *container, int memory);
/* A request about the disk. FD came along, -1 none: it is taken over with -EINPROGRESS alone. */
int stored_ask(struct session *session, const struct mbr__broker_disk *asked, const char *name,
               size_t name_length, int fd);

/* A member's desk is set up with what he has lent; for a live update. */
int stored_lend(struct session *session, int memory);
/* The session ends. */
void stored_leave(struct session *session);

#endif
