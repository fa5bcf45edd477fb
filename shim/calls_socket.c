/* SPDX-License-Identifier: MIT */
/*
 * The calls that make and end sockets and descriptors: socket, accept, connect, shutdown, close and
 * the dup family, fcntl, ioctl. Each does the kernel's call and keeps the table true to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "conn.h"
#include "epoll.h"
#include "fork.h"
#include "real.h"

/* ---- making ---------------------------------------------------------------------------------- */

static bool is_tcp(int domain, int type, int protocol)
{
    return (domain == AF_INET || domain == AF_INET6) &&
           (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM &&
           (protocol == 0 || protocol == IPPROTO_TCP);
}

SHIM_EXPORT int socket(int domain, int type, int protocol)
{
    int fd;

    shim_ready();
    fd = real.socket(domain, type, protocol);
    if (fd >= 0 && is_tcp(domain, type, protocol))
        (void)shim_conn_new(fd, (type & SOCK_NONBLOCK) != 0, SHIM_PLAIN, SHIM_NOBODY);
    return fd;
}

SHIM_ALIAS(socket);

/* A listener that the program had before it was this program (exec, or systemd's sockets) is not in
 * the table; what is accepted from it is as new as any. */
static bool from_inherited(int fd)
{
    int error = errno;
    int protocol = 0;
    socklen_t len = sizeof(protocol);
    bool tcp = shim_settings.rings &&
               real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
               protocol == IPPROTO_TCP;

    errno = error;
    return tcp;
}

/* After accept: the new socket is a server's end. */
static int accepted(int listener, int fd, int flags)
{
    struct shim_conn *c = fd >= 0 ? shim_conn_get(listener) : NULL;

    if (c != NULL)
        shim_conn_put(c);
    else if (fd < 0 || shim_settings.off || !from_inherited(fd))
        return fd;
    (void)shim_conn_new(fd, (flags & SOCK_NONBLOCK) != 0, SHIM_ELIGIBLE, SHIM_SERVER);
    return fd;
}

SHIM_EXPORT int accept(int fd, struct sockaddr *address, socklen_t *len)
{
    shim_ready();
    return accepted(fd, real.accept(fd, address, len), 0);
}

SHIM_ALIAS(accept);

SHIM_EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    shim_ready();
    return accepted(fd, real.accept4(fd, address, len, flags), flags);
}

SHIM_ALIAS(accept4);

SHIM_EXPORT int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    shim_ready();
    if (shim_settings.names && shim_table_peek(fd) != NULL && shim_door_taken(fd, address, len)) {
        errno = EADDRINUSE;
        return -1;
    }
    return real.bind(fd, address, len);
}

SHIM_ALIAS(bind);

SHIM_EXPORT int listen(int fd, int backlog)
{
    struct shim_conn *c;
    int r;

    shim_ready();
    c = shim_settings.names && !shim_is_vforked() ? shim_conn_get(fd) : NULL;
    if (c == NULL)
        return real.listen(fd, backlog);
    r = shim_door_open(c, fd, backlog);
    shim_conn_put(c);
    return r;
}

SHIM_ALIAS(listen);

SHIM_EXPORT int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    socklen_t room = len != NULL ? *len : 0;
    struct shim_conn *c;
    int r;

    shim_ready();
    r = real.getpeername(fd, address, len);
    c = r == 0 && shim_settings.names ? shim_conn_get(fd) : NULL;
    if (c == NULL)
        return r;
    /* The port has the same place in addresses of both families. */
    if (mbr_load_acquire(&c->guest) && c->peer_port != 0 &&
        room >= offsetof(struct sockaddr_in, sin_addr)) {
        uint16_t port = htons(c->peer_port);

        memcpy((char *)address + offsetof(struct sockaddr_in, sin_port), &port, sizeof(port));
    }
    shim_conn_put(c);
    return r;
}

SHIM_ALIAS(getpeername);

static bool dissolves(const struct sockaddr *address, socklen_t len)
{
    return address != NULL && len >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC;
}

static void forget(int fd, struct shim_door *left);

/* An upgraded connection is dissolved, for another one perhaps: the descriptor begins anew. */
static int dissolve(int fd, const struct sockaddr *address, socklen_t len)
{
    bool nonblock = (real.fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;

    forget(fd, NULL);
    (void)shim_conn_new(fd, nonblock, SHIM_PLAIN, SHIM_CLIENT);
    return real.connect(fd, address, len);
}

SHIM_EXPORT int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct shim_conn *c;
    int r;
    int error;

    shim_ready();
    c = shim_conn_get(fd);
    if (c == NULL)
        return real.connect(fd, address, len);
    if (shim_settings.names && c->role != SHIM_SERVER && !shim_is_vforked() &&
        shim_door_knock(c, fd, address, len, &r)) {
        error = errno;
        shim_conn_put(c);
        errno = error;
        return r;
    }
    /* Eligible before the kernel knows: another thread may send as soon as it does. */
    if (c->role == SHIM_NOBODY && shim_settings.rings && !mbr_load_acquire(&c->guest)) {
        c->role = SHIM_CLIENT;
        mbr_store_release(&c->mode, (uint32_t)SHIM_ELIGIBLE);
    } else if (dissolves(address, len) && !shim_conn_pin(c)) {
        shim_conn_put(c);
        return dissolve(fd, address, len);
    }
    r = real.connect(fd, address, len);
    error = errno;
    shim_conn_put(c);
    errno = error;
    return r;
}

SHIM_ALIAS(connect);

/* ---- ending ---------------------------------------------------------------------------------- */

/* Ends sending. An upgraded end says so in its region: it must still be able to wake the peer. */
static int shut_wr(struct shim_conn *c, int fd)
{
    shim_shut_more(c, SHIM_SHUT_WR);
    if (!c->tx_ring && !shim_switch_tx(c))
        return real.shutdown(fd, SHUT_WR);
    if (shim_unsettled(c)) /* which also ends it in the kernel, once all is there */
        shim_settle_tx(c, fd, false);
    if (!shim_has_left(c->own))
        shim_send_end(c, fd);
    return 0;
}

static int shutdown_ring(struct shim_conn *c, int fd, int how)
{
    int r = 0;

    if (how != SHUT_RD) {
        /* Another thread is blocked sending, through the kernel: which then lets it go. */
        if (shim_lock(c, &c->tx, shim_tx_in_ring(c)) < 0)
            return real.shutdown(fd, how);
        r = shut_wr(c, fd);
        shim_unlock(&c->tx);
    }
    if (how != SHUT_WR)
        shim_shut_more(c, SHIM_SHUT_RD);
    if (how == SHUT_RD && mbr_load_acquire(&c->own->rx_done))
        return real.shutdown(fd, how);
    /* Also lets go whoever is blocked in the kernel for us. */
    return how == SHUT_RDWR ? real.shutdown(fd, SHUT_RDWR) : r;
}

SHIM_EXPORT int shutdown(int fd, int how)
{
    struct shim_conn *c;
    int error = errno;
    int r;

    shim_ready();
    c = shim_conn_busy(fd);
    if (c == NULL || how < SHUT_RD || how > SHUT_RDWR) {
        if (c != NULL)
            shim_conn_put(c);
        return real.shutdown(fd, how);
    }
    /* Not upgraded by now: then it stays with the kernel, which knows half-closed connections. */
    if (shim_conn_pin(c))
        r = real.shutdown(fd, how);
    else if (mbr_load_acquire(&c->mode) == SHIM_LOST)
        r = (errno = ENOTCONN, -1);
    else
        r = shutdown_ring(c, fd, how);
    shim_conn_put(c);
    if (r == 0)
        errno = error;
    return r;
}

SHIM_ALIAS(shutdown);

/* fd leaves the table, before the kernel can give its number to somebody else. What it leaves, for
 * shim_door_closed(), goes to *left if that is not NULL. */
static void forget(int fd, struct shim_door *left)
{
    struct shim_object *o = NULL;
    struct shim_conn *c;

    if (shim_table_peek(fd) == NULL || shim_is_vforked())
        return;
    (void)shim_table_set(fd, NULL, &o);
    if (o == NULL)
        return;
    c = (struct shim_conn *)(void *)o;
    if (o->kind == SHIM_CONN && left != NULL && c->door.names > 0)
        *left = c->door;
    if (o->kind == SHIM_CONN)
        shim_conn_bye(c, fd);
    shim_unref(o);
}

SHIM_EXPORT int close(int fd)
{
    struct shim_door left;
    int r;

    shim_ready();
    left.names = 0;
    forget(fd, &left);
    r = real.close(fd);
    if (left.names > 0)
        shim_door_closed(&left);
    return r;
}

SHIM_ALIAS(close);

static void forget_one(int fd, struct shim_object *o, void *arg)
{
    const struct shim_conn *c = (const struct shim_conn *)(const void *)o;

    (void)arg;
    if (o->kind == SHIM_CONN && c->door.names > 0)
        (void)close(fd); /* what it leaves can be seen only when it is closed */
    else
        forget(fd, NULL);
}

SHIM_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    shim_ready();
    if (real.close_range == NULL) {
        errno = ENOSYS;
        return -1;
    }
    /* CLOSE_RANGE_UNSHARE alone; with CLOSE_RANGE_CLOEXEC, or anything unknown, nothing is closed
     */
    if (first <= last && (flags & ~2) == 0)
        shim_table_each(first > INT_MAX ? INT_MAX : (int)first,
                        last >= INT_MAX ? INT_MAX : (int)last + 1, forget_one, NULL);
    return real.close_range(first, last, flags);
}

SHIM_ALIAS(close_range);

SHIM_EXPORT void closefrom(int first)
{
    shim_ready();
    shim_table_each(first, INT_MAX, forget_one, NULL);
    if (real.closefrom != NULL)
        real.closefrom(first);
}

/* ---- duplicates ------------------------------------------------------------------------------ */

/* A child that has a connection from its parent duplicates it: for another program (calls_exec.c).
 */
static void note_handed(struct shim_object *o)
{
    struct shim_conn *c = (struct shim_conn *)(void *)o;

    if (o != NULL && o->kind == SHIM_CONN && c->kin_late)
        mbr_store_relaxed(&c->handed, (uint32_t)1);
}

/* fd is made to be inherited. */
static void note_inheritable(int fd)
{
    struct shim_conn *c = shim_conn_get(fd);

    if (c == NULL)
        return;
    mbr_store_relaxed(&c->handed, (uint32_t)1);
    shim_conn_put(c);
}

/* After a duplicate was made: `to` means o, which `from` meant before, since another thread may
 * have closed that by now. Takes over the reference. */
static int duplicated(struct shim_object *o, int from, int to)
{
    struct shim_object *old = NULL;

    if (to >= 0 && o != NULL && o->kind == SHIM_CONN && shim_is_vforked())
        (void)shim_conn_pin((struct shim_conn *)(void *)o); /* for the program it will become */
    if (to >= 0 && to != from && (o != NULL || shim_table_peek(to) != NULL) && !shim_is_vforked()) {
        (void)shim_table_set(to, o, &old);
        if (old != NULL)
            shim_unref(old);
        note_handed(o);
    }
    if (o != NULL)
        shim_unref(o);
    return to;
}

SHIM_EXPORT int dup(int fd)
{
    struct shim_object *o;

    shim_ready();
    o = shim_table_get(fd);
    return duplicated(o, fd, real.dup(fd));
}

SHIM_ALIAS(dup);

/* dup2() and dup3() close `to` first: whose goodbye has to be said while it is open. */
static void replace(int from, int to, struct shim_door *left)
{
    left->names = 0;
    if (from != to && shim_table_peek(to) != NULL && real.fcntl(from, F_GETFD) >= 0)
        forget(to, left);
}

static int replaced(struct shim_object *o, int from, int to, const struct shim_door *left)
{
    if (left->names > 0)
        shim_door_closed(left);
    return duplicated(o, from, to);
}

SHIM_EXPORT int dup2(int from, int to)
{
    struct shim_door left;
    struct shim_object *o;

    shim_ready();
    replace(from, to, &left);
    o = shim_table_get(from);
    return replaced(o, from, real.dup2(from, to), &left);
}

SHIM_ALIAS(dup2);

SHIM_EXPORT int dup3(int from, int to, int flags)
{
    struct shim_door left = {0};
    struct shim_object *o;

    shim_ready();
    if ((flags & ~O_CLOEXEC) == 0)
        replace(from, to, &left);
    o = shim_table_get(from);
    return replaced(o, from, real.dup3(from, to, flags), &left);
}

SHIM_ALIAS(dup3);

/* ---- flags ----------------------------------------------------------------------------------- */

static void note_nonblock(int fd, bool on)
{
    struct shim_conn *c = shim_conn_get(fd);

    if (c == NULL)
        return;
    mbr_store_relaxed(&c->nonblock, (uint32_t)on);
    shim_conn_put(c);
}

/* SIGIO is sent by the kernel, for what comes through it: so the connection stays there. */
static void note_async(int fd)
{
    struct shim_conn *c = shim_conn_busy(fd);

    if (c == NULL)
        return;
    (void)(shim_conn_pin(c) || shim_return(c, fd, false));
    shim_conn_put(c);
}

static void before_fcntl(int fd, int cmd, const void *arg)
{
    if (cmd == F_SETFL && ((int)(intptr_t)arg & O_ASYNC) != 0)
        note_async(fd);
}

static bool duplicates(int cmd)
{
    return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC;
}

static int fcntl_done(struct shim_object *o, int fd, int cmd, void *arg, int r)
{
    if (duplicates(cmd))
        return duplicated(o, fd, r);
    if (r >= 0 && cmd == F_SETFD && !((int)(intptr_t)arg & FD_CLOEXEC))
        note_inheritable(fd);
    if (r >= 0 && cmd == F_SETFL)
        note_nonblock(fd, ((int)(intptr_t)arg & O_NONBLOCK) != 0);
    return r;
}

SHIM_EXPORT int fcntl(int fd, int cmd, ...)
{
    struct shim_object *o;
    va_list ap;
    void *arg;

    shim_ready();
    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    before_fcntl(fd, cmd, arg);
    o = duplicates(cmd) ? shim_table_get(fd) : NULL;
    return fcntl_done(o, fd, cmd, arg, real.fcntl(fd, cmd, arg));
}

SHIM_ALIAS(fcntl);

SHIM_EXPORT int fcntl64(int fd, int cmd, ...)
{
    struct shim_object *o;
    va_list ap;
    void *arg;

    shim_ready();
    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    before_fcntl(fd, cmd, arg);
    o = duplicates(cmd) ? shim_table_get(fd) : NULL;
    return fcntl_done(o, fd, cmd, arg, real.fcntl64(fd, cmd, arg));
}

/* What is to be read of a stream of which a part is still in the kernel. False: or on its way
 * there, so that what is in the ring cannot be read yet. */
static bool count_both(struct shim_conn *c, int fd, int64_t *n)
{
    const struct shim_half *peer = mbr_load_acquire(&c->peer);
    int64_t due;
    int have = 0;

    if (peer == NULL || c->own == NULL || mbr_load_acquire(&c->own->rx_done) ||
        mbr_load_relaxed(&c->own->frozen) || !mbr_load_acquire(&peer->switched))
        return false;
    due = (int64_t)(mbr_load_relaxed(&peer->start) - *shim_rx_tcp(c));
    if (real.ioctl(fd, FIONREAD, &have) < 0 || have < due)
        return false;
    *n = shim_avail(c) + due;
    return true;
}

/* FIONREAD (SIOCINQ) and TIOCOUTQ (SIOCOUTQ) of what is not in the kernel. False: ask the kernel.
 */
static bool count_bytes(struct shim_conn *c, int fd, unsigned long request, int *out)
{
    int64_t n;

    shim_conn_phase(c);
    if (mbr_load_acquire(&c->mode) == SHIM_RING && shim_unsettled(c) && shim_settle(c, fd)) {
        shim_tidy(c, fd);
        return false;
    }
    shim_heat(c, fd);
    if (request == FIONREAD && shim_rx_in_ring(c))
        n = mbr_load_relaxed(&c->own->frozen) ? 0 : shim_avail(c);
    else if (request == FIONREAD && count_both(c, fd, &n))
        ;
    else if (request == TIOCOUTQ && shim_tx_in_ring(c))
        n = (int64_t)c->size - shim_room(c);
    else
        return false;
    *out = n < 0 || n > INT_MAX ? 0 : (int)n;
    return true;
}

SHIM_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    struct shim_conn *c;
    va_list ap;
    void *arg;
    int r;

    shim_ready();
    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if ((request == FIONREAD || request == TIOCOUTQ) && arg != NULL &&
        (c = shim_conn_busy(fd)) != NULL) {
        bool ours = mbr_load_acquire(&c->mode) != SHIM_LOST && count_bytes(c, fd, request, arg);

        shim_conn_put(c);
        if (ours)
            return 0;
    }
    if (request == FIOASYNC && arg != NULL && *(const int *)arg != 0)
        note_async(fd);
    r = real.ioctl(fd, request, arg);
    if (r == 0 && request == FIONCLEX)
        note_inheritable(fd);
    if (r == 0 && request == FIONBIO && arg != NULL)
        note_nonblock(fd, *(const int *)arg != 0);
    return r;
}

SHIM_ALIAS(ioctl);
