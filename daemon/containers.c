/* SPDX-License-Identifier: MIT */
/*
 * The socket for containers, and all of them together; see containers.h.
 */
#include "containers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../tools/exits.h"
#include "../tools/say.h"
#include "container.h"
#include "log.h"

#define BACKLOG 4096
#define BURST   64 /* connections taken in one turn */

/* ---- the listener -----------------------------------------------------------------------------
 */

static void pause_listening(struct containers *c)
{
    if (epoll_ctl(c->server->epoll, EPOLL_CTL_DEL, c->listener, NULL) == 0)
        c->listening = false;
}

static void take_in(struct containers *c, int fd)
{
    struct session *session;
    int rc = session_open(c, fd, &session);

    if (rc == 0)
        return;
    (void)close(fd);
    log_warning("containers: a connection is refused: %s",
                rc == -EAGAIN ? "a user has as many as he may" : strerror(-rc));
}

static void listener_ready(struct source *self, uint32_t events)
{
    struct containers *c = mbr__container_of(self, struct containers, accepting);

    (void)events;
    for (int i = 0; i < BURST; i++) {
        int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            log_warning("containers: no new connections until one ends: %s", strerror(errno));
            pause_listening(c);
            return;
        }
        if (fd < 0)
            return;
        take_in(c, fd);
    }
}

int containers_watch(struct containers *c)
{
    int rc;

    if (c->listener < 0)
        return 0;
    rc = server_add(c->server, c->listener, &c->accepting, EPOLLIN);
    c->listening = rc == 0;
    return rc;
}

void containers_bury(struct containers *c)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&c->ended)) != NULL)
        session_free(mbr__container_of(node, struct session, node));
}

void containers_accept_again(struct containers *c)
{
    if (c->listener >= 0 && !c->listening && !c->server->stopping)
        (void)containers_watch(c);
}

static int bind_at(const struct sockaddr_un *address, mode_t mode, int *out)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before;
    bool bound;
    int rc = 0;

    if (fd < 0)
        return -errno;
    /* Whoever had it is dead: we hold the lock of the store's path beside it. */
    (void)unlink(address->sun_path);
    before = umask(0177);
    bound = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    (void)umask(before);
    if (!bound || chmod(address->sun_path, mode) != 0 || listen(fd, BACKLOG) != 0)
        rc = -errno;
    if (rc != 0)
        (void)close(fd);
    else
        *out = fd;
    return rc;
}

int containers_open(struct containers *c, const char *store_path, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *path;
    int rc;

    if (fd >= 0) {
        c->listener = fd;
        return TOOL_EXIT_OK;
    }
    if (strlen(store_path) + sizeof(MBR__BROKER_SUFFIX) > sizeof(address.sun_path)) {
        log_warning("containers are not served: %s%s is longer than a socket's path may be",
                    store_path, MBR__BROKER_SUFFIX);
        return TOOL_EXIT_OK;
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s" MBR__BROKER_SUFFIX, store_path);
    path = strdup(address.sun_path);
    rc = path != NULL
             ? bind_at(&address, (mode_t)settings_number(c->server->settings, SETTING_SOCKET_MODE),
                       &c->listener)
             : -ENOMEM;
    if (rc != 0) {
        free(path);
        return tool_error_system(rc, "%s", address.sun_path);
    }
    c->path = path;
    return TOOL_EXIT_OK;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static const void *name_of(const void *value, size_t *length)
{
    const struct container *container = value;

    *length = container->name_length;
    return container->name;
}

void containers_init(struct containers *c, struct server *server)
{
    *c = (struct containers){.server = server, .listener = -1};
    c->accepting.ready = listener_ready;
    mbr__bytes_map_init(&c->named, name_of);
    mbr__hash_init(&c->users);
    mbr__list_init(&c->all);
    mbr__list_init(&c->sessions);
    mbr__list_init(&c->ended);
}

void containers_fini(struct containers *c)
{
    struct mbr__list *node;

    if (c->shelf != NULL)
        shelf_stop(c->shelf);
    c->stopping = true;
    containers_collect(c);
    while ((node = mbr__list_first(&c->sessions)) != NULL)
        session_close(mbr__container_of(node, struct session, node));
    containers_bury(c);
    while ((node = mbr__list_pop_front(&c->all)) != NULL)
        container_free(c, mbr__container_of(node, struct container, node));
    if (c->listener >= 0)
        (void)close(c->listener);
    if (c->path != NULL)
        (void)unlink(c->path);
    free(c->path);
    c->path = NULL;
    mbr__bytes_map_fini(&c->named);
    mbr__hash_fini(&c->users);
    shelf_close(c->shelf);
    c->shelf = NULL;
}
