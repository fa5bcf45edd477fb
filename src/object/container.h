/* SPDX-License-Identifier: MIT */
/*
 * A container as one of its members sees it: where its memory is mapped, which slot is ours, which
 * of its objects this process has joined. One for each container and process, however many numbers
 * the process has for it.
 *
 * Locks of this process, in the order in which they are taken: process.lock (lists of containers
 * and counts of numbers), container.lock (everything that goes with the container's mutex in shared
 * memory, which is taken after it: so a process states one intent at a time), container.maps.
 *
 * Not here: how it is found (links.h), members (member.h), objects (table.h, object.h).
 */
#ifndef MBR_OBJECT_CONTAINER_H
#define MBR_OBJECT_CONTAINER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "object/ids.h"
#include "object/lock.h"
#include "object/object_shm.h"
#include "shm/names.h"

struct mbr__disk;

struct mbr__container {
    struct mbr__lock_world world; /* must be the first */
    struct mbr__container_shm *shm;
    uint8_t *tables; /* the first MBR__OBJ_TABLES_END bytes of its memory; shm is there */
    int fd;
    uint64_t dev; /* of fd, to tell it from what a child may have in its place */
    uint64_t ino;
    uint64_t id[2];
    char name[MBR_OBJECT_NAME_MAX + 1];

    /* under process.lock */
    struct mbr__list node;
    uint32_t numbers; /* handles, and joins that wait for the first */
    uint32_t ready;   /* futex: 0 the first join is under way, then 1 */
    int result;       /* of the first join */

    /* under lock */
    pthread_mutex_t lock;
    struct mbr__hash objects; /* struct mbr__object by index + 1 */
    uint32_t *joined;         /* our list in shared memory, mapped with the first object */
    uint32_t joined_used;     /* places of it that were used ever */
    uint32_t *joined_free;    /* a stack of the free ones among them */
    uint32_t joined_free_count;
    uint32_t joined_free_room;

    pthread_mutex_t maps; /* of making views (data.h) and growing holds */

    /* without a lock */
    struct mbr__hold *own_holds; /* once we are a member */
    uint32_t more_accesses;      /* open ones that have not a hold of their own number */
    uint32_t holds_allocated;    /* holds of ours that have memory */
    uint64_t holds[MBR__OBJ_HOLDS / 2 / 64]; /* which of the others are taken */

    /* How others find it: by links in this directory, or through membraned, where `session` says
     * that we are a member (broker.h); -1: by links. */
    pthread_mutex_t disk_lock; /* of disk, taken before the turn in shared memory: persist.h */
    struct mbr__disk *disk;    /* persistent: NULL until this process needs it */
    bool served;               /* membraned has the directory: so it has said itself */

    struct mbr__names names;
    int session;
    uint32_t owner; /* with a session: the uid that membraned knows */
};

static inline struct mbr__entry *mbr__entry_at(const struct mbr__container *c, uint32_t index)
{
    return (struct mbr__entry *)(void *)(c->tables + MBR__OBJ_ENTRIES_AT) + index;
}

static inline struct mbr__member_shm *mbr__member_at(const struct mbr__container *c, uint32_t slot)
{
    return (struct mbr__member_shm *)(void *)(c->tables + MBR__OBJ_MEMBERS_AT +
                                              MBR__OBJ_MEMBER_STRIDE * slot);
}

static inline struct mbr__hold *mbr__holds_at(const struct mbr__container *c, uint32_t slot)
{
    return (struct mbr__hold *)(void *)(c->tables + MBR__OBJ_MEMBERS_AT +
                                        MBR__OBJ_MEMBER_STRIDE * slot + MBR__OBJ_HOLDS_AT);
}

/* Where object `index` begins in the memory. */
static inline uint64_t mbr__range_of(uint32_t index)
{
    return MBR__OBJ_RANGE * ((uint64_t)index + 1);
}

/* Allocates memory at [offset, offset + size), rounded to pages; what is there stays. -ENOMEM,
 * -ENOSPC; then some of it may be allocated. */
int mbr__container_allocate(const struct mbr__container *c, uint64_t offset, uint64_t size);
/* Frees [offset, offset + size): it reads as zeroes, also in parts of pages. */
void mbr__container_punch(const struct mbr__container *c, uint64_t offset, uint64_t size);
/* Maps [offset, offset + size), multiples of pages, for reading and writing; not inherited by
 * children. -ENOMEM. */
int mbr__container_map(const struct mbr__container *c, uint64_t offset, uint64_t size,
                       uint8_t **out);

/*
 * Takes lock, and the container's mutex; mends what a dead holder of it has left. -ETIMEDOUT,
 * -EPROTO (it makes no sense), with nothing held.
 */
int mbr__container_lock(struct mbr__container *c, uint64_t deadline);
void mbr__container_unlock(struct mbr__container *c);

/* Takes a mutex of this process. -ETIMEDOUT. */
int mbr__container_lock_own(pthread_mutex_t *m, uint64_t deadline);

/* Says that a member or a user of an object has gone. */
void mbr__container_changed(struct mbr__container *c);
/*
 * Waiting for that: the number of changes is read first, then it is looked whether one has to wait
 * at all, then one waits until there are more changes; for a few milliseconds only, after which
 * some members are looked at and the dead are buried. -ETIMEDOUT at the deadline.
 */
uint32_t mbr__container_changes(struct mbr__container *c);
int mbr__container_await(struct mbr__container *c, uint32_t seen, uint64_t deadline);

#define MBR__LOOK_AT 16u /* members looked at after each such pause */

/* What a process keeps of a container whose memory is `fd`, which becomes its own unless it fails;
 * no member of it yet. -ENOMEM. */
int mbr__container_new(int fd, struct mbr__container **out);
/* Writes the header of new memory, which nobody else sees yet; c->name is there. -ENOMEM, -ENOSPC.
 */
int mbr__container_furnish(struct mbr__container *c, uint32_t policy);
/* NULL is fine. */
void mbr__container_free(struct mbr__container *c);

#endif
