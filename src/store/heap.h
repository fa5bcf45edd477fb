/* SPDX-License-Identifier: MIT */
/*
 * References to nodes and branches, and what happens when the last one goes: the thing is put on a
 * list and taken apart later, a piece at a time. So nothing here ever recurses into a tree that a
 * stranger has made deep, and dropping a large one delays nobody.
 *
 * Not here: what is charged to domains (quota.c); this counts bytes only.
 */
#ifndef MBR_STORE_HEAP_H
#define MBR_STORE_HEAP_H

#include "store/trie.h"

struct mbr__st_heap {
    mbr__st_trie garbage; /* linked through prefix, or id */
    uint64_t memory;      /* bytes of nodes and branches, garbage too */
    uint64_t refs;        /* references ever taken by mbr__st_ref() */
    uint64_t secret[2];   /* of the hash of names */
    uint64_t hash_mask;   /* all ones; tests make names collide with less */
};

/* Draws the secret. Cannot fail. */
void mbr__st_heap_init(struct mbr__st_heap *heap);

/* Frees the garbage, all of it. */
void mbr__st_heap_fini(struct mbr__st_heap *heap);

/* One more, one fewer reference to what SLOT is; fine for 0. */
void mbr__st_ref(struct mbr__st_heap *heap, mbr__st_trie slot);
void mbr__st_unref(struct mbr__st_heap *heap, mbr__st_trie slot);

static inline mbr__st_trie mbr__st_leaf(const struct mbr__st_node *node)
{
    return (mbr__st_trie)node;
}

/* Takes apart at most BUDGET things (a thing has at most 32 references). Returns what is left of
 * the budget. */
unsigned mbr__st_heap_collect(struct mbr__st_heap *heap, unsigned budget);

#endif
