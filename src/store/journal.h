/* SPDX-License-Identifier: MIT */
/*
 * Collecting what changes for the journal: room is made before, so that noting cannot fail; the
 * batch goes out at the end of the request.
 *
 * Not here: loading (load.c).
 */
#ifndef MBR_STORE_JOURNAL_H
#define MBR_STORE_JOURNAL_H

#include "store/state.h"

/* Room for COUNT more changes; nothing to do without a journal. -ENOMEM. */
int mbr__st_journal_reserve(struct mbr__store *store, size_t count);

/* NODE is now as it is, beneath the node with id PARENT. */
void mbr__st_journal_put(struct mbr__store *store, const struct mbr__st_node *node,
                         uint64_t parent);
void mbr__st_journal_special(struct mbr__store *store, int which);
void mbr__st_journal_gone(struct mbr__store *store, enum mbr__store_change_kind kind, uint64_t id);

/* Reports what has been noted, if anything; each request asks, and most have changed nothing. */
void mbr__st_journal_report(struct mbr__store *store);

static inline void mbr__st_journal_flush(struct mbr__store *store)
{
    if (store->change_count > 0)
        mbr__st_journal_report(store);
}

/* `durable` or what was loaded has changed: what needs to wait no more. */
void mbr__st_journal_settle(struct mbr__store *store);

/* The answer to CONN will tell something that was changed at GENERATION: it waits until that is
 * durable. Needs room for a hold, which each request has. */
void mbr__st_seen(struct mbr__store_conn *conn, uint64_t generation);

#endif
