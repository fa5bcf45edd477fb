/* SPDX-License-Identifier: MIT */
/* File, MemFile and MemFileMod against their documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "io_test.h"

static void is_an_extensible_sequence_of_bytes(void **state)
{
    MemFile_clp file = mem_file(NULL);
    Wr_clp wr = MemFile_OpenWr(file);
    Rd_clp rd = MemFile_OpenRd(file);
    char buf[16];

    assert_true(Rd_EOF(rd));
    Wr_PutStr(wr, "abc");
    assert_false(Rd_EOF(rd)); /* what was written is there to be read */
    assert_int_equal(Rd_Length(rd), 3);
    assert_string_equal(read_all(rd, buf, sizeof(buf)), "abc");
    assert_true(Rd_EOF(rd));
    Wr_PutStr(wr, "def");
    assert_string_equal(read_all(rd, buf, sizeof(buf)), "def");
    Rd_Close(rd);
    Wr_Close(wr);
    MemFile_Dispose(file);
}

static void opening_does_not_truncate(void **state)
{
    MemFile_clp file = file_with("0123456789", NULL);
    Wr_clp wr = MemFile_OpenWr(file);
    Wr_clp other = MemFile_OpenWr(file);
    char buf[16];

    assert_int_equal(Wr_Index(wr), 0);
    assert_int_equal(Wr_Length(wr), 10);
    Wr_PutStr(wr, "ab");
    Wr_Seek(other, Wr_Length(other)); /* each has a position of its own */
    Wr_PutStr(other, "cd");
    assert_int_equal(Wr_Index(wr), 2);
    assert_int_equal(Wr_Length(wr), 12);
    assert_string_equal(contents(file, buf, sizeof(buf)), "ab23456789cd");
    Wr_Close(wr);
    Wr_Close(other);
    MemFile_Dispose(file);
}

static void serves_as_a_file(void **state)
{
    File_clp file = MemFile_as_File(file_with("text", NULL));
    Rd_clp rd = File_OpenRd(file);
    Wr_clp wr = File_OpenWr(file);
    char buf[8];

    Wr_PutC(wr, 'T');
    File_Dispose(file);
    /* The file is gone; what is open still works, on the same contents. */
    assert_string_equal(read_all(rd, buf, sizeof(buf)), "Text");
    Wr_Seek(wr, 4);
    Wr_PutC(wr, 's');
    Wr_Close(wr);
    assert_int_equal(Rd_GetC(rd), 's');
    Rd_Close(rd);
}

static void knows_whether_it_was_changed(void **state)
{
    MemFile_clp file = mem_file(NULL);
    Wr_clp wr;

    assert_false(MemFile_IsDirty(file));
    wr = MemFile_OpenWr(file);
    assert_false(MemFile_IsDirty(file));
    Wr_PutC(wr, 'x');
    assert_true(MemFile_IsDirty(file));
    MemFile_MarkClean(file);
    assert_false(MemFile_IsDirty(file));
    Wr_PutStr(wr, "");
    Wr_Flush(wr);
    assert_false(MemFile_IsDirty(file));
    Wr_Seek(wr, 0);
    Wr_PutC(wr, 'x');
    assert_true(MemFile_IsDirty(file));
    Wr_Close(wr);
    MemFile_Dispose(file);
}

struct job {
    MemFile_clp file;
    Wr_clp wr;
};

static void *write_many(void *arg)
{
    const struct job *job = arg;

    for (int i = 0; i < 500; i++) {
        Wr_Seek(job->wr, 0);
        Wr_PutStr(job->wr, i % 2 ? "aaaaaaaa" : "bbbbbbbb");
    }
    return NULL;
}

/* Who holds the lock sees no change, and may open and read all the same. */
static void the_lock_keeps_others_out(void **state)
{
    struct test_heap heap;
    MemFile_clp file = file_with("bbbbbbbb", NULL);
    struct job job = {file, MemFile_OpenWr(file)};
    pthread_t thread;

    test_heap_init(&heap);
    assert_int_equal(pthread_create(&thread, NULL, write_many, &job), 0);
    for (int i = 0; i < 200; i++) {
        char one[16], two[16];
        Rd_clp rd;

        MemFile_Lock(file);
        rd = MemFile_LOpenRd(file, &heap.cl);
        assert_true(heap.live == 1);
        read_all(rd, one, sizeof(one));
        Rd_Seek(rd, 0);
        read_all(rd, two, sizeof(two));
        Rd_Close(rd);
        MemFile_MarkClean(file);
        assert_false(MemFile_IsDirty(file));
        MemFile_Unlock(file);
        assert_string_equal(one, two);
        assert_int_equal(one[0], one[7]);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(heap.live, 0);
    Wr_Close(job.wr);
    MemFile_Dispose(file);
}

static bool new_raises(Heap_clp heap)
{
    return RAISES(Heap_NoMemory, mem_file(heap));
}

static bool open_raises(MemFile_clp file, Heap_clp heap, int how)
{
    return RAISES(Heap_NoMemory, how == 0   ? (void)MemFile_OpenRd(file)
                                 : how == 1 ? (void)MemFile_OpenWr(file)
                                 : how == 2 ? (void)MemFile_LOpenRd(file, heap)
                                            : (void)MemFile_LOpenWr(file, heap));
}

static uint32_t put_fails(Wr_clp wr, const char *text, uint64_t nb)
{
    return FAILURE(Wr, Wr_PutChars(wr, (char *)(uintptr_t)text, nb));
}

static void without_memory_nothing_changes(void **state)
{
    struct test_heap heap;
    MemFile_clp file;
    Wr_clp wr;
    char buf[80];

    test_heap_init(&heap);
    test_heap_arm(&heap, 0);
    assert_true(new_raises(&heap.cl));
    test_heap_disarm(&heap);
    file = mem_file(&heap.cl);
    wr = MemFile_LOpenWr(file, &heap.cl);
    for (int how = 0; how < 4; how++) {
        test_heap_arm(&heap, 0);
        assert_true(open_raises(file, &heap.cl, how));
        test_heap_disarm(&heap);
    }
    assert_int_equal(heap.live, 2);
    test_heap_arm(&heap, 0);
    assert_int_equal(put_fails(wr, "abc", 3), ENOMEM);
    test_heap_disarm(&heap);
    assert_int_equal(Wr_Length(wr), 0);
    assert_false(MemFile_IsDirty(file));
    Wr_PutStr(wr, "0123456789012345678901234567890123456789012345678901234567890123");
    test_heap_arm(&heap, 0);
    assert_int_equal(put_fails(wr, "x", 1), ENOMEM);
    test_heap_disarm(&heap);
    assert_int_equal(Wr_Index(wr), 64);
    assert_int_equal(strlen(contents(file, buf, sizeof(buf))), 64);
    assert_int_equal(put_fails(wr, "", UINT64_MAX), EFBIG); /* nor is the length believed */
    assert_int_equal(put_fails(wr, "", UINT64_MAX / 2), EFBIG);
    Wr_Close(wr);
    MemFile_Dispose(file);
    assert_int_equal(heap.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_an_extensible_sequence_of_bytes),
        cmocka_unit_test(opening_does_not_truncate),
        cmocka_unit_test(serves_as_a_file),
        cmocka_unit_test(knows_whether_it_was_changed),
        cmocka_unit_test(the_lock_keeps_others_out),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
