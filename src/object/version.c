/* SPDX-License-Identifier: MIT */
/*
 * Versions of an object: reading. See version.h; writing is in version_write.c, what both know in
 * version_impl.h.
 */
#define _GNU_SOURCE
#include "object/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "object/io.h"
#include "object/version_impl.h"

/* ---- what a process keeps -------------------------------------------------------------------- */

int mbr__versions_new(struct mbr__object *o)
{
    struct mbr__versions *v = calloc(1, sizeof(*v));
    uint8_t *at = NULL;
    int rc;

    if (v == NULL)
        return -ENOMEM;
    rc = mbr__container_map(o->c, mbr__range_of(o->index) + MBR__OBJ_MAPS_AT, MBR__MAPS_END, &at);
    if (rc < 0) {
        free(v);
        return rc;
    }
    v->shm = (struct mbr__version_shm *)(void *)at;
    o->versions = v;
    return 0;
}

void mbr__versions_free(struct mbr__object *o)
{
    struct mbr__versions *v = o->versions;

    if (v == NULL)
        return;
    while (v->shown != NULL) {
        struct mbr__shown *older = v->shown->older;

        (void)munmap(v->shown->data, v->shown->capacity);
        free(v->shown);
        v->shown = older;
    }
    (void)munmap(v->shm, MBR__MAPS_END);
    free(v);
    o->versions = NULL;
}

/* The data from its beginning, mapped for reading only; what was shown before stays. */
static int show_more(struct mbr__object *o, uint64_t end, struct mbr__shown **out)
{
    struct mbr__versions *v = o->versions;
    struct mbr__shown *s = malloc(sizeof(*s));
    void *at;

    if (s == NULL)
        return -ENOMEM;
    /* Twice what is needed: a writer goes to other blocks, and comes back. */
    s->capacity = 2 * end < MBR_OBJECT_SIZE_MAX ? 2 * end : MBR_OBJECT_SIZE_MAX;
    at = mmap(NULL, s->capacity, PROT_READ, MAP_SHARED | MAP_NORESERVE, o->c->fd,
              (off_t)(mbr__range_of(o->index) + MBR__OBJ_DATA_AT));
    if (at == MAP_FAILED || madvise(at, s->capacity, MADV_DONTFORK) < 0) {
        if (at != MAP_FAILED)
            (void)munmap(at, s->capacity);
        free(s);
        return -ENOMEM;
    }
    s->data = at;
    s->older = v->shown;
    mbr_store_release(&v->shown, s); /* pair A with show() */
    *out = s;
    return 0;
}

static int show(struct mbr__object *o, uint64_t end, struct mbr__shown **out)
{
    struct mbr__shown *s = mbr_load_acquire(&o->versions->shown); /* pair A with show_more() */
    int rc = 0;

    if (__builtin_expect(s == NULL || end > s->capacity, 0)) {
        (void)pthread_mutex_lock(&o->c->maps);
        s = o->versions->shown;
        if (s == NULL || end > s->capacity)
            rc = show_more(o, end, &s);
        (void)pthread_mutex_unlock(&o->c->maps);
    }
    if (rc == 0)
        *out = s;
    return rc;
}

/* ---- pinning --------------------------------------------------------------------------------- */

static inline struct mbr__hold *hold_at(const struct mbr__object *o, uint32_t hold)
{
    return mbr__holds_at(o->c, o->c->world.self) + hold;
}

/* Takes a hold and pins the current version with it: what was pinned. It is tried again only if a
 * writer has published something meanwhile. */
static int pin(struct mbr__object *o, uint32_t *hold, uint64_t *pinned)
{
    int rc = mbr__hold_take(o->c, hold);
    uint64_t current;

    if (__builtin_expect(rc < 0, 0))
        return rc;
    current = mbr_load_acquire(&o->entry->current); /* pair A with publish() */
    for (;;) {
        uint64_t then = current;

        mbr_store_release(&hold_at(o, *hold)->what, mbr__version_hold(o->index + 1, then));
        mbr_fence_full(); /* pair B with mark_pinned(): a writer sees the hold, or we its version */
        current = mbr_load_acquire(&o->entry->current);
        if (__builtin_expect(current == then, 1))
            break;
    }
    *pinned = current;
    return 0;
}

static void unpin(struct mbr__object *o, uint32_t hold)
{
    mbr_store_release(&hold_at(o, hold)->what, 0); /* pair A with mark_pins(): we have read */
    mbr__hold_give(o->c, hold);
    if (__builtin_expect(mbr_load_relaxed(&o->versions->shm->held) >
                             2 * mbr__blocks_of(mbr_load_relaxed(&o->entry->size)),
                         0))
        mbr__version_tidy(o); /* what we had may have been the last use of an old version */
}

/* The map of the pinned version, if the region lies in the object as it was then. -ERANGE;
 * -EPROTO. */
static int find_region(const struct mbr__object *o, uint64_t pinned, uint64_t offset, uint64_t size,
                       const struct mbr__version_map **out)
{
    const struct mbr__version_map *m = mbr__map_at(o, mbr__current_place(pinned));
    uint64_t limit = m == NULL ? 0 : mbr_load_relaxed(&m->size);

    if (m == NULL || limit > MBR__VERSIONED_MAX)
        return -EPROTO;
    if (offset > limit || size > limit - offset)
        return -ERANGE;
    *out = m;
    return 0;
}

/* ---- copying out ----------------------------------------------------------------------------- */

static int copy_out(struct mbr__object *o, const struct mbr__version_map *m, uint64_t offset,
                    uint8_t *to, uint64_t size)
{
    while (size != 0) {
        uint64_t in = offset % MBR_OBJECT_BLOCK;
        uint64_t n = size < MBR_OBJECT_BLOCK - in ? size : MBR_OBJECT_BLOCK - in;
        uint32_t p = mbr_load_relaxed(&m->physical[offset / MBR_OBJECT_BLOCK]);
        struct mbr__shown *s;
        int rc =
            p < MBR__PHYSICAL_BLOCKS ? show(o, ((uint64_t)p + 1) * MBR_OBJECT_BLOCK, &s) : -EPROTO;

        if (rc < 0)
            return rc;
        memcpy(to, s->data + (uint64_t)p * MBR_OBJECT_BLOCK + in, n);
        to += n;
        offset += n;
        size -= n;
    }
    return 0;
}

int mbr__version_read(struct mbr__object *o, uint64_t offset, void *buf, uint64_t size)
{
    const struct mbr__version_map *m = NULL;
    uint64_t pinned;
    uint32_t hold;
    int rc = pin(o, &hold, &pinned);

    if (rc < 0)
        return rc;
    rc = find_region(o, pinned, offset, size, &m);
    if (rc == 0)
        rc = copy_out(o, m, offset, buf, size);
    unpin(o, hold);
    return rc;
}

/* ---- in place -------------------------------------------------------------------------------- */

/* How many blocks from `first` on lie side by side, at most `count`; 0: the map makes no sense. */
static uint32_t run_of(const struct mbr__version_map *m, uint32_t first, uint32_t count)
{
    uint32_t p = mbr_load_relaxed(&m->physical[first]);
    uint32_t n = 1;

    if (p >= MBR__PHYSICAL_BLOCKS)
        return 0;
    while (n < count && p + n < MBR__PHYSICAL_BLOCKS &&
           mbr_load_relaxed(&m->physical[first + n]) == p + n)
        n++;
    return n;
}

/* Maps blocks that lie apart side by side. */
static int stitch(const struct mbr__object *o, const struct mbr__version_map *m, uint32_t first,
                  uint32_t count, uint8_t **out)
{
    size_t size = (size_t)count * MBR_OBJECT_BLOCK;
    uint8_t *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int rc = at == MAP_FAILED ? -ENOMEM : 0;

    if (rc < 0)
        return rc;
    for (uint32_t done = 0, n = 0; done < count && rc == 0; done += n) {
        uint64_t p = mbr_load_relaxed(&m->physical[first + done]);

        n = run_of(m, first + done, count - done);
        if (n == 0 || p >= MBR__PHYSICAL_BLOCKS)
            rc = -EPROTO;
        else if (mmap(at + (size_t)done * MBR_OBJECT_BLOCK, (size_t)n * MBR_OBJECT_BLOCK, PROT_READ,
                      MAP_SHARED | MAP_FIXED | MAP_NORESERVE, o->c->fd,
                      (off_t)(mbr__range_of(o->index) + MBR__OBJ_DATA_AT + p * MBR_OBJECT_BLOCK)) ==
                 MAP_FAILED)
            rc = -ENOMEM;
    }
    if (rc == 0 && madvise(at, size, MADV_DONTFORK) < 0)
        rc = -ENOMEM;
    if (rc < 0)
        (void)munmap(at, size);
    else
        *out = at;
    return rc;
}

/* io->first is 0, or 1 more than how far the region is into what was stitched for it. */
static int show_region(struct mbr__object *o, const struct mbr__version_map *m, uint64_t offset,
                       struct mbr__io *io)
{
    uint32_t first = (uint32_t)(offset / MBR_OBJECT_BLOCK);
    uint32_t in = (uint32_t)(offset % MBR_OBJECT_BLOCK);
    uint64_t p = mbr_load_relaxed(&m->physical[first]);
    uint32_t n = run_of(m, first, io->count);
    struct mbr__shown *s;
    uint8_t *at;
    int rc;

    if (n == 0 || p >= MBR__PHYSICAL_BLOCKS)
        return -EPROTO;
    io->first = 0;
    if (n == io->count) {
        rc = show(o, (p + n) * MBR_OBJECT_BLOCK, &s);
        if (rc == 0)
            io->bytes = s->data + p * MBR_OBJECT_BLOCK + in;
        return rc;
    }
    rc = stitch(o, m, first, io->count, &at);
    if (rc == 0) {
        io->first = in + 1;
        io->bytes = at + in;
    }
    return rc;
}

int mbr__version_get(struct mbr__object *o, uint64_t offset, uint64_t size, struct mbr__io *io)
{
    const struct mbr__version_map *m = NULL;
    uint64_t pinned;
    int rc = pin(o, &io->hold, &pinned);

    if (rc < 0)
        return rc;
    io->view = NULL;
    io->size = size;
    io->write = false;
    rc = find_region(o, pinned, offset, size, &m);
    if (rc == 0) {
        io->count = size == 0 ? 0
                              : (uint32_t)((offset + size - 1) / MBR_OBJECT_BLOCK -
                                           offset / MBR_OBJECT_BLOCK + 1);
        if (size != 0)
            rc = show_region(o, m, offset, io);
        else
            io->bytes = o->view->data;
    }
    if (rc < 0 || size == 0)
        unpin(o, io->hold);
    return rc;
}

void mbr__version_put(struct mbr__object *o, const struct mbr__io *io)
{
    if (io->first != 0)
        (void)munmap(io->bytes - (io->first - 1), (size_t)io->count * MBR_OBJECT_BLOCK);
    unpin(o, io->hold);
}

void mbr__version_look(const struct mbr__object *o, uint64_t *version, uint64_t *allocated)
{
    const struct mbr__version_shm *s = o->versions->shm;
    uint32_t top = mbr_load_relaxed(&s->top);
    uint64_t pages = 0;

    for (uint32_t p = 0; p < top && p < MBR__PHYSICAL_BLOCKS &&
                         p < mbr_load_relaxed(&s->table_pages) * MBR__PHYSICAL_PER_PAGE;
         p++)
        pages += s->pages[p];
    *version = mbr_load_relaxed(&o->entry->current) >> MBR__CURRENT_SHIFT;
    *allocated = pages * MBR__OBJ_PAGE;
}
