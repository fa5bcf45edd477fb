/* SPDX-License-Identifier: MIT */
/*
 * membrane store dump and load: a part of the tree as JSON, and back. Nodes are a flat list,
 * parents before children, with paths relative to the dumped node, so that a dump can be loaded
 * elsewhere and is as easily read by jq and diff as by this program, however deep the tree is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "progress.h"
#include "say.h"
#include "store.h"
#include "units.h"

#define FORMAT_VERSION 1
#define UNDER_WAY      512 /* requests of a load at one time */

/* ---- dump ---- */

struct dump {
    const struct tool_args *args;
    char path[STORE_PATH_SIZE];
    struct store_tree tree;
};

/* Looked at within a transaction, all of it is of one moment. */
static int fetch(struct mbr_store *s, uint64_t tx, void *arg)
{
    struct dump *d = arg;

    store_tree_free(&d->tree);
    return store_walk(s, tx, d->path, SIZE_MAX, STORE_WALK_VALUES | STORE_WALK_PERMS, &d->tree);
}

static json_t *node_json(const struct store_node *node, size_t skip)
{
    json_t *object = json_pack("{s:o, s:o}", "path", tool_text_json(node->path + skip), "perms",
                               store_perms_json(node->perms, node->perm_count));

    if (object != NULL && node->length > 0 &&
        store_value_json(object, node->value, node->length) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *dump_json(const struct dump *d)
{
    /* Behind the root's path and the slash: the root itself is "". */
    size_t skip = strcmp(d->path, "/") == 0 ? 1 : strlen(d->path) + 1;
    json_t *nodes = json_array();

    for (const struct store_node *node = d->tree.root; nodes != NULL && node != NULL;
         node = store_tree_next(node)) {
        json_t *object = NULL;

        if (node->error == 0)
            object = node_json(node, node == d->tree.root ? strlen(node->path) : skip);
        if (node->error == 0 && (object == NULL || json_array_append_new(nodes, object) < 0)) {
            json_decref(nodes);
            nodes = NULL;
        }
    }
    return json_pack("{s:i, s:o, s:o}", "version", FORMAT_VERSION, "root", tool_text_json(d->path),
                     "nodes", nodes);
}

/* A line for each node: made to be compared. */
static int print_dump(json_t *object)
{
    size_t count = json_array_size(json_object_get(object, "nodes"));
    char *root = json_dumps(json_object_get(object, "root"), JSON_ENCODE_ANY);
    int code = TOOL_EXIT_OK;

    if (root == NULL)
        code = store_error(-ENOMEM, "dump");
    else
        printf("{\"version\": %d, \"root\": %s, \"nodes\": [", FORMAT_VERSION, root);
    for (size_t i = 0; i < count && code == TOOL_EXIT_OK; i++) {
        char *node = json_dumps(json_array_get(json_object_get(object, "nodes"), i), 0);

        if (node == NULL)
            code = store_error(-ENOMEM, "dump");
        else
            printf("%s%s", i > 0 ? ",\n" : "\n", node);
        free(node);
    }
    if (code == TOOL_EXIT_OK)
        fputs("\n]}\n", stdout);
    free(root);
    json_decref(object);
    return code;
}

static void warn_unreadable(const struct store_tree *tree)
{
    size_t count = 0;

    for (const struct store_node *node = tree->root; node != NULL; node = store_tree_next(node))
        count += node->error != 0;
    if (count > 0)
        tool_note("%zu node%s could not be read and %s left out", count, tool_s(count),
                  count == 1 ? "is" : "are");
}

int store_dump(const struct tool_args *args)
{
    struct dump d = {.args = args};
    struct mbr_store *s = NULL;
    uint64_t timeout = 0;
    int code = tool_duration(args, OPT_TIMEOUT, MBR_STORE_TIMEOUT_DEFAULT, &timeout);
    int rc;

    if (code == TOOL_EXIT_OK)
        code = store_path(args->word[0], d.path);
    if (code == TOOL_EXIT_OK)
        code = store_open(args, &s);
    if (code != TOOL_EXIT_OK)
        return code;
    rc = mbr_store_transact(s, fetch, &d, timeout);
    if (rc < 0) {
        code = store_error(rc, d.path);
    } else {
        json_t *object = dump_json(&d);

        warn_unreadable(&d.tree);
        code = object != NULL ? print_dump(object) : store_error(-ENOMEM, d.path);
    }
    store_tree_free(&d.tree);
    mbr_store_close(s);
    return code;
}

/* ---- load ---- */

struct load;

/* A node to be written, checked and ready. */
struct item {
    struct load *load;
    char *path;
    char *value;
    size_t length;
    struct mbr_store_perm *perms;
    size_t perm_count;
};

struct load {
    const struct tool_args *args;
    char root[STORE_PATH_SIZE];
    struct item **items;
    size_t count;
    struct progress progress;
    /* the attempt under way */
    size_t done;
    size_t waiting;
    int error;
    char failed[STORE_PATH_SIZE];
};

static int bad_file(const char *what, size_t number)
{
    return tool_error(TOOL_EXIT_USAGE, "a file that membrane store dump has written",
                      "node %zu: %s", number, what);
}

static int take_perms(struct item *item, const json_t *array, size_t number)
{
    size_t count = json_array_size(array);

    if (array == NULL)
        return TOOL_EXIT_OK;
    if (count == 0)
        return bad_file("its permissions are no list", number);
    item->perms = calloc(count, sizeof(*item->perms));
    if (item->perms == NULL)
        return store_error(-ENOMEM, "load");
    for (size_t i = 0; i < count; i++) {
        if (mbr_store_perm_parse(json_string_value(json_array_get(array, i)), &item->perms[i]) < 0)
            return bad_file("a permission is not a letter of n r w b and a domain", number);
    }
    item->perm_count = count;
    return TOOL_EXIT_OK;
}

static int take_item(struct load *l, const json_t *node, size_t number)
{
    const char *path = json_string_value(json_object_get(node, "path"));
    char whole[STORE_PATH_SIZE];
    struct item *item = calloc(1, sizeof(*item));
    int rc;

    if (item == NULL || l->items == NULL) {
        free(item);
        return store_error(-ENOMEM, "load");
    }
    item->load = l;
    l->items[l->count++] = item;
    if (path == NULL)
        return bad_file("it has no path", number);
    if (store_join(l->root, path, whole) < 0)
        return bad_file("its path is too long", number);
    item->path = strdup(whole);
    if (item->path == NULL)
        return store_error(-ENOMEM, "load");
    rc = store_value_of_json(node, &item->value, &item->length);
    if (rc == -1)
        return bad_file("its value is neither a text nor base64", number);
    if (rc == -2)
        return store_error(-ENOMEM, "load");
    return take_perms(item, json_object_get(node, "perms"), number);
}

/* The file of this name, or standard input for "-". */
static int parse(const char *name, json_t **out)
{
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    json_error_t why;
    int error;

    if (in == NULL)
        return tool_error_system(errno, "%s", name);
    errno = 0;
    *out = json_loadf(in, 0, &why);
    error = ferror(in) ? errno : 0;
    if (in != stdin)
        (void)fclose(in);
    if (*out != NULL)
        return TOOL_EXIT_OK;
    if (error != 0)
        return tool_error_system(error, "%s", name);
    return tool_error(TOOL_EXIT_NEGATIVE, "what membrane store dump has written", "%s: line %d: %s",
                      name, why.line, why.text);
}

static int read_file(struct load *l)
{
    const char *name = l->args->words > 0 ? l->args->word[0] : "-";
    json_t *file = NULL;
    int code = parse(name, &file);
    const json_t *nodes = json_object_get(file, "nodes");
    const char *root = json_string_value(json_object_get(file, "root"));

    if (code != TOOL_EXIT_OK)
        return code;
    if (json_integer_value(json_object_get(file, "version")) != FORMAT_VERSION)
        code =
            tool_error(TOOL_EXIT_INCOMPATIBLE, NULL, "%s: not of version %d", name, FORMAT_VERSION);
    else if (!json_is_array(nodes) || root == NULL)
        code = tool_error(TOOL_EXIT_USAGE, NULL, "%s: no root, or no list of nodes", name);
    if (code == TOOL_EXIT_OK)
        code = store_path(l->args->words > 1 ? l->args->word[1] : root, l->root);
    if (code == TOOL_EXIT_OK)
        l->items = calloc(json_array_size(nodes) + 1, sizeof(struct item *));
    if (code == TOOL_EXIT_OK && l->items == NULL)
        code = store_error(-ENOMEM, "load");
    for (size_t i = 0; code == TOOL_EXIT_OK && i < json_array_size(nodes); i++)
        code = take_item(l, json_array_get(nodes, i), i + 1);
    json_decref(file);
    return code;
}

static void on_done(struct mbr_store *s, void *arg, const struct mbr_store_result *r)
{
    const struct item *item = arg;
    struct load *l = item->load;

    (void)s;
    l->waiting--;
    if (r->error < 0 && l->error == 0) {
        l->error = r->error;
        (void)snprintf(l->failed, sizeof(l->failed), "%s", item->path);
    }
}

/* Waits for answers as long as --timeout says, and shows meanwhile how far it is. */
static int await(struct load *l, struct mbr_store *s)
{
    uint64_t now = tool_now_ns();
    uint64_t patience = store_patience();
    uint64_t deadline = patience < UINT64_MAX - now ? now + patience : UINT64_MAX;
    int rc = -ETIMEDOUT;

    while (rc == -ETIMEDOUT && now < deadline) {
        uint64_t left = deadline - now;
        uint64_t pause = progress_pause(&l->progress, now);

        rc = mbr_store_wait(s, pause < left ? pause : left);
        now = tool_now_ns();
        progress_tick(&l->progress, now, l->done);
    }
    return rc;
}

static int ask(struct item *item, struct mbr_store *s, const struct mbr_store_request *r)
{
    struct load *l = item->load;
    int rc = 0;

    while (rc >= 0 && l->error == 0 && l->waiting >= UNDER_WAY)
        rc = await(l, s);
    if (rc >= 0)
        rc = l->error;
    if (rc == 0)
        rc = mbr_store_submit(s, r, on_done, item);
    if (rc == 0)
        l->waiting++;
    return rc;
}

static int put(struct mbr_store *s, uint64_t tx, struct item *item)
{
    struct mbr_store_request r = {.size = sizeof(r), .op = MBR_STORE_OP_WRITE, .tx = tx};
    int rc = 0;

    r.path = item->path;
    r.value = item->value;
    r.length = item->length;
    if (item->value == NULL)
        r.op = MBR_STORE_OP_MKDIR;
    /* There is always a root, and it needs no value. */
    if (strcmp(item->path, "/") != 0 || item->value != NULL)
        rc = ask(item, s, &r);
    if (rc == 0 && item->perms != NULL) {
        r.op = MBR_STORE_OP_SET_PERMS;
        r.perms = item->perms;
        r.count = item->perm_count;
        rc = ask(item, s, &r);
    }
    return rc;
}

/* What is there already goes; of the root, whose self stays, its children. */
static int clear(struct load *l, struct mbr_store *s, uint64_t tx)
{
    char **names = NULL;
    size_t count = 0;
    int rc;

    if (strcmp(l->root, "/") != 0) {
        rc = mbr_store_rm(s, tx, l->root);
        return rc == -ENOENT ? 0 : rc;
    }
    rc = mbr_store_list(s, tx, "/", &names, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char path[STORE_PATH_SIZE];

        rc = store_join("/", names[i], path);
        if (rc == 0)
            rc = mbr_store_rm(s, tx, path);
    }
    free(names);
    return rc;
}

static int store_all(struct mbr_store *s, uint64_t tx, void *arg)
{
    struct load *l = arg;
    int rc = 0;
    int waited = 0;

    l->error = 0;
    l->done = 0;
    if (tool_given(l->args, OPT_REPLACE))
        rc = clear(l, s, tx);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        rc = put(s, tx, l->items[i]);
        if (rc < 0 && l->error == 0)
            (void)snprintf(l->failed, sizeof(l->failed), "%s", l->items[i]->path);
        l->done++;
    }
    while (l->waiting > 0 && waited >= 0)
        waited = await(l, s);
    if (rc == 0)
        rc = waited < 0 ? waited : l->error;
    return rc == -ENOENT ? -ESRCH : rc; /* the nodes are there; so an owner is not */
}

int store_load(const struct tool_args *args)
{
    struct load l = {.args = args};
    struct mbr_store *s = NULL;
    uint64_t timeout = 0;
    int code = tool_duration(args, OPT_TIMEOUT, MBR_STORE_TIMEOUT_DEFAULT, &timeout);

    if (code == TOOL_EXIT_OK)
        code = read_file(&l);
    if (code == TOOL_EXIT_OK)
        code = store_open(args, &s);
    if (code == TOOL_EXIT_OK) {
        progress_init(&l.progress, args->value[OPT_PROGRESS], tool_given(args, OPT_QUIET), false);
        l.progress.unit = "nodes";
        progress_begin(&l.progress, tool_now_ns(), l.count);

        int rc = mbr_store_transact(s, store_all, &l, timeout);

        progress_end(&l.progress, tool_now_ns(), l.done);
        if (rc < 0)
            code = store_error(rc, l.failed[0] != '\0' ? l.failed : l.root);
        else
            tool_note("%zu node%s", l.count, tool_s(l.count));
    }
    mbr_store_close(s);
    for (size_t i = 0; i < l.count; i++) {
        free(l.items[i]->path);
        free(l.items[i]->value);
        free(l.items[i]->perms);
        free(l.items[i]);
    }
    free(l.items);
    return code;
}
