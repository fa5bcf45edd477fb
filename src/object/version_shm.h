/* SPDX-License-Identifier: MIT */
/*
 * Layout of what a versioned object has beside its bytes, at MBR__OBJ_MAPS_AT of its range, layout
 * version 1.
 *
 * The object's data range is divided into physical blocks of MBR_OBJECT_BLOCK bytes. A map says for
 * one version which physical block has each block of the object; there are MBR__MAPS places for
 * maps. entry.current names the version that was published last: its number above
 * MBR__CURRENT_SHIFT, below that the place of its map. A reader's hold has the low 38 bits of that.
 *
 * A map and the blocks it names are in use while it is the current one or a hold pins it. Nothing
 * else is written down, so nothing can be wrong after a crash: who writes next looks what is in use
 * and takes something else.
 *
 * All of this is written by the writer of the object alone, who has entry.writer, and read by all;
 * what a map says is bounded before it is used.
 */
#ifndef MBR_OBJECT_VERSION_SHM_H
#define MBR_OBJECT_VERSION_SHM_H

#include "object/object_shm.h"

#define MBR__MAPS              512u
#define MBR__CURRENT_SHIFT     16
#define MBR__MAP_STRIDE        (UINT64_C(1) << 18)
#define MBR__MAPS_FIRST        (UINT64_C(1) << 20) /* place 0, from MBR__OBJ_MAPS_AT on */
#define MBR__MAPS_END          (MBR__MAPS_FIRST + MBR__MAPS * MBR__MAP_STRIDE)
#define MBR__PHYSICAL_BLOCKS   (UINT32_C(1) << 16)
#define MBR__PHYSICAL_PER_PAGE 2048u /* in the table of pages */
#define MBR__VERSIONED_MAX     (MBR_OBJECT_SIZE_MAX / 2)
#define MBR__VERSION_PINS      ((UINT64_C(1) << MBR__HOLD_OBJECT_SHIFT) - 1)

/* At MBR__OBJ_MAPS_AT. What has memory, so that it need not be asked for again; after a crash it
 * may say less than is there. */
struct mbr__version_shm {
    uint32_t top;         /* physical blocks from this one on have no memory */
    uint32_t table_pages; /* pages of `pages` that have memory */
    uint32_t held;        /* physical blocks that have memory */
    uint32_t reserved[13];
    uint16_t map_pages[MBR__MAPS]; /* pages of each place for a map */
    uint8_t rest[MBR__OBJ_PAGE - 64 - sizeof(uint16_t) * MBR__MAPS];
    uint16_t pages[MBR__PHYSICAL_BLOCKS]; /* pages of each physical block */
};

struct mbr__version_map {
    uint64_t version;
    uint64_t size; /* of the object, bytes */
    uint64_t reserved[6];
    uint32_t physical[];
};

static_assert(offsetof(struct mbr__version_shm, pages) == MBR__OBJ_PAGE, "layout version 1");
static_assert(sizeof(struct mbr__version_shm) <= MBR__MAPS_FIRST, "layout version 1");
static_assert(sizeof(struct mbr__version_map) + 4 * (MBR__VERSIONED_MAX / MBR_OBJECT_BLOCK) <=
                  MBR__MAP_STRIDE,
              "a map fits into its place");
static_assert(MBR__OBJ_MAPS_AT + MBR__MAPS_END <= MBR__OBJ_RANGE, "maps fit");
static_assert(MBR__MAPS <= 1u << MBR__CURRENT_SHIFT, "current names a place");

#endif
