/* SPDX-License-Identifier: MIT */
/* See links.h. */
#define _GNU_SOURCE
#include "object/links.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "object/member.h"
#include "object/memory.h"
#include "shm/proc.h"

#define FILE_MAX (MBR_OBJECT_NAME_MAX + 16)

static void first_file(const char *name, char out[FILE_MAX])
{
    (void)snprintf(out, FILE_MAX, "%s.c", name);
}

static void member_file(const char *name, uint32_t slot, char out[FILE_MAX])
{
    (void)snprintf(out, FILE_MAX, "%s.c.%u", name, slot);
}

/* ---- what a link leads to -------------------------------------------------------------------- */

int mbr__links_check(int fd, const uint64_t id[2], struct mbr__container_shm *header)
{
    int rc = mbr__object_memory_check(fd);

    if (rc < 0)
        return rc;
    if (pread(fd, header, sizeof(*header), 0) != (ssize_t)sizeof(*header) ||
        header->magic != MBR__OBJECT_MAGIC || header->version != MBR__OBJECT_VERSION)
        return -EPROTO;
    return id == NULL || (header->id[0] == id[0] && header->id[1] == id[1]) ? 0 : -EPROTO;
}

/* Opens what a link leads to. -ESRCH nothing any more, so that the link may be replaced; -EACCES,
 * -EXDEV, -EMFILE, ... that cannot be told. */
static int follow(const struct mbr__link *l, int *out)
{
    struct mbr__container_shm header;
    int fd = -1;
    int rc;

    if (l->state != 'c')
        return -EACCES; /* not one of ours: not to be replaced */
    rc = mbr__proc_open_fd(&l->owner, l->fd, 'm', O_RDWR, &fd);
    if (rc == -ENOENT || rc == -EPROTO)
        return -ESRCH;
    if (rc < 0)
        return rc;
    if (mbr__links_check(fd, l->id, &header) < 0) {
        (void)close(fd);
        return -ESRCH;
    }
    *out = fd;
    return 0;
}

/* ---- another way in -------------------------------------------------------------------------- */

struct search {
    struct mbr__names *n;
    char prefix[FILE_MAX]; /* "NAME.c." */
    uint64_t id[2];
    struct mbr__link found;
    int fd;
};

/* For each entry of the directory: one of the container's members that lives ends the search, dead
 * ones are removed on the way. */
static int look_at(void *arg, const char *file)
{
    struct search *s = arg;
    size_t n = strlen(s->prefix);
    struct mbr__link l;
    int rc;

    if (strncmp(file, s->prefix, n) != 0 || file[n] == '\0' ||
        strspn(file + n, "0123456789") != strlen(file + n))
        return 0;
    if (mbr__names_read(s->n, file, &l) < 0)
        return 0;
    rc = follow(&l, &s->fd);
    if (rc == -ESRCH)
        (void)mbr__names_remove(s->n, file);
    if (rc < 0)
        return 0;
    if (l.id[0] != s->id[0] || l.id[1] != s->id[1]) {
        (void)close(s->fd);
        return 0;
    }
    s->found = l;
    return 1;
}

/* The process behind NAME.c is dead: finds another member, or removes the link. */
static int find_other(struct mbr__names *n, const char *name, const uint64_t id[2], int *fd)
{
    struct search s = {.n = n, .id = {id[0], id[1]}, .fd = -1};
    char file[FILE_MAX];
    int rc;

    first_file(name, file);
    (void)snprintf(s.prefix, sizeof(s.prefix), "%s.c.", name);
    rc = mbr__names_each(n, look_at, &s);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        rc = mbr__names_remove(n, file);
        return rc < 0 && rc != -ENOENT ? rc : -ENOENT;
    }
    rc = mbr__names_write(n, file, &s.found);
    if (rc < 0) {
        (void)close(s.fd);
        return rc;
    }
    *fd = s.fd;
    return 0;
}

/* mbr__links_find() with the lock. */
static int find(struct mbr__names *n, const char *name, int *fd)
{
    char file[FILE_MAX];
    struct mbr__link l;
    int rc;

    first_file(name, file);
    rc = mbr__names_read(n, file, &l);
    if (rc == 0)
        rc = follow(&l, fd);
    else if (rc == -EINVAL)
        rc = -EPROTO;
    return rc == -ESRCH ? find_other(n, name, l.id, fd) : rc;
}

int mbr__links_find(struct mbr__names *n, const char *name, int *fd)
{
    int rc = mbr__names_lock(n, MBR__LOCK_NS);

    if (rc < 0)
        return rc;
    rc = find(n, name, fd);
    mbr__names_unlock(n);
    return rc;
}

/* ---- our own links --------------------------------------------------------------------------- */

static int own_link(const struct mbr__container *c, struct mbr__link *l)
{
    struct mbr__proc self;
    int rc = mbr__proc_self(&self);

    if (rc < 0)
        return rc;
    *l = (struct mbr__link){.owner = self,
                            .fd = c->fd,
                            .wake = -1,
                            .state = 'c',
                            .id = {c->id[0], c->id[1]},
                            .value = c->world.self};
    return 0;
}

static bool same_owner(const struct mbr__link *a, const struct mbr__link *b)
{
    return a->owner.pid == b->owner.pid && a->owner.start == b->owner.start && a->fd == b->fd &&
           a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

static int write_member(struct mbr__container *c, const struct mbr__link *l)
{
    char file[FILE_MAX];

    member_file(c->name, c->world.self, file);
    return mbr__names_write(&c->names, file, l);
}

static int write_first(struct mbr__container *c, const struct mbr__link *l)
{
    char file[FILE_MAX];

    first_file(c->name, file);
    return mbr__names_write(&c->names, file, l);
}

static void remove_member(struct mbr__container *c)
{
    char file[FILE_MAX];

    member_file(c->name, c->world.self, file);
    (void)mbr__names_remove(&c->names, file);
}

/* With the lock. What cannot be opened has the name all the same. */
static int create(struct mbr__container *c)
{
    struct mbr__link l;
    int fd = -1;
    int rc = find(&c->names, c->name, &fd);

    if (rc == 0)
        (void)close(fd);
    if (rc == 0 || rc == -EACCES || rc == -EXDEV || rc == -EPROTO)
        return -EEXIST;
    if (rc != -ENOENT)
        return rc;
    rc = own_link(c, &l);
    if (rc == 0)
        rc = write_member(c, &l);
    if (rc < 0)
        return rc;
    rc = write_first(c, &l);
    if (rc < 0)
        remove_member(c);
    return rc;
}

int mbr__links_create(struct mbr__container *c)
{
    int rc = mbr__names_lock(&c->names, MBR__LOCK_NS);

    if (rc < 0)
        return rc;
    rc = create(c);
    mbr__names_unlock(&c->names);
    return rc;
}

/* Whether the name still leads to our container; it may have gone with a member that left while we
 * came: then we are the way in. */
static int confirm_first(struct mbr__container *c, const struct mbr__link *own)
{
    struct mbr__container_shm header;
    int fd = -1;
    int rc = find(&c->names, c->name, &fd);

    if (rc == -ENOENT)
        return write_first(c, own);
    if (rc < 0)
        return rc;
    rc = mbr__links_check(fd, c->id, &header) < 0 ? -EAGAIN : 0;
    (void)close(fd);
    return rc;
}

int mbr__links_join(struct mbr__container *c)
{
    struct mbr__link l;
    int rc = own_link(c, &l);

    if (rc == 0)
        rc = mbr__names_lock(&c->names, MBR__LOCK_NS);
    if (rc < 0)
        return rc;
    rc = write_member(c, &l);
    if (rc == 0) {
        rc = confirm_first(c, &l);
        if (rc < 0)
            remove_member(c);
    }
    mbr__names_unlock(&c->names);
    return rc;
}

/* The link of a member that lives, to take the first one's place. */
static bool find_successor(struct mbr__container *c, struct mbr__link *out)
{
    uint32_t bound = mbr__member_bound(c);
    char file[FILE_MAX];

    for (uint32_t slot = 0; slot < bound; slot++) {
        if (slot == c->world.self ||
            mbr_load_acquire(&mbr__member_at(c, slot)->state) != MBR__MEMBER_HERE)
            continue;
        member_file(c->name, slot, file);
        if (mbr__names_read(&c->names, file, out) == 0 && out->id[0] == c->id[0] &&
            out->id[1] == c->id[1] && mbr__proc_alive(&out->owner) != 0)
            return true;
    }
    return false;
}

/* The last to leave removes the links of members that were killed. */
static void remove_leftovers(struct mbr__container *c)
{
    uint32_t bound = mbr__member_bound(c);
    char file[FILE_MAX];
    struct mbr__link l;

    for (uint32_t slot = 0; slot < bound; slot++) {
        member_file(c->name, slot, file);
        if (mbr__names_read(&c->names, file, &l) == 0 && l.id[0] == c->id[0] &&
            l.id[1] == c->id[1] && mbr__proc_alive(&l.owner) == 0)
            (void)mbr__names_remove(&c->names, file);
    }
}

static void leave(struct mbr__container *c, const struct mbr__link *own)
{
    char file[FILE_MAX];
    struct mbr__link l;

    member_file(c->name, c->world.self, file);
    if (mbr__names_read(&c->names, file, &l) == 0 && same_owner(&l, own))
        (void)mbr__names_remove(&c->names, file);
    first_file(c->name, file);
    if (mbr__names_read(&c->names, file, &l) < 0 || !same_owner(&l, own))
        return;
    if (find_successor(c, &l) && mbr__names_write(&c->names, file, &l) == 0)
        return;
    (void)mbr__names_remove(&c->names, file);
    remove_leftovers(c);
}

void mbr__links_leave(struct mbr__container *c)
{
    struct mbr__link own;

    /* Links that stay because the directory is locked lead nowhere, which others will find out. */
    if (own_link(c, &own) < 0 || mbr__names_lock(&c->names, MBR__LOCK_NS) < 0)
        return;
    leave(c, &own);
    mbr__names_unlock(&c->names);
}
