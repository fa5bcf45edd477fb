/* SPDX-License-Identifier: MIT */
/*
 * Transactions, optimistic as the C daemon's: a node counts as it was when the transaction touched
 * it first; what it has not touched is read live; the commit fails if anything it has touched, by
 * reading or writing, has changed since. Changes live in the transaction until then.
 *
 * The path is store->path. Functions return 0 or a negative errno.
 *
 * Not here: the messages (request_tx.c).
 */
#ifndef MBR_STORE_TX_H
#define MBR_STORE_TX_H

#include "store/state.h"

/* A new transaction of CONN. -ENOSPC (quota), -ENOMEM. */
int mbr__st_tx_start(struct mbr__store_conn *conn, struct mbr__st_tx **tx);

/* The open transaction ID of CONN, or NULL. */
struct mbr__st_tx *mbr__st_tx_find(const struct mbr__store_conn *conn, uint32_t id);

/* Ends it without a trace. */
void mbr__st_tx_free(struct mbr__st_tx *tx);
void mbr__st_tx_free_all(struct mbr__store_conn *conn);

/* Fills store->walk with the path as TX sees it, and notes that it was read. */
int mbr__st_tx_read(struct mbr__st_tx *tx);

/* The same without noting anything: for looking at what is above. */
void mbr__st_tx_look(struct mbr__st_tx *tx);

int mbr__st_tx_write(struct mbr__st_tx *tx, const void *value, uint32_t len);
int mbr__st_tx_mkdir(struct mbr__st_tx *tx);
int mbr__st_tx_rm(struct mbr__st_tx *tx);
int mbr__st_tx_set_perms(struct mbr__st_tx *tx, struct mbr__st_perms *perms);

/* Carries it out: 0, or -EAGAIN, -ENOSPC, -ENOMEM with nothing changed. The events are queued. TX
 * is still there. */
int mbr__st_tx_commit(struct mbr__st_tx *tx);

/* Whether everything it has touched is still as it was. */
bool mbr__st_tx_valid(struct mbr__st_tx *tx);

/* One more access, as live update restores it. For the path, with no nodes; NULL: no memory. */
struct mbr__st_access *mbr__st_tx_restore_access(struct mbr__st_tx *tx);

#endif
