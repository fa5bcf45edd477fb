/* SPDX-License-Identifier: MIT */
/*
 * Containers, their users and their members through a live update: written to the stream, and read
 * from it; see containers.h. Descriptors keep their numbers.
 */
#include "containers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container.h"
#include "update_stream.h"

#define PATH_LENGTH_MAX 4096u
#define COUNT_MAX       (UINT64_C(1) << 24)
#define GROUP_NONE      (UINT64_C(1) << 32) /* -1 */

/* ---- writing ----------------------------------------------------------------------------------
 */

static void put_container(struct stream_out *out, const struct container *container)
{
    stream_put(out, container->number);
    stream_put(out, container->owner->uid);
    stream_put(out, container->group < 0 ? GROUP_NONE : (uint64_t)container->group);
    stream_put(out, container->flags);
    stream_put(out, container->removed ? 1 : 0);
    stream_put(out, (uint64_t)container->memory + 1); /* 0: none */
    stream_put(out, container->stored != NULL ? stored_what(container->stored)->number : 0);
    stream_put(out, container->stored != NULL ? stored_what(container->stored)->policy : 0);
    stream_put(out, container->name_length);
    stream_put_bytes(out, container->name, container->name_length);
}

static uint64_t length_of(const struct mbr__list *list)
{
    const struct mbr__list *node;
    uint64_t count = 0;

    mbr__list_for_each (node, list)
        count++;
    return count;
}

void containers_put(struct containers *c, struct stream_out *out)
{
    size_t length = c->path != NULL ? strlen(c->path) : 0;
    const struct mbr__list *node;

    stream_put(out, c->listener >= 0 ? (uint64_t)c->listener + 1 : 0);
    stream_put(out, length);
    stream_put_bytes(out, c->path, length);
    stream_put(out, c->last);
    stream_put(out, length_of(&c->all));
    mbr__list_for_each (node, &c->all)
        put_container(out, mbr__container_of(node, struct container, node));
    stream_put(out, length_of(&c->sessions));
    mbr__list_for_each (node, &c->sessions) {
        const struct session *session = mbr__container_of(node, struct session, node);

        stream_put(out, (uint64_t)session->fd);
        stream_put(out, session->container != NULL ? session->container->number : 0);
        stream_put(out, session->desk != NULL ? (uint64_t)session->desk->memory + 1 : 0);
    }
}

void containers_each_fd(struct containers *c, void (*visit)(int fd, void *user), void *user)
{
    const struct mbr__list *node;

    visit(c->listener, user);
    mbr__list_for_each (node, &c->all)
        visit(mbr__container_of(node, struct container, node)->memory, user);
    mbr__list_for_each (node, &c->sessions) {
        const struct session *session = mbr__container_of(node, struct session, node);

        visit(session->fd, user);
        visit(session->desk != NULL ? session->desk->memory : -1, user);
    }
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static int get_head(struct containers *c, struct stream_in *in)
{
    uint64_t listener = stream_get_most(in, INT32_MAX);
    size_t length = stream_get_most(in, PATH_LENGTH_MAX);
    const unsigned char *path = stream_get_bytes(in, length);
    uint64_t last = stream_get_most(in, UINT32_MAX);

    if (in->error != 0 || c == NULL)
        return in->error;
    if (length > 0) {
        c->path = strndup((const char *)path, length);
        if (c->path == NULL)
            return -ENOMEM;
    }
    c->listener = (int)listener - 1;
    c->last = (uint32_t)last;
    return 0;
}

/* One on disk: NUMBER is its directory's. */
static int know_stored(struct containers *c, struct container *like, uint64_t number,
                       uint32_t policy)
{
    struct stored_what what = {.number = number,
                               .uid = like->owner->uid,
                               .group = like->group,
                               .flags = like->flags,
                               .policy = policy};

    if (c->shelf == NULL)
        return -EXDEV;
    memcpy(what.name, like->name, like->name_length);
    like->stored = stored_new(c->shelf, &what);
    return like->stored != NULL ? 0 : -ENOMEM;
}

/* The owner is held by a count of one connection while his container is made. */
static int restore_container(struct containers *c, struct container *like, uid_t uid,
                             uint64_t number, uint32_t policy)
{
    struct container *made;
    int rc = container_user_hold(c, uid, &like->owner);

    if (rc != 0)
        return rc;
    if (number != 0)
        rc = know_stored(c, like, number, policy);
    if (rc == 0)
        rc = container_new(c, like, &made);
    if (rc != 0)
        stored_free(like->stored);
    container_user_leave(c, like->owner);
    return rc;
}

static int get_container(struct containers *c, struct stream_in *in)
{
    struct container like = {.number = (uint32_t)stream_get_most(in, UINT32_MAX)};
    uint64_t uid = stream_get_most(in, UINT32_MAX);
    uint64_t group = stream_get_most(in, GROUP_NONE);
    uint64_t number;
    uint32_t policy;

    like.group = group == GROUP_NONE ? -1 : (int32_t)group;
    like.flags = (uint32_t)stream_get_most(in, UINT32_MAX);
    like.removed = stream_get_most(in, 1) == 1;
    like.memory = (int)stream_get_most(in, INT32_MAX) - 1;
    number = stream_get(in);
    policy = (uint32_t)stream_get_most(in, MBR_WRITE_VERSIONED);
    like.name_length = stream_get_most(in, MBR_OBJECT_NAME_MAX);
    like.name = (char *)(uintptr_t)stream_get_bytes(in, like.name_length); /* only read */
    if (in->error != 0 || c == NULL)
        return in->error;
    return restore_container(c, &like, (uid_t)uid, number, policy);
}

static struct container *numbered(struct containers *c, uint64_t number)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &c->all) {
        struct container *container = mbr__container_of(node, struct container, node);

        if (container->number == number)
            return container;
    }
    return NULL;
}

static int get_session(struct containers *c, struct stream_in *in)
{
    int fd = (int)stream_get_most(in, INT32_MAX);
    uint64_t number = stream_get_most(in, UINT32_MAX);
    int memory = (int)stream_get_most(in, INT32_MAX) - 1;
    struct container *container;
    struct session *session;
    int rc;

    if (in->error != 0 || c == NULL)
        return in->error;
    container = number != 0 ? numbered(c, number) : NULL;
    if (number != 0 && container == NULL)
        return -EBADMSG;
    rc = session_open(c, fd, &session);
    if (rc == 0 && container != NULL)
        container_enter(container, session);
    if (rc == 0 && container != NULL && memory >= 0)
        rc = container->stored != NULL ? stored_lend(session, memory) : -EBADMSG;
    return rc;
}

static int get_all(struct containers *c, struct stream_in *in,
                   int (*get)(struct containers *c, struct stream_in *in))
{
    uint64_t count = stream_get_most(in, COUNT_MAX);
    int rc = in->error;

    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = get(c, in);
    return rc;
}

int containers_get(struct containers *c, struct stream_in *in)
{
    int rc = get_head(c, in);

    if (rc == 0)
        rc = get_all(c, in, get_container);
    if (rc == 0)
        rc = get_all(c, in, get_session);
    return rc;
}
