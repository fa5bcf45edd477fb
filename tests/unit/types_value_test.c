/* SPDX-License-Identifier: MIT */
/*
 * Values by their type: what each kind looks like in both forms, that what was printed is read back
 * the same, every way of not being a value, bounds, and no memory at any moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>

#include <membrane/types.h>

#include "failalloc.h"
#include "prop.h"
#include "types_shape.h"

static struct shape shape;
static struct mbr_types *types;

static int setup(void **state)
{
    shape_fill(&shape);
    return mbr_types_new(&types) == 0 ? mbr_types_register(types, &shape.record) : -1;
}

static int teardown(void **state)
{
    mbr_types_free(types);
    return 0;
}

static void assert_prints(uint64_t code, const void *value, const char *text, const char *json)
{
    const char *wanted[] = {text, json};
    size_t length;
    char *got;

    for (int format = 0; format < 2; format++) {
        assert_int_equal(
            mbr_value_print(types, code, value, (enum mbr_value_format)format, &got, &length), 0);
        assert_string_equal(got, wanted[format]);
        assert_int_equal(length, strlen(got));
        free(got);
    }
}

/* VALUE looks so, and is read back from both forms as it was, in its SIZE bytes. */
static void assert_both(uint64_t code, const void *value, size_t size, const char *text,
                        const char *json)
{
    unsigned char back[64];

    assert_prints(code, value, text, json);
    for (int format = 0; format < 2; format++) {
        const char *from = format ? json : text;

        assert_int_equal(mbr_value_parse(types, code, from, strlen(from), back, NULL), 0);
        assert_memory_equal(back, value, size);
    }
}

#define BOTH(code, type, value, text, json) \
    assert_both(code, &(type){value}, sizeof(type), text, json)

static void predefined_values(void **state)
{
    BOTH(MBR_CODE_BOOLEAN, bool, true, "true", "true");
    BOTH(MBR_CODE_BOOLEAN, bool, false, "false", "false");
    BOTH(MBR_CODE_OCTET, uint8_t, 255, "255", "255");
    BOTH(MBR_CODE_SHORT_CARDINAL, uint16_t, 65535, "65535", "65535");
    BOTH(MBR_CODE_CARDINAL, uint32_t, UINT32_MAX, "4294967295", "4294967295");
    BOTH(MBR_CODE_LONG_CARDINAL, uint64_t, UINT64_MAX, "18446744073709551615",
         "18446744073709551615");
    BOTH(MBR_CODE_WORD, uint64_t, 7, "7", "7");
    BOTH(MBR_CODE_SHORT_INTEGER, int16_t, INT16_MIN, "-32768", "-32768");
    BOTH(MBR_CODE_INTEGER, int32_t, INT32_MIN, "-2147483648", "-2147483648");
    BOTH(MBR_CODE_LONG_INTEGER, int64_t, INT64_MIN, "-9223372036854775808", "-9223372036854775808");
    BOTH(MBR_CODE_CHAR, char, 'a', "'a'", "\"a\"");
    BOTH(MBR_CODE_CHAR, char, '\0', "'\\x00'", "\"\\u0000\"");
    BOTH(MBR_CODE_CHAR, char, '\'', "'\\''", "\"'\"");
    BOTH(MBR_CODE_CHAR, char, '\n', "'\\n'", "\"\\n\"");
    BOTH(MBR_CODE_CHAR, char, '\1', "'\\x01'", "\"\\u0001\"");
    BOTH(MBR_CODE_CHAR, unsigned char, 0xe9, "'\\xe9'", "\"\xc3\xa9\"");
    BOTH(MBR_CODE_ADDRESS, uintptr_t, 0, "nil", "null");
    BOTH(MBR_CODE_ADDRESS, uintptr_t, 0x1f0, "0x1f0", "\"0x1f0\"");
    BOTH(SHAPE, uintptr_t, 0x1f0, "0x1f0", "\"0x1f0\"");
    BOTH(SHAPE | SHAPE_REF, uintptr_t, 0, "nil", "null");
}

static void reals_come_back_exactly(void **state)
{
    static const double doubles[] = {0.1, 1.0 / 3, DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 5e-300, -1.5};
    static const float floats[] = {0.1f, 1.0f / 3, FLT_MAX, FLT_MIN, FLT_TRUE_MIN, -2.5f};

    BOTH(MBR_CODE_LONG_REAL, double, 0.5, "0.5", "0.5");
    BOTH(MBR_CODE_LONG_REAL, double, INFINITY, "Infinity", "\"Infinity\"");
    BOTH(MBR_CODE_LONG_REAL, double, -INFINITY, "-Infinity", "\"-Infinity\"");
    BOTH(MBR_CODE_REAL, float, 0.1f, "0.1", "0.1");
    for (size_t i = 0; i < COUNT(doubles); i++) {
        double back;
        char *text;

        assert_int_equal(mbr_value_print(types, MBR_CODE_LONG_REAL, &doubles[i], 0, &text, NULL),
                         0);
        assert_int_equal(
            mbr_value_parse(types, MBR_CODE_LONG_REAL, text, strlen(text), &back, NULL), 0);
        assert_memory_equal(&back, &doubles[i], sizeof(back));
        free(text);
    }
    for (size_t i = 0; i < COUNT(floats); i++) {
        float back;
        char *text;

        assert_int_equal(mbr_value_print(types, MBR_CODE_REAL, &floats[i], 1, &text, NULL), 0);
        assert_int_equal(mbr_value_parse(types, MBR_CODE_REAL, text, strlen(text), &back, NULL), 0);
        assert_memory_equal(&back, &floats[i], sizeof(back));
        free(text);
    }
}

static void text_in_strings(void **state)
{
    static const struct {
        const char *value, *text, *json;
    } cases[] = {
        {"", "\"\"", "\"\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\""},
        {"\t\n\x7f", "\"\\t\\n\\x7f\"", "\"\\t\\n\\u007f\""},
        {"\xc3\xa9", "\"\\xc3\\xa9\"", "\"\xc3\xa9\""},
        {NULL, "nil", "null"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_prints(MBR_CODE_STRING, &cases[i].value, cases[i].text, cases[i].json);
        for (int format = 0; format < 2; format++) {
            const char *from = format ? cases[i].json : cases[i].text;
            char *back;

            assert_int_equal(
                mbr_value_parse(types, MBR_CODE_STRING, from, strlen(from), &back, NULL), 0);
            if (cases[i].value)
                assert_string_equal(back, cases[i].value);
            else
                assert_null(back);
            mbr_value_clear(types, MBR_CODE_STRING, &back);
            assert_null(back);
        }
    }
}

static void strings_that_json_cannot_hold(void **state)
{
    const char *broken = "\xff";
    char *text;

    assert_int_equal(mbr_value_print(types, MBR_CODE_STRING, &broken, MBR_VALUE_JSON, &text, NULL),
                     -EILSEQ);
    assert_int_equal(mbr_value_print(types, MBR_CODE_STRING, &broken, MBR_VALUE_TEXT, &text, NULL),
                     0);
    assert_string_equal(text, "\"\\xff\"");
    free(text);
}

static void escapes_of_json(void **state)
{
    static const char *const texts[] = {"\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\/\\b\\f\\r\"",
                                        "\"\\u20AC\""};
    static const char *const values[] = {"\xc3\xa9", "\xf0\x9f\x98\x80", "/\b\f\r", "\xe2\x82\xac"};
    static const char *const wrong[] = {
        "\"\\ud83d\"", "\"\\ude00\"",        "\"\\u12\"", "\"\\q\"",
        "\"\\\"",      "\"\\u0000\"",        "\"a",       "\"\\x0\"",
        "\"\\x00\"",   "\"\\ud83d\\u0041\"", "abc",       "\"a\"\"b\""};
    char *back;

    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(
            mbr_value_parse(types, MBR_CODE_STRING, texts[i], strlen(texts[i]), &back, NULL), 0);
        assert_string_equal(back, values[i]);
        free(back);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(
            mbr_value_parse(types, MBR_CODE_STRING, wrong[i], strlen(wrong[i]), &back, NULL),
            -EBADMSG);
    assert_int_equal(mbr_value_parse(types, MBR_CODE_STRING, "\"a\0b\"", 5, &back, NULL), -EBADMSG);
}

static void composed_values(void **state)
{
    struct shape_point points[] = {{1, -2}, {3, 4}, {5, 6}};
    struct shape_path path = {.len = 2, .data = points};
    struct shape_path none = {0};
    struct shape_figure line = {.tag = 1, .u.line = path};

    assert_both(SHAPE | SHAPE_POINT, &points[0], 8, "{x: 1, y: -2}", "{\"x\": 1, \"y\": -2}");
    assert_both(SHAPE | SHAPE_PLACE, &points[0], 8, "{x: 1, y: -2}", "{\"x\": 1, \"y\": -2}");
    BOTH(SHAPE | SHAPE_COLOUR, uint32_t, 2, "blue", "\"blue\"");
    BOTH(SHAPE | SHAPE_ANONYMOUS, uint32_t, 0, "red", "\"red\"");
    BOTH(SHAPE | SHAPE_COLOURS, uint64_t, 5, "<red, blue>", "[\"red\", \"blue\"]");
    BOTH(SHAPE | SHAPE_COLOURS, uint64_t, 0, "<>", "[]");
    assert_both(SHAPE | SHAPE_CORNERS, points, 24, "[{x: 1, y: -2}, {x: 3, y: 4}, {x: 5, y: 6}]",
                "[{\"x\": 1, \"y\": -2}, {\"x\": 3, \"y\": 4}, {\"x\": 5, \"y\": 6}]");
    assert_prints(SHAPE | SHAPE_PATH, &path, "[{x: 1, y: -2}, {x: 3, y: 4}]",
                  "[{\"x\": 1, \"y\": -2}, {\"x\": 3, \"y\": 4}]");
    assert_prints(SHAPE | SHAPE_PATH, &none, "[]", "[]");
    assert_prints(SHAPE | SHAPE_FIGURE, &line, "line([{x: 1, y: -2}, {x: 3, y: 4}])",
                  "{\"line\": [{\"x\": 1, \"y\": -2}, {\"x\": 3, \"y\": 4}]}");
}

static void values_that_are_none(void **state)
{
    uint32_t colour = 3;
    uint64_t colours = 8;
    struct shape_path path = {.len = 2};
    struct shape_figure figure = {.tag = 7};
    char *text = NULL;

    assert_prints(SHAPE | SHAPE_COLOUR, &colour, "3", "3");
    assert_int_equal(mbr_value_print(types, SHAPE | SHAPE_COLOURS, &colours, 0, &text, NULL),
                     -EINVAL);
    assert_int_equal(mbr_value_print(types, SHAPE | SHAPE_PATH, &path, 0, &text, NULL), -EINVAL);
    assert_int_equal(mbr_value_print(types, SHAPE | SHAPE_FIGURE, &figure, 0, &text, NULL),
                     -EINVAL);
    assert_int_equal(mbr_value_print(types, CANVAS, &figure, 0, &text, NULL), -ENOENT);
    assert_int_equal(mbr_value_print(types, 1, &figure, (enum mbr_value_format)2, &text, NULL),
                     -EINVAL);
    assert_null(text);
}

static void texts_that_are_none(void **state)
{
    static const struct {
        uint64_t code;
        const char *text;
        int result;
        size_t where;
    } cases[] = {
        {MBR_CODE_BOOLEAN, "yes", -EBADMSG, 3},
        {MBR_CODE_BOOLEAN, "", -EBADMSG, 0},
        {MBR_CODE_OCTET, "256", -ERANGE, 3},
        {MBR_CODE_OCTET, "-1", -EBADMSG, 2},
        {MBR_CODE_OCTET, "1 2", -EBADMSG, 2},
        {MBR_CODE_SHORT_INTEGER, "32768", -ERANGE, 5},
        {MBR_CODE_SHORT_INTEGER, "-32769", -ERANGE, 6},
        {MBR_CODE_LONG_CARDINAL, "18446744073709551616", -ERANGE, 20},
        {MBR_CODE_LONG_INTEGER, "9223372036854775808", -ERANGE, 19},
        {MBR_CODE_INTEGER, "+1", -EBADMSG, 2},
        {MBR_CODE_INTEGER, "1.5", -EBADMSG, 3},
        {MBR_CODE_LONG_REAL, "1e999", -ERANGE, 5},
        {MBR_CODE_LONG_REAL, "1x", -EBADMSG, 2},
        {MBR_CODE_CHAR, "'ab'", -EBADMSG, 4},
        {MBR_CODE_CHAR, "''", -EBADMSG, 2},
        {MBR_CODE_ADDRESS, "\"0x1", -EBADMSG, 4},
        {SHAPE | SHAPE_COLOUR, "yellow", -EBADMSG, 6},
        {SHAPE | SHAPE_COLOUR, "2", -EBADMSG, 1},
        {SHAPE | SHAPE_COLOURS, "<red green>", -EBADMSG, 5},
        {SHAPE | SHAPE_COLOURS, "<red", -EBADMSG, 4},
        {SHAPE | SHAPE_COLOURS, "<red]", -EBADMSG, 4},
        {SHAPE | SHAPE_POINT, "{x: 1}", -EBADMSG, 5},
        {SHAPE | SHAPE_POINT, "{x: 1, x: 2}", -EBADMSG, 10},
        {SHAPE | SHAPE_POINT, "{x: 1, z: 2}", -EBADMSG, 10},
        {SHAPE | SHAPE_POINT, "{x: 1, y: 2, z: 3}", -EBADMSG, 11},
        {SHAPE | SHAPE_POINT, "{x 1, y: 2}", -EBADMSG, 3},
        {SHAPE | SHAPE_POINT, "x: 1, y: 2", -EBADMSG, 0},
        {SHAPE | SHAPE_PATH, "[{x: 1, y: 2}", -EBADMSG, 13},
        {SHAPE | SHAPE_PATH, "[{x: 1, y: 2},]", -EBADMSG, 14},
        {SHAPE | SHAPE_PATH, "[,]", -EBADMSG, 1},
        {SHAPE | SHAPE_CORNERS, "[{x: 1, y: 2}]", -EBADMSG, 13},
        {SHAPE | SHAPE_FIGURE, "circle(1)", -EBADMSG, 7},
        {SHAPE | SHAPE_FIGURE, "text(\"a\"", -EBADMSG, 8},
        {SHAPE | SHAPE_FIGURE, "{\"text\": \"a\")", -EBADMSG, 12},
        {CANVAS, "1", -ENOENT, 77},
    };
    unsigned char value[256];

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t where = 77;

        assert_int_equal(mbr_value_parse(types, cases[i].code, cases[i].text, strlen(cases[i].text),
                                         value, &where),
                         cases[i].result);
        if (where != cases[i].where)
            fail_msg("%s: at %zu instead of %zu", cases[i].text, where, cases[i].where);
    }
}

static void members_in_any_order(void **state)
{
    struct shape_point point;
    const char *text = " { \"y\" : 2 ,\n\tx:1 } ";

    assert_int_equal(mbr_value_parse(types, SHAPE | SHAPE_POINT, text, strlen(text), &point, NULL),
                     0);
    assert_int_equal(point.x, 1);
    assert_int_equal(point.y, 2);
}

static const char everything[] =
    "{flag: true, octet: 1, letter: 'z', sc: 2, c: 3, lc: 4, si: -5, i: -6, li: -7, r: 0.25, "
    "lr: 1e+100, string: \"s\", address: 0x8, word: 9, colours: <green>, "
    "corners: [{x: 1, y: 2}, {x: 3, y: 4}, {x: 5, y: 6}], figure: line([{x: 7, y: 8}]), "
    "colour: blue, ref: nil}";

static void everything_at_once(void **state)
{
    struct shape_all all;
    char *text, *json, *again;
    size_t length;

    assert_int_equal(
        mbr_value_parse(types, SHAPE | SHAPE_ALL, everything, strlen(everything), &all, NULL), 0);
    assert_int_equal(all.figure.u.line.data[0].y, 8);
    assert_true(all.lr == 1e100);
    assert_int_equal(mbr_value_print(types, SHAPE | SHAPE_ALL, &all, MBR_VALUE_TEXT, &text, NULL),
                     0);
    assert_string_equal(text, everything);
    assert_int_equal(
        mbr_value_print(types, SHAPE | SHAPE_ALL, &all, MBR_VALUE_JSON, &json, &length), 0);
    mbr_value_clear(types, SHAPE | SHAPE_ALL, &all);
    assert_null(all.string);
    assert_int_equal(mbr_value_parse(types, SHAPE | SHAPE_ALL, json, length, &all, NULL), 0);
    assert_int_equal(mbr_value_print(types, SHAPE | SHAPE_ALL, &all, MBR_VALUE_TEXT, &again, NULL),
                     0);
    assert_string_equal(again, everything);
    mbr_value_clear(types, SHAPE | SHAPE_ALL, &all);
    free(text);
    free(json);
    free(again);
}

static void without_memory(void **state)
{
    struct shape_all all;
    char *text;
    unsigned int n;

    for (n = 0;; n++) {
        int result;

        failalloc_arm(n);
        result =
            mbr_value_parse(types, SHAPE | SHAPE_ALL, everything, strlen(everything), &all, NULL);
        if (!failalloc_disarm())
            break;
        assert_int_equal(result, -ENOMEM);
    }
    assert_int_equal(n, 2);
    for (n = 0;; n++) {
        int result;

        failalloc_arm(n);
        result = mbr_value_print(types, SHAPE | SHAPE_ALL, &all, 0, &text, NULL);
        if (!failalloc_disarm())
            break;
        assert_int_equal(result, -ENOMEM);
    }
    assert_true(n >= 1);
    free(text);
    mbr_value_clear(types, SHAPE | SHAPE_ALL, &all);
}

/* T = SEQUENCE OF T, which the language cannot say, and a record can. */
static void no_depth_without_end(void **state)
{
    struct mbr_seq nest[MBR_VALUE_MAX_DEPTH + 2] = {{0}};
    char open[2 * MBR_VALUE_MAX_DEPTH + 10];
    struct mbr_seq value;
    struct shape deep;
    char *text;

    shape_fill(&deep);
    deep.record.name = "Deep";
    deep.record.code = CANVAS;
    deep.record.n_types = deep.record.n_named = 1;
    deep.record.n_exns = deep.record.n_ops = 0;
    deep.types[0] = (struct mbr_type_record){
        CANVAS | 1, "T", MBR_TYPE_SEQUENCE, 1, EXTENT(struct mbr_seq), CANVAS | 1, 0, 0, NULL};
    assert_int_equal(mbr_types_register(types, &deep.record), 0);
    memset(open, '[', sizeof(open));
    assert_int_equal(mbr_value_parse(types, CANVAS | 1, open, sizeof(open), &value, NULL), -ELOOP);
    memset(open + MBR_VALUE_MAX_DEPTH + 1, ']', MBR_VALUE_MAX_DEPTH + 1);
    assert_int_equal(
        mbr_value_parse(types, CANVAS | 1, open, 2 * MBR_VALUE_MAX_DEPTH + 2, &value, NULL), 0);
    assert_int_equal(mbr_value_print(types, CANVAS | 1, &value, 0, &text, NULL), 0);
    assert_memory_equal(text, open, 2 * MBR_VALUE_MAX_DEPTH + 2);
    free(text);
    mbr_value_clear(types, CANVAS | 1, &value);
    for (int i = 0; i <= MBR_VALUE_MAX_DEPTH; i++)
        nest[i] = (struct mbr_seq){.len = 1, .data = &nest[i + 1]};
    assert_int_equal(mbr_value_print(types, CANVAS | 1, &nest[0], 0, &text, NULL), -ELOOP);
    /* One that contains itself. */
    nest[0].data = &nest[0];
    assert_int_equal(mbr_value_print(types, CANVAS | 1, &nest[0], 0, &text, NULL), -ELOOP);
}

/* Elements of 1 MiB each, of which a few letters make many. */
static void no_memory_without_end(void **state)
{
    struct shape large;
    struct mbr_seq value;
    char text[1024];

    shape_fill(&large);
    large.record.name = "Large";
    large.record.code = CANVAS;
    large.record.n_types = large.record.n_named = 2;
    large.record.n_exns = large.record.n_ops = 0;
    large.point[0].type = MBR_CODE_CHAR;
    large.types[0] = (struct mbr_type_record){CANVAS | 1, "One", MBR_TYPE_RECORD, 1, 1 << 20, 1, 0,
                                              1,          0,     large.point};
    large.types[1] = (struct mbr_type_record){
        CANVAS | 2, "Many", MBR_TYPE_SEQUENCE, 1, EXTENT(struct mbr_seq), CANVAS | 1, 0, 0, NULL};
    assert_int_equal(mbr_types_register(types, &large.record), 0);
    (void)strcpy(text, "[{x: 'a'}");
    while (strlen(text) < 1000)
        (void)strcat(text, ",{x: 'a'}");
    assert_int_equal(mbr_value_parse(types, CANVAS | 2, text, strlen(text), &value, NULL), -E2BIG);
}

static void numbers_whatever_the_locale(void **state)
{
    const double value = 1.5;

    /* Where this locale is not installed the test shows nothing. */
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    assert_both(MBR_CODE_LONG_REAL, &value, sizeof(value), "1.5", "1.5");
    (void)setlocale(LC_ALL, "C");
}

/* ---- any value comes back, any text is survived ---- */

static void draw_bytes(struct prop *p, void *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)to)[i] = (unsigned char)prop_choose(p, 256);
}

static void draw_all(struct prop *p, struct shape_all *all, struct shape_point *points, char *text)
{
    memset(all, 0, sizeof(*all));
    all->flag = prop_choose(p, 2);
    draw_bytes(p, &all->octet, 1);
    all->letter = (char)(1 + prop_choose(p, 255));
    draw_bytes(p, &all->sc, sizeof(all->sc));
    draw_bytes(p, &all->c, sizeof(all->c));
    draw_bytes(p, &all->lc, sizeof(all->lc));
    draw_bytes(p, &all->si, sizeof(all->si));
    draw_bytes(p, &all->i, sizeof(all->i));
    draw_bytes(p, &all->li, sizeof(all->li));
    all->r = (float)prop_choose(p, 1000000) / 7;
    all->lr = (double)prop_choose(p, 1000000) / 7;
    draw_bytes(p, &all->address, sizeof(all->address));
    draw_bytes(p, &all->word, sizeof(all->word));
    all->colours = prop_choose(p, 8);
    draw_bytes(p, all->corners, sizeof(all->corners));
    all->colour = prop_choose(p, 3);
    for (int i = 0; i < 8; i++)
        text[i] = (char)(i == 7 ? 0 : prop_choose(p, 128));
    all->string = prop_choose(p, 5) ? text : NULL;
    all->figure.tag = prop_choose(p, 3);
    if (all->figure.tag == 0)
        draw_bytes(p, &all->figure.u.dot, sizeof(struct shape_point));
    else if (all->figure.tag == 2)
        all->figure.u.text = text;
    else
        all->figure.u.line = (struct shape_path){.len = prop_choose(p, 10), .data = points};
    draw_bytes(p, points, 10 * sizeof(*points));
}

static bool comes_back(struct prop *p)
{
    enum mbr_value_format format = (enum mbr_value_format)prop_choose(p, 2);
    struct shape_point points[10];
    struct shape_all all, back;
    char *once, *twice;
    char text[8];
    bool same;

    draw_all(p, &all, points, text);
    PROP_CHECK(p, mbr_value_print(types, SHAPE | SHAPE_ALL, &all, format, &once, NULL) == 0);
    PROP_CHECK(p, mbr_value_parse(types, SHAPE | SHAPE_ALL, once, strlen(once), &back, NULL) == 0);
    PROP_CHECK(p, mbr_value_print(types, SHAPE | SHAPE_ALL, &back, format, &twice, NULL) == 0);
    same = strcmp(once, twice) == 0;
    mbr_value_clear(types, SHAPE | SHAPE_ALL, &back);
    free(once);
    free(twice);
    PROP_CHECK(p, same);
    return true;
}

static bool survives(struct prop *p)
{
    char text[sizeof(everything)];
    struct shape_all all;
    uint32_t changes = 1 + prop_choose(p, 4);

    memcpy(text, everything, sizeof(text));
    for (uint32_t i = 0; i < changes; i++)
        text[prop_choose(p, sizeof(text) - 1)] = (char)prop_choose(p, 256);
    if (mbr_value_parse(types, SHAPE | SHAPE_ALL, text, 1 + prop_choose(p, sizeof(text) - 1), &all,
                        NULL) == 0)
        mbr_value_clear(types, SHAPE | SHAPE_ALL, &all);
    return true;
}

static void any_value_comes_back(void **state)
{
    prop_run("a value comes back", comes_back, 2000);
}

static void any_text_is_survived(void **state)
{
    prop_run("a text is survived", survives, 20000);
}

/* BOOLEAN is no enumeration, and yet a set may be made of it. */
static void sets_of_booleans(void **state)
{
    const uint64_t code = UINT64_C(0xb001ea5000000000), alias = code | 1, set = code | 2;
    const struct mbr_type_record records[] = {
        {alias, "Truth", MBR_TYPE_ALIAS, 0, 1, 1, MBR_CODE_BOOLEAN, 0, 0, NULL},
        {set, "Truths", MBR_TYPE_SET, 0, 8, 8, alias, 0, 0, NULL}};
    const struct mbr_intf_record record = {MBR_INTF_MAGIC,
                                           MBR_INTF_VERSION,
                                           0,
                                           code,
                                           "Logic",
                                           {NULL, 0},
                                           NULL,
                                           records,
                                           NULL,
                                           NULL,
                                           0,
                                           2,
                                           2,
                                           0,
                                           0,
                                           0};
    struct mbr_type_record numbers[] = {records[0], records[1]};
    struct mbr_intf_record wrong = record;
    struct mbr_types *empty;
    char *text;

    assert_int_equal(mbr_types_register(types, &record), 0);
    BOTH(set, uint64_t, 0, "<>", "[]");
    BOTH(set, uint64_t, 2, "<true>", "[\"true\"]");
    BOTH(set, uint64_t, 3, "<false, true>", "[\"false\", \"true\"]");
    assert_int_equal(mbr_value_print(types, set, &(uint64_t){4}, MBR_VALUE_TEXT, &text, NULL),
                     -EINVAL);
    assert_int_equal(mbr_value_parse(types, set, "<maybe>", 7, &(uint64_t){0}, NULL), -EBADMSG);

    numbers[0].base = MBR_CODE_OCTET; /* nor of anything else */
    wrong.types = numbers;
    assert_int_equal(mbr_types_new(&empty), 0);
    assert_int_equal(mbr_types_register(empty, &wrong), -EBADMSG);
    mbr_types_free(empty);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(predefined_values),
        TEST(reals_come_back_exactly),
        TEST(text_in_strings),
        TEST(strings_that_json_cannot_hold),
        TEST(escapes_of_json),
        TEST(composed_values),
        TEST(values_that_are_none),
        TEST(texts_that_are_none),
        TEST(members_in_any_order),
        TEST(sets_of_booleans),
        TEST(everything_at_once),
        TEST(without_memory),
        TEST(no_depth_without_end),
        TEST(no_memory_without_end),
        TEST(numbers_whatever_the_locale),
        TEST(any_value_comes_back),
        TEST(any_text_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
