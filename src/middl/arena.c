/* SPDX-License-Identifier: MIT */
/* The arena: a list of chunks, each twice as large as the one before up to a bound. */
#include "middl/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHUNK ((size_t)64 << 10)
#define LAST_CHUNK  ((size_t)1 << 20)

struct mc_chunk {
    struct mc_chunk *next;
    size_t size;
    _Alignas(max_align_t) unsigned char bytes[];
};

void mbr__mc_arena_init(struct mc_arena *arena, size_t limit)
{
    *arena = (struct mc_arena){.limit = limit};
}

void mbr__mc_arena_fini(struct mc_arena *arena)
{
    while (arena->chunks) {
        struct mc_chunk *next = arena->chunks->next;

        free(arena->chunks);
        arena->chunks = next;
    }
    *arena = (struct mc_arena){.limit = arena->limit};
}

static int add_chunk(struct mc_arena *arena, size_t size)
{
    size_t want = arena->chunks ? arena->chunks->size * 2 : FIRST_CHUNK;
    struct mc_chunk *chunk;

    if (want > LAST_CHUNK)
        want = LAST_CHUNK;
    if (want < size)
        want = size;
    if (want > arena->limit - arena->total)
        return -E2BIG;
    chunk = malloc(sizeof *chunk + want);
    if (!chunk)
        return -ENOMEM;
    chunk->next = arena->chunks;
    chunk->size = want;
    arena->chunks = chunk;
    arena->used = 0;
    arena->total += want;
    return 0;
}

void *mbr__mc_alloc(struct mc_arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    void *piece;

    if (arena->error)
        return NULL;
    if (size > arena->limit) {
        arena->error = -E2BIG;
        return NULL;
    }
    size = (size + align - 1) & ~(align - 1);
    if (!arena->chunks || arena->chunks->size - arena->used < size) {
        arena->error = add_chunk(arena, size);
        if (arena->error)
            return NULL;
    }
    piece = arena->chunks->bytes + arena->used;
    arena->used += size;
    return memset(piece, 0, size);
}

char *mbr__mc_copy(struct mc_arena *arena, const char *text, size_t length)
{
    char *copy = mbr__mc_alloc(arena, length + 1);

    if (copy && length > 0) /* no bytes may be nowhere */
        memcpy(copy, text, length);
    return copy;
}
