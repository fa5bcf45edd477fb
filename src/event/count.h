/* SPDX-License-Identifier: MIT */
/*
 * Event counts, inside: the places of their watchers (count_watcher.c), for the wait set's face
 * (waitset.c) and for advancing (count.c). The contract of counts is membrane/event.h, the protocol
 * count_shm.h.
 */
#ifndef MBR_EVENT_COUNT_H
#define MBR_EVENT_COUNT_H

#include "event/count_shm.h"

/* Claims a place for the pipe `bell` of this process; not armed. To be released before the bell is
 * closed. Errors: -ENOSPC; those of mbr__proc_self(). */
int mbr__watcher_claim(struct mbr_count *c, int bell, struct mbr_count_watcher **out);
/* Not in a forked child, whose place it is not. */
void mbr__watcher_release(struct mbr_count_watcher *w);

/* Rings for each watcher that has to know of an advance by `n`. */
void mbr__watchers_ring(struct mbr_count *c, uint64_t n);

#endif
