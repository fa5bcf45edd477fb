/* SPDX-License-Identifier: MIT */
/*
 * mbr_object_sync(): the blocks of an object that differ from those on the disk are written there,
 * all of them as one change.
 *
 * A block differs if it was written since it was last synced: its lock has another version. Who
 * writes through the pointer of mbr_object_get(), as members may agree to do, leaves no such trace;
 * therefore the other blocks are looked at, too, by their checksums, which costs a tenth of a
 * millisecond each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "object/crc32c.h"
#include "object/disk.h"
#include "object/io.h"
#include "object/persist.h"
#include "object/persist_turn.h"

#define SYNC_TRIES 100

/* What is written, and the versions it has. */
struct job {
    struct mbr__object *o;
    struct mbr__view *view; /* NULL: it is versioned, and its blocks have no locks */
    const uint8_t *bytes;
    uint64_t size;
    uint64_t id;
    struct mbr__disk_dirty *dirty;
    uint64_t *version;
    uint32_t count;
};

static bool all_zero(const uint8_t *bytes, size_t n)
{
    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

static uint64_t version_of(const struct job *j, uint32_t block)
{
    return mbr_load_relaxed(&mbr__lock_of(&j->view->set, block)->version);
}

static uint64_t synced_of(const struct job *j, uint32_t block)
{
    return mbr_load_relaxed(&mbr__lock_of(&j->view->set, block)->synced);
}

static bool differs(const struct job *j, const struct mbr__catalog_object *on_disk, uint32_t block)
{
    const uint8_t *bytes = j->bytes + (uint64_t)block * MBR_OBJECT_BLOCK;
    struct mbr__catalog_place p = mbr__catalog_place(on_disk, block);
    uint32_t n = mbr__catalog_block_bytes(j->size, block);

    if (j->view != NULL &&
        mbr_load_relaxed(&mbr__lock_of(&j->view->set, block)->torn) == MBR__ABSENT)
        return false; /* it is there and nowhere else */
    if (p.slot == 0)
        return !all_zero(bytes, n);
    if (j->view != NULL && version_of(j, block) != synced_of(j, block))
        return true;
    return p.valid != p.stored || p.stored > n || mbr__crc32c(0, bytes, p.stored) != p.sum ||
           !all_zero(bytes + p.stored, n - p.stored);
}

static void find_dirty(struct job *j, const struct mbr__catalog_object *on_disk)
{
    uint32_t blocks = mbr__blocks_of(j->size);

    for (uint32_t b = 0; b < blocks; b++) {
        if (!differs(j, on_disk, b))
            continue;
        j->dirty[j->count] = (struct mbr__disk_dirty){b, j->bytes + (uint64_t)b * MBR_OBJECT_BLOCK};
        j->version[j->count++] = j->view != NULL ? version_of(j, b) : 0;
    }
}

static void mark_synced(const struct job *j)
{
    for (uint32_t i = 0; i < j->count && j->view != NULL; i++)
        mbr_store_relaxed(&mbr__lock_of(&j->view->set, j->dirty[i].block)->synced, j->version[i]);
}

/* With a turn and the blocks: writes what differs. NULL in *WRITE: nothing did. */
static int write_blocks(struct job *j, struct mbr__disk_write **write)
{
    struct mbr__disk *d = j->o->c->disk;
    const struct mbr__catalog_object *on_disk = mbr__catalog_by_id(mbr__disk_catalog(d), j->id);
    int rc = 0;

    /* membraned has died while it removed this, and nobody has followed that yet. */
    if (on_disk == NULL && mbr_load_relaxed(&j->o->c->shm->disk_behind) != 0)
        return -EAGAIN;
    if (on_disk == NULL)
        return 0; /* it has no name any more: nothing of it would survive */
    /* Somebody has died between changing its size here and there. */
    if (on_disk->size != j->size)
        rc = mbr__disk_resize(d, j->id, j->size);
    if (rc < 0)
        return rc;
    find_dirty(j, mbr__catalog_by_id(mbr__disk_catalog(d), j->id));
    return j->count == 0 ? 0 : mbr__disk_write(d, j->id, j->dirty, j->count, write);
}

/* With the blocks locked, which are given back as soon as their bytes are not needed any more. */
static int write_and_commit(struct job *j, struct mbr__io *io)
{
    struct mbr__container *c = j->o->c;
    struct mbr__disk_write *write = NULL;
    int rc = mbr__persist_enter(c);

    if (rc < 0) {
        mbr__io_unlock(io);
        return rc;
    }
    rc = write_blocks(j, &write);
    mbr__io_unlock(io);
    if (rc == 0 && write != NULL)
        rc = mbr__disk_commit(c->disk, write);
    if (rc == 0)
        mark_synced(j);
    mbr__persist_exit(c);
    return rc;
}

/* With the object's writer lock: its size stays. */
static int sync_locked(struct mbr__handle *h, struct job *j)
{
    uint32_t blocks;
    struct mbr__io io;
    int rc;

    j->size = mbr_load_relaxed(&j->o->entry->size);
    j->id = mbr_load_relaxed(&j->o->entry->id);
    if (j->size == 0 || j->size > MBR_OBJECT_SIZE_MAX)
        return -EPROTO;
    blocks = mbr__blocks_of(j->size);
    j->dirty = reallocarray(NULL, blocks, sizeof(*j->dirty));
    j->version = reallocarray(NULL, blocks, sizeof(*j->version));
    if (j->dirty == NULL || j->version == NULL)
        return -ENOMEM;
    rc = mbr__io_lock(h, 0, j->size, MBR__IO_LOOK, MBR_FOREVER, &io);
    if (rc < 0)
        return rc;
    j->view = io.view;
    j->bytes = io.bytes;
    return write_and_commit(j, &io);
}

/* A writer of versions that dies has changed nothing; one that changes the size in place may have.
 */
static int lock_writer(struct mbr__object *o)
{
    uint32_t dead;
    int rc;

    if (o->policy == MBR_WRITE_IN_PLACE)
        return mbr__object_lock_size(o, MBR_FOREVER);
    rc = mbr__shm_lock(&o->c->world, &o->entry->writer, MBR_FOREVER, &dead);
    return rc == -EOWNERDEAD ? 0 : rc;
}

static int try_sync(struct mbr__handle *h)
{
    struct job j = {.o = h->what};
    int rc = mbr__persist_settle(j.o->c);

    if (rc == 0)
        rc = lock_writer(j.o);
    if (rc < 0)
        return rc;
    rc = sync_locked(h, &j);
    free(j.dirty);
    free(j.version);
    mbr__shm_unlock(&j.o->c->world, &j.o->entry->writer);
    return rc;
}

/* All of it may be done twice. -EAGAIN: something has come between (disk_served.h). If membraned
 * has died meanwhile there may be another one already. */
static int sync_object(struct mbr__handle *h)
{
    const struct mbr__object *o = h->what;
    bool refused = false;
    int rc = mbr__is_persistent(o->c) ? -EAGAIN : -EOPNOTSUPP;

    for (int i = 0; i < SYNC_TRIES && rc == -EAGAIN; i++) {
        rc = try_sync(h);
        if (rc == -ECONNREFUSED && !refused) {
            refused = true;
            rc = -EAGAIN;
        }
    }
    return rc;
}

int mbr_object_sync(int object)
{
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    MBR_ASSERT(h != NULL);
    rc = sync_object(h);
    mbr__handle_exit(h);
    return rc;
}
