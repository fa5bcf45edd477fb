/* SPDX-License-Identifier: MIT */
/*
 * CONTROL: what can be said and done about the engine itself. What it does not know is the
 * daemon's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "store/domain.h"
#include "store/job.h"
#include "store/lifecycle.h"
#include "store/request.h"

#define ARGS_MAX 16

struct control {
    struct mbr__st_req *req;
    struct mbr__store *store;
    int argc; /* the subcommand's own arguments */
    const char *const *argv;
    struct mbr__strbuf *text;
};

static void say(struct mbr__store *store, enum mbr_log_level level, const char *text)
{
    if (store->options.log)
        store->options.log(store->options.user, level, text);
    else
        mbr__log(level, "%s", text);
}

static int do_check(struct control *c)
{
    char text[256];

    if (c->argc != 0)
        return -EINVAL;
    if (!mbr__st_check(c->store, text, sizeof(text)))
        return 0;
    say(c->store, MBR_LOG_ERROR, text);
    return -EIO;
}

static int do_log(struct control *c)
{
    static const char *const switches[] = {"obj", "io", "wrl", "acc", "tdb"};

    if (c->argc == 0) {
        mbr__strbuf_puts(c->text, c->store->tracing ? "on" : "off");
        return 0;
    }
    if (c->argc != 1)
        return -EINVAL;
    if (strcmp(c->argv[0], "on") == 0 || strcmp(c->argv[0], "off") == 0) {
        c->store->tracing = c->argv[0][1] == 'n';
        return 0;
    }
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        if ((c->argv[0][0] != '+' && c->argv[0][0] != '-') ||
            strcmp(c->argv[0] + 1, switches[i]) != 0)
            continue;
        if (i == 1) /* the others have no counterpart here */
            c->store->tracing = c->argv[0][0] == '+';
        return 0;
    }
    return -EINVAL;
}

static int do_print(struct control *c)
{
    char text[MBR__LOG_MAX];

    if (c->argc != 1)
        return -EINVAL;
    snprintf(text, sizeof(text), "control: %s", c->argv[0]);
    say(c->store, MBR_LOG_INFO, text);
    return 0;
}

static int do_memreport(struct control *c)
{
    struct mbr__store_stats s;

    if (c->argc != 0)
        return -EINVAL;
    mbr__store_get_stats(c->store, &s);
    mbr__strbuf_printf(c->text,
                       "nodes: %llu, in %llu bytes\n"
                       "watches: %llu\nconnections: %llu\ndomains: %llu\ntransactions: %llu\n"
                       "removals under way: %llu\n",
                       (unsigned long long)s.nodes, (unsigned long long)s.memory,
                       (unsigned long long)s.watches, (unsigned long long)s.connections,
                       (unsigned long long)s.domains, (unsigned long long)s.transactions,
                       (unsigned long long)s.removals);
    return 0;
}

/* Everything that is counted, for programs: "name value" lines. */
static int do_stats(struct control *c)
{
    struct mbr__store_stats s;

    if (c->argc != 0)
        return -EINVAL;
    mbr__store_get_stats(c->store, &s);
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {
        {"nodes", s.nodes},
        {"watches", s.watches},
        {"connections", s.connections},
        {"domains", s.domains},
        {"transactions", s.transactions},
        {"requests", s.requests},
        {"events", s.events},
        {"coalesced", s.coalesced},
        {"commits", s.commits},
        {"conflicts", s.conflicts},
        {"refused", s.refused},
        {"memory", s.memory},
        {"removals", s.removals},
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        mbr__strbuf_printf(c->text, "%s %llu\n", lines[i].name, (unsigned long long)lines[i].value);
    return 0;
}

/* ---- quota ---- */

static int set_quota(struct control *c, bool want_soft)
{
    uint64_t value;
    bool soft;
    int what;

    if (c->argc != 3 || mbr__st_number(c->argv[2], INT32_MAX, &value))
        return -EINVAL;
    what = mbr__st_quota_parse(c->argv[1], strlen(c->argv[1]), &soft);
    if (what < 0 || (want_soft && what != MBR__STORE_QUOTA_MEMORY))
        return -EINVAL;
    if (want_soft || soft)
        c->store->soft[what] = value;
    else
        c->store->hard[what] = value;
    return 0;
}

static void quota_line(struct control *c, int what, uint64_t value)
{
    mbr__strbuf_printf(c->text, "%-17s: %8llu %s\n", mbr__st_quota_name(what),
                       (unsigned long long)value, mbr__st_quota_text(what));
}

/* Those that a domain holds something of. */
static bool is_held(int what)
{
    return what <= MBR__STORE_QUOTA_OUTSTANDING || what == MBR__STORE_QUOTA_MEMORY;
}

static int quota_of_domain(struct control *c)
{
    const struct mbr__st_domain *domain;
    uint64_t domid;

    if (mbr__st_number(c->argv[0], UINT16_MAX, &domid))
        return -EINVAL;
    mbr__st_jobs_settle(c->store);
    domain = mbr__st_domain_find(c->store, (uint32_t)domid);
    if (!domain)
        return -ENOENT;
    mbr__strbuf_printf(c->text, "Domain %u:\n", domain->domid);
    for (int i = 0; i < MBR__STORE_QUOTAS; i++)
        if (is_held(i))
            mbr__strbuf_printf(c->text, "%-17s: %8llu (max %8llu)\n", mbr__st_quota_name(i),
                               (unsigned long long)domain->used[i],
                               (unsigned long long)domain->peak[i]);
    return 0;
}

static int quota_peaks(struct control *c)
{
    struct mbr__st_domain *domain;
    size_t cursor = 0;

    if (c->argc > 2 || (c->argc == 2 && strcmp(c->argv[1], "-r") != 0))
        return -EINVAL;
    mbr__strbuf_puts(c->text, "Most that a domain has held:\n");
    for (int i = 0; i < MBR__STORE_QUOTAS; i++)
        if (is_held(i))
            quota_line(c, i, c->store->peak[i]);
    if (c->argc == 1)
        return 0;
    memset(c->store->peak, 0, sizeof(c->store->peak));
    while ((domain = mbr__hash_next(&c->store->domains, &cursor)))
        for (int i = 0; i < MBR__STORE_QUOTAS; i++) {
            domain->peak[i] = domain->used[i];
            if (domain->used[i] > c->store->peak[i])
                c->store->peak[i] = domain->used[i];
        }
    return 0;
}

static int do_quota(struct control *c)
{
    if (c->argc == 0) {
        mbr__strbuf_puts(c->text, "Quota settings:\n");
        for (int i = 0; i < MBR__STORE_QUOTAS; i++)
            quota_line(c, i, c->store->hard[i]);
        return 0;
    }
    if (strcmp(c->argv[0], "set") == 0)
        return set_quota(c, false);
    if (strcmp(c->argv[0], "max") == 0)
        return quota_peaks(c);
    return c->argc == 1 ? quota_of_domain(c) : -EINVAL;
}

static int do_quota_soft(struct control *c)
{
    if (c->argc == 0) {
        mbr__strbuf_puts(c->text, "Quota settings:\n");
        quota_line(c, MBR__STORE_QUOTA_MEMORY, c->store->soft[MBR__STORE_QUOTA_MEMORY]);
        return 0;
    }
    return strcmp(c->argv[0], "set") == 0 ? set_quota(c, true) : -EINVAL;
}

/* ---- which is which ---- */

static int do_help(struct control *c);

static const struct {
    const char *name;
    int (*function)(struct control *c);
    const char *arguments;
} commands[] = {
    {"check", do_check, ""},
    {"log", do_log, "[on|off|+io|-io]"},
    {"memreport", do_memreport, ""},
    {"print", do_print, "<string>"},
    {"quota", do_quota, "[set <name> <val>|<domid>|max [-r]]"},
    {"quota-soft", do_quota_soft, "[set <name> <val>]"},
    {"stats", do_stats, ""},
    {"help", do_help, ""},
};

static int do_help(struct control *c)
{
    if (c->argc != 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        mbr__strbuf_printf(c->text, "%s\t%s\n", commands[i].name, commands[i].arguments);
    if (c->store->options.control_help)
        mbr__strbuf_puts(c->text, c->store->options.control_help);
    return 0;
}

static int run(struct mbr__st_req *req, int argc, const char *const *argv, struct mbr__strbuf *text)
{
    const struct mbr__store_options *options = &req->store->options;
    struct control c = {req, req->store, argc - 1, argv + 1, text};

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, argv[0]) == 0 &&
            !(commands[i].function == do_memreport && argc > 1)) /* into a file: the daemon's */
            return commands[i].function(&c);
    if (!options->control)
        return -EINVAL;
    return options->control(options->user, req->conn, argc, argv, text);
}

int mbr__st_do_control(struct mbr__st_req *req)
{
    const char *argv[ARGS_MAX];
    size_t argc = mbr__st_args(req, argv, ARGS_MAX);
    struct mbr__strbuf text;
    int error;

    if (argc < 1 || argc > ARGS_MAX)
        return -EINVAL;
    mbr__strbuf_init(&text, MBR__STORE_PAYLOAD_MAX - 1);
    error = run(req, (int)argc, argv, &text);
    if (error == MBR__STORE_LATER) {
        req->conn->later = true;
        req->conn->later_req = req->header->req_id;
        req->conn->later_tx = req->header->tx_id;
        req->answered = true;
        error = 0;
    } else if (!error && text.length > 0) {
        error = mbr__st_reply(req, mbr__strbuf_text(&text), text.length + 1);
    } else if (!error) {
        error = mbr__strbuf_error(&text) == -ENOMEM ? -ENOMEM : mbr__st_ack(req);
    }
    mbr__strbuf_fini(&text);
    return error;
}
