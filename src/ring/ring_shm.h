/* SPDX-License-Identifier: MIT */
/*
 * Layout of the words and records that the two sides of a record ring share.
 *
 * Everything here lives in regions that one side writes and the other maps read-only: the
 * producer's region holds the records, the consumer's region its head, and each side's wish to be
 * woken is a line of its own (event/want_shm.h). So no word has two writers, and a hostile peer can
 * spoil no more than the values of its own words: each is read once, bounded, and only then used
 * (ring.h).
 */
#ifndef MBR_RING_SHM_H
#define MBR_RING_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A record: a header word, then `len` bytes, then padding to a multiple of 8. The header has the
 * length in its low half, the kind in the next 8 bits, the rest zero; the kind is never 0. The
 * header also publishes: it is stored last, with release, and as long as it is 0 there is no record
 * yet. Behind the last record a header of 0 always stands, so a consumer never meets what an
 * earlier lap has left. Of a batch only the first header is held back until the end.
 *
 * Written by the producer: records, then the 0 behind them, then the header that shows them
 * (release). Read by the consumer: the header once (acquire, pair A), then what it covers; and
 * after a full fence when it is about to sleep (pair B). Hostile: a record longer than the ring
 * ends the pipe; any other value only yields bytes out of the producer's own memory.
 */
#define MBR__RECORD_HEADER 8u
#define MBR__RECORD_ALIGN  8u

/* A header of this kind instead of a record: no record will follow. Its length holds the flags. */
#define MBR__RECORD_END 0xffu

/*
 * Flags of an end, and low bits of the consumer's head, that say that its writer is done. END: no
 * record will follow, or nobody will read behind this head. LEFT: it has closed altogether.
 */
#define MBR__RING_END   UINT64_C(1)
#define MBR__RING_LEFT  UINT64_C(2)
#define MBR__RING_FLAGS (MBR__RING_END | MBR__RING_LEFT)

/*
 * head: bytes ever released by the consumer, a multiple of 8, | flags. Stored with release after
 * the last read of the record, loaded with acquire by the producer before it overwrites (pair A),
 * ordered against want.space by full fences (pair B). Hostile: the producer refuses a head that has
 * other low bits or is not within [the last one, tail]. On two lines of its own, since x86 fetches
 * lines in pairs.
 */
struct mbr__ring_rx_shm {
    uint64_t head;
    uint8_t pad[120];
};

static_assert(sizeof(struct mbr__ring_rx_shm) == 128, "two cache lines");
static_assert(offsetof(struct mbr__ring_rx_shm, head) == 0, "layout version 1");

#endif
