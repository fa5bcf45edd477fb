/* SPDX-License-Identifier: MIT */
/*
 * The calls that move bytes: read, write, the recv and send families, and the checked twins that
 * programs compiled with _FORTIFY_SOURCE call instead.
 *
 * pread, pwrite and lseek are not here: on a socket the kernel says ESPIPE, as it should.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "calls.h"
#include "conn.h"
#include "real.h"

void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *from,
                       socklen_t *len);

static ssize_t finish(struct shim_conn *c, ssize_t r)
{
    shim_conn_put(c);
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

/* As the kernel checks a vector, so that a wrong one is the kernel's error. */
static bool vector_is_fine(const struct iovec *iov, size_t n)
{
    size_t sum = 0;

    if (n > IOV_MAX || (n > 0 && iov == NULL))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len > SSIZE_MAX - sum || (iov[i].iov_base == NULL && iov[i].iov_len > 0))
            return false;
        sum += iov[i].iov_len;
    }
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static ssize_t receive(struct shim_conn *c, int fd, void *buf, size_t n, int flags)
{
    struct iovec iov = {buf, n < SSIZE_MAX ? n : SSIZE_MAX};

    if (buf == NULL && n > 0 && !(flags & MSG_TRUNC))
        return finish(c, -EFAULT);
    return finish(c, shim_receive(c, fd, &iov, 1, flags));
}

SHIM_EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    struct shim_conn *c;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c == NULL)
        return real.read(fd, buf, n);
    return n == 0 ? finish(c, 0) : receive(c, fd, buf, n, 0);
}

SHIM_ALIAS(read);

SHIM_EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    return read(fd, buf, n);
}

SHIM_EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    struct shim_conn *c;

    shim_ready();
    c = shim_conn_busy(fd);
    return c == NULL ? real.recv(fd, buf, n, flags) : receive(c, fd, buf, n, flags);
}

SHIM_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
    if (n > room)
        __chk_fail();
    return recv(fd, buf, n, flags);
}

SHIM_EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
                             socklen_t *len)
{
    struct shim_conn *c;
    ssize_t r;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c == NULL)
        return real.recvfrom(fd, buf, n, flags, from, len);
    r = receive(c, fd, buf, n, flags);
    if (r >= 0 && from != NULL && len != NULL)
        *len = 0; /* a stream has no sender's address */
    return r;
}

SHIM_ALIAS(recvfrom);

SHIM_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
                                   struct sockaddr *from, socklen_t *len)
{
    if (n > room)
        __chk_fail();
    return recvfrom(fd, buf, n, flags, from, len);
}

SHIM_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
    struct shim_conn *c;

    shim_ready();
    c = n < 0 || !vector_is_fine(iov, (size_t)n) ? NULL : shim_conn_busy(fd);
    return c == NULL ? real.readv(fd, iov, n) : finish(c, shim_receive(c, fd, iov, n, 0));
}

SHIM_ALIAS(readv);

SHIM_EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
    struct shim_conn *c;

    shim_ready();
    c = offset != -1 || n < 0 || !vector_is_fine(iov, (size_t)n) ? NULL : shim_conn_busy(fd);
    if (c == NULL)
        return real.preadv2(fd, iov, n, offset, flags);
    return finish(c, shim_receive(c, fd, iov, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
}

SHIM_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    struct shim_conn *c;
    ssize_t r;

    shim_ready();
    c = m == NULL || (flags & (MSG_ERRQUEUE | MSG_OOB)) ||
                !vector_is_fine(m->msg_iov, m->msg_iovlen)
            ? NULL
            : shim_conn_busy(fd);
    if (c == NULL)
        return real.recvmsg(fd, m, flags);
    r = shim_receive(c, fd, m->msg_iov, (int)m->msg_iovlen, flags);
    if (r >= 0) {
        m->msg_namelen = 0;
        m->msg_controllen = 0;
        m->msg_flags = flags & MSG_CMSG_CLOEXEC;
    }
    return finish(c, r);
}

SHIM_ALIAS(recvmsg);

SHIM_EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags,
                         struct timespec *timeout)
{
    struct shim_conn *c;
    uint64_t begin = mbr__now_ns();
    unsigned done = 0;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c == NULL)
        return real.recvmmsg(fd, messages, n, flags, timeout);
    shim_conn_put(c);
    while (done < n && done < 1024) {
        ssize_t r = recvmsg(fd, &messages[done].msg_hdr, flags & ~MSG_WAITFORONE);

        if (r < 0)
            return done > 0 ? (int)done : -1;
        messages[done++].msg_len = (unsigned)r;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (r == 0 ||
            (timeout != NULL && mbr__now_ns() - begin >= (uint64_t)timeout->tv_sec * 1000000000u +
                                                             (uint64_t)timeout->tv_nsec))
            break;
    }
    return (int)done;
}

SHIM_ALIAS(recvmmsg);

/* ---- sending --------------------------------------------------------------------------------- */

static ssize_t transmit(struct shim_conn *c, int fd, const void *buf, size_t n, int flags)
{
    struct iovec iov = {(void *)(uintptr_t)buf, n < SSIZE_MAX ? n : SSIZE_MAX};

    if (buf == NULL && n > 0)
        return finish(c, -EFAULT);
    return finish(c, shim_send(c, fd, &iov, 1, flags));
}

SHIM_EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    struct shim_conn *c;

    shim_ready();
    c = shim_conn_busy(fd);
    return c == NULL ? real.write(fd, buf, n) : transmit(c, fd, buf, n, 0);
}

SHIM_ALIAS(write);

SHIM_EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    struct shim_conn *c;

    shim_ready();
    c = shim_conn_busy(fd);
    return c == NULL ? real.send(fd, buf, n, flags) : transmit(c, fd, buf, n, flags);
}

/* MSG_FASTOPEN connects without connect(): such a connection is never counted from its beginning,
 * so it stays with the kernel. */
static void note_fast_open(int fd, int flags)
{
    struct shim_conn *c = flags & MSG_FASTOPEN ? shim_conn_get(fd) : NULL;

    if (c == NULL)
        return;
    if (c->role == SHIM_NOBODY)
        c->role = SHIM_CLIENT;
    shim_conn_put(c);
}

SHIM_EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags,
                           const struct sockaddr *address, socklen_t len)
{
    struct shim_conn *c;

    shim_ready();
    note_fast_open(fd, flags);
    c = shim_conn_busy(fd);
    if (c == NULL)
        return real.sendto(fd, buf, n, flags, address, len);
    return transmit(c, fd, buf, n, flags); /* a connected stream ignores where to */
}

SHIM_ALIAS(sendto);

SHIM_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
    struct shim_conn *c;

    shim_ready();
    c = n < 0 || !vector_is_fine(iov, (size_t)n) ? NULL : shim_conn_busy(fd);
    return c == NULL ? real.writev(fd, iov, n) : finish(c, shim_send(c, fd, iov, n, 0));
}

SHIM_ALIAS(writev);

SHIM_EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
    struct shim_conn *c;

    shim_ready();
    c = offset != -1 || n < 0 || !vector_is_fine(iov, (size_t)n) ? NULL : shim_conn_busy(fd);
    if (c == NULL)
        return real.pwritev2(fd, iov, n, offset, flags);
    return finish(c, shim_send(c, fd, iov, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
}

/* Another process gets a descriptor: what the kernel has of a connection must be all of it. */
static bool may_pass(const struct msghdr *m)
{
    struct msghdr *all = (struct msghdr *)(uintptr_t)m;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(all); h != NULL; h = CMSG_NXTHDR(all, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) + CMSG_LEN(0) <= h->cmsg_len; at += sizeof(int)) {
            struct shim_conn *c;
            int fd;
            bool fine;

            memcpy(&fd, CMSG_DATA(h) + at, sizeof(fd));
            c = shim_conn_busy(fd);
            if (c == NULL)
                continue;
            fine = shim_conn_pin(c) || shim_return(c, fd, false);
            shim_conn_put(c);
            if (!fine)
                return false;
        }
    }
    return true;
}

SHIM_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct shim_conn *c;

    shim_ready();
    note_fast_open(fd, flags);
    if (shim_settings.rings && m != NULL && m->msg_control != NULL && !may_pass(m)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    c = m == NULL || !vector_is_fine(m->msg_iov, m->msg_iovlen) ? NULL : shim_conn_busy(fd);
    if (c == NULL)
        return real.sendmsg(fd, m, flags);
    return finish(c, shim_send(c, fd, m->msg_iov, (int)m->msg_iovlen, flags));
}

SHIM_ALIAS(sendmsg);

SHIM_EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    struct shim_conn *c;
    unsigned done = 0;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c == NULL) {
        for (unsigned i = 0; shim_settings.rings && messages != NULL && i < n && i < 1024; i++) {
            if (messages[i].msg_hdr.msg_control == NULL || may_pass(&messages[i].msg_hdr))
                continue;
            errno = EOPNOTSUPP;
            return -1;
        }
        return real.sendmmsg(fd, messages, n, flags);
    }
    shim_conn_put(c);
    while (done < n && done < 1024) {
        ssize_t r = sendmsg(fd, &messages[done].msg_hdr, flags);

        if (r < 0)
            return done > 0 ? (int)done : -1;
        messages[done++].msg_len = (unsigned)r;
    }
    return (int)done;
}

SHIM_ALIAS(sendmmsg);
