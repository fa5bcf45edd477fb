/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets of the kernel that have a name: those of programs under the shim. Their link
 * (state 'k') is a hint only. The kernel says whether somebody listens, since such a socket
 * outlives who has made it (a server that goes to the background, one that forks) and may be passed
 * on.
 */
#ifndef MBR_CATLOOP_LISTENS_H
#define MBR_CATLOOP_LISTENS_H

#include "queue/sock.h"
#include "shm/names.h"

/* Names this process's network namespace, in id[0] of such a link; 0: not known. */
uint64_t mbr__listens_namespace(void);

/* Whether a TCP socket listens at the address, one of our user or root's if `ours`: 1 or 0. It
 * cannot be told (sock_diag(7) is missing or forbidden, no descriptors, ...): a negative errno;
 * -EOPNOTSUPP: the kernel has no inet_diag. */
int mbr__listens_at(const union mbr__addr *a, bool ours);

/* Whether who has such a link may still be there: its address is in use. What cannot be told, is.
 */
bool mbr__listens_still(const struct mbr__link *link, const union mbr__addr *a);

/* Whether we may connect there: 0 or -ECONNREFUSED. */
int mbr__listens_for_us(const struct mbr__link *link, const union mbr__addr *a);

#endif
