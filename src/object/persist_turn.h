/* SPDX-License-Identifier: MIT */
/* Turns at a persistent container's directory, for persist.c and persist_sync.c. */
#ifndef MBR_OBJECT_PERSIST_TURN_H
#define MBR_OBJECT_PERSIST_TURN_H

#include "object/container.h"

/* Waits for our turn, opens the directory if this process has not yet, and reads what others have
 * written: c->disk is ours until mbr__persist_exit(). Errors as in persist.h, with nothing held. */
int mbr__persist_enter(struct mbr__container *c);
void mbr__persist_exit(struct mbr__container *c);

#endif
