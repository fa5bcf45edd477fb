/* SPDX-License-Identifier: MIT */
/* An arena of blocks; what does not fit into the newest gets a new one. */
#include "types/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 4032u
#define ALIGNMENT  _Alignof(max_align_t)

struct mbr__arena_block {
    struct mbr__arena_block *before;
    size_t size;
    _Alignas(max_align_t) unsigned char data[];
};

static void *alloc_plain(void *self, size_t size)
{
    (void)self;
    return malloc(size);
}

static void free_plain(void *self, void *block)
{
    (void)self;
    free(block);
}

const struct mbr__source mbr__source_malloc = {alloc_plain, free_plain, NULL};

void mbr__arena_init(struct mbr__arena *arena, const struct mbr__source *source, size_t budget)
{
    arena->source = *source;
    arena->blocks = NULL;
    arena->used = 0;
    arena->left = budget;
}

void mbr__arena_fini(struct mbr__arena *arena)
{
    struct mbr__arena_block *block;

    while ((block = arena->blocks)) {
        arena->blocks = block->before;
        arena->source.free(arena->source.self, block);
    }
    arena->used = 0;
}

static int add_block(struct mbr__arena *arena, size_t size)
{
    struct mbr__arena_block *block;

    if (size < BLOCK_SIZE)
        size = BLOCK_SIZE;
    if (size > SIZE_MAX - sizeof(*block))
        return -1;
    block = arena->source.alloc(arena->source.self, sizeof(*block) + size);
    if (!block)
        return -1;
    block->before = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->used = 0;
    return 0;
}

void *mbr__arena_alloc(struct mbr__arena *arena, size_t count, size_t size)
{
    void *object;

    if (size > 0 && count > (SIZE_MAX - ALIGNMENT) / size)
        return NULL;
    size = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size > arena->left)
        return NULL;
    if (!arena->blocks || size > arena->blocks->size - arena->used) {
        if (add_block(arena, size) < 0)
            return NULL;
    }
    object = arena->blocks->data + arena->used;
    arena->used += size;
    arena->left -= size;
    return memset(object, 0, size);
}
