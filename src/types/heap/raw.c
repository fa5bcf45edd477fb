/* SPDX-License-Identifier: MIT */
/*
 * The heap in a region. A block is a header of two words, its size with two flags and the heap's
 * closure, and then the node. A free block has list links where the node was, a pattern behind them
 * that Check looks for, and its size in its last word, where the block behind it finds it.
 */
#include "types/heap/raw.h"

#include <stdint.h>
#include <string.h>

#include "base/assert.h"

#define UNIT      16u /* sizes and addresses are multiples of it */
#define IS_FREE   ((size_t)1)
#define PREV_FREE ((size_t)2)
#define FLAGS     ((size_t)15)
#define MAX_BINS  (4u * 60u)
#define PATTERN   0xa5
/* How many bytes behind the links are filled: freeing a large block must not cost its size. */
#define PATTERN_MAX 48u

struct block {
    size_t bits; /* its size with the header, and flags */
    Heap_clp heap;
    /* While it is free: */
    struct block *next;
    struct block *prev;
};

#define HEADER    offsetof(struct block, next)
#define MIN_BLOCK ((sizeof(struct block) + sizeof(size_t) + UNIT - 1) / UNIT * UNIT)

struct raw {
    Heap_cl closure;
    void *where;
    size_t size; /* as given */
    Heap_clp parent;
    struct block *first;
    struct block *end; /* no block: a header of size 0, in use, that stops joining */
    uint32_t n_bins;
    uint64_t filled[(MAX_BINS + 63) / 64]; /* one bit for each list that is not empty */
    struct block *bins[];
};

/* ---- blocks ---- */

static size_t size_of(const struct block *block)
{
    return block->bits & ~FLAGS;
}

static struct block *after(const struct block *block)
{
    return (struct block *)(uintptr_t)((const char *)block + size_of(block));
}

/* The size of the free block before BLOCK stands in its last word. */
static struct block *before(const struct block *block)
{
    size_t size;

    memcpy(&size, (const char *)block - sizeof(size), sizeof(size));
    return (struct block *)(uintptr_t)((const char *)block - size);
}

static void *node_of(struct block *block)
{
    return (char *)block + HEADER;
}

/* The list for blocks of SIZE: four to a power of two. */
static uint32_t bin_of(const struct raw *raw, size_t size)
{
    uint32_t log = 63u - (uint32_t)__builtin_clzll(size);
    uint32_t bin = (log - 5) * 4 + (uint32_t)(size >> (log - 2) & 3);

    return bin < raw->n_bins ? bin : raw->n_bins - 1;
}

static void take_out(struct raw *raw, struct block *block)
{
    uint32_t bin = bin_of(raw, size_of(block));

    if (block->prev)
        block->prev->next = block->next;
    else
        raw->bins[bin] = block->next;
    if (block->next)
        block->next->prev = block->prev;
    if (!raw->bins[bin])
        raw->filled[bin / 64] &= ~(UINT64_C(1) << bin % 64);
}

static void pattern_range(struct block *block, unsigned char **from, size_t *length)
{
    size_t room = size_of(block) - sizeof(*block) - sizeof(size_t);

    *from = (unsigned char *)(block + 1);
    *length = room < PATTERN_MAX ? room : PATTERN_MAX;
}

/* Makes BLOCK, of SIZE, free; its neighbours are in use. */
static void put_in(struct raw *raw, struct block *block, size_t size)
{
    uint32_t bin = bin_of(raw, size);
    unsigned char *from;
    size_t length;

    block->bits = size | IS_FREE;
    block->heap = &raw->closure;
    memcpy((char *)block + size - sizeof(size), &size, sizeof(size));
    pattern_range(block, &from, &length);
    memset(from, PATTERN, length);
    after(block)->bits |= PREV_FREE;
    block->prev = NULL;
    block->next = raw->bins[bin];
    if (block->next)
        block->next->prev = block;
    raw->bins[bin] = block;
    raw->filled[bin / 64] |= UINT64_C(1) << bin % 64;
}

/* Cuts BLOCK, in use, down to SIZE if what is left makes a block. */
static void trim(struct raw *raw, struct block *block, size_t size)
{
    size_t rest = size_of(block) - size;
    struct block *tail, *next;

    if (rest < MIN_BLOCK)
        return;
    block->bits = size | (block->bits & PREV_FREE);
    tail = after(block);
    next = (struct block *)((char *)tail + rest);
    if (next->bits & IS_FREE) {
        take_out(raw, next);
        rest += size_of(next);
    }
    put_in(raw, tail, rest);
}

/* ---- finding room ---- */

/* The first list from BIN on that has a block, or n_bins. */
static uint32_t next_filled(const struct raw *raw, uint32_t bin)
{
    while (bin < raw->n_bins) {
        uint64_t word = raw->filled[bin / 64] >> bin % 64;

        if (word)
            return bin + (uint32_t)__builtin_ctzll(word);
        bin = (bin / 64 + 1) * 64;
    }
    return raw->n_bins;
}

/* The first of the COUNT blocks from BLOCK on in its list that has SIZE bytes. */
static struct block *first_fit(struct block *block, size_t size, size_t count)
{
    for (; block && count > 0; block = block->next, count--) {
        if (size_of(block) >= size)
            return block;
    }
    return NULL;
}

/*
 * A free block of at least SIZE: one of its own list if a few looks find it, which wastes least;
 * else any of a larger list, all of which fit; else whatever its own list has further on.
 */
static struct block *find(const struct raw *raw, size_t size)
{
    uint32_t bin = bin_of(raw, size);
    struct block *block = first_fit(raw->bins[bin], size, 8);
    uint32_t larger;

    if (block)
        return block;
    larger = next_filled(raw, bin + 1);
    return larger < raw->n_bins ? raw->bins[larger] : first_fit(raw->bins[bin], size, SIZE_MAX);
}

/* The size of the block for a node of SIZE; 0 if there can be none. */
static size_t block_size(size_t size)
{
    if (size > SIZE_MAX / 2)
        return 0;
    size = (size + HEADER + UNIT - 1) / UNIT * UNIT;
    return size < MIN_BLOCK ? MIN_BLOCK : size;
}

static void *allocate(struct raw *raw, size_t size)
{
    size_t wanted = block_size(size);
    struct block *block = wanted ? find(raw, wanted) : NULL;

    if (!block)
        return NULL;
    take_out(raw, block);
    block->bits &= ~IS_FREE;
    after(block)->bits &= ~PREV_FREE;
    trim(raw, block, wanted);
    return node_of(block);
}

/* ---- trust ---- */

static _Noreturn void broken(const struct raw *raw, const void *node, const char *what)
{
    mbr__panic(__FILE__, __LINE__, "heap %p, node %p: %s", (const void *)raw, node, what);
}

/* The block of NODE, which must be one of RAW's that is in use. */
static struct block *block_of(const struct raw *raw, void *node)
{
    struct block *block = (struct block *)((char *)node - HEADER);

    if (block < raw->first || block >= raw->end || (uintptr_t)node % UNIT != 0)
        broken(raw, node, "is not of this heap");
    if (block->heap != &raw->closure)
        broken(raw, node, "belongs to another heap, or the word before it was overwritten");
    if (block->bits & IS_FREE)
        broken(raw, node, "has been freed already");
    if (size_of(block) < MIN_BLOCK || (block->bits & FLAGS & ~PREV_FREE) ||
        size_of(block) > (size_t)((char *)raw->end - (char *)block))
        broken(raw, node, "the size before it was overwritten");
    return block;
}

/* ---- Heap ---- */

static void *raw_malloc(Heap_clp self, uintptr_t size)
{
    return allocate(self->st, size);
}

static void raw_free(Heap_clp self, void *p)
{
    struct raw *raw = self->st;
    struct block *block, *next;
    size_t size;

    if (!p)
        return;
    block = block_of(raw, p);
    size = size_of(block);
    next = after(block);
    if (next->bits & IS_FREE) {
        take_out(raw, next);
        size += size_of(next);
    }
    /* A block that was joined keeps IS_FREE in its old header: freeing it again is found out. */
    block->bits |= IS_FREE;
    if (block->bits & PREV_FREE) {
        block = before(block);
        take_out(raw, block);
        size += size_of(block);
    }
    put_in(raw, block, size);
}

static void *raw_calloc(Heap_clp self, uintptr_t nmemb, uintptr_t size)
{
    void *p;

    if (size > 0 && nmemb > SIZE_MAX / size)
        return NULL;
    p = allocate(self->st, nmemb * size);
    return p ? memset(p, 0, nmemb * size) : NULL;
}

/* Takes in the free block behind BLOCK if that gives it WANTED bytes. */
static bool grow(struct raw *raw, struct block *block, size_t wanted)
{
    struct block *next = after(block);

    if (!(next->bits & IS_FREE) || size_of(block) + size_of(next) < wanted)
        return false;
    take_out(raw, next);
    block->bits += size_of(next);
    after(block)->bits &= ~PREV_FREE;
    return true;
}

static void *raw_realloc(Heap_clp self, void *p, uintptr_t size)
{
    struct raw *raw = self->st;
    size_t wanted = block_size(size);
    struct block *block;
    void *moved;

    if (!p)
        return allocate(raw, size);
    block = block_of(raw, p);
    if (!wanted)
        return NULL;
    if (size_of(block) >= wanted || grow(raw, block, wanted)) {
        trim(raw, block, wanted);
        return p;
    }
    moved = allocate(raw, size);
    if (!moved)
        return NULL;
    memcpy(moved, p, size_of(block) - HEADER);
    raw_free(self, p);
    return moved;
}

static Heap_clp raw_purge(Heap_clp self)
{
    struct raw *raw = self->st;
    size_t size = (size_t)((char *)raw->end - (char *)raw->first);

    memset(raw->filled, 0, sizeof(raw->filled));
    memset(raw->bins, 0, raw->n_bins * sizeof(raw->bins[0]));
    raw->end->bits = 0;
    raw->end->heap = self;
    put_in(raw, raw->first, size);
    return self;
}

static void raw_destroy(Heap_clp self)
{
    struct raw *raw = self->st;
    Heap_clp parent = raw->parent;
    void *where = raw->where;

    /* Whoever uses it from now on faults at once. */
    self->op = NULL;
    self->st = NULL;
    if (parent)
        Heap_Free(parent, where);
}

static void check_free_block(const struct raw *raw, struct block *block)
{
    unsigned char *from;
    size_t length;

    if (before(after(block)) != block || !(after(block)->bits & PREV_FREE))
        broken(raw, node_of(block), "a free block's end was overwritten");
    pattern_range(block, &from, &length);
    for (size_t i = 0; i < length; i++) {
        if (from[i] != PATTERN)
            broken(raw, node_of(block), "was written to after it had been freed");
    }
}

static void raw_check(Heap_clp self, bool checkFreeBlocks)
{
    const struct raw *raw = self->st;
    size_t prev_free = 0;

    for (struct block *block = raw->first; block != raw->end; block = after(block)) {
        size_t size = size_of(block);

        if (block->heap != self || size < MIN_BLOCK ||
            size > (size_t)((char *)raw->end - (char *)block) ||
            (block->bits & PREV_FREE) != prev_free)
            broken(raw, node_of(block), "its header was overwritten");
        if (checkFreeBlocks && (block->bits & IS_FREE))
            check_free_block(raw, block);
        prev_free = block->bits & IS_FREE ? PREV_FREE : 0;
    }
}

static const Heap_op raw_ops = {
    .Malloc = raw_malloc,
    .Free = raw_free,
    .Calloc = raw_calloc,
    .Realloc = raw_realloc,
    .Purge = raw_purge,
    .Destroy = raw_destroy,
    .Check = raw_check,
};

Heap_clp mbr__raw_heap_init(void *where, size_t size, Heap_clp parent)
{
    uintptr_t start = ((uintptr_t)where + UNIT - 1) / UNIT * UNIT;
    uintptr_t end;
    struct raw *raw = (struct raw *)start;
    size_t state;
    uint32_t n_bins;

    if (size < 256 || size > SIZE_MAX / 2 || start < (uintptr_t)where ||
        (uintptr_t)where > UINTPTR_MAX - size)
        return NULL;
    end = ((uintptr_t)where + size) / UNIT * UNIT - UNIT;
    n_bins = (63u - (uint32_t)__builtin_clzll(size) - 5) * 4 + 4;
    state = (sizeof(*raw) + n_bins * sizeof(raw->bins[0]) + UNIT - 1) / UNIT * UNIT;
    if (end - start < state + MIN_BLOCK)
        return NULL;
    memset(raw, 0, state);
    raw->closure = (Heap_cl){&raw_ops, raw};
    raw->where = where;
    raw->size = size;
    raw->parent = parent;
    raw->n_bins = n_bins;
    raw->first = (struct block *)(start + state);
    raw->end = (struct block *)end;
    return raw_purge(&raw->closure);
}

bool mbr__raw_heap_where(Heap_clp heap, void **where, size_t *size)
{
    const struct raw *raw = heap->st;

    if (heap->op != &raw_ops)
        return false;
    *where = raw->where;
    *size = raw->size;
    return true;
}
