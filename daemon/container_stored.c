/* SPDX-License-Identifier: MIT */
/*
 * What members of containers on disk ask for, and what becomes of it; see container.h. The disk's
 * work is the shelf's (shelf.h): here a request is judged, put on a desk and sent there, and its
 * connection is not read until the desk is back. A desk outlives a connection that ends meanwhile,
 * and a container stays while there are desks about it.
 */
#include "container.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "base/clock.h"
#include "log.h"
#include "shm/names.h"
#include "shm/post.h"

/* Containers that could not be read are tried again no sooner: who asks must not keep the loop
 * busy. */
#define REREAD_NS UINT64_C(250000000)

/* ---- desks ------------------------------------------------------------------------------------
 */

static struct desk *desk_for(struct session *session, struct container *container)
{
    struct desk *desk = session->desk;

    if (desk != NULL)
        return desk;
    desk = desk_new(container->stored);
    if (desk == NULL)
        return NULL;
    desk->session = session;
    desk->container = container;
    container->desks++;
    session->desk = desk;
    return desk;
}

/* It is not busy, and nobody's blocks are on it. */
static void drop(struct containers *c, struct desk *desk)
{
    struct container *container = desk->container;
    struct session *session = desk->session;

    if (session != NULL)
        session->desk = NULL;
    desk_free(desk);
    container->desks--;
    container_release(c, container);
}

static void submit(struct session *session, enum desk_job job)
{
    session->desk->job = job;
    shelf_submit(session->containers->shelf, session->desk);
    (void)session_pause(session, true); /* else it is asked again and again, and does nothing */
}

void stored_leave(struct session *session)
{
    struct containers *c = session->containers;
    struct desk *desk = session->desk;

    if (desk == NULL)
        return;
    session->desk = NULL;
    desk->session = NULL;
    if (desk->busy)
        return; /* it is seen when it comes back */
    if (desk->write == NULL || c->stopping) {
        drop(c, desk);
    } else {
        desk->job = DESK_LEAVE;
        shelf_submit(c->shelf, desk);
    }
}

int stored_lend(struct session *session, int memory)
{
    struct desk *desk = desk_for(session, session->container);

    if (desk == NULL)
        return -ENOMEM;
    desk->memory = memory;
    return 0;
}

/* ---- those who have gone ----------------------------------------------------------------------
 */

/* Those that are to be looked at, SESSION itself last. */
static uint32_t gather(struct session *session, struct session **all, struct pollfd *polls)
{
    const struct mbr__list *node;
    uint32_t n = 0;

    mbr__list_for_each (node, &session->container->sessions) {
        struct session *other = mbr__container_of(node, struct session, peer);

        if (other != session)
            all[n++] = other;
    }
    all[n++] = session;
    for (uint32_t i = 0; i < n; i++)
        polls[i] = (struct pollfd){.fd = all[i]->fd, .events = POLLIN};
    return n;
}

static bool has_gone(const struct pollfd *poll)
{
    return (poll->revents & (POLLHUP | POLLERR)) != 0;
}

static void settle(struct session *other, const struct pollfd *poll)
{
    if (has_gone(poll))
        session_close(other);
    else if ((poll->revents & POLLIN) != 0 && !session_busy(other))
        (void)session_serve(other, 1);
}

/* POLLS has been filled in. Whoever is served himself looks at nobody. */
static void settle_all(struct containers *c, struct session **others, const struct pollfd *polls,
                       uint32_t n)
{
    c->settling = true;
    for (uint32_t i = 0; i < n; i++)
        settle(others[i], &polls[i]);
    c->settling = false;
}

/*
 * Before something is changed for SESSION. It may have been given what a member had that is dead:
 * it must not be overtaken by what that one has sent, which is dropped, as it would be if it were
 * found first (-ECONNRESET). And a member that lives, but has stopped waiting, may have sent
 * something before it gave up what SESSION has: that comes first.
 *
 * SESSION itself is looked at after the others: if it lives then, nothing that is served before it
 * was sent by somebody who knew of its death.
 */
static int settle_members(struct session *session)
{
    struct containers *c = session->containers;
    uint32_t most = session->container->members;
    struct session **all = reallocarray(NULL, most, sizeof(struct session *));
    struct pollfd *polls = reallocarray(NULL, most, sizeof(*polls));
    int rc = all != NULL && polls != NULL ? 0 : -ENOMEM;

    if (rc == 0) {
        uint32_t n = gather(session, all, polls);

        if (poll(polls, n, 0) < 0)
            rc = -EAGAIN;
        if (rc == 0 && has_gone(&polls[n - 1]))
            rc = -ECONNRESET;
        if (rc == 0 && !c->settling)
            settle_all(c, all, polls, n - 1);
    }
    free(all);
    free(polls);
    return rc;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static bool has_name(uint32_t op)
{
    return op == MBR__BROKER_DISK_CREATE || op == MBR__BROKER_DISK_RENAME;
}

static int check(const struct session *session, const struct mbr__broker_disk *asked,
                 const char *name, size_t length, int fd)
{
    const struct container *container = session->container;
    char text[MBR_OBJECT_NAME_MAX + 1];

    if (container == NULL || container->stored == NULL)
        return -EINVAL;
    if ((fd >= 0 && asked->op != MBR__BROKER_DISK_OPEN) || (length > 0 && !has_name(asked->op)))
        return -EINVAL;
    if (asked->op == MBR__BROKER_DISK_DESTROY && session->user->uid != container->owner->uid &&
        !container_user_privileged(session->user->uid))
        return -EACCES;
    if (!has_name(asked->op))
        return 0;
    if (length > MBR_OBJECT_NAME_MAX)
        return -ENAMETOOLONG;
    if (memchr(name, '\0', length) != NULL)
        return -EINVAL;
    memcpy(text, name, length);
    text[length] = '\0';
    return mbr__name_check(text);
}

int stored_ask(struct session *session, const struct mbr__broker_disk *asked, const char *name,
               size_t name_length, int fd)
{
    struct desk *desk;
    int rc = check(session, asked, name, name_length, fd);

    if (rc == 0 && asked->op != MBR__BROKER_DISK_BLOCK && asked->op != MBR__BROKER_DISK_ABANDON)
        rc = settle_members(session);
    if (rc == 0 && asked->op == MBR__BROKER_DISK_RESIZE && mbr__now_ns() >= asked->more)
        rc = -ETIMEDOUT; /* the asker has given up, or does just now */
    if (rc != 0)
        return rc;
    desk = desk_for(session, session->container);
    if (desk == NULL)
        return -ENOMEM;
    desk->asked = *asked;
    memcpy(desk->name, name, name_length);
    desk->name[name_length] = '\0';
    desk->lent = fd;
    submit(session, DESK_DISK);
    return -EINPROGRESS;
}

int stored_create(struct session *session, const struct container *like, uint32_t policy)
{
    struct containers *c = session->containers;
    struct stored_what what = {.uid = session->user->uid, .group = like->group, .policy = policy};
    struct container stored = *like;
    struct container *made;
    int rc;

    if (c->shelf == NULL)
        return -EOPNOTSUPP;
    memcpy(what.name, like->name, like->name_length);
    what.flags = stored.flags = like->flags | MBR_CONTAINER_KEPT;
    stored.making = true;
    stored.stored = stored_new(c->shelf, &what);
    if (stored.stored == NULL)
        return -ENOMEM;
    rc = container_new(c, &stored, &made);
    if (rc != 0) {
        stored_free(stored.stored);
        return rc;
    }
    c->last = made->number;
    if (desk_for(session, made) == NULL) {
        made->memory = -1; /* the caller's */
        (void)container_remove(c, made);
        return -ENOMEM;
    }
    session->desk->lent = made->memory; /* for as long as it is there: see made() */
    submit(session, DESK_MAKE);
    return -EINPROGRESS;
}

int stored_join(struct session *session, struct container *container)
{
    if (desk_for(session, container) == NULL)
        return -ENOMEM;
    submit(session, DESK_REVIVE);
    return -EINPROGRESS;
}

static bool same_file(int a, int b)
{
    struct stat one;
    struct stat other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

int stored_rejoin(struct session *session, struct container *container, int memory)
{
    if (container->memory >= 0) {
        if (!same_file(container->memory, memory))
            return -ESTALE;
        container_enter(container, session);
        return 0;
    }
    if (desk_for(session, container) == NULL)
        return -ENOMEM;
    session->desk->lent = memory;
    submit(session, DESK_ADOPT);
    return -EINPROGRESS;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* It has its container from now on, or an error. */
static int answer_membership(struct session *session, struct container *container, int status,
                             bool memory)
{
    struct mbr__broker_reply reply = {.status = status};

    if (status == 0) {
        container_enter(container, session);
        container_describe(container, &reply);
    }
    return session_reply(session, &reply, status == 0 && memory ? container->memory : -1);
}

static int made(struct containers *c, struct desk *desk)
{
    struct container *container = desk->container;
    int status = desk->answer.status;

    desk->lent = -1;
    container->making = false;
    if (status != 0)
        (void)container_remove(c, container);
    return desk->session != NULL ? answer_membership(desk->session, container, status, false) : 0;
}

static int revived(struct desk *desk)
{
    struct container *container = desk->container;
    int status = desk->answer.status;

    if (status == 0 && container->removed) {
        status = -ENOENT;
    } else if (status == 0 && container->memory < 0) {
        container->memory = desk->fds[0];
        desk->fds[0] = -1;
    } else if (status != 0) {
        log_warning("container %s: cannot be read: %s", container->name, strerror(-status));
    }
    return desk->session != NULL ? answer_membership(desk->session, container, status, true) : 0;
}

static int adopted(struct desk *desk)
{
    struct container *container = desk->container;
    int status = desk->answer.status;

    if (status == 0 && (container->removed ||
                        (container->memory >= 0 && !same_file(container->memory, desk->lent)))) {
        status = -ESTALE;
    } else if (status == 0 && container->memory < 0) {
        container->memory = desk->lent;
        desk->lent = -1;
    } else if (status != 0 && status != -ESTALE) {
        log_warning("container %s: cannot be read: %s", container->name, strerror(-status));
    }
    if (desk->lent >= 0)
        (void)close(desk->lent);
    desk->lent = -1;
    return desk->session != NULL ? answer_membership(desk->session, container, status, false) : 0;
}

static int served(struct containers *c, struct desk *desk)
{
    struct mbr__note note = {.len = sizeof(desk->answer)};
    struct container *container = desk->container;
    struct session *session = desk->session;

    if (desk->asked.op == MBR__BROKER_DISK_DESTROY && desk->answer.status == 0)
        (void)container_remove(c, container);
    if (session == NULL)
        return 0;
    memcpy(note.data, &desk->answer, sizeof(desk->answer));
    for (int i = 0; i < 2 && desk->answer.status == 0 && desk->fds[i] >= 0; i++)
        note.fds[note.nfds++] = desk->fds[i];
    return mbr__conn_send(session->fd, &note);
}

/* Whoever does not take his answer is lost. */
static int answer(struct containers *c, struct desk *desk)
{
    int rc = 0;

    switch (desk->job) {
    case DESK_MAKE:
        rc = made(c, desk);
        break;
    case DESK_REVIVE:
        rc = revived(desk);
        break;
    case DESK_ADOPT:
        rc = adopted(desk);
        break;
    case DESK_DISK:
        rc = served(c, desk);
        break;
    case DESK_LEAVE:
        break;
    }
    desk_close_fds(desk);
    return rc;
}

static void came_back(struct containers *c, struct desk *desk)
{
    int rc = answer(c, desk);
    struct session *session = desk->session;
    bool idle = desk->write == NULL || desk->job == DESK_LEAVE;

    if (session == NULL && (idle || c->stopping)) {
        drop(c, desk);
    } else if (session == NULL) {
        desk->job = DESK_LEAVE;
        shelf_submit(c->shelf, desk);
    } else {
        if (session->container == NULL)
            drop(c, desk); /* it has become no member */
        if (rc != 0 || session_pause(session, false) != 0)
            session_close(session);
    }
}

/* ---- the shelf --------------------------------------------------------------------------------
 */

void containers_collect(struct containers *c)
{
    struct desk *desk;

    while (c->shelf != NULL && (desk = shelf_finished(c->shelf)) != NULL)
        came_back(c, desk);
}

static void shelf_ready(struct source *self, uint32_t events)
{
    (void)events;
    containers_collect(mbr__container_of(self, struct containers, shelved));
}

bool containers_settle(struct containers *c)
{
    /* What comes back may go there once more. */
    for (int i = 0; c->shelf != NULL && i < 2; i++) {
        if (!shelf_wait(c->shelf))
            return false;
        containers_collect(c);
    }
    return c->shelf == NULL || shelf_wait(c->shelf);
}

int containers_open_shelf(struct containers *c)
{
    const struct settings *settings = c->server->settings;
    const char *dir = settings_text(settings, SETTING_OBJECTS);

    c->shelved.ready = shelf_ready;
    if (dir == NULL)
        return TOOL_EXIT_OK;
    return shelf_open(dir, settings_number(settings, SETTING_STORED_PER_USER), &c->shelf);
}

int containers_watch_shelf(struct containers *c)
{
    return c->shelf != NULL
               ? server_add(c->server, shelf_descriptor(c->shelf), &c->shelved, EPOLLIN)
               : 0;
}

static struct container *find_stored(struct containers *c, uint64_t number)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &c->all) {
        struct container *container = mbr__container_of(node, struct container, node);

        /* The number of one that is being made is the thread's so long. */
        if (container->stored != NULL && !container->making &&
            stored_what(container->stored)->number == number)
            return container;
    }
    return NULL;
}

/* One that no live update has brought. */
static int add_found(struct containers *c, struct stored *stored)
{
    const struct stored_what *what = stored_what(stored);
    struct container like = {.name = (char *)(uintptr_t)what->name,
                             .name_length = strlen(what->name),
                             .group = what->group,
                             .flags = what->flags,
                             .number = c->last + 1,
                             .memory = -1,
                             .stored = stored};
    struct container *made_;
    int rc = container_user_hold(c, what->uid, &like.owner);

    if (rc != 0)
        return rc;
    rc = container_new(c, &like, &made_);
    container_user_leave(c, like.owner);
    if (rc == 0)
        c->last = like.number;
    return rc;
}

static void found(void *user, struct stored *stored)
{
    struct containers *c = user;
    struct container *known = find_stored(c, stored_what(stored)->number);
    int rc;

    if (known != NULL) {
        stored_replace(known->stored, stored);
        return;
    }
    rc = add_found(c, stored);
    if (rc == 0)
        return;
    log_error("container %s, number %llx: not served: %s", stored_what(stored)->name,
              (unsigned long long)stored_what(stored)->number,
              rc == -EEXIST ? "another one has its name" : strerror(-rc));
    if (rc == -ENOMEM)
        shelf_mark_unread(c->shelf);
    stored_free(stored);
}

static bool is_known(void *user, uint64_t number)
{
    return find_stored(user, number) != NULL;
}

bool containers_complete(struct containers *c)
{
    uint64_t now;

    if (c->shelf == NULL || !shelf_unread(c->shelf))
        return true;
    now = mbr__now_ns();
    if (now < c->reread_at)
        return false;
    c->reread_at = now + REREAD_NS;
    shelf_scan_again(c->shelf, is_known, found, c);
    if (!shelf_unread(c->shelf))
        log_info("containers: all could be read now");
    return !shelf_unread(c->shelf);
}

int containers_start_shelf(struct containers *c)
{
    int code = c->shelf != NULL ? shelf_scan(c->shelf, found, c) : TOOL_EXIT_OK;

    return code == TOOL_EXIT_OK && c->shelf != NULL ? shelf_start(c->shelf) : code;
}
