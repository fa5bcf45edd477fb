/* SPDX-License-Identifier: MIT */
/*
 * Values that go from one process to another: a writer stores, says so with a byte through a pipe,
 * and a reader fetches and answers with a byte. Up to four values are under way at once. The pipes
 * are the same for every way, and cost each as much.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lib/clock.h"
#include "bench/objects/way.h"

#define UNDER_WAY 4u

uint64_t way_sum(const char *bytes, size_t size)
{
    uint64_t sum = 0, word;

    for (size_t i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, bytes + i, 8);
        sum += word;
    }
    return sum;
}

static int say(int fd)
{
    return write(fd, "x", 1) == 1 ? 0 : -EPIPE;
}

static int hear(int fd)
{
    char byte;

    return read(fd, &byte, 1) == 1 ? 0 : -EPIPE;
}

static int read_side(const struct way *way, unsigned int count, int in, int out)
{
    uint64_t sum = 0;
    int rc = way->open();

    if (rc == 0)
        rc = say(out);
    for (unsigned int i = 0; rc == 0 && i < count; i++) {
        rc = hear(in);
        if (rc == 0)
            rc = way->fetch(i % WAY_KEYS, &sum);
        if (rc == 0)
            rc = say(out);
    }
    return rc;
}

static double write_side(const struct way *way, unsigned int count, int in, int out)
{
    char *bytes = malloc(WAY_BYTES);
    uint64_t begun = 0;
    int rc = bytes == NULL ? -ENOMEM : way->open();

    if (bytes != NULL)
        memset(bytes, 7, WAY_BYTES);
    for (unsigned int i = 0; rc == 0 && i < WAY_KEYS; i++)
        rc = way->store(i, bytes); /* memory is there before time counts */
    if (rc == 0)
        rc = hear(in);
    begun = bench_now_ns();
    for (unsigned int i = 0; rc == 0 && i < count + UNDER_WAY; i++) {
        if (i >= UNDER_WAY)
            rc = hear(in);
        if (rc == 0 && i < count)
            rc = way->store(i % WAY_KEYS, bytes);
        if (rc == 0 && i < count)
            rc = say(out);
    }
    uint64_t ns = bench_now_ns() - begun;

    free(bytes);
    return rc < 0 ? rc : (double)count * 1e9 / (double)ns;
}

double way_hand_over(const struct way *way, unsigned int count)
{
    int down[2], up[2], result[2];
    double rate = -EIO;

    if (pipe(down) != 0 || pipe(up) != 0 || pipe(result) != 0)
        return -errno;
    pid_t reader = fork(), writer;

    if (reader == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(down[1]);
        (void)close(up[0]);
        _exit(read_side(way, count, down[0], up[1]) == 0 ? 0 : 1);
    }
    writer = fork();
    if (writer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(down[0]);
        (void)close(up[1]);
        rate = write_side(way, count, up[0], down[1]);
        _exit(write(result[1], &rate, sizeof(rate)) == sizeof(rate) ? 0 : 1);
    }
    for (int i = 0; i < 2; i++) {
        (void)close(down[i]);
        (void)close(up[i]);
    }
    (void)close(result[1]);
    if (read(result[0], &rate, sizeof(rate)) != sizeof(rate))
        rate = -EIO;
    (void)close(result[0]);
    if (reader > 0)
        (void)waitpid(reader, NULL, 0);
    if (writer > 0)
        (void)waitpid(writer, NULL, 0);
    return rate;
}
