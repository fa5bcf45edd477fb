/* SPDX-License-Identifier: MIT */
/*
 * Making an object's bytes durable. A volatile container has nothing that would outlast it.
 *
 * Not here: how a persistent container keeps its bytes (disk.h).
 */
#include <errno.h>

#include "object/object.h"

int mbr_object_sync(int object)
{
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, object, &h);

    if (rc < 0)
        return rc;
    mbr__handle_exit(h);
    return -EOPNOTSUPP;
}
