/* SPDX-License-Identifier: MIT */
/*
 * Memory for scatter-gather arrays: the cases of Demikernel's sga test (single, tight loop,
 * decoupled loop, for 64 and 1280 bytes), and sizes, alignment and misuse. Not here: that a warm
 * pool makes no system call (multi/busy_path_test.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "demi_util.h"

#include <cmocka.h>

static int init_demi(void **state)
{
    start_demi();
    return 0;
}

static void expect_good(const demi_sgarray_t *sga, size_t size)
{
    static const struct sockaddr_in nobody;

    CHECK(sga->sga_buf != NULL);
    CHECK_INT(sga->sga_numsegs, 1);
    CHECK(sga->sga_segs[0].sgaseg_buf != NULL);
    CHECK_INT((uintptr_t)sga->sga_segs[0].sgaseg_buf % 64, 0);
    CHECK_INT(sga->sga_segs[0].sgaseg_len, size);
    CHECK(memcmp(&sga->sga_addr, &nobody, sizeof(nobody)) == 0);
}

static void alloc_free_single(size_t size)
{
    demi_sgarray_t sga = demi_sgaalloc(size);

    expect_good(&sga, size);
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void alloc_free_tight(size_t size)
{
    for (int i = 0; i < 1000000; i++) {
        demi_sgarray_t sga = demi_sgaalloc(size);
        CHECK(sga.sga_numsegs == 1 && sga.sga_segs[0].sgaseg_len == size);
        CHECK(demi_sgafree(&sga) == 0);
    }
}

static void alloc_free_decoupled(size_t size)
{
    static demi_sgarray_t sgas[1000];

    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < 1000; i++) {
            sgas[i] = demi_sgaalloc(size);
            CHECK(sgas[i].sga_numsegs == 1 && sgas[i].sga_segs[0].sgaseg_len == size);
        }
        for (size_t i = 0; i < 1000; i++)
            CHECK(demi_sgafree(&sgas[i]) == 0);
    }
}

static void sga_alloc_free_single_small(void **state)
{
    alloc_free_single(64);
}

static void sga_alloc_free_tight_small(void **state)
{
    alloc_free_tight(64);
}

static void sga_alloc_free_decoupled_small(void **state)
{
    alloc_free_decoupled(64);
}

static void sga_alloc_free_single_big(void **state)
{
    alloc_free_single(1280);
}

static void sga_alloc_free_tight_big(void **state)
{
    alloc_free_tight(1280);
}

static void sga_alloc_free_decoupled_big(void **state)
{
    alloc_free_decoupled(1280);
}

static void expect_none(size_t size)
{
    demi_sgarray_t sga = demi_sgaalloc(size);

    CHECK(sga.sga_buf == NULL);
    CHECK_INT(sga.sga_numsegs, 0);
}

static void sga_alloc_of_no_size(void **state)
{
    expect_none(0);
    expect_none(((size_t)1 << 30) + 1);
    expect_none((size_t)1 << 32);
    expect_none(((size_t)1 << 32) + 64);
    expect_none(SIZE_MAX);
    expect_none(SIZE_MAX - 63);
}

static void sga_alloc_of_every_size(void **state)
{
    static demi_sgarray_t sgas[2048];

    for (size_t size = 1; size <= 2048; size++) {
        sgas[size - 1] = filled_sga(size, size);
        expect_good(&sgas[size - 1], size);
    }
    /* Nothing overlaps. */
    for (size_t size = 1; size <= 2048; size++) {
        CHECK(stage_filled(sgas[size - 1].sga_segs[0].sgaseg_buf, size, size));
        CHECK_INT(demi_sgafree(&sgas[size - 1]), 0);
    }
    for (size_t size = 4096; size <= (size_t)64 << 20; size *= 4) {
        alloc_free_single(size - 1);
        alloc_free_single(size);
        alloc_free_single(size + 1);
    }
}

/* Upstream stops at 65,535. */
static void sga_alloc_of_the_largest_size(void **state)
{
    size_t size = (size_t)1 << 30;
    demi_sgarray_t sga = demi_sgaalloc(size);

    if (!sga.sga_buf) /* a machine without a free GiB may say so */
        skip();
    expect_good(&sga, size);
    unsigned char *p = sga.sga_segs[0].sgaseg_buf;
    p[0] = 1;
    p[size - 1] = 2;
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void sga_free_invalid(void **state)
{
    demi_sgarray_t sga = demi_sgaalloc(64), bad;

    CHECK_INT(demi_sgafree(NULL), EINVAL);
    bad = sga;
    bad.sga_buf = NULL;
    CHECK_INT(demi_sgafree(&bad), EINVAL);
    for (uint32_t n = 0; n < 5; n++) {
        bad = sga;
        bad.sga_numsegs = n == 1 ? UINT32_MAX : n;
        CHECK_INT(demi_sgafree(&bad), EINVAL);
    }
    CHECK_INT(demi_sgafree(&sga), 0);
}

static void sga_free_twice(void **state)
{
    demi_sgarray_t sga = demi_sgaalloc(64), again = sga;

    CHECK_INT(demi_sgafree(&sga), 0);
    CHECK_INT(demi_sgafree(&again), EINVAL);
    alloc_free_decoupled(64);
}

static void free_elsewhere(void *arg)
{
    demi_sgarray_t *sgas = arg;

    start_demi();
    for (size_t i = 0; i < 100; i++) {
        CHECK(stage_filled(sgas[i].sga_segs[0].sgaseg_buf, 640, i));
        CHECK_INT(demi_sgafree(&sgas[i]), 0);
    }
}

static void sga_freed_by_another_thread(void **state)
{
    static demi_sgarray_t sgas[100];

    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 100; i++)
            sgas[i] = filled_sga(640, i);
        stage_in_thread(free_elsewhere, sgas);
    }
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sga_alloc_free_single_small),
        cmocka_unit_test(sga_alloc_free_tight_small),
        cmocka_unit_test(sga_alloc_free_decoupled_small),
        cmocka_unit_test(sga_alloc_free_single_big),
        cmocka_unit_test(sga_alloc_free_tight_big),
        cmocka_unit_test(sga_alloc_free_decoupled_big),
        cmocka_unit_test(sga_alloc_of_no_size),
        cmocka_unit_test(sga_alloc_of_every_size),
        cmocka_unit_test(sga_alloc_of_the_largest_size),
        cmocka_unit_test(sga_free_invalid),
        cmocka_unit_test(sga_free_twice),
        cmocka_unit_test(sga_freed_by_another_thread),
    };

    return cmocka_run_group_tests(tests, init_demi, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(50, argc, argv, run);
}
