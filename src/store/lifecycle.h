/* SPDX-License-Identifier: MIT */
/*
 * Odd ends between the engine's parts: loading, forgetting domains, checking.
 *
 * Not here: the interface to the outside (engine.h).
 */
#ifndef MBR_STORE_LIFECYCLE_H
#define MBR_STORE_LIFECYCLE_H

#include "store/state.h"

/* Tells the journal of the initial tree, unless something has happened already. -ENOMEM. */
int mbr__st_report_initial(struct mbr__store *store);

/* DOMAIN is not known any more. */
void mbr__st_domain_forget(struct mbr__store *store, struct mbr__st_domain *domain);

/* Ends a load that was begun. */
void mbr__st_load_abandon(struct mbr__store *store);

/* As mbr__store_load_feed(), in any order that has parents first; PERMS_GENERATION is when the
 * permissions were set. */
int mbr__st_load_node(struct mbr__store *store, const struct mbr__store_change *put,
                      uint64_t perms_generation);

/*
 * Recounts everything that is counted, and looks at the structure of the tree and of the watches:
 * NULL, or what is wrong, in TEXT. Takes long with a large tree. For tests and `control check`.
 */
const char *mbr__st_check(struct mbr__store *store, char *text, size_t size);

#endif
