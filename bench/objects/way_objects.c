/* SPDX-License-Identifier: MIT */
/*
 * Objects as a way to hand over values: written by copying, read in place. By reference nothing is
 * copied nor touched: what the hand-over itself costs.
 */
#include <membrane/objects.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/objects/way.h"

static char container[64];
static int kept = -1; /* the container, by who has started it */
static int object[WAY_KEYS];

static int start_with(enum mbr_write_policy policy)
{
    int rc;

    (void)snprintf(container, sizeof(container), "bench %d", (int)getpid());
    rc = mbr_container_create(container, -1);
    if (rc < 0)
        return rc;
    kept = rc;
    for (unsigned int i = 0; i < WAY_KEYS; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%u", i);
        rc = mbr_object_create_with(kept, name, WAY_BYTES, policy);
        if (rc < 0)
            return rc;
        (void)mbr_object_leave(rc);
    }
    return 0;
}

static int start_in_place(const char *directory)
{
    (void)directory;
    return start_with(MBR_WRITE_IN_PLACE);
}

static int start_versioned(const char *directory)
{
    (void)directory;
    return start_with(MBR_WRITE_VERSIONED);
}

static void stop(void)
{
    if (kept >= 0)
        (void)mbr_container_leave(kept);
    kept = -1;
}

static int open_all(void)
{
    int c = mbr_container_join(container);

    for (unsigned int i = 0; c >= 0 && i < WAY_KEYS; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%u", i);
        object[i] = mbr_object_join(c, name);
        if (object[i] < 0)
            return object[i];
    }
    return c < 0 ? c : 0;
}

static int store(unsigned int key, const char *bytes)
{
    return mbr_object_write(object[key], 0, bytes, WAY_BYTES);
}

static int fetch(unsigned int key, uint64_t *sum)
{
    char *bytes;
    int access = mbr_object_get(object[key], 0, WAY_BYTES, &bytes);

    if (access < 0)
        return access;
    *sum += way_sum(bytes, WAY_BYTES);
    return mbr_object_put(access);
}

static int store_reference(unsigned int key, const char *bytes)
{
    char *place;
    int access = mbr_object_edit(object[key], 0, WAY_BYTES, &place);

    (void)bytes;
    return access < 0 ? access : mbr_object_put(access);
}

static int fetch_reference(unsigned int key, uint64_t *sum)
{
    char *bytes;
    int access = mbr_object_get(object[key], 0, WAY_BYTES, &bytes);

    if (access < 0)
        return access;
    *sum += (uint64_t)*bytes;
    return mbr_object_put(access);
}

const struct way way_objects = {"objects", start_in_place, stop, open_all, store, fetch};
const struct way way_versioned = {
    "versioned objects", start_versioned, stop, open_all, store, fetch};
const struct way way_reference = {"objects, by reference", start_in_place, stop, open_all,
                                  store_reference,         fetch_reference};
