/* SPDX-License-Identifier: MIT */
/*
 * Batches for the journal.
 */
#include "store/journal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

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

void mbr__st_journal_flush(struct mbr__store *store)
{
    struct mbr__store_batch batch = {0, store->changes, store->change_count};

    if (store->change_count == 0)
        return;
    batch.seq = ++store->seq;
    store->options.journal(store->options.user, &batch);
    store->change_count = 0;
}
