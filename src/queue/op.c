/* SPDX-License-Identifier: MIT */
/*
 * Operations and waiting for them. A wait marks the operations it is for with its epoch, so that
 * the one that completes first is known without looking at all of them again.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "queue/catmem/pipe.h"
#include "queue/libos.h"

#define KERNEL_EVERY \
    256u /* waits that never slept, between looks at the kernel while something is cold */

#define KERNEL_TURNS 64u /* rounds of one wait, likewise */

void mbr__op_drop(struct mbr_libos *l, struct mbr__op *op)
{
    l->pending--;
    mbr__buf_unref(op->buf);
    mbr__slab_free(&l->ops, op);
}

/* Hands the result over and forgets the operation. */
static inline void deliver(struct mbr_libos *l, struct mbr__op *op, demi_qresult_t *qr)
{
    MBR_ASSERT(op != NULL && op->done);
    memset(qr, 0, sizeof(*qr));
    qr->qr_opcode = (enum demi_opcode)op->opcode;
    qr->qr_qd = op->qd;
    qr->qr_qt = op->token;
    qr->qr_ret = op->error;
    if (op->opcode == DEMI_OPC_POP) {
        qr->qr_value.sga.sga_buf = op->buf;
        qr->qr_value.sga.sga_numsegs = 1;
        qr->qr_value.sga.sga_segs[0].sgaseg_buf = (void *)(uintptr_t)op->data;
        qr->qr_value.sga.sga_segs[0].sgaseg_len = op->len;
        if (__builtin_expect(op->has_addr, 0) && op->addr.sa.sa_family == AF_INET)
            qr->qr_value.sga.sga_addr = op->addr.v4;
    } else if (op->opcode == DEMI_OPC_ACCEPT) {
        qr->qr_value.ares.qd = op->new_qd;
        if (op->has_addr && op->addr.sa.sa_family == AF_INET)
            qr->qr_value.ares.addr = op->addr.v4;
    }
    mbr__list_del(&op->node);
    mbr__slab_free(&l->ops, op);
}

int mbr__libos_drive(struct mbr_libos *l, uint64_t timeout_ns,
                     bool (*until)(struct mbr_libos *l, void *arg), void *arg)
{
    uint64_t deadline = timeout_ns == 0 ? 0 : mbr__deadline_ns(timeout_ns);
    uint32_t turns = 0;
    int r = 0;

    for (;;) {
        mbr__sched_run(&l->sched, MBR__SCHED_MAX);
        if (until(l, arg))
            return 0;
        if (r < 0)
            return r;
        /* A peer whose word is news again and again must not keep us from mailbox and deaths. */
        if (__builtin_expect(++turns % KERNEL_TURNS == 0, 0))
            mbr__waitset_poll(&l->ws, true);
        r = mbr__waitset_wait(&l->ws, deadline);
        /* What fired need not have brought us nearer to the end. */
        if (r > 0 && deadline != MBR__NEVER && mbr__now_ns() >= deadline)
            r = -ETIMEDOUT;
    }
}

static bool was_hit(struct mbr_libos *l, void *arg)
{
    (void)arg;
    return l->hit != NULL;
}

void mbr__libos_count_wait(struct mbr_libos *l, bool alone)
{
    if (__builtin_expect(++l->waits >= KERNEL_EVERY, 0)) {
        l->waits = 0;
        if (!alone)
            mbr__waitset_poll(&l->ws, true);
    }
}

static void begin_wait(struct mbr_libos *l)
{
    l->epoch++;
    l->hit = NULL;
    mbr__libos_count_wait(l, l->pending <= 1);
}

/* A pop that is the next one of its pipe needs no look at anything else. */
static void glance_for(struct mbr_libos *l, struct mbr__op *op)
{
    struct mbr__pipe *p = op->pipe;

    if (op->opcode == DEMI_OPC_POP && p != NULL && p->pops.next == &op->node &&
        mbr__pipe_glance(p)) {
        mbr__pipe_progress_pops(p);
        if (op->done)
            l->hit = op;
    }
}

int mbr_wait(struct mbr_libos *l, demi_qtoken_t qt, uint64_t timeout_ns, demi_qresult_t *qr)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__op *op = qr == NULL ? NULL : mbr__slab_from_handle(&l->ops, qt);

    if (op == NULL) {
        r = -EINVAL;
    } else if (!op->done) {
        begin_wait(l);
        op->epoch = l->epoch;
        if (timeout_ns != 0)
            glance_for(l, op);
        if (l->hit == NULL)
            r = mbr__libos_drive(l, timeout_ns, was_hit, NULL);
    }
    if (r == 0)
        deliver(l, op, qr);
    mbr__libos_leave(l);
    return r;
}

/* Marks the operations of a wait. 1 and *hit when one had completed already, 0, or -EINVAL. */
static int mark_all(struct mbr_libos *l, const demi_qtoken_t *qts, int n, struct mbr__op **hit)
{
    for (int i = 0; i < n; i++) {
        struct mbr__op *op = mbr__slab_from_handle(&l->ops, qts[i]);

        if (op == NULL)
            return -EINVAL;
        if (op->epoch == l->epoch)
            continue; /* it stands here twice: its first place counts */
        op->offset = i;
        if (op->done) {
            *hit = op;
            return 1;
        }
        op->epoch = l->epoch;
    }
    return 0;
}

#define MANY_TOKENS 32 /* so many are not looked at before a wait that may end at once */
#define FEW_RESULTS 8  /* results that are compared with the tokens instead */

/* Where a completed operation stands in the array, or -1. Programs keep their arrays and replace
 * the token that they have waited for, so its place is nearly always one of two. */
static int find_offset(const struct mbr_libos *l, const demi_qtoken_t *qts, int n,
                       const struct mbr__op *op)
{
    if (op->offset < n && qts[op->offset] == op->token)
        return op->offset;
    if (l->last_offset < n && qts[l->last_offset] == op->token)
        return l->last_offset;
    for (int i = 0; i < n; i++) {
        if (qts[i] == op->token)
            return i;
    }
    return -1;
}

/* One of the oldest results that the array names, or NULL. */
static struct mbr__op *find_result(struct mbr_libos *l, const demi_qtoken_t *qts, int n)
{
    struct mbr__list *node;
    int looked = 0;

    mbr__list_for_each (node, &l->done) {
        struct mbr__op *op = mbr__container_of(node, struct mbr__op, node);
        int offset = find_offset(l, qts, n, op);

        if (offset >= 0) {
            op->offset = offset;
            return op;
        }
        if (++looked == FEW_RESULTS)
            break;
    }
    return NULL;
}

/* Looks for a result without a look at the tokens of what is pending, of which there may be
 * thousands. A wrong token among so many is then found out by a later wait. */
static struct mbr__op *find_soon(struct mbr_libos *l, const demi_qtoken_t *qts, int n,
                                 uint64_t timeout_ns)
{
    /* Of several results the first in the array counts, and of wrong tokens those before it. */
    if (n < MANY_TOKENS || timeout_ns == 0 || !mbr__list_empty(&l->done) ||
        l->ws.spin.budget == 0 || mbr__waitset_look(&l->ws) == 0)
        return NULL;
    mbr__sched_run(&l->sched, MBR__SCHED_MAX);
    return find_result(l, qts, n);
}

int mbr_wait_any(struct mbr_libos *l, const demi_qtoken_t *qts, int n, uint64_t timeout_ns,
                 demi_qresult_t *qr, int *offset)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    if (qts == NULL || n < 0 || qr == NULL || offset == NULL) {
        mbr__libos_leave(l);
        return -EINVAL;
    }
    begin_wait(l);
    struct mbr__op *op = find_soon(l, qts, n, timeout_ns);

    if (op == NULL)
        r = mark_all(l, qts, n, &op);
    if (op == NULL && r == 0) {
        r = mbr__libos_drive(l, timeout_ns, was_hit, NULL);
        op = l->hit;
    }
    if (r >= 0) {
        MBR_ASSERT(op != NULL);
        *offset = l->last_offset = op->offset;
        deliver(l, op, qr);
        r = 0;
    }
    mbr__libos_leave(l);
    return r;
}

static bool any_done(struct mbr_libos *l, void *arg)
{
    (void)arg;
    return !mbr__list_empty(&l->done);
}

int mbr_wait_next_n(struct mbr_libos *l, int max, uint64_t timeout_ns, demi_qresult_t *qrs, int *n)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    if (qrs == NULL || n == NULL || max < 1) {
        mbr__libos_leave(l);
        return -EINVAL;
    }
    uint64_t deadline = mbr__deadline_ns(timeout_ns);
    int got = 0;

    begin_wait(l);
    while (got < max && r == 0) {
        uint64_t left = timeout_ns;

        if (timeout_ns != 0 && deadline != MBR__NEVER && got > 0) {
            uint64_t now = mbr__now_ns();

            left = now < deadline ? deadline - now : 0;
        }
        r = mbr__libos_drive(l, left, any_done, NULL);
        while (got < max && !mbr__list_empty(&l->done))
            deliver(l, mbr__container_of(mbr__list_first(&l->done), struct mbr__op, node),
                    &qrs[got++]);
    }
    *n = got;
    mbr__libos_leave(l);
    return got == max ? 0 : r;
}

int mbr_cancel(struct mbr_libos *l, demi_qtoken_t qt)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__op *op = mbr__slab_from_handle(&l->ops, qt);

    if (op == NULL) {
        r = -EINVAL;
    } else if (op->done || op->sent > 0 || op->opcode == DEMI_OPC_CLOSE ||
               op->opcode == DEMI_OPC_CONNECT) {
        r = -EALREADY;
    } else {
        mbr__list_del(&op->node);
        mbr__op_complete(l, op, DEMI_OPC_FAILED, ECANCELED);
    }
    mbr__libos_leave(l);
    return r;
}
