/* SPDX-License-Identifier: MIT */
/*
 * Turns of 64 bytes between two processes over sockets, with the calls that programs use. It knows
 * nothing of the shim: bench/shim.py runs it with and without.
 *
 *   membrane-shim-turns WAY TURNS [IDLE ROUNDS]
 *   membrane-shim-turns PORT TURNS          to a server on 127.0.0.1 that gives back what it gets
 *
 * WAY is how the server waits: read, poll, select, epoll, spin (epoll that never sleeps), or udp
 * (recvfrom). Prints the median of a turn in nanoseconds. With IDLE connections that have talked
 * and are silent, which need epoll or spin: ROUNDS lines of the median without them (before and
 * afterwards), with them, of batches of turns, because a turn may take few ticks of the clock.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE    64
#define WARM    12     /* turns before a connection counts: the shim has moved it by then */
#define BATCH   16     /* turns between two looks at the clock, where a few ticks matter */
#define SETTLE  500000 /* us; by then the kernel's timers of silent connections have run out */
#define IDLES   2000
#define BACKLOG 128

static struct sockaddr_in address = {.sin_family = AF_INET};
static int first; /* the listener, or the datagram socket */

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static void pin(int which)
{
    cpu_set_t all;
    cpu_set_t one;
    size_t cpu = 0;

    if (getenv("UNPINNED") != NULL || sched_getaffinity(0, sizeof(all), &all) < 0)
        return;
    for (size_t i = 0; i < CPU_SETSIZE && which >= 0; i++) {
        if (CPU_ISSET(i, &all)) {
            cpu = i;
            which--;
        }
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
}

/* ---- the server ------------------------------------------------------------------------------ */

/* False: the peer is gone. */
static bool answer(int fd)
{
    char buf[SIZE];
    ssize_t n = read(fd, buf, sizeof(buf));

    return n > 0 && write(fd, buf, (size_t)n) == n;
}

static void wait_poll(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    must(poll(&p, 1, -1) == 1, "poll");
}

static void wait_select(int fd)
{
    fd_set in;

    FD_ZERO(&in);
    FD_SET(fd, &in);
    must(select(fd + 1, &in, NULL, NULL, NULL) == 1, "select");
}

static void serve_one(const char *way)
{
    int fd = accept(first, NULL, NULL);

    must(fd >= 0, "accept");
    do {
        if (strcmp(way, "poll") == 0)
            wait_poll(fd);
        if (strcmp(way, "select") == 0)
            wait_select(fd);
    } while (answer(fd));
}

static void serve_many(int timeout)
{
    int e = epoll_create1(0);
    struct epoll_event ev[64] = {{.events = EPOLLIN, .data.fd = first}};

    must(e >= 0 && epoll_ctl(e, EPOLL_CTL_ADD, first, &ev[0]) == 0, "epoll");
    for (;;) {
        int n = epoll_wait(e, ev, 64, timeout);

        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd;
            struct epoll_event in = {.events = EPOLLIN};

            if (fd != first) {
                if (!answer(fd))
                    close(fd);
                continue;
            }
            in.data.fd = accept(first, NULL, NULL);
            must(in.data.fd >= 0 && epoll_ctl(e, EPOLL_CTL_ADD, in.data.fd, &in) == 0, "accept");
        }
    }
}

static void serve_udp(void)
{
    char buf[SIZE];
    struct sockaddr_in from;

    for (;;) {
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(first, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

        must(n >= 0 && sendto(first, buf, (size_t)n, 0, (struct sockaddr *)&from, len) == n, "udp");
    }
}

/* ---- the client ------------------------------------------------------------------------------ */

static int reach(bool udp)
{
    int one = 1;
    int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);

    must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    if (!udp)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void turn(int fd)
{
    char buf[SIZE] = "question";
    ssize_t got = 0;

    must(send(fd, buf, SIZE, 0) == SIZE, "send");
    while (got < SIZE) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        must(n > 0, "recv");
        got += n;
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Of a turn, in picoseconds; measured `batch` turns at a time. */
static uint64_t median(int fd, size_t turns, size_t batch)
{
    size_t n = turns / batch + 1;
    uint64_t *ns = calloc(n, sizeof(*ns));
    uint64_t result;

    must(ns != NULL, "calloc");
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = now();

        for (size_t k = 0; k < batch; k++)
            turn(fd);
        ns[i] = now() - begin;
    }
    qsort(ns, n, sizeof(*ns), by_size);
    result = ns[n / 2] * 1000 / batch;
    free(ns);
    return result;
}

static void print_median(int fd, size_t turns)
{
    printf("%ju\n", (uintmax_t)(median(fd, turns, 1) / 1000));
}

static void with_idle(int fd, size_t turns, int idle, int rounds)
{
    static int idles[IDLES];

    must(idle <= IDLES, "too many idle connections");
    for (int r = 0; r < rounds; r++) {
        double before = (double)median(fd, turns, BATCH);
        double with;

        for (int i = 0; i < idle; i++) {
            idles[i] = reach(false);
            for (int k = 0; k < WARM; k++)
                turn(idles[i]);
        }
        usleep(SETTLE);
        with = (double)median(fd, turns, BATCH);
        for (int i = 0; i < idle; i++)
            close(idles[i]);
        for (size_t i = 0; i < turns / 10; i++) /* the server has closed them, too */
            turn(fd);
        usleep(SETTLE);
        before = (before + (double)median(fd, turns, BATCH)) / 2;
        printf("%.1f %.1f\n", before / 1000, with / 1000);
    }
}

int main(int argc, char **argv)
{
    const char *way = argc > 2 ? argv[1] : "";
    size_t turns = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    bool udp = strcmp(way, "udp") == 0;
    socklen_t len = sizeof(address);
    struct rlimit limit;
    pid_t server;
    int fd;

    if (turns == 0) {
        fprintf(stderr, "usage: membrane-shim-turns read|poll|select|epoll|spin|udp|PORT TURNS "
                        "[IDLE ROUNDS]\n");
        return 2;
    }
    if (isdigit((unsigned char)way[0])) {
        address.sin_port = htons((uint16_t)strtoul(way, NULL, 10));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        pin(1);
        fd = reach(false);
        for (size_t i = 0; i < turns / 10 + WARM; i++)
            turn(fd);
        print_median(fd, turns);
        return 0;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    first = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    must(bind(first, (struct sockaddr *)&address, sizeof(address)) == 0 &&
             getsockname(first, (struct sockaddr *)&address, &len) == 0 &&
             (udp || listen(first, BACKLOG) == 0),
         "bind");
    server = fork();
    must(server >= 0, "fork");
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0);
        if (udp)
            serve_udp();
        else if (strcmp(way, "epoll") == 0)
            serve_many(-1);
        else if (strcmp(way, "spin") == 0)
            serve_many(0);
        else
            serve_one(way);
        _exit(0);
    }
    close(first);
    pin(1);
    fd = reach(udp);
    for (size_t i = 0; i < turns / 10 + WARM; i++)
        turn(fd);
    if (argc > 4)
        with_idle(fd, turns, (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
    else
        print_median(fd, turns);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}
