/* SPDX-License-Identifier: MIT */
/*
 * Notes over connected sockets: a short message with descriptors, whole or not at all.
 *
 * A message is looked at first and taken from the queue when it has been understood: with
 * MSG_PEEK the kernel hands out duplicates of its descriptors. So a process that has no descriptor
 * left for them keeps the message and can try again.
 *
 * Not here: addresses, listening, who the sender is (post.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/post.h"

/* The control message may come after others and in any alignment the kernel likes; room for one
 * with all descriptors, aligned for its header. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MBR__POST_FDS * sizeof(int))];
};

static void close_fds(const int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

void mbr__note_close(struct mbr__note *note)
{
    if (note == NULL)
        return;
    close_fds(note->fds, note->nfds);
    note->nfds = 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void put_fds(struct msghdr *msg, union control *control, const struct mbr__note *note)
{
    size_t bytes = (size_t)note->nfds * sizeof(int);
    struct cmsghdr *c;

    memset(control, 0, sizeof(*control));
    msg->msg_control = control->bytes;
    msg->msg_controllen = CMSG_SPACE(bytes);
    c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(c), note->fds, bytes);
}

int mbr__conn_send(int conn, const struct mbr__note *note)
{
    /* sendmsg() only reads what the pointer leads to. */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)note->data, .iov_len = note->len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    ssize_t n;

    if (note->len == 0 || note->len > MBR__POST_MAX || note->nfds < 0 || note->nfds > MBR__POST_FDS)
        return -EINVAL;
    if (note->nfds > 0)
        put_fds(&msg, &control, note);
    do {
        n = sendmsg(conn, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    return errno == EPIPE || errno == ENOTCONN ? -ECONNRESET : -errno;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Moves the descriptors that came with a message into the note. False if there were more than fit;
 * those are closed. The kernel can have installed one more than we asked for, in the padding. */
static bool take_fds(struct msghdr *msg, struct mbr__note *note)
{
    bool fit = true;

    note->nfds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (note->nfds < MBR__POST_FDS) {
                note->fds[note->nfds++] = fd;
            } else {
                fit = false;
                close(fd);
            }
        }
    }
    return fit;
}

/* Why the kernel left out descriptors: because there was no room for more in our table (then one
 * more does not fit either), or because there were too many of them. Asked before any is closed. */
static int why_truncated(int conn)
{
    int probe = fcntl(conn, F_DUPFD_CLOEXEC, 0);

    if (probe < 0)
        return -errno;
    close(probe);
    return -EPROTO;
}

/* Looks at the next message without taking it. */
static int peek(int conn, struct mbr__note *note)
{
    struct iovec iov = {.iov_base = note->data, .iov_len = sizeof(note->data)};
    union control control;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    int err = 0;
    ssize_t n;

    do {
        n = recvmsg(conn, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ENOTCONN ? -ECONNRESET : -errno;

    if (!take_fds(&msg, note))
        err = -EPROTO;
    else if ((msg.msg_flags & MSG_CTRUNC) != 0)
        err = note->nfds < MBR__POST_FDS ? why_truncated(conn) : -EPROTO;
    if (err == 0 && (msg.msg_flags & MSG_TRUNC) != 0)
        err = -EPROTO;
    if (err == 0 && n == 0)
        err = -ECONNRESET;
    note->len = (size_t)n;
    if (err < 0)
        mbr__note_close(note);
    return err;
}

ssize_t mbr__conn_glance(int conn, void *data, size_t size)
{
    ssize_t n;

    do
        n = recv(conn, data, size, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    return n == 0 || errno == ENOTCONN ? -ECONNRESET : -errno;
}

/* Takes the message that was looked at; the kernel closes its own references to descriptors. */
static void discard(int conn)
{
    char byte;

    while (recv(conn, &byte, 1, MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
}

int mbr__conn_recv(int conn, struct mbr__note *out)
{
    struct mbr__note note;
    struct ucred who;
    socklen_t len = sizeof(who);
    int err;

    if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return errno == ENOTSOCK ? -EBADF : -errno;
    err = peek(conn, &note);
    if (err == 0 || err == -EPROTO || err == -ECONNRESET)
        discard(conn);
    if (err < 0)
        return err;
    note.pid = who.pid;
    note.uid = who.uid;
    *out = note;
    return 0;
}
