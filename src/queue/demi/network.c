/* SPDX-License-Identifier: MIT */
/*
 * The socket calls of the demi API: with a memory libOS they check their arguments as every libOS
 * does and are then not supported, as upstream. In upstream's library a memory libOS refuses before
 * it looks at the descriptor.
 */
#include <errno.h>
#include <stdint.h>

#include <demi/libos.h>

#include "queue/demi/demi.h"

/* Exported upstream without a declaration in any header, and there always ENOSYS. */
int demi_getsockname(int qd, struct sockaddr *addr, socklen_t *size);

static int unsupported(void)
{
    return demi_this() == NULL ? ENOSYS : ENOTSUP;
}

static int invalid(void)
{
    return demi_this() == NULL ? ENOSYS : EINVAL;
}

int demi_socket(int *sockqd_out, int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    return sockqd_out == NULL ? invalid() : unsupported();
}

int demi_listen(int sockqd, int backlog)
{
    (void)sockqd;
    return backlog < 1 ? invalid() : unsupported();
}

int demi_bind(int sockqd, const struct sockaddr *addr, socklen_t size)
{
    (void)sockqd;
    return addr == NULL || size < sizeof(sa_family_t) ? invalid() : unsupported();
}

int demi_accept(demi_qtoken_t *qt_out, int sockqd)
{
    (void)sockqd;
    return qt_out == NULL ? invalid() : unsupported();
}

int demi_connect(demi_qtoken_t *qt_out, int sockqd, const struct sockaddr *addr, socklen_t size)
{
    (void)sockqd;
    return qt_out == NULL || addr == NULL || size < sizeof(sa_family_t) ? invalid() : unsupported();
}

int demi_pushto(demi_qtoken_t *qt_out, int sockqd, const demi_sgarray_t *sga,
                const struct sockaddr *dest, socklen_t size)
{
    (void)sockqd;
    return qt_out == NULL || sga == NULL || dest == NULL || size < sizeof(sa_family_t)
               ? invalid()
               : unsupported();
}

int demi_setsockopt(int qd, int level, int optname, const void *optval, socklen_t optlen)
{
    (void)qd;
    (void)level;
    (void)optname;
    (void)optlen;
    return optval == NULL ? invalid() : unsupported();
}

int demi_getsockopt(int qd, int level, int optname, void *optval, socklen_t *optlen)
{
    (void)qd;
    (void)level;
    (void)optname;
    return optval == NULL || optlen == NULL ? invalid() : unsupported();
}

int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *addrlen)
{
    (void)qd;
    return addr == NULL || addrlen == NULL ? invalid() : unsupported();
}

__attribute__((visibility("default"))) int demi_getsockname(int qd, struct sockaddr *addr,
                                                            socklen_t *size)
{
    (void)qd;
    (void)addr;
    (void)size;
    return ENOSYS;
}
