/* SPDX-License-Identifier: MIT */
/*
 * How sender and receiver find each other, whichever starts first.
 */
#ifndef TOOLS_MEET_H
#define TOOLS_MEET_H

#include "transfer.h"

/*
 * Opens or creates the pipe t->name and waits until the other side has greeted. `size` is what our
 * greeting says: the bytes to come, or STREAM_SIZE_UNKNOWN. Then t->open is true and *peer is the
 * other's greeting. Blocks as long as --timeout allows. Returns 0 or an exit code after a message.
 */
int meet(struct transfer *t, uint64_t size, struct stream_hello *peer);

#endif
