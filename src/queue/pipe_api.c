/* SPDX-License-Identifier: MIT */
/*
 * The public calls on pipes: argument checks and entry, then queue/catmem/ does the work.
 * <membrane/queue.h> is their contract.
 */
#include <errno.h>

#include "queue/catmem/lend.h"
#include "queue/catmem/pipe.h"
#include "queue/libos.h"
#include "queue/sock.h"

/* ---- creating and opening ---- */

static uint64_t round_up(uint64_t bytes)
{
    uint64_t c = MBR__RING_MIN;

    while (c < bytes)
        c <<= 1;
    return c;
}

/* A one-way end that only receives needs a ring for nothing but returned references: the smallest
 * there is. */
static int pipe_options(const struct mbr_pipe_options *o, uint64_t fallback, uint64_t *capacity,
                        unsigned *flags)
{
    *capacity = fallback;
    *flags = 0;
    if (o == NULL)
        return 0;
    if (o->size < sizeof(*o) || o->capacity > MBR_PIPE_CAPACITY_MAX || o->flags > MBR_PIPE_RECV)
        return -EINVAL;
    *flags = o->flags;
    if (o->flags == MBR_PIPE_RECV)
        *capacity = MBR__RING_MIN;
    else if (o->capacity != 0)
        *capacity = round_up(o->capacity);
    return 0;
}

int mbr_pipe_create(struct mbr_libos *l, const char *name, const struct mbr_pipe_options *options,
                    int *qd)
{
    struct mbr__pipe *p = NULL;
    uint64_t capacity = 0;
    unsigned flags = 0;
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    r = name == NULL || qd == NULL ? -EINVAL
                                   : pipe_options(options, l->capacity, &capacity, &flags);
    if (r == 0)
        r = mbr__session_create(l, name, capacity, flags, &p);
    if (r == 0)
        *qd = p->qd;
    mbr__libos_leave(l);
    return r;
}

int mbr_pipe_open(struct mbr_libos *l, const char *name, const struct mbr_pipe_options *options,
                  int *qd)
{
    struct mbr__pipe *p = NULL;
    uint64_t capacity = 0;
    unsigned flags = 0;
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    r = name == NULL || qd == NULL ? -EINVAL : pipe_options(options, 0, &capacity, &flags);
    if (r == 0)
        r = mbr__session_open(l, name, capacity, flags, &p);
    if (r == 0)
        *qd = p->qd;
    mbr__libos_leave(l);
    return r;
}

/* ---- operations ---- */

int mbr_push(struct mbr_libos *l, int qd, const demi_sgarray_t *sga, demi_qtoken_t *qt)
{
    struct mbr__buf *buf = NULL;
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    /* The array before the descriptor: the order of Demikernel's checks. */
    r = qt == NULL ? -EINVAL : mbr__push_check(sga, &buf);
    if (r == 0) {
        struct mbr__pipe *p = mbr__libos_pipe(l, qd);

        r = __builtin_expect(p != NULL, 1)
                ? mbr__push_begin(p, buf, &sga->sga_segs[0], qt)
                : mbr__sock_push(l, qd, buf, &sga->sga_segs[0], NULL, qt);
    }
    mbr__libos_leave(l);
    return r;
}

static int pop(struct mbr_libos *l, int qd, size_t max, bool in_place, demi_qtoken_t *qt)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__pipe *p = mbr__libos_pipe(l, qd);

    if (qt == NULL)
        r = -EINVAL;
    else if (__builtin_expect(p != NULL, 1))
        r = mbr__pop_begin(p, max, in_place, qt);
    else
        r = mbr__sock_pop(l, qd, max, qt);
    mbr__libos_leave(l);
    return r;
}

int mbr_pop(struct mbr_libos *l, int qd, size_t max, demi_qtoken_t *qt)
{
    return pop(l, qd, max, false, qt);
}

int mbr_pop_in_place(struct mbr_libos *l, int qd, demi_qtoken_t *qt)
{
    return pop(l, qd, 0, true, qt);
}

int mbr_message_left(struct mbr_libos *l, int qd, uint64_t *bytes)
{
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    if (bytes == NULL)
        r = -EINVAL;
    else
        *bytes = p->in.given > 0 ? p->in.total - p->in.given : 0;
    mbr__libos_leave(l);
    return r;
}

/* ---- ending ---- */

void mbr__pipe_end_sending(struct mbr__pipe *p)
{
    p->can_send = false;
    p->sent_end = true;
    mbr__pipe_fail(p, &p->pushes, EBADF);
    if (mbr__ring_end(&p->tx, MBR__RING_END) != 0 && p->attached)
        mbr__pipe_ring(p);
}

void mbr__pipe_end_receiving(struct mbr__pipe *p)
{
    p->can_recv = false;
    mbr__pipe_fail(p, &p->pops, EBADF);
    if (p->attached && mbr__ring_refuse(&p->rx, &p->self->want, MBR__RING_END) != 0)
        mbr__pipe_ring(p);
}

static int shut_pipe(struct mbr__pipe *p, unsigned how)
{
    int r = 0;

    if (!p->creator && !p->announced)
        r = mbr__hello_announce(p); /* the creator must know whose end of file it reads */
    if (r == 0 && (how & MBR_SHUT_SEND) != 0 && p->can_send)
        mbr__pipe_end_sending(p);
    if (r == 0 && (how & MBR_SHUT_RECV) != 0 && p->can_recv)
        mbr__pipe_end_receiving(p);
    return r;
}

int mbr_shutdown(struct mbr_libos *l, int qd, unsigned how)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__pipe *p = mbr__libos_pipe(l, qd);
    struct mbr__sock *s = mbr__libos_sock(l, qd);

    if (p == NULL && s == NULL)
        r = -EBADF;
    else if (how < MBR_SHUT_SEND || how > MBR_SHUT_BOTH)
        r = -EINVAL;
    else
        r = p != NULL ? shut_pipe(p, how) : mbr__sock_shutdown(s, how);
    if (r == 0 && p != NULL && s != NULL)
        s->shut |= (uint8_t)how;
    mbr__libos_leave(l);
    return r;
}

int mbr_close(struct mbr_libos *l, int qd)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__pipe *p = mbr__libos_pipe(l, qd);
    struct mbr__sock *s = mbr__libos_sock(l, qd);

    if (s != NULL || p == NULL) {
        r = s == NULL ? -EBADF : mbr__sock_close(s);
        mbr__libos_leave(l);
        return r;
    }
    struct mbr__op *op = p->close_op;

    mbr__pipe_fail(p, &p->pushes, EBADF);
    mbr__pipe_fail(p, &p->pops, EBADF);
    mbr__session_close(p);
    if (op != NULL)
        mbr__op_complete(l, op, DEMI_OPC_CLOSE, 0);
    mbr__libos_leave(l);
    return 0;
}

int mbr_close_async(struct mbr_libos *l, int qd, demi_qtoken_t *qt)
{
    int r = mbr__libos_enter(l);

    if (r < 0)
        return r;
    struct mbr__pipe *p = mbr__libos_pipe(l, qd);
    struct mbr__sock *s = mbr__libos_sock(l, qd);

    if (s != NULL || p == NULL) {
        r = s == NULL ? -EBADF : mbr__sock_close_async(s, qt);
        mbr__libos_leave(l);
        return r;
    }
    struct mbr__op *op = NULL;

    if (qt == NULL)
        r = -EINVAL;
    else if (p->closing)
        r = -EBADF;
    else if ((op = mbr__op_new(l, p, DEMI_OPC_CLOSE)) == NULL)
        r = -ENOMEM;
    if (r == 0) {
        *qt = op->token;
        p->closing = true;
        p->close_op = op;
        mbr__pipe_end_receiving(p); /* or two ends that close would wait for each other for ever */
        mbr__sched_wake(&p->task);  /* it closes once nothing is left to push */
    }
    mbr__libos_leave(l);
    return r;
}

/* ---- memory ---- */

demi_sgarray_t mbr_sga_alloc(size_t size)
{
    demi_sgarray_t sga = {0};
    struct mbr__buf *buf = mbr__buf_alloc(size);

    if (buf != NULL) {
        sga.sga_buf = buf;
        sga.sga_numsegs = 1;
        sga.sga_segs[0].sgaseg_buf = buf->data;
        sga.sga_segs[0].sgaseg_len = (uint32_t)size;
    }
    return sga;
}

int mbr_lend_alloc(struct mbr_libos *l, int qd, size_t size, demi_sgarray_t *sga)
{
    struct mbr__buf *buf = NULL;
    struct mbr__pipe *p = NULL;
    int r = mbr__pipe_enter(l, qd, &p);

    if (r < 0)
        return r;
    r = sga == NULL ? -EINVAL : p->sock != NULL ? -EOPNOTSUPP : mbr__lend_alloc(p, size, &buf);
    if (r == 0) {
        *sga = (demi_sgarray_t){.sga_buf = buf, .sga_numsegs = 1};
        sga->sga_segs[0].sgaseg_buf = buf->data;
        sga->sga_segs[0].sgaseg_len = (uint32_t)size;
    }
    mbr__libos_leave(l);
    return r;
}

int mbr_sga_free(demi_sgarray_t *sga)
{
    struct mbr__buf *buf =
        sga == NULL || sga->sga_numsegs != 1 ? NULL : mbr__buf_check(sga->sga_buf);

    if (buf == NULL)
        return -EINVAL;
    mbr__buf_unref(buf);
    sga->sga_buf = NULL;
    return 0;
}
