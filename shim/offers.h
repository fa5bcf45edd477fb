/* SPDX-License-Identifier: MIT */
/*
 * The regions that wait for the other end of their connection (upgrade.c). Each holds a descriptor,
 * and most of a peer that is not under the shim, or is silent, would hold theirs for ever: a
 * program with many connections would find its table of descriptors full at half its size. So there
 * are only so many, and a new one takes the place of the oldest.
 */
#ifndef MBR_SHIM_OFFERS_H
#define MBR_SHIM_OFFERS_H

#include "conn.h"

/* c has a region with a descriptor. The connection that must give up its own for it, with a
 * reference, or NULL. Under shim_names_latch. */
struct shim_conn *shim_offers_add(struct shim_conn *c);

/* c has none any more. Any thread, no lock. */
void shim_offers_remove(struct shim_conn *c);

/* In a forked child: those that there are are its parent's. */
void shim_offers_forked(void);

#endif
