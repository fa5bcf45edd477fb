/* SPDX-License-Identifier: MIT */
/*
 * The table of a container's objects in shared memory: a hash of chains over entries, who uses
 * which, and what to do with changes that a dead member has left half done.
 *
 * Everything here needs the container's mutex (mbr__container_lock()), and a change is one store
 * where it can be. Where it cannot, the member first writes down what it intends; whoever gets the
 * mutex from a dead one completes that before anything else (mbr__table_mend()). Completing may be
 * interrupted and repeated as well.
 *
 * An entry is used by the members whose bits are set in it; each of them has its number in its list
 * of what it has joined, from before the bit is set until after it is cleared. An entry that nobody
 * uses and that has no name is free.
 *
 * Not here: the objects' bytes (data.h), waiting (object.c).
 */
#ifndef MBR_OBJECT_TABLE_H
#define MBR_OBJECT_TABLE_H

#include "object/container.h"

/* The entry of this name that can be joined, or is being destroyed. -ENOENT; -EPROTO. */
int mbr__table_find(struct mbr__container *c, const char *name, uint32_t *index);

/* Room for one more in our list of joined entries. -ENOMEM, -ENOSPC. Then taking a place cannot
 * fail. These two need container.lock alone. */
int mbr__table_reserve_place(struct mbr__container *c);
void mbr__table_give_place(struct mbr__container *c, uint32_t place);

/* Takes a free entry: MAKING, used by us, its fields set; nobody else sees it. -ENOMEM, -ENOSPC
 * none, or no memory; -EPROTO. A place was reserved. */
int mbr__table_take(struct mbr__container *c, const char *name, uint64_t size, uint32_t policy,
                    uint32_t *index, uint32_t *place);

/* Gives an entry that we are MAKING its id, the highest there has ever been. It is published, or
 * given up, before the lock is released: the disk takes ids in rising order only. */
void mbr__table_number(const struct mbr__container *c, uint32_t index);

/* Makes an entry that we are MAKING visible. */
void mbr__table_publish(struct mbr__container *c, uint32_t index);

/* Becomes a user of an entry. A place was reserved. */
void mbr__table_use(struct mbr__container *c, uint32_t index, uint32_t *place);

/*
 * Whether member `slot` is the last user of an entry that has no name: then its memory must be
 * freed (mbr__table_wipe(), for which the mutex is not needed) before mbr__table_unuse().
 */
bool mbr__table_last_user(const struct mbr__container *c, uint32_t index, uint32_t slot);
void mbr__table_wipe(const struct mbr__container *c, uint32_t index);

/* Member `slot`, whose list has the entry at *joined, is no user of it any more; the entry is free
 * if it was the last one of one without a name. */
void mbr__table_unuse(struct mbr__container *c, uint32_t index, uint32_t slot, uint32_t *joined);

/* How many members besides us use an entry. */
uint32_t mbr__table_other_users(const struct mbr__container *c, uint32_t index);

/* Takes an entry that we use, or that is LIVE, out of its chain: UNLINKED. */
void mbr__table_unlink(struct mbr__container *c, uint32_t index);

/*
 * Says that we are about to do that, or to rename it, before the disk is changed (persist.h); or
 * that we are not after all. Who dies in between has it completed.
 */
void mbr__table_intend_unlink(struct mbr__container *c, uint32_t index);
void mbr__table_intend_rename(struct mbr__container *c, uint32_t index, const char *name);
void mbr__table_intend_nothing(struct mbr__container *c);

/* Gives a LIVE entry another name, which is free. */
void mbr__table_rename(struct mbr__container *c, uint32_t index, const char *name);

/* The entry at or after *index that has a name: true; *index is it, and its name is copied. */
bool mbr__table_next(struct mbr__container *c, uint32_t *index, char name[MBR_OBJECT_NAME_MAX + 1]);

/* Completes what member `slot`, which is dead, was changing, and counts the objects anew. */
void mbr__table_mend(struct mbr__container *c, uint32_t slot);

/* Member `slot`, whose list of `count` places is at `list`, uses nothing any more. */
void mbr__table_bury(struct mbr__container *c, uint32_t slot, uint32_t *list, uint32_t count);

/* How many entries were ever used; bounded. */
uint32_t mbr__table_bound(const struct mbr__container *c);

#endif
