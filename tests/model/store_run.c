/* SPDX-License-Identifier: MIT */
/*
 * Runs programs on the engine and on the specification, and compares; see store_run.h.
 */
#include "store_run.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../store/local.h"
#include "store/lifecycle.h"
#include "trace.h"

#define JUDGE      RUN_CONNS
#define QUEUE_MAX  4096
#define MESSAGES   64
#define REQUEST_ID 77 /* of local_send() */

bool run_resetting;
void (*run_after_request)(void);

/* What waits for a connection, as it was after the last step. */
struct queue {
    unsigned char bytes[QUEUE_MAX];
    size_t length;
    size_t rest; /* bytes at the front that are the end of a message */
};

struct message {
    struct mbr__store_header head;
    const char *payload;
    size_t end;
};

static struct {
    struct local local;
    struct spec spec;
    char who[SPEC_CONNS + 1];
    bool gone[SPEC_CONNS];
    uint32_t tx[SPEC_CONNS]; /* the number of the transaction that is open or was last */
    struct queue queue[SPEC_CONNS];
    bool seen[SPEC_PATHS][SPEC_PATHS]; /* in this step, whether the first was told before */
    struct trace trace;
    char wrong[512];
} w;

const char *run_wrong(void)
{
    return w.wrong;
}

const char *run_trace(void)
{
    return w.trace.text;
}

static bool wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Always false, for `return wrong(...)`. */
static bool wrong(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(w.wrong, sizeof(w.wrong), format, args);
    va_end(args);
    return false;
}

/* ---- programs -------------------------------------------------------------------------------- */

static bool takes_path(char kind)
{
    return kind != '\0' && strchr("RDGWMXPwou", kind) != NULL;
}

/* Parses one request; what follows it, or NULL. `e` has its number in *eat. */
static const char *parse(const char *text, struct spec_op *op, size_t *eat)
{
    *op = (struct spec_op){.in_tx = *text == 'T'};
    *eat = 0;
    text += op->in_tx;
    op->kind = *text++;
    if (op->kind == 'e') {
        *eat = isdigit((unsigned char)*text) ? strtoul(text, NULL, 10) : SIZE_MAX;
        return text + strspn(text, "0123456789");
    }
    if (!takes_path(op->kind))
        return op->kind != '\0' && strchr("SCFZ", op->kind) != NULL ? text : NULL;
    op->path = spec_path_of(*text++);
    if (op->path < 0)
        return NULL;
    if (strchr("WPwou", op->kind) != NULL && (op->arg = *text++) == '\0')
        return NULL;
    return op->kind == 'P' && spec_perms_text(op->arg) == NULL ? NULL : text;
}

int run_length(const char *text)
{
    struct spec_op op;
    size_t eat;
    int n = 0;

    while (*text != '\0') {
        text = parse(text, &op, &eat);
        if (text == NULL || ++n > RUN_OPS)
            return 0;
        text += strspn(text, " ");
    }
    return n;
}

/* ---- what waits ------------------------------------------------------------------------------ */

/* The whole queue of the engine; its length, or SIZE_MAX if it is longer than it can be. */
static size_t grab(int conn, unsigned char out[QUEUE_MAX])
{
    struct iovec iov[2];
    size_t length = 0;
    int pieces = mbr__store_conn_peek(local_conn(&w.local, w.who[conn]), iov);

    for (int i = 0; i < pieces; i++) {
        if (iov[i].iov_len > QUEUE_MAX - length)
            return SIZE_MAX;
        memcpy(out + length, iov[i].iov_base, iov[i].iov_len);
        length += iov[i].iov_len;
    }
    return length;
}

/* The message at AT of a queue. */
static bool message_at(const unsigned char *bytes, size_t length, size_t at, struct message *m)
{
    if (length - at < MBR__STORE_HEADER_SIZE)
        return false;
    mbr__store_header_parse(&m->head, bytes + at);
    if (m->head.len > length - at - MBR__STORE_HEADER_SIZE)
        return false;
    m->payload = (const char *)bytes + at + MBR__STORE_HEADER_SIZE;
    m->end = at + MBR__STORE_HEADER_SIZE + m->head.len;
    return true;
}

/* Whether this event waits whole: equal ones that come now are to be left out. */
static bool is_unread(const struct queue *q, int path, char token)
{
    const char *text = spec_path_text(path);
    size_t length = strlen(text) + 1;
    struct message m;

    for (size_t at = q->rest; message_at(q->bytes, q->length, at, &m); at = m.end)
        if (m.head.type == MBR__XS_WATCH_EVENT && m.head.len == length + 2 &&
            memcmp(m.payload, text, length) == 0 && m.payload[length] == token)
            return true;
    return false;
}

/* The client reads SIZE bytes. */
static void eat(int conn, size_t size)
{
    struct queue *q = &w.queue[conn];
    struct message m;
    size_t at = q->rest;

    if (size > q->length)
        size = q->length;
    while (at < size && message_at(q->bytes, q->length, at, &m))
        at = m.end;
    mbr__store_conn_consume(local_conn(&w.local, w.who[conn]), size);
    memmove(q->bytes, q->bytes + size, q->length - size);
    q->length -= size;
    q->rest = at - size;
    trace_add(&w.trace, "%c reads %zu bytes\n", w.who[conn], size);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* The names of a list in the specification's order; /tool is not its business. */
static void describe_list(const struct message *m, char out[256])
{
    static const char *const names[] = {"p", "a", "x", "b"};

    if (m->head.len == 0 || m->payload[m->head.len - 1] != '\0')
        return;
    for (size_t i = 0; i < 4; i++)
        for (size_t at = 0; at < m->head.len; at += strlen(m->payload + at) + 1)
            if (strcmp(m->payload + at, names[i]) == 0)
                (void)snprintf(out + strlen(out), 256 - strlen(out), "%s|", names[i]);
}

/* Payloads as the specification writes them: '|' for NUL, "=" for nothing. */
static void describe(const struct message *m, char kind, char out[256])
{
    size_t n = m->head.len < 250 ? m->head.len : 250;
    size_t at = 0;

    if (m->head.type == MBR__XS_ERROR)
        out[at++] = '!';
    else if (kind == 'D')
        n = 0;
    for (size_t i = 0; i < n; i++)
        out[at++] = m->payload[i] != '\0' ? m->payload[i] : '|';
    if (m->head.type == MBR__XS_ERROR && n > 0)
        at--; /* without its NUL */
    out[at] = '\0';
    if (m->head.type != MBR__XS_ERROR && kind == 'D')
        describe_list(m, out);
    if (out[0] == '\0')
        (void)snprintf(out, 256, "=");
}

static bool check_reply(int conn, const struct spec_op *op, const struct message *m,
                        const struct spec_effect *effect, uint32_t type, uint32_t tx)
{
    char is[256];

    describe(m, op->kind, is);
    trace_add(&w.trace, "    %s\n", is);
    if (m->head.req_id != REQUEST_ID || m->head.tx_id != tx ||
        (m->head.type != type && m->head.type != MBR__XS_ERROR))
        return wrong("the answer to %c has another number or type", w.who[conn]);
    if (effect->started) {
        unsigned long id = strtoul(is, NULL, 10);

        if (m->head.type == MBR__XS_ERROR || id == 0)
            return wrong("%c got no transaction: %s", w.who[conn], is);
        w.tx[conn] = (uint32_t)id;
        return true;
    }
    if (effect->reply[0] != '\0' && strcmp(effect->reply, is) != 0)
        return wrong("the answer to %c is %s, should be %s", w.who[conn], is, effect->reply);
    return true;
}

/* Which watch of CONN an event is for, and of what it tells. */
static bool meaning(int conn, const struct message *m, int *watch, int *path)
{
    size_t length = strnlen(m->payload, m->head.len) + 1;

    *watch = -1;
    if (m->head.req_id != 0 || m->head.tx_id != 0 || length + 2 != m->head.len ||
        m->payload[m->head.len - 1] != '\0')
        return wrong("an event to %c is none", w.who[conn]);
    *path = spec_path_find(m->payload);
    for (int i = 0; i < w.spec.watches; i++)
        if (w.spec.watch[i].conn == conn && w.spec.watch[i].token == m->payload[length])
            *watch = i;
    trace_add(&w.trace, "    %c < %s %c\n", w.who[conn], m->payload, m->payload[length]);
    if (*watch < 0 || *path < 0)
        return wrong("%c is told of %s by %c, which it has not asked for", w.who[conn], m->payload,
                     m->payload[length]);
    return true;
}

/* The order of what is told in one step is the same for all, and that of the watches their own. */
static bool check_order(int conn, int path, int last_path, int watch, int last_watch)
{
    if (path == last_path)
        return watch > last_watch ||
               wrong("%c is told of %s by a later watch before an earlier one", w.who[conn],
                     spec_path_text(path));
    if (last_path < 0)
        return true;
    if (w.seen[path][last_path])
        return wrong("%s and %s are told in two orders", spec_path_text(path),
                     spec_path_text(last_path));
    w.seen[last_path][path] = true;
    return true;
}

/* COUNT events at M have come to CONN. */
static bool check_events(int conn, const struct spec_op *op, const struct message *m, int count,
                         const struct spec_effect *effect)
{
    unsigned told[SPEC_WATCHES][SPEC_PATHS] = {0};
    int last_path = -1, last_watch = -1;

    for (int i = 0; i < count; i++) {
        int watch, path;

        if (!meaning(conn, &m[i], &watch, &path) ||
            !check_order(conn, path, last_path, watch, last_watch))
            return false;
        if (op->kind == 'X' && !op->in_tx && last_path >= 0 && !spec_within(last_path, path))
            return wrong("%s is told before what was in it", spec_path_text(last_path));
        told[watch][path]++;
        last_path = path;
        last_watch = watch;
    }
    for (int i = 0; i < w.spec.watches; i++)
        for (int p = 0; w.spec.watch[i].conn == conn && p < SPEC_PATHS; p++) {
            enum spec_told due = effect->told[i][p];
            bool unread = is_unread(&w.queue[conn], p, w.spec.watch[i].token);

            if (told[i][p] > 1 || (told[i][p] > 0 && (due == SPEC_NO || unread)))
                return wrong("%c is told once too often of %s", w.who[conn], spec_path_text(p));
            if (told[i][p] == 0 && due == SPEC_MUST && !unread)
                return wrong("%c is not told of %s", w.who[conn], spec_path_text(p));
        }
    return true;
}

/* The first event of a watch follows its OK at once, whatever else waits. */
static bool check_first_event(int conn, const struct spec_op *op, const struct message *m,
                              int count, const struct spec_effect *effect)
{
    int watch, path;

    if (effect->watch < 0)
        return count == 1 || wrong("%c has more than its refusal", w.who[conn]);
    if (count != 2 || m[1].head.type != MBR__XS_WATCH_EVENT)
        return wrong("%c has begun a watch and has %d messages", w.who[conn], count);
    if (!meaning(conn, &m[1], &watch, &path))
        return false;
    return (watch == effect->watch && path == op->path) ||
           wrong("the first event of %c is another's", w.who[conn]);
}

/* What has come to CONN in this step, in which ASKER asked for OP. */
static bool check_queue(int conn, int asker, const struct spec_op *op,
                        const struct spec_effect *effect, uint32_t type, uint32_t tx)
{
    static unsigned char bytes[QUEUE_MAX];
    struct queue *q = &w.queue[conn];
    size_t length = grab(conn, bytes);
    struct message m[MESSAGES];
    int count = 0;
    bool ok = true;

    if (length == SIZE_MAX || length < q->length || memcmp(bytes, q->bytes, q->length) != 0)
        return wrong("what waited for %c has changed", w.who[conn]);
    for (size_t at = q->length; at < length && ok; at = m[count++].end)
        if (count == MESSAGES || !message_at(bytes, length, at, &m[count]))
            return wrong("half a message for %c", w.who[conn]);
    if (conn != asker)
        ok = check_events(conn, op, m, count, effect);
    else if (count == 0)
        return wrong("%c is not answered", w.who[conn]);
    else if (op->kind == 'w' || op->kind == 'o')
        ok = check_reply(conn, op, &m[0], effect, type, tx) &&
             check_first_event(conn, op, m, count, effect);
    else
        ok = check_events(conn, op, m, count - 1, effect) &&
             check_reply(conn, op, &m[count - 1], effect, type, tx);
    memcpy(q->bytes, bytes, length);
    q->length = length;
    return ok;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint32_t request_of(const struct spec_op *op, char *text, size_t size)
{
    const char *path = spec_path_text(op->path);

    (void)snprintf(text, size, "%s|", path);
    switch (op->kind) {
    case 'R':
        return MBR__XS_READ;
    case 'D':
        return MBR__XS_DIRECTORY;
    case 'G':
        return MBR__XS_GET_PERMS;
    case 'M':
        return MBR__XS_MKDIR;
    case 'X':
        return MBR__XS_RM;
    case 'W':
        (void)snprintf(text, size, "%s|%c", path, op->arg);
        return MBR__XS_WRITE;
    case 'P':
        (void)snprintf(text, size, "%s|%s", path, spec_perms_text(op->arg));
        return MBR__XS_SET_PERMS;
    case 'w':
    case 'o':
        (void)snprintf(text, size, op->kind == 'w' ? "%s|%c|" : "%s|%c|0|", path, op->arg);
        return MBR__XS_WATCH;
    case 'u':
        (void)snprintf(text, size, "%s|%c|", path, op->arg);
        return MBR__XS_UNWATCH;
    case 'S':
        (void)snprintf(text, size, "|");
        return MBR__XS_TRANSACTION_START;
    case 'Z':
        (void)snprintf(text, size, "|");
        return MBR__XS_RESET_WATCHES;
    default:
        (void)snprintf(text, size, "%s|", op->kind == 'C' ? "T" : "F");
        return MBR__XS_TRANSACTION_END;
    }
}

static bool ask(int conn, const struct spec_op *op)
{
    bool in_tx = op->in_tx || op->kind == 'C' || op->kind == 'F';
    uint32_t tx = in_tx ? w.tx[conn] : 0;
    struct spec_effect effect;
    char text[64];
    uint32_t type = request_of(op, text, sizeof(text));
    int rc;

    trace_add(&w.trace, "%c.%u %s %s\n", w.who[conn], tx, mbr__store_type_name(type), text);
    spec_request(&w.spec, conn, op, &effect);
    memset(w.seen, 0, sizeof(w.seen));
    rc = local_send(&w.local, w.who[conn], type, tx, text);
    if (rc != 0)
        return wrong("the request is not taken: %d", rc);
    if (run_after_request != NULL)
        run_after_request();
    for (int c = 0; c < SPEC_CONNS; c++)
        if (!w.gone[c] && !check_queue(c, conn, op, &effect, type, tx))
            return false;
    return true;
}

static bool do_step(int conn, const char **text)
{
    struct spec_op op;
    size_t size;

    *text = parse(*text, &op, &size);
    *text += strspn(*text, " ");
    if (w.gone[conn])
        return true;
    if (op.kind != 'e')
        return ask(conn, &op);
    eat(conn, size);
    return true;
}

/* ---- trouble --------------------------------------------------------------------------------- */

static bool update(void)
{
    static unsigned char bytes[QUEUE_MAX];
    int rc;

    trace_add(&w.trace, "live update\n");
    rc = local_update(&w.local);
    if (rc != 0)
        return wrong("the live update fails: %d", rc);
    spec_update(&w.spec);
    for (int c = 0; c < SPEC_CONNS; c++) {
        struct queue *q = &w.queue[c];

        if (w.gone[c])
            continue;
        if (w.local.conn[(unsigned char)w.who[c]] == NULL)
            return wrong("%c has lost its connection", w.who[c]);
        if (grab(c, bytes) != q->length || memcmp(bytes, q->bytes, q->length) != 0)
            return wrong("what waited for %c has changed", w.who[c]);
    }
    return true;
}

static void forget(int conn)
{
    spec_close(&w.spec, conn);
    w.queue[conn] = (struct queue){.length = 0};
}

static bool make_trouble(const struct run_plan *plan, int step)
{
    if (plan->trouble == RUN_UPDATE_ALWAYS)
        return update();
    if (plan->trouble == RUN_NONE || plan->at != step || w.gone[plan->who])
        return true;
    switch (plan->trouble) {
    case RUN_UPDATE_AND_EAT:
        eat(plan->who, 20); /* a header, and a part of what follows */
        return update();
    case RUN_DEATH:
        trace_add(&w.trace, "%c dies\n", w.who[plan->who]);
        local_close(&w.local, w.who[plan->who]);
        w.gone[plan->who] = true;
        forget(plan->who);
        return true;
    case RUN_RESET:
        trace_add(&w.trace, "%c is reset\n", w.who[plan->who]);
        run_resetting = true;
        mbr__store_conn_reset(local_conn(&w.local, w.who[plan->who]));
        run_resetting = false;
        forget(plan->who);
        return true;
    default:
        return update();
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool check_node(const struct mbr__store_change *put, const struct spec_node *node, int path)
{
    char letter = node->perms.at[0].letter;
    bool same = put->value_len == (node->value != 0) && put->perm_count == node->perms.count &&
                (node->value == 0 || *(const char *)put->value == node->value) &&
                put->perms[0].letter == letter;

    for (uint32_t i = 0; same && i < put->perm_count; i++)
        same = put->perms[i].letter == node->perms.at[i].letter &&
               put->perms[i].domid == node->perms.at[i].domid;
    return same || wrong("%s is another node", spec_path_text(path));
}

/* The path below that of ABOVE, or -1. */
static int path_below(int above, const struct mbr__store_change *put)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%s/%.*s", above > 0 ? spec_path_text(above) : "",
                   (int)put->name_len, put->name);
    return above < 0 ? -1 : spec_path_find(text);
}

/* The whole tree, as it is kept and as it should be. */
static bool check_tree(void)
{
    struct mbr__store_snapshot *snapshot = NULL;
    struct mbr__store_change put;
    int above[8] = {0};
    unsigned nodes = 0;
    uint32_t depth;
    bool ok = true;
    int more;

    if (mbr__store_snapshot_new(w.local.store, &snapshot) != 0)
        return wrong("no snapshot");
    while (ok && (more = mbr__store_snapshot_next(snapshot, &put, &depth)) > 0) {
        int path = depth == 0 ? (put.id == 1 ? 0 : -1) : path_below(above[depth - 1], &put);

        if (depth < 8)
            above[depth] = path;
        if (path < 0)
            continue; /* /tool, and the special names */
        nodes++;
        ok = w.spec.node[path].version != 0 ? check_node(&put, &w.spec.node[path], path)
                                            : wrong("%s should be gone", spec_path_text(path));
    }
    mbr__store_snapshot_free(snapshot);
    for (int p = 0; p < SPEC_PATHS; p++)
        nodes -= w.spec.node[p].version != 0;
    return ok && (nodes == 0 || wrong("a node is missing"));
}

/* A last write, of which everybody must hear who still watches; then everything is counted. */
static bool judge(void)
{
    static const struct spec_op last = {.kind = 'W', .path = 2, .arg = '9'};
    char text[256];
    const char *bad;

    if (!check_tree() || !ask(JUDGE, &last) || !check_tree())
        return false;
    bad = mbr__st_check(w.local.store, text, sizeof(text));
    return bad == NULL || wrong("%s", bad);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static bool set_up(const struct run_program *program)
{
    const char *text = program->setup;

    w.local = (struct local){0};
    spec_init(&w.spec);
    memset(w.queue, 0, sizeof(w.queue));
    memset(w.gone, 0, sizeof(w.gone));
    memset(w.tx, 0, sizeof(w.tx));
    w.trace.length = 0;
    w.wrong[0] = '\0';
    (void)snprintf(w.who, sizeof(w.who), "%sJ", program->who);
    if (local_init(&w.local, NULL) != 0)
        return wrong("no memory");
    for (int c = 0; c < SPEC_CONNS; c++) {
        if (local_conn(&w.local, w.who[c]) == NULL)
            return wrong("no memory");
        w.spec.domid[c] = store_case_domid(w.who[c]);
    }
    while (*text != '\0') {
        int conn = (int)(strchr(w.who, *text) - w.who);

        text += 2;
        if (!do_step(conn, &text))
            return false;
        eat(conn, SIZE_MAX);
    }
    for (int c = 0; c < SPEC_CONNS; c++)
        eat(c, SIZE_MAX);
    return true;
}

static bool run_all(const struct run_program *program, const struct run_plan *plan)
{
    const char *at[RUN_CONNS];

    for (int c = 0; c < RUN_CONNS; c++)
        at[c] = program->text[c];
    if (!set_up(program))
        return false;
    for (int i = 0; i < plan->steps; i++)
        if (!do_step(plan->order[i], &at[plan->order[i]]) || !make_trouble(plan, i))
            return false;
    return judge();
}

bool run(const struct run_program *program, const struct run_plan *plan)
{
    bool ok = run_all(program, plan);

    local_fini(&w.local);
    return ok;
}
