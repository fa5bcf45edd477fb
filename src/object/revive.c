/* SPDX-License-Identifier: MIT */
/*
 * See revive.h. Nobody else has the memory yet, so nothing in it is doubted.
 */
#include "object/revive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "object/container.h"
#include "object/member.h"
#include "object/memory.h"
#include "object/persist.h"

static int enter(struct mbr__container *c, struct mbr__disk *disk)
{
    int rc = mbr__member_claim(c);

    if (rc != 0)
        return rc;
    mbr_store_release(&mbr__member_at(c, c->world.self)->state, MBR__MEMBER_HERE);
    c->disk = disk;
    rc = mbr__persist_enter_objects(c);
    c->disk = NULL;
    mbr__member_release(c);
    return rc;
}

static int fill(struct mbr__container *c, const struct mbr__revive *what, struct mbr__disk *disk)
{
    int rc;

    memcpy(c->name, what->name, strlen(what->name));
    rc = mbr__container_furnish(c, what->policy);
    if (rc != 0)
        return rc;
    c->shm->uid = what->uid;
    c->shm->group = what->group;
    c->shm->flags = what->flags;
    return enter(c, disk);
}

int mbr__container_revive(const struct mbr__revive *what, struct mbr__disk *disk, int *memory)
{
    struct mbr__container *c = NULL;
    int kept;
    int fd;
    int rc;

    if (strlen(what->name) > MBR_OBJECT_NAME_MAX)
        return -ENAMETOOLONG;
    rc = mbr__object_memory_new(what->name, &fd);
    if (rc != 0)
        return rc;
    kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    rc = kept >= 0 ? mbr__container_new(fd, &c) : -errno;
    if (rc != 0) {
        (void)close(fd);
    } else {
        MBR_ASSERT(c != NULL);
        rc = fill(c, what, disk);
        mbr__container_free(c);
    }
    if (rc == 0)
        *memory = kept;
    else if (kept >= 0)
        (void)close(kept);
    return rc == -EEXIST ? -EPROTO : rc;
}
