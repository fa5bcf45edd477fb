/* SPDX-License-Identifier: MIT */
/*
 * Persistent containers: the directory behind the memory.
 *
 * Who creates the container takes the directory for it (disk.h; the set's id is the container's),
 * and makes an entry for each object there. When one is joined for the first time its blocks are
 * marked: they are on the disk alone. Who comes to such a block first reads and verifies it, having
 * locked it as a writer; from then on it is in memory like others, and a block that is damaged is
 * an error to those alone who come to it. (A versioned object's blocks have no locks: it is read as
 * a whole when it is joined.) mbr_object_sync() writes the blocks that differ. Objects come, go and
 * are renamed under the container's mutex and change their size under the object's writer lock:
 * first what is intended is said, then the disk is changed, then the memory. Whoever finds that a
 * member has died in between completes the memory by what was intended, and makes the disk follow
 * (mbr__persist_mend()).
 *
 * One process at a time writes to the directory: a mutex in the header sees to that, taken after
 * all other locks (the container's mutex, writer locks, blocks). Other members open the directory
 * when they first need it.
 *
 * All functions are fine with volatile containers and do nothing then, unless it says otherwise.
 * Errors of all: those of disk.h, and of opening the directory: -EPERM also, it is another user's;
 * -ESTALE it is no more this container's.
 *
 * Where membraned has the directory (c->served) it takes the place of the mutex: it carries out one
 * request at a time, and what the dead have asked for before what the living ask for. Errors also:
 * those of disk_served.h.
 *
 * Not here: files (disk.h).
 */
#ifndef MBR_OBJECT_PERSIST_H
#define MBR_OBJECT_PERSIST_H

#include "object/object.h"

/* What the memory says is believed only where all members are of one user. */
static inline bool mbr__is_persistent(const struct mbr__container *c)
{
    return c->served ||
           (c->session < 0 && (mbr_load_relaxed(&c->shm->flags) & MBR_CONTAINER_PERSISTENT) != 0);
}

/* Takes the directory for a container that is being made, and enters what is there. FLAGS:
 * MBR_CONTAINER_CHECKSUMS. -EEXIST other processes have it; -ENAMETOOLONG. */
int mbr__persist_begin(struct mbr__container *c, const char *directory, uint32_t flags);

/* Enters what is on the disk, with c->disk there, into a container that nobody else has yet. */
int mbr__persist_enter_objects(struct mbr__container *c);

/* Closes the directory. */
void mbr__persist_end(struct mbr__container *c);

/* These four with the container's mutex, before the memory is changed. */

/* An entry that is about to be published. */
int mbr__persist_create(struct mbr__container *c, uint32_t index);
/* It was not published after all. */
void mbr__persist_uncreate(struct mbr__container *c, uint32_t index);
/* What is intended is said here, for mbr__table_unlink() and mbr__table_rename(). */
int mbr__persist_unlink(struct mbr__container *c, uint32_t index);
int mbr__persist_rename(struct mbr__container *c, uint32_t index, const char *name);

/* With the object's writer lock: its size is going to be SIZE. Of an object without a name nothing
 * is on the disk: 0. Until mbr__persist_resized(), which comes when memory has followed or the old
 * size is to stand, the two may differ if we die. membraned is waited for until DEADLINE:
 * -ETIMEDOUT; it may do it yet, so the two may differ for longer. */
int mbr__persist_resize(struct mbr__container *c, uint32_t index, uint64_t size, uint64_t deadline);

void mbr__persist_resized(struct mbr__container *c, uint32_t index);

/* Whether a change that has ended with ERROR may be done all the same, or done yet: membraned has
 * died over it, or was not waited for. */
static inline bool mbr__persist_in_doubt(int error)
{
    return error == -ECONNREFUSED || error == -ETIMEDOUT;
}

/* Makes memory and disk agree about what objects there are, if a change is in doubt. With the
 * container's mutex; the other one with nothing locked. */
int mbr__persist_agree(struct mbr__container *c);
int mbr__persist_settle(struct mbr__container *c);

/* With the object's writer lock: if somebody has died in between, the disk gets the size that it
 * has in memory. */
int mbr__persist_follow_size(struct mbr__container *c, uint32_t index, uint64_t deadline);

/* With the container's mutex: makes an object ready that we are the first to join since the
 * container was made; of others nothing. Of a versioned one: -EBADMSG what was read is not what was
 * written, -EIO it could not be read. */
int mbr__persist_load(struct mbr__object *o);

/* What is to become of blocks that are on the disk alone. */
enum mbr__persist_want {
    MBR__WANT_BYTES,      /* they are read */
    MBR__WANT_TO_WRITE,   /* as above, but for those that are going to be written as a whole */
    MBR__WANT_AS_THEY_ARE /* nothing */
};

/*
 * With nothing of it locked: makes the blocks of the region [offset, offset + size), which `v`
 * shows and which is not empty, ready for that. So they stay. -EBADMSG, -EIO as above, of one of
 * those blocks; -ETIMEDOUT somebody else has one until the deadline (to which reading does not
 * look).
 */
int mbr__persist_bring_slow(struct mbr__object *o, const struct mbr__view *v, uint64_t offset,
                            uint64_t size, enum mbr__persist_want want, uint64_t deadline);

static inline int mbr__persist_bring(struct mbr__object *o, const struct mbr__view *v,
                                     uint64_t offset, uint64_t size, enum mbr__persist_want want,
                                     uint64_t deadline)
{
    if (__builtin_expect(mbr_load_relaxed(&o->entry->unloaded) == MBR__LOADED, 1))
        return 0;
    return mbr__persist_bring_slow(o, v, offset, size, want, deadline);
}

/* Reads all blocks that are on the disk alone, because they are about to go there; those that
 * cannot be read are lost. -ENOMEM and others: it may be tried again. */
int mbr__persist_bring_all(struct mbr__object *o);

/* Removes the files. -EACCES membraned has them, and the caller is not their owner. */
int mbr__persist_destroy(struct mbr__container *c);

/* With the container's mutex: a member has died inside of it, and what it was changing in memory
 * was mended. If the disk cannot follow now, the next change begins with that. */
void mbr__persist_mend(struct mbr__container *c);

#endif
