/* SPDX-License-Identifier: MIT */
/*
 * membrane object rm, destroy, check, gc and top: looking after containers.
 */
#include "object.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <membrane/queue.h>

#include "exits.h"
#include "names.h"
#include "printable.h"
#include "progress.h"
#include "say.h"
#include "stop.h"
#include "units.h"

/* ---- rm ---- */

int object_rm(const struct tool_args *args)
{
    bool force = tool_given(args, OPT_FORCE);
    int container, code = object_open(args, false, &container);

    if (code != TOOL_EXIT_OK)
        return code;
    for (int i = 1; i < args->words; i++) {
        int rc = mbr_object_unlink(container, args->all[i]);

        if (rc < 0 && !(force && rc == -ENOENT) && code == TOOL_EXIT_OK)
            code = object_error(rc, args->all[i]);
    }
    (void)mbr_container_leave(container);
    return code;
}

/* ---- destroy ---- */

int object_destroy(const struct tool_args *args)
{
    const char *name = args->word[0];
    uint64_t deadline = 0;
    int container, rc, code = object_deadline(args, &deadline);

    if (code == TOOL_EXIT_OK)
        code = object_open(args, false, &container);
    if (code != TOOL_EXIT_OK)
        return code;
    rc = mbr_container_destroy_until(container, deadline);
    if (rc == 0)
        return TOOL_EXIT_OK;
    (void)mbr_container_leave(container);
    return object_error(rc, name);
}

/* ---- check ---- */

struct check {
    const struct tool_args *args;
    int container;
    uint64_t deadline;
    char *piece; /* MBR_OBJECT_BLOCK bytes */
    uint64_t objects, bytes, torn, damaged, repaired;
    json_t *array; /* what is wrong, or NULL */
    struct progress progress;
};

static int complain(struct check *k, const char *name, uint64_t block, int rc, bool repaired)
{
    if (k->array != NULL)
        return json_array_append_new(
                   k->array, json_pack("{s:o, s:I, s:s, s:b}", "object", tool_text_json(name),
                                       "block", (json_int_t)block, "error", mbr_error_name(rc),
                                       "repaired", repaired)) < 0
                   ? tool_error_library(-ENOMEM, "%s", name)
                   : TOOL_EXIT_OK;
    printf("%s: block %llu: %s%s\n", printable_text(name), (unsigned long long)block,
           rc == -EOWNERDEAD || rc == -ENOTRECOVERABLE ? "torn" : mbr_error_text(rc),
           repaired ? ", repaired" : "");
    return TOOL_EXIT_OK;
}

/* One block: reading it verifies its checksum, and says whether it is torn. */
static int check_block(struct check *k, int object, const char *name, uint64_t block, size_t length)
{
    size_t offset = (size_t)block * MBR_OBJECT_BLOCK;
    int rc = mbr_object_read_until(object, offset, k->piece, length, k->deadline);
    bool torn = rc == -EOWNERDEAD || rc == -ENOTRECOVERABLE, repaired = false;

    if (rc == 0 || rc == -ERANGE) {
        k->bytes += rc == 0 ? length : 0;
        return TOOL_EXIT_OK;
    }
    if (rc == -ETIMEDOUT)
        return object_error(rc, name);
    if (torn && tool_given(k->args, OPT_REPAIR))
        repaired = mbr_object_repair(object, offset, length) == 0;
    k->repaired += repaired;
    k->torn += torn;
    k->damaged += !torn;
    return complain(k, name, block, rc, repaired);
}

static int check_object(void *arg, const char *name)
{
    struct check *k = arg;
    struct mbr_object_attr attr;
    int object = mbr_object_join(k->container, name), code = TOOL_EXIT_OK;
    int rc = object < 0 ? object : mbr_object_getattr(object, &attr);

    if (rc == -ENOENT) /* removed meanwhile */
        return TOOL_EXIT_OK;
    if (rc < 0) {
        k->damaged++;
        return complain(k, name, 0, rc, false);
    }
    k->objects++;
    for (uint64_t at = 0; code == TOOL_EXIT_OK && at < attr.size; at += MBR_OBJECT_BLOCK) {
        size_t length =
            attr.size - at < MBR_OBJECT_BLOCK ? (size_t)(attr.size - at) : MBR_OBJECT_BLOCK;

        code = check_block(k, object, name, at / MBR_OBJECT_BLOCK, length);
        progress_tick(&k->progress, tool_now_ns(), k->bytes);
        if (tool_stopped())
            code = tool_error(TOOL_EXIT_UNREACHABLE, NULL, "interrupted");
    }
    (void)mbr_object_leave(object);
    return code;
}

static int check_verdict(struct check *k)
{
    uint64_t wrong = k->torn + k->damaged - k->repaired;
    char bytes[32];
    int code = TOOL_EXIT_OK;

    if (k->array != NULL)
        code =
            tool_print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:O}", "objects",
                                      (json_int_t)k->objects, "bytes", (json_int_t)k->bytes, "torn",
                                      (json_int_t)k->torn, "damaged", (json_int_t)k->damaged,
                                      "repaired", (json_int_t)k->repaired, "wrong", k->array),
                            stdout);
    else if (!tool_given(k->args, OPT_QUIET))
        printf("%llu object%s, %s: %llu torn, %llu damaged, %llu repaired\n",
               (unsigned long long)k->objects, tool_s(k->objects),
               tool_bytes_text(k->bytes, bytes, sizeof(bytes)), (unsigned long long)k->torn,
               (unsigned long long)k->damaged, (unsigned long long)k->repaired);
    return code == TOOL_EXIT_OK && wrong > 0 ? TOOL_EXIT_NEGATIVE : code;
}

int object_check(const struct tool_args *args)
{
    struct check k = {
        .args = args,
        .piece = malloc(MBR_OBJECT_BLOCK),
        .array = tool_given(args, OPT_JSON) ? json_array() : NULL,
    };
    int code = k.piece == NULL ? tool_error_library(-ENOMEM, "%s", args->word[0]) : TOOL_EXIT_OK;

    if (code == TOOL_EXIT_OK)
        code = object_deadline(args, &k.deadline);
    if (code == TOOL_EXIT_OK)
        code = object_open(args, false, &k.container);
    if (code == TOOL_EXIT_OK) {
        tool_stop_catch();
        progress_init(&k.progress, args->value[OPT_PROGRESS], tool_given(args, OPT_QUIET), false);
        progress_begin(&k.progress, tool_now_ns(), UINT64_MAX);
        code = object_each(k.container, check_object, &k);
        progress_end(&k.progress, tool_now_ns(), k.bytes);
        if (code == TOOL_EXIT_OK)
            code = check_verdict(&k);
        (void)mbr_container_leave(k.container);
    }
    json_decref(k.array);
    free(k.piece);
    return tool_stop_exit(code);
}

/* ---- gc ---- */

struct sweep {
    bool dry_run, print;
    json_t *array; /* or NULL */
    int count;
};

/* Of the directory of names everything is swept; only what belongs to containers is shown here. */
static void swept(void *arg, const struct mbr_gc_entry *e)
{
    struct sweep *s = arg;

    if (strcmp(e->what, "unknown") == 0)
        return;
    s->count++;
    if (s->array != NULL)
        (void)json_array_append_new(s->array, json_pack("{s:o, s:s, s:i, s:b}", "path",
                                                        tool_text_json(e->path), "what", e->what,
                                                        "pid", e->pid, "removed", e->removed));
    if (s->print)
        printf("%-8s %-10s %s\n", e->removed != 0 ? "removed" : "stale", e->what,
               printable_text(e->path));
}

/* Whoever joins buries dead members that he meets: that gives back what they held. */
static int visit(void *arg, const char *name)
{
    struct mbr_container_attr attr;
    int c = mbr_container_join(name);

    (void)arg;
    if (c < 0)
        return TOOL_EXIT_OK;
    (void)mbr_container_getattr(c, &attr);
    (void)mbr_container_leave(c);
    return TOOL_EXIT_OK;
}

int object_gc(const struct tool_args *args)
{
    bool json = tool_given(args, OPT_JSON), quiet = tool_given(args, OPT_QUIET);
    struct sweep s = {
        .dry_run = tool_given(args, OPT_DRY_RUN),
        .print = !json && !quiet,
        .array = json ? json_array() : NULL,
    };
    int rc = 0, code = TOOL_EXIT_OK;

    if (!s.dry_run)
        code = object_each_container(visit, NULL);
    if (code == TOOL_EXIT_OK && (rc = mbr_gc(s.dry_run, swept, &s)) < 0)
        code = names_no_directory(rc);
    if (code == TOOL_EXIT_OK && json)
        code = tool_print_json(json_pack("{s:b, s:i, s:O}", "dry_run", (int)s.dry_run, "count",
                                         s.count, "entries", s.array),
                               stdout);
    else if (code == TOOL_EXIT_OK && !quiet)
        printf("%d %s%s\n", s.count, s.count == 1 ? "entry " : "entries ",
               s.dry_run ? "would be removed" : "removed");
    json_decref(s.array);
    return code;
}

/* ---- top ---- */

#define SHORTEST_NS UINT64_C(1000000) /* between two looks: what poll() knows */
#define LONGEST_NS  (1000000 * TOOL_SECOND)
#define TOP_OBJECTS 1000

struct seen {
    char name[MBR_OBJECT_NAME_MAX + 1];
    uint64_t version, rate; /* writes between the last two looks, scaled to a second */
    struct mbr_object_attr attr;
    bool here;
};

struct top {
    int container;
    struct seen *seen;
    size_t count;
    double seconds; /* since the look before; 0 this is the first */
};

static int look_at(void *arg, const char *name)
{
    struct top *t = arg;
    struct mbr_object_attr attr;
    int object = mbr_object_join(t->container, name);
    int rc = object < 0 ? object : mbr_object_getattr(object, &attr);
    size_t i = 0;

    if (object >= 0)
        (void)mbr_object_leave(object);
    if (rc < 0)
        return TOOL_EXIT_OK;
    while (i < t->count && strcmp(t->seen[i].name, name) != 0)
        i++;
    if (i == TOP_OBJECTS)
        return TOOL_EXIT_OK;
    struct seen *s = &t->seen[i];
    bool known = i < t->count;

    if (!known) {
        memset(s, 0, sizeof(*s));
        (void)snprintf(s->name, sizeof(s->name), "%s", name);
        t->count++;
    }
    s->rate = known && t->seconds > 0 && attr.version >= s->version
                  ? (uint64_t)((double)(attr.version - s->version) / t->seconds + 0.5)
                  : 0;
    s->version = attr.version;
    s->attr = attr;
    s->attr.users -= attr.users > 0;
    s->here = true;
    return TOOL_EXIT_OK;
}

static int busiest(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    if (x->rate != y->rate)
        return x->rate < y->rate ? 1 : -1;
    return x->attr.size != y->attr.size ? (x->attr.size < y->attr.size ? 1 : -1)
                                        : strcmp(x->name, y->name);
}

static void forget_the_gone(struct top *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (t->seen[i].here)
            t->seen[kept++] = t->seen[i];
    }
    t->count = kept;
    for (size_t i = 0; i < kept; i++)
        t->seen[i].here = false;
    if (kept > 0)
        qsort(t->seen, kept, sizeof(*t->seen), busiest);
}

static int top_json(const struct top *t, const struct mbr_container_attr *attr)
{
    json_t *objects = json_array(), *whole = object_container_json(attr);

    for (size_t i = 0; objects != NULL && i < t->count; i++) {
        json_t *o = object_json(&t->seen[i].attr);

        if (o != NULL)
            (void)json_object_set_new(o, "writes_per_second",
                                      json_integer((json_int_t)t->seen[i].rate));
        (void)json_array_append_new(objects, o);
    }
    if (whole == NULL || json_object_set_new(whole, "list", objects) < 0)
        return tool_error_library(-ENOMEM, "%s", attr->name);
    return tool_finish_stdout(tool_print_json(whole, stdout));
}

static int top_text(const struct top *t, const struct mbr_container_attr *attr, bool redraw)
{
    char bytes[32];

    if (redraw)
        fputs("\033[H\033[2J", stdout);
    printf("%s: %llu object%s, %s, %u member%s\n", printable_text(attr->name),
           (unsigned long long)attr->objects, tool_s(attr->objects),
           tool_bytes_text(attr->bytes, bytes, sizeof(bytes)), attr->members,
           tool_s(attr->members));
    printf("%10s %8s %6s %9s %5s  %s\n", "writes/s", "size", "users", "policy", "torn", "object");
    for (size_t i = 0; i < t->count && (!redraw || i < 20); i++) {
        const struct seen *s = &t->seen[i];

        printf("%10llu %8s %6u %9s %5u  %s\n", (unsigned long long)s->rate,
               tool_bytes_text(s->attr.size, bytes, sizeof(bytes)), s->attr.users,
               object_policy_text(s->attr.policy), s->attr.torn, printable_text(s->name));
    }
    return tool_finish_stdout(TOOL_EXIT_OK);
}

int object_top(const struct tool_args *args)
{
    struct top t = {.seen = calloc(TOP_OBJECTS, sizeof(*t.seen))};
    uint64_t times = UINT64_MAX, pause_ns = 2 * TOOL_SECOND, before = 0;
    bool redraw = isatty(STDOUT_FILENO) != 0 && tool_colour("auto", stdout);
    int code = tool_number(args, OPT_TIMES, times, 1, INT64_MAX, &times);

    if (code == TOOL_EXIT_OK)
        code = tool_duration(args, OPT_INTERVAL, pause_ns, &pause_ns);
    if (code == TOOL_EXIT_OK && (pause_ns < SHORTEST_NS || pause_ns > LONGEST_NS))
        code = tool_error(TOOL_EXIT_USAGE, "0.001 to 1000000", "--interval %s: out of range",
                          args->value[OPT_INTERVAL]);
    if (code == TOOL_EXIT_OK && t.seen == NULL)
        code = tool_error_library(-ENOMEM, "%s", args->word[0]);
    if (code == TOOL_EXIT_OK)
        code = object_open(args, false, &t.container);
    if (code != TOOL_EXIT_OK) {
        free(t.seen);
        return code;
    }
    tool_stop_catch();
    while (code == TOOL_EXIT_OK && !tool_stopped()) {
        struct mbr_container_attr attr;
        uint64_t now = tool_now_ns();
        int rc = mbr_container_getattr(t.container, &attr);

        t.seconds = before != 0 ? (double)(now - before) / 1e9 : 0;
        before = now;
        attr.members -= rc == 0 && attr.members > 0;
        code = rc < 0 ? object_error(rc, args->word[0]) : object_each(t.container, look_at, &t);
        forget_the_gone(&t);
        if (code == TOOL_EXIT_OK)
            code = tool_given(args, OPT_JSON) ? top_json(&t, &attr) : top_text(&t, &attr, redraw);
        if (--times == 0)
            break;
        (void)poll(NULL, 0, (int)(pause_ns / 1000000));
    }
    (void)mbr_container_leave(t.container);
    free(t.seen);
    return code;
}
