/* SPDX-License-Identifier: MIT */
/*
 * The commit of a transaction: compare everything it has touched with what is there now; change
 * the tree, keeping the old one until all has succeeded; then charge, note and notify, which
 * cannot fail.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "store/change.h"
#include "store/domain.h"
#include "store/job.h"
#include "store/journal.h"
#include "store/tx.h"
#include "store/watch.h"

/* The path of NAME into store->path, walked to in the living tree. */
static void walk_to(struct mbr__store *store, const struct mbr__st_name *name)
{
    if (store->walked != name) {
        size_t len = mbr__st_names_path(name, store->text);
        int error = mbr__st_path_parse(&store->path, 0, store->text, len, UINT64_MAX);

        MBR_ASSERT(error == 0); /* it was a path when it was put there */
        store->walked = name;
    }
    mbr__st_tree_walk(&store->tree, &store->path, &store->walk);
}

static struct mbr__st_node *live_node(const struct mbr__store *store)
{
    return store->walk.found == store->path.count ? store->walk.node[store->walk.found] : NULL;
}

/* Whether what ACCESS has seen is still so. A generation is given once, so equal ones are the same
 * version of a node; the same version object with a reference of ours has all beneath it unchanged,
 * because a change would have copied it. */
static bool unchanged(struct mbr__store *store, const struct mbr__st_access *access)
{
    const struct mbr__st_node *live;

    if (access->shadowed)
        return true;
    walk_to(store, access->at);
    live = live_node(store);
    if (access->deep && live != access->deep)
        return false;
    if (!live || !access->base)
        return !live && !access->base;
    return live->generation == access->base->generation;
}

bool mbr__st_tx_valid(struct mbr__st_tx *tx)
{
    struct mbr__list *at;

    tx->conn->store->walked = NULL;
    mbr__list_for_each (at, &tx->accesses)
        if (!unchanged(tx->conn->store, mbr__container_of(at, struct mbr__st_access, link)))
            return false;
    return true;
}

/* Removes what is live at the path. */
static int apply_removal(struct mbr__store *store, struct mbr__st_access *access)
{
    struct mbr__st_node *top = live_node(store);

    if (top->by_name) {
        access->job = mbr__st_job_new();
        if (!access->job)
            return -ENOMEM;
    }
    if (mbr__st_tree_remove(&store->tree, &store->walk))
        return -ENOMEM;
    access->removed = top;
    mbr__st_unref(&store->tree.heap, mbr__st_leaf(top)); /* one of its two stays with us */
    store->walk.found--;
    return 0;
}

static int apply_creation(struct mbr__store *store, struct mbr__st_access *access)
{
    struct mbr__st_node *work = access->work;
    uint64_t id = work->id;

    if (store->walk.found + 1 != store->path.count)
        return -EAGAIN; /* parents come first, so only a stream for live update can be so wrong */
    if (mbr__st_tree_create(&store->tree, &store->path, &store->walk, work->perms,
                            mbr__st_value(work), work->value_len, &id))
        return -ENOMEM;
    access->created = true;
    return 0;
}

/* Whether the transaction's version can be put where the living one is: it has no children, of
 * which a version of a transaction knows the names only, and nothing but the transaction has
 * changed it. */
static bool replaces(const struct mbr__st_access *access, const struct mbr__st_node *live)
{
    const struct mbr__st_node *work = access->work;

    return live == access->base && !live->by_name && !work->by_name && work->key == live->key &&
           work->id == live->id && (access->value_set || access->perms_set);
}

static int apply(struct mbr__store *store, struct mbr__st_access *access)
{
    struct mbr__st_node *work = access->work;
    int error = 0;

    walk_to(store, access->at);
    if (live_node(store) && access->opaque)
        error = apply_removal(store, access);
    if (error || !work)
        return error;
    if (!live_node(store))
        return apply_creation(store, access);
    if (replaces(access, live_node(store)))
        return mbr__st_tree_replace(&store->tree, &store->walk, work);
    if (access->value_set)
        error = mbr__st_tree_set_value(&store->tree, &store->walk, mbr__st_value(work),
                                       work->value_len);
    if (!error && access->perms_set)
        error = mbr__st_tree_set_perms(&store->tree, &store->walk, work->perms);
    return error;
}

/* Puts the old tree, which was kept whole unless that is NULL, back. */
static void roll_back(struct mbr__st_tx *tx, struct mbr__st_node *old, uint64_t count)
{
    struct mbr__st_tree *tree = &tx->conn->store->tree;
    struct mbr__list *at;

    if (old) {
        mbr__st_unref(&tree->heap, mbr__st_leaf(tree->root));
        tree->root = old;
        tree->count = count;
        mbr__st_tree_touch(tree);
    }
    mbr__list_for_each (at, &tx->accesses) {
        struct mbr__st_access *access = mbr__container_of(at, struct mbr__st_access, link);

        mbr__st_unref(&tree->heap, mbr__st_leaf(access->removed));
        free(access->job);
        access->removed = NULL;
        access->job = NULL;
        access->created = false;
    }
}

/* Whether apply_all() changes the tree more than once. One change alone happens or does not. */
static bool many_changes(const struct mbr__st_tx *tx)
{
    unsigned changes = 0;
    struct mbr__list *at;

    mbr__list_for_each (at, &tx->accesses) {
        const struct mbr__st_access *access = mbr__container_of(at, struct mbr__st_access, link);

        changes += access->opaque;
        if (access->modified && access->work)
            changes +=
                0u + access->value_set + access->perms_set + (!access->base || access->opaque);
        if (changes > 1)
            return true;
    }
    return false;
}

/* Changes the tree, all or nothing. Parents before children. */
static int apply_all(struct mbr__st_tx *tx)
{
    struct mbr__st_tree *tree = &tx->conn->store->tree;
    struct mbr__st_node *old = many_changes(tx) ? tree->root : NULL;
    uint64_t count = tree->count;
    int error = 0;

    mbr__st_ref(&tree->heap, mbr__st_leaf(old));
    for (struct mbr__st_name *name = tx->names.root; name && !error;
         name = mbr__st_names_next(tx->names.root, name)) {
        struct mbr__st_access *access = name->data;

        if (access && access->modified)
            error = apply(tx->conn->store, access);
    }
    if (error) {
        roll_back(tx, old, count);
        return error;
    }
    mbr__st_unref(&tree->heap, mbr__st_leaf(old));
    return 0;
}

/* Whether both versions of a node are charged to the same domain, and alike. */
static bool same_charge(const struct mbr__st_node *a, const struct mbr__st_node *b)
{
    return a->perms == b->perms && mbr__st_node_cost(a) == mbr__st_node_cost(b);
}

/* The charges and the journal's notes for one access. */
static void account(struct mbr__store *store, struct mbr__st_access *access)
{
    struct mbr__st_walk *walk = &store->walk;
    const struct mbr__st_node *live;

    if (access->removed)
        mbr__st_journal_gone(store, MBR__STORE_REMOVE, access->removed->id);
    if (!access->created && !(access->work && (access->value_set || access->perms_set)))
        return;
    walk_to(store, access->at);
    live = live_node(store);
    if (access->created || !access->base || !same_charge(access->base, live)) {
        if (!access->created && access->base)
            mbr__st_charge_node(store, access->base, -1);
        mbr__st_charge_node(store, live, 1);
    }
    mbr__st_journal_put(store, live, walk->found > 0 ? walk->node[walk->found - 1]->id : 0);
}

/* Notes first, parents before children; then events, in the order of first access. */
static void account_all(struct mbr__st_tx *tx)
{
    for (struct mbr__st_name *name = tx->names.root; name;
         name = mbr__st_names_next(tx->names.root, name)) {
        struct mbr__st_access *access = name->data;

        if (access && access->modified)
            account(tx->conn->store, access);
    }
}

/* Permissions of the node that is, or was, above the path. */
static const struct mbr__st_perms *above(const struct mbr__store *store)
{
    const struct mbr__st_walk *walk = &store->walk;
    unsigned count = store->path.count;

    if (count == 0 || walk->found + 1 < count)
        return NULL;
    return walk->node[count - 1]->perms;
}

static void fire_one(struct mbr__store *store, struct mbr__st_access *access)
{
    const struct mbr__st_path *path = &store->path;
    struct mbr__st_name *name;
    const struct mbr__st_node *live;

    if (!access->fire || store->stats.watches == 0)
        return;
    walk_to(store, access->at);
    live = live_node(store);
    name = mbr__st_watch_nearest(store, path);
    if (access->removed)
        mbr__st_fire_removal(store, path->text, path->len, path->count, name, access->removed,
                             above(store));
    /* Removed, which has been told; or neither there before nor now: nothing has happened. */
    if (!live && (access->removed || !access->base))
        return;
    mbr__st_fire(store, &(struct mbr__st_fire){
                            .path = path->text,
                            .len = path->len,
                            .name = name,
                            .depth = path->count,
                            .perms = live ? live->perms : NULL,
                            .parent = above(store),
                            .old_perms = access->old_perms ? access->old_perms
                                         : access->base    ? access->base->perms
                                                           : NULL,
                        });
}

static void fire_all(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__list *at;

    mbr__list_for_each (at, &tx->accesses) {
        struct mbr__st_access *access = mbr__container_of(at, struct mbr__st_access, link);

        fire_one(store, access);
        if (access->removed)
            mbr__st_give_back(store, access->removed, access->job);
        access->removed = NULL;
        access->job = NULL;
    }
}

static bool quota_over(struct mbr__st_tx *tx)
{
    struct mbr__store_conn *conn = tx->conn;

    if (conn->privileged || tx->nodes <= 0 ||
        !mbr__st_over(conn->store, conn->domain, MBR__STORE_QUOTA_NODES, (uint64_t)tx->nodes))
        return false;
    mbr__st_jobs_settle(conn->store);
    return mbr__st_over(conn->store, conn->domain, MBR__STORE_QUOTA_NODES, (uint64_t)tx->nodes);
}

static bool modifies(const struct mbr__st_tx *tx)
{
    struct mbr__list *at;

    mbr__list_for_each (at, &tx->accesses)
        if (mbr__container_of(at, struct mbr__st_access, link)->modified)
            return true;
    return false;
}

int mbr__st_tx_commit(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;
    int error;

    if (tx->error)
        return tx->error;
    if (!mbr__st_tx_valid(tx)) {
        store->stats.conflicts++;
        return -EAGAIN;
    }
    if (quota_over(tx))
        return mbr__st_refuse(tx->conn, MBR__STORE_QUOTA_NODES, -ENOSPC);
    error = mbr__st_journal_reserve(store, 2 * (size_t)tx->count);
    if (!error)
        error = apply_all(tx);
    if (error)
        return error;
    account_all(tx);
    fire_all(tx);
    store->stats.commits++;
    if (modifies(tx))
        mbr__st_debit(tx->conn, store->open_tx - 1);
    return 0;
}
