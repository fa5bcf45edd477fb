/* SPDX-License-Identifier: MIT */
/*
 * Calls that move bytes between a connection and a file or pipe (sendfile, splice), and those of
 * stdio that reach the kernel inside the C library, where no shim can follow (fdopen, dprintf).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "calls.h"
#include "conn.h"
#include "real.h"

#define PIECE 65536

int __dprintf_chk(int fd, int flag, const char *format, ...) __attribute__((format(printf, 3, 4)));
int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* ---- out of a file or pipe, into a connection ------------------------------------------------ */

static ssize_t from_file(int fd, void *buf, size_t n, off_t *offset)
{
    ssize_t r = offset != NULL ? pread(fd, buf, n, *offset) : real.read(fd, buf, n);

    return r < 0 ? -errno : r;
}

/* Sends a piece of a file, whole unless the connection does not take it: then the file's offset is
 * set back. */
static ssize_t send_piece(struct shim_conn *c, int out, int in, off_t *offset, char *buf, size_t n)
{
    struct iovec iov = {buf, 0};
    ssize_t got = from_file(in, buf, n, offset);
    ssize_t sent;

    if (got <= 0)
        return got;
    iov.iov_len = (size_t)got;
    sent = shim_send(c, out, &iov, 1, 0);
    if (offset != NULL)
        *offset += sent > 0 ? sent : 0;
    else if (sent < got)
        (void)lseek(in, (sent > 0 ? sent : 0) - got, SEEK_CUR);
    return sent;
}

SHIM_EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t n)
{
    struct shim_conn *c;
    char *buf;
    size_t done = 0;
    ssize_t r = 0;

    shim_ready();
    c = shim_conn_busy(out);
    if (c == NULL)
        return real.sendfile(out, in, offset, n);
    buf = malloc(PIECE);
    if (buf == NULL)
        r = -ENOMEM;
    while (buf != NULL && done < n) {
        size_t want = n - done < PIECE ? n - done : PIECE;

        r = send_piece(c, out, in, offset, buf, want);
        if (r <= 0)
            break;
        done += (size_t)r;
        if ((size_t)r < want)
            break;
    }
    free(buf);
    shim_conn_put(c);
    if (done > 0 || r >= 0)
        return (ssize_t)done;
    errno = (int)-r;
    return -1;
}

SHIM_ALIAS(sendfile);

SHIM_EXPORT ssize_t sendfile64(int out, int in, off_t *offset, size_t n);
SHIM_EXPORT ssize_t sendfile64(int out, int in, off_t *offset, size_t n)
{
    return sendfile(out, in, offset, n);
}

/* Waits until the ring takes something. 0 or a negative errno. */
static int wait_room(int out, bool nonblock)
{
    struct pollfd p = {.fd = out, .events = POLLOUT};

    if (shim_poll(&p, 1, nonblock ? 0 : -1) > 0)
        return 0;
    return nonblock ? -EAGAIN : -EINTR;
}

/* What has been read from the pipe cannot be put back: all of it must go. Another thread may have
 * taken the room by now, else this does not wait. */
static ssize_t send_whole(struct shim_conn *c, int out, const char *buf, size_t n)
{
    size_t sent = 0;

    while (sent < n) {
        struct iovec iov = {(void *)(uintptr_t)(buf + sent), n - sent};
        ssize_t r = shim_send(c, out, &iov, 1, 0);

        if (r == -EAGAIN)
            (void)wait_room(out, false);
        else if (r < 0 && r != -EINTR)
            return sent > 0 ? (ssize_t)sent : r;
        else if (r > 0)
            sent += (size_t)r;
    }
    return (ssize_t)sent;
}

/* One page at most, and no more than there is room for. */
static ssize_t pipe_to_ring(int in, struct shim_conn *c, int out, size_t n, unsigned flags)
{
    char buf[4096];
    struct pollfd p = {.fd = in, .events = POLLIN};
    bool nonblock = (flags & SPLICE_F_NONBLOCK) || mbr_load_relaxed(&c->nonblock);
    int err = wait_room(out, nonblock);
    int64_t room = err == 0 ? shim_room(c) : 0;
    ssize_t got;

    if (err < 0)
        return err;
    if ((flags & SPLICE_F_NONBLOCK) && real.poll(&p, 1, 0) == 0)
        return -EAGAIN;
    n = n < sizeof(buf) ? n : sizeof(buf);
    if (room > 0 && (uint64_t)room < n)
        n = (size_t)room;
    got = real.read(in, buf, n);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    return send_whole(c, out, buf, (size_t)got);
}

static ssize_t pipe_to_conn(int in, struct shim_conn *c, int out, size_t n, unsigned flags)
{
    ssize_t r;

    if (mbr_load_acquire(&c->mode) == SHIM_LOST)
        return -ECONNRESET;
    if (!shim_tx_in_ring(c) && shim_splice_kernel(c, out, in, n, flags, &r))
        return r;
    return pipe_to_ring(in, c, out, n, flags);
}

static ssize_t conn_to_pipe(struct shim_conn *c, int in, int out, size_t n, unsigned flags)
{
    char buf[4096]; /* PIPE_BUF: written whole or not at all */
    struct iovec iov = {buf, n < sizeof(buf) ? n : sizeof(buf)};
    struct pollfd p = {.fd = out, .events = POLLOUT};
    ssize_t got;
    ssize_t put;

    if (real.poll(&p, 1, flags & SPLICE_F_NONBLOCK ? 0 : -1) <= 0)
        return flags & SPLICE_F_NONBLOCK ? -EAGAIN : -EINTR;
    got = shim_receive(c, in, &iov, 1, flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0);
    if (got <= 0)
        return got;
    do {
        put = real.write(out, buf, (size_t)got);
    } while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

SHIM_EXPORT ssize_t splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
    struct shim_conn *c;
    ssize_t r;

    shim_ready();
    if (in_at == NULL && (c = shim_conn_busy(in)) != NULL)
        r = out_at != NULL ? -ESPIPE : conn_to_pipe(c, in, out, n, flags);
    else if (out_at == NULL && (c = shim_conn_busy(out)) != NULL)
        r = in_at != NULL ? -ESPIPE : pipe_to_conn(in, c, out, n, flags);
    else
        return real.splice(in, in_at, out, out_at, n, flags);
    shim_conn_put(c);
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

SHIM_ALIAS(splice);

/* ---- stdio ----------------------------------------------------------------------------------- */

static ssize_t cookie_read(void *cookie, char *buf, size_t n)
{
    return shim_read((int)(intptr_t)cookie, buf, n);
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t n)
{
    ssize_t r = shim_write((int)(intptr_t)cookie, buf, n);

    return r < 0 ? 0 : r; /* fopencookie(3): 0 is the error */
}

static int cookie_close(void *cookie)
{
    return shim_close((int)(intptr_t)cookie);
}

/* A stream reads and writes inside the C library, and closes there too: the connection stays with
 * the kernel, or goes back to it, and leaves the table. If that cannot be, the stream calls us, and
 * fileno() of it says EBADF. */
SHIM_EXPORT FILE *fdopen(int fd, const char *mode)
{
    static const cookie_io_functions_t calls = {
        .read = cookie_read, .write = cookie_write, .close = cookie_close};
    struct shim_conn *c;
    struct shim_object *old = NULL;
    bool kept;

    shim_ready();
    c = shim_conn_get(fd);
    if (c == NULL)
        return real.fdopen(fd, mode);
    kept = shim_conn_pin(c) || shim_return(c, fd, false);
    if (kept && c->epolls == 0) {
        (void)shim_table_set(fd, NULL, &old);
        if (old != NULL)
            shim_unref(old);
    }
    shim_conn_put(c);
    return kept ? real.fdopen(fd, mode) : fopencookie((void *)(intptr_t)fd, mode, calls);
}

__attribute__((format(printf, 2, 0))) static int print(int fd, const char *format, va_list ap)
{
    char *text = NULL;
    int n = vasprintf(&text, format, ap);

    for (int done = 0; done < n;) {
        ssize_t r = shim_write(fd, text + done, (size_t)(n - done));

        if (r < 0 && errno != EINTR) {
            n = -1;
            break;
        }
        done += r > 0 ? (int)r : 0;
    }
    free(text);
    return n;
}

SHIM_EXPORT int vdprintf(int fd, const char *format, va_list ap)
{
    struct shim_conn *c;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c == NULL)
        return real.vdprintf(fd, format, ap);
    shim_conn_put(c);
    return print(fd, format, ap);
}

SHIM_EXPORT int dprintf(int fd, const char *format, ...)
{
    va_list ap;
    int r;

    va_start(ap, format);
    r = vdprintf(fd, format, ap);
    va_end(ap);
    return r;
}

SHIM_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
    (void)flag;
    return vdprintf(fd, format, ap);
}

SHIM_EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list ap;
    int r;

    (void)flag;
    va_start(ap, format);
    r = vdprintf(fd, format, ap);
    va_end(ap);
    return r;
}
