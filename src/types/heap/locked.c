/* SPDX-License-Identifier: MIT */
/*
 * The inherited operations lock for themselves; those with an L want the lock held. The word before
 * each node names the locked heap while a client has it, and the parent's closure again when the
 * parent gets it back. The mutex checks for errors: locking twice in one thread would be a
 * deadlock, and unlocking what is not locked a race; both are reported instead.
 */
#include "types/heap/locked.h"

#include <pthread.h>
#include <stdlib.h>

#include <membrane/heap.h>

#include "base/assert.h"

struct locked {
    LockedHeap_cl closure;
    Heap_clp parent;
    pthread_mutex_t mutex;
};

static struct locked *state_of(Heap_clp self)
{
    return self->st;
}

static LockedHeap_clp locked_of(Heap_clp self)
{
    return (LockedHeap_clp)(void *)self;
}

static Heap_clp heap_of(LockedHeap_clp self)
{
    return (Heap_clp)(void *)self;
}

static void lock(struct locked *locked)
{
    int error = pthread_mutex_lock(&locked->mutex);

    MBR_ASSERT_STATE(error == 0, "heap %p is locked by this very thread: %s", (void *)locked,
                     mbr_error_name(-error));
}

static void unlock(struct locked *locked)
{
    int error = pthread_mutex_unlock(&locked->mutex);

    MBR_ASSERT_STATE(error == 0, "heap %p is not locked by this thread: %s", (void *)locked,
                     mbr_error_name(-error));
}

/* ---- with the lock held ---- */

/* A node of the parent becomes one of ours. */
static void *adopt(struct locked *locked, void *p)
{
    if (p)
        HEAP_OF(p) = (Heap_clp)(void *)&locked->closure;
    return p;
}

/* One of ours becomes the parent's again. */
static void *release(struct locked *locked, void *p)
{
    if (p) {
        MBR_ASSERT_STATE(HEAP_OF(p) == (Heap_clp)(void *)&locked->closure,
                         "node %p is not of heap %p", p, (void *)locked);
        HEAP_OF(p) = locked->parent;
    }
    return p;
}

static void *locked_lmalloc(LockedHeap_clp self, Heap_Size size)
{
    struct locked *locked = self->st;

    return adopt(locked, Heap_Malloc(locked->parent, size));
}

static void locked_lfree(LockedHeap_clp self, void *p)
{
    struct locked *locked = self->st;

    Heap_Free(locked->parent, release(locked, p));
}

static void *locked_lcalloc(LockedHeap_clp self, Heap_Size nmemb, Heap_Size size)
{
    struct locked *locked = self->st;

    return adopt(locked, Heap_Calloc(locked->parent, nmemb, size));
}

static void *locked_lrealloc(LockedHeap_clp self, void *p, Heap_Size size)
{
    struct locked *locked = self->st;
    void *moved = Heap_Realloc(locked->parent, release(locked, p), size);

    if (!moved) {
        (void)adopt(locked, p); /* it is still there */
        return NULL;
    }
    return adopt(locked, moved);
}

static LockedHeap_clp locked_lpurge(LockedHeap_clp self)
{
    struct locked *locked = self->st;

    locked->parent = Heap_Purge(locked->parent);
    return self;
}

/* ---- locking ---- */

static void locked_lock(LockedHeap_clp self)
{
    lock(self->st);
}

static void locked_unlock(LockedHeap_clp self)
{
    unlock(self->st);
}

static void *locked_malloc(Heap_clp self, Heap_Size size)
{
    void *p;

    lock(state_of(self));
    p = locked_lmalloc(locked_of(self), size);
    unlock(state_of(self));
    return p;
}

static void locked_free(Heap_clp self, void *p)
{
    lock(state_of(self));
    locked_lfree(locked_of(self), p);
    unlock(state_of(self));
}

static void *locked_calloc(Heap_clp self, Heap_Size nmemb, Heap_Size size)
{
    void *p;

    lock(state_of(self));
    p = locked_lcalloc(locked_of(self), nmemb, size);
    unlock(state_of(self));
    return p;
}

static void *locked_realloc(Heap_clp self, void *p, Heap_Size size)
{
    void *moved;

    lock(state_of(self));
    moved = locked_lrealloc(locked_of(self), p, size);
    unlock(state_of(self));
    return moved;
}

static Heap_clp locked_purge(Heap_clp self)
{
    LockedHeap_clp purged;

    lock(state_of(self));
    purged = locked_lpurge(locked_of(self));
    unlock(state_of(self));
    return heap_of(purged);
}

static void locked_destroy(Heap_clp self)
{
    struct locked *locked = state_of(self);

    /* Waits for whoever is inside; nobody may come after. */
    lock(locked);
    unlock(locked);
    Heap_Destroy(locked->parent);
    (void)pthread_mutex_destroy(&locked->mutex);
    free(locked);
}

/*
 * The parent's check wants its own closure before every node, and those that are out carry ours: so
 * it cannot look at them. The heap does not record enough for more (see Heap.Check).
 */
static void locked_check(Heap_clp self, bool checkFreeBlocks)
{
    (void)checkFreeBlocks;
    lock(state_of(self));
    unlock(state_of(self));
}

static const LockedHeap_op locked_ops = {
    .Malloc = locked_malloc,
    .Free = locked_free,
    .Calloc = locked_calloc,
    .Realloc = locked_realloc,
    .Purge = locked_purge,
    .Destroy = locked_destroy,
    .Check = locked_check,
    .Lock = locked_lock,
    .Unlock = locked_unlock,
    .LMalloc = locked_lmalloc,
    .LFree = locked_lfree,
    .LCalloc = locked_lcalloc,
    .LRealloc = locked_lrealloc,
    .LPurge = locked_lpurge,
};

static int init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int error;

    (void)pthread_mutexattr_init(&attributes);
    (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    error = pthread_mutex_init(mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return error;
}

LockedHeap_clp mbr__locked_heap_new(Heap_clp parent)
{
    struct locked *locked = malloc(sizeof(*locked));

    if (!locked)
        return NULL;
    if (init_mutex(&locked->mutex) != 0) {
        free(locked);
        return NULL;
    }
    locked->closure = (LockedHeap_cl){&locked_ops, locked};
    locked->parent = parent;
    return &locked->closure;
}

Heap_clp mbr__locked_heap_parent(Heap_clp heap)
{
    const struct locked *locked = heap->st;

    return (const void *)heap->op == (const void *)&locked_ops ? locked->parent : NULL;
}
