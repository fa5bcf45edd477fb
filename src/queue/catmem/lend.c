/* SPDX-License-Identifier: MIT */
/*
 * Lending, both sides: places of our regions that are out, and views of the peer's regions. lend.h
 * has the rules.
 *
 * A program may free what it was lent from any thread and after the pipe is gone. So a freed loan
 * goes to a stack that any thread may push to and the pipe's thread empties; and this module's
 * state is counted and outlives the pipe.
 */
#define _GNU_SOURCE
#include "queue/catmem/lend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define REGION_BODY_MIN (UINT64_C(1) << 20)

/* One of our regions: places of one size. */
struct ours {
    struct mbr__region mem;
    uint64_t id;
    uint64_t slot_size;
    uint32_t slots;
    struct mbr__buf *bufs; /* one for each place */
    uint32_t *out;         /* how often each place is out */
    struct mbr__buf *free; /* list of unused places */
};

/* One of the peer's regions. */
struct view {
    struct mbr__region mem;
    uint64_t id;
};

struct mbr__lending {
    uint32_t refs; /* the pipe's one and one for each buffer the program holds; any thread */
    struct mbr__pipe *pipe; /* NULL once it is closed */
    struct mbr_libos *l;
    uintptr_t thread; /* that may look at pipe and l */
    uint64_t total;   /* bytes of our regions */
    uint32_t nours, nviews;
    struct ours ours[MBR__LEND_REGIONS];
    struct view views[MBR__LEND_REGIONS];
    struct mbr__buf *freed_ours; /* stacks that any thread may push to */
    struct mbr__buf *freed_theirs;
    struct mbr__slab loans; /* of the peer's messages that the program holds */
};

struct loan {
    struct mbr__buf buf;
    struct mbr__lent_shm where;
};

static void push_freed(struct mbr__buf **stack, struct mbr__buf *buf)
{
    struct mbr__buf *top = mbr_load_relaxed(stack);

    do
        buf->next = top;
    while (!mbr_cas(stack, &top, buf)); /* pair C with take_freed() */
}

static struct mbr__buf *take_freed(struct mbr__buf **stack)
{
    return mbr_load_relaxed(stack) == NULL ? NULL : mbr_exchange(stack, (struct mbr__buf *)NULL);
}

static void lending_unref(struct mbr__lending *s)
{
    if (mbr_fetch_add(&s->refs, UINT32_MAX) != 1)
        return;
    for (uint32_t i = 0; i < s->nours; i++) {
        mbr__region_release(&s->ours[i].mem);
        free(s->ours[i].bufs);
        free(s->ours[i].out);
    }
    for (uint32_t i = 0; i < s->nviews; i++)
        mbr__region_release(&s->views[i].mem);
    mbr__slab_fini(&s->loans);
    free(s);
}

static struct mbr__lending *lending(struct mbr__pipe *p)
{
    if (p->lending != NULL)
        return p->lending;
    struct mbr__lending *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->refs = 1;
    s->pipe = p;
    s->l = p->l;
    s->thread = mbr__this_thread();
    MBR_ASSERT(mbr__slab_init(&s->loans, sizeof(struct loan), 1u << 20) == 0);
    p->lending = s;
    return s;
}

/* ---- our memory ---- */

static void release_ours(struct mbr__buf *buf)
{
    struct mbr__lending *s = buf->owner;

    push_freed(&s->freed_ours, buf);
    lending_unref(s);
}

static struct ours *region_of(struct mbr__lending *s, const struct mbr__buf *buf)
{
    return &s->ours[buf->cookie >> 32];
}

static void reclaim_ours(struct mbr__lending *s)
{
    struct mbr__buf *buf = take_freed(&s->freed_ours);

    while (buf != NULL) {
        struct mbr__buf *next = buf->next;
        struct ours *o = region_of(s, buf);

        buf->magic = 0;
        buf->next = o->free;
        o->free = buf;
        buf = next;
    }
}

static int add_region(struct mbr__pipe *p, struct mbr__lending *s, uint64_t slot_size)
{
    uint64_t body = slot_size > REGION_BODY_MIN ? slot_size : REGION_BODY_MIN;

    if (s->nours == MBR__LEND_REGIONS || body > MBR__LEND_MAX - s->total)
        return -EAGAIN;
    struct ours *o = &s->ours[s->nours];
    uint32_t slots = (uint32_t)(body / slot_size);
    struct mbr__buf *bufs = calloc(slots, sizeof(*bufs));
    uint32_t *out = calloc(slots, sizeof(*out));
    int r = bufs == NULL || out == NULL ? -ENOMEM
                                        : mbr__region_create("membrane:lend", 4096, body, &o->mem);

    if (r < 0) {
        free(bufs);
        free(out);
        return r;
    }
    *o = (struct ours){.mem = o->mem,
                       .id = mbr__random_id(),
                       .slot_size = slot_size,
                       .slots = slots,
                       .bufs = bufs,
                       .out = out};
    *(struct mbr__lend_head_shm *)(void *)o->mem.base =
        (struct mbr__lend_head_shm){.magic = MBR__LEND_MAGIC, .id = o->id};
    for (uint32_t i = slots; i-- > 0;) {
        bufs[i] = (struct mbr__buf){
            .capacity = slot_size,
            .release = release_ours,
            .data = mbr__region_body(&o->mem) + (uint64_t)i * slot_size,
            .next = o->free,
            .owner = s,
            .cookie = (uint64_t)s->nours << 32 | i,
        };
        o->free = &bufs[i];
    }
    r = mbr__hello_lend(p, o->id, body, o->mem.fd);
    if (r < 0) {
        free(bufs);
        free(out);
        mbr__region_release(&o->mem);
        return r == -ENOENT || r == -ECONNREFUSED ? -ECONNRESET : r;
    }
    mbr__region_drop_fd(&o->mem); /* the peer has it, or will */
    s->total += body;
    s->nours++;
    return 0;
}

static struct mbr__buf *take_slot(struct mbr__lending *s, uint64_t slot_size, size_t size)
{
    reclaim_ours(s);
    for (uint32_t i = 0; i < s->nours; i++) {
        struct ours *o = &s->ours[i];
        struct mbr__buf *buf = o->slot_size == slot_size ? o->free : NULL;

        if (buf != NULL) {
            o->free = buf->next;
            buf->magic = MBR__BUF_LIVE;
            buf->refs = 1;
            buf->size = (uint32_t)size;
            buf->next = NULL;
            mbr_fetch_add(&s->refs, 1);
            return buf;
        }
    }
    return NULL;
}

void mbr__lend_take_returns(struct mbr__pipe *p)
{
    struct mbr__record rec;

    while (p->lending != NULL && p->attached && !p->place.shown &&
           mbr__ring_peek(&p->rx, &rec) > 0 && rec.kind == MBR__REC_RETURN) {
        if (mbr__lend_record(p, NULL, &rec) < 0) {
            mbr__pipe_fault(p, EPROTO);
            return;
        }
    }
}

int mbr__lend_alloc(struct mbr__pipe *p, size_t size, struct mbr__buf **out)
{
    uint64_t slot = MBR__LEND_SLOT_MIN;

    if (size == 0 || size > MBR__LEND_MAX)
        return -EINVAL;
    if (!p->can_send || p->closing)
        return -EBADF;
    int gone = mbr__pipe_may_push(p);

    if (gone < 0 && gone != -EAGAIN)
        return gone;
    if (!p->attached)
        return -ENOTCONN;
    struct mbr__lending *s = lending(p);

    if (s == NULL)
        return -ENOMEM;
    while (slot < size)
        slot <<= 1;
    struct mbr__buf *buf = take_slot(s, slot, size);

    if (buf == NULL) {
        mbr__lend_take_returns(p);
        buf = take_slot(s, slot, size);
    }
    if (buf == NULL) {
        int r = p->fault != 0 ? -p->fault : add_region(p, s, slot);

        if (r < 0)
            return r;
        buf = take_slot(s, slot, size);
    }
    *out = buf;
    return 0;
}

bool mbr__lend_is_ours(const struct mbr__pipe *p, const struct mbr__buf *buf)
{
    return p->lending != NULL && buf->release == release_ours && buf->owner == p->lending;
}

bool mbr__lend_push(struct mbr__pipe *p, struct mbr__op *op)
{
    struct ours *o = region_of(p->lending, op->buf);
    struct mbr__lent_shm *rec = mbr__ring_reserve(&p->tx, sizeof(*rec));

    if (rec == NULL)
        return false;
    *rec = (struct mbr__lent_shm){
        .region = o->id,
        .offset = (uint64_t)(op->data - mbr__region_body(&o->mem)),
        .len = op->len,
    };
    mbr__buf_ref(op->buf); /* the peer's */
    o->out[(uint32_t)op->buf->cookie]++;
    mbr__ring_commit(&p->tx, sizeof(*rec), MBR__REC_LENT);
    p->pushed = true;
    mbr__pipe_publish(p);
    return true;
}

static int came_back(struct mbr__lending *s, const struct mbr__lent_shm *where)
{
    for (uint32_t i = 0; s != NULL && i < s->nours; i++) {
        struct ours *o = &s->ours[i];
        uint64_t slot = where->offset / o->slot_size;

        if (o->id != where->region)
            continue;
        if (slot >= o->slots || o->out[slot] == 0)
            return -EPROTO;
        o->out[slot]--;
        mbr__buf_unref(&o->bufs[slot]);
        return 0;
    }
    return -EPROTO;
}

/* ---- the peer's memory ---- */

void mbr__lend_view(struct mbr__pipe *p, uint64_t id, uint64_t size, int fd)
{
    struct mbr__lending *s = lending(p);

    if (s == NULL || s->nviews == MBR__LEND_REGIONS || size == 0 || size > MBR__LEND_MAX ||
        size % 4096 != 0)
        return;
    struct view *v = &s->views[s->nviews];

    if (mbr__region_attach(fd, 4096, size, &v->mem) < 0)
        return;
    const struct mbr__lend_head_shm *h =
        (const struct mbr__lend_head_shm *)(const void *)v->mem.base;

    if (mbr_load_relaxed(&h->magic) != MBR__LEND_MAGIC || mbr_load_relaxed(&h->id) != id) {
        mbr__region_release(&v->mem);
        return;
    }
    v->id = id;
    s->nviews++;
}

/* Where a lent message lies: -EPROTO it lies nowhere we may look. */
static int find_view(struct mbr__pipe *p, const struct mbr__lent_shm *w, const uint8_t **data)
{
    struct mbr__lending *s = lending(p);

    if (s == NULL)
        return -ENOMEM;
    for (int attempt = 0; attempt < 2; attempt++) {
        for (uint32_t i = 0; i < s->nviews; i++) {
            struct view *v = &s->views[i];

            if (v->id != w->region)
                continue;
            if (w->len == 0 || w->offset > v->mem.body || w->len > v->mem.body - w->offset)
                return -EPROTO;
            *data = mbr__region_body(&v->mem) + w->offset;
            return 0;
        }
        mbr__hello_read(
            p->l, MBR__NOTES_ALL); /* the region was posted before its first message was pushed */
    }
    return -EPROTO;
}

static bool send_return(struct mbr__pipe *p, const struct mbr__lent_shm *w)
{
    struct mbr__lent_shm *rec = mbr__ring_reserve(&p->tx, sizeof(*rec));

    if (rec == NULL)
        return false;
    *rec = (struct mbr__lent_shm){.region = w->region, .offset = w->offset};
    mbr__ring_commit(&p->tx, sizeof(*rec), MBR__REC_RETURN);
    mbr__pipe_publish(p);
    return true;
}

void mbr__lend_flush(struct mbr__pipe *p)
{
    struct mbr__lending *s = p->lending;
    struct mbr__buf *buf = s == NULL ? NULL : take_freed(&s->freed_theirs);
    bool gone = p->fault != 0 || !p->attached || p->tx.flags != 0 || p->sent_end;

    while (buf != NULL) {
        struct mbr__buf *next = buf->next;
        struct loan *loan = mbr__container_of(buf, struct loan, buf);

        /* Not into the middle of a record that the program is filling. */
        if (gone || (p->place.reserved == 0 && send_return(p, &loan->where))) {
            mbr__slab_free(&s->loans, loan);
        } else {
            push_freed(&s->freed_theirs, buf);
            mbr__pipe_watch_tx(p);
        }
        buf = next;
    }
}

/* The program frees a message that lies in the peer's memory; on any thread. */
static void release_theirs(struct mbr__buf *buf)
{
    struct mbr__lending *s = buf->owner;

    buf->magic = 0;
    push_freed(&s->freed_theirs, buf);
    if (s->thread == mbr__this_thread() && s->pipe != NULL && mbr__libos_enter(s->l) == 0) {
        mbr__lend_flush(s->pipe);
        mbr__libos_leave(s->l);
    }
    lending_unref(s);
}

static int give_in_place(struct mbr__pipe *p, struct mbr__op *op, const struct mbr__lent_shm *w,
                         const uint8_t *data)
{
    struct mbr__lending *s = p->lending;
    struct loan *loan = mbr__slab_alloc(&s->loans);

    if (loan == NULL)
        return -ENOMEM;
    *loan = (struct loan){
        .buf = {.magic = MBR__BUF_LIVE,
                .refs = 1,
                .size = w->len,
                .capacity = w->len,
                .release = release_theirs,
                .data = (void *)(uintptr_t)data,
                .owner = s},
        .where = *w,
    };
    mbr_fetch_add(&s->refs, 1);
    op->buf = &loan->buf;
    op->data = data;
    op->len = w->len;
    return 0;
}

/* It goes back like any other, when there is room. */
static int give_back(struct mbr__pipe *p, const struct mbr__lent_shm *w)
{
    struct mbr__lending *s = p->lending;
    struct loan *loan = mbr__slab_alloc(&s->loans);

    if (loan == NULL)
        return -ENOMEM;
    *loan = (struct loan){.where = *w};
    push_freed(&s->freed_theirs, &loan->buf);
    mbr__lend_flush(p);
    return 0;
}

/* The message arrives in p->in as if it had been copied through the ring. */
static int take_copy(struct mbr__pipe *p, const struct mbr__lent_shm *w, const uint8_t *data)
{
    struct mbr__buf *buf = mbr__buf_alloc(w->len);

    if (buf == NULL)
        return -ENOMEM;
    memcpy(buf->data, data, w->len);
    int r = give_back(p, w); /* only now: its lender may use it again at once */

    if (r < 0) {
        mbr__buf_unref(buf);
        return r;
    }
    p->in = (struct mbr__partial){.buf = buf, .total = w->len, .got = w->len};
    return 0;
}

int mbr__lend_peek(struct mbr__pipe *p, const struct mbr__record *rec, const void **data,
                   uint32_t *len)
{
    struct mbr__lent_shm w;
    const uint8_t *at = NULL;

    if (rec->len != sizeof(w))
        return -EPROTO;
    memcpy(&w, rec->data, sizeof(w)); /* once */
    int r = find_view(p, &w, &at);

    if (r == 0) {
        *data = at;
        *len = w.len;
    }
    return r;
}

int mbr__lend_done(struct mbr__pipe *p, const struct mbr__record *rec)
{
    struct mbr__lent_shm w;

    memcpy(&w, rec->data, sizeof(w)); /* a peer that changes it now gets something else back */
    return give_back(p, &w);
}

static int take_lent(struct mbr__pipe *p, struct mbr__op *op, const struct mbr__lent_shm *w)
{
    const uint8_t *data = NULL;

    if (op == NULL || p->in.buf != NULL || w->len > MBR_MESSAGE_MAX)
        return -EPROTO;
    int r = find_view(p, w, &data);

    if (r == 0)
        r = op->in_place ? give_in_place(p, op, w, data) : take_copy(p, w, data);
    return r;
}

int mbr__lend_record(struct mbr__pipe *p, struct mbr__op *op, const struct mbr__record *rec)
{
    struct mbr__lent_shm w;
    int r = -EPROTO;

    if (rec->len != sizeof(w))
        return -EPROTO;
    memcpy(&w, rec->data, sizeof(w)); /* once */
    if (rec->kind == MBR__REC_RETURN)
        r = came_back(p->lending, &w);
    else if (rec->kind == MBR__REC_LENT)
        r = take_lent(p, op, &w);
    if (r < 0)
        return r;
    mbr__ring_release(&p->rx, rec);
    mbr__pipe_retire(p);
    if (rec->kind == MBR__REC_RETURN)
        return 0;
    p->popped = true;
    if (op->in_place)
        mbr__op_complete(p->l, op, DEMI_OPC_POP, 0);
    else
        mbr__pipe_give(p, op);
    return 1;
}

/* ---- the end ---- */

void mbr__lend_reset(struct mbr__pipe *p)
{
    struct mbr__lending *s = p->lending;

    for (uint32_t i = 0; s != NULL && i < s->nours; i++) {
        struct ours *o = &s->ours[i];

        for (uint32_t slot = 0; slot < o->slots; slot++) {
            for (; o->out[slot] > 0; o->out[slot]--)
                mbr__buf_unref(&o->bufs[slot]);
        }
    }
}

void mbr__lend_close(struct mbr__pipe *p)
{
    struct mbr__lending *s = p->lending;

    if (s == NULL)
        return;
    p->lending = NULL;
    s->pipe = NULL;
    lending_unref(s);
}
