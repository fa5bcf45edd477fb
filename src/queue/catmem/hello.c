/* SPDX-License-Identifier: MIT */
/*
 * Mailbox traffic of pipes: how a creator learns of its opener, and how an owner whom /proc does
 * not serve is asked.
 *
 * The hello carries the opener's memory, so what it pushes is safe in the kernel's hands before the
 * push is acknowledged, whether or not the creator runs: killing the opener right afterwards loses
 * nothing.
 */
#define _GNU_SOURCE
#include "queue/catmem/hello.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "queue/catloop/guest.h"
#include "queue/catloop/pair.h"
#include "queue/catmem/lend.h"
#include "queue/catmem/session.h"
#include "shm/proc.h"

#define RETRY_NS UINT64_C(1000000) /* between attempts at a full mailbox */

enum { FD_MEMORY = 0, FD_BELL = 1, FD_PIDFD = 2 };

static int self_pidfd(struct mbr_libos *l)
{
    struct mbr__proc self;
    int r = 0;

    if (l->self_pidfd < 0) {
        r = mbr__proc_self(&self);
        if (r == 0)
            r = mbr__proc_pidfd(&self, &l->self_pidfd);
    }
    return r < 0 ? r : l->self_pidfd;
}

/* A note about our half, with what a peer needs to reach us. */
int mbr__hello_note(struct mbr__pipe *p, enum mbr__hello_kind kind, struct mbr__note *note)
{
    struct mbr__proc self;
    int pidfd = self_pidfd(p->l);
    int r = pidfd < 0 ? pidfd : mbr__proc_self(&self);

    if (r < 0)
        return r;
    struct mbr__hello h = {
        .magic = MBR__HELLO_MAGIC,
        .kind = kind,
        .target = {p->target[0], p->target[1]},
        .id = {p->id[0], p->id[1]},
        .start = p->start,
        .capacity = p->own.body,
        .proc_start = self.start,
        .proc_ns = self.ns,
        .inst = p->l->box.inst,
        .pid = self.pid,
        .wake = p->l->ws.bell,
    };
    *note =
        (struct mbr__note){.len = sizeof(h), .nfds = 3, .fds = {p->own.fd, p->l->ws.bell, pidfd}};
    memcpy(note->data, &h, sizeof(h));
    return 0;
}

/* ---- opener ---- */

static void retry_fired(struct mbr__timer *t)
{
    mbr__sched_wake(&mbr__container_of(t, struct mbr__pipe, retry)->task);
}

void mbr__hello_init(struct mbr__pipe *p)
{
    mbr__timer_init(&p->retry, retry_fired);
}

static void retry_later(struct mbr__pipe *p)
{
    if (!mbr__timer_is_set(&p->retry))
        (void)mbr__timer_add(&p->l->ws.timers, &p->retry, mbr__deadline_ns(RETRY_NS));
}

/*
 * The creator knows us now: say so in our link, so that nobody takes over what is in use. While
 * somebody keeps the lock we go on without: should we die just then, the creator sees by our half
 * that we were active, and a taker-over reads from a pipe that is about to end.
 */
int mbr__hello_mark(struct mbr__pipe *p)
{
    int r = mbr__names_lock(&p->l->names, 0);

    p->unmarked = r == -ETIMEDOUT;
    if (p->unmarked) {
        retry_later(p);
        return 0;
    }
    if (r < 0)
        return r;
    r = mbr__session_mark(p, 'x');
    mbr__names_unlock(&p->l->names);
    return r;
}

int mbr__hello_send(struct mbr__pipe *p)
{
    struct mbr__note note;
    int r = mbr__hello_note(p, MBR__HELLO_OPEN, &note);

    if (r == 0)
        r = mbr__post_send(&p->l->names, p->peer->inst, &note, NULL);
    p->hello_sent = r == 0;
    if (p->hello_sent)
        mbr__region_drop_fd(&p->own); /* the note holds it */
    return r;
}

int mbr__hello_announce(struct mbr__pipe *p)
{
    int r = p->fault != 0 ? -p->fault : 0;

    if (p->announced || r < 0)
        return r;
    if (!p->hello_sent)
        r = mbr__hello_send(p);
    if (r == 0)
        r = mbr__hello_mark(p);
    if (r == -ENOENT || r == -ECONNREFUSED) {
        /* The creator has closed or died. What it left can still be read. */
        p->orphan = true;
        r = 0;
    }
    if (r < 0) { /* no descriptors, a full mailbox: none of it lasts */
        retry_later(p);
        return -EAGAIN;
    }
    p->announced = true;
    return 0;
}

/*
 * The passed bell is kept only if it cannot be had through /proc when it is needed. Then it is
 * opened anew, after a check that it is a pipe: its sender shares the passed descriptor's flags and
 * could make a write block, or close its reading end and have us killed by SIGPIPE.
 */
int mbr__hello_bell(const struct mbr__proc *proc, int wake_no, int *passed)
{
    struct mbr__proc self;
    int bell = -1;

    if (mbr__proc_open_fd(proc, wake_no, 'p', O_RDWR, &bell) == 0) {
        close(bell);
        return -1;
    }
    if (mbr__proc_self(&self) < 0 || mbr__proc_open_fd(&self, *passed, 'p', O_RDWR, &bell) < 0)
        return -EPROTO;
    return bell;
}

static int await_answer(int conn, uint64_t deadline, struct mbr__note *note)
{
    for (;;) {
        int r = mbr__conn_recv(conn, note);
        uint64_t now = mbr__now_ns();

        if (r != -EAGAIN)
            return r;
        if (now >= deadline)
            return -ETIMEDOUT;
        struct pollfd pfd = {.fd = conn, .events = POLLIN};

        (void)poll(&pfd, 1, (int)((deadline - now) / 1000000 + 1));
    }
}

int mbr__hello_request(struct mbr_libos *l, const struct mbr__link *a, uint64_t timeout_ns,
                       int fds[3])
{
    struct mbr__hello h = {
        .magic = MBR__HELLO_MAGIC,
        .kind = MBR__HELLO_REQUEST,
        .target = {a->id[0], a->id[1]},
    };
    struct mbr__note note = {.len = sizeof(h)};
    int conn = -1;

    memcpy(note.data, &h, sizeof(h));
    int r = mbr__post_send(&l->names, a->inst, &note, &conn);

    if (r < 0)
        return r == -EAGAIN ? -ETIMEDOUT : r;
    r = await_answer(conn, mbr__deadline_ns(timeout_ns), &note);
    close(conn);
    if (r < 0)
        return r;
    memcpy(&h, note.data, sizeof(h));
    if (note.len == sizeof(h) && h.kind == MBR__HELLO_ANSWER && note.nfds == 3) {
        int bell = mbr__hello_bell(&a->owner, a->wake, &note.fds[FD_BELL]);

        fds[FD_MEMORY] = note.fds[FD_MEMORY];
        fds[FD_BELL] = bell == -EPROTO ? -1 : bell;
        fds[FD_PIDFD] = note.fds[FD_PIDFD];
        note.fds[FD_MEMORY] = note.fds[FD_PIDFD] = -1;
        r = bell == -EPROTO ? -EPROTO : 0;
    } else {
        r = -EPROTO;
    }
    mbr__note_close(&note);
    return r;
}

int mbr__hello_lend(struct mbr__pipe *p, uint64_t region, uint64_t size, int fd)
{
    struct mbr__hello h = {
        .magic = MBR__HELLO_MAGIC,
        .kind = MBR__HELLO_LEND,
        .target = {mbr_load_relaxed(&p->other->id[0]), mbr_load_relaxed(&p->other->id[1])},
        .id = {p->id[0], p->id[1]},
        .start = region,
        .capacity = size,
    };
    struct mbr__note note = {.len = sizeof(h), .nfds = 1, .fds = {fd}};

    memcpy(note.data, &h, sizeof(h));
    return mbr__post_send(&p->l->names, p->peer->inst, &note, NULL);
}

/* ---- creator ---- */

/* The pipe whose half this is, either end. */
static struct mbr__pipe *find_half(struct mbr_libos *l, const uint64_t id[2])
{
    uint32_t cursor = 0;
    struct mbr__pipe *p;

    while ((p = mbr__slab_next(&l->pipes, &cursor)) != NULL) {
        if (p->kind == MBR__QUEUE_PIPE && p->id[0] == id[0] && p->id[1] == id[1])
            return p;
    }
    return NULL;
}

/* Why a process may not be known to us and still be the one that it says it is. */
static bool is_hidden(int error)
{
    return error == -ESRCH || error == -ENOENT || error == -EACCES || error == -EPERM;
}

/*
 * Who the sender is. In our own PID namespace the kernel's word must agree, and we open the pidfd
 * ourselves; only of one that is dead already, that /proc does not show to us, or that lives in
 * another namespace, do we take its own. (With a wrong one it lies about its own death, and harms
 * itself.)
 */
static int identify(const struct mbr__note *note, const struct mbr__proc *proc, int *pidfd)
{
    int r = -ESRCH;

    if (mbr__proc_same_namespace(proc)) {
        if (note->pid != proc->pid)
            return -EPROTO;
        r = mbr__proc_pidfd(proc, pidfd);
    }
    if (is_hidden(r)) {
        r = fcntl(note->fds[FD_PIDFD], F_DUPFD_CLOEXEC, 0);
        if (r < 0)
            return errno == EMFILE || errno == ENFILE ? -errno : -EPROTO;
        *pidfd = r;
        r = 0;
    }
    return r;
}

int mbr__hello_know(struct mbr_libos *l, const struct mbr__hello *h, struct mbr__note *note,
                    struct mbr__peer **out)
{
    struct mbr__proc proc = {.pid = h->pid, .start = h->proc_start, .ns = h->proc_ns};
    int pidfd = -1;
    int r = identify(note, &proc, &pidfd);

    if (r < 0)
        return r;
    int bell = mbr__hello_bell(&proc, h->wake, &note->fds[FD_BELL]);

    if (bell == -EPROTO) {
        close(pidfd);
        return -EPROTO;
    }
    return mbr__peer_get(l, &proc, h->inst, pidfd, bell, h->wake, out);
}

static int attach_opener(struct mbr__pipe *p, const struct mbr__hello *h, struct mbr__note *note)
{
    struct mbr__peer *peer = NULL;
    uint64_t capacity = 0;

    if (!mbr__ring_capacity_ok(h->capacity) || h->wake < 0 || h->pid <= 0)
        return -EPROTO;
    int r = mbr__region_attach(note->fds[FD_MEMORY], MBR__HALF_HEAD, h->capacity, &p->theirs);

    if (r == 0)
        r = mbr__session_check_half(&p->theirs, h->id, &capacity);
    if (r == 0)
        r = mbr__hello_know(p->l, h, note, &peer);
    if (r == 0) {
        mbr__peer_join(peer, p);
        r = mbr__session_join(p, capacity, 0, h->start);
    }
    if (r < 0) {
        mbr__session_detach(p);
        return r;
    }
    p->target[0] = h->id[0];
    p->target[1] = h->id[1];
    p->start = h->start;
    mbr_fence_full(); /* pair B: it may have gone to sleep before we knew whom to wake */
    if (mbr_load_relaxed(&p->other->want.data) != 0)
        mbr__pipe_ring(p);
    mbr__sched_wake(&p->task);
    return 0;
}

static void put_aside(struct mbr__pipe *p, struct mbr__note *note)
{
    mbr__hello_forget(p);
    p->next_hello = malloc(sizeof(*note));
    if (p->next_hello != NULL)
        *p->next_hello = *note;
    else
        mbr__note_close(note);
}

/* A note that says OPEN. The note's descriptors are closed unless taken. */
static void opened(struct mbr__pipe *p, const struct mbr__hello *h, struct mbr__note *note)
{
    struct mbr__record rec = {0};

    if (p->attached && !p->ended)
        (void)mbr__pipe_peek(p, &rec); /* its predecessor has left, or it could not have opened */
    if (note->nfds != 3 || p->fault != 0 || p->ended) {
        mbr__note_close(note);
    } else if (p->attached) {
        put_aside(p, note);
        mbr__sched_wake(&p->task);
    } else {
        (void)attach_opener(p, h, note); /* what is no half of a pipe is as if it had not come */
        mbr__note_close(note);
    }
}

void mbr__hello_next(struct mbr__pipe *p)
{
    struct mbr__note *note = p->next_hello;
    struct mbr__hello h;

    if (note == NULL)
        return;
    p->next_hello = NULL;
    memcpy(&h, note->data, sizeof(h));
    (void)attach_opener(p, &h, note);
    mbr__note_close(note);
    free(note);
}

void mbr__hello_forget(struct mbr__pipe *p)
{
    if (p->next_hello != NULL)
        mbr__note_close(p->next_hello);
    free(p->next_hello);
    p->next_hello = NULL;
}

/* A note that says REQUEST: our half goes back over its connection. */
static void requested(struct mbr__pipe *p, int conn)
{
    struct mbr__note answer;

    if (mbr__hello_note(p, MBR__HELLO_ANSWER, &answer) == 0)
        (void)mbr__conn_send(conn, &answer);
}

static void handle(struct mbr_libos *l, struct mbr__note *note, int conn)
{
    struct mbr__hello h = {0};
    struct mbr__pipe *p = NULL;

    if (note->len == sizeof(h)) {
        memcpy(&h, note->data, sizeof(h));
        if (h.magic == MBR__HELLO_MAGIC)
            p = find_half(l, h.target);
    }
    if (note->len == sizeof(h) && h.magic == MBR__HELLO_MAGIC && h.kind == MBR__HELLO_CONNECT) {
        mbr__pair_hello(l, &h, note, conn);
        mbr__note_close(note);
        return;
    }
    if (note->len == sizeof(h) && h.magic == MBR__HELLO_MAGIC && h.kind == MBR__HELLO_GUEST)
        mbr__guest_hello(l, &h, note, conn);
    if (p != NULL && p->creator && h.kind == MBR__HELLO_OPEN) {
        opened(p, &h, note);
        return;
    }
    if (p != NULL && p->creator && h.kind == MBR__HELLO_REQUEST)
        requested(p, conn);
    if (p != NULL && h.kind == MBR__HELLO_LEND && note->nfds == 1)
        mbr__lend_view(p, h.start, h.capacity, note->fds[FD_MEMORY]);
    mbr__note_close(note);
}

/* ---- without descriptors ---- */

#define PAUSE_NS UINT64_C(10000000) /* before the mailbox is looked at again */

/* Whoever connects can be told no; what belongs to a pipe waits until there is room. */
static bool may_be_refused(const void *data, size_t len)
{
    struct mbr__hello h;

    if (len != sizeof(h))
        return false;
    memcpy(&h, data, sizeof(h));
    return h.magic == MBR__HELLO_MAGIC &&
           (h.kind == MBR__HELLO_CONNECT || h.kind == MBR__HELLO_GUEST);
}

static void pause_over(struct mbr__timer *t)
{
    struct mbr_libos *l = mbr__container_of(t, struct mbr_libos, box_pause);

    (void)mbr__watch_fd_events(&l->ws, &l->box_watch, EPOLLIN);
}

/* No descriptor or no memory: the mailbox stays readable, and a wait that looked at it all the time
 * would never sleep. */
static void out_of_room(struct mbr_libos *l)
{
    mbr__mailbox_shed(&l->box, &l->spare_fd, may_be_refused);
    if (mbr__timer_is_set(&l->box_pause) ||
        mbr__timer_add(&l->ws.timers, &l->box_pause, mbr__deadline_ns(PAUSE_NS)) < 0)
        return;
    (void)mbr__watch_fd_events(&l->ws, &l->box_watch, 0);
}

void mbr__hello_start(struct mbr_libos *l)
{
    mbr__timer_init(&l->box_pause, pause_over);
}

void mbr__hello_read(struct mbr_libos *l, unsigned most)
{
    struct mbr__note note;
    int conn = -1;
    int r;

    while (most-- > 0 && (r = mbr__mailbox_take(&l->box, &note, &conn)) != -EAGAIN) {
        if (r == 0) {
            handle(l, &note, conn);
            close(conn);
        } else if (r != -EPROTO && r != -EPERM) {
            out_of_room(l);
            return;
        }
    }
}
