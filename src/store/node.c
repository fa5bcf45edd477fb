/* SPDX-License-Identifier: MIT */
/*
 * Nodes, their permissions, and the heap they live in.
 *
 * Names are found by a keyed hash, so that nobody can choose names that collide. Should two in one
 * directory do so all the same, the second takes the next free key, and the directory remembers how
 * far from its place a name may be.
 */
#include "store/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"

void mbr__st_heap_init(struct mbr__st_heap *heap)
{
    *heap = (struct mbr__st_heap){.hash_mask = UINT64_MAX};
    /* It must not block early in the boot: the clock is then what a stranger knows least. */
    if (getrandom(heap->secret, sizeof(heap->secret), GRND_NONBLOCK) !=
        (ssize_t)sizeof(heap->secret)) {
        heap->secret[0] = mbr__now_ns();
        heap->secret[1] = (uint64_t)(uintptr_t)heap * 0x9e3779b97f4a7c15u;
    }
}

void mbr__st_ref(struct mbr__st_heap *heap, mbr__st_trie slot)
{
    if (!slot)
        return;
    heap->refs++;
    if (slot & 1)
        ((struct mbr__st_branch *)(slot - 1))->refs++; // NOLINT(performance-no-int-to-ptr)
    else
        ((struct mbr__st_node *)slot)->refs++; // NOLINT(performance-no-int-to-ptr)
}

void mbr__st_unref(struct mbr__st_heap *heap, mbr__st_trie slot)
{
    if (!slot)
        return;
    if (slot & 1) {
        struct mbr__st_branch *branch =
            (struct mbr__st_branch *)(slot - 1); // NOLINT(performance-no-int-to-ptr)

        if (--branch->refs == 0) {
            branch->prefix = heap->garbage;
            heap->garbage = slot;
        }
    } else {
        struct mbr__st_node *node =
            (struct mbr__st_node *)slot; // NOLINT(performance-no-int-to-ptr)

        if (--node->refs == 0) {
            node->id = heap->garbage;
            heap->garbage = slot;
        }
    }
}

static size_t node_size(const struct mbr__st_node *node)
{
    return offsetof(struct mbr__st_node, name) + node->name_len + node->capacity;
}

void mbr__st_node_free(struct mbr__st_heap *heap, struct mbr__st_node *node)
{
    mbr__st_unref(heap, node->by_name);
    mbr__st_unref(heap, node->by_id);
    mbr__st_perms_unref(node->perms);
    heap->memory -= node_size(node);
    free(node);
}

static void free_branch(struct mbr__st_heap *heap, struct mbr__st_branch *branch)
{
    unsigned count = (unsigned)__builtin_popcount(branch->bitmap);

    for (unsigned i = 0; i < count; i++)
        mbr__st_unref(heap, branch->slot[i]);
    heap->memory -=
        offsetof(struct mbr__st_branch, slot) + (size_t)branch->capacity * sizeof(mbr__st_trie);
    free(branch);
}

unsigned mbr__st_heap_collect(struct mbr__st_heap *heap, unsigned budget)
{
    while (heap->garbage && budget > 0) {
        mbr__st_trie slot = heap->garbage;

        budget--;
        if (slot & 1) {
            struct mbr__st_branch *branch =
                (struct mbr__st_branch *)(slot - 1); // NOLINT(performance-no-int-to-ptr)

            heap->garbage = (mbr__st_trie)branch->prefix;
            free_branch(heap, branch);
        } else {
            struct mbr__st_node *node =
                (struct mbr__st_node *)slot; // NOLINT(performance-no-int-to-ptr)

            heap->garbage = (mbr__st_trie)node->id;
            mbr__st_node_free(heap, node);
        }
    }
    return budget;
}

void mbr__st_heap_fini(struct mbr__st_heap *heap)
{
    while (heap->garbage)
        (void)mbr__st_heap_collect(heap, UINT32_MAX);
}

struct mbr__st_perms *mbr__st_perms_new(const struct mbr__store_perm *entries, uint32_t count,
                                        uint64_t generation)
{
    struct mbr__st_perms *perms = malloc(sizeof(*perms) + count * sizeof(*entries));

    if (!perms)
        return NULL;
    perms->refs = 1;
    perms->count = count;
    perms->generation = generation;
    memcpy(perms->entry, entries, count * sizeof(*entries));
    return perms;
}

struct mbr__st_perms *mbr__st_perms_ref(struct mbr__st_perms *perms)
{
    perms->refs++;
    return perms;
}

void mbr__st_perms_unref(struct mbr__st_perms *perms)
{
    if (perms && --perms->refs == 0)
        free(perms);
}

uint64_t mbr__st_perms_domains(const struct mbr__st_perms *perms)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < perms->count; i++)
        bits |= mbr__st_domain_bit(perms->entry[i].domid);
    return bits;
}

/* Room for LEN bytes or a little more: what malloc would give away anyway. */
static struct mbr__st_node *alloc_node(struct mbr__st_heap *heap, size_t name_len, size_t value_len)
{
    size_t bare = offsetof(struct mbr__st_node, name) + name_len;
    size_t size = ((bare + value_len + 8 + 15) & ~(size_t)15) - 8;
    struct mbr__st_node *node = malloc(size);

    if (!node)
        return NULL;
    heap->memory += size;
    node->refs = 0;
    node->name_len = (uint16_t)name_len;
    node->value_len = (uint32_t)value_len;
    node->capacity = (uint32_t)(size - bare);
    return node;
}

struct mbr__st_node *mbr__st_node_new(struct mbr__st_heap *heap, const char *name, size_t name_len,
                                      uint32_t value_len, struct mbr__st_perms *perms)
{
    struct mbr__st_node *node = alloc_node(heap, name_len, value_len);

    if (!node)
        return NULL;
    memcpy(node->name, name, name_len);
    node->id = 0;
    node->generation = 0;
    node->key = 0;
    node->displaced = 0;
    node->domains = mbr__st_perms_domains(perms);
    node->perms = mbr__st_perms_ref(perms);
    node->by_name = 0;
    node->by_id = 0;
    return node;
}

struct mbr__st_node *mbr__st_node_copy(struct mbr__st_heap *heap, struct mbr__st_node *node,
                                       uint32_t value_len)
{
    uint32_t kept = node->value_len < value_len ? node->value_len : value_len;
    struct mbr__st_node *copy = alloc_node(heap, node->name_len, value_len);

    if (!copy)
        return NULL;
    copy->id = node->id;
    copy->generation = node->generation;
    copy->key = node->key;
    copy->displaced = node->displaced;
    copy->domains = node->domains;
    copy->perms = mbr__st_perms_ref(node->perms);
    copy->by_name = node->by_name;
    copy->by_id = node->by_id;
    mbr__st_ref(heap, copy->by_name);
    mbr__st_ref(heap, copy->by_id);
    memcpy(copy->name, node->name, (size_t)node->name_len + kept);
    return copy;
}

static uint64_t hash_name(const struct mbr__st_heap *heap, const char *name, size_t name_len)
{
    return mbr__siphash13(heap->secret, name, name_len) & heap->hash_mask;
}

struct mbr__st_node *mbr__st_node_child(const struct mbr__st_heap *heap,
                                        const struct mbr__st_node *node, const char *name,
                                        size_t name_len)
{
    uint64_t key;
    struct mbr__st_node *child;

    if (!node->by_name)
        return NULL;
    key = hash_name(heap, name, name_len);
    for (unsigned i = 0; i <= node->displaced; i++) {
        child = mbr__st_trie_get(node->by_name, key + i, MBR__ST_BY_NAME);
        if (child && child->name_len == name_len && memcmp(child->name, name, name_len) == 0)
            return child;
    }
    return NULL;
}

int mbr__st_node_attach(struct mbr__st_heap *heap, struct mbr__st_node *node,
                        struct mbr__st_node *child)
{
    uint64_t key = hash_name(heap, child->name, child->name_len);
    unsigned displaced = 0;

    while (mbr__st_trie_get(node->by_name, key + displaced, MBR__ST_BY_NAME))
        if (++displaced > UINT16_MAX)
            return -ENOMEM; /* 65,536 equal hashes: not in this universe */
    key += displaced;
    child->key = key;
    if (mbr__st_trie_add(heap, &node->by_name, child, MBR__ST_BY_NAME))
        return -ENOMEM;
    if (mbr__st_trie_add(heap, &node->by_id, child, MBR__ST_BY_ID)) {
        /* All on the way to it was made ours by adding it. */
        (void)mbr__st_trie_take(heap, &node->by_name, key, MBR__ST_BY_NAME);
        return -ENOMEM;
    }
    child->refs += 2;
    node->domains |= child->domains;
    if (displaced > node->displaced)
        node->displaced = (uint16_t)displaced;
    return 0;
}

int mbr__st_node_own_child(struct mbr__st_heap *heap, struct mbr__st_node *node,
                           struct mbr__st_node *child, mbr__st_trie *slots[2])
{
    slots[0] = mbr__st_trie_own(heap, &node->by_name, child->key, MBR__ST_BY_NAME);
    if (!slots[0])
        return -ENOMEM;
    slots[1] = mbr__st_trie_own(heap, &node->by_id, child->id, MBR__ST_BY_ID);
    return slots[1] ? 0 : -ENOMEM;
}

void mbr__st_node_detach(struct mbr__st_heap *heap, struct mbr__st_node *node,
                         struct mbr__st_node *child)
{
    (void)mbr__st_trie_take(heap, &node->by_name, child->key, MBR__ST_BY_NAME);
    (void)mbr__st_trie_take(heap, &node->by_id, child->id, MBR__ST_BY_ID);
}
