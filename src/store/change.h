/* SPDX-License-Identifier: MIT */
/*
 * Changes of the living tree with all that belongs to them: permissions, quotas, the journal,
 * watches. The path is store->path. Each returns 0 or a negative errno with nothing changed.
 *
 * Not here: changes inside transactions (tx.h).
 */
#ifndef MBR_STORE_CHANGE_H
#define MBR_STORE_CHANGE_H

#include "store/state.h"

int mbr__st_live_write(struct mbr__store_conn *conn, const void *value, uint32_t len);
int mbr__st_live_mkdir(struct mbr__store_conn *conn);
int mbr__st_live_rm(struct mbr__store_conn *conn);

/* PERMS have one reference, which stays the caller's. */
int mbr__st_live_set_perms(struct mbr__store_conn *conn, struct mbr__st_perms *perms);

/* ---- What transactions share ---- */

/* Why CONN may not change something for which it needs WRITE: FOUND components of the path are
 * there, NEAR is the last of them. 0: it may. */
int mbr__st_may_write(const struct mbr__store_conn *conn, const struct mbr__st_node *near);

/* Permissions, with a reference, for nodes that CONN makes beneath PARENT; NULL: no memory. */
struct mbr__st_perms *mbr__st_inherit(struct mbr__store_conn *conn,
                                      const struct mbr__st_node *parent);

/* Whether CONN may make the components of PATH from FOUND on beneath NEAR, with these permissions
 * and a last value of LEN bytes; NODES and MEMORY are what it holds in a transaction already. */
int mbr__st_may_create(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                       unsigned found, const struct mbr__st_node *near, uint32_t perm_count,
                       uint32_t len, int64_t nodes);

/* Whether CONN may give NODE a value of LEN bytes. */
int mbr__st_may_set_value(struct mbr__store_conn *conn, const struct mbr__st_node *node,
                          uint32_t len);

/* Takes the node at the end of WALK, on PATH, out of the tree: charges, events, background work.
 * Needs room in the journal. JOB: from mbr__st_job_new() if it has children, taken over on success.
 * CLEANING: the journal learns of it, too. -ENOMEM. */
int mbr__st_remove(struct mbr__store *store, const struct mbr__st_path *path,
                   struct mbr__st_walk *walk, struct mbr__st_job *job);

/* The removed subtree TOP, of which one reference is taken over, is given back: at once, or by JOB
 * if it has children. */
void mbr__st_give_back(struct mbr__store *store, struct mbr__st_node *top, struct mbr__st_job *job);

#endif
