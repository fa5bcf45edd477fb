/* SPDX-License-Identifier: MIT */
/*
 * The engine as a whole: its making with the initial tree, connections, domains coming and going,
 * time.
 */
#include "store/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/domain.h"
#include "store/job.h"
#include "store/journal.h"
#include "store/lifecycle.h"
#include "store/out.h"
#include "store/tx.h"
#include "store/watch.h"

static const uint64_t default_quota[MBR__STORE_QUOTAS] = {
    [MBR__STORE_QUOTA_NODES] = 1000,
    [MBR__STORE_QUOTA_WATCHES] = 128,
    [MBR__STORE_QUOTA_TRANSACTIONS] = 10,
    [MBR__STORE_QUOTA_OUTSTANDING] = 20,
    [MBR__STORE_QUOTA_TRANSACTION_NODES] = 1024,
    [MBR__STORE_QUOTA_MEMORY] = 2621440,
    [MBR__STORE_QUOTA_NODE_SIZE] = 2048,
    [MBR__STORE_QUOTA_PATH] = MBR__STORE_REL_PATH_MAX,
    [MBR__STORE_QUOTA_PERMISSIONS] = 5,
};

#define SOFT_MEMORY   2097152u
#define OUT_LIMIT     (UINT64_C(64) << 20)
#define EVENT_TIMEOUT UINT64_C(20000000000)

/* Nodes that a release looks at before it is answered: small domains are gone at once. */
#define RELEASE_SLICE 2000u

static int set_options(struct mbr__store *store, const struct mbr__store_options *options)
{
    store->options = *options;
    store->tracing = MBR__ST_LOG_DEFAULT;
    if (!store->options.out_limit)
        store->options.out_limit = OUT_LIMIT;
    if (!store->options.event_timeout)
        store->options.event_timeout = EVENT_TIMEOUT;
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++) {
        if (options->quota[i] > INT32_MAX)
            return -EINVAL;
        store->hard[i] = options->quota[i] ? options->quota[i] : default_quota[i];
    }
    store->soft[MBR__STORE_QUOTA_MEMORY] = SOFT_MEMORY;
    return 0;
}

static int make_special(struct mbr__store *store, int which, const struct mbr__store_perm *entries,
                        uint32_t count)
{
    store->special[which].generation = store->tree.generation;
    store->special[which].perms = mbr__st_perms_new(entries, count, store->tree.generation);
    return store->special[which].perms ? 0 : -ENOMEM;
}

static int make_tree(struct mbr__store *store)
{
    static const struct mbr__store_perm own = {0, 'n'};
    static const struct mbr__store_perm release[] = {{0, 'n'}, {MBR__STORE_DOMID_ANY, 'r'}};
    struct mbr__st_perms *perms = mbr__st_perms_new(&own, 1, 1);
    int error = perms ? mbr__st_tree_init(&store->tree, perms) : -ENOMEM;

    if (!error) {
        mbr__st_charge_node(store, store->tree.root, 1);
        (void)mbr__st_path_parse(&store->path, 0, "/tool/xenstored", 15, UINT64_MAX);
        mbr__st_tree_walk(&store->tree, &store->path, &store->walk);
        error = mbr__st_tree_create(&store->tree, &store->path, &store->walk, perms, "", 0,
                                    &store->tree.next_id);
    }
    for (unsigned i = 1; i <= 2 && !error; i++)
        mbr__st_charge_node(store, store->walk.node[i], 1);
    mbr__st_perms_unref(perms);
    if (!error)
        error = make_special(store, MBR__ST_INTRODUCE, &own, 1);
    if (!error)
        error = make_special(store, MBR__ST_RELEASE, release, 2);
    return error;
}

static int make_domain_0(struct mbr__store *store)
{
    store->dom0 = calloc(1, sizeof(*store->dom0));
    if (!store->dom0)
        return -ENOMEM;
    store->dom0->refs = 1;
    store->dom0->known = store->dom0->introduced = true;
    store->dom0->features = MBR__XS_FEATURES;
    for (unsigned i = 0; i < MBR__STORE_QUOTAS; i++)
        store->dom0->hard[i] = store->dom0->soft[i] = UINT64_MAX;
    mbr__list_init(&store->dom0->conns);
    return 0;
}

int mbr__store_new(const struct mbr__store_options *options, struct mbr__store **out)
{
    struct mbr__store *store = calloc(1, sizeof(*store));
    int error;

    if (!store)
        return -ENOMEM;
    mbr__hash_init(&store->conns);
    mbr__hash_init(&store->domains);
    mbr__st_watch_init(store);
    mbr__list_init(&store->purges);
    mbr__list_init(&store->reaps);
    mbr__list_init(&store->stalled);
    mbr__list_init(&store->timed);
    mbr__list_init(&store->held);
    error = mbr__slab_init(&store->charges, sizeof(struct mbr__st_charge), MBR__SLAB_MAX);
    if (!error)
        error = set_options(store, options);
    if (!error)
        error = make_domain_0(store);
    if (!error)
        error = make_tree(store);
    if (error) {
        mbr__store_free(store);
        return error;
    }
    *out = store;
    return 0;
}

void mbr__store_free(struct mbr__store *store)
{
    struct mbr__store_conn *conn;
    struct mbr__st_domain *domain;
    size_t cursor = 0;

    if (!store)
        return;
    store->options.resume = NULL;
    while ((conn = mbr__store_conn_next(store, &cursor))) {
        mbr__store_conn_free(conn);
        cursor = 0;
    }
    mbr__st_load_abandon(store);
    mbr__st_jobs_free(store);
    cursor = 0;
    while ((domain = mbr__hash_next(&store->domains, &cursor))) {
        mbr__st_domain_unref(domain->target);
        mbr__st_domain_unref(domain);
    }
    mbr__hash_fini(&store->domains);
    mbr__st_domain_unref(store->dom0);
    mbr__hash_fini(&store->conns);
    mbr__st_watch_fini(store);
    for (unsigned i = 0; i < MBR__ST_SPECIALS; i++)
        mbr__st_perms_unref(store->special[i].perms);
    mbr__st_tree_fini(&store->tree);
    mbr__slab_fini(&store->charges);
    free(store->changes);
    free(store);
}

/* ---- Connections ---- */

/* The first batch is the tree that nobody has asked for. -ENOMEM. */
int mbr__st_report_initial(struct mbr__store *store)
{
    struct mbr__st_node *node = store->tree.root;
    struct mbr__st_walker *walker = &store->count_walker;

    if (!store->options.journal || store->started)
        return 0;
    if (mbr__st_journal_reserve(store, store->tree.count + MBR__ST_SPECIALS))
        return -ENOMEM;
    mbr__st_journal_put(store, node, 0);
    for (int i = 0; i < MBR__ST_SPECIALS; i++)
        mbr__st_journal_special(store, i);
    mbr__st_walker_start(walker, node);
    while ((node = mbr__st_walker_next(walker, UINT64_MAX)))
        mbr__st_journal_put(store, node, walker->step[walker->depth - 2].node->id);
    mbr__st_journal_flush(store);
    return 0;
}

static struct mbr__store_conn *make_conn(struct mbr__store *store, uint64_t id, uint32_t flags,
                                         struct mbr__st_domain *domain)
{
    struct mbr__store_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        return NULL;
    conn->store = store;
    conn->id = id;
    conn->domain = domain;
    conn->privileged = flags & MBR__STORE_PRIVILEGED;
    conn->next_tx = 1;
    mbr__list_init(&conn->of_domain);
    mbr__list_init(&conn->stalled);
    mbr__list_init(&conn->timed);
    mbr__list_init(&conn->held);
    mbr__list_init(&conn->watches);
    mbr__list_init(&conn->transactions);
    mbr__st_out_init(&conn->out);
    return conn;
}

int mbr__store_conn_new(struct mbr__store *store, uint64_t id, uint32_t domid, uint32_t flags,
                        void *user, struct mbr__store_conn **out)
{
    struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);
    struct mbr__store_conn *conn;

    if (id == 0 || (flags & ~MBR__STORE_PRIVILEGED))
        return -EINVAL;
    if (!domain)
        return -ENOENT;
    if (mbr__hash_get(&store->conns, id))
        return -EEXIST;
    conn = make_conn(store, id, flags, domain);
    if (!conn)
        return -ENOMEM;
    if (mbr__st_report_initial(store) || mbr__hash_put(&store->conns, id, conn)) {
        free(conn);
        return -ENOMEM;
    }
    store->started = true;
    conn->user = user;
    domain->refs++;
    domain->conn_count++;
    mbr__list_push_back(&domain->conns, &conn->of_domain);
    *out = conn;
    return 0;
}

static void drop_all(struct mbr__store_conn *conn)
{
    mbr__st_watch_del_all(conn);
    mbr__st_tx_free_all(conn);
    mbr__st_out_clear(conn);
    mbr__st_unstall(conn);
    conn->later = false;
}

void mbr__store_conn_free(struct mbr__store_conn *conn)
{
    struct mbr__st_domain *domain;

    if (!conn)
        return;
    domain = conn->domain;
    conn->broken = true;
    drop_all(conn);
    mbr__list_del(&conn->of_domain);
    (void)mbr__hash_del(&conn->store->conns, conn->id);
    free(conn);
    domain->conn_count--;
    mbr__st_domain_unref(domain);
}

void mbr__store_conn_reset(struct mbr__store_conn *conn)
{
    drop_all(conn);
    conn->next_tx = 1;
    conn->broken = !conn->domain->known;
}

uint64_t mbr__store_conn_id(const struct mbr__store_conn *conn)
{
    return conn->id;
}

uint32_t mbr__store_conn_domid(const struct mbr__store_conn *conn)
{
    return conn->domain->domid;
}

bool mbr__store_conn_privileged(const struct mbr__store_conn *conn)
{
    return conn->privileged;
}

void *mbr__store_conn_user(const struct mbr__store_conn *conn)
{
    return conn->user;
}

void mbr__store_conn_set_user(struct mbr__store_conn *conn, void *user)
{
    conn->user = user;
}

struct mbr__store_conn *mbr__store_conn_next(const struct mbr__store *store, size_t *cursor)
{
    return mbr__hash_next(&store->conns, cursor);
}

struct mbr__store_conn *mbr__store_conn_find(const struct mbr__store *store, uint64_t id)
{
    return mbr__hash_get(&store->conns, id);
}

/* ---- Domains ---- */

static bool is_domid(uint32_t domid)
{
    return domid != 0 && domid < MBR__STORE_DOMID_FIRST_RESERVED;
}

int mbr__store_domain_add(struct mbr__store *store, uint32_t domid)
{
    if (!is_domid(domid))
        return -EINVAL;
    return mbr__st_domain_make(store, domid) ? 0 : -ENOMEM;
}

int mbr__store_introduce(struct mbr__store *store, uint32_t domid)
{
    struct mbr__st_domain *domain;
    int error = mbr__store_domain_add(store, domid);

    if (error)
        return error;
    domain = mbr__st_domain_find(store, domid);
    if (!domain->introduced) {
        domain->introduced = true;
        domain->dead = false;
        mbr__st_fire_special(store, MBR__ST_INTRODUCE, domid);
    }
    return 0;
}

void mbr__st_domain_forget(struct mbr__store *store, struct mbr__st_domain *domain)
{
    (void)mbr__hash_del(&store->domains, (uint64_t)domain->domid + 1);
    domain->known = false;
    mbr__st_domain_unref(domain->target);
    domain->target = NULL;
    mbr__st_domain_unref(domain);
}

int mbr__store_release(struct mbr__store *store, uint32_t domid)
{
    struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);
    struct mbr__st_job *job;
    struct mbr__list *at;
    bool introduced;

    if (domid == 0)
        return -EINVAL;
    if (!domain)
        return -ENOENT;
    job = mbr__st_job_new();
    if (!job)
        return -ENOMEM;
    introduced = domain->introduced;
    mbr__list_for_each (at, &domain->conns) {
        struct mbr__store_conn *conn = mbr__container_of(at, struct mbr__store_conn, of_domain);

        conn->broken = true;
        drop_all(conn);
    }
    mbr__st_domain_forget(store, domain);
    if (introduced)
        mbr__st_fire_special(store, MBR__ST_RELEASE, domid);
    mbr__st_job_reap(store, job, domid, false, ++store->tree.generation);
    (void)mbr__st_jobs_run(store, RELEASE_SLICE);
    return 0;
}

int mbr__store_domain_dead(struct mbr__store *store, uint32_t domid)
{
    struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);

    if (!domain || domid == 0)
        return -ENOENT;
    if (!domain->dead && domain->introduced) {
        domain->dead = true;
        mbr__st_fire_special(store, MBR__ST_RELEASE, domid);
    }
    return 0;
}

bool mbr__store_domain_known(const struct mbr__store *store, uint32_t domid)
{
    return mbr__st_domain_find(store, domid) != NULL;
}

bool mbr__store_domain_introduced(const struct mbr__store *store, uint32_t domid)
{
    const struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);

    return domain && domain->introduced;
}

uint32_t mbr__store_domain_features(const struct mbr__store *store, uint32_t domid)
{
    const struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);

    return domain ? domain->features : 0;
}

uint32_t mbr__store_domain_conns(const struct mbr__store *store, uint32_t domid)
{
    const struct mbr__st_domain *domain = mbr__st_domain_find(store, domid);

    return domain ? domain->conn_count : 0;
}

bool mbr__store_domain_next(const struct mbr__store *store, size_t *cursor, uint32_t *domid)
{
    const struct mbr__st_domain *domain = mbr__hash_next(&store->domains, cursor);

    if (domain)
        *domid = domain->domid;
    return domain != NULL;
}

/* ---- Time and work ---- */

bool mbr__store_work(struct mbr__store *store, unsigned budget)
{
    struct mbr__list *at;
    struct mbr__list *after;

    if (!mbr__list_empty(&store->timed)) {
        uint64_t now = mbr__st_now(store);

        mbr__list_for_each_safe (at, after, &store->timed) {
            struct mbr__store_conn *conn = mbr__container_of(at, struct mbr__store_conn, timed);

            if (conn->out.timed <= now)
                mbr__st_out_expire(conn, now);
        }
    }
    if (!mbr__list_empty(&store->stalled))
        mbr__st_resume_all(store);
    return mbr__st_jobs_left(store) && mbr__st_jobs_run(store, budget);
}

uint64_t mbr__store_deadline(const struct mbr__store *store)
{
    uint64_t first = MBR__NEVER;
    struct mbr__list *at;

    mbr__list_for_each (at, &store->timed) {
        const struct mbr__store_conn *conn = mbr__container_of(at, struct mbr__store_conn, timed);

        if (conn->out.timed < first)
            first = conn->out.timed;
    }
    mbr__list_for_each (at, &store->stalled) {
        const struct mbr__store_conn *conn = mbr__container_of(at, struct mbr__store_conn, stalled);
        uint64_t when = mbr__st_credit_at(conn->store, conn->domain);

        if (when != 0 && when < first)
            first = when;
    }
    return first;
}

void mbr__store_durable(struct mbr__store *store, uint64_t seq)
{
    struct mbr__list *at;
    struct mbr__list *after;

    if (seq <= store->durable)
        return;
    store->durable = seq;
    mbr__st_journal_settle(store);
    mbr__list_for_each_safe (at, after, &store->held)
        mbr__st_out_tell(mbr__container_of(at, struct mbr__store_conn, held));
}

uint64_t mbr__store_last_seq(const struct mbr__store *store)
{
    return store->seq;
}

void mbr__store_get_stats(const struct mbr__store *store, struct mbr__store_stats *stats)
{
    struct mbr__list *at;

    *stats = store->stats;
    stats->nodes = store->tree.count;
    stats->connections = store->conns.count;
    stats->domains = store->domains.count + 1;
    stats->transactions = store->open_tx;
    stats->memory = store->tree.heap.memory;
    stats->removals = 0;
    mbr__list_for_each (at, &store->purges)
        stats->removals++;
    mbr__list_for_each (at, &store->reaps)
        stats->removals++;
}
