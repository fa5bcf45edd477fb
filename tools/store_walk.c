/* SPDX-License-Identifier: MIT */
/*
 * A part of the store's tree, fetched with many requests under way at once: a round trip for each
 * level instead of several for each node.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define UNDER_WAY 512 /* nodes asked for at one time */

struct walk {
    struct mbr_store *s;
    uint64_t tx;
    size_t depth;
    unsigned what;
    struct store_tree *tree;
    struct store_node *next; /* of those that were made, the next to ask for */
    struct store_node *tail; /* the one made last */
    size_t waiting;          /* answers that are to come */
    bool given_up;           /* and nobody waits for them: the last one frees this */
    int error;               /* the first that ends the walk */
};

/* What an answer is for. */
struct question {
    struct walk *walk;
    struct store_node *node;
};

static struct store_node *node_new(struct walk *w, struct store_node *parent, const char *path)
{
    struct store_node *node = calloc(1, sizeof(*node));

    if (node != NULL)
        node->path = strdup(path);
    if (node == NULL || node->path == NULL) {
        free(node);
        return NULL;
    }
    if (w->tail != NULL)
        w->tail->all = node;
    w->tail = node;
    if (w->next == NULL)
        w->next = node;
    node->parent = parent;
    if (parent != NULL) {
        node->depth = parent->depth + 1;
        if (parent->last != NULL)
            parent->last->sibling = node;
        else
            parent->child = node;
        parent->last = node;
    }
    w->tree->count++;
    return node;
}

static void took(struct question *q, int error)
{
    struct walk *w = q->walk;
    struct store_node *node = q->node;

    w->waiting--;
    free(q);
    if (w->given_up) {
        if (w->waiting == 0)
            free(w);
        return;
    }
    if (error == 0)
        return;
    if (node->error == 0)
        node->error = error;
    if (error != -ENOENT && error != -EACCES && w->error == 0)
        w->error = error;
}

static void on_value(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    struct question *q = arg;
    int error = q->walk->given_up ? -ECANCELED : r->error;

    (void)s;
    if (error == 0) {
        q->node->value = malloc(r->length + 1);
        if (q->node->value == NULL) {
            error = -ENOMEM;
        } else {
            memcpy(q->node->value, r->data, r->length + 1);
            q->node->length = r->length;
        }
    }
    took(q, error);
}

static void on_perms(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    struct question *q = arg;
    size_t most = 0;
    int error = q->walk->given_up ? -ECANCELED : r->error;

    (void)s;
    for (size_t i = 0; i < r->length; i++)
        most += r->data[i] == '\0';
    if (error == 0) {
        q->node->perms = calloc(most + 1, sizeof(*q->node->perms));
        error = q->node->perms == NULL ? -ENOMEM : 0;
    }
    for (size_t at = 0; error == 0 && q->node->perm_count < most;) {
        error = mbr_store_perm_parse(r->data + at, &q->node->perms[q->node->perm_count++]);
        at += strlen(r->data + at) + 1;
    }
    took(q, error);
}

static void on_names(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    struct question *q = arg;
    int error = q->walk->given_up ? -ECANCELED : r->error;

    (void)s;
    for (size_t at = 0; error == 0 && at < r->length; at += strlen(r->data + at) + 1) {
        char path[STORE_PATH_SIZE];

        /* A name so long that its path cannot be asked for is none that could be read. */
        if (store_join(q->node->path, r->data + at, path) == 0 &&
            node_new(q->walk, q->node, path) == NULL)
            error = -ENOMEM;
    }
    took(q, error);
}

static void ask(struct walk *w, struct store_node *node, enum mbr_store_op op,
                mbr_store_done_fn *fn)
{
    const struct mbr_store_request r = {
        .size = sizeof(r), .op = op, .tx = w->tx, .path = node->path};
    struct question *q = malloc(sizeof(*q));
    int rc = q == NULL ? -ENOMEM : 0;

    if (rc == 0) {
        *q = (struct question){w, node};
        rc = mbr_store_submit(w->s, &r, fn, q);
    }
    if (rc == 0) {
        w->waiting++;
        return;
    }
    free(q);
    if (w->error == 0)
        w->error = rc;
}

static void ask_next(struct walk *w)
{
    struct store_node *node = w->next;

    w->next = node->all;
    if ((w->what & STORE_WALK_VALUES) != 0)
        ask(w, node, MBR_STORE_OP_READ, on_value);
    if ((w->what & STORE_WALK_PERMS) != 0)
        ask(w, node, MBR_STORE_OP_GET_PERMS, on_perms);
    if (node->depth < w->depth)
        ask(w, node, MBR_STORE_OP_LIST, on_names);
}

/* Asks and waits until all of it is there, or an error ends it. */
static int walk_on(struct walk *w)
{
    int rc = 0;

    while (rc >= 0 && (w->waiting > 0 || (w->next != NULL && w->error == 0))) {
        while (w->next != NULL && w->error == 0 && w->waiting < UNDER_WAY)
            ask_next(w);
        if (w->waiting > 0)
            rc = mbr_store_wait(w->s, store_patience());
    }
    return rc < 0 ? rc : w->error;
}

int store_walk(struct mbr_store *s, uint64_t tx, const char *path, size_t depth, unsigned what,
               struct store_tree *out)
{
    struct store_tree tree = {0};
    struct walk *w = calloc(1, sizeof(*w));
    int rc = -ENOMEM;

    if (w == NULL)
        return rc;
    *w = (struct walk){.s = s, .tx = tx, .depth = depth, .what = what, .tree = &tree};
    tree.root = node_new(w, NULL, path);
    if (tree.root != NULL)
        rc = walk_on(w);
    if (rc == 0)
        rc = tree.root->error;
    w->given_up = true;
    if (w->waiting == 0)
        free(w);
    if (rc < 0)
        store_tree_free(&tree);
    else
        *out = tree;
    return rc;
}

void store_tree_free(struct store_tree *tree)
{
    struct store_node *next;

    for (struct store_node *node = tree->root; node != NULL; node = next) {
        next = node->all;
        free(node->path);
        free(node->value);
        free(node->perms);
        free(node);
    }
    tree->root = NULL;
}

/* Nodes that have gone since their parent was listed are not shown. */
static bool gone(const struct store_node *node)
{
    return node->error == -ENOENT;
}

static struct store_node *beside(const struct store_node *node)
{
    struct store_node *next = node->sibling;

    while (next != NULL && gone(next))
        next = next->sibling;
    return next;
}

struct store_node *store_tree_next(const struct store_node *node)
{
    struct store_node *next = node->child;

    if (next != NULL && gone(next))
        next = beside(next);
    for (; next == NULL && node != NULL; node = node->parent)
        next = beside(node);
    return next;
}

const char *store_node_name(const struct store_node *node)
{
    const char *slash = strrchr(node->path, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : node->path;
}
