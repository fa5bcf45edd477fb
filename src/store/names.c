/* SPDX-License-Identifier: MIT */
/*
 * Sets of paths. The key of a name is its parent's address and its text, which lie side by side.
 */
#include "store/names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* So many children are found without the map. */
#define FEW 8u

#define KEY_MAX (sizeof(struct mbr__st_name *) + MBR__STORE_PAYLOAD_MAX)

static_assert(offsetof(struct mbr__st_name, text) ==
                  offsetof(struct mbr__st_name, parent) + sizeof(struct mbr__st_name *),
              "the key is contiguous");

static const void *key_of(const void *value, size_t *length)
{
    const struct mbr__st_name *name = value;

    *length = sizeof(name->parent) + name->len;
    return &name->parent;
}

static struct mbr__st_name *name_of(struct mbr__list *sibling)
{
    return mbr__container_of(sibling, struct mbr__st_name, sibling);
}

void mbr__st_names_init(struct mbr__st_names *names)
{
    mbr__bytes_map_init(&names->map, key_of);
    names->root = NULL;
}

void mbr__st_names_fini(struct mbr__st_names *names)
{
    struct mbr__st_name *at = names->root;

    mbr__bytes_map_fini(&names->map);
    /* From the leaves up: the way back to the root is in the names themselves. */
    while (at) {
        struct mbr__list *first = mbr__list_first(&at->children);
        struct mbr__st_name *parent = at->parent;

        if (first) {
            at = name_of(first);
            continue;
        }
        mbr__list_del(&at->sibling);
        free(at);
        at = parent;
    }
    names->root = NULL;
}

/* Apart from its caller, which mostly needs no such key. */
static __attribute__((noinline)) struct mbr__st_name *
mapped_child(const struct mbr__st_names *names, struct mbr__st_name *at, const char *text,
             size_t len)
{
    unsigned char key[KEY_MAX];

    memcpy(key, &at, sizeof(at));
    memcpy(key + sizeof(at), text, len);
    return mbr__bytes_map_get(&names->map, key, sizeof(at) + len);
}

struct mbr__st_name *mbr__st_names_child(const struct mbr__st_names *names, struct mbr__st_name *at,
                                         const char *text, size_t len)
{
    struct mbr__list *sibling;

    if (!at || at->count == 0 || len > MBR__STORE_PAYLOAD_MAX)
        return NULL;
    if (at->mapped)
        return mapped_child(names, at, text, len);
    mbr__list_for_each (sibling, &at->children) {
        struct mbr__st_name *name = name_of(sibling);

        if (name->len == len && memcmp(name->text, text, len) == 0)
            return name;
    }
    return NULL;
}

/* What PATH consists of: its components, or, when it is special, the whole text. */
static unsigned parts(const struct mbr__st_path *path)
{
    return path->special ? 1 : path->count;
}

static const char *part(const struct mbr__st_path *path, unsigned i, size_t *len)
{
    *len = path->special ? path->len : path->part[i].len;
    return path->special ? path->text : path->text + path->part[i].at;
}

struct mbr__st_name *mbr__st_names_find(const struct mbr__st_names *names,
                                        const struct mbr__st_path *path)
{
    struct mbr__st_name *at = names->root;

    for (unsigned i = 0; at && i < parts(path); i++) {
        size_t len;
        const char *text = part(path, i, &len);

        at = mbr__st_names_child(names, at, text, len);
    }
    return at;
}

static struct mbr__st_name *new_name(struct mbr__st_name *parent, const char *text, size_t len)
{
    struct mbr__st_name *name = malloc(sizeof(*name) + len);

    if (!name)
        return NULL;
    mbr__list_init(&name->sibling);
    mbr__list_init(&name->children);
    mbr__list_init(&name->items);
    name->data = NULL;
    name->count = 0;
    name->mapped = false;
    name->depth = parent ? parent->depth + 1 : 0;
    name->len = (uint32_t)len;
    name->parent = parent;
    memcpy(name->text, text, len);
    return name;
}

static void unmap(struct mbr__st_names *names, const struct mbr__st_name *name)
{
    size_t length;
    const void *key = key_of(name, &length);

    (void)mbr__bytes_map_del(&names->map, key, length);
}

/* Puts all children of AT into the map. -ENOMEM: none. */
static int map_children(struct mbr__st_names *names, struct mbr__st_name *at)
{
    struct mbr__list *sibling;

    if (mbr__bytes_map_reserve(&names->map, names->map.hash.count + at->count))
        return -ENOMEM;
    mbr__list_for_each (sibling, &at->children) {
        int error = mbr__bytes_map_put(&names->map, name_of(sibling));

        MBR_ASSERT(error == 0);
    }
    at->mapped = true;
    return 0;
}

static struct mbr__st_name *make_child(struct mbr__st_names *names, struct mbr__st_name *at,
                                       const char *text, size_t len)
{
    struct mbr__st_name *name = mbr__st_names_child(names, at, text, len);

    if (name)
        return name;
    if (at->count == FEW && !at->mapped && map_children(names, at))
        return NULL;
    name = new_name(at, text, len);
    if (!name)
        return NULL;
    if (at->mapped && mbr__bytes_map_put(&names->map, name)) {
        free(name);
        return NULL;
    }
    mbr__list_push_back(&at->children, &name->sibling);
    at->count++;
    return name;
}

/* The name of the first COUNT parts of PATH, beneath AT, which is that of the first FROM. */
static struct mbr__st_name *make_parts(struct mbr__st_names *names, const struct mbr__st_path *path,
                                       unsigned from, unsigned count, struct mbr__st_name *at)
{
    for (unsigned i = from; at && i < count; i++) {
        size_t len;
        const char *text = part(path, i, &len);
        struct mbr__st_name *next = make_child(names, at, text, len);

        if (!next)
            mbr__st_names_release(names, at);
        at = next;
    }
    return at;
}

static struct mbr__st_name *make_root(struct mbr__st_names *names)
{
    if (!names->root)
        names->root = new_name(NULL, "", 0);
    return names->root;
}

struct mbr__st_name *mbr__st_names_make(struct mbr__st_names *names,
                                        const struct mbr__st_path *path)
{
    return make_parts(names, path, 0, parts(path), make_root(names));
}

struct mbr__st_name *mbr__st_names_make_level(struct mbr__st_names *names,
                                              const struct mbr__st_path *path, unsigned level,
                                              struct mbr__st_name **known)
{
    struct mbr__st_name *name;
    unsigned from = level;

    while (from > 0 && !known[from])
        from--;
    name = make_parts(names, path, from, level, known[from] ? known[from] : make_root(names));
    for (struct mbr__st_name *at = name; at; at = at->parent)
        known[at->depth] = at;
    return name;
}

void mbr__st_names_release(struct mbr__st_names *names, struct mbr__st_name *name)
{
    while (name && !name->data && mbr__list_empty(&name->items) &&
           mbr__list_empty(&name->children)) {
        struct mbr__st_name *parent = name->parent;

        if (parent) {
            if (parent->mapped)
                unmap(names, name);
            parent->mapped = parent->mapped && parent->count > 1;
            parent->count--;
            mbr__list_del(&name->sibling);
        } else {
            names->root = NULL;
        }
        free(name);
        name = parent;
    }
}

size_t mbr__st_names_path(const struct mbr__st_name *name, char out[MBR__STORE_ABS_PATH_MAX + 1])
{
    size_t length = 0;
    size_t at;

    for (const struct mbr__st_name *n = name; n->parent; n = n->parent)
        length += 1 + n->len;
    if (length == 0) {
        out[0] = '/';
        length = 1;
    }
    MBR_ASSERT(length <= MBR__STORE_ABS_PATH_MAX);
    out[length] = '\0';
    at = length;
    for (const struct mbr__st_name *n = name; n->parent; n = n->parent) {
        at -= n->len;
        memcpy(out + at, n->text, n->len);
        out[--at] = '/';
    }
    return length;
}

struct mbr__st_name *mbr__st_names_next(struct mbr__st_name *top, struct mbr__st_name *at)
{
    struct mbr__list *next = mbr__list_first(&at->children);

    while (!next && at != top) {
        next = mbr__list_next(&at->parent->children, &at->sibling);
        at = at->parent;
    }
    return next ? name_of(next) : NULL;
}
