/* SPDX-License-Identifier: MIT */
/*
 * Walks a path by descriptors, one component after the other: what was looked at is what is used,
 * whatever others rename meanwhile. See append.h.
 */
#include "append.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 16

static bool trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

struct walk {
    int dir;             /* where REST begins */
    unsigned links;      /* followed */
    char rest[PATH_MAX]; /* without leading slashes */
};

static int enter(struct walk *walk, int fd)
{
    if (fd < 0)
        return -errno;
    if (walk->dir >= 0)
        (void)close(walk->dir);
    walk->dir = fd;
    return 0;
}

/* Begins at the root, with PATH, an absolute one, as the rest. */
static int start(struct walk *walk, const char *path)
{
    while (*path == '/')
        path++;
    if (strlen(path) >= sizeof(walk->rest))
        return -ENAMETOOLONG;
    memmove(walk->rest, path, strlen(path) + 1);
    return enter(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* NAME in walk->dir is a link: its text is put before what comes behind it. */
static int follow(struct walk *walk, int link, const char *behind)
{
    char path[PATH_MAX];
    struct stat st;
    ssize_t n = readlinkat(link, "", path, sizeof(path) - 1);
    int rest;

    if (n < 0 || fstat(link, &st) != 0)
        return -errno;
    if (!trusted(st.st_uid) || ++walk->links > LINKS_MAX)
        return -ELOOP;
    if (n == 0)
        return -ENOENT;
    rest = snprintf(path + n, sizeof(path) - (size_t)n, "%s%s", *behind ? "/" : "", behind);
    if (rest < 0 || (size_t)n + (size_t)rest >= sizeof(path))
        return -ENAMETOOLONG;
    if (path[0] == '/')
        return start(walk, path);
    memcpy(walk->rest, path, (size_t)n + (size_t)rest + 1);
    return 0;
}

/* One component, which is not the last unless it is a link. 1: it is the last, and no link. */
static int step(struct walk *walk)
{
    char name[NAME_MAX + 1];
    size_t length = strcspn(walk->rest, "/");
    const char *behind = walk->rest + length;
    struct stat st;
    int fd;
    int rc;

    while (*behind == '/')
        behind++;
    if (length == 0 || length >= sizeof(name))
        return length == 0 ? -EINVAL : -ENAMETOOLONG;
    memcpy(name, walk->rest, length);
    name[length] = '\0';
    fd = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && *behind == '\0' ? 1 : -errno;
    rc = fstat(fd, &st) == 0 ? 0 : -errno;
    if (rc == 0 && S_ISLNK(st.st_mode)) {
        rc = follow(walk, fd, behind);
    } else if (rc == 0 && *behind == '\0') {
        rc = 1;
    } else if (rc == 0) {
        memmove(walk->rest, behind, strlen(behind) + 1);
        return enter(walk, fd);
    }
    (void)close(fd);
    return rc;
}

static int open_last(int dir, const char *name)
{
    int fd = openat(dir, name,
                    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                    0640);
    struct stat st = {0};
    int rc = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;

    if (rc == 0 && !(S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1)))
        rc = -EPERM;
    if (rc == 0 && !trusted(st.st_uid))
        rc = -EPERM;
    if (rc == 0 && fcntl(fd, F_SETFL, O_APPEND) != 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

int append_open(const char *path)
{
    struct walk walk = {.dir = -1};
    size_t length = strlen(path);
    int rc = path[0] == '/' && path[length - 1] != '/' ? start(&walk, path) : -EINVAL;

    while (rc == 0)
        rc = step(&walk);
    if (rc == 1)
        rc = open_last(walk.dir, walk.rest);
    if (walk.dir >= 0)
        (void)close(walk.dir);
    return rc;
}
