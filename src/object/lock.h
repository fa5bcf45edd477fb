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
 * can take it, so readers are not starved either. A writer that was woken and finds the word taken
 * once more reserves it (`next`), so writers do not starve each other; before that whoever is
 * awake may have it, which saves a change of process for each short write. A thread that reads a
 * block already may read it once more although a writer waits: that writer waits for it.
 *
 * Sleeping: on the futex `turn` of the block, for at most MBR__LOCK_LOOK_NS at a time; then the
 * sleeper looks whether whom it waits for lives (and whether he holds the block at all), and buries
 * him if not. A futex and the death of a process cannot be awaited together by processes of
 * different users, whose bells cannot be opened; and nobody may depend on a wake-up by somebody who
 * may have been killed before he gave it.
 *
 * What makes that safe at any instruction: a hold is stated before the word is taken or the block
 * read, and cleared after the word is freed. So what a dead member leaves is found through its
 * holds, and a word that no hold of its owner accounts for is nobody's.
 *
 * Not here: who the members are (member.h), what the blocks are blocks of (data.h), versions
 * (version.h).
 */
#ifndef MBR_OBJECT_LOCK_H
#define MBR_OBJECT_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
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
    /*
     * Undoes everything that a dead member holds, in all objects, and frees its slot as the last
     * step. Calls mbr__lock_bury() for its holds. One at a time: it takes the container's mutex and
     * looks again, under it, that the slot is still that of a dead member; else a second one that
     * is late would clear a hold of the next owner of the slot. So nobody waits for a block while
     * it has that mutex.
     */
    void (*bury)(struct mbr__lock_world *w, uint32_t slot);
    /* Our member's tickets (mutex.c) as they are: what stands in shared memory others can write. */
    struct mbr__own_ticket {
        uint32_t word; /* 0 nobody's */
        uint32_t reserved;
        uintptr_t mutex; /* that was got with it; 0 not yet */
    } own[MBR__MUTEX_TICKETS];
};

/* The locks of one object: those of the first MBR__OBJ_NEAR_LOCKS blocks, and the others. */
struct mbr__lock_set {
    struct mbr__lock_world *world;
    struct mbr__block_lock *near;
    struct mbr__block_lock *far; /* NULL: there are none */
    uint32_t object;             /* index + 1 of its entry, what its holds say */
    uint32_t blocks;             /* the first so many can be reached through near and far */
};

static inline struct mbr__block_lock *mbr__lock_of(const struct mbr__lock_set *s, uint32_t block)
{
    return block < MBR__OBJ_NEAR_LOCKS ? &s->near[block] : &s->far[block - MBR__OBJ_NEAR_LOCKS];
}

static inline uint32_t mbr__holder(uint32_t slot, uint32_t nonce)
{
    return (slot + 1) | nonce << MBR__HOLDER_BITS;
}

/* The slot that a holder's word names; it may be any number below 2 to the MBR__HOLDER_BITS, and
 * UINT32_MAX. */
static inline uint32_t mbr__holder_slot(uint32_t holder)
{
    return (holder & ((UINT32_C(1) << MBR__HOLDER_BITS) - 1)) - 1;
}

/*
 * Takes blocks [first, first + count), count at least 1, all of them within the locks, as a reader
 * or as a writer, with hold number `hold` of our own member, which nothing else uses meanwhile. The
 * caller has made sure that member.holds is above `hold`, and has set its `thread`. Returns 0;
 * -ETIMEDOUT at the deadline (CLOCK_MONOTONIC ns, 0 not at all, MBR_FOREVER never) with nothing
 * held; -EOWNERDEAD or -ENOTRECOVERABLE a block is torn, nothing held: the first only to the one
 * that changes `torn` from 1 to 2; -EPROTO somebody has written to our hold, nothing held. A writer
 * that will write all of a block (`whole_first` to `whole_end`, blocks) is not told of those. A
 * hold that is dead is buried even if the deadline does not allow to wait.
 */
int mbr__lock_read(const struct mbr__lock_set *s, uint32_t hold, uint32_t first, uint32_t count,
                   uint64_t deadline);
int mbr__lock_write(const struct mbr__lock_set *s, uint32_t hold, uint32_t first, uint32_t count,
                    uint32_t whole_first, uint32_t whole_end, uint64_t deadline);

/* From now on the blocks held as a writer are being changed: if we die, they are torn. */
void mbr__lock_writing(const struct mbr__lock_set *s, uint32_t hold);

/* Gives back what the hold has; if it was writing, with new versions of the blocks, all of them
 * sound. Wakes who waits; a system call only if somebody does. */
void mbr__unlock(const struct mbr__lock_set *s, uint32_t hold);

/* Takes back torn marks, but not MBR__ABSENT and MBR__LOST, of which the functions here know only
 * that they are in the way of mbr__lock_open(). Returns how many blocks were torn. */
uint32_t mbr__lock_repair(const struct mbr__lock_set *s, uint32_t first, uint32_t count);

/* Of blocks that the caller has locked for writing and made zeroes of: they are sound, whatever
 * they were. */
void mbr__lock_zeroed(const struct mbr__lock_set *s, uint32_t first, uint32_t count);

/* A dead member's hold, by the one who buries it: marks torn what it was writing, gives everything
 * back, clears it. Again after one of them has died on the way. */
void mbr__lock_bury(const struct mbr__lock_set *s, struct mbr__hold *hold);

/* ---- the reader's way without contention ---- */

/* What mbr__unlock_read() does when a writer waits for a reader of `block`. */
void mbr__lock_left(const struct mbr__lock_set *s, uint32_t block);

/* Whether a reader that has said what it reads is in: its bit is set, no writer has the word or is
 * about to, and the block is sound. */
static inline bool mbr__lock_open(struct mbr__block_lock *l, uint32_t self)
{
    /* Pair A with the next writer, who takes the word before it clears this. */
    uint32_t taken = mbr_load_acquire(&l->next);

    /* Pair A with a writer's release of the word: what it wrote is seen. */
    taken |= mbr_load_acquire(&l->writer);
    return (mbr_load_relaxed(&l->readers[self / 64]) >> self % 64 & 1) != 0 &&
           (taken | mbr_load_relaxed(&l->torn)) == 0;
}

/* mbr__lock_read() without a call when nobody is in the way. `h` is hold number `hold`. */
static inline int mbr__lock_read_inline(const struct mbr__lock_set *s, struct mbr__hold *h,
                                        uint32_t hold, uint32_t first, uint32_t count,
                                        uint64_t deadline)
{
    /* Pair B with the fence in lock.c between a writer's taking the word and its looking at the
     * holds: either we see the word or it sees the hold. */
    mbr_store_release(&h->what, mbr__hold_of(s->object, first, count));
    mbr_fence_full();
    for (uint32_t i = first; i < first + count; i++) {
        if (__builtin_expect(!mbr__lock_open(mbr__lock_of(s, i), s->world->self), 0))
            return mbr__lock_read(s, hold, first, count, deadline);
    }
    return 0;
}

/* mbr__unlock() of what the above has taken. */
static inline void mbr__unlock_read(const struct mbr__lock_set *s, struct mbr__hold *h,
                                    uint32_t first, uint32_t count)
{
    /* Pair A with a writer's look at the hold: our reading was before its writing. Pair B with a
     * writer that says it waits and then looks at the hold. */
    mbr_store_release(&h->what, 0);
    mbr_fence_full();
    for (uint32_t i = first; i < first + count; i++) {
        if (__builtin_expect(mbr_load_relaxed(&mbr__lock_of(s, i)->waiters) & MBR__WAITS_WRITER, 0))
            mbr__lock_left(s, i);
    }
}

/* ---- the lock of a table ---- */

/*
 * Takes a mutex. 0; -ETIMEDOUT; -EOWNERDEAD it is ours, and the one who had it is dead: the caller
 * mends what he was changing before it goes on (his slot in *dead; it may be another's by now if
 * the mutex is not what guards burials, and if the word was scribbled it is a living one's who was
 * changing nothing). Not recursive. A process can have and await MBR__MUTEX_TICKETS at a time;
 * further threads wait for one.
 */
int mbr__shm_lock(struct mbr__lock_world *w, struct mbr__shm_mutex *m, uint64_t deadline,
                  uint32_t *dead);
void mbr__shm_unlock(struct mbr__lock_world *w, struct mbr__shm_mutex *m);

#endif
