/* SPDX-License-Identifier: MIT */
/*
 * What a redirector of readers and one of writers share: a target that can be exchanged at any
 * time. Operations go to the target of the moment and wait for nobody here, so that one that blocks
 * there does not keep the next one from a new target; only who has locked the redirector keeps the
 * target, until he unlocks it. Not here: the targets' operations.
 */
#ifndef MBR_TYPES_IO_REDIRECTOR_H
#define MBR_TYPES_IO_REDIRECTOR_H

#include <pthread.h>

#include <middl/Heap.h>

struct mbr__redirector {
    Heap_clp heap;
    pthread_mutex_t guard; /* of the target, for an instant */
    void *target;
    pthread_mutex_t monitor; /* held from lock to unlock, and to exchange the target */
    void *locked;            /* what lock has found */
};

void mbr__redirector_init(struct mbr__redirector *r, Heap_clp heap, void *target);

/* Nobody uses it any more. */
void mbr__redirector_fini(struct mbr__redirector *r);

/* Where an operation that begins now goes. */
void *mbr__redirector_target(struct mbr__redirector *r);

/* Keeps the target as it is until it is unlocked; the target. Waits for who has locked it. */
void *mbr__redirector_lock(struct mbr__redirector *r);
void mbr__redirector_unlock(struct mbr__redirector *r);

/* Gives it another target, when it is not locked. */
void mbr__redirector_set(struct mbr__redirector *r, void *target);

#endif
