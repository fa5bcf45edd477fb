/* SPDX-License-Identifier: MIT */
/*
 * See container.h. Everything a request does is a lookup by name, by user or in the session itself:
 * no request costs more when there are more containers or members.
 */
#include "container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 65536u /* NGROUPS_MAX of Linux */

/* ---- users ------------------------------------------------------------------------------------
 */

static uint64_t key_of(uid_t uid)
{
    return (uint64_t)uid + 1;
}

bool container_user_privileged(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static struct container_user *user_of(struct containers *c, uid_t uid)
{
    struct container_user *user = mbr__hash_get(&c->users, key_of(uid));

    if (user != NULL)
        return user;
    user = calloc(1, sizeof(*user));
    if (user == NULL)
        return NULL;
    user->uid = uid;
    if (mbr__hash_put(&c->users, key_of(uid), user) != 0) {
        free(user);
        return NULL;
    }
    return user;
}

static void forget_idle(struct containers *c, struct container_user *user)
{
    if (user->sessions > 0 || user->containers > 0)
        return;
    (void)mbr__hash_del(&c->users, key_of(user->uid));
    free(user);
}

int container_user_enter(struct containers *c, uid_t uid, struct container_user **out)
{
    uint64_t most = settings_number(c->server->settings, SETTING_MEMBERS_PER_USER);
    struct container_user *user = user_of(c, uid);

    if (user == NULL)
        return -ENOMEM;
    if (user->sessions >= most && !container_user_privileged(uid)) {
        forget_idle(c, user);
        return -EAGAIN;
    }
    user->sessions++;
    *out = user;
    return 0;
}

int container_user_hold(struct containers *c, uid_t uid, struct container_user **out)
{
    struct container_user *user = user_of(c, uid);

    if (user == NULL)
        return -ENOMEM;
    user->sessions++;
    *out = user;
    return 0;
}

void container_user_leave(struct containers *c, struct container_user *user)
{
    user->sessions--;
    forget_idle(c, user);
}

/* ---- containers -------------------------------------------------------------------------------
 */

static int add(struct containers *c, struct container *container)
{
    int rc = container->removed ? 0 : mbr__bytes_map_put(&c->named, container);

    if (rc != 0)
        return rc;
    container->owner->containers++;
    mbr__list_push_back(&c->all, &container->node);
    return 0;
}

int container_new(struct containers *c, const struct container *like, struct container **out)
{
    struct container *container;
    int rc;

    container = malloc(sizeof(*container));
    if (container == NULL)
        return -ENOMEM;
    *container = *like;
    container->members = 0;
    container->desks = 0;
    mbr__list_init(&container->sessions);
    container->name = strndup(like->name, like->name_length);
    rc = container->name != NULL ? add(c, container) : -ENOMEM;
    if (rc != 0) {
        free(container->name);
        free(container);
        return rc;
    }
    *out = container;
    return 0;
}

void container_free(struct containers *c, struct container *container)
{
    struct container_user *owner = container->owner;

    if (!container->removed)
        (void)mbr__bytes_map_del(&c->named, container->name, container->name_length);
    mbr__list_del(&container->node);
    owner->containers--;
    forget_idle(c, owner);
    if (container->memory >= 0)
        (void)close(container->memory);
    stored_free(container->stored);
    free(container->name);
    free(container);
}

void container_release(struct containers *c, struct container *container)
{
    bool kept = (container->flags & MBR_CONTAINER_KEPT) != 0 && !container->removed;

    if (container->members == 0 && container->desks == 0 && !kept)
        container_free(c, container);
}

void container_enter(struct container *container, struct session *session)
{
    container->members++;
    session->container = container;
    mbr__list_push_back(&container->sessions, &session->peer);
}

void container_leave(struct session *session)
{
    struct container *container = session->container;

    if (container == NULL)
        return;
    session->container = NULL;
    mbr__list_del(&session->peer);
    container->members--;
    container_release(session->containers, container);
}

int container_remove(struct containers *c, struct container *container)
{
    if (container->removed)
        return -ENOENT;
    (void)mbr__bytes_map_del(&c->named, container->name, container->name_length);
    container->removed = true;
    container_release(c, container);
    return 0;
}

/* ---- who may ----------------------------------------------------------------------------------
 */

static bool in_supplementary(int fd, gid_t group)
{
    socklen_t size = 64 * sizeof(gid_t);
    gid_t *groups = malloc(size);
    bool found = false;
    int rc;

    if (groups == NULL)
        return false;
    rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    if (rc != 0 && errno == ERANGE && size <= GROUPS_MAX * sizeof(gid_t)) {
        gid_t *more = realloc(groups, size);

        if (more != NULL) {
            groups = more;
            rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
        }
    }
    for (size_t i = 0; rc == 0 && i < size / sizeof(gid_t); i++)
        found = found || groups[i] == group;
    free(groups);
    return found;
}

bool session_in_group(const struct session *session, gid_t group)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(session->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.gid == group)
        return true;
    return in_supplementary(session->fd, group);
}

bool session_may_join(const struct session *session, const struct container *container)
{
    uid_t uid = session->user->uid;

    return uid == container->owner->uid || container_user_privileged(uid) ||
           (container->group >= 0 && session_in_group(session, (gid_t)container->group));
}
