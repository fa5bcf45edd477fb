/* SPDX-License-Identifier: MIT */
/*
 * Processes as others see them: who somebody is (pid and start time), whether he lives, how to get
 * at one of his descriptors, and whether we are still the process that made a handle.
 *
 * A pid alone is worthless, it is reused; a pid and the start time of /proc/PID/stat (field 22,
 * clock ticks since boot; proc(5)) name a process for as long as the machine is up. Both mean
 * something only within a PID and a time namespace, so those are remembered beside them.
 */
#ifndef MBR_SHM_PROC_H
#define MBR_SHM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/atomic.h"

#define MBR__PID_MAX (1 << 22) /* the kernel's own limit (PID_MAX_LIMIT) */

struct mbr__proc {
    pid_t pid;
    uint64_t start; /* clock ticks after boot */
    uint64_t ns;    /* which PID and time namespaces the two are counted in; 0 not known: ours */
};

/* The calling process. Cached after the first call, and again after a fork. Thread-safe.
 * Errors: -ENOENT /proc is not mounted, or belongs to another PID namespace; -EPROTO its text was
 * not understood; -EMFILE, -ENFILE. */
int mbr__proc_self(struct mbr__proc *out);

/* Reads the start time of `pid`. -ESRCH no such process (also when /proc hides it or is not there),
 * -EPROTO, -EMFILE, -ENFILE. */
int mbr__proc_start(pid_t pid, uint64_t *out);

/*
 * A pidfd for exactly this process: opened, then pid and start time are checked again, then it is
 * polled once. The descriptor is close-on-exec and becomes readable when the whole process is dead
 * (pidfd_open(2)).
 * Errors: -ESRCH it is dead or was another; -EMFILE, -ENFILE; -ENOSYS before Linux 5.3; -EPERM
 * refused by a sandbox; -ENOENT it lives, but /proc does not show whether it is the one; -EXDEV it
 * is of another namespace.
 */
int mbr__proc_pidfd(const struct mbr__proc *p, int *out);

/*
 * Whether the process lives: 1 yes, 0 no; when it cannot be told: -EXDEV another namespace; -ENOENT
 * no /proc, or it hides the process; -EMFILE, -ENFILE, -EPROTO. Whoever wants to take something
 * over from a process treats these as "lives". Needs no descriptor to stay open. A zombie is dead,
 * a stopped process lives, a process whose first thread ended lives while others run.
 */
int mbr__proc_alive(const struct mbr__proc *p);

/* Whether no process of this pid lives, of the caller's namespace: a tenth of the price, but one
 * that has got the pid of a dead one passes for it. False when it cannot be told. */
bool mbr__proc_none(pid_t pid);

/* Whether a pidfd from mbr__proc_pidfd() says that its process is dead. Never blocks. */
bool mbr__pidfd_dead(int pidfd);

/*
 * Opens descriptor `fd` of a living process through /proc/PID/fd/N with O_NONBLOCK, O_NOCTTY,
 * O_CLOEXEC and `accmode` (O_RDONLY for memory; O_RDWR for a wake pipe: who writes to a pipe whose
 * last reader is gone gets SIGPIPE, unless he is a reader himself). What is behind it is
 * checked on a descriptor that gives no access (O_PATH), so that no device, FIFO on disk or socket
 * is ever opened by mistake: `want` is 'm' (memfd: a nameless tmpfs file called "/memfd:...") or
 * 'p' (pipe:[...]). The start time is checked again afterwards.
 * Errors: -ESRCH gone; -EACCES not allowed (non-dumpable, Landlock, other user); -ENOENT no such
 * descriptor, or no /proc; -EXDEV another namespace; -EPROTO something
 * else is behind it; -EMFILE, -ENFILE.
 */
int mbr__proc_open_fd(const struct mbr__proc *p, int fd, char want, int accmode, int *out);

/* Private to the function below: the wiped page, and finding the mark where it reads 0. */
extern uint32_t *mbr__fork_page;
uint32_t mbr__fork_mark_slow(uint32_t *page);

/*
 * Tells a process from those it was forked from: a number, never 0, that stays the same while a
 * process lives and differs from that of all its ancestors. A handle that remembers the value knows
 * whether it was inherited. Two loads, from a page that the kernel wipes in children
 * (MADV_WIPEONFORK, madvise(2), Linux 4.14; without it the pid). A child of vfork() that has not
 * called exec yet counts as its parent. Thread-safe, cannot fail.
 */
static inline uint32_t mbr__fork_mark(void)
{
    /* Pair A with the compare-and-swap in fork.c: the page was set up before. */
    uint32_t *page = mbr_load_acquire(&mbr__fork_page);
    uint32_t mark = page != NULL ? mbr_load_relaxed(page) : 0;

    return __builtin_expect(mark != 0, 1) ? mark : mbr__fork_mark_slow(page);
}

/* Whether the process's numbers mean the same to us: false only if both namespaces are known and
 * differ. */
bool mbr__proc_same_namespace(const struct mbr__proc *p);

/* What /proc/PID/stat says, for proc.c and its tests. */
struct mbr__stat {
    pid_t pid;
    char state;       /* 'R', 'S', 'Z', ... */
    uint64_t threads; /* in the process; also counts a first thread that has ended already */
    uint64_t start;
};

/* Parses the text. The command's name in it may hold any byte but NUL. -EPROTO. */
int mbr__stat_parse(const char *text, size_t len, struct mbr__stat *out);

#endif
