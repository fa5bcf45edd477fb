/* SPDX-License-Identifier: MIT */
/*
 * Catnap: sockets of the kernel. Sends and receives are tried at once; what would block is watched
 * for edge-triggered, each direction only once it is needed. There is no queue of our own behind a
 * socket, so the kernel's back-pressure is the program's.
 *
 * catnap.c makes, binds, connects and ends sockets, catnap_io.c moves data, catnap_opt.c has the
 * options.
 */
#ifndef MBR_CATNAP_H
#define MBR_CATNAP_H

#include "queue/sock.h"

/* A socket without a transport's part gets this kernel socket, which does not block. */
void mbr__catnap_adopt(struct mbr__sock *s, int fd);
/* Has epoll watch for these events, too, from now on; an event that has come already is reported.
 * Errors as mbr__watch_fd(). */
int mbr__catnap_arm(struct mbr__sock *s, uint32_t events);
/* Takes note of what has been sent: a datagram binds a socket that was not. */
void mbr__catnap_sent(struct mbr__sock *s);

/* ---- catnap_io.c ---- */

bool mbr__catnap_push(struct mbr__sock *s, struct mbr__op *op);
bool mbr__catnap_pop(struct mbr__sock *s, struct mbr__op *op);
int64_t mbr__catnap_recv(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                         union mbr__addr *from);
int64_t mbr__catnap_send(struct mbr__sock *s, const void *data, size_t len,
                         const union mbr__addr *to);
unsigned mbr__catnap_ready(struct mbr__sock *s, size_t *bytes);

/* ---- catnap_opt.c ---- */

int mbr__catnap_setopt(struct mbr__sock *s, int level, int name, const void *value, socklen_t size);
int mbr__catnap_getopt(struct mbr__sock *s, int level, int name, void *value, socklen_t *size);
/* Gives a new connection what the instance's sockets begin with. What the kernel refuses is left
 * out: no option is worth a connection. */
void mbr__catnap_defaults(const struct mbr__sock *s);

#endif
