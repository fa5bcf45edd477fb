/* SPDX-License-Identifier: MIT */
/*
 * redis and memcached over unix sockets, spoken to as their clients do: a request in one writev(),
 * the value received into one buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/objects/way.h"

static struct sockaddr_un address;
static pid_t server = -1;
static int connection = -1;
static char *value; /* WAY_BYTES and what is around them */

/* ---- the servers ---- */

static int connect_once(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : 0;

    if (rc == 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        rc = -errno;
        (void)close(fd);
    }
    return rc < 0 ? rc : fd;
}

static void stop(void)
{
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
    }
    server = -1;
}

static int wait_for_it(void)
{
    const struct timespec moment = {0, 10000000};

    for (int tries = 0; tries < 500; tries++) {
        int fd = connect_once();

        if (fd >= 0) {
            (void)close(fd);
            return 0;
        }
        if (waitpid(server, NULL, WNOHANG) == server) {
            server = -1;
            return -ENOENT; /* it could not be executed, or would not run */
        }
        (void)nanosleep(&moment, NULL);
    }
    return -ETIMEDOUT;
}

static int start_server(const char *directory, char *const argv[])
{
    address.sun_family = AF_UNIX;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
    (void)unlink(address.sun_path);
    server = fork();
    if (server < 0)
        return -errno;
    if (server == 0) {
        int null = open("/dev/null", O_RDWR);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    int rc = wait_for_it();

    if (rc < 0)
        stop();
    return rc;
}

static int start_redis(const char *directory)
{
    char path[160];

    (void)snprintf(path, sizeof(path), "%s/socket", directory);
    return start_server(directory, (char *[]){"redis-server", "--port", "0", "--unixsocket", path,
                                              "--save", "", "--appendonly", "no", "--dir",
                                              (char *)(uintptr_t)directory, NULL});
}

static int start_memcached(const char *directory)
{
    char path[160];

    (void)snprintf(path, sizeof(path), "%s/socket", directory);
    return start_server(directory, (char *[]){"memcached", "-s", path, "-I", "4m", "-m", "256",
                                              "-u", geteuid() == 0 ? "root" : "nobody", NULL});
}

static int open_connection(void)
{
    value = malloc(WAY_BYTES + 256);
    if (value == NULL)
        return -ENOMEM;
    memset(value, 0, WAY_BYTES + 256);
    connection = connect_once();
    return connection < 0 ? connection : 0;
}

/* ---- bytes ---- */

static int send_all(struct iovec *iov, int count)
{
    while (count > 0) {
        ssize_t n = writev(connection, iov, count);

        if (n < 0 && errno != EINTR)
            return -errno;
        for (; n > 0 && count > 0; iov++, count--) {
            if ((size_t)n < iov->iov_len) {
                iov->iov_base = (char *)iov->iov_base + n;
                iov->iov_len -= (size_t)n;
                break;
            }
            n -= (ssize_t)iov->iov_len;
        }
    }
    return 0;
}

/* Receives `size` bytes, or up to the end of a line if it is 0: how many, or negative errno. */
static ssize_t receive(char *to, size_t room, size_t size)
{
    size_t have = 0;

    while (have < room && (size != 0 ? have < size : have == 0 || to[have - 1] != '\n')) {
        ssize_t n = read(connection, to + have, size != 0 ? size - have : 1);

        if (n == 0)
            return -ECONNRESET;
        if (n < 0 && errno != EINTR)
            return -errno;
        have += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)have;
}

static int expect_line(const char *wanted)
{
    char line[64];
    ssize_t n = receive(line, sizeof(line) - 1, 0);

    if (n < 0)
        return (int)n;
    line[n] = '\0';
    return strncmp(line, wanted, strlen(wanted)) == 0 ? 0 : -EPROTO;
}

static int store_as(const char *head, const char *bytes, const char *wanted)
{
    struct iovec iov[3] = {
        {(void *)(uintptr_t)head, strlen(head)},
        {(void *)(uintptr_t)bytes, WAY_BYTES},
        {(void *)(uintptr_t) "\r\n", 2},
    };
    int rc = send_all(iov, 3);

    return rc < 0 ? rc : expect_line(wanted);
}

/* The line before the value is as `wanted` says; behind it come so many bytes more. */
static int fetch_as(const char *request, const char *wanted, size_t behind, uint64_t *sum)
{
    struct iovec iov = {(void *)(uintptr_t)request, strlen(request)};
    int rc = send_all(&iov, 1);
    ssize_t n = 0;

    if (rc == 0)
        rc = expect_line(wanted);
    if (rc == 0)
        n = receive(value, WAY_BYTES + 256, WAY_BYTES + behind);
    if (rc < 0 || n < 0)
        return rc < 0 ? rc : (int)n;
    *sum += way_sum(value, WAY_BYTES);
    return 0;
}

static int redis_store(unsigned int key, const char *bytes)
{
    char head[80];

    (void)snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\n%u\r\n$%zu\r\n", key % WAY_KEYS,
                   WAY_BYTES);
    return store_as(head, bytes, "+OK");
}

static int redis_fetch(unsigned int key, uint64_t *sum)
{
    char request[64];

    (void)snprintf(request, sizeof(request), "*2\r\n$3\r\nGET\r\n$1\r\n%u\r\n", key % WAY_KEYS);
    return fetch_as(request, "$1048576", 2, sum);
}

static int memcached_store(unsigned int key, const char *bytes)
{
    char head[80];

    (void)snprintf(head, sizeof(head), "set k%u 0 0 %zu\r\n", key % WAY_KEYS, WAY_BYTES);
    return store_as(head, bytes, "STORED");
}

static int memcached_fetch(unsigned int key, uint64_t *sum)
{
    char request[64];

    (void)snprintf(request, sizeof(request), "get k%u\r\n", key % WAY_KEYS);
    return fetch_as(request, "VALUE", 7, sum); /* "\r\nEND\r\n" */
}

const struct way way_redis = {"redis",         start_redis, stop,
                              open_connection, redis_store, redis_fetch};
const struct way way_memcached = {"memcached",     start_memcached, stop,
                                  open_connection, memcached_store, memcached_fetch};
