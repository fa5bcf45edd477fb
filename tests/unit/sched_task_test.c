/* SPDX-License-Identifier: MIT */
/*
 * The scheduler against a model that knows which tasks are due, and how often others have been
 * called since: whoever is called must be due, nobody may be passed over more than twice by any
 * other, and idle means that nobody is due. The tasks wake, add, remove and free each other and
 * themselves while they run; their memory is freed at removal, so that any late look at it is seen
 * by AddressSanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "failalloc.h"
#include "prop.h"
#include "sched/sched.h"

#define UNITS 200
#define STALE 64

struct world {
    struct mbr__sched sched;
    struct unit *units[UNITS]; /* NULL: not there */
    uint32_t count;
    uint64_t stale[STALE];
    uint32_t stale_count;
    size_t calls;
    struct prop *p;
    bool failed;
};

struct unit {
    struct mbr__task task;
    struct world *world;
    uint32_t index;
    bool due;
    bool done; /* has returned DONE: to be freed when the scheduler has let go of it */
    uint64_t id;
    uint8_t passed_by[UNITS]; /* calls of each other unit since it became due */
};

static enum mbr__task_result unit_poll(struct mbr__task *task);

static bool world_check(struct world *w, bool ok, const char *what)
{
    if (!ok && !w->failed) {
        w->failed = true;
        snprintf(w->p->failure, sizeof(w->p->failure), "%s", what);
    }
    return ok;
}

static void add_unit(struct world *w, uint32_t index)
{
    struct unit *unit = calloc(1, sizeof(*unit));

    if (!unit)
        abort();
    mbr__task_init(&unit->task, unit_poll);
    unit->world = w;
    unit->index = index;
    unit->due = true;
    world_check(w, mbr__sched_add(&w->sched, &unit->task) == 0, "add failed");
    unit->id = mbr__task_id(&unit->task);
    w->units[index] = unit;
    w->count++;
}

/* The model's part of a removal, and the freeing. */
static void forget_unit(struct world *w, uint32_t index)
{
    w->stale[w->stale_count++ % STALE] = w->units[index]->id;
    free(w->units[index]);
    w->units[index] = NULL;
    w->count--;
    /* Who comes to this place next is another task. */
    for (uint32_t i = 0; i < UNITS; i++)
        if (w->units[i])
            w->units[i]->passed_by[index] = 0;
}

static void wake_unit(struct world *w, struct unit *unit)
{
    if (prop_choose(w->p, 2))
        mbr__sched_wake(&unit->task);
    else
        world_check(w, mbr__sched_wake_id(&w->sched, unit->id), "wake_id knows no living task");
    if (!unit->due)
        memset(unit->passed_by, 0, sizeof(unit->passed_by));
    unit->due = true;
}

/* One random change; RUNNING is the unit whose poll does it, or NULL. Returns false if it died. */
static bool change(struct world *w, struct unit *running)
{
    uint32_t index = prop_choose(w->p, UNITS);
    struct unit *unit = w->units[index];

    switch (prop_choose(w->p, 6)) {
    case 0:
        if (!unit)
            add_unit(w, index);
        return true;
    case 1:
        if (!unit)
            return true;
        mbr__sched_remove(&unit->task);
        world_check(w, !mbr__task_active(&unit->task), "removed and yet active");
        mbr__sched_remove(&unit->task);
        mbr__sched_wake(&unit->task);
        forget_unit(w, index);
        return unit != running;
    case 2:
        for (uint32_t i = 0; i < w->stale_count && i < STALE; i++)
            world_check(w, !mbr__sched_wake_id(&w->sched, w->stale[i]), "stale id woke a task");
        return true;
    case 3:
        if (running)
            wake_unit(w, running);
        return true;
    default:
        if (unit)
            wake_unit(w, unit);
        return true;
    }
}

/* What the model says of the call of UNIT. */
static void check_call(struct world *w, struct unit *unit)
{
    world_check(w, unit->due && !unit->done, "called without being due");
    unit->due = false;
    for (uint32_t i = 0; i < UNITS; i++)
        if (w->units[i] && w->units[i]->due)
            world_check(w, ++w->units[i]->passed_by[unit->index] <= 2, "passed over three times");
}

static enum mbr__task_result unit_poll(struct mbr__task *task)
{
    struct unit *unit = mbr__container_of(task, struct unit, task);
    struct world *w = unit->world;
    uint32_t changes = prop_choose(w->p, 4);

    w->calls++;
    check_call(w, unit);
    while (changes-- > 0)
        if (!change(w, unit))
            return prop_choose(w->p, 2) ? MBR__TASK_DONE : MBR__TASK_PENDING;
    if (prop_choose(w->p, 8))
        return MBR__TASK_PENDING;
    unit->due = false;
    unit->done = true;
    return MBR__TASK_DONE;
}

/* Frees the units whose polls have returned DONE. */
static void reap(struct world *w)
{
    for (uint32_t i = 0; i < UNITS; i++) {
        if (!w->units[i] || !w->units[i]->done)
            continue;
        world_check(w, !mbr__task_active(&w->units[i]->task), "done and yet active");
        forget_unit(w, i);
    }
}

static bool model_idle(const struct world *w)
{
    for (uint32_t i = 0; i < UNITS; i++)
        if (w->units[i] && w->units[i]->due)
            return false;
    return true;
}

static void world_steps(struct world *w)
{
    while (!w->failed && prop_more(w->p)) {
        size_t max = prop_choose(w->p, 3);
        size_t called;

        if (prop_choose(w->p, 3)) {
            (void)change(w, NULL);
        } else {
            /* One call at a time, so that those who are done are buried before anything else. */
            w->calls = 0;
            for (called = 0; called < max && mbr__sched_run_one(&w->sched); called++)
                reap(w);
            world_check(w, w->calls == called, "calls miscounted");
            world_check(w, called == max || model_idle(w), "stopped early");
        }
        world_check(w, mbr__sched_count(&w->sched) == w->count, "tasks miscounted");
        world_check(w, mbr__sched_idle(&w->sched) == model_idle(w), "idle is wrong");
    }
}

static bool sched_like_model(struct prop *p)
{
    struct world *w = calloc(1, sizeof(*w));
    bool ok;

    PROP_CHECK(p, w != NULL);
    w->p = p;
    mbr__sched_init(&w->sched);
    world_steps(w);
    mbr__sched_fini(&w->sched);
    for (uint32_t i = 0; i < UNITS; i++) {
        world_check(w, !w->units[i] || !mbr__task_active(&w->units[i]->task), "active after fini");
        free(w->units[i]);
    }
    ok = !w->failed;
    free(w);
    return ok;
}

static void behaves_like_its_model(void **state)
{
    prop_run("sched_like_model", sched_like_model, 1500);
}

struct counter {
    struct mbr__task task;
    uint32_t calls;
    uint32_t again; /* times it wakes itself */
};

static enum mbr__task_result count_call(struct mbr__task *task)
{
    struct counter *counter = mbr__container_of(task, struct counter, task);

    counter->calls++;
    if (counter->again > 0) {
        counter->again--;
        mbr__sched_wake(task);
    }
    return MBR__TASK_PENDING;
}

/* As many as there may be, and one more. */
static void holds_a_quarter_million_tasks(void **state)
{
    struct counter *counters = calloc(MBR__SCHED_MAX + 1, sizeof(*counters));
    struct mbr__sched sched;

    assert_non_null(counters);
    mbr__sched_init(&sched);
    assert_int_equal(mbr__sched_reserve(&sched, MBR__SCHED_MAX + 1), -ENOSPC);
    for (uint32_t i = 0; i <= MBR__SCHED_MAX; i++) {
        mbr__task_init(&counters[i].task, count_call);
        assert_int_equal(mbr__sched_add(&sched, &counters[i].task),
                         i < MBR__SCHED_MAX ? 0 : -ENOSPC);
    }
    assert_false(mbr__task_active(&counters[MBR__SCHED_MAX].task));
    assert_int_equal(mbr__sched_run(&sched, SIZE_MAX), MBR__SCHED_MAX);
    for (uint32_t i = 0; i < MBR__SCHED_MAX; i += 4099)
        mbr__sched_wake(&counters[i].task);
    assert_int_equal(mbr__sched_run(&sched, SIZE_MAX), MBR__SCHED_MAX / 4099 + 1);
    for (uint32_t i = 0; i < MBR__SCHED_MAX; i++)
        assert_int_equal(counters[i].calls, i % 4099 == 0 ? 2 : 1);
    mbr__sched_fini(&sched);
    free(counters);
}

/* A task in the first slot that is always ready delays nobody, in whatever word they are. */
static void self_waking_task_starves_nobody(void **state)
{
    static struct counter greedy, others[300];
    struct mbr__sched sched;

    mbr__sched_init(&sched);
    mbr__task_init(&greedy.task, count_call);
    assert_int_equal(mbr__sched_add(&sched, &greedy.task), 0);
    for (size_t i = 0; i < 300; i++) {
        mbr__task_init(&others[i].task, count_call);
        assert_int_equal(mbr__sched_add(&sched, &others[i].task), 0);
    }
    greedy.again = UINT32_MAX;
    assert_int_equal(mbr__sched_run(&sched, 301), 301);
    assert_int_equal(greedy.calls, 1);
    for (int i = 0; i < 10; i++)
        assert_true(mbr__sched_run_one(&sched));
    assert_int_equal(greedy.calls, 11);
    mbr__sched_wake(&others[299].task);
    assert_int_equal(mbr__sched_run(&sched, 3), 3);
    assert_int_equal(others[299].calls, 2);
    mbr__sched_fini(&sched);
}

static void adds_and_runs_without_allocating(void **state)
{
    static struct counter counters[100];
    struct mbr__sched sched;
    uint64_t allocations;

    mbr__sched_init(&sched);
    assert_false(mbr__sched_run_one(&sched));
    assert_int_equal(mbr__sched_reserve(&sched, 100), 0);
    allocations = failalloc_count();
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 100; i++) {
            mbr__task_init(&counters[i].task, count_call);
            assert_int_equal(mbr__sched_add(&sched, &counters[i].task), 0);
        }
        assert_int_equal(mbr__sched_run(&sched, 1000), 100);
        for (size_t i = 0; i < 100; i++)
            mbr__sched_remove(&counters[i].task);
        assert_true(mbr__sched_idle(&sched));
    }
    assert_int_equal(failalloc_count(), allocations);
    mbr__sched_fini(&sched);
}

static void survives_without_memory(void **state)
{
    static struct counter counters[300];
    struct mbr__sched sched;
    uint32_t failures = 0;

    mbr__sched_init(&sched);
    for (uint32_t i = 0; i < 300; i++) {
        int error = -ENOMEM;

        mbr__task_init(&counters[i].task, count_call);
        for (unsigned int n = 0; error; n++) {
            assert_false(mbr__task_active(&counters[i].task));
            assert_int_equal(mbr__sched_count(&sched), i);
            failalloc_arm(n);
            error = mbr__sched_add(&sched, &counters[i].task);
            assert_int_equal(error, failalloc_disarm() ? -ENOMEM : 0);
            failures += error != 0;
        }
    }
    /* Five pages, and twice the table of pages: when it is made, and when it grows. */
    assert_int_equal(failures, 7);
    assert_int_equal(mbr__sched_run(&sched, 1000), 300);
    mbr__sched_fini(&sched);
}

/* A slot whose names have run out is not used again. */
static void retires_worn_out_slots(void **state)
{
    static struct counter a, b;
    struct mbr__sched sched;
    uint64_t id;

    mbr__sched_init(&sched);
    mbr__task_init(&a.task, count_call);
    assert_int_equal(mbr__sched_add(&sched, &a.task), 0);
    sched.pages[0]->generations[0] = UINT64_MAX >> MBR__SCHED_SLOT_BITS;
    id = mbr__task_id(&a.task);
    assert_true(mbr__sched_wake_id(&sched, id));
    mbr__sched_remove(&a.task);
    assert_false(mbr__sched_wake_id(&sched, id));
    assert_false(mbr__sched_wake_id(&sched, 0));
    assert_false(mbr__sched_wake_id(&sched, UINT64_MAX));
    mbr__task_init(&b.task, count_call);
    assert_int_equal(mbr__sched_add(&sched, &b.task), 0);
    assert_true(b.task.bit == 2);
    mbr__sched_fini(&sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_its_model),
        cmocka_unit_test(holds_a_quarter_million_tasks),
        cmocka_unit_test(self_waking_task_starves_nobody),
        cmocka_unit_test(adds_and_runs_without_allocating),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(retires_worn_out_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
