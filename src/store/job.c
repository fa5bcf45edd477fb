/* SPDX-License-Identifier: MIT */
/*
 * Background work. A subtree that was removed is walked once, to give back what its nodes were
 * charged with. A released domain's nodes are looked for in the tree as it was at the release, a
 * snapshot, which leads past everything whose hint says that no such domain is meant there.
 */
#include "store/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/change.h"
#include "store/domain.h"
#include "store/journal.h"

/* After so many notes a batch goes to the journal. */
#define BATCH 256

struct mbr__st_job *mbr__st_job_new(void)
{
    struct mbr__st_job *job = calloc(1, sizeof(*job));

    if (job)
        mbr__list_init(&job->link);
    return job;
}

void mbr__st_job_purge(struct mbr__store *store, struct mbr__st_job *job, struct mbr__st_node *top)
{
    job->top = top;
    job->reap = false;
    mbr__list_push_back(&store->purges, &job->link);
}

void mbr__st_job_reap(struct mbr__store *store, struct mbr__st_job *job, uint32_t domid, bool any,
                      uint64_t before)
{
    job->top = store->tree.root;
    mbr__st_ref(&store->tree.heap, mbr__st_leaf(job->top));
    job->reap = true;
    job->any = any;
    job->domid = domid;
    job->before = before;
    mbr__list_push_back(&store->reaps, &job->link);
}

static void end_job(struct mbr__store *store, struct mbr__st_job *job)
{
    mbr__list_del(&job->link);
    mbr__st_unref(&store->tree.heap, mbr__st_leaf(job->top));
    free(job);
}

static struct mbr__st_job *first(struct mbr__list *jobs)
{
    struct mbr__list *at = mbr__list_first(jobs);

    return at ? mbr__container_of(at, struct mbr__st_job, link) : NULL;
}

/* What the nodes of one owner give back. Those that lie together mostly share their permissions. */
struct refund {
    const struct mbr__st_perms *perms; /* of the last node; NULL: there was none */
    struct mbr__st_domain *owner;
    int64_t nodes;
    int64_t memory;
};

static void pay(struct mbr__store *store, struct refund *refund)
{
    if (refund->owner && refund->nodes) {
        mbr__st_use(store, refund->owner, MBR__STORE_QUOTA_NODES, -refund->nodes);
        mbr__st_use(store, refund->owner, MBR__STORE_QUOTA_MEMORY, -refund->memory);
    }
    refund->nodes = refund->memory = 0;
}

static void give_back_one(struct mbr__store *store, const struct mbr__st_node *node,
                          struct refund *refund)
{
    if (node->perms != refund->perms) {
        pay(store, refund);
        refund->perms = node->perms;
        refund->owner = mbr__st_owner(store, node->perms);
    }
    refund->nodes++;
    refund->memory += (int64_t)mbr__st_node_cost(node);
    store->tree.count--;
}

/* The next node, given back and noted; NULL at the end. */
static struct mbr__st_node *purge_one(struct mbr__store *store, struct refund *refund)
{
    /* Without memory rows of the journal stay a little longer: at the next load they are orphans.
     */
    bool noted = store->options.journal && mbr__st_journal_reserve(store, 1) == 0;
    struct mbr__st_node *node = mbr__st_walker_next(&store->purge_walker, UINT64_MAX);

    if (!node)
        return NULL;
    give_back_one(store, node, refund);
    if (noted)
        mbr__st_journal_gone(store, MBR__STORE_PURGE, node->id);
    if (store->change_count >= BATCH)
        mbr__st_journal_flush(store);
    return node;
}

/* Goes on with the first purge; returns what is left of the budget. */
static unsigned purge(struct mbr__store *store, struct mbr__st_job *job, unsigned budget)
{
    struct refund refund = {NULL, NULL, 0, 0};
    struct mbr__st_node *node = job->top;

    if (!job->started) {
        job->started = true;
        mbr__st_walker_start(&store->purge_walker, job->top);
        give_back_one(store, job->top, &refund);
    }
    for (; node && budget > 0; budget--)
        node = purge_one(store, &refund);
    pay(store, &refund);
    if (!node)
        end_job(store, job);
    return budget;
}

/* Whether entry INDEX of PERMS means a domain that this job is about. */
static bool is_dead(const struct mbr__store *store, const struct mbr__st_job *job,
                    const struct mbr__st_perms *perms, uint32_t index)
{
    uint32_t domid = perms->entry[index].domid;

    if (domid == 0 || domid >= MBR__STORE_DOMID_FIRST_RESERVED || perms->generation >= job->before)
        return false;
    return job->any ? !mbr__st_domain_find(store, domid) : domid == job->domid;
}

static bool any_dead(const struct mbr__store *store, const struct mbr__st_job *job,
                     const struct mbr__st_perms *perms)
{
    for (uint32_t i = 0; i < perms->count; i++)
        if (is_dead(store, job, perms, i))
            return true;
    return false;
}

/* The path of the node that the walker has come to. */
static void walker_path(const struct mbr__st_walker *walker, struct mbr__st_path *path)
{
    path->len = 0;
    path->count = path->same = 0;
    path->special = false;
    for (unsigned i = 1; i < walker->depth; i++) {
        const struct mbr__st_node *node = walker->step[i].node;

        path->text[path->len++] = '/';
        path->part[path->count].at = (uint16_t)path->len;
        path->part[path->count++].len = node->name_len;
        memcpy(path->text + path->len, node->name, node->name_len);
        path->len += node->name_len;
    }
    if (path->len == 0)
        path->text[path->len++] = '/';
    path->text[path->len] = '\0';
}

/* The node's permissions without the dead: an owner gives way to domain 0. */
static struct mbr__st_perms *without_dead(const struct mbr__store *store,
                                          const struct mbr__st_job *job,
                                          const struct mbr__st_perms *perms)
{
    struct mbr__st_perms *rest = mbr__st_perms_new(perms->entry, perms->count, perms->generation);
    uint32_t kept = 1;

    if (!rest)
        return NULL;
    if (is_dead(store, job, perms, 0))
        rest->entry[0].domid = 0;
    for (uint32_t i = 1; i < perms->count; i++)
        if (!is_dead(store, job, perms, i))
            rest->entry[kept++] = perms->entry[i];
    rest->count = kept;
    return rest;
}

static int strike_out(struct mbr__store *store, const struct mbr__st_job *job,
                      struct mbr__st_walk *walk)
{
    struct mbr__st_node *node = walk->node[walk->found];
    struct mbr__st_perms *rest = without_dead(store, job, node->perms);
    int error = rest ? mbr__st_journal_reserve(store, 1) : -ENOMEM;

    if (!error) {
        mbr__st_charge_node(store, node, -1);
        error = mbr__st_tree_set_perms(&store->tree, walk, rest);
        node = walk->node[walk->found];
        mbr__st_charge_node(store, node, 1);
    }
    if (!error)
        mbr__st_journal_put(store, node, walk->found > 0 ? walk->node[walk->found - 1]->id : 0);
    mbr__st_perms_unref(rest);
    return error;
}

static int remove_dead(struct mbr__store *store, struct mbr__st_walk *walk)
{
    struct mbr__st_job *job = NULL;
    int error = mbr__st_journal_reserve(store, 1);

    if (!error && walk->node[walk->found]->by_name) {
        job = mbr__st_job_new();
        if (!job)
            error = -ENOMEM;
    }
    if (!error)
        error = mbr__st_remove(store, &store->job_path, walk, job);
    if (error)
        free(job);
    return error;
}

/* Deals with one node of the snapshot, if the living one is still about a dead domain. GONE: it is
 * not there any more, or has just been removed. */
static int reap_one(struct mbr__store *store, const struct mbr__st_job *job,
                    struct mbr__st_node *node, bool *gone)
{
    struct mbr__st_walk *walk = &store->job_walk;
    struct mbr__st_node *live;

    *gone = false;
    if (!any_dead(store, job, node->perms))
        return 0;
    walker_path(&store->reap_walker, &store->job_path);
    mbr__st_tree_walk(&store->tree, &store->job_path, walk);
    live = walk->node[walk->found];
    if (walk->found < store->job_path.count || live->id != node->id) {
        *gone = true;
        return 0;
    }
    if (!any_dead(store, job, live->perms))
        return 0;
    if (!is_dead(store, job, live->perms, 0) || store->options.keep_dead_nodes || walk->found == 0)
        return strike_out(store, job, walk);
    *gone = true;
    return remove_dead(store, walk);
}

/* One step of a reap; false at its end. Without memory it is tried again later. */
static bool reap_step(struct mbr__store *store, struct mbr__st_job *job, bool *starved)
{
    struct mbr__st_walker *walker = &store->reap_walker;
    struct mbr__st_node *node = job->top;
    unsigned depth = walker->depth;
    bool gone;

    if (!job->started) {
        mbr__st_walker_start(walker, job->top);
        depth = 0;
    } else {
        node = mbr__st_walker_next(walker, job->any ? UINT64_MAX : mbr__st_domain_bit(job->domid));
        if (!node)
            return false;
    }
    if (reap_one(store, job, node, &gone)) {
        *starved = true;
        if (depth > 0)
            mbr__st_walker_back(walker);
        return true;
    }
    job->started = true;
    if (gone)
        mbr__st_walker_skip(walker);
    return true;
}

static unsigned reap(struct mbr__store *store, struct mbr__st_job *job, unsigned budget)
{
    bool starved = false;

    while (budget > 0 && !starved) {
        if (!reap_step(store, job, &starved)) {
            end_job(store, job);
            return budget;
        }
        budget--;
        if (store->change_count >= BATCH)
            mbr__st_journal_flush(store);
    }
    return 0;
}

static unsigned run_jobs(struct mbr__store *store, unsigned budget)
{
    struct mbr__st_job *job;

    while (budget > 0 && (job = first(&store->purges)))
        budget = purge(store, job, budget);
    mbr__st_journal_flush(store);
    while (budget > 0 && (job = first(&store->reaps)))
        budget = reap(store, job, budget);
    mbr__st_journal_flush(store);
    return budget;
}

bool mbr__st_jobs_run(struct mbr__store *store, unsigned budget)
{
    if (!mbr__list_empty(&store->purges) || !mbr__list_empty(&store->reaps))
        budget = run_jobs(store, budget);
    (void)mbr__st_heap_collect(&store->tree.heap, budget);
    return mbr__st_jobs_left(store);
}

void mbr__st_jobs_settle(struct mbr__store *store)
{
    struct mbr__st_job *job;

    while ((job = first(&store->purges)))
        (void)purge(store, job, UINT32_MAX);
}

void mbr__st_jobs_free(struct mbr__store *store)
{
    struct mbr__st_job *job;

    while ((job = first(&store->purges)))
        end_job(store, job);
    while ((job = first(&store->reaps)))
        end_job(store, job);
}
