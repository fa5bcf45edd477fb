/* SPDX-License-Identifier: MIT */
/*
 * The memory of a persistent container made anew from its files, by somebody who is no member of it
 * and does not stay: membraned, for the first who joins after it was started.
 *
 * Not here: how members use it (persist.h).
 */
#ifndef MBR_OBJECT_REVIVE_H
#define MBR_OBJECT_REVIVE_H

#include <stdint.h>

#include "object/disk.h"

struct mbr__revive {
    const char *name;
    uint32_t uid; /* of its owner */
    int32_t group;
    uint32_t policy; /* enum mbr_write_policy */
    uint32_t flags;  /* MBR_CONTAINER_... */
};

/*
 * *memory: a descriptor of memory that has all objects of DISK, none of them loaded. The caller's.
 * Reads /proc/self for a moment's membership. -ENOMEM, -ENOSPC, -EMFILE, -ENFILE; -EFBIG the
 * process may not make files so large; -EPROTO what is on the disk cannot be in a container.
 */
int mbr__container_revive(const struct mbr__revive *what, struct mbr__disk *disk, int *memory);

#endif
