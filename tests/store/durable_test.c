/* SPDX-License-Identifier: MIT */
/*
 * With a journal nobody is shown what is not durable: not the one who has changed it, nor others
 * who read it, look for it or watch it; and nobody waits for what has nothing to do with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "local.h"

static void journal(void *user, const struct mbr__store_batch *batch)
{
    (void)user;
    assert_true(batch->count > 0);
}

static void durable(struct local *local)
{
    mbr__store_durable(local->store, mbr__store_last_seq(local->store));
}

static void start(struct local *local)
{
    const struct mbr__store_options options = {.journal = journal};

    assert_int_equal(local_init(local, &options), 0);
    local_send(local, 'A', MBR__XS_WRITE, 0, "/x/y|old");
    local_send(local, 'A', MBR__XS_WRITE, 0, "/z|old");
    durable(local);
    local_drain(local, 'A');
}

static void end(struct local *local)
{
    local_check(local);
    local_fini(local);
}

/* WHO asks, is told nothing, and ANSWER once all is durable. */
static void waits(struct local *local, char who, uint32_t type, const char *text,
                  const char *answer)
{
    assert_string_equal(local_ask(local, who, type, 0, text), "");
    durable(local);
    assert_string_equal(local_next(local, who), answer);
    assert_string_equal(local_next(local, who), "");
}

static void change(struct local *local, uint32_t type, const char *text)
{
    local_drain(local, 'A');
    assert_string_equal(local_ask(local, 'A', type, 0, text), "");
}

static void others_wait_for_what_they_would_see(void **state)
{
    struct local local;

    start(&local);
    change(&local, MBR__XS_WRITE, "/x/y|new");
    waits(&local, 'B', MBR__XS_READ, "/x/y|", "new");
    change(&local, MBR__XS_SET_PERMS, "/x/y|n0|r1|");
    waits(&local, 'B', MBR__XS_GET_PERMS, "/x/y|", "n0|r1|");
    change(&local, MBR__XS_SET_PERMS, "/x/y|n0|");
    waits(&local, 'a', MBR__XS_READ, "/x/y|", "!EACCES");
    change(&local, MBR__XS_MKDIR, "/x/m|");
    waits(&local, 'B', MBR__XS_DIRECTORY, "/x|", "y|m|");
    change(&local, MBR__XS_MKDIR, "/x/n|");
    waits(&local, 'B', MBR__XS_MKDIR, "/x/n|", "OK|");
    change(&local, MBR__XS_RM, "/x/n|");
    waits(&local, 'B', MBR__XS_READ, "/x/n/o|", "!ENOENT");
    change(&local, MBR__XS_RM, "/x/m|");
    waits(&local, 'B', MBR__XS_RM, "/x/m|", "OK|");
    change(&local, MBR__XS_SET_PERMS, "@releaseDomain|n0|");
    waits(&local, 'B', MBR__XS_GET_PERMS, "@releaseDomain|", "n0|");
    end(&local);
}

static void nobody_waits_for_something_else(void **state)
{
    struct local local;

    start(&local);
    change(&local, MBR__XS_WRITE, "/x/y|new");
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/z|"), "old");
    assert_string_equal(local_ask(&local, 'B', MBR__XS_DIRECTORY, 0, "/x|"), "y|");
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/nothing|"), "!ENOENT");
    durable(&local);
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/x/y|"), "new");
    end(&local);
}

/* Each waits for its own batch, not for the last. */
static void each_waits_for_its_own(void **state)
{
    struct local local;
    uint64_t first;

    start(&local);
    change(&local, MBR__XS_WRITE, "/x/y|1");
    first = mbr__store_last_seq(local.store);
    change(&local, MBR__XS_WRITE, "/z|1");
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/x/y|"), "");
    assert_string_equal(local_ask(&local, 'C', MBR__XS_READ, 0, "/z|"), "");
    mbr__store_durable(local.store, first);
    assert_string_equal(local_next(&local, 'B'), "1");
    assert_string_equal(local_next(&local, 'C'), "");
    assert_string_equal(local_ask(&local, 'D', MBR__XS_READ, 0, "/x/y|"), "1");
    durable(&local);
    assert_string_equal(local_next(&local, 'C'), "1");
    end(&local);
}

/* More batches on their way than are told apart: nobody is told too early. */
static void many_batches_on_their_way(void **state)
{
    struct local local;
    uint64_t before;

    start(&local);
    for (unsigned i = 0; i < 200; i++)
        change(&local, MBR__XS_WRITE, i % 2 ? "/x/y|odd" : "/x/y|even");
    change(&local, MBR__XS_WRITE, "/z|new");
    before = mbr__store_last_seq(local.store) - 1;
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/z|"), "");
    mbr__store_durable(local.store, before);
    assert_string_equal(local_next(&local, 'B'), "");
    durable(&local);
    assert_string_equal(local_next(&local, 'B'), "new");
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/x/y|"), "odd");
    end(&local);
}

static void events_wait(void **state)
{
    struct local local;

    start(&local);
    assert_string_equal(local_ask(&local, 'B', MBR__XS_WATCH, 0, "/x|t|"), "OK|");
    assert_string_equal(local_next(&local, 'B'), "@/x|t|");
    change(&local, MBR__XS_WRITE, "/x/y|new");
    assert_string_equal(local_next(&local, 'B'), "");
    durable(&local);
    assert_string_equal(local_next(&local, 'B'), "@/x/y|t|");
    /* One's own come before the answer, as ever. */
    assert_string_equal(local_ask(&local, 'B', MBR__XS_WRITE, 0, "/x/y|own"), "");
    durable(&local);
    assert_string_equal(local_next(&local, 'B'), "@/x/y|t|");
    assert_string_equal(local_next(&local, 'B'), "OK|");
    end(&local);
}

static void transactions_wait(void **state)
{
    struct local local;

    start(&local);
    assert_string_equal(local_ask(&local, 'B', MBR__XS_WATCH, 0, "/z|t|"), "OK|");
    local_drain(&local, 'B');
    assert_string_equal(local_ask(&local, 'C', MBR__XS_TRANSACTION_START, 0, "|"), "1|");
    assert_string_equal(local_ask(&local, 'C', MBR__XS_READ, 1, "/z|"), "old");
    assert_string_equal(local_ask(&local, 'C', MBR__XS_WRITE, 1, "/z|new"), "OK|");
    assert_string_equal(local_ask(&local, 'C', MBR__XS_READ, 1, "/z|"), "new");
    assert_string_equal(local_ask(&local, 'C', MBR__XS_TRANSACTION_END, 1, "T|"), "");
    assert_string_equal(local_ask(&local, 'D', MBR__XS_TRANSACTION_START, 0, "|"), "1|");
    assert_string_equal(local_ask(&local, 'D', MBR__XS_READ, 1, "/z|"), "");
    assert_string_equal(local_next(&local, 'B'), "");
    durable(&local);
    assert_string_equal(local_next(&local, 'B'), "@/z|t|");
    assert_string_equal(local_next(&local, 'C'), "OK|");
    assert_string_equal(local_next(&local, 'D'), "new");
    end(&local);
}

/* What waits goes on waiting after a live update, and what was durable does not begin to. */
static void an_update_keeps_who_waits(void **state)
{
    struct local local;

    start(&local);
    change(&local, MBR__XS_WRITE, "/x/y|new");
    assert_string_equal(local_ask(&local, 'B', MBR__XS_READ, 0, "/x/y|"), "");
    assert_int_equal(local_update(&local), 0);
    assert_string_equal(local_next(&local, 'B'), "");
    assert_string_equal(local_ask(&local, 'C', MBR__XS_READ, 0, "/x/y|"), "");
    durable(&local);
    assert_string_equal(local_next(&local, 'B'), "new");
    assert_string_equal(local_next(&local, 'C'), "new");
    assert_int_equal(local_update(&local), 0);
    assert_string_equal(local_ask(&local, 'C', MBR__XS_READ, 0, "/x/y|"), "new");
    end(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_wait_for_what_they_would_see),
        cmocka_unit_test(nobody_waits_for_something_else),
        cmocka_unit_test(each_waits_for_its_own),
        cmocka_unit_test(many_batches_on_their_way),
        cmocka_unit_test(events_wait),
        cmocka_unit_test(transactions_wait),
        cmocka_unit_test(an_update_keeps_who_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
