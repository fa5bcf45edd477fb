/* SPDX-License-Identifier: MIT */
/* The half of the wait set that talks to the kernel; private to src/event (wait.h has the
 * contract). */
#ifndef MBR_EVENT_WAIT_FD_H
#define MBR_EVENT_WAIT_FD_H

#include "event/wait.h"

/* Sleeps in epoll until `deadline` (0: only looks), fires descriptors, hears the bell. Returns what
 * fired. */
int mbr__waitset_collect(struct mbr__waitset *ws, uint64_t deadline);

/* Stops epoll from reporting w, also for events already fetched. */
void mbr__waitset_fd_end(struct mbr__waitset *ws, struct mbr__watch *w);

/* Sets the timer descriptor that foreign loops see through the epoll descriptor; made when first
 * needed. */
int mbr__waitset_timer_fd(struct mbr__waitset *ws, uint64_t deadline);

#endif
