/* SPDX-License-Identifier: MIT */
/*
 * Demikernel's pipe-test in its modes with two processes: push-wait, pop-wait, and their variants
 * with an asynchronous close, which only the native API has. A client pushes or pops sixteen
 * messages and closes with a seventeenth under way; whichever way that ends, it must end.
 * Not here: run mode standalone (demi_pipe_test.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../multi/native_util.h"
#include "demi_util.h"

#include <cmocka.h>

#define MESSAGES 16
#define BYTE     123

/* Who plays which part, and where its number of messages goes. */
struct pair {
    struct stage_actor creator, opener;
};

/* The creator says that the pipe is there, then the opener is told to go. */
static void play(struct pair *pair, stage_role *creator, stage_role *opener)
{
    stage_spawn(&pair->creator, creator, NULL);
    CHECK_INT(stage_hear(&pair->creator), 1);
    stage_spawn(&pair->opener, opener, NULL);
}

static void seventeenth_ends(const demi_qresult_t *qr, demi_opcode_t opcode)
{
    if (qr->qr_opcode == DEMI_OPC_FAILED)
        CHECK(qr->qr_ret == EBADF || qr->qr_ret == ECANCELED);
    else
        CHECK_INT(qr->qr_opcode, opcode);
}

static demi_sgarray_t one_byte(void)
{
    demi_sgarray_t sga = demi_sgaalloc(1);

    CHECK(sga.sga_buf);
    *(unsigned char *)sga.sga_segs[0].sgaseg_buf = BYTE;
    return sga;
}

/* ---- through the C API ---- */

static void push_wait_server(struct stage_actor *parent, void *arg)
{
    uint64_t popped = 0;

    start_demi();
    int qd = create_pipe("modes:rx");
    stage_say(parent, 1);
    for (;; popped++) {
        demi_qresult_t qr = finish(start_pop(qd));
        CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
        demi_sgaseg_t seg = qr.qr_value.sga.sga_segs[0];
        CHECK(seg.sgaseg_len <= 1);
        CHECK(seg.sgaseg_len == 0 || *(unsigned char *)seg.sgaseg_buf == BYTE);
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
        if (seg.sgaseg_len == 0)
            break;
    }
    CHECK_INT(demi_close(qd), 0);
    stage_say(parent, popped);
}

static void push_wait_client(struct stage_actor *parent, void *arg)
{
    demi_sgarray_t sga;
    demi_qtoken_t qt;
    demi_qresult_t qr;
    uint64_t pushed = MESSAGES;

    start_demi();
    int qd = open_pipe("modes:rx");
    for (int i = 0; i <= MESSAGES; i++) {
        sga = one_byte();
        CHECK_INT(demi_push(&qt, qd, &sga), 0);
        CHECK_INT(demi_sgafree(&sga), 0);
        if (i < MESSAGES) {
            qr = finish(qt);
            expect_push(&qr, qd);
        }
    }
    int rc = demi_wait(&qr, qt, &at_once);
    CHECK(rc == 0 || rc == ETIMEDOUT);
    CHECK_INT(demi_close(qd), 0);
    if (rc != 0)
        qr = finish(qt);
    seventeenth_ends(&qr, DEMI_OPC_PUSH);
    stage_say(parent, pushed + (qr.qr_opcode == DEMI_OPC_PUSH));
}

static void push_wait(void **state)
{
    struct pair pair;

    play(&pair, push_wait_server, push_wait_client);
    uint64_t pushed = stage_hear(&pair.opener);
    CHECK_INT(stage_hear(&pair.creator), pushed);
    stage_join_ok(&pair.opener);
    stage_join_ok(&pair.creator);
}

static void pop_wait_server(struct stage_actor *parent, void *arg)
{
    demi_qresult_t qr;

    start_demi();
    int qd = create_pipe("modes:rx");
    stage_say(parent, 1);
    for (int i = 0; i < MESSAGES; i++) {
        qr = finish(start_pop(qd));
        CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
        CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, 1);
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    }
    demi_qtoken_t qt = start_pop(qd);
    int rc = demi_wait(&qr, qt, &at_once);
    CHECK(rc == 0 || rc == ETIMEDOUT);
    CHECK_INT(demi_close(qd), 0);
    if (rc != 0)
        qr = finish(qt);
    seventeenth_ends(&qr, DEMI_OPC_POP);
    if (qr.qr_opcode == DEMI_OPC_POP)
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
}

/* Upstream's client stops when a push has not completed for a second; here it is told. */
static void pop_wait_client(struct stage_actor *parent, void *arg)
{
    demi_qresult_t qr;
    uint64_t pushed = 0;

    start_demi();
    int qd = open_pipe("modes:rx");
    for (;; pushed++) {
        demi_sgarray_t sga = one_byte();
        demi_qtoken_t qt;
        CHECK_INT(demi_push(&qt, qd, &sga), 0);
        CHECK_INT(demi_sgafree(&sga), 0);
        qr = finish(qt);
        if (qr.qr_opcode != DEMI_OPC_PUSH)
            break;
    }
    expect_failed(&qr, qd, ECONNRESET);
    CHECK(pushed >= MESSAGES);
    CHECK_INT(demi_close(qd), 0);
}

static void pop_wait(void **state)
{
    struct pair pair;

    play(&pair, pop_wait_server, pop_wait_client);
    stage_join_ok(&pair.creator);
    stage_join_ok(&pair.opener);
}

/* ---- with an asynchronous close ---- */

static void close_and_wait(struct mbr_libos *l, int qd)
{
    demi_qtoken_t qt;

    CHECK_INT(mbr_close_async(l, qd, &qt), 0);
    demi_qresult_t qr = native_finish(l, qt);
    native_expect(&qr, DEMI_OPC_CLOSE, 0);
}

static void push_wait_async_client(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_open(l, "modes:rx");
    demi_sgarray_t sga = mbr_sga_alloc(1);
    demi_qtoken_t qt;
    demi_qresult_t qr;

    *(unsigned char *)sga.sga_segs[0].sgaseg_buf = BYTE;
    for (int i = 0; i <= MESSAGES; i++) {
        CHECK_INT(mbr_push(l, qd, &sga, &qt), 0);
        if (i < MESSAGES) {
            qr = native_finish(l, qt);
            native_expect(&qr, DEMI_OPC_PUSH, 0);
        }
    }
    close_and_wait(l, qd);
    qr = native_finish(l, qt);
    seventeenth_ends(&qr, DEMI_OPC_PUSH);
    CHECK_INT(mbr_sga_free(&sga), 0);
    stage_say(parent, MESSAGES + (qr.qr_opcode == DEMI_OPC_PUSH));
    mbr_libos_close(l);
}

static void push_wait_async(void **state)
{
    struct pair pair;

    play(&pair, push_wait_server, push_wait_async_client);
    uint64_t pushed = stage_hear(&pair.opener);
    CHECK_INT(stage_hear(&pair.creator), pushed);
    stage_join_ok(&pair.opener);
    stage_join_ok(&pair.creator);
}

static void pop_wait_async_server(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "modes:rx");
    demi_qresult_t qr;

    stage_say(parent, 1);
    for (int i = 0; i < MESSAGES; i++) {
        qr = native_finish(l, native_start_pop(l, qd, 0));
        native_expect(&qr, DEMI_OPC_POP, 0);
        CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    }
    demi_qtoken_t qt = native_start_pop(l, qd, 0);
    close_and_wait(l, qd);
    qr = native_finish(l, qt);
    seventeenth_ends(&qr, DEMI_OPC_POP);
    if (qr.qr_opcode == DEMI_OPC_POP)
        CHECK_INT(mbr_sga_free(&qr.qr_value.sga), 0);
    mbr_libos_close(l);
}

static void pop_wait_async(void **state)
{
    struct pair pair;

    play(&pair, pop_wait_async_server, pop_wait_client);
    stage_join_ok(&pair.creator);
    stage_join_ok(&pair.opener);
}

/* ---- pipe-open: upstream's system test, 128 opens against a creator in another process ---- */

static void open_server(struct stage_actor *parent, void *arg)
{
    start_demi();
    int qd = create_pipe("modes:open");
    demi_qtoken_t qt = start_pop(qd);
    stage_say(parent, 1);
    /* Comings and goings are no messages. */
    while (!stage_peek(parent))
        expect_pending(qt);
    CHECK_INT(demi_close(qd), 0);
}

static void open_client(struct stage_actor *parent, void *arg)
{
    start_demi();
    for (int i = 0; i < 128; i++) {
        int qd = open_pipe("modes:open");
        CHECK_INT(demi_close(qd), 0);
    }
}

static void pipe_open(void **state)
{
    struct pair pair;

    play(&pair, open_server, open_client);
    stage_join_ok(&pair.opener);
    stage_say(&pair.creator, 1);
    stage_join_ok(&pair.creator);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_wait),       cmocka_unit_test(pop_wait),
        cmocka_unit_test(push_wait_async), cmocka_unit_test(pop_wait_async),
        cmocka_unit_test(pipe_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
