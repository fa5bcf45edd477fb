/* SPDX-License-Identifier: MIT */
/*
 * membrane doctor, second half: the directory of names and the memory that rings are made of. Rings
 * are memfds: they count against the machine's memory and the control group's limit, not against
 * the size of /dev/shm, where only names may lie.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include <membrane/queue.h>

#include "cgroup.h"
#include "doctor.h"
#include "units.h"

#define MIB           (UINT64_C(1) << 20)
#define NAMES_LITTLE  (UINT64_C(64) << 10) /* bytes: some hundred links */
#define MEMORY_LITTLE (64 * MIB)
#define GROUP_LITTLE  (64 * MIB)

/* ---- names ---- */

/* The kind of a file system that keeps what is written to it. */
static const char *file_system(unsigned long type, char *text, size_t size)
{
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = {
        {EXT4_SUPER_MAGIC, "ext4"},         {XFS_SUPER_MAGIC, "xfs"}, {BTRFS_SUPER_MAGIC, "btrfs"},
        {OVERLAYFS_SUPER_MAGIC, "overlay"}, {NFS_SUPER_MAGIC, "nfs"},
    };

    (void)snprintf(text, size, "file system 0x%lx", type);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].type == type)
            (void)snprintf(text, size, "%s", known[i].name);
    }
    return text;
}

static void check_names_file_system(struct doctor *d, const char *path)
{
    struct finding f = {.what = "names on",
                        .why = "names should not be written to a disk or survive a reboot",
                        .fix = "let XDG_RUNTIME_DIR or MEMBRANE_DIR name a tmpfs"};
    struct statfs fs;
    char text[32];

    if (statfs(path, &fs) != 0) {
        finding_value(&f, "%s", strerror(errno));
        f.verdict = VERDICT_FAIL;
    } else if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
        finding_value(&f, "tmpfs");
    } else {
        finding_value(&f, "%s", file_system((unsigned long)fs.f_type, text, sizeof(text)));
        f.verdict = VERDICT_WARN;
    }
    doctor_add(d, &f);
}

static void check_stale(struct doctor *d)
{
    struct finding f = {.what = "stale names",
                        .why = "left by processes that were killed; harmless, but clutter",
                        .fix = "membrane gc"};
    int count = mbr_gc(1, NULL, NULL);

    if (count < 0)
        finding_value(&f, "%s", mbr_error_text(count));
    else
        finding_value(&f, "%d", count);
    f.verdict = count < 0 ? VERDICT_FAIL : count > 0 ? VERDICT_WARN : VERDICT_OK;
    doctor_add(d, &f);
}

static void check_names(struct doctor *d)
{
    struct finding f = {.what = "names",
                        .why = "no pipe can be opened by name",
                        .fix = "make it a directory of your own with mode 0700, or set "
                               "MEMBRANE_DIR to one"};
    char path[PATH_MAX - 64];
    struct stat st;
    int rc = mbr_names_path(path, sizeof(path));

    if (rc == 0 && stat(path, &st) != 0)
        rc = -errno;
    if (rc != 0) {
        finding_value(&f, "%s", mbr_error_text(rc));
        f.verdict = VERDICT_FAIL;
        doctor_add(d, &f);
        return;
    }
    finding_value(&f, "%s (owner %u, mode %04o)", path, (unsigned)st.st_uid,
                  (unsigned)(st.st_mode & 07777));
    if (st.st_uid != geteuid() || ((st.st_mode & 07777) != 0700 && (st.st_mode & 07777) != 0711))
        f.verdict = VERDICT_FAIL;
    doctor_add(d, &f);
    check_names_file_system(d, path);
    check_stale(d);
}

static void check_dev_shm(struct doctor *d)
{
    struct finding f = {.what = "/dev/shm",
                        .why = "names lie here when there is no directory under /run",
                        .fix = "mount -t tmpfs tmpfs /dev/shm, or remove what fills it"};
    struct statvfs fs;
    char text[16];

    if (statvfs("/dev/shm", &fs) != 0) {
        finding_value(&f, "%s", strerror(errno));
        f.verdict = VERDICT_WARN;
    } else {
        uint64_t free = (uint64_t)fs.f_bavail * fs.f_frsize;

        finding_value(&f, "%s free", tool_bytes_text(free, text, sizeof(text)));
        if (free < NAMES_LITTLE)
            f.verdict = VERDICT_WARN;
    }
    doctor_add(d, &f);
}

/* ---- memory ---- */

/* MemAvailable in bytes; 0 when it cannot be told. */
static uint64_t memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "MemAvailable:", 13) == 0)
            kib = strtoull(line + 13, NULL, 10);
    }
    (void)fclose(file);
    return (uint64_t)kib * 1024;
}

static void check_memory(struct doctor *d)
{
    struct finding f = {.what = "memory",
                        .why = "rings are allocated in full when they are made",
                        .fix = "end something, or use smaller rings"};
    uint64_t available = memory_available();
    char text[16];

    if (available == 0)
        finding_value(&f, "cannot be told");
    else
        finding_value(&f, "%s available", tool_bytes_text(available, text, sizeof(text)));
    if (available != 0 && available < MEMORY_LITTLE)
        f.verdict = VERDICT_WARN;
    doctor_add(d, &f);
}

static void check_group(struct doctor *d)
{
    struct finding f = {.what = "memory group",
                        .why = "rings are charged to it; beyond the limit processes are killed",
                        .fix = "raise the limit of the control group, or use smaller rings"};
    struct cgroup group;
    uint64_t limit = UINT64_MAX;
    char text[16];

    cgroup_find("memory", &group);
    if (group.mode == CGROUP_V1)
        limit = cgroup_smallest(&group, "memory.limit_in_bytes");
    else if (group.mode == CGROUP_V2)
        limit = cgroup_smallest(&group, "memory.max");
    /* What v1 calls no limit is the largest multiple of a page. */
    if (limit > (uint64_t)INT64_MAX - MIB)
        finding_value(&f, "%s", cgroup_mode_text(group.mode));
    else
        finding_value(&f, "%s, %s", cgroup_mode_text(group.mode),
                      tool_bytes_text(limit, text, sizeof(text)));
    if (limit < GROUP_LITTLE)
        f.verdict = VERDICT_WARN;
    doctor_add(d, &f);
}

void doctor_check_memory(struct doctor *d)
{
    check_names(d);
    check_dev_shm(d);
    check_memory(d);
    check_group(d);
}
