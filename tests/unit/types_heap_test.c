/* SPDX-License-Identifier: MIT */
/*
 * Heaps: every clause of Heap, HeapMod and LockedHeap, a property against a model, what Check and
 * Free find out, and no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <membrane/heap.h>
#include <middl/HeapMod.h>
#include <middl/LockedHeap.h>
#include <middl/Stretch.h>

#include "failalloc.h"
#include "last_words.h"
#include "prop.h"
#include "types/heap/heapmod.h"

static HeapMod_clp mod = &mbr__module_HeapMod;
static _Alignas(16) unsigned char region[1 << 16];

static Heap_clp raw_heap(void)
{
    memset(region, 0xee, sizeof(region));
    return HeapMod_NewRaw(mod, region, sizeof(region));
}

/* Allocates until the heap is full; returns how many nodes of SIZE there were. */
static size_t fill(Heap_clp heap, size_t size)
{
    size_t count = 0;

    while (Heap_Malloc(heap, size))
        count++;
    return count;
}

/* ---- Heap, of any kind ---- */

static void allocates_and_frees(Heap_clp heap)
{
    unsigned char *a = Heap_Malloc(heap, 100);
    unsigned char *b = Heap_Malloc(heap, 1);
    unsigned char *c = Heap_Malloc(heap, 0);

    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_true(a != b && b != c);
    assert_int_equal((uintptr_t)a % 16 | (uintptr_t)b % 16 | (uintptr_t)c % 16, 0);
    memset(a, 1, 100);
    *b = 2;
    assert_int_equal(a[99], 1);
    /* "The WORD preceding the first word of a heap node must contain the closure pointer." */
    assert_ptr_equal(HEAP_OF(a), heap);
    assert_ptr_equal(HEAP_OF(c), heap);
    Heap_Free(HEAP_OF(a), a);
    Heap_Free(heap, b);
    Heap_Free(heap, c);
    Heap_Free(heap, NULL);
}

static void calloc_zeroes(Heap_clp heap)
{
    unsigned char *dirty = Heap_Malloc(heap, 400);
    unsigned char *p;

    memset(dirty, 0xff, 400);
    Heap_Free(heap, dirty);
    p = Heap_Calloc(heap, 20, 20);
    for (int i = 0; i < 400; i++)
        assert_int_equal(p[i], 0);
    assert_ptr_equal(HEAP_OF(p), heap);
    Heap_Free(heap, p);
    assert_null(Heap_Calloc(heap, SIZE_MAX / 2, 3));
    assert_null(Heap_Malloc(heap, SIZE_MAX));
    assert_null(Heap_Malloc(heap, SIZE_MAX / 2 + 1));
}

static void realloc_keeps(Heap_clp heap)
{
    unsigned char *p = Heap_Realloc(heap, NULL, 10);
    unsigned char *other, *moved;

    assert_non_null(p);
    for (int i = 0; i < 10; i++)
        p[i] = (unsigned char)i;
    p = Heap_Realloc(heap, p, 1000);
    other = Heap_Malloc(heap, 10);
    p = Heap_Realloc(heap, p, 5000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(p[i], i);
    assert_ptr_equal(HEAP_OF(p), heap);
    p = Heap_Realloc(heap, p, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(p[i], i);
    /* If there is no room the node stays as it was. */
    moved = Heap_Realloc(heap, p, SIZE_MAX / 2 + 1);
    assert_null(moved);
    assert_int_equal(p[4], 4);
    assert_ptr_equal(HEAP_OF(p), heap);
    Heap_Free(heap, p);
    Heap_Free(heap, other);
}

static void any_heap(Heap_clp heap)
{
    allocates_and_frees(heap);
    calloc_zeroes(heap);
    realloc_keeps(heap);
    Heap_Check(heap, true);
}

/* Everything is there again after Purge, which is as destroying and making anew. */
static void purge_resets(Heap_clp heap)
{
    size_t first = fill(heap, 64);

    assert_true(first > 0);
    assert_null(Heap_Malloc(heap, 64));
    assert_ptr_equal(Heap_Purge(heap), heap);
    Heap_Check(heap, true);
    assert_int_equal(fill(heap, 64), first);
    assert_ptr_equal(Heap_Purge(heap), heap);
}

static void raw_heaps(void **state)
{
    Heap_clp heap = raw_heap();
    size_t size;

    any_heap(heap);
    purge_resets(heap);
    assert_ptr_equal(HeapMod_Where(mod, heap, &size), region);
    assert_int_equal(size, sizeof(region));
    Heap_Destroy(heap);
}

static void nested_heaps(void **state)
{
    Heap_clp parent = raw_heap();
    Heap_clp heap = HeapMod_NewNested(mod, parent, 16384);
    unsigned char *where;
    size_t size;

    any_heap(heap);
    purge_resets(heap);
    where = HeapMod_Where(mod, heap, &size);
    assert_true(where > region && where + size <= region + sizeof(region));
    assert_int_equal(size, 16384);
    assert_ptr_equal(HEAP_OF(where), parent);
    /* Destroying gives the piece back. */
    Heap_Destroy(heap);
    assert_non_null(Heap_Malloc(parent, 60000));
    Heap_Destroy(parent);
}

static void locked_heaps(void **state)
{
    Heap_clp parent = raw_heap();
    LockedHeap_clp locked = HeapMod_NewLocked(mod, parent, NULL);
    Heap_clp heap = LockedHeap_as_Heap(locked);
    size_t size;

    any_heap(heap);
    purge_resets(heap);
    assert_ptr_equal(HeapMod_Where(mod, heap, &size), region);
    Heap_Destroy(heap);
}

static void locked_operations(void **state)
{
    LockedHeap_clp locked = HeapMod_NewLocked(mod, raw_heap(), NULL);
    unsigned char *a, *b;

    LockedHeap_Lock(locked);
    a = LockedHeap_LMalloc(locked, 10);
    b = LockedHeap_LCalloc(locked, 2, 5);
    assert_int_equal(b[9], 0);
    assert_ptr_equal((void *)HEAP_OF(a), (void *)locked);
    a[0] = 42;
    a = LockedHeap_LRealloc(locked, a, 3000);
    assert_int_equal(a[0], 42);
    LockedHeap_LFree(locked, b);
    assert_ptr_equal(LockedHeap_LPurge(locked), locked);
    LockedHeap_Unlock(locked);
    assert_non_null(LockedHeap_Malloc(locked, 60000));
    LockedHeap_Destroy(locked);
}

static void *churn(void *arg)
{
    Heap_clp heap = arg;
    unsigned char *kept[16] = {NULL};

    for (unsigned int i = 0; i < 4000; i++) {
        unsigned char **p = &kept[i * 7 % 16];

        if (*p)
            assert_int_equal(**p, (unsigned char)(i * 7 % 16));
        Heap_Free(heap, *p);
        *p = Heap_Malloc(heap, 1 + i % 200);
        assert_non_null(*p);
        **p = (unsigned char)(i * 7 % 16);
    }
    for (int i = 0; i < 16; i++)
        Heap_Free(heap, kept[i]);
    return NULL;
}

static void from_several_threads(Heap_clp heap)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, heap), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void locked_heaps_serve_threads(void **state)
{
    LockedHeap_clp locked = HeapMod_NewLocked(mod, raw_heap(), NULL);

    from_several_threads(LockedHeap_as_Heap(locked));
    LockedHeap_Destroy(locked);
}

static void process_heap(void **state)
{
    Heap_clp heap = mbr_heap_process();
    void *where;
    size_t size;

    any_heap(heap);
    from_several_threads(heap);
    for (int i = 0; i < 100; i++)
        assert_non_null(Heap_Malloc(heap, 100));
    assert_ptr_equal(Heap_Purge(heap), heap);
    Heap_Check(heap, true);
    where = HeapMod_Where(mod, heap, &size);
    assert_null(where);
    assert_int_equal(size, 0);
    Heap_Destroy(heap);
    any_heap(heap);
}

/* ---- a heap in a stretch ---- */

static void *stretch_range(Stretch_clp self, Stretch_Size *s)
{
    *s = sizeof(region) / 2;
    return self->st;
}

static void heaps_in_a_stretch(void **state)
{
    static const Stretch_op ops = {.Range = stretch_range, .Info = stretch_range};
    Stretch_cl stretch = {&ops, region};
    Heap_clp heap = HeapMod_New(mod, &stretch);
    size_t size;

    any_heap(heap);
    assert_ptr_equal(HeapMod_Where(mod, heap, &size), region);
    assert_int_equal(size, sizeof(region) / 2);
    assert_ptr_equal(HeapMod_Realize(mod, heap, &stretch), heap);
    heap = HeapMod_NewGrowable(mod, &stretch, 4);
    any_heap(heap);
}

/* ---- too little memory ---- */

static void too_small(void **state)
{
    volatile int refused = 0;

    for (volatile size_t size = 0; size < 512; size += 8) {
        TRY
        {
            Heap_Destroy(HeapMod_NewRaw(mod, region, size));
        }
        CATCH(Heap_NoMemory)
        {
            assert_int_equal(refused * 8, size);
            refused++;
        }
        ENDTRY
    }
    assert_in_range(refused, 1, 60);
    TRY
    {
        (void)HeapMod_NewRaw(mod, NULL, 4096);
        fail();
    }
    CATCH(Heap_NoMemory)
    {
        refused = 0;
    }
    ENDTRY
    assert_int_equal(refused, 0);
}

static void no_memory_for_nested_and_locked(void **state)
{
    Heap_clp parent = raw_heap();
    volatile int refused = 0;

    TRY
    {
        (void)HeapMod_NewNested(mod, parent, sizeof(region));
    }
    CATCH(Heap_NoMemory)
    {
        refused++;
    }
    ENDTRY
    TRY
    {
        (void)HeapMod_NewNested(mod, parent, 100);
    }
    CATCH(Heap_NoMemory)
    {
        refused++;
    }
    ENDTRY
    TRY
    {
        failalloc_arm(0);
        (void)HeapMod_NewLocked(mod, parent, NULL);
    }
    CATCH(Heap_NoMemory)
    {
        refused++;
    }
    ENDTRY
    assert_true(failalloc_disarm());
    assert_int_equal(refused, 3);
    /* Nothing was kept of the nested ones. */
    assert_non_null(Heap_Malloc(parent, 60000));
    failalloc_arm(0);
    assert_null(Heap_Malloc(mbr_heap_process(), 1));
    failalloc_arm(0);
    assert_null(Heap_Calloc(mbr_heap_process(), 1, 1));
    assert_true(failalloc_disarm());
}

static void odd_places(void **state)
{
    for (size_t shift = 0; shift < 32; shift++) {
        Heap_clp heap;

        memset(region, 0x77, sizeof(region));
        heap = HeapMod_NewRaw(mod, region + shift, 16384 + shift);
        any_heap(Heap_Purge(heap));
        (void)fill(heap, 16);
        for (size_t i = 0; i < 100; i++) {
            if (i < shift)
                assert_int_equal(region[i], 0x77);
            assert_int_equal(region[16384 + 2 * shift + i], 0x77);
        }
    }
}

/* ---- against a model ---- */

#define NODES 64

struct model {
    unsigned char *node[NODES];
    size_t size[NODES];
};

static bool intact(const struct model *m, uint32_t i)
{
    for (size_t k = 0; k < m->size[i]; k++) {
        if (m->node[i][k] != (unsigned char)(i * 3 + 1))
            return false;
    }
    return true;
}

static bool step(struct prop *p, Heap_clp heap, struct model *m)
{
    uint32_t i = prop_choose(p, NODES);
    size_t size = prop_choose(p, 8) ? prop_choose(p, 300) : prop_choose(p, 8000);
    unsigned char *node;

    PROP_CHECK(p, intact(m, i));
    if (m->node[i] && prop_choose(p, 2)) {
        Heap_Free(heap, m->node[i]);
        m->node[i] = NULL;
        m->size[i] = 0;
        return true;
    }
    node = Heap_Realloc(heap, m->node[i], size);
    if (!node)
        return true;
    m->node[i] = node;
    if (m->size[i] > size)
        m->size[i] = size;
    PROP_CHECK(p, intact(m, i));
    m->size[i] = size;
    memset(node, (int)(unsigned char)(i * 3 + 1), size);
    return true;
}

static bool behaves(struct prop *p)
{
    struct model model = {{NULL}, {0}};
    Heap_clp heap = raw_heap();
    uint32_t steps = prop_choose(p, 400);

    for (uint32_t i = 0; i < steps; i++) {
        if (!step(p, heap, &model))
            return false;
        Heap_Check(heap, true);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        PROP_CHECK(p, intact(&model, i));
        Heap_Free(heap, model.node[i]);
    }
    Heap_Check(heap, true);
    /* All free pieces have become one again. */
    PROP_CHECK(p, Heap_Malloc(heap, 63000) != NULL);
    return true;
}

static void any_sequence(void **state)
{
    prop_run("a heap behaves", behaves, 300);
}

/* ---- what ends the process ---- */

static void free_twice(void)
{
    Heap_clp heap = raw_heap();
    void *p = Heap_Malloc(heap, 10);

    Heap_Free(heap, p);
    Heap_Free(heap, p);
}

static void free_in_another(void)
{
    Heap_clp heap = raw_heap();

    Heap_Free(heap, Heap_Malloc(HeapMod_NewNested(mod, heap, 4096), 10));
}

static void free_a_stranger(void)
{
    static _Alignas(16) char stranger[64];

    Heap_Free(raw_heap(), stranger + 32);
}

static void overwrite_the_size(void)
{
    Heap_clp heap = raw_heap();
    size_t *p = Heap_Malloc(heap, 10);

    p[-2] = 8;
    Heap_Free(heap, p);
}

static void write_too_far(void)
{
    Heap_clp heap = raw_heap();
    unsigned char *p = Heap_Malloc(heap, 32);

    (void)Heap_Malloc(heap, 32);
    memset(p, 0, 64);
    Heap_Check(heap, false);
}

static void write_after_free(void)
{
    Heap_clp heap = raw_heap();
    unsigned char *p = Heap_Malloc(heap, 100);

    Heap_Free(heap, p);
    p[30] = 1;
    Heap_Check(heap, false);
    (void)!write(STDOUT_FILENO, "unnoticed ", 10);
    Heap_Check(heap, true);
}

/* TSan reports misuse of a mutex itself, before we can. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define WATCHED_MUTEXES
#endif
#endif

#ifndef WATCHED_MUTEXES
static void lock_twice(void)
{
    LockedHeap_clp locked = HeapMod_NewLocked(mod, raw_heap(), NULL);

    LockedHeap_Lock(locked);
    LockedHeap_Lock(locked);
}

static void unlock_unlocked(void)
{
    LockedHeap_Unlock(HeapMod_NewLocked(mod, raw_heap(), NULL));
}

#endif

static void process_free_twice(void)
{
    void *p = Heap_Malloc(mbr_heap_process(), 1);

    ((Heap_clp *)p)[-1] = NULL;
    Heap_Free(mbr_heap_process(), p);
}

static void reported(void (*breaker)(void), const char *wanted)
{
    char output[LAST_WORDS_MAX];

    last_words(breaker, NULL, output);
    if (!strstr(output, wanted))
        fail_msg("said: %s", output);
}

static void misuse_is_reported(void **state)
{
    reported(free_twice, "freed already");
    reported(free_in_another, "belongs to another heap");
    reported(free_a_stranger, "is not of this heap");
    reported(overwrite_the_size, "the size before it was overwritten");
    reported(write_too_far, "its header was overwritten");
    reported(write_after_free, "unnoticed ");
    reported(write_after_free, "written to after it had been freed");
#ifndef WATCHED_MUTEXES
    reported(lock_twice, "is locked by this very thread");
    reported(unlock_unlocked, "is not locked by this thread");
#endif
    reported(process_free_twice, "is not of the process's heap");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_heaps),
        cmocka_unit_test(nested_heaps),
        cmocka_unit_test(locked_heaps),
        cmocka_unit_test(locked_operations),
        cmocka_unit_test(locked_heaps_serve_threads),
        cmocka_unit_test(process_heap),
        cmocka_unit_test(heaps_in_a_stretch),
        cmocka_unit_test(too_small),
        cmocka_unit_test(no_memory_for_nested_and_locked),
        cmocka_unit_test(odd_places),
        cmocka_unit_test(any_sequence),
        cmocka_unit_test(misuse_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
