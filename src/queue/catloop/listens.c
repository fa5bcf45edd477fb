/* SPDX-License-Identifier: MIT */
/* Asking the kernel who listens, by sock_diag(7): one question for one address, answered at once,
 * however many sockets there are. */
#define _GNU_SOURCE
#include "queue/catloop/listens.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "base/atomic.h"
#include "shm/proc.h"

#define TCP_LISTENING 10 /* TCP_LISTEN in the kernel's table of states */

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 what;
};

uint64_t mbr__listens_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/net", &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

/* A whole address says which socket; the other end's, of all zeroes, that none is meant that is
 * connected. */
static void phrase(const union mbr__addr *a, struct question *q)
{
    memset(q, 0, sizeof(*q));
    q->header.nlmsg_len = sizeof(*q);
    q->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    q->header.nlmsg_flags = NLM_F_REQUEST;
    q->what.sdiag_family = (uint8_t)a->sa.sa_family;
    q->what.sdiag_protocol = IPPROTO_TCP;
    q->what.idiag_states = 1u << TCP_LISTENING;
    q->what.id.idiag_cookie[0] = q->what.id.idiag_cookie[1] = (uint32_t)INET_DIAG_NOCOOKIE;
    q->what.id.idiag_sport = htons(mbr__addr_port(a));
    if (a->sa.sa_family == AF_INET6)
        memcpy(q->what.id.idiag_src, &a->v6.sin6_addr, 16);
    else
        memcpy(q->what.id.idiag_src, &a->v4.sin_addr, 4);
}

static bool is_ours(uint32_t uid)
{
    return uid == geteuid() || uid == 0;
}

static int understand(const void *data, size_t len, bool ours)
{
    struct nlmsghdr header;
    struct nlmsgerr error;
    struct inet_diag_msg socket;

    if (len < sizeof(header))
        return -EPROTO;
    memcpy(&header, data, sizeof(header));
    data = (const uint8_t *)data + sizeof(header);
    len -= sizeof(header);
    if (header.nlmsg_type == NLMSG_ERROR && len >= sizeof(error)) {
        memcpy(&error, data, sizeof(error));
        return error.error == -ENOENT && error.msg.nlmsg_type == SOCK_DIAG_BY_FAMILY ? 0 : -EPROTO;
    }
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || len < sizeof(socket))
        return -EPROTO;
    memcpy(&socket, data, sizeof(socket));
    return socket.idiag_state == TCP_LISTENING && (!ours || is_ours(socket.idiag_uid));
}

/* The length of the answer, or a negative errno. */
static ssize_t ask(const struct question *q, void *answer, size_t room)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = sendto(fd, q, sizeof(*q), 0, (struct sockaddr *)&kernel, sizeof(kernel));
    if (n >= 0) /* the answer was there before that call returned */
        n = recv(fd, answer, room, MSG_DONTWAIT);
    if (n < 0)
        n = -errno;
    close(fd);
    return n;
}

/* The end of a list, without an error. */
static bool is_done(const void *data, size_t len)
{
    struct nlmsghdr header;
    int error;

    if (len < sizeof(header) + sizeof(error))
        return false;
    memcpy(&header, data, sizeof(header));
    memcpy(&error, (const uint8_t *)data + sizeof(header), sizeof(error));
    return header.nlmsg_type == NLMSG_DONE && error == 0;
}

/* A kernel without inet_diag (a module, which not every machine has or may load) answers like one
 * where nobody listens. Asked for a list of all sockets in no state, it tells. */
static bool can_tell(int family)
{
    static uint32_t known[2];
    uint32_t *mine = &known[family == AF_INET6];
    union mbr__addr any;
    struct question q;
    uint8_t answer[1024];
    ssize_t n;

    if (mbr_load_relaxed(mine))
        return true;
    mbr__addr_any(family, &any);
    phrase(&any, &q);
    q.header.nlmsg_flags |= NLM_F_DUMP;
    q.what.idiag_states = 0;
    n = ask(&q, answer, sizeof(answer));
    if (n < 0 || !is_done(answer, (size_t)n))
        return false;
    mbr_store_relaxed(mine, (uint32_t)1);
    return true;
}

int mbr__listens_at(const union mbr__addr *a, bool ours)
{
    struct question q;
    uint8_t answer[1024];
    ssize_t n;
    int r;

    phrase(a, &q);
    n = ask(&q, answer, sizeof(answer));
    r = n < 0 ? (int)n : understand(answer, (size_t)n, ours);
    return r == 0 && !can_tell(a->sa.sa_family) ? -EOPNOTSUPP : r;
}

static bool elsewhere(const struct mbr__link *link)
{
    uint64_t here = mbr__listens_namespace();

    return here != 0 && link->id[0] != 0 && link->id[0] != here;
}

bool mbr__listens_still(const struct mbr__link *link, const union mbr__addr *a)
{
    int r = elsewhere(link) ? -EXDEV : mbr__listens_at(a, false);

    return r < 0 ? mbr__proc_alive(&link->owner) != 0 : r > 0;
}

int mbr__listens_for_us(const struct mbr__link *link, const union mbr__addr *a)
{
    int r = elsewhere(link) ? 0 : mbr__listens_at(a, true);

    if (r < 0) /* the link alone says so: as long as its owner lives, which is of our user */
        r = mbr__proc_alive(&link->owner) != 0;
    return r > 0 ? 0 : -ECONNREFUSED;
}
