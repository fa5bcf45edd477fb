/* SPDX-License-Identifier: MIT */
/* The table of sock_state.h. */
#include "queue/sock_state.h"

#include <errno.h>

#include "base/assert.h"

/* Where each operation leads from each state: a state, or a negative errno. A bound socket that is
 * reported to be connected goes through CONNECTING, as upstream. */
static const int16_t table[MBR__SOCK_STATES][MBR__SOCK_OPS] = {
    /* bind, listen, connect, established, close, closed */
    [MBR__SOCK_UNBOUND] = {MBR__SOCK_BOUND, -EDESTADDRREQ, MBR__SOCK_CONNECTING,
                           MBR__SOCK_ESTABLISHED, MBR__SOCK_CLOSING, -EBUSY},
    [MBR__SOCK_BOUND] = {-EINVAL, MBR__SOCK_LISTENING, MBR__SOCK_CONNECTING, MBR__SOCK_CONNECTING,
                         MBR__SOCK_CLOSING, -EBUSY},
    [MBR__SOCK_LISTENING] = {-EINVAL, -EADDRINUSE, -EOPNOTSUPP, -EINVAL, MBR__SOCK_CLOSING, -EBUSY},
    [MBR__SOCK_CONNECTING] = {-EINVAL, -EADDRINUSE, -EINPROGRESS, MBR__SOCK_ESTABLISHED,
                              MBR__SOCK_CLOSING, MBR__SOCK_CLOSED},
    [MBR__SOCK_ESTABLISHED] = {-EISCONN, -EISCONN, -EISCONN, -EISCONN, MBR__SOCK_CLOSING,
                               MBR__SOCK_CLOSED},
    [MBR__SOCK_CLOSING] = {-EBADF, -EBADF, -EBADF, -EBADF, MBR__SOCK_CLOSING, MBR__SOCK_CLOSED},
    [MBR__SOCK_CLOSED] = {-EBADF, -EBADF, -EBADF, -EBADF, MBR__SOCK_CLOSED, MBR__SOCK_CLOSED},
};

int mbr__sock_next(enum mbr__sock_state state, enum mbr__sock_op op)
{
    MBR_ASSERT(state < MBR__SOCK_STATES && op < MBR__SOCK_OPS);
    return table[state][op];
}

int mbr__sock_prepare(struct mbr__sock_fsm *fsm, enum mbr__sock_op op)
{
    int next = mbr__sock_next(fsm->current, op);

    if (next < 0)
        return next;
    if (fsm->pending && fsm->next != MBR__SOCK_CLOSING && op != MBR__SOCK_OP_CLOSE)
        return -EBUSY;
    fsm->next = (uint8_t)next;
    fsm->pending = true;
    return 0;
}

void mbr__sock_commit(struct mbr__sock_fsm *fsm)
{
    MBR_ASSERT(fsm->pending);
    fsm->previous = fsm->current;
    fsm->current = fsm->next;
    fsm->pending = false;
}

void mbr__sock_abort(struct mbr__sock_fsm *fsm)
{
    fsm->pending = false;
}

void mbr__sock_rollback(struct mbr__sock_fsm *fsm)
{
    fsm->current = fsm->previous;
    fsm->pending = false;
}
