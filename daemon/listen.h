/* SPDX-License-Identifier: MIT */
/*
 * The listening socket's place in the file system. One daemon serves a path at a time: it holds a
 * lock on PATH.lock for as long as it lives, which the kernel takes back from a dead one, so a
 * socket that is found under the lock is stale unless somebody else's program answers on it.
 */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

#include <sys/types.h>

/*
 * Makes the socket at PATH with MODE, and its directory if that is missing. On success both
 * descriptors are close-on-exec and the socket does not block. Returns an exit code, after an error
 * message unless it is 0.
 */
int listen_open(const char *path, mode_t mode, int *listener, int *lock);

/* Removes PATH and PATH.lock; both descriptors are closed. */
void listen_close(const char *path, int listener, int lock);

#endif
