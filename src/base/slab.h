/* SPDX-License-Identifier: MIT */
/*
 * A slab: many objects of one size that never move. Allocation and freeing are O(1), the slot freed
 * last is used first (its memory is still in the cache), and once a slab has grown to what is
 * needed it calls malloc no more. Each slot counts its uses, so a 64-bit handle to an object that
 * has been freed is known for stale, also when the slot is in use again.
 *
 * For one thread. Not here: construction of objects (memory comes as the last user left it), and
 * shared memory (shm/ has its own pool).
 */
#ifndef MBR_BASE_SLAB_H
#define MBR_BASE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most objects a slab may hold: what leaves 32 bits to count the uses of each slot. */
#define MBR__SLAB_MAX (UINT32_MAX / 2)

/* What is not a handle: never returned by mbr__slab_handle(), and always stale. */
#define MBR__SLAB_NO_HANDLE 0u

/* Chunk k holds FIRST << k slots, so an index is mapped to its chunk without a search. */
#define MBR__SLAB_FIRST_BITS 4
#define MBR__SLAB_CHUNKS     (32 - MBR__SLAB_FIRST_BITS)

/* In front of each object. Free slots keep theirs, which is how stale handles are found out. */
struct mbr__slab_slot {
    uint64_t generation; /* odd while in use; each allocation and each freeing adds one */
    uint32_t index;
    uint32_t next_free;
    _Alignas(max_align_t) unsigned char object[];
};

struct mbr__slab {
    unsigned char *chunks[MBR__SLAB_CHUNKS];
    size_t stride;      /* bytes per slot */
    size_t object_size; /* as asked for */
    uint32_t limit;     /* objects in use at one time */
    uint32_t slots;     /* slots there is memory for */
    uint32_t made;      /* slots that have been in use at least once: the first ones */
    uint32_t used;      /* objects in use */
    uint32_t retired;   /* slots whose generations have run out */
    uint32_t free_head; /* the slot freed last, or MBR__SLAB_NONE */
    uint32_t chunk_count;
    uint32_t index_bits; /* of a handle; the rest is the generation */
};

#define MBR__SLAB_NONE UINT32_MAX

/*
 * An empty slab for at most LIMIT objects of OBJECT_SIZE bytes, aligned like malloc's. Allocates
 * nothing. -EINVAL if either is 0, LIMIT is above MBR__SLAB_MAX, or OBJECT_SIZE above 1 GiB.
 */
int mbr__slab_init(struct mbr__slab *slab, size_t object_size, uint32_t limit);

/* Frees all memory, with the objects still in it. The slab must be initialised again for use. */
void mbr__slab_fini(struct mbr__slab *slab);

/*
 * Grows until COUNT objects fit, so that the next allocations up to this number cannot fail.
 * -ENOSPC if COUNT exceeds the limit; -ENOMEM, having kept what could be had.
 */
int mbr__slab_reserve(struct mbr__slab *slab, uint32_t count);

/* An object with undefined contents; NULL, with nothing changed, at the limit or out of memory. */
void *mbr__slab_alloc(struct mbr__slab *slab);

/* Frees OBJECT, which this slab has allocated (anything else is a broken invariant). NULL is fine.
 */
void mbr__slab_free(struct mbr__slab *slab, void *object);

/* The object with this handle, or NULL if it has been freed or HANDLE was never valid. */
void *mbr__slab_from_handle(const struct mbr__slab *slab, uint64_t handle);

/* A name for OBJECT that is not used again after it is freed. Neither 0 nor UINT64_MAX. */
uint64_t mbr__slab_handle(const struct mbr__slab *slab, const void *object);

/* The index of OBJECT: small, and reused, unlike the handle. */
uint32_t mbr__slab_index(const void *object);

/* The object in use at INDEX, or NULL. */
void *mbr__slab_at(const struct mbr__slab *slab, uint32_t index);

/*
 * Walks over the objects in use, by index: starts with *CURSOR at 0, NULL at the end. OBJECT may be
 * freed on the way; of those allocated on the way, some are met.
 */
void *mbr__slab_next(const struct mbr__slab *slab, uint32_t *cursor);

/* Objects in use. */
static inline uint32_t mbr__slab_count(const struct mbr__slab *slab)
{
    return slab->used;
}

#endif
