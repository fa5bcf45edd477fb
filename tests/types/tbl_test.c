/* SPDX-License-Identifier: MIT */
/*
 * WordTbl, LongCardTbl and StringTbl against their documentation, clause by clause, and against an
 * array under random operations, with iterators at work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <membrane/modules.h>
#include <middl/LongCardTbl.h>
#include <middl/LongCardTblIter.h>
#include <middl/LongCardTblMod.h>
#include <middl/StringTbl.h>
#include <middl/StringTblIter.h>
#include <middl/StringTblMod.h>
#include <middl/WordTbl.h>
#include <middl/WordTblIter.h>
#include <middl/WordTblMod.h>

#include "../unit/failalloc.h"
#include "../unit/prop.h"
#include "test_heap.h"

static char a, b, c;

static WordTbl_clp new_words(Heap_clp heap)
{
    return WordTblMod_New(MBR_MODULE(WordTblMod), heap);
}

static StringTbl_clp new_strings(Heap_clp heap)
{
    return StringTblMod_New(MBR_MODULE(StringTblMod), heap);
}

static void words_are_mapped(void **state)
{
    WordTbl_clp tbl = new_words(NULL);
    void *val = &c;

    assert_int_equal(WordTbl_Size(tbl), 0);
    assert_false(WordTbl_Get(tbl, 1, &val));
    assert_ptr_equal(val, &c); /* unchanged */
    assert_false(WordTbl_Put(tbl, 1, &a));
    assert_true(WordTbl_Put(tbl, 1, &b));
    assert_int_equal(WordTbl_Size(tbl), 1);
    assert_true(WordTbl_Get(tbl, 1, &val));
    assert_ptr_equal(val, &b);
    assert_false(WordTbl_Put(tbl, UINTPTR_MAX, NULL)); /* NULL is a value like others */
    assert_true(WordTbl_Get(tbl, UINTPTR_MAX, &val));
    assert_null(val);
    assert_int_equal(WordTbl_Size(tbl), 2);
    val = &c;
    assert_false(WordTbl_Delete(tbl, 2, &val));
    assert_ptr_equal(val, &c);
    assert_true(WordTbl_Delete(tbl, 1, &val));
    assert_ptr_equal(val, &b);
    assert_false(WordTbl_Get(tbl, 1, &val));
    assert_int_equal(WordTbl_Size(tbl), 1);
    WordTbl_Destroy(tbl);
}

static void long_cardinals_are_mapped(void **state)
{
    LongCardTbl_clp tbl = LongCardTblMod_New(MBR_MODULE(LongCardTblMod), NULL);
    LongCardTblIter_clp it;
    void *val = &c;
    uint64_t key = 7;

    assert_false(LongCardTbl_Get(tbl, 1, &val));
    assert_ptr_equal(val, &c);
    assert_false(LongCardTbl_Put(tbl, UINT64_C(1) << 63, &a));
    assert_false(LongCardTbl_Put(tbl, 1, &b));
    assert_true(LongCardTbl_Put(tbl, 1, &a));
    assert_int_equal(LongCardTbl_Size(tbl), 2);
    assert_true(LongCardTbl_Get(tbl, UINT64_C(1) << 63, &val));
    assert_ptr_equal(val, &a);
    it = LongCardTbl_Iterate(tbl);
    assert_true(LongCardTblIter_Next(it, &key, &val));
    assert_true(key == UINT64_C(1) << 63);
    assert_true(LongCardTblIter_Next(it, &key, &val));
    assert_true(key == 1);
    assert_ptr_equal(val, &a);
    assert_false(LongCardTblIter_Next(it, &key, &val));
    assert_true(key == 1);
    LongCardTblIter_Dispose(it);
    assert_true(LongCardTbl_Delete(tbl, 1, &val));
    assert_false(LongCardTbl_Delete(tbl, 1, &val));
    LongCardTbl_Dispose(tbl);
}

static void strings_are_mapped_by_their_text(void **state)
{
    StringTbl_clp tbl = new_strings(NULL);
    char key[] = "key";
    void *val = &c;

    assert_false(StringTbl_Get(tbl, key, &val));
    assert_false(StringTbl_Put(tbl, key, &a));
    key[0] = 'x'; /* the table has a copy */
    assert_false(StringTbl_Get(tbl, key, &val));
    assert_ptr_equal(val, &c);
    assert_true(StringTbl_Get(tbl, "key", &val));
    assert_ptr_equal(val, &a);
    assert_true(StringTbl_Put(tbl, "key", &b));
    assert_false(StringTbl_Put(tbl, "", &a));
    assert_true(StringTbl_Put(tbl, NULL, &c)); /* the empty one */
    assert_int_equal(StringTbl_Size(tbl), 2);
    assert_true(StringTbl_Delete(tbl, "key", &val));
    assert_ptr_equal(val, &b);
    assert_false(StringTbl_Delete(tbl, "key", &val));
    assert_true(StringTbl_Delete(tbl, NULL, &val));
    assert_ptr_equal(val, &c);
    StringTbl_Dispose(tbl);
}

static void iterators_return_each_entry_once(void **state)
{
    StringTbl_clp tbl = new_strings(NULL);
    StringTblIter_clp it = StringTbl_Iterate(tbl);
    StringTblIter_clp other;
    const char *key = "unset";
    void *val = &c;

    assert_false(StringTblIter_Next(it, &key, &val));
    assert_string_equal(key, "unset");
    assert_ptr_equal(val, &c);
    StringTblIter_Dispose(it);
    StringTbl_Put(tbl, "one", &a);
    StringTbl_Put(tbl, "two", &b);
    it = StringTbl_Iterate(tbl);
    other = StringTbl_Iterate(tbl);
    assert_true(StringTblIter_Next(it, &key, &val));
    assert_string_equal(key, "one");
    assert_ptr_equal(val, &a);
    assert_true(StringTblIter_Next(it, &key, &val));
    assert_string_equal(key, "two");
    assert_false(StringTblIter_Next(it, &key, &val));
    assert_false(StringTblIter_Next(it, &key, &val));
    assert_true(StringTblIter_Next(other, &key, &val));
    assert_string_equal(key, "one");
    StringTblIter_Dispose(it);
    StringTblIter_Dispose(other);
    StringTbl_Dispose(tbl);
}

static void iterators_survive_changes(void **state)
{
    WordTbl_clp tbl = new_words(NULL);
    WordTblIter_clp it;
    uintptr_t key;
    void *val;

    for (uintptr_t i = 1; i <= 4; i++)
        WordTbl_Put(tbl, i, &a);
    it = WordTbl_Iterate(tbl);
    assert_true(WordTblIter_Next(it, &key, &val));
    assert_int_equal(key, 1);
    WordTbl_Delete(tbl, 1, &val);
    WordTbl_Delete(tbl, 2, &val); /* the one that would come */
    assert_true(WordTblIter_Next(it, &key, &val));
    assert_int_equal(key, 3);
    WordTbl_Put(tbl, 5, &b);
    WordTbl_Delete(tbl, 4, &val);
    assert_true(WordTblIter_Next(it, &key, &val));
    assert_int_equal(key, 5);
    assert_ptr_equal(val, &b);
    assert_false(WordTblIter_Next(it, &key, &val));
    WordTblIter_Dispose(it);
    it = WordTbl_Iterate(tbl);
    WordTbl_Destroy(tbl);
    assert_false(WordTblIter_Next(it, &key, &val));
    WordTblIter_Dispose(it);
}

static void everything_is_in_the_heap(void **state)
{
    struct test_heap heap;
    WordTbl_clp tbl;
    WordTblIter_clp it;
    uint64_t mallocs;

    test_heap_init(&heap);
    tbl = new_words(&heap.cl);
    for (uintptr_t i = 0; i < 500; i++)
        WordTbl_Put(tbl, i, &a);
    it = WordTbl_Iterate(tbl);
    /* Table, iterator, index, and a block for each entry: nothing came from anywhere else. */
    assert_int_equal(heap.live, 503);
    mallocs = failalloc_count();
    WordTblIter_Dispose(it);
    WordTbl_Destroy(tbl);
    assert_int_equal(heap.live, 0);
    assert_int_equal(failalloc_count(), mallocs);
}

static bool new_raises(Heap_clp heap)
{
    return RAISES(Heap_NoMemory, new_strings(heap));
}

static bool put_raises(StringTbl_clp tbl, const char *key)
{
    return RAISES(Heap_NoMemory, StringTbl_Put(tbl, key, &a));
}

static bool iterate_raises(StringTbl_clp tbl)
{
    return RAISES(Heap_NoMemory, StringTbl_Iterate(tbl));
}

/* Puts KEY, the Nth, failing each allocation in turn. */
static void put_with_failures(struct test_heap *heap, StringTbl_clp tbl, const char *key,
                              uint32_t n)
{
    int64_t fail = 0;
    void *val;

    do {
        int64_t live = heap->live;

        test_heap_arm(heap, fail++);
        if (put_raises(tbl, key)) {
            assert_int_equal(heap->live, live);
            assert_int_equal(StringTbl_Size(tbl), n);
            assert_false(StringTbl_Get(tbl, key, &val));
        }
    } while (test_heap_disarm(heap));
    assert_int_equal(StringTbl_Size(tbl), n + 1);
}

static void without_memory_nothing_changes(void **state)
{
    struct test_heap heap;
    StringTbl_clp tbl;
    void *val;

    test_heap_init(&heap);
    test_heap_arm(&heap, 0);
    assert_true(new_raises(&heap.cl));
    test_heap_disarm(&heap);
    tbl = new_strings(&heap.cl);
    for (uint32_t i = 0; i < 100; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%u", i);
        put_with_failures(&heap, tbl, key, i);
    }
    test_heap_arm(&heap, 0);
    assert_true(iterate_raises(tbl));
    test_heap_arm(&heap, 0);
    assert_true(StringTbl_Put(tbl, "1", &b)); /* what is there needs no memory */
    assert_true(StringTbl_Get(tbl, "1", &val));
    assert_ptr_equal(val, &b);
    test_heap_disarm(&heap);
    StringTbl_Dispose(tbl);
    assert_int_equal(heap.live, 0);
}

#define KEYS 40

/* What a table holds: values by key, and the order in which keys came. */
struct model {
    void *vals[KEYS];
    uint64_t came[KEYS]; /* 0: not there */
    uint64_t clock;
};

/* The key that came first of those after AFTER, or KEYS. */
static uint32_t model_next(const struct model *model, uint64_t after)
{
    uint32_t best = KEYS;

    for (uint32_t i = 0; i < KEYS; i++)
        if (model->came[i] > after && (best == KEYS || model->came[i] < model->came[best]))
            best = i;
    return best;
}

static bool check_order(struct prop *p, StringTbl_clp tbl, const struct model *model)
{
    StringTblIter_clp it = StringTbl_Iterate(tbl);
    uint64_t after = 0;
    bool ok = true;
    const char *key;
    void *val;
    uint32_t i;

    while (ok && (i = model_next(model, after)) < KEYS) {
        ok =
            StringTblIter_Next(it, &key, &val) && (uint32_t)atoi(key) == i && val == model->vals[i];
        after = model->came[i];
    }
    ok = ok && !StringTblIter_Next(it, &key, &val);
    StringTblIter_Dispose(it);
    PROP_CHECK(p, ok);
    return true;
}

static bool table_steps(struct prop *p, StringTbl_clp tbl)
{
    struct model model = {.clock = 0};
    static char objects[8];
    void *val;

    while (prop_more(p)) {
        uint32_t i = prop_choose(p, KEYS);
        char key[8];

        snprintf(key, sizeof(key), "%u", i);
        switch (prop_choose(p, 4)) {
        case 0:
            if (!check_order(p, tbl, &model))
                return false;
            break;
        case 1:
            val = &val;
            PROP_CHECK(p, StringTbl_Delete(tbl, key, &val) == (model.came[i] != 0));
            PROP_CHECK(p, val == (model.came[i] ? model.vals[i] : &val));
            model.came[i] = 0;
            break;
        default:
            val = prop_choose(p, 3) ? &objects[prop_choose(p, 8)] : NULL;
            PROP_CHECK(p, StringTbl_Put(tbl, key, val) == (model.came[i] != 0));
            model.vals[i] = val;
            if (!model.came[i])
                model.came[i] = ++model.clock;
        }
    }
    return check_order(p, tbl, &model);
}

static bool table_like_model(struct prop *p)
{
    struct test_heap heap;
    StringTbl_clp tbl;
    bool ok;

    test_heap_init(&heap);
    tbl = new_strings(&heap.cl);
    ok = table_steps(p, tbl);
    StringTbl_Dispose(tbl);
    PROP_CHECK(p, heap.live == 0);
    return ok;
}

static void tables_behave_like_their_model(void **state)
{
    prop_run("table_like_model", table_like_model, 500);
}

/* An iterator that lives through random changes: nothing that is gone, nothing twice, and at the
 * end nothing left out that was there all the time. */
static bool iterator_steps(struct prop *p, WordTbl_clp tbl, WordTblIter_clp it)
{
    bool there[KEYS], stayed[KEYS], met[KEYS] = {false};
    uintptr_t key;
    void *val;

    memset(there, true, sizeof(there));
    memset(stayed, true, sizeof(stayed));
    while (prop_more(p)) {
        uint32_t i = prop_choose(p, KEYS);

        switch (prop_choose(p, 3)) {
        case 0:
            PROP_CHECK(p, WordTbl_Put(tbl, i, &a) == there[i]);
            met[i] = met[i] && there[i]; /* one that is new may come again */
            there[i] = true;
            break;
        case 1:
            PROP_CHECK(p, WordTbl_Delete(tbl, i, &val) == there[i]);
            there[i] = stayed[i] = false;
            break;
        default:
            if (!WordTblIter_Next(it, &key, &val)) {
                for (i = 0; i < KEYS; i++)
                    PROP_CHECK(p, !stayed[i] || met[i]);
                return true;
            }
            PROP_CHECK(p, key < KEYS && there[key] && !met[key]);
            met[key] = true;
        }
    }
    return true;
}

static bool iterator_like_model(struct prop *p)
{
    WordTbl_clp tbl = new_words(NULL);
    WordTblIter_clp it;
    bool ok;

    for (uintptr_t i = 0; i < KEYS; i++)
        WordTbl_Put(tbl, i, &b);
    it = WordTbl_Iterate(tbl);
    ok = iterator_steps(p, tbl, it);
    WordTblIter_Dispose(it);
    WordTbl_Destroy(tbl);
    return ok;
}

static void iterators_behave_under_random_changes(void **state)
{
    prop_run("iterator_like_model", iterator_like_model, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_mapped),
        cmocka_unit_test(long_cardinals_are_mapped),
        cmocka_unit_test(strings_are_mapped_by_their_text),
        cmocka_unit_test(iterators_return_each_entry_once),
        cmocka_unit_test(iterators_survive_changes),
        cmocka_unit_test(everything_is_in_the_heap),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(tables_behave_like_their_model),
        cmocka_unit_test(iterators_behave_under_random_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
