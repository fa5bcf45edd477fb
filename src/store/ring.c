/* SPDX-License-Identifier: MIT */
/*
 * Copying in and out of the shared page. The peer's index is read once per call, bounded, and used;
 * this side's own are private, so nothing that the peer writes over them has an effect.
 */
#include "store/ring.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"

#define MASK (MBR__STORE_RING_BYTES - 1)

static_assert((MBR__STORE_RING_BYTES & MASK) == 0, "a power of two");

void mbr__store_ring_init(struct mbr__store_ring *ring, struct mbr__store_ring_shm *shm,
                          bool server)
{
    *ring = (struct mbr__store_ring){
        .shm = shm,
        .in = server ? shm->req : shm->rsp,
        .out = server ? shm->rsp : shm->req,
        .in_prod = server ? &shm->req_prod : &shm->rsp_prod,
        .in_cons = server ? &shm->req_cons : &shm->rsp_cons,
        .out_prod = server ? &shm->rsp_prod : &shm->req_prod,
        .out_cons = server ? &shm->rsp_cons : &shm->req_cons,
        .my_sleep = server ? &shm->server_asleep : &shm->client_asleep,
        .peer_sleep = server ? &shm->client_asleep : &shm->server_asleep,
    };
    ring->consumed = mbr_load_relaxed(ring->in_cons);
    ring->produced = mbr_load_relaxed(ring->out_prod);
}

void mbr__store_ring_restart(struct mbr__store_ring *ring)
{
    struct mbr__store_ring_shm *shm = ring->shm;

    ring->consumed = 0;
    ring->produced = 0;
    mbr_store_relaxed(&shm->req_cons, 0);
    mbr_store_relaxed(&shm->req_prod, 0);
    mbr_store_relaxed(&shm->rsp_cons, 0);
    mbr_store_release(&shm->rsp_prod, 0);
}

/* Copies LENGTH bytes from INDEX on, which may go around the end. */
static void copy_out(void *into, const uint8_t *data, uint32_t index, uint32_t length)
{
    uint32_t at = index & MASK;
    uint32_t first = MBR__STORE_RING_BYTES - at;

    if (first > length)
        first = length;
    memcpy(into, data + at, first);
    memcpy((uint8_t *)into + first, data, length - first);
}

static void copy_in(uint8_t *data, uint32_t index, const void *from, uint32_t length)
{
    uint32_t at = index & MASK;
    uint32_t first = MBR__STORE_RING_BYTES - at;

    if (first > length)
        first = length;
    memcpy(data + at, from, first);
    memcpy(data, (const uint8_t *)from + first, length - first);
}

ssize_t mbr__store_ring_read(struct mbr__store_ring *ring, void *into, size_t size)
{
    /* Pair A with the peer's store in its write: the bytes are there. */
    uint32_t there = mbr_load_acquire(ring->in_prod) - ring->consumed;

    if (there > MBR__STORE_RING_BYTES)
        return -EPROTO;
    if (there == 0 || size == 0)
        return -EAGAIN;
    if (there > size)
        there = (uint32_t)size;
    copy_out(into, ring->in, ring->consumed, there);
    ring->consumed += there;
    /* Pair A with the peer's load in its write: we are done with the place. */
    mbr_store_release(ring->in_cons, ring->consumed);
    return there;
}

ssize_t mbr__store_ring_write(struct mbr__store_ring *ring, const struct iovec *iov, int count)
{
    uint32_t used = ring->produced - mbr_load_acquire(ring->out_cons);
    uint32_t room = MBR__STORE_RING_BYTES - used;
    uint32_t begin = ring->produced;

    if (used > MBR__STORE_RING_BYTES)
        return -EPROTO;
    for (int i = 0; i < count && room > 0; i++) {
        uint32_t length = iov[i].iov_len < room ? (uint32_t)iov[i].iov_len : room;

        copy_in(ring->out, ring->produced, iov[i].iov_base, length);
        ring->produced += length;
        room -= length;
    }
    if (ring->produced == begin)
        return -EAGAIN;
    mbr_store_release(ring->out_prod, ring->produced);
    return ring->produced - begin;
}

bool mbr__store_ring_readable(const struct mbr__store_ring *ring)
{
    return mbr_load_acquire(ring->in_prod) != ring->consumed;
}

bool mbr__store_ring_writable(const struct mbr__store_ring *ring)
{
    return ring->produced - mbr_load_acquire(ring->out_cons) != MBR__STORE_RING_BYTES;
}

void mbr__store_ring_sleep(struct mbr__store_ring *ring, bool asleep)
{
    mbr_store_relaxed(ring->my_sleep, asleep ? 1u : 0u);
    /* Pair B with must_wake(): one of the two sides sees what the other has stored. */
    if (asleep)
        mbr_fence_full();
}

bool mbr__store_ring_must_wake(const struct mbr__store_ring *ring)
{
    mbr_fence_full(); /* pair B with sleep() */
    return mbr_load_relaxed(ring->peer_sleep) != 0;
}
