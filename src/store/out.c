/* SPDX-License-Identifier: MIT */
/*
 * Output queues. One block of memory for each connection, used from the front and moved together
 * when its end is reached, so that a reply costs a copy of its bytes and no allocation.
 */
#include "store/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/domain.h"

#define FIRST_CAPACITY ((size_t)512)
#define KEEP_CAPACITY  ((size_t)16384) /* what an empty queue may keep */

void mbr__st_out_init(struct mbr__st_out *out)
{
    *out = (struct mbr__st_out){.timed = MBR__NEVER};
}

static size_t used(const struct mbr__st_out *out)
{
    return (size_t)(out->tail - out->head);
}

/* Moves the queue, or makes it larger, so that SIZE more bytes fit behind the tail. */
static int grow(struct mbr__st_out *out, size_t size)
{
    size_t need = used(out) + size;
    size_t capacity = out->capacity ? out->capacity : FIRST_CAPACITY;
    unsigned char *data;

    if (need <= out->capacity && need <= out->capacity / 2) {
        memmove(out->data, out->data + out->begin, used(out));
        out->begin = 0;
        return 0;
    }
    while (capacity < 2 * need)
        capacity *= 2;
    data = malloc(capacity);
    if (!data)
        return -ENOMEM;
    if (used(out))
        memcpy(data, out->data + out->begin, used(out));
    free(out->data);
    out->data = data;
    out->capacity = capacity;
    out->begin = 0;
    return 0;
}

/* Room for SIZE more bytes behind the tail. */
static inline int make_room(struct mbr__st_out *out, size_t size)
{
    return out->begin + used(out) + size <= out->capacity ? 0 : grow(out, size);
}

int mbr__st_out_reserve(struct mbr__store_conn *conn, size_t len)
{
    return make_room(&conn->out, MBR__STORE_HEADER_SIZE + len);
}

/* Room for two more elements of SIZE bytes in a queue that is kept in an array. */
static int queue_room(void **array, size_t size, size_t *first, size_t count, size_t *capacity)
{
    void *grown;

    if (*first + count + 2 <= *capacity)
        return 0;
    if (*first >= 2 && *first >= *capacity / 2) {
        memmove(*array, (char *)*array + *first * size, count * size);
        *first = 0;
        return 0;
    }
    grown = reallocarray(*array, *capacity ? *capacity * 2 : 8, size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = *capacity ? *capacity * 2 : 8;
    return 0;
}

/* Room for an event's mark and, always, one for the reply behind it. */
static int mark_room(struct mbr__st_out *out)
{
    void *array = out->marks;
    int error = queue_room(&array, sizeof(*out->marks), &out->mark_first, out->mark_count,
                           &out->mark_capacity);

    out->marks = array;
    return error;
}

int mbr__st_out_reserve_mark(struct mbr__store_conn *conn)
{
    return conn->store->charge ? mark_room(&conn->out) : 0;
}

int mbr__st_out_reserve_hold(struct mbr__store_conn *conn)
{
    struct mbr__st_out *out = &conn->out;
    void *array = out->holds;
    int error = queue_room(&array, sizeof(*out->holds), &out->hold_first, out->hold_count,
                           &out->hold_capacity);

    out->holds = array;
    return error;
}

void mbr__st_out_hold(struct mbr__store_conn *conn, uint64_t seq)
{
    struct mbr__st_out *out = &conn->out;

    if (seq <= conn->store->durable)
        return;
    if (out->hold_count > 0 && out->holds[out->hold_first + out->hold_count - 1].seq >= seq)
        return; /* what stands before it waits as long */
    out->holds[out->hold_first + out->hold_count++] = (struct mbr__st_hold){out->tail, seq};
    if (mbr__list_empty(&conn->held))
        mbr__list_push_back(&conn->store->held, &conn->held);
}

unsigned char *mbr__st_out_restore(struct mbr__store_conn *conn, size_t len)
{
    struct mbr__st_out *out = &conn->out;

    unsigned char *at;

    if (make_room(out, len + MBR__STORE_HEADER_SIZE))
        return NULL;
    at = out->data + out->begin + used(out);
    out->tail += len;
    return at;
}

int mbr__st_out_restore_hold(struct mbr__store_conn *conn, uint64_t start, uint64_t seq)
{
    struct mbr__st_out *out = &conn->out;

    if (mbr__st_out_reserve_hold(conn))
        return -ENOMEM;
    out->holds[out->hold_first + out->hold_count++] = (struct mbr__st_hold){out->head + start, seq};
    if (mbr__list_empty(&conn->held))
        mbr__list_push_back(&conn->store->held, &conn->held);
    return 0;
}

static void drop_charge(struct mbr__store *store, struct mbr__st_charge *charge)
{
    struct mbr__st_domain *domain;

    if (!charge || --charge->refs > 0)
        return;
    domain = charge->domain;
    mbr__slab_free(&store->charges, charge);
    mbr__st_use(store, domain, MBR__STORE_QUOTA_OUTSTANDING, -1);
    if (domain->known)
        mbr__st_resume_domain(store, domain);
    mbr__st_domain_unref(domain);
}

/* One more request that is charged to DOMAIN; NULL: no memory. */
static struct mbr__st_charge *new_charge(struct mbr__store *store, struct mbr__st_domain *domain)
{
    struct mbr__st_charge *charge = mbr__slab_alloc(&store->charges);

    if (!charge)
        return NULL;
    charge->domain = domain;
    charge->refs = 0;
    domain->refs++;
    mbr__st_use(store, domain, MBR__STORE_QUOTA_OUTSTANDING, 1);
    return charge;
}

bool mbr__st_charge_begin(struct mbr__store_conn *conn)
{
    struct mbr__store *store = conn->store;

    store->charge = NULL;
    if (conn->privileged)
        return true;
    store->charge = new_charge(store, conn->domain);
    if (!store->charge)
        return false;
    store->charge->refs = 1;
    return true;
}

void mbr__st_charge_end(struct mbr__store *store)
{
    struct mbr__st_charge *charge = store->charge;

    store->charge = NULL;
    drop_charge(store, charge);
}

/* The output up to END, for whose mark there is room, is charged to CHARGE until DEADLINE. */
static void mark(struct mbr__store_conn *conn, uint64_t end, uint64_t deadline,
                 struct mbr__st_charge *charge)
{
    struct mbr__st_out *out = &conn->out;

    charge->refs++;
    out->marks[out->mark_first + out->mark_count++] = (struct mbr__st_mark){end, deadline, charge};
    if (deadline >= out->timed)
        return;
    out->timed = deadline;
    if (mbr__list_empty(&conn->timed))
        mbr__list_push_back(&conn->store->timed, &conn->timed);
}

/* SIZE bytes have been put behind the tail: they count, and are charged to the present request. */
static void commit(struct mbr__store_conn *conn, size_t size, uint64_t deadline)
{
    struct mbr__store *store = conn->store;

    conn->out.tail += size;
    if (!conn->privileged)
        mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_MEMORY, (int64_t)size);
    if (store->charge)
        mark(conn, conn->out.tail, deadline, store->charge);
}

unsigned char *mbr__st_out_reply(struct mbr__store_conn *conn,
                                 const struct mbr__store_header *header, uint32_t type,
                                 uint32_t len)
{
    struct mbr__st_out *out = &conn->out;
    unsigned char *at = out->data + out->begin + used(out);

    mbr__store_header_pack(at,
                           &(struct mbr__store_header){type, header->req_id, header->tx_id, len});
    commit(conn, MBR__STORE_HEADER_SIZE + len, MBR__NEVER);
    return at + MBR__STORE_HEADER_SIZE;
}

/* ---- Events ---- */

static const unsigned char *at_position(const struct mbr__st_out *out, uint64_t position)
{
    return out->data + out->begin + (position - out->head);
}

/* Whether the message at POSITION is still whole in the queue and equal to the SIZE bytes at
 * MESSAGE. */
static bool same_message(const struct mbr__st_out *out, uint64_t position,
                         const unsigned char *message, size_t size)
{
    return position >= out->head && position + size <= out->tail &&
           memcmp(at_position(out, position), message, size) == 0;
}

/* Makes the table larger, leaving out what has been sent. Without memory it stays as it is. */
static void grow_seen(struct mbr__st_out *out)
{
    size_t capacity = 16;
    struct mbr__st_seen *table;
    size_t live = 0;

    for (size_t i = 0; i < out->seen_capacity; i++)
        live += out->seen[i].position > out->head;
    while (capacity < 4 * (live + 1))
        capacity *= 2;
    table = calloc(capacity, sizeof(*table));
    if (!table)
        return;
    for (size_t i = 0; i < out->seen_capacity; i++) {
        size_t at = (size_t)out->seen[i].hash & (capacity - 1);

        if (out->seen[i].position <= out->head)
            continue;
        while (table[at].position)
            at = (at + 1) & (capacity - 1);
        table[at] = out->seen[i];
    }
    free(out->seen);
    out->seen = table;
    out->seen_capacity = capacity;
    out->seen_count = live;
}

/* Whether the event of SIZE bytes at POSITION, the tail or before it, is queued already; notes it
 * if not. */
static bool look_up(const struct mbr__store *store, struct mbr__st_out *out, uint64_t position,
                    size_t size)
{
    const unsigned char *message = at_position(out, position);
    uint64_t hash = mbr__siphash13(store->tree.heap.secret, message + MBR__STORE_HEADER_SIZE,
                                   size - MBR__STORE_HEADER_SIZE);
    size_t at;

    if (2 * (out->seen_count + 1) > out->seen_capacity)
        grow_seen(out);
    if (2 * (out->seen_count + 1) > out->seen_capacity)
        return false;
    at = (size_t)hash & (out->seen_capacity - 1);
    for (; out->seen[at].position; at = (at + 1) & (out->seen_capacity - 1))
        if (out->seen[at].hash == hash) {
            if (same_message(out, out->seen[at].position - 1, message, size))
                return true;
            if (out->seen[at].position <= out->head)
                break; /* it has been sent: the place can be had */
        }
    out->seen_count += out->seen[at].position == 0;
    out->seen[at] = (struct mbr__st_seen){hash, position + 1};
    return false;
}

/* Whether the event of SIZE bytes behind the tail is queued already; notes it if not. The first one
 * in an empty queue is noted when another follows: most are alone. */
static bool seen_before(const struct mbr__store *store, struct mbr__st_out *out, size_t size)
{
    uint64_t first = out->first - 1;
    size_t first_size = out->first_size;

    if (out->head == out->tail) {
        out->first = out->tail + 1;
        out->first_size = (uint32_t)size;
        return false;
    }
    out->first = 0;
    if (first + 1 > out->head)
        (void)look_up(store, out, first, first_size);
    return look_up(store, out, out->tail, size);
}

int mbr__st_out_restore_event(struct mbr__store_conn *conn, uint64_t start)
{
    struct mbr__st_out *out = &conn->out;
    struct mbr__store_header header;

    if (start + MBR__STORE_HEADER_SIZE > used(out))
        return -EBADMSG;
    mbr__store_header_parse(&header, at_position(out, out->head + start));
    if (header.type != MBR__XS_WATCH_EVENT || header.len > MBR__STORE_PAYLOAD_MAX ||
        start + MBR__STORE_HEADER_SIZE + header.len > used(out))
        return -EBADMSG;
    (void)look_up(conn->store, out, out->head + start, MBR__STORE_HEADER_SIZE + header.len);
    return 0;
}

int mbr__st_out_restore_mark(struct mbr__store_conn *conn, uint64_t end, uint64_t deadline,
                             struct mbr__st_domain *domain, struct mbr__st_charge **charge)
{
    struct mbr__st_charge *of = *charge;

    if (mark_room(&conn->out))
        return -ENOMEM;
    if (!of)
        of = new_charge(conn->store, domain);
    if (!of)
        return -ENOMEM;
    mark(conn, conn->out.head + end, deadline, of);
    *charge = of;
    return 0;
}

static void write_event(unsigned char *at, const struct mbr__st_watch *watch, const char *path,
                        size_t path_len)
{
    uint32_t len = (uint32_t)(path_len + 1 + watch->token_len + 1);

    mbr__store_header_pack(at, &(struct mbr__store_header){MBR__XS_WATCH_EVENT, 0, 0, len});
    at += MBR__STORE_HEADER_SIZE;
    memcpy(at, path, path_len);
    at[path_len] = '\0';
    memcpy(at + path_len + 1, watch->token, watch->token_len + 1);
}

/* Whether CONN has so much unread that it is hopeless. */
static bool drowned(const struct mbr__store_conn *conn)
{
    uint64_t limit = conn->privileged
                         ? conn->store->options.out_limit
                         : mbr__st_limit(conn->store, conn->domain, MBR__STORE_QUOTA_MEMORY);

    return limit != 0 && used(&conn->out) > limit;
}

void mbr__st_out_event(struct mbr__store_conn *conn, const struct mbr__st_watch *watch,
                       const char *path, size_t path_len, bool coalesce)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_out *out = &conn->out;
    size_t size = MBR__STORE_HEADER_SIZE + path_len + 1 + watch->token_len + 1;

    if (conn->broken || size > MBR__STORE_HEADER_SIZE + MBR__STORE_PAYLOAD_MAX)
        return;
    if (make_room(out, size) || (store->charge && mark_room(out)) ||
        (store->change_count > 0 && mbr__st_out_reserve_hold(conn))) {
        mbr__st_break(conn, -ENOMEM);
        return;
    }
    write_event(out->data + out->begin + used(out), watch, path, path_len);
    if (path[0] != '@' && seen_before(store, out, size) && coalesce) {
        store->stats.coalesced++;
        return;
    }
    if (store->change_count > 0) /* what it tells of goes into the next batch */
        mbr__st_out_hold(conn, store->seq + 1);
    /* The one who asked pays with its reply: only events for others can be left unread. */
    commit(conn, size,
           store->charge ? mbr__st_now(store) + store->options.event_timeout : MBR__NEVER);
    store->stats.events++;
    if (drowned(conn))
        mbr__st_break(conn, -ENOBUFS);
    else
        mbr__st_out_tell(conn);
}

/* ---- Reading ---- */

/* Where output ends that may be shown. */
static uint64_t visible_end(struct mbr__store_conn *conn)
{
    struct mbr__st_out *out = &conn->out;

    if (out->hold_count == 0)
        return out->tail;
    while (out->hold_count > 0 && out->holds[out->hold_first].seq <= conn->store->durable) {
        out->hold_first++;
        out->hold_count--;
    }
    if (out->hold_count > 0)
        return out->holds[out->hold_first].start;
    out->hold_first = 0;
    mbr__list_del(&conn->held);
    return out->tail;
}

void mbr__st_out_tell(struct mbr__store_conn *conn)
{
    if (conn->told || visible_end(conn) == conn->out.head)
        return;
    conn->told = true;
    if (conn->store->options.output)
        conn->store->options.output(conn->store->options.user, conn);
}

int mbr__store_conn_peek(struct mbr__store_conn *conn, struct iovec iov[2])
{
    struct mbr__st_out *out = &conn->out;
    uint64_t end = visible_end(conn);

    if (end == out->head) {
        conn->told = false;
        return 0;
    }
    iov[0] = (struct iovec){out->data + out->begin, (size_t)(end - out->head)};
    return 1;
}

/* An empty queue starts at the front again, and gives back memory that a burst has needed. */
static void rest(struct mbr__st_out *out)
{
    out->begin = 0;
    out->first = 0;
    if (out->seen_count > 0) {
        out->seen_count = 0;
        if (out->seen_capacity > 1024) {
            free(out->seen);
            out->seen = NULL;
            out->seen_capacity = 0;
        } else {
            memset(out->seen, 0, out->seen_capacity * sizeof(*out->seen));
        }
    }
    if (out->capacity > KEEP_CAPACITY) {
        free(out->data);
        out->data = NULL;
        out->capacity = 0;
    }
}

static void pop_marks(struct mbr__store_conn *conn)
{
    struct mbr__st_out *out = &conn->out;

    while (out->mark_count > 0 && out->marks[out->mark_first].end <= out->head) {
        struct mbr__st_charge *charge = out->marks[out->mark_first].charge;

        out->mark_first++;
        out->mark_count--;
        drop_charge(conn->store, charge);
    }
    if (out->mark_count == 0)
        out->mark_first = 0;
}

void mbr__store_conn_consume(struct mbr__store_conn *conn, size_t n)
{
    struct mbr__st_out *out = &conn->out;

    MBR_ASSERT(n <= used(out));
    out->head += n;
    out->begin += n;
    if (!conn->privileged)
        mbr__st_use(conn->store, conn->domain, MBR__STORE_QUOTA_MEMORY, -(int64_t)n);
    if (out->head == out->tail)
        rest(out);
    if (out->mark_count > 0)
        pop_marks(conn);
    if (conn->domain->stalled_count > 0)
        mbr__st_resume_domain(conn->store, conn->domain);
}

size_t mbr__store_conn_queued(const struct mbr__store_conn *conn)
{
    return used(&conn->out);
}

void mbr__st_out_clear(struct mbr__store_conn *conn)
{
    struct mbr__st_out *out = &conn->out;

    if (!conn->privileged)
        mbr__st_use(conn->store, conn->domain, MBR__STORE_QUOTA_MEMORY, -(int64_t)used(out));
    out->head = out->tail;
    pop_marks(conn);
    mbr__list_del(&conn->timed);
    mbr__list_del(&conn->held);
    free(out->data);
    free(out->marks);
    free(out->holds);
    free(out->seen);
    mbr__st_out_init(out);
    conn->told = false;
}

void mbr__st_out_expire(struct mbr__store_conn *conn, uint64_t now)
{
    struct mbr__st_out *out = &conn->out;

    out->timed = MBR__NEVER;
    for (size_t i = out->mark_first; i < out->mark_first + out->mark_count; i++) {
        struct mbr__st_mark *mark = &out->marks[i];
        struct mbr__st_charge *charge = mark->charge;

        if (mark->deadline > now) {
            if (mark->deadline < out->timed)
                out->timed = mark->deadline;
            continue;
        }
        mark->deadline = MBR__NEVER;
        mark->charge = NULL;
        drop_charge(conn->store, charge);
    }
    if (out->timed == MBR__NEVER)
        mbr__list_del(&conn->timed);
}

/* ---- Who may go on ---- */

static bool may_go_on(struct mbr__store_conn *conn)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_domain *domain = conn->domain;

    if (conn->broken)
        return true; /* it is told so */
    if (conn->later)
        return false;
    if (conn->privileged)
        return true;
    if (mbr__st_over(store, domain, MBR__STORE_QUOTA_OUTSTANDING, 1))
        return false;
    /* With nothing unread it may always go on, or it could never give anything back. */
    if (used(&conn->out) > 0 && mbr__st_over(store, domain, MBR__STORE_QUOTA_MEMORY, 0))
        return false;
    return mbr__st_credit_at(store, domain) == 0;
}

bool mbr__st_conn_ready(struct mbr__store_conn *conn)
{
    if (may_go_on(conn))
        return true;
    if (mbr__list_empty(&conn->stalled)) {
        mbr__list_push_back(&conn->store->stalled, &conn->stalled);
        conn->domain->stalled_count++;
    }
    return false;
}

void mbr__st_unstall(struct mbr__store_conn *conn)
{
    if (mbr__list_empty(&conn->stalled))
        return;
    mbr__list_del(&conn->stalled);
    conn->domain->stalled_count--;
}

static void try_resume(struct mbr__store_conn *conn)
{
    if (mbr__list_empty(&conn->stalled) || !may_go_on(conn))
        return;
    mbr__st_unstall(conn);
    if (conn->store->options.resume)
        conn->store->options.resume(conn->store->options.user, conn);
}

void mbr__st_resume_domain(struct mbr__store *store, struct mbr__st_domain *domain)
{
    struct mbr__list *at;
    struct mbr__list *after;

    (void)store;
    if (domain->stalled_count == 0)
        return;
    mbr__list_for_each_safe (at, after, &domain->conns)
        try_resume(mbr__container_of(at, struct mbr__store_conn, of_domain));
}

void mbr__st_resume_all(struct mbr__store *store)
{
    struct mbr__list *at;
    struct mbr__list *after;

    mbr__list_for_each_safe (at, after, &store->stalled)
        try_resume(mbr__container_of(at, struct mbr__store_conn, stalled));
}

void mbr__st_break(struct mbr__store_conn *conn, int error)
{
    if (conn->broken)
        return;
    conn->broken = true;
    if (conn->store->options.broken)
        conn->store->options.broken(conn->store->options.user, conn, error);
}
