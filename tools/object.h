/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of `membrane object` share: the container, messages, and how objects are shown.
 *
 * Functions that return int return 0 or an exit code (exits.h) after an error message, unless they
 * say otherwise. Not here: the table of these verbs (object_verbs.c).
 */
#ifndef TOOLS_OBJECT_H
#define TOOLS_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#define MBR_OBJECTS_NO_SHORT_NAMES /* the verbs are called so */
#include <membrane/objects.h>

#include "options.h"

extern const struct tool_verb tool_object_verbs[];

/* Objects up to this are read and written as one, larger ones in pieces of this size. */
#define OBJECT_PIECE ((size_t)64 << 20)

/* Joins the container args->word[0]; with --directory it is loaded if no process has it yet. With
 * `make` it is created if there is none. */
int object_open(const struct tool_args *args, bool make, int *container);

/* Joins an object. */
int object_find(int container, const char *name, int *object);

/* An error of the library (negative errno), about `what`, in the words of objects. Returns the exit
 * code. */
int object_error(int error, const char *what);

/* Now + --timeout, MBR_FOREVER without it. */
int object_deadline(const struct tool_args *args, uint64_t *deadline);

/* Calls `fn` for the name of each object, in the order of names; stops when it returns anything but
 * 0, and returns that. */
int object_each(int container, int (*fn)(void *arg, const char *name), void *arg);

/* "in place", "versioned" */
const char *object_policy_text(uint32_t policy);
int object_policy(const struct tool_args *args, uint32_t *policy);

/* All that is known of an object or a container; NULL without memory. */
json_t *object_json(const struct mbr_object_attr *attr);
json_t *object_container_json(const struct mbr_container_attr *attr);

/* The names of the containers of this user, whether they live or not: calls `fn` as above. 0 also
 * when there is no directory of names. */
int object_each_container(int (*fn)(void *arg, const char *name), void *arg);

/* ---- the verbs ---- */

int object_ls(const struct tool_args *args);
int object_stat(const struct tool_args *args);
int object_put(const struct tool_args *args);
int object_get(const struct tool_args *args);
int object_cat(const struct tool_args *args);
int object_rm(const struct tool_args *args);
int object_destroy(const struct tool_args *args);
int object_hold(const struct tool_args *args);
int object_top(const struct tool_args *args);
int object_check(const struct tool_args *args);
int object_gc(const struct tool_args *args);

#endif
