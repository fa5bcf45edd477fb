/* SPDX-License-Identifier: MIT */
/* The spin budget: grows with what it buys, shrinks with silence, and pauses for a growing while
 * when the message always comes right after we have parked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/spin.h"

#define SOON 5000u    /* parked so briefly that the peer must have needed our CPU */
#define LONG 9999999u /* parked longer than any spin */

static void long_silence_ends_spinning(void **state)
{
    struct mbr__spin s;
    uint64_t before;

    mbr__spin_init(&s);
    assert_int_equal(s.budget, MBR__SPIN_FIRST_NS);
    do {
        before = s.budget;
        mbr__spin_lost(&s, before, LONG);
        assert_true(s.budget < before);
    } while (s.budget > 0);
}

static void short_silence_brings_it_back(void **state)
{
    struct mbr__spin s;

    mbr__spin_init(&s);
    s.budget = 0;
    mbr__spin_lost(&s, 0, MBR__SPIN_MAX_NS / 2);
    assert_true(s.budget >= MBR__SPIN_LEAST_NS);
    for (int i = 0; i < 20; i++)
        mbr__spin_lost(&s, s.budget, MBR__SPIN_MAX_NS / 2);
    assert_int_equal(s.budget, MBR__SPIN_MAX_NS);
}

static void a_slow_peer_gets_more(void **state)
{
    struct mbr__spin s;

    mbr__spin_init(&s);
    mbr__spin_won(&s, 20000);
    assert_int_equal(s.budget, 80000);
    mbr__spin_won(&s, 90000);
    assert_int_equal(s.budget, MBR__SPIN_MAX_NS);
}

/* How many parks follow without a spin once three in a row were in vain. */
static uint32_t sentence_after_three(struct mbr__spin *s)
{
    uint32_t parks = 0;

    for (int i = 0; i < 3; i++) {
        assert_true(s->budget > 0);
        mbr__spin_lost(s, MBR__SPIN_MAX_NS, SOON);
    }
    while (s->budget == 0) {
        mbr__spin_lost(s, 0, SOON);
        parks++;
    }
    return parks - 1; /* the last one gave a budget again */
}

static void vain_spins_cost_more_each_time(void **state)
{
    struct mbr__spin s;
    uint32_t parks = 16;

    mbr__spin_init(&s);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sentence_after_three(&s), parks);
        if (parks < 1024)
            parks *= 2;
    }
    mbr__spin_won(&s, 1000);
    assert_int_equal(sentence_after_three(&s), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_silence_ends_spinning),
        cmocka_unit_test(short_silence_brings_it_back),
        cmocka_unit_test(a_slow_peer_gets_more),
        cmocka_unit_test(vain_spins_cost_more_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
