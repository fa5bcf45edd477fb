/* SPDX-License-Identifier: MIT */
/*
 * Probes of kernel features. See probe.h.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Newer than the headers of some systems that we build on. */
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define PAGE  4096
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static int sealed_memory(int *out)
{
    int fd = memfd_create("membrane:doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, PAGE) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0 ||
        fcntl(fd, F_GET_SEALS) != SEALS)
        rc = errno != 0 ? -errno : -ENOTSUP;
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

/* Sealed, and the seal does what it is for: nobody maps it writable any more. */
static int probe_seals(void)
{
    int fd = -1;
    int rc = sealed_memory(&fd);

    if (rc != 0)
        return rc;

    void *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map != MAP_FAILED) {
        (void)munmap(map, PAGE);
        rc = -ENOTSUP;
    }
    (void)close(fd);
    return rc;
}

static int probe_pidfd(void)
{
    long fd = syscall(SYS_pidfd_open, getpid(), 0);

    if (fd < 0)
        return -errno;
    (void)close((int)fd);
    return 0;
}

static int probe_epoll_pwait2(void)
{
    struct epoll_event event;
    struct timespec none = {0};
    int fd = epoll_create1(EPOLL_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (syscall(SYS_epoll_pwait2, fd, &event, 1, &none, NULL, (size_t)0) < 0)
        rc = -errno;
    (void)close(fd);
    return rc;
}

/* Refuses an empty list with EINVAL where it exists. */
static int probe_futex_waitv(void)
{
    if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == 0 || errno == EINVAL)
        return 0;
    return -errno;
}

static int probe_wipeonfork(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = 0;

    if (page == MAP_FAILED)
        return -errno;
    if (madvise(page, PAGE, MADV_WIPEONFORK) != 0)
        rc = -errno;
    (void)munmap(page, PAGE);
    return rc;
}

/* Opens `fd` of process `pid` as a peer does. */
static int open_through_proc(pid_t pid, int fd)
{
    char path[64];
    int opened;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
    opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0)
        return -errno;
    (void)close(opened);
    return 0;
}

/* A child keeps the memory open, and nothing else; its parent opens it. */
static int probe_proc_fd(void)
{
    int fd = -1;
    int rc = sealed_memory(&fd);
    pid_t child;

    if (rc != 0)
        return rc;
    child = fork();
    if (child == 0) {
        for (;;)
            (void)pause();
    }
    rc = child < 0 ? -errno : open_through_proc(child, fd);
    (void)close(fd);
    if (child > 0) {
        (void)kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    return rc;
}

const struct tool_probe tool_probes[] = {
    {"memfd seals",
     "shared memory that can neither be cut off nor written by the peer (memfd_create, "
     "F_SEAL_FUTURE_WRITE; Linux 5.1)",
     "use a newer kernel, or allow memfd_create in the sandbox", true, probe_seals},
    {"pidfd_open", "the news of a peer's death (Linux 5.3)",
     "use a newer kernel, or allow pidfd_open in the sandbox", true, probe_pidfd},
    {"/proc/PID/fd", "peers open each other's memory there; without it they ask each other",
     "mount /proc, or use the same PID namespace for both sides", false, probe_proc_fd},
    {"epoll_pwait2", "waits with nanoseconds; without it they end up to 1 ms late (Linux 5.11)",
     "use a newer kernel, or allow epoll_pwait2 in the sandbox", false, probe_epoll_pwait2},
    {"MADV_WIPEONFORK", "tells a forked child from its parent (Linux 4.14)", "use a newer kernel",
     false, probe_wipeonfork},
    {"futex_waitv", "for information only: waits go through epoll (Linux 5.16)",
     "nothing needs to be done", false, probe_futex_waitv},
    {.name = NULL},
};
