/* SPDX-License-Identifier: MIT */
/*
 * Writes an engine for a live update.
 *
 * Of an open transaction the versions it began with are not written: either they are still what is
 * in the tree, and are found there, or the transaction can only fail, and that is written.
 */
#include "store/dump.h"

#include <errno.h>
#include <string.h>

#include "store/domain.h"
#include "store/job.h"
#include "store/tx.h"

struct out {
    mbr__store_writer *writer;
    void *user;
    int error;
    size_t fill;
    unsigned char buffer[4096];
};

static void flush(struct out *out)
{
    if (!out->error && out->fill > 0)
        out->error = out->writer(out->user, out->buffer, out->fill);
    out->fill = 0;
}

static void put_bytes(struct out *out, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    while (len > 0) {
        size_t part = sizeof(out->buffer) - out->fill;

        if (part > len)
            part = len;
        memcpy(out->buffer + out->fill, at, part);
        out->fill += part;
        at += part;
        len -= part;
        if (out->fill == sizeof(out->buffer))
            flush(out);
    }
}

static void put(struct out *out, uint64_t number)
{
    unsigned char bytes[8];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    put_bytes(out, bytes, sizeof(bytes));
}

static void put_string(struct out *out, const void *bytes, size_t len)
{
    put(out, len);
    put_bytes(out, bytes, len);
}

static void put_perms(struct out *out, const struct mbr__st_perms *perms)
{
    put(out, perms->generation);
    put(out, perms->count);
    for (uint32_t i = 0; i < perms->count; i++)
        put(out, (uint64_t)(unsigned char)perms->entry[i].letter << 16 | perms->entry[i].domid);
}

static void put_node(struct out *out, struct mbr__st_node *node, uint64_t parent)
{
    put(out, node->id);
    put(out, parent);
    put(out, node->generation);
    put_string(out, node->name, node->name_len);
    put_string(out, mbr__st_value(node), node->value_len);
    put_perms(out, node->perms);
}

static void put_globals(struct out *out, const struct mbr__store *store)
{
    put(out, MBR__ST_DUMP_MAGIC);
    put(out, MBR__ST_DUMP_VERSION);
    put(out, store->tree.generation);
    put(out, store->tree.next_id);
    put(out, store->seq);
    put(out, store->durable);
    put(out, store->tracing ^ MBR__ST_LOG_DEFAULT); /* programs before it know 0 and 1 */
    put(out, store->stats.requests);
    put(out, store->stats.events);
    put(out, store->stats.coalesced);
    put(out, store->stats.commits);
    put(out, store->stats.conflicts);
    put(out, store->stats.refused);
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++) {
        put(out, store->hard[i]);
        put(out, store->soft[i]);
        put(out, store->peak[i]);
    }
}

static void put_domain(struct out *out, const struct mbr__st_domain *domain)
{
    put(out, domain->domid);
    put(out, domain->birth);
    put(out, domain->introduced);
    put(out, domain->dead);
    put(out, domain->features);
    put(out, domain->target && domain->target->known ? domain->target->domid : 0);
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++) {
        put(out, domain->hard[i]);
        put(out, domain->soft[i]);
        put(out, domain->peak[i]);
    }
}

static void put_domains(struct out *out, const struct mbr__store *store)
{
    const struct mbr__st_domain *domain;
    size_t cursor = 0;

    put(out, store->domains.count);
    while ((domain = mbr__hash_next(&store->domains, &cursor)))
        put_domain(out, domain);
}

static void put_tree(struct out *out, struct mbr__store *store)
{
    struct mbr__st_walker *walker = &store->count_walker;
    struct mbr__st_node *node = store->tree.root;

    for (unsigned i = 0; i < MBR__ST_SPECIALS; i++) {
        put(out, store->special[i].generation);
        put_perms(out, store->special[i].perms);
    }
    put(out, store->tree.count);
    put_node(out, node, 0);
    mbr__st_walker_start(walker, node);
    while (!out->error && (node = mbr__st_walker_next(walker, UINT64_MAX)))
        put_node(out, node, walker->step[walker->depth - 2].node->id);
}

static void put_reaps(struct out *out, const struct mbr__store *store)
{
    struct mbr__list *at;
    uint64_t count = 0;

    mbr__list_for_each (at, &store->reaps)
        count++;
    put(out, count);
    mbr__list_for_each (at, &store->reaps) {
        const struct mbr__st_job *job = mbr__container_of(at, struct mbr__st_job, link);

        put(out, job->domid);
        put(out, job->any);
        put(out, job->before);
    }
}

/* ---- Transactions ---- */

/* The transaction's own version: what differs from a living one, and the names in its list. */
static void put_work(struct out *out, struct mbr__st_node *work)
{
    struct mbr__st_node *child = mbr__st_trie_ceil(work->by_id, 0, MBR__ST_BY_ID);

    put(out, work->id);
    put(out, work->generation);
    put_string(out, mbr__st_value(work), work->value_len);
    put_perms(out, work->perms);
    for (; child; child = mbr__st_trie_ceil(work->by_id, child->id + 1, MBR__ST_BY_ID)) {
        put(out, child->id);
        put_string(out, child->name, child->name_len);
    }
    put(out, 0);
}

static uint64_t access_flags(const struct mbr__st_access *access)
{
    uint64_t flags = 0;

    flags |= access->base ? MBR__ST_DUMP_BASE : 0;
    flags |= access->work ? MBR__ST_DUMP_WORK : 0;
    flags |= access->work && access->work != access->base ? MBR__ST_DUMP_OWN : 0;
    flags |= access->deep ? MBR__ST_DUMP_DEEP : 0;
    flags |= access->modified ? MBR__ST_DUMP_MODIFIED : 0;
    flags |= access->value_set ? MBR__ST_DUMP_VALUE_SET : 0;
    flags |= access->perms_set ? MBR__ST_DUMP_PERMS_SET : 0;
    flags |= access->fire ? MBR__ST_DUMP_FIRE : 0;
    flags |= access->shadowed ? MBR__ST_DUMP_SHADOWED : 0;
    flags |= access->opaque ? MBR__ST_DUMP_OPAQUE : 0;
    flags |= access->old_perms ? MBR__ST_DUMP_OLD_PERMS : 0;
    return flags;
}

static void put_access(struct out *out, struct mbr__store *store,
                       const struct mbr__st_access *access)
{
    uint64_t flags = access_flags(access);
    size_t len = mbr__st_names_path(access->at, store->text);

    put_string(out, store->text, len);
    put(out, flags);
    put(out, access->cost);
    if (flags & MBR__ST_DUMP_OLD_PERMS)
        put_perms(out, access->old_perms);
    if (flags & MBR__ST_DUMP_OWN)
        put_work(out, access->work);
}

static void put_tx(struct out *out, struct mbr__st_tx *tx)
{
    int error = tx->error;
    struct mbr__list *at;

    if (!error && !mbr__st_tx_valid(tx))
        error = -EAGAIN;
    put(out, tx->id);
    put(out, (uint64_t)-error);
    put(out, tx->cost);
    put(out, (uint64_t)tx->nodes);
    put(out, tx->count);
    mbr__list_for_each (at, &tx->accesses)
        put_access(out, tx->conn->store, mbr__container_of(at, struct mbr__st_access, link));
}

/* ---- Connections ---- */

static void put_watches(struct out *out, struct mbr__store_conn *conn)
{
    struct mbr__list *at;

    put(out, conn->watch_count);
    mbr__list_for_each (at, &conn->watches) {
        const struct mbr__st_watch *watch = mbr__container_of(at, struct mbr__st_watch, of_conn);
        size_t len = mbr__st_names_path(watch->at, conn->store->text);
        const char *text = conn->store->text;

        /* A special name hangs below a root like any other; its '/' is not part of it. */
        if (watch->special) {
            text++;
            len--;
        }
        put_string(out, text, len);
        put(out, watch->strip);
        put(out, watch->depth);
        put_string(out, watch->token, watch->token_len);
    }
}

/* The places of the events that make equal ones superfluous. */
static void put_events(struct out *out, const struct mbr__st_out *o)
{
    uint64_t count = o->first > o->head;

    for (size_t i = 0; i < o->seen_capacity; i++)
        count += o->seen[i].position > o->head;
    put(out, count);
    if (o->first > o->head)
        put(out, o->first - 1 - o->head);
    for (size_t i = 0; i < o->seen_capacity; i++)
        if (o->seen[i].position > o->head)
            put(out, o->seen[i].position - 1 - o->head);
}

/* Whom the output is charged to. A charge is named by its place in the slab. */
static void put_marks(struct out *out, const struct mbr__st_out *o)
{
    uint64_t count = 0;

    for (size_t i = o->mark_first; i < o->mark_first + o->mark_count; i++)
        count += o->marks[i].charge && o->marks[i].charge->domain->known;
    put(out, count);
    for (size_t i = o->mark_first; i < o->mark_first + o->mark_count; i++) {
        const struct mbr__st_mark *mark = &o->marks[i];

        if (!mark->charge || !mark->charge->domain->known)
            continue;
        put(out, mark->end - o->head);
        put(out, mark->deadline);
        put(out, mbr__slab_index(mark->charge));
        put(out, mark->charge->domain->domid);
    }
}

static void put_output(struct out *out, const struct mbr__store_conn *conn)
{
    const struct mbr__st_out *o = &conn->out;

    put_string(out, o->data ? (const void *)(o->data + o->begin) : "", (size_t)(o->tail - o->head));
    put(out, o->hold_count);
    for (size_t i = o->hold_first; i < o->hold_first + o->hold_count; i++) {
        put(out, o->holds[i].start > o->head ? o->holds[i].start - o->head : 0);
        put(out, o->holds[i].seq);
    }
    put_events(out, o);
    put_marks(out, o);
}

static void put_conn(struct out *out, struct mbr__store_conn *conn)
{
    struct mbr__list *at;

    put(out, conn->id);
    put(out, conn->domain->domid);
    put(out, (conn->privileged ? MBR__ST_DUMP_PRIVILEGED : 0) |
                 (conn->broken ? MBR__ST_DUMP_BROKEN : 0) | (conn->later ? MBR__ST_DUMP_LATER : 0));
    put(out, conn->next_tx);
    put(out, conn->later_req);
    put(out, conn->later_tx);
    put_output(out, conn);
    put_watches(out, conn);
    put(out, conn->tx_count);
    mbr__list_for_each (at, &conn->transactions)
        put_tx(out, mbr__container_of(at, struct mbr__st_tx, of_conn));
}

/* Connections of released domains are only waiting to be closed. */
static void put_conns(struct out *out, struct mbr__store *store)
{
    struct mbr__store_conn *conn;
    uint64_t count = 0;
    size_t cursor = 0;

    while ((conn = mbr__store_conn_next(store, &cursor)))
        count += conn->domain->known;
    put(out, count);
    cursor = 0;
    while (!out->error && (conn = mbr__store_conn_next(store, &cursor)))
        if (conn->domain->known)
            put_conn(out, conn);
}

int mbr__store_dump(struct mbr__store *store, mbr__store_writer *writer, void *user)
{
    struct out out = {.writer = writer, .user = user};

    mbr__st_jobs_settle(store); /* what is removed has no place in the stream */
    put_globals(&out, store);
    put_domains(&out, store);
    put_tree(&out, store);
    put_reaps(&out, store);
    put_conns(&out, store);
    put(&out, MBR__ST_DUMP_END);
    flush(&out);
    return out.error;
}
