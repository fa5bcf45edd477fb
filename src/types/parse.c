/* SPDX-License-Identifier: MIT */
/*
 * Reading values by their type, in either form that print.c writes. The object is zeroed first and
 * at each moment what it holds can be cleared, so after an error one clearing frees everything.
 * What is allocated is bounded as a whole.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "types/value.h"

/* The longest number, name or keyword. */
#define WORD_MAX 300

struct parser {
    struct mbr_types *types;
    const char *at;
    const char *end;
    size_t left; /* bytes that may still be allocated */
};

static int parse(struct parser *p, uint64_t code, unsigned char *to, int depth);

/* ---- words ---- */

static void skip_blanks(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

/* True, and past it, if C comes next. */
static bool take(struct parser *p, char c)
{
    skip_blanks(p);
    if (p->at >= p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

static int expect(struct parser *p, char c)
{
    return take(p, c) ? 0 : -EBADMSG;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '.';
}

/* A name, number or keyword; -EBADMSG if there is none, or one that is none of ours by length. */
static int take_word(struct parser *p, char word[WORD_MAX])
{
    size_t length = 0;

    skip_blanks(p);
    while (p->at + length < p->end && is_word(p->at[length])) {
        if (length == WORD_MAX - 1)
            return -EBADMSG;
        word[length] = p->at[length];
        length++;
    }
    word[length] = '\0';
    p->at += length;
    return length > 0 ? 0 : -EBADMSG;
}

/* A name as it stands, or between quotes. */
static int take_name(struct parser *p, char word[WORD_MAX])
{
    bool quoted = take(p, '"');
    int result = take_word(p, word);

    if (result == 0 && quoted && (p->at >= p->end || *p->at++ != '"'))
        return -EBADMSG;
    return result;
}

/* True, and past it, if the keyword TEXT or JSON comes next. */
static bool take_nothing(struct parser *p)
{
    const char *before;
    char word[WORD_MAX];

    skip_blanks(p);
    before = p->at;
    if (take_word(p, word) == 0 && (strcmp(word, "nil") == 0 || strcmp(word, "null") == 0))
        return true;
    p->at = before;
    return false;
}

/* ---- quoted text ---- */

static int hex_digits(struct parser *p, int count, uint32_t *value)
{
    static const char digits[] = "0123456789abcdefABCDEF";

    *value = 0;
    for (; count > 0; count--, p->at++) {
        const char *found = p->at < p->end && *p->at ? strchr(digits, *p->at) : NULL;

        if (!found)
            return -EBADMSG;
        /* The upper-case ones stand six further on. */
        *value = *value << 4 | (uint32_t)(found - digits - (found - digits >= 16 ? 6 : 0));
    }
    return 0;
}

static size_t put_utf8(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* \uXXXX, of which two make one character above U+FFFF. */
static int unicode(struct parser *p, char *to, size_t *length)
{
    uint32_t c, low;

    if (hex_digits(p, 4, &c) < 0 || (c >= 0xdc00 && c < 0xe000))
        return -EBADMSG;
    if (c >= 0xd800 && c < 0xdc00) {
        if (p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
            return -EBADMSG;
        p->at += 2;
        if (hex_digits(p, 4, &low) < 0 || low < 0xdc00 || low >= 0xe000)
            return -EBADMSG;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *length = put_utf8(c, to);
    return 0;
}

/* What stands behind a backslash: up to 4 bytes. */
static int escape(struct parser *p, char *to, size_t *length)
{
    static const char from[] = "nrtbf\"'\\/", bytes[] = "\n\r\t\b\f\"'\\/";
    const char *found;
    uint32_t byte;
    char c;

    *length = 1;
    if (p->at >= p->end)
        return -EBADMSG;
    c = *p->at++;
    if (c == 'u')
        return unicode(p, to, length);
    if (c == 'x') {
        if (hex_digits(p, 2, &byte) < 0)
            return -EBADMSG;
        *to = (char)byte;
        return 0;
    }
    found = c ? strchr(from, c) : NULL;
    if (!found)
        return -EBADMSG;
    *to = bytes[found - from];
    return 0;
}

/* The text up to QUOTE, of at most SIZE bytes, to TO. A NUL can be written with a backslash only,
 * and not at all in a C string, which ENDS at one. */
static int quoted(struct parser *p, char quote, bool ends, char *to, size_t size, size_t *length)
{
    *length = 0;
    while (p->at < p->end && *p->at != quote) {
        size_t add = 1;
        char bytes[4];

        bytes[0] = *p->at++;
        if (bytes[0] == '\0')
            return -EBADMSG;
        if (bytes[0] == '\\' && (escape(p, bytes, &add) < 0 || (ends && bytes[0] == '\0')))
            return -EBADMSG;
        if (add > size - *length)
            return -EBADMSG;
        memcpy(to + *length, bytes, add);
        *length += add;
    }
    return p->at++ < p->end ? 0 : -EBADMSG;
}

/* Where the text up to QUOTE ends: an upper limit of its length. */
static size_t quoted_length(const struct parser *p, char quote)
{
    const char *at = p->at;

    while (at < p->end && *at != quote)
        at += *at == '\\' && at + 1 < p->end ? 2 : 1;
    return (size_t)(at - p->at);
}

static void *allocate(struct parser *p, size_t size, int *error)
{
    void *block = size <= p->left ? calloc(1, size) : NULL;

    *error = block ? 0 : size <= p->left ? -ENOMEM : -E2BIG;
    if (block)
        p->left -= size;
    return block;
}

static int parse_string(struct parser *p, unsigned char *to)
{
    size_t most, length;
    char *text;
    int result;

    if (take_nothing(p))
        return 0;
    if (!take(p, '"'))
        return -EBADMSG;
    most = quoted_length(p, '"');
    text = allocate(p, most + 1, &result);
    if (!text)
        return result;
    memcpy(to, &text, sizeof(text));
    return quoted(p, '"', true, text, most, &length);
}

static int parse_char(struct parser *p, unsigned char *to)
{
    char quote = take(p, '\'') ? '\'' : '"';
    char bytes[4];
    size_t length;

    if (quote == '"' && !take(p, '"'))
        return -EBADMSG;
    if (quoted(p, quote, false, bytes, sizeof(bytes), &length) < 0)
        return -EBADMSG;
    if (length == 2 && quote == '"' && ((unsigned char)bytes[0] & 0xfc) == 0xc0)
        *to = (unsigned char)((unsigned char)bytes[0] << 6 | ((unsigned char)bytes[1] & 0x3f));
    else if (length == 1)
        *to = (unsigned char)bytes[0];
    else
        return -EBADMSG;
    return 0;
}

/* ---- numbers ---- */

static int parse_cardinal(struct parser *p, uint64_t most, uint64_t *value)
{
    char word[WORD_MAX];
    char *end;

    if (take_word(p, word) < 0 || word[0] < '0' || word[0] > '9')
        return -EBADMSG;
    errno = 0;
    *value = strtoull(word, &end, word[1] == 'x' ? 16 : 10);
    if (*end)
        return -EBADMSG;
    return errno == ERANGE || *value > most ? -ERANGE : 0;
}

static int parse_integer(struct parser *p, int64_t least, int64_t most, int64_t *value)
{
    char word[WORD_MAX];
    char *end;

    if (take_word(p, word) < 0 || word[0] == '+')
        return -EBADMSG;
    errno = 0;
    *value = strtoll(word, &end, 10);
    if (*end)
        return -EBADMSG;
    return errno == ERANGE || *value < least || *value > most ? -ERANGE : 0;
}

static int parse_real(struct parser *p, bool is_float, double *value)
{
    char word[WORD_MAX];
    char *end;

    if (take_name(p, word) < 0)
        return -EBADMSG;
    errno = 0;
    *value = is_float ? (double)strtof(word, &end) : strtod(word, &end);
    if (*end)
        return -EBADMSG;
    return errno == ERANGE && isinf(*value) ? -ERANGE : 0;
}

static int parse_boolean(struct parser *p, unsigned char *to)
{
    char word[WORD_MAX];
    bool value;

    if (take_word(p, word) < 0)
        return -EBADMSG;
    value = strcmp(word, "true") == 0;
    if (!value && strcmp(word, "false") != 0)
        return -EBADMSG;
    memcpy(to, &value, sizeof(value));
    return 0;
}

static int parse_address(struct parser *p, unsigned char *to)
{
    bool quoted_one;
    uint64_t value;
    int result;

    if (take_nothing(p))
        return 0;
    quoted_one = take(p, '"');
    result = parse_cardinal(p, UINTPTR_MAX, &value);
    if (result == 0 && quoted_one)
        result = expect(p, '"');
    if (result == 0)
        memcpy(to, &value, sizeof(uintptr_t));
    return result;
}

/* The low SIZE bytes of VALUE. */
static int store(unsigned char *to, const void *value, size_t size, int result)
{
    if (result == 0)
        memcpy(to, value, size);
    return result;
}

static int parse_whole(struct parser *p, uint64_t code, unsigned char *to, uint32_t size)
{
    uint64_t most = UINT64_MAX >> (64 - 8 * size);
    uint64_t cardinal = 0;
    int64_t integer = 0;
    int result;

    switch (code) {
    case MBR_CODE_SHORT_INTEGER:
    case MBR_CODE_INTEGER:
    case MBR_CODE_LONG_INTEGER:
        result = parse_integer(p, -(int64_t)(most / 2) - 1, (int64_t)(most / 2), &integer);
        /* Little or big endian: the value is narrowed as a number. */
        if (size == 2)
            return store(to, &(int16_t){(int16_t)integer}, size, result);
        if (size == 4)
            return store(to, &(int32_t){(int32_t)integer}, size, result);
        return store(to, &integer, size, result);
    default:
        result = parse_cardinal(p, most, &cardinal);
        if (size == 1)
            return store(to, &(uint8_t){(uint8_t)cardinal}, size, result);
        if (size == 2)
            return store(to, &(uint16_t){(uint16_t)cardinal}, size, result);
        if (size == 4)
            return store(to, &(uint32_t){(uint32_t)cardinal}, size, result);
        return store(to, &cardinal, size, result);
    }
}

static int parse_predefined(struct parser *p, uint64_t code, unsigned char *to, uint32_t size)
{
    double real = 0;
    int result;

    switch (code) {
    case MBR_CODE_BOOLEAN:
        return parse_boolean(p, to);
    case MBR_CODE_REAL:
        result = parse_real(p, true, &real);
        return store(to, &(float){(float)real}, sizeof(float), result);
    case MBR_CODE_LONG_REAL:
        result = parse_real(p, false, &real);
        return store(to, &real, sizeof(real), result);
    case MBR_CODE_STRING:
        return parse_string(p, to);
    case MBR_CODE_CHAR:
        return parse_char(p, to);
    case MBR_CODE_ADDRESS:
    case 0: /* IREF IREF: as any closure pointer */
        return parse_address(p, to);
    default:
        return parse_whole(p, code, to, size);
    }
}

/* ---- names that stand for numbers ---- */

static const struct mbr_member_record *find_member(const struct mbr_type_record *r,
                                                   const char *name)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (strcmp(r->members[i].name, name) == 0)
            return &r->members[i];
    }
    return NULL;
}

static int parse_member(struct parser *p, const struct mbr_type_record *r, uint32_t *value)
{
    const struct mbr_member_record *member;
    char word[WORD_MAX];

    if (take_name(p, word) < 0)
        return -EBADMSG;
    member = find_member(r, word);
    if (!member)
        return -EBADMSG;
    *value = member->value;
    return 0;
}

static int parse_enum(struct parser *p, const struct mbr_type_record *r, unsigned char *to)
{
    uint32_t value = 0;
    int result = parse_member(p, r, &value);

    return store(to, &value, sizeof(value), result);
}

static int parse_set(struct parser *p, const struct mbr_type_record *r, unsigned char *to)
{
    const struct mbr__type *base = mbr__types_base(p->types, r->base);
    char close = take(p, '<') ? '>' : ']';
    uint64_t set = 0;

    if (!base)
        return -ENOENT;
    if (close == ']' && !take(p, '['))
        return -EBADMSG;
    for (bool first = true; !take(p, close); first = false) {
        uint32_t value = 0;

        if ((!first && !take(p, ',')) || parse_member(p, base->record, &value) < 0)
            return -EBADMSG;
        set |= UINT64_C(1) << value;
    }
    return store(to, &set, sizeof(set), 0);
}

/* ---- what has parts ---- */

static int parse_fields(struct parser *p, const struct mbr_type_record *r, unsigned char *to,
                        unsigned char *seen, int depth)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const struct mbr_member_record *member;
        char word[WORD_MAX];
        int result;

        if ((i > 0 && !take(p, ',')) || take_name(p, word) < 0 || !take(p, ':'))
            return -EBADMSG;
        member = find_member(r, word);
        if (!member || seen[member->value])
            return -EBADMSG;
        seen[member->value] = 1;
        result = parse(p, member->type, to + member->offset, depth + 1);
        if (result < 0)
            return result;
    }
    return expect(p, '}');
}

static int parse_record(struct parser *p, const struct mbr_type_record *r, unsigned char *to,
                        int depth)
{
    unsigned char few[64] = {0};
    unsigned char *seen = few;
    int result;

    if (!take(p, '{'))
        return -EBADMSG;
    if (r->count > sizeof(few)) {
        seen = calloc(r->count, 1);
        if (!seen)
            return -ENOMEM;
    }
    result = parse_fields(p, r, to, seen, depth);
    if (seen != few)
        free(seen);
    return result;
}

static int parse_choice(struct parser *p, const struct mbr_type_record *r, unsigned char *to,
                        int depth)
{
    bool json = take(p, '{');
    const struct mbr_member_record *member;
    char word[WORD_MAX];
    int result;

    if (take_name(p, word) < 0 || !take(p, json ? ':' : '('))
        return -EBADMSG;
    member = find_member(r, word);
    if (!member)
        return -EBADMSG;
    /* The tag first: from here on the value can be cleared. */
    memcpy(to, &member->value, sizeof(member->value));
    result = parse(p, member->type, to + member->offset, depth + 1);
    return result < 0 ? result : expect(p, json ? '}' : ')');
}

static int parse_array(struct parser *p, const struct mbr_type_record *r, unsigned char *to,
                       int depth)
{
    uint32_t size = r->size / r->count;

    if (!take(p, '['))
        return -EBADMSG;
    for (uint32_t i = 0; i < r->count; i++) {
        int result;

        if (i > 0 && !take(p, ','))
            return -EBADMSG;
        result = parse(p, r->base, to + (size_t)i * size, depth + 1);
        if (result < 0)
            return result;
    }
    return expect(p, ']');
}

/* Room for one more element of SIZE bytes, zeroed. */
static int grow(struct parser *p, struct mbr_seq *seq, size_t size)
{
    uint32_t wanted = seq->blen ? seq->blen * 2 : 4;
    void *block;
    int result;

    if (seq->len < seq->blen)
        return 0;
    if (wanted < seq->blen || wanted > p->left / size)
        return -E2BIG;
    block = allocate(p, wanted * size, &result);
    if (!block)
        return result;
    if (seq->len > 0)
        memcpy(block, seq->data, seq->len * size);
    free(seq->base);
    p->left += seq->blen * size;
    seq->data = seq->base = block;
    seq->blen = wanted;
    return 0;
}

static int parse_sequence(struct parser *p, const struct mbr_type_record *r, unsigned char *to,
                          int depth)
{
    const struct mbr__type *element = mbr__types_find(p->types, r->base);
    struct mbr_seq seq = {0};
    int result = 0;

    if (!element)
        return -ENOENT;
    if (!take(p, '['))
        return -EBADMSG;
    for (bool first = true; result == 0 && !take(p, ']'); first = false) {
        if (!first && !take(p, ','))
            return -EBADMSG;
        result = grow(p, &seq, element->record->size);
        if (result < 0)
            break;
        seq.len++;
        /* Kept up to date: whatever goes wrong, clearing TO frees what there is. */
        memcpy(to, &seq, sizeof(seq));
        result = parse(p, r->base,
                       (unsigned char *)seq.data + (size_t)(seq.len - 1) * element->record->size,
                       depth + 1);
    }
    return result;
}

static int parse(struct parser *p, uint64_t code, unsigned char *to, int depth)
{
    const struct mbr__type *type = mbr__types_base(p->types, code);
    const struct mbr_type_record *r;

    if (!type || depth > MBR_VALUE_MAX_DEPTH)
        return type ? -ELOOP : -ENOENT;
    r = type->record;
    switch (r->kind) {
    case MBR_TYPE_PREDEFINED:
        return parse_predefined(p, type->code, to, r->size);
    case MBR_TYPE_ENUM:
        return parse_enum(p, r, to);
    case MBR_TYPE_SET:
        return parse_set(p, r, to);
    case MBR_TYPE_RECORD:
        return parse_record(p, r, to, depth);
    case MBR_TYPE_CHOICE:
        return parse_choice(p, r, to, depth);
    case MBR_TYPE_ARRAY:
        return parse_array(p, r, to, depth);
    case MBR_TYPE_SEQUENCE:
        return parse_sequence(p, r, to, depth);
    default:
        return parse_address(p, to);
    }
}

int mbr_value_parse(struct mbr_types *types, uint64_t code, const char *text, size_t length,
                    void *value, size_t *where)
{
    struct parser p = {types, text, text + length, MBR_VALUE_MAX_BYTES};
    const struct mbr__type *type = mbr__types_find(types, code);
    int saved_errno = errno;
    locale_t locale;
    int result;

    if (!type)
        return -ENOENT;
    memset(value, 0, type->record->size);
    locale = mbr__locale_c();
    result = parse(&p, code, value, 0);
    (void)uselocale(locale);
    errno = saved_errno;
    skip_blanks(&p);
    if (result == 0 && p.at != p.end)
        result = -EBADMSG;
    if (where)
        *where = (size_t)((p.at < p.end ? p.at : p.end) - text);
    if (result < 0)
        mbr_value_clear(types, code, value);
    return result;
}
