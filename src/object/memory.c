/* SPDX-License-Identifier: MIT */
/*
 * See memory.h. The size is set before the seals, and the seals before anybody can see the
 * descriptor; SEAL makes that final, so what a stranger verifies cannot change afterwards.
 */
#include "object/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "object/object_shm.h"

/* Newer than the C library's headers may be: Linux 6.3. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define LABEL_SIZE 200

static int new_memfd(const char *label)
{
    char name[LABEL_SIZE];
    int fd;

    (void)snprintf(name, sizeof(name), "membrane:container:%s", label);
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

/* Who passes this limit is not only refused, he gets a signal. */
static bool size_allowed(uint64_t size)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           limit.rlim_cur >= size;
}

static int new_memory(const char *label, uint64_t size, int *out)
{
    int rc = 0;
    int fd;

    if (!size_allowed(size))
        return -EFBIG;
    fd = new_memfd(label);
    if (fd < 0)
        return fd;
    if (ftruncate(fd, (off_t)size) != 0)
        rc = errno == EFBIG || errno == EINVAL ? -EFBIG : -errno;
    else if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        rc = errno == EINVAL ? -ENOSYS : -errno;
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

int mbr__object_memory_new(const char *label, int *out)
{
    return new_memory(label, MBR__OBJ_FILE_SIZE, out);
}

int mbr__object_desk_new(uint64_t size, int *out)
{
    return new_memory("desk", size, out);
}

static bool is_ours(int fd, uint64_t size)
{
    struct stat st;
    struct statfs fs;
    int seals = fcntl(fd, F_GET_SEALS);
    int flags = fcntl(fd, F_GETFL);

    /* On hugetlbfs a mapping would be rounded up over the end of what was reserved for it. */
    return seals >= 0 && (seals & ~F_SEAL_EXEC) == SEALS && flags >= 0 &&
           (flags & (O_ACCMODE | O_PATH)) == O_RDWR && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_nlink == 0 && (uint64_t)st.st_size == size && fstatfs(fd, &fs) == 0 &&
           fs.f_type == TMPFS_MAGIC;
}

int mbr__object_desk_check(int fd, uint64_t size)
{
    if (fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    return is_ours(fd, size) ? 0 : -EPROTO;
}

int mbr__object_memory_check(int fd)
{
    return mbr__object_desk_check(fd, MBR__OBJ_FILE_SIZE);
}

int mbr__object_memory_id(int fd, uint64_t id[2])
{
    uint64_t read[2];
    ssize_t n;

    do
        n = pread(fd, read, sizeof(read), offsetof(struct mbr__container_shm, id));
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(read))
        return n < 0 ? -errno : -EIO;
    id[0] = read[0];
    id[1] = read[1];
    return 0;
}
