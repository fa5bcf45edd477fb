/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of a life of the store fails in turn: nothing is lost, counted wrong or half
 * done, and the store serves on. Also: what allocates nothing, and what a node takes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/failalloc.h"
#include "local.h"

static const struct {
    char who;
    uint32_t type, tx;
    const char *text;
} life[] = {
    {'A', MBR__XS_WRITE, 0, "/local/domain/1|"},
    {'A', MBR__XS_SET_PERMS, 0, "/local/domain/1|n1|"},
    {'A', MBR__XS_WATCH, 0, "/local|t|"},
    {'a', MBR__XS_WRITE, 0, "x/y/z|value"},
    {'a', MBR__XS_WRITE, 0, "x/y|a value that is longer than it was before"},
    {'a', MBR__XS_MKDIR, 0, "x/w|"},
    {'a', MBR__XS_SET_PERMS, 0, "x|n1|r2|"},
    {'b', MBR__XS_DIRECTORY, 0, "/local/domain/1/x|"},
    {'a', MBR__XS_TRANSACTION_START, 0, "|"},
    {'a', MBR__XS_WRITE, 1, "x/new/deep|v"},
    {'a', MBR__XS_RM, 1, "x/y|"},
    {'a', MBR__XS_SET_PERMS, 1, "x/w|n1|b2|"},
    {'a', MBR__XS_TRANSACTION_END, 1, "T|"},
    {'a', MBR__XS_RM, 0, "x|"},
    {'A', MBR__XS_CONTROL, 0, "quota|"},
    {'A', MBR__XS_INTRODUCE, 0, "3|1|1|"},
    {'A', MBR__XS_RELEASE, 0, "1|"},
};

#define STEPS (sizeof(life) / sizeof(life[0]))

static void journal(void *user, const struct mbr__store_batch *batch)
{
    assert_true(batch->count > 0);
}

/* Makes a store and lives; the allocation after AFTER others fails. False if none was left. */
static bool live(unsigned after)
{
    struct mbr__store_options options = {.journal = journal};
    struct local local;
    bool hit;
    int error;

    failalloc_arm(after);
    error = local_init(&local, &options);
    for (size_t i = 0; i < STEPS && !error; i++) {
        if (!local_conn(&local, life[i].who))
            continue;
        (void)local_send(&local, life[i].who, life[i].type, life[i].tx, life[i].text);
        mbr__store_durable(local.store, mbr__store_last_seq(local.store));
        local_drain(&local, life[i].who);
    }
    hit = failalloc_disarm();
    if (!error) {
        while (mbr__store_work(local.store, 10))
            continue;
        local_check(&local);
        assert_string_equal(local_ask(&local, 'B', MBR__XS_GET_DOMAIN_PATH, 0, "7|"),
                            "/local/domain/7|");
        assert_int_equal(local_update(&local), 0);
        local_check(&local);
    }
    local_fini(&local);
    return hit;
}

static void each_allocation_fails_in_turn(void **state)
{
    unsigned after = 0;

    while (live(after))
        after++;
    print_message("%u allocations\n", after);
    assert_true(after > 50);
}

static void reading_allocates_nothing(void **state)
{
    struct local local;
    uint64_t before;

    assert_int_equal(local_init(&local, NULL), 0);
    for (int round = 0; round < 2; round++) {
        before = failalloc_count();
        for (int i = 0; i < 1000; i++) {
            assert_string_equal(local_ask(&local, 'A', MBR__XS_READ, 0, "/tool/none|"), "!ENOENT");
            assert_string_equal(local_ask(&local, 'a', MBR__XS_READ, 0, "/tool|"), "!EACCES");
        }
    }
    assert_int_equal(failalloc_count() - before, 0);
    local_fini(&local);
}

static void a_small_node_takes_at_most_200_bytes(void **state)
{
    struct mbr__store_stats before, after;
    struct local local;
    char text[64];

    assert_int_equal(local_init(&local, NULL), 0);
    mbr__store_get_stats(local.store, &before);
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "/dir%d/node%d|0123456789abcdef", i % 100, i);
        assert_string_equal(local_ask(&local, 'A', MBR__XS_WRITE, 0, text), "OK|");
    }
    mbr__store_get_stats(local.store, &after);
    assert_true((after.memory - before.memory) / (after.nodes - before.nodes) <= 200);
    local_fini(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_in_turn),
        cmocka_unit_test(reading_allocates_nothing),
        cmocka_unit_test(a_small_node_takes_at_most_200_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
