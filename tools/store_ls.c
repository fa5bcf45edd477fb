/* SPDX-License-Identifier: MIT */
/*
 * membrane store ls, tree and stats: looking.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "printable.h"
#include "say.h"
#include "store.h"

/* ---- ls ---- */

static json_t *node_json(const struct store_node *node)
{
    json_t *object = json_pack("{s:o}", "path", tool_text_json(node->path));

    if (object == NULL)
        return NULL;
    if (node->value != NULL && store_value_json(object, node->value, node->length) < 0)
        goto fail;
    if (node->perms != NULL &&
        json_object_set_new(object, "perms", store_perms_json(node->perms, node->perm_count)) < 0)
        goto fail;
    if (node->error != 0 &&
        json_object_set_new(object, "error", json_string(mbr_error_name(node->error))) < 0)
        goto fail;
    return object;
fail:
    json_decref(object);
    return NULL;
}

static json_t *nodes_json(const struct store_tree *tree, bool with_root)
{
    json_t *nodes = json_array();
    const struct store_node *node = with_root ? tree->root : store_tree_next(tree->root);

    for (; nodes != NULL && node != NULL; node = store_tree_next(node)) {
        json_t *object = node_json(node);

        if (object == NULL || json_array_append_new(nodes, object) < 0) {
            json_decref(nodes);
            return NULL;
        }
    }
    return nodes;
}

static int print_json(const struct store_tree *tree, bool with_root)
{
    json_t *nodes = nodes_json(tree, with_root);
    json_t *object =
        json_pack("{s:o, s:o}", "path", tool_text_json(tree->root->path), "nodes", nodes);

    if (object == NULL)
        return store_error(-ENOMEM, tree->root->path);
    return tool_print_json(object, stdout);
}

static void print_long(const struct store_node *node, const char *name)
{
    if (node->error != 0) {
        printf("?\t?\t%s\t(%s)\n", name, mbr_error_text(node->error));
        return;
    }
    store_print_perms(stdout, node->perms, node->perm_count);
    printf("\t%zu\t%s\t", node->length, name);
    store_print_value(stdout, node->value, node->length);
    putchar('\n');
}

int store_ls(const struct tool_args *args)
{
    bool details = tool_given(args, OPT_LONG);
    bool all = tool_given(args, OPT_RECURSIVE);
    char path[STORE_PATH_SIZE];
    struct store_tree tree = {0};
    struct mbr_store *s = NULL;
    int code = store_path(args->word[0], path);
    int rc;

    if (code == TOOL_EXIT_OK)
        code = store_open(args, &s);
    if (code != TOOL_EXIT_OK)
        return code;
    rc = store_walk(s, 0, path, all ? SIZE_MAX : 1,
                    details ? STORE_WALK_VALUES | STORE_WALK_PERMS : 0, &tree);
    if (rc < 0) {
        code = store_error(rc, path);
    } else if (tool_given(args, OPT_JSON)) {
        code = print_json(&tree, false);
    } else {
        const struct store_node *node = store_tree_next(tree.root);

        for (; node != NULL; node = store_tree_next(node)) {
            const char *name = printable_name(all ? node->path : store_node_name(node));

            if (details)
                print_long(node, name);
            else
                puts(name);
        }
    }
    store_tree_free(&tree);
    mbr_store_close(s);
    return code;
}

/* ---- tree ---- */

static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL && value[0] != '\0')
            return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL;
    }
    return false;
}

/* The lines that lead down to a node, from the left. */
static void print_branches(const struct store_node *node, bool pretty)
{
    const struct store_node *above[MBR_STORE_PATH_MAX];
    size_t n = 0;

    for (const struct store_node *p = node->parent; p != NULL && p->parent != NULL; p = p->parent)
        above[n++] = p;
    while (n-- > 0) {
        if (above[n]->sibling == NULL)
            fputs("    ", stdout);
        else
            fputs(pretty ? "\xe2\x94\x82   " : "|   ", stdout);
    }
    if (node->sibling == NULL)
        fputs(pretty ? "\xe2\x94\x94\xe2\x94\x80\xe2\x94\x80 " : "`-- ", stdout);
    else
        fputs(pretty ? "\xe2\x94\x9c\xe2\x94\x80\xe2\x94\x80 " : "|-- ", stdout);
}

static void print_tree(const struct store_tree *tree)
{
    bool pretty = speaks_utf8();

    puts(printable_name(tree->root->path));
    for (const struct store_node *node = store_tree_next(tree->root); node != NULL;
         node = store_tree_next(node)) {
        print_branches(node, pretty);
        fputs(printable_name(store_node_name(node)), stdout);
        if (node->error != 0) {
            printf(" (%s)", mbr_error_text(node->error));
        } else if (node->length > 0) {
            fputs(" = ", stdout);
            store_print_value(stdout, node->value, node->length);
        }
        putchar('\n');
    }
}

int store_tree(const struct tool_args *args)
{
    char path[STORE_PATH_SIZE];
    struct store_tree tree = {0};
    struct mbr_store *s = NULL;
    uint64_t depth = MBR_STORE_PATH_MAX;
    int code = tool_number(args, OPT_DEPTH, depth, 0, MBR_STORE_PATH_MAX, &depth);
    int rc;

    if (code == TOOL_EXIT_OK)
        code = store_path(args->word[0], path);
    if (code == TOOL_EXIT_OK)
        code = store_open(args, &s);
    if (code != TOOL_EXIT_OK)
        return code;
    rc = store_walk(s, 0, path, depth, STORE_WALK_VALUES, &tree);
    if (rc < 0)
        code = store_error(rc, path);
    else if (tool_given(args, OPT_JSON))
        code = print_json(&tree, true);
    else
        print_tree(&tree);
    store_tree_free(&tree);
    mbr_store_close(s);
    return code;
}

/* ---- stats ---- */

/* Lines of a name, a blank and a number; others are left out. NULL without memory. */
static json_t *stats_json(char *text)
{
    json_t *object = json_object();
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); object != NULL && line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *blank = strrchr(line, ' ');
        char *end = NULL;
        long long number = blank != NULL ? strtoll(blank + 1, &end, 10) : 0;

        if (blank == NULL || end == blank + 1 || *end != '\0')
            continue;
        *blank = '\0';
        if (json_object_set_new(object, line, json_integer(number)) < 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

int store_stats(const struct tool_args *args)
{
    static const char *const words[] = {"stats"};
    struct mbr_store *s = NULL;
    char *text = NULL;
    int code = store_open(args, &s);
    int rc;

    if (code != TOOL_EXIT_OK)
        return code;
    rc = mbr_store_control(s, words, 1, &text, NULL);
    if (rc == -EINVAL)
        rc = -ENOSYS; /* the daemon has no such command */
    if (rc < 0) {
        code = store_error(rc, "statistics");
    } else if (tool_given(args, OPT_JSON)) {
        json_t *object = stats_json(text);

        code = object != NULL ? tool_print_json(object, stdout) : store_error(-ENOMEM, "memory");
    } else {
        printable_put(text, strlen(text), stdout);
        if (text[0] != '\0' && text[strlen(text) - 1] != '\n')
            putchar('\n');
    }
    free(text);
    mbr_store_close(s);
    return code;
}
