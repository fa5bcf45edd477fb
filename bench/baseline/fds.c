/* SPDX-License-Identifier: MIT */
/*
 * Making the kernel baselines' channels: two pipes, a unix socket pair, a TCP connection over
 * 127.0.0.1 on a port that the kernel chooses. Each is set up as somebody who wants speed would.
 */
#include "bench/baseline/fds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* What an unprivileged process may have by default (pipe(7)). */
#define PIPE_BYTES (1 << 20)

static void close_pair(const int fd[2])
{
    (void)close(fd[0]);
    (void)close(fd[1]);
}

int bench_make_pipes(const struct bench_case *bc, struct bench_fds *fds)
{
    int flags = O_CLOEXEC | (bc->blocking ? 0 : O_NONBLOCK);
    int there[2], back[2];

    if (pipe2(there, flags) != 0) {
        return -errno;
    }
    if (pipe2(back, flags) != 0) {
        int error = -errno;

        close_pair(there);
        return error;
    }
    /* A larger pipe serves large messages better; where it is refused the default stays. */
    if (bc->size >= 65536) {
        (void)fcntl(there[1], F_SETPIPE_SZ, PIPE_BYTES);
        (void)fcntl(back[1], F_SETPIPE_SZ, PIPE_BYTES);
    }
    *fds = (struct bench_fds){.in = {back[0], there[0]}, .out = {there[1], back[1]}};
    return 0;
}

int bench_make_unix(const struct bench_case *bc, struct bench_fds *fds)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (bc->blocking ? 0 : SOCK_NONBLOCK), 0,
                   pair) != 0) {
        return -errno;
    }
    *fds = (struct bench_fds){.in = {pair[0], pair[1]}, .out = {pair[0], pair[1]}};
    return 0;
}

/* Connects a new socket to a listening one: on loopback this ends before anybody accepts. */
static int connect_to(int listener)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int fd;

    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        return -errno;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (struct sockaddr *)&address, length) != 0) {
        int error = -errno;

        (void)close(fd);
        return error;
    }
    return fd;
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0) {
        int error = -errno;

        (void)close(fd);
        return error;
    }
    return fd;
}

static int tune_tcp(int fd, bool blocking)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        return -errno;
    }
    return blocking || fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : -errno;
}

int bench_make_tcp(const struct bench_case *bc, struct bench_fds *fds)
{
    int listener = listen_on_loopback();
    int pair[2] = {-1, -1};
    int result = listener < 0 ? listener : 0;

    if (result == 0) {
        pair[0] = connect_to(listener);
        result = pair[0] < 0 ? pair[0] : 0;
    }
    if (result == 0) {
        pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        result = pair[1] < 0 ? -errno : 0;
    }
    for (int i = 0; i < 2 && result == 0; i++) {
        result = tune_tcp(pair[i], bc->blocking);
    }
    if (listener >= 0) {
        (void)close(listener);
    }
    if (result != 0) {
        for (int i = 0; i < 2; i++) {
            if (pair[i] >= 0) {
                (void)close(pair[i]);
            }
        }
        return result;
    }
    *fds = (struct bench_fds){.in = {pair[0], pair[1]}, .out = {pair[0], pair[1]}};
    return 0;
}

/* After a read or write that moved nothing: wait, or give up. */
static int cannot(struct bench_probe *probe)
{
    if (errno == EAGAIN) {
        return bench_spin(probe);
    }
    return errno == EINTR ? 0 : -errno;
}

int bench_write_all(int fd, const char *from, size_t size, struct bench_probe *probe)
{
    while (size > 0) {
        ssize_t done = write(fd, from, size);

        if (done < 0) {
            int result = cannot(probe);

            if (result != 0) {
                return result;
            }
            continue;
        }
        from += done;
        size -= (size_t)done;
    }
    return 0;
}

int bench_read_all(int fd, char *to, size_t size, struct bench_probe *probe)
{
    while (size > 0) {
        ssize_t done = read(fd, to, size);

        if (done == 0) {
            return -EPIPE;
        }
        if (done < 0) {
            int result = cannot(probe);

            if (result != 0) {
                return result;
            }
            continue;
        }
        to += done;
        size -= (size_t)done;
    }
    return 0;
}
