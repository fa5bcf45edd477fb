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
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <membrane/queue.h>

#include "base/hash.h"
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
struct mbr__sock;

/* What a descriptor stands for; the first member of struct mbr__pipe and struct mbr__sock. */
enum mbr__queue_kind { MBR__QUEUE_PIPE = 0, MBR__QUEUE_SOCK = 1 };

enum mbr__libos_kind { MBR__CATMEM = 0, MBR__CATLOOP, MBR__CATNAP };

/* An address of either family. */
union mbr__addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* What the sockets of an instance begin with (struct mbr_libos_options). */
struct mbr__sock_config {
    struct in_addr local; /* the only IPv4 address that may be bound to, or 0 */
    bool nodelay;
    bool linger;
    bool keepalive;
    uint32_t linger_s;
    uint32_t keepalive_ms;          /* idle time before the first probe; 0 the system's */
    uint32_t keepalive_interval_ms; /* between probes; 0 the system's */
};

struct mbr__op {
    struct mbr__list
        node; /* in its pipe's list while pending, in the libOS's list of results afterwards */
    uint64_t token;
    struct mbr__pipe *pipe; /* NULL once completed, and for operations of sockets */
    int32_t qd;
    uint8_t opcode; /* enum demi_opcode; what it is, then how it ended */
    bool done;
    bool in_place;        /* a pop that takes lent memory as it lies */
    bool has_addr;        /* `addr` is set */
    int error;            /* positive errno when it has FAILED */
    uint64_t epoch;       /* the wait that is interested in it ... */
    int offset;           /* ... and its place there */
    struct mbr__buf *buf; /* what is pushed, or was popped: one reference is ours */
    const uint8_t *data;  /* push: the bytes; pop: where the result begins */
    uint32_t len;
    uint32_t sent;        /* push: bytes already in the ring */
    size_t max;           /* pop: at most so many bytes, 0 a whole message */
    int32_t new_qd;       /* accept: the new socket */
    union mbr__addr addr; /* accept: the peer; pop: the sender; push: the destination */
};

struct mbr_libos {
    uintptr_t thread; /* the thread that may call */
    uint32_t fork_mark;
    bool inside;  /* a call is under way */
    uint8_t kind; /* enum mbr__libos_kind */
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
    struct mbr__timer box_pause; /* while it is not looked at, for lack of descriptors */
    int self_pidfd;              /* what openers hand over with their hello; -1 until needed */
    int spare_fd;                /* given up when a bell must be opened and no descriptor is left */
    struct mbr__list peers;
    struct mbr__list registry; /* of all instances of the process */
    struct mbr__sock_config sockets;
    struct mbr__slab pairs;       /* catloop's, of struct mbr__pair */
    struct mbr__list idle;        /* pairs we may connect on, the one used last first */
    struct mbr__list targets;     /* sockets that others may connect to */
    struct mbr__hash connections; /* as server, by a hash of both addresses */
    uint32_t idle_pairs;
    struct mbr__list served; /* idle pairs on which others connect to us, in the same order */
    uint32_t served_pairs;
    bool closing;           /* mbr_libos_close() is under way */
    struct mbr__list ready; /* sockets that may be ready for what is watched for */
    struct mbr__buf *spare; /* what the next receive goes into */
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

/* What has this descriptor: a struct mbr__pipe or struct mbr__sock, as its first byte says; or
 * NULL. */
static inline void *mbr__libos_queue(struct mbr_libos *l, int qd)
{
    return qd < MBR__QD_BASE ? NULL : mbr__slab_at(&l->pipes, (uint32_t)(qd - MBR__QD_BASE));
}

/* The pipe on which a socket's data travels, or NULL. */
struct mbr__pipe *mbr__sock_pipe(struct mbr__sock *s);
/* Whether a close breaks a catloop connection off (SO_LINGER with time 0). */
bool mbr__sock_aborts(const struct mbr__sock *s);

/* The pipe with this descriptor, or that of a socket that is connected through one; or NULL. */
static inline struct mbr__pipe *mbr__libos_pipe(struct mbr_libos *l, int qd)
{
    void *q = mbr__libos_queue(l, qd);

    if (__builtin_expect(q == NULL || *(uint8_t *)q == MBR__QUEUE_PIPE, 1))
        return q;
    return mbr__sock_pipe(q);
}

static inline struct mbr__sock *mbr__libos_sock(struct mbr_libos *l, int qd)
{
    void *q = mbr__libos_queue(l, qd);

    return q == NULL || *(uint8_t *)q != MBR__QUEUE_SOCK ? NULL : q;
}

/* Opens names and mailbox if they are not open. */
int mbr__libos_name(struct mbr_libos *l);

/* A new pending operation, in no list, of a pipe or (NULL) a socket; NULL no memory or too many. */
static inline struct mbr__op *mbr__op_make(struct mbr_libos *l, int qd, struct mbr__pipe *p,
                                           int opcode)
{
    struct mbr__op *op = mbr__slab_alloc(&l->ops);

    if (op == NULL)
        return NULL;
    /* Field by field: to clear the whole would cost more than all the rest of a push. */
    op->token = mbr__slab_handle(&l->ops, op);
    op->pipe = p;
    op->qd = qd;
    op->opcode = (uint8_t)opcode;
    op->done = false;
    op->in_place = false;
    op->has_addr = false;
    op->error = 0;
    op->epoch = 0;
    op->offset = 0;
    op->buf = NULL;
    op->data = NULL;
    op->len = 0;
    op->sent = 0;
    op->max = 0;
    l->pending++;
    return op;
}

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
