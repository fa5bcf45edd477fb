/* SPDX-License-Identifier: MIT */
/*
 * Instances in several threads of one process, joined by pipes: what belongs to the process (memory
 * pools, the directory of names, what is cached about processes) is used by all at once. Best run
 * under TSan. Also that the end of a thread's instance is an orderly end for its peer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "native_util.h"

#include <cmocka.h>

#define PAIRS 4
#define TRIPS 500

struct side {
    int pair;
    bool creates;
};

static void exchange(struct mbr_libos *l, int qd, bool creates)
{
    for (uint64_t i = 0; i < TRIPS; i++) {
        size_t size = i % 100 == 99 ? 200000 : 1 + i * 7;
        if (creates)
            native_push(l, qd, size, i);
        native_pop(l, qd, size, creates ? ~i : i);
        if (!creates)
            native_push(l, qd, size, ~i);
    }
}

/* By reference: memory of one thread, read and given back by the other. */
static void lend(struct mbr_libos *l, int qd)
{
    for (uint64_t i = 0; i < TRIPS; i++) {
        demi_sgarray_t sga;
        demi_qtoken_t qt;
        int rc;
        while ((rc = mbr_lend_alloc(l, qd, 50000, &sga)) == -EAGAIN)
            sched_yield();
        CHECK_INT(rc, 0);
        stage_fill(sga.sga_segs[0].sgaseg_buf, 50000, i);
        CHECK_INT(mbr_push(l, qd, &sga, &qt), 0);
        CHECK_INT(mbr_sga_free(&sga), 0);
        demi_qresult_t qr = native_finish(l, qt);
        native_expect(&qr, DEMI_OPC_PUSH, 0);
    }
}

static void borrow(struct mbr_libos *l, int qd)
{
    for (uint64_t i = 0; i < TRIPS; i++) {
        demi_qtoken_t qt;
        CHECK_INT(mbr_pop_in_place(l, qd, &qt), 0);
        demi_qresult_t qr = native_finish(l, qt);
        native_expect_message(&qr, 50000, i);
    }
}

static void *play_side(void *arg)
{
    const struct side *side = arg;
    struct mbr_libos *l = open_libos();
    char name[32];

    snprintf(name, sizeof(name), "threads-%d", side->pair);
    int qd = side->creates ? native_create(l, name) : native_open_soon(l, name);
    exchange(l, qd, side->creates);
    (side->creates ? lend : borrow)(l, qd);
    if (side->creates) {
        native_push(l, qd, 10, 1);
        CHECK_INT(mbr_close(l, qd), 0);
    } else {
        native_pop(l, qd, 10, 1);
        native_pop_eof(l, qd);
    }
    mbr_libos_close(l);
    return NULL;
}

static void many_threads(void **state)
{
    pthread_t threads[2 * PAIRS];
    struct side sides[2 * PAIRS];

    for (int i = 0; i < 2 * PAIRS; i++) {
        sides[i] = (struct side){i / 2, i % 2};
        CHECK(pthread_create(&threads[i], NULL, play_side, &sides[i]) == 0);
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_INT(stage_count_entries(stage_names_dir()), 0);
}

/* Messages that one thread popped are freed by another, while both go on. */
static demi_sgarray_t handed_over[1000];

static void *free_all(void *arg)
{
    for (size_t i = 0; i < 1000; i++) {
        CHECK(stage_filled(handed_over[i].sga_segs[0].sgaseg_buf, 500, i));
        CHECK_INT(mbr_sga_free(&handed_over[i]), 0);
    }
    return NULL;
}

static void popped_here_freed_there(void **state)
{
    struct mbr_libos *l = open_libos();
    int made = native_create(l, "handed"), opened = native_open(l, "handed");
    pthread_t thread;

    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 1000; i++) {
            native_push(l, made, 500, i);
            demi_qresult_t qr = native_finish(l, native_start_pop(l, opened, 0));
            native_expect(&qr, DEMI_OPC_POP, 0);
            handed_over[i] = qr.qr_value.sga;
        }
        CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
        for (uint64_t i = 0; i < 300; i++) {
            native_push(l, made, 500, i);
            native_pop(l, opened, 500, i);
        }
        CHECK(pthread_join(thread, NULL) == 0);
    }
    mbr_libos_close(l);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads),
        cmocka_unit_test(popped_here_freed_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
