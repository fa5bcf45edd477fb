/* SPDX-License-Identifier: MIT */
/*
 * Paths, with the rules of the C daemon: letters, digits and "-/_@"; no empty component; at most
 * 3072 bytes in all, 2048 in what is relative.
 */
#include "store/path.h"

#include <errno.h>
#include <string.h>

enum { BAD, NAME, SLASH }; /* what a byte may be in a path */

/* What a component may consist of, and what ends it. */
static const unsigned char class_of[256] = {
    ['-'] = NAME, ['_'] = NAME, ['@'] = NAME, ['0'] = NAME, ['1'] = NAME, ['2'] = NAME,
    ['3'] = NAME, ['4'] = NAME, ['5'] = NAME, ['6'] = NAME, ['7'] = NAME, ['8'] = NAME,
    ['9'] = NAME, ['A'] = NAME, ['B'] = NAME, ['C'] = NAME, ['D'] = NAME, ['E'] = NAME,
    ['F'] = NAME, ['G'] = NAME, ['H'] = NAME, ['I'] = NAME, ['J'] = NAME, ['K'] = NAME,
    ['L'] = NAME, ['M'] = NAME, ['N'] = NAME, ['O'] = NAME, ['P'] = NAME, ['Q'] = NAME,
    ['R'] = NAME, ['S'] = NAME, ['T'] = NAME, ['U'] = NAME, ['V'] = NAME, ['W'] = NAME,
    ['X'] = NAME, ['Y'] = NAME, ['Z'] = NAME, ['a'] = NAME, ['b'] = NAME, ['c'] = NAME,
    ['d'] = NAME, ['e'] = NAME, ['f'] = NAME, ['g'] = NAME, ['h'] = NAME, ['i'] = NAME,
    ['j'] = NAME, ['k'] = NAME, ['l'] = NAME, ['m'] = NAME, ['n'] = NAME, ['o'] = NAME,
    ['p'] = NAME, ['q'] = NAME, ['r'] = NAME, ['s'] = NAME, ['t'] = NAME, ['u'] = NAME,
    ['v'] = NAME, ['w'] = NAME, ['x'] = NAME, ['y'] = NAME, ['z'] = NAME, ['/'] = SLASH,
};

bool mbr__st_name_valid(const char *name, size_t len)
{
    if (len == 0 || len >= MBR__STORE_ABS_PATH_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (class_of[(unsigned char)name[i]] != NAME)
            return false;
    return true;
}

size_t mbr__st_path_prefix(char out[MBR__ST_PREFIX_MAX], uint32_t domid)
{
    static const char fixed[] = "/local/domain/";
    char digits[MBR__STORE_DIGITS];
    size_t count = mbr__store_digits(digits, domid);
    size_t at = sizeof(fixed) - 1;

    memcpy(out, fixed, at);
    memcpy(out + at, digits, count);
    at += count;
    out[at++] = '/';
    out[at] = '\0';
    return at;
}

/* Bytes of "/local/domain/N/" at the beginning, N of one to five digits, or 0. */
static uint32_t local_prefix(const struct mbr__st_path *path)
{
    static const char fixed[] = "/local/domain/";
    uint32_t at = sizeof(fixed) - 1;

    if (path->len < at || memcmp(path->text, fixed, at) != 0)
        return 0;
    while (at < sizeof(fixed) - 1 + 5 && path->text[at] >= '0' && path->text[at] <= '9')
        at++;
    return at > sizeof(fixed) - 1 && path->text[at] == '/' ? at + 1 : 0;
}

/* How many of the first LEN bytes are equal. */
static size_t common(const char *a, const char *b, size_t len)
{
    size_t i = 0;

    for (; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t x;
        uint64_t y;

        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        if (x != y)
            break;
    }
    while (i < len && a[i] == b[i])
        i++;
    return i;
}

/* Keeps the components that end, with the '/' behind them, within the first LEN bytes; where the
 * next one begins. */
static uint32_t keep(struct mbr__st_path *path, size_t len)
{
    uint32_t count = path->count;

    while (count > 0 && (size_t)path->part[count - 1].at + path->part[count - 1].len >= len)
        count--;
    path->count = count;
    if (path->same > count)
        path->same = count;
    return count > 0 ? path->part[count - 1].at + path->part[count - 1].len + 1u : 1;
}

/* Cuts the text, which begins with '/', behind each '/' from BEGIN on, where a component begins. */
static int cut(struct mbr__st_path *path, uint32_t begin)
{
    uint32_t count = path->count;
    uint32_t i = begin;

    while (path->len > 1) {
        while (class_of[(unsigned char)path->text[i]] == NAME)
            i++;
        if (i == begin || (i < path->len && path->text[i] != '/'))
            return -EINVAL;
        path->part[count].at = (uint16_t)begin;
        path->part[count++].len = (uint16_t)(i - begin);
        if (i == path->len)
            break;
        begin = ++i;
    }
    path->count = count;
    return 0;
}

/* It holds no path. */
static int invalid(struct mbr__st_path *path)
{
    path->len = path->count = path->same = 0;
    return -EINVAL;
}

/* A name that begins with '@', which need not be one that exists. */
static int parse_special(struct mbr__st_path *path, const char *text, size_t len)
{
    path->special = true;
    path->relative = path->count = path->same = 0;
    path->len = (uint32_t)len;
    memcpy(path->text, text, len);
    path->text[len] = '\0';
    return 0;
}

/* Reads what is not the path that was read before, FRONT bytes of PREFIX before it. */
static int parse(struct mbr__st_path *path, const char *prefix, size_t front, const char *text,
                 size_t len)
{
    size_t shared = common(path->text, prefix, front < path->len ? front : path->len);
    uint32_t begin;

    if (shared == front) {
        size_t rest = path->len - front;

        shared += common(path->text + front, text, rest < len ? rest : len);
    }
    path->special = false;
    path->relative = (uint32_t)front;
    begin = keep(path, shared);
    memcpy(path->text, prefix, front);
    memcpy(path->text + front, text, len);
    path->len = (uint32_t)(front + len);
    path->text[path->len] = '\0';
    return cut(path, begin);
}

static int parse_relative(struct mbr__st_path *path, uint32_t domid, const char *text, size_t len)
{
    char prefix[MBR__ST_PREFIX_MAX];
    size_t front = mbr__st_path_prefix(prefix, domid);

    if (len > MBR__STORE_REL_PATH_MAX || front + len > MBR__STORE_ABS_PATH_MAX)
        return -EINVAL;
    return parse(path, prefix, front, text, len);
}

int mbr__st_path_parse(struct mbr__st_path *path, uint32_t domid, const char *text, size_t len,
                       uint64_t local_max)
{
    int error = 0;

    if (len == 0 || len > MBR__STORE_ABS_PATH_MAX)
        return invalid(path);
    if (text[0] == '@')
        return parse_special(path, text, len);
    if (text[0] != '/')
        error = parse_relative(path, domid, text, len);
    else if (len != path->len || memcmp(text, path->text, len) != 0)
        error = parse(path, "", 0, text, len);
    else
        path->relative = 0; /* the same again */
    if (error || (path->len > local_max && path->len - local_prefix(path) > local_max))
        return invalid(path);
    return 0;
}
