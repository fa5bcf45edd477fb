/* SPDX-License-Identifier: MIT */
/*
 * Bytes that are on the disk alone, and how they come into memory: persist.h.
 *
 * A block that is there is MBR__ABSENT from before anybody can use the object until somebody has
 * read it, with the block locked for writing; never again after that. Who dies while he reads
 * leaves it absent: he has changed nothing that anybody looks at.
 */
#include <errno.h>
#include <string.h>

#include "object/disk.h"
#include "object/io.h"
#include "object/persist.h"
#include "object/persist_turn.h"
#include "object/table.h"
#include "object/version.h"

/* ---- joining --------------------------------------------------------------------------------- */

/* Nobody else sees the blocks yet. */
static int mark_blocks(struct mbr__object *o, uint64_t size)
{
    uint32_t blocks = mbr__blocks_of(size);
    int rc = mbr__data_allocate_locks(o->c, o->index, size);

    for (uint32_t b = 0; b < blocks && rc == 0; b++)
        mbr_store_relaxed(&mbr__lock_of(&o->view->set, b)->torn, MBR__ABSENT);
    return rc;
}

static int read_blocks(struct mbr__object *o, uint64_t size)
{
    struct mbr__disk *d = o->c->disk;
    uint64_t id = mbr_load_relaxed(&o->entry->id);
    const struct mbr__catalog_object *on_disk = mbr__catalog_by_id(mbr__disk_catalog(d), id);
    uint32_t blocks = mbr__blocks_of(size);
    int rc = on_disk != NULL && on_disk->size == size ? 0 : -EPROTO;

    for (uint32_t b = 0; b < blocks && rc == 0; b++)
        rc = mbr__disk_read(d, id, b, o->view->data + (uint64_t)b * MBR_OBJECT_BLOCK);
    return rc;
}

/* Memory first; the first version has its blocks in their order, as in place. */
static int read_version(struct mbr__object *o, uint64_t size)
{
    int rc = mbr__data_allocate(o->c, o->index, 0, size);

    if (rc == 0)
        rc = mbr__version_first(o, size);
    if (rc == 0)
        rc = mbr__persist_enter(o->c);
    if (rc < 0)
        return rc;
    rc = read_blocks(o, size);
    mbr__persist_exit(o->c);
    return rc;
}

int mbr__persist_load(struct mbr__object *o)
{
    uint64_t size = mbr_load_relaxed(&o->entry->size);
    bool versioned = o->policy == MBR_WRITE_VERSIONED;
    int rc;

    if (!mbr__is_persistent(o->c) || mbr_load_relaxed(&o->entry->unloaded) != MBR__NOT_JOINED)
        return 0;
    if (size == 0 || size > o->view->capacity)
        return -EPROTO;
    mbr__table_wipe(o->c, o->index); /* somebody may have died here */
    rc = versioned ? read_version(o, size) : mark_blocks(o, size);
    if (rc < 0)
        mbr__table_wipe(o->c, o->index);
    else
        mbr_store_release(&o->entry->unloaded, versioned ? MBR__LOADED : MBR__IN_BLOCKS);
    return rc;
}

/* ---- block by block -------------------------------------------------------------------------- */

/*
 * With the block. On the disk the object may be larger than in memory, if a member has died while
 * he changed its size: what is beyond is zeroes here.
 */
static int read_block(struct mbr__object *o, const struct mbr__view *v, uint32_t block)
{
    uint8_t *bytes = v->data + (uint64_t)block * MBR_OBJECT_BLOCK;
    uint64_t size = mbr_load_relaxed(&o->entry->size);
    uint64_t n = mbr__block_bytes(size, block);
    int rc = mbr__is_persistent(o->c) ? 0 : -EPROTO; /* somebody has scribbled */

    if (rc == 0)
        rc = mbr__data_allocate_block(o->c, o->index, size, block);
    if (rc == 0)
        rc = mbr__persist_enter(o->c);
    if (rc < 0)
        return rc;
    rc = mbr__disk_read(o->c->disk, mbr_load_relaxed(&o->entry->id), block, bytes);
    mbr__persist_exit(o->c);
    if (rc == 0)
        memset(bytes + n, 0, mbr__page_up(n) - n);
    return rc == -ENOENT || rc == -ERANGE ? -EPROTO : rc;
}

static bool is_absent(const struct mbr__view *v, uint32_t block)
{
    return mbr_load_relaxed(&mbr__lock_of(&v->set, block)->torn) == MBR__ABSENT;
}

/* Locks the block, and reads it if nobody has meanwhile. `last`: it is about to go from the disk.
 */
static int bring_block(struct mbr__object *o, uint32_t block, bool last, uint64_t deadline)
{
    struct mbr__view *v = NULL;
    uint32_t hold = 0;
    /* As a whole: the disk may have more of the last one than memory has. */
    int rc = mbr__object_view(o, ((uint64_t)block + 1) * MBR_OBJECT_BLOCK, &v);

    if (rc == 0)
        rc = mbr__hold_take(o->c, &hold);
    if (rc < 0)
        return rc;
    rc = mbr__lock_write(&v->set, hold, block, 1, block, block + 1, deadline);
    if (rc == 0) {
        if (is_absent(v, block) && mbr__block_bytes(mbr_load_relaxed(&o->entry->size), block) != 0)
            rc = read_block(o, v, block);
        if (rc == 0 && is_absent(v, block)) /* pair A: through the word, which is freed later */
            mbr_store_relaxed(&mbr__lock_of(&v->set, block)->torn, 0);
        if (last && (rc == -EBADMSG || rc == -EIO || rc == -EPROTO)) {
            mbr_store_relaxed(&mbr__lock_of(&v->set, block)->torn, MBR__LOST);
            rc = 0;
        }
        mbr__unlock(&v->set, hold);
    }
    mbr__hold_give(o->c, hold);
    return rc;
}

/* One that is written as a whole needs memory only: what it has had there is of no interest. */
static int make_ready(struct mbr__object *o, const struct mbr__view *v, uint32_t block, bool whole,
                      uint64_t deadline)
{
    uint32_t torn = mbr_load_relaxed(&mbr__lock_of(&v->set, block)->torn);

    if (torn != MBR__ABSENT && torn != MBR__LOST)
        return 0;
    if (whole)
        return mbr__data_allocate_block(o->c, o->index, mbr_load_relaxed(&o->entry->size), block);
    return torn == MBR__LOST ? -EBADMSG : bring_block(o, block, false, deadline);
}

int mbr__persist_bring_slow(struct mbr__object *o, const struct mbr__view *v, uint64_t offset,
                            uint64_t size, enum mbr__persist_want want, uint64_t deadline)
{
    uint64_t limit = mbr_load_relaxed(&o->entry->size);
    uint32_t first = (uint32_t)(offset / MBR_OBJECT_BLOCK);
    uint32_t end = mbr__blocks_of(offset + size);
    int rc = 0;

    if (want == MBR__WANT_AS_THEY_ARE)
        return 0;
    for (uint32_t b = first; b < end && rc == 0; b++) {
        uint64_t at = (uint64_t)b * MBR_OBJECT_BLOCK;
        bool whole = want == MBR__WANT_TO_WRITE && offset <= at &&
                     offset + size - at >= mbr__block_bytes(limit, b);

        rc = make_ready(o, v, b, whole, deadline);
    }
    return rc;
}

int mbr__persist_bring_all(struct mbr__object *o)
{
    uint32_t blocks = mbr__blocks_of(mbr_load_relaxed(&o->entry->size));
    uint32_t lost = 0;
    struct mbr__view *v = NULL;
    int rc = mbr__object_view(o, (uint64_t)blocks * MBR_OBJECT_BLOCK, &v);

    for (uint32_t b = 0; b < blocks && rc == 0; b++) {
        if (is_absent(v, b))
            rc = bring_block(o, b, true, MBR_FOREVER);
        lost += mbr_load_relaxed(&mbr__lock_of(&v->set, b)->torn) == MBR__LOST;
    }
    if (rc == 0) /* what it grows by is in memory */
        mbr_store_release(&o->entry->unloaded, lost != 0 ? MBR__PARTLY_LOST : MBR__LOADED);
    return rc;
}
