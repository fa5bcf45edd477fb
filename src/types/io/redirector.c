/* SPDX-License-Identifier: MIT */
/* A target that can be exchanged at any time; see redirector.h. */
#include "types/io/redirector.h"

#include <stddef.h>

void mbr__redirector_init(struct mbr__redirector *r, Heap_clp heap, void *target)
{
    r->heap = heap;
    r->target = target;
    r->locked = NULL;
    pthread_mutex_init(&r->guard, NULL);
    pthread_mutex_init(&r->monitor, NULL);
}

void mbr__redirector_fini(struct mbr__redirector *r)
{
    pthread_mutex_destroy(&r->guard);
    pthread_mutex_destroy(&r->monitor);
}

void *mbr__redirector_target(struct mbr__redirector *r)
{
    void *target;

    pthread_mutex_lock(&r->guard);
    target = r->target;
    pthread_mutex_unlock(&r->guard);
    return target;
}

void *mbr__redirector_lock(struct mbr__redirector *r)
{
    pthread_mutex_lock(&r->monitor);
    r->locked = mbr__redirector_target(r);
    return r->locked;
}

void mbr__redirector_unlock(struct mbr__redirector *r)
{
    r->locked = NULL;
    pthread_mutex_unlock(&r->monitor);
}

void mbr__redirector_set(struct mbr__redirector *r, void *target)
{
    pthread_mutex_lock(&r->monitor);
    pthread_mutex_lock(&r->guard);
    r->target = target;
    pthread_mutex_unlock(&r->guard);
    pthread_mutex_unlock(&r->monitor);
}
