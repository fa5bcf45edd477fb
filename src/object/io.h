/* SPDX-License-Identifier: MIT */
/*
 * Regions of objects under their locks: what reading, writing and direct access are made of.
 *
 * Not here: the locks (lock.h), versions (version.h), the worker (async.c).
 */
#ifndef MBR_OBJECT_IO_H
#define MBR_OBJECT_IO_H

#include "object/object.h"

/* What for a region is locked. */
enum mbr__io_how {
    MBR__IO_READ,
    MBR__IO_LOOK,  /* as a reader who knows which blocks are on the disk alone; they stay there */
    MBR__IO_EDIT,  /* as a writer who may read before he writes */
    MBR__IO_WRITE, /* as a writer who is going to write all of it */
};

/* A region that is locked. */
struct mbr__io {
    struct mbr__handle *handle; /* we are inside */
    struct mbr__view *view;
    uint8_t *bytes;
    size_t size;
    uint32_t hold;
    uint32_t first; /* block */
    uint32_t count; /* blocks; 0: nothing is locked, hold is none */
    bool write;
};

/*
 * Locks a region of an object that is written in place until mbr__io_unlock(); the caller is inside
 * of its handle and stays there. Errors as mbr_object_read_until() and mbr_object_write_until();
 * nothing is held then. From now on the bytes count as being written, if they are to be.
 */
int mbr__io_lock(struct mbr__handle *h, size_t offset, size_t size, enum mbr__io_how how,
                 uint64_t deadline, struct mbr__io *io);
void mbr__io_unlock(struct mbr__io *io);

/*
 * A hold of our own that nobody else uses. -EMFILE, -ENOMEM, -ENOSPC.
 *
 * Holds with odd numbers are given out by this. Hold 2 * n belongs to access n of the process, if n
 * is below MBR_ACCESS_MAX: since there is no other access of that number, it need not be sought.
 */
int mbr__hold_take(struct mbr__container *c, uint32_t *hold);
void mbr__hold_give(struct mbr__container *c, uint32_t hold);

/* Ends all accesses that were got through an object's number, which is closed. */
void mbr__io_end_accesses(struct mbr__process *p, struct mbr__handle *h);

#endif
