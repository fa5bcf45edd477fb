/* SPDX-License-Identifier: MIT */
/*
 * Exceptions: what arrives where with which arguments and origin, what is freed, that every way out
 * of a block keeps the chain right, and what ends the process with which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <membrane/exn.h>

#include "failalloc.h"
#include "last_words.h"
#include "types/exn.h"

#define Test_Full_ID "Test$Full"
typedef struct {
    uint64_t wanted;
    const char *disk;
} Test_Full_Args;
#define Test_Gone_ID "Test$Gone"
#define Test_Big_ID  "Test$Big"
typedef struct {
    char text[2 * MBR__EXN_SPARE];
} Test_Big_Args;
#define Heap_NoMemory_ID "Heap$NoMemory"

/* The same exception as another library would spell it: another copy of the string. */
static char gone_elsewhere[] = "Test$Gone";

static int depth(void)
{
    int count = 0;

    for (struct mbr_exn_frame *f = mbr__exn_current()->top; f; f = f->outer)
        count++;
    return count;
}

static void raise_full(uint64_t wanted)
{
    RAISE(Test_Full, wanted, "sda");
}

static void raise_gone(void)
{
    RAISE(Test_Gone);
}

static void carries_arguments_and_origin(void **state)
{
    volatile int caught = 0;

    TRY
    {
        raise_full(7);
        fail();
    }
    CATCH(Test_Gone)
    {
        fail();
    }
    CATCH(Test_Full, args)
    {
        assert_int_equal(args->wanted, 7);
        assert_string_equal(args->disk, "sda");
        assert_string_equal(MBR_EXN_NAME, "Test$Full");
        assert_non_null(strstr(MBR_EXN_FILE, "types_exn_test.c"));
        assert_string_equal(MBR_EXN_FUNC, "raise_full");
        assert_in_range(MBR_EXN_LINE, 50, 60);
        caught++;
    }
    ENDTRY
    assert_int_equal(caught, 1);
    assert_int_equal(depth(), 0);
}

static void identity_is_the_text(void **state)
{
    volatile int caught = 0;

    TRY
    {
        mbr_exn_raise(gone_elsewhere, NULL, 0, "elsewhere.c", 3, "there");
    }
    CATCH(Test_Gone)
    {
        assert_string_equal(MBR_EXN_FILE, "elsewhere.c");
        caught++;
    }
    ENDTRY
    assert_int_equal(caught, 1);
}

static void quiet_without_exception(void **state)
{
    volatile int passed = 0;
    uint64_t before = failalloc_count();

    TRY
    {
        assert_int_equal(depth(), 1);
        passed += 1;
    }
    CATCH_ALL
    {
        fail();
    }
    FINALLY
    {
        passed += 10;
    }
    ENDTRY
    assert_int_equal(passed, 11);
    assert_int_equal(failalloc_count(), before);
    assert_int_equal(depth(), 0);
}

static void unmatched_goes_further_out(void **state)
{
    volatile int order = 0;

    TRY
    {
        TRY
        {
            raise_full(1);
        }
        CATCH(Test_Gone)
        {
            fail();
        }
        FINALLY
        {
            order = order * 10 + 1;
        }
        ENDTRY
        fail();
    }
    CATCH(Test_Full, args)
    {
        assert_int_equal(args->wanted, 1);
        assert_string_equal(MBR_EXN_FUNC, "raise_full");
        order = order * 10 + 2;
    }
    ENDTRY
    assert_int_equal(order, 12);
    assert_int_equal(depth(), 0);
}

static void reraise_keeps_arguments_and_origin(void **state)
{
    volatile int order = 0;

    TRY{TRY{raise_full(5);
}
CATCH_ALL
{
    order = 1;
    RERAISE;
}
FINALLY
{
    order = order * 10 + 2;
}
ENDTRY
}
CATCH(Test_Full, args)
{
    assert_int_equal(args->wanted, 5);
    assert_string_equal(MBR_EXN_FUNC, "raise_full");
    order = order * 10 + 3;
}
ENDTRY
assert_int_equal(order, 123);
}

static void raised_in_a_handler(void **state)
{
    volatile int order = 0;

    TRY{TRY{raise_full(5);
}
CATCH(Test_Full, args)
{
    order = 1;
    raise_gone();
}
CATCH_ALL
{
    fail();
}
FINALLY
{
    order = order * 10 + 2;
}
ENDTRY
}
CATCH(Test_Gone)
{
    order = order * 10 + 3;
}
ENDTRY
assert_int_equal(order, 123);
TRY{TRY{raise_full(5);
}
CATCH(Test_Full)
{
    raise_gone();
}
CATCH_ALL
{
    fail();
}
ENDTRY
}
CATCH(Test_Gone)
{
    order = 4;
}
ENDTRY
assert_int_equal(order, 4);
assert_int_equal(depth(), 0);
}

static void raised_in_finally_replaces(void **state)
{
    volatile int caught = 0;

    TRY{TRY{raise_full(5);
}
FINALLY
{
    raise_gone();
}
ENDTRY
}
CATCH(Test_Gone)
{
    caught = 1;
}
ENDTRY
assert_int_equal(caught, 1);
assert_int_equal(depth(), 0);
}

static void tried_in_handler_and_finally(void **state)
{
    volatile int order = 0;

    TRY{TRY{raise_full(8);
}
CATCH(Test_Full, outer)
{
    TRY
    {
        raise_full(9);
    }
    CATCH(Test_Full, inner)
    {
        order = (int)(outer->wanted * 10 + inner->wanted);
    }
    ENDTRY
    raise_gone();
}
FINALLY{TRY{raise_full(10);
}
CATCH_ALL
{
    order++;
}
ENDTRY
}
ENDTRY
}
CATCH(Test_Gone)
{
    order += 100;
}
ENDTRY
assert_int_equal(order, 190);
assert_int_equal(depth(), 0);
}

/* Leaves through every kind of exit; what it returns tells which. */
static int leave(int how)
{
    for (int i = 0; i < 3; i++) {
        TRY
        {
            if (how == 1)
                return 100 + depth();
            if (how == 2)
                break;
            if (how == 3)
                continue;
            if (how == 4)
                goto out;
            if (how >= 5)
                raise_full(1);
        }
        CATCH(Test_Full, args)
        {
            if (how == 5)
                return (int)args->wanted;
            if (how == 6)
                break;
            if (how == 7)
                continue;
            if (how == 8)
                goto out;
        }
        ENDTRY
    }
    return 200;
out:
    return 300;
}

static void every_way_out(void **state)
{
    static const int result[] = {200, 101, 200, 200, 300, 1, 200, 200, 300, 200};

    for (int how = 0; how < 10; how++) {
        assert_int_equal(leave(how), result[how]);
        assert_int_equal(depth(), 0);
    }
}

static int return_from_finally(void)
{
    TRY
    {
        raise_gone();
    }
    CATCH_ALL
    {
    }
    FINALLY
    {
        return 1;
    }
    ENDTRY
    return 0;
}

static void recursion(int levels)
{
    TRY
    {
        if (levels == 0)
            raise_full(3);
        recursion(levels - 1);
    }
    CATCH(Test_Gone)
    {
        fail();
    }
    ENDTRY
}

static void deep_and_repeated(void **state)
{
    volatile int caught = 0;

    assert_int_equal(return_from_finally(), 1);
    for (volatile int i = 0; i < 1000; i++) {
        TRY
        {
            recursion(20);
        }
        CATCH(Test_Full)
        {
            caught++;
        }
        ENDTRY
    }
    assert_int_equal(caught, 1000);
    assert_int_equal(depth(), 0);
}

/* What was raised where there is no memory at all: the reserve serves once. */
static void memory_runs_out(void **state)
{
    volatile int order = 0;

    TRY
    {
        failalloc_arm(0);
        raise_full(11);
    }
    CATCH(Test_Full, args)
    {
        assert_true(failalloc_disarm());
        assert_int_equal(args->wanted, 11);
        TRY
        {
            failalloc_arm(0);
            raise_full(12);
        }
        CATCH(Heap_NoMemory)
        {
            assert_true(failalloc_disarm());
            assert_string_equal(MBR_EXN_FUNC, "raise_full");
            order = 1;
        }
        ENDTRY
        assert_int_equal(args->wanted, 11);
    }
    ENDTRY
    assert_int_equal(order, 1);
    assert_false(mbr__exn_current()->spare_used);
}

static void too_large_for_the_reserve(void **state)
{
    volatile int caught = 0;

    TRY
    {
        failalloc_arm(0);
        RAISE(Test_Big, "x");
    }
    CATCH(Heap_NoMemory)
    {
        caught = 1;
    }
    ENDTRY
    assert_true(failalloc_disarm());
    assert_int_equal(caught, 1);
    TRY
    {
        RAISE(Test_Big, "y");
    }
    CATCH(Test_Big, args)
    {
        assert_int_equal(args->text[0], 'y');
        caught = 2;
    }
    ENDTRY
    assert_int_equal(caught, 2);
}

static void *raise_in_thread(void *arg)
{
    volatile uintptr_t caught = 0;

    for (volatile int i = 0; i < 1000; i++) {
        TRY
        {
            raise_full((uintptr_t)arg);
        }
        CATCH(Test_Full, args)
        {
            caught += args->wanted;
        }
        ENDTRY
    }
    return (void *)caught;
}

static void threads_have_chains_of_their_own(void **state)
{
    pthread_t threads[4];
    void *result;

    TRY
    {
        for (uintptr_t i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, raise_in_thread, (void *)i), 0);
        for (uintptr_t i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(threads[i], &result), 0);
            assert_int_equal((uintptr_t)result, i * 1000);
        }
    }
    CATCH_ALL
    {
        fail();
    }
    ENDTRY
}

/* ---- what ends the process ---- */

static void uncaught(void)
{
    raise_full(1);
}

static void uncaught_outside_all(void)
{
    TRY
    {
        raise_full(1);
    }
    CATCH(Test_Gone)
    {
    }
    FINALLY
    {
        (void)!write(STDOUT_FILENO, "finally ", 8);
    }
    ENDTRY
}

static void return_past_finally(void)
{
    TRY
    {
        return;
    }
    FINALLY
    {
        (void)!write(STDOUT_FILENO, "finally ", 8);
    }
    ENDTRY
}

static void return_from_handler_past_finally(void)
{
    TRY
    {
        raise_gone();
    }
    CATCH_ALL
    {
        return;
    }
    FINALLY
    {
    }
    ENDTRY
}

static void lose_in_finally(void)
{
    TRY
    {
        raise_gone();
    }
    FINALLY
    {
        return;
    }
    ENDTRY
}

static void reraise_twice(void)
{
    TRY
    {
        raise_gone();
    }
    CATCH_ALL
    {
        TRY
        {
            RERAISE;
        }
        CATCH_ALL
        {
        }
        ENDTRY
        RERAISE;
    }
    ENDTRY
}

static void longjmp_over(void)
{
    jmp_buf env;

    TRY
    {
        if (setjmp(env) == 0) {
            TRY
            {
                longjmp(env, 1);
            }
            CATCH_ALL
            {
            }
            ENDTRY
        }
    }
    CATCH_ALL
    {
    }
    ENDTRY
}

static void write_out(struct mbr_log_sink *self, enum mbr_log_level level, const char *message)
{
    (void)!write(STDOUT_FILENO, "sink: ", 6);
    (void)!write(STDOUT_FILENO, message, strlen(message));
}

static void uncaught_is_reported(void **state)
{
    struct mbr_log_sink sink = {write_out, MBR_LOG_FATAL};
    char output[LAST_WORDS_MAX];

    last_words(uncaught, &sink, output);
    assert_ptr_equal(strstr(output, "sink: "), output);
    assert_non_null(strstr(output, "types_exn_test.c:"));
    assert_non_null(strstr(output, ": uncaught exception Test$Full, raised in raise_full()"));
    last_words(uncaught_outside_all, NULL, output);
    assert_ptr_equal(strstr(output, "finally membrane: "), output);
    assert_non_null(strstr(output, ": uncaught exception Test$Full, raised in raise_full()"));
}

static void misuse_is_reported(void **state)
{
    char output[LAST_WORDS_MAX];

    last_words(return_past_finally, NULL, output);
    assert_non_null(strstr(output, "types_exn_test.c:"));
    assert_non_null(strstr(output, "its FINALLY would not be run"));
    last_words(return_from_handler_past_finally, NULL, output);
    assert_non_null(strstr(output, "its FINALLY would not be run: Test$Gone"));
    last_words(lose_in_finally, NULL, output);
    assert_non_null(strstr(output, "the exception would be lost: Test$Gone"));
    last_words(reraise_twice, NULL, output);
    assert_non_null(strstr(output, "raised again already"));
    last_words(longjmp_over, NULL, output);
    assert_non_null(strstr(output, "it is not the innermost one"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_arguments_and_origin),
        cmocka_unit_test(identity_is_the_text),
        cmocka_unit_test(quiet_without_exception),
        cmocka_unit_test(unmatched_goes_further_out),
        cmocka_unit_test(reraise_keeps_arguments_and_origin),
        cmocka_unit_test(raised_in_a_handler),
        cmocka_unit_test(raised_in_finally_replaces),
        cmocka_unit_test(tried_in_handler_and_finally),
        cmocka_unit_test(every_way_out),
        cmocka_unit_test(deep_and_repeated),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(too_large_for_the_reserve),
        cmocka_unit_test(threads_have_chains_of_their_own),
        cmocka_unit_test(uncaught_is_reported),
        cmocka_unit_test(misuse_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
