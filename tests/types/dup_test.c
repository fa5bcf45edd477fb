/* SPDX-License-Identifier: MIT */
/* Context.Dup against its documentation: translations, strings, sharing, cycles, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <middl/WordTblMod.h>

#include "../unit/failalloc.h"
#include "context_test.h"

static Type_Any get(Context_clp cx, const char *name)
{
    Type_Any any = {0, 0};

    assert_true(Context_Get(cx, name, &any));
    return any;
}

static Context_clp get_context(Context_clp cx, const char *name)
{
    Type_Any any = get(cx, name);

    assert_true(any.type == CODE_Context || any.type == CODE_MergedContext);
    return (Context_clp)(uintptr_t)any.val;
}

static void add(Context_clp cx, const char *name, uint64_t type, uint64_t val)
{
    Context_Add(cx, name, &(Type_Any){type, val});
}

static void add_string(Context_clp cx, const char *name, const char *text)
{
    add(cx, name, MBR_CODE_STRING, (uintptr_t)text);
}

static void copies_bindings_and_strings(void **state)
{
    char text[] = "text";
    Context_clp cx = new_context(NULL);
    struct test_heap heap;
    Context_clp copy;

    test_heap_init(&heap);
    add(cx, "n", MBR_CODE_CARDINAL, 7);
    add_string(cx, "s", text);
    add_string(cx, "null", NULL);
    copy = Context_Dup(cx, &heap.cl, NULL);
    text[0] = 'x';
    Context_Remove(cx, "n");
    assert_true(get(copy, "n").val == 7 && get(copy, "n").type == MBR_CODE_CARDINAL);
    assert_string_equal((const char *)(uintptr_t)get(copy, "s").val, "text");
    assert_true(get(copy, "null").val == 0);
    expect_names(Context_List(copy), "n,s,null,");
    Context_Remove(copy, "s"); /* with the copy of the text */
    Context_Destroy(copy);
    assert_int_equal(heap.live, 0);
    Context_Destroy(cx);
}

static void duplicates_subcontexts(void **state)
{
    Context_clp cx = new_context(NULL);
    Context_clp sub = new_context(NULL);
    Context_clp copy, sub_copy;

    Context_Add(cx, "sub", any_of(sub));
    Context_Add(cx, "again", any_of(sub));
    Context_Add(sub, "up", any_of(cx));
    add(sub, "leaf", MBR_CODE_CARDINAL, 1);
    copy = Context_Dup(cx, NULL, NULL);
    sub_copy = get_context(copy, "sub");
    assert_ptr_not_equal(sub_copy, sub);
    assert_ptr_equal(get_context(copy, "again"), sub_copy); /* shared as before */
    assert_ptr_equal(get_context(copy, "sub>up"), copy);    /* and a cycle as before */
    Context_Remove(copy, "sub>leaf");
    assert_true(get(cx, "sub>leaf").val == 1);
    Context_Destroy(sub_copy);
    Context_Destroy(copy);
    Context_Destroy(sub);
    Context_Destroy(cx);
}

static void applies_translations(void **state)
{
    WordTbl_clp xl = WordTblMod_New(MBR_MODULE(WordTblMod), NULL);
    Context_clp cx = new_context(NULL);
    Context_clp sub = new_context(NULL);
    Context_clp other = new_context(NULL);
    static char thing, replacement, text[] = "text";
    Context_clp copy;

    add(cx, "thing", MBR_CODE_ADDRESS, (uintptr_t)&thing);
    add_string(cx, "text", text);
    Context_Add(cx, "sub", any_of(sub));
    add(cx, "kept", MBR_CODE_CARDINAL, 12);
    WordTbl_Put(xl, (uintptr_t)&thing, &replacement);
    WordTbl_Put(xl, (uintptr_t)text, &replacement);
    WordTbl_Put(xl, (uintptr_t)sub, other);
    WordTbl_Put(xl, (uintptr_t)cx, &replacement); /* the root is no value of a binding */
    copy = Context_Dup(cx, NULL, xl);
    assert_true(get(copy, "thing").val == (uintptr_t)&replacement);
    assert_true(get(copy, "thing").type == MBR_CODE_ADDRESS);
    assert_true(get(copy, "text").val == (uintptr_t)&replacement);
    assert_ptr_equal(get_context(copy, "sub"), other);
    assert_true(get(copy, "kept").val == 12);
    assert_int_equal(WordTbl_Size(xl), 4); /* nothing was put into it */
    Context_Destroy(copy);
    Context_Destroy(other);
    Context_Destroy(sub);
    Context_Destroy(cx);
    WordTbl_Destroy(xl);
}

static void duplicates_merged_contexts(void **state)
{
    MergedContext_clp m = new_merged(NULL);
    Context_clp cx = MergedContext_as_Context(m);
    Context_clp a = new_context(NULL);
    Context_clp b = new_context(NULL);
    MergedContext_ContextList *list;
    Context_clp copy;

    MergedContext_AddContext(m, a, MergedContext_Position_After, true, NULL);
    MergedContext_AddContext(m, b, MergedContext_Position_After, false, NULL);
    add(b, "leaf", MBR_CODE_CARDINAL, 3);
    add(a, "self", CODE_MergedContext, (uintptr_t)m);
    Context_Add(b, "self", any_of(b));
    copy = Context_Dup(cx, NULL, NULL);
    assert_true(get(copy, "leaf").val == 3);
    assert_ptr_equal(get_context(copy, "self"), copy);
    list = MergedContext_ListContexts((MergedContext_clp)copy);
    assert_int_equal(list->len, 2);
    assert_ptr_not_equal(list->data[0], a);
    Context_Remove(b, "leaf");
    assert_true(get(copy, "leaf").val == 3);
    /* The mask came along: "self" of the first hides that of the second. */
    Context_Remove(list->data[0], "self");
    Context_Add(list->data[0], "self", any_of(list->data[0]));
    assert_false(Context_Get(copy, "self>leaf", &(Type_Any){0, 0}));
    Context_Destroy(list->data[0]);
    Context_Destroy(list->data[1]);
    MBR_SEQ_CLEAR(list);
    free(list);
    Context_Destroy(copy);
    Context_Destroy(a);
    Context_Destroy(b);
    Context_Destroy(cx);
}

/* A chain of 50,000 contexts needs no deeper a stack than one. */
static void long_chains_do_not_recurse(void **state)
{
    enum { LINKS = 50000 };
    struct test_heap heap;
    Context_clp first = new_context(NULL);
    Context_clp cx = first;
    Context_clp copy;

    test_heap_init(&heap);
    for (int i = 0; i < LINKS; i++) {
        Context_clp next = new_context(NULL);

        Context_Add(cx, "next", any_of(next));
        cx = next;
    }
    copy = Context_Dup(first, &heap.cl, NULL);
    for (int i = 0; i < LINKS; i++) {
        Context_clp next = get_context(copy, "next");
        Context_clp old = get_context(first, "next");

        Context_Destroy(copy);
        Context_Destroy(first);
        copy = next;
        first = old;
    }
    Context_Destroy(copy);
    Context_Destroy(first);
    assert_int_equal(heap.live, 0);
}

/* What Dup cannot promise to copy as what it is stays: a subtype with operations of its own. */
static void subtypes_are_shared(void **state)
{
    struct foreign foreign;
    Context_clp cx = new_context(NULL);
    Context_clp copy;

    foreign_init(&foreign);
    add(cx, "types", CODE_MergedContext, (uintptr_t)&foreign.cl);
    copy = Context_Dup(cx, NULL, NULL);
    assert_true(get(copy, "types").val == (uintptr_t)&foreign.cl);
    assert_int_equal(foreign.calls, 0);
    Context_Destroy(copy);
    Context_Destroy(cx);
}

static void foreign_contexts_copy_themselves(void **state)
{
    Context_clp cx = new_context(NULL);
    Context_clp inner = new_context(NULL);
    struct foreign foreign;
    Context_clp copy, inner_copy;

    foreign_init(&foreign);
    foreign.inner = inner;
    Context_Add(cx, "f", any_of(&foreign.cl));
    Context_Add(cx, "f2", any_of(&foreign.cl));
    Context_Add(inner, "root", any_of(cx)); /* known by then, so not copied once more */
    copy = Context_Dup(cx, NULL, NULL);
    assert_int_equal(foreign.calls, 1);
    inner_copy = get_context(copy, "f");
    assert_ptr_equal(get_context(copy, "f2"), inner_copy);
    assert_ptr_equal(get_context(inner_copy, "root"), copy);
    Context_Destroy(inner_copy);
    Context_Destroy(copy);
    Context_Destroy(inner);
    Context_Destroy(cx);
}

/* Through a foreign context back to itself there is no end that we could see. */
static void foreign_cycles_are_denied(void **state)
{
    Context_clp cx = new_context(NULL);
    Context_clp inner = new_context(NULL);
    struct test_heap heap;
    struct foreign foreign;

    test_heap_init(&heap);
    foreign_init(&foreign);
    foreign.inner = inner;
    Context_Add(cx, "f", any_of(&foreign.cl));
    Context_Add(inner, "f", any_of(&foreign.cl));
    assert_true(RAISES(Context_Denied, Context_Dup(cx, &heap.cl, NULL)));
    assert_int_equal(heap.live, 0);
    Context_Destroy(inner);
    Context_Destroy(cx);
}

/* A network with everything in it. */
static Context_clp make_network(Context_clp made[6], struct foreign *foreign)
{
    MergedContext_clp m = new_merged(NULL);

    foreign_init(foreign);
    for (int i = 0; i < 4; i++)
        made[i] = new_context(NULL);
    made[4] = MergedContext_as_Context(m);
    made[5] = new_context(NULL);
    foreign->inner = made[5];
    Context_Add(made[0], "one", any_of(made[1]));
    Context_Add(made[0], "foreign", any_of(&foreign->cl));
    add(made[0], "merged", CODE_MergedContext, (uintptr_t)m);
    add_string(made[1], "text", "some text");
    add_string(made[5], "text", "some text");
    Context_Add(made[1], "two", any_of(made[2]));
    Context_Add(made[2], "back", any_of(made[0]));
    MergedContext_AddContext(m, made[3], MergedContext_Position_After, false, NULL);
    MergedContext_AddContext(m, made[2], MergedContext_Position_After, false, NULL);
    return made[0];
}

static bool dup_raises(Context_clp cx, Heap_clp heap, Context_clp *copy)
{
    return RAISES(Heap_NoMemory, *copy = Context_Dup(cx, heap, NULL));
}

static void destroy_copies(Context_clp copy)
{
    Context_clp one = get_context(copy, "one");
    Context_clp merged = get_context(copy, "merged");
    MergedContext_ContextList *list = MergedContext_ListContexts((MergedContext_clp)merged);

    Context_Destroy(get_context(copy, "foreign"));
    Context_Destroy(list->data[0]);
    Context_Destroy(list->data[1]);
    Context_Destroy(merged);
    Context_Destroy(one);
    Context_Destroy(copy);
    MBR_SEQ_CLEAR(list);
    free(list);
}

/* The foreign one's copy is a plain context; undoing destroys it like the others. */
static void without_memory_nothing_is_left(void **state)
{
    Context_clp made[6];
    struct test_heap heap;
    struct foreign foreign;
    Context_clp root = make_network(made, &foreign);
    Context_clp copy = NULL;

    test_heap_init(&heap);
    for (int64_t fail = 0;; fail++) {
        bool raised;

        test_heap_arm(&heap, fail);
        raised = dup_raises(root, &heap.cl, &copy);
        assert_true(raised == test_heap_disarm(&heap));
        if (!raised)
            break;
        assert_int_equal(heap.live, 0);
    }
    destroy_copies(copy);
    assert_int_equal(heap.live, 0);
    for (unsigned int fail = 0;; fail++) {
        bool raised;

        failalloc_arm(fail);
        raised = dup_raises(root, NULL, &copy);
        assert_true(raised == failalloc_disarm());
        if (!raised)
            break;
    }
    destroy_copies(copy);
    for (int i = 0; i < 6; i++)
        Context_Destroy(made[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_bindings_and_strings),
        cmocka_unit_test(duplicates_subcontexts),
        cmocka_unit_test(applies_translations),
        cmocka_unit_test(duplicates_merged_contexts),
        cmocka_unit_test(long_chains_do_not_recurse),
        cmocka_unit_test(subtypes_are_shared),
        cmocka_unit_test(foreign_contexts_copy_themselves),
        cmocka_unit_test(foreign_cycles_are_denied),
        cmocka_unit_test(without_memory_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
