/* SPDX-License-Identifier: MIT */
/*
 * What the disk's thread does with a request; see shelf.h. Arguments are a client's: numbers and
 * names go through the catalogue's checks, bytes of blocks are copied out of its memory once, by
 * reading and not by mapping, so that nothing it does with that memory can stop us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container.h"
#include "object/disk_file.h"
#include "object/disk_state.h"
#include "object/memory.h"
#include "object/revive.h"
#include "shelf_impl.h"

#define OBJECT_BYTES                                                            \
    1024u /* that an object is charged for: its record, and its entry in memory \
           */

/* A number so far above the last would leave none for those who come later. */
#define ID_STEP (UINT64_C(1) << 32)

/* ---- charges ----------------------------------------------------------------------------------
 */

static struct shelf_owner *owner_of(const struct stored *stored)
{
    return mbr__hash_get(&stored->shelf->owners, (uint64_t)stored->what.uid + 1);
}

static void charge(struct stored *stored, uint64_t bytes)
{
    struct shelf_owner *owner = owner_of(stored);

    if (owner == NULL) {
        owner = calloc(1, sizeof(*owner));
        if (owner == NULL)
            return; /* charged when it changes next */
        owner->uid = stored->what.uid;
        if (mbr__hash_put(&stored->shelf->owners, (uint64_t)owner->uid + 1, owner) != 0) {
            free(owner);
            return;
        }
    }
    owner->bytes += bytes - stored->bytes;
    stored->bytes = bytes;
}

/* The thread charges, and the loop, for what it finds later. */
void shelf_charge(struct stored *stored, uint64_t bytes)
{
    (void)pthread_mutex_lock(&stored->shelf->mutex);
    charge(stored, bytes);
    (void)pthread_mutex_unlock(&stored->shelf->mutex);
}

bool shelf_may(const struct stored *stored, uint64_t more)
{
    struct shelf *shelf = stored->shelf;
    const struct shelf_owner *owner;
    uint64_t has;

    (void)pthread_mutex_lock(&shelf->mutex);
    owner = owner_of(stored);
    has = owner != NULL ? owner->bytes : 0;
    (void)pthread_mutex_unlock(&shelf->mutex);
    return shelf->limit == 0 || container_user_privileged(stored->what.uid) ||
           (has <= shelf->limit && more <= shelf->limit - has);
}

static void recount(struct stored *stored)
{
    const struct mbr__catalog *catalog = mbr__disk_catalog(stored->disk);

    shelf_charge(stored, catalog->by_id.count * (uint64_t)OBJECT_BYTES +
                             catalog->taken * (uint64_t)MBR_OBJECT_BLOCK);
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

static void abandon(struct desk *desk)
{
    if (desk->write != NULL)
        mbr__disk_abandon(desk->stored->disk, desk->write);
    desk->write = NULL;
}

/* Whoever writes must know the size: with another one he would write parts of his blocks. */
static int check_size(struct desk *desk, const struct mbr__catalog_object **out)
{
    const struct mbr__catalog_object *o =
        mbr__catalog_by_id(mbr__disk_catalog(desk->stored->disk), desk->asked.id);

    if (o == NULL)
        return -ENOENT;
    *out = o;
    return o->size == desk->size ? 0 : -EAGAIN;
}

static int begin(struct desk *desk)
{
    const struct mbr__catalog_object *o;
    int rc;

    abandon(desk);
    desk->size = desk->asked.size;
    rc = check_size(desk, &o);
    return rc == 0 ? mbr__disk_write_begin(desk->stored->disk, desk->asked.id, &desk->write) : rc;
}

static int write_block(struct desk *desk)
{
    struct stored *stored = desk->stored;
    const struct mbr__catalog_object *o = NULL;
    struct mbr__disk_dirty dirty = {0, stored->shelf->block};
    uint32_t bytes;
    int rc;

    if (desk->write == NULL || desk->write->id != desk->asked.id)
        return -EAGAIN;
    if (desk->memory < 0)
        return -EPROTO;
    if (!shelf_may(stored, MBR_OBJECT_BLOCK))
        return -EDQUOT;
    rc = check_size(desk, &o);
    if (rc < 0)
        return rc;
    if (desk->asked.more >= MBR__JOURNAL_BLOCKS_MAX)
        return -ERANGE;
    dirty.block = (uint32_t)desk->asked.more;
    bytes = mbr__catalog_block_bytes(o->size, dirty.block);
    if (bytes == 0)
        return -ERANGE;
    rc = mbr__disk_read_at(desk->memory, stored->shelf->block, bytes, 0);
    return rc == 0 ? mbr__disk_write_block(stored->disk, desk->write, &dirty) : rc;
}

static int commit(struct desk *desk)
{
    struct mbr__disk_write *write = desk->write;
    const struct mbr__catalog_object *o;
    int rc;

    if (write == NULL || write->id != desk->asked.id)
        return -EAGAIN;
    rc = check_size(desk, &o);
    if (rc < 0 || write->count == 0) {
        abandon(desk);
        return rc;
    }
    desk->write = NULL;
    return mbr__disk_commit(desk->stored->disk, write);
}

/* ---- objects ----------------------------------------------------------------------------------
 */

static int create(struct desk *desk)
{
    struct mbr__disk *disk = desk->stored->disk;
    const struct mbr__catalog *catalog = mbr__disk_catalog(disk);
    const struct mbr__broker_disk *asked = &desk->asked;

    if (asked->more > MBR_WRITE_VERSIONED || asked->id - 1 - catalog->last_id >= ID_STEP)
        return -EINVAL;
    if (asked->more == MBR_WRITE_VERSIONED && asked->size > MBR_OBJECT_SIZE_MAX / 2)
        return -EFBIG;
    if (catalog->by_id.count >= MBR_CONTAINER_OBJECTS)
        return -ENOSPC;
    if (!shelf_may(desk->stored, OBJECT_BYTES))
        return -EDQUOT;
    return mbr__disk_create(disk, asked->id, desk->name, asked->size, (uint32_t)asked->more);
}

static int resize(struct desk *desk)
{
    struct mbr__disk *disk = desk->stored->disk;
    const struct mbr__catalog_object *o =
        mbr__catalog_by_id(mbr__disk_catalog(disk), desk->asked.id);

    if (o != NULL && o->policy == MBR_WRITE_VERSIONED && desk->asked.size > MBR_OBJECT_SIZE_MAX / 2)
        return -EFBIG;
    return mbr__disk_resize(disk, desk->asked.id, desk->asked.size);
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

/* They can be read and nothing else: the files are for the daemon's user alone to open again. */
static int open_to_read(struct desk *desk)
{
    static const char *const names[] = {MBR__DISK_JOURNAL, MBR__DISK_BLOCKS};

    for (int i = 0; i < 2; i++) {
        desk->fds[i] = openat(desk->stored->disk->dir, names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (desk->fds[i] < 0) {
            int rc = -errno;

            desk_close_fds(desk);
            return rc;
        }
    }
    return 0;
}

static int take_lent(struct desk *desk)
{
    int fd = desk->lent;
    int rc;

    if (fd < 0)
        return 0;
    desk->lent = -1;
    rc = mbr__object_desk_check(fd, MBR__BROKER_DESK);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    if (desk->memory >= 0)
        (void)close(desk->memory);
    desk->memory = fd;
    return 0;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static int carry_out(struct desk *desk)
{
    struct mbr__disk *disk = desk->stored->disk;

    switch (desk->asked.op) {
    case MBR__BROKER_DISK_OPEN:
        return open_to_read(desk);
    case MBR__BROKER_DISK_STATE:
        return 0;
    case MBR__BROKER_DISK_CREATE:
        return create(desk);
    case MBR__BROKER_DISK_REMOVE:
        return mbr__disk_remove(disk, desk->asked.id);
    case MBR__BROKER_DISK_RENAME:
        return mbr__disk_rename(disk, desk->asked.id, desk->name);
    case MBR__BROKER_DISK_RESIZE:
        return resize(desk);
    case MBR__BROKER_DISK_BEGIN:
        return begin(desk);
    case MBR__BROKER_DISK_BLOCK:
        return write_block(desk);
    case MBR__BROKER_DISK_COMMIT:
        return commit(desk);
    case MBR__BROKER_DISK_ABANDON:
        abandon(desk);
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

static int destroy(struct desk *desk)
{
    int rc;

    abandon(desk);
    rc = shelf_remove(desk->stored);
    if (rc == 0) {
        desk->stored->gone = true;
        shelf_charge(desk->stored, 0);
    }
    return rc;
}

static int serve(struct desk *desk)
{
    struct stored *stored = desk->stored;
    int rc = take_lent(desk);

    if (rc == 0 && stored->gone)
        rc = -ESTALE;
    if (rc == 0 && desk->asked.op == MBR__BROKER_DISK_DESTROY)
        return destroy(desk);
    if (rc == 0)
        rc = shelf_open_disk(stored);
    if (rc == 0)
        rc = mbr__disk_refresh(stored->disk, false); /* nobody has cut it off */
    if (rc == 0)
        rc = carry_out(desk);
    if (stored->disk == NULL)
        return rc;
    recount(stored);
    desk->answer.generation = stored->disk->header.generation;
    desk->answer.end = stored->disk->end;
    return rc;
}

static int revive(struct desk *desk)
{
    struct stored *stored = desk->stored;
    struct mbr__revive what = {.name = stored->what.name,
                               .uid = stored->what.uid,
                               .group = stored->what.group,
                               .policy = stored->what.policy,
                               .flags = stored->what.flags};
    int rc = stored->gone ? -ENOENT : shelf_open_disk(stored);

    if (rc != 0 || stored->remembered)
        return rc;
    rc = mbr__container_revive(&what, stored->disk, &desk->fds[0]);
    if (rc == 0) {
        rc = shelf_remember(stored, desk->fds[0]);
        if (rc != 0)
            desk_close_fds(desk);
    }
    if (rc == 0) {
        stored->remembered = true;
        recount(stored);
    }
    return rc;
}

static int adopt(struct desk *desk)
{
    struct stored *stored = desk->stored;
    int rc = stored->gone ? -ESTALE : shelf_open_disk(stored);

    if (rc == 0)
        rc = shelf_remembers(stored, desk->lent);
    if (rc == 0) {
        stored->remembered = true;
        recount(stored);
    }
    return rc;
}

static int make(struct desk *desk)
{
    struct stored *stored = desk->stored;
    int rc = shelf_may(stored, 0) ? shelf_make(stored, desk->lent) : -EDQUOT;

    stored->remembered = rc == 0;
    return rc;
}

void shelf_work(struct desk *desk)
{
    int rc = 0;

    switch (desk->job) {
    case DESK_MAKE:
        rc = make(desk);
        break;
    case DESK_REVIVE:
        rc = revive(desk);
        break;
    case DESK_ADOPT:
        rc = adopt(desk);
        break;
    case DESK_DISK:
        rc = serve(desk);
        break;
    case DESK_LEAVE:
        abandon(desk);
        break;
    }
    desk->answer.status = rc;
}
