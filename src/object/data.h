/* SPDX-License-Identifier: MIT */
/*
 * An object's bytes and locks in this process: views. A view maps the page of near locks and the
 * data behind it as one piece, and the far locks if there are any. When an object has grown beyond
 * its view a larger one is made beside it, since pointers into the old one may be in use; both show
 * the same memory, and both go when the object is left.
 *
 * Not here: who may touch the bytes when (lock.h, io.c).
 */
#ifndef MBR_OBJECT_DATA_H
#define MBR_OBJECT_DATA_H

#include "object/container.h"

struct mbr__view {
    struct mbr__lock_set set;
    uint8_t *data;
    uint64_t capacity; /* bytes of data that are mapped, a multiple of pages */
    uint8_t *map;      /* what is mapped: near locks and data */
    uint8_t *far;
    uint64_t far_size;
    struct mbr__view *older;
    uint64_t *touched; /* bit b: block b is in our page tables, see mbr__view_touch() */
    /* For the short way of mbr_object_get() (io.c): the object's size in shared memory; how many
     * bytes it may reach, 0 none; our holds;
     * what a hold of one block says, without the block; our bit in a lock. */
    const uint64_t *size;
    uint64_t quick;
    struct mbr__hold *own_holds;
    uint64_t hold_of_one;
    uint64_t reader_bit;
    uint64_t reader_at; /* bytes into the lock */
};

/* Blocks, or parts of one, in `size` bytes. */
static inline uint32_t mbr__blocks_of(uint64_t size)
{
    return (uint32_t)((size + MBR_OBJECT_BLOCK - 1) / MBR_OBJECT_BLOCK);
}

/* Bytes of a block, by the object's size; 0 beyond the end. */
static inline uint64_t mbr__block_bytes(uint64_t size, uint32_t block)
{
    uint64_t at = (uint64_t)block * MBR_OBJECT_BLOCK;

    if (at >= size)
        return 0;
    return size - at < MBR_OBJECT_BLOCK ? size - at : MBR_OBJECT_BLOCK;
}

static inline uint64_t mbr__page_up(uint64_t size)
{
    return (size + MBR__OBJ_PAGE - 1) / MBR__OBJ_PAGE * MBR__OBJ_PAGE;
}

/* Makes a view of the first `size` bytes of data; locks only if size is 0, for `blocks` blocks.
 * -ENOMEM; -EPROTO more than an object can have. */
int mbr__view_new(struct mbr__container *c, uint32_t index, uint64_t size, uint32_t blocks,
                  struct mbr__view **out);
/* Frees a view and the older ones. NULL is fine. */
void mbr__view_free(struct mbr__view *v);

/*
 * Puts pages of [offset, offset + size), which is about to be copied as a whole, into this
 * process's page tables, if that pays: a block at a time it costs a quarter of what as many page
 * faults do. Once for each block; a hint, which cannot fail.
 */
void mbr__view_touch_slow(struct mbr__view *v, uint64_t offset, uint64_t size);

#define MBR__TOUCH_MIN 65536u /* bytes from which on it pays */

static inline void mbr__view_touch(struct mbr__view *v, uint64_t offset, uint64_t size)
{
    if (size >= MBR__TOUCH_MIN)
        mbr__view_touch_slow(v, offset, size);
}

/*
 * Allocates what an object of `size` bytes needs beyond `old` bytes: data, and locks. -ENOMEM,
 * -ENOSPC: also when the machine has less memory free than that; then nothing has changed, and what
 * is new reads as zeroes otherwise.
 */
int mbr__data_allocate(const struct mbr__container *c, uint32_t index, uint64_t old, uint64_t size);
/* Whether machine and control group have `size` bytes of memory left, asked if it is much. No
 * promise. */
bool mbr__data_has_memory(uint64_t size);
/* Allocates the locks alone. */
int mbr__data_allocate_locks(const struct mbr__container *c, uint32_t index, uint64_t size);
/* Allocates the bytes of one block of an object of `size` bytes. */
int mbr__data_allocate_block(const struct mbr__container *c, uint32_t index, uint64_t size,
                             uint32_t block);
/* Frees the data beyond `size` bytes. */
void mbr__data_cut(const struct mbr__container *c, uint32_t index, uint64_t size);

#endif
