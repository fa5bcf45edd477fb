/* SPDX-License-Identifier: MIT */
/*
 * Moving messages: pushes into our ring, pops out of the peer's, both tried at once and continued
 * by the pipe's task when a watch has fired. One push is one pop: what does not fit into a quarter
 * of the ring travels in pieces.
 *
 * Everything read from the peer is read once and bounded: indices and record sizes in ring.h, total
 * lengths here.
 */
#include "queue/catmem/pipe.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "queue/catmem/lend.h"

/* A message of up to a quarter of the ring goes whole; a longer one in pieces of an eighth, so that
 * one side fills a piece while the other empties another. */
#define WHOLE_SHARE 4u
#define PIECE_SHARE 8u

static uint64_t whole_max(const struct mbr__pipe *p)
{
    return (p->tx.mask + 1) / WHOLE_SHARE - MBR__RECORD_HEADER;
}

uint64_t mbr__pipe_piece(const struct mbr__pipe *p)
{
    return (p->tx.mask + 1) / PIECE_SHARE - MBR__RECORD_HEADER - sizeof(uint64_t);
}

/* ---- the peer ---- */

void mbr__pipe_ring(struct mbr__pipe *p)
{
    if (p->peer != NULL)
        mbr__peer_ring(p->peer, mbr_load_relaxed(&p->other->want.bell));
}

/* An opener may be waiting already for what we publish before we have heard of it. Either its hello
 * is in the mailbox now, or it will look at the ring after it has sent it. */
void mbr__pipe_publish_unattached(struct mbr__pipe *p)
{
    mbr_fence_full();
    mbr__hello_read(p->l, MBR__NOTES_ALL);
}

static void drop_partial(struct mbr__pipe *p)
{
    mbr__buf_unref(p->in.buf);
    p->in = (struct mbr__partial){0};
}

void mbr__pipe_fail(struct mbr__pipe *p, struct mbr__list *ops, int error)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(ops)) != NULL)
        mbr__op_complete(p->l, mbr__container_of(node, struct mbr__op, node), DEMI_OPC_FAILED,
                         error);
}

void mbr__pipe_fault(struct mbr__pipe *p, int error)
{
    if (p->fault == 0)
        p->fault = error;
    if (p->attached) { /* the peer shall not wait for us */
        uint32_t want = mbr__ring_end(&p->tx, MBR__RING_FLAGS) |
                        mbr__ring_refuse(&p->rx, &p->self->want, MBR__RING_FLAGS);

        if (want != 0)
            mbr__pipe_ring(p);
    }
    drop_partial(p);
    mbr__pipe_fail(p, &p->pops, p->fault);
    mbr__pipe_fail(p, &p->pushes, p->fault);
}

/* ---- watches ---- */

static void wake_task(struct mbr__pipe *p)
{
    mbr__sched_wake(&p->task);
}

static void rx_fired(struct mbr__watch *w, uint32_t events)
{
    (void)events;
    wake_task(mbr__container_of(w, struct mbr__pipe, rx_watch));
}

static void tx_fired(struct mbr__watch *w, uint32_t events)
{
    (void)events;
    wake_task(mbr__container_of(w, struct mbr__pipe, tx_watch));
}

void mbr__pipe_watch_rx(struct mbr__pipe *p)
{
    const uint64_t *word = mbr__ring_next(&p->rx);
    uint64_t seen = mbr__ring_seen(&p->rx);

    /* While the creator does not know us we may not take what is there; a timer will wake us. */
    if (!p->attached || (!p->creator && !p->announced))
        return;
    if (mbr__watch_active(&p->rx_watch))
        mbr__watch_seen(&p->rx_watch, word, seen);
    else
        mbr__watch_word(&p->l->ws, &p->rx_watch, word, seen, &p->self->want, MBR__WANT_DATA,
                        &p->other->want, rx_fired);
}

void mbr__pipe_watch_tx(struct mbr__pipe *p)
{
    uint64_t seen = p->tx.head | p->tx.flags;

    if (!p->attached)
        return;
    if (mbr__watch_active(&p->tx_watch))
        mbr__watch_seen(&p->tx_watch, &p->other->rx.head, seen);
    else
        mbr__watch_word(&p->l->ws, &p->tx_watch, &p->other->rx.head, seen, &p->self->want,
                        MBR__WANT_SPACE, &p->other->want, tx_fired);
}

#define GLANCES    64u /* one or two microseconds */
#define LOOK_ROUND 15u /* every 16th time at everything: others shall not starve */

/* A stream: so many short messages have been taken since one was sent, and the last one came within
 * some 400 ns; nobody waits for us. Long ones are better taken while they are in caches. The ring
 * is then left alone for some 800 ns. */
#define STREAM_POPS 64u
#define STREAM_LEN  256u
#define SOON_LOOKS  16u
#define STREAM_GAPS 40u

/* A consumer of a stream that is faster than its producer would take each line from it as soon as
 * it is written, and the next one, too: both then wait for each other's caches at every message (4
 * million a second where 20 are possible). So it lets some messages gather. */
static const uint64_t *let_gather(const struct mbr__pipe *p, const uint64_t *word)
{
    if (p->l->taken < STREAM_POPS || p->looks > SOON_LOOKS)
        return word;
    for (uint32_t i = 0; i < STREAM_GAPS; i++)
        word = mbr_cpu_gap(word);
    return word;
}

static void count_taken(struct mbr__pipe *p, uint64_t len)
{
    p->l->taken = len <= STREAM_LEN ? p->l->taken + 1 : 0;
    p->popped = true;
}

bool mbr__pipe_glance(struct mbr__pipe *p)
{
    if (!p->attached || !mbr__waitset_may_glance(&p->l->ws, &p->other->want))
        return false;
    if ((p->l->waits & LOOK_ROUND) == 0)
        (void)mbr__waitset_poll(&p->l->ws, false);
    if (!p->attached || !mbr__sched_idle(&p->l->sched))
        return false;
    const uint64_t *word = mbr__ring_next(&p->rx);
    uint64_t seen = mbr__ring_seen(&p->rx);

    word = let_gather(p, word);
    for (p->looks = 0; p->looks < GLANCES; p->looks++) {
        if (mbr_load_acquire(word) != seen)
            return true;
        word = mbr_cpu_gap(word);
        __builtin_prefetch((const uint8_t *)word + MBR_CACHELINE);
    }
    return false;
}

/* ---- popping ---- */

/* An opener that closes without ever having pushed leaves no end of file behind. */
static bool left_silently(struct mbr__pipe *p)
{
    if (!p->creator || p->popped || ((p->rx.flags | p->tx.flags) & MBR__RING_LEFT) == 0)
        return false;
    mbr__lend_take_returns(p); /* what came back is no message */
    return !mbr__ring_has_record(&p->rx);
}

/* Whether the peer has broken the connection off (catloop/pair.h). */
static bool was_reset(const struct mbr__pipe *p)
{
    return p->sock != NULL && p->other != NULL &&
           mbr_load_acquire(&p->other->want.done) == MBR__DONE_RESET;
}

/* The ring is empty and its producer is done with it. -ENODATA, 0 if the pipe goes on without it,
 * or the fault. */
static int end_of_session(struct mbr__pipe *p)
{
    /* Or the program has seen the beginning of what never came. */
    if (was_reset(p) || p->place.left > 0) {
        mbr__pipe_fault(p, ECONNRESET);
        return -ECONNRESET;
    }
    if (p->in.got < p->in.total)
        drop_partial(p); /* its push failed: none of it was pushed */
    if (left_silently(p)) {
        mbr__session_depart(p);
        return 0;
    }
    return -ENODATA;
}

/* The ring is empty and its producer is dead. */
static int end_of_peer(struct mbr__pipe *p)
{
    if (p->creator && mbr__session_died_silent(p)) {
        mbr__session_depart(p);
        return 0;
    }
    mbr__pipe_fault(p, ECONNRESET);
    return -ECONNRESET;
}

/* Opener: a piece of a message of which its predecessor took the beginning with it. */
static bool is_rest(const struct mbr__pipe *p, const struct mbr__record *rec)
{
    return rec->kind == MBR__REC_NEXT && !p->creator && p->start != 0 && !p->popped &&
           p->in.buf == NULL;
}

/* The next record, behind the rest of a message that nobody can have any more. As mbr__ring_peek(),
 * and 0 also when there is more of the rest than the ring can hold: look again. */
static int peek_record(struct mbr__pipe *p, struct mbr__record *rec)
{
    int r = mbr__ring_peek(&p->rx, rec);

    for (uint64_t n = p->rx.mask / MBR__RECORD_ALIGN; r > 0 && is_rest(p, rec); n--) {
        if (n == 0)
            return 0;
        mbr__ring_release(&p->rx, rec);
        mbr__pipe_retire(p);
        r = mbr__ring_peek(&p->rx, rec);
    }
    return r;
}

int mbr__pipe_peek_slow(struct mbr__pipe *p, struct mbr__record *rec)
{
    if (p->fault != 0)
        return -p->fault;
    /* What we take must be known to the creator: it cannot use the room again otherwise. */
    if (!p->attached || (!p->creator && !p->announced && mbr__hello_announce(p) < 0))
        return -p->fault;
    /* Asked before we look: what a process published before it died is then seen by the look. */
    bool dead = p->peer != NULL && p->peer->dead;
    int r = peek_record(p, rec);

    if (__builtin_expect(r > 0, 1))
        return r;
    if (r < 0) {
        mbr__pipe_fault(p, EPROTO);
        return -EPROTO;
    }
    if (p->rx.flags != 0)
        return end_of_session(p);
    return dead ? end_of_peer(p) : 0;
}

/* Gives up to op->max bytes of the message that has arrived in `in`, or all of it without copying.
 */
void mbr__pipe_give(struct mbr__pipe *p, struct mbr__op *op)
{
    struct mbr__partial *in = &p->in;
    uint64_t left = in->total - in->given;

    if (op->max == 0 || left <= op->max) {
        op->buf = in->buf;
        op->data = (const uint8_t *)in->buf->data + in->given;
        op->len = (uint32_t)left;
        *in = (struct mbr__partial){0};
    } else {
        /* A view of the same buffer: the remainder keeps its own reference. */
        mbr__buf_ref(in->buf);
        op->buf = in->buf;
        op->data = (const uint8_t *)in->buf->data + in->given;
        op->len = (uint32_t)op->max;
        in->given += op->max;
    }
    count_taken(p, op->len);
    mbr__op_complete(p->l, op, DEMI_OPC_POP, 0);
}

/* A piece of a long message arrives. 1 the message is whole, 0 more must come, else a fault. */
static int take_piece(struct mbr__pipe *p, const void *data, uint32_t len)
{
    struct mbr__partial *in = &p->in;

    if (len == 0 || len > in->total - in->got)
        return -EPROTO;
    memcpy((uint8_t *)in->buf->data + in->got, data, len);
    in->got += len;
    return in->got == in->total;
}

static int begin_message(struct mbr__pipe *p, uint64_t total, const void *data, uint32_t len)
{
    if (p->in.buf != NULL || total == 0 || total > MBR_MESSAGE_MAX)
        return -EPROTO;
    p->in = (struct mbr__partial){.buf = mbr__buf_alloc(total), .total = total};
    if (p->in.buf == NULL)
        return -ENOMEM;
    return take_piece(p, data, len);
}

/* Takes one record in. 1 a message is whole in `in`, 0 not yet; -ENOMEM: nothing was taken; else
 * -EPROTO. */
static int take_record(struct mbr__pipe *p, const struct mbr__record *rec)
{
    uint64_t total;
    int r = -EPROTO;

    switch (rec->kind) {
    case MBR__REC_WHOLE:
        r = begin_message(p, rec->len, rec->data, rec->len);
        break;
    case MBR__REC_FIRST:
        if (rec->len <= sizeof(total))
            return -EPROTO;
        memcpy(&total, rec->data, sizeof(total)); /* once; bounded in begin_message */
        r = begin_message(p, total, (const uint8_t *)rec->data + sizeof(total),
                          rec->len - (uint32_t)sizeof(total));
        break;
    case MBR__REC_NEXT:
        if (p->in.buf != NULL && p->in.got < p->in.total)
            r = take_piece(p, rec->data, rec->len);
        break;
    default:
        break;
    }
    if (r >= 0)
        mbr__ring_release(&p->rx, rec);
    return r;
}

static void give_end(struct mbr__pipe *p, struct mbr__op *op)
{
    op->buf = mbr__buf_alloc(1); /* programs free the result of every pop, also of this one */
    if (op->buf == NULL) {
        mbr__op_complete(p->l, op, DEMI_OPC_FAILED, ENOMEM);
        return;
    }
    op->data = op->buf->data;
    op->len = 0;
    p->ended = true;
    mbr__op_complete(p->l, op, DEMI_OPC_POP, 0);
}

/* A pop could not go on: end of file, or the negative errno it fails with. */
static void pop_failed(struct mbr__pipe *p, struct mbr__op *op, int r)
{
    if (r == -ENODATA)
        give_end(p, op);
    else
        mbr__op_complete(p->l, op, DEMI_OPC_FAILED, -r);
}

bool mbr__pipe_try_pop(struct mbr__pipe *p, struct mbr__op *op)
{
    struct mbr__record rec = {0};
    int r = 0;

    if (p->ended && p->sock == NULL) {
        pop_failed(p, op, -EBADF);
        return true;
    }
    if (p->in.buf != NULL && p->in.got == p->in.total) {
        mbr__pipe_give(p, op);
        return true;
    }
    for (;;) {
        r = mbr__pipe_peek(p, &rec);
        if (r <= 0)
            break;
        if (__builtin_expect(rec.kind >= MBR__REC_LENT, 0)) {
            r = mbr__lend_record(p, op, &rec);
            if (r == 0)
                continue; /* one of ours that came back */
            if (r > 0)
                return true;
            break;
        }
        r = take_record(p, &rec);
        if (r < 0)
            break;
        mbr__pipe_retire(p);
        if (r > 0) {
            mbr__pipe_give(p, op);
            return true;
        }
    }
    if (r == -EPROTO)
        mbr__pipe_fault(p, EPROTO);
    if (r != 0)
        pop_failed(p, op, r);
    return r != 0;
}

void mbr__pipe_progress_pops(struct mbr__pipe *p)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&p->pops)) != NULL) {
        if (!mbr__pipe_try_pop(p, mbr__container_of(node, struct mbr__op, node))) {
            mbr__list_push_front(&p->pops, node);
            mbr__pipe_watch_rx(p);
            return;
        }
    }
    if (mbr__watch_active(&p->rx_watch))
        mbr__watch_end(&p->l->ws, &p->rx_watch);
}

/* The common case of try_pop(): a whole message, for a pop that wants it whole. */
static inline bool pop_at_once(struct mbr__pipe *p, struct mbr__op *op)
{
    struct mbr__record rec;

    if (op->max != 0 || p->in.buf != NULL || p->ended || mbr__pipe_peek(p, &rec) <= 0 ||
        rec.kind != MBR__REC_WHOLE || rec.len == 0)
        return false;
    struct mbr__buf *buf = mbr__buf_alloc(rec.len);

    if (buf == NULL)
        return false;
    memcpy(buf->data, rec.data, rec.len);
    mbr__ring_release(&p->rx, &rec);
    mbr__pipe_retire(p);
    op->buf = buf;
    op->data = buf->data;
    op->len = rec.len;
    count_taken(p, rec.len);
    mbr__op_complete(p->l, op, DEMI_OPC_POP, 0);
    return true;
}

int mbr__pop_begin(struct mbr__pipe *p, size_t max, bool in_place, demi_qtoken_t *qt)
{
    if (!p->can_recv || p->closing)
        return -EBADF;
    if (p->place.shown || p->place.left > 0)
        return -EBUSY;
    struct mbr__op *op = mbr__op_new(p->l, p, DEMI_OPC_POP);

    if (op == NULL)
        return -ENOMEM;
    op->max = max;
    op->in_place = in_place;
    *qt = op->token;
    if (mbr__list_empty(&p->pops) && (pop_at_once(p, op) || mbr__pipe_try_pop(p, op)))
        return 0;
    mbr__list_push_back(&p->pops, &op->node);
    mbr__pipe_watch_rx(p);
    return 0;
}

/* ---- pushing ---- */

int mbr__pipe_may_push_slow(struct mbr__pipe *p)
{
    /* Demikernel's word for a pipe whose end has been popped; one half-closed can still send. */
    if (p->ended && ((p->rx.flags | p->tx.flags) & MBR__RING_LEFT) != 0)
        return p->sock == NULL ? -EBADF : -EPIPE;
    if (p->fault != 0)
        return -p->fault;
    if (!p->creator && !p->announced) {
        int r = mbr__hello_announce(p);

        if (r < 0)
            return r;
    }
    if (p->tx.broken) {
        mbr__pipe_fault(p, EPROTO);
        return -EPROTO;
    }
    if (p->orphan)
        return -ECONNRESET;
    if (__builtin_expect(mbr__ring_done(&p->tx), 0))
        (void)mbr__ring_refresh(&p->tx);
    if (p->tx.flags == 0 && (p->peer == NULL || !p->peer->dead))
        return 0;
    /* The consumer is gone; one that was never heard of makes room for the next. */
    if (left_silently(p) || (p->tx.flags == 0 && p->creator && mbr__session_died_silent(p))) {
        mbr__session_depart(p);
        return 0;
    }
    return -ECONNRESET;
}

/* Puts the next piece of a long message into the ring. False if there is no room. */
static bool push_piece(struct mbr__pipe *p, struct mbr__op *op)
{
    bool first = op->sent == 0;
    uint64_t total = op->len;
    uint64_t extra = first ? sizeof(total) : 0;
    uint64_t left = total - op->sent;
    uint32_t n = (uint32_t)(left < mbr__pipe_piece(p) ? left : mbr__pipe_piece(p));
    uint8_t *to = mbr__ring_reserve(&p->tx, n + (uint32_t)extra);

    if (to == NULL)
        return false;
    if (first)
        memcpy(to, &total, sizeof(total));
    memcpy(to + extra, op->data + op->sent, n);
    mbr__ring_commit(&p->tx, n + (uint32_t)extra, first ? MBR__REC_FIRST : MBR__REC_NEXT);
    op->sent += n;
    p->pushed |= op->sent == op->len;
    mbr__pipe_publish(p);
    return true;
}

static bool push_whole(struct mbr__pipe *p, const void *data, uint32_t len)
{
    void *to = mbr__ring_reserve(&p->tx, len);

    if (to == NULL)
        return false;
    memcpy(to, data, len);
    mbr__ring_commit(&p->tx, len, MBR__REC_WHOLE);
    p->pushed = true;
    mbr__pipe_publish(p);
    return true;
}

bool mbr__pipe_try_push(struct mbr__pipe *p, struct mbr__op *op)
{
    int r = mbr__pipe_may_push(p);

    if (r == -EAGAIN)
        return false;
    if (r < 0) {
        mbr__op_complete(p->l, op, DEMI_OPC_FAILED, -r);
        return true;
    }
    if (op->buf != NULL && op->buf->release != NULL && mbr__lend_is_ours(p, op->buf)) {
        if (!mbr__lend_push(p, op))
            return false;
    } else if (op->len <= whole_max(p)) {
        if (!push_whole(p, op->data, op->len))
            return false;
    } else {
        while (op->sent < op->len) {
            if (!push_piece(p, op))
                return false;
        }
    }
    mbr__op_complete(p->l, op, DEMI_OPC_PUSH, 0);
    return true;
}

static void progress_pushes(struct mbr__pipe *p)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&p->pushes)) != NULL) {
        if (!mbr__pipe_try_push(p, mbr__container_of(node, struct mbr__op, node))) {
            if (p->tx.flags != 0 ||
                p->tx.broken) { /* seen while looking for room: try again, to fail */
                mbr__list_push_front(&p->pushes, node);
                continue;
            }
            mbr__list_push_front(&p->pushes, node);
            mbr__pipe_watch_tx(p);
            return;
        }
    }
    if (mbr__watch_active(&p->tx_watch))
        mbr__watch_end(&p->l->ws, &p->tx_watch);
}

int mbr__push_check(const demi_sgarray_t *sga, struct mbr__buf **buf)
{
    if (sga == NULL || sga->sga_numsegs != 1)
        return -EINVAL;
    struct mbr__buf *b = mbr__buf_check(sga->sga_buf);
    uint64_t len = sga->sga_segs[0].sgaseg_len;

    if (b == NULL || len == 0)
        return -EINVAL;
    uintptr_t offset = (uintptr_t)sga->sga_segs[0].sgaseg_buf - (uintptr_t)b->data;

    if (offset > b->size || len > b->size - offset || len > MBR_MESSAGE_MAX)
        return -EINVAL;
    *buf = b;
    return 0;
}

int mbr__push_begin(struct mbr__pipe *p, struct mbr__buf *buf, const demi_sgaseg_t *seg,
                    demi_qtoken_t *qt)
{
    if (!p->can_send || p->closing)
        return -EBADF;
    if (p->place.reserved != 0)
        return -EBUSY;
    struct mbr__op *op = mbr__op_new(p->l, p, DEMI_OPC_PUSH);

    if (op == NULL)
        return -ENOMEM;
    p->l->taken = 0;
    op->data = seg->sgaseg_buf;
    op->len = seg->sgaseg_len;
    *qt = op->token;
    /* Small and nothing before it: straight into the ring, without a reference. */
    if (mbr__list_empty(&p->pushes) && buf->release == NULL && op->len <= whole_max(p) &&
        mbr__pipe_may_push(p) == 0 && push_whole(p, op->data, op->len)) {
        mbr__op_complete(p->l, op, DEMI_OPC_PUSH, 0);
        return 0;
    }
    op->buf = buf;
    mbr__buf_ref(buf);
    mbr__list_push_back(&p->pushes, &op->node);
    progress_pushes(p);
    return 0;
}

/* ---- the task ---- */

static void finish_close(struct mbr__pipe *p)
{
    struct mbr_libos *l = p->l;
    struct mbr__op *op = p->close_op;

    p->close_op = NULL;
    mbr__session_close(p);
    mbr__op_complete(l, op, DEMI_OPC_CLOSE, 0);
}

void mbr__pipe_progress(struct mbr__pipe *p)
{
    struct mbr__record rec;

    if (__builtin_expect(p->lending != NULL, 0))
        mbr__lend_flush(p);
    progress_pushes(p);
    mbr__pipe_progress_pops(p);
    /* Nobody pops: still notice a departure or a death, so that pushes end and the next opener can
     * come. */
    if (p->attached && p->pops.next == &p->pops && p->fault == 0 && p->can_recv && !p->place.shown)
        (void)mbr__pipe_peek(p, &rec);
}

static enum mbr__task_result poll_pipe(struct mbr__task *task)
{
    struct mbr__pipe *p = mbr__container_of(task, struct mbr__pipe, task);

    if (p->unmarked)
        (void)mbr__hello_mark(p);
    mbr__pipe_progress(p);
    if (p->close_op != NULL && mbr__list_empty(&p->pushes)) {
        finish_close(p);
        return MBR__TASK_DONE;
    }
    return MBR__TASK_PENDING;
}

void mbr__pipe_init(struct mbr__pipe *p)
{
    mbr__list_init(&p->pops);
    mbr__list_init(&p->pushes);
    mbr__task_init(&p->task, poll_pipe);
}
