/* SPDX-License-Identifier: MIT */
/*
 * A version of a node: name, value, permissions, children. Versions are shared between the living
 * tree, snapshots and transactions by counting references; only one that has a single owner is
 * ever changed. In the living tree a node has two references, from both tries of its parent;
 * the root has one.
 *
 * Not here: paths and the walk to a node (tree.h).
 */
#ifndef MBR_STORE_NODE_H
#define MBR_STORE_NODE_H

#include <stdint.h>

#include "store/engine.h"
#include "store/heap.h"

struct mbr__st_perms {
    uint32_t refs;
    uint32_t count; /* at least 1 */
    /* When they were set. An entry means the domain that had its number then: one made later has a
     * greater birth (domain.h), and the entry says nothing about it. */
    uint64_t generation;
    struct mbr__store_perm entry[];
};

struct mbr__st_node {
    uint32_t refs;
    uint32_t value_len;
    uint32_t capacity; /* bytes for the value */
    uint16_t name_len;
    uint16_t displaced;  /* how far beyond its hash a child's key may be: nearly always 0 */
    uint64_t id;         /* next in the garbage */
    uint64_t generation; /* of value, permissions and the list of children; unique */
    uint64_t key;        /* in the parent's trie by name */
    uint64_t domains;    /* of all beneath: a bit for each domid in permissions, modulo 64. A hint:
                          * bits are only ever added */
    struct mbr__st_perms *perms;
    mbr__st_trie by_name;
    mbr__st_trie by_id;
    char name[]; /* then the value; no NUL behind either */
};

static inline char *mbr__st_value(struct mbr__st_node *node)
{
    return node->name + node->name_len;
}

/* Permissions of COUNT entries with one reference; NULL: no memory. */
struct mbr__st_perms *mbr__st_perms_new(const struct mbr__store_perm *entries, uint32_t count,
                                        uint64_t generation);
struct mbr__st_perms *mbr__st_perms_ref(struct mbr__st_perms *perms);
void mbr__st_perms_unref(struct mbr__st_perms *perms);

/* The bits of a node with these permissions. */
uint64_t mbr__st_perms_domains(const struct mbr__st_perms *perms);
static inline uint64_t mbr__st_domain_bit(uint32_t domid)
{
    return domid == 0 ? 0 : 1ull << (domid % 64);
}

/* A node without children, with no references yet, the value's bytes unset. NULL: no memory. */
struct mbr__st_node *mbr__st_node_new(struct mbr__st_heap *heap, const char *name, size_t name_len,
                                      uint32_t value_len, struct mbr__st_perms *perms);

/* The same version again, with no references, and room for a value of VALUE_LEN bytes; as much of
 * the value is copied as fits. NULL: no memory. */
struct mbr__st_node *mbr__st_node_copy(struct mbr__st_heap *heap, struct mbr__st_node *node,
                                       uint32_t value_len);

/* Frees the node alone, which nothing refers to; its references are dropped. */
void mbr__st_node_free(struct mbr__st_heap *heap, struct mbr__st_node *node);

/* The child of this name, or NULL. */
struct mbr__st_node *mbr__st_node_child(const struct mbr__st_heap *heap,
                                        const struct mbr__st_node *node, const char *name,
                                        size_t name_len);

/* Makes CHILD, which has no reference yet, a child of NODE, which has a single owner and no child
 * of this name; sets its key. -ENOMEM, nothing changed. */
int mbr__st_node_attach(struct mbr__st_heap *heap, struct mbr__st_node *node,
                        struct mbr__st_node *child);

/* Makes the way to CHILD inside NODE's tries its own. -ENOMEM. */
int mbr__st_node_own_child(struct mbr__st_heap *heap, struct mbr__st_node *node,
                           struct mbr__st_node *child, mbr__st_trie *slots[2]);

/* Takes CHILD out, after mbr__st_node_own_child(). Both references are the caller's. */
void mbr__st_node_detach(struct mbr__st_heap *heap, struct mbr__st_node *node,
                         struct mbr__st_node *child);

/* Bytes of the list of children's names, each with its NUL. */
static inline uint64_t mbr__st_node_list_len(const struct mbr__st_node *node)
{
    return mbr__st_trie_weight(node->by_id);
}

#endif
