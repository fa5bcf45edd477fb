/* SPDX-License-Identifier: MIT */
/*
 * Looks through everything and counts it again. What is wrong here is a defect of the engine,
 * whoever did what before.
 */
#include <stdio.h>
#include <string.h>

#include "store/domain.h"
#include "store/job.h"
#include "store/lifecycle.h"

static const char *wrong(char *text, size_t size, const char *what, uint64_t is, uint64_t should)
{
    snprintf(text, size, "%s: %llu, should be %llu", what, (unsigned long long)is,
             (unsigned long long)should);
    return text;
}

static void count_node(struct mbr__store *store, const struct mbr__st_node *node)
{
    struct mbr__st_domain *owner = mbr__st_owner(store, node->perms);

    if (!owner)
        return;
    owner->recount_nodes++;
    owner->recount_memory += mbr__st_node_cost(node);
}

/* NODE beneath PARENT: can it be found, is its hint known above, does it come after it? */
static const char *check_node(struct mbr__store *store, const struct mbr__st_node *node,
                              const struct mbr__st_node *parent, char *text, size_t size)
{
    uint64_t hint = mbr__st_perms_domains(node->perms);

    if (mbr__st_node_child(&store->tree.heap, parent, node->name, node->name_len) != node)
        return wrong(text, size, "a node that is not found by its name", node->id, 0);
    if (node->refs < 2)
        return wrong(text, size, "references of a node", node->refs, 2);
    if ((node->domains & hint) != hint || (parent->domains & node->domains) != node->domains)
        return wrong(text, size, "hint of a node's domains", parent->domains, node->domains);
    if (node->id <= parent->id || node->id >= store->tree.next_id)
        return wrong(text, size, "id of a node", node->id, parent->id + 1);
    return NULL;
}

static const char *check_tree(struct mbr__store *store, char *text, size_t size)
{
    struct mbr__st_walker *walker = &store->count_walker;
    struct mbr__st_node *node = store->tree.root;
    const char *bad = NULL;
    uint64_t count = 1;

    count_node(store, node);
    mbr__st_walker_start(walker, node);
    while (!bad && (node = mbr__st_walker_next(walker, UINT64_MAX))) {
        count++;
        count_node(store, node);
        bad = check_node(store, node, walker->step[walker->depth - 2].node, text, size);
    }
    if (!bad && count != store->tree.count)
        bad = wrong(text, size, "number of nodes", store->tree.count, count);
    return bad;
}

/* What a connection holds beside nodes. */
static const char *check_conn(struct mbr__store *store, struct mbr__store_conn *conn, char *text,
                              size_t size)
{
    uint64_t *memory = &conn->domain->recount_memory;
    uint32_t watches = 0, transactions = 0;
    struct mbr__list *at;

    if (!conn->domain->known)
        return NULL;
    mbr__list_for_each (at, &conn->watches) {
        const struct mbr__st_watch *watch = mbr__container_of(at, struct mbr__st_watch, of_conn);
        size_t len = sizeof(uint64_t) + sizeof(watch->at) + watch->token_len;

        if (mbr__bytes_map_get(&store->watches, &watch->conn_id, len) != watch)
            return wrong(text, size, "a watch that is not found", watch->number, 0);
        watches++;
        *memory += watch->cost;
    }
    mbr__list_for_each (at, &conn->transactions) {
        transactions++;
        *memory += mbr__container_of(at, struct mbr__st_tx, of_conn)->cost;
    }
    if (!conn->privileged)
        *memory += conn->out.tail - conn->out.head;
    if (watches != conn->watch_count)
        return wrong(text, size, "watches of a connection", conn->watch_count, watches);
    if (transactions != conn->tx_count)
        return wrong(text, size, "transactions of a connection", conn->tx_count, transactions);
    return NULL;
}

static const char *check_domain(const struct mbr__st_domain *domain, char *text, size_t size)
{
    uint64_t watches = 0, transactions = 0;
    struct mbr__list *at;

    mbr__list_for_each (at, &domain->conns) {
        const struct mbr__store_conn *conn =
            mbr__container_of(at, struct mbr__store_conn, of_domain);

        watches += conn->watch_count;
        transactions += conn->tx_count;
    }
    if (domain->used[MBR__STORE_QUOTA_WATCHES] != watches)
        return wrong(text, size, "watches of a domain", domain->used[MBR__STORE_QUOTA_WATCHES],
                     watches);
    if (domain->used[MBR__STORE_QUOTA_TRANSACTIONS] != transactions)
        return wrong(text, size, "transactions of a domain",
                     domain->used[MBR__STORE_QUOTA_TRANSACTIONS], transactions);
    if (domain->used[MBR__STORE_QUOTA_NODES] != domain->recount_nodes)
        return wrong(text, size, "nodes of a domain", domain->used[MBR__STORE_QUOTA_NODES],
                     domain->recount_nodes);
    if (domain->used[MBR__STORE_QUOTA_MEMORY] != domain->recount_memory)
        return wrong(text, size, "memory of a domain", domain->used[MBR__STORE_QUOTA_MEMORY],
                     domain->recount_memory);
    return NULL;
}

/* Every name that is watched has a reason to be there. WATCHES grows by what hangs on them. */
static const char *check_names(const struct mbr__st_names *set, uint64_t *watches, char *text,
                               size_t size)
{
    struct mbr__st_name *root = set->root;
    uint64_t names = 0, children = 0, mapped = 0;
    struct mbr__list *at;

    for (struct mbr__st_name *name = root; name; name = mbr__st_names_next(root, name)) {
        names++;
        children += name->count;
        mapped += name->parent && name->parent->mapped;
        if (mbr__list_empty(&name->items) && mbr__list_empty(&name->children))
            return wrong(text, size, "a name that nobody watches", name->len, 0);
        mbr__list_for_each (at, &name->items)
            ++*watches;
    }
    if (root && names != children + 1)
        return wrong(text, size, "names that are watched", names, children + 1);
    if (mapped != set->map.hash.count)
        return wrong(text, size, "names in the index of watches", mapped, set->map.hash.count);
    return NULL;
}

/* Every watch hangs on a name. */
static const char *check_watches(struct mbr__store *store, char *text, size_t size)
{
    uint64_t watches = 0;
    const char *error = check_names(&store->watch_names, &watches, text, size);

    if (!error)
        error = check_names(&store->special_names, &watches, text, size);
    if (error)
        return error;
    if (watches != store->stats.watches || watches != store->watches.hash.count)
        return wrong(text, size, "watches", store->stats.watches, watches);
    return NULL;
}

/* What is remembered of the last walk is what a new one would find. */
static const char *check_walk(struct mbr__store *store, char *text, size_t size)
{
    const struct mbr__st_walk *walk = &store->walk;
    const struct mbr__st_path *path = &store->path;
    unsigned known = path->same < walk->found ? path->same : walk->found;

    if (walk->stamp != store->tree.stamp)
        return NULL;
    if (walk->node[0] != store->tree.root)
        return wrong(text, size, "the root of the last walk", walk->node[0]->id,
                     store->tree.root->id);
    for (unsigned i = 0; i < known; i++)
        if (mbr__st_node_child(&store->tree.heap, walk->node[i], path->text + path->part[i].at,
                               path->part[i].len) != walk->node[i + 1])
            return wrong(text, size, "a node of the last walk", walk->node[i + 1]->id, i + 1);
    for (unsigned i = 0; walk->refs == store->tree.heap.refs && i < walk->owned && i <= known; i++)
        if (walk->node[i]->refs != (i > 0 ? 2u : 1u))
            return wrong(text, size, "owners of a node of the last walk", walk->node[i]->refs, i);
    return NULL;
}

static void forget_counts(struct mbr__store *store)
{
    struct mbr__st_domain *domain = store->dom0;
    size_t cursor = 0;

    for (; domain; domain = mbr__hash_next(&store->domains, &cursor))
        domain->recount_nodes = domain->recount_memory = 0;
}

const char *mbr__st_check(struct mbr__store *store, char *text, size_t size)
{
    const char *bad;
    struct mbr__store_conn *conn;
    struct mbr__st_domain *domain;
    size_t cursor = 0;

    mbr__st_jobs_settle(store);
    forget_counts(store);
    bad = check_walk(store, text, size);
    if (!bad)
        bad = check_tree(store, text, size);
    while (!bad && (conn = mbr__store_conn_next(store, &cursor)))
        bad = check_conn(store, conn, text, size);
    if (!bad)
        bad = check_domain(store->dom0, text, size);
    cursor = 0;
    while (!bad && (domain = mbr__hash_next(&store->domains, &cursor)))
        bad = check_domain(domain, text, size);
    return bad ? bad : check_watches(store, text, size);
}
