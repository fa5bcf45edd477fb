/* SPDX-License-Identifier: MIT */
/* The compiler as a library, against the contract in membrane/middlc.h; every allocation of a run
 * fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/middlc.h>

#include "../unit/failalloc.h"

#include <cmocka.h>

static const char good[] = "-- Says hello.\n"
                           "Hello : INTERFACE =\n"
                           "  NEEDS Word;\n"
                           "BEGIN\n"
                           "  Mood : TYPE = { Glad, Sad };\n"
                           "  Both : TYPE = RECORD [ w : Word.T, m : Mood ];\n"
                           "  Lost : EXCEPTION [ at : CARDINAL ];\n"
                           "  -- Says it.\n"
                           "  Say : PROC [ b : Both ] RETURNS [ n : SEQUENCE OF Word.T ]\n"
                           "    RAISES Lost;\n"
                           "END.\n";
static const char word[] = "Word : INTERFACE =\nBEGIN\n  T : TYPE = STRING;\nEND.\n";
static const char bad[] = "Bad : INTERFACE =\nBEGIN\n  T : TYPE = Tt;\n  U : TYPE = ;\nEND.\n";

static struct mbr_middlc *new_compiler(void)
{
    struct mbr_middlc *compiler = NULL;

    assert_int_equal(mbr_middlc_new(&compiler), 0);
    assert_int_equal(mbr_middlc_set(compiler, "--no-search"), 0);
    return compiler;
}

static int add(struct mbr_middlc *compiler, const char *path, const char *text)
{
    return mbr_middlc_add_text(compiler, path, text, strlen(text));
}

static void test_a_run(void **state)
{
    struct mbr_middlc *compiler = new_compiler();
    const char *path = NULL;
    char *text = NULL;
    size_t length = 0;

    assert_int_equal(add(compiler, "Hello.if", good), 0);
    assert_int_equal(add(compiler, "Word.if", word), 0);
    assert_int_equal(add(compiler, "Word.if", word), -EEXIST);
    assert_int_equal(mbr_middlc_write(compiler, "Hello", MBR_MIDDLC_HEADER, &text, &length),
                     -EINVAL);
    assert_int_equal(mbr_middlc_write_graph(compiler, &text, &length), -EINVAL);
    assert_int_equal(mbr_middlc_check(compiler), 0);
    assert_int_equal(mbr_middlc_check(compiler), 0);
    assert_null(mbr_middlc_next_message(compiler, NULL));
    assert_int_equal(mbr_middlc_added(compiler), 2);
    assert_string_equal(mbr_middlc_interface(compiler, 0, &path), "Hello");
    assert_string_equal(path, "Hello.if");
    assert_string_equal(mbr_middlc_interface(compiler, 1, NULL), "Word");
    assert_null(mbr_middlc_interface(compiler, 2, NULL));
    assert_int_equal(add(compiler, "More.if", word), -EINVAL);
    for (int what = MBR_MIDDLC_HEADER; what <= MBR_MIDDLC_DOLLAR; what++) {
        assert_int_equal(
            mbr_middlc_write(compiler, "Hello", (enum mbr_middlc_output)what, &text, &length), 0);
        assert_int_equal(strlen(text), length);
        assert_true(length > 0);
        free(text);
    }
    assert_int_equal(mbr_middlc_write(compiler, "Hallo", MBR_MIDDLC_JSON, &text, NULL), -ENOENT);
    assert_int_equal(mbr_middlc_write(compiler, "Hello", (enum mbr_middlc_output)99, &text, NULL),
                     -EINVAL);
    assert_int_equal(mbr_middlc_write_graph(compiler, &text, NULL), 0);
    assert_non_null(strstr(text, "\"Hello\" -> \"Word\""));
    free(text);
    mbr_middlc_free(compiler);
}

static void test_mistakes(void **state)
{
    const struct mbr_middlc_message *message;
    struct mbr_middlc *compiler = new_compiler();
    char *text = NULL;

    assert_int_equal(add(compiler, "Bad.if", bad), 0);
    assert_int_equal(add(compiler, "Hello.if", good), 0);
    assert_int_equal(mbr_middlc_check(compiler), -EBADMSG);
    message = mbr_middlc_next_message(compiler, NULL);
    assert_non_null(message);
    assert_int_equal(message->severity, MBR_MIDDLC_ERROR);
    assert_string_equal(message->path, "Bad.if");
    assert_int_equal(message->line, 3);
    assert_int_equal(message->column, 14);
    message = mbr_middlc_next_message(compiler, message);
    assert_int_equal(message->line, 4);
    message = mbr_middlc_next_message(compiler, message);
    assert_string_equal(message->path, "Hello.if"); /* Word is not there */
    assert_int_equal(message->line, 3);
    message = mbr_middlc_next_message(compiler, message);
    assert_null(message);
    assert_int_equal(mbr_middlc_write(compiler, "Bad", MBR_MIDDLC_HEADER, &text, NULL), -EBADMSG);
    assert_int_equal(mbr_middlc_write(compiler, "Bad", MBR_MIDDLC_TEXT, &text, NULL), -EBADMSG);
    /* What could be parsed is formatted, whatever it needs. */
    assert_int_equal(mbr_middlc_write(compiler, "Hello", MBR_MIDDLC_TEXT, &text, NULL), 0);
    free(text);
    mbr_middlc_free(compiler);
}

static void test_options(void **state)
{
    static const char *const fine[] = {"-Iidl",       "-Wall",  "-Wno-choice",   "-Werror",
                                       "-Werror=doc", "-Wfile", "--max-errors=1"};
    static const char *const wrong[] = {"-I",
                                        "-Wnothing",
                                        "-Wno-",
                                        "-Werror=",
                                        "--max-errors=",
                                        "--max-errors=1000001",
                                        "--max-errors=1x",
                                        "--max-errors=-1",
                                        "",
                                        "-x",
                                        "idl"};
    const struct mbr_middlc_message *message = NULL;
    struct mbr_middlc *compiler = new_compiler();
    int count = 0;

    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_int_equal(mbr_middlc_set(compiler, fine[i]), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mbr_middlc_set(compiler, wrong[i]), -EINVAL);
    /* Of two errors one is shown, and that there are more. */
    assert_int_equal(add(compiler, "Bad.if", bad), 0);
    assert_int_equal(mbr_middlc_check(compiler), -EBADMSG);
    while ((message = mbr_middlc_next_message(compiler, message)))
        if (message->severity == MBR_MIDDLC_ERROR)
            count++;
    assert_int_equal(count, 2);
    mbr_middlc_free(compiler);
    mbr_middlc_free(NULL);
}

/* The messages of a file with 300 errors. */
static size_t messages_with(const char *option)
{
    const struct mbr_middlc_message *message = NULL;
    struct mbr_middlc *compiler = new_compiler();
    char text[8192] = "Many : LOCAL INTERFACE =\nBEGIN\n";
    size_t length = strlen(text);
    size_t count = 0;

    for (unsigned i = 0; i < 300; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "t%u : TYPE = x%u;\n", i, i);
    length += (size_t)snprintf(text + length, sizeof text - length, "END.\n");
    if (option)
        assert_int_equal(mbr_middlc_set(compiler, option), 0);
    assert_int_equal(mbr_middlc_add_text(compiler, "Many.if", text, length), 0);
    assert_int_equal(mbr_middlc_check(compiler), -EBADMSG);
    while ((message = mbr_middlc_next_message(compiler, message)))
        count += message->severity == MBR_MIDDLC_ERROR;
    mbr_middlc_free(compiler);
    return count;
}

static void test_max_errors(void **state)
{
    (void)state;
    assert_int_equal(messages_with(NULL), 201); /* and that there are more */
    assert_int_equal(messages_with("--max-errors=7"), 8);
    assert_int_equal(messages_with("--max-errors=0"), 300);
}

static void test_files(void **state)
{
    struct mbr_middlc *compiler = new_compiler();

    assert_int_equal(mbr_middlc_add_file(compiler, "/nonexistent/No.if"), -ENOENT);
    assert_int_equal(mbr_middlc_add_file(compiler, "/dev/zero"), -EINVAL);
    assert_int_equal(mbr_middlc_add_file(compiler, "/"), -EISDIR);
    assert_int_equal(mbr_middlc_check(compiler), -EBADMSG);
    mbr_middlc_free(compiler);
}

/* A run; 0, or -ENOMEM where that is allowed to happen. */
static int whole_run(void)
{
    struct mbr_middlc *compiler = NULL;
    const char *name;
    int error = mbr_middlc_new(&compiler);

    if (!error)
        error = mbr_middlc_set(compiler, "--no-search");
    if (!error)
        error = mbr_middlc_set(compiler, "-Iidl");
    if (!error)
        error = add(compiler, "Hello.if", good);
    if (!error)
        error = add(compiler, "Word.if", word);
    if (!error)
        error = mbr_middlc_check(compiler);
    for (size_t i = 0; !error && (name = mbr_middlc_interface(compiler, i, NULL)); i++)
        for (int what = MBR_MIDDLC_HEADER; !error && what <= MBR_MIDDLC_DOLLAR; what++) {
            char *text = NULL;

            error = mbr_middlc_write(compiler, name, (enum mbr_middlc_output)what, &text, NULL);
            free(text);
        }
    if (!error) {
        char *text = NULL;

        error = mbr_middlc_write_graph(compiler, &text, NULL);
        free(text);
    }
    mbr_middlc_free(compiler);
    return error;
}

static void test_every_allocation_fails(void **state)
{
    unsigned int count = 0;

    for (;; count++) {
        int error;

        failalloc_arm(count);
        error = whole_run();
        if (!failalloc_disarm()) {
            assert_int_equal(error, 0);
            break;
        }
        assert_int_equal(error, -ENOMEM);
    }
    assert_true(count > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run),   cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_options), cmocka_unit_test(test_max_errors),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_every_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
