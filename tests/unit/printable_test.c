/* SPDX-License-Identifier: MIT */
/* What people are shown of names that others have chosen; on a terminal and not. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/printable.h"

static void shows(const char *text, const char *expected)
{
    char out[256];

    assert_string_equal(printable(text, out, sizeof(out)), expected);
    assert_string_equal(printable_text(text), expected);
}

static void test_escapes(void **state)
{
    (void)state;
    shows("", "");
    shows("plain text, 'quoted' \\ and all", "plain text, 'quoted' \\ and all");
    shows("\033[31mred\033[m", "\\x1b[31mred\\x1b[m");
    shows("two\nlines\tand\ra bell\a", "two\\nlines\\tand\\ra bell\\x07");
    shows("\x7f", "\\x7f");
    shows("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    /* The second set of control characters: U+009B begins a sequence as ESC [ does. */
    shows("\xc2\x9b"
          "31m\xc2\xa0",
          "\\xc2\\x9b31m\xc2\xa0");
    shows("\x9b"
          "31m",
          "\\x9b31m");
    shows("\xff\xfe", "\\xff\\xfe");
    shows("cut \xe2\x82", "cut \\xe2\\x82");
    shows("\xed\xa0\x80 \xc0\x80", "\\xed\\xa0\\x80 \\xc0\\x80");
}

static void test_cut(void **state)
{
    char out[6];

    (void)state;
    assert_string_equal(printable("123456", out, sizeof(out)), "12345");
    assert_string_equal(printable("123\xe2\x82\xac", out, sizeof(out)), "123");
    assert_string_equal(printable("12\033", out, sizeof(out)), "12");
    assert_string_equal(printable("1\033", out, sizeof(out)), "1\\x1b");
    assert_string_equal(printable("x", out, 1), "");
}

static void test_two_of_one_line(void **state)
{
    char line[32];

    (void)state;
    (void)snprintf(line, sizeof(line), "%s %s", printable_text("a\n"), printable_text("b\n"));
    assert_string_equal(line, "a\\n b\\n");
}

/* A terminal of our own in place of standard output. */
static void test_terminal(void **state)
{
    static const char value[] = "a\0b\n\033[2Jc\t\xff";
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    int kept = dup(STDOUT_FILENO);
    char got[64];

    (void)state;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);

    assert_true(slave >= 0 && kept >= 0);
    (void)fflush(stdout);
    assert_int_equal(dup2(slave, STDOUT_FILENO), STDOUT_FILENO);
    printable_put(value, sizeof(value) - 1, stdout);
    (void)fputs(printable_name("\033"), stdout);
    (void)fputs("\n.\n", stdout);
    (void)fflush(stdout);
    assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
    ssize_t n = read(master, got, sizeof(got) - 1);

    while (n > 0 && memmem(got, (size_t)n, ".\r\n", 3) == NULL)
        n += read(master, got + n, sizeof(got) - 1 - (size_t)n);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "a\\x00b\r\n\\x1b[2Jc\t\\xff\\x1b\r\n.\r\n");
    close(slave);
    close(master);
    close(kept);
}

static void test_no_terminal(void **state)
{
    FILE *file = tmpfile();
    char got[8] = "";

    (void)state;
    assert_non_null(file);
    printable_put("a\0\033\xff", 4, file);
    rewind(file);
    assert_int_equal(fread(got, 1, sizeof(got), file), 4);
    assert_memory_equal(got, "a\0\033\xff", 4);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),         cmocka_unit_test(test_cut),
        cmocka_unit_test(test_two_of_one_line), cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
