/* SPDX-License-Identifier: MIT */
/*
 * Pervasives, threads that inherit them, and exceptions as interfaces: ExnSupport, ExnSetjmp and
 * ExnSystem, clause by clause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <membrane/apply.h>
#include <membrane/heap.h>
#include <membrane/pervasives.h>
#include <membrane/typesystem.h>
#include <middl/ExnSetjmp.h>
#include <middl/ExnSystem.h>
#include <middl/HeapMod.h>

#include "failalloc.h"
#include "last_words.h"
#include "types/exn.h"
#include "types/exn_closure.h"
#include "types/heap/heapmod.h"

#define Test_Gone_ID "Test$Gone"
#define Test_Full_ID "Test$Full"
typedef struct {
    uint64_t wanted;
} Test_Full_Args;

static _Alignas(16) unsigned char region[65536];

static int without_pervasives(void **state)
{
    (void)mbr_pvs_set(NULL);
    return 0;
}

/* ---- Closure ---- */

static void count(void *data)
{
    ++*(int *)data;
}

static void closures_are_entry_and_state(void **state)
{
    struct mbr_apply a, b;
    int first = 0, second = 10;
    Closure_clp closure = mbr_apply_init(&a, count, &first);

    Closure_Apply(closure);
    Closure_Apply(closure);
    Closure_Apply(mbr_apply_init(&b, count, &second));
    assert_int_equal(first, 2);
    assert_int_equal(second, 11);
}

/* ---- Pervasives ---- */

static void a_thread_has_a_record(void **state)
{
    Pervasives_Rec record, other;

    assert_null(mbr_pvs());
    mbr_pvs_init(&record);
    assert_null(mbr_pvs_set(&record));
    assert_ptr_equal(mbr_pvs(), &record);
    assert_ptr_equal(PVS(heap), mbr_heap_process());
    assert_ptr_equal(PVS(types), mbr_typesystem_process());
    assert_non_null(PVS(exns));
    assert_null(PVS(root));
    assert_null(PVS(vp));
    PVS(libc) = &other;
    assert_ptr_equal(record.libc, &other);
    assert_ptr_equal(mbr_pvs_set(&other), &record);
    assert_ptr_equal(mbr_pvs_set(NULL), &other);
}

struct seen {
    Pervasives_Rec *record;
    Pervasives_Rec copy;
    ExnSupport_clp own;
    int result;
};

static void look(void *data)
{
    struct seen *seen = data;

    seen->record = mbr_pvs();
    seen->copy = *mbr_pvs();
    seen->own = mbr__exn_own_closure();
    TRY
    {
        RAISE(Test_Gone);
    }
    CATCH_ALL
    {
        seen->result = 1;
    }
    ENDTRY
}

static void run(void (*entry)(void *data), void *data)
{
    pthread_t thread;

    assert_int_equal(mbr_pvs_fork(&thread, NULL, entry, data), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void threads_get_a_copy(void **state)
{
    Pervasives_Rec record;
    struct seen seen = {0};

    mbr_pvs_init(&record);
    record.libc = region;
    (void)mbr_pvs_set(&record);
    run(look, &seen);
    assert_ptr_not_equal(seen.record, &record);
    assert_ptr_equal(seen.copy.libc, region);
    assert_ptr_equal(seen.copy.heap, record.heap);
    /* But for the handlers, which are each thread's own. */
    assert_ptr_not_equal(seen.copy.exns, record.exns);
    assert_ptr_equal(seen.copy.exns, seen.own);
    assert_int_equal(seen.result, 1);
}

static void threads_of_a_thread_without(void **state)
{
    struct seen seen = {0};

    run(look, &seen);
    assert_ptr_equal(seen.copy.heap, mbr_heap_process());
    assert_null(mbr_pvs());
}

static void no_thread_without_memory(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;

    failalloc_arm(0);
    assert_int_equal(mbr_pvs_fork(&thread, NULL, look, NULL), -ENOMEM);
    assert_true(failalloc_disarm());
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)1 << 46), 0);
    assert_int_equal(mbr_pvs_fork(&thread, &attributes, look, NULL), -EAGAIN);
    (void)pthread_attr_destroy(&attributes);
}

/* ---- hooks ---- */

static char order[64];
static pthread_t parent_thread;

static void note(ThreadHooks_clp self, char what)
{
    size_t length = strlen(order);

    order[length] = what;
    order[length + 1] = *(const char *)self->st;
    order[length + 2] = '\0';
}

static void hook_fork(ThreadHooks_clp self, Pervasives_Rec *new_pvs)
{
    assert_true(pthread_equal(pthread_self(), parent_thread));
    new_pvs->pers = self->st;
    note(self, 'f');
}

static void hook_forked(ThreadHooks_clp self)
{
    assert_false(pthread_equal(pthread_self(), parent_thread));
    note(self, 'd');
}

static void hook_exit(ThreadHooks_clp self)
{
    assert_non_null(mbr_pvs());
    note(self, 'x');
}

static void enter(void *data)
{
    (void)strcat(order, "-");
    *(void **)data = PVS(pers);
}

static void leave_early(void *data)
{
    enter(data);
    pthread_exit(NULL);
}

static void hooks_in_order(void **state)
{
    static const ThreadHooks_op ops = {
        .Fork = hook_fork, .Forked = hook_forked, .ExitThread = hook_exit};
    static char names[] = "123";
    static ThreadHooks_cl hooks[] = {{&ops, names}, {&ops, names + 1}};
    void *pers = NULL;

    parent_thread = pthread_self();
    failalloc_arm(0);
    assert_int_equal(mbr_pvs_register_hooks(&hooks[0]), -ENOMEM);
    assert_true(failalloc_disarm());
    assert_int_equal(mbr_pvs_register_hooks(&hooks[0]), 0);
    assert_int_equal(mbr_pvs_register_hooks(&hooks[1]), 0);
    run(enter, &pers);
    assert_string_equal(order, "f1f2d1d2-x2x1");
    assert_ptr_equal(pers, names + 1);
    order[0] = '\0';
    run(leave_early, &pers);
    assert_string_equal(order, "f1f2d1d2-x2x1");
}

/* ---- exceptions as interfaces ---- */

static ExnSetjmp_clp new_environment(Pervasives_Rec *record)
{
    mbr_pvs_init(record);
    record->heap = HeapMod_NewRaw(&mbr__module_HeapMod, region, sizeof(region));
    (void)mbr_pvs_set(record);
    record->exns = ExnSetjmp_as_ExnSupport(ExnSystem_New(&mbr__module_ExnSystem));
    return (ExnSetjmp_clp)(void *)record->exns;
}

static bool in_region(const void *p)
{
    return (const unsigned char *)p > region && (const unsigned char *)p < region + sizeof(region);
}

/* "Create an exception environment using the pervasive Heap", which the arguments come from too. */
static void environments_use_the_pervasive_heap(void **state)
{
    Pervasives_Rec record;
    ExnSetjmp_clp exns = new_environment(&record);
    volatile int caught = 0;

    assert_ptr_equal(HEAP_OF(exns), record.heap);
    TRY
    {
        assert_non_null(mbr__exn_chain_of(record.exns)->top);
        assert_null(mbr__exn_own.top);
        RAISE(Test_Full, 5);
    }
    CATCH(Test_Full, args)
    {
        assert_true(in_region(args));
        assert_ptr_equal(HEAP_OF((void *)(uintptr_t)args), record.heap);
        caught = 1;
    }
    ENDTRY
    assert_int_equal(caught, 1);
    /* Freed: all there is left is the environment. */
    Heap_Free(record.heap, exns);
    assert_non_null(Heap_Malloc(record.heap, 60000));
}

static void no_room_for_an_environment(void **state)
{
    Pervasives_Rec record;
    volatile int caught = 0;

    mbr_pvs_init(&record);
    record.heap = HeapMod_NewRaw(&mbr__module_HeapMod, region, 512);
    (void)mbr_pvs_set(&record);
    while (Heap_Malloc(record.heap, 16))
        continue;
    TRY
    {
        (void)ExnSystem_New(&mbr__module_ExnSystem);
    }
    CATCH(Heap_NoMemory)
    {
        caught = 1;
    }
    ENDTRY
    assert_int_equal(caught, 1);
}

/* PushContext, Raise, AllocArgs and PopContext by hand, as macros of one's own would use them. */
static void by_hand(void **state)
{
    Pervasives_Rec record;
    ExnSetjmp_clp exns = new_environment(&record);
    struct mbr_exn_frame context;
    volatile int arrived = 0;
    int *args;

    ExnSetjmp_PushContext(exns, &context);
    if (_setjmp(context.env) == 0) {
        args = ExnSetjmp_AllocArgs(exns, sizeof(*args));
        assert_true(in_region(args));
        *args = 77;
        ExnSetjmp_Raise(exns, (void *)(uintptr_t)Test_Full_ID, args, "file", 3, "func");
    } else {
        arrived = 1;
        assert_string_equal(context.id, "Test$Full");
        assert_int_equal(*(int *)context.args, 77);
        assert_string_equal(context.file, "file");
        assert_int_equal(context.line, 3);
        assert_string_equal(context.func, "func");
    }
    ExnSetjmp_PopContext(exns, &context, "here", 4, "test");
    assert_int_equal(arrived, 1);
    assert_null(mbr__exn_chain_of(record.exns)->top);
    Heap_Free(record.heap, exns);
    assert_non_null(Heap_Malloc(record.heap, 60000));
}

/* The macros and the calls share a chain. */
static void by_hand_and_by_macro(void **state)
{
    Pervasives_Rec record;
    ExnSetjmp_clp exns = new_environment(&record);
    volatile int caught = 0;

    TRY
    {
        ExnSetjmp_Raise(exns, (void *)(uintptr_t)Test_Gone_ID, NULL, "f", 1, "g");
    }
    CATCH(Test_Gone)
    {
        caught = 1;
    }
    ENDTRY
    assert_int_equal(caught, 1);
    assert_null(ExnSetjmp_AllocArgs(exns, sizeof(region)));
}

static jmp_buf foreign_env;
static const char *foreign_id;

static void foreign_raise(ExnSupport_clp self, ExnSupport_Id id, ExnSupport_Args args,
                          const char *filename, uint32_t lineno, const char *funcname)
{
    foreign_id = id;
    longjmp(foreign_env, 1);
}

/* An ExnSupport that is none of ours gets what is raised. */
static void somebody_elses_exceptions(void **state)
{
    static const ExnSupport_op ops = {.Raise = foreign_raise};
    ExnSupport_cl foreign = {&ops, NULL};
    Pervasives_Rec record;

    mbr_pvs_init(&record);
    record.exns = &foreign;
    (void)mbr_pvs_set(&record);
    if (setjmp(foreign_env) == 0)
        RAISE(Test_Gone);
    assert_string_equal(foreign_id, "Test$Gone");
}

static void pop_what_is_not_the_top(void)
{
    Pervasives_Rec record;
    ExnSetjmp_clp exns = new_environment(&record);
    struct mbr_exn_frame outer, inner;

    ExnSetjmp_PushContext(exns, &outer);
    ExnSetjmp_PushContext(exns, &inner);
    ExnSetjmp_PopContext(exns, &outer, "misuse.c", 42, "f");
}

static void misuse_is_reported_with_its_place(void **state)
{
    char output[LAST_WORDS_MAX];

    last_words(pop_what_is_not_the_top, NULL, output);
    assert_non_null(strstr(output, "misuse.c:42: "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, without_pervasives, without_pervasives)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closures_are_entry_and_state),
        TEST(a_thread_has_a_record),
        TEST(threads_get_a_copy),
        TEST(threads_of_a_thread_without),
        TEST(no_thread_without_memory),
        TEST(hooks_in_order),
        TEST(environments_use_the_pervasive_heap),
        TEST(no_room_for_an_environment),
        TEST(by_hand),
        TEST(by_hand_and_by_macro),
        TEST(somebody_elses_exceptions),
        TEST(misuse_is_reported_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
