/* SPDX-License-Identifier: MIT */
/*
 * Taking connections from the listening socket, and what happens when descriptors, memory or the
 * configured number run out: new connections are refused at once rather than left hanging, old ones
 * go on.
 */
#ifndef DAEMON_ACCEPT_H
#define DAEMON_ACCEPT_H

#include "server.h"

/* The listener is readable. */
void accept_ready(struct source *self, uint32_t events);

#endif
