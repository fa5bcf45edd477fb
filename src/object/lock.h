/* SPDX-License-Identifier: MIT */
/*
 * Locks of blocks: many readers or one writer each, in memory that several processes share, where
 * any of them may die at any instruction.
 *
 * A reader takes blocks [first, first + count) with one store to a hold of its own, a full fence
 * and a look at the writers' words; a writer takes one block after the other, in ascending order,
 * and waits for those who hold it to leave. Who finds a block taken keeps what it has below it,
 * gives up the rest, and sleeps: so whoever waits holds only lower blocks, and nobody waits in a
 * circle. Once a writer has taken a word no new reader gets in, so writers are not starved; who
 * releases a block as its writer grants it to the readers that wait for it before the next writer
 * can take it, so readers are not starved either.
 *
 * Sleeping: on the futex `turn` of the block, for at most MBR__LOCK_LOOK_NS at a time; then the
 * sleeper looks whether whom it waits for lives (and whether he holds the block at all), and buries
 * him if not. A futex and the death of a process cannot be awaited together by processes of
 * different users, whose bells cannot be opened; and nobody may depend on a wake-up by somebody who
 * may have been killed before he gave it.
 *
 * Not here: who the members are (member.h), what the blocks are blocks of (data.h), versions
 * (version.h).
 */
#ifndef MBR_OBJECT_LOCK_H
#define MBR_OBJECT_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "object/object_shm.h"

#define MBR__LOCK_LOOK_NS 4000000u /* how long a sleeper sleeps before it looks for the dead */

/* How locks see the members of a container. Any thread. */
struct mbr__lock_world {
    uint32_t self; /* our slot */
    /* The member in a slot, its holds; NULL: never used. `slot` is below MBR_CONTAINER_MEMBERS. */
    struct mbr__member_shm *(*member)(struct mbr__lock_world *w, uint32_t slot);
    struct mbr__hold *(*holds)(struct mbr__lock_world *w, uint32_t slot);
    /* Whether it is there and its process lives (or that cannot be told). May take microseconds. */
    bool (*alive)(struct mbr__lock_world *w, uint32_t slot);
    /* Undoes everything that a dead member holds, in all objects, and frees its slot. Calls
     * mbr__lock_bury() for its holds. */
    void (*bury)(struct mbr__lock_world *w, uint32_t slot);
};

/* The locks of one object: those of the first MBR__OBJ_NEAR_LOCKS blocks, and the others. */
struct mbr__lock_set {
    struct mbr__lock_world *world;
    struct mbr__block_lock *near;
    struct mbr__block_lock *far; /* NULL: there are none */
    uint32_t object;             /* index + 1 of its entry, what its holds say */
};

static inline struct mbr__block_lock *mbr__lock_of(const struct mbr__lock_set *s, uint32_t block)
{
    return block < MBR__OBJ_NEAR_LOCKS ? &s->near[block] : &s->far[block - MBR__OBJ_NEAR_LOCKS];
}

/*
 * Takes blocks [first, first + count), count at least 1, all of them within the locks, as a reader
 * or as a writer, with hold number `hold` of our own member, which nothing else uses meanwhile. The
 * caller has made sure that member.holds is above `hold`. Returns 0; -ETIMEDOUT at the deadline
 * (CLOCK_MONOTONIC ns, 0 not at all, MBR_FOREVER never) with nothing held; -EOWNERDEAD or
 * -ENOTRECOVERABLE a block is torn, nothing held: the first only to the one that changes `torn`
 * from 1 to 2. A writer that will write all of a block (`whole_first` to `whole_end`, blocks) is
 * not told of those. The reader's way without contention is inline in the callers' hot path: some
 * twenty instructions beside the fence, no call through the world.
 */
int mbr__lock_read(const struct mbr__lock_set *s, uint32_t hold, uint32_t first, uint32_t count,
                   uint64_t deadline);
int mbr__lock_write(const struct mbr__lock_set *s, uint32_t hold, uint32_t first, uint32_t count,
                    uint32_t whole_first, uint32_t whole_end, uint64_t deadline);

/* From now on the blocks held as a writer are being changed: if we die, they are torn. */
void mbr__lock_writing(const struct mbr__lock_set *s, uint32_t hold);

/* Gives back what the hold has, as a writer with new versions of the blocks and, for those written
 * as a whole, sound again. Wakes who waits; a system call only if somebody does. */
void mbr__unlock(const struct mbr__lock_set *s, uint32_t hold);

/* Takes back torn marks. Returns how many blocks were torn. */
uint32_t mbr__lock_repair(const struct mbr__lock_set *s, uint32_t first, uint32_t count);

/* A dead member's hold: marks torn what it was writing, gives everything back, clears it. May be
 * called by several at once, and again after one of them has died on the way. */
void mbr__lock_bury(const struct mbr__lock_set *s, uint32_t slot, struct mbr__hold *hold);

/* ---- the lock of a table ---- */

/*
 * Takes a mutex. 0; -ETIMEDOUT; -EOWNERDEAD it is ours, and the one who had it is dead: the caller
 * mends what he was changing before it goes on (slot of the dead in *dead). Not recursive.
 */
int mbr__shm_lock(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint64_t deadline,
                  uint32_t *dead);
void mbr__shm_unlock(struct mbr__lock_world *w, struct mbr__shm_mutex *m);

#endif
