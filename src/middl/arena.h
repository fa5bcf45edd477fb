/* SPDX-License-Identifier: MIT */
/*
 * Memory for the tree: taken in small pieces, given back all at once. The total is bounded. For one
 * thread. Not here: freeing of single pieces.
 */
#ifndef MBR_MIDDL_ARENA_H
#define MBR_MIDDL_ARENA_H

#include <stddef.h>

struct mc_chunk;

struct mc_arena {
    struct mc_chunk *chunks; /* the newest first */
    size_t used;             /* of the newest */
    size_t total;            /* bytes of all */
    size_t limit;
    int error; /* 0, or the first failure: -ENOMEM or -E2BIG */
};

void mbr__mc_arena_init(struct mc_arena *arena, size_t limit);
void mbr__mc_arena_fini(struct mc_arena *arena);

/* SIZE zeroed bytes aligned for anything, or NULL with ARENA's error set. */
void *mbr__mc_alloc(struct mc_arena *arena, size_t size);

/* A copy of LENGTH bytes at TEXT with a NUL behind, or NULL. */
char *mbr__mc_copy(struct mc_arena *arena, const char *text, size_t length);

#define MC_NEW(arena, type) ((type *)mbr__mc_alloc((arena), sizeof(type)))

#endif
