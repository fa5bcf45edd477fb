/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a pipe: the links of the rendezvous directory and the two halves.
 *
 * A pipe NAME has up to two links. NAME.a leads to the creator's half as long as the creator keeps
 * the pipe. NAME.b belongs to the opener; both are read and changed under the directory's lock
 * only. State of NAME.b:
 *
 * - o, open: its owner has the second end but could not tell the creator yet; if it dies, the next
 *   opener takes over.
 * - x, known: its hello is in the creator's mailbox; if it dies, the creator is told (ECONNRESET)
 *   and nobody takes over.
 * - l, left without having pushed; `value` is where the next opener goes on reading.
 * - d, done: it had pushed and has closed; the creator reads to the end, nobody else may open.
 *
 * A crash at any point leaves one of these states behind, with a dead owner; tests/model walks
 * through all of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "queue/catmem/lend.h"
#include "queue/catmem/session.h"
#include "shm/proc.h"

#define REQUEST_NS UINT64_C(5000000000) /* patience with an owner that only its mailbox reaches */
#define MEND_NS    UINT64_C(100000000)  /* patience with the lock in the midst of a wait */

struct link_name {
    char text[MBR__NAME_MAX + 3];
};

static struct link_name link_name(const char *name, char suffix)
{
    struct link_name n;

    (void)snprintf(n.text, sizeof(n.text), "%s.%c", name, suffix);
    return n;
}

/* ---- halves ---- */

static struct mbr__pipe *pipe_new(struct mbr_libos *l, const char *name, unsigned flags)
{
    struct mbr__pipe *p = mbr__slab_alloc(&l->pipes);

    if (p == NULL)
        return NULL;
    memset(p, 0, sizeof(*p));
    p->l = l;
    p->qd = (int)mbr__slab_index(p) + MBR__QD_BASE;
    p->can_send = flags != MBR_PIPE_RECV;
    p->can_recv = flags != MBR_PIPE_SEND;
    p->own.fd = -1;
    memcpy(p->name, name, strlen(name) + 1); /* its length was checked */
    mbr__pipe_init(p);
    mbr__hello_init(p);
    if (mbr__sched_add(&l->sched, &p->task) < 0) {
        mbr__slab_free(&l->pipes, p);
        return NULL;
    }
    return p;
}

/* What creating and opening begin with: the name is checked, `self` is who we are, and the pipe has
 * no half yet. */
static int begin(struct mbr_libos *l, const char *name, unsigned flags, struct mbr__proc *self,
                 struct mbr__pipe **out)
{
    int r = mbr__name_check(name);

    if (r == 0)
        r = mbr__libos_name(l);
    if (r == 0)
        r = mbr__proc_self(self);
    if (r < 0)
        return r;
    *out = pipe_new(l, name, flags);
    return *out == NULL ? -ENOMEM : 0;
}

/* Our region with its control page filled in; nobody has seen it yet. */
int mbr__session_make_half(struct mbr__pipe *p, uint64_t capacity)
{
    char label[MBR__NAME_MAX + 16];

    (void)snprintf(label, sizeof(label), "membrane:%.180s", p->name);
    int r = mbr__region_create(label, MBR__HALF_HEAD, capacity, &p->own);

    if (r < 0)
        return r;
    p->id[0] = mbr__random_id();
    p->id[1] = mbr__random_id();
    p->self = (struct mbr__half_shm *)(void *)p->own.base;
    p->self->magic = MBR__HALF_MAGIC;
    p->self->version = MBR__HALF_VERSION;
    p->self->head_size = MBR__HALF_HEAD;
    p->self->capacity = capacity;
    p->self->id[0] = p->id[0];
    p->self->id[1] = p->id[1];
    p->self->want.bell = (uint32_t)(p->qd - MBR__QD_BASE) + 1;
    p->self->want.cpu = UINT32_MAX;
    mbr__ring_tx_init(&p->tx, mbr__region_body(&p->own), capacity);
    return 0;
}

/* Whether a stranger's half is what link or note promised. Each field is read once. */
int mbr__session_check_half(const struct mbr__region *r, const uint64_t id[2], uint64_t *capacity)
{
    const struct mbr__half_shm *h = (const struct mbr__half_shm *)(const void *)r->base;
    uint64_t bytes = mbr_load_relaxed(&h->capacity);

    if (mbr_load_relaxed(&h->magic) != MBR__HALF_MAGIC ||
        mbr_load_relaxed(&h->version) != MBR__HALF_VERSION ||
        mbr_load_relaxed(&h->head_size) != MBR__HALF_HEAD || bytes != r->body ||
        !mbr__ring_capacity_ok(bytes) || mbr_load_relaxed(&h->id[0]) != id[0] ||
        mbr_load_relaxed(&h->id[1]) != id[1])
        return -EPROTO;
    *capacity = bytes;
    return 0;
}

/* Joins the peer's mapped half to ours: from here on both rings work. */
int mbr__session_join(struct mbr__pipe *p, uint64_t capacity, uint64_t our_start,
                      uint64_t their_start)
{
    const struct mbr__half_shm *h = (const struct mbr__half_shm *)(const void *)p->theirs.base;
    int r = mbr__ring_tx_attach(&p->tx, &h->rx, &h->want, their_start);

    if (r < 0)
        return r;
    mbr__ring_rx_init(&p->rx, mbr__region_body(&p->theirs), capacity, &p->self->rx, &h->want,
                      our_start);
    p->other = h;
    p->attached = true;
    if (!p->can_recv) /* one-way, or shut down before anybody came */
        (void)mbr__ring_refuse(&p->rx, &p->self->want, MBR__RING_END);
    return 0;
}

void mbr__session_detach(struct mbr__pipe *p)
{
    if (mbr__watch_active(&p->rx_watch))
        mbr__watch_end(&p->l->ws, &p->rx_watch);
    if (mbr__watch_active(&p->tx_watch))
        mbr__watch_end(&p->l->ws, &p->tx_watch);
    mbr__lend_reset(p);
    mbr__lend_close(p); /* what was lent to this peer is nobody else's */
    mbr__peer_leave(p);
    mbr__ring_tx_detach(&p->tx);
    mbr__region_release(&p->theirs);
    p->attached = false;
    p->popped = false;
    p->other = NULL;
}

static void free_pipe(struct mbr__pipe *p)
{
    struct mbr_libos *l = p->l;

    mbr__hello_forget(p);
    mbr__session_detach(p);
    mbr__timer_cancel(&l->ws.timers, &p->retry);
    mbr__buf_unref(p->in.buf);
    mbr__region_release(&p->own);
    mbr__sched_remove(&p->task);
    mbr__slab_free(&l->pipes, p);
}

static void fill_link(const struct mbr__pipe *p, const struct mbr__proc *self, char state,
                      uint64_t value, struct mbr__link *out)
{
    *out = (struct mbr__link){
        .owner = *self,
        .fd = p->own.fd < 0 ? 0 : p->own.fd,
        .wake = p->l->ws.bell,
        .state = state,
        .id = {p->id[0], p->id[1]},
        .inst = p->l->box.inst,
        .value = value,
    };
}

static bool same_id(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

/* ---- creating ---- */

/* Under the lock: takes the name if nobody alive has it. */
static int claim_name(struct mbr__pipe *p, const struct mbr__proc *self)
{
    struct mbr__names *n = &p->l->names;
    struct link_name a = link_name(p->name, 'a');
    struct link_name b = link_name(p->name, 'b');
    struct mbr__link old;
    struct mbr__link mine;
    int r = mbr__names_read(n, a.text, &old);

    if (r == 0 && mbr__proc_alive(&old.owner) != 0)
        return -EEXIST;
    if (r < 0 && r != -ENOENT)
        return r == -EPROTO ? -EEXIST : r; /* something that is not ours stands there */
    fill_link(p, self, 'a', 0, &mine);
    /* The dead creator's opener goes first: a link .b without .a is only litter, the other way
     * round it would count. */
    r = mbr__names_remove(n, b.text);
    return r < 0 && r != -ENOENT ? r : mbr__names_write(n, a.text, &mine);
}

int mbr__session_create(struct mbr_libos *l, const char *name, uint64_t capacity, unsigned flags,
                        struct mbr__pipe **out)
{
    struct mbr__proc self;
    struct mbr__pipe *p;
    int r = begin(l, name, flags, &self, &p);

    if (r < 0)
        return r;
    p->creator = true;
    r = mbr__session_make_half(p, capacity);
    if (r == 0)
        r = mbr__names_lock(&l->names, MBR__LOCK_NS);
    if (r == 0) {
        r = claim_name(p, &self);
        mbr__names_unlock(&l->names);
    }
    if (r < 0) {
        free_pipe(p);
        return r;
    }
    *out = p;
    return 0;
}

/* `want`: its wish to be woken, as far as it is known already. */
static void tell_attached(struct mbr__pipe *p, uint32_t want)
{
    if (!p->attached)
        return;
    want |= mbr__ring_refuse(&p->rx, &p->self->want, MBR__RING_FLAGS);
    if (want != 0)
        mbr__pipe_ring(p);
}

static void tell_peer(struct mbr__pipe *p)
{
    uint32_t want = mbr__ring_end(&p->tx, MBR__RING_FLAGS);

    /* An opener we have not heard of yet may be asleep. As in mbr__pipe_publish_unattached(). */
    if (p->creator && p->fault == 0)
        mbr__hello_read(p->l, MBR__NOTES_ALL);
    tell_attached(p, want);
    /* So may one whose predecessor has died, of which we have not heard either. */
    if (p->next_hello != NULL) {
        mbr__session_detach(p);
        mbr__hello_next(p);
        tell_attached(p, 0);
    }
}

/* ---- opening ---- */

/* Under the lock: the creator's link, if it lives. A dead one's links are removed. */
static int read_creator(struct mbr__pipe *p, struct mbr__link *a)
{
    struct mbr__names *n = &p->l->names;
    int r = mbr__names_read(n, link_name(p->name, 'a').text, a);

    if (r < 0 || mbr__proc_alive(&a->owner) != 0)
        return r;
    (void)mbr__names_remove(n, link_name(p->name, 'b').text);
    (void)mbr__names_remove(n, link_name(p->name, 'a').text);
    return -ENOENT;
}

/* Under the lock: whether the second end is free, and where its reader begins. */
static int read_opener(struct mbr__pipe *p, uint64_t *start)
{
    struct mbr__link b;
    int r = mbr__names_read(&p->l->names, link_name(p->name, 'b').text, &b);

    *start = 0;
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    *start = b.value;
    if (b.state == 'l')
        return 0;
    if (b.state == 'd')
        return -ENOENT;
    if (mbr__proc_alive(&b.owner) != 0)
        return -EBUSY;
    return b.state == 'o' ? 0 : -ENOENT;
}

/* Descriptors by which the creator is reached. */
struct way {
    int memory, bell, pidfd;
};

static void close_way(struct way *w)
{
    int *fds[] = {&w->memory, &w->bell, &w->pidfd};

    for (int i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* Through /proc, without the owner's help. */
static int find_way(const struct mbr__link *a, struct way *w)
{
    int r = mbr__proc_pidfd(&a->owner, &w->pidfd);

    return r < 0 ? r : mbr__proc_open_fd(&a->owner, a->fd, 'm', O_RDONLY, &w->memory);
}

/* Maps the creator's half and joins it. Takes over pidfd and bell. */
static int attach_creator(struct mbr__pipe *p, const struct mbr__link *a, struct way *w)
{
    struct mbr__peer *peer = NULL;
    uint64_t capacity = 0;
    int r = mbr__region_attach_any(w->memory, MBR__HALF_HEAD, MBR__RING_MAX, &p->theirs);

    if (r == 0)
        r = mbr__session_check_half(&p->theirs, a->id, &capacity);
    if (r == 0) {
        r = mbr__peer_get(p->l, &a->owner, a->inst, w->pidfd, w->bell, a->wake, &peer);
        w->pidfd = w->bell = -1;
    }
    if (r < 0)
        return r;
    close(w->memory); /* mapped; the less is open, the later a limit is met */
    w->memory = -1;
    mbr__peer_join(peer, p);
    return 0;
}

/* Our own half, and both rings. */
static int join_creator(struct mbr__pipe *p, uint64_t wanted, uint64_t start)
{
    uint64_t theirs = p->theirs.body;
    int r = mbr__session_make_half(p, wanted != 0 ? wanted : theirs);

    if (r == 0 && start % MBR__RECORD_ALIGN != 0)
        r = -EPROTO;
    if (r == 0)
        r = mbr__session_join(p, theirs, start, 0);
    p->start = start;
    return r;
}

/* Under the lock: everything up to the claim of NAME.b. -EACCES, -ENOENT.. of find_way tell that
 * /proc does not serve. */
static int open_locked(struct mbr__pipe *p, uint64_t capacity, struct mbr__link *a, struct way *w,
                       const struct mbr__proc *self)
{
    struct mbr__link mine;
    uint64_t start = 0;
    int r = read_creator(p, a);

    if (r == 0)
        r = read_opener(p, &start);
    if (r == 0 && w->memory >= 0 && !same_id(a->id, p->target))
        r = -ENOENT; /* it was another's while we asked for it */
    if (r < 0)
        return r;
    p->target[0] = a->id[0];
    p->target[1] = a->id[1];
    if (w->memory < 0)
        r = find_way(a, w);
    if (r == -EACCES || r == -EPERM || r == -ENOENT || r == -EXDEV || r == -ENOSYS)
        return -EHOSTUNREACH; /* /proc does not serve */
    if (r == 0)
        r = attach_creator(p, a, w);
    if (r == -ESRCH)
        r = -ENOENT; /* it died this moment */
    if (r == 0)
        r = join_creator(p, capacity, start);
    if (r < 0)
        return r;
    r = mbr__hello_send(p);
    p->announced = r == 0;
    if (r == -ECONNREFUSED)
        return -ENOENT; /* the creator died this moment */
    if (r < 0 && r != -EAGAIN && r != -ETOOMANYREFS)
        return r;
    /* A full mailbox is no reason to fail: the hello is sent before the pipe is used. */
    fill_link(p, self, p->announced ? 'x' : 'o', start, &mine);
    return mbr__names_write(&p->l->names, link_name(p->name, 'b').text, &mine);
}

static int open_pipe(struct mbr__pipe *p, uint64_t capacity, const struct mbr__proc *self)
{
    struct way w = {-1, -1, -1};
    struct mbr__link a;
    int r = 0;

    for (int attempt = 0; attempt < 2; attempt++) {
        r = mbr__names_lock(&p->l->names, MBR__LOCK_NS);
        if (r < 0)
            break;
        r = open_locked(p, capacity, &a, &w, self);
        mbr__names_unlock(&p->l->names);
        if (r != -EHOSTUNREACH || attempt > 0)
            break;
        close_way(&w);
        int fds[3];

        r = mbr__hello_request(p->l, &a, REQUEST_NS, fds);
        if (r == -ECONNREFUSED || r == -ECONNRESET)
            r = -ENOENT; /* it has closed or died this moment */
        if (r < 0)
            break;
        w = (struct way){fds[0], fds[1], fds[2]};
    }
    close_way(&w);
    return r == -EHOSTUNREACH ? -EACCES : r;
}

int mbr__session_open(struct mbr_libos *l, const char *name, uint64_t capacity, unsigned flags,
                      struct mbr__pipe **out)
{
    struct mbr__proc self;
    struct mbr__pipe *p;
    int r = begin(l, name, flags, &self, &p);

    if (r < 0)
        return r;
    r = open_pipe(p, capacity, &self);
    if (r < 0) {
        if (p->announced)
            tell_peer(p); /* it may have heard of us already */
        free_pipe(p);
        return r;
    }
    if (p->peer->inst == l->box.inst)
        mbr__hello_read(l, MBR__NOTES_ALL); /* both ends are ours: no reason to wait for a wait */
    *out = p;
    return 0;
}

/* ---- leaving ---- */

bool mbr__session_died_silent(struct mbr__pipe *p)
{
    struct mbr__link b;

    mbr__lend_take_returns(p);
    (void)mbr__ring_refresh(&p->tx);
    if (p->tx.head != p->start || p->popped || mbr__ring_has_record(&p->rx))
        return false;
    int r = mbr__names_read(&p->l->names, link_name(p->name, 'b').text, &b);

    if (r < 0)
        return r == -ENOENT; /* it died between its hello and its link */
    /* Still 'o': it died before it could say in its link that we know it. Somebody else's: that one
     * has taken over. */
    return b.state == 'o' || !same_id(b.id, p->target);
}

/*
 * The opener has left its rings but, as far as we see, not yet its link: it is about to, or died
 * before it could. We do it for it, so that the next one can open; what it writes itself is the
 * same.
 */
static void mend_link(struct mbr__pipe *p, uint64_t head)
{
    struct mbr__names *n = &p->l->names;
    struct link_name file = link_name(p->name, 'b');
    struct mbr__link b;

    if (mbr__names_read(n, file.text, &b) < 0 || b.state != 'x' || !same_id(b.id, p->target) ||
        mbr__names_lock(n, MEND_NS) < 0)
        return;
    if (mbr__names_read(n, file.text, &b) == 0 && same_id(b.id, p->target) && b.state == 'x') {
        b.state = 'l';
        b.value = head;
        (void)mbr__names_write(n, file.text, &b);
    }
    mbr__names_unlock(n);
}

void mbr__session_depart(struct mbr__pipe *p)
{
    (void)mbr__ring_refresh(&p->tx);
    if (p->tx.broken) {
        mbr__pipe_fault(p, EPROTO);
        return;
    }
    mend_link(p, p->tx.head);
    mbr__session_detach(p);
    mbr__hello_next(p);
}

int mbr__session_mark(struct mbr__pipe *p, char state)
{
    struct link_name file = link_name(p->name, 'b');
    struct mbr__link b;
    int r = mbr__names_read(&p->l->names, file.text, &b);

    if (r < 0 || !same_id(b.id, p->id))
        return -ENOENT;
    b.state = state;
    return mbr__names_write(&p->l->names, file.text, &b);
}

/* Opener: what the next one is to find. */
static void leave_link(struct mbr__pipe *p)
{
    struct mbr__names *n = &p->l->names;
    struct link_name file = link_name(p->name, 'b');
    struct mbr__link b;

    if (mbr__names_lock(n, MBR__LOCK_NS) < 0)
        return; /* the link dangles once we are dead */
    if (mbr__names_read(n, file.text, &b) == 0 && same_id(b.id, p->id)) {
        b.state = p->pushed ? 'd' : 'l';
        b.value = p->rx.head;
        (void)mbr__names_write(n, file.text, &b);
    }
    mbr__names_unlock(n);
}

static void withdraw_name(struct mbr__pipe *p)
{
    struct mbr__names *n = &p->l->names;
    struct mbr__link a;

    if (mbr__names_lock(n, MBR__LOCK_NS) < 0)
        return;
    if (mbr__names_read(n, link_name(p->name, 'a').text, &a) == 0 && same_id(a.id, p->id)) {
        (void)mbr__names_remove(n, link_name(p->name, 'b').text);
        (void)mbr__names_remove(n, link_name(p->name, 'a').text);
    }
    mbr__names_unlock(n);
}

void mbr__session_close(struct mbr__pipe *p)
{
    bool ours = p->l->fork_mark == mbr__fork_mark();

    if (ours) {
        tell_peer(p);
        if (p->creator)
            withdraw_name(p);
        else
            leave_link(p);
    }
    free_pipe(p);
}
