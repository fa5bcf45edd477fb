/* SPDX-License-Identifier: MIT */
/*
 * The socket calls of the demi API: the thread's instance, positive errnos, and the order of
 * upstream's checks where it is another than the native one. With a memory libOS they check their
 * arguments as every libOS does and are then not supported, as upstream, where a memory libOS
 * refuses before it looks at the descriptor.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <netinet/tcp.h>

#include <demi/libos.h>
#include <membrane/socket.h>

#include "queue/demi/demi.h"

static int positive(int r)
{
    return r < 0 ? -r : 0;
}

static int invalid(void)
{
    return demi_this() == NULL ? ENOSYS : EINVAL;
}

/* The structures hold a sockaddr_in, so an address of IPv6 cannot be meant: EINVAL, as upstream. */
static int check_address(const struct sockaddr *addr, socklen_t size)
{
    sa_family_t family;

    if (addr == NULL || size < sizeof(family))
        return EINVAL;
    memcpy(&family, addr, sizeof(family));
    if (family == AF_INET6)
        return EINVAL;
    if (family != AF_INET)
        return ENOTSUP;
    return size == sizeof(struct sockaddr_in) ? 0 : EINVAL;
}

int demi_socket(int *sockqd_out, int domain, int type, int protocol)
{
    if (demi_this() == NULL || sockqd_out == NULL)
        return invalid();
    if (domain != AF_INET)
        return ENOTSUP;
    return positive(mbr_socket(demi_this(), domain, type, protocol, sockqd_out));
}

int demi_listen(int sockqd, int backlog)
{
    if (demi_this() == NULL || backlog < 1)
        return invalid();
    return positive(mbr_listen(demi_this(), sockqd, backlog));
}

int demi_bind(int sockqd, const struct sockaddr *addr, socklen_t size)
{
    if (demi_this() == NULL)
        return ENOSYS;
    int r = check_address(addr, size);

    return r != 0 ? r : positive(mbr_bind(demi_this(), sockqd, addr, size));
}

int demi_accept(demi_qtoken_t *qt_out, int sockqd)
{
    if (demi_this() == NULL || qt_out == NULL)
        return invalid();
    return positive(mbr_accept(demi_this(), sockqd, qt_out));
}

int demi_connect(demi_qtoken_t *qt_out, int sockqd, const struct sockaddr *addr, socklen_t size)
{
    if (demi_this() == NULL || qt_out == NULL)
        return invalid();
    int r = check_address(addr, size);

    return r != 0 ? r : positive(mbr_connect(demi_this(), sockqd, addr, size, qt_out));
}

int demi_pushto(demi_qtoken_t *qt_out, int sockqd, const demi_sgarray_t *sga,
                const struct sockaddr *dest, socklen_t size)
{
    if (demi_this() == NULL || qt_out == NULL || sga == NULL)
        return invalid();
    int r = check_address(dest, size);

    return r != 0 ? r : positive(mbr_pushto(demi_this(), sockqd, sga, dest, size, qt_out));
}

/* Level and option come before the value, and both before the descriptor, as upstream. */
static int check_option(int level, int name)
{
    static const int known[][2] = {
        {SOL_SOCKET, SO_LINGER},     {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_REUSEADDR},
        {SOL_SOCKET, SO_REUSEPORT},  {SOL_SOCKET, SO_RCVBUF},    {SOL_SOCKET, SO_SNDBUF},
        {SOL_SOCKET, SO_BROADCAST},  {SOL_SOCKET, SO_TYPE},      {SOL_SOCKET, SO_ERROR},
        {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_DOMAIN},    {IPPROTO_TCP, TCP_NODELAY},
        {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPCNT}, {IPPROTO_TCP, TCP_KEEPINTVL},
    };
    int error = ENOTSUP;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i][0] != level)
            continue;
        if (known[i][1] == name)
            return 0;
        error = ENOPROTOOPT;
    }
    return error;
}

int demi_setsockopt(int qd, int level, int optname, const void *optval, socklen_t optlen)
{
    if (demi_this() == NULL)
        return ENOSYS;
    int r = check_option(level, optname);

    if (r == 0 && (optval == NULL || (level == SOL_SOCKET && optname == SO_LINGER &&
                                      optlen != sizeof(struct linger))))
        r = EINVAL;
    return r != 0 ? r : positive(mbr_setsockopt(demi_this(), qd, level, optname, optval, optlen));
}

int demi_getsockopt(int qd, int level, int optname, void *optval, socklen_t *optlen)
{
    struct linger linger;
    socklen_t size = sizeof(linger);

    if (demi_this() == NULL)
        return ENOSYS;
    int r = check_option(level, optname);

    if (r != 0)
        return r;
    if (optval == NULL || optlen == NULL)
        return EINVAL;
    if (level != SOL_SOCKET || optname != SO_LINGER)
        return positive(mbr_getsockopt(demi_this(), qd, level, optname, optval, optlen));
    /* Of SO_LINGER *optlen is only written, as upstream. */
    r = mbr_getsockopt(demi_this(), qd, level, optname, &linger, &size);
    if (r == 0) {
        memcpy(optval, &linger, sizeof(linger));
        *optlen = size;
    }
    return positive(r);
}

/* Upstream takes an address of exactly this size and no other. */
static bool wrong_room(const struct sockaddr *addr, const socklen_t *size)
{
    return addr == NULL || size == NULL || *size != sizeof(struct sockaddr_in);
}

int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *addrlen)
{
    if (demi_this() == NULL || wrong_room(addr, addrlen))
        return invalid();
    return positive(mbr_getpeername(demi_this(), qd, addr, addrlen));
}

/* Exported upstream without a declaration in any header, and there always ENOSYS. */
__attribute__((visibility("default"))) int demi_getsockname(int qd, struct sockaddr *addr,
                                                            socklen_t *size)
{
    if (demi_this() == NULL || demi_is_memory())
        return ENOSYS;
    if (wrong_room(addr, size))
        return EINVAL;
    return positive(mbr_getsockname(demi_this(), qd, addr, size));
}
