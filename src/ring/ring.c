/* SPDX-License-Identifier: MIT */
/*
 * The record ring's cold half: setting the two sides up and a consumer's coming and going. The hot
 * half is inline in ring.h, since a call per record would cost as much as the record.
 */
#include "ring/ring.h"

#include "base/assert.h"

void mbr__ring_tx_init(struct mbr__ring_tx *r, void *data, uint64_t capacity,
                       struct mbr__ring_tx_shm *shm, uint64_t start)
{
    MBR_ASSERT(mbr__ring_capacity_ok(capacity) && start % MBR__RECORD_ALIGN == 0);
    *r = (struct mbr__ring_tx){
        .data = data,
        .mask = capacity - 1,
        .tail = start,
        .head = start,
        .shm = shm,
    };
    mbr_store_release(&shm->tail, start);
}

int mbr__ring_tx_attach(struct mbr__ring_tx *r, const struct mbr__ring_rx_shm *peer,
                        const struct mbr__want_shm *want, uint64_t head)
{
    uint64_t used = r->tail - head;

    if (used > r->tail - r->head || head % MBR__RECORD_ALIGN != 0)
        return -EPROTO;
    r->head = head;
    r->peer = peer;
    r->peer_want = want;
    r->rung = 0;
    r->broken = false;
    r->flags = 0;
    return 0;
}

void mbr__ring_tx_detach(struct mbr__ring_tx *r)
{
    r->peer = NULL;
    r->peer_want = NULL;
}

void mbr__ring_rx_init(struct mbr__ring_rx *r, const void *data, uint64_t capacity,
                       struct mbr__ring_rx_shm *shm, const struct mbr__ring_tx_shm *peer,
                       const struct mbr__want_shm *want, uint64_t start)
{
    MBR_ASSERT(mbr__ring_capacity_ok(capacity) && start % MBR__RECORD_ALIGN == 0);
    *r = (struct mbr__ring_rx){
        .data = data,
        .mask = capacity - 1,
        .head = start,
        .tail = start,
        .shm = shm,
        .peer = peer,
        .peer_want = want,
    };
    mbr_store_release(&shm->head, start);
}

uint32_t mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags)
{
    mbr_store_release(&r->shm->tail, r->tail | flags);
    mbr_fence_full(); /* pair B, as in mbr__ring_publish() */
    return r->peer_want == NULL ? 0 : mbr_load_relaxed(&r->peer_want->data);
}

uint32_t mbr__ring_refuse(struct mbr__ring_rx *r, uint64_t flags)
{
    mbr_store_release(&r->shm->head, r->head | flags);
    mbr_fence_full(); /* pair B, as in mbr__ring_retire() */
    return r->peer_want == NULL ? 0 : mbr_load_relaxed(&r->peer_want->space);
}
