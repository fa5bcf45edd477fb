/* SPDX-License-Identifier: MIT */
/*
 * The living tree. Each change first makes the way from the root to the place its own, which is
 * not visible to anybody, then allocates, then does what cannot fail.
 */
#include "store/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

int mbr__st_tree_init(struct mbr__st_tree *tree, struct mbr__st_perms *perms)
{
    *tree = (struct mbr__st_tree){.next_id = 4, .generation = 1, .stamp = 1, .count = 1};
    mbr__st_heap_init(&tree->heap);
    tree->root = mbr__st_node_new(&tree->heap, "", 0, 0, perms);
    if (!tree->root)
        return -ENOMEM;
    tree->root->refs = 1;
    tree->root->id = 1;
    tree->root->generation = tree->generation;
    return 0;
}

void mbr__st_tree_fini(struct mbr__st_tree *tree)
{
    if (tree->root)
        mbr__st_unref(&tree->heap, mbr__st_leaf(tree->root));
    tree->root = NULL;
    mbr__st_heap_fini(&tree->heap);
}

void mbr__st_tree_walk(const struct mbr__st_tree *tree, struct mbr__st_path *path,
                       struct mbr__st_walk *walk)
{
    unsigned i = 0;

    if (walk->stamp == tree->stamp) {
        i = path->same < walk->found ? path->same : walk->found;
    } else {
        walk->node[0] = tree->root;
        walk->owned = 0;
        walk->stamp = tree->stamp;
    }
    if (walk->owned > i + 1)
        walk->owned = i + 1;
    for (; i < path->count; i++) {
        struct mbr__st_node *node = mbr__st_node_child(
            &tree->heap, walk->node[i], path->text + path->part[i].at, path->part[i].len);

        if (!node)
            break;
        walk->node[i + 1] = node;
    }
    walk->found = i;
    path->same = path->count;
}

/* The tree is being changed through WALK, which therefore stays right if it was. */
static void change(struct mbr__st_tree *tree, struct mbr__st_walk *walk)
{
    bool right = walk->stamp == tree->stamp;

    tree->stamp++;
    if (right)
        walk->stamp = tree->stamp;
}

/* Puts FRESH, which gets references, where the node at DEPTH is, whose parent is owned. */
static int replace(struct mbr__st_tree *tree, struct mbr__st_walk *walk, unsigned depth,
                   struct mbr__st_node *fresh)
{
    struct mbr__st_node *stale = walk->node[depth];
    mbr__st_trie *slots[2];

    if (depth == 0) {
        fresh->refs += 1;
        tree->root = fresh;
    } else {
        if (mbr__st_node_own_child(&tree->heap, walk->node[depth - 1], stale, slots))
            return -ENOMEM;
        fresh->refs += 2;
        *slots[0] = *slots[1] = mbr__st_leaf(fresh);
        mbr__st_unref(&tree->heap, mbr__st_leaf(stale));
    }
    walk->node[depth] = fresh;
    mbr__st_unref(&tree->heap, mbr__st_leaf(stale));
    return 0;
}

/* Whether the node at DEPTH, whose parent is owned, is referred to by its parent alone. The way to
 * it in both tries must be owned first, since sharing a branch counts as references only then. */
static int own_one(struct mbr__st_tree *tree, struct mbr__st_walk *walk, unsigned depth)
{
    struct mbr__st_node *node = walk->node[depth];
    struct mbr__st_node *copy;
    mbr__st_trie *slots[2];
    int error;

    if (depth > 0 && mbr__st_node_own_child(&tree->heap, walk->node[depth - 1], node, slots))
        return -ENOMEM;
    if (node->refs == (depth > 0 ? 2u : 1u))
        return 0;
    copy = mbr__st_node_copy(&tree->heap, node, node->value_len);
    if (!copy)
        return -ENOMEM;
    error = replace(tree, walk, depth, copy);
    MBR_ASSERT(error == 0); /* the way is owned */
    return 0;
}

int mbr__st_tree_own(struct mbr__st_tree *tree, struct mbr__st_walk *walk, unsigned depth)
{
    /* Only a reference that was taken since can have made another the owner, too. */
    unsigned i = walk->refs == tree->heap.refs ? walk->owned : 0;

    change(tree, walk);
    for (; i <= depth; i++)
        if (own_one(tree, walk, i)) {
            walk->owned = 0;
            return -ENOMEM;
        }
    walk->owned = i;
    walk->refs = tree->heap.refs;
    return 0;
}

int mbr__st_tree_set_value(struct mbr__st_tree *tree, struct mbr__st_walk *walk, const void *value,
                           uint32_t value_len)
{
    struct mbr__st_node *node;

    if (mbr__st_tree_own(tree, walk, walk->found))
        return -ENOMEM;
    node = walk->node[walk->found];
    if (value_len > node->capacity || node->capacity - value_len > 512) {
        struct mbr__st_node *copy = mbr__st_node_copy(&tree->heap, node, value_len);
        int error;

        if (!copy)
            return -ENOMEM;
        error = replace(tree, walk, walk->found, copy);
        MBR_ASSERT(error == 0);
        node = copy;
    }
    node->value_len = value_len;
    if (value_len)
        memcpy(mbr__st_value(node), value, value_len);
    node->generation = ++tree->generation;
    walk->refs = tree->heap.refs; /* a copy made just now shares what is beneath it only */
    return 0;
}

int mbr__st_tree_replace(struct mbr__st_tree *tree, struct mbr__st_walk *walk,
                         struct mbr__st_node *fresh)
{
    unsigned depth = walk->found;

    if (depth > 0 && mbr__st_tree_own(tree, walk, depth - 1))
        return -ENOMEM;
    change(tree, walk);
    if (replace(tree, walk, depth, fresh))
        return -ENOMEM;
    fresh->generation = ++tree->generation;
    if (walk->owned > depth)
        walk->owned = depth; /* it may be somebody else's, too */
    walk->refs = tree->heap.refs;
    mbr__st_tree_hint(walk, fresh->domains);
    return 0;
}

void mbr__st_tree_hint(struct mbr__st_walk *walk, uint64_t domains)
{
    for (unsigned i = 0; i <= walk->found; i++)
        walk->node[i]->domains |= domains;
}

int mbr__st_tree_set_perms(struct mbr__st_tree *tree, struct mbr__st_walk *walk,
                           struct mbr__st_perms *perms)
{
    struct mbr__st_node *node;

    if (mbr__st_tree_own(tree, walk, walk->found))
        return -ENOMEM;
    node = walk->node[walk->found];
    mbr__st_perms_ref(perms);
    mbr__st_perms_unref(node->perms);
    node->perms = perms;
    node->generation = ++tree->generation;
    mbr__st_tree_hint(walk, mbr__st_perms_domains(perms));
    return 0;
}

/* Component INDEX of PATH as a node, with CHILD beneath it unless that is NULL. */
static struct mbr__st_node *make_link(struct mbr__st_tree *tree, const struct mbr__st_path *path,
                                      unsigned index, struct mbr__st_perms *perms,
                                      struct mbr__st_node *child)
{
    struct mbr__st_node *node = mbr__st_node_new(&tree->heap, path->text + path->part[index].at,
                                                 path->part[index].len, 0, perms);

    if (!node)
        return NULL;
    node->generation = tree->generation;
    if (child)
        (void)mbr__st_node_attach(&tree->heap, node, child); /* a single child needs no branch */
    return node;
}

/* The chain of new nodes, the topmost returned. WALK gets them behind node[found]. */
static struct mbr__st_node *make_chain(struct mbr__st_tree *tree, const struct mbr__st_path *path,
                                       struct mbr__st_walk *walk, struct mbr__st_perms *perms,
                                       struct mbr__st_node *last, uint64_t id)
{
    struct mbr__st_node *node = last;

    for (unsigned i = path->count; i-- > walk->found;) {
        struct mbr__st_node *above = node;

        if (i < path->count - 1)
            node = make_link(tree, path, i, perms, above);
        if (!node) {
            mbr__st_ref(&tree->heap, mbr__st_leaf(above));
            mbr__st_unref(&tree->heap, mbr__st_leaf(above));
            return NULL;
        }
        node->id = id + (i - walk->found);
        walk->node[i + 1] = node;
    }
    return node;
}

int mbr__st_tree_create(struct mbr__st_tree *tree, const struct mbr__st_path *path,
                        struct mbr__st_walk *walk, struct mbr__st_perms *perms, const void *value,
                        uint32_t value_len, uint64_t *id)
{
    unsigned last = path->count - 1;
    struct mbr__st_node *parent;
    struct mbr__st_node *node;

    if (mbr__st_tree_own(tree, walk, walk->found))
        return -ENOMEM;
    parent = walk->node[walk->found];
    node = mbr__st_node_new(&tree->heap, path->text + path->part[last].at, path->part[last].len,
                            value_len, perms);
    if (!node)
        return -ENOMEM;
    if (value_len)
        memcpy(mbr__st_value(node), value, value_len);
    node->generation = ++tree->generation;
    node = make_chain(tree, path, walk, perms, node, *id);
    if (!node)
        return -ENOMEM;
    if (mbr__st_node_attach(&tree->heap, parent, node)) {
        mbr__st_ref(&tree->heap, mbr__st_leaf(node));
        mbr__st_unref(&tree->heap, mbr__st_leaf(node));
        return -ENOMEM;
    }
    parent->generation = tree->generation;
    tree->count += path->count - walk->found;
    *id += path->count - walk->found;
    walk->found = path->count;
    mbr__st_tree_hint(walk, node->domains);
    return 0;
}

int mbr__st_tree_remove(struct mbr__st_tree *tree, struct mbr__st_walk *walk)
{
    struct mbr__st_node *node = walk->node[walk->found];
    struct mbr__st_node *parent;
    mbr__st_trie *slots[2];

    if (mbr__st_tree_own(tree, walk, walk->found - 1))
        return -ENOMEM;
    parent = walk->node[walk->found - 1];
    if (mbr__st_node_own_child(&tree->heap, parent, node, slots))
        return -ENOMEM;
    mbr__st_node_detach(&tree->heap, parent, node);
    parent->generation = ++tree->generation;
    walk->stamp = 0; /* its end is not there any more */
    return 0;
}

void mbr__st_walker_start(struct mbr__st_walker *walker, struct mbr__st_node *node)
{
    walker->depth = 1;
    walker->place_depth = 0;
    walker->step[0] = (struct mbr__st_step){node, 0};
}

/* The next child of the node of the last step, or NULL. */
static struct mbr__st_node *next_child(struct mbr__st_walker *walker)
{
    struct mbr__st_step *step = &walker->step[walker->depth - 1];
    struct mbr__st_node *child = NULL;

    if (walker->place_depth == walker->depth)
        child = mbr__st_trie_next(&walker->place);
    if (!child)
        child = mbr__st_trie_ceil_at(step->node->by_id, step->next, MBR__ST_BY_ID, &walker->place);
    if (child) {
        walker->place_depth = walker->depth;
        step->next = child->id + 1;
    }
    return child;
}

struct mbr__st_node *mbr__st_walker_next(struct mbr__st_walker *walker, uint64_t domains)
{
    while (walker->depth > 0) {
        struct mbr__st_node *child = NULL;

        if (walker->step[walker->depth - 1].node->by_id)
            child = next_child(walker);
        if (!child) {
            walker->depth--;
            continue;
        }
        if (domains != UINT64_MAX && !(child->domains & domains))
            continue;
        MBR_ASSERT(walker->depth <= MBR__ST_DEPTH_MAX);
        walker->step[walker->depth++] = (struct mbr__st_step){child, 0};
        return child;
    }
    return NULL;
}

void mbr__st_walker_back(struct mbr__st_walker *walker)
{
    uint64_t id = walker->step[--walker->depth].node->id;

    walker->step[walker->depth - 1].next = id;
    walker->place_depth = 0;
}

void mbr__st_walker_skip(struct mbr__st_walker *walker)
{
    if (walker->depth > 0)
        walker->depth--;
}
