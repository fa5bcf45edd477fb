/* SPDX-License-Identifier: MIT */
/*
 * Ends of native queues: asynchronous close (with the cases of Demikernel's pipe-test that C
 * programs cannot express there), shutdown of one direction, cancelling. One process. Not here: the
 * death of a peer (upstream_defects_test.c, fault/kill_test.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../multi/native_util.h"

#include <cmocka.h>

/* Larger than any ring: it stays pending until the other end pops. */
#define LARGE (8u << 20)

static struct mbr_libos *l;
static int made, opened;

static int make_ends(void **state)
{
    l = open_libos();
    made = native_create(l, "ends");
    opened = native_open(l, "ends");
    return 0;
}

static int drop_ends(void **state)
{
    mbr_libos_close(l); /* closes whatever is left */
    return 0;
}

static demi_qtoken_t start_close(int qd)
{
    demi_qtoken_t qt = 0;

    CHECK_INT(mbr_close_async(l, qd, &qt), 0);
    return qt;
}

static void expect_closed(demi_qtoken_t qt, int qd)
{
    demi_qresult_t qr = native_finish(l, qt);

    native_expect(&qr, DEMI_OPC_CLOSE, 0);
    CHECK_INT(qr.qr_qd, qd);
}

static void async_close_invalid_pipe(void **state)
{
    demi_qtoken_t qt = 77;

    CHECK_INT(mbr_close_async(l, 0, &qt), -EBADF);
    CHECK_INT(mbr_close_async(l, -1, &qt), -EBADF);
    CHECK(qt == 77);
}

static void async_close_and_wait(void **state)
{
    expect_closed(start_close(opened), opened);
    CHECK_INT(mbr_close(l, opened), -EBADF);
    expect_closed(start_close(made), made);
    CHECK_INT(mbr_close(l, made), -EBADF);
}

/* The second close while the first is pending, waited for in either order, or not at all. */
static void async_close_pipe_multiple_times(void **state)
{
    for (int variant = 1; variant <= 3; variant++) {
        int qd = native_create(l, "multiple");
        demi_qtoken_t first = start_close(qd), second = 0;

        if (variant == 1)
            expect_closed(first, qd);
        int rc = mbr_close_async(l, qd, &second);
        if (variant == 2)
            expect_closed(first, qd);
        struct outcome o = native_outcome(l, rc, second);
        CHECK_INT(o.error, EBADF);
        if (variant == 3)
            expect_closed(first, qd);
    }
}

/* "Once everything pushed before was handed to the ring, or the peer is gone". */
static void async_close_waits_for_pushes(void **state)
{
    demi_qtoken_t push = native_start_push(l, made, LARGE, 1), closing = start_close(made);

    native_expect_pending(l, closing);
    native_expect_pending(l, push);
    native_pop(l, opened, LARGE, 1);
    demi_qresult_t qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    expect_closed(closing, made);
    native_pop_eof(l, opened);
}

static void async_close_of_both_ends(void **state)
{
    demi_qtoken_t pushes[2] = {native_start_push(l, made, LARGE, 1),
                               native_start_push(l, opened, LARGE, 2)};
    demi_qtoken_t closings[2] = {start_close(made), start_close(opened)};

    /* Nobody will pop what is left, and each waits until its peer is gone. */
    expect_closed(closings[0], made);
    expect_closed(closings[1], opened);
    for (int i = 0; i < 2; i++) {
        demi_qresult_t qr = native_finish(l, pushes[i]);
        CHECK_INT(qr.qr_opcode, DEMI_OPC_FAILED);
        CHECK(qr.qr_ret == EBADF || qr.qr_ret == ECONNRESET);
    }
}

static void async_close_ends_pending_pops(void **state)
{
    demi_qtoken_t pop = native_start_pop(l, made, 0), closing = start_close(made);
    demi_qresult_t qr = native_finish(l, pop);

    native_expect(&qr, DEMI_OPC_FAILED, EBADF);
    expect_closed(closing, made);
}

/* ---- shutdown ---- */

static void shutdown_invalid(void **state)
{
    CHECK_INT(mbr_shutdown(l, made, 0), -EINVAL);
    CHECK_INT(mbr_shutdown(l, made, 4), -EINVAL);
    CHECK_INT(mbr_shutdown(l, -1, MBR_SHUT_BOTH), -EBADF);
    native_push(l, made, 10, 1);
    native_pop(l, opened, 10, 1);
}

static void shutdown_of_sending(void **state)
{
    native_push(l, made, 10, 1);
    native_push(l, made, 1000, 2);
    CHECK_INT(mbr_shutdown(l, made, MBR_SHUT_SEND), 0);
    CHECK_INT(native_try_push(l, made, 10, 3).error, EBADF);
    native_pop(l, opened, 10, 1);
    native_pop(l, opened, 1000, 2);
    native_pop_eof(l, opened);
    /* The other direction is as before. */
    for (uint64_t i = 0; i < 100; i++) {
        native_push(l, opened, 100, i);
        native_pop(l, made, 100, i);
    }
    CHECK_INT(mbr_close(l, opened), 0);
    native_pop_eof(l, made);
    CHECK_INT(mbr_close(l, made), 0);
}

static void shutdown_of_receiving(void **state)
{
    demi_qtoken_t pop = native_start_pop(l, made, 0);
    demi_qtoken_t push = native_start_push(l, opened, LARGE, 1);

    CHECK_INT(mbr_shutdown(l, made, MBR_SHUT_RECV), 0);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect(&qr, DEMI_OPC_FAILED, EBADF);
    CHECK_INT(native_try_pop(l, made).error, EBADF);
    qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_FAILED, ECONNRESET);
    CHECK_INT(native_try_push(l, opened, 10, 2).error, ECONNRESET);
    native_push(l, made, 10, 3);
    native_pop(l, opened, 10, 3);
}

static void shutdown_of_both(void **state)
{
    native_push(l, made, 10, 1);
    CHECK_INT(mbr_shutdown(l, made, MBR_SHUT_BOTH), 0);
    CHECK_INT(native_try_push(l, made, 10, 2).error, EBADF);
    CHECK_INT(native_try_pop(l, made).error, EBADF);
    native_pop(l, opened, 10, 1);
    native_pop_eof(l, opened);
    CHECK_INT(native_try_push(l, opened, 10, 3).error, ECONNRESET);
    CHECK_INT(mbr_close(l, made), 0); /* shut down is not closed */
}

/* What was not handed over is not pushed, and none of it is seen by the peer. */
static void shutdown_fails_pending_pushes(void **state)
{
    native_push(l, made, 10, 1);
    demi_qtoken_t first = native_start_push(l, made, LARGE, 2);
    demi_qtoken_t second = native_start_push(l, made, 10, 3);

    CHECK_INT(mbr_shutdown(l, made, MBR_SHUT_SEND), 0);
    demi_qresult_t qr = native_finish(l, first);
    native_expect(&qr, DEMI_OPC_FAILED, EBADF);
    qr = native_finish(l, second);
    native_expect(&qr, DEMI_OPC_FAILED, EBADF);
    native_pop(l, opened, 10, 1);
    native_pop_eof(l, opened);
}

/* The same at a close: the message that was under way is not delivered as if it were whole. */
static void close_fails_pending_pushes(void **state)
{
    native_push(l, opened, 10, 1);
    demi_qtoken_t push = native_start_push(l, opened, LARGE, 2);

    native_pop(l, made, 10, 1);
    demi_qtoken_t pop = native_start_pop(l, made, 0);
    native_expect_pending(l, pop);
    CHECK_INT(mbr_close(l, opened), 0);
    demi_qresult_t qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_FAILED, EBADF);
    qr = native_finish(l, pop);
    native_expect_message(&qr, 0, 0);
    CHECK_INT(mbr_close(l, made), 0);
}

/* ---- cancel ---- */

static void cancel_invalid(void **state)
{
    demi_qtoken_t push = native_start_push(l, made, 10, 1);

    CHECK_INT(mbr_cancel(l, 0), -EINVAL);
    CHECK_INT(mbr_cancel(l, UINT64_MAX), -EINVAL);
    CHECK_INT(mbr_cancel(l, push), -EALREADY);
    (void)native_finish(l, push);
    CHECK_INT(mbr_cancel(l, push), -EINVAL);
    native_pop(l, opened, 10, 1);
}

static void cancel_pops(void **state)
{
    demi_qtoken_t pops[3];
    demi_qresult_t qr;

    for (int i = 0; i < 3; i++)
        pops[i] = native_start_pop(l, made, 0);
    CHECK_INT(mbr_cancel(l, pops[1]), 0);
    CHECK_INT(mbr_cancel(l, pops[1]), -EALREADY);
    CHECK_INT(mbr_wait(l, pops[1], 0, &qr), 0);
    native_expect(&qr, DEMI_OPC_FAILED, ECANCELED);
    native_push(l, opened, 10, 0);
    native_push(l, opened, 10, 2);
    for (uint64_t i = 0; i < 3; i += 2) {
        qr = native_finish(l, pops[i]);
        native_expect_message(&qr, 10, i);
    }
}

static void cancel_pushes(void **state)
{
    demi_qtoken_t first = native_start_push(l, made, LARGE, 1);
    demi_qtoken_t second = native_start_push(l, made, 10, 2);
    demi_qtoken_t third = native_start_push(l, made, 10, 3);
    demi_qresult_t qr;

    /* Of the first, a part is in the ring. */
    CHECK_INT(mbr_cancel(l, first), -EALREADY);
    CHECK_INT(mbr_cancel(l, second), 0);
    qr = native_finish(l, second);
    native_expect(&qr, DEMI_OPC_FAILED, ECANCELED);
    native_pop(l, opened, LARGE, 1);
    native_pop(l, opened, 10, 3);
    qr = native_finish(l, first);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    qr = native_finish(l, third);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
}

static int run(int argc, char **argv)
{
#define WITH_ENDS(f) cmocka_unit_test_setup_teardown(f, make_ends, drop_ends)
    const struct CMUnitTest tests[] = {
        WITH_ENDS(async_close_invalid_pipe),
        WITH_ENDS(async_close_and_wait),
        WITH_ENDS(async_close_pipe_multiple_times),
        WITH_ENDS(async_close_waits_for_pushes),
        WITH_ENDS(async_close_of_both_ends),
        WITH_ENDS(async_close_ends_pending_pops),
        WITH_ENDS(shutdown_invalid),
        WITH_ENDS(shutdown_of_sending),
        WITH_ENDS(shutdown_of_receiving),
        WITH_ENDS(shutdown_of_both),
        WITH_ENDS(shutdown_fails_pending_pushes),
        WITH_ENDS(close_fails_pending_pushes),
        WITH_ENDS(cancel_invalid),
        WITH_ENDS(cancel_pops),
        WITH_ENDS(cancel_pushes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
