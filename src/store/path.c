/* SPDX-License-Identifier: MIT */
/*
 * Paths, with the rules of the C daemon: letters, digits and "-/_@"; no empty component; at most
 * 3072 bytes in all.
 */
#include "store/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a component may consist of. */
static const bool name_char[256] = {
    ['-'] = true, ['_'] = true, ['@'] = true, ['0'] = true, ['1'] = true, ['2'] = true,
    ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true,
    ['9'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,
    ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true,
    ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true,
    ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true,
    ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,
    ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true,
    ['j'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true,
    ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true,
    ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
};

bool mbr__st_name_valid(const char *name, size_t len)
{
    if (len == 0 || len >= MBR__STORE_ABS_PATH_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!name_char[(unsigned char)name[i]])
            return false;
    return true;
}

size_t mbr__st_path_prefix(char out[MBR__ST_PREFIX_MAX], uint32_t domid)
{
    return (size_t)snprintf(out, MBR__ST_PREFIX_MAX, "/local/domain/%u/", domid);
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

/* Cuts the text, which begins with '/', behind each '/'. */
static int cut(struct mbr__st_path *path)
{
    uint32_t begin = 1;

    path->count = 0;
    if (path->len == 1)
        return 0;
    for (uint32_t i = 1; i <= path->len; i++) {
        if (i < path->len && path->text[i] != '/') {
            if (!name_char[(unsigned char)path->text[i]])
                return -EINVAL;
            continue;
        }
        if (i == begin)
            return -EINVAL;
        path->part[path->count].at = (uint16_t)begin;
        path->part[path->count++].len = (uint16_t)(i - begin);
        begin = i + 1;
    }
    return 0;
}

int mbr__st_path_parse(struct mbr__st_path *path, uint32_t domid, const char *text, size_t len,
                       uint64_t local_max)
{
    size_t prefix = 0;

    path->special = len > 0 && text[0] == '@';
    path->relative = 0;
    path->count = 0;
    if (len == 0 || len > MBR__STORE_ABS_PATH_MAX)
        return -EINVAL;
    if (text[0] != '/' && !path->special) {
        prefix = mbr__st_path_prefix(path->text, domid);
        path->relative = (uint32_t)prefix;
    }
    if (prefix + len > MBR__STORE_ABS_PATH_MAX)
        return -EINVAL;
    memcpy(path->text + prefix, text, len);
    path->len = (uint32_t)(prefix + len);
    path->text[path->len] = '\0';
    if (path->special)
        return 0;
    if (path->len - local_prefix(path) > local_max)
        return -EINVAL;
    return cut(path);
}
