/* SPDX-License-Identifier: MIT */
/*
 * Watches. Those on one path hang on its name in creation order; a change merges the lists of the
 * names above it by number, so that every connection sees the order of its own watches, as with
 * the C daemon, which walks over all of them.
 */
#include "store/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/domain.h"
#include "store/out.h"

#define WATCH_COST 160u /* beside the path and the token */

static_assert(offsetof(struct mbr__st_watch, at) ==
                  offsetof(struct mbr__st_watch, conn_id) + sizeof(uint64_t),
              "the key is contiguous");
static_assert(offsetof(struct mbr__st_watch, token) ==
                  offsetof(struct mbr__st_watch, at) + sizeof(struct mbr__st_name *),
              "the key is contiguous");

#define KEY_HEAD (sizeof(uint64_t) + sizeof(struct mbr__st_name *))

static const void *key_of(const void *value, size_t *length)
{
    const struct mbr__st_watch *watch = value;

    *length = KEY_HEAD + watch->token_len;
    return &watch->conn_id;
}

void mbr__st_watch_init(struct mbr__store *store)
{
    mbr__st_names_init(&store->watch_names);
    mbr__st_names_init(&store->special_names);
    mbr__bytes_map_init(&store->watches, key_of);
}

void mbr__st_watch_fini(struct mbr__store *store)
{
    mbr__bytes_map_fini(&store->watches);
    mbr__st_names_fini(&store->watch_names);
    mbr__st_names_fini(&store->special_names);
}

/* Where watches hang: "@x" and "/@x" are not the same. */
static struct mbr__st_names *names_for(struct mbr__store *store, bool special)
{
    return special ? &store->special_names : &store->watch_names;
}

static struct mbr__st_watch *find(const struct mbr__store_conn *conn,
                                  const struct mbr__st_path *path, const char *token)
{
    struct mbr__st_name *at = mbr__st_names_find(names_for(conn->store, path->special), path);
    unsigned char key[KEY_HEAD + MBR__STORE_PAYLOAD_MAX + 1];
    size_t len = strlen(token);

    if (!at)
        return NULL;
    memcpy(key, &conn->id, sizeof(conn->id));
    memcpy(key + sizeof(conn->id), &at, sizeof(at));
    memcpy(key + KEY_HEAD, token, len + 1);
    return mbr__bytes_map_get(&conn->store->watches, key, KEY_HEAD + len);
}

static struct mbr__st_watch *new_watch(struct mbr__store_conn *conn,
                                       const struct mbr__st_path *path, const char *token,
                                       uint32_t depth)
{
    size_t len = strlen(token);
    struct mbr__st_watch *watch = malloc(sizeof(*watch) + len + 1);

    if (!watch)
        return NULL;
    mbr__list_init(&watch->of_name);
    mbr__list_init(&watch->of_conn);
    watch->conn = conn;
    watch->depth = depth;
    watch->strip = path->relative;
    watch->special = path->special;
    watch->cost = WATCH_COST + path->len + (uint32_t)len;
    watch->token_len = (uint32_t)len;
    watch->conn_id = conn->id;
    memcpy(watch->token, token, len + 1);
    return watch;
}

/* Puts the watch where it is found; it has its own memory already. */
static int enter(struct mbr__store_conn *conn, struct mbr__st_watch *watch,
                 const struct mbr__st_path *path)
{
    struct mbr__store *store = conn->store;

    watch->at = mbr__st_names_make(names_for(store, path->special), path);
    if (!watch->at)
        return -ENOMEM;
    if (mbr__bytes_map_put(&store->watches, watch)) {
        mbr__st_names_release(names_for(store, path->special), watch->at);
        return -ENOMEM;
    }
    watch->number = ++store->watch_number;
    mbr__list_push_back(&watch->at->items, &watch->of_name);
    mbr__list_push_back(&conn->watches, &watch->of_conn);
    conn->watch_count++;
    store->stats.watches++;
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_WATCHES, 1);
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_MEMORY, watch->cost);
    return 0;
}

int mbr__st_watch_add(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                      const char *token, uint32_t depth, struct mbr__st_watch **out)
{
    struct mbr__store *store = conn->store;
    struct mbr__st_watch *watch;

    if (find(conn, path, token))
        return -EEXIST;
    if (!conn->privileged && mbr__st_over(store, conn->domain, MBR__STORE_QUOTA_WATCHES, 1))
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_WATCHES, -ENOSPC);
    watch = new_watch(conn, path, token, depth);
    if (!watch)
        return -ENOMEM;
    if (!conn->privileged &&
        mbr__st_over(store, conn->domain, MBR__STORE_QUOTA_MEMORY, watch->cost)) {
        free(watch);
        return mbr__st_refuse(conn, MBR__STORE_QUOTA_MEMORY, -ENOMEM);
    }
    if (enter(conn, watch, path)) {
        free(watch);
        return -ENOMEM;
    }
    *out = watch;
    return 0;
}

static void end_watch(struct mbr__st_watch *watch)
{
    struct mbr__store_conn *conn = watch->conn;
    struct mbr__store *store = conn->store;
    size_t length;
    const void *key = key_of(watch, &length);

    (void)mbr__bytes_map_del(&store->watches, key, length);
    mbr__list_del(&watch->of_name);
    mbr__list_del(&watch->of_conn);
    mbr__st_names_release(names_for(store, watch->special), watch->at);
    conn->watch_count--;
    store->stats.watches--;
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_WATCHES, -1);
    mbr__st_use(store, conn->domain, MBR__STORE_QUOTA_MEMORY, -(int64_t)watch->cost);
    free(watch);
}

int mbr__st_watch_del(struct mbr__store_conn *conn, const struct mbr__st_path *path,
                      const char *token)
{
    struct mbr__st_watch *watch = find(conn, path, token);

    if (!watch)
        return -ENOENT;
    end_watch(watch);
    return 0;
}

void mbr__st_watch_del_all(struct mbr__store_conn *conn)
{
    struct mbr__list *at;
    struct mbr__list *after;

    mbr__list_for_each_safe (at, after, &conn->watches)
        end_watch(mbr__container_of(at, struct mbr__st_watch, of_conn));
}

struct mbr__st_name *mbr__st_watch_nearest(const struct mbr__store *store,
                                           const struct mbr__st_path *path)
{
    struct mbr__st_name *at = store->watch_names.root;
    struct mbr__st_name *next = at;

    for (unsigned i = 0; next && i < path->count; i++) {
        next = mbr__st_names_child(&store->watch_names, at, path->text + path->part[i].at,
                                   path->part[i].len);
        if (next)
            at = next;
    }
    return at;
}

/* Whether CONN may learn of it: by reading the node or its parent, or because it could before. */
static bool may_know(const struct mbr__store_conn *conn, const struct mbr__st_fire *fire)
{
    if (conn->privileged)
        return true;
    return (fire->perms && (mbr__st_rights(conn, fire->perms) & MBR__ST_READ)) ||
           (fire->parent && (mbr__st_rights(conn, fire->parent) & MBR__ST_READ)) ||
           (fire->old_perms && (mbr__st_rights(conn, fire->old_perms) & MBR__ST_READ));
}

static void notify(struct mbr__st_watch *watch, const struct mbr__st_fire *fire)
{
    uint32_t distance = fire->depth - watch->at->depth;

    if (distance > watch->depth || !may_know(watch->conn, fire))
        return;
    mbr__st_out_event(watch->conn, watch, fire->path + watch->strip, fire->len - watch->strip,
                      true);
}

static struct mbr__st_watch *watch_of(struct mbr__list *item)
{
    return mbr__container_of(item, struct mbr__st_watch, of_name);
}

/* Calls notify() for the watches of COUNT names in store->fired, by number. */
static void merge(struct mbr__store *store, unsigned count, const struct mbr__st_fire *fire)
{
    for (unsigned i = 0; i < count; i++)
        store->cursor[i] = mbr__list_first(&store->fired[i]->items);
    while (count > 0) {
        unsigned least = 0;
        struct mbr__st_watch *watch;

        for (unsigned i = 1; i < count; i++)
            if (watch_of(store->cursor[i])->number < watch_of(store->cursor[least])->number)
                least = i;
        watch = watch_of(store->cursor[least]);
        store->cursor[least] = mbr__list_next(&store->fired[least]->items, store->cursor[least]);
        if (!store->cursor[least]) {
            count--;
            store->cursor[least] = store->cursor[count];
            store->fired[least] = store->fired[count];
        }
        notify(watch, fire);
    }
}

void mbr__st_fire(struct mbr__store *store, const struct mbr__st_fire *fire)
{
    unsigned count = 0;

    if (!fire->name || (fire->exact && fire->name->depth != fire->depth))
        return;
    for (struct mbr__st_name *name = fire->name; name; name = fire->exact ? NULL : name->parent)
        if (!mbr__list_empty(&name->items))
            store->fired[count++] = name;
    merge(store, count, fire);
}

/*
 * The deepest first name below AT whose node is there: goes down as far as it can, keeping
 * store->below[depth] the node of each name on the way, TEXT its path.
 */
static struct mbr__st_name *descend(struct mbr__store *store, struct mbr__st_name *at,
                                    struct mbr__list *from, char *text, size_t *len)
{
    for (;;) {
        struct mbr__st_name *name = NULL;
        struct mbr__st_node *node = NULL;

        for (; from && !node; from = mbr__list_next(&at->children, from)) {
            name = mbr__container_of(from, struct mbr__st_name, sibling);
            node = mbr__st_node_child(&store->tree.heap, store->below[at->depth], name->text,
                                      name->len);
        }
        if (!node)
            return at;
        text[(*len)++] = '/';
        memcpy(text + *len, name->text, name->len);
        *len += name->len;
        text[*len] = '\0';
        store->below[name->depth] = node;
        at = name;
        from = mbr__list_first(&at->children);
    }
}

void mbr__st_fire_removal(struct mbr__store *store, const char *path, size_t len, unsigned depth,
                          struct mbr__st_name *name, struct mbr__st_node *top,
                          const struct mbr__st_perms *parent)
{
    struct mbr__st_fire fire = {path, len, name, depth, false, top->perms, parent, NULL};
    char *text = store->text2;
    struct mbr__st_name *at;

    if (name && name->depth == depth && !mbr__list_empty(&name->children)) {
        memcpy(text, path, len + 1);
        store->below[depth] = top;
        at = descend(store, name, mbr__list_first(&name->children), text, &len);
        while (at != name) {
            struct mbr__st_name *above = at->parent;
            struct mbr__st_fire one = {text,
                                       len,
                                       at,
                                       at->depth,
                                       true,
                                       store->below[at->depth]->perms,
                                       store->below[above->depth]->perms,
                                       NULL};

            mbr__st_fire(store, &one);
            len -= at->len + 1;
            text[len] = '\0';
            at = descend(store, above, mbr__list_next(&above->children, &at->sibling), text, &len);
        }
    }
    mbr__st_fire(store, &fire);
}

/* ---- Special names ---- */

static const char *const special_names[MBR__ST_SPECIALS] = {
    [MBR__ST_INTRODUCE] = "@introduceDomain",
    [MBR__ST_RELEASE] = "@releaseDomain",
};

int mbr__st_special_find(const char *text, size_t len)
{
    for (int i = 0; i < MBR__ST_SPECIALS; i++)
        if (strlen(special_names[i]) == len && memcmp(special_names[i], text, len) == 0)
            return i;
    return -1;
}

/* To the watches of the special name NAME; the event's path is WITH_DOMID for those who asked. */
static void tell(struct mbr__store *store, int which, const char *name, const char *with_domid)
{
    struct mbr__st_name *at =
        mbr__st_names_child(&store->special_names, store->special_names.root, name, strlen(name));
    struct mbr__list *item;

    if (!at)
        return;
    mbr__list_for_each (item, &at->items) {
        struct mbr__st_watch *watch = watch_of(item);
        const char *path = watch->depth > 0 && watch->depth != UINT32_MAX ? with_domid : name;

        if (mbr__st_rights(watch->conn, store->special[which].perms) & MBR__ST_READ)
            mbr__st_out_event(watch->conn, watch, path, strlen(path), false);
    }
}

void mbr__st_fire_special(struct mbr__store *store, int which, uint32_t domid)
{
    const char *name = special_names[which];
    char with_domid[64];

    snprintf(with_domid, sizeof(with_domid), "%s/%u", name, domid);
    tell(store, which, name, with_domid);
    tell(store, which, with_domid, with_domid);
}
