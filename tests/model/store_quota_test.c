/* SPDX-License-Identifier: MIT */
/*
 * Quotas and domains that go, under every schedule: short programs of two guests who may own three
 * nodes each, and of domain 0, in every order; after each step, in its turn, a live update, the
 * release of a domain or the end of a connection. After every step all is counted again
 * (mbr__st_check), and each answer and event is compared with the naive store's (../store/model.h).
 *
 * That one is exact about a transaction's share of a quota as long as nothing else changes while it
 * is open. Where something does, the run goes on with the counting alone.
 *
 * The argument `full` takes all programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../store/compare.h"
#include "store/domain.h"
#include "store/lifecycle.h"
#include "trace.h"

#define LIMIT  3 /* nodes of a guest */
#define ACTORS 3
#define STEPS  6
#define LENGTH 4

static const char actors[ACTORS + 1] = "abA";

struct request {
    uint32_t type;
    bool in_tx;
    const char *payload; /* NULL: no request */
};

#define W(text)                    \
    {                              \
        MBR__XS_WRITE, false, text \
    }
#define M(text)                    \
    {                              \
        MBR__XS_MKDIR, false, text \
    }
#define X(text)                 \
    {                           \
        MBR__XS_RM, false, text \
    }
#define P(text)                        \
    {                                  \
        MBR__XS_SET_PERMS, false, text \
    }
#define TW(text)                  \
    {                             \
        MBR__XS_WRITE, true, text \
    }
#define TM(text)                  \
    {                             \
        MBR__XS_MKDIR, true, text \
    }
#define TX(text)               \
    {                          \
        MBR__XS_RM, true, text \
    }

static const struct request alone[] = {
    W("a|v"), W("a/b|v"), X("a|"), W("/t/x|v"), M("d/e|"), P("a|n1|b2|"), X("/t/x|"),
};

static const struct request inside[] = {TW("a/b|v"), TM("d|"), TX("a|"), TW("/t/x/y|v")};

static const struct request neighbour[] = {
    W("d|v"), W("/local/domain/1/a/z|v"), X("/local/domain/1/a|"), W("/t/y/z|v"), X("/t/x|"),
};

static const struct request master[] = {
    X("/local/domain/1/a|"), P("/local/domain/1/a|n2|"), X("/t/x|"), P("/t/x|n2|"), W("/t/x|v"),
};

#define COUNT(list) ((unsigned)(sizeof(list) / sizeof(list[0])))

static const struct request start = {MBR__XS_TRANSACTION_START, false, "|"};
static const struct request commit = {MBR__XS_TRANSACTION_END, true, "T|"};

struct program {
    struct request of[ACTORS][LENGTH];
    unsigned length[ACTORS];
};

enum trouble { NONE, UPDATE, UPDATES, RELEASE_1, RELEASE_2, CLOSE, TROUBLES };

static bool deep;
static unsigned long long runs;

static struct {
    struct local local;
    struct model *model;
    bool loose; /* the model does not know any more */
    bool open[ACTORS];
    uint32_t tx[ACTORS];
    char wrong[300];
    struct trace trace;
} w;

/* ---- one run --------------------------------------------------------------------------------- */

static bool same(void)
{
    const char *bad;

    for (unsigned i = 0; i < ACTORS && !w.loose; i++)
        if (!compare_queues(&w.local, w.model, actors[i], w.wrong, sizeof(w.wrong)))
            return false;
    bad = mbr__st_check(w.local.store, w.wrong, sizeof(w.wrong));
    return bad == NULL;
}

static bool in_transaction(void)
{
    return w.open[0] || w.open[1] || w.open[2];
}

static void ask(unsigned actor, const struct request *r)
{
    uint32_t tx = r->in_tx ? w.tx[actor] : 0;
    bool changes = !r->in_tx && r->type != MBR__XS_TRANSACTION_START;

    w.loose = w.loose || (changes && in_transaction());
    if (r->type == MBR__XS_TRANSACTION_START) {
        w.open[actor] = true;
        w.tx[actor]++;
    }
    if (r->type == MBR__XS_TRANSACTION_END)
        w.open[actor] = false;
    trace_add(&w.trace, "%c.%u %s %s\n", actors[actor], tx, mbr__store_type_name(r->type),
              r->payload);
    if (!w.loose)
        model_request(w.model, actors[actor], r->type, tx, r->payload);
    assert_int_equal(local_send(&w.local, actors[actor], r->type, tx, r->payload), 0);
}

static void leave(unsigned actor)
{
    w.open[actor] = false;
    w.tx[actor] = 0;
    local_close(&w.local, actors[actor]);
}

static void release(unsigned domid)
{
    w.loose = w.loose || in_transaction();
    trace_add(&w.trace, "release %u\n", domid);
    if (!w.loose)
        model_release(w.model, domid);
    assert_int_equal(mbr__store_release(w.local.store, domid), 0);
    leave(domid - 1);
    while (mbr__store_work(w.local.store, 3))
        continue;
    if (!w.loose)
        model_introduce(w.model, domid);
    assert_int_equal(mbr__store_introduce(w.local.store, domid), 0);
    assert_non_null(local_conn(&w.local, actors[domid - 1]));
}

static void make_trouble(enum trouble trouble)
{
    switch (trouble) {
    case UPDATE:
    case UPDATES:
        trace_add(&w.trace, "live update\n");
        if (!w.loose)
            model_update(w.model);
        assert_int_equal(local_update(&w.local), 0);
        break;
    case RELEASE_1:
    case RELEASE_2:
        release(trouble == RELEASE_1 ? 1 : 2);
        break;
    case CLOSE:
        trace_add(&w.trace, "close a\n");
        if (!w.loose)
            model_close(w.model, 'a');
        leave(0);
        assert_non_null(local_conn(&w.local, 'a'));
        break;
    default:
        break;
    }
}

static bool begin(void)
{
    static const struct request setup[] = {
        W("/local/domain/1|"),
        P("/local/domain/1|n1|"),
        W("/local/domain/2|"),
        P("/local/domain/2|n2|"),
        W("/t|"),
        P("/t|b0|"),
    };
    static const struct mbr__store_options options = {.quota = {[MBR__STORE_QUOTA_NODES] = LIMIT}};

    memset(&w, 0, sizeof(w));
    w.model = model_new(LIMIT);
    if (w.model == NULL || local_init(&w.local, &options) != 0)
        return false;
    for (unsigned i = 0; i < COUNT(setup); i++)
        ask(2, &setup[i]);
    for (unsigned i = 0; i < ACTORS; i++)
        if (local_conn(&w.local, actors[i]) == NULL)
            return false;
    return true;
}

/* Nothing is charged to a domain that has gone. */
static bool settled(void)
{
    static const struct request looks[] = {{MBR__XS_DIRECTORY, false, "/local/domain|"},
                                           {MBR__XS_DIRECTORY, false, "/t|"}};

    for (unsigned i = 0; i < COUNT(looks); i++)
        ask(2, &looks[i]);
    w.loose = w.loose || in_transaction();
    if (!same())
        return false;
    release(1);
    release(2);
    for (uint32_t domid = 1; domid <= 2; domid++) {
        const struct mbr__st_domain *domain = mbr__st_domain_find(w.local.store, domid);

        for (int i = 0; i < MBR__STORE_QUOTAS; i++)
            if (domain->used[i] != 0 && i != MBR__STORE_QUOTA_MEMORY) {
                snprintf(w.wrong, sizeof(w.wrong), "domain %u still has of quota %d", domid, i);
                return false;
            }
    }
    return same();
}

static bool one_run(const struct program *p, const unsigned *order, unsigned steps, unsigned at,
                    enum trouble trouble)
{
    unsigned done[ACTORS] = {0};
    bool ok = begin() && same();

    for (unsigned i = 0; i < steps && ok; i++) {
        ask(order[i], &p->of[order[i]][done[order[i]]++]);
        ok = same();
        if (ok && (i == at || trouble == UPDATES)) {
            make_trouble(trouble);
            ok = same();
        }
    }
    ok = ok && settled();
    if (!ok)
        print_error("%s\n%s", w.wrong, w.trace.text);
    local_fini(&w.local);
    model_free(w.model);
    runs++;
    return ok;
}

/* ---- every order ----------------------------------------------------------------------------- */

static void in_this_order(const struct program *p, const unsigned *order, unsigned steps)
{
    assert_true(one_run(p, order, steps, steps, NONE));
    assert_true(one_run(p, order, steps, steps, UPDATES));
    for (unsigned at = 0; at < steps; at++)
        for (enum trouble t = UPDATE; t < TROUBLES; t++)
            if (t != UPDATES)
                assert_true(one_run(p, order, steps, at, t));
}

static void in_every_order(const struct program *p, unsigned *order, unsigned steps,
                           unsigned done[ACTORS])
{
    bool any = false;

    for (unsigned i = 0; i < ACTORS; i++) {
        if (done[i] == p->length[i])
            continue;
        any = true;
        done[i]++;
        order[steps] = i;
        in_every_order(p, order, steps + 1, done);
        done[i]--;
    }
    if (!any)
        in_this_order(p, order, steps);
}

static void with_others(struct program *p)
{
    unsigned quick = deep ? COUNT(neighbour) : 2;

    for (unsigned b = 0; b < quick; b++)
        for (unsigned m = 0; m < (deep ? COUNT(master) : 1); m++) {
            unsigned order[STEPS], done[ACTORS] = {0};

            p->of[1][0] = neighbour[b];
            p->of[2][0] = master[m];
            p->length[1] = p->length[2] = 1;
            in_every_order(p, order, 0, done);
        }
}

static void requests_alone(void **state)
{
    unsigned count = deep ? COUNT(alone) : 3;
    struct program p;

    memset(&p, 0, sizeof(p));
    for (unsigned i = 0; i < count * count; i++) {
        p.of[0][0] = alone[i % count];
        p.of[0][1] = alone[i / count];
        p.length[0] = 2;
        with_others(&p);
    }
    print_message("  %llu runs\n", runs);
}

static void transactions(void **state)
{
    unsigned count = deep ? COUNT(inside) : 2;
    struct program p;

    memset(&p, 0, sizeof(p));
    for (unsigned i = 0; i < count * count; i++) {
        p.of[0][0] = start;
        p.of[0][1] = inside[i % count];
        p.of[0][2] = inside[i / count];
        p.of[0][3] = commit;
        p.length[0] = 4;
        with_others(&p);
    }
    print_message("  %llu runs\n", runs);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_alone),
        cmocka_unit_test(transactions),
    };

    deep = argc > 1 && strcmp(argv[1], "full") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
