/* SPDX-License-Identifier: MIT */
/*
 * Containers as programs see them: creating, joining, leaving, destroying, attributes.
 *
 * Finding or making the memory and becoming a member of it are separate steps; whoever brings
 * memory in another way (a broker) needs only the second.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "object/async.h"
#include "object/broker.h"
#include "object/container.h"
#include "object/futex.h"
#include "object/links.h"
#include "object/member.h"
#include "object/memory.h"
#include "object/object.h"
#include "object/persist.h"
#include "object/table.h"

#define JOIN_TRIES  100 /* a name that changes hands more often while we come is not to be had */
#define KNOWN_FLAGS (MBR_CONTAINER_CHECKSUMS | MBR_CONTAINER_KEPT | MBR_CONTAINER_PERSISTENT)

/* ---- numbers --------------------------------------------------------------------------------- */

static int open_number(struct mbr__handle *h, struct mbr__container *c)
{
    int id = (int)h->id;

    h->what = c;
    h->fd = c->fd;
    h->dev = c->dev;
    h->ino = c->ino;
    mbr__handle_open(h);
    return id;
}

/* Leaves for good: nothing of it is used by this process any more. */
static void leave(struct mbr__container *c)
{
    /* We may be the last who could complete what the dead have begun on the disk. */
    if (mbr__is_persistent(c))
        mbr__member_sweep(c, NULL);
    if (c->session < 0)
        mbr__links_leave(c);
    mbr__member_release(c);
    mbr__container_free(c);
}

/* One number less. */
static void unref(struct mbr__process *p, struct mbr__container *c)
{
    bool last, none;

    (void)pthread_mutex_lock(&p->lock);
    last = --c->numbers == 0;
    if (last)
        mbr__list_del(&c->node);
    none = last && mbr__list_empty(&p->containers);
    (void)pthread_mutex_unlock(&p->lock);
    if (!last)
        mbr__container_changed(c);
    else if (c->result == 0)
        leave(c);
    else
        mbr__container_free(c);
    if (none)
        mbr__async_last_left();
}

/* What a new container must have before it is a member: its name and its directory. */
static int prepare(int fd, const char *name, const struct mbr__names *names,
                   struct mbr__container **out)
{
    struct mbr__container *c = NULL;
    int rc = mbr__container_new(fd, &c);

    if (rc != 0)
        return rc;
    memcpy(c->name, name, strlen(name));
    c->names = *names;
    c->numbers = 1;
    *out = c;
    return 0;
}

/* ---- creating -------------------------------------------------------------------------------- */

static bool may_share(int group)
{
    gid_t groups[65536 / 64];
    int n;

    if (group < 0 || geteuid() == 0 || getegid() == (gid_t)group)
        return true;
    n = getgroups((int)(sizeof(groups) / sizeof(groups[0])), groups);
    for (int i = 0; i < n; i++) {
        if (groups[i] == (gid_t)group)
            return true;
    }
    return false;
}

static int check_options(int group, const struct mbr_container_options *o)
{
    if (group < -1)
        return -EINVAL;
    if (!may_share(group))
        return -EPERM;
    if (o == NULL)
        return 0;
    if (o->size != sizeof(*o) || o->reserved != 0 || (o->flags & ~KNOWN_FLAGS) != 0 ||
        (o->policy != MBR_WRITE_IN_PLACE && o->policy != MBR_WRITE_VERSIONED))
        return -EINVAL;
    if ((o->flags & MBR_CONTAINER_CHECKSUMS) != 0 && o->directory == NULL &&
        (o->flags & MBR_CONTAINER_PERSISTENT) == 0)
        return -EINVAL;
    /* The files are one user's: members of a group could not write them, and membraned does not
     * write where a client says. */
    return o->directory != NULL && (group >= 0 || (o->flags & MBR_CONTAINER_KEPT) != 0)
               ? -EOPNOTSUPP
               : 0;
}

/* Hands it to membraned. 1: there is none, and links will do. */
static int publish_to_group(struct mbr__container *c, int group, uint32_t flags, uint32_t policy)
{
    int fd = -1;
    int rc = mbr__links_find(&c->names, c->name, &fd);

    if (rc == 0)
        (void)close(fd);
    if (rc != -ENOENT)
        return rc == -ETIMEDOUT || rc == -EMFILE || rc == -ENFILE ? rc : -EEXIST;
    c->shm->group = group;
    c->shm->flags = flags;
    rc = mbr__broker_create(c->name, group, flags, policy, c->fd, &c->session);
    if (rc != -ECONNREFUSED)
        return rc;
    c->shm->group = -1;
    c->shm->flags = 0;
    return flags != 0 ? rc : 1;
}

static int publish(struct mbr__container *c, int group, const struct mbr_container_options *o)
{
    uint32_t flags = o != NULL && o->directory == NULL ? o->flags : 0;
    int rc = 1;

    if ((flags & MBR_CONTAINER_PERSISTENT) != 0)
        flags |= MBR_CONTAINER_KEPT;
    c->served = (flags & MBR_CONTAINER_PERSISTENT) != 0;

    c->owner = (uint32_t)geteuid();
    if (group >= 0 || flags != 0)
        rc = publish_to_group(c, group, flags, o != NULL ? o->policy : MBR_WRITE_IN_PLACE);
    return rc == 1 ? mbr__links_create(c) : rc;
}

/* Makes the memory, and us its first member, and publishes it. */
static int make(struct mbr__process *p, struct mbr__container *c, int group,
                const struct mbr_container_options *o)
{
    int rc = mbr__container_furnish(c, o != NULL ? o->policy : MBR_WRITE_IN_PLACE);

    if (rc == 0)
        rc = mbr__member_claim(c);
    if (rc != 0)
        return rc;
    mbr_store_release(&mbr__member_at(c, c->world.self)->state, MBR__MEMBER_HERE);
    if (o != NULL && o->directory != NULL)
        rc = mbr__persist_begin(c, o->directory, o->flags);
    if (rc != 0)
        return rc;
    c->ready = 1;
    /* In the list before anybody can find it: so a join by another thread finds it there. */
    (void)pthread_mutex_lock(&p->lock);
    mbr__list_push_back(&p->containers, &c->node);
    (void)pthread_mutex_unlock(&p->lock);
    return publish(c, group, o);
}

static int create(const char *name, int group, const struct mbr_container_options *o,
                  struct mbr__process *p, struct mbr__container **out)
{
    struct mbr__container *c = NULL;
    struct mbr__names names;
    int fd = -1;
    int rc = mbr__names_open(&names);

    if (rc != 0)
        return rc;
    rc = mbr__object_memory_new(name, &fd);
    if (rc == 0)
        rc = prepare(fd, name, &names, &c);
    if (rc != 0) {
        mbr__names_close(&names);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    rc = make(p, c, group, o);
    if (rc == 0) {
        *out = c;
        return 0;
    }
    (void)pthread_mutex_lock(&p->lock);
    mbr__list_del(&c->node);
    (void)pthread_mutex_unlock(&p->lock);
    mbr__container_free(c);
    return rc;
}

int mbr_container_create_with(const char *name, int group,
                              const struct mbr_container_options *options)
{
    struct mbr__process *p = NULL;
    struct mbr__handle *h = NULL;
    struct mbr__container *c = NULL;
    int rc = mbr__name_check(name);

    if (rc == 0)
        rc = check_options(group, options);
    if (rc == 0)
        rc = mbr__handle_new(MBR__KIND_CONTAINER, &p, &h);
    if (rc != 0)
        return rc;
    rc = create(name, group, options, p, &c);
    if (rc != 0) {
        mbr__handle_free(p, MBR__KIND_CONTAINER, h);
        return rc;
    }
    return open_number(h, c);
}

int mbr_container_create(const char *name, int group)
{
    return mbr_container_create_with(name, group, NULL);
}

/* ---- joining --------------------------------------------------------------------------------- */

/* With process.lock: a container that this process is a member of, or becomes one of. */
static struct mbr__container *find_joined(struct mbr__process *p, const uint64_t id[2])
{
    struct mbr__list *node;

    mbr__list_for_each (node, &p->containers) {
        struct mbr__container *c = mbr__container_of(node, struct mbr__container, node);

        if (c->id[0] == id[0] && c->id[1] == id[1])
            return c;
    }
    return NULL;
}

/* One number more for a container that we are a member of already: it and its result. NULL: we are
 * not, and what was prepared is in the list, for others to wait for. */
static struct mbr__container *attach(struct mbr__process *p, struct mbr__container *prepared)
{
    struct mbr__container *c;

    (void)pthread_mutex_lock(&p->lock);
    c = find_joined(p, prepared->id);
    if (c != NULL)
        c->numbers++;
    else
        mbr__list_push_back(&p->containers, &prepared->node);
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

static int become_member(struct mbr__container *c)
{
    int rc = mbr__member_claim(c);

    if (rc != 0)
        return rc;
    rc = mbr__container_lock(c, MBR_FOREVER);
    if (rc == 0) {
        if (mbr_load_acquire(&c->shm->state) == MBR__CONTAINER_LIVE)
            mbr_store_release(&mbr__member_at(c, c->world.self)->state, MBR__MEMBER_HERE);
        else
            rc = -ENOENT;
        mbr__container_unlock(c);
    }
    if (rc == 0 && c->session < 0)
        rc = mbr__links_join(c);
    if (rc != 0)
        mbr__member_release(c);
    return rc;
}

/* The first of this process: whoever came after it waits. */
static int join_first(struct mbr__process *p, struct mbr__container *c)
{
    int rc = become_member(c);

    c->result = rc;
    if (rc != 0) { /* nobody shall find it any more; those who have, give it back */
        (void)pthread_mutex_lock(&p->lock);
        mbr__list_del(&c->node);
        (void)pthread_mutex_unlock(&p->lock);
    }
    mbr_store_release(&c->ready, 1); /* pair A with join_again() */
    mbr__futex_wake(&c->ready, MBR__FUTEX_ALL);
    return rc;
}

static int join_again(struct mbr__container *c)
{
    while (mbr_load_acquire(&c->ready) == 0)
        (void)mbr__futex_wait(&c->ready, 0, MBR__FUTEX_ALL, UINT64_MAX);
    if (c->result < 0)
        return c->result;
    return mbr_load_acquire(&c->shm->state) == MBR__CONTAINER_LIVE ? 0 : -ENOENT;
}

/* Joins the container whose memory was found; all of that is ours to close. */
static int join_memory(struct mbr__process *p, const struct mbr__broker_found *found,
                       const char *name, struct mbr__names *names, struct mbr__container **out)
{
    int fd = found->memory;
    struct mbr__container_shm header;
    struct mbr__container *c = NULL;
    struct mbr__container *joined;
    int rc = mbr__links_check(fd, NULL, &header);

    if (rc == 0 && header.state != MBR__CONTAINER_LIVE)
        rc = -ENOENT;
    if (rc == 0)
        rc = prepare(fd, name, names, &c);
    if (rc != 0) {
        mbr__names_close(names);
        (void)close(fd);
        if (found->session >= 0)
            (void)close(found->session);
        return rc;
    }
    c->session = found->session;
    c->owner = found->uid;
    c->served = found->session >= 0 && (found->flags & MBR_CONTAINER_PERSISTENT) != 0;
    c->id[0] = header.id[0];
    c->id[1] = header.id[1];
    joined = attach(p, c);
    if (joined != NULL) {
        mbr__container_free(c);
        c = joined;
        rc = join_again(c);
    } else {
        rc = join_first(p, c);
    }
    if (rc != 0)
        unref(p, c);
    else
        *out = c;
    return rc;
}

/* The user's own come first: those are found without asking anybody. */
static int find_memory(struct mbr__names *names, const char *name, struct mbr__broker_found *found)
{
    int rc;

    *found = (struct mbr__broker_found){.memory = -1, .session = -1, .uid = (uint32_t)geteuid()};
    rc = mbr__links_find(names, name, &found->memory);
    if (rc != -ENOENT)
        return rc;
    rc = mbr__broker_join(name, found);
    return rc == -ECONNREFUSED ? -ENOENT : rc;
}

static int join(struct mbr__process *p, const char *name, struct mbr__container **out)
{
    struct mbr__broker_found found;
    struct mbr__names names;
    int rc = mbr__names_open(&names);

    if (rc != 0)
        return rc;
    rc = find_memory(&names, name, &found);
    if (rc != 0) {
        mbr__names_close(&names);
        return rc;
    }
    return join_memory(p, &found, name, &names, out);
}

int mbr_container_join(const char *name)
{
    struct mbr__process *p = NULL;
    struct mbr__handle *h = NULL;
    struct mbr__container *c = NULL;
    int rc = mbr__name_check(name);

    if (rc == 0)
        rc = mbr__handle_new(MBR__KIND_CONTAINER, &p, &h);
    if (rc != 0)
        return rc;
    rc = -EAGAIN;
    for (int i = 0; i < JOIN_TRIES && rc == -EAGAIN; i++)
        rc = join(p, name, &c);
    if (rc != 0) {
        mbr__handle_free(p, MBR__KIND_CONTAINER, h);
        return rc == -EAGAIN ? -ETIMEDOUT : rc;
    }
    return open_number(h, c);
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* Gives back a number that is closed and that we are inside of `own` times. */
static struct mbr__container *give_back(struct mbr__process *p, struct mbr__handle *h, uint32_t own)
{
    struct mbr__container *c = h->what;

    mbr__object_finish_all(p, h);
    mbr__handle_drain(h, own);
    for (; own != 0; own--)
        mbr__handle_exit(h);
    mbr__handle_free(p, MBR__KIND_CONTAINER, h);
    return c;
}

int mbr_container_leave(int container)
{
    struct mbr__process *p = NULL;
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_close(MBR__KIND_CONTAINER, container, &p, &h);

    if (rc == 0)
        unref(p, give_back(p, h, 0));
    return rc;
}

/* ---- destroying ------------------------------------------------------------------------------ */

static int stop_joins(struct mbr__container *c, uint64_t deadline)
{
    int rc = mbr__container_lock(c, deadline);

    if (rc != 0)
        return rc;
    if (mbr_load_relaxed(&c->shm->state) == MBR__CONTAINER_LIVE) {
        mbr_store_release(&c->shm->destroyer, c->world.self + 1);
        mbr_store_release(&c->shm->state, MBR__CONTAINER_DYING);
    } else {
        rc = -EALREADY;
    }
    mbr__container_unlock(c);
    return rc;
}

/* Whether the number is the only one of the only member; then the process gives no more of them. */
static bool take_alone(struct mbr__process *p, struct mbr__container *c)
{
    bool alone = false;

    if (mbr__member_others(c) != 0)
        return false;
    (void)pthread_mutex_lock(&p->lock);
    if (c->numbers == 1) {
        mbr__list_del(&c->node);
        alone = true;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return alone;
}

static int wait_alone(struct mbr__process *p, struct mbr__handle *h, uint64_t deadline)
{
    struct mbr__container *c = h->what;

    mbr__member_look(c, MBR_CONTAINER_MEMBERS);
    for (;;) {
        uint32_t seen = mbr__container_changes(c);

        if (take_alone(p, c))
            return 0;
        if ((mbr_load_acquire(&h->word) & MBR__OPEN) == 0)
            return -EBADF; /* another thread gives the number back */
        if (mbr__container_await(c, seen, deadline) < 0)
            return -ETIMEDOUT;
    }
}

static bool may_destroy(const struct mbr__container *c)
{
    return c->session < 0 || geteuid() == 0 || c->owner == (uint32_t)geteuid();
}

/* take_alone() has taken it from the list: if it stays, it is there again. */
static int remove_files(struct mbr__process *p, struct mbr__container *c)
{
    int rc = mbr__persist_destroy(c);

    if (rc != 0) {
        (void)pthread_mutex_lock(&p->lock);
        mbr__list_push_back(&p->containers, &c->node);
        (void)pthread_mutex_unlock(&p->lock);
    }
    return rc;
}

static int destroy(struct mbr__process *p, struct mbr__handle *h, uint64_t deadline)
{
    struct mbr__container *c = h->what;
    int rc = may_destroy(c) ? stop_joins(c, deadline) : -EACCES;

    if (rc != 0)
        return rc;
    rc = wait_alone(p, h, deadline);
    if (rc == 0)
        rc = remove_files(p, c);
    if (rc == 0 && !mbr__handle_shut(h))
        rc = -EBADF; /* the other thread frees it as the last to leave */
    if (rc != 0)
        mbr_store_release(&c->shm->state, MBR__CONTAINER_LIVE);
    else
        mbr_store_release(&c->shm->state, MBR__CONTAINER_DEAD);
    /* A daemon that is gone, or does not answer, finds nobody in it any more. */
    if (rc == 0 && c->session >= 0 && !c->served)
        (void)mbr__broker_remove(c->session);
    return rc;
}

int mbr_container_destroy_until(int container, uint64_t deadline_ns)
{
    struct mbr__process *p = NULL;
    struct mbr__handle *h = NULL;
    int rc = mbr__handle_enter(MBR__KIND_CONTAINER, container, &h);

    if (rc != 0)
        return rc;
    p = mbr_load_acquire(&mbr__process_state);
    rc = destroy(p, h, deadline_ns);
    if (rc != 0)
        mbr__handle_exit(h);
    else
        unref(p, give_back(p, h, 1));
    return rc;
}

int mbr_container_destroy(int container)
{
    return mbr_container_destroy_until(container, MBR_FOREVER);
}

/* ---- looking --------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct mbr__container *c)
{
    struct stat st;

    return fstat(c->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static uint32_t flags_of(const struct mbr__container *c)
{
    uint32_t flags = mbr_load_relaxed(&c->shm->flags) & ~MBR_CONTAINER_BROKERED;

    if (c->session >= 0) /* only membraned's word counts */
        flags = (flags & ~MBR_CONTAINER_PERSISTENT) | (c->served ? MBR_CONTAINER_PERSISTENT : 0);
    return c->session >= 0 ? flags | MBR_CONTAINER_BROKERED : flags;
}

int mbr_container_getattr(int container, struct mbr_container_attr *out)
{
    struct mbr__handle *h = NULL;
    struct mbr__container *c;
    int rc;

    if (out == NULL)
        return -EINVAL;
    rc = mbr__handle_enter(MBR__KIND_CONTAINER, container, &h);
    if (rc != 0)
        return rc;
    c = h->what;
    mbr__member_sweep(c, NULL);
    rc = mbr__container_lock(c, MBR_FOREVER);
    if (rc == 0) {
        *out = (struct mbr_container_attr){.objects = mbr_load_relaxed(&c->shm->live_entries),
                                           .members = mbr__member_others(c) + 1,
                                           .policy = mbr_load_relaxed(&c->shm->policy),
                                           .flags = flags_of(c),
                                           .uid = mbr_load_relaxed(&c->shm->uid),
                                           .group = mbr_load_relaxed(&c->shm->group)};
        memcpy(out->name, c->name, sizeof(c->name));
        mbr__container_unlock(c);
        out->bytes = bytes_of(c);
    }
    mbr__handle_exit(h);
    return rc;
}

int mbr_container_list(int container, uint64_t *cursor, char name[MBR_OBJECT_NAME_MAX + 1])
{
    struct mbr__handle *h = NULL;
    uint32_t index;
    bool found;
    int rc;

    if (cursor == NULL || name == NULL)
        return -EINVAL;
    rc = mbr__handle_enter(MBR__KIND_CONTAINER, container, &h);
    if (rc != 0)
        return rc;
    index = *cursor < MBR_CONTAINER_OBJECTS ? (uint32_t)*cursor : MBR_CONTAINER_OBJECTS;
    rc = mbr__container_lock(h->what, MBR_FOREVER);
    if (rc == 0) {
        found = mbr__table_next(h->what, &index, name);
        mbr__container_unlock(h->what);
        if (found)
            *cursor = (uint64_t)index + 1;
        rc = found ? 1 : 0;
    }
    mbr__handle_exit(h);
    return rc;
}

int mbr_container_list_kept(uint64_t *cursor, char name[MBR_OBJECT_NAME_MAX + 1])
{
    struct mbr__broker_entry entry;
    int rc;

    if (cursor == NULL || name == NULL)
        return -EINVAL;
    rc = mbr__broker_list(cursor, &entry);
    if (rc == 1)
        memcpy(name, entry.name, sizeof(entry.name));
    return rc;
}
