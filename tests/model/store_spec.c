/* SPDX-License-Identifier: MIT */
/*
 * The small store of store_spec.h.
 */
#include "store_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/wire.h"

enum { READ = 1, WRITE = 2, OWN = 4 };

/* ---- paths and permissions ---- */

static const struct {
    const char *text;
    const char *name;
    int parent;
    unsigned depth;
    char letter;
} paths[SPEC_PATHS] = {
    {"/", "", -1, 0, 'r'},      {"/p", "p", 0, 1, 'p'},   {"/p/a", "a", 1, 2, 'a'},
    {"/p/a/x", "x", 2, 3, 'x'}, {"/p/b", "b", 1, 2, 'b'},
};

static const struct {
    const char *text;
    struct spec_perms perms;
} lists[] = {
    {"n0|", {1, {{'n', 0}}}},
    {"b0|", {1, {{'b', 0}}}},
    {"n1|", {1, {{'n', 1}}}},
    {"n0|r1|", {2, {{'n', 0}, {'r', 1}}}},
    {"n0|b2|r1|", {3, {{'n', 0}, {'b', 2}, {'r', 1}}}},
    {"r2|w1|", {2, {{'r', 2}, {'w', 1}}}},
};

const char *spec_perms_text(char arg)
{
    unsigned i = (unsigned)(arg - '0');

    return i < sizeof(lists) / sizeof(lists[0]) ? lists[i].text : NULL;
}

const char *spec_path_text(int path)
{
    return paths[path].text;
}

int spec_path_find(const char *text)
{
    for (int p = 0; p < SPEC_PATHS; p++)
        if (strcmp(paths[p].text, text) == 0)
            return p;
    return -1;
}

int spec_path_of(char letter)
{
    for (int p = 0; p < SPEC_PATHS; p++)
        if (paths[p].letter == letter)
            return p;
    return -1;
}

bool spec_within(int path, int base)
{
    while (path > base)
        path = paths[path].parent;
    return path == base;
}

static unsigned rights(const struct spec *s, int conn, const struct spec_perms *perms)
{
    unsigned domid = s->domid[conn];
    char letter = perms->at[0].letter;

    if (domid == 0 || perms->at[0].domid == domid)
        return READ | WRITE | OWN;
    for (unsigned i = perms->count; i-- > 1;)
        if (perms->at[i].domid == domid)
            letter = perms->at[i].letter;
    return (strchr("rb", letter) ? READ : 0u) | (strchr("wb", letter) ? WRITE : 0u);
}

void spec_init(struct spec *s)
{
    memset(s, 0, sizeof(*s));
    s->versions = 1;
    s->node[0] = (struct spec_node){.version = 1, .perms = lists[0].perms};
    for (int i = 0; i < SPEC_WATCHES; i++)
        s->watch[i].conn = -1;
}

/* ---- what a transaction sees ---- */

static const struct spec_node nothing;

static bool is_hidden(const struct spec_tx *tx, int path)
{
    for (int q = paths[path].parent; q >= 0; q = paths[q].parent)
        if (tx->at[q].wiped)
            return true;
    return false;
}

static const struct spec_node *view(const struct spec *s, const struct spec_tx *tx, int path)
{
    if (tx->at[path].noted)
        return &tx->at[path].now;
    return is_hidden(tx, path) ? &nothing : &s->node[path];
}

static struct spec_node *note(const struct spec *s, struct spec_tx *tx, int path)
{
    if (!tx->at[path].noted) {
        tx->at[path].now = *view(s, tx, path);
        tx->at[path].first = tx->at[path].now.version;
        tx->at[path].noted = true;
    }
    return &tx->at[path].now;
}

static bool has_lost(const struct spec *s, const struct spec_tx *tx)
{
    for (int p = 0; p < SPEC_PATHS; p++)
        if (tx->at[p].noted && tx->at[p].first != s->node[p].version)
            return true;
    return false;
}

static int nearest(const struct spec *s, const struct spec_tx *tx, int path)
{
    while (view(s, tx, path)->version == 0)
        path = paths[path].parent;
    return path;
}

/* Looks at PATH for somebody who needs RIGHTS. Who may not know is told so of what is missing. */
static int look(const struct spec *s, int conn, struct spec_tx *tx, int path, unsigned need)
{
    int near;
    unsigned had;

    (void)note(s, tx, path);
    near = nearest(s, tx, path);
    had = rights(s, conn, &view(s, tx, near)->perms);
    if (near != path)
        return had & need ? -ENOENT : -EACCES;
    return (had & need) == need ? 0 : -EACCES;
}

/* ---- what it changes ---- */

static void change(struct spec *s, struct spec_tx *tx, int path)
{
    tx->at[path].changed = true;
    tx->at[path].now.version = ++s->versions;
}

static void make(struct spec *s, int conn, struct spec_tx *tx, int path, char value)
{
    int near = nearest(s, tx, path);
    struct spec_perms perms = view(s, tx, near)->perms;

    if (s->domid[conn] != 0)
        perms.at[0].domid = s->domid[conn];
    for (int p = path; p != near; p = paths[p].parent) {
        struct spec_node *node = note(s, tx, p);
        uint8_t kids = p == path ? 0 : node->kids;

        *node = (struct spec_node){.value = p == path ? value : 0, .kids = kids, .perms = perms};
        change(s, tx, p);
        note(s, tx, paths[p].parent)->kids |= (uint8_t)(1u << p);
    }
    change(s, tx, near);
    tx->at[path].mark = SPEC_FULL;
}

static int put(struct spec *s, int conn, struct spec_tx *tx, int path, char value, bool only_make)
{
    int error = look(s, conn, tx, path, WRITE);

    if (error == -ENOENT) {
        make(s, conn, tx, path, value);
        return 0;
    }
    if (error || only_make)
        return error;
    tx->at[path].now.value = value;
    change(s, tx, path);
    tx->at[path].mark = SPEC_FULL;
    return 0;
}

static void take_out(struct spec *s, struct spec_tx *tx, int path)
{
    for (int p = SPEC_PATHS - 1; p >= path; p--) {
        if (!spec_within(p, path) || view(s, tx, p)->version == 0)
            continue;
        (void)note(s, tx, p);
        tx->at[p].now = nothing;
        tx->at[p].changed = true;
        tx->at[p].went_alone = p == path;
        if (p == path || tx->at[p].mark == SPEC_UNTOLD)
            tx->at[p].mark = p == path ? SPEC_FULL : SPEC_EXACT;
    }
    tx->at[path].wiped = true;
    tx->at[paths[path].parent].now.kids &= (uint8_t) ~(1u << path);
    change(s, tx, paths[path].parent);
}

static int rm(struct spec *s, int conn, struct spec_tx *tx, int path)
{
    int error = look(s, conn, tx, path, WRITE);
    int above = paths[path].parent;

    if (error == -ENOENT && nearest(s, tx, path) == above) {
        (void)note(s, tx, above);
        return 0;
    }
    if (error)
        return error;
    if (above < 0)
        return -EINVAL;
    if (note(s, tx, above)->version == 0) { /* it went meanwhile: this one has lost */
        tx->error = -EAGAIN;
        return -EAGAIN;
    }
    take_out(s, tx, path);
    return 0;
}

static int set_perms(struct spec *s, int conn, struct spec_tx *tx, int path,
                     const struct spec_perms *perms)
{
    int error = look(s, conn, tx, path, WRITE | OWN);

    if (error)
        return error;
    if (s->domid[conn] != 0 && perms->at[0].domid != tx->at[path].now.perms.at[0].domid)
        return -EPERM;
    tx->at[path].now.perms = *perms;
    change(s, tx, path);
    tx->at[path].mark = SPEC_FULL;
    return 0;
}

/* ---- telling ---- */

static const struct spec_node *either(const struct spec_node *first, const struct spec_node *second)
{
    return first->version != 0 ? first : second;
}

/* Whether CONN may learn of PATH, given how all was before. */
static bool may_know(const struct spec *s, int conn, const struct spec_node *before, int path)
{
    const struct spec_node *now = either(&s->node[path], &before[path]);
    int above = paths[path].parent;

    if (s->domid[conn] == 0 || (now->version && (rights(s, conn, &now->perms) & READ)))
        return true;
    if (before[path].version && (rights(s, conn, &before[path].perms) & READ))
        return true;
    return above >= 0 &&
           (rights(s, conn, &either(&s->node[above], &before[above])->perms) & READ) != 0;
}

/* Of PATH: whether those above must and may be told, and those at it. */
static void tell(const struct spec *s, const struct spec_tx *tx, const struct spec_node *before,
                 int path, struct spec_effect *effect)
{
    bool was = before[path].version != 0;
    bool is = s->node[path].version != 0;
    bool all = tx->at[path].mark == SPEC_FULL && (is || (was && tx->at[path].went_alone));
    bool own = all || (was && !is) || (was && tx->at[path].mark == SPEC_EXACT);

    for (int w = 0; w < s->watches; w++) {
        const struct spec_watch *watch = &s->watch[w];
        bool at_it = watch->path == path;

        if (watch->conn < 0 || !spec_within(path, watch->path) ||
            paths[path].depth - paths[watch->path].depth > watch->depth ||
            !may_know(s, watch->conn, before, path))
            continue;
        if (all || (at_it && own))
            effect->told[w][path] = SPEC_MUST;
        else if (at_it || tx->at[path].mark == SPEC_FULL)
            effect->told[w][path] = SPEC_MAY;
    }
}

static int commit(struct spec *s, struct spec_tx *tx, struct spec_effect *effect)
{
    struct spec_node before[SPEC_PATHS];

    if (tx->error)
        return tx->error;
    if (has_lost(s, tx))
        return -EAGAIN;
    memcpy(before, s->node, sizeof(before));
    for (int p = 0; p < SPEC_PATHS; p++)
        if (tx->at[p].changed) {
            s->node[p] = tx->at[p].now;
            if (s->node[p].version != 0)
                s->node[p].version = ++s->versions;
        }
    for (int p = 0; p < SPEC_PATHS; p++)
        if (tx->at[p].mark != SPEC_UNTOLD)
            tell(s, tx, before, p, effect);
    return 0;
}

/* ---- requests ---- */

static int find_watch(const struct spec *s, int conn, const struct spec_op *op)
{
    for (int w = 0; w < s->watches; w++)
        if (s->watch[w].conn == conn && s->watch[w].path == op->path &&
            s->watch[w].token == op->arg)
            return w;
    return -1;
}

static int begin_watch(struct spec *s, int conn, const struct spec_op *op,
                       struct spec_effect *effect)
{
    if (find_watch(s, conn, op) >= 0)
        return -EEXIST;
    effect->watch = s->watches;
    s->watch[s->watches++] =
        (struct spec_watch){conn, op->path, op->kind == 'o' ? 0 : UINT32_MAX, op->arg};
    return 0;
}

static int end_watch(struct spec *s, int conn, const struct spec_op *op)
{
    int w = find_watch(s, conn, op);

    if (w < 0)
        return -ENOENT;
    s->watch[w].conn = -1;
    return 0;
}

void spec_close(struct spec *s, int conn)
{
    for (int w = 0; w < s->watches; w++)
        if (s->watch[w].conn == conn)
            s->watch[w].conn = -1;
    memset(&s->tx[conn], 0, sizeof(s->tx[conn]));
}

void spec_update(struct spec *s)
{
    for (int c = 0; c < SPEC_CONNS; c++)
        if (s->tx[c].open && has_lost(s, &s->tx[c]))
            s->tx[c].error = -EAGAIN;
}

static int start(struct spec *s, int conn, struct spec_effect *effect)
{
    memset(&s->tx[conn], 0, sizeof(s->tx[conn]));
    s->tx[conn].open = true;
    effect->started = true;
    return 0;
}

static int end(struct spec *s, int conn, bool really, struct spec_effect *effect)
{
    struct spec_tx *tx = &s->tx[conn];
    int error = tx->open ? 0 : -ENOENT;

    if (!error && really)
        error = commit(s, tx, effect);
    memset(tx, 0, sizeof(*tx));
    return error;
}

static void show(const struct spec_node *node, char kind, char *out)
{
    char *at = out;

    if (kind == 'R' && node->value)
        *at++ = node->value;
    for (int p = 0; kind == 'D' && p < SPEC_PATHS; p++)
        if (node->kids & 1u << p)
            at += snprintf(at, 8, "%s|", paths[p].name);
    for (unsigned i = 0; kind == 'G' && i < node->perms.count; i++)
        at += snprintf(at, 16, "%c%u|", node->perms.at[i].letter, node->perms.at[i].domid);
    if (at == out)
        *at++ = '=';
    *at = '\0';
}

/* A request about a node, seen and changed as TX does. */
static int on_node(struct spec *s, int conn, struct spec_tx *tx, const struct spec_op *op,
                   struct spec_effect *effect)
{
    int error;

    switch (op->kind) {
    case 'W':
        return put(s, conn, tx, op->path, op->arg, false);
    case 'M':
        return put(s, conn, tx, op->path, 0, true);
    case 'X':
        return rm(s, conn, tx, op->path);
    case 'P':
        return set_perms(s, conn, tx, op->path, &lists[op->arg - '0'].perms);
    default:
        error = look(s, conn, tx, op->path, READ);
        if (!error)
            show(&tx->at[op->path].now, op->kind, effect->reply);
        return error;
    }
}

static int node_request(struct spec *s, int conn, const struct spec_op *op,
                        struct spec_effect *effect)
{
    struct spec_tx alone;
    struct spec_tx *tx = op->in_tx ? &s->tx[conn] : &alone;
    bool may_lie;
    int error;

    if (op->in_tx && !tx->open)
        return -ENOENT;
    memset(&alone, 0, sizeof(alone));
    may_lie = op->in_tx && tx->error != 0;
    error = on_node(s, conn, tx, op, effect);
    if (!error && !op->in_tx)
        error = commit(s, tx, effect);
    if (may_lie)
        effect->reply[0] = '?'; /* it will fail: what it sees until then is nobody's business */
    return error;
}

void spec_request(struct spec *s, int conn, const struct spec_op *op, struct spec_effect *effect)
{
    int error;

    memset(effect, 0, sizeof(*effect));
    effect->watch = -1;
    snprintf(effect->reply, sizeof(effect->reply), "OK|");
    switch (op->kind) {
    case 'S':
        error = start(s, conn, effect);
        break;
    case 'C':
    case 'F':
        error = end(s, conn, op->kind == 'C', effect);
        break;
    case 'w':
    case 'o':
        error = begin_watch(s, conn, op, effect);
        break;
    case 'u':
        error = end_watch(s, conn, op);
        break;
    case 'Z':
        spec_close(s, conn);
        error = 0;
        break;
    default:
        error = node_request(s, conn, op, effect);
    }
    if (effect->reply[0] == '?' || effect->started)
        effect->reply[0] = '\0';
    else if (error)
        snprintf(effect->reply, sizeof(effect->reply), "!%s", mbr__store_error_name(error));
}
