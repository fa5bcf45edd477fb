/* SPDX-License-Identifier: MIT */
/*
 * The connection of a client's handle: making it, losing it, making it again; bytes out and in.
 *
 * The socket is a blocking one with a time limit for receiving, so that a call that waits for one
 * answer is two system calls, send and receive. Everything that must not block says so with each
 * call (MSG_DONTWAIT).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/client.h"

#define SECOND        UINT64_C(1000000000)
#define PAUSE_FIRST   UINT64_C(1000000)   /* before connecting again, nanoseconds */
#define PAUSE_LAST    UINT64_C(250000000) /* it doubles up to this */
#define PIECES        64                  /* messages in one system call */
#define TIMEVAL_LEAST 1000                /* nanoseconds: 0 would mean for ever */

/* ---- connecting ---- */

static struct timeval timeval_of(uint64_t ns)
{
    struct timeval tv = {0}; /* for ever */

    if (ns / SECOND > INT32_MAX)
        return tv;
    if (ns < TIMEVAL_LEAST)
        ns = TIMEVAL_LEAST;
    tv.tv_sec = (time_t)(ns / SECOND);
    tv.tv_usec = (suseconds_t)(ns % SECOND / 1000);
    return tv;
}

/* What is left until the deadline; 0: it has passed. */
static uint64_t left_until(uint64_t deadline_ns)
{
    uint64_t now;

    if (deadline_ns == MBR__NEVER)
        return MBR__NEVER;
    now = mbr__now_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

/* How long connect(2) may wait for room in the daemon's queue is the socket's limit for sending. */
static int connect_within(int fd, const struct sockaddr_un *address, uint64_t deadline_ns)
{
    uint64_t left = deadline_ns != 0 ? left_until(deadline_ns) : 0;
    struct timeval tv = timeval_of(left);
    int rc;

    if (left != 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
        return -errno;
    if (left == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    do {
        rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    } while (rc == -EINTR && left_until(deadline_ns) > 0);
    if (rc == 0 && left == 0 && fcntl(fd, F_SETFL, 0) < 0)
        return -errno;
    return rc;
}

int mbr__client_connect(struct mbr_store *s, uint64_t deadline_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    int rc;

    if (s->path[0] == '\0')
        return -ENOENT; /* to the kernel it is an abstract name, which anybody may have */
    if (strlen(s->path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    rc = connect_within(fd, &address, deadline_ns);
    if (rc < 0) {
        (void)close(fd);
        return rc == -EPROTOTYPE ? -ENOTSOCK : rc;
    }
    mbr__client_connected(s, fd);
    return 0;
}

void mbr__client_connected(struct mbr_store *s, int fd)
{
    s->fd = fd;
    s->lost = 0;
    s->receive_timeout = 0;
    s->input_length = 0;
    s->sent = 0;
    mbr__client_watches_again(s);
    s->unsent = s->pending.next;
}

/* ---- losing it ---- */

/* What was asked over the lost connection: repeated later, or finished with the error. */
static void settle(struct mbr_store *s, struct mbr__client_msg *m, bool was_sent, int error)
{
    bool again = s->path != NULL && (s->flags & MBR_STORE_STAY_CLOSED) == 0;

    if (m->owner == MBR__CLIENT_OF_WATCH) {
        /* The watch has it and queues it when there is a connection; one without a watch goes. */
        mbr__client_msg_unqueue(s, m);
        if (m->watch == NULL)
            mbr__client_msg_free(m);
        return;
    }
    if (m->type == MBR__XS_UNWATCH || m->type == MBR__XS_RESET_WATCHES) {
        mbr__client_finish(s, m, 0); /* the connection's end has done it */
        return;
    }
    if (m->wire_tx != 0 || !again || (was_sent && !m->repeat)) {
        if (m->owner == MBR__CLIENT_CALLER && m->type == MBR__XS_TRANSACTION_END && !was_sent)
            s->end_unsent = true;
        mbr__client_finish(s, m, error);
    } else if (m->parts) {
        mbr__client_list_anew(m);
    }
}

void mbr__client_lose(struct mbr_store *s, int error)
{
    struct mbr__list *node;
    struct mbr__list *after;
    bool reached = false; /* the first that was not wholly sent */

    if (s->registered)
        (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    s->registered = false;
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    if (s->passed >= 0)
        (void)close(s->passed);
    s->passed = -1;
    s->passed_lost = false;
    s->era++;
    s->lost = error;
    s->news = true;
    s->input_length = 0;
    mbr__list_for_each_safe (node, after, &s->pending) {
        bool begun = !reached;

        if (node == s->unsent) {
            reached = true;
            begun = s->sent > 0;
        }
        settle(s, mbr__container_of(node, struct mbr__client_msg, ready.node), begun, error);
    }
    s->unsent = s->pending.next;
    s->sent = 0;
    s->retry_pause = s->retry_pause == 0 ? PAUSE_FIRST : s->retry_pause * 2;
    if (s->retry_pause > PAUSE_LAST)
        s->retry_pause = PAUSE_LAST;
    /* At once, the first time: a daemon that is started anew is often there already. */
    s->retry_at = s->retry_pause == PAUSE_FIRST ? 0 : mbr__now_ns() + s->retry_pause;
}

/* Sleeps until then; a signal may end it, which does no harm. */
static void sleep_until(uint64_t when)
{
    struct timespec ts = {(time_t)(when / SECOND), (long)(when % SECOND)};

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int attempt(struct mbr_store *s, uint64_t deadline_ns)
{
    int rc = mbr__client_connect(s, deadline_ns);

    if (rc < 0) {
        s->lost = rc;
        s->retry_pause = s->retry_pause * 2 < PAUSE_LAST ? s->retry_pause * 2 : PAUSE_LAST;
        s->retry_at = mbr__now_ns() + s->retry_pause;
    }
    return rc;
}

int mbr__client_revive(struct mbr_store *s, uint64_t deadline_ns)
{
    if (s->fd >= 0 || s->embedded != NULL)
        return 0;
    if (s->path == NULL || (s->flags & MBR_STORE_STAY_CLOSED) != 0)
        return -ENOTCONN;
    for (;;) {
        uint64_t now = mbr__now_ns();

        if (now >= s->retry_at) {
            if (attempt(s, deadline_ns) == 0)
                return 0;
        } else if (deadline_ns == 0 || s->retry_at >= deadline_ns) {
            return s->lost;
        } else {
            sleep_until(s->retry_at);
        }
        if (deadline_ns == 0 || mbr__now_ns() >= deadline_ns)
            return s->lost;
    }
}

/* ---- out ---- */

static int gather(const struct mbr_store *s, struct iovec iov[PIECES])
{
    size_t skip = s->sent;
    int n = 0;

    for (struct mbr__list *node = s->unsent; node != &s->pending && n < PIECES; node = node->next) {
        struct mbr__client_msg *m = mbr__container_of(node, struct mbr__client_msg, ready.node);

        if (skip == 0) {
            const struct mbr__store_header header = {m->type, m->id, m->wire_tx,
                                                     (uint32_t)(m->size - MBR__STORE_HEADER_SIZE)};

            mbr__store_header_pack(m->wire, &header);
        }
        iov[n].iov_base = m->wire + skip;
        iov[n++].iov_len = m->size - skip;
        skip = 0;
    }
    return n;
}

static void note_sent(struct mbr_store *s, size_t n)
{
    while (n > 0) {
        struct mbr__client_msg *m =
            mbr__container_of(s->unsent, struct mbr__client_msg, ready.node);
        size_t left = m->size - s->sent;

        if (n < left) {
            s->sent += n;
            return;
        }
        n -= left;
        s->sent = 0;
        s->unsent = s->unsent->next;
    }
}

void mbr__client_flush(struct mbr_store *s)
{
    if (s->embedded != NULL) {
        (void)mbr__client_embedded_run(s);
        return;
    }
    while (s->fd >= 0 && s->unsent != &s->pending) {
        struct iovec iov[PIECES];
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)gather(s, iov)};
        ssize_t n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n >= 0) {
            note_sent(s, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            /* What it has said before it went may still be there to be read. */
            for (int i = 0; i < MBR__CLIENT_RECEIVES && s->fd >= 0; i++)
                if (mbr__client_receive(s, 0) < 0)
                    break;
            if (s->fd >= 0)
                mbr__client_lose(s, -ECONNRESET);
        }
    }
}

/* ---- in ---- */

static void limit_receiving(struct mbr_store *s)
{
    struct timeval tv = timeval_of(s->timeout_ns);

    if (s->receive_timeout == s->timeout_ns)
        return;
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0)
        s->receive_timeout = s->timeout_ns;
}

/* Waits until there is something to read, or room to send what is left. */
static int await_socket(struct mbr_store *s, uint64_t left)
{
    struct timespec ts = {(time_t)(left / SECOND), (long)(left % SECOND)};
    struct pollfd pfd = {.fd = s->fd, .events = POLLIN};

    if (s->unsent != &s->pending)
        pfd.events |= POLLOUT;
    return ppoll(&pfd, 1, left == MBR__NEVER ? NULL : &ts, NULL) < 0 ? -errno : 0;
}

/* The first receive of a call may wait in the kernel for the handle's whole timeout. */
static bool may_wait_within(struct mbr_store *s, uint64_t deadline_ns, uint64_t left)
{
    if (deadline_ns == 0 || s->nonblocking || s->unsent != &s->pending ||
        left < s->timeout_ns - s->timeout_ns / 64)
        return false;
    limit_receiving(s);
    return s->receive_timeout == s->timeout_ns;
}

/* Keeps the descriptor that came with some bytes; others than one are closed. */
static void keep_passed(struct mbr_store *s, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
            if (s->passed < 0)
                s->passed = fd;
            else
                (void)close(fd);
        }
    }
}

/* Into the buffer, as recv(). Descriptors are taken only while one is asked for: the kernel closes
 * what is not. */
static ssize_t receive_bytes(struct mbr_store *s, int flags)
{
    struct iovec iov = {s->input + s->input_length, MBR__CLIENT_INPUT - s->input_length};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    if (s->fds_wanted == 0)
        return recv(s->fd, iov.iov_base, iov.iov_len, flags);
    n = recvmsg(s->fd, &msg, flags | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return n;
    keep_passed(s, &msg);
    if ((msg.msg_flags & MSG_CTRUNC) != 0)
        s->passed_lost = true;
    return n;
}

int mbr__client_receive(struct mbr_store *s, uint64_t deadline_ns)
{
    uint64_t left = deadline_ns != 0 ? left_until(deadline_ns) : 0;
    bool within;
    ssize_t n;
    int rc;

    if (s->embedded != NULL)
        return mbr__client_embedded_run(s) ? 0 : mbr__client_embedded_wait(s, left);
    if (deadline_ns != 0)
        mbr__client_flush(s);
    if (s->fd < 0)
        return 0;
    within = may_wait_within(s, deadline_ns, left);
    if (!within && left > 0)
        (void)await_socket(s, left);
    n = receive_bytes(s, within ? 0 : MSG_DONTWAIT);
    if (n > 0) {
        s->input_length += (size_t)n;
        rc = mbr__client_parse(s);
        if (rc < 0)
            mbr__client_lose(s, rc);
        /* Also who never stops talking does not keep a call beyond its time. */
        return deadline_ns != 0 && left == 0 ? -ETIMEDOUT : 0;
    }
    if (n == 0) {
        mbr__client_lose(s, -ECONNRESET);
        return 0;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        mbr__client_lose(s, -ECONNRESET);
        return 0;
    }
    if (deadline_ns == 0)
        return -ETIMEDOUT;
    return left_until(deadline_ns) == 0 ? -ETIMEDOUT : 0;
}
