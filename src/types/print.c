/* SPDX-License-Identifier: MIT */
/*
 * Values as text, by their type. The types are sound (judge.c), so offsets need no more looking at;
 * what can still go wrong is depth, size, and what a value itself claims.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "types/value.h"

struct printer {
    struct mbr_types *types;
    struct mbr__strbuf out;
    bool json;
    int error;
};

static void print(struct printer *p, uint64_t code, const unsigned char *at, int depth);

static void fail(struct printer *p, int error)
{
    if (p->error == 0)
        p->error = error;
}

static bool going(const struct printer *p)
{
    return p->error == 0 && mbr__strbuf_error(&p->out) == 0;
}

/* ---- what has no parts ---- */

static void print_quoted(struct printer *p, const char *text, size_t length, char quote)
{
    if (p->json && !mbr__utf8_valid(text, length)) {
        fail(p, -EILSEQ);
        return;
    }
    mbr__strbuf_putc(&p->out, quote);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == (unsigned char)quote || c == '\\')
            mbr__strbuf_printf(&p->out, "\\%c", c);
        else if (c == '\n')
            mbr__strbuf_puts(&p->out, "\\n");
        else if (c == '\t')
            mbr__strbuf_puts(&p->out, "\\t");
        else if (c < 0x20 || c == 0x7f || (!p->json && c >= 0x80))
            mbr__strbuf_printf(&p->out, p->json ? "\\u%04x" : "\\x%02x", c);
        else
            mbr__strbuf_putc(&p->out, (char)c);
    }
    mbr__strbuf_putc(&p->out, quote);
}

static void print_string(struct printer *p, const unsigned char *at)
{
    const char *text;

    memcpy(&text, at, sizeof(text));
    if (text)
        print_quoted(p, text, strnlen(text, MBR_VALUE_MAX_BYTES + 1), '"');
    else
        mbr__strbuf_puts(&p->out, p->json ? "null" : "nil");
}

/* In JSON a byte above 127 is the Latin character of that number. */
static void print_char(struct printer *p, unsigned char c)
{
    const char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
    const char plain = (char)c;

    if (p->json && c >= 0x80)
        print_quoted(p, utf8, 2, '"');
    else
        print_quoted(p, &plain, 1, p->json ? '"' : '\'');
}

/* As few digits as bring the same number back. */
static void print_real(struct printer *p, double value, int digits)
{
    if (!isfinite(value)) {
        const char *name = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";

        mbr__strbuf_printf(&p->out, p->json ? "\"%s\"" : "%s", name);
        return;
    }
    for (int precision = digits - 3; precision <= digits; precision++) {
        char text[40];

        (void)snprintf(text, sizeof(text), "%.*g", precision, value);
        if (precision < digits &&
            (digits < 10 ? (double)strtof(text, NULL) : strtod(text, NULL)) != value)
            continue;
        mbr__strbuf_puts(&p->out, text);
        return;
    }
}

static void print_address(struct printer *p, const unsigned char *at)
{
    uintptr_t address;

    memcpy(&address, at, sizeof(address));
    if (address == 0)
        mbr__strbuf_puts(&p->out, p->json ? "null" : "nil");
    else
        mbr__strbuf_printf(&p->out, p->json ? "\"0x%" PRIxPTR "\"" : "0x%" PRIxPTR, address);
}

#define LOAD(type, at)                            \
    __extension__({                               \
        type mbr__loaded;                         \
        memcpy(&mbr__loaded, (at), sizeof(type)); \
        mbr__loaded;                              \
    })

static void print_predefined(struct printer *p, uint64_t code, const unsigned char *at)
{
    switch (code) {
    case MBR_CODE_BOOLEAN:
        mbr__strbuf_puts(&p->out, *at ? "true" : "false");
        break;
    case MBR_CODE_SHORT_CARDINAL:
        mbr__strbuf_printf(&p->out, "%" PRIu16, LOAD(uint16_t, at));
        break;
    case MBR_CODE_CARDINAL:
        mbr__strbuf_printf(&p->out, "%" PRIu32, LOAD(uint32_t, at));
        break;
    case MBR_CODE_LONG_CARDINAL:
    case MBR_CODE_WORD:
        mbr__strbuf_printf(&p->out, "%" PRIu64, LOAD(uint64_t, at));
        break;
    case MBR_CODE_SHORT_INTEGER:
        mbr__strbuf_printf(&p->out, "%" PRId16, LOAD(int16_t, at));
        break;
    case MBR_CODE_INTEGER:
        mbr__strbuf_printf(&p->out, "%" PRId32, LOAD(int32_t, at));
        break;
    case MBR_CODE_LONG_INTEGER:
        mbr__strbuf_printf(&p->out, "%" PRId64, LOAD(int64_t, at));
        break;
    case MBR_CODE_REAL:
        print_real(p, (double)LOAD(float, at), 9);
        break;
    case MBR_CODE_LONG_REAL:
        print_real(p, LOAD(double, at), 17);
        break;
    case MBR_CODE_STRING:
        print_string(p, at);
        break;
    case MBR_CODE_OCTET:
        mbr__strbuf_printf(&p->out, "%u", *at);
        break;
    case MBR_CODE_CHAR:
        print_char(p, *at);
        break;
    default:
        print_address(p, at);
        break;
    }
}

static void print_name(struct printer *p, const char *name)
{
    mbr__strbuf_printf(&p->out, p->json ? "\"%s\"" : "%s", name);
}

/* A value that is no member is a number, which the parser refuses. */
static void print_enum(struct printer *p, const struct mbr_type_record *r, uint32_t value)
{
    if (value < r->count)
        print_name(p, r->members[value].name);
    else
        mbr__strbuf_printf(&p->out, "%" PRIu32, value);
}

static void print_set(struct printer *p, const struct mbr_type_record *r, uint64_t set)
{
    const struct mbr__type *base = mbr__types_base(p->types, r->base);
    const char *before = "";

    if (!base || (base->record->count < 64 && set >> base->record->count)) {
        fail(p, base ? -EINVAL : -ENOENT);
        return;
    }
    mbr__strbuf_putc(&p->out, p->json ? '[' : '<');
    for (uint32_t i = 0; i < base->record->count; i++) {
        if (!(set >> i & 1))
            continue;
        mbr__strbuf_puts(&p->out, before);
        print_name(p, base->record->members[i].name);
        before = ", ";
    }
    mbr__strbuf_putc(&p->out, p->json ? ']' : '>');
}

/* ---- what has parts ---- */

static void print_record(struct printer *p, const struct mbr_type_record *r,
                         const unsigned char *at, int depth)
{
    mbr__strbuf_putc(&p->out, '{');
    for (uint32_t i = 0; i < r->count && going(p); i++) {
        if (i > 0)
            mbr__strbuf_puts(&p->out, ", ");
        print_name(p, r->members[i].name);
        mbr__strbuf_puts(&p->out, ": ");
        print(p, r->members[i].type, at + r->members[i].offset, depth + 1);
    }
    mbr__strbuf_putc(&p->out, '}');
}

static void print_choice(struct printer *p, const struct mbr_type_record *r,
                         const unsigned char *at, int depth)
{
    uint32_t tag = LOAD(uint32_t, at);

    for (uint32_t i = 0; i < r->count; i++) {
        if (r->members[i].value != tag)
            continue;
        mbr__strbuf_puts(&p->out, p->json ? "{" : "");
        print_name(p, r->members[i].name);
        mbr__strbuf_puts(&p->out, p->json ? ": " : "(");
        print(p, r->members[i].type, at + r->members[i].offset, depth + 1);
        mbr__strbuf_puts(&p->out, p->json ? "}" : ")");
        return;
    }
    fail(p, -EINVAL);
}

static void print_elements(struct printer *p, uint64_t code, const unsigned char *data,
                           uint32_t count, int depth)
{
    const struct mbr__type *element = mbr__types_find(p->types, code);

    if (!element) {
        fail(p, -ENOENT);
        return;
    }
    mbr__strbuf_putc(&p->out, '[');
    for (uint32_t i = 0; i < count && going(p); i++) {
        if (i > 0)
            mbr__strbuf_puts(&p->out, ", ");
        print(p, code, data + (size_t)i * element->record->size, depth + 1);
    }
    mbr__strbuf_putc(&p->out, ']');
}

static void print_sequence(struct printer *p, const struct mbr_type_record *r,
                           const unsigned char *at, int depth)
{
    struct mbr_seq seq = LOAD(struct mbr_seq, at);

    if (seq.len > 0 && !seq.data)
        fail(p, -EINVAL);
    else
        print_elements(p, r->base, seq.data, seq.len, depth);
}

static void print(struct printer *p, uint64_t code, const unsigned char *at, int depth)
{
    const struct mbr__type *type = mbr__types_base(p->types, code);
    const struct mbr_type_record *r;

    if (!type || depth > MBR_VALUE_MAX_DEPTH) {
        fail(p, type ? -ELOOP : -ENOENT);
        return;
    }
    r = type->record;
    switch (r->kind) {
    case MBR_TYPE_PREDEFINED:
        print_predefined(p, type->code, at);
        break;
    case MBR_TYPE_ENUM:
        print_enum(p, r, LOAD(uint32_t, at));
        break;
    case MBR_TYPE_SET:
        print_set(p, r, LOAD(uint64_t, at));
        break;
    case MBR_TYPE_RECORD:
        print_record(p, r, at, depth);
        break;
    case MBR_TYPE_CHOICE:
        print_choice(p, r, at, depth);
        break;
    case MBR_TYPE_ARRAY:
        print_elements(p, r->base, at, r->count, depth);
        break;
    case MBR_TYPE_SEQUENCE:
        print_sequence(p, r, at, depth);
        break;
    default:
        print_address(p, at); /* REF and IREF */
        break;
    }
}

int mbr_value_print(struct mbr_types *types, uint64_t code, const void *value,
                    enum mbr_value_format format, char **text, size_t *length)
{
    struct printer p = {.types = types, .json = format == MBR_VALUE_JSON};
    locale_t locale;
    int result;

    if (format != MBR_VALUE_TEXT && format != MBR_VALUE_JSON)
        return -EINVAL;
    mbr__strbuf_init(&p.out, MBR_VALUE_MAX_BYTES);
    locale = mbr__locale_c();
    print(&p, code, value, 0);
    (void)uselocale(locale);
    result = p.error ? p.error : mbr__strbuf_take(&p.out, text, length);
    mbr__strbuf_fini(&p.out);
    return result;
}
