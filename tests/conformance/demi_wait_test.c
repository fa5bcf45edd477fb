/* SPDX-License-Identifier: MIT */
/*
 * Waiting: what tokens name and for how long, the three waits of the C API, their timeouts and
 * outputs. One process; an operation is pending as long as the test does nothing about it. Not
 * here: waiting for other processes (upstream_defects_test.c, multi/).
 */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "demi_util.h"

#include <cmocka.h>

struct ends {
    int made, opened;
};

static struct ends ends;

static int make_ends(void **state)
{
    ends.made = create_pipe("wait");
    ends.opened = open_pipe("wait");
    return 0;
}

/* Also takes the results nobody waited for: demi_wait_next_n() of the next test would find them. */
static int close_ends(void **state)
{
    demi_qresult_t qr;
    int n;

    if (demi_close(ends.opened) || demi_close(ends.made))
        return -1;
    while (demi_wait_next_n(&qr, 1, &n, &at_once) == 0) {
        if (qr.qr_opcode == DEMI_OPC_POP)
            (void)demi_sgafree(&qr.qr_value.sga);
    }
    return 0;
}

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

/* A token that was valid once, one that completed and one that did not. */
static demi_qtoken_t used_token(void)
{
    demi_qtoken_t qt = start_push(ends.made, 1, 0);

    (void)finish(qt);
    pop_message(ends.opened, 1, 0);
    return qt;
}

static void wait_on_invalid_queue_token(void **state)
{
    demi_qresult_t qr, before;
    demi_qtoken_t invalid[] = {0, UINT64_MAX, 1, 0x123456789abcdef, 1ull << 63, used_token()};
    int offset = 77;

    memset(&qr, 0xee, sizeof(qr));
    before = qr;
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        CHECK_INT(demi_wait(&qr, invalid[i], NULL), EINVAL);
        CHECK_INT(demi_wait(&qr, invalid[i], &at_once), EINVAL);
        CHECK_INT(demi_wait_any(&qr, &offset, &invalid[i], 1, NULL), EINVAL);
    }
    CHECK_INT(offset, 77);
    CHECK(memcmp(&qr, &before, sizeof(qr)) == 0);
}

static void wait_with_null_arguments(void **state)
{
    demi_qtoken_t qt = start_pop(ends.made);
    demi_qresult_t qr;
    int offset = 77, n = 77;

    CHECK_INT(demi_wait(NULL, qt, &at_once), EINVAL);
    CHECK_INT(demi_wait_any(NULL, &offset, &qt, 1, &at_once), EINVAL);
    CHECK_INT(demi_wait_any(&qr, NULL, &qt, 1, &at_once), EINVAL);
    CHECK_INT(demi_wait_any(&qr, &offset, NULL, 1, &at_once), EINVAL);
    CHECK_INT(demi_wait_next_n(NULL, 1, &n, &at_once), EINVAL);
    CHECK_INT(demi_wait_next_n(&qr, 1, NULL, &at_once), EINVAL);
    CHECK_INT(offset, 77);
    expect_pending(qt);
}

static void timeout_out_of_range(void **state)
{
    static const struct timespec bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}, {5, LONG_MAX}};
    demi_qtoken_t qt = start_push(ends.made, 1, 0);
    demi_qresult_t qr;
    int offset, n;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(demi_wait(&qr, qt, &bad[i]), EINVAL);
        CHECK_INT(demi_wait_any(&qr, &offset, &qt, 1, &bad[i]), EINVAL);
        CHECK_INT(demi_wait_next_n(&qr, 1, &n, &bad[i]), EINVAL);
    }
    /* It still completes; a time beyond all clocks is a time. */
    const struct timespec ages = {LONG_MAX, 999999999};
    CHECK_INT(demi_wait(&qr, qt, &ages), 0);
    pop_message(ends.opened, 1, 0);
}

static void token_is_waited_once(void **state)
{
    demi_qtoken_t push = start_push(ends.made, 10, 1), pop = start_pop(ends.opened);
    demi_qresult_t qr = finish(push);

    expect_push(&qr, ends.made);
    CHECK_INT(demi_wait(&qr, push, NULL), EINVAL);
    qr = finish(pop);
    expect_message(&qr, ends.opened, 10, 1);
    CHECK_INT(demi_wait(&qr, pop, &at_once), EINVAL);
}

static void tokens_are_never_reused(void **state)
{
    enum { COUNT = 3000 };
    static demi_qtoken_t seen[COUNT];

    for (size_t i = 0; i < COUNT; i += 2) {
        seen[i] = start_push(ends.made, 1, 0);
        seen[i + 1] = start_pop(ends.opened);
        (void)finish(seen[i]);
        demi_qresult_t qr = finish(seen[i + 1]);
        expect_message(&qr, ends.opened, 1, 0);
        for (size_t k = i < 200 ? 0 : i - 200; k < i; k++)
            CHECK(seen[k] != seen[i] && seen[k] != seen[i + 1]);
    }
    demi_qresult_t qr;
    for (size_t i = 0; i < COUNT; i++)
        CHECK_INT(demi_wait(&qr, seen[i], &at_once), EINVAL);
}

static void timeout_leaves_the_operation_pending(void **state)
{
    const struct timespec moment = {0, 1000000};
    demi_qtoken_t pop = start_pop(ends.made);
    demi_qresult_t qr, before;

    memset(&qr, 0xee, sizeof(qr));
    before = qr;
    for (int i = 0; i < 20; i++) {
        CHECK_INT(demi_wait(&qr, pop, &at_once), ETIMEDOUT);
        CHECK_INT(demi_wait(&qr, pop, &moment), ETIMEDOUT);
    }
    CHECK(memcmp(&qr, &before, sizeof(qr)) == 0);
    push_message(ends.opened, 3, 9);
    qr = finish(pop);
    expect_message(&qr, ends.made, 3, 9);
}

/* A wait of no time looks: what is there completes, however the calls are mixed. */
static void timeout_zero_polls_once(void **state)
{
    demi_qresult_t qr;
    int offset, n;

    for (uint64_t i = 0; i < 300; i++) {
        demi_qtoken_t push = start_push(ends.opened, 100, i), pop = start_pop(ends.made);

        CHECK_INT(demi_wait(&qr, push, &at_once), 0);
        expect_push(&qr, ends.opened);
        if (i % 3 == 0) {
            CHECK_INT(demi_wait(&qr, pop, &at_once), 0);
        } else if (i % 3 == 1) {
            CHECK_INT(demi_wait_any(&qr, &offset, &pop, 1, &at_once), 0);
            CHECK_INT(offset, 0);
        } else {
            CHECK_INT(demi_wait_next_n(&qr, 1, &n, &at_once), 0);
            CHECK_INT(n, 1);
        }
        CHECK(qr.qr_qt == pop);
        expect_message(&qr, ends.made, 100, i);
    }
}

static void wait_any_number_of_tokens(void **state)
{
    const struct timespec moment = {0, 1000000};
    demi_qtoken_t qt = start_push(ends.made, 1, 0);
    demi_qresult_t qr;
    int offset = 77;

    CHECK_INT(demi_wait_any(&qr, &offset, &qt, -1, NULL), EINVAL);
    CHECK_INT(demi_wait_any(&qr, &offset, &qt, INT_MIN, &at_once), EINVAL);
    CHECK_INT(demi_wait_any(&qr, &offset, &qt, 0, &at_once), ETIMEDOUT);
    CHECK_INT(demi_wait_any(&qr, &offset, &qt, 0, &moment), ETIMEDOUT);
    CHECK_INT(offset, 77);
    CHECK_INT(demi_wait_any(&qr, &offset, &qt, 1, NULL), 0);
    CHECK_INT(offset, 0);
    pop_message(ends.opened, 1, 0);
}

/* "Invalid token: EINVAL, but scanned in order, and a completed earlier token wins first". */
static void wait_any_order(void **state)
{
    demi_qtoken_t pending = start_pop(ends.made), done = start_push(ends.made, 1, 0);
    demi_qresult_t qr;
    int offset = 77;

    demi_qtoken_t invalid_first[] = {UINT64_MAX, done};
    CHECK_INT(demi_wait_any(&qr, &offset, invalid_first, 2, NULL), EINVAL);
    demi_qtoken_t invalid_between[] = {pending, 0, done};
    CHECK_INT(demi_wait_any(&qr, &offset, invalid_between, 3, NULL), EINVAL);
    demi_qtoken_t invalid_after_pending[] = {pending, 0};
    CHECK_INT(demi_wait_any(&qr, &offset, invalid_after_pending, 2, &at_once), EINVAL);
    CHECK_INT(offset, 77);
    /* The refused calls consumed nothing. */
    demi_qtoken_t completed_first[] = {pending, done, UINT64_MAX};
    CHECK_INT(demi_wait_any(&qr, &offset, completed_first, 3, NULL), 0);
    CHECK_INT(offset, 1);
    CHECK(qr.qr_qt == done);
    expect_push(&qr, ends.made);
    CHECK_INT(demi_wait(&qr, done, &at_once), EINVAL);
    expect_pending(pending);
    pop_message(ends.opened, 1, 0);
}

/* A token that stands in the array twice is found at its first place, completed before or not. */
static void wait_any_with_a_token_twice(void **state)
{
    for (int early = 0; early < 2; early++) {
        demi_qtoken_t pop = start_pop(ends.made);
        demi_qtoken_t qts[] = {start_pop(ends.made), pop, pop, pop};
        demi_qresult_t qr;
        int offset = -1;

        push_message(ends.opened, 3, 1);
        if (early == 1)
            expect_pending(qts[0]);
        CHECK_INT(demi_wait_any(&qr, &offset, qts, 4, NULL), 0);
        CHECK_INT(offset, 1);
        expect_message(&qr, ends.made, 3, 1);
        CHECK_INT(demi_wait_any(&qr, &offset, &qts[1], 3, NULL), EINVAL);
        push_message(ends.opened, 3, 2);
        qr = finish(qts[0]);
        expect_message(&qr, ends.made, 3, 2);
    }
}

static void wait_any_keeps_the_others(void **state)
{
    enum { COUNT = 40 };
    demi_qtoken_t qts[COUNT], given[COUNT];
    demi_qresult_t qr;
    int offset;

    for (int i = 0; i < COUNT; i++)
        given[i] = qts[i] = start_push(ends.made, 8, (uint64_t)i);
    for (int left = COUNT; left > 0; left--) {
        CHECK_INT(demi_wait_any(&qr, &offset, qts, left, NULL), 0);
        CHECK(offset >= 0 && offset < left);
        CHECK(qr.qr_qt == qts[offset]);
        qts[offset] = qts[left - 1];
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_INT(demi_wait(&qr, given[i], &at_once), EINVAL);
        pop_message(ends.opened, 8, (uint64_t)i);
    }
}

static void wait_any_only_reads_the_tokens(void **state)
{
    static const demi_qtoken_t none[] = {0};
    demi_qtoken_t qts[3], copy[3];
    demi_qresult_t qr;
    int offset;

    for (int i = 0; i < 3; i++)
        copy[i] = qts[i] = start_push(ends.made, 8, 0);
    CHECK_INT(demi_wait_any(&qr, &offset, qts, 3, NULL), 0);
    CHECK(memcmp(qts, copy, sizeof(qts)) == 0);
    CHECK_INT(demi_wait_any(&qr, &offset, none, 1, NULL), EINVAL);
}

static void wait_any_among_many(void **state)
{
    enum { COUNT = 1000 };
    demi_qtoken_t qts[COUNT];
    demi_qresult_t qr;
    int offset;

    for (int i = 0; i < COUNT; i++)
        qts[i] = start_pop(ends.made);
    CHECK_INT(demi_wait_any(&qr, &offset, qts, COUNT, &at_once), ETIMEDOUT);
    for (int i = 0; i < COUNT; i++) {
        push_message(ends.opened, 8, (uint64_t)i);
        CHECK_INT(demi_wait_any(&qr, &offset, qts + i, COUNT - i, NULL), 0);
        CHECK_INT(offset, 0);
        expect_message(&qr, ends.made, 8, (uint64_t)i);
    }
}

/* The loop of a server: tokens keep their places, but for one that moves into a gap. */
static void wait_any_on_many_pipes(void **state)
{
    enum { COUNT = 64, ROUNDS = 1000 };
    int made[COUNT], opened[COUNT], order[COUNT];
    demi_qtoken_t qts[COUNT];
    demi_qresult_t qr;
    int offset;

    for (int i = 0; i < COUNT; i++) {
        char name[16];

        snprintf(name, sizeof(name), "many-%d", i);
        order[i] = i;
        made[i] = create_pipe(name);
        opened[i] = open_pipe(name);
        qts[i] = start_pop(made[i]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        int at = (int)(i * 37u % COUNT), last = COUNT - 1, pipe = order[at];

        push_message(opened[pipe], 8, i);
        CHECK_INT(demi_wait_any(&qr, &offset, qts, COUNT, NULL), 0);
        CHECK_INT(offset, at);
        CHECK(qr.qr_qt == qts[at]);
        expect_message(&qr, made[pipe], 8, i);
        qts[at] = qts[last];
        order[at] = order[last];
        qts[last] = start_pop(made[pipe]);
        order[last] = pipe;
    }
    /* Several at once: each is given once. */
    for (int i = 0; i < COUNT; i++)
        push_message(opened[order[i]], 8, (uint64_t)i);
    for (int left = COUNT; left > 0; left--) {
        CHECK_INT(demi_wait_any(&qr, &offset, qts, left, NULL), 0);
        CHECK(offset >= 0 && offset < left && qr.qr_qt == qts[offset]);
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
        qts[offset] = qts[left - 1];
    }
    /* All are used up: among many tokens a wrong one is found, too. */
    qts[0] = start_pop(made[0]);
    CHECK_INT(demi_wait_any(&qr, &offset, qts, COUNT, NULL), EINVAL);
    for (int i = 0; i < COUNT; i++) {
        CHECK_INT(demi_close(opened[i]), 0);
        CHECK_INT(demi_close(made[i]), 0);
    }
    CHECK_INT(demi_wait(&qr, qts[0], NULL), 0); /* failed with its pipe */
}

static void wait_next_n_invalid_numbers(void **state)
{
    demi_qtoken_t qt = start_push(ends.made, 1, 0);
    demi_qresult_t qr;
    int n;

    CHECK_INT(demi_wait_next_n(&qr, 0, &n, NULL), EINVAL);
    CHECK_INT(demi_wait_next_n(&qr, -1, &n, NULL), EINVAL);
    CHECK_INT(demi_wait_next_n(&qr, INT_MIN, &n, &at_once), EINVAL);
    (void)finish(qt);
    pop_message(ends.opened, 1, 0);
}

/* On a timeout, what had completed was stored and counted, and is consumed. */
static void wait_next_n_with_a_timeout(void **state)
{
    demi_qtoken_t pending = start_pop(ends.made), pushes[3];
    demi_qresult_t qrs[10];
    int n = 77;

    CHECK_INT(demi_wait_next_n(qrs, 10, &n, &at_once), ETIMEDOUT);
    CHECK_INT(n, 0);
    for (int i = 0; i < 3; i++)
        pushes[i] = start_push(ends.made, 8, (uint64_t)i);
    n = 77;
    CHECK_INT(demi_wait_next_n(qrs, 10, &n, &at_once), ETIMEDOUT);
    CHECK_INT(n, 3);
    for (int i = 0; i < 3; i++) {
        int found = 0;
        for (int k = 0; k < 3; k++)
            found += qrs[k].qr_qt == pushes[i] && qrs[k].qr_opcode == DEMI_OPC_PUSH;
        CHECK_INT(found, 1);
        CHECK_INT(demi_wait(&qrs[4], pushes[i], &at_once), EINVAL);
        pop_message(ends.opened, 8, (uint64_t)i);
    }
    expect_pending(pending);
}

static void wait_next_n_stops_at_n(void **state)
{
    enum { COUNT = 30, STEP = 4 };
    demi_qtoken_t pushes[COUNT];
    bool seen[COUNT] = {false};
    demi_qresult_t qrs[STEP + 1];
    int n;

    for (int i = 0; i < COUNT; i++)
        pushes[i] = start_push(ends.made, 8, (uint64_t)i);
    for (int got = 0; got < COUNT; got += n) {
        int want = COUNT - got < STEP ? COUNT - got : STEP;
        memset(qrs, 0xee, sizeof(qrs));
        CHECK_INT(demi_wait_next_n(qrs, want, &n, NULL), 0);
        CHECK_INT(n, want);
        for (int k = 0; k < n; k++) {
            for (int i = 0; i < COUNT; i++) {
                CHECK(qrs[k].qr_qt != pushes[i] || !seen[i]);
                seen[i] = seen[i] || qrs[k].qr_qt == pushes[i];
            }
        }
        CHECK(qrs[n].qr_qt == 0xeeeeeeeeeeeeeeee); /* nothing beyond what was asked for */
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(seen[i]);
        pop_message(ends.opened, 8, (uint64_t)i);
    }
}

/* A result that another wait came across and left is found by its token, and by wait_next_n. */
static void results_are_kept_for_later_waits(void **state)
{
    demi_qtoken_t first = start_push(ends.made, 8, 1), second = start_push(ends.made, 8, 2);
    demi_qtoken_t third = start_push(ends.made, 8, 3);
    demi_qresult_t qr;
    int n;

    qr = finish(third);
    expect_push(&qr, ends.made);
    qr = finish(first);
    expect_push(&qr, ends.made);
    CHECK_INT(demi_wait_next_n(&qr, 1, &n, &at_once), 0);
    CHECK(n == 1 && qr.qr_qt == second);
    for (uint64_t i = 1; i <= 3; i++)
        pop_message(ends.opened, 8, i);
}

static void wait_after_close(void **state)
{
    int made = create_pipe("wait-after-close");
    demi_qtoken_t pop = start_pop(made), push = start_push(made, 8, 0);
    demi_qresult_t qr;

    expect_pending(pop);
    CHECK_INT(demi_close(made), 0);
    CHECK_INT(demi_wait(&qr, pop, &at_once), 0);
    expect_failed(&qr, made, EBADF);
    /* It had completed, and a completed operation is not undone. */
    CHECK_INT(demi_wait(&qr, push, &at_once), 0);
    expect_push(&qr, made);
}

/* ---- from within another call ---- */

static atomic_int handler_saw, handler_runs;

static void call_from_handler(int sig)
{
    int rc = demi_close(-1);

    atomic_fetch_add(&handler_runs, 1);
    if (rc == EBUSY)
        atomic_store(&handler_saw, rc);
    else if (rc != EBADF) /* between two waits it is a call like any other */
        atomic_store(&handler_saw, -1);
}

static void *send_signals(void *arg)
{
    pthread_t waiter = *(pthread_t *)arg;

    while (!atomic_load(&handler_saw)) {
        int before = atomic_load(&handler_runs);
        pthread_kill(waiter, SIGUSR1);
        while (atomic_load(&handler_runs) == before && !atomic_load(&handler_saw))
            sched_yield();
    }
    return NULL;
}

/* A call made while another of the same thread runs is refused, and the wait goes on. */
static void call_from_a_signal_handler(void **state)
{
    const struct timespec moment = {0, 5000000};
    demi_qtoken_t pop = start_pop(ends.made);
    pthread_t self = pthread_self(), sender;
    demi_qresult_t qr;

    signal(SIGUSR1, call_from_handler);
    CHECK(pthread_create(&sender, NULL, send_signals, &self) == 0);
    while (!atomic_load(&handler_saw))
        CHECK_INT(demi_wait(&qr, pop, &moment), ETIMEDOUT);
    CHECK(pthread_join(sender, NULL) == 0);
    signal(SIGUSR1, SIG_DFL);
    CHECK_INT(atomic_load(&handler_saw), EBUSY);
    push_message(ends.opened, 8, 8);
    qr = finish(pop);
    expect_message(&qr, ends.made, 8, 8);
}

static int run(int argc, char **argv)
{
#define WITH_ENDS(f) cmocka_unit_test_setup_teardown(f, make_ends, close_ends)
    const struct CMUnitTest tests[] = {
        WITH_ENDS(wait_on_invalid_queue_token),
        WITH_ENDS(wait_with_null_arguments),
        WITH_ENDS(timeout_out_of_range),
        WITH_ENDS(token_is_waited_once),
        WITH_ENDS(tokens_are_never_reused),
        WITH_ENDS(timeout_leaves_the_operation_pending),
        WITH_ENDS(timeout_zero_polls_once),
        WITH_ENDS(wait_any_number_of_tokens),
        WITH_ENDS(wait_any_order),
        WITH_ENDS(wait_any_with_a_token_twice),
        WITH_ENDS(wait_any_keeps_the_others),
        WITH_ENDS(wait_any_only_reads_the_tokens),
        WITH_ENDS(wait_any_among_many),
        cmocka_unit_test(wait_any_on_many_pipes),
        WITH_ENDS(wait_next_n_invalid_numbers),
        WITH_ENDS(wait_next_n_with_a_timeout),
        WITH_ENDS(wait_next_n_stops_at_n),
        WITH_ENDS(results_are_kept_for_later_waits),
        WITH_ENDS(wait_after_close),
        WITH_ENDS(call_from_a_signal_handler),
    };

    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
