/* SPDX-License-Identifier: MIT */
/*
 * Watches: a trie of the paths that are watched, so that a change looks at the names on its own
 * path only; and the rule who may learn of what.
 *
 * Not here: the queues the events go to (out.h).
 */
#ifndef MBR_STORE_WATCH_H
#define MBR_STORE_WATCH_H

#include "store/state.h"

void mbr__st_watch_init(struct mbr__store *store);
void mbr__st_watch_fini(struct mbr__store *store);

/* A watch of CONN on PATH with the NUL-terminated TOKEN, DEPTH levels deep (UINT32_MAX: all).
 * -EEXIST, -ENOSPC (quota), -ENOMEM. */
int mbr__st_watch_add(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                      const char *token, uint32_t depth, struct mbr__st_watch **watch);

/* Ends it. -ENOENT. */
int mbr__st_watch_del(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                      const char *token);
void mbr__st_watch_del_all(struct mbr__store_conn *conn);

/* Something that has changed, or changes now. */
struct mbr__st_fire {
    const char *path; /* absolute, canonical */
    size_t len;
    struct mbr__st_name *name;          /* of the path, or the nearest one above that is watched */
    unsigned depth;                     /* components of the path */
    bool exact;                         /* only watches of the path itself */
    const struct mbr__st_perms *perms;  /* of the node, NULL if there is none */
    const struct mbr__st_perms *parent; /* of its parent, or NULL */
    const struct mbr__st_perms *old_perms; /* before they were changed, or NULL */
};

/* Queues the events for it, in the order in which the watches were made. */
void mbr__st_fire(struct mbr__store *store, const struct mbr__st_fire *fire);

/* The name to fire for PATH: the deepest in the set that is on it; NULL: nothing is watched. */
struct mbr__st_name *mbr__st_watch_nearest(const struct mbr__store *store,
                                           const struct mbr__st_path *path);

/*
 * A subtree is removed: TOP was at PATH, PARENT are the permissions of its parent. What was in it
 * fires exactly, children before parents; then TOP fires as any change.
 */
void mbr__st_fire_removal(struct mbr__store *store, const char *path, size_t len, unsigned depth,
                          struct mbr__st_name *name, struct mbr__st_node *top,
                          const struct mbr__st_perms *parent);

/* @introduceDomain or @releaseDomain of DOMID. */
void mbr__st_fire_special(struct mbr__store *store, int which, uint32_t domid);

/* Which special name the LEN bytes at TEXT are, or -1. */
int mbr__st_special_find(const char *text, size_t len);

#endif
