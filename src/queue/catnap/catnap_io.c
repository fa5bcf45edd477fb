/* SPDX-License-Identifier: MIT */
/*
 * Data through kernel sockets. A receive goes into a buffer that the instance keeps ready; a small
 * message is copied out of it, so that one that is kept for long holds no more memory than it needs
 * and the buffer stays in the cache.
 */
#define _GNU_SOURCE
#include "queue/catnap/catnap.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define COPY_MAX     2048u               /* bytes that are copied out of the instance's buffer */
#define POP_MAX      (UINT32_C(1) << 20) /* of one receive on a stream */
#define DATAGRAM_BUF 65536u

/* ---- popping ---- */

/* The buffer for the next receive, of `size` bytes. */
static struct mbr__buf *receive_buffer(struct mbr_libos *l, size_t size)
{
    if (l->spare != NULL && l->spare->size != size) {
        mbr__buf_unref(l->spare);
        l->spare = NULL;
    }
    if (l->spare == NULL)
        l->spare = mbr__buf_alloc(size);
    return l->spare;
}

/* Hands out what was received into the instance's buffer. False: no memory, nothing is lost. */
static bool give(struct mbr_libos *l, struct mbr__op *op, size_t len)
{
    struct mbr__buf *buf = l->spare;

    if (len <= COPY_MAX) {
        struct mbr__buf *small = mbr__buf_alloc(len > 0 ? len : 1);

        if (small != NULL) {
            memcpy(small->data, buf->data, len);
            buf = small;
        }
    }
    if (buf == l->spare)
        l->spare = NULL;
    op->buf = buf;
    op->data = buf->data;
    op->len = (uint32_t)len;
    mbr__op_complete(l, op, DEMI_OPC_POP, 0);
    return true;
}

static bool failed(struct mbr__sock *s, struct mbr__op *op, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return false;
    mbr__op_complete(s->l, op, DEMI_OPC_FAILED, error);
    return true;
}

static size_t want_bytes(const struct mbr__sock *s, const struct mbr__op *op)
{
    if (s->type == SOCK_DGRAM)
        return DATAGRAM_BUF;
    if (op->max == 0)
        return MBR__STREAM_POP;
    return op->max < POP_MAX ? op->max : POP_MAX;
}

bool mbr__catnap_pop(struct mbr__sock *s, struct mbr__op *op)
{
    size_t want = want_bytes(s, op);
    struct mbr__buf *buf = receive_buffer(s->l, want);
    socklen_t size = sizeof(op->addr);
    ssize_t n;

    if (buf == NULL)
        return failed(s, op, ENOMEM);
    do {
        if (s->type == SOCK_STREAM)
            n = recv(s->u.nap.fd, buf->data, want, MSG_DONTWAIT);
        else
            n = recvfrom(s->u.nap.fd, buf->data, want, MSG_DONTWAIT, &op->addr.sa, &size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return failed(s, op, errno);
    op->has_addr = s->type == SOCK_DGRAM;
    if (s->type == SOCK_DGRAM && op->max != 0 && (size_t)n > op->max)
        n = (ssize_t)op->max;
    return give(s->l, op, (size_t)n);
}

/* ---- pushing ---- */

bool mbr__catnap_push(struct mbr__sock *s, struct mbr__op *op)
{
    const struct sockaddr *to = op->has_addr ? &op->addr.sa : NULL;
    socklen_t size = op->has_addr ? mbr__addr_size(&op->addr) : 0;
    ssize_t n = 0;

    while (n >= 0 && op->sent < op->len) {
        n = sendto(s->u.nap.fd, op->data + op->sent, op->len - op->sent,
                   MSG_NOSIGNAL | MSG_DONTWAIT, to, size);
        if (n >= 0)
            op->sent += (uint32_t)n;
        else if (errno == EINTR)
            n = 0;
    }
    if (n < 0)
        return failed(s, op, errno);
    mbr__catnap_sent(s);
    mbr__op_complete(s->l, op, DEMI_OPC_PUSH, 0);
    return true;
}

/* ---- without operations ---- */

int64_t mbr__catnap_recv(struct mbr__sock *s, void *data, size_t len, unsigned flags,
                         union mbr__addr *from)
{
    int how = MSG_DONTWAIT | ((flags & MBR_SOCK_PEEK) != 0 ? MSG_PEEK : 0) |
              ((flags & MBR_SOCK_TRUNC) != 0 && s->type == SOCK_DGRAM ? MSG_TRUNC : 0);
    socklen_t size = sizeof(*from);
    ssize_t n;

    do
        n = recvfrom(s->u.nap.fd, data, len, how, &from->sa, &size);
    while (n < 0 && errno == EINTR);
    if (s->type == SOCK_STREAM || size == 0)
        from->sa.sa_family = AF_UNSPEC;
    return n < 0 ? -errno : n;
}

int64_t mbr__catnap_send(struct mbr__sock *s, const void *data, size_t len,
                         const union mbr__addr *to)
{
    ssize_t n;

    do
        n = sendto(s->u.nap.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT, to == NULL ? NULL : &to->sa,
                   to == NULL ? 0 : mbr__addr_size(to));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    mbr__catnap_sent(s);
    return n;
}

unsigned mbr__catnap_ready(struct mbr__sock *s, size_t *bytes)
{
    struct pollfd pfd = {.fd = s->u.nap.fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    int n = 0;
    unsigned what = 0;

    (void)poll(&pfd, 1, 0);
    if ((pfd.revents & POLLIN) != 0)
        what |= MBR_READABLE;
    if ((pfd.revents & POLLOUT) != 0)
        what |= MBR_WRITABLE;
    if ((pfd.revents & POLLERR) != 0)
        what |= MBR_SOCK_ERROR;
    if ((pfd.revents & POLLHUP) != 0)
        what |= MBR_SOCK_HANGUP;
    if ((pfd.revents & POLLRDHUP) != 0)
        what |= MBR_SOCK_RDHUP;
    if (bytes != NULL && s->state.current != MBR__SOCK_LISTENING &&
        ioctl(s->u.nap.fd, FIONREAD, &n) == 0 && n > 0)
        *bytes = (size_t)n;
    return what;
}
