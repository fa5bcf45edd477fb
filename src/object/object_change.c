/* SPDX-License-Identifier: MIT */
/*
 * What changes an object that exists: destroying, unlinking, renaming, resizing; and looking at it.
 * Creating, joining and leaving are in object.c.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "object/data.h"
#include "object/futex.h"
#include "object/io.h"
#include "object/member.h"
#include "object/object.h"
#include "object/persist.h"
#include "object/table.h"
#include "object/version.h"

#define UNLINK_TRIES 100u

/* Finds the number, and the object behind it. */
static int enter(int object, struct mbr__handle **h, struct mbr__object **o)
{
    int rc = mbr__handle_enter(MBR__KIND_OBJECT, object, h);

    if (rc == 0)
        *o = (*h)->what;
    return rc;
}

/* ---- destroying ------------------------------------------------------------------------------ */

static int stop_joins(struct mbr__object *o, uint64_t deadline)
{
    int rc = mbr__container_lock(o->c, deadline);
    uint32_t state;

    if (rc != 0)
        return rc;
    state = mbr_load_relaxed(&o->entry->state);
    if (state == MBR__ENTRY_LIVE) {
        mbr_store_release(&o->entry->destroyer, o->c->world.self + 1);
        mbr_store_release(&o->entry->state, MBR__ENTRY_DYING);
    } else {
        rc = state == MBR__ENTRY_DYING ? -EALREADY : -ENOENT;
    }
    mbr__container_unlock(o->c);
    return rc;
}

/* Takes the name from an object that has no user but us, through one number: 1; 0 it has others. */
static int unlink_alone(struct mbr__object *o, uint64_t deadline)
{
    int rc;

    if (mbr__table_other_users(o->c, o->index) != 0)
        return 0;
    rc = mbr__container_lock(o->c, deadline);
    if (rc != 0)
        return rc;
    if (o->numbers == 1 && mbr__table_other_users(o->c, o->index) == 0) {
        rc = mbr__persist_unlink(o->c, o->index);
        if (rc == 0) {
            mbr__table_unlink(o->c, o->index);
            rc = 1;
        }
    }
    mbr__container_unlock(o->c);
    return rc;
}

static int wait_alone(struct mbr__handle *h, struct mbr__object *o, uint64_t deadline)
{
    bool looked = false;

    for (;;) {
        uint32_t seen = mbr__container_changes(o->c);
        int rc = unlink_alone(o, deadline);

        if (rc != 0)
            return rc < 0 ? rc : 0;
        if ((mbr_load_acquire(&h->word) & MBR__OPEN) == 0)
            return -EBADF; /* another thread gives the number back */
        if (!looked) {     /* not before: most objects that are destroyed have nobody else */
            mbr__member_sweep(o->c, o->entry->users);
            looked = true;
            continue;
        }
        rc = mbr__container_await(o->c, seen, deadline);
        if (rc < 0)
            return rc;
    }
}

static int destroy(struct mbr__handle *h, struct mbr__object *o, uint64_t deadline)
{
    uint32_t dying = MBR__ENTRY_DYING;
    int rc = stop_joins(o, deadline);

    if (rc != 0)
        return rc;
    rc = wait_alone(h, o, deadline);
    if (rc < 0) /* only we may take it out of this state */
        (void)mbr_cas(&o->entry->state, &dying, MBR__ENTRY_LIVE);
    return rc;
}

int mbr_object_destroy_until(int object, uint64_t deadline_ns)
{
    struct mbr__handle *h = NULL;
    struct mbr__object *o = NULL;
    int rc = enter(object, &h, &o);

    if (rc != 0)
        return rc;
    rc = destroy(h, o, deadline_ns);
    if (rc == 0 && mbr__handle_shut(h))
        mbr__object_finish(mbr_load_acquire(&mbr__process_state), h, 1);
    else /* or another thread gives back the number, and with it the memory */
        mbr__handle_exit(h);
    return rc;
}

int mbr_object_destroy(int object)
{
    return mbr_object_destroy_until(object, MBR_FOREVER);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* With the lock: the name of an entry goes, and if nobody uses it, so do its bytes. That takes long
 * perhaps, so it is done as a user and without the lock. */
static int unlink_entry(struct mbr__container *c, uint32_t index)
{
    bool joined = mbr__hash_get(&c->objects, (uint64_t)index + 1) != NULL;
    uint32_t place;
    int rc = joined ? 0 : mbr__table_reserve_place(c);

    if (rc != 0)
        return rc;
    if (!joined)
        mbr__table_use(c, index, &place);
    rc = mbr__persist_unlink(c, index);
    if (rc == 0)
        mbr__table_unlink(c, index);
    if (!joined)
        mbr__object_stop_using(c, index, place);
    return rc;
}

/* Whether somebody could still come to bytes that will have gone from the disk. */
static bool needs_bytes(const struct mbr__container *c, uint32_t index)
{
    const struct mbr__entry *e = mbr__entry_at(c, index);

    return mbr_load_relaxed(&e->unloaded) == MBR__IN_BLOCKS &&
           (mbr__table_other_users(c, index) != 0 ||
            mbr__hash_get(&c->objects, (uint64_t)index + 1) != NULL);
}

/* 1: what is on the disk alone must be brought first (without the lock: blocks are waited for). */
static int unlink_locked(struct mbr__container *c, const char *name)
{
    uint32_t index = 0;
    int rc = mbr__table_find(c, name, &index);

    if (rc < 0)
        return rc;
    if (mbr_load_relaxed(&mbr__entry_at(c, index)->state) != MBR__ENTRY_LIVE)
        return -ENOENT;
    return needs_bytes(c, index) ? 1 : unlink_entry(c, index);
}

static int bring_all(struct mbr__container *c, const char *name)
{
    struct mbr__object *o = NULL;
    int rc = mbr__container_lock(c, MBR_FOREVER);

    if (rc < 0)
        return rc;
    rc = mbr__object_find(c, name, &o);
    mbr__container_unlock(c);
    if (rc < 0)
        return rc;
    rc = mbr__persist_bring_all(o);
    mbr__object_drop(o);
    return rc;
}

/* More than once only if somebody else puts another object behind the name meanwhile; who does that
 * so often has scribbled. */
static int unlink_name(struct mbr__container *c, const char *name)
{
    for (uint32_t i = 0; i < UNLINK_TRIES; i++) {
        int rc = mbr__container_lock(c, MBR_FOREVER);

        if (rc < 0)
            return rc;
        rc = unlink_locked(c, name);
        mbr__container_unlock(c);
        if (rc <= 0)
            return rc;
        rc = bring_all(c, name);
        if (rc < 0)
            return rc;
    }
    return -EPROTO;
}

int mbr_object_unlink(int container, const char *name)
{
    struct mbr__handle *ch = NULL;
    int rc = mbr__name_check(name);

    if (rc == 0)
        rc = mbr__handle_enter(MBR__KIND_CONTAINER, container, &ch);
    if (rc != 0)
        return rc;
    rc = unlink_name(ch->what, name);
    mbr__handle_exit(ch);
    return rc;
}

static int rename_locked(struct mbr__object *o, const char *name)
{
    uint32_t state = mbr_load_relaxed(&o->entry->state);
    uint32_t found;
    int rc;

    if (state != MBR__ENTRY_LIVE && state != MBR__ENTRY_DYING)
        return -ENOENT;
    rc = mbr__table_find(o->c, name, &found);
    if (rc != -ENOENT)
        return rc == 0 ? -EEXIST : rc;
    rc = mbr__persist_rename(o->c, o->index, name);
    if (rc == 0)
        mbr__table_rename(o->c, o->index, name);
    return rc;
}

int mbr_object_rename(int object, const char *name)
{
    struct mbr__handle *h = NULL;
    struct mbr__object *o = NULL;
    int rc = mbr__name_check(name);

    if (rc == 0)
        rc = enter(object, &h, &o);
    if (rc != 0)
        return rc;
    rc = mbr__container_lock(o->c, MBR_FOREVER);
    if (rc == 0) {
        rc = rename_locked(o, name);
        mbr__container_unlock(o->c);
    }
    mbr__handle_exit(h);
    return rc;
}

/* ---- size ------------------------------------------------------------------------------------ */

/* One resize at a time. Of one that died half-way, memory beyond the size may be left, and another
 * size on the disk. */
int mbr__object_lock_size(struct mbr__object *o, uint64_t deadline)
{
    uint32_t dead;
    int rc = mbr__shm_lock(&o->c->world, &o->entry->writer, deadline, &dead);

    if (rc < 0 && rc != -EOWNERDEAD)
        return rc;
    if (rc == -EOWNERDEAD)
        mbr__data_cut(o->c, o->index, mbr_load_relaxed(&o->entry->size));
    rc = mbr__persist_follow_size(o->c, o->index, deadline);
    if (rc < 0)
        mbr__shm_unlock(&o->c->world, &o->entry->writer);
    return rc;
}

static int grow(struct mbr__object *o, uint64_t old, uint64_t size, uint64_t deadline)
{
    int rc = mbr__data_allocate(o->c, o->index, old, size);

    if (rc != 0)
        return rc;
    rc = mbr__persist_resize(o->c, o->index, size, deadline);
    if (rc == 0)
        mbr_store_release(&o->entry->size, size);
    else
        mbr__data_cut(o->c, o->index, old);
    if (!mbr__persist_in_doubt(rc))
        mbr__persist_resized(o->c, o->index);
    return rc;
}

/* With the blocks that go, wholly or in part, locked for writing. */
static int cut(struct mbr__object *o, const struct mbr__view *v, uint64_t old, uint64_t size,
               uint64_t deadline)
{
    int rc;

    mbr_store_release(&o->entry->size, size);
    /* Who dies here leaves it small in memory and large on the disk, which is to follow. */
    rc = mbr__persist_resize(o->c, o->index, size, deadline);
    if (rc < 0) {
        mbr_store_release(&o->entry->size, old);
        if (!mbr__persist_in_doubt(rc))
            mbr__persist_resized(o->c, o->index);
        return rc;
    }
    mbr__data_cut(o->c, o->index, size);
    /* Zeroes are what comes back when it grows again: they are neither torn nor on the disk. */
    if (mbr__blocks_of(size) < mbr__blocks_of(old))
        mbr__lock_zeroed(&v->set, mbr__blocks_of(size), mbr__blocks_of(old) - mbr__blocks_of(size));
    mbr__persist_resized(o->c, o->index);
    return 0;
}

static int shrink(struct mbr__object *o, uint64_t old, uint64_t size, uint64_t deadline)
{
    uint32_t first = (uint32_t)(size / MBR_OBJECT_BLOCK);
    uint32_t end = mbr__blocks_of(old);
    struct mbr__view *v;
    uint32_t hold;
    int rc = mbr__object_view(o, old, &v);

    if (rc == 0)
        rc = mbr__hold_take(o->c, &hold);
    if (rc != 0)
        return rc;
    /* Whether they are torn is of no interest here. */
    rc = mbr__lock_write(&v->set, hold, first, end - first, first, end, deadline);
    if (rc == 0) {
        rc = cut(o, v, old, size, deadline);
        mbr__unlock(&v->set, hold);
    }
    mbr__hold_give(o->c, hold);
    return rc;
}

static int resize(struct mbr__object *o, uint64_t size, uint64_t deadline)
{
    uint64_t old;
    int rc;

    if (o->policy == MBR_WRITE_VERSIONED)
        return mbr__version_resize(o, size, deadline);
    rc = mbr__object_lock_size(o, deadline);

    if (rc != 0)
        return rc;
    old = mbr_load_relaxed(&o->entry->size);
    if (old > MBR_OBJECT_SIZE_MAX)
        rc = -EPROTO;
    else if (size > old)
        rc = grow(o, old, size, deadline);
    else if (size < old)
        rc = shrink(o, old, size, deadline);
    mbr__shm_unlock(&o->c->world, &o->entry->writer);
    return rc;
}

int mbr_object_resize_until(int object, size_t size, uint64_t deadline_ns)
{
    struct mbr__handle *h = NULL;
    struct mbr__object *o = NULL;
    int rc = size == 0 ? -EINVAL : size > MBR_OBJECT_SIZE_MAX ? -EFBIG : 0;

    if (rc == 0)
        rc = enter(object, &h, &o);
    if (rc != 0)
        return rc;
    rc = resize(o, size, deadline_ns);
    mbr__handle_exit(h);
    return rc;
}

int mbr_object_resize(int object, size_t size)
{
    return mbr_object_resize_until(object, size, MBR_FOREVER);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* What the locks say of all blocks. */
static void look_at_blocks(const struct mbr__view *v, uint32_t blocks, struct mbr_object_attr *out)
{
    for (uint32_t b = 0; b < blocks && b < v->set.blocks; b++) {
        const struct mbr__block_lock *l = mbr__lock_of(&v->set, b);

        uint32_t torn = mbr_load_relaxed(&l->torn);

        out->version += mbr_load_relaxed(&l->version);
        out->torn += torn == MBR__TORN || torn == MBR__TORN_TOLD;
        if (torn == MBR__ABSENT)
            out->allocated -= mbr__page_up(mbr__block_bytes(out->size, b));
    }
}

static int getattr_locked(struct mbr__object *o, struct mbr_object_attr *out)
{
    struct mbr_object_attr attr = {.size = mbr_load_relaxed(&o->entry->size),
                                   .policy = o->policy,
                                   .users = mbr__table_other_users(o->c, o->index) + 1};
    struct mbr__view *v;
    int rc = mbr__object_view(o, attr.size, &v);

    if (rc != 0)
        return rc;
    attr.allocated = mbr__page_up(attr.size);
    if (o->policy == MBR_WRITE_VERSIONED)
        mbr__version_look(o, &attr.version, &attr.allocated);
    else
        look_at_blocks(v, mbr__blocks_of(attr.size), &attr);
    memcpy(attr.name, o->entry->name, MBR_OBJECT_NAME_MAX);
    *out = attr;
    return 0;
}

int mbr_object_getattr(int object, struct mbr_object_attr *out)
{
    struct mbr__handle *h = NULL;
    struct mbr__object *o = NULL;
    int rc;

    if (out == NULL)
        return -EINVAL;
    rc = enter(object, &h, &o);
    if (rc != 0)
        return rc;
    mbr__member_sweep(o->c, o->entry->users);
    rc = mbr__container_lock(o->c, MBR_FOREVER);
    if (rc == 0) {
        rc = getattr_locked(o, out);
        mbr__container_unlock(o->c);
    }
    mbr__handle_exit(h);
    return rc;
}
