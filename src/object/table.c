/* SPDX-License-Identifier: MIT */
/*
 * See table.h. Each store that a crash may separate from the next is a release, so that the
 * compiler keeps their order; what other members read is ordered by the mutex.
 *
 * What is read here may have been written by anybody: numbers of entries are bounded by how many
 * there ever were, which is bounded by the layout, and no chain is followed for longer than that.
 */
#include "object/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a member may be about to change: intent is one of these, and index + 1 above it. */
enum intent {
    INTENT_NONE,
    INTENT_TAKE,
    INTENT_PUBLISH,
    INTENT_UNUSE,
    INTENT_UNLINK,
    INTENT_RENAME
};

#define INTENT_BITS 8
#define PER_PAGE    (MBR__OBJ_PAGE / sizeof(uint32_t))

static void intend(const struct mbr__container *c, enum intent what, uint32_t index)
{
    struct mbr__member_shm *m = mbr__member_at(c, c->world.self);

    mbr_store_release(&m->intent, (uint64_t)(index + 1) << INTENT_BITS | (uint64_t)what);
}

static void done(const struct mbr__container *c)
{
    mbr_store_release(&mbr__member_at(c, c->world.self)->intent, INTENT_NONE);
}

/* ---- chains ---------------------------------------------------------------------------------- */

uint32_t mbr__table_bound(const struct mbr__container *c)
{
    uint32_t n = mbr_load_acquire(&c->shm->entries);

    return n < MBR_CONTAINER_OBJECTS ? n : MBR_CONTAINER_OBJECTS;
}

static uint32_t hash_of(const struct mbr__container *c, const char *name)
{
    return (uint32_t)mbr__siphash(c->id, name, strlen(name));
}

static uint32_t *bucket_of(const struct mbr__container *c, uint32_t hash)
{
    return (uint32_t *)(void *)(c->tables + MBR__OBJ_BUCKETS_AT) + hash % MBR__OBJ_BUCKETS;
}

/* The word that says "index" in the chain of `hash`; NULL if none does. */
static uint32_t *find_link(const struct mbr__container *c, uint32_t hash, uint32_t index)
{
    uint32_t *link = bucket_of(c, hash);
    uint32_t bound = mbr__table_bound(c);

    for (uint32_t steps = 0; steps < bound; steps++) {
        uint32_t next = mbr_load_relaxed(link);

        if (next == index + 1)
            return link;
        if (next == 0 || next > bound)
            return NULL;
        link = &mbr__entry_at(c, next - 1)->next;
    }
    return NULL;
}

static bool has_name(const struct mbr__entry *e)
{
    uint32_t state = mbr_load_relaxed(&e->state);

    return state == MBR__ENTRY_LIVE || state == MBR__ENTRY_DYING;
}

int mbr__table_find(struct mbr__container *c, const char *name, uint32_t *index)
{
    uint32_t hash = hash_of(c, name);
    uint32_t bound = mbr__table_bound(c);
    size_t size = strlen(name) + 1;
    uint32_t next = mbr_load_relaxed(bucket_of(c, hash));

    for (uint32_t steps = 0; next != 0; steps++) {
        const struct mbr__entry *e;

        if (next > bound || steps > bound)
            return -EPROTO;
        e = mbr__entry_at(c, next - 1);
        if (mbr_load_relaxed(&e->hash) == hash && has_name(e) && memcmp(e->name, name, size) == 0) {
            *index = next - 1;
            return 0;
        }
        next = mbr_load_relaxed(&e->next);
    }
    return -ENOENT;
}

static void put_first(const struct mbr__container *c, uint32_t hash, uint32_t index)
{
    uint32_t *bucket = bucket_of(c, hash);

    mbr_store_release(&mbr__entry_at(c, index)->next, mbr_load_relaxed(bucket));
    mbr_store_release(bucket, index + 1);
}

static void take_out(const struct mbr__container *c, uint32_t hash, uint32_t index)
{
    uint32_t *link = find_link(c, hash, index);

    if (link != NULL)
        mbr_store_release(link, mbr_load_relaxed(&mbr__entry_at(c, index)->next));
}

static void set_name(struct mbr__entry *e, uint32_t hash, const char *name)
{
    mbr_store_release(&e->hash, hash);
    /* An entry is never NULL. */
    memset(e->name, 0, sizeof(e->name)); // NOLINT(clang-analyzer-core.NonNullParamChecker)
    memcpy(e->name, name, strlen(name));
}

/* ---- users ----------------------------------------------------------------------------------- */

static bool is_user(const struct mbr__entry *e, uint32_t slot)
{
    return (mbr_load_relaxed(&e->users[slot / 64]) >> slot % 64 & 1) != 0;
}

static void add_user(struct mbr__entry *e, uint32_t slot)
{
    (void)mbr_fetch_or(&e->users[slot / 64], UINT64_C(1) << slot % 64);
}

/* How many users there are besides `slot`. */
static uint32_t others(const struct mbr__entry *e, uint32_t slot)
{
    uint32_t n = 0;

    for (uint32_t w = 0; w < MBR_CONTAINER_MEMBERS / 64; w++)
        n += (uint32_t)__builtin_popcountll(mbr_load_relaxed(&e->users[w]));
    return is_user(e, slot) ? n - 1 : n;
}

uint32_t mbr__table_other_users(const struct mbr__container *c, uint32_t index)
{
    return others(mbr__entry_at(c, index), c->world.self);
}

/* Room for `count` numbers in the stack of free places. */
static int grow_stack(struct mbr__container *c, uint32_t count)
{
    uint32_t room = c->joined_free_room == 0 ? 16 : c->joined_free_room;
    uint32_t *stack;

    while (room < count)
        room *= 2;
    if (room == c->joined_free_room)
        return 0;
    stack = realloc(c->joined_free, room * sizeof(*stack));
    if (stack == NULL)
        return -ENOMEM;
    c->joined_free = stack;
    c->joined_free_room = room;
    return 0;
}

static uint64_t our_list(const struct mbr__container *c)
{
    return MBR__OBJ_JOINED_AT + MBR__OBJ_JOINED_STRIDE * c->world.self;
}

int mbr__table_reserve_place(struct mbr__container *c)
{
    uint8_t *list = NULL;
    int rc;

    if (c->joined_free_count != 0)
        return 0;
    if (c->joined_used == MBR_CONTAINER_OBJECTS)
        return -ENOMEM;
    rc = grow_stack(c, c->joined_used + 1);
    if (rc == 0 && c->joined == NULL) {
        rc = mbr__container_map(c, our_list(c), MBR__OBJ_JOINED_STRIDE, &list);
        c->joined = (uint32_t *)(void *)list;
    }
    if (rc == 0 && c->joined_used % PER_PAGE == 0)
        rc = mbr__container_allocate(c, our_list(c) + 4 * (uint64_t)c->joined_used, MBR__OBJ_PAGE);
    return rc;
}

/* Puts an entry into our list. */
static uint32_t take_place(struct mbr__container *c, uint32_t index)
{
    uint32_t place;

    if (c->joined_free_count != 0) {
        place = c->joined_free[--c->joined_free_count];
    } else {
        place = c->joined_used++;
        mbr_store_release(&c->joined[place], 0);
        mbr_store_release(&mbr__member_at(c, c->world.self)->joined, c->joined_used);
    }
    mbr_store_release(&c->joined[place], index + 1);
    return place;
}

void mbr__table_give_place(struct mbr__container *c, uint32_t place)
{
    c->joined_free[c->joined_free_count++] = place;
}

void mbr__table_use(struct mbr__container *c, uint32_t index, uint32_t *place)
{
    *place = take_place(c, index);
    add_user(mbr__entry_at(c, index), c->world.self);
}

static bool is_nameless(const struct mbr__entry *e)
{
    uint32_t state = mbr_load_relaxed(&e->state);

    return state == MBR__ENTRY_UNLINKED || state == MBR__ENTRY_MAKING;
}

bool mbr__table_last_user(const struct mbr__container *c, uint32_t index, uint32_t slot)
{
    const struct mbr__entry *e = mbr__entry_at(c, index);

    return is_nameless(e) && is_user(e, slot) && others(e, slot) == 0;
}

void mbr__table_wipe(const struct mbr__container *c, uint32_t index)
{
    mbr__container_punch(c, mbr__range_of(index), MBR__OBJ_RANGE);
}

/* Free: pushed to the chain of free entries, unless it is its first already. */
static void set_free(const struct mbr__container *c, uint32_t index)
{
    struct mbr__entry *e = mbr__entry_at(c, index);

    mbr_store_release(&e->state, MBR__ENTRY_FREE);
    if (mbr_load_relaxed(&c->shm->free_entry) == index + 1)
        return;
    mbr_store_release(&e->next, mbr_load_relaxed(&c->shm->free_entry));
    mbr_store_release(&c->shm->free_entry, index + 1);
}

static void unuse(const struct mbr__container *c, uint32_t index, uint32_t slot)
{
    struct mbr__entry *e = mbr__entry_at(c, index);
    uint32_t state = mbr_load_relaxed(&e->state);

    if (state == MBR__ENTRY_DYING && mbr_load_relaxed(&e->destroyer) == slot + 1)
        mbr_store_release(&e->state, MBR__ENTRY_LIVE);
    (void)mbr_fetch_and(&e->users[slot / 64], ~(UINT64_C(1) << slot % 64));
    /* Free already: this is the second attempt. */
    if (others(e, slot) == 0 && (is_nameless(e) || state == MBR__ENTRY_FREE))
        set_free(c, index);
}

void mbr__table_unuse(struct mbr__container *c, uint32_t index, uint32_t slot, uint32_t *joined)
{
    struct mbr__member_shm *m = mbr__member_at(c, c->world.self);

    mbr_store_release(&m->intent_arg[0], slot);
    intend(c, INTENT_UNUSE, index);
    unuse(c, index, slot);
    done(c);
    mbr_store_release(joined, 0);
}

/* ---- objects come and go --------------------------------------------------------------------- */

/* The entry to take: the first free one, or the next that was never used. */
static int find_free(struct mbr__container *c, uint32_t *index)
{
    uint32_t bound = mbr__table_bound(c);
    uint32_t head = mbr_load_relaxed(&c->shm->free_entry);
    int rc = 0;

    if (head > bound)
        return -EPROTO;
    if (head == 0 && bound == MBR_CONTAINER_OBJECTS)
        return -ENOSPC;
    *index = head != 0 ? head - 1 : bound;
    if (head == 0 && bound % 64 == 0)
        rc = mbr__container_allocate(c, MBR__OBJ_ENTRIES_AT + bound * sizeof(struct mbr__entry),
                                     64 * sizeof(struct mbr__entry));
    return rc;
}

/* Takes a free entry from where find_free() has found it, for the use of `slot`. */
static void take(const struct mbr__container *c, uint32_t index, uint32_t slot)
{
    struct mbr__entry *e = mbr__entry_at(c, index);

    for (uint32_t w = 0; w < MBR_CONTAINER_MEMBERS / 64; w++)
        mbr_store_relaxed(&e->users[w], 0);
    mbr_store_release(&e->state, MBR__ENTRY_MAKING);
    if (mbr_load_relaxed(&c->shm->free_entry) == index + 1)
        mbr_store_release(&c->shm->free_entry, mbr_load_relaxed(&e->next));
    else if (mbr_load_relaxed(&c->shm->entries) == index)
        mbr_store_release(&c->shm->entries, index + 1);
    add_user(e, slot);
}

int mbr__table_take(struct mbr__container *c, const char *name, uint64_t size, uint32_t policy,
                    uint32_t *index, uint32_t *place)
{
    uint32_t got = 0;
    struct mbr__entry *e;
    int rc = find_free(c, &got);

    if (rc < 0)
        return rc;
    e = mbr__entry_at(c, got);
    *place = take_place(c, got);
    intend(c, INTENT_TAKE, got);
    take(c, got, c->world.self);
    done(c);
    set_name(e, hash_of(c, name), name);
    e->policy = policy;
    e->current = 0;
    e->destroyer = 0;
    e->unloaded = MBR__LOADED;
    e->resizing = 0;
    e->writer = (struct mbr__shm_mutex){0};
    mbr_store_relaxed(&e->id, 0);
    mbr_store_release(&e->size, size);
    *index = got;
    return 0;
}

void mbr__table_number(const struct mbr__container *c, uint32_t index)
{
    mbr_store_release(&mbr__entry_at(c, index)->id, ++c->shm->last_id);
}

static void add_live(const struct mbr__container *c, uint32_t by)
{
    mbr_store_relaxed(&c->shm->live_entries, mbr_load_relaxed(&c->shm->live_entries) + by);
}

void mbr__table_publish(struct mbr__container *c, uint32_t index)
{
    struct mbr__entry *e = mbr__entry_at(c, index);

    intend(c, INTENT_PUBLISH, index);
    put_first(c, mbr_load_relaxed(&e->hash), index);
    mbr_store_release(&e->state, MBR__ENTRY_LIVE);
    add_live(c, 1);
    done(c);
}

static void unlink_entry(const struct mbr__container *c, uint32_t index)
{
    struct mbr__entry *e = mbr__entry_at(c, index);

    take_out(c, mbr_load_relaxed(&e->hash), index);
    mbr_store_release(&e->state, MBR__ENTRY_UNLINKED);
}

void mbr__table_unlink(struct mbr__container *c, uint32_t index)
{
    if (!has_name(mbr__entry_at(c, index)))
        return;
    intend(c, INTENT_UNLINK, index);
    unlink_entry(c, index);
    add_live(c, UINT32_MAX);
    done(c);
}

static void rename_entry(const struct mbr__container *c, uint32_t index, uint32_t old_hash,
                         const char *name)
{
    uint32_t hash = hash_of(c, name);

    take_out(c, old_hash, index);
    take_out(c, hash, index); /* the second attempt finds it there */
    set_name(mbr__entry_at(c, index), hash, name);
    put_first(c, hash, index);
}

void mbr__table_intend_unlink(struct mbr__container *c, uint32_t index)
{
    intend(c, INTENT_UNLINK, index);
}

void mbr__table_intend_rename(struct mbr__container *c, uint32_t index, const char *name)
{
    struct mbr__member_shm *m = mbr__member_at(c, c->world.self);

    memset(m->intent_name, 0, sizeof(m->intent_name));
    memcpy(m->intent_name, name, strlen(name));
    mbr_store_release(&m->intent_arg[0], mbr_load_relaxed(&mbr__entry_at(c, index)->hash));
    intend(c, INTENT_RENAME, index);
}

void mbr__table_intend_nothing(struct mbr__container *c)
{
    done(c);
}

void mbr__table_rename(struct mbr__container *c, uint32_t index, const char *name)
{
    uint32_t old_hash = mbr_load_relaxed(&mbr__entry_at(c, index)->hash);

    mbr__table_intend_rename(c, index, name);
    rename_entry(c, index, old_hash, name);
    done(c);
}

/* A copy of a name that others can write to; false if it is none. */
static bool copy_name(const char *from, char name[MBR_OBJECT_NAME_MAX + 1])
{
    memcpy(name, from, MBR_OBJECT_NAME_MAX);
    name[MBR_OBJECT_NAME_MAX] = '\0';
    return mbr__name_check(name) == 0;
}

bool mbr__table_next(struct mbr__container *c, uint32_t *index, char name[MBR_OBJECT_NAME_MAX + 1])
{
    uint32_t bound = mbr__table_bound(c);
    char copy[MBR_OBJECT_NAME_MAX + 1];

    for (uint32_t i = *index; i < bound; i++) {
        const struct mbr__entry *e = mbr__entry_at(c, i);

        if (!has_name(e) || !copy_name(e->name, copy))
            continue;
        memcpy(name, copy, sizeof(copy));
        *index = i;
        return true;
    }
    return false;
}

/* ---- after a death --------------------------------------------------------------------------- */

static void recount(const struct mbr__container *c)
{
    uint32_t bound = mbr__table_bound(c);
    uint32_t n = 0;

    for (uint32_t i = 0; i < bound; i++)
        n += has_name(mbr__entry_at(c, i)) ? 1 : 0;
    mbr_store_relaxed(&c->shm->live_entries, n);
}

/* A death in the middle of publishing: if it is in its chain it is published. */
static void complete_publish(const struct mbr__container *c, uint32_t index)
{
    struct mbr__entry *e = mbr__entry_at(c, index);

    if (mbr_load_relaxed(&e->state) == MBR__ENTRY_MAKING &&
        find_link(c, mbr_load_relaxed(&e->hash), index) != NULL)
        mbr_store_release(&e->state, MBR__ENTRY_LIVE);
}

static void complete(struct mbr__container *c, uint32_t slot, enum intent what, uint32_t index)
{
    struct mbr__member_shm *m = mbr__member_at(c, slot);
    uint64_t arg = mbr_load_relaxed(&m->intent_arg[0]);
    char name[MBR_OBJECT_NAME_MAX + 1];

    switch (what) {
    case INTENT_TAKE:
        take(c, index, slot);
        break;
    case INTENT_PUBLISH:
        complete_publish(c, index);
        break;
    case INTENT_UNUSE:
        if (arg < MBR_CONTAINER_MEMBERS)
            unuse(c, index, (uint32_t)arg);
        break;
    case INTENT_UNLINK:
        unlink_entry(c, index);
        break;
    case INTENT_RENAME:
        if (copy_name(m->intent_name, name))
            rename_entry(c, index, (uint32_t)arg, name);
        break;
    case INTENT_NONE:
    default:
        break;
    }
}

void mbr__table_mend(struct mbr__container *c, uint32_t slot)
{
    struct mbr__member_shm *m = mbr__member_at(c, slot);
    uint64_t intent = mbr_load_acquire(&m->intent);
    uint64_t number = intent >> INTENT_BITS;

    /* An entry that is about to be the next one counts as well. */
    if (intent != INTENT_NONE && number != 0 && number <= MBR_CONTAINER_OBJECTS &&
        number <= (uint64_t)mbr__table_bound(c) + 1)
        complete(c, slot, (enum intent)(intent & ((1u << INTENT_BITS) - 1)), (uint32_t)number - 1);
    recount(c);
    mbr_store_release(&m->intent, INTENT_NONE);
}

void mbr__table_bury(struct mbr__container *c, uint32_t slot, uint32_t *list, uint32_t count)
{
    uint32_t bound = mbr__table_bound(c);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = mbr_load_relaxed(&list[i]) - 1;

        if (index >= bound || !is_user(mbr__entry_at(c, index), slot))
            continue;
        if (mbr__table_last_user(c, index, slot))
            mbr__table_wipe(c, index);
        mbr__table_unuse(c, index, slot, &list[i]);
    }
}
