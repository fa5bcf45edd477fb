/* SPDX-License-Identifier: MIT */
/*
 * Random requests of five connections of three domains, with transactions, watches, releases and
 * live updates between them: every reply, and the events between two replies, must be what the
 * naive store says. Names, values and permissions are few, so that things meet. A second property
 * has fewer still and nothing but transactions at the edge of a quota.
 *
 * Not here: the order of events among themselves (the conformance cases and the model of commits).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/prop.h"
#include "compare.h"
#include "local.h"
#include "model.h"
#include "store/lifecycle.h"

static const char who_of[] = "ABaxb";

struct world {
    struct local local;
    struct model *model;
    bool limited;          /* quotas hold, and nothing else changes while a transaction is open */
    bool narrow;           /* hardly anything but makings and removals in transactions */
    uint32_t started[128]; /* transactions that a connection was given, by letter */
};

/* What the present sequence does, and what the last one that failed did: printed at the end. */
static char doing[1 << 16], failed[1 << 16];
static size_t doing_len;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(doing + doing_len, sizeof(doing) - doing_len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof(doing) - doing_len)
        doing_len += (size_t)n;
}

static const char *const paths[] = {
    "/",
    "/t",
    "/t/a",
    "/t/a/b",
    "/t/a/b/c",
    "/t/d",
    "a",
    "a/b",
    "a/b/c",
    "d",
    "/none",
    "/t/a/d",
    "/local/domain/1",
    "/local/domain/2",
    "/local/domain/1/a",
    "/local/domain/2/a/b",
};

static const char *const perms[] = {"n0", "n1", "n2", "r1", "r2", "b1", "w2", "b0", "r0", "r3"};

static bool same_queue(struct prop *p, struct world *w, char who)
{
    return compare_queues(&w->local, w->model, who, p->failure, sizeof(p->failure));
}

static const char *draw_path(struct prop *p, const struct world *w)
{
    static const char *const few[] = {"a", "a/b", "a/b/c", "a/d", "/t/a", "/t/a/b"};

    return w->narrow ? few[prop_choose(p, sizeof(few) / sizeof(few[0]))]
                     : paths[prop_choose(p, sizeof(paths) / sizeof(paths[0]))];
}

static void draw_perms(struct prop *p, char *out, size_t size)
{
    uint32_t count = 1 + prop_choose(p, 3);
    size_t at = 0;

    for (uint32_t i = 0; i < count; i++)
        at += (size_t)snprintf(out + at, size - at, "%s|", perms[prop_choose(p, 10)]);
}

static bool changes(uint32_t type)
{
    return type == MBR__XS_WRITE || type == MBR__XS_MKDIR || type == MBR__XS_RM ||
           type == MBR__XS_SET_PERMS;
}

static uint32_t draw_type(struct prop *p, const struct world *w)
{
    static const uint32_t few[] = {MBR__XS_READ,
                                   MBR__XS_WRITE,
                                   MBR__XS_WRITE,
                                   MBR__XS_MKDIR,
                                   MBR__XS_RM,
                                   MBR__XS_RM,
                                   MBR__XS_RM,
                                   MBR__XS_TRANSACTION_START,
                                   MBR__XS_TRANSACTION_END};
    static const uint32_t types[] = {
        MBR__XS_READ,
        MBR__XS_DIRECTORY,
        MBR__XS_GET_PERMS,
        MBR__XS_WRITE,
        MBR__XS_WRITE,
        MBR__XS_MKDIR,
        MBR__XS_RM,
        MBR__XS_RM,
        MBR__XS_WRITE,
        MBR__XS_SET_PERMS,
        MBR__XS_WATCH,
        MBR__XS_UNWATCH,
        MBR__XS_READ,
        MBR__XS_READ,
        MBR__XS_TRANSACTION_START,
        MBR__XS_TRANSACTION_END,
        MBR__XS_RESET_WATCHES,
        MBR__XS_TRANSACTION_END,
    };

    return w->narrow ? few[prop_choose(p, sizeof(few) / sizeof(few[0]))]
                     : types[prop_choose(p, sizeof(types) / sizeof(types[0]))];
}

static void draw_request(struct prop *p, const struct world *w, uint32_t *type, char *payload,
                         size_t size)
{
    char list[64];

    *type = draw_type(p, w);
    switch (*type) {
    case MBR__XS_WRITE:
        snprintf(payload, size, "%s|v%u", draw_path(p, w), prop_choose(p, 3));
        break;
    case MBR__XS_SET_PERMS:
        draw_perms(p, list, sizeof(list));
        snprintf(payload, size, "%s|%s", draw_path(p, w), list);
        break;
    case MBR__XS_WATCH:
    case MBR__XS_UNWATCH:
        snprintf(payload, size, "%s|t%u|%s", draw_path(p, w), prop_choose(p, 2),
                 *type == MBR__XS_WATCH && prop_choose(p, 3) == 0 ? "1|" : "");
        break;
    case MBR__XS_TRANSACTION_START:
    case MBR__XS_RESET_WATCHES:
        snprintf(payload, size, "|");
        break;
    case MBR__XS_TRANSACTION_END:
        snprintf(payload, size, "%s", prop_choose(p, 4) ? "T|" : "F|");
        break;
    default:
        snprintf(payload, size, "%s|", draw_path(p, w));
    }
}

static bool one_request(struct prop *p, struct world *w)
{
    char who = who_of[prop_choose(p, 5)];
    uint32_t in_tx = w->narrow && prop_choose(p, 4) ? 1 : prop_choose(p, 3);
    uint32_t type, tx;
    uint32_t *started;
    char payload[128];

    draw_request(p, w, &type, payload, sizeof(payload));
    started = &w->started[(unsigned char)who];
    tx = type == MBR__XS_TRANSACTION_END && in_tx == 0 ? 1 : in_tx;
    tx = *started >= tx && tx ? *started + 1 - tx : 0; /* the last one, or the one before */
    if (type == MBR__XS_TRANSACTION_START && model_open(w->model, who) >= 2)
        return true;
    if (w->limited && tx == 0 && changes(type) && model_in_transaction(w->model))
        return true;
    note("%c.%u %s %s\n", who, tx, mbr__store_type_name(type), payload);
    model_request(w->model, who, type, tx, payload);
    PROP_CHECK(p, local_send(&w->local, who, type, tx, payload) == 0);
    *started += type == MBR__XS_TRANSACTION_START && tx == 0;
    return prop_choose(p, 4) == 0 || same_queue(p, w, who);
}

/* Domain DOMID goes, and comes again as another. */
static bool release(struct world *w, uint32_t domid)
{
    note("release %u\n", domid);
    model_release(w->model, domid);
    if (mbr__store_release(w->local.store, domid))
        return false;
    for (const char *who = who_of; *who; who++)
        if (store_case_domid(*who) == domid) {
            local_close(&w->local, *who);
            w->started[(unsigned char)*who] = 0;
        }
    while (mbr__store_work(w->local.store, 3))
        continue;
    model_introduce(w->model, domid);
    return mbr__store_introduce(w->local.store, domid) == 0;
}

static bool rare(struct prop *p, struct world *w)
{
    const char *who;

    switch (prop_choose(p, 4)) {
    case 0:
        if (!(w->limited && model_in_transaction(w->model)))
            PROP_CHECK(p, release(w, 1 + prop_choose(p, 2)));
        return true;
    case 1:
        note("live update\n");
        model_update(w->model);
        PROP_CHECK(p, local_update(&w->local) == 0);
        return true;
    case 2:
        who = &who_of[prop_choose(p, 5)];
        note("close %c\n", *who);
        model_close(w->model, *who);
        local_close(&w->local, *who);
        w->started[(unsigned char)*who] = 0;
        return true;
    default:
        for (who = who_of; *who; who++)
            if (!same_queue(p, w, *who))
                return false;
        return true;
    }
}

static bool consistent(struct prop *p, struct world *w)
{
    char text[160];
    const char *bad = mbr__st_check(w->local.store, text, sizeof(text));

    if (bad)
        snprintf(p->failure, sizeof(p->failure), "%s", bad);
    return !bad;
}

static bool steps(struct prop *p, struct world *w)
{
    for (const char *who = who_of; *who; who++)
        PROP_CHECK(p, local_conn(&w->local, *who));
    while (prop_more(p)) {
        w->local.now += 100000000;
        if (!(prop_choose(p, 24) == 23 ? rare(p, w) : one_request(p, w)))
            return false;
        if (prop_choose(p, 8) == 0 && !consistent(p, w))
            return false;
        (void)mbr__store_work(w->local.store, prop_choose(p, 3));
    }
    for (const char *who = who_of; *who; who++)
        if (!same_queue(p, w, *who))
            return false;
    return consistent(p, w);
}

static bool compare(struct prop *p, bool limited, bool narrow)
{
    static const char *const setup[] = {"/local/domain/1|n1|", "/local/domain/2|n2|", "/t|b0|"};
    struct mbr__store_options options = {.quota = {[MBR__STORE_QUOTA_OUTSTANDING] = 1000000,
                                                   [MBR__STORE_QUOTA_WATCHES] = 1000,
                                                   [MBR__STORE_QUOTA_TRANSACTIONS] = 1000}};
    struct world w = {.limited = limited, .narrow = narrow};
    bool ok;

    if (w.limited)
        options.quota[MBR__STORE_QUOTA_NODES] = 6;
    w.model = model_new(w.limited ? 6 : 0);
    ok = w.model && local_init(&w.local, &options) == 0;
    for (unsigned i = 0; i < 3 && ok; i++) {
        char path[40];

        snprintf(path, sizeof(path), "%.*s|", (int)strcspn(setup[i], "|"), setup[i]);
        model_request(w.model, 'A', MBR__XS_WRITE, 0, path);
        model_request(w.model, 'A', MBR__XS_SET_PERMS, 0, setup[i]);
        ok = local_send(&w.local, 'A', MBR__XS_WRITE, 0, path) == 0 &&
             local_send(&w.local, 'A', MBR__XS_SET_PERMS, 0, setup[i]) == 0;
    }
    doing_len = 0;
    ok = ok && steps(p, &w);
    if (!ok)
        memcpy(failed, doing, sizeof(failed));
    local_fini(&w.local);
    model_free(w.model);
    return ok;
}

static bool like_the_model(struct prop *p)
{
    return compare(p, prop_choose(p, 3) == 0, false);
}

static bool quota_like_the_model(struct prop *p)
{
    return compare(p, true, true);
}

static void the_store_behaves_like_the_naive_one(void **state)
{
    prop_run("store_like_model", like_the_model, 600);
}

static void shares_of_a_quota_are_those_of_the_naive_one(void **state)
{
    prop_run("quota_like_model", quota_like_the_model, 600);
}

/* Transactions of a domain that another's commit has made to fail: before, and after it was known.
 */
static void sequences_that_have_failed(void **state)
{
    static const uint64_t seeds[] = {200136, 383878};

    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
        assert_true(prop_try("store_like_model", like_the_model, seeds[i]));
    assert_true(prop_try("quota_like_model", quota_like_the_model, 10800922));
}

static int print_failed(void **state)
{
    if (failed[0])
        fprintf(stderr, "the last sequence that failed:\n%s", failed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_behaves_like_the_naive_one),
        cmocka_unit_test(shares_of_a_quota_are_those_of_the_naive_one),
        cmocka_unit_test(sequences_that_have_failed),
    };

    return cmocka_run_group_tests(tests, NULL, print_failed);
}
