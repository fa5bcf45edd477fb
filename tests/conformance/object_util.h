/* SPDX-License-Identifier: MIT */
/*
 * What the tests of containers and objects share. Everything goes through membrane/objects.h.
 */
#ifndef MBR_TESTS_OBJECT_UTIL_H
#define MBR_TESTS_OBJECT_UTIL_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <membrane/objects.h>

#include "../multi/stage.h"

#define MIB ((size_t)1 << 20)

static inline uint64_t object_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A deadline so many milliseconds from now, more under sanitizers. */
static inline uint64_t object_in_ms(unsigned int ms)
{
    return object_now() + UINT64_C(1000000) * ms * stage_slowness();
}

static inline int object_have(const char *file, int line, const char *text, int rc)
{
    if (rc < 0)
        stage_fail_int(file, line, text, rc, 0);
    return rc;
}

/* A number that must have been given. */
#define HAVE(call) object_have(__FILE__, __LINE__, #call " gives a number", (call))

#define OBJECT_POLICIES 2u /* in place, versioned */

/* Waits until an actor sleeps, who was told to begin something that has to wait. (Not
 * stage_await_parked(): who waits for a lock looks round every few milliseconds.) */
static inline void object_await_asleep(pid_t pid)
{
    char path[64], line[512];

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    for (int asleep = 0; asleep < 30;) {
        FILE *f = fopen(path, "re");

        CHECK(f != NULL && fgets(line, sizeof(line), f) != NULL);
        (void)fclose(f);
        const char *state = strrchr(line, ')');

        CHECK(state != NULL && state[2] != 'Z');
        asleep = state[2] == 'S' ? asleep + 1 : 0;
        (void)sched_yield();
    }
}

/* The number of members that the container says it has. */
static inline uint32_t object_members(int container)
{
    struct mbr_container_attr attr;

    CHECK_INT(mbr_container_getattr(container, &attr), 0);
    return attr.members;
}

static inline struct mbr_object_attr object_attr_of(int object)
{
    struct mbr_object_attr attr;

    CHECK_INT(mbr_object_getattr(object, &attr), 0);
    return attr;
}

/* Writes `size` bytes made of `key`, and whether they are there. */
static inline int object_put_key(int object, size_t offset, size_t size, uint64_t key,
                                 uint64_t deadline)
{
    char *bytes = malloc(size != 0 ? size : 1);

    CHECK(bytes != NULL);
    stage_fill(bytes, size, key);
    int rc = mbr_object_write_until(object, offset, bytes, size, deadline);

    free(bytes);
    return rc;
}

static inline bool object_has_key(int object, size_t offset, size_t size, uint64_t key)
{
    char *bytes = malloc(size != 0 ? size : 1);

    CHECK(bytes != NULL);
    CHECK_INT(mbr_object_read(object, offset, bytes, size), 0);
    bool same = stage_filled(bytes, size, key);

    free(bytes);
    return same;
}

#endif
