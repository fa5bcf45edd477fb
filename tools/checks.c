/* SPDX-License-Identifier: MIT */
/*
 * membrane doctor, first half: kernel, processors, clock, limits of the process, libraries.
 * Thresholds are where something becomes likely to fail or slow, not where it must.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <membrane/base.h>

#include "cgroup.h"
#include "doctor.h"
#include "probe.h"
#include "units.h"
#include "version.h"

#define KERNEL_MAJOR 6 /* the oldest kernel that is tested: Debian 12 */
#define KERNEL_MINOR 1
#define FILES_FEW    256
#define MAPS_FEW     65530 /* the kernel's own default */

static void check_kernel(struct doctor *d)
{
    struct finding f = {.what = "kernel",
                        .why = "older than 6.1, with which membrane is tested",
                        .fix = "use a newer kernel if a check below fails"};
    struct utsname system;
    char *end;

    (void)uname(&system);

    unsigned long major = strtoul(system.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

    finding_value(&f, "%s %s", system.release, system.machine);
    if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
        f.verdict = VERDICT_WARN;
    doctor_add(d, &f);
}

static void check_probe(struct doctor *d, const struct tool_probe *p)
{
    struct finding f = {.what = p->name, .why = p->why, .fix = p->fix};
    int rc = p->try_it();

    finding_value(&f, "%s", rc == 0 ? "works" : mbr_error_name(rc));
    if (rc != 0)
        f.verdict = p->needed ? VERDICT_FAIL : VERDICT_WARN;
    doctor_add(d, &f);
}

static void check_processors(struct doctor *d)
{
    struct finding f = {.what = "processors",
                        .why = "two sides take turns, so every message costs a wake-up",
                        .fix = "allow a second one (taskset, cpuset)"};
    const size_t most = 4096; /* more than the 1,024 of a cpu_set_t: large machines have them */
    size_t bytes = CPU_ALLOC_SIZE(most);
    cpu_set_t *set = CPU_ALLOC(most);
    int count = -1;

    if (set != NULL && sched_getaffinity(0, bytes, set) == 0)
        count = CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    if (count > 0)
        finding_value(&f, "%d", count);
    else
        finding_value(&f, "cannot be told");
    if (count == 1)
        f.verdict = VERDICT_WARN;
    doctor_add(d, &f);
}

/* A quota of processor time stops a process that spins until the next period, messages or not. */
static void check_quota(struct doctor *d)
{
    struct finding f = {.what = "processor group",
                        .why = "who spins while waiting uses up the quota and is then stopped",
                        .fix = "raise or remove the quota of the control group (cpu.max)"};
    struct cgroup group;
    uint64_t percent = UINT64_MAX;

    cgroup_find("cpu", &group);
    if (group.mode != CGROUP_NONE)
        percent = cgroup_cpu_percent(&group);
    if (percent == UINT64_MAX) {
        finding_value(&f, "%s", cgroup_mode_text(group.mode));
    } else {
        finding_value(&f, "%s, %llu %% of one processor", cgroup_mode_text(group.mode),
                      (unsigned long long)percent);
        f.verdict = VERDICT_WARN;
    }
    doctor_add(d, &f);
}

/* Clocks that are read without a system call (vDSO). */
static bool fast_clock(const char *name)
{
    return strcmp(name, "tsc") == 0 || strcmp(name, "kvm-clock") == 0 ||
           strncmp(name, "hyperv", 6) == 0 || strcmp(name, "arch_sys_counter") == 0 ||
           strcmp(name, "timebase") == 0 || strcmp(name, "riscv_clocksource") == 0;
}

static void check_clock(struct doctor *d)
{
    struct finding f = {.what = "clock source",
                        .why = "reading the clock is a system call, so short waits cost more",
                        .fix = "boot with clocksource=tsc if the processor's TSC is reliable"};
    char name[64];

    if (!doctor_read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", name,
                          sizeof(name))) {
        finding_value(&f, "cannot be told");
    } else {
        finding_value(&f, "%s", name);
        if (!fast_clock(name))
            f.verdict = VERDICT_WARN;
    }
    doctor_add(d, &f);
}

static const char *limit_text(rlim_t limit, bool bytes, char *text, size_t size)
{
    if (limit == RLIM_INFINITY)
        (void)snprintf(text, size, "unlimited");
    else if (bytes)
        (void)tool_size_text((uint64_t)limit, text, size);
    else
        (void)snprintf(text, size, "%llu", (unsigned long long)limit);
    return text;
}

static void check_limit(struct doctor *d, struct finding *f, int resource, rlim_t few, bool bytes)
{
    struct rlimit limit;
    char soft[24];
    char hard[24];

    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) {
        finding_value(f, "cannot be told");
    } else {
        finding_value(f, "%s (at most %s)", limit_text(limit.rlim_cur, bytes, soft, sizeof(soft)),
                      limit_text(limit.rlim_max, bytes, hard, sizeof(hard)));
        if (limit.rlim_cur < few)
            f->verdict = VERDICT_WARN;
    }
    doctor_add(d, f);
}

static void check_limits(struct doctor *d)
{
    struct finding files = {.what = "open files",
                            .why = "a process with many pipes needs at least two for each end",
                            .fix = "ulimit -n 4096"};
    /* Nothing is locked by us; programs that lock what they map meet this limit. */
    struct finding locked = {.what = "locked memory", .why = "", .fix = ""};

    check_limit(d, &files, RLIMIT_NOFILE, FILES_FEW, false);
    check_limit(d, &locked, RLIMIT_MEMLOCK, 0, true);
}

static void check_maps(struct doctor *d)
{
    struct finding f = {.what = "max_map_count",
                        .why = "each end of a pipe takes several mappings",
                        .fix = "sysctl vm.max_map_count=65530"};
    char line[32];

    if (!doctor_read_line("/proc/sys/vm/max_map_count", line, sizeof(line))) {
        finding_value(&f, "cannot be told");
    } else {
        finding_value(&f, "%s", line);
        if (strtoull(line, NULL, 10) < MAPS_FEW)
            f.verdict = VERDICT_WARN;
    }
    doctor_add(d, &f);
}

static void check_versions(struct doctor *d)
{
    struct finding version = {.what = "version",
                              .why = "tool and library are of different versions",
                              .fix = "install both from one build; look at LD_LIBRARY_PATH"};
    struct finding yaml = {.what = "libyaml",
                           .why = "libdemikernel reads its configuration with it",
                           .fix = "apt-get install libyaml-0-2"};
    struct finding jansson = {.what = "jansson"};
    char text[32];
    const char *found = tool_libyaml_version(text, sizeof(text));

    finding_value(&version, "tool %s, library %s", MBR_VERSION_STRING, mbr_version());
    if (strcmp(mbr_version(), MBR_VERSION_STRING) != 0)
        version.verdict = VERDICT_FAIL;
    doctor_add(d, &version);
    finding_value(&yaml, "%s", found != NULL ? found : "not installed");
    if (found == NULL)
        yaml.verdict = VERDICT_WARN;
    doctor_add(d, &yaml);
    finding_value(&jansson, "%s", jansson_version_str());
    doctor_add(d, &jansson);
}

void doctor_check_system(struct doctor *d)
{
    check_versions(d);
    check_kernel(d);
    for (const struct tool_probe *p = tool_probes; p->name != NULL; p++)
        check_probe(d, p);
    check_processors(d);
    check_quota(d);
    check_clock(d);
    check_limits(d);
    check_maps(d);
}
