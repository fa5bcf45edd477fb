/* SPDX-License-Identifier: MIT */
/* The table: a list of entries for the order, a map for finding them, a list of iterators. */
#include "types/table/tbl.h"

#include <errno.h>
#include <string.h>

#include "types/heap_use.h"

#define ENTRY(node) mbr__container_of(node, struct mbr__tbl_entry, link)

static const void *key_of(const void *value, size_t *length)
{
    const struct mbr__tbl_entry *entry = value;

    *length = entry->length;
    return entry->key;
}

void mbr__tbl_init(struct mbr__tbl *tbl, Heap_clp heap)
{
    tbl->heap = heap;
    tbl->memory = mbr__heap_memory(heap);
    mbr__bytes_map_init_in(&tbl->map, key_of, &tbl->memory);
    mbr__list_init(&tbl->entries);
    mbr__list_init(&tbl->iters);
    pthread_mutex_init(&tbl->iters_lock, NULL);
}

void mbr__tbl_fini(struct mbr__tbl *tbl)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&tbl->iters))) {
        struct mbr__tbl_iter *iter = mbr__container_of(node, struct mbr__tbl_iter, link);

        iter->tbl = NULL;
        iter->next = NULL;
    }
    while ((node = mbr__list_pop_front(&tbl->entries)))
        mbr__heap_free(tbl->heap, ENTRY(node));
    mbr__bytes_map_fini(&tbl->map);
    pthread_mutex_destroy(&tbl->iters_lock);
}

bool mbr__tbl_get(const struct mbr__tbl *tbl, const void *key, size_t length, void **val)
{
    const struct mbr__tbl_entry *entry = mbr__bytes_map_get(&tbl->map, key, length);

    if (!entry)
        return false;
    *val = entry->val;
    return true;
}

static struct mbr__tbl_entry *new_entry(struct mbr__tbl *tbl, const void *key, size_t length)
{
    struct mbr__tbl_entry *entry;

    if (length > SIZE_MAX - sizeof(*entry) - 1)
        return NULL;
    entry = mbr__heap_try(tbl->heap, sizeof(*entry) + length + 1);
    if (!entry)
        return NULL;
    entry->length = length;
    memcpy(entry->key, key, length);
    return entry;
}

int mbr__tbl_put(struct mbr__tbl *tbl, const void *key, size_t length, void *val)
{
    struct mbr__tbl_entry *entry = mbr__bytes_map_get(&tbl->map, key, length);

    if (entry) {
        entry->val = val;
        return 1;
    }
    if (tbl->map.hash.count >= UINT32_MAX)
        return -ENOMEM;
    entry = new_entry(tbl, key, length);
    if (!entry)
        return -ENOMEM;
    if (mbr__bytes_map_put(&tbl->map, entry)) {
        mbr__heap_free(tbl->heap, entry);
        return -ENOMEM;
    }
    entry->val = val;
    mbr__list_push_back(&tbl->entries, &entry->link);
    return 0;
}

static struct mbr__tbl_entry *after(const struct mbr__tbl *tbl, const struct mbr__tbl_entry *entry)
{
    struct mbr__list *node = mbr__list_next(&tbl->entries, &entry->link);

    return node ? ENTRY(node) : NULL;
}

bool mbr__tbl_del(struct mbr__tbl *tbl, const void *key, size_t length, void **val)
{
    struct mbr__tbl_entry *entry = mbr__bytes_map_del(&tbl->map, key, length);
    struct mbr__list *node;

    if (!entry)
        return false;
    mbr__list_for_each (node, &tbl->iters) {
        struct mbr__tbl_iter *iter = mbr__container_of(node, struct mbr__tbl_iter, link);

        if (iter->next == entry)
            iter->next = after(tbl, entry);
    }
    *val = entry->val;
    mbr__list_del(&entry->link);
    mbr__heap_free(tbl->heap, entry);
    return true;
}

uint32_t mbr__tbl_size(const struct mbr__tbl *tbl)
{
    return (uint32_t)tbl->map.hash.count;
}

void mbr__tbl_iter_init(struct mbr__tbl_iter *iter, struct mbr__tbl *tbl)
{
    struct mbr__list *first = mbr__list_first(&tbl->entries);

    iter->tbl = tbl;
    iter->next = first ? ENTRY(first) : NULL;
    pthread_mutex_lock(&tbl->iters_lock);
    mbr__list_push_back(&tbl->iters, &iter->link);
    pthread_mutex_unlock(&tbl->iters_lock);
}

void mbr__tbl_iter_fini(struct mbr__tbl_iter *iter)
{
    if (!iter->tbl)
        return;
    pthread_mutex_lock(&iter->tbl->iters_lock);
    mbr__list_del(&iter->link);
    pthread_mutex_unlock(&iter->tbl->iters_lock);
}

const struct mbr__tbl_entry *mbr__tbl_iter_next(struct mbr__tbl_iter *iter)
{
    struct mbr__tbl_entry *entry = iter->next;

    if (entry)
        iter->next = after(iter->tbl, entry);
    return entry;
}
