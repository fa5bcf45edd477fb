/* SPDX-License-Identifier: MIT */
/*
 * The limits of the control group this process is in: version 1, version 2 or none.
 */
#ifndef TOOLS_CGROUP_H
#define TOOLS_CGROUP_H

#include <limits.h>
#include <stdint.h>

enum cgroup_mode { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

struct cgroup {
    enum cgroup_mode mode;
    const char *root;    /* where the hierarchy is mounted */
    char path[PATH_MAX]; /* of the group below it; "" the root itself */
};

/* The group for a controller ("memory", "cpu"). */
void cgroup_find(const char *controller, struct cgroup *out);

/* "none", "v1", "v2" */
const char *cgroup_mode_text(enum cgroup_mode mode);

/* The smallest number in the files of this name from the group up to the root, as far as they can
 * be seen from here; UINT64_MAX when there is none. */
uint64_t cgroup_smallest(const struct cgroup *group, const char *file);

/* The smallest quota on that way, in per cent of one processor; UINT64_MAX when there is none. */
uint64_t cgroup_cpu_percent(const struct cgroup *group);

#endif
