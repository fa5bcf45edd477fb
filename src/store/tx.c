/* SPDX-License-Identifier: MIT */
/*
 * What happens inside a transaction. It keeps a tree of the names it has touched; each has the
 * version it began with and the version it has now. Versions are shared with the living tree until
 * either side changes, so touching a node costs no copy of it.
 *
 * In the transaction's version of a directory the list of children is right, but the children in
 * it are only their names: what they are is found by their own accesses, or live.
 */
#include "store/tx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/change.h"
#include "store/domain.h"
#include "store/journal.h"

#define TX_COST     256u
#define ACCESS_COST 256u /* beside the bytes of a version of its own */

int mbr__st_tx_start(struct mbr__store_conn *conn, struct mbr__st_tx **out)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_tx *tx;

    if (!conn->privileged && mbr__st_over(store, conn->domain, MBR__STORE_QUOTA_TRANSACTIONS, 1))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_TRANSACTIONS, -ENOSPC);
    tx = malloc(sizeof(*tx)); /* calloc() goes past malloc's cache */
    if (!tx)
        return -ENOMEM;
    *tx = (struct mbr__st_tx){.conn = conn, .cost = TX_COST};
    mbr__st_names_init(&tx->names);
    mbr__list_init(&tx->accesses);
    do {
        tx->id = conn->next_tx++;
    } while (tx->id == 0 || mbr__st_tx_find(conn, tx->id));
    mbr__list_push_back(&conn->transactions, &tx->of_conn);
    conn->tx_count++;
    store->open_tx++;
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_TRANSACTIONS, 1);
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_MEMORY, TX_COST);
    *out = tx;
    return 0;
}

struct mbr__st_tx *mbr__st_tx_find(const struct mbr__store_conn *conn, uint32_t id)
{
    struct mbr__list *at;

    mbr__list_for_each (at, &conn->transactions) {
        struct mbr__st_tx *tx = mbr__container_of(at, struct mbr__st_tx, of_conn);

        if (tx->id == id)
            return tx;
    }
    return NULL;
}

static void end_access(struct mbr__st_heap *heap, struct mbr__st_access *access)
{
    mbr__list_del(&access->link);
    mbr__st_unref(heap, mbr__st_leaf(access->base));
    mbr__st_unref(heap, mbr__st_leaf(access->work));
    mbr__st_unref(heap, mbr__st_leaf(access->deep));
    mbr__st_perms_unref(access->old_perms);
}

void mbr__st_tx_free(struct mbr__st_tx *tx)
{
    struct mbr__store_conn *conn = tx->conn;
    struct mbr__store *store = conn->store;
    struct mbr__list *at;
    struct mbr__list *after;

    mbr__list_for_each_safe (at, after, &tx->accesses) {
        struct mbr__st_access *access = mbr__container_of(at, struct mbr__st_access, link);

        end_access(&store->tree.heap, access);
        if (access != &tx->near)
            free(access);
    }
    mbr__st_names_fini(&tx->names);
    mbr__list_del(&tx->of_conn);
    conn->tx_count--;
    store->open_tx--;
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_TRANSACTIONS, -1);
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_MEMORY, -(int64_t)tx->cost);
    free(tx);
}

void mbr__st_tx_free_all(struct mbr__store_conn *conn)
{
    struct mbr__list *at;
    struct mbr__list *after;

    mbr__list_for_each_safe (at, after, &conn->transactions)
        mbr__st_tx_free(mbr__container_of(at, struct mbr__st_tx, of_conn));
}

/* Poisons TX: half of what it was asked for is missing, so it must never be committed. */
static int fail(struct mbr__st_tx *tx, int error)
{
    if (!tx->error)
        tx->error = error;
    return error;
}

static struct mbr__st_access *access_of(const struct mbr__st_name *name)
{
    return name ? name->data : NULL;
}

/* What is live at LEVEL of the path, or NULL. */
static struct mbr__st_node *live_at(const struct mbr__store *store, unsigned level)
{
    return level <= store->walk.found ? store->walk.node[level] : NULL;
}

/* Fills walk, view and hidden for the path, level by level. */
void mbr__st_tx_look(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_path *path = &store->path;
    struct mbr__st_walk *view = &store->view;
    struct mbr__st_name *name = tx->names.root;
    bool hidden = false;

    mbr__st_tree_walk(&store->tree, path, &store->walk);
    view->found = 0;
    for (unsigned i = 0;; i++) {
        const struct mbr__st_access *access = access_of(name);

        store->hidden[i] = hidden;
        store->touched[i] = name;
        view->node[i] = access ? access->work : hidden ? NULL : live_at(store, i);
        if (view->node[i])
            view->found = i;
        if (i == path->count)
            return;
        hidden = hidden || (access && access->opaque);
        if (name)
            name = mbr__st_names_child(&tx->names, name, path->text + path->part[i].at,
                                       path->part[i].len);
    }
}

/* TX costs MORE memory. -ENOMEM: its domain may not have so much. */
static int spend(struct mbr__st_tx *tx, struct mbr__st_access *access, uint64_t more)
{
    struct mbr__store_conn *conn = tx->conn;

    if (!conn->privileged && mbr__st_over(conn->store, conn->domain, MBR__STORE_QUOTA_MEMORY, more))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_MEMORY, -ENOMEM);
    tx->cost += more;
    if (access)
        access->cost += more;
    mbr__st_use(conn->store, conn->domain, MBR__STORE_QUOTA_MEMORY, (int64_t)more);
    return 0;
}

/* One more, for the first LEVEL components of the path. */
static struct mbr__st_access *new_access(struct mbr__st_tx *tx, unsigned level)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_access *access = tx->count == 0 ? &tx->near : malloc(sizeof(*access));
    struct mbr__st_name *name;

    if (!access)
        return NULL;
    name = mbr__st_names_make_level(&tx->names, &store->path, level, store->touched);
    if (!name) {
        if (access != &tx->near)
            free(access);
        return NULL;
    }
    MBR_ASSERT(!name->data);
    *access = (struct mbr__st_access){.at = name};
    name->data = access;
    mbr__list_push_back(&tx->accesses, &access->link);
    tx->count++;
    return access;
}

struct mbr__st_access *mbr__st_tx_restore_access(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;

    for (unsigned i = 0; i <= store->path.count; i++)
        store->touched[i] = NULL; /* there was no look() */
    return new_access(tx, store->path.count);
}

/* The access for the first LEVEL components of the path, after look(), or NULL. */
static struct mbr__st_access *access_at(const struct mbr__st_tx *tx, unsigned level)
{
    return access_of(tx->conn->store->touched[level]);
}

/* The access for the first LEVEL components of the path, made if need be, after look(). */
static int touch(struct mbr__st_tx *tx, unsigned level, struct mbr__st_access **out)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_access *access = access_at(tx, level);

    *out = access;
    if (access)
        return 0;
    if (mbr__st_exceeds(tx->conn, MBR__STORE_QUOTA_TRANSACTION_NODES, tx->count + 1u))
        return fail(tx, mbr__st_refuse(tx->conn, MBR__STORE_QUOTA_TRANSACTION_NODES, -ENOSPC));
    if (spend(tx, NULL, ACCESS_COST))
        return fail(tx, -ENOMEM);
    access = new_access(tx, level);
    if (!access)
        return fail(tx, -ENOMEM);
    access->shadowed = store->hidden[level];
    if (!access->shadowed) {
        access->base = live_at(store, level);
        access->work = access->base;
        mbr__st_ref(&store->tree.heap, mbr__st_leaf(access->base));
        mbr__st_ref(&store->tree.heap, mbr__st_leaf(access->work));
    }
    *out = access;
    return 0;
}

int mbr__st_tx_read(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_access *access;

    mbr__st_tx_look(tx);
    mbr__st_seen(tx->conn, store->walk.node[store->walk.found]->generation);
    return touch(tx, store->path.count, &access);
}

/* ACCESS has WORK now, which has no reference yet. */
static void adopt(struct mbr__st_tx *tx, struct mbr__st_access *access, struct mbr__st_node *work)
{
    struct mbr__st_tree *tree = &tx->conn->store->tree;

    mbr__st_unref(&tree->heap, mbr__st_leaf(access->work));
    access->work = work;
    mbr__st_ref(&tree->heap, mbr__st_leaf(work));
    access->modified = true;
    if (work)
        work->generation = ++tree->generation;
}

static int set_value(struct mbr__st_tx *tx, const void *value, uint32_t len)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_access *access;
    struct mbr__st_node *copy;
    int error = touch(tx, store->path.count, &access);

    if (!error)
        error = mbr__st_may_set_value(tx->conn, access->work, len);
    if (!error)
        error = spend(tx, access, access->modified ? len : len + mbr__st_node_cost(access->work));
    if (error)
        return error;
    copy = mbr__st_node_copy(&store->tree.heap, access->work, len);
    if (!copy)
        return fail(tx, -ENOMEM);
    copy->value_len = len;
    if (len)
        memcpy(mbr__st_value(copy), value, len);
    adopt(tx, access, copy);
    access->value_set = true;
    access->fire = true;
    return 0;
}

/* Drops COUNT nodes of a chain that was not finished. */
static void drop_chain(struct mbr__st_heap *heap, struct mbr__st_node *top)
{
    mbr__st_ref(heap, mbr__st_leaf(top));
    mbr__st_unref(heap, mbr__st_leaf(top));
}

/* Takes the name that is component INDEX of PATH out of PARENT's list, if it is there. */
static int strike_name(struct mbr__st_heap *heap, struct mbr__st_node *parent,
                       const struct mbr__st_path *path, unsigned index)
{
    struct mbr__st_node *child =
        mbr__st_node_child(heap, parent, path->text + path->part[index].at, path->part[index].len);
    mbr__st_trie *slots[2];

    if (!child)
        return 0;
    if (mbr__st_node_own_child(heap, parent, child, slots))
        return -ENOMEM;
    mbr__st_node_detach(heap, parent, child);
    mbr__st_unref(heap, mbr__st_leaf(child));
    mbr__st_unref(heap, mbr__st_leaf(child));
    return 0;
}

/*
 * The new nodes behind walk->node[found], put into walk->node[], each the child of the one above,
 * the first of PARENT, which is the transaction's own. Each has the references of its parent.
 */
static int make_nodes(struct mbr__store *store, struct mbr__st_node *parent,
                      struct mbr__st_perms *perms, const void *value, uint32_t len)
{
    const struct mbr__st_path *path = &store->path;
    struct mbr__st_walk *walk = &store->view;
    struct mbr__st_heap *heap = &store->tree.heap;
    struct mbr__st_node *below = NULL;

    for (unsigned i = path->count; i > walk->found; i--) {
        uint32_t size = i == path->count ? len : 0;
        struct mbr__st_node *node = mbr__st_node_new(heap, path->text + path->part[i - 1].at,
                                                     path->part[i - 1].len, size, perms);

        if (!node) {
            if (below)
                drop_chain(heap, below);
            return -ENOMEM;
        }
        if (size)
            memcpy(mbr__st_value(node), value, size);
        node->id = store->tree.next_id + (i - walk->found - 1);
        if (below)
            (void)mbr__st_node_attach(heap, node, below); /* an only child needs no branch */
        walk->node[i] = below = node;
    }
    /* The list may be older than what is live, and have the name still; such a transaction will
     * fail, but not show it twice until then. */
    if (strike_name(heap, parent, path, walk->found) || mbr__st_node_attach(heap, parent, below)) {
        drop_chain(heap, below);
        return -ENOMEM;
    }
    store->tree.next_id += path->count - walk->found;
    return 0;
}

/* Notes all levels that a new path touches; then nothing but memory is missing. */
static int touch_chain(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;

    for (unsigned i = store->path.count + 1; i-- > store->view.found;) {
        struct mbr__st_access *access;
        int error = touch(tx, i, &access);

        if (error)
            return error;
    }
    return 0;
}

static int add_chain(struct mbr__st_tx *tx, struct mbr__st_perms *perms, const void *value,
                     uint32_t len)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_walk *walk = &store->view;
    struct mbr__st_access *above = access_at(tx, walk->found);
    struct mbr__st_access *access = NULL;
    struct mbr__st_node *parent =
        mbr__st_node_copy(&store->tree.heap, above->work, above->work->value_len);

    if (!parent)
        return fail(tx, -ENOMEM);
    if (make_nodes(store, parent, perms, value, len)) {
        drop_chain(&store->tree.heap, parent);
        return fail(tx, -ENOMEM);
    }
    adopt(tx, above, parent);
    for (unsigned i = walk->found + 1; i <= store->path.count; i++) {
        access = access_at(tx, i);
        adopt(tx, access, walk->node[i]);
        access->value_set = access->perms_set = false; /* it is made with them */
    }
    MBR_ASSERT(access); /* there is at least one new level */
    access->fire = true;
    if (!tx->conn->privileged)
        tx->nodes += store->path.count - walk->found;
    return 0;
}

static int create(struct mbr__st_tx *tx, const void *value, uint32_t len)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_walk *walk = &store->view;
    struct mbr__st_node *near = walk->node[walk->found];
    struct mbr__st_perms *perms = mbr__st_inherit(tx->conn, near);
    uint64_t more = store->path.count - walk->found;
    /* Of one that has failed nothing will be there; its share is not known after a live update. */
    int64_t share = tx->error ? -(int64_t)more : tx->nodes;
    int error;

    if (!perms)
        return fail(tx, -ENOMEM);
    error = mbr__st_may_create(tx->conn, &store->path, walk->found, near, perms->count, len, share);
    if (!error)
        error = touch_chain(tx);
    if (!error)
        error = spend(tx, NULL, len + store->path.len + more * 160 + mbr__st_node_cost(near));
    if (!error)
        error = add_chain(tx, perms, value, len);
    mbr__st_perms_unref(perms);
    return error;
}

static int write_or_make(struct mbr__st_tx *tx, const void *value, uint32_t len, bool make)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_walk *walk = &store->view;
    int error = mbr__st_tx_read(tx);

    if (!error)
        error = mbr__st_may_write(tx->conn, walk->node[walk->found]);
    if (error)
        return error;
    if (walk->found < store->path.count)
        return create(tx, value, len);
    return make ? 0 : set_value(tx, value, len);
}

int mbr__st_tx_write(struct mbr__st_tx *tx, const void *value, uint32_t len)
{
    return write_or_make(tx, value, len, false);
}

int mbr__st_tx_mkdir(struct mbr__st_tx *tx)
{
    return write_or_make(tx, "", 0, true);
}

/* Nodes of the transaction's domain beneath TOP, inclusive; SEEN grows by all that are there. */
static int64_t count_own(struct mbr__st_tx *tx, struct mbr__st_node *top, uint64_t *seen)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_node *node = top;
    int64_t own = 0;

    mbr__st_walker_start(&store->count_walker, top);
    for (; node; node = mbr__st_walker_next(&store->count_walker, UINT64_MAX)) {
        if (mbr__st_exceeds(tx->conn, MBR__STORE_QUOTA_TRANSACTION_NODES, ++*seen))
            break; /* a guest cannot make this long */
        own += mbr__st_owner(store, node->perms) == tx->conn->domain;
    }
    return own;
}

/* Counts into OWN what a guest's transaction gives back by removing what is live beneath TOP,
 * inclusive. -ENOSPC: that is more than a transaction may touch. */
static int count_removed(struct mbr__st_tx *tx, struct mbr__st_node *top, int64_t *own)
{
    uint64_t seen = tx->count;

    if (tx->conn->privileged)
        return 0;
    *own = count_own(tx, top, &seen);
    if (mbr__st_exceeds(tx->conn, MBR__STORE_QUOTA_TRANSACTION_NODES, seen))
        return fail(tx, mbr__st_refuse(tx->conn, MBR__STORE_QUOTA_TRANSACTION_NODES, -ENOSPC));
    return 0;
}

/* Takes the name of the path out of ABOVE's list. */
static int unlist(struct mbr__st_tx *tx, struct mbr__st_access *above)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_heap *heap = &store->tree.heap;
    struct mbr__st_node *parent = mbr__st_node_copy(heap, above->work, above->work->value_len);

    if (!parent)
        return -ENOMEM;
    if (strike_name(heap, parent, &store->path, store->path.count - 1)) {
        drop_chain(heap, parent);
        return -ENOMEM;
    }
    adopt(tx, above, parent);
    return 0;
}

/* Whether the transaction has removed something above NAME before, up to TOP, inclusive; LIVING:
 * something that was living then, so that all beneath it was given back. */
static bool removed_above(const struct mbr__st_name *top, const struct mbr__st_name *name,
                          bool living)
{
    while (name != top) {
        const struct mbr__st_access *access = access_of(name = name->parent);

        if (access && (living ? access->deep != NULL : access->opaque))
            return true;
    }
    return false;
}

/* What the guest's transaction has more than it began with, less by ACCESS, which goes with TOP:
 * what it made itself is gone. COUNTED: what is live beneath TOP has just been given back, and with
 * it once more what an earlier removal had given back. */
static void forget_share(struct mbr__st_tx *tx, const struct mbr__st_name *top,
                         struct mbr__st_access *access, bool counted)
{
    struct mbr__store *store = tx->conn->store;
    bool beneath = store->hidden[store->path.count] || removed_above(top, access->at, false);
    uint64_t seen = 0;

    if (counted && access->deep && !removed_above(top, access->at, true))
        tx->nodes += count_own(tx, access->deep, &seen);
    if (access->work && (!access->base || access->opaque || beneath) &&
        mbr__st_owner(store, access->work->perms) == tx->conn->domain)
        tx->nodes--;
}

/* Everything the transaction knows beneath TOP, and TOP, is gone for it. */
static void forget_below(struct mbr__st_tx *tx, struct mbr__st_name *top, bool counted)
{
    for (struct mbr__st_name *name = top; name; name = mbr__st_names_next(top, name)) {
        struct mbr__st_access *access = access_of(name);

        if (access && !tx->conn->privileged)
            forget_share(tx, top, access, counted);
        if (!access || (!access->work && name != top))
            continue;
        adopt(tx, access, NULL);
    }
}

static int remove_touched(struct mbr__st_tx *tx, struct mbr__st_access *access,
                          struct mbr__st_access *above)
{
    struct mbr__store *store = tx->conn->store;
    unsigned level = store->path.count;
    struct mbr__st_node *live =
        store->hidden[level] || access->opaque ? NULL : live_at(store, level);
    int64_t own = 0;
    int error = live ? count_removed(tx, live, &own) : 0;

    if (!error)
        error = spend(tx, above, mbr__st_node_cost(above->work));
    if (!error && unlist(tx, above))
        error = fail(tx, -ENOMEM);
    if (error)
        return error;
    tx->nodes -= own; /* not before: the transaction may go on after -ENOMEM */
    forget_below(tx, access->at, live != NULL);
    access->fire = true;
    if (live) {
        access->deep = live;
        mbr__st_ref(&store->tree.heap, mbr__st_leaf(live));
    }
    access->opaque = true;
    return 0;
}

int mbr__st_tx_rm(struct mbr__st_tx *tx)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_walk *walk = &store->view;
    unsigned count = store->path.count;
    struct mbr__st_access *access;
    struct mbr__st_access *above;
    int error = mbr__st_tx_read(tx);

    if (!error)
        error = mbr__st_may_write(tx->conn, walk->node[walk->found]);
    if (error)
        return error;
    if (walk->found < count) {
        if (walk->found < count - 1)
            return -ENOENT;
        return touch(tx, count - 1, &above); /* it counts that the parent is there */
    }
    if (count == 0)
        return -EINVAL;
    error = touch(tx, count, &access);
    if (!error)
        error = touch(tx, count - 1, &above);
    if (error)
        return error;
    if (!above->work)
        return fail(tx, -EAGAIN); /* the parent went under us: it cannot be committed anyway */
    return remove_touched(tx, access, above);
}

int mbr__st_tx_set_perms(struct mbr__st_tx *tx, struct mbr__st_perms *perms)
{
    struct mbr__store *store = tx->conn->store;
    struct mbr__st_access *access;
    struct mbr__st_node *copy;
    int error = touch(tx, store->path.count, &access);

    if (!error)
        error = spend(tx, access,
                      mbr__st_node_cost(access->work) + perms->count * sizeof(perms->entry[0]));
    if (error)
        return error;
    MBR_ASSERT(access->work); /* the caller has found the node */
    copy = mbr__st_node_copy(&store->tree.heap, access->work, access->work->value_len);
    if (!copy)
        return fail(tx, -ENOMEM);
    if (!access->old_perms)
        access->old_perms = mbr__st_perms_ref(copy->perms);
    mbr__st_perms_unref(copy->perms);
    copy->perms = mbr__st_perms_ref(perms);
    copy->domains |= mbr__st_perms_domains(perms);
    adopt(tx, access, copy);
    access->perms_set = true;
    access->fire = true;
    return 0;
}
