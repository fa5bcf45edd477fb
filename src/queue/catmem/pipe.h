/* SPDX-License-Identifier: MIT */
/*
 * A pipe's end: two rings, the operations that wait on them, and the session that joins it to its
 * peer.
 *
 * pipe.c moves messages, session.c opens and closes, hello.c makes an opener known to its creator,
 * peer.c knows the process at the other end. A wrong peer only ever sets `fault`; a wrong program
 * aborts; the rest is an errno.
 */
#ifndef MBR_CATMEM_PIPE_H
#define MBR_CATMEM_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/catmem/half_shm.h"
#include "queue/libos.h"
#include "ring/ring.h"
#include "shm/region.h"

/* The process at the other end; shared by all pipes that lead to the same instance of it. */
struct mbr__peer {
    struct mbr__list node;  /* in the libOS's list */
    struct mbr__list pipes; /* that lead there */
    struct mbr_libos *l;
    struct mbr__proc proc;
    uint64_t inst;
    int pidfd;
    int wake;    /* its bell, opened when first needed; -1 */
    int wake_no; /* its number in the peer, for /proc */
    bool dead;
    struct mbr__watch watch;
};

/* A message that arrives in pieces, or that sized pops take in pieces. */
struct mbr__partial {
    struct mbr__buf *buf;
    uint64_t total;
    uint64_t got;   /* bytes that have arrived */
    uint64_t given; /* bytes that sized pops have taken */
};

/* What a program is shown of the ring itself. */
struct mbr__place {
    bool shown;             /* a record is peeked at and not released */
    struct mbr__record rec; /* that record, in the ring */
    uint64_t after;         /* bytes of its message that follow what is shown */
    uint64_t left;          /* bytes still to come of a message of which pieces were released */
    uint32_t reserved;      /* bytes the program may fill and commit; 0 none */
};

struct mbr__pipe {
    uint8_t kind;           /* MBR__QUEUE_PIPE */
    struct mbr__sock *sock; /* whose data travels here, or NULL: a pipe by itself */
    struct mbr_libos *l;
    struct mbr__task task;
    int qd;
    bool creator;
    bool can_send, can_recv; /* this end's directions: one-way pipes, and shutdown() */
    bool attached;           /* rx and the peer's words may be used */
    bool hello_sent;
    bool unmarked;  /* opener: known, but its link does not say so yet */
    bool orphan;    /* opener: the creator was gone before it could know us */
    bool announced; /* opener: the creator knows us (our hello is in its mailbox) */
    bool pushed;    /* opener: a message of ours is in the ring */
    bool popped;    /* a message of the session's peer was taken */
    bool ended;     /* end of file was given to a pop */
    bool sent_end;  /* end of file is in our ring */
    bool closing;   /* asynchronous close under way */
    int fault;      /* 0, or the positive errno that ended the pipe */
    char name[MBR__NAME_MAX + 1];
    uint64_t id[2];     /* of our half */
    uint64_t target[2]; /* opener: of the creator's half */
    uint64_t start;     /* the opener's position in the creator's ring at the beginning */
    struct mbr__region own, theirs;
    struct mbr__half_shm *self;
    const struct mbr__half_shm *other; /* NULL while not attached */
    struct mbr__ring_tx tx;
    struct mbr__ring_rx rx;
    struct mbr__watch rx_watch, tx_watch;
    struct mbr__list pops, pushes;
    struct mbr__op *close_op;
    struct mbr__partial in;
    struct mbr__peer *peer;
    struct mbr__list peer_node;
    struct mbr__note
        *next_hello; /* creator: an opener that came before the last one's departure was seen */
    struct mbr__timer retry; /* opener: when the creator's mailbox was full */
    struct mbr__place place;
    struct mbr__lending *lending;
    uint32_t looks; /* in vain, of the last glance */
};

/* A new pending operation, in no list; NULL no memory or too many. */
static inline struct mbr__op *mbr__op_new(struct mbr_libos *l, struct mbr__pipe *p, int opcode)
{
    return mbr__op_make(l, p->qd, p, opcode);
}

/* ---- pipe.c ---- */

/* Sets up the data path of a new pipe whose `own` half is mapped. */
void mbr__pipe_init(struct mbr__pipe *p);
/* Goes as far as possible with everything that is pending. */
void mbr__pipe_progress(struct mbr__pipe *p);
/* Ends the pipe: every pending operation fails with this errno (positive), every later one too. */
void mbr__pipe_fault(struct mbr__pipe *p, int error);
/* Fails the pending operations of a direction. */
void mbr__pipe_fail(struct mbr__pipe *p, struct mbr__list *ops, int error);
/* Wakes the peer, which has shown the wish. */
void mbr__pipe_ring(struct mbr__pipe *p);
/* Whether a push could begin: 0, -EAGAIN not yet, or the negative errno it would fail with. */
int mbr__pipe_may_push_slow(struct mbr__pipe *p);
static inline int mbr__pipe_may_push(struct mbr__pipe *p)
{
    if (__builtin_expect(!p->ended && p->fault == 0 && (p->creator || p->announced) && !p->orphan &&
                             !p->tx.broken && p->tx.flags == 0 && !mbr__ring_done(&p->tx) &&
                             (p->peer == NULL || !p->peer->dead),
                         1))
        return 0;
    return mbr__pipe_may_push_slow(p);
}
/* Completes a pop with the message that has arrived in p->in, or as much of it as it wants. */
void mbr__pipe_give(struct mbr__pipe *p, struct mbr__op *op);
/* Looks for a record: 1, 0 none now, -ENODATA end of file, or the negative errno of the fault. */
int mbr__pipe_peek_slow(struct mbr__pipe *p, struct mbr__record *rec);
static inline int mbr__pipe_peek(struct mbr__pipe *p, struct mbr__record *rec)
{
    if (__builtin_expect(p->fault == 0 && p->attached && (p->creator || p->announced), 1)) {
        bool dead = p->peer != NULL && p->peer->dead; /* before we look */
        int r = mbr__ring_peek(&p->rx, rec);

        if (r > 0 ? rec->kind != MBR__REC_NEXT : r == 0 && !dead && p->rx.flags == 0)
            return r;
    }
    return mbr__pipe_peek_slow(p, rec);
}
/* Makes room visible to the peer. */
static inline void mbr__pipe_retire(struct mbr__pipe *p)
{
    if (__builtin_expect(mbr__ring_retire(&p->rx) != 0, 0))
        mbr__pipe_ring(p);
}
/* Makes committed records visible to the peer. */
void mbr__pipe_publish_unattached(struct mbr__pipe *p);
static inline void mbr__pipe_publish(struct mbr__pipe *p)
{
    if (__builtin_expect(p->attached, 1))
        __builtin_prefetch(mbr__ring_next(&p->rx));
    if (__builtin_expect(mbr__ring_publish(&p->tx) != 0, 0))
        mbr__pipe_ring(p);
    else if (__builtin_expect(!p->attached, 0) && p->fault == 0)
        mbr__pipe_publish_unattached(p);
}
/* Has the wait set look at the ring for this direction. */
void mbr__pipe_watch_rx(struct mbr__pipe *p);
void mbr__pipe_watch_tx(struct mbr__pipe *p);
/* The largest piece of a message that is put into one record, and the largest message that is not
 * cut. */
uint64_t mbr__pipe_piece(const struct mbr__pipe *p);

/* Enters the libOS and finds the pipe; on failure nothing is entered: -EBADF or why not. */
static inline int mbr__pipe_enter(struct mbr_libos *l, int qd, struct mbr__pipe **out)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    *out = mbr__libos_pipe(l, qd);
    if (__builtin_expect(*out != NULL, 1))
        return 0;
    mbr__libos_leave(l);
    return -EBADF;
}
/* Tries one pop, which is in no list. True if it completed. */
bool mbr__pipe_try_pop(struct mbr__pipe *p, struct mbr__op *op);
bool mbr__pipe_try_push(struct mbr__pipe *p, struct mbr__op *op);
/* What is shown in place, and giving it back: mbr_pipe_peek() and mbr_pipe_release(). */
int mbr__place_peek(struct mbr__pipe *p, const void **data, uint32_t *len, uint64_t *left);
int mbr__place_release(struct mbr__pipe *p);
/* Starts a push or a pop; tried at once. The array is checked first: -EINVAL, or its buffer. */
int mbr__push_check(const demi_sgarray_t *sga, struct mbr__buf **buf);
int mbr__push_begin(struct mbr__pipe *p, struct mbr__buf *buf, const demi_sgaseg_t *seg,
                    demi_qtoken_t *qt);
int mbr__pop_begin(struct mbr__pipe *p, size_t max, bool in_place, demi_qtoken_t *qt);

/* The two halves of a shutdown. */
void mbr__pipe_end_sending(struct mbr__pipe *p);
void mbr__pipe_end_receiving(struct mbr__pipe *p);

/* Completes what pops can be completed. */
void mbr__pipe_progress_pops(struct mbr__pipe *p);
/* Looks at the ring alone for about a microsecond, without the wait set and the task: true when
 * something is there. Most answers of a peer who is awake come within that time. */
bool mbr__pipe_glance(struct mbr__pipe *p);

/* ---- session.c ---- */

int mbr__session_create(struct mbr_libos *l, const char *name, uint64_t capacity, unsigned flags,
                        struct mbr__pipe **out);
int mbr__session_open(struct mbr_libos *l, const char *name, uint64_t capacity, unsigned flags,
                      struct mbr__pipe **out);
/* Ends both directions, withdraws the name, frees everything. All operations must have been
 * completed. */
void mbr__session_close(struct mbr__pipe *p);
/* Creator: the opener has left without having pushed; the pipe waits for the next one. */
void mbr__session_depart(struct mbr__pipe *p);
/* The peer's process is dead. True when the pipe goes on without it: it was an opener nobody had
 * ever heard of. */
bool mbr__session_died_silent(struct mbr__pipe *p);

/* ---- hello.c ---- */

void mbr__hello_init(struct mbr__pipe *p);
/* Opener: posts its hello to the creator's mailbox. Errors as mbr__post_send(). */
int mbr__hello_send(struct mbr__pipe *p);
/* Opener that could not post its hello when it opened: does so before it uses the pipe. 0, -EAGAIN
 * try again later (a timer is set and will wake the task), else the pipe has ended: its fault
 * negated. */
int mbr__hello_announce(struct mbr__pipe *p);
/* Opener: writes in its link that the creator knows it. 0 also when that must wait. */
int mbr__hello_mark(struct mbr__pipe *p);
/* Mailbox: takes the notes that have come, at most so many: who sends them faster than they are
 * read must not keep us from everything else. */
#define MBR__NOTES_SOME 16u   /* in the midst of a wait; the mailbox stays readable */
#define MBR__NOTES_ALL  8192u /* more than one can hold (SOMAXCONN) */
void mbr__hello_read(struct mbr_libos *l, unsigned most);
/* A new mailbox is there to be read from. */
void mbr__hello_start(struct mbr_libos *l);
/* Hands a lending region to the peer's mailbox, where it outlives us. Errors as mbr__post_send().
 */
int mbr__hello_lend(struct mbr__pipe *p, uint64_t region, uint64_t size, int fd);
/* Creator: attaches an opener whose note was put aside. */
void mbr__hello_next(struct mbr__pipe *p);
void mbr__hello_forget(struct mbr__pipe *p);
/* Opener, where /proc does not serve: asks the owner for its half. Blocks up to `timeout`. fds:
 * memory, bell, pidfd. */
int mbr__hello_request(struct mbr_libos *l, const struct mbr__link *a, uint64_t timeout_ns,
                       int fds[3]);

/* ---- peer.c ---- */

/* The record of a process, new or shared. pidfd and wake (may be -1) become the record's, also when
 * it fails. */
int mbr__peer_get(struct mbr_libos *l, const struct mbr__proc *proc, uint64_t inst, int pidfd,
                  int wake, int wake_no, struct mbr__peer **out);
void mbr__peer_join(struct mbr__peer *peer, struct mbr__pipe *p);
/* Ends the pipe's interest; the last one frees the record. */
void mbr__peer_leave(struct mbr__pipe *p);
/* Rings its bell. */
void mbr__peer_ring(struct mbr__peer *peer, uint32_t bell);

#endif
