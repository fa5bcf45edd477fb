/* SPDX-License-Identifier: MIT */
/* The names of listening sockets. door.h says what they are for; knock.c has the other way round.
 */
#include "door.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "directory.h"
#include "queue/catloop/listens.h"
#include "real.h"

/* For the lock of the directory: a stopped process may have it. Without it a program listens all
 * the same, and catloop does not know. */
#define PATIENCE_NS UINT64_C(200000000)

uint64_t shim_door_forks;

/* ---- the directory --------------------------------------------------------------------------- */

/* With the lock; false: it is not to be had (in a signal handler, because of its own thread). */
static bool enter(void)
{
    if (shim_latch(&shim_names_latch, true) < 0)
        return false;
    if (shim_names_open() && mbr__names_lock(&shim_names, PATIENCE_NS) == 0)
        return true;
    shim_unlatch(&shim_names_latch);
    return false;
}

static void leave(void)
{
    mbr__names_unlock(&shim_names);
    shim_unlatch(&shim_names_latch);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void wildcard(uint16_t port, union mbr__addr *out)
{
    mbr__addr_any(AF_INET, out);
    mbr__addr_set_port(out, port);
}

/* The addresses at which a socket bound so is reached; how many there are. */
static uint32_t addresses(int fd, const struct sockaddr *address, socklen_t len,
                          union mbr__addr at[2])
{
    int only = 0;
    socklen_t size = sizeof(only);

    memset(at, 0, 2 * sizeof(*at));
    if (len < sizeof(sa_family_t) ||
        len < (address->sa_family == AF_INET ? sizeof(at->v4) : sizeof(at->v6)))
        return 0;
    if (address->sa_family == AF_INET) {
        memcpy(&at[0].v4, address, sizeof(at[0].v4));
        return 1;
    }
    if (address->sa_family != AF_INET6)
        return 0;
    memcpy(&at[0].v6, address, sizeof(at[0].v6));
    at[0].v6.sin6_flowinfo = at[0].v6.sin6_scope_id = 0;
    if (IN6_IS_ADDR_V4MAPPED(&at[0].v6.sin6_addr)) {
        struct in6_addr mapped = at[0].v6.sin6_addr;

        wildcard(mbr__addr_port(&at[0]), &at[0]);
        memcpy(&at[0].v4.sin_addr, &mapped.s6_addr[12], 4);
        return 1;
    }
    if (!mbr__addr_is_any(&at[0]) ||
        real.getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) < 0 || only != 0)
        return 1;
    wildcard(mbr__addr_port(&at[0]), &at[1]);
    return 2;
}

static uint32_t own_addresses(int fd, union mbr__addr at[2])
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(own);

    return getsockname(fd, (struct sockaddr *)&own, &len) < 0
               ? 0
               : addresses(fd, (struct sockaddr *)&own, len, at);
}

/* Under the lock: whether catloop has one of them. */
static bool collides(const union mbr__addr *at, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (mbr__addr_port(&at[i]) != 0 &&
            mbr__address_collides(&shim_names, &at[i], SOCK_STREAM, MBR__NAME_BINDS))
            return true;
    }
    return false;
}

bool shim_door_taken(int fd, const struct sockaddr *address, socklen_t len)
{
    union mbr__addr at[2];
    uint32_t n = address == NULL ? 0 : addresses(fd, address, len, at);
    int error = errno;
    bool taken;

    if (n == 0 || mbr__addr_port(&at[0]) == 0 || !enter())
        return false;
    taken = collides(at, n);
    leave();
    errno = error;
    return taken;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Under the lock: the socket listens, and the kernel has given it its address. */
static void publish(struct shim_door *door, int fd)
{
    struct mbr__link link = {.wake = -1, .state = MBR__NAME_KERNEL};
    char file[MBR__CATLOOP_FILE];
    union mbr__addr at[2];
    uint32_t n = own_addresses(fd, at);

    if (n == 0 || mbr__proc_self(&link.owner) < 0)
        return;
    link.id[0] = mbr__listens_namespace();
    link.id[1] = mbr__random_id();
    *door = (struct shim_door){
        .owner = getpid(), .id = link.id[1], .forks = mbr_load_relaxed(&shim_door_forks)};
    for (uint32_t i = 0; i < n; i++) {
        mbr__address_file(&at[i], SOCK_STREAM, 0, file);
        if (mbr__names_write(&shim_names, file, &link) == 0)
            door->at[door->names++] = at[i];
    }
}

/* Listens while catloop cannot take the address, which it does under the same lock. */
static int listen_and_publish(struct shim_conn *c, int fd, int backlog)
{
    union mbr__addr at[2];
    int r;

    if (collides(at, own_addresses(fd, at))) {
        errno = EADDRINUSE;
        return -1;
    }
    r = real.listen(fd, backlog);
    if (r == 0)
        publish(&c->door, fd);
    return r;
}

int shim_door_open(struct shim_conn *c, int fd, int backlog)
{
    int before = errno;
    int error;
    int r;

    if (c->door.names > 0 || !enter()) {
        errno = before;
        return real.listen(fd, backlog);
    }
    errno = before;
    r = listen_and_publish(c, fd, backlog);
    error = r < 0 ? errno : before;
    leave();
    errno = error;
    return r;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Under the lock. */
static void withdraw(const struct shim_door *door, bool sure)
{
    char file[MBR__CATLOOP_FILE];
    struct mbr__link link;

    for (uint32_t i = 0; i < door->names; i++) {
        mbr__address_file(&door->at[i], SOCK_STREAM, 0, file);
        if (mbr__names_read(&shim_names, file, &link) == 0 && link.state == MBR__NAME_KERNEL &&
            link.id[1] == door->id && (sure || !mbr__listens_still(&link, &door->at[i])))
            (void)mbr__names_remove(&shim_names, file);
    }
}

/* Children that serve a connection close what they have inherited: that is their parent's affair,
 * as long as it lives. */
void shim_door_closed(const struct shim_door *door)
{
    int error = errno;

    if (door->names > 0 && shim_settings.names &&
        (door->owner == getpid() || (kill(door->owner, 0) < 0 && errno == ESRCH)) && enter()) {
        withdraw(door,
                 door->owner == getpid() && door->forks == mbr_load_relaxed(&shim_door_forks));
        leave();
    }
    errno = error;
}

/* The kernel closes the socket later. Somebody else may have it only if we have forked. */
void shim_door_exit(const struct shim_door *door)
{
    if (door->names > 0 && door->owner == getpid() &&
        door->forks == mbr_load_relaxed(&shim_door_forks))
        shim_door_closed(door);
}
