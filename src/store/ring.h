/* SPDX-License-Identifier: MIT */
/*
 * One side of the store's shared page: bytes in, bytes out, and whether the other side must be
 * woken. The layout is ring_shm.h; both sides use the same code with their roles exchanged.
 *
 * For one thread. Nothing blocks, allocates or makes a system call. Not here: the memory, the
 * eventfds, messages.
 */
#ifndef MBR_STORE_RING_H
#define MBR_STORE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "store/ring_shm.h"

struct mbr__store_ring {
    struct mbr__store_ring_shm *shm;
    /* What comes in, what goes out; the indices of this side are kept here and only stored there.
     */
    const uint8_t *in;
    uint8_t *out;
    uint32_t *in_prod; /* the peer's */
    uint32_t *in_cons;
    uint32_t *out_prod;
    uint32_t *out_cons; /* the peer's */
    uint32_t *my_sleep;
    uint32_t *peer_sleep;
    uint32_t consumed; /* own indices */
    uint32_t produced;
};

/* Takes its place at SHM, going on where its indices stand. SERVER: which side it is. */
void mbr__store_ring_init(struct mbr__store_ring *ring, struct mbr__store_ring_shm *shm,
                          bool server);

/* Both rings empty, from index 0, as on a new page. For the server, while the client waits. */
void mbr__store_ring_restart(struct mbr__store_ring *ring);

/* Copies up to SIZE bytes out. Their number; -EAGAIN: there is none; -EPROTO: impossible indices.
 */
ssize_t mbr__store_ring_read(struct mbr__store_ring *ring, void *into, size_t size);

/* Copies as much of IOV in as there is room for. Bytes; -EAGAIN: none; -EPROTO as above. */
ssize_t mbr__store_ring_write(struct mbr__store_ring *ring, const struct iovec *iov, int count);

/* Whether read, or write, would say anything but -EAGAIN. */
bool mbr__store_ring_readable(const struct mbr__store_ring *ring);
bool mbr__store_ring_writable(const struct mbr__store_ring *ring);

/* Tells the other side that this one sleeps from now on, or is awake. After telling the former look
 * at readable and writable once more: what came in between will not wake anybody. */
void mbr__store_ring_sleep(struct mbr__store_ring *ring, bool asleep);

/* After reads and writes: whether the other side sleeps and must be woken. */
bool mbr__store_ring_must_wake(const struct mbr__store_ring *ring);

#endif
