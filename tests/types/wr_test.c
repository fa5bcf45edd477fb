/* SPDX-License-Identifier: MIT */
/*
 * Wr against its documentation: what holds for all writers is asked of each kind that RdWrMod,
 * WrRedirMod and MemFileMod make; then what differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "io_test.h"

/* --- One maker for each kind: a writer, and what it has written ------------------------------- */

struct made {
    Wr_clp wr;
    MemFile_clp file; /* where it ends up, or NULL */
    Rd_clp pipe;      /* or here */
};

static void make_file(struct made *made)
{
    made->file = mem_file(NULL);
    made->wr = MemFile_OpenWr(made->file);
}

static void make_pipe(struct made *made)
{
    made->pipe = RdWrMod_NewPipe(rdwr(), NULL, 1000, 1, &made->wr);
}

static void make_buffered(struct made *made)
{
    make_file(made);
    made->wr = RdWrMod_NewBufferedWr(rdwr(), NULL, 7, 3, 5, made->wr);
}

static void make_redir(struct made *made)
{
    make_file(made);
    made->wr = WrRedir_as_Wr(WrRedirMod_New(MBR_MODULE(WrRedirMod), made->wr));
}

static const struct kind {
    void (*make)(struct made *made);
    bool seekable, buffered;
} kinds[] = {
    {make_file, true, false},
    {make_pipe, false, false},
    {make_buffered, false, true},
    {make_redir, true, false},
};

#define FOR_EACH_KIND(kind) \
    for (const struct kind *kind = kinds; kind < kinds + sizeof(kinds) / sizeof(kinds[0]); kind++)

static struct made make(const struct kind *kind)
{
    struct made made = {NULL, NULL, NULL};

    kind->make(&made);
    return made;
}

/* What has arrived so far. */
static void expect_so_far(const struct made *made, const char *expected)
{
    char buf[200];

    if (made->pipe)
        buf[Rd_GetChars(made->pipe, buf, Rd_CharsReady(made->pipe))] = '\0';
    else
        contents(made->file, buf, sizeof(buf));
    assert_string_equal(buf, expected);
}

/* Closes the writer and what is behind it, which must hold EXPECTED then. */
static void finish(struct made *made, const char *expected)
{
    char buf[200];

    Wr_Close(made->wr);
    if (made->pipe) {
        assert_string_equal(read_all(made->pipe, buf, sizeof(buf)), expected);
        Rd_Close(made->pipe);
    } else {
        assert_string_equal(contents(made->file, buf, sizeof(buf)), expected);
        MemFile_Dispose(made->file);
    }
}

/* --- What holds for all ----------------------------------------------------------------------- */

static void what_is_put_comes_out(void **state)
{
    FOR_EACH_KIND(kind)
    {
        struct made made = make(kind);
        char bytes[] = {'c', '\0', 'd'};

        assert_int_equal(Wr_Length(made.wr), 0);
        Wr_PutC(made.wr, 'a');
        Wr_PutStr(made.wr, "bcdefghijklmnopqrstuvwxyz");
        Wr_PutStr(made.wr, "");
        Wr_PutStr(made.wr, NULL); /* the empty string */
        Wr_PutChars(made.wr, bytes, 1);
        Wr_PutChars(made.wr, bytes, 0);
        assert_int_equal(Wr_Index(made.wr), 27);
        assert_int_equal(Wr_Length(made.wr), 27);
        finish(&made, "abcdefghijklmnopqrstuvwxyzc");
    }
}

static void flush_brings_it_to_its_target(void **state)
{
    FOR_EACH_KIND(kind)
    {
        struct made made = make(kind);

        assert_int_equal(Wr_Buffered(made.wr), kind->buffered);
        Wr_PutStr(made.wr, "ab");
        if (kind->buffered)
            expect_so_far(&made, ""); /* two characters are not worth a block */
        Wr_Flush(made.wr);
        expect_so_far(&made, "ab"); /* and where nothing is buffered it needed no Flush */
        finish(&made, made.pipe ? "" : "ab");
    }
}

static uint32_t seek_fails(Wr_clp wr)
{
    return FAILURE(Wr, Wr_Seek(wr, 0));
}

static void seek_goes_to_where_one_says(void **state)
{
    FOR_EACH_KIND(kind)
    {
        struct made made = make(kind);

        assert_int_equal(Wr_Seekable(made.wr), kind->seekable);
        Wr_PutStr(made.wr, "0123456789");
        if (!kind->seekable) {
            assert_int_equal(seek_fails(made.wr), 1);
            finish(&made, "0123456789");
            continue;
        }
        Wr_Seek(made.wr, 3);
        assert_int_equal(Wr_Index(made.wr), 3);
        Wr_PutStr(made.wr, "abc");
        assert_int_equal(Wr_Length(made.wr), 10); /* overwritten, not extended */
        Wr_Seek(made.wr, UINT64_MAX);
        assert_int_equal(Wr_Index(made.wr), 10); /* the end at most */
        Wr_Seek(made.wr, 9);
        Wr_PutStr(made.wr, "xyz"); /* some of it over the end */
        assert_int_equal(Wr_Length(made.wr), 12);
        finish(&made, "012abc678xyz");
    }
}

static void the_lock_makes_a_group_atomic(void **state)
{
    FOR_EACH_KIND(kind)
    {
        struct made made = make(kind);
        char bytes[] = "de";

        Wr_Lock(made.wr);
        Wr_LPutC(made.wr, 'a');
        Wr_LPutStr(made.wr, "bc");
        Wr_LPutChars(made.wr, bytes, 2);
        Wr_LFlush(made.wr);
        Wr_Unlock(made.wr);
        Wr_PutC(made.wr, 'f');
        finish(&made, "abcdef");
    }
}

struct hand {
    Wr_clp wr;
    char letter;
};

static void *put_words(void *arg)
{
    const struct hand *hand = arg;
    char word[5];

    memset(word, hand->letter, 4);
    word[4] = '\n';
    for (int i = 0; i < 200; i++)
        Wr_PutChars(hand->wr, word, 5);
    return NULL;
}

/* Four threads, each operation whole. */
static void operations_are_atomic(void **state)
{
    MemFile_clp file = mem_file(NULL);
    Wr_clp wr = RdWrMod_NewBufferedWr(rdwr(), NULL, 32, 7, 9, MemFile_OpenWr(file));
    struct hand hands[4];
    pthread_t threads[4];
    Rd_clp rd;
    char line[8];

    for (int i = 0; i < 4; i++) {
        hands[i] = (struct hand){wr, (char)('a' + i)};
        assert_int_equal(pthread_create(&threads[i], NULL, put_words, &hands[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    Wr_Close(wr);
    rd = MemFile_OpenRd(file);
    for (int i = 0; i < 800; i++) {
        assert_int_equal(Rd_GetLine(rd, line, sizeof(line)), 5);
        assert_true(line[0] == line[1] && line[1] == line[2] && line[2] == line[3]);
    }
    assert_true(Rd_EOF(rd));
    Rd_Close(rd);
    MemFile_Dispose(file);
}

/* --- A writer that fails ---------------------------------------------------------------------- */

/* Takes ROOM characters, then fails; counts what is done with it. */
struct failing {
    Wr_cl cl;
    char text[32];
    uint64_t count, room;
    int puts, flushes, closes;
};

static void failing_put(Wr_clp self, Wr_Buffer s, uint64_t nb)
{
    struct failing *failing = self->st;

    failing->puts++;
    if (failing->count + nb > failing->room)
        RAISE(Wr_Failure, ENOSPC);
    memcpy(failing->text + failing->count, s, nb);
    failing->count += nb;
}

static void failing_flush(Wr_clp self)
{
    struct failing *failing = self->st;

    failing->flushes++;
}

static void failing_close(Wr_clp self)
{
    struct failing *failing = self->st;

    failing->closes++;
    if (failing->room == 0)
        RAISE(Wr_Failure, EIO);
}

static void failing_init(struct failing *failing, uint64_t room)
{
    static const Wr_op op = {
        .PutChars = failing_put, .Flush = failing_flush, .Close = failing_close};

    *failing = (struct failing){.cl = {&op, failing}, .room = room};
}

static uint32_t put_fails(Wr_clp wr, const char *text)
{
    return FAILURE(Wr, Wr_PutStr(wr, text));
}

static uint32_t flush_fails(Wr_clp wr)
{
    return FAILURE(Wr, Wr_Flush(wr));
}

static uint32_t close_fails(Wr_clp wr)
{
    return FAILURE(Wr, Wr_Close(wr));
}

static void a_buffered_writer_writes_in_blocks(void **state)
{
    struct failing to;
    Wr_clp wr;

    failing_init(&to, 32);
    wr = RdWrMod_NewBufferedWr(rdwr(), NULL, 8, 3, 5, &to.cl);
    Wr_PutStr(wr, "12345678");
    assert_int_equal(to.puts, 0);
    Wr_PutC(wr, '9'); /* full: two blocks of 3 make at least 5 free */
    assert_int_equal(to.puts, 2);
    assert_memory_equal(to.text, "123456", 6);
    Wr_PutStr(wr, "abcde");
    assert_int_equal(to.puts, 2); /* 5 were free */
    Wr_Flush(wr);
    assert_int_equal(to.count, 14);
    assert_int_equal(to.puts, 5); /* 3, 3 and the rest */
    assert_int_equal(to.flushes, 1);
    Wr_Close(wr);
    assert_int_equal(to.closes, 1);
    assert_memory_equal(to.text, "123456789abcde", 14);
}

static void failures_of_the_target_are_passed_on(void **state)
{
    struct test_heap heap;
    struct failing to;
    Wr_clp wr;

    test_heap_init(&heap);
    failing_init(&to, 4);
    wr = RdWrMod_NewBufferedWr(rdwr(), &heap.cl, 4, 4, 4, &to.cl);
    Wr_PutStr(wr, "1234");
    assert_int_equal(put_fails(wr, "56789"), ENOSPC); /* the second block */
    assert_int_equal(flush_fails(wr), ENOSPC);        /* and the lock is free */
    to.room = 32;
    Wr_Flush(wr); /* what was refused is not lost */
    assert_memory_equal(to.text, "12345678", 8);
    assert_int_equal(to.count, 8);
    Wr_PutC(wr, 'x');
    to.room = 0;
    assert_true(close_fails(wr) != 0); /* everything is released all the same */
    assert_int_equal(to.closes, 1);
    assert_int_equal(heap.live, 0);
}

/* --- What differs ----------------------------------------------------------------------------- */

static void a_pipe_without_reader_fails(void **state)
{
    struct test_heap heap;
    Rd_clp rd;
    Wr_clp wr;

    test_heap_init(&heap);
    rd = RdWrMod_NewPipe(rdwr(), &heap.cl, 3, 1, &wr);
    Wr_PutStr(wr, "abc");
    Rd_Close(rd);
    assert_int_equal(put_fails(wr, "d"), EPIPE);
    assert_int_equal(Wr_Index(wr), 3);
    Wr_Close(wr);
    assert_int_equal(heap.live, 0);
}

static void *set_wr_in_thread(void *arg)
{
    void *const *both = arg;

    WrRedir_SetWr(both[0], both[1]);
    return NULL;
}

static void a_redirected_writer_can_be_redirected(void **state)
{
    MemFile_clp one = mem_file(NULL);
    MemFile_clp two = mem_file(NULL);
    Wr_clp first = MemFile_OpenWr(one);
    WrRedir_clp redir = WrRedirMod_New(MBR_MODULE(WrRedirMod), first);
    Wr_clp wr = WrRedir_as_Wr(redir);
    void *both[] = {redir, MemFile_OpenWr(two)};
    pthread_t thread;
    char buf[16];

    Wr_PutStr(wr, "a");
    Wr_Lock(wr);
    assert_int_equal(pthread_create(&thread, NULL, set_wr_in_thread, both), 0);
    Wr_LPutStr(wr, "b"); /* still to the first: it is locked */
    Wr_Unlock(wr);
    assert_int_equal(pthread_join(thread, NULL), 0);
    Wr_PutStr(wr, "c");
    Wr_Close(wr);
    Wr_PutStr(first, "d"); /* ours, and open */
    Wr_Close(first);
    assert_string_equal(contents(one, buf, sizeof(buf)), "abd");
    assert_string_equal(contents(two, buf, sizeof(buf)), "c");
    MemFile_Dispose(one);
    MemFile_Dispose(two);
}

static bool new_pipe_raises(Heap_clp heap)
{
    Wr_clp wr;

    return RAISES(Heap_NoMemory, RdWrMod_NewPipe(rdwr(), heap, 10, 1, &wr));
}

static bool new_buffered_raises(Heap_clp heap)
{
    return RAISES(Heap_NoMemory, RdWrMod_NewBufferedWr(rdwr(), heap, 10, 1, 1, NULL));
}

static bool new_join_raises(Heap_clp heap)
{
    return RAISES(Heap_NoMemory, RdWrMod_NewJoin(rdwr(), heap, 10, NULL, NULL, true));
}

static void making_one_without_memory_leaves_nothing(void **state)
{
    struct test_heap heap;

    test_heap_init(&heap);
    for (int fail = 0; fail < 3; fail++) {
        test_heap_arm(&heap, fail);
        assert_true(new_pipe_raises(&heap.cl));
        test_heap_disarm(&heap);
        assert_int_equal(heap.live, 0);
    }
    test_heap_arm(&heap, 0);
    assert_true(new_buffered_raises(&heap.cl));
    test_heap_arm(&heap, 0);
    assert_true(new_join_raises(&heap.cl));
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_out),
        cmocka_unit_test(flush_brings_it_to_its_target),
        cmocka_unit_test(seek_goes_to_where_one_says),
        cmocka_unit_test(the_lock_makes_a_group_atomic),
        cmocka_unit_test(operations_are_atomic),
        cmocka_unit_test(a_buffered_writer_writes_in_blocks),
        cmocka_unit_test(failures_of_the_target_are_passed_on),
        cmocka_unit_test(a_pipe_without_reader_fails),
        cmocka_unit_test(a_redirected_writer_can_be_redirected),
        cmocka_unit_test(making_one_without_memory_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
