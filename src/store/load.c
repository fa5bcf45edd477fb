/* SPDX-License-Identifier: MIT */
/*
 * Loading a tree, and walking over a snapshot of one. What is fed comes from a file: it is checked
 * like what comes from a stranger.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/domain.h"
#include "store/job.h"
#include "store/journal.h"
#include "store/lifecycle.h"

/* A node that was fed. It does not move while its children are added. */
struct entry {
    struct mbr__st_node *node;
    struct entry *parent;
    uint32_t depth;
    uint32_t path_len;
};

struct mbr__st_load {
    struct mbr__hash entries; /* by id */
    uint64_t last_id;
    bool strangers; /* something belongs to a domain that is not known */
};

int mbr__store_load_begin(struct mbr__store *store, uint64_t seq)
{
    size_t cursor = 0;
    struct mbr__st_domain *domain;

    if (store->load || store->started)
        return -EINVAL;
    store->load = calloc(1, sizeof(*store->load));
    if (!store->load)
        return -ENOMEM;
    mbr__hash_init(&store->load->entries);
    store->seq = store->durable = seq;
    /* Those that are known by now are the ones that the loaded permissions mean. */
    while ((domain = mbr__hash_next(&store->domains, &cursor)))
        domain->birth = 0;
    return 0;
}

void mbr__st_load_abandon(struct mbr__store *store)
{
    size_t cursor = 0;
    void *entry;

    if (!store->load)
        return;
    while ((entry = mbr__hash_next(&store->load->entries, &cursor)))
        free(entry);
    mbr__hash_fini(&store->load->entries);
    free(store->load);
    store->load = NULL;
}

static bool perms_valid(const struct mbr__store_change *put)
{
    if (put->perm_count == 0 || put->perm_count > MBR__STORE_PAYLOAD_MAX)
        return false;
    for (uint32_t i = 0; i < put->perm_count; i++)
        if (!put->perms[i].letter || !strchr("nrwb", put->perms[i].letter))
            return false;
    return true;
}

static bool is_stranger(const struct mbr__store *store, const struct mbr__store_change *put)
{
    for (uint32_t i = 0; i < put->perm_count; i++)
        if (put->perms[i].domid < MBR__STORE_DOMID_FIRST_RESERVED &&
            !mbr__st_domain_find(store, put->perms[i].domid))
            return true;
    return false;
}

static struct mbr__st_node *make_node(struct mbr__store *store, const struct mbr__store_change *put,
                                      uint64_t perms_generation)
{
    struct mbr__st_perms *perms = mbr__st_perms_new(put->perms, put->perm_count, perms_generation);
    struct mbr__st_node *node;

    if (!perms)
        return NULL;
    node = mbr__st_node_new(&store->tree.heap, put->name, put->name_len, put->value_len, perms);
    mbr__st_perms_unref(perms);
    if (!node)
        return NULL;
    if (put->value_len)
        memcpy(mbr__st_value(node), put->value, put->value_len);
    node->id = put->id;
    node->generation = put->generation;
    return node;
}

static int put_special(struct mbr__store *store, const struct mbr__store_change *put,
                       uint64_t perms_generation)
{
    struct mbr__st_special *special = &store->special[put->id - 2];
    struct mbr__st_perms *perms = mbr__st_perms_new(put->perms, put->perm_count, perms_generation);

    if (!perms)
        return -ENOMEM;
    mbr__st_perms_unref(special->perms);
    special->perms = perms;
    special->generation = put->generation;
    return 0;
}

/* The initial tree gives way to the root that was fed. */
static void put_root(struct mbr__store *store, struct mbr__st_node *root)
{
    struct mbr__st_tree *tree = &store->tree;
    struct mbr__st_domain *dom0 = store->dom0;

    dom0->used[MBR__STORE_QUOTA_NODES] = 0; /* all there was */
    dom0->used[MBR__STORE_QUOTA_MEMORY] = 0;
    mbr__st_unref(&tree->heap, mbr__st_leaf(tree->root));
    tree->root = root;
    root->refs = 1;
    tree->count = 1;
}

/* Where a node of this name belongs: 0, or why it cannot. */
static int place(struct mbr__store *store, const struct mbr__store_change *put,
                 struct entry **parent)
{
    if (put->id == 1)
        return put->parent == 0 && put->name_len == 0 ? 0 : -EINVAL;
    if (!mbr__st_name_valid(put->name, put->name_len) || put->parent >= put->id)
        return -EINVAL;
    *parent = mbr__hash_get(&store->load->entries, put->parent);
    if (!*parent)
        return -ENOENT;
    if ((*parent)->path_len + 1 + put->name_len > MBR__STORE_ABS_PATH_MAX)
        return -EINVAL;
    return mbr__st_node_child(&store->tree.heap, (*parent)->node, put->name, put->name_len)
               ? -EEXIST
               : 0;
}

static int enter(struct mbr__store *store, const struct mbr__store_change *put,
                 uint64_t perms_generation, struct entry *parent, struct entry *entry)
{
    struct mbr__st_heap *heap = &store->tree.heap;

    entry->node = make_node(store, put, perms_generation);
    if (!entry->node)
        return -ENOMEM;
    entry->parent = parent;
    entry->depth = parent ? parent->depth + 1 : 0;
    entry->path_len = parent ? parent->path_len + 1 + put->name_len : 0;
    if (mbr__hash_put(&store->load->entries, put->id, entry) ||
        (parent && mbr__st_node_attach(heap, parent->node, entry->node))) {
        (void)mbr__hash_del(&store->load->entries, put->id);
        mbr__st_ref(heap, mbr__st_leaf(entry->node));
        mbr__st_unref(heap, mbr__st_leaf(entry->node));
        return -ENOMEM;
    }
    mbr__st_tree_touch(&store->tree);
    if (parent)
        store->tree.count++;
    else
        put_root(store, entry->node);
    return 0;
}

int mbr__st_load_node(struct mbr__store *store, const struct mbr__store_change *put,
                      uint64_t perms_generation)
{
    struct entry *parent = NULL;
    struct entry *entry;
    int error;

    if (put->kind != MBR__STORE_PUT || put->id == 0 || put->value_len > MBR__STORE_PAYLOAD_MAX ||
        !perms_valid(put))
        return -EINVAL;
    if (put->generation > store->tree.generation)
        store->tree.generation = put->generation;
    if (put->id >= store->tree.next_id)
        store->tree.next_id = put->id + 1;
    store->load->strangers = store->load->strangers || is_stranger(store, put);
    if (put->id == 2 || put->id == 3)
        return put_special(store, put, perms_generation);
    error = place(store, put, &parent);
    if (!error && mbr__hash_get(&store->load->entries, put->id))
        error = -EEXIST;
    if (error)
        return error;
    entry = malloc(sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    error = enter(store, put, perms_generation, parent, entry);
    if (error) {
        free(entry);
        return error;
    }
    mbr__st_charge_node(store, entry->node, 1);
    /* The parent has got its hint with the child. */
    for (struct entry *e = parent ? parent->parent : NULL;
         e && (e->node->domains | entry->node->domains) != e->node->domains; e = e->parent)
        e->node->domains |= entry->node->domains;
    return 0;
}

int mbr__store_load_feed(struct mbr__store *store, const struct mbr__store_change *put)
{
    int error;

    if (!store->load || put->id <= store->load->last_id || put->id == UINT64_MAX ||
        put->generation >= UINT64_MAX / 2)
        return store->load && put->id == store->load->last_id ? -EEXIST : -EINVAL;
    error = mbr__st_load_node(store, put, put->generation);
    if (!error)
        store->load->last_id = put->id;
    return error;
}

int mbr__store_load_end(struct mbr__store *store)
{
    bool strangers, loaded;

    if (!store->load)
        return -EINVAL;
    strangers = store->load->strangers;
    loaded = store->load->entries.count > 0;
    if (strangers) {
        struct mbr__st_job *job = mbr__st_job_new();

        if (!job)
            return -ENOMEM;
        mbr__st_job_reap(store, job, 0, true, ++store->tree.generation);
    }
    if (!loaded && mbr__st_report_initial(store))
        return -ENOMEM;
    mbr__st_load_abandon(store);
    mbr__st_journal_settle(store);
    store->started = true;
    return 0;
}

/* ---- Snapshots ---- */

struct mbr__store_snapshot {
    struct mbr__store *store;
    struct mbr__st_node *root;
    struct mbr__st_perms *special[MBR__ST_SPECIALS];
    uint64_t special_generation[MBR__ST_SPECIALS];
    unsigned given; /* specials, behind the tree */
    bool started;
    struct mbr__st_walker walker;
};

int mbr__store_snapshot_new(struct mbr__store *store, struct mbr__store_snapshot **out)
{
    struct mbr__store_snapshot *snapshot = malloc(sizeof(*snapshot));

    if (!snapshot)
        return -ENOMEM;
    snapshot->store = store;
    snapshot->root = store->tree.root;
    mbr__st_ref(&store->tree.heap, mbr__st_leaf(snapshot->root));
    for (unsigned i = 0; i < MBR__ST_SPECIALS; i++) {
        snapshot->special[i] = mbr__st_perms_ref(store->special[i].perms);
        snapshot->special_generation[i] = store->special[i].generation;
    }
    snapshot->given = 0;
    snapshot->started = false;
    *out = snapshot;
    return 0;
}

static void set_perms(struct mbr__store_change *put, const struct mbr__st_perms *perms)
{
    put->perms = perms->entry;
    put->perm_count = perms->count;
}

static int next_special(struct mbr__store_snapshot *snapshot, struct mbr__store_change *put)
{
    static const char *const names[MBR__ST_SPECIALS] = {"@introduceDomain", "@releaseDomain"};
    unsigned i = snapshot->given;

    if (i == MBR__ST_SPECIALS)
        return 0;
    snapshot->given++;
    *put = (struct mbr__store_change){.kind = MBR__STORE_PUT,
                                      .id = 2 + i,
                                      .name = names[i],
                                      .name_len = (uint32_t)strlen(names[i]),
                                      .value = "",
                                      .generation = snapshot->special_generation[i]};
    set_perms(put, snapshot->special[i]);
    return 1;
}

int mbr__store_snapshot_next(struct mbr__store_snapshot *snapshot, struct mbr__store_change *put,
                             uint32_t *depth)
{
    struct mbr__st_walker *walker = &snapshot->walker;
    struct mbr__st_node *node = snapshot->root;

    *depth = 0;
    if (!snapshot->started)
        mbr__st_walker_start(walker, node);
    else
        node = mbr__st_walker_next(walker, UINT64_MAX);
    snapshot->started = true;
    if (!node)
        return next_special(snapshot, put);
    *depth = walker->depth - 1;
    *put = (struct mbr__store_change){
        .kind = MBR__STORE_PUT,
        .id = node->id,
        .parent = *depth > 0 ? walker->step[*depth - 1].node->id : 0,
        .generation = node->generation,
        .name = node->name,
        .name_len = node->name_len,
        .value = mbr__st_value(node),
        .value_len = node->value_len,
    };
    set_perms(put, node->perms);
    return 1;
}

void mbr__store_snapshot_free(struct mbr__store_snapshot *snapshot)
{
    if (!snapshot)
        return;
    mbr__st_unref(&snapshot->store->tree.heap, mbr__st_leaf(snapshot->root));
    for (unsigned i = 0; i < MBR__ST_SPECIALS; i++)
        mbr__st_perms_unref(snapshot->special[i]);
    free(snapshot);
}
