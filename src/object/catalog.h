/* SPDX-License-Identifier: MIT */
/*
 * What a persistent container's journal adds up to, in this process's memory: the objects by name
 * and by id, where their blocks are, and which slots of the file of blocks are free.
 *
 * A change goes through two steps, the same for what was read and for what we are about to write:
 * mbr__catalog_check() says whether the record makes sense now and takes the memory it needs, then
 * mbr__catalog_apply() cannot fail. Between the two a writer makes the record durable.
 *
 * For one thread. Not here: bytes of records (journal.h), files (disk.h).
 */
#ifndef MBR_OBJECT_CATALOG_H
#define MBR_OBJECT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "object/journal.h"

struct mbr__catalog_place {
    uint32_t slot; /* + 1; 0: the block is all zeroes and has no place */
    uint32_t stored;
    uint32_t valid;
    uint32_t sum;
};

struct mbr__catalog_object {
    struct mbr__list order; /* in which they were made: ascending ids */
    uint64_t id;
    uint64_t size;
    uint32_t policy;
    uint32_t places; /* in `place`; blocks from there on have none */
    uint32_t held;   /* of them that have a slot */
    struct mbr__catalog_place *place;
    uint32_t name_len;
    char name[MBR_OBJECT_NAME_MAX + 1];
};

struct mbr__catalog {
    struct mbr__bytes_map by_name;
    struct mbr__hash by_id;
    struct mbr__list order;
    uint64_t last_id; /* the highest there has ever been */
    uint64_t next;    /* number of the next record */
    uint64_t live;    /* bytes of a journal that is written anew */
    uint64_t *used;   /* slots, a bit each */
    uint32_t room;    /* bits there */
    uint32_t taken;   /* bits set */
    uint32_t first;   /* no free slot is below */
    uint32_t *freed;  /* slots that changes have given back since mbr__catalog_forget_freed() */
    size_t freed_count, freed_room;
    struct mbr__catalog_object *making; /* between check and apply */
};

void mbr__catalog_init(struct mbr__catalog *c);
void mbr__catalog_fini(struct mbr__catalog *c);

struct mbr__catalog_object *mbr__catalog_find(const struct mbr__catalog *c, const char *name,
                                              size_t length);
struct mbr__catalog_object *mbr__catalog_by_id(const struct mbr__catalog *c, uint64_t id);
/* The one made after O, or, for NULL, the first; NULL at the end. */
struct mbr__catalog_object *mbr__catalog_next(const struct mbr__catalog *c,
                                              const struct mbr__catalog_object *o);

/*
 * Whether RECORD may come now. -ENOENT no such object; -EEXIST the name or the id is taken, or a
 * slot is (TAKEN: they were got by mbr__catalog_take()); -EINVAL the number is not the next, the id
 * has been before, or a block lies outside the object; -ENOMEM. Nothing has changed then.
 */
int mbr__catalog_check(struct mbr__catalog *c, const struct mbr__journal_record *record,
                       bool taken);
/* After a check that went well, with nothing between. */
void mbr__catalog_apply(struct mbr__catalog *c, const struct mbr__journal_record *record);
/* Instead of it: the change is not made. */
void mbr__catalog_cancel(struct mbr__catalog *c);

/*
 * Reads the records in DATA, *USED bytes of them to begin with, until the end or the first that is
 * not sound; *USED is set to where that is. -EBADMSG a sound record follows later, or one makes no
 * sense; -ENOMEM. C has then changed, too, as far as the records were good.
 */
int mbr__catalog_read(struct mbr__catalog *c, const unsigned char *data, size_t length,
                      size_t *used);

/* Bytes of the object's block, by its size; 0 beyond the end. */
uint32_t mbr__catalog_block_bytes(uint64_t size, uint32_t block);
/* Where a block is; slot 0: nowhere. */
struct mbr__catalog_place mbr__catalog_place(const struct mbr__catalog_object *o, uint32_t block);

/* Takes the lowest free slot. -ENOMEM; -ENOSPC all MBR__JOURNAL_SLOTS_MAX are taken. */
int mbr__catalog_take(struct mbr__catalog *c, uint32_t *slot);
void mbr__catalog_give(struct mbr__catalog *c, uint32_t slot);
bool mbr__catalog_slot_used(const struct mbr__catalog *c, uint32_t slot);
/* One more than the highest slot in use. */
uint32_t mbr__catalog_slots(const struct mbr__catalog *c);
void mbr__catalog_forget_freed(struct mbr__catalog *c);

/*
 * Makes the bytes of a journal that creates what C has: room for the header, then records whose
 * numbers begin with FIRST, C->live bytes in all, for the caller to free(). NEXT is set to the
 * number after the last. -ENOMEM.
 */
int mbr__catalog_write(const struct mbr__catalog *c, uint64_t first, unsigned char **out,
                       uint64_t *next);

#endif
