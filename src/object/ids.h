/* SPDX-License-Identifier: MIT */
/*
 * Small numbers of a process: containers, objects, accesses and operations, each kind the lowest
 * free one first, found without a lock; and the state of a process that they belong to.
 *
 * Each number has a slot, zeroed memory that is never freed and never moves, so that a stale number
 * leads to a slot that says so, whatever other threads do meanwhile. A process that was forked has
 * a state of its own, made at the first call that gives it a number; those of its parent are known
 * as inherited by the parent's state, which it keeps and never changes.
 *
 * Not here: what containers and objects are.
 */
#ifndef MBR_OBJECT_IDS_H
#define MBR_OBJECT_IDS_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "shm/proc.h"

#define MBR__IDS_MAX        (UINT32_C(1) << 20)
#define MBR__IDS_CHUNK_BITS 8
#define MBR__IDS_SLOT       ((size_t)128) /* bytes of a slot: two lines, so neighbours do not disturb */

/* Which numbers are taken: bit b of leaf[w] is number 64 * w + b; a bit of mid says that its leaf
 * is full, one of root that its word of mid is. Those are hints that are never wrong for long: who
 * fills a word sets the bit and looks again, who empties it clears the bit afterwards (pair B). The
 * first leaf is always looked at and has no hint: its numbers are given back by clearing a bit. */
struct mbr__ids {
    uint64_t limit; /* a multiple of 64 */
    uint64_t leaf[MBR__IDS_MAX / 64];
    uint64_t mid[MBR__IDS_MAX / 64 / 64];
    uint64_t root[MBR__IDS_MAX / 64 / 64 / 64];
    uint8_t *chunks[MBR__IDS_MAX >> MBR__IDS_CHUNK_BITS]; /* of slots, the first one is below */
    uint8_t first[MBR__IDS_SLOT << MBR__IDS_CHUNK_BITS];
};

enum mbr__kind {
    MBR__KIND_CONTAINER,
    MBR__KIND_OBJECT,
    MBR__KIND_ACCESS,
    MBR__KIND_OPERATION,
    MBR__KINDS
};

struct mbr__process {
    uint32_t mark;               /* mbr__fork_mark() */
    const uint32_t *page;        /* reads as the mark in this process only, or never */
    struct mbr__process *parent; /* of the process it was forked from, or NULL */
    pthread_mutex_t lock;        /* of containers; never held while anything is waited for */
    struct mbr__list containers; /* struct mbr__container */
    struct mbr__ids ids[MBR__KINDS];
};

/* The state of the calling process, or of an ancestor, or NULL. */
extern struct mbr__process *mbr__process_state;

/*
 * The same, or if there is none, one of which only mark and page are there and differ. So whoever
 * finds that they are the same has the state of the calling process.
 */
extern struct mbr__process *mbr__process_quick;

/* The state of the calling process, made if need be; then the descriptors that were inherited with
 * its parent's containers are closed. -ENOMEM. */
int mbr__process_get(struct mbr__process **out);

/* An empty set of at most `limit` numbers, a multiple of 64; of zeroed memory. */
void mbr__ids_init(struct mbr__ids *ids, uint32_t limit);

/* The lowest free number, and its slot. -EMFILE all are taken, -ENOMEM. */
int mbr__ids_take(struct mbr__ids *ids, uint32_t *id, void **slot);
/* Gives back a number that is taken. */
void mbr__ids_give(struct mbr__ids *ids, uint32_t id);

/* The slot of a number, NULL if there is none yet. Any int. */
static inline void *mbr__ids_at(struct mbr__ids *ids, int id)
{
    uint32_t i = (uint32_t)id;
    uint8_t *chunk;

    if (__builtin_expect(i < 1u << MBR__IDS_CHUNK_BITS, 1))
        return ids->first + MBR__IDS_SLOT * i;
    if (i >= ids->limit)
        return NULL;
    /* Pair A with the compare-and-swap in ids.c. */
    chunk = mbr_load_acquire(&ids->chunks[i >> MBR__IDS_CHUNK_BITS]);
    return chunk == NULL ? NULL : chunk + MBR__IDS_SLOT * (i & ((1u << MBR__IDS_CHUNK_BITS) - 1));
}

/*
 * The beginning of every slot: a word that says whether the number is given out, being given back,
 * and how many are inside: calls under way, and what was got through it. Whoever takes it back
 * waits until nobody is inside.
 */
#define MBR__OPEN    (UINT32_C(1) << 31)
#define MBR__CLOSING (UINT32_C(1) << 30)

struct mbr__handle {
    uint32_t word;
    uint32_t id;
    void *what;                 /* struct mbr__container, struct mbr__object */
    struct mbr__handle *parent; /* an object's: the container's; an access's: the object's */
    struct mbr__list siblings;  /* an object's: among those of its container's number */
    struct mbr__list children;  /* a container's; under the container's lock */
    /* A container's: its descriptor, for children to close. */
    int fd;
    uint64_t dev;
    uint64_t ino;
};
static_assert(sizeof(struct mbr__handle) <= MBR__IDS_SLOT, "fits into its slot");

/* A new number of a kind, not open yet. -EMFILE, -ENOMEM. */
int mbr__handle_new(enum mbr__kind kind, struct mbr__process **p, struct mbr__handle **out);
/* Opens it. */
static inline void mbr__handle_open(struct mbr__handle *h)
{
    /* Pair A with mbr__handle_enter(). */
    (void)mbr_fetch_or(&h->word, MBR__OPEN);
}

/* Gives the number back; of one that is not open, or that the caller has closed and drained. */
void mbr__handle_free(struct mbr__process *p, enum mbr__kind kind, struct mbr__handle *h);

/* Why a number is none: true -EPERM, an ancestor had it; else -EBADF. */
bool mbr__handle_inherited(enum mbr__kind kind, int id);

static inline int mbr__handle_missing(enum mbr__kind kind, int id)
{
    return mbr__handle_inherited(kind, id) ? -EPERM : -EBADF;
}

/* Wakes who waits in mbr__handle_drain(). */
void mbr__handle_wake(struct mbr__handle *h);

/* As below; true: the caller is to wake them. (Written so that the compiler needs no more than a
 * subtraction and a look at the sign.) */
static inline bool mbr__handle_exits(struct mbr__handle *h)
{
    return (int32_t)(mbr_fetch_add(&h->word, UINT32_MAX) + UINT32_MAX) >= 0;
}

static inline void mbr__handle_exit(struct mbr__handle *h)
{
    if (__builtin_expect(mbr__handle_exits(h), 0))
        mbr__handle_wake(h);
}

/* The state if it is that of the calling process, else NULL. */
struct mbr__process *mbr__process_own_slow(void);
static inline struct mbr__process *mbr__process_own(void)
{
    /* Pair A with the compare-and-swap in mbr__process_get(). */
    struct mbr__process *p = mbr_load_acquire(&mbr__process_state);

    if (__builtin_expect(p == NULL || mbr_load_relaxed(p->page) != p->mark, 0))
        return mbr__process_own_slow();
    return p;
}

/* Finds a number and goes inside: it stays until mbr__handle_exit(). -EBADF, -EPERM. `p` is what
 * mbr__process_own() says. */
static inline int mbr__handle_enter_of(struct mbr__process *p, enum mbr__kind kind, int id,
                                       struct mbr__handle **out)
{
    struct mbr__handle *h;

    if (__builtin_expect(p == NULL, 0))
        return mbr__handle_missing(kind, id);
    h = mbr__ids_at(&p->ids[kind], id);
    if (__builtin_expect(h == NULL, 0))
        return mbr__handle_missing(kind, id);
    /* Not open: its sign says so before and after. */
    if (__builtin_expect((int32_t)(mbr_fetch_add(&h->word, 1) + 1) >= 0, 0)) {
        mbr__handle_exit(h);
        return mbr__handle_missing(kind, id);
    }
    *out = h;
    return 0;
}

static inline int mbr__handle_enter(enum mbr__kind kind, int id, struct mbr__handle **out)
{
    return mbr__handle_enter_of(mbr__process_own(), kind, id, out);
}

/* Closes a number: nobody can enter any more; the caller drains and frees it. -EBADF, -EPERM: not
 * open, also if another thread was faster. */
int mbr__handle_close(enum mbr__kind kind, int id, struct mbr__process **p,
                      struct mbr__handle **out);
/* The same for a handle that the caller is inside of, or whose parent it has closed. False: another
 * thread was faster. */
bool mbr__handle_shut(struct mbr__handle *h);

/* Waits until only `own` are inside. */
void mbr__handle_drain(struct mbr__handle *h, uint32_t own);

/* How many are inside. A hint unless the handle is closed. */
static inline uint32_t mbr__handle_inside(const struct mbr__handle *h)
{
    return mbr_load_acquire(&h->word) & (MBR__CLOSING - 1);
}

#endif
