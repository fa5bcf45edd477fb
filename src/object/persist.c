/* SPDX-License-Identifier: MIT */
/*
 * See persist.h: taking turns at the directory, and the changes of what objects there are. Bytes
 * are read in persist_load.c and written in persist_sync.c.
 */
#include "object/persist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "object/broker.h"
#include "object/disk.h"
#include "object/persist_turn.h"
#include "object/table.h"

/* ---- turns ----------------------------------------------------------------------------------- */

/* The directory's name, which others can write to: a copy that ends. */
static int open_directory(struct mbr__container *c)
{
    char path[sizeof(c->shm->directory)];

    if (c->disk != NULL)
        return 0;
    if (c->served)
        return mbr__disk_serve(c->session, &c->disk);
    memcpy(path, c->shm->directory, sizeof(path));
    path[sizeof(path) - 1] = '\0';
    return mbr__disk_join(path, c->id, &c->disk);
}

/* membraned has died, and perhaps there is another one by now, which is to go on with our memory.
 * It knows by a file of its own that nothing was changed but through this. */
static int rejoin(struct mbr__container *c, uint64_t deadline)
{
    int rc = mbr__broker_rejoin(c->name, c->fd, deadline, c->session);

    if (rc == 0)
        mbr__disk_resume(c->disk);
    return rc;
}

/* With our own lock. */
static int open_and_refresh(struct mbr__container *c, uint64_t deadline)
{
    bool doubt = mbr_load_relaxed(&c->shm->disk_doubt) != 0;
    int rc = open_directory(c);

    if (rc < 0)
        return rc;
    mbr__disk_deadline(c->disk, deadline);
    rc = mbr__disk_refresh(c->disk, doubt);
    if (rc != -ECONNREFUSED || !c->served)
        return rc;
    rc = rejoin(c, deadline); /* nothing has been asked for yet that could be done twice */
    return rc == 0 ? mbr__disk_refresh(c->disk, doubt) : rc;
}

static int enter_served(struct mbr__container *c, uint64_t deadline)
{
    int rc = mbr__container_lock_own(&c->disk_lock, deadline);

    if (rc < 0)
        return rc;
    rc = open_and_refresh(c, deadline);
    if (rc < 0)
        (void)pthread_mutex_unlock(&c->disk_lock);
    return rc;
}

int mbr__persist_enter(struct mbr__container *c)
{
    uint32_t dead;
    int rc;

    if (c->served)
        return enter_served(c, MBR_FOREVER);
    (void)pthread_mutex_lock(&c->disk_lock);
    rc = mbr__shm_lock(&c->world, &c->shm->disk, MBR_FOREVER, &dead);
    if (rc == -EOWNERDEAD) {
        mbr_store_relaxed(&c->shm->disk_doubt, 1);
        rc = 0;
    }
    if (rc < 0) {
        (void)pthread_mutex_unlock(&c->disk_lock);
        return rc;
    }
    rc = open_and_refresh(c, MBR_FOREVER);
    if (rc < 0)
        mbr__persist_exit(c);
    return rc;
}

void mbr__persist_exit(struct mbr__container *c)
{
    if (c->served) {
        (void)pthread_mutex_unlock(&c->disk_lock);
        return;
    }
    /* Doubt ends with a new journal, and with nothing else. */
    if (c->disk != NULL)
        mbr_store_relaxed(&c->shm->disk_doubt, mbr__disk_doubt(c->disk) ? 1 : 0);
    mbr__shm_unlock(&c->world, &c->shm->disk);
    (void)pthread_mutex_unlock(&c->disk_lock);
}

/* ---- making the disk follow ------------------------------------------------------------------ */

static bool has_name(const struct mbr__entry *e)
{
    uint32_t state = mbr_load_relaxed(&e->state);

    return state == MBR__ENTRY_LIVE || state == MBR__ENTRY_DYING;
}

/* All entries that have names, by id. */
static int list_named(struct mbr__container *c, struct mbr__hash *named)
{
    uint32_t bound = mbr__table_bound(c);
    int rc = 0;

    for (uint32_t i = 0; i < bound && rc == 0; i++) {
        struct mbr__entry *e = mbr__entry_at(c, i);

        if (has_name(e))
            rc = mbr__hash_put(named, mbr_load_relaxed(&e->id), e);
    }
    return rc == -EEXIST ? -EPROTO : rc;
}

/* Removes what has no name any more, or never got one. Removing ends the walk: it begins anew. */
static int remove_others(struct mbr__container *c, const struct mbr__hash *named)
{
    const struct mbr__catalog *catalog = mbr__disk_catalog(c->disk);
    const struct mbr__catalog_object *o = mbr__catalog_next(catalog, NULL);
    int rc = 0;

    while (o != NULL && rc == 0) {
        if (mbr__hash_get(named, o->id) != NULL) {
            o = mbr__catalog_next(catalog, o);
            continue;
        }
        rc = mbr__disk_remove(c->disk, o->id);
        o = mbr__catalog_next(catalog, NULL);
    }
    return rc;
}

/* At most one name differs: that of the object whose renaming was completed. */
static int rename_others(struct mbr__container *c, const struct mbr__hash *named)
{
    char name[MBR_OBJECT_NAME_MAX + 1] = "";
    size_t cursor = 0;
    struct mbr__entry *e;
    int rc = 0;

    while (rc == 0 && (e = mbr__hash_next(named, &cursor)) != NULL) {
        uint64_t id = mbr_load_relaxed(&e->id);
        const struct mbr__catalog_object *o = mbr__catalog_by_id(mbr__disk_catalog(c->disk), id);

        memcpy(name, e->name, MBR_OBJECT_NAME_MAX);
        if (o != NULL && strcmp(o->name, name) != 0)
            rc = mbr__disk_rename(c->disk, id, name);
    }
    return rc;
}

/* A user of an object for a moment, so that it is freed if it has no other. */
static int unlink_entry(struct mbr__container *c, uint32_t index)
{
    bool joined = mbr__hash_get(&c->objects, (uint64_t)index + 1) != NULL;
    uint32_t place = 0;
    int rc = joined ? 0 : mbr__table_reserve_place(c);

    if (rc < 0)
        return rc;
    if (!joined)
        mbr__table_use(c, index, &place);
    mbr__table_unlink(c, index);
    if (joined)
        return 0;
    if (mbr__table_last_user(c, index, c->world.self))
        mbr__table_wipe(c, index);
    mbr__table_unuse(c, index, c->world.self, &c->joined[place]);
    mbr__table_give_place(c, place);
    return 0;
}

/* membraned has died after it removed an object, and before it said so. */
static int unlink_others(struct mbr__container *c)
{
    uint32_t bound = mbr__table_bound(c);
    int rc = 0;

    for (uint32_t i = 0; i < bound && rc == 0; i++) {
        const struct mbr__entry *e = mbr__entry_at(c, i);

        if (has_name(e) &&
            mbr__catalog_by_id(mbr__disk_catalog(c->disk), mbr_load_relaxed(&e->id)) == NULL)
            rc = unlink_entry(c, i);
    }
    return rc;
}

/* With a turn. */
static int follow(struct mbr__container *c)
{
    struct mbr__hash named;
    int rc;

    if (mbr_load_relaxed(&c->shm->disk_behind) == 0)
        return 0;
    mbr__hash_init(&named);
    rc = list_named(c, &named);
    if (rc == 0)
        rc = remove_others(c, &named);
    if (rc == 0)
        rc = rename_others(c, &named);
    mbr__hash_fini(&named);
    if (rc == 0 && c->served)
        rc = unlink_others(c);
    if (rc == 0)
        mbr_store_relaxed(&c->shm->disk_behind, 0);
    return rc;
}

/* A turn for a change of what objects there are. */
static int enter_table(struct mbr__container *c)
{
    int rc = mbr__persist_enter(c);

    if (rc < 0)
        return rc;
    rc = follow(c);
    if (rc < 0)
        mbr__persist_exit(c);
    return rc;
}

/* With the container's mutex. RC: of a change that membraned was asked for. */
static int remember(struct mbr__container *c, int rc)
{
    if (mbr__persist_in_doubt(rc))
        mbr_store_relaxed(&c->shm->disk_behind, 1);
    return rc;
}

int mbr__persist_agree(struct mbr__container *c)
{
    int rc = c->served && mbr_load_relaxed(&c->shm->disk_behind) != 0 ? enter_table(c) : 1;

    if (rc == 0)
        mbr__persist_exit(c);
    return rc < 0 ? rc : 0;
}

int mbr__persist_settle(struct mbr__container *c)
{
    int rc;

    if (!c->served || mbr_load_relaxed(&c->shm->disk_behind) == 0)
        return 0;
    rc = mbr__container_lock(c, MBR_FOREVER);
    if (rc < 0)
        return rc;
    rc = mbr__persist_agree(c);
    mbr__container_unlock(c);
    return rc;
}

void mbr__persist_mend(struct mbr__container *c)
{
    if (!mbr__is_persistent(c))
        return;
    mbr_store_relaxed(&c->shm->disk_behind, 1);
    if (enter_table(c) == 0)
        mbr__persist_exit(c);
}

/* ---- changes --------------------------------------------------------------------------------- */

int mbr__persist_create(struct mbr__container *c, uint32_t index)
{
    const struct mbr__entry *e = mbr__entry_at(c, index);
    char name[MBR_OBJECT_NAME_MAX + 1] = "";
    int rc;

    if (!mbr__is_persistent(c))
        return 0;
    memcpy(name, e->name, MBR_OBJECT_NAME_MAX);
    rc = enter_table(c);
    if (rc < 0)
        return rc;
    rc = mbr__disk_create(c->disk, mbr_load_relaxed(&e->id), name, mbr_load_relaxed(&e->size),
                          mbr_load_relaxed(&e->policy));
    mbr__persist_exit(c);
    return remember(c, rc);
}

void mbr__persist_uncreate(struct mbr__container *c, uint32_t index)
{
    if (!mbr__is_persistent(c))
        return;
    if (mbr__persist_enter(c) == 0) {
        if (mbr__disk_remove(c->disk, mbr_load_relaxed(&mbr__entry_at(c, index)->id)) < 0)
            mbr_store_relaxed(&c->shm->disk_behind, 1);
        mbr__persist_exit(c);
    } else {
        mbr_store_relaxed(&c->shm->disk_behind, 1);
    }
}

int mbr__persist_unlink(struct mbr__container *c, uint32_t index)
{
    int rc;

    if (!mbr__is_persistent(c))
        return 0;
    rc = enter_table(c);
    if (rc < 0)
        return rc;
    mbr__table_intend_unlink(c, index);
    rc = mbr__disk_remove(c->disk, mbr_load_relaxed(&mbr__entry_at(c, index)->id));
    mbr__persist_exit(c);
    if (rc == -ENOENT)
        rc = 0;
    if (rc < 0)
        mbr__table_intend_nothing(c);
    return remember(c, rc);
}

int mbr__persist_rename(struct mbr__container *c, uint32_t index, const char *name)
{
    int rc;

    if (!mbr__is_persistent(c))
        return 0;
    rc = enter_table(c);
    if (rc < 0)
        return rc;
    mbr__table_intend_rename(c, index, name);
    rc = mbr__disk_rename(c->disk, mbr_load_relaxed(&mbr__entry_at(c, index)->id), name);
    mbr__persist_exit(c);
    if (rc < 0)
        mbr__table_intend_nothing(c);
    return remember(c, rc);
}

int mbr__persist_resize(struct mbr__container *c, uint32_t index, uint64_t size, uint64_t deadline)
{
    int rc;

    if (!mbr__is_persistent(c))
        return 0;
    rc = c->served ? enter_served(c, deadline) : mbr__persist_enter(c);
    if (rc < 0)
        return rc;
    mbr_store_release(&mbr__entry_at(c, index)->resizing, c->world.self + 1);
    rc = mbr__disk_resize(c->disk, mbr_load_relaxed(&mbr__entry_at(c, index)->id), size);
    mbr__persist_exit(c);
    return rc == -ENOENT ? 0 : rc; /* it has lost its name: nothing of it stays */
}

void mbr__persist_resized(struct mbr__container *c, uint32_t index)
{
    if (mbr__is_persistent(c))
        mbr_store_release(&mbr__entry_at(c, index)->resizing, 0);
}

int mbr__persist_follow_size(struct mbr__container *c, uint32_t index, uint64_t deadline)
{
    const struct mbr__entry *e = mbr__entry_at(c, index);
    int rc = 0;

    if (mbr_load_relaxed(&e->resizing) == 0)
        return 0;
    rc = mbr__persist_resize(c, index, mbr_load_relaxed(&e->size), deadline);
    if (rc == 0)
        mbr__persist_resized(c, index);
    return rc;
}

/* Whatever is in the files. */
static int destroy_served(struct mbr__container *c)
{
    int rc;

    (void)pthread_mutex_lock(&c->disk_lock);
    rc = open_directory(c);
    if (rc == 0) {
        mbr__disk_deadline(c->disk, MBR_FOREVER);
        rc = mbr__disk_destroy(c->disk);
    }
    if (rc == -ECONNREFUSED)
        rc = rejoin(c, MBR_FOREVER) == 0 ? mbr__disk_destroy(c->disk) : rc;
    (void)pthread_mutex_unlock(&c->disk_lock);
    return rc;
}

int mbr__persist_destroy(struct mbr__container *c)
{
    int rc;

    if (!mbr__is_persistent(c))
        return 0;
    if (c->served)
        return destroy_served(c);
    rc = mbr__persist_enter(c);
    if (rc == -ESTALE && c->disk != NULL) {
        /* A first attempt has come so far that nothing else can be done with it. */
        return mbr__disk_destroy(c->disk);
    }
    if (rc < 0)
        return rc;
    rc = mbr__disk_destroy(c->disk);
    mbr__persist_exit(c);
    return rc;
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* An entry for an object whose bytes are on the disk alone; nobody uses it. */
static int enter_object(struct mbr__container *c, const struct mbr__catalog_object *o)
{
    uint32_t index = 0;
    uint32_t place = 0;
    struct mbr__entry *e;
    int rc = mbr__table_reserve_place(c);

    if (rc == 0)
        rc = mbr__table_take(c, o->name, o->size, o->policy, &index, &place);
    if (rc < 0)
        return rc;
    e = mbr__entry_at(c, index);
    mbr_store_relaxed(&e->id, o->id);
    mbr_store_relaxed(&e->unloaded, MBR__NOT_JOINED);
    mbr__table_publish(c, index);
    mbr__table_unuse(c, index, c->world.self, &c->joined[place]);
    mbr__table_give_place(c, place);
    return 0;
}

int mbr__persist_enter_objects(struct mbr__container *c)
{
    const struct mbr__catalog *catalog = mbr__disk_catalog(c->disk);
    const struct mbr__catalog_object *o = mbr__catalog_next(catalog, NULL);
    int rc = mbr__container_lock(c, MBR_FOREVER);

    if (rc < 0)
        return rc;
    for (; o != NULL && rc == 0; o = mbr__catalog_next(catalog, o))
        rc = enter_object(c, o);
    mbr_store_relaxed(&c->shm->last_id, catalog->last_id);
    mbr__container_unlock(c);
    return rc;
}

int mbr__persist_begin(struct mbr__container *c, const char *directory, uint32_t flags)
{
    uint32_t wanted = flags & MBR_CONTAINER_CHECKSUMS ? MBR__JOURNAL_CHECKSUMS : 0;
    char *path = realpath(directory, NULL);
    int rc = 0;

    if (path == NULL)
        return -errno;
    if (strlen(path) >= sizeof(c->shm->directory))
        rc = -ENAMETOOLONG;
    if (rc == 0)
        rc = mbr__disk_open(directory, wanted, c->id, &c->disk);
    if (rc == 0) {
        memcpy(c->shm->directory, path, strlen(path));
        c->shm->flags = MBR_CONTAINER_PERSISTENT;
        if (mbr__disk_flags(c->disk) & MBR__JOURNAL_CHECKSUMS)
            c->shm->flags |= MBR_CONTAINER_CHECKSUMS;
        rc = mbr__persist_enter_objects(c);
    }
    free(path);
    return rc;
}

void mbr__persist_end(struct mbr__container *c)
{
    mbr__disk_close(c->disk);
    c->disk = NULL;
}
