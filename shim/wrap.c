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
int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *a, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t len);
int __wrap_listen(int fd, int backlog);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *len, int flags);
int __wrap_getpeername(int fd, struct sockaddr *a, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
ssize_t __wrap_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *a,
                      socklen_t len);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);

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

int __wrap_socket(int domain, int type, int protocol)
{
    return real.socket(domain, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *a, socklen_t len)
{
    return real.bind(fd, a, len);
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t len)
{
    return real.connect(fd, a, len);
}

int __wrap_listen(int fd, int backlog)
{
    return real.listen(fd, backlog);
}

int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
    return real.accept4(fd, a, len, flags);
}

int __wrap_getpeername(int fd, struct sockaddr *a, socklen_t *len)
{
    return real.getpeername(fd, a, len);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    return real.getsockopt(fd, level, name, value, len);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return real.setsockopt(fd, level, name, value, len);
}

ssize_t __wrap_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *a,
                      socklen_t len)
{
    return real.sendto(fd, buf, n, flags, a, len);
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
    return real.recv(fd, buf, n, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return real.sendmsg(fd, m, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
    return real.recvmsg(fd, m, flags);
}
