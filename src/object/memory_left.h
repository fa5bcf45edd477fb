/* SPDX-License-Identifier: MIT */
/*
 * How much memory there is left for this process: of the machine, and of the control groups that it
 * is in (cgroup v2 or v1).
 *
 * A hint: others allocate, too, and the kernel takes from caches what it can. Not here: what is
 * done with the answer (data.c).
 */
#ifndef MBR_OBJECT_MEMORY_LEFT_H
#define MBR_OBJECT_MEMORY_LEFT_H

#include <stdint.h>

/*
 * Bytes left; UINT64_MAX when nothing says how many. ROOT is put before the names of the files that
 * are read ("" but for tests): /proc/meminfo, /proc/self/cgroup, and, where control groups are
 * usually mounted, the memory's files of the group of the process and of those above it. Of a
 * group's memory its files' caches count as left, as they do for MemAvailable.
 */
uint64_t mbr__memory_left(const char *root);

#endif
