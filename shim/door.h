/* SPDX-License-Identifier: MIT */
/*
 * How a program under the shim meets one that uses catloop: which finds its peers by names in the
 * directory, not by the kernel's ports.
 *
 * A listening TCP socket gets a name there, with which a client of catloop learns that it is the
 * kernel's, and connects to it as anybody does. A connect to an address that a server of catloop
 * has makes both ends of a connection, and sends one of them to that server's mailbox. So either
 * way the program has a socket of the kernel, and so has its peer (queue/catloop/guest.h).
 */
#ifndef MBR_SHIM_DOOR_H
#define MBR_SHIM_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "queue/catloop/address.h"

struct shim_conn;

/* The names of a listening socket. */
struct shim_door {
    uint32_t names;        /* how many it has: 0 none, 2 a socket for both families */
    pid_t owner;           /* who has published them */
    uint64_t id;           /* random, in the links */
    uint64_t forks;        /* shim_door_forks when it was */
    union mbr__addr at[2]; /* their addresses */
};

/* How often this process has forked. */
extern uint64_t shim_door_forks;

/* Whether a server of catloop has the address that a socket is about to be bound to. */
bool shim_door_taken(int fd, const struct sockaddr *address, socklen_t len);
/* listen(2), and the names. Its result, or EADDRINUSE a server of catloop has the address. */
int shim_door_open(struct shim_conn *c, int fd, int backlog);
/* This process has closed the socket whose door it was: its names go, unless others still listen.
 * errno stays. */
void shim_door_closed(const struct shim_door *door);
/* This process ends, with the socket open. */
void shim_door_exit(const struct shim_door *door);

/* connect(2) to a server of catloop, if the address is such a one's: its result, with errno. False:
 * it is not, nothing has happened. */
bool shim_door_knock(struct shim_conn *c, int fd, const struct sockaddr *address, socklen_t len,
                     int *result);

#endif
