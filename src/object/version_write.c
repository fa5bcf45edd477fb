/* SPDX-License-Identifier: MIT */
/*
 * Versions of an object: writing. With entry.writer, a writer looks which maps and blocks are in
 * use, takes others, fills them, and publishes. Until then nobody sees anything of it, and if it
 * dies nobody ever will: what it took is in no map that is in use. See version.h.
 *
 * Not here: reading (version.c).
 */
#include <errno.h>
#include <string.h>

#include "object/member.h"
#include "object/persist.h"
#include "object/version.h"
#include "object/version_impl.h"

/* A version that is being made. */
struct making {
    struct mbr__object *o;
    struct mbr__version_shm *shm;
    uint64_t current;
    const struct mbr__version_map *old;
    struct mbr__version_map *map; /* the new one */
    uint32_t place;
    uint64_t old_size, size;
    uint64_t offset, length;   /* what is written */
    const uint8_t *buf;        /* NULL: zeroes */
    const struct mbr__view *v; /* shows all blocks of both */
};

/* ---- what is in use -------------------------------------------------------------------------- */

static bool in_use(const uint64_t *set, uint32_t i)
{
    return (set[i / 64] >> i % 64 & 1) != 0;
}

static void set_use(uint64_t *set, uint32_t i)
{
    set[i / 64] |= UINT64_C(1) << i % 64;
}

/* A map that somebody may read: its place and its blocks. */
static int mark_map(struct making *w, uint32_t place)
{
    struct mbr__versions *v = w->o->versions;
    const struct mbr__version_map *m = mbr__map_at(w->o, place);
    uint64_t size = m == NULL ? UINT64_MAX : mbr_load_relaxed(&m->size);

    if (size > MBR__VERSIONED_MAX)
        return -EPROTO;
    if (in_use(v->places, place))
        return 0;
    set_use(v->places, place);
    for (uint32_t b = 0; b < mbr__blocks_of(size); b++) {
        uint32_t p = mbr_load_relaxed(&m->physical[b]);

        if (p >= MBR__PHYSICAL_BLOCKS)
            return -EPROTO;
        set_use(v->blocks, p);
    }
    return 0;
}

/* The versions that one member reads. A pin that makes no sense is nobody's: a reader that has it
 * fails by itself. */
static void mark_pins(struct making *w, uint32_t slot)
{
    struct mbr__container *c = w->o->c;
    const struct mbr__member_shm *m = mbr__member_at(c, slot);
    const struct mbr__hold *holds = mbr__holds_at(c, slot);
    uint32_t n = mbr_load_acquire(&m->holds); /* pair A with the member's own store */
    uint64_t ours = mbr__version_hold(w->o->index + 1, 0);

    for (uint32_t i = 0; i < n && i < MBR__OBJ_HOLDS; i++) {
        /* Pair A with unpin(): what was read there was read before we write there. */
        uint64_t what = mbr_load_acquire(&holds[i].what);

        if ((what & ~MBR__VERSION_PINS) != ours ||
            (what & MBR__VERSION_PINS) == (w->current & MBR__VERSION_PINS))
            continue;
        if (slot != c->world.self && !c->world.alive(&c->world, slot)) {
            c->world.bury(&c->world, slot);
            if (mbr_load_acquire(&holds[i].what) != what)
                continue;
        }
        (void)mark_map(w, mbr__current_place(what));
    }
}

static void mark_pinned(struct making *w)
{
    mbr_fence_full(); /* pair B with pin(), between the last publication and our look at holds */
    for (uint32_t i = 0; i < MBR_CONTAINER_MEMBERS / 64; i++) {
        uint64_t users = mbr_load_relaxed(&w->o->entry->users[i]);

        for (; users != 0; users &= users - 1)
            mark_pins(w, i * 64 + (uint32_t)__builtin_ctzll(users));
    }
}

static int look(struct making *w)
{
    struct mbr__versions *v = w->o->versions;
    int rc;

    memset(v->places, 0, sizeof(v->places));
    memset(v->blocks, 0, sizeof(v->blocks));
    rc = mark_map(w, mbr__current_place(w->current));
    if (rc == 0)
        mark_pinned(w);
    return rc;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static uint64_t range_at(const struct making *w, uint64_t offset)
{
    return mbr__range_of(w->o->index) + offset;
}

/* A place for the map of `blocks` blocks, with memory. */
static int take_place(struct making *w, uint32_t blocks)
{
    const uint64_t *places = w->o->versions->places;
    uint64_t pages = mbr__page_up(sizeof(*w->map) + 4 * (uint64_t)blocks) / MBR__OBJ_PAGE;
    uint32_t place = 0;
    int rc = 0;

    while (place < MBR__MAPS && in_use(places, place))
        place++;
    if (place == MBR__MAPS)
        return -ENOSPC;
    if (w->shm->map_pages[place] < pages)
        rc = mbr__container_allocate(
            w->o->c, range_at(w, MBR__OBJ_MAPS_AT + MBR__MAPS_FIRST + place * MBR__MAP_STRIDE),
            pages * MBR__OBJ_PAGE);
    if (rc < 0)
        return rc;
    if (w->shm->map_pages[place] < pages)
        w->shm->map_pages[place] = (uint16_t)pages;
    w->place = place;
    w->map = mbr__map_at(w->o, place);
    return 0;
}

/* Memory for the first `bytes` of a physical block. */
static int take_memory(const struct making *w, uint32_t p, uint64_t bytes)
{
    struct mbr__version_shm *s = w->shm;
    uint64_t pages = mbr__page_up(bytes) / MBR__OBJ_PAGE;
    uint32_t table = p / MBR__PHYSICAL_PER_PAGE;
    int rc = 0;

    if (table >= s->table_pages) {
        rc = mbr__container_allocate(w->o->c, range_at(w, MBR__OBJ_MAPS_AT + MBR__OBJ_PAGE),
                                     (table + UINT64_C(1)) * MBR__OBJ_PAGE);
        if (rc < 0)
            return rc;
        s->table_pages = table + 1;
    }
    if (s->pages[p] < pages)
        rc = mbr__container_allocate(w->o->c,
                                     range_at(w, MBR__OBJ_DATA_AT + (uint64_t)p * MBR_OBJECT_BLOCK),
                                     pages * MBR__OBJ_PAGE);
    if (rc < 0)
        return rc;
    if (s->pages[p] == 0) /* a hint to readers that leave, who read it without the lock */
        mbr_store_relaxed(&s->held, s->held + 1);
    if (s->pages[p] < pages)
        s->pages[p] = (uint16_t)pages;
    if (s->top <= p)
        s->top = p + 1;
    return 0;
}

/* The first of `n` free blocks side by side; MBR__PHYSICAL_BLOCKS there are none. */
static uint32_t find_run(const struct making *w, uint32_t n)
{
    const uint64_t *blocks = w->o->versions->blocks;
    uint32_t run = 0;

    for (uint32_t p = 0; p < MBR__PHYSICAL_BLOCKS; p++) {
        run = in_use(blocks, p) ? 0 : run + 1;
        if (run == n)
            return p + 1 - n;
    }
    return MBR__PHYSICAL_BLOCKS;
}

static uint32_t first_block(const struct making *w)
{
    return (uint32_t)(w->offset / MBR_OBJECT_BLOCK);
}

static uint32_t end_block(const struct making *w)
{
    return mbr__blocks_of(w->offset + w->length);
}

/* Whether the machine has the memory that `n` blocks from `run` on lack. */
static bool has_memory(const struct making *w, uint32_t run, uint32_t n)
{
    uint64_t pages = 0;

    for (uint32_t p = run; p < run + n; p++) {
        if (p / MBR__PHYSICAL_PER_PAGE >= w->shm->table_pages || w->shm->pages[p] == 0)
            pages += MBR_OBJECT_BLOCK / MBR__OBJ_PAGE;
    }
    return mbr__data_has_memory(pages * MBR__OBJ_PAGE);
}

/* Blocks for what is written, side by side if that is possible. */
static int take_blocks(struct making *w)
{
    uint32_t first = first_block(w);
    uint32_t n = w->length == 0 ? 0 : end_block(w) - first;
    uint32_t run = n == 0 ? 0 : find_run(w, n);

    if (run < MBR__PHYSICAL_BLOCKS && !has_memory(w, run, n))
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t p = run < MBR__PHYSICAL_BLOCKS ? run + i : find_run(w, 1);
        int rc = p < MBR__PHYSICAL_BLOCKS ? take_memory(w, p, mbr__block_bytes(w->size, first + i))
                                          : -ENOSPC;

        if (rc < 0)
            return rc;
        set_use(w->o->versions->blocks, p);
        mbr_store_relaxed(&w->map->physical[first + i], p);
    }
    return 0;
}

/* ---- filling --------------------------------------------------------------------------------- */

/* Where a map says that a block is; NULL: nowhere that we can see. */
static uint8_t *block_at(const struct making *w, const struct mbr__version_map *m, uint32_t b)
{
    uint64_t at = (uint64_t)mbr_load_relaxed(&m->physical[b]) * MBR_OBJECT_BLOCK;

    return at + MBR_OBJECT_BLOCK <= w->v->capacity ? w->v->data + at : NULL;
}

/* A block of which [from, to) is written: the rest is what it was. */
static int fill_block(const struct making *w, uint32_t b, uint64_t from, uint64_t to)
{
    uint8_t *block = block_at(w, w->map, b);
    uint64_t start = (uint64_t)b * MBR_OBJECT_BLOCK;
    uint64_t had = start < w->old_size ? mbr__block_bytes(w->old_size, b) : 0;

    if (block == NULL)
        return -EPROTO;
    if (from != 0 || to < had) {
        const uint8_t *old = block_at(w, w->old, b);

        if (old == NULL)
            return -EPROTO;
        memcpy(block, old, from);
        if (to < had)
            memcpy(block + to, old + to, had - to);
    }
    if (w->buf == NULL)
        memset(block + from, 0, to - from);
    else
        memcpy(block + from, w->buf + (start + from - w->offset), to - from);
    return 0;
}

static int fill(const struct making *w)
{
    uint64_t end = w->offset + w->length;
    int rc = 0;

    for (uint32_t b = first_block(w); rc == 0 && w->length != 0 && b < end_block(w); b++) {
        uint64_t start = (uint64_t)b * MBR_OBJECT_BLOCK;

        rc = fill_block(w, b, start < w->offset ? w->offset - start : 0,
                        end - start < MBR_OBJECT_BLOCK ? end - start : MBR_OBJECT_BLOCK);
    }
    return rc;
}

/* Maps all blocks of both versions, and at once what the next ones will need. */
static int show_all(struct making *w)
{
    struct mbr__view *v = NULL;
    uint32_t top = 2 * mbr__blocks_of(w->size) - 1;
    int rc;

    for (uint32_t b = 0; b < mbr__blocks_of(w->size) || b < mbr__blocks_of(w->old_size); b++) {
        uint32_t p = b < mbr__blocks_of(w->size) ? mbr_load_relaxed(&w->map->physical[b]) : 0;
        uint32_t q = b < mbr__blocks_of(w->old_size) ? mbr_load_relaxed(&w->old->physical[b]) : 0;

        if (p >= MBR__PHYSICAL_BLOCKS || q >= MBR__PHYSICAL_BLOCKS)
            return -EPROTO;
        p = q > p ? q : p;
        while (top < p)
            top = 2 * top + 1 < MBR__PHYSICAL_BLOCKS ? 2 * top + 1 : MBR__PHYSICAL_BLOCKS - 1;
    }
    rc = mbr__object_view(w->o, ((uint64_t)top + 1) * MBR_OBJECT_BLOCK, &v);
    w->v = v;
    return rc;
}

static void copy_map(const struct making *w)
{
    uint32_t n = mbr__blocks_of(w->size < w->old_size ? w->size : w->old_size);

    for (uint32_t b = 0; b < n; b++)
        mbr_store_relaxed(&w->map->physical[b], mbr_load_relaxed(&w->old->physical[b]));
    mbr_store_relaxed(&w->map->version, (w->current >> MBR__CURRENT_SHIFT) + 1);
    mbr_store_relaxed(&w->map->size, w->size);
}

/* ---- publishing ------------------------------------------------------------------------------ */

static void publish(const struct making *w)
{
    uint64_t version = (w->current >> MBR__CURRENT_SHIFT) + 1;

    /* Pair A with pin(): the map and the bytes. */
    mbr_store_release(&w->o->entry->current, version << MBR__CURRENT_SHIFT | w->place);
    if (mbr_load_relaxed(&w->o->entry->size) != w->size)
        mbr_store_release(&w->o->entry->size, w->size);
}

static uint32_t count_used(const struct making *w)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < MBR__PHYSICAL_BLOCKS / 64; i++)
        n += (uint32_t)__builtin_popcountll(w->o->versions->blocks[i]);
    return n;
}

/* Gives back the memory of blocks that are in no version, but for as many as the next version may
 * need. */
static void trim(const struct making *w)
{
    struct mbr__version_shm *s = w->shm;
    uint32_t used = count_used(w);
    uint32_t keep = 2 * mbr__blocks_of(w->size);
    uint32_t spare = keep > used ? keep - used : 0;
    uint32_t top = 0;
    uint32_t held = 0;

    for (uint32_t p = 0; p < s->top && p < MBR__PHYSICAL_BLOCKS; p++) {
        bool stays = in_use(w->o->versions->blocks, p);

        if (s->pages[p] == 0)
            continue;
        if (!stays && spare != 0) {
            spare--;
            stays = true;
        }
        if (stays) {
            top = p + 1;
            held++;
            continue;
        }
        mbr__container_punch(w->o->c,
                             range_at(w, MBR__OBJ_DATA_AT + (uint64_t)p * MBR_OBJECT_BLOCK),
                             MBR_OBJECT_BLOCK);
        s->pages[p] = 0;
    }
    s->top = top;
    mbr_store_relaxed(&s->held, held);
}

/* What was the current version may be in nobody's use now. */
static void tidy(struct making *w)
{
    w->current = mbr_load_relaxed(&w->o->entry->current);
    if (w->shm->held > 2 * mbr__blocks_of(w->size) && look(w) == 0)
        trim(w);
}

/* Makes and publishes a version of w->size bytes in which w->length bytes from w->offset on are
 * new. */
static int make(struct making *w)
{
    int rc = look(w);

    if (rc == 0)
        rc = take_place(w, mbr__blocks_of(w->size));
    if (rc < 0)
        return rc;
    copy_map(w);
    rc = take_blocks(w);
    if (rc == 0)
        rc = show_all(w);
    if (rc == 0)
        rc = fill(w);
    if (rc < 0)
        return rc;
    publish(w);
    tidy(w);
    return 0;
}

/* ---- what is called -------------------------------------------------------------------------- */

/* Becomes the one writer. Of one that has died nothing is left but a size perhaps, see publish().
 */
static int begin(struct mbr__object *o, uint64_t deadline, struct making *w)
{
    uint32_t dead;
    int rc = mbr__shm_lock(&o->c->world, &o->entry->writer, deadline, &dead);

    if (rc < 0 && rc != -EOWNERDEAD)
        return rc;
    *w = (struct making){.o = o, .shm = o->versions->shm};
    w->current = mbr_load_acquire(&o->entry->current);
    w->old = mbr__map_at(o, mbr__current_place(w->current));
    w->old_size = w->old == NULL ? UINT64_MAX : mbr_load_relaxed(&w->old->size);
    w->size = w->old_size;
    rc = w->old_size <= MBR__VERSIONED_MAX ? 0 : -EPROTO;
    if (rc == 0 && mbr_load_relaxed(&o->entry->size) != w->size)
        mbr_store_release(&o->entry->size, w->size);
    if (rc == 0)
        rc = mbr__persist_follow_size(o->c, o->index, deadline);
    if (rc < 0)
        mbr__shm_unlock(&o->c->world, &o->entry->writer);
    return rc;
}

static void end(const struct making *w)
{
    mbr__shm_unlock(&w->o->c->world, &w->o->entry->writer);
}

int mbr__version_write(struct mbr__object *o, uint64_t offset, const void *buf, uint64_t size,
                       uint64_t deadline)
{
    struct making w;
    int rc = begin(o, deadline, &w);

    if (rc < 0)
        return rc;
    w.offset = offset;
    w.length = size;
    w.buf = buf;
    if (offset > w.size || size > w.size - offset)
        rc = -ERANGE;
    else if (size != 0)
        rc = make(&w);
    end(&w);
    return rc;
}

int mbr__version_resize(struct mbr__object *o, uint64_t size, uint64_t deadline)
{
    struct making w;
    int rc = size > MBR__VERSIONED_MAX ? -EFBIG : begin(o, deadline, &w);

    if (rc < 0)
        return rc;
    w.size = size;
    w.offset = w.old_size;
    w.length = size > w.old_size ? size - w.old_size : 0;
    if (size != w.old_size)
        rc = mbr__persist_resize(o->c, o->index, size, deadline);
    if (rc == 0 && size != w.old_size) {
        rc = make(&w);
        if (rc < 0) /* the next sync would do it, too */
            (void)mbr__persist_resize(o->c, o->index, w.old_size, MBR_FOREVER);
    }
    if (!mbr__persist_in_doubt(rc))
        mbr__persist_resized(o->c, o->index);
    end(&w);
    return rc;
}

void mbr__version_tidy(struct mbr__object *o)
{
    struct making w;

    if (begin(o, 0, &w) < 0)
        return; /* somebody writes, and does it then */
    tidy(&w);
    end(&w);
}

int mbr__version_first(struct mbr__object *o, uint64_t size)
{
    struct making w = {.o = o, .shm = o->versions->shm, .size = size};
    uint32_t n = mbr__blocks_of(size);
    int rc = mbr__container_allocate(o->c, range_at(&w, MBR__OBJ_MAPS_AT), MBR__OBJ_PAGE);

    if (rc == 0)
        rc = take_place(&w, n);
    for (uint32_t b = 0; b < n && rc == 0; b++) {
        mbr_store_relaxed(&w.map->physical[b], b);
        rc = take_memory(&w, b, mbr__block_bytes(size, b));
    }
    if (rc < 0)
        return rc;
    mbr_store_relaxed(&w.map->size, size);
    mbr_store_release(&o->entry->current, w.place);
    return 0;
}
