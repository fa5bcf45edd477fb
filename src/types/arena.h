/* SPDX-License-Identifier: MIT */
/*
 * Memory that is allocated piece by piece and freed as a whole, with a budget, taken from malloc or
 * from a heap that somebody handed in.
 */
#ifndef MBR_TYPES_ARENA_H
#define MBR_TYPES_ARENA_H

#include <stddef.h>

/* Where memory comes from. ALLOC returns NULL if there is none. */
struct mbr__source {
    void *(*alloc)(void *self, size_t size);
    void (*free)(void *self, void *block);
    void *self;
};

/* malloc and free. */
extern const struct mbr__source mbr__source_malloc;

struct mbr__arena_block;

struct mbr__arena {
    struct mbr__source source;
    struct mbr__arena_block *blocks; /* the newest first */
    size_t used;                     /* of the newest */
    size_t left;                     /* of the budget */
};

/* An empty arena that may take BUDGET bytes. Allocates nothing. */
void mbr__arena_init(struct mbr__arena *arena, const struct mbr__source *source, size_t budget);

/* Frees everything; the arena may be used again, with what is left of its budget. */
void mbr__arena_fini(struct mbr__arena *arena);

/* COUNT objects of SIZE bytes, zeroed, aligned for anything; NULL without memory or budget. */
void *mbr__arena_alloc(struct mbr__arena *arena, size_t count, size_t size);

#endif
