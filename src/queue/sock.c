/* SPDX-License-Identifier: MIT */
/*
 * What sockets do in every libOS: their operations, their readiness, their end. The public calls
 * that are checks and nothing more are in sock_api.c.
 */
#include "queue/sock.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "queue/catmem/pipe.h"

static_assert(sizeof(struct mbr__sock) <= sizeof(struct mbr__pipe), "they share a slab");
static_assert(offsetof(struct mbr__sock, kind) == 0 && offsetof(struct mbr__pipe, kind) == 0,
              "the kind comes first");

/* ---- making and freeing ---- */

static enum mbr__task_result poll_sock(struct mbr__task *task);

int mbr__sock_new(struct mbr_libos *l, int domain, int type, struct mbr__sock **out)
{
    struct mbr__sock *s = mbr__slab_alloc(&l->pipes);

    if (s == NULL)
        return -ENOMEM;
    memset(s, 0, sizeof(*s));
    s->kind = MBR__QUEUE_SOCK;
    s->l = l;
    s->qd = (int)mbr__slab_index(s) + MBR__QD_BASE;
    s->domain = (uint8_t)domain;
    s->type = (uint8_t)type;
    mbr__list_init(&s->pops);
    mbr__list_init(&s->pushes);
    mbr__list_init(&s->ready);
    mbr__task_init(&s->task, poll_sock);
    if (mbr__sched_add(&l->sched, &s->task) < 0) {
        mbr__slab_free(&l->pipes, s);
        return -ENOMEM;
    }
    *out = s;
    return 0;
}

void mbr__sock_free(struct mbr__sock *s)
{
    mbr__list_del(&s->ready);
    mbr__sched_remove(&s->task);
    mbr__slab_free(&s->l->pipes, s);
}

/* ---- operations ---- */

void mbr__sock_fail(struct mbr__sock *s, struct mbr__list *ops, int error)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(ops)) != NULL)
        mbr__op_complete(s->l, mbr__container_of(node, struct mbr__op, node), DEMI_OPC_FAILED,
                         error);
}

/* Tries the operations of a list in order, up to the first that must wait. */
static void run(struct mbr__sock *s, struct mbr__list *ops,
                bool (*try)(struct mbr__sock *s, struct mbr__op *op))
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(ops)) != NULL) {
        if (!try(s, mbr__container_of(node, struct mbr__op, node))) {
            mbr__list_push_front(ops, node);
            return;
        }
    }
}

void mbr__sock_progress(struct mbr__sock *s)
{
    run(s, &s->pushes, s->t->push);
    run(s, &s->pops, s->t->pop);
    s->t->await(s);
}

static bool try_accept(struct mbr__sock *s, struct mbr__op *op)
{
    struct mbr__sock *conn = NULL;
    int r = s->t->accept(s, &conn);

    if (r == -EAGAIN)
        return false;
    if (r == 0) {
        op->new_qd = conn->qd;
        op->addr = conn->remote;
        op->has_addr = true;
    }
    mbr__op_complete(s->l, op, r < 0 ? DEMI_OPC_FAILED : DEMI_OPC_ACCEPT, -r);
    return true;
}

void mbr__sock_progress_accepts(struct mbr__sock *s)
{
    run(s, &s->pops, try_accept);
    s->t->await(s);
}

void mbr__sock_connected(struct mbr__sock *s, int error)
{
    struct mbr__op *op = s->connect_op;

    s->connect_op = NULL;
    if (s->state.current == MBR__SOCK_CONNECTING) {
        MBR_ASSERT(mbr__sock_prepare(&s->state, error < 0 ? MBR__SOCK_OP_CLOSED
                                                          : MBR__SOCK_OP_ESTABLISHED) == 0);
        mbr__sock_commit(&s->state);
    }
    if (op != NULL)
        mbr__op_complete(s->l, op, error < 0 ? DEMI_OPC_FAILED : DEMI_OPC_CONNECT, -error);
    mbr__sock_maybe_ready(s);
}

static void end(struct mbr__sock *s)
{
    struct mbr_libos *l = s->l;
    struct mbr__op *op = s->close_op;

    s->t->close(s);
    mbr__sock_free(s);
    if (op != NULL)
        mbr__op_complete(l, op, DEMI_OPC_CLOSE, 0);
}

static enum mbr__task_result poll_sock(struct mbr__task *task)
{
    struct mbr__sock *s = mbr__container_of(task, struct mbr__sock, task);

    s->t->progress(s);
    struct mbr__pipe *p = mbr__sock_pipe(s);

    if (s->close_op != NULL && mbr__list_empty(&s->pushes) &&
        (p == NULL || mbr__list_empty(&p->pushes) || mbr__sock_aborts(s))) {
        end(s);
        return MBR__TASK_DONE;
    }
    return MBR__TASK_PENDING;
}

/* Whether a push may begin: the order of the published errnos. */
static int may_push(const struct mbr__sock *s, const union mbr__addr *to)
{
    if (s->state.current >= MBR__SOCK_CLOSING)
        return -EBADF;
    if (s->type == SOCK_STREAM && s->state.current != MBR__SOCK_ESTABLISHED)
        return -ENOTCONN;
    if (s->type == SOCK_DGRAM && to == NULL && s->remote.sa.sa_family == AF_UNSPEC)
        return -EDESTADDRREQ;
    return (s->shut & MBR_SHUT_SEND) != 0 ? -EBADF : 0;
}

static int may_pop(const struct mbr__sock *s)
{
    if (s->state.current >= MBR__SOCK_CLOSING)
        return -EBADF;
    if (s->type == SOCK_STREAM && s->state.current != MBR__SOCK_ESTABLISHED)
        return -ENOTCONN;
    if (s->type == SOCK_DGRAM && s->state.current != MBR__SOCK_BOUND)
        return -EDESTADDRREQ;
    return (s->shut & MBR_SHUT_RECV) != 0 ? -EBADF : 0;
}

int mbr__sock_push(struct mbr_libos *l, int qd, struct mbr__buf *buf, const demi_sgaseg_t *seg,
                   const union mbr__addr *to, demi_qtoken_t *qt)
{
    struct mbr__sock *s = mbr__libos_sock(l, qd);
    int r = s == NULL ? -EBADF : may_push(s, to);

    if (r < 0)
        return r;
    struct mbr__op *op = mbr__op_make(l, qd, NULL, DEMI_OPC_PUSH);

    if (op == NULL)
        return -ENOMEM;
    op->data = seg->sgaseg_buf;
    op->len = seg->sgaseg_len;
    op->has_addr = to != NULL && s->type == SOCK_DGRAM;
    if (op->has_addr)
        op->addr = *to;
    *qt = op->token;
    if (mbr__list_empty(&s->pushes) && s->t->push(s, op))
        return 0;
    op->buf = buf;
    mbr__buf_ref(buf);
    mbr__list_push_back(&s->pushes, &op->node);
    s->t->await(s);
    return 0;
}

int mbr__sock_pop(struct mbr_libos *l, int qd, size_t max, demi_qtoken_t *qt)
{
    struct mbr__sock *s = mbr__libos_sock(l, qd);
    int r = s == NULL ? -EBADF : may_pop(s);

    if (r < 0)
        return r;
    struct mbr__op *op = mbr__op_make(l, qd, NULL, DEMI_OPC_POP);

    if (op == NULL)
        return -ENOMEM;
    op->max = max;
    *qt = op->token;
    if (mbr__list_empty(&s->pops) && s->t->pop(s, op))
        return 0;
    mbr__list_push_back(&s->pops, &op->node);
    s->t->await(s);
    return 0;
}

/* ---- ending ---- */

int mbr__sock_shutdown(struct mbr__sock *s, unsigned how)
{
    if (s->state.current >= MBR__SOCK_CLOSING)
        return -EBADF;
    if (s->state.current != MBR__SOCK_ESTABLISHED && s->remote.sa.sa_family == AF_UNSPEC)
        return -ENOTCONN;
    int r = s->t->shutdown(s, how);

    if (r < 0)
        return r;
    s->shut |= (uint8_t)how;
    if ((how & MBR_SHUT_SEND) != 0)
        mbr__sock_fail(s, &s->pushes, EBADF);
    if ((how & MBR_SHUT_RECV) != 0)
        mbr__sock_fail(s, &s->pops, EBADF);
    mbr__sock_maybe_ready(s);
    return 0;
}

/* Ends what is pending, but for pushes that a slow close waits for. */
static void begin_close(struct mbr__sock *s)
{
    (void)mbr__sock_prepare(&s->state, MBR__SOCK_OP_CLOSE); /* a close is never refused */
    mbr__sock_commit(&s->state);
    mbr__sock_fail(s, &s->pops, EBADF);
    if (s->connect_op != NULL) {
        struct mbr__op *op = s->connect_op;

        s->connect_op = NULL;
        mbr__op_complete(s->l, op, DEMI_OPC_FAILED, EBADF);
    }
}

int mbr__sock_close(struct mbr__sock *s)
{
    begin_close(s);
    mbr__sock_fail(s, &s->pushes, EBADF);
    end(s);
    return 0;
}

int mbr__sock_close_async(struct mbr__sock *s, demi_qtoken_t *qt)
{
    if (qt == NULL)
        return -EINVAL;
    if (s->close_op != NULL)
        return -EBADF;
    struct mbr__op *op = mbr__op_make(s->l, s->qd, NULL, DEMI_OPC_CLOSE);

    if (op == NULL)
        return -ENOMEM;
    *qt = op->token;
    s->close_op = op;
    s->watched = 0;
    struct mbr__pipe *p = mbr__sock_pipe(s);

    begin_close(s);
    if (p != NULL) {
        p->closing = true;
        mbr__pipe_end_receiving(p); /* or two ends that close would wait for each other */
    }
    mbr__sched_wake(&s->task); /* it ends once nothing is left to push */
    return 0;
}

/* ---- readiness ---- */

void mbr__sock_maybe_ready(struct mbr__sock *s)
{
    if (s->watched != 0 && mbr__list_empty(&s->ready))
        mbr__list_push_back(&s->l->ready, &s->ready);
}
