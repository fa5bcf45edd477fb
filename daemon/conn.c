/* SPDX-License-Identifier: MIT */
/*
 * Framing, flow control and sending; see conn.h. The way of a request that fits into one packet is
 * one recv, the engine, one send: nothing is allocated, copied or asked of epoll.
 */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "log.h"
#include "ring.h"
#include "user.h"

/* ---- making and ending -------------------------------------------------------------------------
 */

static void ready(struct source *self, uint32_t events)
{
    struct conn *conn = mbr__container_of(self, struct conn, source);

    if (conn->dead)
        return;
    if ((events & EPOLLOUT) != 0)
        conn_flush(conn);
    if ((events & EPOLLIN) != 0 && !conn->blocked && !conn->ended)
        conn_receive(conn);
    /* Both directions are shut: what is still to be read was read above, turn by turn. */
    else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        conn_close(conn);
}

/* Asks epoll for what the connection can use now; it forgets nothing by being asked twice. */
static void ask(struct conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &conn->source};

    if (conn->events == events || conn->dead)
        return;
    if (conn->fd < 0) {
        conn->events = events; /* a ring is looked at, not asked for */
        return;
    }
    if (epoll_ctl(conn->server->epoll, EPOLL_CTL_MOD, conn->fd, &event) != 0) {
        conn_close(conn);
        return;
    }
    conn->events = events;
}

static struct conn *make(struct server *server)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->source.ready = ready;
    conn->server = server;
    conn->fd = -1;
    mbr__list_init(&conn->node);
    mbr__list_init(&conn->dirty);
    mbr__list_init(&conn->resumable);
    mbr__list_init(&conn->closing);
    mbr__list_init(&conn->later);
    mbr__list_init(&conn->passed);
    return conn;
}

/* Puts a connection with its socket or ring into the loop. */
static int enlist(struct conn *conn)
{
    struct server *server = conn->server;

    if (conn->fd >= 0) {
        int rc = server_add(server, conn->fd, &conn->source, EPOLLIN);

        if (rc != 0)
            return rc;
        conn->events = EPOLLIN;
    }
    mbr__store_conn_set_user(conn->store_conn, conn);
    conn->domid = mbr__store_conn_domid(conn->store_conn);
    mbr__list_push_back(&server->conns, &conn->node);
    server->count++;
    if (conn->user != NULL)
        user_join(conn->user);
    return 0;
}

int conn_adopt(struct server *server, struct mbr__store_conn *store_conn, int fd, struct ring *ring,
               struct user *user, struct conn **out)
{
    struct conn *conn = make(server);
    int rc;

    if (conn == NULL)
        return -ENOMEM;
    conn->store_conn = store_conn;
    conn->fd = fd;
    conn->ring = ring;
    conn->user = user;
    rc = enlist(conn);
    if (rc != 0) {
        free(conn);
        return rc;
    }
    if (ring != NULL)
        ring_attach(ring, conn);
    *out = conn;
    return 0;
}

static int open_any(struct server *server, int fd, struct ring *ring, uint32_t domid,
                    uint32_t flags, struct user *user, struct conn **out)
{
    struct mbr__store_conn *store_conn;
    int rc = mbr__store_conn_new(server->store, server->next_conn, domid, flags, NULL, &store_conn);

    if (rc != 0)
        return rc;
    server->next_conn++;
    rc = conn_adopt(server, store_conn, fd, ring, user, out);
    if (rc != 0)
        mbr__store_conn_free(store_conn);
    return rc;
}

int conn_open(struct server *server, int fd, uint32_t domid, bool privileged, struct user *user,
              struct conn **out)
{
    int rc = open_any(server, fd, NULL, domid, privileged ? MBR__STORE_PRIVILEGED : 0, user, out);

    if (rc != 0)
        (void)close(fd);
    return rc;
}

int conn_open_ring(struct server *server, struct ring *ring, uint32_t domid, struct conn **out)
{
    return open_any(server, -1, ring, domid, 0, NULL, out);
}

void conn_close(struct conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    mbr__list_del(&conn->dirty);
    mbr__list_del(&conn->resumable);
    mbr__list_del(&conn->later);
    mbr__list_del(&conn->closing); /* a ring's place among the rings */
    mbr__list_push_back(&conn->server->closing, &conn->closing);
}

static void drop_passed(struct passed *passed)
{
    for (int i = 0; i < passed->count; i++)
        (void)close(passed->fds[i]);
    free(passed);
}

void conn_free(struct conn *conn)
{
    struct server *server = conn->server;
    struct mbr__list *node;
    struct mbr__list *after;

    mbr__list_del(&conn->node);
    mbr__list_del(&conn->closing);
    mbr__store_conn_free(conn->store_conn);
    mbr__list_for_each_safe (node, after, &conn->passed) {
        drop_passed(mbr__container_of(node, struct passed, node));
    }
    if (conn->fd >= 0) {
        server_remove(server, conn->fd);
        (void)close(conn->fd);
    }
    ring_free(conn->ring);
    control_drop(conn);
    spare_give(&server->spares, conn->pending);
    server->count--;
    if (conn->user != NULL)
        user_leave(conn->user);
    else
        guest_check(server, conn);
    free(conn);
    server_accept_again(server);
}

void conn_complain(struct conn *conn, const char *what)
{
    if (conn->complained)
        return;
    conn->complained = true;
    log_warning("client misbehaves: conn=%llu domid=%u: %s",
                (unsigned long long)mbr__store_conn_id(conn->store_conn),
                mbr__store_conn_domid(conn->store_conn), what);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

int conn_keep(struct conn *conn, const unsigned char *bytes, size_t length)
{
    if (length == 0) {
        spare_give(&conn->server->spares, conn->pending);
        conn->pending = NULL;
    } else if (conn->pending == NULL) {
        conn->pending = spare_take(&conn->server->spares);
        if (conn->pending == NULL)
            return -ENOMEM;
    }
    if (length != 0 && bytes != NULL)
        memmove(conn->pending, bytes, length);
    conn->pending_length = (uint32_t)length;
    return 0;
}

/* Stops taking requests; `list` is where the reason to go on will be found, or NULL. */
static void block(struct conn *conn, struct mbr__list *list)
{
    conn->blocked = true;
    ask(conn, conn->events & ~(uint32_t)EPOLLIN);
    if (list != NULL && mbr__list_empty(&conn->resumable) && !conn->dead)
        mbr__list_push_back(list, &conn->resumable);
}

static bool too_much_unread(const struct conn *conn)
{
    return mbr__store_conn_queued(conn->store_conn) > conn->server->unread_limit;
}

/* What became of a request. True if the next one may follow. */
static bool judge(struct conn *conn, int rc)
{
    switch (rc) {
    case 0:
        break;
    case -EBUSY:
        block(conn, NULL); /* the engine's `resume` ends it */
        return false;
    case -ENOMEM:
        block(conn, &conn->server->starved);
        return false;
    case -EMSGSIZE:
        conn_complain(conn, "a message longer than 4096 bytes");
        if (conn->ring != NULL)
            ring_fail(conn->ring, RING_ERROR_PROTOCOL);
        else
            conn_close(conn);
        return false;
    default: /* -EPIPE: broken, and to be closed already */
        conn_close(conn);
        return false;
    }
    if (conn->call != NULL) {
        /* Its answer comes at the end of the turn, and the engine takes nothing until then. */
        block(conn, NULL);
        return false;
    }
    if (too_much_unread(conn)) {
        block(conn, NULL); /* conn_flush() ends it */
        return false;
    }
    return true;
}

/* Offers whole messages to the engine; the bytes that were taken. */
static size_t offer(struct conn *conn, const unsigned char *bytes, size_t length)
{
    size_t taken = 0;

    while (length - taken >= MBR__STORE_HEADER_SIZE) {
        struct mbr__store_header header;
        int rc = -EMSGSIZE;

        mbr__store_header_parse(&header, bytes + taken);
        if (header.len <= MBR__STORE_PAYLOAD_MAX) {
            if (length - taken - MBR__STORE_HEADER_SIZE < header.len)
                break;
            rc = mbr__store_request(conn->store_conn, &header,
                                    bytes + taken + MBR__STORE_HEADER_SIZE);
        }
        if (rc == 0)
            taken += MBR__STORE_HEADER_SIZE + header.len;
        if (!judge(conn, rc))
            break;
    }
    return taken;
}

static void keep_rest(struct conn *conn, const unsigned char *bytes, size_t length)
{
    if (conn->dead || (length == 0 && conn->pending == NULL))
        return;
    if (conn_keep(conn, bytes, length) != 0) {
        conn_complain(conn, "no memory for its unfinished message");
        conn_close(conn);
    }
}

/* Nothing more will come: it lives until it has been answered. */
static void end_of_input(struct conn *conn)
{
    conn->ended = true;
    if (!conn->blocked && mbr__store_conn_queued(conn->store_conn) == 0)
        conn_close(conn);
    else
        ask(conn, conn->events & ~(uint32_t)EPOLLIN);
}

static ssize_t take_bytes(struct conn *conn, unsigned char *into, size_t size)
{
    ssize_t n;

    if (conn->ring != NULL)
        return ring_receive(conn->ring, into, size);
    n = recv(conn->fd, into, size, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

void conn_receive(struct conn *conn)
{
    struct server *server = conn->server;
    unsigned char *input = server->input;
    size_t have = conn->pending_length;
    ssize_t n;

    if (have != 0)
        memcpy(input, conn->pending, have);
    n = take_bytes(conn, input + have, SERVER_BUDGET);
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n < 0) {
        conn_close(conn);
        return;
    }
    if (n == 0) {
        end_of_input(conn);
        return;
    }

    size_t taken = offer(conn, input, have + (size_t)n);

    keep_rest(conn, input + taken, have + (size_t)n - taken);
}

void conn_resume(struct conn *conn)
{
    size_t length = conn->pending_length;
    size_t taken;

    if (conn->dead || !conn->blocked || conn->call != NULL || too_much_unread(conn))
        return;
    conn->blocked = false;
    taken = offer(conn, conn->pending, length);
    /* What follows moves within `pending`, so that this cannot fail. */
    keep_rest(conn, taken != 0 ? conn->pending + taken : conn->pending, length - taken);
    if (conn->blocked || conn->dead)
        return;
    if (conn->ended)
        end_of_input(conn);
    else if (conn->ring != NULL)
        ring_look(conn->ring);
    else
        ask(conn, conn->events | EPOLLIN);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

int conn_pass(struct conn *conn, const int *fds, int count)
{
    struct passed *passed = malloc(sizeof(*passed));

    if (passed == NULL) {
        for (int i = 0; i < count; i++)
            (void)close(fds[i]);
        return -ENOMEM;
    }
    passed->place = conn->sent + mbr__store_conn_queued(conn->store_conn);
    passed->count = count;
    memcpy(passed->fds, fds, (size_t)count * sizeof(*fds));
    mbr__list_push_back(&conn->passed, &passed->node);
    return 0;
}

/* The first descriptors that are still to be sent, or NULL. */
static struct passed *first_passed(struct conn *conn)
{
    struct mbr__list *node = mbr__list_first(&conn->passed);

    return node != NULL ? mbr__container_of(node, struct passed, node) : NULL;
}

/* Cuts IOV to LENGTH bytes in all. */
static int cut(struct iovec *iov, int count, size_t length)
{
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len >= length) {
            iov[i].iov_len = length;
            return i + 1;
        }
        length -= iov[i].iov_len;
    }
    return count;
}

/* Sends IOV, with PASSED's descriptors if it is not NULL. */
static ssize_t send_with(struct conn *conn, struct iovec *iov, int count, struct passed *passed)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * PASSED_MAX)];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n;

    if (passed != NULL) {
        size_t size = sizeof(int) * (size_t)passed->count;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(size);
        control.align = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), passed->fds, size);
    }
    n = sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

/* Where descriptors are due, what stands before them goes first, alone. */
static ssize_t send_passing(struct conn *conn, struct iovec *iov, int count)
{
    struct passed *passed = first_passed(conn);
    ssize_t n;

    if (passed->place > conn->sent)
        return send_with(conn, iov, cut(iov, count, passed->place - conn->sent), NULL);
    n = send_with(conn, iov, count, passed);
    if (n > 0) {
        mbr__list_del(&passed->node);
        drop_passed(passed);
    }
    return n;
}

static ssize_t give_bytes(struct conn *conn, struct iovec *iov, int count)
{
    ssize_t n;

    if (conn->ring != NULL)
        return ring_send(conn->ring, iov, count);
    if (!mbr__list_empty(&conn->passed))
        return send_passing(conn, iov, count);
    if (count > 1)
        return send_with(conn, iov, count, NULL);
    n = send(conn->fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

/* Everything that could be sent now was. */
static void after_flush(struct conn *conn, bool full)
{
    if (full)
        ask(conn, conn->events | EPOLLOUT);
    else
        ask(conn, conn->events & ~(uint32_t)EPOLLOUT);
    if (conn->blocked && mbr__list_empty(&conn->resumable) && !too_much_unread(conn) &&
        conn->call == NULL && mbr__store_conn_ready(conn->store_conn) && !conn->dead)
        mbr__list_push_back(&conn->server->resumable, &conn->resumable);
    if (conn->ended && !conn->blocked && mbr__store_conn_queued(conn->store_conn) == 0)
        conn_close(conn);
}

void conn_flush(struct conn *conn)
{
    struct iovec iov[2];
    bool full = false;
    int count;

    if (conn->dead)
        return;
    while (!full && (count = mbr__store_conn_peek(conn->store_conn, iov)) > 0) {
        size_t total = iov[0].iov_len + (count > 1 ? iov[1].iov_len : 0);
        bool passing = !mbr__list_empty(&conn->passed);
        ssize_t n = give_bytes(conn, iov, count);

        if (n == -EINTR)
            continue;
        if (n < 0 && n != -EAGAIN) {
            conn_close(conn);
            return;
        }
        full = n < 0 || ((size_t)n < total && !passing);
        if (n > 0) {
            conn->sent += (uint64_t)n;
            mbr__store_conn_consume(conn->store_conn, (size_t)n);
        }
    }
    after_flush(conn, full);
}
