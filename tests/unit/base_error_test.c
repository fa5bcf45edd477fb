/* SPDX-License-Identifier: MIT */
/* Names and texts of errors, the log hook, the last words of a broken invariant, and UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <membrane/base.h>

#include "base/assert.h"
#include "base/errors.h"
#include "base/list.h"
#include "base/log.h"
#include "base/utf8.h"
#include "last_words.h"

static void knows_every_row(void **state)
{
#define ROW(code, text, hint) {code, #code, text, hint},
    static const struct {
        int code;
        const char *name;
        const char *text;
        const char *hint;
    } rows[] = {MBR__ERRORS(ROW)};
#undef ROW

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t hint_length = strlen(rows[i].hint);

        assert_string_equal(mbr_error_name(-rows[i].code), rows[i].name);
        assert_string_equal(mbr_error_name(rows[i].code), rows[i].name);
        assert_string_equal(mbr_error_text(-rows[i].code), rows[i].text);
        assert_string_equal(mbr_error_hint(-rows[i].code), rows[i].hint);
        assert_true(rows[i].text[0] != '\0' && strchr(rows[i].text, '\n') == NULL);
        assert_true(hint_length == 0 || rows[i].hint[hint_length - 1] == '.');
    }
}

static void knows_what_is_no_error(void **state)
{
    static const int unknown[] = {INT_MIN, INT_MAX, -INT_MAX, 41, -58, 4096, -100000};

    assert_string_equal(mbr_error_name(0), "OK");
    assert_string_equal(mbr_error_text(0), "no error");
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_string_equal(mbr_error_name(unknown[i]), "EUNKNOWN");
        assert_string_equal(mbr_error_text(unknown[i]), "unknown error");
        assert_string_equal(mbr_error_hint(unknown[i]), "");
    }
    for (int error = -5000; error < 5000; error++) {
        assert_non_null(mbr_error_name(error));
        assert_non_null(mbr_error_text(error));
        assert_non_null(mbr_error_hint(error));
    }
    assert_string_equal(mbr_version(), MBR_VERSION_STRING);
}

struct recorder {
    struct mbr_log_sink sink;
    int calls;
    enum mbr_log_level level;
    char message[MBR__LOG_MAX + 10];
};

static void record(struct mbr_log_sink *sink, enum mbr_log_level level, const char *message)
{
    struct recorder *recorder = mbr__container_of(sink, struct recorder, sink);

    recorder->calls++;
    recorder->level = level;
    (void)snprintf(recorder->message, sizeof(recorder->message), "%s", message);
    errno = ERANGE;
}

static void logs_what_is_wanted(void **state)
{
    struct recorder recorder = {.sink = {record, MBR_LOG_WARNING}};
    char text[2 * MBR__LOG_MAX];

    mbr__log(MBR_LOG_FATAL, "nobody hears this %d", 1);
    assert_false(mbr__log_wants(MBR_LOG_FATAL));
    assert_null(mbr_log_set_sink(&recorder.sink));
    assert_true(mbr__log_wants(MBR_LOG_WARNING));
    assert_false(mbr__log_wants(MBR_LOG_INFO));
    errno = ENOENT;
    mbr__log(MBR_LOG_WARNING, "peer %d: %s", 7, "gone");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(recorder.level, MBR_LOG_WARNING);
    assert_string_equal(recorder.message, "peer 7: gone");
    mbr__log(MBR_LOG_INFO, "too quiet");
    assert_int_equal(recorder.calls, 1);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    mbr__log(MBR_LOG_ERROR, "%s", text);
    assert_int_equal(strlen(recorder.message), MBR__LOG_MAX - 1);
    assert_ptr_equal(mbr_log_set_sink(NULL), &recorder.sink);
    mbr__log(MBR_LOG_FATAL, "nobody again");
    assert_int_equal(recorder.calls, 2);
}

static void write_out(struct mbr_log_sink *sink, enum mbr_log_level level, const char *message)
{
    if (sink && level == MBR_LOG_FATAL && write(STDOUT_FILENO, message, strlen(message)) > 0)
        return;
    _exit(1);
}

static void break_while_breaking(struct mbr_log_sink *sink, enum mbr_log_level level,
                                 const char *message)
{
    write_out(sink, level, message);
    MBR_ASSERT(!sink);
}

static void break_assertion(void)
{
    MBR_ASSERT(1 + 1 == 3);
}

static void break_with_state(void)
{
    int slots = 4;

    MBR_ASSERT_STATE(slots < 4, "%d slots of %s", slots, "a ring");
}

static void break_silently(void)
{
    MBR_UNREACHABLE("no such state");
}

static void break_at_length(void)
{
    static char text[4000];

    memset(text, 'y', sizeof(text) - 1);
    MBR_UNREACHABLE(text);
}

static void aborts_with_last_words(void **state)
{
    struct mbr_log_sink sink = {write_out, MBR_LOG_FATAL};
    struct mbr_log_sink broken = {break_while_breaking, MBR_LOG_FATAL};
    char output[LAST_WORDS_MAX];

    last_words(break_assertion, NULL, output);
    assert_non_null(strstr(output, "base_error_test.c:"));
    assert_non_null(strstr(output, ": assertion failed: 1 + 1 == 3\n"));
    last_words(break_with_state, NULL, output);
    assert_non_null(strstr(output, "assertion failed: slots < 4: 4 slots of a ring\n"));
    last_words(break_silently, &sink, output);
    assert_non_null(strstr(output, ": unreachable: no such state"));
    assert_null(strchr(output, '\n'));
    last_words(break_at_length, NULL, output);
    assert_in_range(strlen(output), 256, MBR__LOG_MAX);
    assert_int_equal(output[strlen(output) - 1], '\n');
    last_words(break_silently, &broken, output);
    assert_non_null(strstr(output, "no such state"));
    assert_null(strstr(output, "sink"));
}

/* The definition the other way round: decode, then look whether the value and its length agree. */
static bool valid_by_value(const unsigned char *bytes, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t at = 0; at < length;) {
        size_t count = bytes[at] < 0x80             ? 1
                       : (bytes[at] & 0xe0) == 0xc0 ? 2
                       : (bytes[at] & 0xf0) == 0xe0 ? 3
                       : (bytes[at] & 0xf8) == 0xf0 ? 4
                                                    : 0;
        uint32_t value;

        if (count == 0 || count > length - at)
            return false;
        value = count == 1 ? bytes[at] : bytes[at] & (0x7fu >> count);
        for (size_t i = 1; i < count; i++) {
            if ((bytes[at + i] & 0xc0) != 0x80)
                return false;
            value = value << 6 | (bytes[at + i] & 0x3f);
        }
        if (value < least[count] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
        at += count;
    }
    return true;
}

/* All sequences of two bytes with every third and fourth byte that is on the edge of a range. */
static void utf8_like_its_definition(void **state)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                          0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff};

    for (unsigned int two = 0; two < 65536; two++) {
        for (size_t i = 0; i < sizeof(edges); i++) {
            for (size_t j = 0; j < sizeof(edges); j++) {
                const unsigned char bytes[4] = {(unsigned char)(two >> 8), (unsigned char)two,
                                                edges[i], edges[j]};

                for (size_t length = 1; length <= 4; length++)
                    if (mbr__utf8_valid((const char *)bytes, length) !=
                        valid_by_value(bytes, length))
                        fail_msg("%02x %02x %02x %02x, length %zu", bytes[0], bytes[1], bytes[2],
                                 bytes[3], length);
            }
        }
    }
    assert_true(mbr__utf8_valid(NULL, 0));
    assert_true(mbr__utf8_valid("a\0\xc3\xa9\xf0\x9f\x8e\x89", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_every_row),          cmocka_unit_test(knows_what_is_no_error),
        cmocka_unit_test(logs_what_is_wanted),      cmocka_unit_test(aborts_with_last_words),
        cmocka_unit_test(utf8_like_its_definition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
