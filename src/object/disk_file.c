/* SPDX-License-Identifier: MIT */
/*
 * System calls on the files of a persistent container.
 */
#include "object/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

static int verify(int fd, mode_t type)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if ((st.st_mode & S_IFMT) != type)
        return type == S_IFDIR ? -ENOTDIR : -EBADMSG;
    return st.st_uid != geteuid() || (st.st_mode & OTHERS_WRITE) ? -EPERM : 0;
}

static int verified(int fd, mode_t type)
{
    int err = verify(fd, type);

    if (err == 0)
        return fd;
    close(fd);
    return err;
}

int mbr__disk_open_dir(const char *path)
{
    char plain[PATH_MAX];
    size_t length = strlen(path);
    int fd;

    if (length >= sizeof(plain))
        return -ENAMETOOLONG;
    if (length == 0)
        return -ENOENT;
    /* A slash at the end would make the kernel follow a link in spite of O_NOFOLLOW. */
    while (length > 1 && path[length - 1] == '/')
        length--;
    memcpy(plain, path, length);
    plain[length] = '\0';
    fd = open(plain, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : verified(fd, S_IFDIR);
}

int mbr__disk_open_file(int dir, const char *name, int flags)
{
    /* Without O_NONBLOCK a pipe in the file's place would make us wait. */
    int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags,
                    S_IRUSR | S_IWUSR);

    if (fd < 0)
        return errno == EISDIR ? -EBADMSG : -errno;
    fd = verified(fd, S_IFREG);
    /* A umask may have taken the owner's bits: we could not open it again. */
    if (fd >= 0 && (flags & O_CREAT))
        (void)fchmod(fd, S_IRUSR | S_IWUSR);
    return fd;
}

int mbr__disk_read_at(int fd, void *buf, size_t length, uint64_t at)
{
    char *p = buf;

    while (length > 0) {
        ssize_t n = pread(fd, p, length, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

int mbr__disk_write_at(int fd, const void *buf, size_t length, uint64_t at)
{
    const char *p = buf;
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        at + length > limit.rlim_cur)
        return -EFBIG;
    while (length > 0) {
        ssize_t n = pwrite(fd, p, length, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

int mbr__disk_sync_data(int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

int mbr__disk_sync_all(int fd)
{
    return fsync(fd) < 0 ? -errno : 0;
}

int mbr__disk_set_size(int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

void mbr__disk_punch(int fd, uint64_t at, uint64_t length)
{
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length);
}
