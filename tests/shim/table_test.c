/* SPDX-License-Identifier: MIT */
/*
 * The shim's descriptor table and its latch, in this process: against a model, with threads, with
 * failing allocations. The shim's sources are part of this program; its calls are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../shim/conn.h"
#include "../../shim/epoll.h"
#include "../../shim/latch.h"
#include "../../shim/table.h"
#include "../unit/failalloc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the table calls when an object dies ---- */

static unsigned died;

void shim_conn_dead(struct shim_conn *c)
{
    __atomic_fetch_add(&died, 1, __ATOMIC_RELAXED);
    shim_free_list_put(&c->object);
}

void shim_epoll_dead(struct shim_epoll *e)
{
    __atomic_fetch_add(&died, 1, __ATOMIC_RELAXED);
    shim_free_list_put(&e->object);
}

/* An object with one reference, which is the caller's. */
static struct shim_object *fresh(void)
{
    struct shim_object *o = shim_free_list_take(SHIM_CONN);

    if (o == NULL)
        o = calloc(1, sizeof(struct shim_conn));
    if (o == NULL)
        return NULL;
    o->kind = SHIM_CONN;
    __atomic_store_n(&o->refs, 1, __ATOMIC_RELEASE);
    return o;
}

/* ---- against a model ---- */

#define FDS 6000 /* more than one part of the table */

static void each(int fd, struct shim_object *o, void *arg)
{
    struct shim_object **model = arg;

    assert_ptr_equal(o, model[fd]);
    model[fd] = NULL;
}

/* Puts in, replaces, duplicates and takes out at random; the table says what the model says, and an
 * object lives as long as something in the model means it. */
static void model(void **state)
{
    static struct shim_object *mine[FDS];
    static struct shim_object *left[FDS];
    uint64_t chance = 1;
    unsigned made = 0;

    died = 0;
    for (int round = 0; round < 200000; round++) {
        struct shim_object *old = NULL;
        struct shim_object *o = NULL;
        int fd, from;

        chance = chance * 6364136223846793005u + 1442695040888963407u;
        fd = (int)((chance >> 33) % FDS);
        from = (int)((chance >> 45) % FDS);
        switch (chance >> 62) {
        case 0: /* a new one */
            o = fresh();
            made++;
            assert_true(shim_table_set(fd, o, &old));
            break;
        case 1: /* a duplicate */
            o = shim_table_get(from);
            assert_ptr_equal(o, mine[from]);
            assert_true(shim_table_set(fd, o, &old));
            break;
        case 2: /* closed */
            assert_true(shim_table_set(fd, NULL, &old));
            break;
        default:
            assert_ptr_equal(shim_table_peek(fd), mine[fd]);
            o = mine[fd];
            fd = -1;
            if (o != NULL)
                assert_true(__atomic_load_n(&o->refs, __ATOMIC_RELAXED) > 0);
            o = NULL;
        }
        if (fd >= 0)
            mine[fd] = o;
        if (o != NULL)
            shim_unref(o);
        if (old != NULL) { /* its last slot went */
            for (int i = 0; i < FDS && round % 64 == 0; i++)
                assert_true(mine[i] != old || old == o);
            shim_unref(old);
        }
    }
    memcpy(left, mine, sizeof(mine));
    shim_table_each(0, FDS + 100, each, left);
    for (int i = 0; i < FDS; i++)
        assert_null(left[i]);
    for (int i = 0; i < FDS; i++) {
        struct shim_object *old = NULL;

        assert_true(shim_table_set(i, NULL, &old));
        if (old != NULL)
            shim_unref(old);
    }
    assert_int_equal(died, made);
    assert_true(shim_table_end() <= FDS);
}

static void out_of_range(void **state)
{
    struct shim_object *o = fresh();

    assert_null(shim_table_peek(-1));
    assert_null(shim_table_get(-1));
    assert_null(shim_table_get(4096 * 512));
    assert_false(shim_table_set(-1, o, NULL));
    assert_false(shim_table_set(4096 * 512, o, NULL));
    assert_true(shim_table_set(4096 * 512, NULL, NULL));
    assert_int_equal(o->refs, 1);
    shim_unref(o);
}

/* No memory for a part of the table: nothing has changed. */
static void no_memory(void **state)
{
    struct shim_object *o = fresh();

    failalloc_arm(0);
    assert_false(shim_table_set(100000, o, NULL));
    assert_true(failalloc_disarm());
    assert_int_equal(o->refs, 1);
    assert_int_equal(o->slots, 0);
    assert_null(shim_table_peek(100000));
    assert_true(shim_table_set(100000, o, NULL));
    assert_ptr_equal(shim_table_peek(100000), o);
    assert_true(shim_table_set(100000, NULL, NULL));
    shim_unref(o);
}

/* ---- threads ---- */

#define BUSY 8 /* descriptors that all threads fight for */

static int stop;

/* What is looked up is alive while it is held, and of its kind. */
static void *looks_up(void *arg)
{
    unsigned *seen = arg;

    for (unsigned i = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
        struct shim_object *o = shim_table_get((int)(i % BUSY));

        if (o == NULL)
            continue;
        if (__atomic_load_n(&o->refs, __ATOMIC_RELAXED) == 0 || o->kind != SHIM_CONN)
            abort();
        shim_unref(o);
        ++*seen;
    }
    return NULL;
}

static void *comes_and_goes(void *arg)
{
    unsigned *made = arg;

    for (unsigned i = 0; i < 60000; i++) {
        struct shim_object *old = NULL;
        struct shim_object *o = i % 3 == 0 ? NULL : fresh();

        *made += o != NULL;
        (void)shim_table_set((int)(i * 7 % BUSY), o, &old);
        if (o != NULL)
            shim_unref(o);
        if (old != NULL)
            shim_unref(old);
    }
    return NULL;
}

static void threads(void **state)
{
    pthread_t lookers[2], makers[2];
    unsigned seen[2] = {0}, made[2] = {0};

    died = 0;
    stop = 0;
    for (int i = 0; i < 2; i++) {
        pthread_create(&lookers[i], NULL, looks_up, &seen[i]);
        pthread_create(&makers[i], NULL, comes_and_goes, &made[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(makers[i], NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(lookers[i], NULL);
    for (int i = 0; i < BUSY; i++) {
        struct shim_object *old = NULL;

        (void)shim_table_set(i, NULL, &old);
        if (old != NULL)
            shim_unref(old);
    }
    assert_int_equal(died, made[0] + made[1]);
}

/* ---- the latch ---- */

static uint32_t latch;
static uint64_t guarded;

static void *counts(void *arg)
{
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(shim_latch(&latch, true), 0);
        guarded++;
        shim_unlatch(&latch);
    }
    return NULL;
}

static void *tries(void *arg)
{
    *(int *)arg = shim_latch(&latch, false);
    return NULL;
}

static void latches(void **state)
{
    pthread_t all[4];
    int other = 1;

    guarded = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&all[i], NULL, counts, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(all[i], NULL);
    assert_int_equal(guarded, 400000);
    assert_int_equal(latch, 0);

    assert_int_equal(shim_latch(&latch, true), 0);
    assert_int_equal(shim_latch(&latch, true), -EDEADLK);
    assert_int_equal(shim_latch(&latch, false), -EDEADLK);
    pthread_create(&all[0], NULL, tries, &other);
    pthread_join(all[0], NULL);
    assert_int_equal(other, -EAGAIN);
    shim_unlatch(&latch);
    assert_int_equal(shim_latch(&latch, false), 0);
    shim_unlatch(&latch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model),   cmocka_unit_test(out_of_range), cmocka_unit_test(no_memory),
        cmocka_unit_test(threads), cmocka_unit_test(latches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
