/* SPDX-License-Identifier: MIT */
/*
 * Changes of the living tree. Each looks at everything that could refuse it, makes room in the
 * journal, changes the tree (which alone can still fail, for want of memory), and then does what
 * cannot fail: charges, the journal's note, events.
 */
#include "store/change.h"

#include <errno.h>
#include <stdlib.h>

#include "store/domain.h"
#include "store/job.h"
#include "store/journal.h"
#include "store/watch.h"

int mbr__st_may_write(const struct mbr__store_conn *conn, const struct mbr__st_node *near)
{
    return mbr__st_rights(conn, near->perms) & MBR__ST_WRITE ? 0 : -EACCES;
}

/* Whether an entry still means the domain that it was made for. */
static bool is_current(const struct mbr__store *store, const struct mbr__st_perms *perms,
                       const struct mbr__store_perm *entry)
{
    const struct mbr__st_domain *domain = mbr__st_domain_find(store, entry->domid);

    return entry->domid == MBR__STORE_DOMID_ANY || (domain && domain->birth <= perms->generation);
}

struct mbr__st_perms *mbr__st_inherit(struct mbr__store_conn *conn,
                                      const struct mbr__st_node *parent)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_perms *from = parent->perms;
    struct mbr__st_perms *perms;
    uint32_t kept = 1;

    if (conn->privileged || mbr__st_owner(store, from) == conn->domain)
        return mbr__st_perms_ref(from);
    perms = mbr__st_perms_new(from->entry, from->count, store->tree.generation);
    if (!perms)
        return NULL;
    /* These are set now: what meant a domain that is gone must not mean its successor. */
    perms->entry[0].domid = (uint16_t)conn->domain->domid;
    for (uint32_t i = 1; i < from->count; i++)
        if (is_current(store, from, &from->entry[i]))
            perms->entry[kept++] = from->entry[i];
    perms->count = kept;
    return perms;
}

/* Before something is refused, what was removed is counted to the end. */
static bool over(struct mbr__store *store, struct mbr__st_domain *domain,
                 enum mbr__store_quota what, uint64_t more)
{
    if (!mbr__st_over(store, domain, what, more))
        return false;
    mbr__st_jobs_settle(store);
    return mbr__st_over(store, domain, what, more);
}

/* Whether one of the lists that grow, or the last node, would become too large. */
static bool extent_over(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                        unsigned found, const struct mbr__st_node *near, uint32_t perm_count,
                        uint32_t len)
{
    uint64_t list = mbr__st_node_list_len(near);

    if (mbr__st_exceeds(conn, MBR__STORE_QUOTA_NODE_SIZE,
                        mbr__st_node_extent(near->perms->count, near->value_len,
                                            list + path->part[found].len + 1u)))
        return true;
    for (unsigned i = found + 1; i < path->count; i++)
        if (mbr__st_exceeds(conn, MBR__STORE_QUOTA_NODE_SIZE,
                            mbr__st_node_extent(perm_count, 0, path->part[i].len + 1u)))
            return true;
    return mbr__st_exceeds(conn, MBR__STORE_QUOTA_NODE_SIZE,
                           mbr__st_node_extent(perm_count, len, 0));
}

int mbr__st_may_create(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                       unsigned found, const struct mbr__st_node *near, uint32_t perm_count,
                       uint32_t len, int64_t nodes)
{
    uint64_t more = path->count - found;
    uint64_t cost = len + path->len + more * (128 + 4 * (uint64_t)perm_count);

    if (conn->privileged)
        return 0;
    if (extent_over(conn, path, found, near, perm_count, len))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_NODE_SIZE, -ENOSPC);
    if (nodes > 0)
        more += (uint64_t)nodes;
    else if (more > (uint64_t)-nodes)
        more -= (uint64_t)-nodes;
    else
        more = 0;
    if (more > 0 && over(conn->store, conn->domain, MBR__STORE_QUOTA_NODES, more))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_NODES, -ENOSPC);
    if (over(conn->store, conn->domain, MBR__STORE_QUOTA_MEMORY, cost))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_MEMORY, -ENOMEM);
    return 0;
}

int mbr__st_may_set_value(struct mbr__store_conn *conn, const struct mbr__st_node *node,
                          uint32_t len)
{
    struct mbr__st_domain *owner;

    if (conn->privileged)
        return 0;
    if (mbr__st_exceeds(conn, MBR__STORE_QUOTA_NODE_SIZE,
                        mbr__st_node_extent(node->perms->count, len, mbr__st_node_list_len(node))))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_NODE_SIZE, -ENOSPC);
    owner = mbr__st_owner(conn->store, node->perms);
    if (len > node->value_len &&
        over(conn->store, owner, MBR__STORE_QUOTA_MEMORY, len - node->value_len))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_MEMORY, -ENOMEM);
    return 0;
}

/* Permissions of the parent of node[FOUND], or NULL. */
static const struct mbr__st_perms *parent_perms(const struct mbr__st_walk *walk)
{
    return walk->found > 0 ? walk->node[walk->found - 1]->perms : NULL;
}

static uint64_t parent_id(const struct mbr__st_walk *walk, unsigned depth)
{
    return depth > 0 ? walk->node[depth - 1]->id : 0;
}

/* The node at the end of the walk has changed. */
static void fire(struct mbr__store *store, const struct mbr__st_perms *old_perms)
{
    const struct mbr__st_path *path = &store->path;
    const struct mbr__st_walk *walk = &store->walk;
    struct mbr__st_fire event = {
        .path = path->text,
        .len = path->len,
        .depth = path->count,
        .perms = walk->node[walk->found]->perms,
        .parent = parent_perms(walk),
        .old_perms = old_perms,
    };

    if (store->stats.watches == 0)
        return;
    event.name = mbr__st_watch_nearest(store, path);
    mbr__st_fire(store, &event);
}

static int set_value(struct mbr__store_conn *conn, const void *value, uint32_t len)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_walk *walk = &store->walk;
    struct mbr__st_node *node = walk->node[walk->found];
    int64_t more = (int64_t)len - node->value_len;
    int error = mbr__st_may_set_value(conn, node, len);

    if (!error)
        error = mbr__st_journal_reserve(store, 1);
    if (!error)
        error = mbr__st_tree_set_value(&store->tree, walk, value, len);
    if (error)
        return error;
    node = walk->node[walk->found];
    if (more != 0)
        mbr__st_use(store, mbr__st_owner(store, node->perms), MBR__STORE_QUOTA_MEMORY, more);
    mbr__st_journal_put(store, node, parent_id(walk, walk->found));
    fire(store, NULL);
    return 0;
}

static int create(struct mbr__store_conn *conn, const void *value, uint32_t len)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_walk *walk = &store->walk;
    unsigned found = walk->found;
    struct mbr__st_perms *perms = mbr__st_inherit(conn, walk->node[found]);
    int error;

    if (!perms)
        return -ENOMEM;
    error = mbr__st_may_create(conn, &store->path, found, walk->node[found], perms->count, len, 0);
    if (!error)
        error = mbr__st_journal_reserve(store, store->path.count - found);
    if (!error)
        error = mbr__st_tree_create(&store->tree, &store->path, walk, perms, value, len,
                                    &store->tree.next_id);
    mbr__st_perms_unref(perms);
    if (error)
        return error;
    for (unsigned i = found + 1; i <= walk->found; i++) {
        mbr__st_charge_node(store, walk->node[i], 1);
        mbr__st_journal_put(store, walk->node[i], parent_id(walk, i));
    }
    fire(store, NULL);
    return 0;
}

/* Writes, or makes if it is not there. */
static int write_or_make(struct mbr__store_conn *conn, const void *value, uint32_t len, bool make)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_walk *walk = &store->walk;
    int error;

    mbr__st_tree_walk(&store->tree, &store->path, walk);
    error = mbr__st_may_write(conn, walk->node[walk->found]);
    if (error)
        return error;
    if (walk->found < store->path.count) {
        error = create(conn, value, len);
    } else if (!make) {
        error = set_value(conn, value, len);
    } else {
        mbr__st_seen(conn, walk->node[walk->found]->generation);
        return 0;
    }
    if (!error)
        mbr__st_debit(conn, store->open_tx);
    return error;
}

int mbr__st_live_write(struct mbr__store_conn *conn, const void *value, uint32_t len)
{
    return write_or_make(conn, value, len, false);
}

int mbr__st_live_mkdir(struct mbr__store_conn *conn)
{
    return write_or_make(conn, "", 0, true);
}

void mbr__st_give_back(struct mbr__store *store, struct mbr__st_node *top, struct mbr__st_job *job)
{
    if (job) {
        mbr__st_job_purge(store, job, top);
        return;
    }
    mbr__st_charge_node(store, top, -1);
    store->tree.count--;
    mbr__st_unref(&store->tree.heap, mbr__st_leaf(top));
}

int mbr__st_remove(struct mbr__store *store, const struct mbr__st_path *path,
                   struct mbr__st_walk *walk, struct mbr__st_job *job)
{
    struct mbr__st_node *top = walk->node[walk->found];

    if (mbr__st_tree_remove(&store->tree, walk))
        return -ENOMEM;
    mbr__st_journal_gone(store, MBR__STORE_REMOVE, top->id);
    if (store->stats.watches > 0)
        mbr__st_fire_removal(store, path->text, path->len, path->count,
                             mbr__st_watch_nearest(store, path), top, parent_perms(walk));
    mbr__st_unref(&store->tree.heap, mbr__st_leaf(top));
    mbr__st_give_back(store, top, job);
    return 0;
}

static int remove_found(struct mbr__store_conn *conn)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_walk *walk = &store->walk;
    struct mbr__st_job *job = NULL;
    int error;

    if (store->path.count == 0)
        return -EINVAL;
    if (walk->node[walk->found]->by_name) {
        job = mbr__st_job_new();
        if (!job)
            return -ENOMEM;
    }
    error = mbr__st_journal_reserve(store, 1);
    if (!error)
        error = mbr__st_remove(store, &store->path, walk, job);
    if (error)
        free(job);
    return error;
}

int mbr__st_live_rm(struct mbr__store_conn *conn)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_walk *walk = &store->walk;
    int error;

    mbr__st_tree_walk(&store->tree, &store->path, walk);
    error = mbr__st_may_write(conn, walk->node[walk->found]);
    if (error)
        return error;
    if (walk->found < store->path.count) { /* it is gone already: fine, if its parent is there */
        mbr__st_seen(conn, walk->node[walk->found]->generation);
        return walk->found == store->path.count - 1 ? 0 : -ENOENT;
    }
    error = remove_found(conn);
    if (!error)
        mbr__st_debit(conn, store->open_tx);
    return error;
}

int mbr__st_live_set_perms(struct mbr__store_conn *conn, struct mbr__st_perms *perms)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_walk *walk = &store->walk;
    struct mbr__st_node *node;
    struct mbr__st_perms *old;
    int error = mbr__st_journal_reserve(store, 1);

    if (error)
        return error;
    old = mbr__st_perms_ref(walk->node[walk->found]->perms);
    mbr__st_charge_node(store, walk->node[walk->found], -1);
    error = mbr__st_tree_set_perms(&store->tree, walk, perms);
    node = walk->node[walk->found];
    mbr__st_charge_node(store, node, 1);
    if (!error) {
        mbr__st_journal_put(store, node, parent_id(walk, walk->found));
        fire(store, old);
        mbr__st_debit(conn, store->open_tx);
    }
    mbr__st_perms_unref(old);
    return error;
}
