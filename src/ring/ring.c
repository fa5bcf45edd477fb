/* SPDX-License-Identifier: MIT */
/*
 * The record ring's cold half: setting the two sides up, a consumer's coming and going, the end.
 * The hot half is inline in ring.h, since a call per record would cost as much as the record.
 */
#include "ring/ring.h"

#include "base/assert.h"

void mbr__ring_tx_init(struct mbr__ring_tx *r, void *data, uint64_t capacity)
{
    MBR_ASSERT(mbr__ring_capacity_ok(capacity));
    *r = (struct mbr__ring_tx){.data = data, .mask = capacity - 1};
}

int mbr__ring_tx_attach(struct mbr__ring_tx *r, const struct mbr__ring_rx_shm *peer,
                        const struct mbr__want_shm *want, uint64_t head)
{
    if (head - r->head > r->tail - r->head || head % MBR__RECORD_ALIGN != 0)
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
    r->broken = false;
    r->flags = 0;
}

void mbr__ring_rx_init(struct mbr__ring_rx *r, const void *data, uint64_t capacity,
                       struct mbr__ring_rx_shm *shm, const struct mbr__want_shm *want,
                       uint64_t start)
{
    MBR_ASSERT(mbr__ring_capacity_ok(capacity) && start % MBR__RECORD_ALIGN == 0);
    *r = (struct mbr__ring_rx){
        .data = data, .mask = capacity - 1, .head = start, .shm = shm, .peer_want = want};
    mbr_store_release(&shm->head, start);
}

uint32_t mbr__ring_end(struct mbr__ring_tx *r, uint64_t flags)
{
    uint64_t end = (uint64_t)MBR__RECORD_END << 32 | flags;

    /* The end takes the place of the 0 behind the last record, which every publish leaves room
     * for; so a full ring ends as well as any other. */
    mbr_store_release(mbr__ring_word(r, r->tail), end);
    if (r->held != 0)
        mbr_store_release(mbr__ring_word(r, r->first), r->held);
    r->held = 0;
    mbr_fence_full(); /* pair B, as in mbr__ring_publish() */
    return r->peer_want == NULL ? 0 : mbr_load_relaxed(&r->peer_want->data);
}

uint32_t mbr__ring_refuse(struct mbr__ring_rx *r, struct mbr__want_shm *own, uint64_t flags)
{
    r->said |= flags;
    mbr_store_release(&r->shm->head, r->head | r->said);
    mbr_store_release(&own->done, MBR__DONE_READING); /* pair A with the look at it before a push */
    mbr_fence_full();                                 /* pair B, as in mbr__ring_retire() */
    return r->peer_want == NULL ? 0 : mbr_load_relaxed(&r->peer_want->space);
}
