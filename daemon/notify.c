/* SPDX-License-Identifier: MIT */
/*
 * See notify.h. Everything is best effort but a passed socket of the wrong kind, which is an error
 * of the unit that its author should see.
 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3

void notify_send(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path != NULL ? strlen(path) : 0;
    int fd;

    if (length < 2 || length >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)close(fd);
}

/* A decimal environment variable; 0 if it is absent or none. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long value;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    value = strtoull(text, &end, 10);
    return *end == '\0' ? value : 0;
}

uint64_t notify_watchdog_ns(void)
{
    uint64_t pid = number_of("WATCHDOG_PID");
    uint64_t usec = number_of("WATCHDOG_USEC");

    if (pid != 0 && pid != (uint64_t)getpid())
        return 0;
    return usec < UINT64_MAX / 1000 ? usec * 500 : 0;
}

/* The type of a listening unix socket; 0 if it is none. */
static int listener_type(int fd)
{
    int value = 0;
    int type = 0;
    socklen_t size = sizeof(value);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) != 0 || value != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) != 0 || value != 1 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return 0;
    return type;
}

static int take_listener(int fd, int *out)
{
    int flags = fcntl(fd, F_GETFL);

    if (*out >= 0)
        return -EINVAL;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    *out = fd;
    return 0;
}

int notify_listeners(int *store, int *containers)
{
    uint64_t count = number_of("LISTEN_FDS");
    int found[2] = {-1, -1};
    int rc = 0;

    if (count == 0 || number_of("LISTEN_PID") != (uint64_t)getpid())
        return -ENOENT;
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDNAMES");
    if (count > 2)
        return -EINVAL;
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)count && rc == 0; fd++) {
        int type = listener_type(fd);

        if (type == SOCK_STREAM || type == SOCK_SEQPACKET)
            rc = take_listener(fd, &found[type == SOCK_SEQPACKET]);
        else
            rc = -EINVAL;
    }
    if (rc == 0 && found[0] < 0)
        rc = -EINVAL;
    if (rc == 0) {
        *store = found[0];
        *containers = found[1];
    }
    return rc;
}
