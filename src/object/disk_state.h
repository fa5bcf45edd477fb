/* SPDX-License-Identifier: MIT */
/*
 * Inside of a persistent container's handle, for disk.c (changes and the journal), disk_open.c
 * (finding, beginning, taking and removing a directory) and disk_blocks.c.
 */
#ifndef MBR_OBJECT_DISK_STATE_H
#define MBR_OBJECT_DISK_STATE_H

#include "object/disk.h"

#define MBR__DISK_JOURNAL     "membrane-journal"
#define MBR__DISK_JOURNAL_NEW "membrane-journal.new"
#define MBR__DISK_BLOCKS      "membrane-blocks"
#define MBR__DISK_SET         "membrane-set"
#define MBR__DISK_OWNER       "membrane-owner"  /* membraned's, see docs/objects.md */
#define MBR__DISK_MEMORY      "membrane-memory" /* the same */

/* Blocks written, on their way to the journal. */
struct mbr__disk_write {
    struct mbr__disk_write *next; /* in limbo */
    uint64_t id;
    uint32_t count;
    uint32_t room;
    struct mbr__journal_block *block;
};

void mbr__disk_write_free(struct mbr__disk_write *write);

struct mbr__served;

struct mbr__disk {
    int dir;
    int journal;
    int blocks;
    uint64_t end; /* of what we know of the journal */
    struct mbr__journal_header header;
    struct mbr__catalog *catalog;
    uint64_t shrink_at; /* when the journal is longer than that it is written anew */
    bool doubt;
    bool dead; /* destroyed */
    /* Slots of a record that failed and that the disk may have all the same: not to be written to
     * before a new journal is there, or the record might rise again with other bytes. */
    struct mbr__disk_write *limbo;
    /* Not NULL: membraned writes, and this process reads; journal and blocks are open for reading
     * only, dir is -1, catalog and end are as far as membraned has said. disk_served.h */
    struct mbr__served *served;
};

#define MBR__DISK_WHOLE UINT64_MAX

/* Reads the journal that is open, from its beginning to UNTIL or its end. What was known before
 * stays on failure. */
int mbr__disk_load(struct mbr__disk *d, uint64_t until);
/* The same from where was read last. */
int mbr__disk_read_tail(struct mbr__disk *d, uint64_t until);

struct mbr__disk *mbr__disk_new(void);

/* Makes a new journal out of the catalog (DEAD: an empty one, of a container that is destroyed). */
int mbr__disk_rewrite(struct mbr__disk *d, bool dead);

/* To be called before anything is written: writes a new journal if there is doubt, or if this one
 * has become long. */
int mbr__disk_settle(struct mbr__disk *d);

/* Makes a change: durable and in the catalog, or not at all. Sets number. */
int mbr__disk_append(struct mbr__disk *d, struct mbr__journal_record *record,
                     const struct mbr__journal_block *blocks);

#endif
