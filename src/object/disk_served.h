/* SPDX-License-Identifier: MIT */
/*
 * The files of a persistent container that membraned keeps, as one of its members sees them: it
 * reads them for itself and asks the daemon to change them (broker_wire.h), over the connection
 * that makes it a member.
 *
 * What is known of the journal is what the daemon has said to be durable, never what happens to
 * stand in the file. A reply that somebody has stopped waiting for is still to come: the next
 * request waits for it first, so no more than one is ever under way.
 *
 * For disk*.c, which calls these where it would write itself. One thread at a time. Errors of all:
 * those of the daemon (disk.h), -ECONNREFUSED it has gone, or was started anew and does not know
 * us; -ETIMEDOUT (mbr__disk_deadline()): it may be done yet; -EPROTO it answers nonsense.
 */
#ifndef MBR_OBJECT_DISK_SERVED_H
#define MBR_OBJECT_DISK_SERVED_H

#include "object/disk_state.h"

/* NULL is fine. */
void mbr__served_free(struct mbr__served *s);

/* Asks how far it is, and reads as far as that. */
int mbr__served_refresh(struct mbr__disk *d);

/* RECORD as mbr__disk_append() gets it; not of blocks. */
int mbr__served_change(struct mbr__disk *d, const struct mbr__journal_record *record);

/* What mbr__disk_write() does: begin, each block (only counted in W), then one of the last two.
 * -EAGAIN: the daemon has become another program in between, and has forgotten the blocks; or the
 * object has another size there than we know. The whole may be tried again. */
int mbr__served_begin(struct mbr__disk *d, uint64_t id);
int mbr__served_write(struct mbr__disk *d, struct mbr__disk_write *w,
                      const struct mbr__disk_dirty *dirty);
int mbr__served_commit(struct mbr__disk *d, uint64_t id);
void mbr__served_abandon(struct mbr__disk *d);

/* Whether a block may have been written over while it was read from BEFORE: 1 it is elsewhere now,
 * 0 not. -ENOENT the object is gone. */
int mbr__served_moved(struct mbr__disk *d, uint64_t id, uint32_t block,
                      const struct mbr__catalog_place *before);

/* Removes the container. */
int mbr__served_destroy(struct mbr__disk *d);

#endif
