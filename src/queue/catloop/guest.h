/* SPDX-License-Identifier: MIT */
/*
 * Catloop's connections with programs under the shim, whose sockets are the kernel's: then both
 * ends are TCP sockets, and catloop's is handled as one of catnap's from then on. So its bytes,
 * back-pressure, end and death are TCP's, and a push is not a pop any more.
 *
 * A connect that finds a link of a listening kernel socket (listens.h) connects to that. The other
 * way round a program under the shim makes both ends of a connection by itself and sends one of
 * them to the server's mailbox: a guest.
 */
#ifndef MBR_CATLOOP_GUEST_H
#define MBR_CATLOOP_GUEST_H

#include "queue/catloop/catloop.h"
#include "queue/catmem/hello.h"

struct mbr__note;

/* The note with which a guest is sent: to the listening socket that a link leads to. */
void mbr__guest_note(const struct mbr__link *link, int fd, struct mbr__note *note);
/* Whether a note that has come over the same connection says that the guest was let in. */
bool mbr__guest_admitted(const struct mbr__note *note);

/* Server: a note of the kind GUEST, whose descriptor is taken if it says what it should. The answer
 * goes back over `conn`; who gets none is refused. */
void mbr__guest_hello(struct mbr_libos *l, const struct mbr__hello *h, struct mbr__note *note,
                      int conn);
/* Takes the first guest; there is one. 0 or -ENOMEM. */
int mbr__guest_accept(struct mbr__sock *s, struct mbr__sock **out);
/* Sends all away. */
void mbr__guest_drop(struct mbr__catloop *c);

/* Client: connects to a listening socket of the kernel. -ENOMEM, -EMFILE, -ENFILE, -EADDRINUSE the
 * socket's own address, which the kernel has in use: nothing has changed. Else the socket is one of
 * catnap's, whose connect has this result. */
int mbr__guest_connect(struct mbr__sock *s, union mbr__addr *to);

#endif
