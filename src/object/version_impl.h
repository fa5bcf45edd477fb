/* SPDX-License-Identifier: MIT */
/* What version.c and version_write.c share, and nobody else needs. */
#ifndef MBR_OBJECT_VERSION_IMPL_H
#define MBR_OBJECT_VERSION_IMPL_H

#include "object/version.h"
#include "object/version_shm.h"

/* The data, mapped for reading only. */
struct mbr__shown {
    uint8_t *data;
    uint64_t capacity;
    struct mbr__shown *older;
};

struct mbr__versions {
    struct mbr__version_shm *shm;
    struct mbr__shown *shown; /* the largest; replaced under c->maps, read without */
    /* What is in use, as the one writer has found it. */
    uint64_t places[MBR__MAPS / 64];
    uint64_t blocks[MBR__PHYSICAL_BLOCKS / 64];
};

static inline uint64_t mbr__version_hold(uint32_t object, uint64_t current)
{
    return MBR__HOLD_IN_USE | MBR__HOLD_VERSION | (uint64_t)object << MBR__HOLD_OBJECT_SHIFT |
           (current & MBR__VERSION_PINS);
}

static inline uint32_t mbr__current_place(uint64_t current)
{
    return (uint32_t)(current & ((UINT64_C(1) << MBR__CURRENT_SHIFT) - 1));
}

/* NULL: there is no such place. */
static inline struct mbr__version_map *mbr__map_at(const struct mbr__object *o, uint32_t place)
{
    uint8_t *at = (uint8_t *)o->versions->shm + MBR__MAPS_FIRST + place * MBR__MAP_STRIDE;

    return place < MBR__MAPS ? (struct mbr__version_map *)(void *)at : NULL;
}

#endif
