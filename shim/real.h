/* SPDX-License-Identifier: MIT */
/*
 * The C library's own calls, beneath the shim's. Everything in the shim that wants the kernel calls
 * real.read() and so on; code of libmembrane that is linked into the shim reaches them through the
 * linker (--wrap, wrap.c). Nothing in the shim ever calls itself by a libc name.
 */
#ifndef MBR_SHIM_REAL_H
#define MBR_SHIM_REAL_H

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

/* X(result, name, parameters) */
#define SHIM_REAL_CALLS(X)                                                                   \
    X(int, socket, (int, int, int))                                                          \
    X(int, bind, (int, const struct sockaddr *, socklen_t))                                  \
    X(int, listen, (int, int))                                                               \
    X(int, accept, (int, struct sockaddr *, socklen_t *))                                    \
    X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                              \
    X(int, connect, (int, const struct sockaddr *, socklen_t))                               \
    X(int, getpeername, (int, struct sockaddr *, socklen_t *))                               \
    X(int, shutdown, (int, int))                                                             \
    X(int, getsockopt, (int, int, int, void *, socklen_t *))                                 \
    X(int, setsockopt, (int, int, int, const void *, socklen_t))                             \
    X(int, close, (int))                                                                     \
    X(int, close_range, (unsigned, unsigned, int))                                           \
    X(void, closefrom, (int))                                                                \
    X(int, dup, (int))                                                                       \
    X(int, dup2, (int, int))                                                                 \
    X(int, dup3, (int, int, int))                                                            \
    X(int, fcntl, (int, int, ...))                                                           \
    X(int, fcntl64, (int, int, ...))                                                         \
    X(int, ioctl, (int, unsigned long, ...))                                                 \
    X(ssize_t, read, (int, void *, size_t))                                                  \
    X(ssize_t, readv, (int, const struct iovec *, int))                                      \
    X(ssize_t, write, (int, const void *, size_t))                                           \
    X(ssize_t, writev, (int, const struct iovec *, int))                                     \
    X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                        \
    X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                       \
    X(ssize_t, recv, (int, void *, size_t, int))                                             \
    X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))         \
    X(ssize_t, recvmsg, (int, struct msghdr *, int))                                         \
    X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))              \
    X(ssize_t, send, (int, const void *, size_t, int))                                       \
    X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t)) \
    X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                   \
    X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                 \
    X(ssize_t, sendfile, (int, int, off_t *, size_t))                                        \
    X(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned))                       \
    X(int, poll, (struct pollfd *, nfds_t, int))                                             \
    X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))      \
    X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                    \
    X(int, pselect,                                                                          \
      (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))        \
    X(int, epoll_create, (int))                                                              \
    X(int, epoll_create1, (int))                                                             \
    X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                 \
    X(int, epoll_wait, (int, struct epoll_event *, int, int))                                \
    X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))             \
    X(int, epoll_pwait2,                                                                     \
      (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))           \
    X(FILE *, fdopen, (int, const char *))                                                   \
    X(int, vdprintf, (int, const char *, va_list))                                           \
    X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                   \
    X(sighandler_t, signal, (int, sighandler_t))                                             \
    X(sighandler_t, bsd_signal, (int, sighandler_t))                                         \
    X(sighandler_t, sysv_signal, (int, sighandler_t))                                        \
    X(sighandler_t, __sysv_signal, (int, sighandler_t))                                      \
    X(int, execve, (const char *, char *const *, char *const *))                             \
    X(int, execv, (const char *, char *const *))                                             \
    X(int, execvp, (const char *, char *const *))                                            \
    X(int, execvpe, (const char *, char *const *, char *const *))                            \
    X(int, fexecve, (int, char *const *, char *const *))                                     \
    X(int, execveat, (int, const char *, char *const *, char *const *, int))                 \
    X(int, posix_spawn,                                                                      \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
       char *const *, char *const *))                                                        \
    X(int, posix_spawnp,                                                                     \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, \
       char *const *, char *const *))                                                        \
    X(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *, int, int))       \
    X(int, system, (const char *))                                                           \
    X(FILE *, popen, (const char *, const char *))                                           \
    X(sighandler_t, sigset, (int, sighandler_t))                                             \
    X(void, longjmp, (struct __jmp_buf_tag *, int))                                          \
    X(void, _longjmp, (struct __jmp_buf_tag *, int))                                         \
    X(void, siglongjmp, (struct __jmp_buf_tag *, int))                                       \
    X(void, __longjmp_chk, (struct __jmp_buf_tag *, int))                                    \
    X(int, prctl, (int, ...))                                                                \
    X(pid_t, _Fork, (void))                                                                  \
    X(int, clone, (int (*)(void *), void *, int, void *, ...))

struct shim_real {
#define X(result, name, parameters) result(*name) parameters;
    SHIM_REAL_CALLS(X)
#undef X
};

/* Filled by shim_ready(). A function this C library does not have is NULL (epoll_pwait2,
 * closefrom, close_range, _Fork). */
extern struct shim_real real;

/* Looks all of them up; done by the first call of anything in the shim, which may come from the
 * constructor of another library. Cheap afterwards. Any thread. */
void shim_ready_slow(void);
extern int shim_is_ready;

static inline void shim_ready(void)
{
    if (__builtin_expect(!__atomic_load_n(&shim_is_ready, __ATOMIC_ACQUIRE), 0))
        shim_ready_slow();
}

/* A call of the kernel that neither blocks nor is a point of cancellation: for use under a lock.
 * The result is as the C library gives it. */
static inline ssize_t shim_quiet_recv(int fd, void *buf, size_t n, int flags)
{
    return shim_kernel(SYS_recvfrom, fd, buf, n, flags | MSG_DONTWAIT, NULL, NULL);
}

static inline ssize_t shim_quiet_send(int fd, const void *buf, size_t n)
{
    return shim_kernel(SYS_sendto, fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

static inline int shim_quiet_poll(struct pollfd *p, long ns)
{
    struct timespec ts = {.tv_nsec = ns};

    return (int)shim_kernel(SYS_ppoll, p, 1, &ts, NULL, 0);
}

static inline int shim_quiet_nap(long ns)
{
    struct timespec ts = {.tv_nsec = ns};

    return (int)shim_kernel(SYS_nanosleep, &ts, NULL);
}

/* Marks what the library exports; the version script names the same functions. */
#define SHIM_EXPORT __attribute__((visibility("default")))

#endif
