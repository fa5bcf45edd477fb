/* SPDX-License-Identifier: MIT */
/*
 * What a part of the daemon calls of its loop and its log, for tests and fuzz targets that run the
 * part without the rest: descriptors are watched in the server's epoll set, which the test looks at
 * by itself, and nothing is logged.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "../../daemon/accept.h"
#include "../../daemon/log.h"
#include "../../daemon/server.h"

int server_add(struct server *server, int fd, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void server_remove(struct server *server, int fd)
{
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void server_accept_again(struct server *server)
{
    (void)server;
}

void log_line(enum mbr_log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}
