/* SPDX-License-Identifier: MIT */
/* See memory_left.h. What the kernel writes is read line by line; what is missing limits nothing.
 */
#define _GNU_SOURCE
#include "object/memory_left.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_file(const char *root, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s%s%s", root, directory, name);

    return n > 0 && n < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

/* The number that begins a line after KEY ("": the first line); false there is none. */
static bool read_number(const char *root, const char *directory, const char *name, const char *key,
                        uint64_t *out)
{
    FILE *f = open_file(root, directory, name);
    char line[256];
    bool found = false;

    while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
        const char *at = line + strlen(key);
        char *end = line;

        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        at += strspn(at, " \t");
        if (*at >= '0' && *at <= '9')
            *out = strtoull(at, &end, 10);
        found = end != line;
    }
    if (f != NULL)
        (void)fclose(f);
    return found;
}

static uint64_t left_of_machine(const char *root)
{
    uint64_t kib;

    if (!read_number(root, "/proc/", "meminfo", "MemAvailable:", &kib))
        return UINT64_MAX;
    return kib < UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
}

/* Where groups are, what /proc/self/cgroup says before the name of ours, and what their files and
 * the numbers in the last of them are called. */
struct hierarchy {
    const char *mounted;
    const char *line;
    const char *most, *now, *stat;
    const char *inactive, *active;
};

static const struct hierarchy hierarchies[] = {
    {"/sys/fs/cgroup", "0::", "memory.max", "memory.current", "memory.stat", "inactive_file ",
     "active_file "},
    {"/sys/fs/cgroup/memory", ":memory:", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "memory.stat", "total_inactive_file ", "total_active_file "},
};

/* GROUP: its directory, with a slash at its end. */
static uint64_t left_of_group(const char *root, const struct hierarchy *h, const char *group)
{
    uint64_t most, now, inactive = 0, active = 0;

    /* "max", and the files that the topmost group does not have, are no numbers. */
    if (!read_number(root, group, h->most, "", &most) ||
        !read_number(root, group, h->now, "", &now))
        return UINT64_MAX;
    (void)read_number(root, group, h->stat, h->inactive, &inactive);
    (void)read_number(root, group, h->stat, h->active, &active);
    now -= inactive < now ? inactive : now;
    now -= active < now ? active : now;
    return now < most ? most - now : 0;
}

/* The directory of our group, with slashes around, if the line names it. Of a group outside of our
 * namespace only the way there is told, by "..". */
static bool group_of_line(const struct hierarchy *h, const char *line, char *group, size_t size)
{
    const char *name = strstr(line, h->line);
    int n;

    if (name == NULL || (h->line[0] != ':' && name != line))
        return false;
    name += strlen(h->line);
    if (name[0] != '/')
        return false;
    n = snprintf(group, size, "%s%s%s", h->mounted, name, name[1] == '\0' ? "" : "/");
    return n > 0 && n < (int)size && strstr(group, "/../") == NULL;
}

static bool find_group(const char *root, const struct hierarchy *h, char *group, size_t size)
{
    FILE *f = open_file(root, "/proc/self/", "cgroup");
    char line[PATH_MAX];
    bool found = false;

    while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = group_of_line(h, line, group, size);
    }
    if (f != NULL)
        (void)fclose(f);
    return found;
}

/* Cuts off the last part of a directory, but never what all groups are below. */
static bool go_up(const struct hierarchy *h, char *group)
{
    size_t length = strlen(group);

    if (length <= strlen(h->mounted) + 1)
        return false;
    group[length - 1] = '\0';
    *(strrchr(group, '/') + 1) = '\0';
    return true;
}

static uint64_t left_of_groups(const char *root, const struct hierarchy *h)
{
    uint64_t left = UINT64_MAX;
    char group[PATH_MAX];

    if (!find_group(root, h, group, sizeof(group)))
        return left;
    do {
        uint64_t here = left_of_group(root, h, group);

        left = here < left ? here : left;
    } while (go_up(h, group));
    return left;
}

uint64_t mbr__memory_left(const char *root)
{
    uint64_t left = left_of_machine(root);

    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
        uint64_t here = left_of_groups(root, &hierarchies[i]);

        left = here < left ? here : left;
    }
    return left;
}
