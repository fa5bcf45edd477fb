/* SPDX-License-Identifier: MIT */
/*
 * Connecting to a server of catloop, which has no socket that the kernel could connect to. We make
 * one for a moment, at the very address, connect the program's socket to it, and send the end that
 * is accepted to the server's mailbox. From then on there is nothing between the two.
 *
 * A blocking connect waits for the server's answer, so that it is refused where catloop refuses: no
 * such server any more, its backlog full. But TCP's connects do not depend on the other program's
 * being in the mood, so after a while it is as one that does not block from the beginning: it
 * counts, and is reset if it is refused later.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "conn.h"
#include "directory.h"
#include "door.h"
#include "queue/catloop/guest.h"
#include "queue/catloop/listens.h"
#include "real.h"
#include "shm/post.h"
#include "shm/proc.h"

#define ANSWER_NS   UINT64_C(1000000000) /* how long a blocking connect waits for the server */
#define ARRIVE_NS   UINT64_C(1000000000) /* for the kernel to connect two sockets of ours */
#define TRIES       100   /* at an address where another client has its socket for a moment, */
#define MOMENT_NS   50000 /* and the pauses between them */
#define POST_TRIES  50    /* at a mailbox that is full */
#define POST_NAP_NS 1000000
#define BACKLOG     16 /* of our socket: strangers may come to it as well, and are sent away */

/* ---- whom it leads to ------------------------------------------------------------------------ */

/* The address as catloop knows it; to connect to the wildcard is to connect to this host. */
static bool target_of(const struct sockaddr *address, socklen_t len, union mbr__addr *out)
{
    static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;

    memset(out, 0, sizeof(*out));
    if (address == NULL || len < sizeof(out->v4))
        return false;
    if (address->sa_family == AF_INET) {
        memcpy(&out->v4, address, sizeof(out->v4));
    } else if (address->sa_family == AF_INET6 && len >= sizeof(out->v6)) {
        memcpy(&out->v6, address, sizeof(out->v6));
        out->v6.sin6_flowinfo = out->v6.sin6_scope_id = 0;
        if (IN6_IS_ADDR_V4MAPPED(&out->v6.sin6_addr)) {
            struct sockaddr_in6 mapped = out->v6;

            mbr__addr_any(AF_INET, out);
            out->v4.sin_port = mapped.sin6_port;
            memcpy(&out->v4.sin_addr, &mapped.sin6_addr.s6_addr[12], 4);
        }
    } else {
        return false;
    }
    if (mbr__addr_is_any(out) && out->sa.sa_family == AF_INET)
        out->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (mbr__addr_is_any(out))
        out->v6.sin6_addr = loopback;
    return mbr__addr_port(out) != 0;
}

/* The living server of catloop that has an address, if one has. */
static bool find_server(const union mbr__addr *to, struct mbr__link *out)
{
    bool found = false;

    if (shim_latch(&shim_names_latch, true) < 0)
        return false;
    if (shim_names_open())
        found = mbr__address_peek(&shim_names, SOCK_STREAM, to, out) == 0;
    if (found && out->value == MBR__NAME_SHARED) /* any of them */
        found = mbr__address_find(&shim_names, SOCK_STREAM, to, out) == 0;
    shim_unlatch(&shim_names_latch);
    return found && out->state == 'l' && mbr__proc_alive(&out->owner) != 0;
}

/* ---- both ends ------------------------------------------------------------------------------- */

/* Under *at in the end, which is another port of the same host if that one is not to be had. */
static int try_listen(union mbr__addr *at)
{
    int on = 1;
    int fd = real.socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = mbr__addr_size(at);

    if (fd < 0)
        return -errno;
    (void)real.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (real.bind(fd, &at->sa, len) == 0 && real.listen(fd, BACKLOG) == 0 &&
        getsockname(fd, &at->sa, &len) == 0)
        return fd;
    int err = -errno;

    real.close(fd);
    return err;
}

static int listen_at(union mbr__addr *at)
{
    int fd = try_listen(at);

    for (int i = 0; fd == -EADDRINUSE && i < TRIES && mbr__listens_at(at, false) != 0; i++) {
        (void)shim_quiet_nap(MOMENT_NS);
        fd = try_listen(at);
    }
    if (fd != -EADDRINUSE && fd != -EACCES)
        return fd;
    mbr__addr_set_port(at, 0);
    return try_listen(at);
}

/* As the program's socket wants it: an IPv6 socket may be asked to connect to an IPv4 address. */
static int connect_to(int fd, const union mbr__addr *at, sa_family_t family)
{
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};

    if (at->sa.sa_family == family)
        return real.connect(fd, &at->sa, mbr__addr_size(at));
    mapped.sin6_port = at->v4.sin_port;
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &at->v4.sin_addr, 4);
    return real.connect(fd, (struct sockaddr *)&mapped, sizeof(mapped));
}

static uint16_t port_of(int fd, bool peer)
{
    union mbr__addr a;
    socklen_t len = sizeof(a);
    int r = peer ? real.getpeername(fd, &a.sa, &len) : getsockname(fd, &a.sa, &len);

    return r < 0 ? 0 : mbr__addr_port(&a);
}

static void wait_readable(int fd, uint64_t deadline)
{
    uint64_t now = mbr__now_ns();
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    if (now < deadline)
        (void)real.poll(&pfd, 1, (int)((deadline - now) / 1000000 + 1));
}

/* The other end of the program's socket. Who else has come is sent away. */
static int accept_own(int listener, int fd)
{
    uint64_t deadline = mbr__now_ns() + ARRIVE_NS;
    uint16_t port = port_of(fd, false);

    do {
        int end = real.accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (end >= 0 && port != 0 && port_of(end, true) == port)
            return end;
        if (end >= 0)
            real.close(end);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            return -errno;
        else
            wait_readable(listener, deadline);
    } while (mbr__now_ns() < deadline);
    return -ETIMEDOUT;
}

/* ---- the server ------------------------------------------------------------------------------ */

/* Sends it the end; *conn is what the answer comes over. */
static int post(const struct mbr__link *link, int end, int *conn)
{
    struct mbr__note note;
    int err = -EAGAIN;

    mbr__guest_note(link, end, &note);
    for (int i = 0; i < POST_TRIES && (err == -EAGAIN || err == -ETOOMANYREFS); i++) {
        if (i > 0)
            (void)shim_quiet_nap(POST_NAP_NS);
        if (shim_latch(&shim_names_latch, true) < 0)
            return -EAGAIN;
        err = shim_names_open() ? mbr__post_send(&shim_names, link->inst, &note, conn) : -ENOENT;
        shim_unlatch(&shim_names_latch);
    }
    return err;
}

/* 0: it waits for an accept, or nobody has said otherwise for long enough. */
static int await_answer(int conn)
{
    uint64_t deadline = mbr__now_ns() + ANSWER_NS;
    struct mbr__note note;
    int err;

    while ((err = mbr__conn_recv(conn, &note)) == -EAGAIN && mbr__now_ns() < deadline)
        wait_readable(conn, deadline);
    if (err == 0) {
        err = mbr__guest_admitted(&note) ? 0 : -ECONNREFUSED;
        mbr__note_close(&note);
    }
    return err == -EAGAIN ? 0 : err < 0 ? -ECONNREFUSED : 0;
}

static int hand_over(const struct mbr__link *link, int end, bool wait)
{
    /* Who is not let in, for whatever reason, sees a reset. */
    const struct linger reset = {.l_onoff = 1};
    int conn = -1;
    int err;

    (void)real.setsockopt(end, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    err = post(link, end, &conn);
    real.close(end);
    if (err < 0)
        return err == -ENOENT || err == -EAGAIN || err == -EPERM ? -ECONNREFUSED : err;
    if (wait)
        err = await_answer(conn);
    real.close(conn);
    return err;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* The program may try again with the same socket. */
static void disconnect(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    int error;
    socklen_t len = sizeof(error);

    (void)real.connect(fd, &none, sizeof(none));
    (void)real.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

/* Both ends: the other one's descriptor, or why not. *result is connect's. */
static int make_ends(int fd, union mbr__addr *at, sa_family_t family, int *result)
{
    int off = 0;
    int listener = listen_at(at);
    int end;

    if (listener < 0)
        return listener;
    (void)real.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off, sizeof(off));
    *result = connect_to(fd, at, family);
    if (*result < 0 && errno != EINPROGRESS) {
        end = -errno;
    } else {
        end = accept_own(listener, fd);
        if (end < 0) {
            disconnect(fd);
            end = end == -ETIMEDOUT ? -ECONNREFUSED : end;
        }
    }
    real.close(listener);
    return end;
}

static int visit(struct shim_conn *c, int fd, const union mbr__addr *to, sa_family_t family,
                 const struct mbr__link *link)
{
    union mbr__addr at = *to;
    int flags = real.fcntl(fd, F_GETFL);
    int result = 0;
    int end = make_ends(fd, &at, family, &result);
    int err;

    if (end < 0)
        return end;
    err = hand_over(link, end, (flags & O_NONBLOCK) == 0);
    if (err < 0) {
        disconnect(fd);
        return err;
    }
    c->peer_port = mbr__addr_port(&at) != mbr__addr_port(to) ? mbr__addr_port(to) : 0;
    mbr_store_release(&c->guest, (uint32_t)(result < 0 ? SHIM_GUEST_NEW : SHIM_GUEST_KNOWN));
    return result < 0 ? -EINPROGRESS : 0;
}

/* Whether a connect may begin: a second one asks how the first is getting on. */
static bool is_idle(struct shim_conn *c, int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (mbr_load_acquire(&c->guest))
        return false;
    return c->role == SHIM_NOBODY ||
           (real.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
            info.tcpi_state == TCP_CLOSE);
}

bool shim_door_knock(struct shim_conn *c, int fd, const struct sockaddr *address, socklen_t len,
                     int *result)
{
    int before = errno;
    union mbr__addr to;
    struct mbr__link link;
    int cancel;
    int err;

    if (!target_of(address, len, &to) || !find_server(&to, &link) || !is_idle(c, fd) ||
        !shim_conn_pin(c)) {
        errno = before;
        return false;
    }
    /* A cancelled thread leaves when all is done. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    err = visit(c, fd, &to, address->sa_family, &link);
    pthread_setcancelstate(cancel, &cancel);
    errno = err < 0 ? -err : before;
    *result = err < 0 ? -1 : 0;
    return true;
}
