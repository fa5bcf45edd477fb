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
    if (demi_this() == NULL || addr == NULL || size < sizeof(sa_family_t))
        return invalid();
    if (demi_is_memory())
        return ENOTSUP;
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
    if (demi_this() == NULL || qt_out == NULL || addr == NULL || size < sizeof(sa_family_t))
        return invalid();
    if (demi_is_memory())
        return ENOTSUP;
    int r = check_address(addr, size);

    return r != 0 ? r : positive(mbr_connect(demi_this(), sockqd, addr, size, qt_out));
}

int demi_pushto(demi_qtoken_t *qt_out, int sockqd, const demi_sgarray_t *sga,
                const struct sockaddr *dest, socklen_t size)
{
    if (demi_this() == NULL || qt_out == NULL || sga == NULL || dest == NULL ||
        size < sizeof(sa_family_t))
        return invalid();
    if (demi_is_memory())
        return ENOTSUP;
    int r = check_address(dest, size);

    return r != 0 ? r : positive(mbr_pushto(demi_this(), sockqd, sga, dest, size, qt_out));
}

int demi_setsockopt(int qd, int level, int optname, const void *optval, socklen_t optlen)
{
    if (demi_this() == NULL || optval == NULL)
        return invalid();
    return positive(mbr_setsockopt(demi_this(), qd, level, optname, optval, optlen));
}

int demi_getsockopt(int qd, int level, int optname, void *optval, socklen_t *optlen)
{
    struct linger linger;
    socklen_t size = sizeof(linger);

    if (demi_this() == NULL)
        return ENOSYS;
    if (demi_is_memory())
        return optval == NULL || optlen == NULL ? EINVAL : ENOTSUP;
    if (level != SOL_SOCKET || optname != SO_LINGER)
        return positive(mbr_getsockopt(demi_this(), qd, level, optname, optval, optlen));
    /* Of SO_LINGER *optlen is only written, as upstream. */
    int r = mbr_getsockopt(demi_this(), qd, level, optname, &linger, &size);

    if (r == 0 && (optval == NULL || optlen == NULL))
        r = -EINVAL;
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
    if (demi_this() == NULL || addr == NULL || addrlen == NULL)
        return invalid();
    if (!demi_is_memory() && wrong_room(addr, addrlen))
        return EINVAL;
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
