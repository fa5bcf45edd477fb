/* SPDX-License-Identifier: MIT */
/*
 * Layout of a half: the region that one end of a pipe writes and the other reads.
 *
 * A half is one page of control words followed by the ring's data. Two halves make a pipe: each has
 * its owner's records and its owner's consumer index (head) of the other half's ring. Only the
 * owner can write any of it; the peer has it mapped read-only, sealed (shm/region.h).
 */
#ifndef MBR_CATMEM_HALF_SHM_H
#define MBR_CATMEM_HALF_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "event/want_shm.h"
#include "ring/ring_shm.h"

#define MBR__HALF_MAGIC   UINT64_C(0x31656e6172626d4d) /* "Mmbrane1" in memory */
#define MBR__HALF_VERSION 1u
#define MBR__HALF_HEAD    4096u /* bytes before the data */

/*
 * about: written by the owner before the half is published, then constant; read by the peer once,
 * into a local, when it attaches, and refused unless magic, version, sizes and identity are what
 * the link or note promised (-EPROTO). rx, want: ring/ring_shm.h and event/want_shm.h say who
 * writes and reads them and what a hostile value does.
 */
struct mbr__half_shm {
    uint64_t magic;
    uint32_t version;
    uint32_t head_size; /* MBR__HALF_HEAD */
    uint64_t capacity;  /* bytes of data, a power of two */
    uint64_t id[2];     /* random; also in the link or note that leads here */
    uint8_t pad0[88];
    struct mbr__ring_rx_shm rx;
    struct mbr__want_shm want;
    uint8_t pad1[4096 - 384];
};

static_assert(sizeof(struct mbr__half_shm) == MBR__HALF_HEAD, "one page");
static_assert(offsetof(struct mbr__half_shm, magic) == 0 &&
                  offsetof(struct mbr__half_shm, version) == 8 &&
                  offsetof(struct mbr__half_shm, head_size) == 12 &&
                  offsetof(struct mbr__half_shm, capacity) == 16 &&
                  offsetof(struct mbr__half_shm, id) == 24 &&
                  offsetof(struct mbr__half_shm, rx) == 128 &&
                  offsetof(struct mbr__half_shm, want) == 256,
              "layout version 1");

/* Kinds of records in the ring of a half. */
enum mbr__record_kind {
    MBR__REC_WHOLE = 1,  /* a whole message */
    MBR__REC_FIRST = 2,  /* 8 bytes of total length, then the first piece of a long message */
    MBR__REC_NEXT = 3,   /* a further piece; the message is whole when `total` bytes have come */
    MBR__REC_LENT = 4,   /* struct mbr__lent_shm: a message lies in the sender's lending pool */
    MBR__REC_RETURN = 5, /* struct mbr__lent_shm: one comes back to its lender */
};

#endif
