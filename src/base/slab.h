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
    struct mbr__slab_slot *next_free;
    uint32_t index;
    _Alignas(max_align_t) unsigned char object[];
};

struct mbr__slab {
    unsigned char *chunks[MBR__SLAB_CHUNKS];
    struct mbr__slab_slot *free_slot; /* the slot freed last, or NULL */
    size_t stride;                    /* bytes per slot */
    size_t object_size;               /* as asked for */
    uint32_t limit;                   /* objects in use at one time */
    uint32_t slots;                   /* slots there is memory for */
    uint32_t made;    /* slots that have been in use at least once: the first ones */
    uint32_t used;    /* objects in use */
    uint32_t retired; /* slots whose generations have run out */
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
static inline void *mbr__slab_alloc(struct mbr__slab *slab);

/* Frees OBJECT, which this slab has allocated (anything else is a broken invariant). NULL is fine.
 */
static inline void mbr__slab_free(struct mbr__slab *slab, void *object);

/* The object with this handle, or NULL if it has been freed or HANDLE was never valid. */
static inline void *mbr__slab_from_handle(const struct mbr__slab *slab, uint64_t handle);

/* A name for OBJECT that is not used again after it is freed. Neither 0 nor UINT64_MAX. */
static inline uint64_t mbr__slab_handle(const struct mbr__slab *slab, const void *object);

/* The index of OBJECT: small, and reused, unlike the handle. */
static inline uint32_t mbr__slab_index(const void *object);

/* The object in use at INDEX, or NULL. */
static inline void *mbr__slab_at(const struct mbr__slab *slab, uint32_t index);

/*
 * Walks over the objects in use, by index: starts with *CURSOR at 0, NULL at the end. OBJECT may be
 * freed on the way; of those allocated on the way, some are met.
 */
void *mbr__slab_next(const struct mbr__slab *slab, uint32_t *cursor);

/* ---- inline, since a message needs seven of these calls ---- */

void *mbr__slab_alloc_slow(struct mbr__slab *slab);
void mbr__slab_free_slow(struct mbr__slab *slab, void *object);

/* The chunks before number k hold (FIRST << k) - FIRST slots: the top bit of index + FIRST tells k,
 * and what is below it is the place in the chunk. */
static inline struct mbr__slab_slot *mbr__slab_slot_at(const struct mbr__slab *slab, uint32_t index)
{
    uint32_t biased = index + (1u << MBR__SLAB_FIRST_BITS);
    uint32_t top = 31 - (uint32_t)__builtin_clz(biased);
    uint64_t offset = biased - (1u << top);

    return (struct mbr__slab_slot *)(void *)(slab->chunks[top - MBR__SLAB_FIRST_BITS] +
                                             offset * slab->stride);
}

static inline struct mbr__slab_slot *mbr__slab_slot_of(const void *object)
{
    return (struct mbr__slab_slot *)((uintptr_t)object - offsetof(struct mbr__slab_slot, object));
}

/* Index numbers that fit in a handle, without the one whose bits are all set. */
static inline uint32_t mbr__slab_max_slots(const struct mbr__slab *slab)
{
    return (uint32_t)((1ull << slab->index_bits) - 1);
}

static inline uint64_t mbr__slab_handle(const struct mbr__slab *slab, const void *object)
{
    const struct mbr__slab_slot *slot = mbr__slab_slot_of(object);

    return slot->generation << slab->index_bits | slot->index;
}

static inline void *mbr__slab_from_handle(const struct mbr__slab *slab, uint64_t handle)
{
    uint64_t generation = handle >> slab->index_bits;
    uint32_t index = (uint32_t)(handle & mbr__slab_max_slots(slab));

    /* Even generations are those of free slots: nobody was ever given such a handle. */
    if (__builtin_expect(index >= slab->made || !(generation & 1), 0))
        return NULL;
    struct mbr__slab_slot *slot = mbr__slab_slot_at(slab, index);

    return slot->generation == generation ? slot->object : NULL;
}

static inline uint32_t mbr__slab_index(const void *object)
{
    return mbr__slab_slot_of(object)->index;
}

static inline void *mbr__slab_at(const struct mbr__slab *slab, uint32_t index)
{
    if (__builtin_expect(index >= slab->made, 0))
        return NULL;
    struct mbr__slab_slot *slot = mbr__slab_slot_at(slab, index);

    return slot->generation & 1 ? slot->object : NULL;
}

#if defined(__SANITIZE_ADDRESS__)
#define MBR__SLAB_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MBR__SLAB_CHECKED 1
#endif
#endif

static inline void *mbr__slab_alloc(struct mbr__slab *slab)
{
#ifdef MBR__SLAB_CHECKED
    struct mbr__slab_slot *slot = NULL; /* each allocation is told to the sanitizer */
#else
    struct mbr__slab_slot *slot = slab->free_slot;
#endif

    if (__builtin_expect(slot == NULL || slab->used == slab->limit, 0))
        return mbr__slab_alloc_slow(slab);
    slab->free_slot = slot->next_free;
    slab->used++;
    slot->generation++;
    return slot->object;
}

static inline void mbr__slab_free(struct mbr__slab *slab, void *object)
{
    if (object == NULL)
        return;
    struct mbr__slab_slot *slot = mbr__slab_slot_of(object);
    bool slow = !(slot->generation & 1) || slot->generation == UINT64_MAX >> slab->index_bits;

#ifdef MBR__SLAB_CHECKED
    slow = true;
#endif
    if (__builtin_expect(slow, 0)) {
        mbr__slab_free_slow(slab, object);
        return;
    }
    slab->used--;
    slot->generation++;
    slot->next_free = slab->free_slot;
    slab->free_slot = slot;
}

/* Objects in use. */
static inline uint32_t mbr__slab_count(const struct mbr__slab *slab)
{
    return slab->used;
}

#endif
