/* SPDX-License-Identifier: MIT */
/*
 * Regions: sealed shared memory written by its owner alone.
 *
 * A region is a memfd of `head` + `body` bytes. Its owner maps it writable, then seals it with
 * SHRINK, GROW, FUTURE_WRITE and SEAL: from then on nobody, the owner included, can change its
 * size, punch holes into it or map it writable again (memfd_create(2), fcntl(2)). Peers map it
 * read-only after they have verified all of that, so no access to it can raise SIGBUS. The body is
 * mapped twice, back to back, so that a record that wraps round its end is contiguous in memory:
 *
 *     base                base+head              base+head+body           base+head+2*body
 *      | head (control)    | body                 | the same body again    |
 *
 * What is not here: names (names.h), passing descriptors (post.h), what the bytes mean (the
 * layouts, *_shm.h).
 */
#ifndef MBR_SHM_REGION_H
#define MBR_SHM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MBR__REGION_MAX       (UINT64_C(1) << 36) /* bytes of head + body that a region may have */
#define MBR__REGION_LABEL_MAX 200                 /* bytes of a label; the rest is cut off */

/* Private to its user: these functions may be called on different regions from different threads,
 * on one region from one thread at a time. None of them blocks. */
struct mbr__region {
    uint8_t *base; /* start of the mapping; NULL when not mapped */
    size_t head;   /* bytes, a multiple of the page size, at least one page */
    size_t body;   /* bytes, a multiple of the page size, may be 0 */
    int fd;        /* the memfd, close-on-exec; -1 after mbr__region_drop_fd() or when attached */
    uint32_t mark; /* mbr__fork_mark() of the process that has the mapping */
    bool writable; /* true for the owner's mapping */
};

/*
 * Creates a zeroed region of head + body bytes, allocates and touches every page of it, maps it
 * (see above) and seals it. `label` (for /proc/PID/maps only; NULL is "") is copied. Children do
 * not inherit the mapping (MADV_DONTFORK): a child that touches it faults, so users of a handle
 * compare its mark with mbr__fork_mark() (proc.h) first.
 * Errors: -EINVAL head or body not page multiples, head 0, or sum above MBR__REGION_MAX; -ENOMEM no
 * memory or no address space, also when the memory cgroup, tmpfs or the file size limit of the
 * process refuses (ENOSPC and EFBIG are folded into it); -EMFILE, -ENFILE no descriptor left;
 * -ENOSYS the kernel has no memfd sealing with FUTURE_WRITE (before Linux 5.1); -EPERM, -EACCES
 * refused by a sandbox.
 */
int mbr__region_create(const char *label, size_t head, size_t body, struct mbr__region *out);

/*
 * Maps a stranger's region read-only from `fd`, which stays the caller's and may be closed
 * afterwards; of a description that it shares with others the file offset may change. Before
 * anything is mapped it is verified that fd is a memfd (a regular file on tmpfs without a link),
 * carries the four seals, has exactly head + body bytes and no hole. A memfd on hugetlbfs is
 * refused: the kernel would round its mappings up, over the end of what was reserved.
 * Errors: -EPROTO any of these does not hold; -EINVAL as above; -ENOMEM; -EBADF fd is not open.
 */
int mbr__region_attach(int fd, size_t head, size_t body, struct mbr__region *out);

/* As above for a region whose size the caller does not know: head is given, body is what is left.
 * -EPROTO also when that is no page multiple or more than max_body. */
int mbr__region_attach_any(int fd, size_t head, size_t max_body, struct mbr__region *out);

/* Closes the memfd and keeps the mapping. */
void mbr__region_drop_fd(struct mbr__region *r);

/* Unmaps and closes. NULL, a region of all zeroes and an already released one are fine. In a forked
 * child only the descriptor is closed: there is no mapping, and something else may be there now. */
void mbr__region_release(struct mbr__region *r);

static inline uint8_t *mbr__region_body(const struct mbr__region *r)
{
    return r->base + r->head;
}

#endif
