/* SPDX-License-Identifier: MIT */
/*
 * sandbox PORT HOW: an echo server that lets itself make no more system calls than it needs, which
 * are few, from when it listens; any other kills it. HOW is "prctl" or "seccomp", or "late": then
 * it serves its first client a while before, so that the connection has moved, and allows what one
 * in memory needs, too. Ends when a client sends "quit".
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(call) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

#ifdef SYS_epoll_wait
#define WAIT SYS_epoll_wait
#else
#define WAIT SYS_epoll_pwait
#endif

#ifdef SYS_poll
#define POLL SYS_poll
#else
#define POLL SYS_ppoll
#endif

#define EARLY_TURNS 20

static int confine(const char *how)
{
    bool late = strcmp(how, "late") == 0;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_STMT(BPF_JMP | BPF_JA, late ? 0 : 10),
        ALLOW(SYS_sendto),
        ALLOW(SYS_recvfrom),
        ALLOW(POLL),
        ALLOW(SYS_ppoll),
        ALLOW(SYS_futex),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_close),
        ALLOW(SYS_accept4),
        ALLOW(SYS_epoll_ctl),
        ALLOW(WAIT),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    if (strcmp(how, "prctl") == 0)
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static int listen_at(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0)
        return -1;
    return fd;
}

static void add(int epoll, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        _exit(3);
}

static void serve_early(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, 0);
    char buf[4096];

    for (int i = 0; i < EARLY_TURNS; i++) {
        ssize_t n = read(fd, buf, sizeof(buf));

        if (n <= 0 || write(fd, buf, (size_t)n) != n)
            _exit(5);
    }
    add(epoll, fd);
}

/* False: the client wants the server to end. */
static bool serve(int fd)
{
    static char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n <= 0) {
        close(fd);
        return true;
    }
    if (n == 4 && memcmp(buf, "quit", 4) == 0)
        return false;
    return write(fd, buf, (size_t)n) == n;
}

int main(int argc, char **argv)
{
    int listener = argc == 3 ? listen_at(atoi(argv[1])) : -1;
    int epoll = epoll_create1(0);
    struct epoll_event ev;

    if (listener < 0 || epoll < 0)
        return 2;
    add(epoll, listener);
    if (strcmp(argv[2], "late") == 0)
        serve_early(epoll, listener);
    if (confine(argv[2]) < 0)
        return 4;
    while (epoll_wait(epoll, &ev, 1, -1) == 1) {
        if (ev.data.fd == listener)
            add(epoll, accept4(listener, NULL, NULL, 0));
        else if (!serve(ev.data.fd))
            _exit(0);
    }
    _exit(1);
}
