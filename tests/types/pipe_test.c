/* SPDX-License-Identifier: MIT */
/* Pipes and joins with several threads: blocking, the trigger, and everything arriving in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include <middl/Closure.h>

#include "io_test.h"

#define TOTAL 20000

struct stream {
    Rd_clp rd;
    Wr_clp wr;
    uint32_t step;
};

static char letter(uint32_t i)
{
    return (char)('!' + i % 89);
}

static void *write_all(void *arg)
{
    const struct stream *stream = arg;
    char piece[64];

    for (uint32_t at = 0; at < TOTAL;) {
        uint32_t n = 1 + (at * stream->step) % 60;

        n = n < TOTAL - at ? n : TOTAL - at;
        for (uint32_t i = 0; i < n; i++)
            piece[i] = letter(at + i);
        Wr_PutChars(stream->wr, piece, n);
        at += n;
    }
    Wr_Close(stream->wr);
    return NULL;
}

static void read_everything(Rd_clp rd)
{
    uint32_t at = 0;
    char buf[50];

    while (!Rd_EOF(rd)) {
        uint64_t n = Rd_GetChars(rd, buf, 1 + at % 50);

        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(buf[i], letter(at + i));
        at += (uint32_t)n;
    }
    assert_int_equal(at, TOTAL);
}

static void everything_arrives_in_order(void **state)
{
    static const uint32_t sizes[][2] = {{1, 1}, {0, 0}, {7, 3}, {7, 7}, {64, 200}, {4096, 1}};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct stream stream = {.step = 7 + (uint32_t)i};
        pthread_t thread;

        stream.rd = RdWrMod_NewPipe(rdwr(), NULL, sizes[i][0], sizes[i][1], &stream.wr);
        assert_int_equal(pthread_create(&thread, NULL, write_all, &stream), 0);
        read_everything(stream.rd);
        assert_int_equal(pthread_join(thread, NULL), 0);
        Rd_Close(stream.rd);
    }
}

static void *getc_in_thread(void *rd)
{
    static char c;

    c = Rd_GetC(rd);
    return &c;
}

/* The reader may be asked for what it holds while another thread waits in it: its other side has a
 * lock of its own. */
static void reading_waits_for_writing(void **state)
{
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 10, 1, &wr);
    pthread_t thread;
    void *c;

    assert_int_equal(pthread_create(&thread, NULL, getc_in_thread, rd), 0);
    assert_true(Rd_Intermittent(rd)); /* needs no lock */
    Wr_PutC(wr, 'x');
    assert_int_equal(pthread_join(thread, &c), 0);
    assert_int_equal(*(char *)c, 'x');
    Wr_Close(wr);
    Rd_Close(rd);
}

static atomic_int waiting;

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    atomic_fetch_add(&waiting, 1);
    return __real_pthread_cond_wait(cond, mutex);
}

static void *put_in_thread(void *wr)
{
    Wr_PutC(wr, 'e');
    return NULL;
}

/* A full pipe of 4 with a trigger of 3: a writer that waits does not go on when one or two are
 * read. One that does would be seen, unless it is very slow; one that does not never fails the
 * test. */
static void a_blocked_writer_waits_for_the_trigger(void **state)
{
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 4, 3, &wr);
    pthread_t thread;
    char buf[8];

    Wr_PutStr(wr, "abcd");
    atomic_store(&waiting, 0);
    assert_int_equal(pthread_create(&thread, NULL, put_in_thread, wr), 0);
    while (atomic_load(&waiting) == 0)
        sched_yield();
    assert_int_equal(Rd_GetChars(rd, buf, 2), 2);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(Rd_CharsReady(rd), 2);
        sched_yield();
    }
    assert_int_equal(Rd_GetChars(rd, buf + 2, 2), 2);
    assert_memory_equal(buf, "abcd", 4);
    assert_int_equal(Rd_GetC(rd), 'e'); /* waits for the thread */
    assert_int_equal(pthread_join(thread, NULL), 0);
    Wr_Close(wr);
    Rd_Close(rd);
}

static void *fail_in_thread(void *wr)
{
    static uint32_t why;

    why = FAILURE(Wr, Wr_PutStr(wr, "too much"));
    return &why;
}

static void closing_the_reader_ends_the_waiting(void **state)
{
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 2, 1, &wr);
    pthread_t thread;
    void *why;

    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, wr), 0);
    assert_int_equal(Rd_GetC(rd), 't');
    Rd_Close(rd);
    assert_int_equal(pthread_join(thread, &why), 0);
    assert_int_equal(*(uint32_t *)why, EPIPE);
    Wr_Close(wr);
}

static void *eof_in_thread(void *rd)
{
    return Rd_EOF(rd) ? rd : NULL;
}

static void closing_the_writer_ends_the_file(void **state)
{
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 2, 1, &wr);
    pthread_t thread;
    void *end;

    assert_int_equal(pthread_create(&thread, NULL, eof_in_thread, rd), 0);
    Wr_Close(wr);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, rd);
    Rd_Close(rd);
}

/* --- Joins ------------------------------------------------------------------------------------ */

static void *apply(void *closure)
{
    Closure_Apply(closure);
    return NULL;
}

/* Writer, pipe, join, pipe, reader: three threads. */
static void a_join_copies_until_the_end(void **state)
{
    struct stream in = {.step = 11};
    struct test_heap heap;
    Rd_clp rd, end;
    Wr_clp middle;
    pthread_t threads[2];
    Closure_clp join;

    test_heap_init(&heap);
    rd = RdWrMod_NewPipe(rdwr(), NULL, 30, 10, &in.wr);
    end = RdWrMod_NewPipe(rdwr(), NULL, 20, 5, &middle);
    join = RdWrMod_NewJoin(rdwr(), &heap.cl, 16, rd, middle, true);
    assert_int_equal(pthread_create(&threads[0], NULL, write_all, &in), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, apply, join), 0);
    read_everything(end); /* ends, so the join has closed its writer */
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_int_equal(heap.live, 0); /* the closure is used up */
    Rd_Close(end);
}

static void a_join_leaves_the_writer_open_if_told(void **state)
{
    MemFile_clp file = mem_file(NULL);
    Wr_clp wr = RdWrMod_NewBufferedWr(rdwr(), NULL, 100, 50, 1, MemFile_OpenWr(file));
    char buf[32];

    Closure_Apply(RdWrMod_NewJoin(rdwr(), NULL, 3, mem_rd("some text"), wr, false));
    assert_string_equal(contents(file, buf, sizeof(buf)), "some text"); /* flushed */
    Wr_PutStr(wr, ", and more");
    Wr_Close(wr);
    assert_string_equal(contents(file, buf, sizeof(buf)), "some text, and more");
    MemFile_Dispose(file);
}

/* What is in the pipe is passed on before the join waits for more. */
static void a_join_does_not_hold_back(void **state)
{
    Wr_clp in, middle;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 100, 1, &in);
    Rd_clp end = RdWrMod_NewPipe(rdwr(), NULL, 100, 1, &middle);
    Wr_clp buffered = RdWrMod_NewBufferedWr(rdwr(), NULL, 100, 50, 1, middle);
    Closure_clp join = RdWrMod_NewJoin(rdwr(), NULL, 64, rd, buffered, true);
    pthread_t thread;
    char buf[8];

    assert_int_equal(pthread_create(&thread, NULL, apply, join), 0);
    Wr_PutStr(in, "abc");
    assert_int_equal(Rd_GetChars(end, buf, 3), 3); /* would wait for ever */
    Wr_Close(in);
    assert_true(Rd_EOF(end));
    assert_int_equal(pthread_join(thread, NULL), 0);
    Rd_Close(end);
}

/* Apply raises nothing: when the writer fails both are closed and that is that. */
static void a_join_ends_when_nobody_reads(void **state)
{
    struct test_heap heap;
    Wr_clp in, middle;
    Rd_clp rd, end;

    test_heap_init(&heap);
    rd = RdWrMod_NewPipe(rdwr(), &heap.cl, 100, 1, &in);
    end = RdWrMod_NewPipe(rdwr(), &heap.cl, 100, 1, &middle);
    Wr_PutStr(in, "abc");
    Rd_Close(end);
    Closure_Apply(RdWrMod_NewJoin(rdwr(), &heap.cl, 2, rd, middle, true));
    assert_int_equal(FAILURE(Wr, Wr_PutC(in, 'd')), EPIPE); /* its reader is closed */
    Wr_Close(in);
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_in_order),
        cmocka_unit_test(reading_waits_for_writing),
        cmocka_unit_test(a_blocked_writer_waits_for_the_trigger),
        cmocka_unit_test(closing_the_reader_ends_the_waiting),
        cmocka_unit_test(closing_the_writer_ends_the_file),
        cmocka_unit_test(a_join_copies_until_the_end),
        cmocka_unit_test(a_join_leaves_the_writer_open_if_told),
        cmocka_unit_test(a_join_does_not_hold_back),
        cmocka_unit_test(a_join_ends_when_nobody_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
