/* SPDX-License-Identifier: MIT */
/*
 * What the code of libmembrane inside the shim gets when it calls read(), close() and so on: the C
 * library, not the shim. The linker (--wrap) sends its calls here.
 */
#include "real.h"

int __wrap_close(int fd);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);
ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

int __wrap_close(int fd)
{
    return real.close(fd);
}

int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    return real.fcntl(fd, cmd, arg);
}

int __wrap_fcntl64(int fd, int cmd, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    return real.fcntl64(fd, cmd, arg);
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
    return real.read(fd, buf, n);
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
    return real.write(fd, buf, n);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    return real.poll(fds, n, timeout);
}
