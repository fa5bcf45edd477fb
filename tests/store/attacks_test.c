/* SPDX-License-Identifier: MIT */
/*
 * The attacks on stores that Xen's security advisories (XSA) tell of, each carried out again. After
 * each everything is recounted.
 *
 * Not here: what attacks the shared page (the transports' tests).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "local.h"

#define SECOND UINT64_C(1000000000)

static struct local world;

static int set_up(void **state)
{
    return local_init(&world, NULL);
}

static int tear_down(void **state)
{
    local_check(&world);
    local_fini(&world);
    return 0;
}

#define ASK(who, type, tx, text, answer) \
    assert_string_equal(local_ask(&world, who, MBR__XS_##type, tx, text), answer)
#define NEXT(who, answer) assert_string_equal(local_next(&world, who), answer)

/* A home for the guests of domains 1 and 2. */
static void homes(void)
{
    ASK('A', WRITE, 0, "/local/domain/1|", "OK|");
    ASK('A', SET_PERMS, 0, "/local/domain/1|n1|", "OK|");
    ASK('A', WRITE, 0, "/local/domain/2|", "OK|");
    ASK('A', SET_PERMS, 0, "/local/domain/2|n2|", "OK|");
}

/* 72: a listing larger than a message is refused, and the parts of it add up. */
static void xsa_72_long_replies(void **state)
{
    char text[64];
    unsigned seen = 0;
    size_t offset = 0;

    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "/d/child%04d|", i);
        ASK('A', MKDIR, 0, text, "OK|");
    }
    ASK('A', DIRECTORY, 0, "/d|", "!E2BIG");
    for (;;) {
        const char *part;

        snprintf(text, sizeof(text), "/d|%zu|", offset);
        part = strchr(local_ask(&world, 'A', MBR__XS_DIRECTORY_PART, 0, text), '|') + 1;
        for (; *part && *part != '|'; seen++) {
            snprintf(text, sizeof(text), "child%04u|", seen);
            assert_memory_equal(part, text, 10);
            part += 10;
            offset += 10;
        }
        if (*part)
            break;
    }
    assert_int_equal(seen, 1000);
}

/* 115: events, special ones too, and IS_DOMAIN_INTRODUCED are only for those who may know. */
static void xsa_115_events_need_permission(void **state)
{
    homes();
    ASK('b', WRITE, 0, "secret/key|1", "OK|");
    ASK('a', WATCH, 0, "/|t|", "OK|");
    NEXT('a', "@/|t|");
    ASK('a', WATCH, 0, "@introduceDomain|i|", "OK|");
    NEXT('a', "@@introduceDomain|i|");
    ASK('b', WRITE, 0, "secret/key|2", "OK|");
    ASK('b', WRITE, 0, "secret/other|2", "OK|");
    ASK('b', RM, 0, "secret|", "OK|");
    ASK('A', INTRODUCE, 0, "7|1|1|", "OK|");
    ASK('a', IS_DOMAIN_INTRODUCED, 0, "7|", "!EACCES");
    NEXT('a', "");
}

/* 206: a writer cannot keep others' transactions from ever succeeding. */
static void xsa_206_writes_are_limited(void **state)
{
    unsigned accepted = 0;

    homes();
    ASK('b', TRANSACTION_START, 0, "|", "1|");
    for (int i = 0; i < 1000; i++)
        if (local_send(&world, 'a', MBR__XS_WRITE, 0, "x|y") == 0)
            accepted++;
    local_drain(&world, 'a');
    assert_true(accepted >= 10 && accepted <= 20);
    assert_true(mbr__store_deadline(world.store) > world.now);
    world.now += SECOND;
    (void)mbr__store_work(world.store, 100);
    assert_true(world.resumes > 0);
    ASK('a', WRITE, 0, "x|z", "OK|");
    ASK('b', TRANSACTION_END, 1, "F|", "OK|");
    for (int i = 0; i < 1000; i++) /* with nobody to disturb it may write as it likes */
        ASK('a', WRITE, 0, "x|y", "OK|");
}

/* 233, 425: a device model's domain and its target go in either order, and twice. */
static void xsa_233_targets_and_release(void **state)
{
    homes();
    ASK('A', SET_TARGET, 0, "1|2|", "OK|");
    ASK('a', WRITE, 0, "/local/domain/2/x|v", "OK|");
    ASK('A', RELEASE, 0, "2|", "OK|");
    ASK('A', RELEASE, 0, "2|", "!ENOENT");
    ASK('a', WRITE, 0, "/local/domain/2/x|v", "!EACCES");
    ASK('A', INTRODUCE, 0, "2|1|1|", "OK|");
    ASK('A', WRITE, 0, "/local/domain/2/y|v", "OK|");
    ASK('A', SET_PERMS, 0, "/local/domain/2/y|n2|", "OK|");
    ASK('a', READ, 0, "/local/domain/2/y|", "!EACCES"); /* another domain 2 is not its target */
    ASK('A', SET_TARGET, 0, "1|2|", "OK|");
    ASK('A', SET_TARGET, 0, "2|1|", "OK|");
    ASK('A', RELEASE, 0, "1|", "OK|");
    ASK('A', RELEASE, 0, "2|", "OK|");
}

/* 272: however nodes are made, they count. */
static void xsa_272_every_node_counts(void **state)
{
    char text[64];
    unsigned made = 0;

    homes();
    for (int i = 0; i < 1500; i++) {
        snprintf(text, sizeof(text), "d%d/x|v", i % 300);
        text[strlen(text) - 3] = (char)('a' + i / 300);
        if (strcmp(local_ask(&world, 'a', MBR__XS_WRITE, 0, text), "OK|") == 0)
            made++;
    }
    local_check(&world);
    assert_true(made < 1000);
    ASK('a', WRITE, 0, "one/more|v", "!ENOSPC");
    ASK('a', RM, 0, "d0|", "OK|");
    ASK('a', WRITE, 0, "one/more|v", "OK|");
}

/* 322, 417: a number that is used again brings nothing of its first bearer along. */
static void xsa_322_417_domids_used_again(void **state)
{
    homes();
    ASK('A', WRITE, 0, "/s|v", "OK|");
    ASK('A', SET_PERMS, 0, "/s|n0|r1|", "OK|");
    ASK('A', MKDIR, 0, "/shared|", "OK|");
    ASK('A', SET_PERMS, 0, "/shared|n0|b1|b2|", "OK|");
    ASK('a', WRITE, 0, "/shared/mine|v", "OK|");
    ASK('A', RELEASE, 0, "1|", "OK|");
    mbr__store_conn_free(world.conn['a']);
    world.conn['a'] = NULL;
    ASK('A', INTRODUCE, 0, "1|1|1|", "OK|");
    ASK('a', READ, 0, "/s|", "!EACCES");
    ASK('a', READ, 0, "/shared/mine|", "!EACCES");
    ASK('A', READ, 0, "/shared/mine|", "!ENOENT");
    ASK('b', WRITE, 0, "/shared/first|v",
        "OK|"); /* inherits from /shared, but nothing of the dead */
    ASK('a', READ, 0, "/shared/first|", "!EACCES");
    ASK('A', GET_PERMS, 0, "/shared/first|", "n2|b2|");
}

/* 323: what can be made can be removed: both judge a path by the same length. */
static void xsa_323_relative_length(void **state)
{
    char text[MBR__STORE_ABS_PATH_MAX + 16];

    memset(text, 'a', sizeof(text));
    strcpy(text + MBR__STORE_REL_PATH_MAX, "|");
    ASK('A', MKDIR, 0, text, "OK|");
    ASK('A', RM, 0, text, "OK|");
    memset(text, 'a', sizeof(text));
    strcpy(text + MBR__STORE_REL_PATH_MAX + 1, "|");
    ASK('A', MKDIR, 0, text, "!EINVAL");
    ASK('A', RM, 0, text, "!EINVAL");
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    strcpy(text + MBR__STORE_ABS_PATH_MAX, "|");
    ASK('A', MKDIR, 0, text, "OK|");
    ASK('A', RM, 0, text, "OK|");
    memset(text + 1, 'a', sizeof(text) - 1);
    strcpy(text + MBR__STORE_ABS_PATH_MAX + 1, "|");
    ASK('A', MKDIR, 0, text, "!EINVAL");
    ASK('A', RM, 0, text, "!EINVAL");
}

/* 324: an event that is too long is not sent, and harms nobody. */
static void xsa_324_long_events(void **state)
{
    static char text[MBR__STORE_PAYLOAD_MAX];

    memset(text, 't', sizeof(text));
    memcpy(text, "/a|", 3);
    strcpy(text + 4000, "|");
    assert_string_equal(local_ask(&world, 'A', MBR__XS_WATCH, 0, text), "OK|");
    local_drain(&world, 'A');
    memset(text, 'x', sizeof(text));
    memcpy(text, "/a/", 3);
    strcpy(text + 2500, "|");
    ASK('B', MKDIR, 0, text, "OK|");
    NEXT('A', "");
    ASK('B', MKDIR, 0, "/a/b|", "OK|");
    assert_memory_equal(local_next(&world, 'A'), "@/a/b|ttt", 9);
}

/* 330, 484: RESET_WATCHES gives back all watches, and can be sent in a transaction. */
static void xsa_330_484_reset_watches(void **state)
{
    char text[32];

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 128; i++) {
            snprintf(text, sizeof(text), "/w%d|t|", i);
            ASK('a', WATCH, 0, text, "OK|");
            local_drain(&world, 'a');
        }
        ASK('a', WATCH, 0, "/more|t|", "!ENOSPC");
        ASK('a', TRANSACTION_START, 0, "|", round % 2 ? "2|" : "1|");
        ASK('a', RESET_WATCHES, round % 2 ? 2 : 1, "|", "OK|");
        if (round % 2)
            mbr__store_conn_reset(world.conn['a']);
        local_check(&world);
    }
}

/* 352: a guest cannot give away what counts against its quota. */
static void xsa_352_giving_away(void **state)
{
    homes();
    ASK('a', WRITE, 0, "x|v", "OK|");
    ASK('a', SET_PERMS, 0, "x|n2|", "!EPERM");
    ASK('a', TRANSACTION_START, 0, "|", "1|");
    ASK('a', SET_PERMS, 1, "x|n0|", "!EPERM");
    ASK('a', TRANSACTION_END, 1, "T|", "OK|");
    ASK('A', GET_PERMS, 0, "/local/domain/1/x|", "n1|");
}

/* 353: the root has permissions like any other node. */
static void xsa_353_the_root(void **state)
{
    ASK('a', WRITE, 0, "/|v", "!EACCES");
    ASK('a', SET_PERMS, 0, "/|b1|", "!EACCES");
    ASK('a', DIRECTORY, 0, "/|", "!EACCES");
    ASK('a', RM, 0, "/|", "!EACCES");
    ASK('a', MKDIR, 0, "/x|", "!EACCES");
    ASK('a', GET_PERMS, 0, "/|", "!EACCES");
}

/* 326: unread replies stop their reader, and nobody else. */
static void xsa_326_unread_replies(void **state)
{
    unsigned accepted = 0;

    homes();
    while (accepted < 1000 && local_send(&world, 'a', MBR__XS_READ, 0, "/tool|") == 0)
        accepted++;
    assert_int_equal(accepted, 20);
    assert_int_equal(local_send(&world, 'a', MBR__XS_READ, 0, "/tool|"), -EBUSY);
    ASK('b', WRITE, 0, "x|v", "OK|");
    (void)local_next(&world, 'a');
    assert_int_equal(world.resumes, 1);
    assert_int_equal(local_send(&world, 'a', MBR__XS_READ, 0, "/tool|"), 0);
    local_drain(&world, 'a');
}

/* 326: events that another does not read stop the one who causes them, for a time. */
static void xsa_326_unread_events(void **state)
{
    char text[32];
    unsigned accepted = 0;

    ASK('A', MKDIR, 0, "/shared|", "OK|");
    ASK('A', SET_PERMS, 0, "/shared|b0|", "OK|");
    ASK('b', WATCH, 0, "/shared|t|", "OK|");
    local_drain(&world, 'b');
    for (; accepted < 1000; accepted++) {
        snprintf(text, sizeof(text), "/shared/n%u|v", accepted);
        if (local_send(&world, 'a', MBR__XS_WRITE, 0, text))
            break;
        local_drain(&world, 'a');
    }
    assert_int_equal(accepted, 20);
    world.now += 21 * SECOND;
    assert_true(mbr__store_deadline(world.store) <= world.now);
    (void)mbr__store_work(world.store, 100);
    ASK('a', WRITE, 0, "/shared/more|v", "OK|");
    for (unsigned i = 0; i < accepted; i++) {
        snprintf(text, sizeof(text), "@/shared/n%u|t|", i);
        NEXT('b', text);
    }
    NEXT('b', "@/shared/more|t|");
}

/* 326: a reader that never reads is cut off before it costs too much. */
static void xsa_326_a_flood_of_events(void **state)
{
    static char text[1200];

    ASK('a', WATCH, 0, "@releaseDomain|r|", "OK|");
    memset(text, 't', sizeof(text));
    memcpy(text, "/f|", 3);
    strcpy(text + 1100, "|");
    assert_string_equal(local_ask(&world, 'a', MBR__XS_WATCH, 0, text), "@@releaseDomain|r|");
    ASK('A', MKDIR, 0, "/f|", "OK|");
    ASK('A', SET_PERMS, 0, "/f|r0|", "OK|");
    for (unsigned i = 0; i < 4000 && !world.broken; i++) {
        snprintf(text, sizeof(text), "/f/n%u|", i);
        ASK('A', MKDIR, 0, text, "OK|");
    }
    assert_int_equal(world.broken, -ENOBUFS);
    assert_true(mbr__store_conn_queued(world.conn['a']) < 3000000);
    assert_int_equal(local_send(&world, 'a', MBR__XS_READ, 0, "/tool|"), -EPIPE);
}

/* 326: a transaction can touch only so many nodes, and hold only so much. */
static void xsa_326_large_transactions(void **state)
{
    char text[32];
    unsigned i;

    homes();
    ASK('a', TRANSACTION_START, 0, "|", "1|");
    for (i = 0; i < 2000; i++) {
        snprintf(text, sizeof(text), "none%u|", i);
        if (strcmp(local_ask(&world, 'a', MBR__XS_READ, 1, text), "!ENOENT") != 0)
            break;
    }
    assert_int_equal(i, 1024);
    ASK('a', TRANSACTION_END, 1, "T|", "!ENOSPC");
}

/* 414, 415, 421, 440: what fails in a transaction leaves nothing behind, in the store or in the
 * books. */
static void xsa_415_421_440_failing_transactions(void **state)
{
    ASK('A', SET_QUOTA, 0, "1|nodes|3|", "OK|");
    homes();
    ASK('a', TRANSACTION_START, 0, "|", "1|");
    ASK('a', WRITE, 1, "a/b/c/d|v", "!ENOSPC");
    ASK('a', WRITE, 1, "a|v", "OK|");
    ASK('a', WRITE, 1, "b|v", "OK|");
    ASK('a', RM, 1, "a|", "OK|");
    ASK('a', RM, 1, "b|", "OK|");
    ASK('a', RM, 1, "/local/domain/1|", "OK|");
    ASK('a', TRANSACTION_END, 1, "T|", "OK|");
    ASK('A', READ, 0, "/local/domain/1|", "!ENOENT");
    local_check(&world);
    ASK('A', WRITE, 0, "/local/domain/1|", "OK|");
    ASK('A', SET_PERMS, 0, "/local/domain/1|n1|", "OK|");
    /* Removed twice, at two levels: it counts once. */
    ASK('a', WRITE, 0, "p/q|v", "OK|");
    ASK('a', TRANSACTION_START, 0, "|", "2|");
    ASK('a', RM, 2, "p/q|", "OK|");
    ASK('a', RM, 2, "p|", "OK|");
    ASK('a', WRITE, 2, "x/y|v", "OK|");
    ASK('a', WRITE, 2, "z|v", "!ENOSPC");
    ASK('a', TRANSACTION_END, 2, "T|", "OK|");
    ASK('a', WRITE, 0, "z|v", "!ENOSPC");
}

/* 418: depth costs no stack. */
static void xsa_418_deep_trees(void **state)
{
    static char text[MBR__STORE_ABS_PATH_MAX + 16];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1535; i++)
            memcpy(text + 2 * i, "/d", 2);
        strcpy(text + 3070, "|");
        ASK('A', MKDIR, 0, text, "OK|");
        ASK('A', TRANSACTION_START, 0, "|", round == 0 ? "1|" : round == 1 ? "2|" : "3|");
        if (round == 1)
            ASK('A', RM, (uint32_t)round + 1, "/d|", "OK|");
        ASK('A', TRANSACTION_END, (uint32_t)round + 1, "T|", "OK|");
        ASK('A', RM, 0, "/d|", "OK|");
        local_check(&world);
    }
}

/* 419, 483: guests that work together cannot keep nodes beyond their lives. */
static void xsa_419_483_dead_domains(void **state)
{
    struct mbr__store_stats before, after;

    homes();
    mbr__store_get_stats(world.store, &before);
    ASK('a', SET_PERMS, 0, "/local/domain/1|n1|b2|", "OK|");
    ASK('b', WRITE, 0, "/local/domain/1/of2/x|v", "OK|");
    ASK('a', WRITE, 0, "x/y/z|v", "OK|");
    ASK('A', RELEASE, 0, "1|", "OK|");
    while (mbr__store_work(world.store, 1))
        continue;
    local_check(&world);
    mbr__store_get_stats(world.store, &after);
    assert_int_equal(after.nodes, before.nodes - 1);
    ASK('A', INTRODUCE, 0, "1|1|1|", "OK|");
    local_check(&world);
}

/* 420, 481: lengths and paths at their edges. */
static void xsa_420_481_edges(void **state)
{
    struct mbr__store_header header = {MBR__XS_READ, 1, 0, MBR__STORE_PAYLOAD_MAX + 1};
    static const char payload[MBR__STORE_PAYLOAD_MAX + 1];

    assert_int_equal(mbr__store_request(local_conn(&world, 'a'), &header, payload), -EMSGSIZE);
    header.len = UINT32_MAX;
    assert_int_equal(mbr__store_request(local_conn(&world, 'a'), &header, payload), -EMSGSIZE);
    ASK('a', READ, 0, "/local/domain/|", "!EINVAL");
    ASK('a', READ, 0, "/local/domain|", "!EACCES");
    ASK('a', WRITE, 0, "/local/domain/1/|x", "!EINVAL");
    ASK('a', READ, 0, "/local/domain/99999999999|", "!EACCES");
    ASK('a', WATCH, 0, "/local/domain/|t|", "!EINVAL");
}

/* 349: the path of an event is the changer's, but its cost is bounded for the watcher. */
static void xsa_349_watcher_queue(void **state)
{
    ASK('A', MKDIR, 0, "/shared|", "OK|");
    ASK('A', SET_PERMS, 0, "/shared|b0|", "OK|");
    ASK('b', WATCH, 0, "/shared|t|", "OK|");
    local_drain(&world, 'b');
    for (int i = 0; i < 10000; i++)
        ASK('A', WRITE, 0, "/shared/x|v", "OK|");
    NEXT('b', "@/shared/x|t|");
    NEXT('b', "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(xsa_72_long_replies),        TEST(xsa_115_events_need_permission),
        TEST(xsa_206_writes_are_limited), TEST(xsa_233_targets_and_release),
        TEST(xsa_272_every_node_counts),  TEST(xsa_322_417_domids_used_again),
        TEST(xsa_323_relative_length),    TEST(xsa_324_long_events),
        TEST(xsa_330_484_reset_watches),  TEST(xsa_352_giving_away),
        TEST(xsa_353_the_root),           TEST(xsa_326_unread_replies),
        TEST(xsa_326_unread_events),      TEST(xsa_326_a_flood_of_events),
        TEST(xsa_326_large_transactions), TEST(xsa_415_421_440_failing_transactions),
        TEST(xsa_418_deep_trees),         TEST(xsa_419_483_dead_domains),
        TEST(xsa_420_481_edges),          TEST(xsa_349_watcher_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
