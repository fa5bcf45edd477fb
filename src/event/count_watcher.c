/* SPDX-License-Identifier: MIT */
/*
 * The watchers of event counts: wait sets that sleep in epoll, not in a count's futex, and must be
 * woken through their bell. All of it is off the fast path: claiming and releasing places, and
 * ringing, which opens the bell anew each time, because a place may change hands at any moment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/log.h"
#include "event/count.h"
#include "event/wait.h"
#include "shm/proc.h"

/* What the bell is told: any number but 0 makes a wait set look at all its silent words. */
#define RUNG 1u

static_assert(MBR__PID_MAX <= 1 << MBR__WATCHER_PID_BITS, "a pid fits");

static uint64_t pack(pid_t pid, int fd)
{
    return (uint64_t)pid | (uint64_t)fd << MBR__WATCHER_PID_BITS;
}

static pid_t pid_of(uint64_t owner)
{
    return (pid_t)(owner & ((UINT64_C(1) << MBR__WATCHER_PID_BITS) - 1));
}

static int fd_of(uint64_t owner)
{
    return (int)(owner >> MBR__WATCHER_PID_BITS & ((UINT64_C(1) << MBR__WATCHER_FD_BITS) - 1));
}

/* Pipes have 32-bit inode numbers of their own, which do not come back soon. */
static int inode_of(int fd, uint32_t *out)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISFIFO(st.st_mode))
        return -EPROTO;
    *out = (uint32_t)st.st_ino;
    return 0;
}

/* ---- the bell -------------------------------------------------------------------------------- */

/* A descriptor that is not there, or is something else, is no bell any more: its owner has called
 * exec, or his pid is another's now. */
static int open_foreign(pid_t pid, int fd, int *out)
{
    struct mbr__proc p = {.pid = pid};
    int r = mbr__proc_start(pid, &p.start);

    /* /proc may hide a living process; the kernel's answer to a signal does not lie. */
    if (r == -ESRCH && (kill(pid, 0) == 0 || errno != ESRCH))
        return -EACCES;
    if (r < 0)
        return r;
    r = mbr__proc_open_fd(&p, fd, 'p', O_RDWR, out);
    return r == -ENOENT || r == -EPROTO ? -ESRCH : r;
}

/* Takes hold of the bell of a place, whatever happens to its owner meanwhile. -ESRCH it is gone,
 * and the place is nobody's; others: it cannot be told. */
static int open_bell(uint64_t owner, uint32_t inode, int *out)
{
    struct mbr__proc me;
    uint32_t found = 0;
    int fd = -1;
    int r = mbr__proc_self(&me); /* without /proc nothing below means anything */

    if (r == 0 && me.pid == pid_of(owner)) {
        fd = fcntl(fd_of(owner), F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            r = errno == EBADF ? -ESRCH : -errno;
    } else if (r == 0) {
        r = open_foreign(pid_of(owner), fd_of(owner), &fd);
    }
    if (r < 0)
        return r;
    r = inode_of(fd, &found);
    if (r < 0 || found != inode) {
        close(fd);
        return -ESRCH;
    }
    *out = fd;
    return 0;
}

static void ring(struct mbr_count *c, struct mbr_count_watcher *w, uint64_t n)
{
    uint32_t token = mbr_load_acquire(&w->armed);
    uint64_t owner = mbr_load_acquire(&w->owner);
    uint32_t inode = mbr_load_relaxed(&w->bell);
    bool reached = mbr__count_token_reached(mbr_load_acquire(&c->value), token);
    int fd = -1;

    /* A token that is being replaced belongs to nobody. Of very long steps a token cannot tell
     * whether they reach its value, so they ring in any case. */
    if (token == 0 || owner == 0 || (owner & MBR__WATCHER_CLAIMING) != 0)
        return;
    if (!reached && n <= MBR__COUNT_STEP)
        return;
    int r = open_bell(owner, inode, &fd);

    if (r == 0) {
        mbr__bell_ring(fd, RUNG);
        close(fd);
    } else if (r != -ESRCH) {
        mbr__log(MBR_LOG_WARNING, "event count: cannot wake process %d: %s", (int)pid_of(owner),
                 mbr_error_text(r));
        return; /* still armed: the next advance tries again */
    }
    /* If the owner has armed anew for the same value, it has seen that the value is reached. */
    if (reached)
        (void)mbr_cas(&w->armed, &token, 0);
}

void mbr__watchers_ring(struct mbr_count *c, uint64_t n)
{
    int saved = errno;

    for (int i = 0; i < MBR_COUNT_WATCHERS; i++)
        ring(c, &c->watcher[i], n);
    errno = saved;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* Whether nobody will miss the place. One who is just claiming it has not said yet which bell is
 * his; so then he must be dead altogether. */
static bool abandoned(const struct mbr_count_watcher *w, uint64_t owner)
{
    uint32_t inode = mbr_load_relaxed(&w->bell);
    int fd = -1;

    if (owner == 0)
        return true;
    if ((owner & MBR__WATCHER_CLAIMING) != 0)
        return kill(pid_of(owner), 0) < 0 && errno == ESRCH;
    int r = open_bell(owner, inode, &fd);

    if (r == 0)
        close(fd);
    return r == -ESRCH;
}

static bool take(struct mbr_count_watcher *w, uint64_t owner, uint64_t mine, uint32_t inode)
{
    uint64_t claiming = mine | MBR__WATCHER_CLAIMING;

    /* In this order nobody rings our bell for what a dead predecessor has left in `armed`. */
    if (!mbr_cas(&w->owner, &owner, claiming))
        return false;
    mbr_store_relaxed(&w->armed, 0);
    mbr_store_relaxed(&w->bell, inode);
    return mbr_cas(&w->owner, &claiming, mine);
}

int mbr__watcher_claim(struct mbr_count *c, int bell, struct mbr_count_watcher **out)
{
    struct mbr__proc me;
    uint32_t inode = 0;
    int r = mbr__proc_self(&me);

    if (r == 0)
        r = inode_of(bell, &inode);
    if (r < 0)
        return r;
    /* Free places first: looking after the dead takes many system calls. */
    for (int i = 0; i < 2 * MBR_COUNT_WATCHERS; i++) {
        struct mbr_count_watcher *w = &c->watcher[i % MBR_COUNT_WATCHERS];
        uint64_t owner = mbr_load_acquire(&w->owner);

        if (i < MBR_COUNT_WATCHERS ? owner != 0 : !abandoned(w, owner))
            continue;
        if (take(w, owner, pack(me.pid, bell), inode)) {
            *out = w;
            return 0;
        }
    }
    return -ENOSPC;
}

void mbr__watcher_release(struct mbr_count_watcher *w)
{
    mbr_store_relaxed(&w->armed, 0);
    mbr_store_release(&w->owner, 0);
}
