/* SPDX-License-Identifier: MIT */
/*
 * Processes through /proc and pidfds: identity and liveness.
 *
 * Every look at another process is a race with its death and with the reuse of its pid. The rule
 * here: first get hold of it (a pidfd, or its directory in /proc, which stays that of the same
 * process), then compare the start time, then believe.
 *
 * Not here: their descriptors (procfd.c), fork marks (fork.c), waiting for a death (event/).
 */
#include "shm/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "shm/scan.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same on every architecture but Alpha */
#endif
/* Room for the text of /proc/PID/stat: 52 numbers of up to 21 characters and a name of 64. */
#define STAT_TEXT 2048

/* ---- /proc/PID/stat -------------------------------------------------------------------------- */

/* Skips n fields, each with the blank that follows it. */
static bool skip_fields(struct mbr__scan *s, int n)
{
    while (n-- > 0) {
        const char *blank = memchr(s->at, ' ', (size_t)(s->end - s->at));

        if (blank == NULL)
            return false;
        s->at = blank + 1;
    }
    return true;
}

int mbr__stat_parse(const char *text, size_t len, struct mbr__stat *out)
{
    struct mbr__scan s = {text, text + len};
    struct mbr__stat st;
    uint64_t pid;

    if (!mbr__scan_u64(&s, 10, MBR__PID_MAX, &pid) || pid == 0)
        return -EPROTO;
    if (!mbr__scan_char(&s, ' ') || !mbr__scan_char(&s, '('))
        return -EPROTO;

    /* The name may contain anything, but after it there are only numbers and one letter: so the
     * last parenthesis is the one that ends it. */
    s.at = memrchr(s.at, ')', (size_t)(s.end - s.at));
    if (s.at == NULL || s.end - s.at < 4 || s.at[1] != ' ' || s.at[3] != ' ')
        return -EPROTO;
    st.pid = (pid_t)pid;
    st.state = s.at[2];
    s.at += 4;

    /* Fields 4 to 19, then num_threads, itrealvalue, starttime (proc(5)). */
    if (!skip_fields(&s, 16) || !mbr__scan_u64(&s, 10, INT32_MAX, &st.threads))
        return -EPROTO;
    if (!mbr__scan_char(&s, ' ') || !skip_fields(&s, 1) ||
        !mbr__scan_u64(&s, 10, UINT64_MAX, &st.start) || !mbr__scan_char(&s, ' '))
        return -EPROTO;
    *out = st;
    return 0;
}

/* Reads a small file whole. -ENOSPC if it does not fit. */
static int read_file(int dir, const char *path, char *buf, size_t size, size_t *len)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    size_t got = 0;
    int err = 0;

    if (fd < 0)
        return -errno;
    while (got < size) {
        ssize_t n = read(fd, buf + got, size - got);

        if (n > 0)
            got += (size_t)n;
        else if (n == 0)
            break;
        else if (errno != EINTR) {
            err = -errno;
            break;
        }
    }
    close(fd);
    if (err == 0 && got == size)
        err = -ENOSPC;
    if (err == 0)
        *len = got;
    return err;
}

/* The stat of `who`, a name in /proc. -ENOENT or -ESRCH if it is not there. */
static int read_stat(const char *who, struct mbr__stat *out)
{
    char path[48];
    char text[STAT_TEXT];
    size_t len = 0;
    int err;

    snprintf(path, sizeof(path), "/proc/%s/stat", who);
    err = read_file(AT_FDCWD, path, text, sizeof(text), &len);
    if (err == -ENOSPC)
        return -EPROTO;
    return err < 0 ? err : mbr__stat_parse(text, len, out);
}

static int read_stat_of(pid_t pid, struct mbr__stat *out)
{
    char who[16];
    struct mbr__stat st;
    int err;

    if (pid <= 0)
        return -ESRCH;
    snprintf(who, sizeof(who), "%d", (int)pid);
    err = read_stat(who, &st);
    if (err == -ENOENT)
        return -ESRCH;
    if (err < 0)
        return err;
    if (st.pid != pid)
        return -EPROTO;
    *out = st;
    return 0;
}

int mbr__proc_start(pid_t pid, uint64_t *out)
{
    struct mbr__stat st;
    int err = read_stat_of(pid, &st);

    if (err == 0)
        *out = st.start;
    return err;
}

/* ---- ourselves ------------------------------------------------------------------------------- */

/* The namespace's number, or 0 where there is no such thing (time namespaces before Linux 5.6). */
static uint64_t namespace_id(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_ino & UINT32_MAX : 0;
}

/* Filled in by whichever threads come first: all write the same values, then the mark they are
 * valid for. A mark of another process than this one makes them void. */
static struct {
    uint64_t start;
    uint64_t ns;
    uint32_t pid;
    uint32_t mark;
} self;

static int read_self(struct mbr__proc *out)
{
    struct mbr__stat st;
    int err = read_stat("self", &st);

    if (err < 0)
        return err == -ESRCH ? -ENOENT : err;
    /* A /proc of another PID namespace: the numbers in it are not those that others know us by. */
    if (st.pid != getpid())
        return -ENOENT;
    out->pid = st.pid;
    out->start = st.start;
    out->ns = namespace_id("/proc/self/ns/time") << 32 | namespace_id("/proc/self/ns/pid");
    return 0;
}

int mbr__proc_self(struct mbr__proc *out)
{
    uint32_t mark = mbr__fork_mark();
    struct mbr__proc me;
    int err;

    /* Pair A with the store below: the three values before it belong to that mark. */
    if (mbr_load_acquire(&self.mark) == mark) {
        out->pid = (pid_t)mbr_load_relaxed(&self.pid);
        out->start = mbr_load_relaxed(&self.start);
        out->ns = mbr_load_relaxed(&self.ns);
        return 0;
    }
    err = read_self(&me);
    if (err < 0)
        return err;
    mbr_store_relaxed(&self.pid, (uint32_t)me.pid);
    mbr_store_relaxed(&self.start, me.start);
    mbr_store_relaxed(&self.ns, me.ns);
    mbr_store_release(&self.mark, mark);
    *out = me;
    return 0;
}

bool mbr__proc_same_namespace(const struct mbr__proc *p)
{
    struct mbr__proc me;

    return p->ns == 0 || mbr__proc_self(&me) < 0 || me.ns == 0 || me.ns == p->ns;
}

/* ---- others ---------------------------------------------------------------------------------- */

/* A process with a dead first thread shows as a zombie though others of its threads run. */
static bool stat_lives(const struct mbr__stat *st)
{
    return (st->state != 'Z' && st->state != 'X' && st->state != 'x') || st->threads > 1;
}

static int open_pidfd(pid_t pid)
{
    long fd;

    if (pid <= 0)
        return -ESRCH;
    fd = syscall(SYS_pidfd_open, pid, 0U);
    if (fd >= 0)
        return (int)fd;
    /* The pid is now that of a mere thread (the errno depends on the kernel): not our process. */
    return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
}

bool mbr__pidfd_dead(int pidfd)
{
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
    int n;

    do {
        n = poll(&pfd, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n > 0 && (pfd.revents & (POLLIN | POLLHUP)) != 0;
}

bool mbr__proc_none(pid_t pid)
{
    int fd = open_pidfd(pid);
    bool dead;

    if (fd < 0)
        return fd == -ESRCH;
    dead = mbr__pidfd_dead(fd);
    close(fd);
    return dead;
}

/* Whether the living process behind pidfd is p: 0, -ESRCH, or why it cannot be told. */
static int check_pidfd(int pidfd, const struct mbr__proc *p)
{
    uint64_t start = 0;
    int err = mbr__proc_start(p->pid, &start);

    /* The order matters: alive now means that the text just read was of this very process. */
    if (mbr__pidfd_dead(pidfd))
        return -ESRCH;
    if (err < 0)
        return err == -ESRCH ? -ENOENT : err;
    return start == p->start ? 0 : -ESRCH;
}

int mbr__proc_pidfd(const struct mbr__proc *p, int *out)
{
    int fd;
    int err;

    if (!mbr__proc_same_namespace(p))
        return -EXDEV;
    fd = open_pidfd(p->pid);
    if (fd < 0)
        return fd;
    err = check_pidfd(fd, p);
    if (err < 0) {
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

/* The same without pidfds: less exact, since a zombie's threads may be about to end. */
static int alive_by_stat(const struct mbr__proc *p)
{
    struct mbr__stat st;
    struct mbr__proc me;
    int err = read_stat_of(p->pid, &st);

    if (err == 0)
        return st.start == p->start && stat_lives(&st);
    if (err != -ESRCH)
        return err;
    /* A /proc that shows not even ourselves proves nothing. Read anew, not from the cache. */
    err = read_self(&me);
    return err < 0 ? err : 0;
}

int mbr__proc_alive(const struct mbr__proc *p)
{
    int fd = -1;
    int err = mbr__proc_pidfd(p, &fd);

    if (err == -ENOSYS || err == -EPERM)
        return alive_by_stat(p);
    if (err < 0)
        return err == -ESRCH ? 0 : err;
    close(fd);
    return 1;
}
