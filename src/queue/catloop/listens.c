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

int mbr__listens_at(const union mbr__addr *a, bool ours)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct question q;
    uint8_t answer[1024];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    ssize_t n;

    if (fd < 0)
        return -errno;
    phrase(a, &q);
    n = sendto(fd, &q, sizeof(q), 0, (struct sockaddr *)&kernel, sizeof(kernel));
    if (n >= 0) /* the answer was there before that call returned */
        n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    int r = n < 0 ? -errno : understand(answer, (size_t)n, ours);

    close(fd);
    return r;
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
