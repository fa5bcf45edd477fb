/* SPDX-License-Identifier: MIT */
/*
 * Control groups. A container often sees its own group as the root, and /proc/self/cgroup then
 * names a path that is not there: files that cannot be read count as no limit.
 */
#include "cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

/* Whether "cpu,cpuacct" contains "cpu". */
static bool lists(const char *controllers, const char *controller)
{
    size_t length = strlen(controller);

    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, controller, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* One line of /proc/self/cgroup: "NUMBER:CONTROLLERS:PATH"; version 2 has no controllers. */
static void take_line(char *line, const char *controller, struct cgroup *out)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

    if (path == NULL)
        return;
    *path++ = '\0';
    controllers++;
    path[strcspn(path, "\n")] = '\0';
    if (lists(controllers, controller)) {
        out->mode = CGROUP_V1;
        out->root =
            strcmp(controller, "memory") == 0 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup/cpu";
    } else if (controllers[0] == '\0' && out->mode == CGROUP_NONE) {
        out->mode = CGROUP_V2;
        out->root = "/sys/fs/cgroup";
    } else {
        return;
    }
    (void)snprintf(out->path, sizeof(out->path), "%s", strcmp(path, "/") == 0 ? "" : path);
}

void cgroup_find(const char *controller, struct cgroup *out)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];

    *out = (struct cgroup){.mode = CGROUP_NONE, .root = ""};
    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL)
        take_line(line, controller, out);
    (void)fclose(file);
}

const char *cgroup_mode_text(enum cgroup_mode mode)
{
    static const char *const texts[] = {"none", "v1", "v2"};

    return texts[mode];
}

/* Calls take() with the first line of this file in the group and in each of its ancestors. */
static uint64_t smallest(const struct cgroup *group, const char *file,
                         uint64_t (*take)(const char *line))
{
    uint64_t least = UINT64_MAX;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s", group->path);
    for (;;) {
        char full[2 * PATH_MAX];
        char line[64];
        char *slash = strrchr(path, '/');

        (void)snprintf(full, sizeof(full), "%s%s/%s", group->root, path, file);
        if (doctor_read_line(full, line, sizeof(line))) {
            uint64_t value = take(line);

            least = value < least ? value : least;
        }
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

/* "max", and the -1 of version 1, are no number. */
static uint64_t number(const char *line)
{
    if (line[0] < '0' || line[0] > '9')
        return UINT64_MAX;
    return strtoull(line, NULL, 10);
}

uint64_t cgroup_smallest(const struct cgroup *group, const char *file)
{
    return smallest(group, file, number);
}

/* "QUOTA PERIOD" in microseconds. */
static uint64_t percent(const char *line)
{
    uint64_t quota = number(line);
    const char *blank = strchr(line, ' ');
    uint64_t period = blank != NULL ? number(blank + 1) : UINT64_MAX;

    if (quota > UINT64_MAX / 100 || period == UINT64_MAX || period == 0)
        return UINT64_MAX;
    return quota * 100 / period;
}

uint64_t cgroup_cpu_percent(const struct cgroup *group)
{
    uint64_t quota;
    uint64_t period;

    if (group->mode == CGROUP_V2)
        return smallest(group, "cpu.max", percent);
    quota = cgroup_smallest(group, "cpu.cfs_quota_us");
    period = cgroup_smallest(group, "cpu.cfs_period_us");
    if (quota > UINT64_MAX / 100 || period == UINT64_MAX || period == 0)
        return UINT64_MAX;
    return quota * 100 / period;
}
