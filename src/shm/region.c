/* SPDX-License-Identifier: MIT */
/*
 * Regions: a memfd, allocated, mapped twice over and sealed; and the verification of a stranger's.
 *
 * The order of the steps is the point of this file. The owner allocates before it maps, so that
 * lack of memory is an error and never a SIGBUS; it maps before it seals, because FUTURE_WRITE
 * spares the mappings that exist; it seals before the descriptor can be seen. The peer verifies
 * before it maps, and what it has verified cannot change any more because of SEAL.
 *
 * Not here: who may have the descriptor and how it gets there.
 */
#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/atomic.h"
#include "shm/proc.h"

/* Newer than the C library's headers may be: Linux 5.1, 6.3 and 5.14. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

/* fallocate() gives back everything when a signal interrupts it. In pieces of this many bytes (a
 * millisecond or so) a program with a busy profiling timer gets on all the same. */
#define PIECE (UINT64_C(4) << 20)

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int check_sizes(size_t head, size_t body)
{
    size_t page = page_size();

    if (head == 0 || head % page != 0 || body % page != 0)
        return -EINVAL;
    if (head > MBR__REGION_MAX || body > MBR__REGION_MAX - head)
        return -EINVAL;
    return 0;
}

/* The caller asked for memory; which of the kernel's ledgers was empty is of no use to it. */
static int memory_error(int error)
{
    return error == ENOSPC || error == EFBIG ? -ENOMEM : -error;
}

static int new_memfd(const char *label)
{
    char name[MBR__REGION_LABEL_MAX + 1];
    int fd;

    snprintf(name, sizeof(name), "%s", label != NULL ? label : "");
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

static int allocate(int fd, uint64_t size)
{
    struct rlimit limit;
    uint64_t done;

    /* Beyond RLIMIT_FSIZE the kernel would send SIGXFSZ, which kills. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
        return -ENOMEM;
    if (ftruncate(fd, (off_t)size) < 0)
        return memory_error(errno);

    for (done = 0; done < size;) {
        uint64_t n = size - done < PIECE ? size - done : PIECE;

        if (fallocate(fd, 0, (off_t)done, (off_t)n) == 0)
            done += n;
        else if (errno != EINTR)
            return memory_error(errno);
    }
    return 0;
}

/* A page that was allocated but never touched counts as a hole to lseek(), which is how peers look
 * for holes. Where the kernel does not know how to touch pages for us, or a sandbox does not let
 * it, storing the zeroes they hold does. Any other error means that touching one would be a signal.
 */
static int touch(uint8_t *base, size_t size)
{
    size_t page = page_size();

    while (madvise(base, size, MADV_POPULATE_WRITE) < 0) {
        if (errno == EINVAL || errno == ENOSYS || errno == EPERM) {
            for (size_t at = 0; at < size; at += page)
                mbr_store_relaxed((uint32_t *)(void *)(base + at), 0);
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return -ENOMEM;
    }
    return 0;
}

/* Reserves addresses for head + 2 * body and puts the file there, its body twice. MAP_FIXED only
 * ever replaces our own reservation. */
static int map_twice(int fd, size_t head, size_t body, int prot, uint8_t **out)
{
    size_t span = head + 2 * body;
    uint8_t *base = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int error;

    if (base == MAP_FAILED)
        return -errno;
    if (mmap(base, head + body, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        goto fail;
    if (body != 0 &&
        mmap(base + head + body, body, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)head) == MAP_FAILED)
        goto fail;
    if (madvise(base, span, MADV_DONTFORK) < 0)
        goto fail;
    *out = base;
    return 0;

fail:
    error = errno;
    munmap(base, span);
    return -error;
}

static int seal(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return 0;
    /* EINVAL: a kernel that does not know FUTURE_WRITE. */
    return errno == EINVAL ? -ENOSYS : -errno;
}

/* What follows memfd_create(); on failure nothing is mapped. */
static int furnish(int fd, size_t head, size_t body, uint8_t **out)
{
    uint8_t *base = NULL;
    int err = allocate(fd, head + body);

    if (err == 0)
        err = map_twice(fd, head, body, PROT_READ | PROT_WRITE, &base);
    if (err < 0)
        return err;

    err = touch(base, head + body);
    if (err == 0)
        err = seal(fd);
    if (err < 0)
        munmap(base, head + 2 * body);
    else
        *out = base;
    return err;
}

int mbr__region_create(const char *label, size_t head, size_t body, struct mbr__region *out)
{
    uint8_t *base = NULL;
    int fd;
    int err = check_sizes(head, body);

    if (err < 0)
        return err;
    fd = new_memfd(label);
    if (fd < 0)
        return fd;
    err = furnish(fd, head, body, &base);
    if (err < 0) {
        close(fd);
        return err;
    }
    *out = (struct mbr__region){.base = base,
                                .head = head,
                                .body = body,
                                .fd = fd,
                                .mark = mbr__fork_mark(),
                                .writable = true};
    return 0;
}

/*
 * That the file can never raise SIGBUS: its size is fixed, every page is there and stays. The count
 * of blocks alone would not show it, since blocks beyond the end of the file count as well; but it
 * is cheap and says "no" to most. A page that is swapped out is no hole to lseek().
 */
static int verify_pages(int fd, const struct stat *st)
{
    if ((uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size)
        return -EPROTO;
    return lseek(fd, 0, SEEK_HOLE) == st->st_size ? 0 : -EPROTO;
}

/* Whether fd is a sealed memfd; its size. Only the seals make the rest worth knowing, so they are
 * looked at before size and blocks are. */
static int verify(int fd, uint64_t *size)
{
    struct stat st;
    struct statfs fs;
    int seals;

    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return errno == EBADF ? -EBADF : -EPROTO;
    if (!S_ISREG(st.st_mode) || st.st_nlink != 0 || fs.f_type != TMPFS_MAGIC)
        return -EPROTO;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return -EPROTO;
    /* Again: what came before the seals could change between the two calls. */
    if (fstat(fd, &st) < 0 || st.st_size <= 0)
        return -EPROTO;
    *size = (uint64_t)st.st_size;
    return verify_pages(fd, &st);
}

static int map_verified(int fd, size_t head, size_t body, struct mbr__region *out)
{
    uint8_t *base = NULL;
    int err = map_twice(fd, head, body, PROT_READ, &base);

    if (err < 0)
        return err == -ENOMEM ? -ENOMEM : -EPROTO;
    *out = (struct mbr__region){
        .base = base, .head = head, .body = body, .fd = -1, .mark = mbr__fork_mark()};
    return 0;
}

int mbr__region_attach(int fd, size_t head, size_t body, struct mbr__region *out)
{
    uint64_t size;
    int err = check_sizes(head, body);

    if (err == 0)
        err = verify(fd, &size);
    if (err < 0)
        return err;
    return size == head + body ? map_verified(fd, head, body, out) : -EPROTO;
}

int mbr__region_attach_any(int fd, size_t head, size_t max_body, struct mbr__region *out)
{
    uint64_t size;
    int err = check_sizes(head, 0);

    if (err == 0)
        err = verify(fd, &size);
    if (err < 0)
        return err;
    if (size < head || size - head > max_body || check_sizes(head, size - head) < 0)
        return -EPROTO;
    return map_verified(fd, head, size - head, out);
}

void mbr__region_drop_fd(struct mbr__region *r)
{
    if (r->base != NULL && r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

void mbr__region_release(struct mbr__region *r)
{
    if (r == NULL || r->base == NULL)
        return;
    if (r->mark == mbr__fork_mark())
        munmap(r->base, r->head + 2 * r->body);
    mbr__region_drop_fd(r);
    r->base = NULL;
}
