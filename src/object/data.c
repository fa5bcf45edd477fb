/* SPDX-License-Identifier: MIT */
/* See data.h: mapping and allocating. */
#include "object/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "object/memory_left.h"

/* Newer than the C library's headers may be: Linux 5.14. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define LOCK_SIZE sizeof(struct mbr__block_lock)

/* Allocations below this are left to the kernel to refuse. */
#define LARGE (UINT64_C(64) << 20)

/* ---- views ----------------------------------------------------------------------------------- */

static uint64_t far_locks(uint32_t blocks)
{
    return blocks <= MBR__OBJ_NEAR_LOCKS
               ? 0
               : mbr__page_up((uint64_t)(blocks - MBR__OBJ_NEAR_LOCKS) * LOCK_SIZE);
}

static void unmap(struct mbr__view *v)
{
    if (v->map != NULL)
        (void)munmap(v->map, MBR__OBJ_DATA_AT + v->capacity);
    if (v->far != NULL)
        (void)munmap(v->far, v->far_size);
}

static int map(struct mbr__container *c, uint32_t index, struct mbr__view *v)
{
    int rc = mbr__container_map(c, mbr__range_of(index), MBR__OBJ_DATA_AT + v->capacity, &v->map);

    if (rc == 0 && v->far_size != 0)
        rc = mbr__container_map(c, mbr__range_of(index) + MBR__OBJ_LOCKS_AT, v->far_size, &v->far);
    return rc;
}

int mbr__view_new(struct mbr__container *c, uint32_t index, uint64_t size, uint32_t blocks,
                  struct mbr__view **out)
{
    struct mbr__view *v;
    int rc;

    if (size > MBR_OBJECT_SIZE_MAX || blocks > mbr__blocks_of(MBR_OBJECT_SIZE_MAX))
        return -EPROTO;
    if (blocks < mbr__blocks_of(size))
        blocks = mbr__blocks_of(size);
    v = calloc(1, sizeof(*v) + sizeof(uint64_t) * (mbr__blocks_of(size) / 64 + 1));
    if (v == NULL)
        return -ENOMEM;
    v->touched = (uint64_t *)(void *)(v + 1);
    v->capacity = mbr__page_up(size);
    v->far_size = far_locks(blocks);
    rc = map(c, index, v);
    if (rc < 0) {
        unmap(v);
        free(v);
        return rc;
    }
    v->data = v->map + MBR__OBJ_DATA_AT;
    v->set = (struct mbr__lock_set){.world = &c->world,
                                    .near = (struct mbr__block_lock *)(void *)v->map,
                                    .far = (struct mbr__block_lock *)(void *)v->far,
                                    .object = index + 1,
                                    .blocks = blocks};
    v->size = &mbr__entry_at(c, index)->size;
    v->own_holds = c->own_holds;
    v->hold_of_one = mbr__hold_of(index + 1, 0, 1);
    v->reader_bit = UINT64_C(1) << c->world.self % 64;
    v->reader_at =
        offsetof(struct mbr__block_lock, readers) + sizeof(uint64_t) * (c->world.self / 64);
    *out = v;
    return 0;
}

void mbr__view_free(struct mbr__view *v)
{
    while (v != NULL) {
        struct mbr__view *older = v->older;

        unmap(v);
        free(v);
        v = older;
    }
}

static void touch_block(struct mbr__view *v, uint64_t block)
{
    uint64_t at = block * MBR_OBJECT_BLOCK;
    uint64_t size = v->capacity - at < MBR_OBJECT_BLOCK ? v->capacity - at : MBR_OBJECT_BLOCK;
    uint64_t bit = UINT64_C(1) << block % 64;

    if ((mbr_load_relaxed(&v->touched[block / 64]) & bit) != 0)
        return;
    (void)madvise(v->data + at, size, MADV_POPULATE_WRITE);
    (void)mbr_fetch_or(&v->touched[block / 64], bit);
}

void mbr__view_touch_slow(struct mbr__view *v, uint64_t offset, uint64_t size)
{
    for (uint64_t b = offset / MBR_OBJECT_BLOCK; b * MBR_OBJECT_BLOCK < offset + size; b++)
        touch_block(v, b);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/*
 * Whether so much memory is left. The kernel would find it by killing processes: it allocates as
 * long as it can take memory from somebody. Not exact, and no promise: others allocate, too.
 */
bool mbr__data_has_memory(uint64_t size)
{
    return size < LARGE || size < mbr__memory_left("");
}

static int allocate_locks(const struct mbr__container *c, uint32_t index, uint64_t old,
                          uint64_t size)
{
    uint64_t had = far_locks(mbr__blocks_of(old));
    uint64_t need = far_locks(mbr__blocks_of(size));

    /* Locks stay when an object shrinks: somebody may be waiting for one. */
    return need <= had ? 0
                       : mbr__container_allocate(c, mbr__range_of(index) + MBR__OBJ_LOCKS_AT + had,
                                                 need - had);
}

int mbr__data_allocate(const struct mbr__container *c, uint32_t index, uint64_t old, uint64_t size)
{
    /* A new object's page of near locks is allocated with the data behind it. */
    uint64_t from = old == 0 ? 0 : MBR__OBJ_DATA_AT + mbr__page_up(old);
    uint64_t to = MBR__OBJ_DATA_AT + mbr__page_up(size);
    int rc;

    if (!mbr__data_has_memory(to - from))
        return -ENOMEM;
    rc = allocate_locks(c, index, old, size);
    if (rc == 0 && to > from)
        rc = mbr__container_allocate(c, mbr__range_of(index) + from, to - from);
    if (rc < 0)
        mbr__data_cut(c, index, old);
    return rc;
}

int mbr__data_allocate_locks(const struct mbr__container *c, uint32_t index, uint64_t size)
{
    int rc = mbr__container_allocate(c, mbr__range_of(index), MBR__OBJ_DATA_AT);

    return rc < 0 ? rc : allocate_locks(c, index, 0, size);
}

int mbr__data_allocate_block(const struct mbr__container *c, uint32_t index, uint64_t size,
                             uint32_t block)
{
    return mbr__container_allocate(
        c, mbr__range_of(index) + MBR__OBJ_DATA_AT + (uint64_t)block * MBR_OBJECT_BLOCK,
        mbr__page_up(mbr__block_bytes(size, block)));
}

void mbr__data_cut(const struct mbr__container *c, uint32_t index, uint64_t size)
{
    uint64_t from = MBR__OBJ_DATA_AT + size;

    if (size > 2 * MBR_OBJECT_SIZE_MAX)
        return; /* somebody has written to the entry: no object is so large */
    mbr__container_punch(c, mbr__range_of(index) + from, MBR__OBJ_LOCKS_AT - from);
}
