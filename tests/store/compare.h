/* SPDX-License-Identifier: MIT */
/*
 * What the engine and the naive store have told a connection, compared: every reply, and the events
 * between two replies in any order.
 */
#ifndef MBR_TESTS_STORE_COMPARE_H
#define MBR_TESTS_STORE_COMPARE_H

#include "local.h"
#include "model.h"

/* Both queues of WHO are read to the end. False if they are not the same: WRONG tells. */
bool compare_queues(struct local *local, struct model *model, char who, char *wrong, size_t size);

#endif
