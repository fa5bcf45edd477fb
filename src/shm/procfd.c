/* SPDX-License-Identifier: MIT */
/*
 * Other processes' descriptors, opened through /proc/PID/fd without their help.
 *
 * The owner may replace a descriptor at any time, so it is not opened by its number: an O_PATH
 * descriptor takes hold of the object, which is checked and then opened through our own /proc/self.
 *
 * Not here: whether the memory behind a descriptor can be believed (region.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shm/proc.h"

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

/* What a failed open under /proc/PID means. A dead process looks like a missing file and, as long
 * as it is a zombie, like one of root's. */
static int why_not(const struct mbr__proc *p, int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return mbr__proc_alive(p) == 0 ? -ESRCH : -EACCES;
    case ENOENT:
    case ESRCH:
        return mbr__proc_alive(p) == 0 ? -ESRCH : -ENOENT;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return -error;
    default:
        return -EPROTO;
    }
}

/* Whether the O_PATH descriptor `path` leads to what is wanted; `name` is its name in /proc. */
static bool is_wanted(int path, const char *name, char want)
{
    const char *prefix = want == 'm' ? "/memfd:" : "pipe:[";
    char text[32];
    struct stat st;
    struct statfs fs;
    ssize_t n = readlink(name, text, sizeof(text));

    if (n < (ssize_t)strlen(prefix) || memcmp(text, prefix, strlen(prefix)) != 0)
        return false;
    /* A file may be called like that, too. */
    if (fstat(path, &st) < 0 || fstatfs(path, &fs) < 0)
        return false;
    if (want == 'm')
        return S_ISREG(st.st_mode) && st.st_nlink == 0 && fs.f_type == TMPFS_MAGIC;
    return S_ISFIFO(st.st_mode) && fs.f_type == PIPEFS_MAGIC;
}

/* Opens what the O_PATH descriptor stands for: the object itself, whatever its owner has put in
 * the descriptor's place meanwhile. */
static int open_wanted(const struct mbr__proc *p, int path, char want, int accmode)
{
    char name[32];
    int fd;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
    if (!is_wanted(path, name, want))
        return -EPROTO;
    fd = open(name, (accmode & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? why_not(p, errno) : fd;
}

/* An O_PATH descriptor for N in the process's descriptor directory. The directory is opened first:
 * it stays with the process it was opened for. */
static int find_fd(const struct mbr__proc *p, int fd)
{
    char name[32];
    int dir;
    int path;

    snprintf(name, sizeof(name), "/proc/%d/fd", (int)p->pid);
    dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return why_not(p, errno);
    snprintf(name, sizeof(name), "%d", fd);
    path = openat(dir, name, O_PATH | O_CLOEXEC);
    if (path < 0)
        path = why_not(p, errno);
    close(dir);
    return path;
}

int mbr__proc_open_fd(const struct mbr__proc *p, int fd, char want, int accmode, int *out)
{
    uint64_t start = 0;
    int path;
    int got;
    int err;

    if (fd < 0 || p->pid <= 0)
        return -ENOENT;
    if (!mbr__proc_same_namespace(p))
        return -EXDEV;
    path = find_fd(p, fd);
    if (path < 0)
        return path;
    got = open_wanted(p, path, want, accmode);
    close(path);
    if (got < 0)
        return got;

    err = mbr__proc_start(p->pid, &start);
    if (err < 0 || start != p->start) {
        close(got);
        return err < 0 ? err : -ESRCH;
    }
    *out = got;
    return 0;
}
