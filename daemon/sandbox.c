/* SPDX-License-Identifier: MIT */
/*
 * The list of system calls, by what they are for.
 */
#include "sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifndef SANITIZED

#define C(name) SCMP_SYS(name)

static const int needed[] = {
    /* sockets */
    C(accept4),
    C(connect),
    C(getpeername),
    C(getsockname),
    C(getsockopt),
    C(recvfrom),
    C(recvmsg),
    C(sendmsg),
    C(sendto),
    C(setsockopt),
    C(shutdown),
    C(socket),
    C(socketpair),
    C(bind),
    C(listen),
    /* waiting */
    C(epoll_create1),
    C(epoll_ctl),
    C(epoll_pwait),
    C(epoll_pwait2),
    C(epoll_wait),
    C(eventfd2),
    C(poll),
    C(ppoll),
    C(signalfd4),
    C(futex),
    C(nanosleep),
    C(clock_nanosleep),
    C(restart_syscall),
    /* files: the state, the log, the configuration after a live update */
    C(access),
    C(chmod),
    C(fchmod),
    C(fchmodat),
    C(close),
    C(dup),
    C(dup2),
    C(dup3),
    C(faccessat),
    C(faccessat2),
    C(fallocate),
    C(fcntl),
    C(fdatasync),
    C(flock),
    C(fstat),
    C(fstatfs),
    C(fsync),
    C(ftruncate),
    C(getcwd),
    C(getdents64),
    C(ioctl),
    C(lseek),
    C(lstat),
    C(mkdir),
    C(mkdirat),
    C(newfstatat),
    C(open),
    C(openat),
    C(pipe2),
    C(pread64),
    C(preadv),
    C(pwrite64),
    C(pwritev),
    C(read),
    C(readlink),
    C(readlinkat),
    C(readv),
    C(rename),
    C(renameat),
    C(renameat2),
    C(stat),
    C(statfs),
    C(statx),
    C(umask),
    C(unlink),
    C(unlinkat),
    C(write),
    C(writev),
    C(sync_file_range),
    /* memory */
    C(brk),
    C(madvise),
    C(memfd_create),
    C(mmap),
    C(mprotect),
    C(mremap),
    C(msync),
    C(munmap),
    C(mlock),
    C(munlock),
    /* the process and its threads */
    C(arch_prctl),
    C(clock_getres),
    C(clock_gettime),
    C(exit),
    C(exit_group),
    C(getegid),
    C(geteuid),
    C(getgid),
    C(getpid),
    C(getppid),
    C(getrandom),
    C(gettid),
    C(gettimeofday),
    C(getuid),
    C(prlimit64),
    C(rseq),
    C(rt_sigaction),
    C(rt_sigprocmask),
    C(rt_sigreturn),
    C(sched_getaffinity),
    C(sched_yield),
    C(set_robust_list),
    C(get_robust_list),
    C(set_tid_address),
    C(sigaltstack),
    C(sysinfo),
    C(tgkill),
    C(uname),
    C(clone),
    C(clone3),
    C(getrlimit),
    C(membarrier),
    C(time),
};

/* For trying and becoming another binary. */
static const int programs_need[] = {
    C(execve), C(vfork), C(wait4),   C(waitid),  C(pidfd_open),
    C(kill),   C(prctl), C(seccomp), C(setpgid), C(setitimer),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int rc = 0;

    /* What this architecture lacks is left out by libseccomp. */
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (rc == -EDOM || rc == -EINVAL)
            rc = 0;
    }
    return rc;
}

static int load_filter(bool programs)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc;

    if (filter == NULL)
        return -ENOMEM;
    rc = allow(filter, needed, sizeof(needed) / sizeof(needed[0]));
    if (rc == 0 && programs)
        rc = allow(filter, programs_need, sizeof(programs_need) / sizeof(programs_need[0]));
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Hot calls are found by a binary search rather than in a long row. */
    if (rc == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

int sandbox_enter(bool programs)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return load_filter(programs);
}

#else

int sandbox_enter(bool programs)
{
    (void)programs;
    return 0;
}

#endif
