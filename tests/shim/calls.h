/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this directory share that print what calls return and errno says: run with
 * and without the shim, their outputs must be the same. With the argument "warm" each connection
 * first carries a few messages, after which the shim has moved it; the number of regions mapped in
 * the end goes to standard error.
 */
#ifndef MBR_TESTS_SHIM_CALLS_H
#define MBR_TESTS_SHIM_CALLS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool warm;
static int listener;
static struct sockaddr_in address;

static inline void show(const char *what, long r)
{
    int error = errno;

    if (r < 0)
        printf("%s = %ld %s\n", what, r, strerrorname_np(error));
    else
        printf("%s = %ld\n", what, r);
}

/* The call, as it stands, and what came of it. */
#define T(call) (errno = 0, show(#call, (long)(call)))

static inline void section(const char *name)
{
    printf("--- %s\n", name);
}

static inline void must(bool fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static inline int count_regions(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "memfd:membrane-shim") != NULL;
    if (maps != NULL)
        fclose(maps);
    return n;
}

/* Waits until fd is readable: loopback delivers at once, but not before the call returns. */
static inline void arrived(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    must(poll(&p, 1, 5000) == 1, "poll");
}

/* Waits until n bytes are there: small packets may be held back for a while. */
static inline void arrived_all(int fd, int n)
{
    int have = 0;

    while (ioctl(fd, FIONREAD, &have) == 0 && have < n)
        sched_yield();
}

/* A connection: a the client's end, b the server's. */
static inline void connection(int *a, int *b)
{
    char text[16];

    *a = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(*a, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    *b = accept(listener, NULL, NULL);
    must(*b >= 0, "accept");
    for (int i = 0; warm && i < 8; i++) {
        must(write(*a, "ping", 4) == 4, "write");
        arrived(*b);
        must(read(*b, text, sizeof(text)) == 4, "read");
        must(write(*b, "pong", 4) == 4, "write");
        arrived(*a);
        must(read(*a, text, sizeof(text)) == 4, "read");
    }
}

static inline void done(int a, int b)
{
    close(a);
    close(b);
}

static inline void nonblocking(int fd)
{
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
}

/* Listens, on a port of its own. */
static inline void begin(int argc, char **argv)
{
    socklen_t len = sizeof(address);

    setvbuf(stdout, NULL, _IOLBF, 0); /* a hang shows where */
    warm = argc > 1 && strcmp(argv[1], "warm") == 0;
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
    must(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
    must(listen(listener, 16) == 0, "listen");
}

/* Says how many regions a connection has in the end. */
static inline void end(void)
{
    int a;
    int b;

    connection(&a, &b);
    fprintf(stderr, "%d\n", count_regions());
    done(a, b);
}

#endif
