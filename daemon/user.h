/* SPDX-License-Identifier: MIT */
/*
 * Who a connection belongs to. The kernel tells a peer's uid (SO_PEERCRED): root and the daemon's
 * own user are domain 0, as everybody who reaches Xen's socket is; each other user is one
 * unprivileged domain, which gets a number at its first connection and is released with its last.
 *
 * A guest is a domain that domain 0 has introduced by asking for a connection in its name
 * (control.h); it is released with its last connection, unless INTRODUCE made it known before.
 */
#ifndef DAEMON_USER_H
#define DAEMON_USER_H

#include <sys/types.h>

#include "server.h"

struct conn;

/* Numbers for users, above those that a domain manager gives, which count from 1. */
#define USER_DOMID_FIRST 0x4000u

struct user {
    struct server *server;
    uid_t uid;
    uint32_t domid;
    uint32_t conns;
    bool guest; /* uid means nothing, and connections are counted by the engine */
};

/*
 * The domain of a peer with this uid: NULL in *OUT for domain 0. A user met for the first time is
 * introduced. -EAGAIN: he has as many connections as he may; -ENOSPC: no number is left; -ENOMEM.
 */
int user_find(struct server *server, uid_t uid, struct user **out);

/* After a live update: the user has this number. -ENOMEM, -EEXIST. */
int user_restore(struct server *server, uid_t uid, uint32_t domid, struct user **out);

/* A connection was made, or freed. The last one that leaves releases the domain and the user. */
void user_join(struct user *user);
void user_leave(struct user *user);

/* A user without connections is forgotten, for when his first connection could not be made. */
void user_forget_idle(struct user *user);

/* Remembers that DOMID was made known by a connection, and goes with its last. -ENOMEM. */
int guest_add(struct server *server, uint32_t domid);
/* Releases a guest that has no connection. */
void guest_drop(struct server *server, uint32_t domid);

/* CONN was freed: releases its domain if that was all of it. */
void guest_check(struct server *server, const struct conn *conn);

/* DOMID was released by domain 0: forgets what is known of it. */
void user_released(struct server *server, uint32_t domid);

void users_free(struct server *server);

#endif
