/* SPDX-License-Identifier: MIT */
/*
 * CPU choice from the affinity mask and sysfs topology; priority through /proc/self/autogroup.
 */
#include "bench/lib/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define AUTOGROUP   "/proc/self/autogroup"
#define MOST_URGENT (-20)

/* The first line of a small file, or "". */
static void read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");

    line[0] = '\0';
    if (file == NULL) {
        return;
    }
    if (fgets(line, (int)size, file) == NULL) {
        line[0] = '\0';
    }
    (void)fclose(file);
}

/* The number at the head of a topology file, or -1. Lists such as "0-1" give their first CPU. */
static int topology(int cpu, const char *leaf)
{
    char path[128];
    char line[64];
    char *end;
    long value;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, leaf);
    read_line(path, line, sizeof(line));
    value = strtol(line, &end, 10);
    return end == line || value < 0 || value > INT_MAX ? -1 : (int)value;
}

static bool same_core(int a, int b)
{
    int core = topology(a, "thread_siblings_list");

    return a == b || (core >= 0 && core == topology(b, "thread_siblings_list"));
}

static bool same_package(int a, int b)
{
    return topology(a, "physical_package_id") == topology(b, "physical_package_id");
}

/* How good a partner `other` is for `cpu`: 0 itself, 1 its sibling, 2 far away, 3 a near core. */
static int partner_grade(int cpu, int other)
{
    if (cpu == other) {
        return 0;
    }
    if (same_core(cpu, other)) {
        return 1;
    }
    return same_package(cpu, other) ? 3 : 2;
}

int bench_place_choose(struct bench_place *place)
{
    cpu_set_t allowed;
    int first = -1, second = -1, grade = 0;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return -errno;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && grade < 3; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &allowed)) {
            continue;
        }
        if (first < 0) {
            first = second = cpu;
        } else if (partner_grade(first, cpu) > grade) {
            grade = partner_grade(first, cpu);
            second = cpu;
        }
    }
    if (first < 0) {
        return -ENODEV;
    }
    *place = (struct bench_place){.cpu = {first, second}};
    return first == second ? 1 : 2;
}

bool bench_place_is_smt(const struct bench_place *place)
{
    return place->cpu[0] != place->cpu[1] && same_core(place->cpu[0], place->cpu[1]);
}

int bench_pin(int cpu)
{
    cpu_set_t one;

    if (cpu < 0 || cpu >= CPU_SETSIZE) {
        return -EINVAL;
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0 ? 0 : -errno;
}

static int autogroup_write(int nice_value)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d", nice_value);
    int fd = open(AUTOGROUP, O_WRONLY | O_CLOEXEC);
    int result = 0;

    if (fd < 0) {
        return -errno;
    }
    if (write(fd, text, (size_t)length) != length) {
        result = errno != 0 ? -errno : -EIO;
    }
    (void)close(fd);
    return result;
}

enum bench_priority bench_priority_raise(void)
{
    if (autogroup_write(MOST_URGENT) == 0) {
        return BENCH_PRIORITY_AUTOGROUP;
    }
    if (setpriority(PRIO_PROCESS, 0, MOST_URGENT) == 0) {
        return BENCH_PRIORITY_NICE;
    }
    return BENCH_PRIORITY_NONE;
}

const char *bench_priority_name(enum bench_priority priority)
{
    switch (priority) {
    case BENCH_PRIORITY_AUTOGROUP:
        return "autogroup -20";
    case BENCH_PRIORITY_NICE:
        return "nice -20";
    case BENCH_PRIORITY_NONE:
        break;
    }
    return "default";
}
