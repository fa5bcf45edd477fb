/* SPDX-License-Identifier: MIT */
/*
 * What each end of an upgraded connection shows the other: a sealed region with this structure in
 * its first page and a byte ring behind it.
 *
 * An end writes its own region and reads its peer's, which is mapped read-only. Each word of the
 * peer is read once, bounded, then used. A peer that lies can spoil the connection (it ends with
 * ECONNRESET), wake us without need or let us sleep; it cannot make us read or write outside the
 * two regions. Indices are free-running counts of bytes.
 */
#ifndef MBR_SHIM_STREAM_SHM_H
#define MBR_SHIM_STREAM_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_HALF_MAGIC UINT64_C(0x6d6872742d736d31) /* the layout's name and version */
#define SHIM_HALF_HEAD  4096u

/* Values of `attached`. */
enum { SHIM_ATTACH_NO = 0, SHIM_ATTACH_ASKED = 1, SHIM_ATTACH_REFUSED = 2, SHIM_ATTACH_DONE = 3 };

/* Values of `closed`. */
enum { SHIM_CLOSED_NO = 0, SHIM_CLOSED_WELL = 1, SHIM_CLOSED_RESET = 2 };

struct shim_half {
    /* Written before the region is published, constant afterwards. */
    uint64_t magic;
    uint64_t id[2];      /* random; the link that leads here says the same */
    uint64_t peer_id[2]; /* the server's: the id of the client's region it answers; else 0 */
    uint64_t capacity;   /* bytes of the ring */
    uint8_t pad0[16];

    /* What this end has written into its ring. Written with release after the bytes, read by the
     * peer with acquire (pair A); a full fence on both sides before the flags below are looked at
     * (pair B). A wrong tail: the peer reads rubbish out of this ring, or resets. */
    uint64_t tail;
    uint64_t start;    /* bytes sent through the kernel before the ring; valid once `switched` */
    uint32_t switched; /* 1: after `start` bytes everything is in the ring, and what comes through
                          the kernel means nothing but "look" */
    uint32_t fin;      /* 1: this end sends no more; stored after the last tail */
    uint32_t closed;   /* SHIM_CLOSED_* */
    uint8_t pad1[36];

    /* What this end has taken out of the peer's ring. Release, read by the peer with acquire: the
     * room is free again. A wrong head: the peer overwrites what this end has not read. */
    uint64_t head;
    uint8_t pad2[56];

    /* Whether this end sleeps, and since which time: 0 awake; another value asks for one byte
     * through the kernel once there are new bytes (rx), once a quarter of its ring is free (tx). */
    uint32_t rx_parked;
    uint32_t tx_parked;
    uint32_t attached; /* the client's: SHIM_ATTACH_*; DONE commits both ends to the rings */
    uint32_t refuse;   /* the server's: 1 the client must not commit any more (pair B with
                          `attached`) */
    uint8_t pad3[48];
};

static_assert(sizeof(struct shim_half) == 256, "four lines");
static_assert(offsetof(struct shim_half, tail) == 64, "a line of its own");
static_assert(offsetof(struct shim_half, switched) == 80, "no hole");
static_assert(offsetof(struct shim_half, head) == 128, "a line of its own");
static_assert(offsetof(struct shim_half, rx_parked) == 192, "a line of its own");

#endif
