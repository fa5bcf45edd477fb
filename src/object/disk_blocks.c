/* SPDX-License-Identifier: MIT */
/*
 * Bytes of blocks: read and verified, and written to new places.
 */
#include "object/disk_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "object/crc32c.h"
#include "object/disk_file.h"
#include "object/disk_served.h"

static bool has_checksums(const struct mbr__disk *d)
{
    return (d->header.flags & MBR__JOURNAL_CHECKSUMS) != 0;
}

static uint64_t slot_at(uint32_t slot)
{
    return slot * (uint64_t)MBR_OBJECT_BLOCK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int read_slot(struct mbr__disk *d, struct mbr__catalog_place p, void *buf)
{
    int err = mbr__disk_read_at(d->blocks, buf, p.stored, slot_at(p.slot - 1));

    if (err < 0)
        return err;
    return has_checksums(d) && mbr__crc32c(0, buf, p.stored) != p.sum ? -EBADMSG : 0;
}

/* More is stored than the object still has of it: through memory of our own. */
static int read_part(struct mbr__disk *d, struct mbr__catalog_place p, void *buf)
{
    void *all = malloc(p.stored);
    int err;

    if (all == NULL)
        return -ENOMEM;
    err = read_slot(d, p, all);
    if (err == 0)
        memcpy(buf, all, p.valid);
    free(all);
    return err;
}

static int read_block(struct mbr__disk *d, uint64_t id, uint32_t block, void *buf)
{
    const struct mbr__catalog_object *o = mbr__catalog_by_id(d->catalog, id);
    struct mbr__catalog_place p;
    uint32_t bytes;
    int err = 0;

    if (o == NULL)
        return -ENOENT;
    bytes = mbr__catalog_block_bytes(o->size, block);
    if (bytes == 0)
        return -ERANGE;
    p = mbr__catalog_place(o, block);
    if (p.slot != 0)
        err = p.stored <= bytes ? read_slot(d, p, buf) : read_part(d, p, buf);
    if (err == 0)
        memset((char *)buf + p.valid, 0, bytes - p.valid);
    return err;
}

/* Where membraned writes, the slot may be given to others while we read: then the journal has grown
 * before, and the block is elsewhere. */
int mbr__disk_read(struct mbr__disk *d, uint64_t id, uint32_t block, void *buf)
{
    int moved = 1;
    int err = 0;

    if (d->served == NULL)
        return read_block(d, id, block, buf);
    while (moved == 1) {
        const struct mbr__catalog_object *o = mbr__catalog_by_id(d->catalog, id);
        struct mbr__catalog_place before = {0};

        if (o == NULL)
            return -ENOENT;
        before = mbr__catalog_place(o, block);
        err = read_block(d, id, block, buf);
        moved = mbr__served_moved(d, id, block, &before);
    }
    return moved < 0 ? moved : err;
}

int mbr__disk_usage(const struct mbr__disk *d, uint64_t *bytes)
{
    struct stat journal;
    struct stat blocks;

    if (fstat(d->journal, &journal) < 0 || fstat(d->blocks, &blocks) < 0)
        return -errno;
    *bytes = ((uint64_t)journal.st_blocks + (uint64_t)blocks.st_blocks) * 512;
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Gives back the first COUNT slots, and their space. */
static void give_back(struct mbr__disk *d, const struct mbr__disk_write *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        mbr__disk_punch(d->blocks, slot_at(w->block[i].slot), MBR_OBJECT_BLOCK);
        mbr__catalog_give(d->catalog, w->block[i].slot);
    }
}

void mbr__disk_write_free(struct mbr__disk_write *write)
{
    if (write != NULL)
        free(write->block);
    free(write);
}

static int reserve(struct mbr__disk_write *w)
{
    uint32_t room = w->room == 0 ? 16 : 2 * w->room;
    struct mbr__journal_block *grown;

    if (w->count < w->room)
        return 0;
    grown = reallocarray(w->block, room, sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    w->block = grown;
    w->room = room;
    return 0;
}

int mbr__disk_write_begin(struct mbr__disk *d, uint64_t id, struct mbr__disk_write **out)
{
    struct mbr__disk_write *w;

    if (mbr__catalog_by_id(d->catalog, id) == NULL)
        return d->dead ? -ESTALE : -ENOENT;
    w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    w->id = id;
    *out = w;
    return 0;
}

int mbr__disk_write_block(struct mbr__disk *d, struct mbr__disk_write *w,
                          const struct mbr__disk_dirty *dirty)
{
    const struct mbr__catalog_object *o = mbr__catalog_by_id(d->catalog, w->id);
    struct mbr__journal_block b = {.block = dirty->block};
    int err = o != NULL ? 0 : -ENOENT;

    /* Before any slot is written to: a journal in doubt may still name some that look free. */
    if (err == 0)
        err = mbr__disk_settle(d);
    if (err == 0)
        err = reserve(w);
    if (err < 0)
        return err;
    MBR_ASSERT(w->block != NULL);
    b.stored = b.valid = mbr__catalog_block_bytes(o->size, dirty->block);
    if (b.stored == 0 || (w->count > 0 && dirty->block <= w->block[w->count - 1].block))
        return b.stored == 0 ? -ERANGE : -EINVAL;
    err = mbr__catalog_take(d->catalog, &b.slot);
    if (err < 0)
        return err;
    w->block[w->count++] = b;
    err = mbr__disk_write_at(d->blocks, dirty->bytes, b.stored, slot_at(b.slot));
    if (err == 0)
        w->block[w->count - 1].sum = mbr__crc32c(0, dirty->bytes, b.stored);
    return err;
}

static int write_all(struct mbr__disk *d, struct mbr__disk_write *w,
                     const struct mbr__disk_dirty *dirty, uint32_t count)
{
    int err = 0;

    for (uint32_t i = 0; i < count && err == 0; i++)
        err = d->served != NULL ? mbr__served_write(d, w, &dirty[i])
                                : mbr__disk_write_block(d, w, &dirty[i]);
    return err;
}

int mbr__disk_write(struct mbr__disk *d, uint64_t id, const struct mbr__disk_dirty *dirty,
                    uint32_t count, struct mbr__disk_write **out)
{
    struct mbr__disk_write *w = NULL;
    int err;

    if (count == 0 || count > MBR__JOURNAL_BLOCKS_MAX)
        return -EINVAL;
    err = mbr__disk_write_begin(d, id, &w);
    if (err < 0)
        return err;
    err = d->served != NULL ? mbr__served_begin(d, id) : 0;
    if (err == 0)
        err = write_all(d, w, dirty, count);
    if (err < 0) {
        mbr__disk_abandon(d, w);
        return err;
    }
    *out = w;
    return 0;
}

void mbr__disk_abandon(struct mbr__disk *d, struct mbr__disk_write *write)
{
    if (d->served != NULL)
        mbr__served_abandon(d);
    else
        give_back(d, write);
    mbr__disk_write_free(write);
}

/* The record may be on the disk: its slots keep their bytes until a new journal is there. */
static void to_limbo(struct mbr__disk *d, struct mbr__disk_write *write)
{
    write->next = d->limbo;
    d->limbo = write;
}

int mbr__disk_commit(struct mbr__disk *d, struct mbr__disk_write *write)
{
    struct mbr__journal_record record = {
        .kind = MBR__JOURNAL_BLOCKS, .id = write->id, .count = write->count};
    int err;

    if (d->served != NULL) {
        mbr__disk_write_free(write);
        return mbr__served_commit(d, record.id);
    }
    err = mbr__disk_sync_data(d->blocks);
    if (err == 0)
        err = mbr__disk_append(d, &record, write->block);
    if (err == 0)
        mbr__disk_write_free(write);
    else if (d->doubt)
        to_limbo(d, write);
    else
        mbr__disk_abandon(d, write);
    return err;
}
