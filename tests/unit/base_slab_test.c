/* SPDX-License-Identifier: MIT */
/*
 * The slab against a plain array of what is in use, the naming of freed objects, and what happens
 * when there is no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slab.h"
#include "failalloc.h"
#include "prop.h"

#define MODEL_MAX 600

/* What is in use, and the names of what was. */
struct model {
    uint64_t *live[MODEL_MAX];
    uint64_t handles[MODEL_MAX];
    uint64_t marks[MODEL_MAX];
    uint32_t count;
    uint64_t stale[MODEL_MAX];
    uint32_t stale_count;
    uint64_t next_mark;
};

static bool step_alloc(struct prop *p, struct mbr__slab *slab, struct model *m, uint32_t limit)
{
    uint64_t *object = mbr__slab_alloc(slab);

    PROP_CHECK(p, (object == NULL) == (m->count == limit));
    if (!object)
        return true;
    PROP_CHECK(p, (uintptr_t)object % _Alignof(max_align_t) == 0);
    m->live[m->count] = object;
    m->handles[m->count] = mbr__slab_handle(slab, object);
    m->marks[m->count] = m->next_mark;
    object[0] = object[1] = object[2] = m->next_mark++;
    m->count++;
    return true;
}

static bool step_free(struct prop *p, struct mbr__slab *slab, struct model *m)
{
    uint32_t victim;
    uint64_t *again;

    if (m->count == 0)
        return true;
    victim = prop_choose(p, m->count);
    m->stale[m->stale_count++ % MODEL_MAX] = m->handles[victim];
    mbr__slab_free(slab, m->live[victim]);
    if (prop_choose(p, 4) == 0) {
        /* The slot freed last is used first, under another name. */
        again = mbr__slab_alloc(slab);
        PROP_CHECK(p, again == m->live[victim]);
        PROP_CHECK(p, mbr__slab_handle(slab, again) != m->handles[victim]);
        mbr__slab_free(slab, again);
    }
    m->count--;
    m->live[victim] = m->live[m->count];
    m->handles[victim] = m->handles[m->count];
    m->marks[victim] = m->marks[m->count];
    return true;
}

static bool check_all(struct prop *p, const struct mbr__slab *slab, const struct model *m)
{
    uint32_t cursor = 0;
    uint32_t met = 0;

    PROP_CHECK(p, mbr__slab_count(slab) == m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        PROP_CHECK(p, m->live[i][0] == m->marks[i] && m->live[i][2] == m->marks[i]);
        PROP_CHECK(p, mbr__slab_from_handle(slab, m->handles[i]) == m->live[i]);
        PROP_CHECK(p, mbr__slab_at(slab, mbr__slab_index(m->live[i])) == m->live[i]);
    }
    for (uint32_t i = 0; i < m->stale_count && i < MODEL_MAX; i++)
        PROP_CHECK(p, mbr__slab_from_handle(slab, m->stale[i]) == NULL);
    while (mbr__slab_next(slab, &cursor))
        met++;
    PROP_CHECK(p, met == m->count);
    return true;
}

static bool random_operations(struct prop *p, struct mbr__slab *slab, uint32_t limit)
{
    struct model m = {.count = 0, .next_mark = 1};

    while (prop_more(p)) {
        bool ok = prop_choose(p, 5) < 3 ? step_alloc(p, slab, &m, limit) : step_free(p, slab, &m);

        if (!ok)
            return false;
        if (prop_choose(p, 16) == 0 && !check_all(p, slab, &m))
            return false;
    }
    return check_all(p, slab, &m);
}

static bool slab_like_model(struct prop *p)
{
    uint32_t limit = 1 + prop_choose(p, MODEL_MAX - 1);
    struct mbr__slab slab;
    bool ok;

    PROP_CHECK(p, mbr__slab_init(&slab, 3 * sizeof(uint64_t), limit) == 0);
    ok = random_operations(p, &slab, limit);
    mbr__slab_fini(&slab);
    return ok;
}

static void behaves_like_its_model(void **state)
{
    prop_run("slab_like_model", slab_like_model, 1000);
}

static void refuses_bad_sizes(void **state)
{
    struct mbr__slab slab;

    assert_int_equal(mbr__slab_init(&slab, 0, 1), -EINVAL);
    assert_int_equal(mbr__slab_init(&slab, 1, 0), -EINVAL);
    assert_int_equal(mbr__slab_init(&slab, 1, MBR__SLAB_MAX + 1), -EINVAL);
    assert_int_equal(mbr__slab_init(&slab, SIZE_MAX, 1), -EINVAL);
    assert_int_equal(mbr__slab_init(&slab, 1, MBR__SLAB_MAX), 0);
    mbr__slab_fini(&slab);
}

static void knows_what_is_no_handle(void **state)
{
    struct mbr__slab slab;
    void *object;

    assert_int_equal(mbr__slab_init(&slab, 8, 1), 0);
    assert_null(mbr__slab_from_handle(&slab, MBR__SLAB_NO_HANDLE));
    assert_null(mbr__slab_from_handle(&slab, UINT64_MAX));
    object = mbr__slab_alloc(&slab);
    assert_non_null(object);
    assert_null(mbr__slab_alloc(&slab));
    assert_null(mbr__slab_from_handle(&slab, MBR__SLAB_NO_HANDLE));
    assert_null(mbr__slab_from_handle(&slab, UINT64_MAX));
    /* A neighbouring index, and the generation of the slot when it is free. */
    assert_null(mbr__slab_from_handle(&slab, mbr__slab_handle(&slab, object) ^ 1));
    assert_null(mbr__slab_from_handle(&slab, mbr__slab_handle(&slab, object) + 2));
    mbr__slab_free(&slab, object);
    mbr__slab_free(&slab, NULL);
    assert_int_equal(mbr__slab_count(&slab), 0);
    mbr__slab_fini(&slab);
}

/* Ages a slot to its last generation: it must then be given up, and the limit must still hold. */
static void retires_worn_out_slots(void **state)
{
    struct mbr__slab slab;
    struct mbr__slab_slot *slot;
    uint64_t last;
    void *object;

    assert_int_equal(mbr__slab_init(&slab, 8, 2), 0);
    object = mbr__slab_alloc(&slab);
    slot = (void *)((unsigned char *)object - offsetof(struct mbr__slab_slot, object));
    slot->generation = UINT64_MAX >> slab.index_bits;
    last = mbr__slab_handle(&slab, object);
    assert_ptr_equal(mbr__slab_from_handle(&slab, last), object);
    mbr__slab_free(&slab, object);
    assert_null(mbr__slab_from_handle(&slab, last));
    assert_int_equal(mbr__slab_count(&slab), 0);
    assert_ptr_not_equal(mbr__slab_alloc(&slab), object);
    /* Two more slots fit in the handles' index, so both objects of the limit can still be had. */
    assert_non_null(mbr__slab_alloc(&slab));
    assert_null(mbr__slab_alloc(&slab));
    mbr__slab_fini(&slab);
}

static void survives_without_memory(void **state)
{
    struct mbr__slab slab;
    uint32_t before = 0;

    assert_int_equal(mbr__slab_init(&slab, 24, 1000), 0);
    /* The chunks for 16, 32, 64 ... objects: each allocation of memory fails once. */
    for (uint32_t count = 0; count < 1000; count++) {
        void *object;
        bool failed;

        failalloc_arm(0);
        object = mbr__slab_alloc(&slab);
        failed = failalloc_disarm();
        assert_int_equal(failed, object == NULL);
        before += failed;
        if (failed)
            object = mbr__slab_alloc(&slab);
        assert_non_null(object);
        assert_int_equal(mbr__slab_count(&slab), count + 1);
    }
    assert_int_equal(before, 6);
    mbr__slab_fini(&slab);
}

static void reserves(void **state)
{
    struct mbr__slab slab;
    uint64_t allocations;

    assert_int_equal(mbr__slab_init(&slab, 24, 500), 0);
    assert_int_equal(mbr__slab_reserve(&slab, 501), -ENOSPC);
    failalloc_arm(1);
    assert_int_equal(mbr__slab_reserve(&slab, 500), -ENOMEM);
    assert_true(failalloc_disarm());
    assert_int_equal(mbr__slab_count(&slab), 0);
    assert_int_equal(mbr__slab_reserve(&slab, 500), 0);
    allocations = failalloc_count();
    for (int round = 0; round < 3; round++) {
        uint32_t cursor = 0;
        void *object;

        for (int i = 0; i < 500; i++)
            assert_non_null(mbr__slab_alloc(&slab));
        assert_null(mbr__slab_alloc(&slab));
        /* The object met may be freed on the way. */
        while ((object = mbr__slab_next(&slab, &cursor)) != NULL)
            mbr__slab_free(&slab, object);
        assert_int_equal(mbr__slab_count(&slab), 0);
    }
    assert_int_equal(failalloc_count(), allocations);
    mbr__slab_fini(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_its_model),  cmocka_unit_test(refuses_bad_sizes),
        cmocka_unit_test(knows_what_is_no_handle), cmocka_unit_test(retires_worn_out_slots),
        cmocka_unit_test(survives_without_memory), cmocka_unit_test(reserves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
