/* SPDX-License-Identifier: MIT */
/*
 * Objects: creating, joining, leaving, destroying, naming, resizing. The shared table is changed
 * through table.h; here is what this process keeps beside it, and the waiting.
 */
#include "object/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "object/async.h"
#include "object/futex.h"
#include "object/io.h"
#include "object/member.h"
#include "object/persist.h"
#include "object/table.h"
#include "object/version.h"

#define SWEEP_NS 1000000u /* between looks at accesses that were being made while we closed */

/* ---- views ----------------------------------------------------------------------------------- */

int mbr__object_view_slow(struct mbr__object *o, uint64_t end, struct mbr__view **out)
{
    uint64_t size = mbr_load_relaxed(&o->entry->size);
    struct mbr__view *v;
    int rc = 0;

    (void)pthread_mutex_lock(&o->c->maps);
    v = o->view;
    if (end > v->capacity) {
        struct mbr__view *old = v;

        rc = mbr__view_new(o->c, o->index, size > end ? size : end, 0, &v);
        if (rc == 0) {
            v->older = old;
            mbr_store_release(&o->view, v); /* pair A with mbr__object_view() */
        }
    }
    (void)pthread_mutex_unlock(&o->c->maps);
    if (rc == 0)
        *out = v;
    return rc;
}

/* ---- what this process has joined ------------------------------------------------------------ */

static void free_object(struct mbr__object *o)
{
    if (o != NULL) {
        mbr__versions_free(o);
        mbr__view_free(o->view);
    }
    free(o);
}

static int new_object(struct mbr__container *c, uint32_t index, uint64_t size, uint32_t policy,
                      struct mbr__object **out)
{
    struct mbr__object *o = calloc(1, sizeof(*o));
    int rc;

    if (o == NULL)
        return -ENOMEM;
    o->c = c;
    o->entry = mbr__entry_at(c, index);
    o->index = index;
    o->policy = policy;
    o->numbers = 1;
    rc = mbr__view_new(c, index, size, 0, &o->view);
    if (rc == 0 && policy == MBR_WRITE_VERSIONED)
        rc = mbr__versions_new(o);
    if (rc < 0)
        free_object(o);
    else
        *out = o;
    return rc;
}

/* With the lock: puts the object behind the number and opens that; from now on somebody who closes
 * the container's number closes it as well. -EBADF that was closed already. */
static int adopt(struct mbr__handle *ch, struct mbr__handle *h, struct mbr__object *o)
{
    if ((mbr_load_acquire(&ch->word) & MBR__OPEN) == 0)
        return -EBADF;
    h->what = o;
    h->parent = ch;
    mbr__list_push_back(&ch->children, &h->siblings);
    mbr__handle_open(h);
    return 0;
}

void mbr__object_stop_using(struct mbr__container *c, uint32_t index, uint32_t place)
{
    if (mbr__table_last_user(c, index, c->world.self)) {
        mbr__container_unlock(c);
        mbr__table_wipe(c, index);
        (void)mbr__container_lock(c, MBR_FOREVER);
    }
    mbr__table_unuse(c, index, c->world.self, &c->joined[place]);
    mbr__table_give_place(c, place);
}

void mbr__object_drop(struct mbr__object *o)
{
    struct mbr__container *c = o->c;
    bool last;

    (void)mbr__container_lock(c, MBR_FOREVER);
    last = --o->numbers == 0;
    if (last) {
        (void)mbr__hash_del(&c->objects, (uint64_t)o->index + 1);
        mbr__object_stop_using(c, o->index, o->place);
    }
    mbr__container_unlock(c);
    mbr__container_changed(c);
    if (last)
        free_object(o);
}

/* ---- creating -------------------------------------------------------------------------------- */

struct plan {
    const char *name;
    uint64_t size;
    uint32_t policy;
    uint32_t index;
    uint32_t place;
};

/* First step: an entry that nobody sees yet. */
static int begin_making(struct mbr__container *c, struct plan *plan)
{
    uint32_t found;
    int rc = mbr__container_lock(c, MBR_FOREVER);

    if (rc < 0)
        return rc;
    rc = mbr__table_find(c, plan->name, &found);
    rc = rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
    if (rc == 0)
        rc = mbr__table_reserve_place(c);
    if (rc == 0)
        rc = mbr__hash_reserve(&c->objects, c->objects.count + 1);
    if (rc == 0)
        rc = mbr__table_take(c, plan->name, plan->size, plan->policy, &plan->index, &plan->place);
    mbr__container_unlock(c);
    return rc;
}

/* With the lock, the name being free, and the object on the disk if it is persistent. */
static int show(struct mbr__container *c, const struct plan *plan, struct mbr__handle *ch,
                struct mbr__handle *h, struct mbr__object *o)
{
    int rc = mbr__hash_put(&c->objects, (uint64_t)plan->index + 1, o);

    if (rc == 0) {
        o->place = plan->place;
        rc = adopt(ch, h, o);
        if (rc < 0)
            (void)mbr__hash_del(&c->objects, (uint64_t)plan->index + 1);
    }
    if (rc < 0)
        mbr__persist_uncreate(c, plan->index);
    else
        mbr__table_publish(c, plan->index);
    return rc;
}

/* Last step: everybody sees it. Somebody else may have been faster with the name. */
static int end_making(struct mbr__container *c, const struct plan *plan, struct mbr__handle *ch,
                      struct mbr__handle *h, struct mbr__object *o)
{
    uint32_t found;
    int rc = mbr__container_lock(c, MBR_FOREVER);

    if (rc < 0)
        return rc;
    rc = mbr__table_find(c, plan->name, &found);
    rc = rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
    if (rc == 0) {
        mbr__table_number(c, plan->index);
        rc = mbr__persist_create(c, plan->index);
    }
    if (rc == 0)
        rc = show(c, plan, ch, h, o);
    mbr__container_unlock(c);
    return rc;
}

static void undo_making(struct mbr__container *c, const struct plan *plan)
{
    (void)mbr__container_lock(c, MBR_FOREVER);
    mbr__object_stop_using(c, plan->index, plan->place);
    mbr__container_unlock(c);
}

static int make(struct mbr__handle *ch, struct mbr__handle *h, struct plan *plan)
{
    struct mbr__container *c = ch->what;
    struct mbr__object *o = NULL;
    int rc = begin_making(c, plan);

    if (rc < 0)
        return rc;
    rc = mbr__data_allocate(c, plan->index, 0, plan->size);
    if (rc == 0)
        rc = new_object(c, plan->index, plan->size, plan->policy, &o);
    if (rc == 0 && plan->policy == MBR_WRITE_VERSIONED)
        rc = mbr__version_first(o, plan->size);
    if (rc == 0)
        rc = end_making(c, plan, ch, h, o);
    if (rc < 0) {
        free_object(o);
        undo_making(c, plan);
    }
    return rc;
}

/* A number for an object that `make_it` finds or makes; the container's number is held inside until
 * the object's is given back. */
static int new_number(int container,
                      int (*make_it)(struct mbr__handle *ch, struct mbr__handle *h,
                                     struct plan *plan),
                      struct plan *plan)
{
    struct mbr__process *p = NULL;
    struct mbr__handle *ch = NULL;
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(MBR__KIND_CONTAINER, container, &ch);

    if (rc < 0)
        return rc;
    rc = mbr__handle_new(MBR__KIND_OBJECT, &p, &h);
    if (rc == 0) {
        int id = (int)h->id;

        rc = make_it(ch, h, plan);
        if (rc == 0)
            return id;
        mbr__handle_free(p, MBR__KIND_OBJECT, h);
    }
    mbr__handle_exit(ch);
    return rc;
}

static int check_size(uint64_t size)
{
    if (size == 0)
        return -EINVAL;
    return size > MBR_OBJECT_SIZE_MAX ? -EFBIG : 0;
}

static int create(int container, const char *name, size_t size, int policy)
{
    struct plan plan = {.name = name, .size = size};
    struct mbr__handle *ch = NULL;
    int rc = mbr__name_check(name);

    if (rc == 0)
        rc = check_size(size);
    if (rc < 0)
        return rc;
    rc = mbr__handle_enter(MBR__KIND_CONTAINER, container, &ch);
    if (rc < 0)
        return rc;
    plan.policy = policy >= 0 ? (uint32_t)policy
                              : mbr_load_relaxed(&((struct mbr__container *)ch->what)->shm->policy);
    mbr__handle_exit(ch);
    if (plan.policy == MBR_WRITE_VERSIONED)
        rc = size > MBR_OBJECT_SIZE_MAX / 2 ? -EFBIG : 0;
    else if (plan.policy != MBR_WRITE_IN_PLACE)
        rc = -EPROTO;
    if (rc < 0)
        return rc;
    return new_number(container, make, &plan);
}

int mbr_object_create(int container, const char *name, size_t size)
{
    return create(container, name, size, -1);
}

int mbr_object_create_with(int container, const char *name, size_t size,
                           enum mbr_write_policy policy)
{
    if (policy != MBR_WRITE_IN_PLACE && policy != MBR_WRITE_VERSIONED)
        return -EINVAL;
    return create(container, name, size, (int)policy);
}

/* ---- joining --------------------------------------------------------------------------------- */

/* Of one that is on the disk whole blocks, since there its last one may be longer. */
static uint64_t size_to_show(const struct mbr__entry *e)
{
    uint64_t size = mbr_load_relaxed(&e->size);

    if (mbr_load_relaxed(&e->unloaded) == MBR__LOADED || size > MBR_OBJECT_SIZE_MAX)
        return size;
    return (uint64_t)mbr__blocks_of(size) * MBR_OBJECT_BLOCK;
}

/* With the lock: becomes a user of an entry that this process does not use yet. */
static int use(struct mbr__container *c, uint32_t index, struct mbr__object **out)
{
    struct mbr__entry *e = mbr__entry_at(c, index);
    uint32_t policy = mbr_load_relaxed(&e->policy);
    struct mbr__object *o = NULL;
    int rc = mbr__table_reserve_place(c);

    if (rc == 0 && policy != MBR_WRITE_IN_PLACE && policy != MBR_WRITE_VERSIONED)
        rc = -EPROTO;
    if (rc == 0)
        rc = mbr__hash_reserve(&c->objects, c->objects.count + 1);
    if (rc == 0)
        rc = new_object(c, index, size_to_show(e), policy, &o);
    if (rc == 0)
        rc = mbr__persist_load(o);
    if (rc == 0)
        rc = mbr__hash_put(&c->objects, (uint64_t)index + 1, o);
    if (rc < 0) {
        free_object(o);
        return rc;
    }
    mbr__table_use(c, index, &o->place);
    *out = o;
    return 0;
}

int mbr__object_find(struct mbr__container *c, const char *name, struct mbr__object **out)
{
    uint32_t index = 0;
    struct mbr__object *o = NULL;
    int rc = mbr__table_find(c, name, &index);

    if (rc < 0)
        return rc;
    if (mbr_load_relaxed(&mbr__entry_at(c, index)->state) != MBR__ENTRY_LIVE)
        return -ENOENT;
    o = mbr__hash_get(&c->objects, (uint64_t)index + 1);
    if (o == NULL)
        return use(c, index, out);
    o->numbers++;
    *out = o;
    return 0;
}

static int join(struct mbr__handle *ch, struct mbr__handle *h, struct plan *plan)
{
    struct mbr__container *c = ch->what;
    struct mbr__object *o = NULL;
    int rc = mbr__container_lock(c, MBR_FOREVER);

    if (rc < 0)
        return rc;
    (void)mbr__persist_agree(c); /* or it is found out later that there is none */
    rc = mbr__object_find(c, plan->name, &o);
    if (rc == 0)
        rc = adopt(ch, h, o);
    mbr__container_unlock(c);
    if (rc < 0 && o != NULL)
        mbr__object_drop(o);
    return rc;
}

int mbr_object_join(int container, const char *name)
{
    struct plan plan = {.name = name};
    int rc = mbr__name_check(name);

    return rc < 0 ? rc : new_number(container, join, &plan);
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* Accesses that were being made while the number was closed appear or vanish; until then they count
 * as inside. */
static void end_accesses(struct mbr__process *p, struct mbr__handle *h, uint32_t own)
{
    while (mbr__handle_inside(h) > own) {
        uint32_t seen;

        mbr__async_end_object((int)h->id);
        mbr__io_end_accesses(p, h);
        seen = mbr_load_acquire(&h->word);
        if ((seen & (MBR__CLOSING - 1)) > own)
            (void)mbr__futex_wait(&h->word, seen, MBR__FUTEX_ALL, mbr__deadline_ns(SWEEP_NS));
    }
}

void mbr__object_finish(struct mbr__process *p, struct mbr__handle *h, uint32_t own)
{
    struct mbr__object *o = h->what;
    struct mbr__handle *ch = h->parent;

    end_accesses(p, h, own);
    for (; own != 0; own--)
        mbr__handle_exit(h);
    (void)pthread_mutex_lock(&o->c->lock);
    mbr__list_del(&h->siblings);
    (void)pthread_mutex_unlock(&o->c->lock);
    mbr__handle_free(p, MBR__KIND_OBJECT, h);
    mbr__object_drop(o);
    mbr__handle_exit(ch);
}

int mbr_object_leave(int object)
{
    struct mbr__process *p = NULL;
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_close(MBR__KIND_OBJECT, object, &p, &h);

    if (rc == 0)
        mbr__object_finish(p, h, 0);
    return rc;
}

/* The first child that is not being closed by somebody else, closed. */
static struct mbr__handle *shut_a_child(struct mbr__handle *container)
{
    struct mbr__container *c = container->what;
    struct mbr__handle *found = NULL;
    struct mbr__list *node;

    (void)pthread_mutex_lock(&c->lock);
    mbr__list_for_each (node, &container->children) {
        struct mbr__handle *h = mbr__container_of(node, struct mbr__handle, siblings);

        if (mbr__handle_shut(h)) {
            found = h;
            break;
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    return found;
}

void mbr__object_finish_all(struct mbr__process *p, struct mbr__handle *container)
{
    struct mbr__handle *h = NULL;

    while ((h = shut_a_child(container)) != NULL)
        mbr__object_finish(p, h, 0);
}
