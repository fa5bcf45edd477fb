/* SPDX-License-Identifier: MIT */
/* What is done with objects while time is taken. See load.h. */
#define _GNU_SOURCE
#include "bench/objects/load.h"

#include <errno.h>
#include <membrane/objects.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lib/clock.h"
#include "bench/lib/pin.h"

static void own_name(char name[64], const char *what)
{
    (void)snprintf(name, 64, "bench %s %d", what, (int)getpid());
}

/* ---- readers ---- */

static double read_for(const char *container, const char *name, uint64_t span)
{
    int object = mbr_container_join(container);
    uint64_t begun, now, count = 0;
    char *bytes;

    if (object >= 0)
        object = mbr_object_join(object, name);
    if (object < 0)
        return object;
    begun = bench_now_ns();
    do {
        for (int i = 0; i < 1000; i++) {
            int access = mbr_object_get(object, 64, 64, &bytes);

            if (access < 0)
                return access;
            (void)mbr_object_put(access);
        }
        count += 1000;
        now = bench_now_ns();
    } while (now - begun < span);
    return (double)count * 1e9 / (double)(now - begun);
}

/* Begins when told through `go`, writes its rate to `out`. */
static pid_t spawn_reader(const char *container, const char *name, uint64_t span, int cpu, int go,
                          int out)
{
    pid_t pid = fork();
    char byte;
    double rate;

    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)bench_pin(cpu);
    (void)!read(go, &byte, 1);
    (void)read_for(container, name, span / 10); /* warms up */
    rate = read_for(container, name, span);
    _exit(write(out, &rate, sizeof(rate)) == sizeof(rate) ? 0 : 1);
}

double load_readers(int readers, bool apart, uint64_t span)
{
    struct bench_place place = {.cpu = {0, 0}};
    int go[2], out[2], c;
    char container[64];
    double slowest = 0, rate;

    (void)bench_place_choose(&place);
    own_name(container, "readers");
    c = mbr_container_create(container, -1);
    if (c < 0)
        return c;
    for (int i = 0; i < 2; i++)
        (void)mbr_object_create(c, i == 0 ? "0" : "1", MBR_OBJECT_BLOCK);
    if (pipe(go) != 0 || pipe(out) != 0)
        return -errno;
    for (int i = 0; i < readers; i++)
        (void)spawn_reader(container, apart && i != 0 ? "1" : "0", span, place.cpu[i % 2], go[0],
                           out[1]);
    (void)close(out[1]);
    for (int i = 0; i < readers; i++)
        (void)!write(go[1], "x", 1);
    for (int i = 0; i < readers; i++) {
        if (read(out[0], &rate, sizeof(rate)) != sizeof(rate))
            rate = -EIO;
        if (i == 0 || rate < slowest)
            slowest = rate;
    }
    for (int i = 0; i < readers; i++)
        (void)wait(NULL);
    (void)close(out[0]);
    (void)close(go[0]);
    (void)close(go[1]);
    (void)mbr_container_leave(c);
    return slowest;
}

/* ---- copies ---- */

static struct {
    size_t size;
    char *own, *shared;
    int container, object;
} copy = {.container = -1};

int load_copy_begin(size_t size)
{
    char name[64];
    int fd = memfd_create("bench", MFD_CLOEXEC);

    own_name(name, "copy");
    copy.size = size;
    copy.own = malloc(size);
    if (fd < 0 || copy.own == NULL || ftruncate(fd, (off_t)size) != 0)
        return -ENOMEM;
    copy.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (copy.shared == MAP_FAILED)
        return -ENOMEM;
    memset(copy.own, 1, size);
    memset(copy.shared, 1, size);
    copy.container = mbr_container_create(name, -1);
    if (copy.container < 0)
        return copy.container;
    copy.object = mbr_object_create(copy.container, "x", size);
    return copy.object < 0 ? copy.object : mbr_object_write(copy.object, 0, copy.own, size);
}

static int copy_once(enum load_copy_way way)
{
    switch (way) {
    case LOAD_WRITE:
        return mbr_object_write(copy.object, 0, copy.own, copy.size);
    case LOAD_READ:
        return mbr_object_read(copy.object, 0, copy.own, copy.size);
    case LOAD_MEMCPY_IN:
        memcpy(copy.shared, copy.own, copy.size);
        break;
    case LOAD_MEMCPY_OUT:
        memcpy(copy.own, copy.shared, copy.size);
        break;
    }
    __asm__ volatile("" ::: "memory");
    return 0;
}

double load_copy(enum load_copy_way way, uint64_t span)
{
    uint64_t begun, now, count = 0;
    int rc = copy_once(way);

    begun = bench_now_ns();
    do {
        rc = rc < 0 ? rc : copy_once(way);
        count++;
        now = bench_now_ns();
    } while (rc == 0 && now - begun < span);
    return rc < 0 ? rc : (double)(count * copy.size) * 1e9 / (double)(now - begun);
}

void load_copy_end(void)
{
    if (copy.container >= 0)
        (void)mbr_container_leave(copy.container);
    if (copy.shared != NULL && copy.shared != MAP_FAILED)
        (void)munmap(copy.shared, copy.size);
    free(copy.own);
    memset(&copy, 0, sizeof(copy));
    copy.container = -1;
}

/* ---- crowds ---- */

static struct {
    char name[2][64];
    int container[2];
    pid_t *member;
    int members;
} crowd = {.container = {-1, -1}};

/* A member that does nothing; its ready byte says that it is there. */
static pid_t spawn_member(const char *name, int ready)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    char byte = mbr_container_join(name) >= 0 ? 'x' : '!';

    (void)!write(ready, &byte, 1);
    for (;;)
        (void)pause();
}

static int fill(int which, int objects, int members)
{
    int ready[2], rc = mbr_container_create(crowd.name[which], -1);
    char name[32], byte;

    crowd.container[which] = rc;
    for (int i = 0; rc >= 0 && i < objects; i++) {
        (void)snprintf(name, sizeof(name), "object %d", i);
        rc = mbr_object_create(crowd.container[which], name, 100);
        if (rc >= 0)
            (void)mbr_object_leave(rc);
    }
    if (rc < 0 || pipe(ready) != 0)
        return rc < 0 ? rc : -errno;
    for (int i = 1; rc >= 0 && i < members; i++) {
        pid_t pid = spawn_member(crowd.name[which], ready[1]);

        if (pid < 0)
            rc = -errno;
        else if (read(ready[0], &byte, 1) != 1 || byte != 'x')
            rc = -EIO;
        if (pid > 0)
            crowd.member[crowd.members++] = pid;
    }
    (void)close(ready[0]);
    (void)close(ready[1]);
    return rc < 0 ? rc : 0;
}

int load_crowd_begin(int objects, int members)
{
    int rc;

    crowd.member = calloc((size_t)members + 2, sizeof(*crowd.member));
    if (crowd.member == NULL)
        return -ENOMEM;
    own_name(crowd.name[0], "few");
    own_name(crowd.name[1], "crowd");
    rc = fill(0, 10, 2);
    return rc < 0 ? rc : fill(1, objects, members);
}

static int crowd_step(int which, enum load_step step, uint64_t count)
{
    int c = crowd.container[which], rc;
    char name[32];

    switch (step) {
    case LOAD_CREATE:
        rc = mbr_object_create(c, "new", 100);
        return rc < 0 ? rc : mbr_object_destroy(rc);
    case LOAD_JOIN:
        (void)snprintf(name, sizeof(name), "object %d", (int)(count * 7 % 10));
        rc = mbr_object_join(c, name);
        return rc < 0 ? rc : mbr_object_leave(rc);
    case LOAD_MISS:
        (void)snprintf(name, sizeof(name), "none %d", (int)(count % 1000));
        rc = mbr_object_join(c, name);
        return rc == -ENOENT ? 0 : -EIO;
    case LOAD_MEMBER:
        break;
    }
    /* A process that is in it already gets one number more at once: leaving first makes it new. */
    pid_t pid = fork();

    if (pid == 0) {
        for (int i = 0; i < 20; i++) {
            rc = mbr_container_join(crowd.name[which]);
            if (rc < 0 || mbr_container_leave(rc) < 0)
                _exit(1);
        }
        _exit(0);
    }
    int status = 1;

    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -EIO;
}

double load_crowd(bool large, enum load_step step, uint64_t span)
{
    uint64_t begun = bench_now_ns(), now, count = 0;
    int rc;

    do {
        rc = crowd_step(large, step, count++);
        now = bench_now_ns();
    } while (rc == 0 && now - begun < span);
    return rc < 0 ? rc : (double)count * 1e9 / (double)(now - begun);
}

void load_crowd_end(void)
{
    for (int i = 0; i < crowd.members; i++)
        (void)kill(crowd.member[i], SIGKILL);
    for (int i = 0; i < crowd.members; i++)
        (void)waitpid(crowd.member[i], NULL, 0);
    for (int i = 0; i < 2; i++) {
        if (crowd.container[i] >= 0)
            (void)mbr_container_leave(crowd.container[i]);
        crowd.container[i] = -1;
    }
    free(crowd.member);
    crowd.member = NULL;
    crowd.members = 0;
}
