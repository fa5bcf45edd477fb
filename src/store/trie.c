/* SPDX-License-Identifier: MIT */
/*
 * The persistent trie. A branch stands at the highest group of five bits in which the keys beneath
 * it differ, so the depth is that of the differences, at most 13, however sparse the keys are.
 */
#include "store/trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/heap.h"
#include "store/node.h"

#define BITS      5u
#define GROUP     31u
#define LEVELS    13 /* groups in 64 bits */
#define FIRST_CAP 2u

static bool is_branch(mbr__st_trie slot)
{
    return slot & 1;
}

static struct mbr__st_branch *branch_of(mbr__st_trie slot)
{
    return (struct mbr__st_branch *)(slot - 1); // NOLINT(performance-no-int-to-ptr)
}

static struct mbr__st_node *node_of(mbr__st_trie slot)
{
    return (struct mbr__st_node *)slot; // NOLINT(performance-no-int-to-ptr)
}

static uint64_t key_of(const struct mbr__st_node *node, enum mbr__st_order order)
{
    return order == MBR__ST_BY_NAME ? node->key : node->id;
}

static uint32_t bit_of(const struct mbr__st_branch *branch, uint64_t key)
{
    return 1u << ((key >> branch->shift) & GROUP);
}

/* Bits that are set. The plain machine has no instruction for it, and a call costs more. */
static unsigned count_bits(uint32_t word)
{
    word -= word >> 1 & 0x55555555u;
    word = (word & 0x33333333u) + (word >> 2 & 0x33333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0fu;
    return word * 0x01010101u >> 24;
}

/* The slots before the one of BIT. */
static unsigned rank(const struct mbr__st_branch *branch, uint32_t bit)
{
    return count_bits(branch->bitmap & (bit - 1));
}

/* Whether KEY belongs beneath the branch. */
static bool covers(const struct mbr__st_branch *branch, uint64_t key)
{
    unsigned above = branch->shift + BITS;

    return above >= 64 || (key ^ branch->prefix) >> above == 0;
}

struct mbr__st_node *mbr__st_trie_get(mbr__st_trie root, uint64_t key, enum mbr__st_order order)
{
    /* Prefixes need not be compared on the way: a wrong way ends at a node with another key. */
    while (is_branch(root)) {
        const struct mbr__st_branch *branch = branch_of(root);
        uint32_t bit = bit_of(branch, key);

        if (!(branch->bitmap & bit))
            return NULL;
        root = branch->slot[rank(branch, bit)];
    }
    return root && key_of(node_of(root), order) == key ? node_of(root) : NULL;
}

static size_t branch_size(unsigned capacity)
{
    return offsetof(struct mbr__st_branch, slot) + capacity * sizeof(mbr__st_trie);
}

uint64_t mbr__st_trie_weight(mbr__st_trie root)
{
    if (!root)
        return 0;
    return is_branch(root) ? branch_of(root)->weight : node_of(root)->name_len + 1u;
}

static struct mbr__st_branch *new_branch(struct mbr__st_heap *heap, unsigned capacity)
{
    struct mbr__st_branch *branch = malloc(branch_size(capacity));

    if (!branch)
        return NULL;
    heap->memory += branch_size(capacity);
    branch->refs = 1;
    branch->capacity = (uint8_t)capacity;
    return branch;
}

/* Makes the branch in SLOT one that only SLOT refers to. */
static bool own(struct mbr__st_heap *heap, mbr__st_trie *slot)
{
    struct mbr__st_branch *shared = branch_of(*slot);
    unsigned count = count_bits(shared->bitmap);
    struct mbr__st_branch *copy;

    if (shared->refs == 1)
        return true;
    copy = new_branch(heap, shared->capacity);
    if (!copy)
        return false;
    memcpy(copy, shared, branch_size(count));
    copy->refs = 1;
    copy->capacity = shared->capacity;
    for (unsigned i = 0; i < count; i++)
        mbr__st_ref(heap, copy->slot[i]);
    shared->refs--;
    *slot = (mbr__st_trie)copy + 1;
    return true;
}

/* Room for one more slot in the branch, which is owned. */
static bool widen(struct mbr__st_heap *heap, mbr__st_trie *slot)
{
    struct mbr__st_branch *branch = branch_of(*slot);
    unsigned count = count_bits(branch->bitmap);
    unsigned capacity = count < 8 ? count + 2 : count + count / 2;

    if (count < branch->capacity)
        return true;
    if (capacity > GROUP + 1)
        capacity = GROUP + 1;
    branch = realloc(branch, branch_size(capacity));
    if (!branch)
        return false;
    heap->memory += branch_size(capacity) - branch_size(branch->capacity);
    branch->capacity = (uint8_t)capacity;
    *slot = (mbr__st_trie)branch + 1;
    return true;
}

static void insert(struct mbr__st_branch *branch, uint32_t bit, mbr__st_trie entry)
{
    unsigned at = rank(branch, bit);
    unsigned count = count_bits(branch->bitmap);

    memmove(&branch->slot[at + 1], &branch->slot[at], (count - at) * sizeof(branch->slot[0]));
    branch->slot[at] = entry;
    branch->bitmap |= bit;
}

/* Puts a branch in the place of what is in SLOT, with that and NODE beneath it. */
static bool split(struct mbr__st_heap *heap, mbr__st_trie *slot, struct mbr__st_node *node,
                  uint64_t other, uint64_t key)
{
    struct mbr__st_branch *branch = new_branch(heap, FIRST_CAP);
    unsigned top;

    if (!branch)
        return false;
    top = 63 - (unsigned)__builtin_clzll(key ^ other);
    branch->shift = (uint8_t)(top / BITS * BITS);
    branch->prefix = key;
    branch->weight = mbr__st_trie_weight(*slot);
    branch->bitmap = 0;
    insert(branch, bit_of(branch, other), *slot);
    insert(branch, bit_of(branch, key), mbr__st_leaf(node));
    *slot = (mbr__st_trie)branch + 1;
    return true;
}

/* Adds BY to the weights on the way to KEY. */
static void weigh(mbr__st_trie root, uint64_t key, uint64_t by)
{
    while (is_branch(root)) {
        struct mbr__st_branch *branch = branch_of(root);
        uint32_t bit = bit_of(branch, key);

        branch->weight += by;
        root = branch->slot[rank(branch, bit)];
    }
}

/* One step of adding: NULL when it is done, else where to go on; FAILED when there is no memory. */
static mbr__st_trie *add_step(struct mbr__st_heap *heap, mbr__st_trie *slot,
                              struct mbr__st_node *node, enum mbr__st_order order, bool *failed)
{
    uint64_t key = key_of(node, order);
    struct mbr__st_branch *branch;
    uint32_t bit;

    if (!is_branch(*slot)) {
        *failed = !split(heap, slot, node, key_of(node_of(*slot), order), key);
        return NULL;
    }
    if (!covers(branch_of(*slot), key)) {
        *failed = !split(heap, slot, node, branch_of(*slot)->prefix, key);
        return NULL;
    }
    if (!own(heap, slot)) {
        *failed = true;
        return NULL;
    }
    branch = branch_of(*slot);
    bit = bit_of(branch, key);
    if (branch->bitmap & bit)
        return &branch->slot[rank(branch, bit)];
    *failed = !widen(heap, slot);
    if (!*failed)
        insert(branch_of(*slot), bit, mbr__st_leaf(node));
    return NULL;
}

int mbr__st_trie_add(struct mbr__st_heap *heap, mbr__st_trie *root, struct mbr__st_node *node,
                     enum mbr__st_order order)
{
    mbr__st_trie *slot = root;
    bool failed = false;

    if (!*root) {
        *root = mbr__st_leaf(node);
        return 0;
    }
    while (slot)
        slot = add_step(heap, slot, node, order, &failed);
    if (failed)
        return -ENOMEM;
    if (order == MBR__ST_BY_ID)
        weigh(*root, node->id, node->name_len + 1u);
    return 0;
}

mbr__st_trie *mbr__st_trie_own(struct mbr__st_heap *heap, mbr__st_trie *root, uint64_t key,
                               enum mbr__st_order order)
{
    mbr__st_trie *slot = root;

    while (is_branch(*slot)) {
        struct mbr__st_branch *branch;

        if (!own(heap, slot))
            return NULL;
        branch = branch_of(*slot);
        slot = &branch->slot[rank(branch, bit_of(branch, key))];
    }
    MBR_DEBUG_ASSERT(key_of(node_of(*slot), order) == key);
    (void)order;
    return slot;
}

/* Takes the entry of BIT out of the branch in SLOT; a branch of one entry gives way to it. */
static void erase(struct mbr__st_heap *heap, mbr__st_trie *slot, uint32_t bit)
{
    struct mbr__st_branch *branch = branch_of(*slot);
    unsigned at = rank(branch, bit);
    unsigned count = count_bits(branch->bitmap) - 1;

    memmove(&branch->slot[at], &branch->slot[at + 1], (count - at) * sizeof(branch->slot[0]));
    branch->bitmap &= ~bit;
    if (count > 1)
        return;
    *slot = branch->slot[0];
    heap->memory -= branch_size(branch->capacity);
    free(branch);
}

struct mbr__st_node *mbr__st_trie_take(struct mbr__st_heap *heap, mbr__st_trie *root, uint64_t key,
                                       enum mbr__st_order order)
{
    mbr__st_trie *slot = root;
    mbr__st_trie *above = NULL;
    struct mbr__st_node *node = mbr__st_trie_get(*root, key, order);

    if (order == MBR__ST_BY_ID)
        weigh(*root, key, -(uint64_t)(node->name_len + 1u));
    while (is_branch(*slot)) {
        struct mbr__st_branch *branch = branch_of(*slot);

        above = slot;
        slot = &branch->slot[rank(branch, bit_of(branch, key))];
    }
    if (above)
        erase(heap, above, bit_of(branch_of(*above), key));
    else
        *root = 0;
    return node;
}

/* The least node of what is in slot AT of BRANCH; NULL for no branch. */
static struct mbr__st_node *least(const struct mbr__st_branch *branch, unsigned at,
                                  struct mbr__st_place *place)
{
    if (!branch)
        return NULL;
    while (is_branch(branch->slot[at])) {
        branch = branch_of(branch->slot[at]);
        at = 0;
    }
    *place = (struct mbr__st_place){branch, at};
    return node_of(branch->slot[at]);
}

struct mbr__st_node *mbr__st_trie_ceil_at(mbr__st_trie root, uint64_t key, enum mbr__st_order order,
                                          struct mbr__st_place *place)
{
    struct mbr__st_place here = {NULL, 0};
    /* Everything in it is greater, and nothing smaller that is left is. */
    struct mbr__st_place next = {NULL, 0};

    while (is_branch(root)) {
        const struct mbr__st_branch *branch = branch_of(root);
        uint32_t bit = bit_of(branch, key);
        uint32_t higher = branch->bitmap & ~(bit | (bit - 1));

        if (!covers(branch, key))
            return branch->prefix > key ? least(branch, 0, place)
                                        : least(next.branch, next.at, place);
        if (higher)
            next = (struct mbr__st_place){branch, rank(branch, higher & -higher)};
        if (!(branch->bitmap & bit))
            return least(next.branch, next.at, place);
        here = (struct mbr__st_place){branch, rank(branch, bit)};
        root = branch->slot[here.at];
    }
    if (!root || key_of(node_of(root), order) < key)
        return least(next.branch, next.at, place);
    *place = here;
    return node_of(root);
}

struct mbr__st_node *mbr__st_trie_ceil(mbr__st_trie root, uint64_t key, enum mbr__st_order order)
{
    struct mbr__st_place place;

    return mbr__st_trie_ceil_at(root, key, order, &place);
}

struct mbr__st_node *mbr__st_trie_next(struct mbr__st_place *place)
{
    const struct mbr__st_branch *branch = place->branch;
    unsigned at = place->at + 1;

    if (!branch || at == count_bits(branch->bitmap) || is_branch(branch->slot[at]))
        return NULL;
    place->at = at;
    return node_of(branch->slot[at]);
}

struct mbr__st_node *mbr__st_trie_seek(mbr__st_trie root, uint64_t offset, uint64_t *into)
{
    while (is_branch(root)) {
        const struct mbr__st_branch *branch = branch_of(root);
        unsigned i = 0;

        while (offset >= mbr__st_trie_weight(branch->slot[i]))
            offset -= mbr__st_trie_weight(branch->slot[i++]);
        root = branch->slot[i];
    }
    *into = offset;
    return node_of(root);
}
