/* SPDX-License-Identifier: MIT */
/*
 * Timers against a list that is searched for its first: the order of all firings is fixed by
 * deadline and setting. Callbacks set, move, cancel and free timers, their own among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "event/timer.h"
#include "failalloc.h"
#include "prop.h"

#define ALARMS 100

struct alarm {
    struct mbr__timer timer;
    struct world *world;
    uint64_t deadline;
    uint64_t setting;
};

struct world {
    struct mbr__timers timers;
    struct alarm *alarms[ALARMS]; /* NULL: not there */
    uint64_t settings;
    uint64_t now;
    size_t fired;
    struct prop *p;
    bool failed;
};

static bool world_check(struct world *w, bool ok, const char *what)
{
    if (!ok && !w->failed) {
        w->failed = true;
        snprintf(w->p->failure, sizeof(w->p->failure), "%s", what);
    }
    return ok;
}

/* The alarm that must fire next, by the model alone. */
static struct alarm *model_first(const struct world *w)
{
    struct alarm *first = NULL;

    for (size_t i = 0; i < ALARMS; i++) {
        struct alarm *alarm = w->alarms[i];

        if (!alarm || !alarm->setting)
            continue;
        if (!first || alarm->deadline < first->deadline ||
            (alarm->deadline == first->deadline && alarm->setting < first->setting))
            first = alarm;
    }
    return first;
}

static size_t model_count(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < ALARMS; i++)
        count += w->alarms[i] && w->alarms[i]->setting;
    return count;
}

static void alarm_fire(struct mbr__timer *timer);

/* Deadlines are few, so that many are equal; some lie in the past, some are never. */
static uint64_t some_deadline(struct world *w)
{
    uint32_t choice = prop_choose(w->p, 32);

    return choice == 31 ? MBR__NEVER : w->now - 5 + choice;
}

static void set_alarm(struct world *w, size_t index)
{
    struct alarm *alarm = w->alarms[index];

    if (!alarm) {
        alarm = calloc(1, sizeof(*alarm));
        if (!alarm)
            abort();
        mbr__timer_init(&alarm->timer, alarm_fire);
        alarm->world = w;
        w->alarms[index] = alarm;
    }
    alarm->deadline = some_deadline(w);
    alarm->setting = ++w->settings;
    world_check(w, mbr__timer_add(&w->timers, &alarm->timer, alarm->deadline) == 0, "add failed");
    world_check(w, mbr__timer_is_set(&alarm->timer), "added and not set");
}

static void cancel_alarm(struct world *w, size_t index, bool forget)
{
    struct alarm *alarm = w->alarms[index];

    if (!alarm)
        return;
    mbr__timer_cancel(&w->timers, &alarm->timer);
    world_check(w, !mbr__timer_is_set(&alarm->timer), "cancelled and yet set");
    alarm->setting = 0;
    if (!forget)
        return;
    free(alarm);
    w->alarms[index] = NULL;
}

static void change(struct world *w)
{
    uint32_t index = prop_choose(w->p, ALARMS);
    uint32_t how = prop_choose(w->p, 8);

    if (how < 5)
        set_alarm(w, index);
    else
        cancel_alarm(w, index, how == 7);
}

static void alarm_fire(struct mbr__timer *timer)
{
    struct alarm *alarm = mbr__container_of(timer, struct alarm, timer);
    struct world *w = alarm->world;

    w->fired++;
    world_check(w, !mbr__timer_is_set(timer), "set inside its callback");
    world_check(w, alarm == model_first(w), "fired out of turn");
    world_check(w, alarm->deadline <= w->now && alarm->deadline != MBR__NEVER, "fired early");
    alarm->setting = 0;
    for (uint32_t changes = prop_choose(w->p, 3); changes > 0; changes--)
        change(w);
}

static void expire(struct world *w)
{
    size_t most = model_count(w);
    size_t fired;
    const struct alarm *first;

    w->now += prop_choose(w->p, 20);
    w->fired = 0;
    fired = mbr__timers_expire(&w->timers, w->now);
    first = model_first(w);
    world_check(w, fired == w->fired && fired <= most, "firings miscounted");
    world_check(w, fired == most || !first || first->deadline > w->now, "stopped early");
}

static void world_steps(struct world *w)
{
    while (!w->failed && prop_more(w->p)) {
        const struct alarm *first;

        if (prop_choose(w->p, 6) == 0)
            expire(w);
        else
            change(w);
        first = model_first(w);
        world_check(w, mbr__timers_next_ns(&w->timers) == (first ? first->deadline : MBR__NEVER),
                    "wrong next deadline");
        world_check(w, w->timers.count == model_count(w), "timers miscounted");
    }
}

static bool timers_like_model(struct prop *p)
{
    struct world *w = calloc(1, sizeof(*w));
    bool ok;

    PROP_CHECK(p, w != NULL);
    w->p = p;
    w->now = 1000;
    mbr__timers_init(&w->timers);
    world_steps(w);
    mbr__timers_fini(&w->timers);
    for (size_t i = 0; i < ALARMS; i++) {
        world_check(w, !w->alarms[i] || !mbr__timer_is_set(&w->alarms[i]->timer), "set after fini");
        free(w->alarms[i]);
    }
    ok = !w->failed;
    free(w);
    return ok;
}

static void behave_like_their_model(void **state)
{
    prop_run("timers_like_model", timers_like_model, 1500);
}

struct again {
    struct mbr__timer timer;
    struct mbr__timers *timers;
    uint32_t fired;
};

static void fire_again(struct mbr__timer *timer)
{
    struct again *again = mbr__container_of(timer, struct again, timer);

    again->fired++;
    assert_int_equal(mbr__timer_add(again->timers, timer, 0), 0);
}

/* A timer that is always late neither keeps the caller in the loop nor is forgotten. */
static void always_late_timer_ends(void **state)
{
    struct mbr__timers timers;
    struct again again = {.timers = &timers};

    mbr__timers_init(&timers);
    mbr__timer_init(&again.timer, fire_again);
    assert_int_equal(mbr__timers_next_ns(&timers), MBR__NEVER);
    assert_int_equal(mbr__timers_expire(&timers, UINT64_MAX), 0);
    assert_int_equal(mbr__timer_add(&timers, &again.timer, 5), 0);
    assert_int_equal(mbr__timers_expire(&timers, 4), 0);
    assert_int_equal(mbr__timers_expire(&timers, 5), 1);
    assert_int_equal(mbr__timers_next_ns(&timers), 0);
    assert_int_equal(mbr__timers_expire(&timers, 5), 1);
    assert_int_equal(again.fired, 2);
    mbr__timers_fini(&timers);
}

static void ignore_timer(struct mbr__timer *timer)
{
}

static void never_never_fires(void **state)
{
    struct mbr__timers timers;
    struct mbr__timer timer;

    mbr__timers_init(&timers);
    mbr__timer_init(&timer, ignore_timer);
    assert_int_equal(mbr__timer_add(&timers, &timer, MBR__NEVER), 0);
    assert_int_equal(mbr__timers_expire(&timers, UINT64_MAX), 0);
    assert_true(mbr__timer_is_set(&timer));
    mbr__timers_fini(&timers);
    assert_false(mbr__timer_is_set(&timer));
}

static void survive_without_memory(void **state)
{
    static struct mbr__timer timer[200];
    struct mbr__timers timers;
    uint32_t failures = 0;

    mbr__timers_init(&timers);
    for (uint32_t i = 0; i < 200; i++) {
        int error;

        mbr__timer_init(&timer[i], ignore_timer);
        failalloc_arm(0);
        error = mbr__timer_add(&timers, &timer[i], 1000 - i);
        assert_int_equal(error, failalloc_disarm() ? -ENOMEM : 0);
        if (error) {
            failures++;
            assert_false(mbr__timer_is_set(&timer[i]));
            assert_int_equal(timers.count, i);
            assert_int_equal(mbr__timer_add(&timers, &timer[i], 1000 - i), 0);
        }
        assert_int_equal(mbr__timers_next_ns(&timers), 1000 - i);
    }
    assert_int_equal(failures, 5);
    assert_int_equal(mbr__timers_expire(&timers, 1000), 200);
    mbr__timers_fini(&timers);
}

static void reserve_memory(void **state)
{
    static struct mbr__timer timer[200];
    struct mbr__timers timers;
    uint64_t allocations;

    mbr__timers_init(&timers);
    assert_int_equal(mbr__timers_reserve(&timers, SIZE_MAX), -ENOMEM);
    assert_int_equal(mbr__timers_reserve(&timers, 200), 0);
    allocations = failalloc_count();
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 200; i++) {
            mbr__timer_init(&timer[i], ignore_timer);
            assert_int_equal(mbr__timer_add(&timers, &timer[i], i * 7919u % 200), 0);
        }
        assert_int_equal(mbr__timers_expire(&timers, 199), 200);
    }
    assert_int_equal(failalloc_count(), allocations);
    mbr__timers_fini(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behave_like_their_model), cmocka_unit_test(always_late_timer_ends),
        cmocka_unit_test(never_never_fires),       cmocka_unit_test(survive_without_memory),
        cmocka_unit_test(reserve_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
