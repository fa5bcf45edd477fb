/* SPDX-License-Identifier: MIT */
/*
 * The side of meet.sh that knows sockets only, and runs under the shim. The other one is
 * meet_loop.c, which uses catloop.
 *
 *   meet_sock echo PORT CONNECTIONS      echoes (epoll, edge-triggered), says "ready"
 *   meet_sock prefork PORT CHILDREN      so many processes accept and echo, until standard input
 *                                        ends; the one that has begun to listen has gone by then
 *   meet_sock client PORT BYTES block|poll|epoll|select
 *                                        there and back, half-closes, expects the end
 *   meet_sock many PORT CONNECTIONS      one after the other, 64 bytes each
 *   meet_sock abandoned PORT             says "up", and waits for the peer's death
 *   meet_sock backlog PORT N             N are let in, the next one is refused
 *   meet_sock refused PORT               expects ECONNREFUSED
 *   meet_sock taken PORT                 expects EADDRINUSE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "meet.h"

#define PATIENCE 30000 /* milliseconds */
#define PIECE    5000
#define EXCHANGE 64

static int new_socket(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    MUST(fd >= 0, errno);
    return fd;
}

static int listening(const char *port)
{
    struct sockaddr_in a = meet_address(port);
    int fd = new_socket(0);
    int on = 1;

    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0, errno);
    MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, errno);
    MUST(listen(fd, 64) == 0, errno);
    return fd;
}

static int try_connect(int fd, const char *port)
{
    struct sockaddr_in a = meet_address(port);

    return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static void show_names(int fd, bool client)
{
    struct sockaddr_in own, peer;
    socklen_t size = sizeof(own);

    MUST(getsockname(fd, (struct sockaddr *)&own, &size) == 0, errno);
    size = sizeof(peer);
    MUST(getpeername(fd, (struct sockaddr *)&peer, &size) == 0, errno);
    meet_names(client ? &own : &peer, client ? &peer : &own);
}

/* ---- servers --------------------------------------------------------------------------------- */

/* What has been read and not written yet. */
struct served {
    size_t begin;
    size_t end;
    uint8_t bytes[PIECE];
};

/* As far as it goes. False: the connection is over. */
static bool serve(int fd, struct served *s)
{
    for (;;) {
        while (s->begin < s->end) {
            ssize_t w = send(fd, s->bytes + s->begin, s->end - s->begin, MSG_NOSIGNAL);

            if (w < 0)
                return errno == EAGAIN;
            s->begin += (size_t)w;
        }
        ssize_t r = read(fd, s->bytes, sizeof(s->bytes));

        if (r <= 0)
            return r < 0 && errno == EAGAIN;
        s->begin = 0;
        s->end = (size_t)r;
    }
}

static void add(int e, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};

    MUST(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev) == 0, errno);
}

static void echo(int listener, int connections)
{
    static struct served all[1024];
    int e = epoll_create1(EPOLL_CLOEXEC);

    MUST(e >= 0, errno);
    add(e, listener, EPOLLIN);
    meet_say("ready");
    while (connections > 0) {
        struct epoll_event ev;
        int n = epoll_wait(e, &ev, 1, PATIENCE);

        MUST(n == 1, errno);
        if (ev.data.fd != listener) {
            if (!serve(ev.data.fd, &all[ev.data.fd])) {
                close(ev.data.fd);
                connections--;
            }
            continue;
        }
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

        MUST(fd >= 0 && fd < 1024, errno);
        all[fd].begin = all[fd].end = 0;
        show_names(fd, false);
        add(e, fd, EPOLLIN | EPOLLOUT | EPOLLET);
    }
}

static void accept_for_ever(int listener)
{
    static struct served s;

    for (;;) {
        int fd = accept(listener, NULL, NULL);

        MUST(fd >= 0, errno);
        s.begin = s.end = 0;
        (void)serve(fd, &s);
        close(fd);
    }
}

/* The process that has made the listener leaves at once, as one that goes to the background. */
static void prefork(const char *port, int children)
{
    int listener = listening(port);
    pid_t all[16];
    char byte;

    MUST(children <= 16, 0);
    if (fork() != 0)
        _exit(0);
    for (int i = 0; i < children; i++) {
        all[i] = fork();
        MUST(all[i] >= 0, errno);
        if (all[i] == 0)
            accept_for_ever(listener);
    }
    close(listener);
    meet_say("ready");
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    for (int i = 0; i < children; i++)
        kill(all[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
}

/* ---- clients --------------------------------------------------------------------------------- */

/* Waits in the way that was asked for. */
static void await(const char *way, int fd, int e, bool out)
{
    struct pollfd pfd = {.fd = fd, .events = (short)(POLLIN | (out ? POLLOUT : 0))};
    struct epoll_event ev = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0)};
    struct timeval patience = {.tv_sec = PATIENCE / 1000};
    fd_set rd, wr;

    if (strcmp(way, "epoll") == 0) {
        MUST(epoll_ctl(e, EPOLL_CTL_MOD, fd, &ev) == 0, errno);
        MUST(epoll_wait(e, &ev, 1, PATIENCE) == 1, errno);
    } else if (strcmp(way, "select") == 0) {
        FD_ZERO(&rd);
        FD_ZERO(&wr);
        FD_SET(fd, &rd);
        if (out)
            FD_SET(fd, &wr);
        MUST(select(fd + 1, &rd, &wr, NULL, &patience) > 0, errno);
    } else {
        MUST(poll(&pfd, 1, PATIENCE) == 1, errno);
    }
}

/* *error: what SO_ERROR says. */
static int connect_by(const char *port, const char *way, int *error)
{
    bool block = strcmp(way, "block") == 0;
    int fd = new_socket(block ? 0 : SOCK_NONBLOCK);
    int r = try_connect(fd, port);
    socklen_t size = sizeof(*error);

    MUST(r == 0 || (!block && errno == EINPROGRESS), errno);
    if (r < 0) {
        struct pollfd pfd = {.fd = fd, .events = POLLOUT};

        MUST(poll(&pfd, 1, PATIENCE) == 1, errno);
    }
    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &size) == 0, errno);
    return fd;
}

static int connected(const char *port, const char *way)
{
    int error = 0;
    int fd = connect_by(port, way, &error);

    MUST(error == 0, error);
    return fd;
}

/* Both ways at the same time; with a socket that blocks, by not doing more than it has room for. */
static void there_and_back(const char *port, uint64_t size, const char *way)
{
    int fd = connected(port, way);
    int e = epoll_create1(EPOLL_CLOEXEC);
    uint64_t sent = 0;
    uint64_t got = 0;
    uint8_t piece[PIECE];
    ssize_t n = 1;

    show_names(fd, true);
    add(e, fd, EPOLLIN);
    while (n != 0) {
        size_t len = size - sent < PIECE ? (size_t)(size - sent) : PIECE;

        await(way, fd, e, sent < size);
        meet_fill(piece, sent, len);
        n = len == 0 ? 0 : send(fd, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        MUST(n >= 0 || errno == EAGAIN, errno);
        sent += n > 0 ? (uint64_t)n : 0;
        if (n > 0 && sent == size)
            MUST(shutdown(fd, SHUT_WR) == 0, errno);
        n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
        MUST(n >= 0 || errno == EAGAIN, errno);
        if (n > 0)
            MUST(meet_same(piece, got, (size_t)n), 0);
        got += n > 0 ? (uint64_t)n : 0;
    }
    MUST(got == size && sent == size, 0);
    close(e);
    close(fd);
}

static void exchange(int fd)
{
    uint8_t bytes[EXCHANGE];

    meet_fill(bytes, 0, sizeof(bytes));
    MUST(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes), errno);
    MUST(recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == (ssize_t)sizeof(bytes), errno);
    MUST(meet_same(bytes, 0, sizeof(bytes)), 0);
}

static void many(const char *port, int connections)
{
    for (int i = 0; i < connections; i++) {
        int fd = connected(port, i % 2 == 0 ? "block" : "poll");

        MUST(fcntl(fd, F_SETFL, 0) == 0, errno);
        exchange(fd);
        close(fd);
    }
}

static void abandoned(const char *port)
{
    int fd = connected(port, "block");
    char byte;

    exchange(fd);
    meet_say("up");
    ssize_t r = read(fd, &byte, 1);

    MUST(r == 0 || (r < 0 && errno == ECONNRESET), errno);
}

static void backlog(const char *port, int n)
{
    for (int i = 0; i < n; i++)
        MUST(try_connect(new_socket(0), port) == 0, errno);
    int fd = new_socket(0);

    /* The same socket may be used for another attempt. */
    for (int i = 0; i < 2; i++)
        MUST(try_connect(fd, port) < 0 && errno == ECONNREFUSED, errno);
    close(fd);
    /* One that does not wait for the answer hears of it then or later. */
    char byte;
    int error = 0;

    fd = connect_by(port, "poll", &error);
    MUST(error == 0 || error == ECONNREFUSED, error);
    MUST(fcntl(fd, F_SETFL, 0) == 0, errno);
    ssize_t r = read(fd, &byte, 1);

    MUST(error != 0 ? r == 0 : r < 0 && errno == ECONNRESET, errno);
}

static void taken(const char *port)
{
    struct sockaddr_in a = meet_address(port);

    MUST(bind(new_socket(0), (struct sockaddr *)&a, sizeof(a)) < 0 && errno == EADDRINUSE, errno);
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    MUST(bind(new_socket(0), (struct sockaddr *)&a, sizeof(a)) < 0 && errno == EADDRINUSE, errno);
}

int main(int argc, char **argv)
{
    MUST(argc >= 3, 0);
    const char *what = argv[1];
    const char *port = argv[2];
    int n = argc > 3 ? atoi(argv[3]) : 0;

    if (strcmp(what, "echo") == 0) {
        echo(listening(port), n);
    } else if (strcmp(what, "prefork") == 0) {
        prefork(port, n);
    } else if (strcmp(what, "client") == 0) {
        there_and_back(port, (uint64_t)n, argv[4]);
    } else if (strcmp(what, "many") == 0) {
        many(port, n);
    } else if (strcmp(what, "abandoned") == 0) {
        abandoned(port);
    } else if (strcmp(what, "backlog") == 0) {
        backlog(port, n);
    } else if (strcmp(what, "refused") == 0) {
        MUST(try_connect(new_socket(0), port) < 0 && errno == ECONNREFUSED, errno);
    } else {
        MUST(strcmp(what, "taken") == 0, 0);
        taken(port);
    }
    return 0;
}
