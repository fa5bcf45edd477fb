/* SPDX-License-Identifier: MIT */
/*
 * Paths that are read one after the other into the same place are what each is by itself; sets of
 * names find the same with few children and with many.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/prop.h"
#include "store/names.h"
#include "store/path.h"

#define TEXT_MAX 64

/* Changes a few bytes of TEXT, mostly near its end, as paths near each other do. */
static size_t next_text(struct prop *p, char *text, size_t len)
{
    static const char bytes[] = "ab/////@-Z9.\x01";
    size_t keep = prop_choose(p, (uint32_t)len + 1);
    size_t more = prop_choose(p, 6);

    if (prop_choose(p, 8) == 0)
        keep = 0;
    if (keep == 0 && prop_choose(p, 4) != 0)
        text[keep++] = '/';
    for (size_t i = 0; i < more && keep < TEXT_MAX; i++)
        text[keep++] = bytes[prop_choose(p, sizeof(bytes) - 1)];
    return keep;
}

static bool same_path(struct prop *p, const struct mbr__st_path *a, const struct mbr__st_path *b)
{
    PROP_CHECK(p, a->len == b->len && a->relative == b->relative && a->special == b->special);
    PROP_CHECK(p, a->count == b->count && strcmp(a->text, b->text) == 0);
    for (unsigned i = 0; i < a->count; i++)
        PROP_CHECK(p, a->part[i].at == b->part[i].at && a->part[i].len == b->part[i].len);
    return true;
}

/* The first components that two paths have in common. */
static unsigned in_common(const struct mbr__st_path *a, const struct mbr__st_path *b)
{
    unsigned i = 0;

    while (i < a->count && i < b->count && a->part[i].len == b->part[i].len &&
           memcmp(a->text + a->part[i].at, b->text + b->part[i].at, a->part[i].len) == 0)
        i++;
    return i;
}

static bool paths_one_after_the_other(struct prop *p)
{
    static struct mbr__st_path kept, fresh, walked;
    char text[TEXT_MAX];
    size_t len = 0;

    memset(&kept, 0, sizeof(kept));
    memset(&walked, 0, sizeof(walked));
    for (unsigned i = 0; i < 30; i++) {
        uint32_t domid = prop_choose(p, 3) * 100;
        uint64_t max = prop_choose(p, 4) == 0 ? 8 : UINT64_MAX;
        int error;

        len = next_text(p, text, len);
        memset(&fresh, 0, sizeof(fresh));
        error = mbr__st_path_parse(&fresh, domid, text, len, max);
        PROP_CHECK(p, mbr__st_path_parse(&kept, domid, text, len, max) == error);
        PROP_CHECK(p, error || same_path(p, &kept, &fresh));
        PROP_CHECK(p, kept.same <= kept.count && kept.same <= in_common(&kept, &walked));
        if (!error && prop_choose(p, 2) == 0) {
            walked = kept;
            kept.same = kept.count; /* as a walk does */
        }
    }
    return true;
}

static void paths_are_read_one_after_the_other(void **state)
{
    prop_run("paths", paths_one_after_the_other, 3000);
}

/* The path of number N: one of 3 directories, and 14 names in each. */
static void numbered(struct mbr__st_path *path, unsigned n)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "/d%u/n%u", n / 14, n % 14);

    memset(path, 0, sizeof(*path));
    assert_int_equal(mbr__st_path_parse(path, 0, text, (size_t)len, UINT64_MAX), 0);
}

static bool names_are_found(struct prop *p)
{
    static struct mbr__st_path path;
    struct mbr__st_names names;
    bool there[3 * 14] = {false};
    bool right = true;

    mbr__st_names_init(&names);
    for (unsigned i = 0; i < 120 && right; i++) {
        unsigned n = prop_choose(p, 3 * 14);
        struct mbr__st_name *name;

        numbered(&path, n);
        name = mbr__st_names_find(&names, &path);
        right = (name && name->data) == there[n];
        if (!name)
            name = mbr__st_names_make(&names, &path);
        right = right && name;
        if (!right)
            break;
        name->data = there[n] ? NULL : &names;
        there[n] = !there[n];
        mbr__st_names_release(&names, name);
    }
    for (unsigned n = 0; n < 3 * 14 && right; n++) {
        numbered(&path, n);
        right = (mbr__st_names_find(&names, &path) != NULL) == there[n];
    }
    mbr__st_names_fini(&names);
    PROP_CHECK(p, right);
    return true;
}

static void names_are_found_among_few_and_many(void **state)
{
    prop_run("names", names_are_found, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_read_one_after_the_other),
        cmocka_unit_test(names_are_found_among_few_and_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
