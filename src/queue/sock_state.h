/* SPDX-License-Identifier: MIT */
/*
 * The states of a socket and what may happen in them: one table, the same for every libOS.
 *
 * A transition is prepared, which is where it can be refused; then the libOS does its work; then
 * the transition is committed, or aborted if the work has failed. rollback returns from a committed
 * one. While one is prepared others are refused with EBUSY, except that a socket can always be
 * closed.
 *
 * Source: Demikernel 1.5.13, whose table it is. Not here: what the work is.
 */
#ifndef MBR_QUEUE_SOCK_STATE_H
#define MBR_QUEUE_SOCK_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum mbr__sock_state {
    MBR__SOCK_UNBOUND = 0,
    MBR__SOCK_BOUND,
    MBR__SOCK_LISTENING,
    MBR__SOCK_CONNECTING,
    MBR__SOCK_ESTABLISHED,
    MBR__SOCK_CLOSING,
    MBR__SOCK_CLOSED,
    MBR__SOCK_STATES
};

enum mbr__sock_op {
    MBR__SOCK_OP_BIND = 0,
    MBR__SOCK_OP_LISTEN,
    MBR__SOCK_OP_CONNECT,
    MBR__SOCK_OP_ESTABLISHED, /* the connect has succeeded */
    MBR__SOCK_OP_CLOSE,
    MBR__SOCK_OP_CLOSED, /* nothing of it is left, or its connect has failed */
    MBR__SOCK_OPS
};

/* All zeroes is a new socket's. */
struct mbr__sock_fsm {
    uint8_t current;
    uint8_t next; /* while pending */
    uint8_t previous;
    bool pending;
};

/* What `op` would lead to from `state`: the state, or the negative errno of the refusal. */
int mbr__sock_next(enum mbr__sock_state state, enum mbr__sock_op op);

/* Prepares a transition: 0 or the negative errno it is refused with; -EBUSY another one that is no
 * close is prepared. */
int mbr__sock_prepare(struct mbr__sock_fsm *fsm, enum mbr__sock_op op);
/* The work is done. One must be prepared. */
void mbr__sock_commit(struct mbr__sock_fsm *fsm);
/* The work has failed: as if it had not been prepared. */
void mbr__sock_abort(struct mbr__sock_fsm *fsm);
/* Back to the state before the last commit. */
void mbr__sock_rollback(struct mbr__sock_fsm *fsm);

#endif
