/* SPDX-License-Identifier: MIT */
/*
 * The wish to be woken, as a sleeper shows it to its peer.
 *
 * The line lies in the sleeper's own region; the peer has it mapped read-only and looks at it after
 * each publication. So nothing is sent to a peer that is awake, and a peer cannot spoil anybody's
 * wish but its own.
 */
#ifndef MBR_EVENT_WANT_SHM_H
#define MBR_EVENT_WANT_SHM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * data: not 0 while the writer of this line, as a consumer, is parked and wants to hear of a
 * publication; space: the same as a producer, of a release. Each arming stores a new value, so that
 * the peer wakes it once per arming. Stored relaxed before a full fence, loaded relaxed after one
 * (pair B of base/atomic.h). Hostile: any value; costs the reader at most one wake-up per change.
 * bell: what to say when waking, so that the sleeper knows who rang; written once, before the
 * region is published. cpu: where the writer last parked, UINT32_MAX unknown; a hint for whether
 * spinning can help, nothing else. done: not 0 once the writer will read no more; a hint that lies
 * on a line which a producer looks at anyway and spares it that of the head, where the truth is.
 * Of a connection over a pair (queue/catloop/pair.h) it also says how it ended: MBR__DONE_*.
 */
#define MBR__DONE_READING 1u /* will read no more */
#define MBR__DONE_GONE    2u /* the pair will not be used again */
#define MBR__DONE_RESET   3u /* nor will it, and the connection was broken off */

struct mbr__want_shm {
    uint32_t data;
    uint32_t space;
    uint32_t bell;
    uint32_t cpu;
    uint32_t done;
    uint8_t pad[108];
};

static_assert(sizeof(struct mbr__want_shm) == 128, "two cache lines");
static_assert(offsetof(struct mbr__want_shm, data) == 0 &&
                  offsetof(struct mbr__want_shm, space) == 4 &&
                  offsetof(struct mbr__want_shm, bell) == 8 &&
                  offsetof(struct mbr__want_shm, cpu) == 12 &&
                  offsetof(struct mbr__want_shm, done) == 16,
              "layout version 1");

#endif
