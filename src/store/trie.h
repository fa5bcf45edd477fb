/* SPDX-License-Identifier: MIT */
/*
 * A persistent map from 64-bit keys to nodes: a radix trie, 32 ways wide, in which no branch has
 * fewer than two entries. A trie is one word, its root. Copying the word and adding a reference
 * is a snapshot; a change copies what is shared on the way to it and nothing else.
 *
 * Each directory has two: its children by the hash of their names, and by their ids, which is the
 * order in which they were made. The second one also sums the lengths of the names, so that a
 * place in the list of names is found without walking over it.
 *
 * Not here: what a node is (node.h), and how what nobody refers to is freed (heap.h).
 */
#ifndef MBR_STORE_TRIE_H
#define MBR_STORE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbr__st_heap;
struct mbr__st_node;

/* 0: empty; the address of a node: that alone; the address of a branch + 1. */
typedef uintptr_t mbr__st_trie;

enum mbr__st_order {
    MBR__ST_BY_NAME, /* the key is node->key */
    MBR__ST_BY_ID    /* the key is node->id */
};

struct mbr__st_branch {
    uint32_t refs;
    uint32_t bitmap;
    uint64_t prefix; /* a key beneath it, cut at the bits of this branch; next in the garbage */
    uint64_t weight; /* MBR__ST_BY_ID: bytes of the names beneath, each with its NUL */
    uint8_t shift;   /* the branch tells apart the five bits from here on */
    uint8_t capacity;
    mbr__st_trie slot[]; /* one for each bit that is set in the bitmap, in order */
};

/* Where a node was found: slot AT of BRANCH. NULL: it is all there is, or there is none. */
struct mbr__st_place {
    const struct mbr__st_branch *branch;
    unsigned at;
};

/* The node under KEY, or NULL. */
struct mbr__st_node *mbr__st_trie_get(mbr__st_trie root, uint64_t key, enum mbr__st_order order);

/* Adds NODE, whose key is not there; takes over one reference to it. -ENOMEM, nothing changed. */
int mbr__st_trie_add(struct mbr__st_heap *heap, mbr__st_trie *root, struct mbr__st_node *node,
                     enum mbr__st_order order);

/*
 * The place of the node under KEY, which is there, after everything on the way to it has been made
 * this trie's own: the caller may put another node with the same key and name there. NULL: no
 * memory, and nothing that can be seen has changed.
 */
mbr__st_trie *mbr__st_trie_own(struct mbr__st_heap *heap, mbr__st_trie *root, uint64_t key,
                               enum mbr__st_order order);

/* Takes out the node under KEY, after mbr__st_trie_own() for it has succeeded. Cannot fail; the
 * reference is the caller's. */
struct mbr__st_node *mbr__st_trie_take(struct mbr__st_heap *heap, mbr__st_trie *root, uint64_t key,
                                       enum mbr__st_order order);

/* The node with the least key that is at least KEY, or NULL. */
struct mbr__st_node *mbr__st_trie_ceil(mbr__st_trie root, uint64_t key, enum mbr__st_order order);

/* The same, and where it stands. */
struct mbr__st_node *mbr__st_trie_ceil_at(mbr__st_trie root, uint64_t key, enum mbr__st_order order,
                                          struct mbr__st_place *place);

/* The node with the next key after the one at PLACE, which is moved there, if it stands in the same
 * branch; NULL: it does not, or there is none. The branch is as it was when PLACE was found. */
struct mbr__st_node *mbr__st_trie_next(struct mbr__st_place *place);

/* MBR__ST_BY_ID: bytes of all names, each with a NUL. */
uint64_t mbr__st_trie_weight(mbr__st_trie root);

/* MBR__ST_BY_ID: the node in whose name byte OFFSET of the list of names lies; INTO: how far into
 * it. OFFSET is below the weight. */
struct mbr__st_node *mbr__st_trie_seek(mbr__st_trie root, uint64_t offset, uint64_t *into);

#endif
