/* SPDX-License-Identifier: MIT */
/* The string builder: limits to the byte, sticky errors, both kinds of memory, handing over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "failalloc.h"
#include "prop.h"

#define LIMIT_MAX 700

/* The same calls on a builder and on an array; both kinds of memory by turns. */
static bool append_steps(struct prop *p, struct mbr__strbuf *buf, size_t limit)
{
    char model[LIMIT_MAX + 1] = "";
    size_t length = 0;
    char piece[64];

    while (prop_more(p)) {
        size_t count = prop_choose(p, sizeof(piece));
        uint32_t how = prop_choose(p, 3);
        bool fits;

        memset(piece, 'a' + (int)prop_choose(p, 26), count);
        piece[count] = '\0';
        if (how == 0)
            mbr__strbuf_append(buf, piece, count);
        else if (how == 1)
            mbr__strbuf_puts(buf, piece);
        else
            mbr__strbuf_printf(buf, "%s", piece);
        fits = count <= limit - length;
        PROP_CHECK(p, mbr__strbuf_error(buf) == (fits ? 0 : -E2BIG));
        if (fits) {
            memcpy(model + length, piece, count + 1);
            length += count;
        }
        PROP_CHECK(p, buf->length == length && strcmp(mbr__strbuf_text(buf), model) == 0);
        if (!fits) {
            /* Sticky: even what would fit is not taken. */
            mbr__strbuf_append(buf, "", 0);
            mbr__strbuf_printf(buf, "%d", 1);
            PROP_CHECK(p, mbr__strbuf_error(buf) == -E2BIG && buf->length == length);
            mbr__strbuf_reset(buf);
            length = 0;
            model[0] = '\0';
        }
    }
    return true;
}

static bool strbuf_like_model(struct prop *p)
{
    size_t limit = prop_choose(p, LIMIT_MAX);
    struct mbr__strbuf buf;
    char array[LIMIT_MAX + 1];
    bool ok;

    if (prop_choose(p, 2))
        mbr__strbuf_init(&buf, limit);
    else
        mbr__strbuf_init_fixed(&buf, array, limit + 1);
    ok = append_steps(p, &buf, limit);
    mbr__strbuf_fini(&buf);
    return ok;
}

static void behaves_like_its_model(void **state)
{
    prop_run("strbuf_like_model", strbuf_like_model, 1000);
}

static void respects_its_array(void **state)
{
    char array[8] = "1234567";
    struct mbr__strbuf buf;

    /* The four bytes behind must stay as they are. */
    mbr__strbuf_init_fixed(&buf, array, 4);
    assert_string_equal(mbr__strbuf_text(&buf), "");
    mbr__strbuf_puts(&buf, "abc");
    assert_int_equal(mbr__strbuf_error(&buf), 0);
    mbr__strbuf_putc(&buf, 'd');
    assert_int_equal(mbr__strbuf_error(&buf), -E2BIG);
    assert_string_equal(mbr__strbuf_text(&buf), "abc");
    assert_memory_equal(array + 4, "567", 4);
    mbr__strbuf_fini(&buf);
    assert_string_equal(array, "");

    mbr__strbuf_init_fixed(&buf, array, 1);
    mbr__strbuf_puts(&buf, "");
    assert_int_equal(mbr__strbuf_error(&buf), 0);
    mbr__strbuf_printf(&buf, "%d", 7);
    assert_int_equal(mbr__strbuf_error(&buf), -E2BIG);
    assert_string_equal(mbr__strbuf_text(&buf), "");
}

static void hands_the_text_over(void **state)
{
    struct mbr__strbuf buf;
    char *text = NULL;
    size_t length = 99;

    mbr__strbuf_init(&buf, SIZE_MAX);
    assert_int_equal(mbr__strbuf_take(&buf, &text, &length), 0);
    assert_string_equal(text, "");
    assert_int_equal(length, 0);
    free(text);
    mbr__strbuf_append(&buf, "a\0b", 3);
    assert_int_equal(mbr__strbuf_take(&buf, &text, &length), 0);
    assert_memory_equal(text, "a\0b", 4);
    assert_int_equal(length, 3);
    free(text);
    mbr__strbuf_puts(&buf, "again");
    assert_int_equal(mbr__strbuf_take(&buf, &text, NULL), 0);
    assert_string_equal(text, "again");
    free(text);
    mbr__strbuf_fini(&buf);
}

static void keeps_the_text_on_error(void **state)
{
    struct mbr__strbuf buf;
    char *text = NULL;
    size_t length = 99;

    mbr__strbuf_init(&buf, 3);
    mbr__strbuf_puts(&buf, "ab");
    mbr__strbuf_puts(&buf, "cd");
    assert_int_equal(mbr__strbuf_take(&buf, &text, &length), -E2BIG);
    assert_null(text);
    assert_int_equal(length, 99);
    assert_string_equal(mbr__strbuf_text(&buf), "ab");
    mbr__strbuf_fini(&buf);
}

static void survives_without_memory(void **state)
{
    for (unsigned int n = 0;; n++) {
        struct mbr__strbuf buf;
        char *text = NULL;
        int error;

        mbr__strbuf_init(&buf, 10000);
        failalloc_arm(n);
        for (int i = 0; i < 100; i++)
            mbr__strbuf_puts(&buf, "0123456789");
        error = mbr__strbuf_take(&buf, &text, NULL);
        if (!failalloc_disarm()) {
            assert_int_equal(error, 0);
            assert_int_equal(strlen(text), 1000);
            free(text);
            mbr__strbuf_fini(&buf);
            assert_true(n >= 4);
            return;
        }
        assert_int_equal(error, -ENOMEM);
        assert_null(text);
        mbr__strbuf_fini(&buf);
    }
}

static void empty_text_needs_memory_too(void **state)
{
    struct mbr__strbuf buf;
    char *text = NULL;

    mbr__strbuf_init(&buf, 10);
    failalloc_arm(0);
    assert_int_equal(mbr__strbuf_take(&buf, &text, NULL), -ENOMEM);
    assert_true(failalloc_disarm());
    assert_null(text);
    mbr__strbuf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_its_model),  cmocka_unit_test(respects_its_array),
        cmocka_unit_test(hands_the_text_over),     cmocka_unit_test(keeps_the_text_on_error),
        cmocka_unit_test(survives_without_memory), cmocka_unit_test(empty_text_needs_memory_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
