/* SPDX-License-Identifier: MIT */
/*
 * A set of paths that something hangs on, as a tree of their components: watches, and what a
 * transaction has touched. A name's few children are looked at one by one; where there are many,
 * one hash map of the whole set finds them. So a step costs the same however many names there are,
 * a small set needs no map, and nothing is paid for paths that are not in it.
 *
 * Not here: the nodes of the store itself (node.h).
 */
#ifndef MBR_STORE_NAMES_H
#define MBR_STORE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "store/path.h"

struct mbr__st_name {
    struct mbr__list sibling;  /* in the parent's children */
    struct mbr__list children; /* in the order in which they came */
    struct mbr__list items;    /* the user's */
    void *data;                /* the user's; a name lives while it has items, data or children */
    uint32_t count;            /* of children */
    bool mapped;               /* they are in the map: there are, or were, many */
    uint32_t depth;            /* of the root: 0 */
    uint32_t len;
    struct mbr__st_name *parent; /* with the text, the key in the map */
    char text[];
};

struct mbr__st_names {
    struct mbr__bytes_map map;
    struct mbr__st_name *root; /* NULL while the set is empty */
};

void mbr__st_names_init(struct mbr__st_names *names);

/* Frees the names, whatever they still hold; it is then empty and usable. */
void mbr__st_names_fini(struct mbr__st_names *names);

/* The child of AT called TEXT, or NULL. AT may be NULL. */
struct mbr__st_name *mbr__st_names_child(const struct mbr__st_names *names, struct mbr__st_name *at,
                                         const char *text, size_t len);

/* The name of PATH, or NULL. A special path is a child of the root. */
struct mbr__st_name *mbr__st_names_find(const struct mbr__st_names *names,
                                        const struct mbr__st_path *path);

/* The same, made if need be; NULL: no memory. Must be given something to hold, or released. */
struct mbr__st_name *mbr__st_names_make(struct mbr__st_names *names,
                                        const struct mbr__st_path *path);

/*
 * The same for the first LEVEL components of PATH, which is not special. KNOWN has the names of all
 * its levels from the root on, NULL from where there is none, and gets those that are made.
 */
struct mbr__st_name *mbr__st_names_make_level(struct mbr__st_names *names,
                                              const struct mbr__st_path *path, unsigned level,
                                              struct mbr__st_name **known);

/* Forgets NAME and those above it as far as they hold nothing. */
void mbr__st_names_release(struct mbr__st_names *names, struct mbr__st_name *name);

/* The path of NAME, absolute, into OUT (which has room for the longest); its length. */
size_t mbr__st_names_path(const struct mbr__st_name *name, char out[MBR__STORE_ABS_PATH_MAX + 1]);

/* The name behind AT in a walk over TOP and all beneath it, parents first; NULL at the end. */
struct mbr__st_name *mbr__st_names_next(struct mbr__st_name *top, struct mbr__st_name *at);

#endif
