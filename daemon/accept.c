/* SPDX-License-Identifier: MIT */
/*
 * See accept.h. accept(2) takes a descriptor before it can be said that there is none: one is kept
 * in spare, and given up for as long as it takes to close the newcomer.
 */
#include "accept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "containers.h"
#include "log.h"
#include "user.h"

/* Connections taken in one turn. */
#define BURST 64

/* One line per shortage. */
static void tell(struct server *server, const char *what)
{
    if (server->refusing)
        return;
    server->refusing = true;
    log_warning("refusing new connections: %s (%u are open)", what, server->count);
}

/* No descriptor is left. */
static void refuse_with_spare(struct server *server)
{
    int fd = -1;
    int error = EMFILE;

    if (server->spare >= 0) {
        (void)close(server->spare);
        fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        error = errno;
        if (fd >= 0)
            (void)close(fd);
        server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    /* The kernel looks for a descriptor before it looks whether anybody is there. */
    if (fd < 0 && error == EAGAIN)
        return;
    tell(server, "no descriptor is left");
    if (fd >= 0)
        return;
    /* Somebody else has used up the system's: not to turn in a circle, look again when one of our
     * own connections ends. */
    if (epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->listener, NULL) == 0)
        server->listening = false;
}

void server_accept_again(struct server *server)
{
    server->refusing = false;
    containers_accept_again(server->containers);
    if (server->spare < 0)
        server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!server->listening && !server->stopping && server->listener >= 0)
        server->listening = server_add(server, server->listener, &server->accepting, EPOLLIN) == 0;
}

static void take_in(struct server *server, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    struct user *user = NULL;
    struct conn *conn;
    int rc;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        (void)close(fd);
        return;
    }
    rc = user_find(server, peer.uid, &user);
    if (rc != 0) {
        (void)close(fd);
        tell(server, rc == -EAGAIN ? "a user has as many as he may" : strerror(-rc));
        return;
    }
    rc = conn_open(server, fd, user != NULL ? user->domid : 0, user == NULL, user, &conn);
    if (rc != 0) {
        tell(server, strerror(-rc));
        if (user != NULL)
            user_forget_idle(user);
        return;
    }
    log_debug("connection: conn=%llu domid=%u uid=%u pid=%d",
              (unsigned long long)mbr__store_conn_id(conn->store_conn), conn->domid,
              (unsigned)peer.uid, (int)peer.pid);
}

void accept_ready(struct source *self, uint32_t events)
{
    struct server *server = mbr__container_of(self, struct server, accepting);

    (void)events;
    for (int i = 0; i < BURST; i++) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            refuse_with_spare(server);
            return;
        }
        if (fd < 0)
            return; /* nobody is left, or he has gone again */
        if (server->count >= settings_number(server->settings, SETTING_CONNECTIONS)) {
            (void)close(fd);
            tell(server, "as many are open as may be");
            continue;
        }
        take_in(server, fd);
    }
}
