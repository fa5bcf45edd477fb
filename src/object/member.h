/* SPDX-License-Identifier: MIT */
/*
 * Members of a container: taking a slot, telling whether who has one lives, and burying the dead.
 *
 * A member that dies leaves a slot with its name on it; what it held, had joined and was about to
 * change is written there. Whoever meets it takes the container's mutex, undoes all that, in steps
 * that may be repeated if it dies as well, and frees the slot.
 *
 * A member that calls exec is still alive as a process, but has lost the memory: that its
 * descriptor is gone tells.
 *
 * Not here: what is undone in the table of objects (table.h) and in locks (lock.h).
 */
#ifndef MBR_OBJECT_MEMBER_H
#define MBR_OBJECT_MEMBER_H

#include "object/container.h"

/*
 * Takes a slot for the calling process; it is MBR__MEMBER_JOINING then, and c->world is ready to
 * lock with. Buries dead members if all slots are taken. -EUSERS; -ENOMEM, -ENOSPC; -ENOENT and so
 * on as mbr__proc_self().
 */
int mbr__member_claim(struct mbr__container *c);

/* Gives our slot back; nothing is held or joined through it any more. */
void mbr__member_release(struct mbr__container *c);

/* Whether the slot is taken by somebody that lives, or of whom that cannot be told. */
bool mbr__member_alive(struct mbr__container *c, uint32_t slot);

/* Buries slot `slot` if it is a dead member's: nothing happens if it lives after all, or if the
 * container's mutex cannot be had within a few milliseconds. */
void mbr__member_bury(struct mbr__container *c, uint32_t slot);

/*
 * Buries the dead among the members whose bits are set in `slots` (MBR_CONTAINER_MEMBERS bits;
 * NULL: all). Of each it is asked only whether its pid is gone, which costs little; the next few in
 * turn are looked at closely, as mbr__member_look() does. So one that calls exec, or whose pid is
 * another's by now, may need more calls than one if there are many members.
 */
void mbr__member_sweep(struct mbr__container *c, const uint64_t *slots);

/* Looks at up to `count` members, those that come next in turn, and buries the dead. */
void mbr__member_look(struct mbr__container *c, uint32_t count);

/* How many slots were ever used; bounded. */
uint32_t mbr__member_bound(const struct mbr__container *c);

/* How many members there are besides us, as far as they are HERE. */
uint32_t mbr__member_others(const struct mbr__container *c);

#endif
