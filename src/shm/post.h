/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes: a unix seqpacket socket in the rendezvous directory through which descriptors are
 * passed.
 *
 * A sender connects, sends one note with up to MBR__POST_FDS descriptors and may close or die at
 * once: the kernel keeps note and descriptors until the mailbox is read (unix(7)). This is how an
 * opener makes itself known to an owner that is not running just then, without losing what it
 * pushed if it is killed before the owner looks; and how an owner hands over descriptors where
 * /proc does not serve (non-dumpable processes, Landlock, other PID namespaces). The mailbox is
 * non-blocking and read from its owner's waits. Senders are identified by SO_PEERCRED.
 *
 * What is not here: what notes say, and who may answer what.
 */
#ifndef MBR_SHM_POST_H
#define MBR_SHM_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/names.h"

#define MBR__POST_MAX 272 /* bytes of a note */
#define MBR__POST_FDS 3

/* Connections that have not said anything yet; beyond that the oldest is dropped. */
#define MBR__POST_SILENT 32

/* One thread at a time. */
struct mbr__mailbox {
    int fd;                       /* to be polled for reading: an epoll set of the other two */
    int listen;                   /* -1 when closed */
    uint32_t mark;                /* mbr__fork_mark() of the process that opened it */
    uint64_t inst;                /* its file is "i.<16 hex digits of inst>" */
    int silent[MBR__POST_SILENT]; /* accepted, not yet heard of; oldest first, -1 where free */
};

struct mbr__note {
    size_t len; /* bytes of data, 1 to MBR__POST_MAX */
    uint8_t data[MBR__POST_MAX];
    int nfds;
    int fds[MBR__POST_FDS]; /* owned by whoever received the note; close-on-exec */
    pid_t pid;              /* of the sender, from the kernel (0 when in another PID namespace) */
    uid_t uid;
};

/* Opens a mailbox with a new random inst, mode 0600, backlog SOMAXCONN. Paths too long for a socket
 * address go through /proc/self/fd. Errors: -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EACCES, -EROFS,
 * -ENOENT the directory was removed, -ENAMETOOLONG (no /proc and a long path). Takes the lock of
 * the directory if n does not have it: waits up to MBR__LOCK_NS, -ETIMEDOUT, -ESTALE. */
int mbr__mailbox_open(struct mbr__names *n, struct mbr__mailbox *out);
/* Closes it and removes its file (not in a forked child: there only the descriptors are closed).
 * A closed one and one of all zeroes are fine. */
void mbr__mailbox_close(struct mbr__names *n, struct mbr__mailbox *m);
/* Removes the file that a dead owner's mailbox has left. -ENOENT; -EPROTO it is no socket. */
int mbr__mailbox_unlink(struct mbr__names *n, uint64_t inst);
/* Whether nobody listens any more; n must have the lock, since a mailbox that is being opened does
 * not listen yet either. A living mailbox is connected to and left at once, which it
 * forgets. False when it cannot be told. */
bool mbr__mailbox_dead(struct mbr__names *n, uint64_t inst);

/*
 * Connects to mailbox `inst` and sends a note (its pid and uid are not used). Never blocks. The
 * descriptors stay the caller's. *conn_out (may be NULL: closed at once) is the connected socket,
 * non-blocking, for an answer. Errors: -ENOENT, -ECONNREFUSED nobody there; -EAGAIN its queue is
 * full; -ETOOMANYREFS, -EMFILE, -ENFILE no descriptors; -ENOMEM; -EPERM the mailbox belongs to
 * another user (a mailbox of root is fine); -EINVAL bad note; -EBADF one of its descriptors is not
 * open; -EACCES not allowed to; -ENAMETOOLONG as above.
 */
int mbr__post_send(struct mbr__names *n, uint64_t inst, const struct mbr__note *note,
                   int *conn_out);

/*
 * Takes the next note that has arrived. *conn_out (may be NULL) is its connection, for an answer. A
 * sender connects and sends in two steps; one that was caught between them is kept and waited for.
 * Errors: -EAGAIN nothing has arrived (or more than 64 silent senders have: m->fd stays readable);
 * -EPROTO a bad note: dropped, its descriptors closed; -EPERM from another user (root may):
 * dropped; -EMFILE, -ENFILE, -ENOMEM no room for it: it is not lost, and m->fd stays readable;
 * -ENOSPC as -ENOMEM, no epoll watch left: a silent sender was dropped. Call again until -EAGAIN or
 * one of the last four.
 */
int mbr__mailbox_take(struct mbr__mailbox *m, struct mbr__note *out, int *conn_out);

/*
 * For when mbr__mailbox_take() finds no descriptor: hangs up on those whose notes `refuse` is true
 * of, who then see the end of their connection instead of waiting. *spare is a descriptor that
 * makes room for looking at one that was not even accepted (-1: there is none); it is made again
 * afterwards, or becomes -1. Everybody else stays as he was.
 */
void mbr__mailbox_shed(struct mbr__mailbox *m, int *spare,
                       bool (*refuse)(const void *data, size_t len));

/* Sends a note over a connection. Never blocks. -EAGAIN its queue is full, -ECONNRESET closed,
 * -EINVAL bad note, -EBADF, -ETOOMANYREFS, -ENOMEM. */
int mbr__conn_send(int conn, const struct mbr__note *note);
/* Receives one from it. Never blocks. -EAGAIN nothing there; -ECONNRESET closed, or an empty
 * message; -EPROTO too long or too many descriptors: it is dropped; -EMFILE, -ENFILE no room for
 * its descriptors: it is not lost. */
int mbr__conn_recv(int conn, struct mbr__note *out);

/* Looks at the bytes of the next note, and at none of its descriptors: how many there are, at most
 * `size`; -EAGAIN nothing there, -ECONNRESET as above. */
ssize_t mbr__conn_glance(int conn, void *data, size_t size);

/* Closes the descriptors of a received note that were not taken over (set to -1). */
void mbr__note_close(struct mbr__note *note);

#endif
