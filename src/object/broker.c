/* SPDX-License-Identifier: MIT */
/*
 * See broker.h. One request and one reply over a connection that blocks for neither side: the
 * daemon's queue for a connection holds one reply.
 */
#define _GNU_SOURCE
#include "object/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "object/memory.h"
#include "shm/post.h"

#include <membrane/store.h>

static_assert(sizeof(struct mbr__broker_request) + MBR_OBJECT_NAME_MAX <= MBR__POST_MAX, "fits");
static_assert(sizeof(struct mbr__broker_reply) + MBR_OBJECT_NAME_MAX <= MBR__POST_MAX, "fits");

/*
 * The daemons to ask, in order: the one that XENSTORED_PATH names and no other; else the system's,
 * because only that one can serve several users, and then the user's own. -ENOENT: that was all.
 */
#define SYSTEM_STORE "/run/membrane/store"
#define DAEMONS      2u

static int daemon_path(uint32_t which, char *path, size_t size)
{
    const char *set = getenv("XENSTORED_PATH");

    if (set == NULL || set[0] == '\0') {
        if (which == 0)
            return snprintf(path, size, "%s", SYSTEM_STORE) < (int)size ? 0 : -ENOENT;
        which -= geteuid() == 0 ? 0 : 1; /* root's own is the system's */
    }
    return which == 0 && mbr_store_path(path, size) == 0 ? 0 : -ENOENT;
}

static int socket_address(uint32_t which, struct sockaddr_un *address)
{
    char path[sizeof(address->sun_path) - sizeof(MBR__BROKER_SUFFIX) + 1];
    int rc = daemon_path(which, path, sizeof(path));

    if (rc != 0)
        return rc;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "%s" MBR__BROKER_SUFFIX, path);
    return 0;
}

/* Waits for room in the daemon's backlog as well as for an answer: connect() on a socket that does
 * not block says -EAGAIN when it is full. */
static int connect_until(int fd, const struct sockaddr_un *address, uint64_t deadline)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        if (mbr__now_ns() >= deadline)
            return -ETIMEDOUT;
        (void)poll(NULL, 0, 1);
    }
    return 0;
}

/* -ECONNREFUSED: no daemon is there. */
static int open_at(const struct sockaddr_un *address, uint64_t deadline, int *out)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = connect_until(fd, address, deadline);
    if (rc != 0)
        (void)close(fd);
    else
        *out = fd;
    return rc == -ENOENT ? -ECONNREFUSED : rc;
}

static int open_session(uint32_t which, uint64_t deadline, int *out)
{
    struct sockaddr_un address;

    return socket_address(which, &address) == 0 ? open_at(&address, deadline, out) : -ECONNREFUSED;
}

#define LONG_NS UINT64_C(1000000000000) /* such deadlines are none */

static int wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd wait = {.fd = fd, .events = events};
    uint64_t now = mbr__now_ns();
    int n;

    if (now >= deadline)
        return -ETIMEDOUT;
    n = poll(&wait, 1, deadline - now < LONG_NS ? (int)((deadline - now + 999999) / 1000000) : -1);
    return n < 0 && errno != EINTR ? -errno : 0;
}

/* Until the note was sent, or taken. */
int mbr__broker_send(int session, const struct mbr__note *note, uint64_t deadline)
{
    int rc;

    while ((rc = mbr__conn_send(session, note)) == -EAGAIN) {
        rc = wait_for(session, POLLOUT, deadline);
        if (rc != 0)
            return rc;
    }
    return rc == -ECONNRESET ? -ECONNREFUSED : rc;
}

int mbr__broker_receive(int session, struct mbr__note *note, uint64_t deadline)
{
    int rc;

    while ((rc = mbr__conn_recv(session, note)) == -EAGAIN) {
        rc = wait_for(session, POLLIN, deadline);
        if (rc != 0)
            return rc;
    }
    return rc == -ECONNRESET ? -ECONNREFUSED : rc;
}

static void write_request(struct mbr__note *note, const struct mbr__broker_request *request,
                          const char *name)
{
    size_t length = name != NULL ? strlen(name) : 0;

    *note = (struct mbr__note){.len = sizeof(*request) + length};
    memcpy(note->data, request, sizeof(*request));
    if (length > 0)
        memcpy(note->data + sizeof(*request), name, length);
}

static int read_reply(struct mbr__note *note, struct mbr__broker_reply *reply)
{
    if (note->len < sizeof(*reply)) {
        mbr__note_close(note);
        return -EPROTO;
    }
    memcpy(reply, note->data, sizeof(*reply));
    if (reply->status > 0 || reply->status < -4095)
        reply->status = -EPROTO;
    if (reply->status != 0)
        mbr__note_close(note);
    return reply->status;
}

/* Sends the request in `note` and leaves the reply there, with its descriptors. While the daemon's
 * disk is at work it is waited for without a deadline: what is done there cannot be taken back. */
static int ask(int session, struct mbr__note *note, struct mbr__broker_reply *reply,
               uint64_t deadline)
{
    int rc = mbr__broker_send(session, note, deadline);

    do {
        if (rc == -EINPROGRESS)
            deadline = UINT64_MAX;
        else if (rc != 0)
            return rc;
        rc = mbr__broker_receive(session, note, deadline);
        if (rc == 0)
            rc = read_reply(note, reply);
    } while (rc == -EINPROGRESS);
    return rc;
}

int mbr__broker_create(const char *name, int group, uint32_t flags, uint32_t policy, int memory,
                       int *session)
{
    struct mbr__broker_request request = {
        .op = MBR__BROKER_CREATE, .group = group, .flags = flags, .cursor = policy};
    uint64_t deadline = mbr__now_ns() + MBR__BROKER_NS;
    struct mbr__broker_reply reply;
    struct mbr__note note;
    int fd = -1;
    int rc = -ECONNREFUSED;

    for (uint32_t which = 0; which < DAEMONS && rc == -ECONNREFUSED; which++)
        rc = open_session(which, deadline, &fd);
    if (rc != 0)
        return rc;
    write_request(&note, &request, name);
    note.fds[0] = memory;
    note.nfds = 1;
    rc = ask(fd, &note, &reply, deadline);
    if (rc == 0) {
        mbr__note_close(&note);
        *session = fd;
    } else {
        (void)close(fd);
    }
    return rc;
}

/* The memory that came with a reply. */
static int take_memory(struct mbr__note *note, int *out)
{
    int rc = note->nfds == 1 ? mbr__object_memory_check(note->fds[0]) : -EPROTO;

    if (rc == 0)
        *out = note->fds[0];
    else
        mbr__note_close(note);
    return rc;
}

static int join_at(uint32_t which, const char *name, struct mbr__broker_found *out)
{
    struct mbr__broker_request request = {.op = MBR__BROKER_JOIN};
    uint64_t deadline = mbr__now_ns() + MBR__BROKER_NS;
    struct mbr__broker_reply reply;
    struct mbr__note note;
    int memory = -1;
    int fd = -1;
    int rc = open_session(which, deadline, &fd);

    if (rc != 0)
        return rc;
    write_request(&note, &request, name);
    rc = ask(fd, &note, &reply, deadline);
    if (rc == 0)
        rc = take_memory(&note, &memory);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *out = (struct mbr__broker_found){.memory = memory,
                                      .session = fd,
                                      .uid = reply.uid,
                                      .group = reply.group,
                                      .flags = reply.flags};
    return 0;
}

int mbr__broker_join(const char *name, struct mbr__broker_found *out)
{
    int first = -ECONNREFUSED;

    for (uint32_t which = 0; which < DAEMONS; which++) {
        int rc = join_at(which, name, out);

        if (rc == 0)
            return 0;
        if (first == -ECONNREFUSED)
            first = rc;
    }
    return first;
}

/* A connection to where OLD leads, whoever listens there now. */
static int open_again(int old, uint64_t deadline, int *out)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof(address);

    if (getpeername(old, (struct sockaddr *)&address, &size) != 0)
        return -ECONNREFUSED;
    if (size >= sizeof(address) || address.sun_path[0] == '\0')
        return -ESTALE; /* it was not got by a name that can be used again */
    address.sun_path[size - offsetof(struct sockaddr_un, sun_path)] = '\0';
    return open_at(&address, deadline, out);
}

int mbr__broker_rejoin(const char *name, int memory, uint64_t deadline, int session)
{
    struct mbr__broker_request request = {.op = MBR__BROKER_REJOIN};
    uint64_t end = mbr__now_ns() + MBR__BROKER_NS;
    struct mbr__broker_reply reply;
    struct mbr__note note;
    int fd = -1;
    int rc;

    end = end < deadline ? end : deadline;
    rc = open_again(session, end, &fd);
    if (rc != 0)
        return rc;
    write_request(&note, &request, name);
    note.fds[0] = memory;
    note.nfds = 1;
    rc = ask(fd, &note, &reply, end);
    if (rc == 0) {
        mbr__note_close(&note);
        if (dup3(fd, session, O_CLOEXEC) < 0)
            rc = -errno;
    }
    (void)close(fd);
    return rc == -EOPNOTSUPP ? -ESTALE : rc; /* an older one */
}

int mbr__broker_remove(int session)
{
    struct mbr__broker_request request = {.op = MBR__BROKER_REMOVE};
    struct mbr__broker_reply reply;
    struct mbr__note note;
    int rc;

    write_request(&note, &request, NULL);
    rc = ask(session, &note, &reply, mbr__now_ns() + MBR__BROKER_NS);
    if (rc == 0)
        mbr__note_close(&note);
    return rc;
}

static int read_entry(const struct mbr__note *note, const struct mbr__broker_reply *reply,
                      struct mbr__broker_entry *out)
{
    size_t length = note->len - sizeof(*reply);

    if (length == 0 || length > MBR_OBJECT_NAME_MAX)
        return -EPROTO;
    *out = (struct mbr__broker_entry){
        .uid = reply->uid, .group = reply->group, .flags = reply->flags, .members = reply->members};
    memcpy(out->name, note->data + sizeof(*reply), length);
    return 1;
}

static int list_at(uint32_t which, uint32_t *cursor, struct mbr__broker_entry *out)
{
    struct mbr__broker_request request = {.op = MBR__BROKER_LIST, .cursor = *cursor};
    uint64_t deadline = mbr__now_ns() + MBR__BROKER_NS;
    struct mbr__broker_reply reply;
    struct mbr__note note;
    int fd = -1;
    int rc = open_session(which, deadline, &fd);

    if (rc != 0)
        return rc;
    write_request(&note, &request, NULL);
    rc = ask(fd, &note, &reply, deadline);
    (void)close(fd);
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    mbr__note_close(&note);
    rc = read_entry(&note, &reply, out);
    if (rc == 1)
        *cursor = reply.cursor;
    return rc;
}

int mbr__broker_list(uint64_t *cursor, struct mbr__broker_entry *out)
{
    int rc = 0;

    /* The daemon in the upper half, its own cursor in the lower. */
    for (uint64_t which = *cursor >> 32; which < DAEMONS; which++) {
        uint32_t at = which == *cursor >> 32 ? (uint32_t)*cursor : 0;

        rc = list_at((uint32_t)which, &at, out);
        if (rc == -ECONNREFUSED || rc == -EACCES) /* none there, or none for us */
            rc = 0;
        if (rc == 1)
            *cursor = which << 32 | at;
        if (rc != 0)
            break;
    }
    return rc;
}
