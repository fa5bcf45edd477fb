/* SPDX-License-Identifier: MIT */
/*
 * CONTROL: what can be said and done about the engine itself. What it does not know is the
 * daemon's.
 */
#include <assert.h>
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
    /* As xenstored: what is wrong is said in the log, and the answer is that it was looked for. */
    if (mbr__st_check(c->store, text, sizeof(text)))
        say(c->store, MBR_LOG_ERROR, text);
    return 0;
}

static const char *const log_switches[] = {"obj", "io", "wrl", "acc", "tdb"};

#define LOG_SWITCHES  (sizeof(log_switches) / sizeof(log_switches[0]))
#define LOG_SWITCH(i) ((unsigned)MBR__ST_LOG_OBJ << (i))
static_assert(LOG_SWITCH(LOG_SWITCHES) == MBR__ST_LOG_ALL + 1, "a bit for each");

/* "+io" or "-io". */
static int set_switch(struct mbr__store *store, const char *text)
{
    for (unsigned i = 0; i < LOG_SWITCHES; i++) {
        if ((text[0] != '+' && text[0] != '-') || strcmp(text + 1, log_switches[i]) != 0)
            continue;
        if (text[0] == '+')
            store->tracing |= LOG_SWITCH(i);
        else
            store->tracing &= ~LOG_SWITCH(i);
        return 0;
    }
    return -EINVAL;
}

static int do_log(struct control *c)
{
    struct mbr__store *store = c->store;

    if (c->argc == 0) {
        mbr__strbuf_puts(c->text, "Log switch settings:\n");
        for (unsigned i = 0; i < LOG_SWITCHES; i++)
            mbr__strbuf_printf(c->text, "%-8s: %s\n", log_switches[i],
                               store->tracing & LOG_SWITCH(i) ? "on" : "off");
        return 0;
    }
    if (c->argc != 1)
        return -EINVAL;
    if (strcmp(c->argv[0], "on") == 0)
        store->tracing |= MBR__ST_LOG_ON;
    else if (strcmp(c->argv[0], "off") == 0)
        store->tracing &= ~(unsigned)MBR__ST_LOG_ON;
    else
        return set_switch(store, c->argv[0]);
    return 0;
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

/* Those that a domain holds something of. */
static bool is_held(int what)
{
    return what <= MBR__STORE_QUOTA_OUTSTANDING || what == MBR__STORE_QUOTA_MEMORY;
}

void mbr__store_report(struct mbr__store *store, struct mbr__strbuf *text)
{
    const struct mbr__st_domain *domain;
    struct mbr__store_stats s;
    size_t cursor = 0;

    mbr__store_get_stats(store, &s);
    mbr__strbuf_printf(text,
                       "memory report: nodes=%llu bytes=%llu watches=%llu connections=%llu "
                       "domains=%llu transactions=%llu removals=%llu\n",
                       (unsigned long long)s.nodes, (unsigned long long)s.memory,
                       (unsigned long long)s.watches, (unsigned long long)s.connections,
                       (unsigned long long)s.domains, (unsigned long long)s.transactions,
                       (unsigned long long)s.removals);
    while ((domain = mbr__hash_next(&store->domains, &cursor))) {
        if (!domain->known)
            continue;
        mbr__strbuf_printf(text, "memory report: domain=%u", domain->domid);
        for (int i = 0; i < MBR__STORE_QUOTAS; i++)
            if (is_held(i))
                mbr__strbuf_printf(text, " %s=%llu", mbr__st_quota_name(i),
                                   (unsigned long long)domain->used[i]);
        mbr__strbuf_putc(text, '\n');
    }
}

/* Into the log, line by line. (Into a file: the daemon's.) */
static int do_memreport(struct control *c)
{
    struct mbr__strbuf text;
    int error;

    mbr__strbuf_init(&text, MBR__STORE_REPORT_MAX);
    mbr__store_report(c->store, &text);
    error = mbr__strbuf_error(&text);
    for (const char *line = mbr__strbuf_text(&text); !error && *line;) {
        char one[MBR__LOG_MAX];
        size_t len = strcspn(line, "\n");

        snprintf(one, sizeof(one), "%.*s", (int)len, line);
        say(c->store, MBR_LOG_INFO, one);
        line += len + (line[len] == '\n');
    }
    mbr__strbuf_fini(&text);
    return error;
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
    {"log", do_log, "[on|off|+<switch>|-<switch>]"},
    {"memreport", do_memreport, "[<file>]"},
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
        mbr__strbuf_printf(c->text, "%-15s %s\n", commands[i].name, commands[i].arguments);
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
