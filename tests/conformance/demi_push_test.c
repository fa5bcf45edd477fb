/* SPDX-License-Identifier: MIT */
/*
 * Pushing and popping: arguments that are refused and in which order, parts of buffers, who owns
 * which memory when, and what results look like. One process. Not here: large messages between
 * processes (upstream_defects_test.c), waiting as such (demi_wait_test.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "demi_util.h"

#include <cmocka.h>

#define UNTOUCHED 123456

/* Larger than any ring: it stays pending until the other end pops. */
#define LARGE (8u << 20)

struct ends {
    int made, opened;
};

static int make_ends(void **state)
{
    static struct ends ends;

    ends.made = create_pipe("push");
    ends.opened = open_pipe("push");
    *state = &ends;
    return 0;
}

static int close_ends(void **state)
{
    struct ends *ends = *state;

    return demi_close(ends->opened) || demi_close(ends->made);
}

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static void refuse(int qd, const demi_sgarray_t *sga, int error)
{
    demi_qtoken_t qt = UNTOUCHED;

    CHECK_INT(demi_push(&qt, qd, sga), error);
    CHECK(qt == UNTOUCHED);
}

static void push_invalid_arguments(void **state)
{
    struct ends *ends = *state;
    demi_sgarray_t sga = filled_sga(100, 0), bad;
    demi_qtoken_t qt;

    CHECK_INT(demi_push(NULL, ends->made, &sga), EINVAL);
    refuse(ends->made, NULL, EINVAL);
    for (uint32_t n = 0; n < 5; n++) {
        bad = sga;
        bad.sga_numsegs = n == 1 ? UINT32_MAX : n;
        refuse(ends->made, &bad, EINVAL);
    }
    bad = sga;
    bad.sga_buf = NULL;
    refuse(ends->made, &bad, EINVAL);
    bad = sga;
    bad.sga_segs[0].sgaseg_len = 0;
    refuse(ends->made, &bad, EINVAL);
    bad = sga;
    bad.sga_segs[0].sgaseg_buf = NULL;
    refuse(ends->made, &bad, EINVAL);
    /* Nothing of this reached the pipe. */
    CHECK_INT(demi_push(&qt, ends->made, &sga), 0);
    demi_qresult_t qr = finish(qt);
    expect_push(&qr, ends->made);
    pop_message(ends->opened, 100, 0);
    CHECK_INT(demi_sgafree(&sga), 0);
}

/* The array is looked at before the descriptor. */
static void push_invalid_array_to_invalid_pipe(void **state)
{
    demi_sgarray_t sga = filled_sga(100, 0), bad = sga;

    bad.sga_numsegs = 2;
    refuse(-1, &bad, EINVAL);
    bad = sga;
    bad.sga_segs[0].sgaseg_len = 0;
    refuse(-1, &bad, EINVAL);
    bad = sga;
    bad.sga_segs[0].sgaseg_len = 101;
    refuse(-1, &bad, EINVAL);
    refuse(-1, &sga, EBADF);
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void segment(demi_sgarray_t *sga, unsigned char *at, uint32_t length)
{
    sga->sga_segs[0].sgaseg_buf = at;
    sga->sga_segs[0].sgaseg_len = length;
}

static void push_segment_outside_the_buffer(void **state)
{
    struct ends *ends = *state;
    static const uint32_t sizes[] = {1, 63, 64, 100, 1280, 4096, 65535, 65536, 1000000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t n = sizes[i];
        demi_sgarray_t sga = filled_sga(n, 0), bad = sga;
        unsigned char *p = sga.sga_segs[0].sgaseg_buf;

        segment(&bad, p - 1, 1);
        refuse(ends->made, &bad, EINVAL);
        segment(&bad, p - 1, n);
        refuse(ends->made, &bad, EINVAL);
        segment(&bad, p, n + 1);
        refuse(ends->made, &bad, EINVAL);
        segment(&bad, p + 1, n);
        refuse(ends->made, &bad, EINVAL);
        segment(&bad, p + n, 1);
        refuse(ends->made, &bad, EINVAL);
        segment(&bad, p, UINT32_MAX);
        refuse(ends->made, &bad, EINVAL);
        /* The end of the segment would wrap round the address space. */
        segment(&bad, (unsigned char *)UINTPTR_MAX - 10, 100);
        refuse(ends->made, &bad, EINVAL);
        segment(&bad, (unsigned char *)UINTPTR_MAX - 10, UINT32_MAX);
        refuse(ends->made, &bad, EINVAL);
        CHECK_INT(demi_sgafree(&sga), 0);
    }
}

static void push_narrowed_segment(void **state)
{
    struct ends *ends = *state;
    static const uint32_t cuts[][2] = {{0, 1}, {0, 999}, {1, 999}, {999, 1}, {500, 100}, {3, 64}};
    demi_sgarray_t sga = filled_sga(1000, 7);
    unsigned char *whole = sga.sga_segs[0].sgaseg_buf;

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        demi_qtoken_t qt;
        demi_qresult_t qr;

        segment(&sga, whole + cuts[i][0], cuts[i][1]);
        CHECK_INT(demi_push(&qt, ends->made, &sga), 0);
        qr = finish(qt);
        expect_push(&qr, ends->made);
        qr = finish(start_pop(ends->opened));
        CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
        CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, cuts[i][1]);
        CHECK(memcmp(qr.qr_value.sga.sga_segs[0].sgaseg_buf, whole + cuts[i][0], cuts[i][1]) == 0);
        CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    }
    /* Narrowed, it is still the same buffer. */
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void pop_invalid_arguments(void **state)
{
    struct ends *ends = *state;

    CHECK_INT(demi_pop(NULL, ends->made), EINVAL);
}

/* "Data is reference-counted, so the app may sgafree right after push": also while it is pending.
 */
static void buffer_freed_while_the_push_is_pending(void **state)
{
    struct ends *ends = *state;
    demi_qtoken_t push = start_push(ends->made, LARGE, 3);

    expect_pending(push);
    for (int i = 0; i < 8; i++) {
        demi_sgarray_t other = filled_sga(LARGE, 99);
        CHECK_INT(demi_sgafree(&other), 0);
    }
    pop_message(ends->opened, LARGE, 3);
    demi_qresult_t qr = finish(push);
    expect_push(&qr, ends->made);
}

static void buffer_changed_after_the_push_completed(void **state)
{
    struct ends *ends = *state;
    demi_sgarray_t sga = filled_sga(1000, 1);
    demi_qtoken_t qt;

    for (uint64_t i = 1; i <= 10; i++) {
        CHECK_INT(demi_push(&qt, ends->made, &sga), 0);
        demi_qresult_t qr = finish(qt);
        expect_push(&qr, ends->made);
        stage_fill(sga.sga_segs[0].sgaseg_buf, 1000, i + 1);
    }
    for (uint64_t i = 1; i <= 10; i++)
        pop_message(ends->opened, 1000, i);
    CHECK_INT(demi_sgafree(&sga), 0);
}

/* What was popped is the program's: it stays as it is whatever happens to the pipe, and may be
 * pushed on. */
static void popped_memory_belongs_to_the_program(void **state)
{
    struct ends *ends = *state;
    demi_qtoken_t qt;

    push_message(ends->made, 5000, 1);
    demi_qresult_t first = finish(start_pop(ends->opened));
    for (uint64_t i = 0; i < 100; i++) {
        push_message(ends->made, 5000, 2 + i);
        pop_message(ends->opened, 5000, 2 + i);
    }
    CHECK(stage_filled(first.qr_value.sga.sga_segs[0].sgaseg_buf, 5000, 1));
    demi_sgarray_t *mine = &first.qr_value.sga;
    stage_fill(mine->sga_segs[0].sgaseg_buf, 5000, 77);
    CHECK_INT(demi_push(&qt, ends->opened, mine), 0);
    demi_qresult_t qr = finish(qt);
    expect_push(&qr, ends->opened);
    pop_message(ends->made, 5000, 77);
    CHECK_INT(demi_sgafree(mine), 0);
}

static void buffer_pushed_several_times_at_once(void **state)
{
    struct ends *ends = *state;
    demi_sgarray_t sga = filled_sga(LARGE, 5);
    demi_qtoken_t qts[3];

    for (int i = 0; i < 3; i++)
        CHECK_INT(demi_push(&qts[i], ends->made, &sga), 0);
    CHECK_INT(demi_sgafree(&sga), 0);
    for (int i = 0; i < 3; i++) {
        pop_message(ends->opened, LARGE, 5);
        demi_qresult_t qr = finish(qts[i]);
        expect_push(&qr, ends->made);
    }
}

/* An end of file is no message: there is nothing in it to push. */
static void push_of_an_end_of_file(void **state)
{
    int made = create_pipe("push-eof"), opened = open_pipe("push-eof");
    struct ends *ends = *state;

    CHECK_INT(demi_close(made), 0);
    demi_qresult_t qr = finish(start_pop(opened));
    CHECK_INT(qr.qr_opcode, DEMI_OPC_POP);
    CHECK_INT(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
    refuse(ends->made, &qr.qr_value.sga, EINVAL);
    CHECK_INT(demi_sgafree(&qr.qr_value.sga), 0);
    CHECK_INT(demi_close(opened), 0);
}

static void messages_keep_their_boundaries(void **state)
{
    struct ends *ends = *state;
    enum { COUNT = 2000 };
    uint64_t random = 1;
    size_t sizes[COUNT];
    demi_qtoken_t qts[COUNT];

    for (uint64_t i = 0; i < COUNT; i++) {
        sizes[i] = 1 + stage_below(&random, i % 10 ? 300 : 20000);
        qts[i] = start_push(ends->made, sizes[i], i);
    }
    for (uint64_t i = 0; i < COUNT; i++)
        pop_message(ends->opened, sizes[i], i);
    for (uint64_t i = 0; i < COUNT; i++) {
        demi_qresult_t qr = finish(qts[i]);
        expect_push(&qr, ends->made);
    }
}

static int run(int argc, char **argv)
{
#define WITH_ENDS(f) cmocka_unit_test_setup_teardown(f, make_ends, close_ends)
    const struct CMUnitTest tests[] = {
        WITH_ENDS(push_invalid_arguments),
        WITH_ENDS(push_invalid_array_to_invalid_pipe),
        WITH_ENDS(push_segment_outside_the_buffer),
        WITH_ENDS(push_narrowed_segment),
        WITH_ENDS(pop_invalid_arguments),
        WITH_ENDS(buffer_freed_while_the_push_is_pending),
        WITH_ENDS(buffer_changed_after_the_push_completed),
        WITH_ENDS(popped_memory_belongs_to_the_program),
        WITH_ENDS(buffer_pushed_several_times_at_once),
        WITH_ENDS(push_of_an_end_of_file),
        WITH_ENDS(messages_keep_their_boundaries),
    };

    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
