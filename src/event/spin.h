/* SPDX-License-Identifier: MIT */
/*
 * How long to spin before parking.
 *
 * Waking a sleeping CPU costs tens of microseconds in a virtual machine, one or two on bare metal;
 * spinning for about as long as that loses at most a factor of two against knowing the future (the
 * ski-rental argument). But spinning buys nothing when the peer needs our own CPU, or when messages
 * are rare. So the time spent is a budget that grows when messages arrive soon after we gave up,
 * shrinks when they do not, and is nothing for a peer that parks on our CPU.
 */
#ifndef MBR_EVENT_SPIN_H
#define MBR_EVENT_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define MBR__SPIN_MAX_NS   100000u /* never longer than this */
#define MBR__SPIN_FIRST_NS 50000u  /* before anything is known */
#define MBR__SPIN_LEAST_NS 2000u   /* below this parking is as good */

struct mbr__spin {
    uint64_t budget;   /* ns; 0 park at once */
    uint32_t in_vain;  /* spins in a row that failed although the message came right after we had
                          parked */
    uint32_t penance;  /* parks still to do before spinning is tried again */
    uint32_t sentence; /* the next penance */
};

void mbr__spin_init(struct mbr__spin *s);
/* A spin was successful after `ns`. */
void mbr__spin_won(struct mbr__spin *s, uint64_t ns);
/* A spin of `spun` ns failed and the park that followed lasted `parked` ns. */
void mbr__spin_lost(struct mbr__spin *s, uint64_t spun, uint64_t parked);

#endif
