/* SPDX-License-Identifier: MIT */
/* Addresses of sockets: checked when they come in, cut when they go out. */
#include <errno.h>
#include <string.h>

#include <arpa/inet.h>

#include "queue/sock.h"

int mbr__addr_read(const struct sockaddr *addr, socklen_t size, union mbr__addr *out)
{
    union mbr__addr a;
    sa_family_t family = AF_UNSPEC;

    if (addr == NULL || size < sizeof(family))
        return -EINVAL;
    memcpy(&family, addr, sizeof(family)); /* it may lie at any address */
    if (family != AF_INET && family != AF_INET6)
        return -ENOTSUP;
    if (size != (family == AF_INET ? sizeof(a.v4) : sizeof(a.v6)))
        return -EINVAL;
    memset(&a, 0, sizeof(a));
    memcpy(&a, addr, size);
    *out = a;
    return 0;
}

socklen_t mbr__addr_size(const union mbr__addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

uint16_t mbr__addr_port(const union mbr__addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void mbr__addr_set_port(union mbr__addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

bool mbr__addr_is_any(const union mbr__addr *a)
{
    if (a->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
    return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

bool mbr__addr_same_host(const union mbr__addr *a, const union mbr__addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    if (a->sa.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

bool mbr__addr_equal(const union mbr__addr *a, const union mbr__addr *b)
{
    return mbr__addr_same_host(a, b) && mbr__addr_port(a) == mbr__addr_port(b);
}

void mbr__addr_any(int family, union mbr__addr *out)
{
    memset(out, 0, sizeof(*out));
    out->sa.sa_family = (sa_family_t)family;
}

int mbr__addr_write(const union mbr__addr *a, struct sockaddr *out, socklen_t *size)
{
    socklen_t whole = mbr__addr_size(a);

    if (out == NULL || size == NULL || *size == 0)
        return -EINVAL;
    memcpy(out, a, *size < whole ? *size : whole);
    *size = whole;
    return 0;
}
