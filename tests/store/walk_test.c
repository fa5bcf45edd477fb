/* SPDX-License-Identifier: MIT */
/*
 * The walk over a subtree meets every node once, parents first and children by id, whatever the
 * shape; nodes given back are met again, nodes left out are not entered; and what is walked over
 * stays as it was while the living tree changes. Compared with what was put there.
 *
 * Not here: the tree as requests see it (property_test.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/prop.h"
#include "store/tree.h"

#define NODES 600

struct world {
    struct mbr__st_tree tree;
    struct mbr__st_path path;
    struct mbr__st_walk walk;
    struct mbr__st_perms *perms;
    char paths[NODES][256];
    uint64_t ids[NODES]; /* 0: not there */
    unsigned count;
};

static struct mbr__st_walker walker; /* large */

static void go(struct world *w, const char *text)
{
    assert_int_equal(mbr__st_path_parse(&w->path, 0, text, strlen(text), UINT64_MAX), 0);
    mbr__st_tree_walk(&w->tree, &w->path, &w->walk);
}

static bool is_below(const char *path, const char *top)
{
    size_t len = strlen(top);

    return strcmp(top, "/") == 0 || (strncmp(path, top, len) == 0 && path[len] == '/');
}

/* A node beneath a random one; mostly wide, at times deep. */
static void add_one(struct prop *p, struct world *w)
{
    unsigned at = w->count;
    const char *above = "";

    if (at > 0 && prop_choose(p, 4) == 0) {
        unsigned i = prop_choose(p, at);

        if (w->ids[i] != 0 && strlen(w->paths[i]) < 200)
            above = w->paths[i];
    }
    (void)snprintf(w->paths[at], sizeof(w->paths[at]), "%s/n%u", above, at);
    go(w, w->paths[at]);
    assert_int_equal(w->walk.found, w->path.count - 1);
    w->tree.next_id += prop_choose(p, 3) == 0 ? prop_choose(p, 5000) : 0; /* sparse ids, too */
    assert_int_equal(
        mbr__st_tree_create(&w->tree, &w->path, &w->walk, w->perms, "x", 1, &w->tree.next_id), 0);
    w->ids[at] = w->walk.node[w->walk.found]->id;
    w->count++;
}

static void remove_one(struct prop *p, struct world *w)
{
    unsigned at = prop_choose(p, w->count);
    struct mbr__st_node *node;

    if (w->ids[at] == 0)
        return;
    go(w, w->paths[at]);
    node = w->walk.node[w->walk.found];
    assert_int_equal(mbr__st_tree_remove(&w->tree, &w->walk), 0);
    mbr__st_unref(&w->tree.heap, mbr__st_leaf(node));
    mbr__st_unref(&w->tree.heap, mbr__st_leaf(node));
    (void)mbr__st_heap_collect(&w->tree.heap, prop_choose(p, 50));
    for (unsigned i = 0; i < w->count; i++)
        if (i == at || is_below(w->paths[i], w->paths[at]))
            w->ids[i] = 0;
}

static void change_some(struct prop *p, struct world *w, unsigned most)
{
    for (unsigned n = prop_choose(p, most); n > 0 && w->count < NODES; n--) {
        if (w->count > 0 && prop_choose(p, 6) == 0)
            remove_one(p, w);
        else
            add_one(p, w);
    }
}

/* The path of the node given last, from the steps of the walk, whose first stands for TOP. */
static void path_of(const char *top, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "%s", strcmp(top, "/") == 0 ? "" : top);

    for (unsigned i = 1; i < walker.depth; i++)
        len += (size_t)snprintf(out + len, size - len, "/%.*s", walker.step[i].node->name_len,
                                walker.step[i].node->name);
}

static int index_of(const struct world *w, const char *path)
{
    for (unsigned i = 0; i < w->count; i++)
        if (strcmp(w->paths[i], path) == 0)
            return (int)i;
    return -1;
}

/* Walks over what is beneath TOP, which is held, and marks in EXPECTED what was met. The living
 * tree changes meanwhile. */
static void walk_over(struct prop *p, struct world *w, const char *top, struct mbr__st_node *node,
                      unsigned char expected[NODES])
{
    static struct world was; /* what is where, before it changes */
    uint64_t last[8] = {0};
    char path[512];

    was = *w;
    mbr__st_walker_start(&walker, node);
    while ((node = mbr__st_walker_next(&walker, UINT64_MAX))) {
        int at;

        path_of(top, path, sizeof(path));
        at = index_of(&was, path);
        assert_true(at >= 0 && was.ids[at] == node->id && expected[at]);
        if (prop_choose(p, 10) == 0) {
            mbr__st_walker_back(&walker);
            change_some(p, w, 4);
            assert_true(mbr__st_walker_next(&walker, UINT64_MAX) == node);
        }
        if (walker.depth < 8) { /* by id among those with one parent, which is the same till then */
            assert_true(node->id > last[walker.depth]);
            last[walker.depth] = node->id;
            for (unsigned i = walker.depth + 1; i < 8; i++)
                last[i] = 0;
        }
        expected[at] = 0;
        if (prop_choose(p, 12) == 0) {
            mbr__st_walker_skip(&walker);
            for (unsigned i = 0; i < was.count; i++)
                if (is_below(was.paths[i], path))
                    expected[i] = 0;
        }
        if (prop_choose(p, 5) == 0)
            change_some(p, w, 3);
    }
    for (unsigned i = 0; i < NODES; i++)
        assert_true(!expected[i]);
}

static void one_walk(struct prop *p, struct world *w)
{
    unsigned char expected[NODES] = {0};
    unsigned at = prop_choose(p, w->count);
    const char *top = prop_choose(p, 2) == 0 || w->ids[at] == 0 ? "/" : w->paths[at];
    char kept[256];
    struct mbr__st_node *node;

    (void)snprintf(kept, sizeof(kept), "%s", top);
    go(w, kept);
    node = w->walk.node[w->walk.found];
    mbr__st_ref(&w->tree.heap, mbr__st_leaf(node));
    for (unsigned i = 0; i < w->count; i++)
        expected[i] = w->ids[i] != 0 && is_below(w->paths[i], kept);
    walk_over(p, w, kept, node, expected);
    mbr__st_unref(&w->tree.heap, mbr__st_leaf(node));
}

static void walks_meet_every_node_once(void **state)
{
    static struct world w;
    static struct prop choices;
    struct prop *p = &choices;
    const struct mbr__store_perm entry = {0, 'n'};

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        memset(&w, 0, sizeof(w));
        *p = (struct prop){.random = seed};
        w.perms = mbr__st_perms_new(&entry, 1, 1);
        assert_non_null(w.perms);
        assert_int_equal(mbr__st_tree_init(&w.tree, w.perms), 0);
        do
            add_one(p, &w);
        while (w.count < 40 || (w.count < NODES && prop_choose(p, 200) != 0));
        for (int i = 0; i < 4; i++)
            one_walk(p, &w);
        mbr__st_tree_fini(&w.tree);
        mbr__st_perms_unref(w.perms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_meet_every_node_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
