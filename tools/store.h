/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of `membrane store` share: the connection, messages, paths and values as people
 * and JSON see them, and a part of the tree fetched at once.
 *
 * Not here: the table of these verbs (store_verbs.c).
 */
#ifndef TOOLS_STORE_H
#define TOOLS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>
#include <membrane/store.h>

#include "options.h"

extern const struct tool_verb tool_store_verbs[];

/* Connects as --socket and --timeout say. 0, or an exit code after an error message. */
int store_open(const struct tool_args *args, struct mbr_store **out);

/* How long store_open() was told to wait for an answer, nanoseconds. */
uint64_t store_patience(void);

/* An error of the library, about `what`, in the words of the store. Returns the exit code. */
int store_error(int error, const char *what);

/* mbr_store_set_perms(), but -ESRCH if it is not the node that is missing but its new owner. */
int store_set_perms(struct mbr_store *s, uint64_t tx, const char *path,
                    const struct mbr_store_perm *perms, size_t count);

/* A path as it was typed, less the slashes at its end; "/" if it is NULL. Exit code and message if
 * it is empty or too long. */
#define STORE_PATH_SIZE (MBR_STORE_PATH_MAX + 1)
int store_path(const char *typed, char path[STORE_PATH_SIZE]);

/* A path that may be removed: not the root. Exit code and message if it is. */
int store_removable(const char *path);

/* A permission as it was typed. Exit code and message if it is none. */
int store_perm(const char *typed, struct mbr_store_perm *perm);

/* `directory` and `name` as one path. -ENAMETOOLONG. */
int store_join(const char *directory, const char *name, char path[STORE_PATH_SIZE]);

/* A value between quotes, with everything that is no printable ASCII escaped. */
void store_print_value(FILE *out, const char *value, size_t length);

/* A value as JSON: {"value": text}, or {"value64": base64} if it is no UTF-8, put into `object`.
 * -1 without memory. */
int store_value_json(json_t *object, const char *value, size_t length);

/* The value of such an object: 1 with a block for free(), 0 there is none, -1 it makes no sense,
 * -2 no memory. */
int store_value_of_json(const json_t *object, char **value, size_t *length);

/* "n0,r5" */
void store_print_perms(FILE *out, const struct mbr_store_perm *perms, size_t count);
/* ["n0", "r5"]; NULL without memory. */
json_t *store_perms_json(const struct mbr_store_perm *perms, size_t count);

/* ---- a part of the tree (store_walk.c) ---- */

struct store_node {
    char *path;  /* whole */
    char *value; /* NULL: not fetched, or not readable */
    size_t length;
    struct mbr_store_perm *perms;
    size_t perm_count;
    int error; /* why it could not be looked at, or 0 */
    size_t depth;
    struct store_node *parent;
    struct store_node *child; /* the first */
    struct store_node *last;  /* child */
    struct store_node *sibling;
    struct store_node *all; /* the next one made */
};

struct store_tree {
    struct store_node *root;
    size_t count;
};

enum store_walk {
    STORE_WALK_VALUES = 1,
    STORE_WALK_PERMS = 2,
};

/*
 * Fetches `path` and what lies below it, down to `depth` levels, with many requests under way at
 * once. Nodes that go away meanwhile are left out; those that may not be read carry an error.
 * Negative errno: that of the root, or of the connection.
 */
int store_walk(struct mbr_store *s, uint64_t tx, const char *path, size_t depth, unsigned what,
               struct store_tree *out);
void store_tree_free(struct store_tree *tree);

/* The node after this one, parents before children; NULL at the end. */
struct store_node *store_tree_next(const struct store_node *node);
/* The last part of its path. */
const char *store_node_name(const struct store_node *node);

/* ---- the verbs ---- */

int store_ls(const struct tool_args *args);
int store_tree(const struct tool_args *args);
int store_read(const struct tool_args *args);
int store_write(const struct tool_args *args);
int store_mkdir(const struct tool_args *args);
int store_rm(const struct tool_args *args);
int store_exists(const struct tool_args *args);
int store_chmod(const struct tool_args *args);
int store_watch(const struct tool_args *args);
int store_tx(const struct tool_args *args);
int store_dump(const struct tool_args *args);
int store_load(const struct tool_args *args);
int store_stats(const struct tool_args *args);

/* For completions: the paths that `begun` may go on to, a line each. */
int store_paths(const char *begun, FILE *out);

#endif
