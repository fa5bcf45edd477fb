/* SPDX-License-Identifier: MIT */
/* Context and ContextMod against their documentation, clause by clause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <membrane/modules.h>
#include <middl/Context.h>
#include <middl/ContextMod.h>
#include <middl/MergedContext.h>

#include "../unit/failalloc.h"
#include "context_test.h"
#include "test_heap.h"

static void binds_and_finds(void **state)
{
    Context_clp cx = new_context(NULL);
    Type_Any any = number(99);

    assert_false(Context_Get(cx, "a", &any));
    assert_true(any.val == 99);
    Context_Add(cx, "a", &(Type_Any){MBR_CODE_CARDINAL, 1});
    Context_Add(cx, "b", &(Type_Any){MBR_CODE_BOOLEAN, 0});
    assert_true(Context_Get(cx, "a", &any));
    assert_true(any.type == MBR_CODE_CARDINAL && any.val == 1);
    assert_true(Context_Get(cx, "b", &any));
    assert_true(any.type == MBR_CODE_BOOLEAN && any.val == 0);
    Context_Remove(cx, "a");
    assert_false(Context_Get(cx, "a", &any));
    Context_Destroy(cx);
}

static void raises_what_it_says(void **state)
{
    Context_clp cx = new_context(NULL);
    Type_Any any = number(1);

    Context_Add(cx, "a", &any);
    assert_true(RAISES(Context_Exists, Context_Add(cx, "a", &any)));
    assert_string_equal(missing_in_remove(cx, "b"), "b");
    assert_true(RAISES(Context_NotContext, Context_Get(cx, "a>b", &any)));
    assert_true(RAISES(Context_NotContext, Context_Add(cx, "a>b", &any)));
    assert_true(RAISES(Context_NotContext, Context_Remove(cx, "a>b")));
    assert_string_equal(missing_in_add(cx, "x>b", &any), "x>b");
    assert_string_equal(missing_in_remove(cx, "x>b"), "x>b");
    assert_false(Context_Get(cx, "x>b", &any)); /* absence is no exception */
    Context_Destroy(cx);
}

static void interprets_pathnames(void **state)
{
    Context_clp cx = new_context(NULL);
    Context_clp sub = new_context(NULL);
    Context_clp subsub = new_context(NULL);
    Type_Any any;

    Context_Add(cx, "sub", any_of(sub));
    Context_Add(cx, "sub>sub", any_of(subsub));
    Context_Add(cx, "sub>sub>leaf", &(Type_Any){MBR_CODE_CARDINAL, 5});
    assert_true(Context_Get(cx, "sub>sub>leaf", &any) && any.val == 5);
    assert_true(Context_Get(sub, "sub>leaf", &any) && any.val == 5);
    assert_true(Context_Get(subsub, "leaf", &any) && any.val == 5);
    assert_true(Context_Get(cx, "sub>sub", &any) && any.val == (uintptr_t)subsub);
    assert_false(Context_Get(cx, "sub>none>leaf", &any));
    assert_string_equal(missing_in_add(cx, "sub>none>leaf", &any), "none>leaf");
    assert_string_equal(missing_in_remove(cx, "sub>sub>none"), "none");
    assert_true(RAISES(Context_NotContext, Context_Get(cx, "sub>sub>leaf>x", &any)));
    assert_true(RAISES(Context_Exists, Context_Add(cx, "sub>sub>leaf", &any)));
    Context_Remove(cx, "sub>sub>leaf");
    assert_false(Context_Get(subsub, "leaf", &any));
    Context_Destroy(subsub);
    Context_Destroy(sub);
    Context_Destroy(cx);
}

/* An arc-name is not empty: such names are bound nowhere and cannot be. */
static void refuses_names_that_are_none(void **state)
{
    static const char *const names[] = {"", ">", ">a", "a>", "a>>b", NULL};
    Context_clp cx = new_context(NULL);
    Type_Any any = number(1);

    Context_Add(cx, "a", any_of(cx));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(Context_Get(cx, names[i], &any));
    assert_true(RAISES(Context_Denied, Context_Add(cx, "", &any)));
    assert_true(RAISES(Context_Denied, Context_Add(cx, NULL, &any)));
    assert_true(RAISES(Context_Denied, Context_Add(cx, "a>", &any)));
    assert_string_equal(missing_in_add(cx, "a>>b", &any), ">b");
    assert_string_equal(missing_in_remove(cx, ""), "");
    assert_string_equal(missing_in_remove(cx, "a>"), "");
    Context_Destroy(cx);
}

static void lists_its_names_in_order(void **state)
{
    Context_clp cx = new_context(NULL);
    Type_Any any = number(1);

    expect_names(Context_List(cx), "");
    Context_Add(cx, "z", &any);
    Context_Add(cx, "a b", &any);
    Context_Add(cx, "m", &any);
    Context_Remove(cx, "a b");
    Context_Add(cx, "a b", &any);
    expect_names(Context_List(cx), "z,m,a b,");
    Context_Destroy(cx);
}

/* A network of any shape: a context inside itself, and a name of 100,000 arcs through it. */
static void follows_cycles_without_recursion(void **state)
{
    Context_clp cx = new_context(NULL);
    size_t arcs = 100000;
    char *name = malloc(2 * arcs + 5);
    Type_Any any;

    Context_Add(cx, "x", any_of(cx));
    for (size_t i = 0; i < arcs; i++)
        memcpy(name + 2 * i, "x>", 2);
    memcpy(name + 2 * arcs, "leaf", 5);
    assert_false(Context_Get(cx, name, &any));
    Context_Add(cx, name, &(Type_Any){MBR_CODE_CARDINAL, 8});
    assert_true(Context_Get(cx, "leaf", &any) && any.val == 8);
    Context_Remove(cx, name);
    assert_false(Context_Get(cx, "leaf", &any));
    free(name);
    Context_Destroy(cx);
}

/* What a pathname meets that is not ours gets the rest of it, and may raise what it likes. */
static void hands_the_rest_to_foreign_contexts(void **state)
{
    struct foreign foreign;
    Context_clp cx = new_context(NULL);
    Type_Any any;

    foreign_init(&foreign);
    Context_Add(cx, "f", any_of(&foreign.cl));
    assert_true(Context_Get(cx, "f>deep>down", &any) && any.val == 77);
    assert_string_equal(foreign.last, "deep>down");
    assert_false(Context_Get(cx, "f>none", &any));
    assert_string_equal(missing_in_add(cx, "f>none", &any), "none");
    assert_string_equal(missing_in_remove(cx, "f>none"), "none");
    assert_true(RAISES(Context_Denied, Context_Get(cx, "f>secret", &any)));
    Context_Add(cx, "f>new>thing", &any);
    assert_string_equal(foreign.last, "new>thing");
    Context_Remove(cx, "f>old>thing");
    assert_string_equal(foreign.last, "old>thing");
    Context_Destroy(cx);
}

static bool add_raises(Context_clp cx, const char *name)
{
    return RAISES(Heap_NoMemory, Context_Add(cx, name, &(Type_Any){MBR_CODE_CARDINAL, 1}));
}

static bool new_raises(struct test_heap *heap)
{
    return RAISES(Heap_NoMemory, new_context(&heap->cl));
}

static bool list_raises(Context_clp cx)
{
    return RAISES(Heap_NoMemory, names_free(Context_List(cx)));
}

static void without_memory_nothing_changes(void **state)
{
    struct test_heap heap;
    Context_clp cx;
    Type_Any any;

    test_heap_init(&heap);
    test_heap_arm(&heap, 0);
    assert_true(new_raises(&heap));
    test_heap_disarm(&heap);
    cx = new_context(&heap.cl);
    for (int i = 0; i < 30; i++) {
        char name[16];
        int64_t fail = 0;

        snprintf(name, sizeof(name), "%d", i);
        do {
            int64_t live = heap.live;

            test_heap_arm(&heap, fail++);
            if (add_raises(cx, name)) {
                assert_int_equal(heap.live, live);
                assert_false(Context_Get(cx, name, &any));
            }
        } while (test_heap_disarm(&heap));
        assert_true(Context_Get(cx, name, &any));
    }
    for (unsigned int fail = 0;; fail++) {
        failalloc_arm(fail);
        list_raises(cx);
        if (!failalloc_disarm())
            break;
    }
    Context_Destroy(cx);
    assert_int_equal(heap.live, 0);
}

/* Looking up takes no memory, and everything a context has is in its heap. */
static void uses_its_heap_alone(void **state)
{
    struct test_heap heap;
    Context_clp cx;
    Type_Any any = number(1);
    uint64_t mallocs;

    test_heap_init(&heap);
    cx = new_context(&heap.cl);
    mallocs = failalloc_count();
    Context_Add(cx, "x", any_of(cx));
    mallocs = failalloc_count() - mallocs;
    assert_int_equal(mallocs, heap.live - 1); /* the test's heap calls malloc itself */
    mallocs = failalloc_count();
    assert_true(Context_Get(cx, "x>x>x>x", &any));
    assert_int_equal(failalloc_count(), mallocs);
    Context_Destroy(cx);
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_and_finds),
        cmocka_unit_test(raises_what_it_says),
        cmocka_unit_test(interprets_pathnames),
        cmocka_unit_test(refuses_names_that_are_none),
        cmocka_unit_test(lists_its_names_in_order),
        cmocka_unit_test(follows_cycles_without_recursion),
        cmocka_unit_test(hands_the_rest_to_foreign_contexts),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(uses_its_heap_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
