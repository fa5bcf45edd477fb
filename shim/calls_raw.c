/* SPDX-License-Identifier: MIT */
/*
 * Programs that go round the C library's calls, but not round the C library: syscall(2), which
 * libuv closes sockets with, and the ways to fork that pthread_atfork() does not know of.
 *
 * What syscall() is asked for is done by the call of that name, so far as its arguments are the
 * same. Not here: ppoll, select and pselect6, which give back how much time was left.
 */
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "calls.h"
#include "fork.h"
#include "real.h"
#include "sandbox.h"

/* ---- forks ----------------------------------------------------------------------------------- */

/* <sched.h> and <linux/sched.h> have different ideas of the rest. */
#define SHARES_MEMORY UINT64_C(0x100) /* CLONE_VM */

static long forked(long pid)
{
    int error = errno;

    shim_fork_end(pid == 0);
    errno = error;
    return pid;
}

SHIM_EXPORT pid_t _Fork(void)
{
    shim_ready();
    shim_fork_begin();
    return (pid_t)forked(real._Fork());
}

struct child {
    int (*run)(void *);
    void *arg;
};

/* In the child, which has a copy of what its parent put there. */
static int begin_child(void *arg)
{
    struct child c = *(struct child *)arg;

    shim_fork_end(true);
    return c.run(c.arg);
}

/* Of the last three some may not be there. */
__attribute__((no_sanitize("address"))) SHIM_EXPORT int clone(int (*run)(void *), void *stack,
                                                              int flags, void *arg, ...)
{
    struct child c = {run, arg};
    void *rest[3];
    va_list ap;
    long r;

    shim_ready();
    va_start(ap, arg);
    for (int i = 0; i < 3; i++)
        rest[i] = va_arg(ap, void *); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(ap);
    if (((unsigned)flags & SHARES_MEMORY) || run == NULL || stack == NULL)
        return real.clone(run, stack, flags, arg, rest[0], rest[1], rest[2]);
    shim_fork_begin();
    r = real.clone(begin_child, stack, flags, &c, rest[0], rest[1], rest[2]);
    return (int)forked(r == 0 ? -1 : r);
}

#if SHIM_RAW_CALLS

/* The child goes on here, with this very stack. */
static long fork_by(long number, const long arg[6])
{
    shim_fork_begin();
    return forked(shim_kernel(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]));
}

/* ---- calls by number ------------------------------------------------------------------------- */

#define N(i) ((int)arg[i])
#define U(i) ((unsigned)arg[i])
#define Z(i) ((size_t)arg[i])
#define L(i) ((socklen_t)arg[i])
#define P(i) ((void *)(uintptr_t)arg[i])

/* X(name, the same by the C library's call) */
#ifdef SYS_poll /* old ones, which newer processors' kernels have not got */
#define RAW_OLD_CALLS(X)                           \
    X(dup2, shim_dup2(N(0), N(1)))                 \
    X(poll, shim_poll(P(0), (nfds_t)arg[1], N(2))) \
    X(epoll_create, shim_epoll_create(N(0)))       \
    X(epoll_wait, shim_epoll_wait(N(0), P(1), N(2), N(3)))
#else
#define RAW_OLD_CALLS(X)
#endif

#define RAW_CALLS(X)                                               \
    X(socket, shim_socket(N(0), N(1), N(2)))                       \
    X(bind, shim_bind(N(0), P(1), L(2)))                           \
    X(listen, shim_listen(N(0), N(1)))                             \
    X(accept, shim_accept(N(0), P(1), P(2)))                       \
    X(accept4, shim_accept4(N(0), P(1), P(2), N(3)))               \
    X(connect, shim_connect(N(0), P(1), L(2)))                     \
    X(getpeername, shim_getpeername(N(0), P(1), P(2)))             \
    X(shutdown, shim_shutdown(N(0), N(1)))                         \
    X(getsockopt, shim_getsockopt(N(0), N(1), N(2), P(3), P(4)))   \
    X(setsockopt, shim_setsockopt(N(0), N(1), N(2), P(3), L(4)))   \
    X(close, shim_close(N(0)))                                     \
    X(close_range, shim_close_range(U(0), U(1), N(2)))             \
    X(dup, shim_dup(N(0)))                                         \
    X(dup3, shim_dup3(N(0), N(1), N(2)))                           \
    X(fcntl, shim_fcntl(N(0), N(1), P(2)))                         \
    X(ioctl, shim_ioctl(N(0), (unsigned long)arg[1], P(2)))        \
    X(read, shim_read(N(0), P(1), Z(2)))                           \
    X(readv, shim_readv(N(0), P(1), N(2)))                         \
    X(write, shim_write(N(0), P(1), Z(2)))                         \
    X(writev, shim_writev(N(0), P(1), N(2)))                       \
    X(recvfrom, shim_recvfrom(N(0), P(1), Z(2), N(3), P(4), P(5))) \
    X(recvmsg, shim_recvmsg(N(0), P(1), N(2)))                     \
    X(recvmmsg, shim_recvmmsg(N(0), P(1), U(2), N(3), P(4)))       \
    X(sendto, shim_sendto(N(0), P(1), Z(2), N(3), P(4), L(5)))     \
    X(sendmsg, shim_sendmsg(N(0), P(1), N(2)))                     \
    X(sendmmsg, shim_sendmmsg(N(0), P(1), U(2), N(3)))             \
    X(sendfile, shim_sendfile(N(0), N(1), P(2), Z(3)))             \
    X(splice, shim_splice(N(0), P(1), N(2), P(3), Z(4), U(5)))     \
    X(execve, shim_execve(P(0), P(1), P(2)))                       \
    X(execveat, shim_execveat(N(0), P(1), P(2), P(3), N(4)))       \
    X(epoll_create1, shim_epoll_create1(N(0)))                     \
    X(epoll_ctl, shim_epoll_ctl(N(0), N(1), N(2), P(3)))           \
    X(epoll_pwait, shim_epoll_pwait(N(0), P(1), N(2), N(3), P(4))) \
    X(epoll_pwait2, shim_epoll_pwait2(N(0), P(1), N(2), P(3), P(4)))

#define X(name, call)                       \
    static long raw_##name(const long *arg) \
    {                                       \
        return call;                        \
    }
RAW_OLD_CALLS(X)
RAW_CALLS(X)
#undef X

#define X(name, call) [SYS_##name] = raw_##name,
static long (*const calls[])(const long *arg) = {RAW_OLD_CALLS(X) RAW_CALLS(X)};
#undef X

/* The child of a clone with a stack of its own cannot return from here, nor from the C library. */
static bool is_fork(long number, const long arg[6])
{
    const struct clone_args *args = P(0);

    if (number == SYS_clone)
        return ((uint64_t)arg[0] & SHARES_MEMORY) == 0 && arg[1] == 0;
#ifdef SYS_fork
    if (number == SYS_fork)
        return true;
#endif
    return number == SYS_clone3 && args != NULL && Z(1) >= CLONE_ARGS_SIZE_VER0 &&
           (args->flags & SHARES_MEMORY) == 0 && args->stack == 0;
}

/* A system call is no point of cancellation. */
static long uncancelled(long (*call)(const long *arg), const long arg[6])
{
    int cancel;
    long r;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    r = call(arg);
    (void)pthread_setcancelstate(cancel, &cancel);
    return r;
}

/* An allocator may come here before anything has been looked up. */
__attribute__((no_sanitize("address"))) SHIM_EXPORT long syscall(long number, ...)
{
    bool ready = __atomic_load_n(&shim_is_ready, __ATOMIC_ACQUIRE) != 0;
    long arg[6];
    va_list ap;

    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(ap, long); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(ap);
    if (ready && number >= 0 && (size_t)number < sizeof(calls) / sizeof(calls[0]) &&
        calls[number] != NULL)
        return uncancelled(calls[number], arg);
    if (number == SYS_seccomp)
        shim_filter_set((unsigned long)arg[0], (unsigned long)arg[1], P(2));
    if (number == SYS_prctl)
        shim_prctl_made(N(0), (unsigned long)arg[1]);
    if (ready && is_fork(number, arg))
        return fork_by(number, arg);
    return shim_kernel(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

#endif
