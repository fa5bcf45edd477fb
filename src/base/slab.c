/* SPDX-License-Identifier: MIT */
/*
 * The slab. Chunks double in size and never move, so growing touches no object and there is no
 * directory to reallocate; the free slots are a list threaded through their headers.
 *
 * The limit counts objects, not slots: a slot whose generation has run out is retired for ever and
 * another takes its place. With a limit of a million that happens to a slot after 2^43 uses.
 */
#include "base/slab.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN 1
#endif

/* Uses of freed objects are found as with malloc, though their memory stays ours. */
#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define FIRST_SLOTS     (1u << MBR__SLAB_FIRST_BITS)
#define OBJECT_SIZE_MAX ((size_t)1 << 30)

int mbr__slab_init(struct mbr__slab *slab, size_t object_size, uint32_t limit)
{
    size_t align = _Alignof(struct mbr__slab_slot);

    if (object_size == 0 || object_size > OBJECT_SIZE_MAX || limit == 0 || limit > MBR__SLAB_MAX)
        return -EINVAL;
    *slab = (struct mbr__slab){
        .stride = (sizeof(struct mbr__slab_slot) + object_size + align - 1) / align * align,
        .object_size = object_size,
        .limit = limit,
        .index_bits = 32 - (uint32_t)__builtin_clz(limit),
    };
    return 0;
}

void mbr__slab_fini(struct mbr__slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    *slab = (struct mbr__slab){0};
}

static uint64_t last_generation(const struct mbr__slab *slab)
{
    return UINT64_MAX >> slab->index_bits;
}

static bool grow(struct mbr__slab *slab)
{
    uint32_t room = mbr__slab_max_slots(slab) - slab->slots;
    uint32_t count;
    unsigned char *chunk;

    if (room == 0)
        return false;
    count = FIRST_SLOTS << slab->chunk_count;
    if (count > room)
        count = room;
    /* Zeroed, since generations begin at 0; nothing is written, so a large chunk costs its address
     * space and becomes memory as its slots are used. */
    chunk = calloc(count, slab->stride);
    if (!chunk)
        return false;
    ASAN_POISON_MEMORY_REGION(chunk, count * slab->stride);
    slab->chunks[slab->chunk_count++] = chunk;
    slab->slots += count;
    return true;
}

/* Every slot there is memory for is in use, retired, or free. */
static uint32_t free_slots(const struct mbr__slab *slab)
{
    return slab->slots - slab->used - slab->retired;
}

int mbr__slab_reserve(struct mbr__slab *slab, uint32_t count)
{
    if (count > slab->limit)
        return -ENOSPC;
    while (slab->used < count && free_slots(slab) < count - slab->used)
        if (!grow(slab))
            return -ENOMEM;
    return 0;
}

/* A slot never used before; there is one. */
static struct mbr__slab_slot *make_slot(struct mbr__slab *slab)
{
    uint32_t index = slab->made++;
    struct mbr__slab_slot *slot = mbr__slab_slot_at(slab, index);

    ASAN_UNPOISON_MEMORY_REGION(slot, sizeof(*slot));
    slot->index = index;
    return slot;
}

void *mbr__slab_alloc_slow(struct mbr__slab *slab)
{
    struct mbr__slab_slot *slot;

    if (slab->used == slab->limit)
        return NULL;
    if (slab->free_slot != NULL) {
        slot = slab->free_slot;
        slab->free_slot = slot->next_free;
    } else {
        if (slab->made == slab->slots && !grow(slab))
            return NULL;
        slot = make_slot(slab);
    }
    slab->used++;
    slot->generation++;
    ASAN_UNPOISON_MEMORY_REGION(slot->object, slab->object_size);
    return slot->object;
}

/* Whether OBJECT is one of ours and in use; reads its header, so it must be some slab's object. */
static bool is_live(const struct mbr__slab *slab, const struct mbr__slab_slot *slot)
{
    return slot->index < slab->made && mbr__slab_slot_at(slab, slot->index) == slot &&
           (slot->generation & 1);
}

void mbr__slab_free_slow(struct mbr__slab *slab, void *object)
{
    struct mbr__slab_slot *slot;

    if (!object)
        return;
    slot = mbr__slab_slot_of(object);
    MBR_ASSERT_STATE(is_live(slab, slot), "slot %u of %u, generation %llu", slot->index, slab->made,
                     (unsigned long long)slot->generation);
    slab->used--;
    ASAN_POISON_MEMORY_REGION(slot->object, slab->stride - sizeof(*slot));
    if (slot->generation == last_generation(slab)) {
        /* The next use would have the name of the first one: leave the slot as used for ever. */
        slot->generation = 0;
        slab->retired++;
        return;
    }
    slot->generation++;
    slot->next_free = slab->free_slot;
    slab->free_slot = slot;
}

void *mbr__slab_next(const struct mbr__slab *slab, uint32_t *cursor)
{
    while (*cursor < slab->made) {
        void *object = mbr__slab_at(slab, (*cursor)++);

        if (object)
            return object;
    }
    return NULL;
}
