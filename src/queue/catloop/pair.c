/* SPDX-License-Identifier: MIT */
/*
 * Pairs: making them known, the handshake in their rings, reuse. pair.h explains them.
 *
 * Whatever the peer does at any point, a pair ends in one of three ways: it is used again, its peer
 * is seen to be dead (a pidfd), or its peer says that it will not use it again.
 */
#define _GNU_SOURCE
#include "queue/catloop/pair.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/assert.h"
#include "queue/catloop/catloop.h"
#include "queue/catmem/session.h"
#include "shm/post.h"

#define RETRY_NS UINT64_C(1000000) /* between attempts at a full mailbox */

static enum mbr__task_result poll_pair(struct mbr__task *task);
static void poll_closing(struct mbr__pair *pair);

/* ---- addresses ---- */

static void to_shm(const union mbr__addr *a, struct mbr__addr_shm *out)
{
    memset(out, 0, sizeof(*out));
    out->family = a->sa.sa_family == AF_INET6 ? 6 : 4;
    out->port = mbr__addr_port(a);
    if (out->family == 6)
        memcpy(out->host, &a->v6.sin6_addr, 16);
    else
        memcpy(out->host, &a->v4.sin_addr, 4);
}

static int from_shm(const struct mbr__addr_shm *a, union mbr__addr *out)
{
    if (a->family != 4 && a->family != 6)
        return -EPROTO;
    mbr__addr_any(a->family == 6 ? AF_INET6 : AF_INET, out);
    mbr__addr_set_port(out, a->port);
    if (a->family == 6)
        memcpy(&out->v6.sin6_addr, a->host, 16);
    else
        memcpy(&out->v4.sin_addr, a->host, 4);
    return 0;
}

/* ---- making and freeing ---- */

static void retry_fired(struct mbr__timer *t)
{
    mbr__sched_wake(&mbr__container_of(t, struct mbr__pipe, retry)->task);
}

static struct mbr__pair *pair_new(struct mbr_libos *l, bool client)
{
    struct mbr__pair *pair = mbr__slab_alloc(&l->pairs);

    if (pair == NULL)
        return NULL;
    memset(pair, 0, sizeof(*pair));
    struct mbr__pipe *p = &pair->pipe;

    p->l = l;
    p->qd = -1;
    p->announced = p->hello_sent = true;
    p->can_send = p->can_recv = true;
    p->own.fd = -1;
    pair->client = client;
    pair->conn = -1;
    mbr__list_init(&pair->node);
    mbr__list_init(&pair->flow);
    mbr__list_init(&p->pops);
    mbr__list_init(&p->pushes);
    mbr__timer_init(&p->retry, retry_fired);
    mbr__task_init(&p->task, poll_pair);
    if (mbr__sched_add(&l->sched, &p->task) < 0) {
        mbr__slab_free(&l->pairs, pair);
        return NULL;
    }
    return pair;
}

static int make_half(struct mbr__pair *pair, uint64_t capacity)
{
    int r = mbr__session_make_half(&pair->pipe, capacity);

    if (r == 0)
        pair->pipe.self->want.bell = MBR__PAIR_BELL | mbr__slab_index(pair);
    return r;
}

static void uncount(struct mbr__pair *pair)
{
    if (pair->counted)
        (void)mbr__hash_del(&pair->pipe.l->connections, pair->key);
    pair->counted = false;
}

static void hang_up(struct mbr__pair *pair)
{
    if (mbr__watch_active(&pair->answer_watch))
        mbr__watch_end(&pair->pipe.l->ws, &pair->answer_watch);
    if (pair->conn >= 0)
        close(pair->conn);
    pair->conn = -1;
}

/* Out of the list of idle ones, or of the queue that it is in. */
static void leave_idle(struct mbr__pair *pair)
{
    struct mbr_libos *l = pair->pipe.l;

    if (pair->state == MBR__PAIR_IDLE && !mbr__list_empty(&pair->node))
        (*(pair->client ? &l->idle_pairs : &l->served_pairs))--;
    mbr__list_del(&pair->node);
}

static void forget(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr_libos *l = p->l;

    leave_idle(pair);
    mbr__list_del(&pair->flow);
    uncount(pair);
    hang_up(pair);
    mbr__session_detach(p);
    mbr__timer_cancel(&l->ws.timers, &p->retry);
    mbr__buf_unref(p->in.buf);
    mbr__region_release(&p->own);
    mbr__sched_remove(&p->task);
    mbr__slab_free(&l->pairs, pair);
}

/* Puts the end marker; what the peer sees of it wakes it. */
static void put_end(struct mbr__pipe *p)
{
    uint32_t want = mbr__ring_end(&p->tx, MBR__RING_FLAGS);

    if (p->attached)
        want |= mbr__ring_refuse(&p->rx, &p->self->want, MBR__RING_FLAGS);
    if (want != 0 && p->attached)
        mbr__pipe_ring(p);
}

void mbr__pair_free(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;

    if (p->self != NULL && p->l->fork_mark == mbr__fork_mark()) {
        mbr_store_release(&p->self->want.done, MBR__DONE_GONE); /* pair A with peer_is_gone() */
        if (pair->state == MBR__PAIR_CLOSING || pair->state == MBR__PAIR_IDLE) {
            /* The marker stands there already: only another one is news. */
            if (mbr__ring_end(&p->tx, MBR__RING_LEFT) != 0 && p->attached)
                mbr__pipe_ring(p);
        } else {
            put_end(p);
            mbr_store_release(&p->self->want.done, MBR__DONE_GONE);
        }
    }
    forget(pair);
}

static bool peer_is_gone(const struct mbr__pipe *p)
{
    return (p->peer != NULL && p->peer->dead) ||
           (p->other != NULL && mbr_load_acquire(&p->other->want.done) >= MBR__DONE_GONE);
}

/* ---- the handshake ---- */

static bool publish(struct mbr__pipe *p, uint8_t kind, const void *data, uint32_t len)
{
    void *to = mbr__ring_reserve(&p->tx, len);

    if (to == NULL)
        return false;
    memcpy(to, data, len);
    mbr__ring_commit(&p->tx, len, kind);
    if (mbr__ring_publish(&p->tx) != 0 && p->attached)
        mbr__pipe_ring(p);
    return true;
}

/* Takes back what we said of our side of the rings at the end of the last connection. */
static void unsay(struct mbr__pipe *p)
{
    if (!p->attached)
        return;
    p->rx.said = 0;
    mbr_store_relaxed(&p->self->want.done, 0);
    (void)mbr__ring_retire(&p->rx);
}

/* Both sides have taken it back: the rings are as new. */
static void begin_connection(struct mbr__pair *pair, enum mbr__pair_state state)
{
    struct mbr__pipe *p = &pair->pipe;

    (void)mbr__ring_refresh(&p->tx);
    p->tx.flags = 0;
    p->rx.flags = 0;
    p->ended = p->sent_end = p->closing = p->pushed = p->popped = false;
    p->can_send = p->can_recv = true;
    p->place = (struct mbr__place){0};
    pair->state = (uint8_t)state;
}

/* The next record, if it is one of the handshake. 1, 0 none, -ECONNRESET it will not come. */
static int next_record(struct mbr__pipe *p, struct mbr__record *rec)
{
    uint64_t header = mbr_load_acquire(mbr__ring_next(&p->rx)); /* pair A with publish */

    if (peer_is_gone(p))
        return -ECONNRESET;
    if (header == 0) {
        p->rx.flags = 0;
        return 0;
    }
    if ((uint8_t)(header >> 32) == MBR__RECORD_END) {
        p->rx.flags = header & MBR__RING_FLAGS;
        return p->rx.flags == MBR__RING_FLAGS ? 0 : -ECONNRESET;
    }
    p->rx.flags = 0;
    return mbr__ring_peek(&p->rx, rec) > 0 ? 1 : -ECONNRESET;
}

static void ask(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;

    unsay(p);
    pair->state = p->attached ? MBR__PAIR_ASKING : MBR__PAIR_GREETING;
    /* The ring is empty: it was looked at before the pair became idle. */
    MBR_ASSERT(publish(p, MBR__REC_CONNECT, &pair->ask, sizeof(pair->ask)));
    if (p->attached)
        mbr__pipe_watch_rx(p);
}

/* The pair is without a connection, and both sides have read all (a client's), or will have when it
 * asks again. */
static void keep(struct mbr__pair *pair)
{
    struct mbr_libos *l = pair->pipe.l;
    struct mbr__list *list = pair->client ? &l->idle : &l->served;
    uint32_t *n = pair->client ? &l->idle_pairs : &l->served_pairs;

    pair->state = MBR__PAIR_IDLE;
    pair->sock = NULL;
    uncount(pair);
    mbr__pipe_watch_rx(&pair->pipe);
    if (!mbr__list_empty(&pair->node))
        return;
    mbr__list_push_front(list, &pair->node);
    (*n)++;
    if (*n > (pair->client ? MBR__PAIRS_IDLE : MBR__PAIRS_SERVED))
        mbr__pair_free(mbr__container_of(list->prev, struct mbr__pair, node));
}

/* Client: the handshake has ended without a connection. */
static void give_up(struct mbr__pair *pair, int error)
{
    mbr__catloop_answered(pair, error);
    mbr__pair_free(pair);
}

static void poll_answer(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__record rec = {0};
    int r = next_record(p, &rec);
    uint32_t error = 0;

    if (r == 0) {
        mbr__pipe_watch_rx(p);
        return;
    }
    if (r < 0 || rec.len != sizeof(error) ||
        (rec.kind != MBR__REC_ACCEPT && rec.kind != MBR__REC_REFUSE)) {
        bool given_up = r < 0 && pair->reused && !p->peer->dead && !mbr__ring_has_record(&p->rx);

        give_up(pair, given_up ? -ECONNRESET : -ECONNREFUSED);
        return;
    }
    memcpy(&error, rec.data, sizeof(error)); /* once */
    bool accepted = rec.kind == MBR__REC_ACCEPT;

    mbr__ring_release(&p->rx, &rec);
    (void)mbr__ring_retire(&p->rx);
    if (mbr__watch_active(&p->rx_watch))
        mbr__watch_end(&p->l->ws, &p->rx_watch);
    if (accepted) {
        begin_connection(pair, MBR__PAIR_OPEN);
        mbr__catloop_answered(pair, 0);
        return;
    }
    mbr__catloop_answered(pair, error == EADDRINUSE ? -EADDRINUSE : -ECONNREFUSED);
    keep(pair);
}

/* The addresses are in use until both sides have closed; it may be that we have not looked yet. */
int mbr__pair_count(struct mbr__pair *pair)
{
    static const uint64_t secret[2] = {UINT64_C(0x6d656d6272616e65), UINT64_C(0x636174)};
    struct mbr__hash *all = &pair->pipe.l->connections;

    pair->key = mbr__siphash(secret, &pair->ask.from, 2 * sizeof(pair->ask.from));
    struct mbr__pair *old = mbr__hash_get(all, pair->key);

    if (old != NULL && old->state == MBR__PAIR_CLOSING)
        poll_closing(old);
    else if (old != NULL && peer_is_gone(&old->pipe))
        uncount(old); /* nobody is at the other end of that one */
    int r = mbr__hash_put(all, pair->key, pair);

    pair->counted = r == 0;
    return r == -EEXIST ? -EADDRINUSE : r;
}

static void answer(struct mbr__pair *pair, const struct mbr__record *rec)
{
    struct mbr__pipe *p = &pair->pipe;
    int r;

    memcpy(&pair->ask, rec->data, sizeof(pair->ask)); /* once */
    mbr__ring_release(&p->rx, rec);
    unsay(p);
    leave_idle(pair);
    r = from_shm(&pair->ask.from, &pair->from);
    if (r == 0)
        r = from_shm(&pair->ask.to, &pair->to);
    begin_connection(pair, MBR__PAIR_IDLE);
    if (r == 0)
        r = mbr__catloop_asked(pair, pair->ask.target);
    uint32_t error = (uint32_t)-r;

    if (!publish(p, r < 0 ? MBR__REC_REFUSE : MBR__REC_ACCEPT, &error, sizeof(error))) {
        mbr__pipe_fault(p, EPROTO); /* it does not read what it asks for */
        if (r < 0)
            mbr__pair_free(pair);
    } else if (r < 0) {
        keep(pair);
    } else if (pair->state == MBR__PAIR_QUEUED && mbr__watch_active(&p->rx_watch)) {
        mbr__watch_end(&p->l->ws, &p->rx_watch);
    }
}

static void poll_idle(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__record rec = {0};
    int r = next_record(p, &rec);

    if (r == 0)
        mbr__pipe_watch_rx(p);
    else if (r > 0 && !pair->client && rec.kind == MBR__REC_CONNECT &&
             rec.len == sizeof(struct mbr__connect_shm))
        answer(pair, &rec);
    else
        mbr__pair_free(pair);
}

/* ---- closing ---- */

/*
 * Skips what the peer had sent. 1 its end marker is there, 0 not yet, -EPROTO. A client that has
 * seen our marker and whose ring is empty may ask again before we have looked at its own: then the
 * next request stands in its place.
 */
static int skip(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__record rec = {0};
    bool asked = false;
    int r = 1;

    if ((p->rx.flags & MBR__RING_LEFT) != 0)
        return 1;
    for (uint64_t n = p->rx.mask / MBR__RECORD_ALIGN; n > 0 && r > 0 && !asked; n--) {
        r = mbr__ring_peek(&p->rx, &rec);
        asked = r > 0 && !pair->client && rec.kind == MBR__REC_CONNECT;
        if (r > 0 && !asked)
            mbr__ring_release(&p->rx, &rec);
    }
    mbr__pipe_retire(p);
    if (asked)
        return 1;
    if (r > 0)
        mbr__sched_wake(&p->task); /* it sends faster than we skip */
    return r < 0 ? r : (p->rx.flags & MBR__RING_LEFT) != 0;
}

static void poll_closing(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    int r = peer_is_gone(p) ? -ECONNRESET : skip(pair);

    (void)mbr__ring_refresh(&p->tx);
    if (r < 0 || p->tx.broken) {
        mbr__pair_free(pair);
        return;
    }
    if (r > 0 && (!pair->client || p->tx.head == p->tx.tail)) {
        if (mbr__watch_active(&p->tx_watch))
            mbr__watch_end(&p->l->ws, &p->tx_watch);
        keep(pair);
        return;
    }
    mbr__pipe_watch_rx(p);
    if (pair->client)
        mbr__pipe_watch_tx(p);
}

void mbr__pair_leave(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;

    mbr__list_del(&pair->node);
    mbr__list_del(&pair->flow);
    p->sock = NULL;
    pair->sock = NULL;
    mbr__pipe_fail(p, &p->pops, EBADF);
    mbr__pipe_fail(p, &p->pushes, EBADF);
    if (p->fault != 0 || !p->attached || p->l->closing || pair->state < MBR__PAIR_QUEUED ||
        p->l->fork_mark != mbr__fork_mark()) {
        mbr__pair_free(pair);
        return;
    }
    if (p->in.buf != NULL)
        mbr__buf_unref(p->in.buf);
    p->in = (struct mbr__partial){0};
    if (p->place.shown && p->place.rec.kind != 0)
        mbr__ring_release(&p->rx, &p->place.rec);
    p->place = (struct mbr__place){0};
    if (mbr__watch_active(&p->rx_watch))
        mbr__watch_end(&p->l->ws, &p->rx_watch);
    if (mbr__watch_active(&p->tx_watch))
        mbr__watch_end(&p->l->ws, &p->tx_watch);
    put_end(p);
    pair->state = MBR__PAIR_CLOSING;
    mbr__sched_wake(&p->task);
}

void mbr__pair_reset(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;

    if (p->fault != 0 || !p->attached ||
        (pair->state != MBR__PAIR_OPEN && pair->state != MBR__PAIR_QUEUED) ||
        p->l->fork_mark != mbr__fork_mark()) {
        mbr__pair_leave(pair);
        return;
    }
    p->sock = NULL;
    pair->sock = NULL;
    mbr__pipe_fail(p, &p->pops, EBADF);
    mbr__pipe_fail(p, &p->pushes, EBADF);
    uint32_t want = mbr__ring_refuse(&p->rx, &p->self->want, MBR__RING_FLAGS);

    /* Said before the end is, and found by whoever finds that (pair A with was_reset()).
     */
    mbr_store_release(&p->self->want.done, MBR__DONE_RESET);
    want |= mbr__ring_end(&p->tx, MBR__RING_FLAGS);
    if (want != 0)
        mbr__pipe_ring(p);
    forget(pair);
}

/* ---- making known ---- */

static void answered(struct mbr__watch *w, uint32_t events)
{
    (void)events;
    mbr__sched_wake(&mbr__container_of(w, struct mbr__pair, answer_watch)->pipe.task);
}

static int try_again_later(struct mbr__pipe *p)
{
    return mbr__timer_is_set(&p->retry)
               ? 0
               : mbr__timer_add(&p->l->ws.timers, &p->retry, mbr__deadline_ns(RETRY_NS));
}

/* Client: sends our note to the server's mailbox, and again later while that is full. The answer
 * comes over the same connection; its end without an answer is a refusal, whoever has died, has
 * closed or has no memory. */
static int send_note(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__note note;
    int r = mbr__hello_note(p, MBR__HELLO_CONNECT, &note);

    if (r == 0)
        r = mbr__post_send(&p->l->names, pair->inst, &note, &pair->conn);
    if (r == -EAGAIN || r == -ETOOMANYREFS)
        return try_again_later(p);
    if (r == 0)
        r = mbr__watch_fd(&p->l->ws, &pair->answer_watch, pair->conn, EPOLLIN, answered);
    if (r < 0)
        return r == -ENOENT ? -ECONNREFUSED : r;
    p->hello_sent = true;
    mbr__region_drop_fd(&p->own); /* the note holds it */
    return 0;
}

/* An idle pair to that instance, or NULL. */
static struct mbr__pair *find_idle(struct mbr_libos *l, uint64_t inst, uint64_t capacity)
{
    struct mbr__list *node;

    mbr__list_for_each (node, &l->idle) {
        struct mbr__pair *pair = mbr__container_of(node, struct mbr__pair, node);
        struct mbr__pipe *p = &pair->pipe;

        if (p->peer != NULL && p->peer->inst == inst && p->own.body == capacity &&
            !peer_is_gone(p)) {
            leave_idle(pair);
            return pair;
        }
    }
    return NULL;
}

static int greet(struct mbr__pair *pair, const struct mbr__link *link, uint64_t capacity)
{
    int r = make_half(pair, capacity);

    if (r < 0)
        return r;
    pair->inst = link->inst;
    pair->pipe.target[0] = link->id[0];
    pair->pipe.target[1] = link->id[1];
    pair->pipe.hello_sent = false;
    ask(pair);
    return send_note(pair);
}

int mbr__pair_connect(struct mbr__sock *s, const struct mbr__link *link,
                      const union mbr__addr *from, const union mbr__addr *to,
                      struct mbr__pair **out)
{
    uint64_t capacity = mbr__catloop_capacity(s);
    struct mbr__pair *pair = find_idle(s->l, link->inst, capacity);
    bool fresh = pair == NULL;

    if (fresh)
        pair = pair_new(s->l, true);
    if (pair == NULL)
        return -ENOMEM;
    pair->sock = s;
    pair->reused = !fresh;
    pair->from = *from;
    pair->to = *to;
    pair->ask = (struct mbr__connect_shm){.target = {link->id[0], link->id[1]}};
    to_shm(from, &pair->ask.from);
    to_shm(to, &pair->ask.to);
    if (fresh) {
        int r = greet(pair, link, capacity);

        if (r < 0) {
            mbr__pair_free(pair);
            return r;
        }
    } else {
        ask(pair);
    }
    *out = pair;
    return 0;
}

/* Our ring is as large as the client's, but what a stranger wishes is not what we pay for. */
static uint64_t server_capacity(const struct mbr_libos *l, uint64_t wished)
{
    uint64_t most = l->capacity > MBR__DATAGRAM_RING ? l->capacity : MBR__DATAGRAM_RING;

    return wished < most ? wished : most;
}

/* Whose half has come with a note: it is mapped, and joined to ours. */
static int join_half(struct mbr__pair *pair, const struct mbr__hello *h, struct mbr__note *note)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__peer *peer = NULL;
    uint64_t capacity = 0;

    if (note->nfds != 3 || !mbr__ring_capacity_ok(h->capacity) || h->wake < 0 || h->pid <= 0)
        return -EPROTO;
    int r = mbr__region_attach(note->fds[0], MBR__HALF_HEAD, h->capacity, &p->theirs);

    if (r == 0)
        r = mbr__session_check_half(&p->theirs, h->id, &capacity);
    if (r == 0)
        r = mbr__hello_know(p->l, h, note, &peer);
    if (r < 0)
        return r;
    mbr__peer_join(peer, p);
    if (!pair->client)
        r = make_half(pair, server_capacity(p->l, capacity));
    return r < 0 ? r : mbr__session_join(p, capacity, 0, 0);
}

/* Server: whoever is not answered sees the end of `conn`, which is closed after this. */
void mbr__pair_hello(struct mbr_libos *l, const struct mbr__hello *h, struct mbr__note *note,
                     int conn)
{
    struct mbr__note reply;
    struct mbr__pair *pair = l->kind == MBR__CATLOOP ? pair_new(l, false) : NULL;

    if (pair == NULL)
        return;
    struct mbr__pipe *p = &pair->pipe;

    pair->state = MBR__PAIR_IDLE;
    int r = join_half(pair, h, note);

    p->target[0] = h->id[0];
    p->target[1] = h->id[1];
    if (r == 0)
        r = mbr__hello_note(p, MBR__HELLO_PAIRED, &reply);
    if (r == 0)
        r = mbr__conn_send(conn, &reply);
    if (r < 0) {
        mbr__pair_free(pair);
        return;
    }
    mbr__region_drop_fd(&p->own); /* the reply holds it */
    if (mbr__ring_has_record(&p->rx))
        poll_idle(pair);
    else
        mbr__pair_free(pair);
}

/* Client: what the server says must be about our pair, and come from who has the mailbox. */
static int take_reply(struct mbr__pair *pair, struct mbr__note *note)
{
    struct mbr__hello h;

    if (note->len != sizeof(h))
        return -EPROTO;
    memcpy(&h, note->data, sizeof(h));
    if (h.magic != MBR__HELLO_MAGIC || h.kind != MBR__HELLO_PAIRED || h.inst != pair->inst ||
        h.target[0] != pair->pipe.id[0] || h.target[1] != pair->pipe.id[1])
        return -EPROTO;
    return join_half(pair, &h, note);
}

/* ---- the task ---- */

static void poll_greeting(struct mbr__pair *pair)
{
    struct mbr__pipe *p = &pair->pipe;
    struct mbr__note note;
    int r;

    if (!p->hello_sent) {
        r = send_note(pair);
        if (r < 0)
            give_up(pair, r);
        return;
    }
    r = mbr__conn_recv(pair->conn, &note);
    if (r == -EAGAIN)
        return;
    if (r == 0) {
        r = take_reply(pair, &note);
        mbr__note_close(&note);
    }
    hang_up(pair);
    if (r < 0) {
        give_up(pair, r == -EPROTO || r == -ECONNRESET ? -ECONNREFUSED : r);
        return;
    }
    pair->state = MBR__PAIR_ASKING;
    mbr_fence_full(); /* pair B: it may have gone to sleep before we knew whom to wake */
    if (mbr_load_relaxed(&p->other->want.data) != 0)
        mbr__pipe_ring(p);
    poll_answer(pair);
}

static enum mbr__task_result poll_pair(struct mbr__task *task)
{
    struct mbr__pipe *p = mbr__container_of(task, struct mbr__pipe, task);
    struct mbr__pair *pair = mbr__pair_of(p);

    switch ((enum mbr__pair_state)pair->state) {
    case MBR__PAIR_GREETING:
        poll_greeting(pair);
        break;
    case MBR__PAIR_ASKING:
        poll_answer(pair);
        break;
    case MBR__PAIR_QUEUED:
        break;
    case MBR__PAIR_OPEN:
        mbr__pipe_progress(p);
        mbr__catloop_moved(pair);
        break;
    case MBR__PAIR_CLOSING:
        poll_closing(pair);
        break;
    case MBR__PAIR_IDLE:
        poll_idle(pair);
        break;
    }
    return MBR__TASK_PENDING;
}
