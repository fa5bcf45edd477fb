/* SPDX-License-Identifier: MIT */
/*
 * Native queues without copying: messages written and read in the ring itself, and messages passed
 * by reference out of lent memory. Mostly one process. Not here: what a hostile peer can do with
 * either (fault/hostile_test.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../multi/native_util.h"

#include <cmocka.h>

static struct mbr_libos *l;
static int made, opened;

/* Two ends that have not done anything yet. */
static int make_new_ends(void **state)
{
    l = open_libos();
    made = native_create(l, "place");
    opened = native_open(l, "place");
    return 0;
}

/* Two ends that know each other. */
static int make_ends(void **state)
{
    (void)make_new_ends(state);
    native_push(l, opened, 1, 0);
    native_pop(l, made, 1, 0);
    return 0;
}

static int drop_ends(void **state)
{
    mbr_libos_close(l);
    return 0;
}

/* ---- in the ring ---- */

static int try_write(int qd, uint32_t n, uint64_t key)
{
    void *data = NULL;
    int rc = mbr_pipe_reserve(l, qd, n, &data);

    if (rc < 0)
        return rc;
    stage_fill(data, n, key);
    return mbr_pipe_commit(l, qd, n);
}

static void expect_peek(int qd, uint32_t n, uint64_t key)
{
    const void *data = NULL;
    uint64_t left = 77;
    uint32_t len = 0;

    CHECK_INT(mbr_pipe_peek(l, qd, &data, &len, &left), 0);
    CHECK_INT(len, n);
    CHECK_INT(left, 0);
    CHECK(stage_filled(data, n, key));
}

static void expect_no_peek(int qd, int error)
{
    const void *data = &made;
    uint64_t left = 77;
    uint32_t len = 88;

    CHECK_INT(mbr_pipe_peek(l, qd, &data, &len, &left), error);
    CHECK(data == &made && left == 77 && len == 88);
}

static void place_invalid_arguments(void **state)
{
    void *data = NULL;

    CHECK_INT(mbr_pipe_reserve(l, -1, 10, &data), -EBADF);
    CHECK_INT(mbr_pipe_commit(l, -1, 10), -EBADF);
    CHECK_INT(mbr_pipe_flush(l, -1), -EBADF);
    CHECK_INT(mbr_pipe_release(l, -1), -EBADF);
    CHECK_INT(mbr_pipe_retire(l, -1), -EBADF);
    expect_no_peek(-1, -EBADF);
    expect_no_peek(opened, -EAGAIN);
    CHECK_INT(mbr_pipe_reserve(l, made, UINT32_MAX, &data), -EMSGSIZE);
    CHECK_INT(mbr_pipe_reserve(l, made, 2 * MBR_PIPE_CAPACITY_DEFAULT, &data), -EMSGSIZE);
    CHECK(data == NULL);
    /* Nothing reserved, nothing peeked. */
    CHECK(mbr_pipe_commit(l, made, 10) < 0);
    CHECK(mbr_pipe_release(l, opened) < 0);
    CHECK_INT(mbr_pipe_reserve(l, made, 100, &data), 0);
    CHECK(mbr_pipe_commit(l, made, 101) < 0);
}

/* "Nothing is visible to the peer before mbr_pipe_flush()". */
static void written_messages_appear_when_flushed(void **state)
{
    for (uint32_t i = 1; i <= 5; i++)
        CHECK_INT(try_write(made, 100 * i, i), 0);
    expect_no_peek(opened, -EAGAIN);
    CHECK_INT(mbr_pipe_flush(l, made), 0);
    for (uint32_t i = 1; i <= 5; i++) {
        expect_peek(opened, 100 * i, i);
        expect_peek(opened, 100 * i, i); /* looking is not taking */
        CHECK_INT(mbr_pipe_release(l, opened), 0);
    }
    expect_no_peek(opened, -EAGAIN);
    CHECK_INT(mbr_pipe_retire(l, opened), 0);
}

static void less_is_committed_than_reserved(void **state)
{
    void *data;

    for (uint32_t n = 1; n <= 1000; n += 37) {
        CHECK_INT(mbr_pipe_reserve(l, made, 1000, &data), 0);
        stage_fill(data, n, n);
        CHECK_INT(mbr_pipe_commit(l, made, n), 0);
        CHECK_INT(mbr_pipe_flush(l, made), 0);
        expect_peek(opened, n, n);
        CHECK_INT(mbr_pipe_release(l, opened), 0);
        CHECK_INT(mbr_pipe_retire(l, opened), 0);
    }
}

/* A ring full of records, released but not retired, is still full. */
static void room_comes_back_when_retired(void **state)
{
    uint32_t n = 0;
    int rc;

    while ((rc = try_write(made, 1000, n)) == 0)
        n++;
    CHECK_INT(rc, -EAGAIN);
    CHECK(n >= 40);
    CHECK_INT(mbr_pipe_flush(l, made), 0);
    for (uint32_t i = 0; i < n; i++) {
        expect_peek(opened, 1000, i);
        CHECK_INT(mbr_pipe_release(l, opened), 0);
        CHECK_INT(try_write(made, 1000, 0), -EAGAIN);
    }
    CHECK_INT(mbr_pipe_retire(l, opened), 0);
    /* "No room now (flush and wait)": the writer need not see it before it has waited. */
    CHECK_INT(mbr_pipe_await(l, made, MBR_WRITABLE, 1000, MBR_FOREVER), MBR_WRITABLE);
    for (uint32_t i = 0; i < n; i++)
        CHECK_INT(try_write(made, 1000, i), 0);
    CHECK_INT(try_write(made, 1000, 0), -EAGAIN);
}

/* Through many turns of the ring, with records that end everywhere. */
static void records_are_contiguous_round_the_end(void **state)
{
    uint64_t random = stage_seed(), sent = 0, got = 0;
    uint32_t sizes[256];

    while (got < 20000) {
        uint32_t n = 1 + (uint32_t)stage_below(&random, 5000);
        if (sent - got < 256 && sent < 20000 && try_write(made, n, sent) == 0) {
            sizes[sent++ % 256] = n;
            continue;
        }
        CHECK_INT(mbr_pipe_flush(l, made), 0);
        for (uint64_t k = stage_below(&random, sent - got + 1); k > 0; k--, got++) {
            expect_peek(opened, sizes[got % 256], got);
            CHECK_INT(mbr_pipe_release(l, opened), 0);
        }
        CHECK_INT(mbr_pipe_retire(l, opened), 0);
        (void)mbr_pipe_await(l, made, MBR_WRITABLE, 1, 0);
    }
}

/* A writer that lets its peer's progress be seen when there seems to be no room. */
static void write_soon(int qd, uint32_t n, uint64_t key)
{
    int rc;

    while ((rc = try_write(qd, n, key)) == -EAGAIN)
        CHECK_INT(mbr_pipe_await(l, qd, MBR_WRITABLE, n, MBR_FOREVER), MBR_WRITABLE);
    CHECK_INT(rc, 0);
    CHECK_INT(mbr_pipe_flush(l, qd), 0);
}

static void both_styles_keep_the_order(void **state)
{
    for (uint64_t i = 0; i < 3000; i += 3) {
        native_push(l, made, 50, i);
        write_soon(made, 60, i + 1);
        native_push(l, made, 70, i + 2);
        if (i % 2) {
            native_pop(l, opened, 50, i);
            native_pop(l, opened, 60, i + 1);
            expect_peek(opened, 70, i + 2);
            CHECK_INT(mbr_pipe_release(l, opened), 0);
        } else {
            expect_peek(opened, 50, i);
            CHECK_INT(mbr_pipe_release(l, opened), 0);
            expect_peek(opened, 60, i + 1);
            CHECK_INT(mbr_pipe_release(l, opened), 0);
            CHECK_INT(mbr_pipe_retire(l, opened), 0);
            native_pop(l, opened, 70, i + 2);
            continue;
        }
        CHECK_INT(mbr_pipe_retire(l, opened), 0);
    }
}

/* A message that came in pieces is shown piece by piece. */
static void large_message_is_peeked_in_pieces(void **state)
{
    const uint64_t size = 1000001;
    unsigned char *whole = malloc(size);
    uint64_t at = 0, left = size;

    stage_fill(whole, size, 4);
    demi_qtoken_t push = native_start_push(l, made, size, 4);
    demi_qresult_t qr;
    bool pushed = false;
    while (at < size) {
        const void *data;
        uint32_t len;
        int rc = mbr_pipe_peek(l, opened, &data, &len, &left);

        if (rc == -EAGAIN) { /* lets the sender go on, until it has nothing left to do */
            CHECK(!pushed);
            pushed = mbr_wait(l, push, 0, &qr) == 0;
            continue;
        }
        CHECK_INT(rc, 0);
        CHECK(len > 0 && len <= size - at);
        CHECK(memcmp(data, whole + at, len) == 0);
        at += len;
        CHECK_INT(left, size - at);
        CHECK_INT(mbr_pipe_release(l, opened), 0);
        CHECK_INT(mbr_pipe_retire(l, opened), 0);
    }
    if (!pushed)
        qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    free(whole);
}

/* The rest of a message whose beginning went with the last opener is not shown to the next. */
static void message_that_an_opener_has_begun_to_release(void **state)
{
    int qd = native_create(l, "begun"), end = native_open(l, "begun");
    demi_qtoken_t push = native_start_push(l, qd, 3000000, 1);
    const void *data = NULL;
    uint64_t left = 0;
    uint32_t len = 0;

    CHECK_INT(mbr_pipe_peek(l, end, &data, &len, &left), 0);
    CHECK(left > 0);
    CHECK_INT(mbr_pipe_release(l, end), 0);
    CHECK_INT(mbr_close(l, end), 0);
    end = native_open(l, "begun");
    demi_qtoken_t next = native_start_push(l, qd, 5, 2);
    CHECK_INT(mbr_pipe_await(l, end, MBR_READABLE, 0, MBR_FOREVER), MBR_READABLE);
    expect_peek(end, 5, 2);
    CHECK_INT(mbr_pipe_release(l, end), 0);
    demi_qresult_t qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    qr = native_finish(l, next);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    CHECK_INT(mbr_close(l, qd), 0);
    CHECK_INT(mbr_close(l, end), 0);
}

static void peek_while_pops_are_pending(void **state)
{
    demi_qtoken_t pop = native_start_pop(l, opened, 0);

    expect_no_peek(opened, -EBUSY);
    native_push(l, made, 10, 1);
    demi_qresult_t qr = native_finish(l, pop);
    native_expect_message(&qr, 10, 1);
    expect_no_peek(opened, -EAGAIN);
}

static void ends_seen_in_place(void **state)
{
    CHECK_INT(try_write(made, 10, 1), 0);
    CHECK_INT(mbr_pipe_flush(l, made), 0);
    CHECK_INT(mbr_close(l, made), 0);
    /* A writer whose peer is gone is told so, before the ring is full or when it waits for room. */
    int rc;
    while ((rc = try_write(opened, 10, 1)) == 0 || rc == -EAGAIN)
        CHECK(mbr_pipe_await(l, opened, MBR_WRITABLE, 10, MBR_FOREVER) & MBR_WRITABLE);
    CHECK_INT(rc, -ECONNRESET);
    expect_peek(opened, 10, 1);
    CHECK_INT(mbr_pipe_release(l, opened), 0);
    expect_no_peek(opened, -ENODATA);
    expect_no_peek(opened, -ENODATA);
    CHECK_INT(mbr_close(l, opened), 0);
    expect_no_peek(opened, -EBADF);
    CHECK_INT(try_write(opened, 10, 1), -EBADF);
}

static void await_says_which(void **state)
{
    const void *data;
    uint64_t left;
    uint32_t len;

    CHECK_INT(mbr_pipe_await(l, -1, 3, 1, 0), -EBADF);
    CHECK_INT(mbr_pipe_await(l, opened, MBR_READABLE, 1, 0), -ETIMEDOUT);
    CHECK_INT(mbr_pipe_await(l, opened, MBR_READABLE, 1, 1000000), -ETIMEDOUT);
    CHECK_INT(mbr_pipe_await(l, opened, 3, 1, MBR_FOREVER), MBR_WRITABLE);
    while (try_write(made, 1000, 0) == 0)
        continue;
    CHECK_INT(mbr_pipe_flush(l, made), 0);
    CHECK_INT(mbr_pipe_await(l, made, MBR_WRITABLE, 1000, 0), -ETIMEDOUT);
    CHECK_INT(mbr_pipe_await(l, opened, MBR_READABLE, 1, MBR_FOREVER), MBR_READABLE);
    CHECK_INT(mbr_pipe_await(l, opened, 3, 1, 0), MBR_READABLE | MBR_WRITABLE);
    expect_peek(opened, 1000, 0);
    CHECK_INT(mbr_pipe_release(l, opened), 0);
    CHECK_INT(mbr_pipe_retire(l, opened), 0);
    CHECK_INT(mbr_pipe_await(l, made, MBR_WRITABLE, 1000, 0), MBR_WRITABLE);
    mbr_libos_interrupt(l);
    CHECK_INT(mbr_pipe_await(l, made, MBR_READABLE, 1, MBR_FOREVER), -EINTR);
    CHECK_INT(mbr_close(l, made), 0);
    CHECK(mbr_pipe_await(l, opened, MBR_WRITABLE, 1, MBR_FOREVER) & MBR_WRITABLE);
    while (mbr_pipe_peek(l, opened, &data, &len, &left) == 0)
        CHECK_INT(mbr_pipe_release(l, opened), 0);
    /* "At end of file and after errors it is both". */
    CHECK_INT(mbr_pipe_await(l, opened, MBR_READABLE, 1, MBR_FOREVER), 3);
    CHECK_INT(mbr_pipe_await(l, opened, MBR_WRITABLE, 1, MBR_FOREVER), 3);
}

/* ---- by reference ---- */

static demi_sgarray_t lend(int qd, size_t n, uint64_t key)
{
    demi_sgarray_t sga;

    CHECK_INT(mbr_lend_alloc(l, qd, n, &sga), 0);
    CHECK_INT(sga.sga_numsegs, 1);
    CHECK(sga.sga_segs[0].sgaseg_len == n);
    stage_fill(sga.sga_segs[0].sgaseg_buf, n, key);
    return sga;
}

static void push_lent(int qd, size_t n, uint64_t key)
{
    demi_sgarray_t sga = lend(qd, n, key);
    demi_qtoken_t qt;

    CHECK_INT(mbr_push(l, qd, &sga, &qt), 0);
    CHECK_INT(mbr_sga_free(&sga), 0);
    demi_qresult_t qr = native_finish(l, qt);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
}

static demi_sgarray_t pop_in_place(int qd, size_t n, uint64_t key)
{
    demi_qtoken_t qt = 0;

    CHECK_INT(mbr_pop_in_place(l, qd, &qt), 0);
    demi_qresult_t qr = native_finish(l, qt);
    native_expect(&qr, DEMI_OPC_POP, 0);
    CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, n);
    CHECK(stage_filled(qr.qr_value.sga.sga_segs[0].sgaseg_buf, n, key));
    return qr.qr_value.sga;
}

static void lend_errors(void **state)
{
    demi_sgarray_t sga;
    int alone = native_create(l, "alone");

    CHECK_INT(mbr_lend_alloc(l, alone, 100, &sga), -ENOTCONN);
    CHECK_INT(mbr_lend_alloc(l, made, 0, &sga), -EINVAL);
    CHECK_INT(mbr_lend_alloc(l, made, MBR_MESSAGE_MAX + 1, &sga), -EINVAL);
    CHECK_INT(mbr_lend_alloc(l, -1, 100, &sga), -EBADF);
}

/* Nobody has waited for anything, and still an open end is there: what the peer has freed is free,
 * and memory can be lent to it. */
static void peer_is_known_at_once(void **state)
{
    const void *data;
    uint64_t left;
    uint32_t len;

    while (try_write(made, 1000, 0) == 0)
        continue;
    CHECK_INT(mbr_pipe_flush(l, made), 0);
    while (mbr_pipe_peek(l, opened, &data, &len, &left) == 0)
        CHECK_INT(mbr_pipe_release(l, opened), 0);
    CHECK_INT(mbr_pipe_retire(l, opened), 0);
    CHECK_INT(try_write(made, 1000, 0), 0);
    demi_sgarray_t sga = lend(made, 100, 1);
    CHECK_INT(mbr_sga_free(&sga), 0);
}

static void lent_messages_of_many_sizes(void **state)
{
    static const size_t sizes[] = {1, 64, 4095, 4096, 65536, 1000000, 4u << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint64_t key = 0; key < 3; key++) {
            push_lent(made, sizes[i], key);
            demi_sgarray_t sga = pop_in_place(opened, sizes[i], key);
            CHECK_INT(mbr_sga_free(&sga), 0);
            push_lent(opened, sizes[i], key);
            sga = pop_in_place(made, sizes[i], key);
            CHECK_INT(mbr_sga_free(&sga), 0);
        }
    }
}

/* Thousands of times the memory that may be lent: it comes back. */
static void lent_memory_comes_back(void **state)
{
    for (uint64_t i = 0; i < 4000; i++) {
        push_lent(made, 1u << 20, i % 8);
        demi_sgarray_t sga = pop_in_place(opened, 1u << 20, i % 8);
        CHECK_INT(mbr_sga_free(&sga), 0);
    }
}

static void lent_memory_is_limited(void **state)
{
    demi_sgarray_t held[128];
    int n = 0, rc;

    while (n < 128 && (rc = mbr_lend_alloc(l, made, 1u << 20, &held[n])) == 0)
        n++;
    CHECK(n < 128);
    CHECK_INT(rc, -EAGAIN);
    CHECK(n >= 32 && n <= 64);
    /* The other end lends out of a share of its own. */
    push_lent(opened, 1u << 20, 1);
    demi_sgarray_t sga = pop_in_place(made, 1u << 20, 1);
    CHECK_INT(mbr_sga_free(&sga), 0);
    while (n > 0)
        CHECK_INT(mbr_sga_free(&held[--n]), 0);
    push_lent(made, 1u << 20, 2);
    sga = pop_in_place(opened, 1u << 20, 2);
    CHECK_INT(mbr_sga_free(&sga), 0);
}

/* Held in any order, freed in any other. */
static void lent_messages_are_freed_in_any_order(void **state)
{
    uint64_t random = stage_seed(), sent = 0;
    demi_sgarray_t held[16];
    uint64_t keys[16];

    for (int i = 0; i < 16; i++) {
        keys[i] = sent++;
        push_lent(made, 10000, keys[i]);
        held[i] = pop_in_place(opened, 10000, keys[i]);
    }
    for (int round = 0; round < 5000; round++) {
        uint64_t i = stage_below(&random, 16);
        CHECK(stage_filled(held[i].sga_segs[0].sgaseg_buf, 10000, keys[i]));
        CHECK_INT(mbr_sga_free(&held[i]), 0);
        keys[i] = sent++;
        push_lent(made, 10000, keys[i]);
        held[i] = pop_in_place(opened, 10000, keys[i]);
    }
    for (int i = 0; i < 16; i++)
        CHECK_INT(mbr_sga_free(&held[i]), 0);
}

/* Each kind of message may be popped either way. */
static void lent_and_copied_are_interchangeable(void **state)
{
    for (uint64_t i = 0; i < 500; i++) {
        push_lent(made, 3000, i);
        native_pop(l, opened, 3000, i);
        native_push(l, made, 3000, ~i);
        demi_sgarray_t sga = pop_in_place(opened, 3000, ~i);
        CHECK_INT(mbr_sga_free(&sga), 0);
    }
}

/* What is held stays readable when the pipe is gone, and is freed without harm. */
static void lent_memory_outlives_the_pipe(void **state)
{
    push_lent(made, 50000, 1);
    push_lent(made, 50000, 2);
    demi_sgarray_t held = pop_in_place(opened, 50000, 1);

    CHECK_INT(mbr_close(l, made), 0);
    CHECK(stage_filled(held.sga_segs[0].sgaseg_buf, 50000, 1));
    demi_sgarray_t second = pop_in_place(opened, 50000, 2);
    CHECK_INT(mbr_close(l, opened), 0);
    CHECK(stage_filled(held.sga_segs[0].sgaseg_buf, 50000, 1));
    CHECK(stage_filled(second.sga_segs[0].sgaseg_buf, 50000, 2));
    CHECK_INT(mbr_sga_free(&held), 0);
    CHECK_INT(mbr_sga_free(&second), 0);
}

static void borrow_and_die(struct stage_actor *parent, void *arg)
{
    l = open_libos();
    int qd = native_open(l, "borrower");

    for (int i = 0; i < 20; i++)
        (void)pop_in_place(qd, 1u << 20, 7);
    stage_say(parent, 1);
    (void)stage_hear(parent);
}

/* "It comes back when the peer has freed it, or died." */
static void lent_memory_comes_back_from_the_dead(void **state)
{
    for (int round = 0; round < 10; round++) {
        struct stage_actor actor;
        int qd = native_create(l, "borrower");
        demi_qtoken_t pop = native_start_pop(l, qd, 0);

        stage_spawn(&actor, borrow_and_die, NULL);
        int rc;
        demi_sgarray_t sga;
        while ((rc = mbr_lend_alloc(l, qd, 64, &sga)) == -ENOTCONN)
            native_expect_pending(l, pop);
        CHECK_INT(rc, 0);
        CHECK_INT(mbr_sga_free(&sga), 0);
        for (int i = 0; i < 20; i++)
            push_lent(qd, 1u << 20, 7);
        (void)stage_hear(&actor);
        stage_kill(&actor);
        demi_qresult_t qr = native_finish(l, pop);
        native_expect(&qr, DEMI_OPC_FAILED, ECONNRESET);
        CHECK_INT(mbr_close(l, qd), 0);
    }
}

static int run(int argc, char **argv)
{
#define WITH_ENDS(f) cmocka_unit_test_setup_teardown(f, make_ends, drop_ends)
    const struct CMUnitTest tests[] = {
        WITH_ENDS(place_invalid_arguments),
        WITH_ENDS(written_messages_appear_when_flushed),
        WITH_ENDS(less_is_committed_than_reserved),
        WITH_ENDS(room_comes_back_when_retired),
        WITH_ENDS(records_are_contiguous_round_the_end),
        WITH_ENDS(both_styles_keep_the_order),
        WITH_ENDS(large_message_is_peeked_in_pieces),
        WITH_ENDS(message_that_an_opener_has_begun_to_release),
        WITH_ENDS(peek_while_pops_are_pending),
        WITH_ENDS(ends_seen_in_place),
        WITH_ENDS(await_says_which),
        WITH_ENDS(lend_errors),
        cmocka_unit_test_setup_teardown(peer_is_known_at_once, make_new_ends, drop_ends),
        WITH_ENDS(lent_messages_of_many_sizes),
        WITH_ENDS(lent_memory_comes_back),
        WITH_ENDS(lent_memory_is_limited),
        WITH_ENDS(lent_messages_are_freed_in_any_order),
        WITH_ENDS(lent_and_copied_are_interchangeable),
        WITH_ENDS(lent_memory_outlives_the_pipe),
        WITH_ENDS(lent_memory_comes_back_from_the_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(60, argc, argv, run);
}
