/* SPDX-License-Identifier: MIT */
/*
 * Inside a libOS instance: operations, their tokens, and the wait that drives everything. The
 * public face is <membrane/queue.h>; what a pipe does is in queue/catmem/.
 *
 * An operation is tried at once, inline; what cannot be done at once waits in its pipe's list and
 * costs nothing until a watch of the wait set wakes the pipe's task. Operations and pipes live in
 * slabs, so nothing is allocated once warm.
 */
#ifndef MBR_QUEUE_LIBOS_H
#define MBR_QUEUE_LIBOS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <membrane/queue.h>

#include "base/list.h"
#include "base/slab.h"
#include "event/wait.h"
#include "sched/sched.h"
#include "shm/buf.h"
#include "shm/names.h"
#include "shm/post.h"
#include "shm/proc.h"

#define MBR__QD_BASE    500 /* the first queue descriptor, as Demikernel counts */
#define MBR__QUEUES_MAX 65536u
#define MBR__OPS_MAX    (1u << 24)

struct mbr__pipe;

struct mbr__op {
    struct mbr__list
        node; /* in its pipe's list while pending, in the libOS's list of results afterwards */
    uint64_t token;
    struct mbr__pipe *pipe; /* NULL once completed */
    int32_t qd;
    uint8_t opcode; /* enum demi_opcode; what it is, then how it ended */
    bool done;
    bool in_place;        /* a pop that takes lent memory as it lies */
    int error;            /* positive errno when it has FAILED */
    uint64_t epoch;       /* the wait that is interested in it ... */
    int offset;           /* ... and its place there */
    struct mbr__buf *buf; /* what is pushed, or was popped: one reference is ours */
    const uint8_t *data;  /* push: the bytes; pop: where the result begins */
    uint32_t len;
    uint32_t sent; /* push: bytes already in the ring */
    size_t max;    /* pop: at most so many bytes, 0 a whole message */
};

struct mbr_libos {
    uintptr_t thread; /* the thread that may call */
    uint32_t fork_mark;
    bool inside; /* a call is under way */
    uint64_t capacity;
    struct mbr__waitset ws;
    struct mbr__sched sched;
    struct mbr__slab ops;
    struct mbr__slab pipes;
    struct mbr__list done; /* results nobody has waited for yet, oldest first */
    uint64_t epoch;        /* of the wait under way */
    int last_offset;       /* where the last wait for any of many had its hit */
    struct mbr__op *hit;   /* the first of its operations that completed */
    uint32_t pending;      /* operations that are not done */
    uint32_t taken;        /* messages taken since one was sent */
    uint32_t waits;        /* counts calls, for the occasional look at the kernel */
    bool named;            /* names and mailbox are open */
    struct mbr__names names;
    struct mbr__mailbox box;
    struct mbr__watch box_watch;
    int self_pidfd; /* what openers hand over with their hello; -1 until needed */
    int spare_fd;   /* given up when a bell must be opened and no descriptor is left */
    struct mbr__list peers;
    struct mbr__list registry; /* of all instances of the process */
};

/* A number that names the calling thread among those that live. */
uintptr_t mbr__this_thread(void);
extern _Thread_local char mbr__thread_here __attribute__((tls_model("initial-exec")));

/* Every public call begins with this: -EINVAL NULL, -EPERM wrong thread or forked child, -EBUSY
 * from within a call. */
static inline int mbr__libos_enter(struct mbr_libos *l)
{
    if (l == NULL)
        return -EINVAL;
    if (__builtin_expect(
            l->thread != (uintptr_t)&mbr__thread_here || l->fork_mark != mbr__fork_mark(), 0))
        return -EPERM;
    if (__builtin_expect(l->inside, 0))
        return -EBUSY;
    l->inside = true;
    return 0;
}

static inline void mbr__libos_leave(struct mbr_libos *l)
{
    l->inside = false;
}

/* The pipe with this descriptor, or NULL. */
static inline struct mbr__pipe *mbr__libos_pipe(struct mbr_libos *l, int qd)
{
    return qd < MBR__QD_BASE ? NULL : mbr__slab_at(&l->pipes, (uint32_t)(qd - MBR__QD_BASE));
}

/* Opens names and mailbox if they are not open. */
int mbr__libos_name(struct mbr_libos *l);

/* For an operation that was never shown to anybody. */
void mbr__op_drop(struct mbr_libos *l, struct mbr__op *op);
/* Ends a pending operation (which must be in no list): how, and with which positive errno if
 * FAILED. */
static inline void mbr__op_complete(struct mbr_libos *l, struct mbr__op *op, int opcode, int error)
{
    l->pending--;
    op->done = true;
    op->pipe = NULL;
    op->opcode = (uint8_t)opcode;
    op->error = error;
    if (opcode != DEMI_OPC_POP && op->buf != NULL) {
        mbr__buf_unref(op->buf);
        op->buf = NULL;
    }
    mbr__list_push_back(&l->done, &op->node);
    if (op->epoch == l->epoch && l->hit == NULL)
        l->hit = op;
}

/* Counts a wait and now and then looks at the kernel, unless the caller is `alone`, with nothing
 * else going on: a program that is always served at once must still hear of new openers and of
 * deaths. */
void mbr__libos_count_wait(struct mbr_libos *l, bool alone);

/* Runs ready tasks and waits until `until` returns true (0), or -ETIMEDOUT, or -EINTR. */
int mbr__libos_drive(struct mbr_libos *l, uint64_t timeout_ns,
                     bool (*until)(struct mbr_libos *l, void *arg), void *arg);

#endif
