/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of `membrane object` share. See object.h.
 */
#include "object.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <membrane/queue.h>

#include "exits.h"
#include "names.h"
#include "say.h"
#include "units.h"

/* ---- errors ---- */

int object_error(int error, const char *what)
{
    int code;

    if (names_refused(error, what, &code))
        return code;
    switch (error) {
    case -ENOENT:
        return tool_error(TOOL_EXIT_NEGATIVE, "membrane object ls", "%s: there is none", what);
    case -EEXIST:
        return tool_error(TOOL_EXIT_NEGATIVE, "membrane object ls", "%s: there is one already",
                          what);
    case -EUSERS:
        return tool_error(TOOL_EXIT_LIMIT, NULL, "%s: the container is full of members", what);
    case -EALREADY:
        return tool_error(TOOL_EXIT_NEGATIVE, NULL, "%s: it is being destroyed", what);
    case -EOWNERDEAD:
    case -ENOTRECOVERABLE:
        return tool_error(TOOL_EXIT_NEGATIVE,
                          "write it anew with put, or membrane object check --repair",
                          "%s: torn: a process was killed while it wrote", what);
    case -ETIMEDOUT:
        return tool_error(TOOL_EXIT_TIMEOUT, "a longer --timeout", "%s: others use it", what);
    case -EPROTO:
        return tool_error(TOOL_EXIT_INCOMPATIBLE, "membrane object check",
                          "%s: its memory makes no sense", what);
    case -EBADMSG:
        return tool_error(TOOL_EXIT_NEGATIVE, "a copy made before",
                          "%s: what is on disk is damaged", what);
    case -ENOTEMPTY:
        return tool_error(TOOL_EXIT_NEGATIVE, "an empty directory",
                          "%s: the directory holds something else", what);
    case -EOPNOTSUPP:
        return tool_error(TOOL_EXIT_INCOMPATIBLE, NULL, "%s: this container cannot do that", what);
    case -ECONNREFUSED:
        return tool_error(TOOL_EXIT_UNREACHABLE, "start membraned", "%s: membraned does not run",
                          what);
    default:
        return tool_error_library(error, "%s", what);
    }
}

/* ---- containers ---- */

const char *object_policy_text(uint32_t policy)
{
    return policy == MBR_WRITE_VERSIONED ? "versioned" : "in place";
}

int object_policy(const struct tool_args *args, uint32_t *policy)
{
    const char *text = args->value[OPT_POLICY];

    if (text != NULL)
        *policy = strcmp(text, "versioned") == 0 ? MBR_WRITE_VERSIONED : MBR_WRITE_IN_PLACE;
    return TOOL_EXIT_OK;
}

/* Between "there is none" and "there is one already" others may come and go. */
static int join_or_create(const char *name, int group, const struct mbr_container_options *options)
{
    for (int tries = 0; tries < 100; tries++) {
        int rc = mbr_container_create_with(name, group, options);

        if (rc == -EEXIST)
            rc = mbr_container_join(name);
        if (rc != -ENOENT || options->directory != NULL)
            return rc;
    }
    return -ENOENT;
}

static int none_there(const char *name)
{
    return tool_error(TOOL_EXIT_NEGATIVE,
                      "membrane object hold NAME, which keeps one, in the background",
                      "%s: no such container: one lives as long as a process is in it", name);
}

static int not_opened(const char *name, int error, const struct mbr_container_options *options)
{
    if (error == -ENOENT && options->directory == NULL)
        return none_there(name);
    if (error == -EOPNOTSUPP && options->directory == NULL)
        return tool_error(TOOL_EXIT_INCOMPATIBLE, "membraned --objects DIR",
                          "%s: membraned has no place for containers", name);
    if (error == -EOPNOTSUPP)
        return tool_error(TOOL_EXIT_USAGE, "--stored, without --directory",
                          "%s: a directory is for one user, and nobody keeps it", name);
    return object_error(error, name);
}

int object_open(const struct tool_args *args, bool make, int *container)
{
    struct mbr_container_options options = {.size = sizeof(options)};
    const char *name = args->word[0], *directory = args->value[OPT_DIRECTORY];
    char *path = directory != NULL ? realpath(directory, NULL) : NULL;
    uint64_t group = UINT64_MAX;
    int rc;

    if (directory != NULL && path == NULL)
        return tool_error_system(errno, "%s", directory);
    options.directory = path;
    (void)object_policy(args, &options.policy);
    if (tool_given(args, OPT_CHECKSUMS))
        options.flags |= MBR_CONTAINER_CHECKSUMS;
    if (tool_given(args, OPT_KEEP))
        options.flags |= MBR_CONTAINER_KEPT;
    if (tool_given(args, OPT_STORED))
        options.flags |= MBR_CONTAINER_PERSISTENT;
    rc = tool_number(args, OPT_GID, group, 0, INT_MAX, &group);
    if (rc == TOOL_EXIT_OK) {
        int gid = group > INT_MAX ? -1 : (int)group;
        int got =
            make || path != NULL ? join_or_create(name, gid, &options) : mbr_container_join(name);

        if (got >= 0)
            *container = got;
        else
            rc = not_opened(name, got, &options);
    }
    free(path);
    return rc;
}

int object_find(int container, const char *name, int *object)
{
    int rc = mbr_object_join(container, name);

    if (rc < 0)
        return object_error(rc, name);
    *object = rc;
    return TOOL_EXIT_OK;
}

int object_deadline(const struct tool_args *args, uint64_t *deadline)
{
    uint64_t span = MBR_FOREVER;
    int code = tool_duration(args, OPT_TIMEOUT, MBR_FOREVER, &span);

    if (code == TOOL_EXIT_OK)
        *deadline = span == MBR_FOREVER ? MBR_FOREVER : tool_now_ns() + span;
    return code;
}

/* ---- lists ---- */

struct names {
    char **name;
    size_t count, room;
};

static int names_add(struct names *n, const char *name, size_t length)
{
    if (n->count == n->room) {
        size_t room = n->room == 0 ? 64 : 2 * n->room;
        char **more = realloc(n->name, room * sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        n->name = more;
        n->room = room;
    }
    n->name[n->count] = strndup(name, length);
    if (n->name[n->count] == NULL)
        return -ENOMEM;
    n->count++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In their order; frees them. */
static int names_each(struct names *n, int (*fn)(void *arg, const char *name), void *arg)
{
    int rc = 0;

    if (n->count > 0)
        qsort(n->name, n->count, sizeof(*n->name), by_name);
    for (size_t i = 0; i < n->count; i++) {
        if (rc == 0 && (i == 0 || strcmp(n->name[i], n->name[i - 1]) != 0))
            rc = fn(arg, n->name[i]);
    }
    for (size_t i = 0; i < n->count; i++)
        free(n->name[i]);
    free(n->name);
    return rc;
}

static int nothing(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return 0;
}

int object_each(int container, int (*fn)(void *arg, const char *name), void *arg)
{
    char name[MBR_OBJECT_NAME_MAX + 1];
    struct names n = {.name = NULL};
    uint64_t cursor = 0;
    int rc;

    while ((rc = mbr_container_list(container, &cursor, name)) == 1 && rc > 0) {
        rc = names_add(&n, name, strlen(name));
        if (rc < 0)
            break;
    }
    if (rc == 0)
        return names_each(&n, fn, arg);
    (void)names_each(&n, nothing, NULL);
    return object_error(rc, "the list of objects");
}

/* Those that membraned keeps; one may have a link of ours as well. */
static int add_kept(struct names *n)
{
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t cursor = 0;
    int rc;

    while ((rc = mbr_container_list_kept(&cursor, name)) == 1) {
        rc = names_add(n, name, strlen(name));
        if (rc != 0)
            break;
    }
    return rc;
}

int object_each_container(int (*fn)(void *arg, const char *name), void *arg)
{
    char path[PATH_MAX];
    struct names n = {.name = NULL};
    struct dirent *entry;
    int rc = mbr_names_path(path, sizeof(path));
    DIR *dir = rc == 0 ? opendir(path) : NULL;

    if (dir == NULL)
        return names_no_directory(rc != 0 ? rc : -errno);
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        /* A container's name is that of its first link without the suffix. */
        if (length > 2 && strcmp(entry->d_name + length - 2, ".c") == 0)
            rc = names_add(&n, entry->d_name, length - 2);
    }
    (void)closedir(dir);
    if (rc == 0)
        rc = add_kept(&n);
    if (rc == 0)
        return names_each(&n, fn, arg);
    (void)names_each(&n, nothing, NULL);
    return tool_error_library(rc, "%s", path);
}

/* ---- as JSON ---- */

json_t *object_json(const struct mbr_object_attr *attr)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:i, s:s, s:i}", "name", tool_text_json(attr->name),
                     "size", (json_int_t)attr->size, "version", (json_int_t)attr->version,
                     "allocated", (json_int_t)attr->allocated, "users", (int)attr->users, "policy",
                     object_policy_text(attr->policy), "torn", (int)attr->torn);
}

json_t *object_container_json(const struct mbr_container_attr *attr)
{
    return json_pack("{s:o, s:I, s:I, s:i, s:s, s:b, s:b, s:b, s:b, s:I, s:i}", "name",
                     tool_text_json(attr->name), "objects", (json_int_t)attr->objects, "bytes",
                     (json_int_t)attr->bytes, "members", (int)attr->members, "policy",
                     object_policy_text(attr->policy), "persistent",
                     (attr->flags & MBR_CONTAINER_PERSISTENT) != 0, "checksums",
                     (attr->flags & MBR_CONTAINER_CHECKSUMS) != 0, "kept",
                     (attr->flags & MBR_CONTAINER_KEPT) != 0, "brokered",
                     (attr->flags & MBR_CONTAINER_BROKERED) != 0, "uid", (json_int_t)attr->uid,
                     "group", (int)attr->group);
}
