/* SPDX-License-Identifier: MIT */
/*
 * What each end of an upgraded connection shows the other: a sealed region with this structure in
 * its first page and a byte ring behind it.
 *
 * An end writes its own region and reads its peer's, which is mapped read-only. Each word of the
 * peer is read once, bounded, then used. A peer that lies can spoil the connection (it ends with
 * ECONNRESET), wake us without need or let us sleep; it cannot make us read or write outside the
 * two regions. Indices are free-running counts of bytes.
 *
 * Each direction begins in the kernel, goes on in its writer's ring, and may go back, once, for
 * good; what a writer sends through the kernel is in this order:
 *
 *     `start` bytes of the stream | `bells` bytes that mean "look" | a copy of the ring's bytes
 * from `copied` to the last tail | the rest of the stream
 *
 *     writer                      before        what it says                    after
 *     SWITCH: to its ring         -             start, switched                 bells, never bytes
 *     LEAVE: to the kernel        switched      left SOON; copied, bells, RING  the copy, then
 * bytes
 *
 *     reader                      before        what it does                    after
 *     ENTER: to the ring          switched, `start` taken: counts bells         the ring
 *     STAY: never enters          left RING, more than `start` came at once: goes on in the kernel
 *     RETURN: to the kernel       left RING, ring read to its end, or frozen: drops what is missing
 *                                 of the bells, and of the copy what it has had from the ring
 *     FREEZE: before it hands     any           head is final, frozen           RETURN
 *             the socket on, closes
 *
 * Nobody waits for anybody: a writer that leaves goes on at once, a reader finds out when it has
 * read all there is; whose peer has left leaves as well when he next looks, and the peer sends him
 * one more bell so that he does. A bell is sent only if the reader has taken `start` bytes
 * (`taken`): so in the kernel's queue are never bells behind bytes. Two pairs of full fences keep
 * it exact (pair C): a reader that freezes stores `head` and `frozen`, then looks at `left` and
 * `ringing`; a writer stores SOON, then looks at `head`, or stores `ringing`, then looks at
 * `frozen` before it sends a bell. So either the copy begins where the reader stopped, or he sees
 * that it does not; and he waits for the bell, or it is not sent. When a reader does not read any
 * more the writer's process need not be there, and the socket is one like any other.
 */
#ifndef MBR_SHIM_STREAM_SHM_H
#define MBR_SHIM_STREAM_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_HALF_MAGIC UINT64_C(0x6d6872742d736d32) /* the layout's name and version */
#define SHIM_HALF_HEAD  4096u

/* Values of `attached`. */
enum { SHIM_ATTACH_NO = 0, SHIM_ATTACH_ASKED = 1, SHIM_ATTACH_REFUSED = 2, SHIM_ATTACH_DONE = 3 };

/* Values of `closed`. */
enum { SHIM_CLOSED_NO = 0, SHIM_CLOSED_WELL = 1, SHIM_CLOSED_RESET = 2 };

/* Values of `left`. */
enum { SHIM_LEFT_NO = 0, SHIM_LEFT_SOON = 1, SHIM_LEFT_RING = 2 };

/* Bits of `tx_doubt`; SHIM_DOUBT_BELL of `rx_doubt`, too. */
enum {
    SHIM_DOUBT_BELL = 1, /* a byte is being sent (taken), and counted */
    SHIM_DOUBT_MOVE = 2, /* bytes are on the way from the ring to the kernel */
    SHIM_DOUBT_EVER = 4, /* a process died in the first: the count may be wrong */
};

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
    uint32_t left;     /* SHIM_LEFT_*; RING with release after the three around it. The last tail
                          is final then. A wrong one: the peer goes back to the kernel */
    uint64_t bells;    /* bytes that mean "look"; a wrong number: the peer drops bytes of ours */
    uint64_t copied;   /* a wrong one: the peer resets, or drops bytes of ours */
    uint32_t ringing;  /* 1: a bell may be on its way that is not counted yet */
    uint8_t pad1[12];

    /* What this end has taken out of the peer's ring. Release, read by the peer with acquire: the
     * room is free again. A wrong head: the peer overwrites what this end has not read. */
    uint64_t head;
    uint64_t taken;  /* bytes of the stream that came through the kernel, until it reads the ring; a
                        wrong one: it is not woken */
    uint32_t frozen; /* 1: takes no more, and wants no bells. A wrong one: it is not woken */
    uint8_t pad2[44];

    /* Whether this end sleeps, and since which time: 0 awake; another value asks for one byte
     * through the kernel once there are new bytes (rx), once a quarter of its ring is free (tx). */
    uint32_t rx_parked;
    uint32_t tx_parked;
    uint32_t attached; /* the client's: SHIM_ATTACH_*; DONE commits both ends to the rings */
    uint32_t refuse;   /* the server's: 1 the client must not commit any more (pair B with
                          `attached`) */
    uint8_t pad3[48];

    /* What the processes of this end tell each other (kin.h); the peer does not read it. */
    uint64_t skipped;   /* bells, and bytes of the copy, taken from the kernel; under rx */
    uint64_t resent;    /* to here the ring has been copied; under tx */
    uint32_t mark;      /* 1: the last bell comes before that; under tx */
    uint32_t rx_done;   /* 1: reads from the kernel for good */
    uint32_t tx_doubt;  /* SHIM_DOUBT_*; under tx */
    uint32_t rx_doubt;  /* under rx */
    uint32_t strangers; /* 1: another program may have the socket, without the memory */
    uint8_t pad4[28];
};

static_assert(sizeof(struct shim_half) == 320, "five lines");
static_assert(offsetof(struct shim_half, tail) == 64, "a line of its own");
static_assert(offsetof(struct shim_half, switched) == 80, "no hole");
static_assert(offsetof(struct shim_half, bells) == 96, "no hole");
static_assert(offsetof(struct shim_half, head) == 128, "a line of its own");
static_assert(offsetof(struct shim_half, rx_parked) == 192, "a line of its own");
static_assert(offsetof(struct shim_half, skipped) == 256, "a line of its own");

#endif
