/* SPDX-License-Identifier: MIT */
/* MergedContext against its documentation, clause by clause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/failalloc.h"
#include "context_test.h"

#define BEFORE MergedContext_Position_Before
#define AFTER  MergedContext_Position_After

/* A merged context of A and B, in this order, and a context "sub" in each. */
struct fixture {
    MergedContext_clp m;
    Context_clp cx; /* m as a Context */
    Context_clp a, b;
    Context_clp sub_a, sub_b;
};

static void setup(struct fixture *f, bool mask_a)
{
    f->m = new_merged(NULL);
    f->cx = MergedContext_as_Context(f->m);
    f->a = new_context(NULL);
    f->b = new_context(NULL);
    f->sub_a = new_context(NULL);
    f->sub_b = new_context(NULL);
    MergedContext_AddContext(f->m, f->a, AFTER, mask_a, NULL);
    MergedContext_AddContext(f->m, f->b, AFTER, false, NULL);
    Context_Add(f->a, "sub", any_of(f->sub_a));
    Context_Add(f->b, "sub", any_of(f->sub_b));
}

static void teardown(struct fixture *f)
{
    Context_Destroy(f->cx);
    Context_Destroy(f->a);
    Context_Destroy(f->b);
    Context_Destroy(f->sub_a);
    Context_Destroy(f->sub_b);
}

static uint64_t value_of(Context_clp cx, const char *name)
{
    Type_Any any;

    return Context_Get(cx, name, &any) ? any.val : 0;
}

static void add(Context_clp cx, const char *name, uint64_t n)
{
    Type_Any any = number(n);

    Context_Add(cx, name, &any);
}

static void expect_contexts(MergedContext_clp m, Context_clp first, Context_clp second,
                            Context_clp third)
{
    const Context_clp expected[] = {first, second, third};
    MergedContext_ContextList *list = MergedContext_ListContexts(m);

    for (uint32_t i = 0; i < list->len; i++)
        assert_ptr_equal(list->data[i], expected[i]);
    assert_true(list->len == 3 || !expected[list->len]);
    MBR_SEQ_CLEAR(list);
    free(list);
}

static void keeps_the_order_it_is_told(void **state)
{
    MergedContext_clp m = new_merged(NULL);
    Context_clp a = new_context(NULL);
    Context_clp b = new_context(NULL);
    Context_clp c = new_context(NULL);

    expect_contexts(m, NULL, NULL, NULL);
    MergedContext_AddContext(m, a, BEFORE, false, NULL);
    MergedContext_AddContext(m, b, BEFORE, false, NULL);
    expect_contexts(m, b, a, NULL);
    MergedContext_AddContext(m, c, AFTER, false, b);
    expect_contexts(m, b, c, a);
    assert_true(RAISES(Context_Exists, MergedContext_AddContext(m, c, AFTER, false, NULL)));
    MergedContext_DeleteContext(m, c);
    expect_contexts(m, b, a, NULL);
    MergedContext_AddContext(m, c, BEFORE, false, b);
    expect_contexts(m, c, b, a);
    MergedContext_DeleteContext(m, c);
    assert_true(RAISES(Context_NotContext, MergedContext_DeleteContext(m, c)));
    MergedContext_AddContext(m, c, AFTER, false, a);
    expect_contexts(m, b, a, c);
    Context_Destroy(MergedContext_as_Context(m));
    Context_Destroy(a);
    Context_Destroy(b);
    Context_Destroy(c);
}

static void the_neighbour_must_be_there(void **state)
{
    MergedContext_clp m = new_merged(NULL);
    Context_clp a = new_context(NULL);
    Context_clp b = new_context(NULL);

    assert_true(RAISES(Context_NotContext, MergedContext_AddContext(m, a, AFTER, false, b)));
    assert_true(RAISES(Context_NotContext, MergedContext_AddContext(m, NULL, AFTER, false, NULL)));
    expect_contexts(m, NULL, NULL, NULL);
    Context_Destroy(MergedContext_as_Context(m));
    Context_Destroy(a);
    Context_Destroy(b);
}

static void get_tries_each_in_turn(void **state)
{
    struct fixture f;

    setup(&f, false);
    add(f.a, "both", 1);
    add(f.b, "both", 2);
    add(f.b, "second", 3);
    assert_int_equal(value_of(f.cx, "both"), 1);
    assert_int_equal(value_of(f.cx, "second"), 3);
    assert_int_equal(value_of(f.cx, "none"), 0);
    /* Compound names merge the contexts of one name. */
    add(f.sub_a, "both", 4);
    add(f.sub_b, "both", 5);
    add(f.sub_b, "second", 6);
    assert_int_equal(value_of(f.cx, "sub>both"), 4);
    assert_int_equal(value_of(f.cx, "sub>second"), 6);
    assert_int_equal(value_of(f.cx, "sub>none"), 0);
    assert_true(value_of(f.cx, "sub") == (uintptr_t)f.sub_a);
    teardown(&f);
}

static void a_mask_hides_what_is_behind(void **state)
{
    struct fixture f;

    setup(&f, true);
    add(f.sub_a, "both", 4);
    add(f.sub_b, "both", 5);
    add(f.sub_b, "second", 6);
    add(f.b, "plain", 7);
    assert_int_equal(value_of(f.cx, "sub>both"), 4);
    assert_int_equal(value_of(f.cx, "sub>second"), 0); /* masked */
    assert_int_equal(value_of(f.cx, "plain"), 7);      /* names of the first level are not */
    assert_string_equal(missing_in_remove(f.cx, "sub>second"), "sub>second");
    Context_Remove(f.a, "sub");
    assert_int_equal(value_of(f.cx, "sub>second"), 6);
    teardown(&f);
}

static void other_exceptions_go_on_their_way(void **state)
{
    struct fixture f;
    Type_Any any = number(1);

    setup(&f, false);
    add(f.a, "leaf", 1);
    Context_Add(f.b, "leaf", any_of(f.sub_b));
    add(f.sub_b, "x", 2);
    /* A binds "leaf" to something that is no context, and comes first. */
    assert_true(RAISES(Context_NotContext, Context_Get(f.cx, "leaf>x", &any)));
    assert_true(RAISES(Context_NotContext, Context_Add(f.cx, "leaf>y", &any)));
    assert_true(RAISES(Context_NotContext, Context_Remove(f.cx, "leaf>x")));
    Context_Remove(f.a, "leaf");
    assert_int_equal(value_of(f.cx, "leaf>x"), 2);
    /* What is found before NotContext would be raised is found. */
    add(f.sub_a, "deep", 1);
    Context_Remove(f.b, "sub");
    add(f.b, "sub", 9);
    assert_int_equal(value_of(f.cx, "sub>deep"), 1);
    assert_true(RAISES(Context_NotContext, Context_Get(f.cx, "sub>none", &any)));
    teardown(&f);
}

static void add_goes_to_the_first(void **state)
{
    struct fixture f;
    Type_Any any = number(1);
    MergedContext_clp empty = new_merged(NULL);

    setup(&f, false);
    add(f.cx, "new", 5);
    assert_int_equal(value_of(f.a, "new"), 5);
    assert_int_equal(value_of(f.b, "new"), 0);
    assert_true(RAISES(Context_Exists, Context_Add(f.cx, "new", &any)));
    add(f.b, "other", 6);
    add(f.cx, "other", 7); /* bound in the first, though the second binds it too */
    assert_int_equal(value_of(f.a, "other"), 7);
    assert_true(RAISES(Context_Denied, Context_Add(MergedContext_as_Context(empty), "x", &any)));
    Context_Destroy(MergedContext_as_Context(empty));
    teardown(&f);
}

static void compound_add_goes_where_the_first_arc_is(void **state)
{
    struct fixture f;
    Type_Any any = number(1);

    setup(&f, false);
    add(f.cx, "sub>x", 1);
    assert_int_equal(value_of(f.sub_a, "x"), 1);
    assert_true(RAISES(Context_Exists, Context_Add(f.cx, "sub>x", &any)));
    /* NotFound in the first is trapped: the second has what is needed. */
    Context_Add(f.sub_b, "deep", any_of(f.a));
    add(f.cx, "sub>deep>y", 2);
    assert_int_equal(value_of(f.a, "y"), 2);
    assert_string_equal(missing_in_add(f.cx, "nowhere>x", &any), "nowhere>x");
    assert_string_equal(missing_in_add(f.cx, "sub>nowhere>x", &any), "sub>nowhere>x");
    teardown(&f);
}

static void remove_tries_each_in_turn(void **state)
{
    struct fixture f;

    setup(&f, false);
    add(f.a, "both", 1);
    add(f.b, "both", 2);
    Context_Remove(f.cx, "both");
    assert_int_equal(value_of(f.cx, "both"), 2);
    Context_Remove(f.cx, "both");
    assert_string_equal(missing_in_remove(f.cx, "both"), "both");
    add(f.sub_b, "x", 3);
    Context_Remove(f.cx, "sub>x");
    assert_int_equal(value_of(f.sub_b, "x"), 0);
    assert_string_equal(missing_in_remove(f.cx, "sub>x"), "sub>x");
    teardown(&f);
}

static void lists_each_name_once(void **state)
{
    struct foreign foreign;
    struct fixture f;

    foreign_init(&foreign);
    setup(&f, false);
    add(f.a, "one", 1);
    add(f.b, "two", 1);
    add(f.b, "one", 1);
    MergedContext_AddContext(f.m, &foreign.cl, AFTER, false, NULL);
    expect_names(Context_List(f.cx), "sub,one,two,foreign,");
    teardown(&f);
}

static void merges_merged_contexts(void **state)
{
    MergedContext_clp outer = new_merged(NULL);
    Context_clp last = new_context(NULL);
    Context_clp sub = new_context(NULL);
    Context_clp cx = MergedContext_as_Context(outer);
    struct fixture f;

    setup(&f, true);
    MergedContext_AddContext(outer, f.cx, AFTER, false, NULL);
    MergedContext_AddContext(outer, last, AFTER, false, NULL);
    Context_Add(last, "sub", any_of(sub));
    add(f.sub_b, "hidden", 1);
    add(sub, "seen", 2);
    /* The mask in the inner one hides what is behind in the inner one. */
    assert_int_equal(value_of(cx, "sub>hidden"), 0);
    assert_int_equal(value_of(cx, "sub>seen"), 2);
    add(cx, "top", 3);
    assert_int_equal(value_of(f.a, "top"), 3);
    assert_true(RAISES(Context_Exists, MergedContext_AddContext(f.m, cx, AFTER, false, NULL)));
    assert_true(RAISES(Context_Exists, MergedContext_AddContext(outer, cx, AFTER, false, NULL)));
    MergedContext_DeleteContext(outer, f.cx);
    MergedContext_AddContext(outer, f.cx, BEFORE, true, NULL);
    assert_int_equal(value_of(cx, "sub>seen"), 0); /* now the whole inner one masks */
    Context_Destroy(cx);
    Context_Destroy(last);
    Context_Destroy(sub);
    teardown(&f);
}

static void asks_foreign_contexts_in_their_turn(void **state)
{
    struct foreign foreign;
    struct fixture f;
    Type_Any any;

    foreign_init(&foreign);
    setup(&f, false);
    add(f.sub_a, "x", 1);
    MergedContext_AddContext(f.m, &foreign.cl, AFTER, false, f.a);
    assert_int_equal(value_of(f.cx, "sub>x"), 1);
    assert_int_equal(foreign.calls, 0); /* not its turn */
    assert_int_equal(value_of(f.cx, "sub>y"), 77);
    assert_string_equal(foreign.last, "sub>y");
    assert_true(RAISES(Context_Denied, Context_Get(f.cx, "secret>x", &any)));
    add(f.b, "none", 5);
    assert_int_equal(value_of(f.cx, "none"), 5); /* absent there, so the next is asked */
    Context_Remove(f.cx, "none");
    assert_int_equal(value_of(f.b, "none"), 0);
    /* As a masking member it hides what is behind, if it binds the first arc. */
    MergedContext_DeleteContext(f.m, &foreign.cl);
    MergedContext_AddContext(f.m, &foreign.cl, BEFORE, true, NULL);
    Context_Add(f.b, "none", any_of(f.sub_b));
    add(f.sub_b, "z", 8);
    assert_int_equal(value_of(f.cx, "none>z"), 8);
    assert_string_equal(missing_in_add(f.cx, "none>w>x", &any), "none>w>x");
    teardown(&f);
}

/* x leads back to the merged context in both of its members: 2^1000 ways that a search must not go
 * one by one. */
static void does_not_search_in_vain_twice(void **state)
{
    enum { ARCS = 1000 };
    struct fixture f;
    char name[2 * ARCS + 5];
    Type_Any any = number(1);

    setup(&f, false);
    Context_Add(f.a, "x", any_of(f.cx));
    Context_Add(f.b, "x", any_of(f.cx));
    Context_Add(f.sub_a, "x", any_of(f.cx));
    for (int i = 0; i < ARCS; i++)
        memcpy(name + 2 * i, "x>", 2);
    memcpy(name + 2 * ARCS, "none", 5);
    assert_false(Context_Get(f.cx, name, &any));
    assert_int_equal(strlen(missing_in_remove(f.cx, name)), strlen(name));
    add(f.b, "none", 4);
    assert_int_equal(value_of(f.cx, name), 4);
    teardown(&f);
}

static void chains_of_merged_contexts_do_not_recurse(void **state)
{
    enum { LINKS = 20000 };
    MergedContext_clp *chain = calloc(LINKS, sizeof(*chain));
    Context_clp bottom = new_context(NULL);
    Context_clp top;

    assert_non_null(chain);
    for (int i = 0; i < LINKS; i++)
        chain[i] = new_merged(NULL);
    /* From the top down: AddContext looks at all that is below what it adds. */
    for (int i = LINKS - 1; i > 0; i--)
        MergedContext_AddContext(chain[i], MergedContext_as_Context(chain[i - 1]), AFTER, true,
                                 NULL);
    MergedContext_AddContext(chain[0], bottom, AFTER, false, NULL);
    top = MergedContext_as_Context(chain[LINKS - 1]);
    add(top, "leaf", 3);
    assert_int_equal(value_of(bottom, "leaf"), 3);
    assert_int_equal(value_of(top, "leaf"), 3);
    for (int i = 0; i < LINKS; i++)
        Context_Destroy(MergedContext_as_Context(chain[i]));
    Context_Destroy(bottom);
    free(chain);
}

/* Many members, all binding one name to contexts of their own, some of them twice in the list by
 * way of a merged one. */
static void searches_wide_merges(void **state)
{
    enum { WIDE = 3000 };
    MergedContext_clp m = new_merged(NULL);
    MergedContext_clp inner = new_merged(NULL);
    Context_clp cx = MergedContext_as_Context(m);
    Context_clp *all = calloc(WIDE, sizeof(*all));

    assert_non_null(all);
    for (int i = 0; i < WIDE; i++) {
        all[i] = new_context(NULL);
        if (i > 0)
            Context_Add(all[i - 1], "next", any_of(all[i]));
        MergedContext_AddContext(i % 3 ? m : inner, all[i], AFTER, false, NULL);
    }
    Context_Add(all[WIDE - 1], "next", any_of(MergedContext_as_Context(inner)));
    MergedContext_AddContext(m, MergedContext_as_Context(inner), BEFORE, false, NULL);
    assert_int_equal(value_of(cx, "next>next>next>none"), 0);
    add(all[WIDE - 1], "leaf", 9);
    assert_int_equal(value_of(cx, "next>leaf"), 9);
    add(all[0], "leaf", 8); /* reached through the merged one at the end of the chain, and later */
    assert_int_equal(value_of(cx, "next>leaf"), 9);
    Context_Remove(cx, "next>leaf");
    assert_int_equal(value_of(cx, "next>leaf"), 8);
    Context_Destroy(cx);
    Context_Destroy(MergedContext_as_Context(inner));
    for (int i = 0; i < WIDE; i++)
        Context_Destroy(all[i]);
    free(all);
}

static bool get_raises(Context_clp cx, const char *name)
{
    Type_Any any;

    return RAISES(Heap_NoMemory, Context_Get(cx, name, &any));
}

static bool list_raises(Context_clp cx)
{
    return RAISES(Heap_NoMemory, names_free(Context_List(cx)));
}

static bool add_context_raises(MergedContext_clp m, Context_clp cx)
{
    return RAISES(Heap_NoMemory, MergedContext_AddContext(m, cx, AFTER, false, NULL));
}

static void free_list(MergedContext_ContextList *list)
{
    MBR_SEQ_CLEAR(list);
    free(list);
}

static bool list_contexts_raises(MergedContext_clp m)
{
    return RAISES(Heap_NoMemory, free_list(MergedContext_ListContexts(m)));
}

static void everything_fails(struct fixture *f, const char *name)
{
    for (unsigned int fail = 0;; fail++) {
        failalloc_arm(fail);
        get_raises(f->cx, name);
        if (!failalloc_disarm())
            break;
    }
    for (unsigned int fail = 0;; fail++) {
        failalloc_arm(fail);
        list_raises(f->cx);
        if (!failalloc_disarm())
            break;
    }
    for (unsigned int fail = 0;; fail++) {
        failalloc_arm(fail);
        list_contexts_raises(f->m);
        if (!failalloc_disarm())
            break;
    }
}

static void without_memory_nothing_changes(void **state)
{
    Context_clp more[20];
    struct foreign foreign;
    struct fixture f;

    foreign_init(&foreign);
    setup(&f, false);
    MergedContext_AddContext(f.m, &foreign.cl, AFTER, true, NULL);
    for (int i = 0; i < 20; i++) {
        more[i] = new_context(NULL);
        Context_Add(more[i], "sub", any_of(more[i]));
        add(more[i], "leaf", 1);
        failalloc_arm(0);
        assert_true(add_context_raises(f.m, more[i]));
        failalloc_disarm();
        MergedContext_AddContext(f.m, more[i], AFTER, false, NULL);
    }
    everything_fails(&f, "sub>sub>none");
    everything_fails(&f, "leaf");
    teardown(&f);
    for (int i = 0; i < 20; i++)
        Context_Destroy(more[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_it_is_told),
        cmocka_unit_test(the_neighbour_must_be_there),
        cmocka_unit_test(get_tries_each_in_turn),
        cmocka_unit_test(a_mask_hides_what_is_behind),
        cmocka_unit_test(other_exceptions_go_on_their_way),
        cmocka_unit_test(add_goes_to_the_first),
        cmocka_unit_test(compound_add_goes_where_the_first_arc_is),
        cmocka_unit_test(remove_tries_each_in_turn),
        cmocka_unit_test(lists_each_name_once),
        cmocka_unit_test(merges_merged_contexts),
        cmocka_unit_test(asks_foreign_contexts_in_their_turn),
        cmocka_unit_test(does_not_search_in_vain_twice),
        cmocka_unit_test(chains_of_merged_contexts_do_not_recurse),
        cmocka_unit_test(searches_wide_merges),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
