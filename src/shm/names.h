/* SPDX-License-Identifier: MIT */
/*
 * Rendezvous names: a directory of symbolic links whose text is data.
 *
 * A link says which process has what: "pid start fd ..." of a sealed memfd that the reader opens
 * through /proc. When the process dies the link dangles; memory goes with its last user, and
 * whoever comes next takes the name over. Links are read, changed and taken over only under one
 * lock on the directory. Link text is written by processes of the same user (the directory is 0700
 * and its owner and mode are verified), and still it is parsed as hostile input.
 *
 * What is not here: what the links of a pipe mean together (queue/catmem/session.c), sockets
 * (post.h).
 */
#ifndef MBR_SHM_NAMES_H
#define MBR_SHM_NAMES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/proc.h"

#define MBR__NAME_MAX  240 /* bytes of a pipe's name, so that name + suffix is a file name */
#define MBR__LINK_TEXT 192 /* bytes that are enough for the text of any link, with its NUL */

/* Default patience with a lock that somebody keeps (a stopped process), in nanoseconds. */
#define MBR__LOCK_NS UINT64_C(5000000000)

/* What mbr__names_write() calls a link until it is whole. Seen by mbr__names_each() only if a
 * writer was killed; the next writer replaces it, and whoever has the lock may unlink it. */
#define MBR__NAMES_TEMP "#new"

/* One thread at a time. */
struct mbr__names {
    int dir;             /* the directory, open for reading, close-on-exec; -1 when closed */
    uint32_t mark;       /* mbr__fork_mark() of the process that opened it */
    bool locked;         /* by us */
    char path[PATH_MAX]; /* absolute, for messages and for socket addresses */
};

/* What a link says. All of it is bounded when it was read: pid 1 to MBR__PID_MAX, fd >= 0,
 * wake >= -1, state a lower-case letter. */
struct mbr__link {
    struct mbr__proc owner;
    int fd;         /* the owner's memfd */
    int wake;       /* the owner's wake pipe, or -1 */
    char state;     /* a lower-case letter; meaning is the writer's */
    uint64_t id[2]; /* random identity of the region behind fd */
    uint64_t inst; /* names the owner's mailbox: socket "i.<16 hex digits>" in the same directory */
    uint64_t value; /* one number more (a ring position); meaning is the writer's */
};

/*
 * Opens (and creates if need be, mode 0700) the rendezvous directory of the calling user:
 *   $MEMBRANE_DIR if set (absolute, else -EINVAL; its parent must exist);
 *   else, as uid 0, /run/membrane;
 *   else $XDG_RUNTIME_DIR/membrane if set (and absolute), else /run/user/UID/membrane if
 *   /run/user/UID is ours;
 *   else /dev/shm/membrane-UID.
 * Programs that run with more rights than their caller ignore the environment (secure_getenv(3)).
 * The last component is never followed through a symbolic link; it must be a directory, its owner
 * the effective uid and its permissions 0700 or 0711, else -EPERM (somebody squats on the name).
 * The umask does not matter, unless it keeps us from opening what we have just made: -EACCES, and
 * the directory is removed again. Other errors: -EINVAL the last component is "." or ".."; -ENOENT,
 * -ENOTDIR, -EACCES, -ENAMETOOLONG, -EMFILE, -ENFILE, -EROFS, -ENOSPC as open and mkdir say.
 */
int mbr__names_open(struct mbr__names *out);
/* Also unlocks. A closed one and one of all zeroes are fine. */
void mbr__names_close(struct mbr__names *n);

/* Checks a pipe's name: -EINVAL NULL, empty, contains '/' or is not UTF-8 (RFC 3629);
 * -ENAMETOOLONG above MBR__NAME_MAX bytes. */
int mbr__name_check(const char *name);

/*
 * The lock: flock(2) on the directory, tried without blocking and with growing pauses (20 us to
 * 2 ms) until `patience_ns` have passed: then -ETIMEDOUT. 0 tries once. Released by the kernel when
 * its holder dies; unlocked explicitly, since a forked child inherits the description. (So a holder
 * that dies while it holds the lock leaves it to a child that another of its threads forked in
 * between, until that child calls exec or exits.) Not recursive. Each handle has its own
 * description, so threads exclude each other as well. -ESTALE the handle was inherited by fork: its
 * description, and with it the lock, is the parent's. -ENOLCK no memory for locks.
 */
int mbr__names_lock(struct mbr__names *n, uint64_t patience_ns);
/* Does nothing in a forked child. */
void mbr__names_unlock(struct mbr__names *n);

/* The rest need the lock, except read, which may be used without it for a hint. `file` is a bare
 * file name; -EINVAL if it is not. */

/* -ENOENT no such link; -EPROTO there is something that is no link of ours (never followed, never
 * removed or replaced). */
int mbr__names_read(struct mbr__names *n, const char *file, struct mbr__link *out);
/* Creates or replaces the link atomically (a symlink made beside it, then renamed over it).
 * -EINVAL a value out of bounds; -EPROTO as above; -ENOSPC, -EROFS, ... */
int mbr__names_write(struct mbr__names *n, const char *file, const struct mbr__link *l);
/* Removes a link. -ENOENT, -EPROTO as above. */
int mbr__names_remove(struct mbr__names *n, const char *file);

/* Calls fn for each entry but "." and "..", in no order; stops when fn returns non-zero and returns
 * that. fn may remove entries. */
int mbr__names_each(struct mbr__names *n, int (*fn)(void *arg, const char *file), void *arg);

/* Random bytes for identities: getrandom(2), never blocking after boot. Never 0. */
uint64_t mbr__random_id(void);

/*
 * The text of a link: "m1 pid start ns fd wake state id0 id1 inst value", separated by single
 * blanks; pid, start, fd and wake decimal (wake "-" for -1), the others hexadecimal. There is one
 * text for each value, and the parser takes no other.
 *
 * Format writes the text and a NUL and returns its length; -EINVAL a value is out of bounds.
 * Parse: -EPROTO.
 */
int mbr__link_format(const struct mbr__link *l, char out[MBR__LINK_TEXT]);
int mbr__link_parse(const char *text, size_t len, struct mbr__link *out);

#endif
