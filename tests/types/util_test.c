/* SPDX-License-Identifier: MIT */
/* StringUtil, Hash, HashMod, Time, WTime, ContextUtil and mbr_module against their documentation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include <membrane/modules.h>
#include <middl/ContextUtil.h>
#include <middl/Hash.h>
#include <middl/HashMod.h>
#include <middl/MemFile.h>
#include <middl/StringUtil.h>
#include <middl/Time.h>
#include <middl/WTime.h>

#include "../unit/failalloc.h"
#include "context_test.h"
#include "io_test.h"

/* --- mbr_module ------------------------------------------------------------------------------- */

static void modules_are_found_by_code(void **state)
{
    size_t count;
    const struct mbr_factory *modules = mbr_modules(&count);

    assert_true(count >= 13);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(mbr_module(modules[i].code), modules[i].closure);
        if (i > 0)
            assert_true(strcmp(modules[i - 1].name, modules[i].name) < 0);
    }
    assert_null(mbr_module(0));
    assert_null(mbr_module(CODE_Hash)); /* an interface, but not a factory */
    assert_null(mbr_module(CODE_HashMod + 1));
}

/* --- StringUtil ------------------------------------------------------------------------------- */

static bool cat_raises(Heap_clp heap)
{
    return RAISES(Heap_NoMemory, StringUtil_Cat(MBR_MODULE(StringUtil), heap, "a", "b"));
}

static void strings_are_concatenated_and_measured(void **state)
{
    StringUtil_clp util = MBR_MODULE(StringUtil);
    struct test_heap heap;
    const char *text;

    test_heap_init(&heap);
    text = StringUtil_Cat(util, &heap.cl, "begin", "ning");
    assert_string_equal(text, "beginning");
    assert_int_equal(StringUtil_Len(util, text), 9);
    assert_int_equal(heap.live, 1);
    Heap_Free(&heap.cl, (char *)(uintptr_t)text);
    text = StringUtil_Cat(util, NULL, NULL, "");
    assert_string_equal(text, "");
    free((char *)(uintptr_t)text);
    assert_int_equal(StringUtil_Len(util, NULL), 0);
    test_heap_arm(&heap, 0);
    assert_true(cat_raises(&heap.cl));
    assert_int_equal(heap.live, 0);
}

static void addresses_are_written_with_dots(void **state)
{
    static const struct {
        uint64_t addr;
        const char *text;
    } rows[] = {{0x7f000001, "127.0.0.1"},
                {0, "0.0.0.0"},
                {0xffffffff, "255.255.255.255"},
                {0x1c0a80102, "192.168.1.2"}}; /* 32 bits count */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *text = StringUtil_LongCardToIP(MBR_MODULE(StringUtil), NULL, rows[i].addr);

        assert_string_equal(text, rows[i].text);
        free((char *)(uintptr_t)text);
    }
}

static void strings_are_read_as_numbers(void **state)
{
    static const struct {
        const char *text;
        uint32_t num;
    } rows[] = {{"0", 0},
                {"12", 12},
                {" \t42 apples", 42},
                {"0x1F", 31},
                {"0Xff", 255},
                {"0x", 0},
                {"0xg", 0},
                {"007", 7},
                {"", 0},
                {NULL, 0},
                {"-1", 0},
                {"4294967295", UINT32_MAX},
                {"1a", 1},
                {"4294967296", UINT32_MAX},
                {"0x1ffffffff", UINT32_MAX},
                {"99999999999999999999999", UINT32_MAX}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(StringUtil_StringToCardinal(MBR_MODULE(StringUtil), rows[i].text),
                         rows[i].num);
}

/* --- Hash ------------------------------------------------------------------------------------- */

static bool new_hash_raises(void)
{
    return RAISES(Heap_NoMemory, HashMod_New(MBR_MODULE(HashMod)));
}

static void hashes_what_it_is_given_in_pieces(void **state)
{
    static const uint8_t expected[4] = {0xba, 0x78, 0x16, 0xbf}; /* SHA-256 of "abc" */
    HashMod_clp mod = MBR_MODULE(HashMod);
    uint8_t text[] = {'a', 'b', 'c'};
    Hash_clp hash = HashMod_New(mod);
    uint32_t length = 0;
    uint8_t *digest;

    Hash_AddBytes(hash, text, 1);
    Hash_AddBytes(hash, NULL, 0);
    Hash_AddBytes(hash, text + 1, 2);
    digest = Hash_Finalise(hash, &length);
    assert_int_equal(length, HashMod_GetLength(mod));
    assert_int_equal(length, 32);
    assert_memory_equal(digest, expected, sizeof(expected));
    free(digest);
}

static void hashing_fails_at_the_beginning_or_not_at_all(void **state)
{
    for (unsigned int fail = 0; fail < 2; fail++) {
        failalloc_arm(fail);
        assert_true(new_hash_raises());
        assert_true(failalloc_disarm());
    }
}

/* --- Time and WTime --------------------------------------------------------------------------- */

static struct timespec wall = {1000000000, 123456789};
static bool wall_fails;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock != CLOCK_REALTIME)
        return __real_clock_gettime(clock, now);
    *now = wall;
    return wall_fails ? -1 : 0;
}

static void time_goes_forward(void **state)
{
    Time_clp time = MBR_MODULE(Time);
    Time_ns before = Time_Now(time);
    struct timespec now;

    assert_true(before > 0);
    for (int i = 0; i < 1000; i++) {
        Time_ns after = Time_Now(time);

        assert_true(after >= before);
        before = after;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true(now.tv_sec * INT64_C(1000000000) + now.tv_nsec >= before);
}

static void tells_the_time_of_day(void **state)
{
    WTime_clp wtime = MBR_MODULE(WTime);
    WTime_TimeVal tval = {1, 2};

    assert_int_equal(WTime_GetTimeOfDay(wtime, &tval), 0);
    assert_int_equal(tval.tv_sec, 1000000000);
    assert_int_equal(tval.tv_usec, 123456);
    wall_fails = true;
    assert_int_equal(WTime_GetTimeOfDay(wtime, &tval), -1);
    wall_fails = false;
    wall.tv_sec = INT64_C(1) << 33; /* more than a CARDINAL holds */
    assert_int_equal(WTime_GetTimeOfDay(wtime, &tval), -1);
    wall.tv_sec = 1000000000;
    assert_int_equal(tval.tv_sec, 1000000000); /* untouched */
}

static void tm_free(WTime_TM *tm)
{
    free((char *)(uintptr_t)tm->tm_zone);
    free(tm);
}

static void expect_tm(const WTime_TM *tm, int year, int mon, int mday, int hour, int min, int sec)
{
    assert_int_equal(tm->tm_year, year - 1900);
    assert_int_equal(tm->tm_mon, mon - 1);
    assert_int_equal(tm->tm_mday, mday);
    assert_int_equal(tm->tm_hour, hour);
    assert_int_equal(tm->tm_min, min);
    assert_int_equal(tm->tm_sec, sec);
}

static void breaks_times_down(void **state)
{
    WTime_clp wtime = MBR_MODULE(WTime);
    WTime_TM *tm = WTime_GMTime(wtime, 951782400);

    expect_tm(tm, 2000, 2, 29, 0, 0, 0);
    assert_int_equal(tm->tm_wday, 2);
    assert_int_equal(tm->tm_yday, 59);
    assert_int_equal(tm->tm_gmtoff, 0);
    tm_free(tm);
    tm = WTime_GMTime(wtime, UINT32_MAX);
    expect_tm(tm, 2106, 2, 7, 6, 28, 15);
    tm_free(tm);
    tm = WTime_LocalTime(wtime, 0);
    expect_tm(tm, 1970, 1, 1, 3, 0, 0);
    assert_int_equal(tm->tm_gmtoff, 3 * 3600);
    assert_string_equal(tm->tm_zone, "TST");
    tm_free(tm);
}

static void makes_times_and_text_of_records(void **state)
{
    WTime_clp wtime = MBR_MODULE(WTime);
    WTime_TM tm = {.tm_year = 70, .tm_mday = 32, .tm_hour = 3, .tm_zone = "mine"};
    const char *text;

    assert_int_equal(WTime_MkTime(wtime, &tm), 31 * 86400);
    expect_tm(&tm, 1970, 2, 1, 3, 0, 0); /* brought into range */
    assert_int_equal(tm.tm_wday, 0);
    assert_string_equal(tm.tm_zone, "mine");
    text = WTime_AscTime(wtime, &tm);
    assert_string_equal(text, "Sun Feb  1 03:00:00 1970\n");
    free((char *)(uintptr_t)text);
    text = WTime_CTime(wtime, 0);
    assert_string_equal(text, "Thu Jan  1 03:00:00 1970\n");
    free((char *)(uintptr_t)text);
    tm.tm_year = -100;
    assert_true(WTime_MkTime(wtime, &tm) == UINT32_MAX);
    tm = (WTime_TM){.tm_mon = INT16_MIN,
                    .tm_wday = 7,
                    .tm_mday = INT16_MIN,
                    .tm_hour = INT16_MIN,
                    .tm_min = INT16_MIN,
                    .tm_sec = INT16_MIN,
                    .tm_year = INT16_MIN};
    text = WTime_AscTime(wtime, &tm);
    assert_string_equal(text, "\?\?\? \?\?\? -32768 -32768:-32768:-32768 -30868\n");
    free((char *)(uintptr_t)text);
}

static void knows_the_calendar(void **state)
{
    WTime_clp wtime = MBR_MODULE(WTime);

    assert_int_equal(WTime_DayOfWeek(wtime, 1, 1, 1970), 4);
    assert_int_equal(WTime_DayOfWeek(wtime, 29, 2, 2000), 2);
    assert_int_equal(WTime_DayOfWeek(wtime, 31, 12, 1999), 5);
    assert_int_equal(WTime_DayOfWeek(wtime, 1, 1, 1), 1);
    assert_int_equal(WTime_DayOfWeek(wtime, 29, 2, 1900), -1);
    assert_int_equal(WTime_DayOfWeek(wtime, 0, 1, 2000), -1);
    assert_int_equal(WTime_DayOfWeek(wtime, 1, 13, 2000), -1);
    assert_int_equal(WTime_DayOfWeek(wtime, 1, 0, 2000), -1);
    assert_int_equal(WTime_DayOfWeek(wtime, 1, 1, 0), -1);
    assert_int_equal(WTime_MakeTime(wtime, 1, 1, 1970, 0, 0, 0), 0);
    assert_int_equal(WTime_MakeTime(wtime, 9, 9, 2001, 1, 46, 40), 1000000000);
    assert_true(WTime_MakeTime(wtime, 31, 12, 1969, 23, 59, 59) == UINT32_MAX);
    assert_true(WTime_MakeTime(wtime, 1, 1, 2200, 0, 0, 0) == UINT32_MAX);
    assert_true(WTime_MakeTime(wtime, 1, 1, 2000, 24, 0, 0) == UINT32_MAX);
    assert_true(WTime_MakeTime(wtime, 1, 1, 2000, 0, 60, 0) == UINT32_MAX);
}

/* Every day of 130 years, against libc. */
static void agrees_with_libc_on_every_day(void **state)
{
    WTime_clp wtime = MBR_MODULE(WTime);

    for (int64_t day = 0; day < 130 * 365; day++) {
        time_t seconds = day * 86400 + day % 86400;
        struct tm tm;

        gmtime_r(&seconds, &tm);
        assert_int_equal(WTime_MakeTime(wtime, (uint16_t)tm.tm_mday, (uint16_t)(tm.tm_mon + 1),
                                        (uint16_t)(tm.tm_year + 1900), (uint16_t)tm.tm_hour,
                                        (uint16_t)tm.tm_min, (uint16_t)tm.tm_sec),
                         (uint32_t)seconds);
        assert_int_equal(WTime_DayOfWeek(wtime, (uint16_t)tm.tm_mday, (uint16_t)(tm.tm_mon + 1),
                                         (uint16_t)(tm.tm_year + 1900)),
                         tm.tm_wday);
    }
}

static void use_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

static bool wtime_raises(int which)
{
    WTime_clp wtime = MBR_MODULE(WTime);
    WTime_TM tm = {.tm_mday = 1};

    return RAISES(Heap_NoMemory, which == 0   ? tm_free(WTime_GMTime(wtime, 0))
                                 : which == 1 ? tm_free(WTime_LocalTime(wtime, 0))
                                 : which == 2 ? use_text(WTime_AscTime(wtime, &tm))
                                              : use_text(WTime_CTime(wtime, 0)));
}

static void without_memory_times_have_no_text(void **state)
{
    for (int which = 0; which < 4; which++) {
        unsigned int fail = 0;

        for (bool failed = true; failed; fail++) {
            bool raised;

            failalloc_arm(fail);
            raised = wtime_raises(which);
            failed = failalloc_disarm();
            assert_true(raised == failed);
        }
        assert_true(fail > 1);
    }
}

/* --- ContextUtil ------------------------------------------------------------------------------ */

static void expect_listing(const Type_Any *cx, const char *name, const char *expected)
{
    MemFile_clp file = mem_file(NULL);
    Wr_clp wr = MemFile_OpenWr(file);
    char buf[500];

    ContextUtil_List(MBR_MODULE(ContextUtil), cx, wr, name);
    Wr_Close(wr);
    assert_string_equal(contents(file, buf, sizeof(buf)), expected);
    MemFile_Dispose(file);
}

static void contexts_are_listed(void **state)
{
    Context_clp cx = new_context(NULL);
    char long_text[600];
    Type_Any any = number(12);
    char expected[200];

    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    expect_listing(any_of(cx), "empty", "empty:\n");
    Context_Add(cx, "number", &any);
    Context_Add(cx, "text", &(Type_Any){MBR_CODE_STRING, (uintptr_t) "say \"hi\""});
    Context_Add(cx, "truth", &(Type_Any){MBR_CODE_BOOLEAN, 1});
    Context_Add(cx, "unknown", &(Type_Any){UINT64_C(0x1234567890120003), 0xab});
    expect_listing(any_of(cx), "here",
                   "here:\n"
                   "  number : LONG CARDINAL = 12\n"
                   "  text : STRING = \"say \\\"hi\\\"\"\n"
                   "  truth : BOOLEAN = true\n"
                   "  unknown : type 0x1234567890120003 = 0xab\n");
    expect_listing(&any, "leaf", "leaf : LONG CARDINAL = 12\n");
    expect_listing(&any, NULL, " : LONG CARDINAL = 12\n");
    Context_Destroy(cx);
    cx = new_context(NULL);
    Context_Add(cx, "long", &(Type_Any){MBR_CODE_STRING, (uintptr_t)long_text});
    snprintf(expected, sizeof(expected), "cx:\n  long : STRING = \"%.100s", long_text);
    {
        MemFile_clp file = mem_file(NULL);
        Wr_clp wr = MemFile_OpenWr(file);
        char buf[1000];

        ContextUtil_List(MBR_MODULE(ContextUtil), any_of(cx), wr, "cx");
        Wr_Close(wr);
        contents(file, buf, sizeof(buf));
        assert_memory_equal(buf, expected, strlen(expected));
        assert_true(strlen(buf) < 400);
        MemFile_Dispose(file);
    }
    Context_Destroy(cx);
}

/* What cannot be had is named all the same, and a writer that fails ends the listing quietly. */
static void listing_survives_trouble(void **state)
{
    struct foreign foreign;
    Context_clp cx = new_context(NULL);
    Type_Any any = number(1);
    Wr_clp wr;
    Rd_clp rd = RdWrMod_NewPipe(rdwr(), NULL, 100, 1, &wr);

    foreign_init(&foreign);
    expect_listing(any_of(&foreign.cl), "f", "f:\n  foreign : LONG CARDINAL = 77\n");
    Context_Add(cx, "a", &any);
    Rd_Close(rd);
    ContextUtil_List(MBR_MODULE(ContextUtil), any_of(cx), wr, "x");
    Wr_Close(wr);
    Context_Destroy(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_are_found_by_code),
        cmocka_unit_test(strings_are_concatenated_and_measured),
        cmocka_unit_test(addresses_are_written_with_dots),
        cmocka_unit_test(strings_are_read_as_numbers),
        cmocka_unit_test(hashes_what_it_is_given_in_pieces),
        cmocka_unit_test(hashing_fails_at_the_beginning_or_not_at_all),
        cmocka_unit_test(time_goes_forward),
        cmocka_unit_test(tells_the_time_of_day),
        cmocka_unit_test(breaks_times_down),
        cmocka_unit_test(makes_times_and_text_of_records),
        cmocka_unit_test(knows_the_calendar),
        cmocka_unit_test(agrees_with_libc_on_every_day),
        cmocka_unit_test(without_memory_times_have_no_text),
        cmocka_unit_test(contexts_are_listed),
        cmocka_unit_test(listing_survives_trouble),
    };

    /* A zone without rules, three hours east: it needs no files. */
    setenv("TZ", "TST-3", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
