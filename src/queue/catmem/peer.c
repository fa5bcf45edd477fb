/* SPDX-License-Identifier: MIT */
/*
 * The process at the other end of pipes: its death and its bell. All pipes that lead to one
 * instance share one record, so a process with a thousand pipes to another holds one pidfd and one
 * bell of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "queue/catmem/pipe.h"

static void close_if(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* All pipes that led there learn of it; what had been sent is still theirs. */
static void peer_died(struct mbr__watch *w, uint32_t events)
{
    struct mbr__peer *peer = mbr__container_of(w, struct mbr__peer, watch);
    struct mbr__list *node;

    (void)events;
    peer->dead = true;
    mbr__watch_end(&peer->l->ws, w); /* a dead process stays readable */
    mbr__list_for_each (node, &peer->pipes)
        mbr__sched_wake(&mbr__container_of(node, struct mbr__pipe, peer_node)->task);
}

static struct mbr__peer *find(struct mbr_libos *l, const struct mbr__proc *proc, uint64_t inst)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &l->peers) {
        struct mbr__peer *peer = mbr__container_of(node, struct mbr__peer, node);

        if (peer->inst == inst && peer->proc.pid == proc->pid && peer->proc.start == proc->start &&
            peer->proc.ns == proc->ns)
            return peer;
    }
    return NULL;
}

static int make(struct mbr_libos *l, const struct mbr__proc *proc, uint64_t inst, int pidfd,
                struct mbr__peer **out)
{
    struct mbr__peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return -ENOMEM;
    peer->l = l;
    peer->proc = *proc;
    peer->inst = inst;
    peer->pidfd = pidfd;
    peer->wake = -1;
    mbr__list_init(&peer->pipes);
    int r = mbr__watch_fd(&l->ws, &peer->watch, pidfd, EPOLLIN, peer_died);

    if (r < 0) {
        free(peer);
        return r;
    }
    mbr__list_push_back(&l->peers, &peer->node);
    *out = peer;
    return 0;
}

int mbr__peer_get(struct mbr_libos *l, const struct mbr__proc *proc, uint64_t inst, int pidfd,
                  int wake, int wake_no, struct mbr__peer **out)
{
    struct mbr__peer *peer = find(l, proc, inst);
    int r = 0;

    if (peer != NULL)
        close_if(pidfd);
    else if (pidfd < 0)
        r = -EPROTO;
    else
        r = make(l, proc, inst, pidfd, &peer);
    if (r < 0) {
        close_if(pidfd);
        close_if(wake);
        return r;
    }
    peer->wake_no = wake_no;
    if (peer->wake < 0)
        peer->wake = wake;
    else
        close_if(wake);
    *out = peer;
    return 0;
}

void mbr__peer_join(struct mbr__peer *peer, struct mbr__pipe *p)
{
    p->peer = peer;
    mbr__list_push_back(&peer->pipes, &p->peer_node);
}

void mbr__peer_leave(struct mbr__pipe *p)
{
    struct mbr__peer *peer = p->peer;

    if (peer == NULL)
        return;
    p->peer = NULL;
    mbr__list_del(&p->peer_node);
    if (!mbr__list_empty(&peer->pipes))
        return;
    mbr__watch_end(&peer->l->ws, &peer->watch);
    mbr__list_del(&peer->node);
    close_if(peer->pidfd);
    close_if(peer->wake);
    free(peer);
}

/* Opens the peer's bell through /proc. The one descriptor kept in reserve makes room when there is
 * none left. */
static void open_bell(struct mbr__peer *peer)
{
    int r = mbr__proc_open_fd(&peer->proc, peer->wake_no, 'p', O_RDWR, &peer->wake);

    if ((r == -EMFILE || r == -ENFILE) && peer->l->spare_fd >= 0) {
        close(peer->l->spare_fd);
        peer->l->spare_fd = -1;
        (void)mbr__proc_open_fd(&peer->proc, peer->wake_no, 'p', O_RDWR, &peer->wake);
    }
}

void mbr__peer_ring(struct mbr__peer *peer, uint32_t bell)
{
    if (peer->wake < 0 && !peer->dead)
        open_bell(peer);
    if (peer->wake >= 0)
        mbr__bell_ring(peer->wake, bell);
}
