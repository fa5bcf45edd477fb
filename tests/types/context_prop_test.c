/* SPDX-License-Identifier: MIT */
/*
 * Random networks of plain and merged contexts, cycles included, against the recursive definitions
 * of the documentation, carried out literally.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/prop.h"
#include "context_test.h"

#define PLAIN 4 /* contexts 0 to 3; the rest is merged */
#define ALL   8
#define ARCS  3 /* a, b, c */
#define DEPTH 5

enum outcome { DONE, ABSENT, NOT_CONTEXT, EXISTS, DENIED };

struct value {
    bool bound;
    bool is_context;
    uint32_t n; /* which context, or a number */
};

struct node {
    struct value binds[ARCS]; /* of a plain one */
    uint32_t members[ALL];    /* of a merged one */
    bool masks[ALL];
    uint32_t count;
};

struct net {
    struct node nodes[ALL];
    Context_clp cx[ALL];
};

/* A pathname as numbers of arcs. */
struct path {
    uint32_t arcs[DEPTH];
    uint32_t length;
};

static struct path rest_of(const struct path *path)
{
    struct path rest = {.length = path->length - 1};

    memcpy(rest.arcs, path->arcs + 1, rest.length * sizeof(rest.arcs[0]));
    return rest;
}

static bool model_binds(const struct net *net, uint32_t at, uint32_t arc)
{
    const struct node *node = &net->nodes[at];

    if (at < PLAIN)
        return node->binds[arc].bound;
    for (uint32_t i = 0; i < node->count; i++)
        if (model_binds(net, node->members[i], arc))
            return true;
    return false;
}

enum what { GET, ADD, REMOVE };

static enum outcome model_simple(struct value *here, enum what what, struct value *value)
{
    switch (what) {
    case GET:
        *value = *here;
        return here->bound ? DONE : ABSENT;
    case ADD:
        if (here->bound)
            return EXISTS;
        *here = *value;
        return DONE;
    default:
        if (!here->bound)
            return ABSENT;
        here->bound = false;
        return DONE;
    }
}

static enum outcome model(struct net *net, uint32_t at, const struct path *path, enum what what,
                          struct value *value)
{
    struct node *node = &net->nodes[at];
    struct value *here = &node->binds[path->arcs[0]];

    if (at < PLAIN && path->length == 1)
        return model_simple(here, what, value);
    if (at < PLAIN) {
        struct path rest = rest_of(path);

        if (!here->bound)
            return ABSENT;
        return here->is_context ? model(net, here->n, &rest, what, value) : NOT_CONTEXT;
    }
    if (what == ADD && path->length == 1)
        return node->count ? model(net, node->members[0], path, what, value) : DENIED;
    for (uint32_t i = 0; i < node->count; i++) {
        enum outcome outcome;

        if (!model_binds(net, node->members[i], path->arcs[0]))
            continue;
        outcome = model(net, node->members[i], path, what, value);
        if (outcome != ABSENT)
            return outcome;
        if (node->masks[i] && path->length > 1)
            return ABSENT;
    }
    return ABSENT;
}

static enum outcome real(Context_clp cx, const char *name, enum what what, Type_Any *any)
{
    volatile enum outcome outcome = DONE;

    TRY
    {
        if (what == GET)
            outcome = Context_Get(cx, name, any) ? DONE : ABSENT;
        else if (what == ADD)
            Context_Add(cx, name, any);
        else
            Context_Remove(cx, name);
    }
    CATCH(Context_NotFound)
    {
        outcome = ABSENT;
    }
    CATCH(Context_NotContext)
    {
        outcome = NOT_CONTEXT;
    }
    CATCH(Context_Exists)
    {
        outcome = EXISTS;
    }
    CATCH(Context_Denied)
    {
        outcome = DENIED;
    }
    ENDTRY
    return outcome;
}

static struct path choose_path(struct prop *p, char name[2 * DEPTH])
{
    struct path path = {.length = 1 + prop_choose(p, DEPTH)};

    for (uint32_t i = 0; i < path.length; i++) {
        path.arcs[i] = prop_choose(p, ARCS);
        name[2 * i] = (char)('a' + path.arcs[i]);
        name[2 * i + 1] = '>';
    }
    name[2 * path.length - 1] = '\0';
    return path;
}

static Type_Any any_for(const struct net *net, const struct value *value)
{
    if (!value->is_context)
        return number(value->n);
    return (Type_Any){value->n < PLAIN ? CODE_Context : CODE_MergedContext,
                      (uintptr_t)net->cx[value->n]};
}

static bool operate(struct prop *p, struct net *net)
{
    char name[2 * DEPTH];
    struct path path = choose_path(p, name);
    enum what what = (enum what)prop_choose(p, 3);
    uint32_t at = prop_choose(p, ALL);
    struct value value = {true, prop_choose(p, 3) > 0, prop_choose(p, ALL)};
    Type_Any any = any_for(net, &value);
    enum outcome expected;

    expected = model(net, at, &path, what, &value);
    PROP_CHECK(p, real(net->cx[at], name, what, &any) == expected);
    if (what == GET && expected == DONE)
        PROP_CHECK(p, any.val == any_for(net, &value).val);
    return true;
}

/* Only contexts with smaller numbers go into a merged one, so that none is inside itself. */
static void change_members(struct prop *p, struct net *net)
{
    uint32_t at = PLAIN + prop_choose(p, ALL - PLAIN);
    uint32_t n = prop_choose(p, at);
    bool mask = prop_choose(p, 3) == 0;
    struct node *node = &net->nodes[at];
    uint32_t i = 0;

    while (i < node->count && node->members[i] != n)
        i++;
    if (i == node->count) {
        node->members[i] = n;
        node->masks[i] = mask;
        node->count++;
        MergedContext_AddContext((MergedContext_clp)net->cx[at], net->cx[n],
                                 MergedContext_Position_After, mask, NULL);
        return;
    }
    node->count--;
    for (; i < node->count; i++) {
        node->members[i] = node->members[i + 1];
        node->masks[i] = node->masks[i + 1];
    }
    MergedContext_DeleteContext((MergedContext_clp)net->cx[at], net->cx[n]);
}

static bool net_like_model(struct prop *p)
{
    struct net net = {.cx = {NULL}};
    bool ok = true;

    for (uint32_t i = 0; i < ALL; i++)
        net.cx[i] = i < PLAIN ? new_context(NULL) : MergedContext_as_Context(new_merged(NULL));
    while (ok && prop_more(p)) {
        if (prop_choose(p, 6) == 0)
            change_members(p, &net);
        else
            ok = operate(p, &net);
    }
    for (uint32_t i = 0; i < ALL; i++)
        Context_Destroy(net.cx[i]);
    return ok;
}

static void networks_behave_like_their_definition(void **state)
{
    prop_run("net_like_model", net_like_model, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_behave_like_their_definition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
