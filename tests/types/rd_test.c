/* SPDX-License-Identifier: MIT */
/*
 * Rd against its documentation: what holds for all readers is asked of each kind that RdWrMod,
 * RdRedirMod and MemFileMod make, all of the same text; then what differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io_test.h"

#define TEXT "first line\nsecond\n\nlast"
#define SIZE (sizeof(TEXT) - 1)

/* --- One maker for each kind ------------------------------------------------------------------ */

static Rd_clp make_memory(void)
{
    return mem_rd(TEXT);
}

static Rd_clp make_blob(void)
{
    static const struct mbr_blob blob = {TEXT, SIZE};

    return RdWrMod_GetBlobRd(rdwr(), (void *)(uintptr_t)&blob, NULL);
}

static Rd_clp make_file(void)
{
    MemFile_clp file = file_with(TEXT, NULL);
    Rd_clp rd = MemFile_OpenRd(file);

    MemFile_Dispose(file); /* what is open keeps the contents */
    return rd;
}

static Rd_clp make_pipe(void)
{
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 100, 1, &wr);

    Wr_PutStr(wr, TEXT);
    Wr_Close(wr);
    return rd;
}

static Rd_clp make_small_buffer(void)
{
    return RdWrMod_NewBufferedRd(rdwr(), NULL, 5, 3, 2, mem_rd(TEXT));
}

static Rd_clp make_buffered_pipe(void)
{
    return RdWrMod_NewBufferedRd(rdwr(), NULL, 8, 4, 8, make_pipe());
}

static Rd_clp make_redir(void)
{
    return RdRedir_as_Rd(RdRedirMod_New(MBR_MODULE(RdRedirMod), mem_rd(TEXT)));
}

static const struct kind {
    Rd_clp (*make)(void);
    bool seekable, intermittent;
} kinds[] = {{make_memory, true, false},       {make_blob, true, false},
             {make_file, true, false},         {make_pipe, false, true},
             {make_small_buffer, true, false}, {make_buffered_pipe, false, true},
             {make_redir, true, false}};

#define FOR_EACH_KIND(kind) \
    for (const struct kind *kind = kinds; kind < kinds + sizeof(kinds) / sizeof(kinds[0]); kind++)

/* --- What holds for all ----------------------------------------------------------------------- */

static bool getc_at_end(Rd_clp rd)
{
    return RAISES(Rd_EndOfFile, Rd_GetC(rd));
}

static bool lgetc_at_end(Rd_clp rd)
{
    return RAISES(Rd_EndOfFile, Rd_LGetC(rd));
}

static void getc_returns_each_character(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();

        for (size_t i = 0; i < SIZE; i++) {
            assert_int_equal(Rd_Index(rd), i);
            assert_false(Rd_EOF(rd));
            assert_int_equal(Rd_GetC(rd), TEXT[i]);
        }
        assert_true(Rd_EOF(rd));
        assert_true(getc_at_end(rd));
        assert_true(getc_at_end(rd)); /* it stays so */
        assert_int_equal(Rd_Index(rd), SIZE);
        Rd_Close(rd);
    }
}

static uint32_t unget_fails(Rd_clp rd)
{
    return FAILURE(Rd, Rd_UnGetC(rd));
}

static void ungetc_pushes_the_last_one_back(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();
        char buf[4];

        assert_int_equal(unget_fails(rd), 0); /* nothing read: nothing done */
        assert_int_equal(Rd_GetC(rd), 'f');
        Rd_UnGetC(rd);
        assert_int_equal(Rd_Index(rd), 0);
        assert_int_equal(Rd_GetC(rd), 'f');
        assert_int_equal(Rd_GetC(rd), 'i');
        Rd_UnGetC(rd);
        assert_int_equal(unget_fails(rd), 3); /* not twice in a row */
        assert_int_equal(Rd_GetChars(rd, buf, 3), 3);
        assert_memory_equal(buf, "irs", 3);
        assert_int_equal(unget_fails(rd), 3); /* only after GetC */
        assert_int_equal(Rd_GetC(rd), 't');
        assert_false(Rd_EOF(rd));
        assert_int_equal(unget_fails(rd), 3); /* nor after EOF */
        assert_int_equal(Rd_Index(rd), 5);
        assert_int_equal(Rd_GetC(rd), ' ');
        assert_int_equal(Rd_GetChars(rd, buf, 1), 1);
        assert_int_equal(unget_fails(rd), 3); /* nor after GetChars */
        assert_int_equal(Rd_Index(rd), 7);
        Rd_Close(rd);
    }
}

static void the_last_character_can_be_pushed_back(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();
        char buf[SIZE];

        assert_int_equal(Rd_GetChars(rd, buf, SIZE - 1), SIZE - 1);
        assert_int_equal(Rd_GetC(rd), 't');
        Rd_UnGetC(rd);
        assert_false(Rd_EOF(rd));
        assert_true(Rd_CharsReady(rd) >= 1);
        assert_int_equal(Rd_GetC(rd), 't');
        assert_true(Rd_EOF(rd));
        Rd_Close(rd);
    }
}

static void getchars_fills_the_buffer_or_ends(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();
        char buf[SIZE + 10];

        assert_int_equal(Rd_GetChars(rd, buf, 0), 0);
        assert_int_equal(Rd_GetChars(rd, buf, 5), 5);
        assert_memory_equal(buf, "first", 5);
        memset(buf, '#', sizeof(buf));
        assert_int_equal(Rd_GetChars(rd, buf, sizeof(buf)), SIZE - 5);
        assert_memory_equal(buf, &TEXT[5], SIZE - 5);
        assert_int_equal(buf[SIZE - 5], '#');
        assert_int_equal(Rd_GetChars(rd, buf, 1), 0);
        Rd_Close(rd);
    }
}

static void getline_stops_behind_a_newline(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();
        char buf[32];

        assert_int_equal(Rd_GetLine(rd, buf, 0), 0);
        assert_int_equal(Rd_GetLine(rd, buf, 32), 11);
        assert_memory_equal(buf, "first line\n", 11);
        assert_int_equal(Rd_GetLine(rd, buf, 3), 3); /* the buffer is full first */
        assert_memory_equal(buf, "sec", 3);
        assert_int_equal(Rd_GetLine(rd, buf, 4), 4);
        assert_memory_equal(buf, "ond\n", 4);
        assert_int_equal(Rd_GetLine(rd, buf, 32), 1);
        assert_int_equal(Rd_GetC(rd), 'l');
        Rd_UnGetC(rd);
        assert_int_equal(Rd_GetLine(rd, buf, 32), 4); /* the file ends first */
        assert_memory_equal(buf, "last", 4);
        assert_int_equal(Rd_GetLine(rd, buf, 32), 0);
        Rd_Close(rd);
    }
}

static void chars_ready_lets_one_read_without_blocking(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();
        uint64_t read = 0;
        uint64_t n;

        while (!Rd_EOF(rd)) {
            n = Rd_CharsReady(rd);
            assert_true(n >= 1 && n <= SIZE - read + 1);
            Rd_GetC(rd);
            read++;
        }
        assert_int_equal(read, SIZE);
        assert_int_equal(Rd_CharsReady(rd), 1); /* the end counts as one */
        Rd_Close(rd);
    }
}

static uint32_t seek_fails(Rd_clp rd, uint64_t n)
{
    return FAILURE(Rd, Rd_Seek(rd, n));
}

static uint32_t length_fails(Rd_clp rd)
{
    return FAILURE(Rd, Rd_Length(rd));
}

static void seek_goes_to_where_one_says(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();

        assert_int_equal(Rd_Seekable(rd), kind->seekable);
        assert_int_equal(Rd_Intermittent(rd), kind->intermittent);
        if (!kind->seekable) {
            assert_int_equal(seek_fails(rd, 0), 2); /* all of ours that cannot are intermittent */
            assert_int_equal(Rd_GetC(rd), 'f');
        } else {
            assert_int_equal(Rd_GetC(rd), 'f');
            Rd_Seek(rd, 6);
            assert_int_equal(Rd_Index(rd), 6);
            assert_int_equal(unget_fails(rd), 3);
            assert_int_equal(Rd_GetC(rd), 'l');
            Rd_UnGetC(rd);
            Rd_Seek(rd, 0);
            assert_int_equal(Rd_GetC(rd), 'f');
            Rd_Seek(rd, UINT64_MAX); /* the end at most */
            assert_int_equal(Rd_Index(rd), SIZE);
            assert_true(Rd_EOF(rd));
            assert_int_equal(Rd_Length(rd), SIZE);
        }
        Rd_Close(rd);
    }
}

static void the_lock_makes_a_group_atomic(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();

        Rd_Lock(rd);
        for (size_t i = 0; i < SIZE; i++) {
            assert_false(Rd_LEOF(rd));
            assert_int_equal(Rd_LGetC(rd), TEXT[i]);
        }
        assert_true(Rd_LEOF(rd));
        assert_true(lgetc_at_end(rd));
        Rd_Unlock(rd);
        assert_true(Rd_EOF(rd)); /* it is free again */
        Rd_Close(rd);
    }
}

/* An exception leaves the reader unlocked: another thread can go on. */
static void *read_in_thread(void *rd)
{
    return Rd_EOF(rd) ? rd : NULL;
}

static void exceptions_release_the_lock(void **state)
{
    FOR_EACH_KIND(kind)
    {
        Rd_clp rd = kind->make();
        char buf[SIZE];
        pthread_t thread;
        void *result;

        Rd_GetChars(rd, buf, SIZE);
        assert_true(getc_at_end(rd));
        assert_int_equal(pthread_create(&thread, NULL, read_in_thread, rd), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, rd);
        Rd_Close(rd);
    }
}

/* --- What differs ----------------------------------------------------------------------------- */

static void nothing_is_a_reader_too(void **state)
{
    static const struct mbr_blob empty = {NULL, 0};
    Rd_clp readers[] = {mem_rd(""), RdWrMod_NewMemRd(rdwr(), NULL, 9, NULL),
                        RdWrMod_GetBlobRd(rdwr(), NULL, NULL),
                        RdWrMod_GetBlobRd(rdwr(), (void *)(uintptr_t)&empty, NULL)};

    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        assert_true(Rd_EOF(readers[i]));
        assert_int_equal(Rd_Length(readers[i]), 0);
        assert_int_equal(Rd_CharsReady(readers[i]), 1);
        Rd_Close(readers[i]);
    }
}

static void a_pipe_knows_its_length_when_it_is_complete(void **state)
{
    char buf[16];
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 100, 1, &wr);

    Wr_PutStr(wr, "12345");
    assert_int_equal(length_fails(rd), 4);
    assert_int_equal(Rd_CharsReady(rd), 5);
    assert_int_equal(Rd_GetC(rd), '1');
    Wr_Close(wr);
    assert_int_equal(Rd_Length(rd), 5);
    assert_string_equal(read_all(rd, buf, sizeof(buf)), "2345");
    Rd_Close(rd);
}

/* It fetches in blocks, and waits for TRIGGER characters, no more than it must. */
static void a_buffered_reader_reads_in_blocks(void **state)
{
    char buf[16];
    Wr_clp wr;
    Rd_clp pipe = RdWrMod_NewPipe(rdwr(), NULL, 100, 1, &wr);
    Rd_clp rd = RdWrMod_NewBufferedRd(rdwr(), NULL, 8, 4, 3, pipe);

    assert_int_equal(Rd_CharsReady(rd), 0);
    Wr_PutStr(wr, "ab");
    assert_int_equal(Rd_CharsReady(rd), 0); /* reading would wait for a third */
    Wr_PutStr(wr, "cdefghij");
    assert_true(Rd_CharsReady(rd) >= 3);
    assert_int_equal(Rd_GetC(rd), 'a');
    assert_int_equal(Rd_Index(pipe), 4); /* one block */
    assert_int_equal(Rd_GetChars(rd, buf, 4), 4);
    assert_memory_equal(buf, "bcde", 4);
    assert_int_equal(Rd_Index(pipe), 8);
    Wr_Close(wr); /* the end ends the waiting for the trigger, too */
    assert_string_equal(read_all(rd, buf, sizeof(buf)), "fghij");
    Rd_Close(rd);
}

/* Positions in a seekable source are those of the source. */
static void a_buffered_reader_begins_where_its_source_is(void **state)
{
    Rd_clp source = mem_rd(TEXT);
    Rd_clp rd;

    Rd_Seek(source, 6);
    rd = RdWrMod_NewBufferedRd(rdwr(), NULL, 0, 0, 0, source); /* sizes of at least 1 */
    assert_int_equal(Rd_Index(rd), 6);
    assert_int_equal(Rd_GetC(rd), 'l');
    assert_int_equal(Rd_Length(rd), SIZE);
    Rd_Close(rd);
}

static void *set_rd_in_thread(void *redir)
{
    RdRedir_SetRd(redir, mem_rd("other"));
    return NULL;
}

static void a_redirected_reader_can_be_redirected(void **state)
{
    Rd_clp old = mem_rd("old");
    Rd_clp new = mem_rd("new");
    RdRedir_clp redir = RdRedirMod_New(MBR_MODULE(RdRedirMod), old);
    Rd_clp rd = RdRedir_as_Rd(redir);
    pthread_t thread;

    assert_int_equal(Rd_GetC(rd), 'o');
    RdRedir_SetRd(redir, new);
    assert_int_equal(Rd_GetC(rd), 'n');
    assert_int_equal(Rd_GetC(old), 'l'); /* the old one is as it was, and still ours */
    Rd_Close(old);
    /* A target is not exchanged inside Lock and Unlock. */
    Rd_Lock(rd);
    assert_int_equal(pthread_create(&thread, NULL, set_rd_in_thread, redir), 0);
    assert_int_equal(Rd_LGetC(rd), 'e');
    assert_int_equal(Rd_LGetC(rd), 'w');
    Rd_Unlock(rd);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(Rd_GetC(rd), 'o');
    Rd_Close(new);
    Rd_Close(rd);
}

static bool makes(struct test_heap *heap, int which)
{
    static const struct mbr_blob blob = {TEXT, SIZE};
    Rd_clp volatile rd = NULL;
    Rd_clp source = mem_rd(TEXT);
    bool raised;

    raised =
        RAISES(Heap_NoMemory,
               rd = which == 0   ? RdWrMod_NewMemRd(rdwr(), NULL, 0, &heap->cl)
                    : which == 1 ? RdWrMod_GetBlobRd(rdwr(), (void *)(uintptr_t)&blob, &heap->cl)
                                 : RdWrMod_NewBufferedRd(rdwr(), &heap->cl, 10, 5, 1, source));
    if (!raised)
        Rd_Close(rd);
    if (raised || which != 2)
        Rd_Close(source);
    return !raised;
}

static void making_one_without_memory_leaves_nothing(void **state)
{
    struct test_heap heap;

    test_heap_init(&heap);
    for (int which = 0; which < 3; which++) {
        test_heap_arm(&heap, 0);
        assert_false(makes(&heap, which));
        test_heap_disarm(&heap);
        assert_int_equal(heap.live, 0);
        assert_true(makes(&heap, which));
        assert_int_equal(heap.live, 0); /* Close has given everything back */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(getc_returns_each_character),
        cmocka_unit_test(ungetc_pushes_the_last_one_back),
        cmocka_unit_test(the_last_character_can_be_pushed_back),
        cmocka_unit_test(getchars_fills_the_buffer_or_ends),
        cmocka_unit_test(getline_stops_behind_a_newline),
        cmocka_unit_test(chars_ready_lets_one_read_without_blocking),
        cmocka_unit_test(seek_goes_to_where_one_says),
        cmocka_unit_test(the_lock_makes_a_group_atomic),
        cmocka_unit_test(exceptions_release_the_lock),
        cmocka_unit_test(nothing_is_a_reader_too),
        cmocka_unit_test(a_pipe_knows_its_length_when_it_is_complete),
        cmocka_unit_test(a_buffered_reader_reads_in_blocks),
        cmocka_unit_test(a_buffered_reader_begins_where_its_source_is),
        cmocka_unit_test(a_redirected_reader_can_be_redirected),
        cmocka_unit_test(making_one_without_memory_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
