/* SPDX-License-Identifier: MIT */
/*
 * Objects, their blocks' places, and free slots.
 */
#include "object/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* ---- slots ----------------------------------------------------------------------------------- */

static int reserve_slots(struct mbr__catalog *c, uint32_t bits)
{
    uint32_t room = c->room ? c->room : 1024;
    uint64_t *grown;

    if (bits <= c->room)
        return 0;
    while (room < bits)
        room *= 2;
    grown = realloc(c->used, room / 8);
    if (grown == NULL)
        return -ENOMEM;
    memset((char *)grown + c->room / 8, 0, (room - c->room) / 8);
    c->used = grown;
    c->room = room;
    return 0;
}

bool mbr__catalog_slot_used(const struct mbr__catalog *c, uint32_t slot)
{
    return slot < c->room && (c->used[slot / 64] >> slot % 64 & 1) != 0;
}

static void set_used(struct mbr__catalog *c, uint32_t slot)
{
    c->taken += mbr__catalog_slot_used(c, slot) ? 0 : 1;
    c->used[slot / 64] |= UINT64_C(1) << slot % 64;
}

int mbr__catalog_take(struct mbr__catalog *c, uint32_t *slot)
{
    uint32_t word = c->first / 64;

    while (word < c->room / 64 && c->used[word] == UINT64_MAX)
        word++;
    uint32_t found = word * 64;

    if (word < c->room / 64)
        found += (uint32_t)__builtin_ctzll(~c->used[word]);
    if (found >= MBR__JOURNAL_SLOTS_MAX)
        return -ENOSPC;
    if (reserve_slots(c, found + 1) < 0)
        return -ENOMEM;
    set_used(c, found);
    c->first = found + 1;
    *slot = found;
    return 0;
}

void mbr__catalog_give(struct mbr__catalog *c, uint32_t slot)
{
    MBR_ASSERT(slot < c->room);
    c->taken -= mbr__catalog_slot_used(c, slot) ? 1 : 0;
    c->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    if (slot < c->first)
        c->first = slot;
}

uint32_t mbr__catalog_slots(const struct mbr__catalog *c)
{
    for (uint32_t word = c->room / 64; word > 0; word--) {
        if (c->used[word - 1] != 0)
            return word * 64 - (uint32_t)__builtin_clzll(c->used[word - 1]);
    }
    return 0;
}

static int reserve_freed(struct mbr__catalog *c, size_t more)
{
    size_t room = c->freed_count + more;
    uint32_t *grown;

    if (room <= c->freed_room)
        return 0;
    room += room / 2;
    grown = reallocarray(c->freed, room, sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    c->freed = grown;
    c->freed_room = room;
    return 0;
}

void mbr__catalog_forget_freed(struct mbr__catalog *c)
{
    c->freed_count = 0;
}

/* ---- objects --------------------------------------------------------------------------------- */

static const void *name_of(const void *value, size_t *length)
{
    const struct mbr__catalog_object *o = value;

    *length = o->name_len;
    return o->name;
}

static void free_object(struct mbr__catalog_object *o)
{
    if (o != NULL)
        free(o->place);
    free(o);
}

void mbr__catalog_init(struct mbr__catalog *c)
{
    *c = (struct mbr__catalog){.next = 1, .live = MBR__JOURNAL_HEADER};
    mbr__bytes_map_init(&c->by_name, name_of);
    mbr__hash_init(&c->by_id);
    mbr__list_init(&c->order);
}

void mbr__catalog_fini(struct mbr__catalog *c)
{
    struct mbr__catalog_object *o;
    size_t cursor = 0;

    while ((o = mbr__hash_next(&c->by_id, &cursor)) != NULL)
        free_object(o);
    mbr__list_init(&c->order);
    mbr__catalog_cancel(c);
    mbr__bytes_map_fini(&c->by_name);
    mbr__hash_fini(&c->by_id);
    free(c->used);
    free(c->freed);
}

struct mbr__catalog_object *mbr__catalog_find(const struct mbr__catalog *c, const char *name,
                                              size_t length)
{
    return mbr__bytes_map_get(&c->by_name, name, length);
}

struct mbr__catalog_object *mbr__catalog_by_id(const struct mbr__catalog *c, uint64_t id)
{
    return mbr__hash_get(&c->by_id, id);
}

struct mbr__catalog_object *mbr__catalog_next(const struct mbr__catalog *c,
                                              const struct mbr__catalog_object *o)
{
    struct mbr__list *at =
        o != NULL ? mbr__list_next(&c->order, &o->order) : mbr__list_first(&c->order);

    return at != NULL ? mbr__container_of(at, struct mbr__catalog_object, order) : NULL;
}

uint32_t mbr__catalog_block_bytes(uint64_t size, uint32_t block)
{
    uint64_t at = (uint64_t)block * MBR_OBJECT_BLOCK;

    if (at >= size)
        return 0;
    return (uint32_t)(size - at < MBR_OBJECT_BLOCK ? size - at : MBR_OBJECT_BLOCK);
}

struct mbr__catalog_place mbr__catalog_place(const struct mbr__catalog_object *o, uint32_t block)
{
    return block < o->places ? o->place[block] : (struct mbr__catalog_place){0};
}

static int reserve_places(struct mbr__catalog_object *o, uint32_t blocks)
{
    struct mbr__catalog_place *grown;

    if (blocks <= o->places)
        return 0;
    grown = reallocarray(o->place, blocks, sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    memset(grown + o->places, 0, (blocks - o->places) * sizeof(*grown));
    o->place = grown;
    o->places = blocks;
    return 0;
}

/* What an object takes in a journal that is written anew. */
static uint64_t live_bytes(const struct mbr__catalog_object *o)
{
    uint64_t n = mbr__journal_record_size(MBR__JOURNAL_CREATE, o->name_len, 0);

    return o->held > 0 ? n + mbr__journal_record_size(MBR__JOURNAL_BLOCKS, 0, o->held) : n;
}

static void drop_place(struct mbr__catalog *c, struct mbr__catalog_object *o, uint32_t block)
{
    struct mbr__catalog_place *p = &o->place[block];

    if (p->slot == 0)
        return;
    MBR_ASSERT(c->freed_count < c->freed_room);
    c->freed[c->freed_count++] = p->slot - 1;
    mbr__catalog_give(c, p->slot - 1);
    *p = (struct mbr__catalog_place){0};
    o->held--;
}

/* ---- check ----------------------------------------------------------------------------------- */

static int check_create(struct mbr__catalog *c, const struct mbr__journal_record *r)
{
    struct mbr__catalog_object *o;

    if (mbr__catalog_find(c, r->name, r->name_len) != NULL)
        return -EEXIST;
    if (r->id <= c->last_id)
        return -EINVAL;
    if (mbr__hash_reserve(&c->by_id, c->by_id.count + 1) < 0 ||
        mbr__bytes_map_reserve(&c->by_name, c->by_name.hash.count + 1) < 0)
        return -ENOMEM;
    o = calloc(1, sizeof(*o));
    if (o == NULL)
        return -ENOMEM;
    o->id = r->id;
    o->size = r->size;
    o->policy = r->policy;
    o->name_len = r->name_len;
    memcpy(o->name, r->name, r->name_len);
    c->making = o;
    return 0;
}

static int check_rename(const struct mbr__catalog *c, const struct mbr__journal_record *r)
{
    return mbr__catalog_find(c, r->name, r->name_len) != NULL ? -EEXIST : 0;
}

/* Slots must be free, and differ from each other: those seen are marked, and all are unmarked at
 * the end. */
static int check_slots(struct mbr__catalog *c, const struct mbr__journal_record *r)
{
    uint32_t highest = 0;
    uint32_t i = 0;

    for (uint32_t k = 0; k < r->count; k++) {
        uint32_t slot = mbr__journal_block(r, k).slot;

        highest = slot > highest ? slot : highest;
    }
    if (reserve_slots(c, highest + 1) < 0)
        return -ENOMEM;
    for (; i < r->count; i++) {
        uint32_t slot = mbr__journal_block(r, i).slot;

        if (mbr__catalog_slot_used(c, slot))
            break;
        set_used(c, slot);
    }
    for (uint32_t k = 0; k < i; k++)
        mbr__catalog_give(c, mbr__journal_block(r, k).slot);
    return i == r->count ? 0 : -EEXIST;
}

static int check_blocks(struct mbr__catalog *c, struct mbr__catalog_object *o,
                        const struct mbr__journal_record *r, bool taken)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct mbr__journal_block b = mbr__journal_block(r, i);
        uint32_t bytes = mbr__catalog_block_bytes(o->size, b.block);

        if (bytes == 0 || b.valid > bytes)
            return -EINVAL;
    }
    int err = taken ? 0 : check_slots(c, r);

    if (err < 0)
        return err;
    if (reserve_freed(c, r->count) < 0)
        return -ENOMEM;
    return reserve_places(o, mbr__journal_block(r, r->count - 1).block + 1);
}

int mbr__catalog_check(struct mbr__catalog *c, const struct mbr__journal_record *record, bool taken)
{
    struct mbr__catalog_object *o = mbr__catalog_by_id(c, record->id);

    MBR_ASSERT(c->making == NULL);
    if (record->number != c->next)
        return -EINVAL;
    if (record->kind == MBR__JOURNAL_CREATE)
        return check_create(c, record);
    if (o == NULL)
        return -ENOENT;
    switch (record->kind) {
    case MBR__JOURNAL_RENAME:
        return check_rename(c, record);
    case MBR__JOURNAL_REMOVE:
    case MBR__JOURNAL_RESIZE:
        return reserve_freed(c, o->held);
    case MBR__JOURNAL_BLOCKS:
        return check_blocks(c, o, record, taken);
    case MBR__JOURNAL_CREATE:
        break;
    }
    return -EINVAL;
}

void mbr__catalog_cancel(struct mbr__catalog *c)
{
    free_object(c->making);
    c->making = NULL;
}

/* ---- apply ----------------------------------------------------------------------------------- */

static struct mbr__catalog_object *apply_create(struct mbr__catalog *c)
{
    struct mbr__catalog_object *o = c->making;
    int err = mbr__hash_put(&c->by_id, o->id, o);

    if (err == 0)
        err = mbr__bytes_map_put(&c->by_name, o);
    MBR_ASSERT(err == 0); /* reserved, and looked for, by check_create() */
    mbr__list_push_back(&c->order, &o->order);
    c->making = NULL;
    c->last_id = o->id;
    return o;
}

static void apply_remove(struct mbr__catalog *c, struct mbr__catalog_object *o)
{
    for (uint32_t i = 0; i < o->places; i++)
        drop_place(c, o, i);
    mbr__bytes_map_del(&c->by_name, o->name, o->name_len);
    mbr__hash_del(&c->by_id, o->id);
    mbr__list_del(&o->order);
    free_object(o);
}

static void apply_rename(struct mbr__catalog *c, struct mbr__catalog_object *o,
                         const struct mbr__journal_record *r)
{
    mbr__bytes_map_del(&c->by_name, o->name, o->name_len);
    memset(o->name, 0, sizeof(o->name));
    memcpy(o->name, r->name, r->name_len);
    o->name_len = r->name_len;
    int err = mbr__bytes_map_put(&c->by_name, o);

    MBR_ASSERT(err == 0); /* one was taken out before */
}

/* What is cut off is gone, also when the object grows again. */
static void apply_resize(struct mbr__catalog *c, struct mbr__catalog_object *o, uint64_t size)
{
    for (uint32_t i = 0; i < o->places; i++) {
        uint32_t bytes = mbr__catalog_block_bytes(size, i);

        if (bytes == 0)
            drop_place(c, o, i);
        else if (o->place[i].valid > bytes)
            o->place[i].valid = bytes;
    }
    o->size = size;
}

static void apply_blocks(struct mbr__catalog *c, struct mbr__catalog_object *o,
                         const struct mbr__journal_record *r)
{
    /* All new slots are marked before old ones are given back: `first` then never lies. */
    for (uint32_t i = 0; i < r->count; i++)
        set_used(c, mbr__journal_block(r, i).slot);
    for (uint32_t i = 0; i < r->count; i++) {
        struct mbr__journal_block b = mbr__journal_block(r, i);

        drop_place(c, o, b.block);
        o->place[b.block] = (struct mbr__catalog_place){b.slot + 1, b.stored, b.valid, b.sum};
        o->held++;
    }
}

void mbr__catalog_apply(struct mbr__catalog *c, const struct mbr__journal_record *record)
{
    struct mbr__catalog_object *o = mbr__catalog_by_id(c, record->id);

    if (record->kind == MBR__JOURNAL_CREATE)
        o = apply_create(c);
    else
        c->live -= live_bytes(o);
    c->next++;
    switch (record->kind) {
    case MBR__JOURNAL_REMOVE:
        apply_remove(c, o);
        return;
    case MBR__JOURNAL_RENAME:
        apply_rename(c, o, record);
        break;
    case MBR__JOURNAL_RESIZE:
        apply_resize(c, o, record->size);
        break;
    case MBR__JOURNAL_BLOCKS:
        apply_blocks(c, o, record);
        break;
    case MBR__JOURNAL_CREATE:
        break;
    }
    c->live += live_bytes(o);
}

/* ---- the whole ------------------------------------------------------------------------------- */

int mbr__catalog_read(struct mbr__catalog *c, const unsigned char *data, size_t length,
                      size_t *used)
{
    struct mbr__journal_record record;
    int err;

    while (*used < length) {
        if (mbr__journal_get_record(data + *used, length - *used, &record) < 0) {
            /* Only the last record can have been on its way when the power went: the one before it
             * was durable before it was begun. */
            return mbr__journal_more(data + *used, length - *used, c->next) ? -EBADMSG : 0;
        }
        err = mbr__catalog_check(c, &record, false);
        if (err < 0)
            return err == -ENOMEM ? -ENOMEM : -EBADMSG;
        mbr__catalog_apply(c, &record);
        *used += record.length;
    }
    return 0;
}

static uint32_t gather(const struct mbr__catalog_object *o, struct mbr__journal_block *blocks)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->places; i++) {
        const struct mbr__catalog_place *p = &o->place[i];

        if (p->slot != 0)
            blocks[n++] = (struct mbr__journal_block){i, p->slot - 1, p->stored, p->valid, p->sum};
    }
    return n;
}

static unsigned char *write_record(unsigned char *out, struct mbr__journal_record *r,
                                   const struct mbr__journal_block *blocks)
{
    mbr__journal_put_record(out, r, blocks);
    r->number++;
    return out + mbr__journal_record_size(r->kind, r->name_len, r->count);
}

/* BLOCKS has room for all places of any object. */
static uint64_t write_all(const struct mbr__catalog *c, unsigned char *out, uint64_t number,
                          struct mbr__journal_block *blocks)
{
    struct mbr__catalog_object *o;

    for (o = mbr__catalog_next(c, NULL); o != NULL; o = mbr__catalog_next(c, o)) {
        struct mbr__journal_record r = {.number = number,
                                        .kind = MBR__JOURNAL_CREATE,
                                        .id = o->id,
                                        .size = o->size,
                                        .policy = o->policy,
                                        .name_len = o->name_len,
                                        .name = o->name};

        out = write_record(out, &r, NULL);
        r = (struct mbr__journal_record){.number = r.number,
                                         .kind = MBR__JOURNAL_BLOCKS,
                                         .id = o->id,
                                         .count = gather(o, blocks)};
        if (r.count > 0)
            out = write_record(out, &r, blocks);
        number = r.number;
    }
    return number;
}

int mbr__catalog_write(const struct mbr__catalog *c, uint64_t first, unsigned char **out,
                       uint64_t *next)
{
    const struct mbr__catalog_object *o;
    struct mbr__journal_block *blocks;
    unsigned char *bytes;
    size_t most = 1;

    for (o = mbr__catalog_next(c, NULL); o != NULL; o = mbr__catalog_next(c, o))
        most = o->held > most ? o->held : most;
    bytes = malloc(c->live);
    blocks = reallocarray(NULL, most, sizeof(*blocks));
    if (bytes == NULL || blocks == NULL) {
        free(bytes);
        free(blocks);
        return -ENOMEM;
    }
    *next = write_all(c, bytes + MBR__JOURNAL_HEADER, first, blocks);
    *out = bytes;
    free(blocks);
    return 0;
}
