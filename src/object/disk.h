/* SPDX-License-Identifier: MIT */
/*
 * A persistent container as files in a directory of its own:
 *
 *     membrane-journal   what objects there are and where their blocks lie (journal.h)
 *     membrane-blocks    the blocks, in slots of MBR_OBJECT_BLOCK bytes; free ones are holes
 *     membrane-set       who has the directory (below)
 *
 * Every change is one record of the journal, so it is there as a whole or not at all, and it is on
 * the disk when the function returns. Blocks are written to free slots and made durable before the
 * record that refers to them is written; the slots they had before are free after that. Nothing is
 * mapped: a file that was cut off or altered is an error, not a signal.
 *
 * The directory belongs to one *set* of processes, those who share the container's memory: each
 * holds a shared flock on it, and the set's random id stands in membrane-set. Within the set only
 * one process at a time may call anything here for one directory (they have a lock for that), and
 * mbr__disk_refresh() comes first: it reads what the others have written.
 *
 * After a failed write or fsync nothing is taken for written: what was appended is cut off again,
 * and where even that fails the journal is in doubt and the next change begins by writing a new
 * one, from what is known, into a new file. Only that file's sync is then believed.
 *
 * A handle is for one thread at a time. Functions wait for the disk. Errors of all that write:
 * -EIO, -ENOSPC, -EDQUOT, -EROFS and others as the file system says, -EFBIG the file size limit of
 * the process; the old state stands and the call may be tried again. Should the machine stop just
 * then, the change may be found made after all.
 *
 * Not here: what is in memory and when it is loaded or written (persist.h).
 */
#ifndef MBR_OBJECT_DISK_H
#define MBR_OBJECT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "object/catalog.h"

struct mbr__disk;

/*
 * Takes the directory at PATH for the set with the id SET, not all zeroes, and reads it; one that
 * is empty is begun, with FLAGS (MBR__JOURNAL_CHECKSUMS or 0; for one that is not empty they are
 * ignored). A symbolic link is not followed in the last part of PATH, nor in the directory.
 * -EEXIST another set has it; -EPERM it or a file in it is not ours alone to write; -ENOTEMPTY it
 * holds something else; -EBADMSG what it holds is damaged (a last record that was cut off is
 * dropped); -EPROTONOSUPPORT a later version has written it; -ENOENT, -ENOTDIR, -ELOOP, -EACCES;
 * -ENAMETOOLONG; -ENOMEM.
 */
int mbr__disk_open(const char *path, uint32_t flags, const uint64_t set[2], struct mbr__disk **out);

/* The same for another process of that set. -ESTALE the set has it no more. */
int mbr__disk_join(const char *path, const uint64_t set[2], struct mbr__disk **out);

/* The same where membraned has the directory: SESSION is the container's connection to it and stays
 * the caller's. Nothing is asked yet; what fails is told by mbr__disk_refresh(): disk_served.h has
 * the errors. A desk of 1 MiB of memory is made: -ENOMEM and so on. */
int mbr__disk_serve(int session, struct mbr__disk **out);
/* The same session leads to another daemon now, which has our memory and nothing else from us. */
void mbr__disk_resume(struct mbr__disk *d);
/* How long membraned is waited for from now on: at first, and with UINT64_MAX, without end. */
void mbr__disk_deadline(struct mbr__disk *d, uint64_t deadline);

/* Lets the directory go. NULL is fine. */
void mbr__disk_close(struct mbr__disk *d);

/*
 * Reads what others of the set have written. DOUBT: somebody may have died, or failed, inside a
 * call: what is found may then not be on the disk. Pointers into the catalog end here. -EIO,
 * -EBADMSG: the journal was cut off or altered.
 */
int mbr__disk_refresh(struct mbr__disk *d, bool doubt);

/* Whether the next change must write a new journal: what to hand to the next caller. */
bool mbr__disk_doubt(const struct mbr__disk *d);

/* What there is; until the next refresh or change. */
const struct mbr__catalog *mbr__disk_catalog(const struct mbr__disk *d);
uint32_t mbr__disk_flags(const struct mbr__disk *d);
/* Bytes of the disk that the files take. */
int mbr__disk_usage(const struct mbr__disk *d, uint64_t *bytes);

/* An object of zeroes. `id` is above all ids there have been (mbr__catalog.last_id): -EINVAL.
 * -EEXIST, -ENAMETOOLONG, -EINVAL the name; -EINVAL, -EFBIG the size. */
int mbr__disk_create(struct mbr__disk *d, uint64_t id, const char *name, uint64_t size,
                     uint32_t policy);
/* -ENOENT no such object, here and below. */
int mbr__disk_remove(struct mbr__disk *d, uint64_t id);
int mbr__disk_rename(struct mbr__disk *d, uint64_t id, const char *name);
int mbr__disk_resize(struct mbr__disk *d, uint64_t id, uint64_t size);

/* A block to be written: BYTES has as many as the object has in it. */
struct mbr__disk_dirty {
    uint32_t block;
    const void *bytes;
};

/*
 * Writes blocks, in ascending order and at least one, to new places. Their bytes must not change
 * meanwhile and are not needed afterwards. Then mbr__disk_commit() makes them the object's, all
 * together, and durable; without it they are as if they had never been. Nothing else may be called
 * between the two but mbr__disk_abandon(), which gives up; both end WRITE.
 */
struct mbr__disk_write;
int mbr__disk_write(struct mbr__disk *d, uint64_t id, const struct mbr__disk_dirty *dirty,
                    uint32_t count, struct mbr__disk_write **out);
int mbr__disk_commit(struct mbr__disk *d, struct mbr__disk_write *write);
void mbr__disk_abandon(struct mbr__disk *d, struct mbr__disk_write *write);

/* The same in steps: `begin`, then each block, then commit or abandon. Other changes may be made in
 * between; a commit whose object has gone, or has become too small, is -ENOENT, -EINVAL. After an
 * error of mbr__disk_write_block() it can only be abandoned: -ENOENT, -ERANGE, -EINVAL not above
 * the block before, and those of writing. */
int mbr__disk_write_begin(struct mbr__disk *d, uint64_t id, struct mbr__disk_write **out);
int mbr__disk_write_block(struct mbr__disk *d, struct mbr__disk_write *write,
                          const struct mbr__disk_dirty *dirty);

/* Reads a block: sets all the bytes the object has in it. -EBADMSG they are not those that were
 * written; -EIO also: the file was cut off; -ERANGE. BUF then holds nothing useful. */
int mbr__disk_read(struct mbr__disk *d, uint64_t id, uint32_t block, void *buf);

/* Removes the container and all its files. After a failure it may be tried again; the container is
 * then whole, or gone: -ESTALE from all others but this and close. */
int mbr__disk_destroy(struct mbr__disk *d);

#endif
