/* SPDX-License-Identifier: MIT */
/*
 * What takes long and is therefore done in slices: giving back what a removed subtree was charged
 * with, and looking through the tree for what belonged to a released domain.
 *
 * Not here: the visible part of a removal, which is done at once (change.h).
 */
#ifndef MBR_STORE_JOB_H
#define MBR_STORE_JOB_H

#include "store/state.h"

/* Room for a job; NULL: no memory. It becomes one by mbr__st_job_purge() or is freed. */
struct mbr__st_job *mbr__st_job_new(void);

/* TOP has left the tree with all beneath it: takes over one reference to it. */
void mbr__st_job_purge(struct mbr__store *store, struct mbr__st_job *job, struct mbr__st_node *top);

/* Looks for what belongs to DOMID, by permissions set before generation BEFORE (ANY: to any domain
 * that is not known). */
void mbr__st_job_reap(struct mbr__store *store, struct mbr__st_job *job, uint32_t domid, bool any,
                      uint64_t before);

/* Does at most about BUDGET steps. False if nothing is left. */
bool mbr__st_jobs_run(struct mbr__store *store, unsigned budget);

static inline bool mbr__st_jobs_left(const struct mbr__store *store)
{
    return !mbr__list_empty(&store->purges) || !mbr__list_empty(&store->reaps) ||
           store->tree.heap.garbage;
}

/* Does all that gives back charges, and does not touch the living tree: before a quota refuses
 * something, what was given up must have been counted. */
void mbr__st_jobs_settle(struct mbr__store *store);

void mbr__st_jobs_free(struct mbr__store *store);

#endif
