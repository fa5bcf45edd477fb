/* SPDX-License-Identifier: MIT */
/* What the writers share: lines, comments and their escaping, spelling of C types and parameters.
 */
#include "middl/write.h"

#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

/* --- Formats ---------------------------------------------------------------------------------- */

static void put_number(struct mbr__strbuf *out, unsigned int number)
{
    char digits[10];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    mbr__strbuf_append(out, digits + at, sizeof digits - at);
}

static void put_hex(struct mbr__strbuf *out, unsigned long long number)
{
    char digits[16];

    for (size_t at = sizeof digits; at > 0; number >>= 4)
        digits[--at] = "0123456789abcdef"[number & 15];
    mbr__strbuf_append(out, digits, sizeof digits);
}

void mbr__mc_put(struct mbr__strbuf *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    while (*format) {
        size_t plain = strcspn(format, "%");

        if (plain)
            mbr__strbuf_append(out, format, plain);
        format += plain;
        if (!*format)
            break;
        if (format[1] == 's') {
            mbr__strbuf_puts(out, va_arg(args, const char *));
            format += 2;
        } else if (format[1] == 'u') {
            put_number(out, va_arg(args, unsigned int));
            format += 2;
        } else {
            MBR_ASSERT(strncmp(format, "%016llx", 7) == 0);
            put_hex(out, va_arg(args, unsigned long long));
            format += 7;
        }
    }
    va_end(args);
}

/* --- Lines ------------------------------------------------------------------------------------ */

size_t mbr__mc_column(const struct mbr__strbuf *out)
{
    size_t column = 0;

    while (column < out->length && out->data[out->length - 1 - column] != '\n')
        column++;
    return column;
}

void mbr__mc_newline(struct mbr__strbuf *out, size_t columns)
{
    static const char blanks[] = "                                                                ";

    mbr__strbuf_putc(out, '\n');
    while (columns > 0) {
        size_t some = columns < sizeof blanks - 1 ? columns : sizeof blanks - 1;

        mbr__strbuf_append(out, blanks, some);
        columns -= some;
    }
}

void mbr__mc_space(struct mbr__strbuf *out, size_t length, size_t indent)
{
    if (mbr__mc_column(out) + 1 + length > MC_WIDTH)
        mbr__mc_newline(out, indent);
    else
        mbr__strbuf_putc(out, ' ');
}

const char *mbr__mc_file_name(const struct mc_interface *interface)
{
    const char *slash = strrchr(interface->file->path, '/');

    return slash ? slash + 1 : interface->file->path;
}

uint32_t mbr__mc_chain(const struct mc_interface *interface,
                       const struct mc_interface *chain[MC_MAX_CHAIN + 1])
{
    uint32_t count = interface->depth + 1;

    for (uint32_t i = count; i > 0; i--) {
        chain[i - 1] = interface;
        interface = interface->super;
    }
    return count;
}

/* --- Comments --------------------------------------------------------------------------------- */

/* Bytes of the well-formed character at TEXT, 0 if it is malformed. */
static size_t character(const char *text, size_t length)
{
    unsigned char c = (unsigned char)*text;
    size_t bytes = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return bytes <= length && mbr__utf8_valid(text, bytes) ? bytes : 0;
}

/* Controls, and what turns the direction of text: neither is fit to be shown. */
static bool is_control(const char *text, size_t bytes)
{
    unsigned char c = (unsigned char)text[0];

    if (bytes == 1)
        return (c < 0x20 && c != '\t') || c == 0x7f;
    if (bytes == 2)
        return c == 0xc2 && (unsigned char)text[1] < 0xa0;
    if (bytes != 3 || c != 0xe2)
        return false;
    c = (unsigned char)text[2];
    if ((unsigned char)text[1] == 0x80)
        return c >= 0xa8 && c <= 0xae;
    return (unsigned char)text[1] == 0x81 && c >= 0xa6 && c <= 0xa9;
}

/* Neither the end nor the begin of a comment, no trigraph, no backslash that would join lines. */
static void put_in_c(struct mbr__strbuf *out, char c, char last, bool at_end)
{
    if ((c == '/' && last == '*') || (c == '*' && last == '/') || (c == '?' && last == '?'))
        mbr__strbuf_putc(out, ' ');
    mbr__strbuf_putc(out, c);
    if (c == '\\' && at_end)
        mbr__strbuf_putc(out, '.');
}

static void put_in_man(struct mbr__strbuf *out, char c, bool at_start)
{
    if (c == '\\') {
        mbr__strbuf_puts(out, "\\e");
        return;
    }
    if (c == '-')
        mbr__strbuf_putc(out, '\\');
    else if (at_start && (c == '.' || c == '\''))
        mbr__strbuf_puts(out, "\\&"); /* no request */
    mbr__strbuf_putc(out, c);
}

static void put_one(struct mbr__strbuf *out, const char *text, size_t before, size_t after,
                    enum mc_escape how)
{
    char c = *text;

    if (how == MC_ESCAPE_C) {
        char last = '\0';

        if (before)
            last = text[-1];
        put_in_c(out, c, last, after == 0);
        return;
    }
    if (how == MC_ESCAPE_MAN) {
        put_in_man(out, c, before == 0);
        return;
    }
    if (how == MC_ESCAPE_JSON && c == '\t') {
        mbr__strbuf_puts(out, "\\t");
        return;
    }
    if ((how == MC_ESCAPE_JSON && (c == '"' || c == '\\')) ||
        (how == MC_ESCAPE_MARKDOWN && strchr("\\`*_<>[]#|&~", c)))
        mbr__strbuf_putc(out, '\\');
    mbr__strbuf_putc(out, c);
}

/* What is not UTF-8 was written when text was Latin-1: its letters are not lost. */
static void put_latin1(struct mbr__strbuf *out, unsigned char c)
{
    char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};

    mbr__strbuf_append(out, utf8, sizeof utf8);
}

void mbr__mc_put_escaped(struct mbr__strbuf *out, const char *text, size_t length,
                         enum mc_escape how)
{
    for (size_t i = 0; i < length;) {
        size_t bytes = character(text + i, length - i);

        if (bytes == 0 && (unsigned char)text[i] >= 0xa0)
            put_latin1(out, (unsigned char)text[i]);
        else if (bytes == 0 || is_control(text + i, bytes))
            mbr__strbuf_append(out, "\xef\xbf\xbd", 3);
        else if (bytes == 1)
            put_one(out, text + i, i, length - i - 1, how);
        else
            mbr__strbuf_append(out, text + i, bytes);
        i += bytes ? bytes : 1;
    }
}

struct mc_comments mbr__mc_doc(const struct mc_decl *decl)
{
    struct mc_comments doc = decl->before;

    if (doc.end < decl->comments_end)
        doc.end = decl->comments_end;
    return doc;
}

bool mbr__mc_put_c_comment(struct mbr__strbuf *out, const struct mc_file *file,
                           struct mc_comments range, size_t indent)
{
    const struct mc_comment *only = NULL;
    uint32_t count = 0;

    for (uint32_t i = range.first; i < range.end; i++)
        if (!file->comments[i].taken) {
            only = &file->comments[i];
            count++;
        }
    if (count == 0)
        return false;
    mbr__strbuf_puts(out, "/*");
    if (count == 1 && indent + only->length + 6 <= MC_WIDTH) {
        mbr__strbuf_putc(out, ' ');
        mbr__mc_put_escaped(out, only->text, only->length, MC_ESCAPE_C);
    } else {
        for (uint32_t i = range.first; i < range.end; i++) {
            const struct mc_comment *line = &file->comments[i];

            if (line->taken)
                continue;
            mbr__mc_newline(out, indent);
            mbr__strbuf_puts(out, line->length ? " * " : " *");
            mbr__mc_put_escaped(out, line->text, line->length, MC_ESCAPE_C);
        }
        mbr__mc_newline(out, indent);
    }
    mbr__strbuf_puts(out, " */");
    return true;
}

/* --- C ---------------------------------------------------------------------------------------- */

const char *mbr__mc_predefined_text(uint32_t code)
{
    static const char *const texts[] = {"",          "BOOLEAN",       "SHORT CARDINAL",
                                        "CARDINAL",  "LONG CARDINAL", "SHORT INTEGER",
                                        "INTEGER",   "LONG INTEGER",  "REAL",
                                        "LONG REAL", "STRING",        "OCTET",
                                        "CHAR",      "ADDRESS",       "WORD"};

    return texts[code];
}

void mbr__mc_put_ctype(struct mbr__strbuf *out, const struct mc_type *type)
{
    static const char *const predefined[] = {
        "",      "bool",   "uint16_t",     "uint32_t", "uint64_t", "int16_t", "int32_t",  "int64_t",
        "float", "double", "const char *", "uint8_t",  "char",     "void *",  "uintptr_t"};

    switch (type->kind) {
    case MC_K_PREDEFINED:
        mbr__strbuf_puts(out, predefined[type->predefined]);
        break;
    case MC_K_NAMED:
        mbr__strbuf_puts(out, type->target->cname);
        break;
    case MC_K_IREF:
        mbr__strbuf_puts(out, "struct ");
        mbr__strbuf_append(out, type->name->text, type->name->length);
        mbr__strbuf_puts(out, "_cl *");
        break;
    case MC_K_SET:
        mbr__strbuf_puts(out, "uint64_t");
        break;
    case MC_K_REF:
        mbr__mc_put_ctype(out, type->base);
        mbr__strbuf_puts(out, out->length && out->data[out->length - 1] == '*' ? "*" : " *");
        break;
    default:
        mbr__strbuf_puts(out, type->cname);
        break;
    }
}

/* The innermost elements of arrays in place, else TYPE. */
static const struct mc_type *element(const struct mc_type *type)
{
    while (type->kind == MC_K_ARRAY && type->in_place)
        type = type->base;
    return type;
}

static void put_bounds(struct mbr__strbuf *out, const struct mc_type *type)
{
    for (; type->kind == MC_K_ARRAY && type->in_place; type = type->base)
        mbr__mc_put(out, "[%u]", type->count);
}

void mbr__mc_put_sized(struct mbr__strbuf *out, const struct mc_type *type)
{
    mbr__mc_put_ctype(out, element(type));
    put_bounds(out, type);
}

static void gap(struct mbr__strbuf *out)
{
    if (out->length && out->data[out->length - 1] != '*')
        mbr__strbuf_putc(out, ' ');
}

void mbr__mc_put_declarator(struct mbr__strbuf *out, const struct mc_type *type, const char *name)
{
    mbr__mc_put_ctype(out, element(type));
    gap(out);
    mbr__strbuf_puts(out, name);
    put_bounds(out, type);
}

void mbr__mc_put_array(struct mbr__strbuf *out, const struct mc_type *type)
{
    mbr__mc_put_ctype(out, element(type->base));
    gap(out);
    mbr__mc_put(out, "%s[%u]", type->cname, type->count);
    put_bounds(out, type->base);
}

bool mbr__mc_points_to_const(const struct mc_type *type)
{
    const struct mc_type *real = mbr__mc_real(type), *of = element(type);

    if (!(type->flags & MBR_TYPE_LARGE))
        return false;
    /* Written in place, "const" would be said of what the elements point to. */
    if (type->in_place && (of->kind == MC_K_IREF || of->kind == MC_K_REF ||
                           (of->kind == MC_K_PREDEFINED && (of->predefined == MBR_CODE_STRING ||
                                                            of->predefined == MBR_CODE_ADDRESS))))
        return false;
    return !(real->kind == MC_K_ARRAY && mbr__mc_real(real->base)->kind == MC_K_ARRAY);
}

void mbr__mc_put_return(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    if (!decl->results) {
        mbr__strbuf_puts(out, "void");
        return;
    }
    mbr__mc_put_ctype(out, decl->results->type);
    if (decl->results->type->flags & MBR_TYPE_LARGE)
        mbr__strbuf_puts(out, " *");
}

static void put_param(struct mbr__strbuf *out, const struct mc_member *param)
{
    const struct mc_type *type = param->type;
    bool large = type->flags & MBR_TYPE_LARGE;
    bool array = mbr__mc_real(type)->kind == MC_K_ARRAY;

    if (param->mode == MBR_PARAM_IN && mbr__mc_points_to_const(type))
        mbr__strbuf_puts(out, "const ");
    mbr__mc_put_ctype(out, type);
    gap(out);
    if (param->mode == MBR_PARAM_RESULT)
        mbr__strbuf_puts(out, large ? "**" : "*");
    else if (array) /* C passes a pointer to its first element by itself */
        ;
    else if (large || param->mode != MBR_PARAM_IN)
        mbr__strbuf_puts(out, "*");
    mbr__strbuf_puts(out, param->cname);
}

/* The members of ARGS, then of RESULTS but the first, each behind a comma. */
static void put_list(struct mbr__strbuf *out, const struct mc_decl *decl, size_t indent,
                     void (*put)(struct mbr__strbuf *out, const struct mc_member *param))
{
    const struct mc_member *param = decl->args;
    bool in_results = false;

    for (;; param = param->next) {
        size_t start, length;

        if (!param && !in_results && decl->results) {
            in_results = true;
            param = decl->results->next;
        }
        if (!param)
            return;
        mbr__strbuf_putc(out, ',');
        mbr__strbuf_putc(out, ' ');
        start = out->length;
        put(out, param);
        length = out->length - start;
        if (mbr__mc_column(out) + 1 > MC_WIDTH && length < 600) {
            char item[600];

            memcpy(item, out->data + start, length);
            out->length = start - 1; /* take the blank back, too */
            mbr__mc_newline(out, indent);
            mbr__strbuf_append(out, item, length);
        }
    }
}

static void put_name(struct mbr__strbuf *out, const struct mc_member *param)
{
    mbr__strbuf_puts(out, param->cname);
}

void mbr__mc_put_params(struct mbr__strbuf *out, const struct mc_decl *decl, size_t indent)
{
    put_list(out, decl, indent, put_param);
}

void mbr__mc_put_names(struct mbr__strbuf *out, const struct mc_decl *decl, size_t indent)
{
    put_list(out, decl, indent, put_name);
}
