/* SPDX-License-Identifier: MIT */
/*
 * Socket options. The kernel's socket has them all; here are those that an upgraded connection must
 * answer for, and those that it could not honour, for which it goes back to the kernel.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "calls.h"
#include "conn.h"
#include "real.h"

/* Options that change what the bytes in the kernel mean, or whom they go to: with one of them a
 * connection stays with the kernel. */
static bool needs_kernel(int level, int name)
{
    if (level == IPPROTO_TCP)
        return name == TCP_ULP || name == TCP_REPAIR;
    return level == SOL_SOCKET &&
           (name == SO_ZEROCOPY || name == SO_RCVLOWAT || name == SO_PEEK_OFF);
}

static void note(struct shim_conn *c, int level, int name, const void *value, socklen_t len)
{
    int n = 0;

    if (len >= sizeof(n))
        memcpy(&n, value, sizeof(n));
    if (level == IPPROTO_TCP && name == TCP_NODELAY)
        mbr_store_relaxed(&c->no_delay, (uint32_t)(n != 0));
    if (level != SOL_SOCKET)
        return;
    if (name == SO_RCVTIMEO || name == SO_SNDTIMEO)
        mbr_store_relaxed(&c->timed, (uint32_t)1);
    if (name == SO_LINGER && len >= sizeof(struct linger)) {
        struct linger l;

        memcpy(&l, value, sizeof(l));
        mbr_store_relaxed(&c->linger_reset, (uint32_t)(l.l_onoff != 0 && l.l_linger == 0));
    }
}

/* Wake-up bytes must not wait, whatever the program thinks of its own. */
static bool kept_from_kernel(struct shim_conn *c, int level, int name, socklen_t len)
{
    return level == IPPROTO_TCP && name == TCP_NODELAY && len >= sizeof(int) &&
           mbr_load_relaxed(&c->rushed);
}

SHIM_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct shim_conn *c;
    int r;

    shim_ready();
    c = shim_conn_get(fd);
    if (c == NULL || value == NULL) {
        if (c != NULL)
            shim_conn_put(c);
        return real.setsockopt(fd, level, name, value, len);
    }
    if (needs_kernel(level, name) && !shim_conn_pin(c) && !shim_return(c, fd, false)) {
        shim_conn_put(c);
        errno = ENOPROTOOPT;
        return -1;
    }
    r = kept_from_kernel(c, level, name, len) ? 0 : real.setsockopt(fd, level, name, value, len);
    if (r == 0)
        note(c, level, name, value, len);
    shim_conn_put(c);
    return r;
}

SHIM_ALIAS(setsockopt);

/* What SO_ERROR says of an upgraded connection: reports it once. */
static int take_error(struct shim_conn *c, int fd)
{
    int error;

    if (shim_lock(c, &c->rx, false) < 0)
        return 0; /* a reader is about to hear of it */
    shim_drain(c, fd);
    error = shim_take_error(c);
    shim_unlock(&c->rx);
    shim_heat(c, fd);
    return error;
}

/* A server of catloop that does not let a connection in resets it. To who asks how the connect went
 * that is a refusal. */
static void guest_error(int fd, int *value, const socklen_t *len)
{
    struct shim_conn *c = shim_conn_get(fd);

    if (c == NULL)
        return;
    if (mbr_load_acquire(&c->guest) == SHIM_GUEST_NEW) {
        mbr_store_relaxed(&c->guest, (uint32_t)SHIM_GUEST_KNOWN);
        if (*len == sizeof(*value) && *value == ECONNRESET)
            *value = ECONNREFUSED;
    }
    shim_conn_put(c);
}

SHIM_EXPORT int getsockopt(int fd, int level, int name, void *restrict value,
                           socklen_t *restrict len)
{
    struct shim_conn *c;
    int mine = -1;
    int r;

    shim_ready();
    c = level == IPPROTO_TCP && name == TCP_NODELAY ? shim_conn_get(fd) : shim_conn_busy(fd);
    r = c != NULL && level == SOL_SOCKET && name == SO_ERROR && shim_rx_in_ring(c)
            ? 0
            : real.getsockopt(fd, level, name, value, len);
    if (c == NULL) {
        if (r == 0 && level == SOL_SOCKET && name == SO_ERROR && shim_settings.names)
            guest_error(fd, value, len);
        return r;
    }
    if (r == 0 && value != NULL && len != NULL) {
        if (level == SOL_SOCKET && name == SO_ERROR && shim_rx_in_ring(c))
            mine = mbr_load_acquire(&c->mode) == SHIM_LOST ? 0 : take_error(c, fd);
        else if (level == IPPROTO_TCP && name == TCP_NODELAY && mbr_load_relaxed(&c->rushed))
            mine = (int)mbr_load_relaxed(&c->no_delay);
    }
    if (mine >= 0) {
        socklen_t n = *len < sizeof(mine) ? *len : (socklen_t)sizeof(mine);

        memcpy(value, &mine, n);
        *len = n;
    }
    shim_conn_put(c);
    return r;
}

SHIM_ALIAS(getsockopt);
