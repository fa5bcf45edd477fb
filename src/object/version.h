/* SPDX-License-Identifier: MIT */
/*
 * Objects whose readers keep the version they began with (MBR_WRITE_VERSIONED): a writer prepares
 * new blocks, where no reader looks, and publishes them with one store. Readers never wait, and
 * never for a writer; writers wait for each other (entry.writer). A writer that dies has changed
 * nothing.
 *
 * A reader pins the current version: it says in a hold which one it reads, makes a full fence, and
 * looks whether that is still the current one (pair B with a writer, who publishes, makes a full
 * fence, and looks at the holds of all users). So a version that somebody reads is the current one
 * or found in a hold.
 *
 * version_shm.h has the layout. Not here: numbers of accesses and their ends (io.c), bytes that are
 * written in place (lock.h).
 */
#ifndef MBR_OBJECT_VERSION_H
#define MBR_OBJECT_VERSION_H

#include "object/object.h"

struct mbr__io;

/* What a process keeps of an object's versions, in mbr__object.versions: -ENOMEM. NULL is fine. */
int mbr__versions_new(struct mbr__object *o);
void mbr__versions_free(struct mbr__object *o);

/* The first version, of zeroes, in an object that was just made and has memory for its size.
 * -ENOMEM, -ENOSPC. */
int mbr__version_first(struct mbr__object *o, uint64_t size);

/* Copies a region as one. -ERANGE; -ETIMEDOUT (writing); -ENOMEM, -ENOSPC no memory for the new
 * blocks, or more versions are read than there are places for; -EMFILE (reading) no hold is left;
 * -EPROTO. Nothing has changed then. */
int mbr__version_write(struct mbr__object *o, uint64_t offset, const void *buf, uint64_t size,
                       uint64_t deadline);
int mbr__version_read(struct mbr__object *o, uint64_t offset, void *buf, uint64_t size);

/* A new version of another size; bytes that are added are zero. -EFBIG, and as writing. */
int mbr__version_resize(struct mbr__object *o, uint64_t size, uint64_t deadline);

/* The region's bytes, read-only, as one piece, and a hold that keeps them, until
 * mbr__version_put(). Fills in the io except its handle. Errors as reading. */
int mbr__version_get(struct mbr__object *o, uint64_t offset, uint64_t size, struct mbr__io *io);
void mbr__version_put(struct mbr__object *o, const struct mbr__io *io);

/* Gives back memory that no version uses, but for twice the size; nothing if somebody writes. */
void mbr__version_tidy(struct mbr__object *o);

/* For mbr_object_getattr(). */
void mbr__version_look(const struct mbr__object *o, uint64_t *version, uint64_t *allocated);

#endif
