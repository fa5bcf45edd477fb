/* SPDX-License-Identifier: MIT */
/*
 * Batches for the journal.
 */
#include "store/journal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "store/out.h"

int mbr__st_journal_reserve(struct mbr__store *store, size_t count)
{
    size_t need = store->change_count + count;
    struct mbr__store_change *grown;

    if (!store->options.journal || need <= store->change_capacity)
        return 0;
    need = need < 64 ? 64 : need + need / 2;
    grown = reallocarray(store->changes, need, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    store->changes = grown;
    store->change_capacity = need;
    return 0;
}

static void note(struct mbr__store *store, const struct mbr__store_change *change)
{
    if (!store->options.journal)
        return;
    MBR_ASSERT(store->change_count < store->change_capacity);
    store->changes[store->change_count++] = *change;
}

void mbr__st_journal_put(struct mbr__store *store, const struct mbr__st_node *node, uint64_t parent)
{
    note(store, &(struct mbr__store_change){
                    .kind = MBR__STORE_PUT,
                    .id = node->id,
                    .parent = parent,
                    .generation = node->generation,
                    .name = node->name,
                    .name_len = node->name_len,
                    .value_len = node->value_len,
                    .value = node->name + node->name_len,
                    .perms = node->perms->entry,
                    .perm_count = node->perms->count,
                });
}

void mbr__st_journal_special(struct mbr__store *store, int which)
{
    static const char *const names[MBR__ST_SPECIALS] = {"@introduceDomain", "@releaseDomain"};
    static const uint32_t lengths[MBR__ST_SPECIALS] = {16, 14};
    const struct mbr__st_special *special = &store->special[which];

    note(store, &(struct mbr__store_change){
                    .kind = MBR__STORE_PUT,
                    .id = 2 + (uint64_t)which,
                    .generation = special->generation,
                    .name = names[which],
                    .name_len = lengths[which],
                    .value = "",
                    .perms = special->perms->entry,
                    .perm_count = special->perms->count,
                });
}

void mbr__st_journal_gone(struct mbr__store *store, enum mbr__store_change_kind kind, uint64_t id)
{
    note(store, &(struct mbr__store_change){.kind = kind, .id = id});
}

static struct mbr__st_batch *batch_at(struct mbr__store *store, unsigned i)
{
    return &store->batches[(store->batch_first + i) % MBR__ST_BATCHES];
}

/* The batch that goes out now has all changes up to now. */
static void enter(struct mbr__store *store)
{
    if (store->batch_count < MBR__ST_BATCHES)
        store->batch_count++;
    *batch_at(store, store->batch_count - 1) =
        (struct mbr__st_batch){store->seq, store->tree.generation};
}

void mbr__st_journal_settle(struct mbr__store *store)
{
    while (store->batch_count > 0 && batch_at(store, 0)->seq <= store->durable) {
        store->settled = batch_at(store, 0)->generation;
        store->batch_first = (store->batch_first + 1) % MBR__ST_BATCHES;
        store->batch_count--;
    }
    if (store->durable == store->seq && store->change_count == 0)
        store->settled = store->tree.generation;
}

void mbr__st_seen(struct mbr__store_conn *conn, uint64_t generation)
{
    struct mbr__store *store = conn->store;
    uint64_t seq = store->seq;

    if (!store->options.journal || generation <= store->settled)
        return;
    for (unsigned i = 0; i < store->batch_count; i++)
        if (batch_at(store, i)->generation >= generation) {
            seq = batch_at(store, i)->seq;
            break;
        }
    mbr__st_out_hold(conn, seq);
}

void mbr__st_journal_report(struct mbr__store *store)
{
    struct mbr__store_batch batch = {++store->seq, store->changes, store->change_count};

    enter(store);
    store->options.journal(store->options.user, &batch);
    store->change_count = 0;
}
