/* SPDX-License-Identifier: MIT */
/*
 * The living tree: walking to a path, and the changes, each of which happens wholly or, for want of
 * memory, not at all. What is shared with a snapshot or a transaction is copied on the way.
 *
 * Not here: permissions, quotas, watches and journals, which are the callers' business.
 */
#ifndef MBR_STORE_TREE_H
#define MBR_STORE_TREE_H

#include "store/node.h"
#include "store/path.h"

struct mbr__st_tree {
    struct mbr__st_heap heap;
    struct mbr__st_node *root; /* one reference */
    uint64_t next_id;
    uint64_t generation; /* the last one given out */
    uint64_t stamp;      /* counts the changes that may make a walk wrong; never 0 */
    uint64_t count;      /* nodes reachable */
};

/*
 * The nodes from the root to a path, as far as there are any. It is kept from one walk to the next:
 * while the tree has been changed through this walk alone, what the paths have in common need not
 * be looked up again, nor made one's own again. Zeroed at first.
 */
struct mbr__st_walk {
    unsigned found; /* components that are there: node[found] is the last */
    unsigned owned; /* node[0] to node[owned - 1] were nobody else's when `refs` was so */
    uint64_t stamp; /* of the tree, for which it is right; 0: for none */
    uint64_t refs;  /* references taken in the heap by then */
    struct mbr__st_node *node[MBR__ST_DEPTH_MAX + 1];
};

/* A tree of a root alone, with these permissions. -ENOMEM. */
int mbr__st_tree_init(struct mbr__st_tree *tree, struct mbr__st_perms *perms);
void mbr__st_tree_fini(struct mbr__st_tree *tree);

/* Walks to PATH. WALK is good until the tree changes otherwise than through WALK itself. It must
 * always be used with the same PATH object, whose `same` is set. */
void mbr__st_tree_walk(const struct mbr__st_tree *tree, struct mbr__st_path *path,
                       struct mbr__st_walk *walk);

/* The tree was changed otherwise than by the functions below. */
static inline void mbr__st_tree_touch(struct mbr__st_tree *tree)
{
    tree->stamp++;
}

/* Makes node[0] to node[DEPTH] ones that nobody else sees. -ENOMEM: nothing that can be seen has
 * changed. */
int mbr__st_tree_own(struct mbr__st_tree *tree, struct mbr__st_walk *walk, unsigned depth);

/* Gives node[found] a new value. It gets a new generation. -ENOMEM. */
int mbr__st_tree_set_value(struct mbr__st_tree *tree, struct mbr__st_walk *walk, const void *value,
                           uint32_t value_len);

/* Puts FRESH, another version of node[found] that nobody has changed but the caller, and without
 * children as it, in its place. It gets a new generation, and references. -ENOMEM. */
int mbr__st_tree_replace(struct mbr__st_tree *tree, struct mbr__st_walk *walk,
                         struct mbr__st_node *fresh);

/* Gives node[found] other permissions (a reference is taken) and a new generation. -ENOMEM. */
int mbr__st_tree_set_perms(struct mbr__st_tree *tree, struct mbr__st_walk *walk,
                           struct mbr__st_perms *perms);

/*
 * Makes the nodes of PATH behind node[found], all with PERMS, the last with VALUE; afterwards
 * the walk ends at it. New ids ascend from *ID on, which is advanced. The parent gets a new
 * generation. -ENOMEM.
 */
int mbr__st_tree_create(struct mbr__st_tree *tree, const struct mbr__st_path *path,
                        struct mbr__st_walk *walk, struct mbr__st_perms *perms, const void *value,
                        uint32_t value_len, uint64_t *id);

/*
 * Takes node[found], which is not the root, out of its parent, which gets a new generation. The
 * node's two references are the caller's; it stays in WALK. `count` is not changed: the caller
 * counts what it held. -ENOMEM.
 */
int mbr__st_tree_remove(struct mbr__st_tree *tree, struct mbr__st_walk *walk);

/* Adds bits to the hints of node[0] to node[found]. */
void mbr__st_tree_hint(struct mbr__st_walk *walk, uint64_t domains);

/* Steps through a subtree, parents first, without recursion and without touching it. */
struct mbr__st_step {
    struct mbr__st_node *node;
    uint64_t next; /* the least id of a child still to visit */
};

struct mbr__st_walker {
    unsigned depth; /* steps in use */
    /* Where the child was that the step of this depth came to last: the next one is mostly beside
     * it. What is walked over does not change, since it is referred to by its owner and by whoever
     * walks; a change makes copies. 0: of none. */
    unsigned place_depth;
    struct mbr__st_place place;
    struct mbr__st_step step[MBR__ST_DEPTH_MAX + 1];
};

/* Begins at NODE, to which the caller holds a reference meanwhile. */
void mbr__st_walker_start(struct mbr__st_walker *walker, struct mbr__st_node *node);

/* The next node (its depth below the first: walker->depth - 1), or NULL at the end. DOMAINS: only
 * subtrees whose hint has one of these bits; UINT64_MAX: all. The node visited first is not given:
 * it is the start. */
struct mbr__st_node *mbr__st_walker_next(struct mbr__st_walker *walker, uint64_t domains);

/* The node given last, which has a parent in the walk, will be given again. */
void mbr__st_walker_back(struct mbr__st_walker *walker);

/* Leaves out what is beneath the node given last. */
void mbr__st_walker_skip(struct mbr__st_walker *walker);

#endif
