/* SPDX-License-Identifier: MIT */
/*
 * The naive store.
 */
#include "model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

#define NODES   256
#define RECORDS 200
#define TXS     12
#define WATCHES 64
#define DOMAINS 4

enum { READ = 1, WRITE = 2, OWN = 4 };

struct perm {
    unsigned domid;
    char letter;
    unsigned life; /* which bearer of the number is meant; 0: nobody */
};

struct perms {
    unsigned count;
    struct perm at[MODEL_PERMS];
};

struct kid {
    char name[12];
    unsigned id;
};

struct node {
    bool used;
    char path[MODEL_PATH];
    char value[16];
    struct perms perms;
    unsigned generation;
    unsigned id;
    unsigned kid_count;
    struct kid kid[MODEL_KIDS];
};

/* What a transaction knows of a path. */
struct record {
    char path[MODEL_PATH];
    bool was; /* it was there at first access, as: */
    struct node base;
    bool has; /* it is there now, as: */
    struct node now;
    bool compare;  /* the commit compares it */
    bool implicit; /* only part of a removed subtree */
    bool made;     /* by the transaction itself, as it is now */
    bool modified, value_set, perms_set, fire, wiped, old_set;
    struct perms old;
    bool removed, created; /* at the commit */
    struct node gone[NODES / 4];
    unsigned gone_count;
};

struct tx {
    bool open;
    char who;
    uint32_t id;
    int error;
    unsigned count;
    struct record *record[RECORDS];
};

struct watch {
    bool used;
    char who;
    char path[MODEL_PATH];
    unsigned strip;
    char token[8];
    unsigned depth;
};

struct message {
    bool event;
    char text[MODEL_TEXT];
};

struct conn {
    uint32_t next_tx;
    unsigned count;
    struct message queue[MODEL_QUEUE];
};

struct model {
    uint64_t node_limit;
    struct node node[NODES];
    unsigned generation, next_id;
    unsigned life[DOMAINS];
    bool known[DOMAINS];
    struct tx tx[TXS];
    struct watch watch[WATCHES];
    unsigned watch_count;
    struct conn conn[128];
};

/* snprintf(), where cutting is what is wanted: all texts here are short. */
static int put(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int put(char *out, size_t size, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(out, size, format, args);
    va_end(args);
    return n;
}

/* ---- Paths ---- */

static void parent_of(const char *path, char *out)
{
    char *slash;

    memmove(out, path, strlen(path) + 1); /* may be the same */
    slash = strrchr(out, '/');
    if (slash == out)
        slash++;
    *slash = '\0';
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Whether PATH is BASE or beneath it. */
static bool within(const char *path, const char *base)
{
    size_t len = strlen(base);

    if (strcmp(base, "/") == 0)
        return true;
    return strncmp(path, base, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static unsigned depth_of(const char *path)
{
    unsigned depth = 0;

    for (; *path; path++)
        depth += *path == '/' && path[1];
    return depth;
}

/* ---- Permissions ---- */

static bool means(const struct model *m, const struct perm *perm)
{
    return perm->domid == 0 ||
           (perm->life != 0 && m->known[perm->domid] && perm->life == m->life[perm->domid]);
}

static unsigned rights(const struct model *m, char who, const struct perms *perms)
{
    unsigned domid = store_case_domid(who);
    char letter = perms->at[0].letter;

    if (domid == 0 || (perms->at[0].domid == domid && means(m, &perms->at[0])))
        return READ | WRITE | OWN;
    for (unsigned i = 1; i < perms->count; i++)
        if (perms->at[i].domid == domid && means(m, &perms->at[i])) {
            letter = perms->at[i].letter;
            break;
        }
    return letter == 'r' ? READ : letter == 'w' ? WRITE : letter == 'b' ? READ | WRITE : 0;
}

static struct perms inherit(const struct model *m, char who, const struct perms *from)
{
    unsigned domid = store_case_domid(who);
    struct perms perms = *from;

    if (domid == 0 || (from->at[0].domid == domid && means(m, &from->at[0])))
        return perms;
    perms.at[0].domid = domid;
    perms.at[0].life = m->life[domid];
    perms.count = 1;
    for (unsigned i = 1; i < from->count; i++)
        if (means(m, &from->at[i]))
            perms.at[perms.count++] = from->at[i];
    return perms;
}

/* ---- The living tree ---- */

static struct node *find(struct model *m, const char *path)
{
    for (unsigned i = 0; i < NODES; i++)
        if (m->node[i].used && strcmp(m->node[i].path, path) == 0)
            return &m->node[i];
    return NULL;
}

static void add_kid(struct node *node, const char *name, unsigned id)
{
    unsigned at = node->kid_count++;

    for (; at > 0 && node->kid[at - 1].id > id; at--)
        node->kid[at] = node->kid[at - 1];
    put(node->kid[at].name, sizeof(node->kid[at].name), "%s", name);
    node->kid[at].id = id;
}

static void del_kid(struct node *node, const char *name)
{
    for (unsigned i = 0; i < node->kid_count; i++)
        if (strcmp(node->kid[i].name, name) == 0) {
            memmove(&node->kid[i], &node->kid[i + 1],
                    (node->kid_count - i - 1) * sizeof(node->kid[0]));
            node->kid_count--;
            return;
        }
}

static struct node *add_node(struct model *m, const char *path, const char *value,
                             const struct perms *perms, unsigned id)
{
    char above[MODEL_PATH];
    struct node *node = m->node;
    struct node *parent;

    while (node->used)
        node++;
    memset(node, 0, sizeof(*node));
    node->used = true;
    put(node->path, sizeof(node->path), "%s", path);
    put(node->value, sizeof(node->value), "%s", value);
    node->perms = *perms;
    node->id = id;
    node->generation = ++m->generation;
    parent_of(path, above);
    parent = find(m, above);
    if (parent != node) {
        add_kid(parent, name_of(path), id);
        parent->generation = m->generation;
    }
    return node;
}

/* Takes PATH and all beneath it out, into GONE if that is not NULL, the first of all first. */
static unsigned take_out(struct model *m, const char *path, struct node *gone)
{
    char above[MODEL_PATH];
    struct node *parent;
    unsigned count = 1;

    parent_of(path, above);
    parent = find(m, above);
    del_kid(parent, name_of(path));
    parent->generation = ++m->generation;
    gone[0] = *find(m, path);
    for (unsigned i = 0; i < NODES; i++) {
        if (!m->node[i].used || !within(m->node[i].path, path))
            continue;
        if (strcmp(m->node[i].path, path) != 0)
            gone[count++] = m->node[i];
        m->node[i].used = false;
    }
    return count;
}

uint64_t model_owned(const struct model *m, unsigned domid)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < NODES; i++)
        count += m->node[i].used && m->node[i].perms.at[0].domid == domid &&
                 means(m, &m->node[i].perms.at[0]);
    return count;
}

/* ---- Messages ---- */

static void say(struct model *m, char who, bool event, const char *text)
{
    struct conn *conn = &m->conn[(unsigned char)who];

    for (unsigned i = 0; event && i < conn->count; i++)
        if (conn->queue[i].event && strcmp(conn->queue[i].text, text) == 0)
            return;
    if (conn->count == MODEL_QUEUE)
        abort();
    conn->queue[conn->count].event = event;
    put(conn->queue[conn->count++].text, MODEL_TEXT, "%s", text);
}

static void tell(struct model *m, const struct watch *watch, const char *path)
{
    char text[MODEL_TEXT];

    put(text, sizeof(text), "@%s|%s|", path + watch->strip, watch->token);
    say(m, watch->who, true, text);
}

struct change {
    const char *path;
    bool exact;
    const struct perms *perms, *parent, *old;
};

static bool may_know(const struct model *m, char who, const struct change *c)
{
    return (c->perms && (rights(m, who, c->perms) & READ)) ||
           (c->parent && (rights(m, who, c->parent) & READ)) ||
           (c->old && (rights(m, who, c->old) & READ)) || store_case_domid(who) == 0;
}

static void fire(struct model *m, struct change c)
{
    for (unsigned i = 0; i < m->watch_count; i++) {
        const struct watch *w = &m->watch[i];

        if (!w->used || !within(c.path, w->path) || (c.exact && strcmp(c.path, w->path) != 0) ||
            depth_of(c.path) - depth_of(w->path) > w->depth || !may_know(m, w->who, &c))
            continue;
        tell(m, w, c.path);
    }
}

static const struct perms *perms_at(struct model *m, const char *path)
{
    const struct node *node = find(m, path);

    return node ? &node->perms : NULL;
}

static const struct perms *perms_above(struct model *m, const char *path)
{
    char above[MODEL_PATH];

    parent_of(path, above);
    return strcmp(path, "/") == 0 ? NULL : perms_at(m, above);
}

static void fire_gone(struct model *m, const struct node *gone, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        char above[MODEL_PATH];
        const struct perms *parent = NULL;

        parent_of(gone[i].path, above);
        for (unsigned k = 0; k < count; k++)
            if (strcmp(gone[k].path, above) == 0)
                parent = &gone[k].perms;
        fire(m, (struct change){gone[i].path, true, &gone[i].perms, parent, NULL});
    }
    fire(m,
         (struct change){gone[0].path, false, &gone[0].perms, perms_above(m, gone[0].path), NULL});
}

/* ---- Transactions: looking ---- */

static struct record *record_of(const struct tx *tx, const char *path)
{
    for (unsigned i = 0; tx && i < tx->count; i++)
        if (strcmp(tx->record[i]->path, path) == 0)
            return tx->record[i];
    return NULL;
}

/* Whether the transaction has removed something above PATH. */
static bool hidden(const struct tx *tx, const char *path)
{
    for (unsigned i = 0; i < tx->count; i++)
        if (tx->record[i]->wiped && strcmp(tx->record[i]->path, path) != 0 &&
            within(path, tx->record[i]->path))
            return true;
    return false;
}

/* The node at PATH, as TX (NULL: nobody) sees it. */
static struct node *view(struct model *m, struct tx *tx, const char *path)
{
    struct record *record = record_of(tx, path);

    if (record)
        return record->has ? &record->now : NULL;
    return tx && hidden(tx, path) ? NULL : find(m, path);
}

static struct record *add_record(struct tx *tx, const char *path)
{
    struct record *record = calloc(1, sizeof(*record));

    if (!record || tx->count == RECORDS)
        abort();
    put(record->path, sizeof(record->path), "%s", path);
    tx->record[tx->count++] = record;
    return record;
}

static struct record *touch(struct model *m, struct tx *tx, const char *path)
{
    struct record *record = record_of(tx, path);
    const struct node *live = find(m, path);

    if (record) {
        if (record->implicit) /* seen from now on as something that the transaction makes */
            record->was = false;
        record->implicit = false;
        return record;
    }
    record = add_record(tx, path);
    record->compare = !hidden(tx, path);
    if (record->compare && live) {
        record->was = record->has = true;
        record->base = record->now = *live;
    }
    if (record->compare)
        record->base.generation = live ? live->generation : 0;
    return record;
}

/* The deepest thing on the way to PATH that is there. */
static struct node *nearest(struct model *m, struct tx *tx, const char *path, char *where)
{
    struct node *node;

    put(where, MODEL_PATH, "%s", path);
    while (!(node = view(m, tx, where)))
        parent_of(where, where);
    return node;
}

static int get(struct model *m, char who, struct tx *tx, const char *path, unsigned need,
               struct node **node)
{
    char where[MODEL_PATH];
    unsigned had;

    if (tx)
        (void)touch(m, tx, path);
    *node = nearest(m, tx, path, where);
    had = rights(m, who, &(*node)->perms);
    if (strcmp(where, path) != 0)
        return had & need ? -ENOENT : -EACCES;
    return (had & need) == need ? 0 : -EACCES;
}

/* What DOMID will own more when TX is committed. */
static int64_t delta(const struct model *m, const struct tx *tx, unsigned domid)
{
    int64_t nodes = 0;

    for (unsigned i = 0; tx && i < tx->count; i++) {
        const struct record *r = tx->record[i];

        nodes += r->has && r->now.perms.at[0].domid == domid && means(m, &r->now.perms.at[0]);
        nodes -=
            r->base.used && r->base.perms.at[0].domid == domid && means(m, &r->base.perms.at[0]);
    }
    return nodes;
}

static bool over(const struct model *m, char who, const struct tx *tx, unsigned more)
{
    unsigned domid = store_case_domid(who);
    int64_t nodes = delta(m, tx, domid) + more;

    if (tx && tx->error) /* nothing of it will be there */
        return false;
    return domid != 0 && m->node_limit != 0 && nodes > 0 &&
           model_owned(m, domid) + (uint64_t)nodes > m->node_limit;
}

/* ---- Changes ---- */

/* The path of the component below WHERE on the way to PATH. */
static void step_down(const char *path, char *where)
{
    size_t at = strcmp(where, "/") == 0 ? 1 : strlen(where) + 1;
    size_t len = at + strcspn(path + at, "/");

    put(where, MODEL_PATH, "%.*s", (int)len, path);
}

static void make_one(struct model *m, struct tx *tx, const char *path, const char *value,
                     const struct perms *perms)
{
    char above[MODEL_PATH];
    struct record *record, *parent;

    m->next_id++;
    if (!tx) {
        (void)add_node(m, path, value, perms, m->next_id);
        return;
    }
    parent_of(path, above);
    record = touch(m, tx, path);
    parent = touch(m, tx, above);
    memset(&record->now, 0, sizeof(record->now));
    record->now.used = record->has = record->modified = record->made = true;
    record->value_set = record->perms_set = false;
    put(record->now.path, MODEL_PATH, "%s", path);
    put(record->now.value, sizeof(record->now.value), "%s", value);
    record->now.perms = *perms;
    record->now.id = m->next_id;
    parent->modified = true;
    del_kid(&parent->now, name_of(path)); /* the list may be older than what is live */
    add_kid(&parent->now, name_of(path), m->next_id);
}

static int create(struct model *m, char who, struct tx *tx, const char *path, const char *value)
{
    char where[MODEL_PATH];
    struct node *near = nearest(m, tx, path, where);
    struct perms perms = inherit(m, who, &near->perms);

    if (over(m, who, tx, depth_of(path) - depth_of(where)))
        return -ENOSPC;
    while (strcmp(where, path) != 0) {
        step_down(path, where);
        make_one(m, tx, where, strcmp(where, path) == 0 ? value : "", &perms);
    }
    if (tx)
        record_of(tx, path)->fire = true;
    else
        fire(m, (struct change){path, false, perms_at(m, path), perms_above(m, path), NULL});
    return 0;
}

static int put_value(struct model *m, char who, struct tx *tx, const char *path, const char *value,
                     bool make)
{
    struct node *node;
    int error = get(m, who, tx, path, WRITE, &node);

    if (error == -ENOENT)
        return create(m, who, tx, path, value);
    if (error || make)
        return error;
    put(node->value, sizeof(node->value), "%s", value);
    if (tx) {
        struct record *record = record_of(tx, path);

        record->modified = record->value_set = true;
        record->fire = true;
        return 0;
    }
    node->generation = ++m->generation;
    fire(m, (struct change){path, false, &node->perms, perms_above(m, path), NULL});
    return 0;
}

/* R goes for the transaction, with something above it or alone. Of its domain's quota it gives back
 * what is living now (VISIBLE: nothing hides that from it), not what it has seen there before: if
 * somebody has removed that meanwhile, it was given back then. */
static void give_back(struct model *m, struct record *r, bool visible)
{
    const struct node *live = find(m, r->path);

    if (visible) {
        r->base.used = live != NULL;
        if (live)
            r->base.perms = live->perms;
    } else if (r->has && !r->made) {
        r->base.used = false;
    }
    r->made = false;
}

static void remove_in_tx(struct model *m, struct tx *tx, const char *path, struct record *above)
{
    struct record *top = record_of(tx, path);
    bool visible = find(m, path) && !hidden(tx, path) && !top->wiped;
    unsigned count = tx->count;

    above->modified = true;
    del_kid(&above->now, name_of(path));
    for (unsigned i = 0; i < count; i++) {
        struct record *r = tx->record[i];

        if (!within(r->path, path))
            continue;
        give_back(m, r, visible);
        if (!r->has && r != top)
            continue;
        r->has = false;
        r->modified = true;
    }
    top->fire = true;
    for (unsigned i = 0; visible && i < NODES; i++) {
        struct record *r;

        if (!m->node[i].used || !within(m->node[i].path, path) || record_of(tx, m->node[i].path))
            continue;
        r = add_record(tx, m->node[i].path);
        r->implicit = r->was = r->compare = true;
        r->base = m->node[i];
    }
    top->wiped = true;
}

static int rm(struct model *m, char who, struct tx *tx, const char *path)
{
    static struct node gone[NODES];
    char above[MODEL_PATH], where[MODEL_PATH];
    struct node *node;
    int error = get(m, who, tx, path, WRITE, &node);

    parent_of(path, above);
    if (error == -ENOENT) {
        (void)nearest(m, tx, path, where);
        if (strcmp(where, above) != 0)
            return -ENOENT;
        if (tx)
            (void)touch(m, tx, above);
        return 0;
    }
    if (error)
        return error;
    if (strcmp(path, "/") == 0)
        return -EINVAL;
    if (!tx) {
        fire_gone(m, gone, take_out(m, path, gone));
        return 0;
    }
    if (!touch(m, tx, above)->has) {
        if (!tx->error)
            tx->error = -EAGAIN;
        return -EAGAIN;
    }
    remove_in_tx(m, tx, path, record_of(tx, above));
    return 0;
}

static int put_perms(struct model *m, char who, struct tx *tx, const char *path,
                     const struct perms *perms)
{
    struct node *node;
    struct perms old;
    struct record *record;
    int error;

    if (perms->at[0].domid >= DOMAINS || !m->known[perms->at[0].domid])
        return -ENOENT;
    error = get(m, who, tx, path, WRITE | OWN, &node);
    if (error)
        return error;
    if (store_case_domid(who) != 0 && perms->at[0].domid != node->perms.at[0].domid)
        return -EPERM;
    old = node->perms;
    node->perms = *perms;
    if (!tx) {
        node->generation = ++m->generation;
        fire(m, (struct change){path, false, perms, perms_above(m, path), &old});
        return 0;
    }
    record = record_of(tx, path);
    if (!record->old_set)
        record->old = old;
    record->old_set = record->modified = record->perms_set = true;
    record->fire = true;
    return 0;
}

/* ---- Commit ---- */

static bool valid(struct model *m, const struct tx *tx)
{
    for (unsigned i = 0; i < tx->count; i++) {
        const struct record *r = tx->record[i];
        const struct node *live = find(m, r->path);

        if (r->compare && (live ? live->generation : 0) != r->base.generation)
            return false;
    }
    return true;
}

static void apply(struct model *m, struct record *r)
{
    struct node *live = find(m, r->path);

    if (live && r->wiped) {
        r->gone_count = take_out(m, r->path, r->gone);
        r->removed = true;
        live = NULL;
    }
    if (!r->has)
        return;
    if (!live) {
        (void)add_node(m, r->path, r->now.value, &r->now.perms, r->now.id);
        r->created = true;
        return;
    }
    if (r->value_set)
        memcpy(live->value, r->now.value, sizeof(live->value));
    if (r->perms_set)
        live->perms = r->now.perms;
    if (r->value_set || r->perms_set)
        live->generation = ++m->generation;
}

static void fire_record(struct model *m, struct record *r)
{
    const struct perms *old = r->old_set ? &r->old : r->was ? &r->base.perms : NULL;

    if (!r->fire)
        return;
    if (r->removed)
        fire_gone(m, r->gone, r->gone_count);
    if (!find(m, r->path) && (r->removed || !r->was))
        return;
    fire(m, (struct change){r->path, false, perms_at(m, r->path), perms_above(m, r->path), old});
}

static int commit(struct model *m, struct tx *tx)
{
    if (tx->error)
        return tx->error;
    if (!valid(m, tx))
        return -EAGAIN;
    if (over(m, tx->who, tx, 0))
        return -ENOSPC;
    for (unsigned depth = 0; depth < 16; depth++)
        for (unsigned i = 0; i < tx->count; i++)
            if (depth_of(tx->record[i]->path) == depth && tx->record[i]->modified &&
                !tx->record[i]->implicit)
                apply(m, tx->record[i]);
    for (unsigned i = 0; i < tx->count; i++)
        if (!tx->record[i]->implicit)
            fire_record(m, tx->record[i]);
    return 0;
}

static void end_tx(struct tx *tx)
{
    for (unsigned i = 0; i < tx->count; i++)
        free(tx->record[i]);
    memset(tx, 0, sizeof(*tx));
}

static struct tx *find_tx(struct model *m, char who, uint32_t id)
{
    for (unsigned i = 0; i < TXS; i++)
        if (m->tx[i].open && m->tx[i].who == who && m->tx[i].id == id)
            return &m->tx[i];
    return NULL;
}

bool model_in_transaction(const struct model *m)
{
    for (unsigned i = 0; i < TXS; i++)
        if (m->tx[i].open)
            return true;
    return false;
}

unsigned model_open(const struct model *m, char who)
{
    unsigned count = 0;

    for (unsigned i = 0; i < TXS; i++)
        count += m->tx[i].open && m->tx[i].who == who;
    return count;
}

/* ---- Requests ---- */

struct args {
    unsigned count;
    char at[6][MODEL_PATH];
};

static struct args split(const char *payload)
{
    struct args args = {0};

    while (*payload && args.count < 6) {
        size_t len = strcspn(payload, "|");

        put(args.at[args.count++], MODEL_PATH, "%.*s", (int)len, payload);
        payload += len + (payload[len] == '|');
    }
    return args;
}

static unsigned absolute(char who, const char *path, char *out)
{
    int n = path[0] == '/' ? 0 : put(out, MODEL_PATH, "/local/domain/%u/", store_case_domid(who));

    put(out + n, MODEL_PATH - (size_t)n, "%s", path);
    return (unsigned)n;
}

static void answer(struct model *m, char who, int error, const char *text)
{
    char line[MODEL_TEXT];

    put(line, sizeof(line), error ? "!%s" : "%s",
        error   ? mbr__store_error_name(error)
        : *text ? text
                : "=");
    say(m, who, false, line);
}

static int look(struct model *m, char who, struct tx *tx, uint32_t type, const char *path,
                char *text)
{
    struct node *node;
    int error = get(m, who, tx, path, READ, &node);
    int n = 0;

    text[0] = '\0';
    if (error)
        return error;
    if (type == MBR__XS_READ)
        n += put(text, MODEL_TEXT, "%s", node->value);
    for (unsigned i = 0; type == MBR__XS_DIRECTORY && i < node->kid_count; i++)
        n += put(text + n, MODEL_TEXT - (size_t)n, "%s|", node->kid[i].name);
    for (unsigned i = 0; type == MBR__XS_GET_PERMS && i < node->perms.count; i++)
        n += put(text + n, MODEL_TEXT - (size_t)n, "%c%u|", node->perms.at[i].letter,
                 node->perms.at[i].domid);
    return 0;
}

static struct perms parse(const struct model *m, const struct args *args)
{
    struct perms perms = {0};

    for (unsigned i = 1; i < args->count && i <= MODEL_PERMS; i++) {
        struct perm *perm = &perms.at[perms.count++];

        perm->letter = args->at[i][0];
        perm->domid = (unsigned)atoi(args->at[i] + 1);
        perm->life = perm->domid < DOMAINS && m->known[perm->domid] ? m->life[perm->domid] : 0;
    }
    return perms;
}

static struct watch *find_watch(struct model *m, char who, const char *path, const char *token)
{
    for (unsigned i = 0; i < m->watch_count; i++)
        if (m->watch[i].used && m->watch[i].who == who && strcmp(m->watch[i].path, path) == 0 &&
            strcmp(m->watch[i].token, token) == 0)
            return &m->watch[i];
    return NULL;
}

static void start_watch(struct model *m, char who, const char *path, unsigned strip,
                        const struct args *args)
{
    struct watch *watch;
    char text[MODEL_TEXT];
    struct conn *conn = &m->conn[(unsigned char)who];

    if (find_watch(m, who, path, args->at[1])) {
        answer(m, who, -EEXIST, "");
        return;
    }
    if (m->watch_count == WATCHES) /* the oldest places are free by now */
        abort();
    watch = &m->watch[m->watch_count++];
    *watch = (struct watch){.used = true, .who = who, .strip = strip, .depth = UINT32_MAX};
    put(watch->path, MODEL_PATH, "%s", path);
    put(watch->token, sizeof(watch->token), "%s", args->at[1]);
    if (args->count > 2)
        watch->depth = (unsigned)atoi(args->at[2]);
    answer(m, who, 0, "OK|");
    put(text, sizeof(text), "@%s|%s|", args->at[0], args->at[1]);
    conn->queue[conn->count].event = true;
    put(conn->queue[conn->count++].text, MODEL_TEXT, "%s", text);
}

static void drop_watch(struct model *m, struct watch *watch)
{
    memmove(watch, watch + 1, (size_t)(&m->watch[m->watch_count] - watch - 1) * sizeof(*watch));
    m->watch_count--;
}

static void drop_watches(struct model *m, char who)
{
    for (unsigned i = m->watch_count; i-- > 0;)
        if (m->watch[i].who == who)
            drop_watch(m, &m->watch[i]);
}

static void drop_txs(struct model *m, char who)
{
    for (unsigned i = 0; i < TXS; i++)
        if (m->tx[i].open && m->tx[i].who == who)
            end_tx(&m->tx[i]);
}

static void start_tx(struct model *m, char who, const struct tx *in)
{
    struct tx *tx = m->tx;
    char text[16];

    if (in) {
        answer(m, who, -EBUSY, "");
        return;
    }
    while (tx->open)
        tx++;
    tx->open = true;
    tx->who = who;
    tx->id = m->conn[(unsigned char)who].next_tx++;
    put(text, sizeof(text), "%u|", tx->id);
    answer(m, who, 0, text);
}

static int change(struct model *m, char who, struct tx *tx, uint32_t type, const char *path,
                  const struct args *args)
{
    struct perms perms;

    switch (type) {
    case MBR__XS_WRITE:
        return put_value(m, who, tx, path, args->count > 1 ? args->at[1] : "", false);
    case MBR__XS_MKDIR:
        return put_value(m, who, tx, path, "", true);
    case MBR__XS_RM:
        return rm(m, who, tx, path);
    default:
        perms = parse(m, args);
        return put_perms(m, who, tx, path, &perms);
    }
}

void model_request(struct model *m, char who, uint32_t type, uint32_t tx_id, const char *payload)
{
    struct args args = split(payload);
    char path[MODEL_PATH], text[MODEL_TEXT];
    unsigned strip = absolute(who, args.at[0], path);
    struct tx *tx = tx_id ? find_tx(m, who, tx_id) : NULL;
    struct watch *watch;
    int error;

    if (tx_id && !tx && type != MBR__XS_WATCH && type != MBR__XS_UNWATCH) {
        answer(m, who, -ENOENT, "");
        return;
    }
    switch (type) {
    case MBR__XS_READ:
    case MBR__XS_DIRECTORY:
    case MBR__XS_GET_PERMS:
        error = look(m, who, tx, type, path, text);
        answer(m, who, error, text);
        return;
    case MBR__XS_WATCH:
        start_watch(m, who, path, strip, &args);
        return;
    case MBR__XS_UNWATCH:
        watch = find_watch(m, who, path, args.at[1]);
        if (watch)
            drop_watch(m, watch);
        answer(m, who, watch ? 0 : -ENOENT, "OK|");
        return;
    case MBR__XS_RESET_WATCHES:
        drop_watches(m, who);
        drop_txs(m, who);
        answer(m, who, 0, "OK|");
        return;
    case MBR__XS_TRANSACTION_START:
        start_tx(m, who, tx);
        return;
    case MBR__XS_TRANSACTION_END:
        error = tx ? 0 : -ENOENT;
        if (tx && args.at[0][0] == 'T')
            error = commit(m, tx);
        if (tx)
            end_tx(tx);
        answer(m, who, error, "OK|");
        return;
    default:
        error = change(m, who, tx, type, path, &args);
        answer(m, who, error, "OK|");
    }
}

/* ---- Coming and going ---- */

void model_close(struct model *m, char who)
{
    drop_watches(m, who);
    drop_txs(m, who);
    m->conn[(unsigned char)who].count = 0;
    m->conn[(unsigned char)who].next_tx = 1;
}

void model_introduce(struct model *m, unsigned domid)
{
    m->known[domid] = true;
    m->life[domid]++;
}

static void strike_out(struct model *m, struct node *node, unsigned domid)
{
    unsigned kept = 1;

    for (unsigned i = 1; i < node->perms.count; i++)
        if (node->perms.at[i].domid != domid)
            node->perms.at[kept++] = node->perms.at[i];
    if (kept != node->perms.count)
        node->generation = ++m->generation;
    node->perms.count = kept;
}

/* Visits PATH and what is beneath it, in the order of making. */
static void reap(struct model *m, const char *path, unsigned domid)
{
    static struct node gone[NODES];
    struct node *node = find(m, path);
    struct kid kids[MODEL_KIDS];
    unsigned count = node->kid_count;

    if (node->perms.at[0].domid == domid && strcmp(path, "/") == 0) {
        node->perms.at[0].domid = 0; /* the root stays, as domain 0's */
        node->generation = ++m->generation;
    } else if (node->perms.at[0].domid == domid) {
        fire_gone(m, gone, take_out(m, path, gone));
        return;
    }
    strike_out(m, node, domid);
    memcpy(kids, node->kid, sizeof(kids));
    for (unsigned i = 0; i < count; i++) {
        char below[MODEL_PATH * 2];

        put(below, sizeof(below), "%s/%s", strcmp(path, "/") == 0 ? "" : path, kids[i].name);
        reap(m, below, domid);
    }
}

void model_release(struct model *m, unsigned domid)
{
    m->known[domid] = false;
    for (char who = 'A'; who <= 'z'; who++)
        if (store_case_domid(who) == domid)
            model_close(m, who);
    reap(m, "/", domid);
}

void model_update(struct model *m)
{
    for (unsigned i = 0; i < TXS; i++) {
        struct tx *tx = &m->tx[i];

        if (!tx->open || (!tx->error && valid(m, tx)))
            continue;
        if (!tx->error)
            tx->error = -EAGAIN;
        for (unsigned k = 0; k < tx->count; k++) {
            struct record *r = tx->record[k];
            const struct node *live = find(m, r->path);

            if (r->modified || r->implicit || !r->was)
                continue;
            r->has = live != NULL;
            r->was = live != NULL; /* what it began with is not kept: it has failed already */
            if (live)
                r->now = *live;
        }
    }
}

size_t model_queue(struct model *m, char who, const char *out[MODEL_QUEUE])
{
    struct conn *conn = &m->conn[(unsigned char)who];

    for (unsigned i = 0; i < conn->count; i++)
        out[i] = conn->queue[i].text;
    return conn->count;
}

void model_drain(struct model *m, char who)
{
    m->conn[(unsigned char)who].count = 0;
}

struct model *model_new(uint64_t node_limit)
{
    static const struct perms own = {1, {{0, 'n', 1}}};
    struct model *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->node_limit = node_limit;
    m->known[0] = true;
    m->life[0] = 1;
    model_introduce(m, 1);
    model_introduce(m, 2);
    for (unsigned i = 0; i < 128; i++)
        m->conn[i].next_tx = 1;
    (void)add_node(m, "/", "", &own, ++m->next_id);
    (void)add_node(m, "/tool", "", &own, ++m->next_id);
    (void)add_node(m, "/tool/xenstored", "", &own, ++m->next_id);
    return m;
}

void model_free(struct model *m)
{
    for (unsigned i = 0; m && i < TXS; i++)
        end_tx(&m->tx[i]);
    free(m);
}
