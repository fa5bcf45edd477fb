/* SPDX-License-Identifier: MIT */
/*
 * Domains, what they may do to a node, what they hold, and how much they may.
 *
 * An entry in permissions names a domain by number. Numbers are used again, so it counts only for
 * a domain that is older than the entry (birth and generation): a new one inherits nothing.
 *
 * Not here: the removal of a released domain's nodes (job.h).
 */
#ifndef MBR_STORE_DOMAIN_H
#define MBR_STORE_DOMAIN_H

#include "store/state.h"

#define MBR__ST_READ  1u
#define MBR__ST_WRITE 2u
#define MBR__ST_OWN   4u

/* The known domain DOMID, or NULL. */
struct mbr__st_domain *mbr__st_domain_find(const struct mbr__store *store, uint32_t domid);

/* The same, made known if need be; NULL: no memory. DOMID is below the reserved ones. */
struct mbr__st_domain *mbr__st_domain_make(struct mbr__store *store, uint32_t domid);

/* One reference fewer. */
void mbr__st_domain_unref(struct mbr__st_domain *domain);

/* What CONN may do to a node with PERMS: READ | WRITE | OWN. */
unsigned mbr__st_rights(const struct mbr__store_conn *conn, const struct mbr__st_perms *perms);

/* The domain that owns what has PERMS, or NULL if there is none any more. */
struct mbr__st_domain *mbr__st_owner(const struct mbr__store *store,
                                     const struct mbr__st_perms *perms);

/* ---- Quotas (quota.c) ---- */

/* The name of WHAT on the wire, and what `control quota` says about it. */
const char *mbr__st_quota_name(int what);
const char *mbr__st_quota_text(int what);

/* WHAT for a name of LEN bytes, SOFT if it begins with "soft-"; -EINVAL. */
int mbr__st_quota_parse(const char *name, size_t len, bool *soft);

/* The limit for DOMAIN; 0: none. */
uint64_t mbr__st_limit(const struct mbr__store *store, const struct mbr__st_domain *domain,
                       enum mbr__store_quota what);

/* Whether VALUE of WHAT is too much for CONN; it never is for a privileged one. */
bool mbr__st_exceeds(const struct mbr__store_conn *conn, enum mbr__store_quota what,
                     uint64_t value);

/* Whether DOMAIN, unless it is 0, would hold too much with MORE. */
bool mbr__st_over(const struct mbr__store *store, const struct mbr__st_domain *domain,
                  enum mbr__store_quota what, uint64_t more);

/* DOMAIN (NULL: nobody) holds MORE of WHAT, or less. */
void mbr__st_use(struct mbr__store *store, struct mbr__st_domain *domain,
                 enum mbr__store_quota what, int64_t more);

/* Counts and logs that a quota has stopped CONN; returns ERROR. */
int mbr__st_refuse(struct mbr__store_conn *conn, enum mbr__store_quota what, int error);

/* What a node costs its owner, in bytes. */
uint64_t mbr__st_node_cost(const struct mbr__st_node *node);

/* Its size in the sense of the quota node-size, with VALUE_LEN and LIST_LEN for its own. */
uint64_t mbr__st_node_extent(uint32_t perm_count, uint64_t value_len, uint64_t list_len);

/* NODE begins, or ceases, to belong to its owner. */
void mbr__st_charge_node(struct mbr__store *store, const struct mbr__st_node *node, int sign);

/* ---- Fairness of writes (quota.c) ---- */

/* What a domain may have saved: ten writes. */
#define MBR__ST_BURST INT64_C(10000000000)

/* CONN has written; OTHERS: transactions open that this may make fail. */
void mbr__st_debit(struct mbr__store_conn *conn, uint32_t others);

/* When a guest in debt may go on; 0: now. */
uint64_t mbr__st_credit_at(struct mbr__store *store, struct mbr__st_domain *domain);

#endif
