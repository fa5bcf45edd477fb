/* SPDX-License-Identifier: MIT */
/*
 * Layout of the words and records that the two sides of a record ring share.
 *
 * Everything here lives in regions that one side writes and the other maps read-only: the
 * producer's region holds `tx` and the data, the consumer's region holds `rx`, and each side's wish
 * to be woken is a line of its own (event/want_shm.h). So no word has two writers, and a hostile
 * peer can spoil no more than the values of its own words: each is read once, bounded, and only
 * then used (ring.h).
 *
 * Words that change at different rates are 128 bytes apart, because x86 fetches lines in pairs.
 */
#ifndef MBR_RING_SHM_H
#define MBR_RING_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Low bits of either index, once set, say that its writer is done: END that no record will follow
 * this tail, or that nobody will read behind this head; LEFT besides, that it has closed the pipe
 * altogether. They travel in the index so that one load tells everything, in the right order.
 */
#define MBR__RING_END   UINT64_C(1)
#define MBR__RING_LEFT  UINT64_C(2)
#define MBR__RING_FLAGS (MBR__RING_END | MBR__RING_LEFT)

/*
 * tail: bytes ever published by the producer, a multiple of 8, | flags. Stored with release after
 * the records, loaded with acquire by the consumer (pair A), and ordered against the consumer's
 * want.data by full fences (pair B). Hostile: the consumer refuses a tail that has other low bits,
 * goes back or is not within [head, head + capacity].
 */
struct mbr__ring_tx_shm {
    uint64_t tail;
    uint8_t pad[120];
};

/*
 * head: bytes ever released by the consumer, a multiple of 8, | flags. Stored with release after
 * the last read of the record, loaded with acquire by the producer before it overwrites (pair A),
 * ordered against want.space by fences (pair B). Hostile: the producer refuses a head that has
 * other low bits or is not within [the last one, tail].
 */
struct mbr__ring_rx_shm {
    uint64_t head;
    uint8_t pad[120];
};

/*
 * A record: this header, then `len` bytes, then padding to a multiple of 8. The header is one
 * 64-bit word: length in the low half, kind in the next 8 bits, the rest zero. It is written before
 * the tail that covers it is published and read once by the consumer, into a local. Hostile: a
 * record that does not lie within [head, tail) ends the pipe.
 */
#define MBR__RECORD_HEADER 8u
#define MBR__RECORD_ALIGN  8u

static_assert(sizeof(struct mbr__ring_tx_shm) == 128 && sizeof(struct mbr__ring_rx_shm) == 128,
              "ring words");

#endif
