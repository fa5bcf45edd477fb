/* SPDX-License-Identifier: MIT */
/*
 * After warm-up the busy path allocates nothing and makes no system call: allocations are counted
 * by interposition, system calls by running the test's own program under strace, which writes what
 * happens between two marks. Both ends are in one process, so that nobody ever has to wait. The
 * second half is skipped where strace cannot trace. Not here: waiting (parked_test.c).
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../conformance/demi_util.h"
#include "../unit/failalloc.h"
#include "native_util.h"

#include <cmocka.h>

#define ROUNDS 20000

static char *own_path;

/* ---- the work: every way to send, a round of each ---- */

static struct mbr_libos *l;
static int made, opened; /* native */
static int demi_made, demi_opened;

static void through_demi(size_t size, uint64_t key)
{
    demi_qtoken_t pop = start_pop(demi_opened), push = start_push(demi_made, size, key), qts[2];
    demi_qresult_t qr;
    int at, n;

    qts[0] = push;
    qts[1] = pop;
    if (key % 2) {
        CHECK_INT(demi_wait_any(&qr, &at, qts, 2, NULL), 0);
        if (qr.qr_opcode == DEMI_OPC_POP)
            expect_message(&qr, demi_opened, size, key);
        CHECK_INT(demi_wait_next_n(&qr, 1, &n, NULL), 0);
    } else {
        qr = finish(push);
        qr = finish(pop);
    }
    if (qr.qr_opcode == DEMI_OPC_POP)
        expect_message(&qr, demi_opened, size, key);
}

static void in_place(uint32_t size, uint64_t key)
{
    const void *at;
    uint64_t left;
    uint32_t len;
    void *data;

    /* The ring may look full until the writer has waited. */
    int rc = mbr_pipe_reserve(l, made, size, &data);
    if (rc == -EAGAIN) {
        CHECK_INT(mbr_pipe_await(l, made, MBR_WRITABLE, size, MBR_FOREVER), MBR_WRITABLE);
        rc = mbr_pipe_reserve(l, made, size, &data);
    }
    CHECK_INT(rc, 0);
    stage_fill(data, size, key);
    CHECK_INT(mbr_pipe_commit(l, made, size), 0);
    CHECK_INT(mbr_pipe_flush(l, made), 0);
    CHECK_INT(mbr_pipe_peek(l, opened, &at, &len, &left), 0);
    CHECK(len == size && stage_filled(at, len, key));
    CHECK_INT(mbr_pipe_release(l, opened), 0);
    CHECK_INT(mbr_pipe_retire(l, opened), 0);
}

static void by_reference(size_t size, uint64_t key)
{
    demi_qtoken_t push, pop;
    demi_sgarray_t sga;

    CHECK_INT(mbr_lend_alloc(l, made, size, &sga), 0);
    stage_fill(sga.sga_segs[0].sgaseg_buf, size, key);
    CHECK_INT(mbr_push(l, made, &sga, &push), 0);
    CHECK_INT(mbr_sga_free(&sga), 0);
    CHECK_INT(mbr_pop_in_place(l, opened, &pop), 0);
    demi_qresult_t qr = native_finish(l, push);
    native_expect(&qr, DEMI_OPC_PUSH, 0);
    qr = native_finish(l, pop);
    native_expect_message(&qr, size, key);
}

static void work(uint64_t rounds)
{
    static const uint32_t sizes[] = {1, 64, 1000, 4096, 16384};

    for (uint64_t i = 0; i < rounds; i++) {
        uint32_t size = sizes[i % 5];
        through_demi(size, i);
        in_place(size, i);
        by_reference(size, i);
        native_push(l, opened, size, i);
        native_pop(l, made, size, i);
    }
}

static void warm_up(void)
{
    start_demi();
    demi_made = create_pipe("busy-demi");
    demi_opened = open_pipe("busy-demi");
    l = open_libos();
    made = native_create(l, "busy");
    opened = native_open(l, "busy");
    native_push(l, opened, 1, 0); /* the ends meet */
    native_pop(l, made, 1, 0);
    work(1000);
}

/* ---- no allocation ---- */

static void count_allocations(struct stage_actor *parent, void *arg)
{
    warm_up();
    uint64_t before = failalloc_count();
    work(ROUNDS);
    CHECK_INT(failalloc_count() - before, 0);
    mbr_libos_close(l);
}

static void busy_path_allocates_nothing(void **state)
{
    struct stage_actor actor;

    stage_spawn(&actor, count_allocations, NULL);
    stage_join_ok(&actor);
}

/* ---- no system call ---- */

/* Calls that nobody else makes, to be found in the log. */
static void mark(void)
{
    (void)syscall(SYS_getpriority, 77, 77);
}

static int be_worker(void)
{
    warm_up();
    mark();
    work(ROUNDS);
    mark();
    mbr_libos_close(l);
    return 0;
}

static int calls_between_marks(const char *log)
{
    char line[1024];
    int marks = 0, n = 0;
    FILE *f = fopen(log, "re");

    CHECK(f != NULL);
    while (fgets(line, sizeof(line), f)) {
        if (strstr(line, "getpriority(")) {
            marks++;
        } else if (marks == 1) {
            if (n++ < 10)
                print_error("a system call on the busy path: %s", line);
        }
    }
    fclose(f);
    CHECK_INT(marks, 2);
    return n;
}

static int strace(char *log, char *program, char *argument)
{
    struct stage_actor actor;
    char *argv[] = {(char *)(uintptr_t) "strace",
                    (char *)(uintptr_t) "-f",
                    (char *)(uintptr_t) "-o",
                    log,
                    program,
                    argument,
                    NULL};

    stage_spawn_program(&actor, argv);
    return stage_join(&actor);
}

static void busy_path_makes_no_system_call(void **state)
{
    char log[PATH_MAX];

    snprintf(log, sizeof(log), "%s/strace", stage_dir());
    if (strace(log, (char *)(uintptr_t) "true", NULL) != 0)
        skip();
    setenv("LSAN_OPTIONS", "detect_leaks=0", 1); /* which needs ptrace for itself */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    CHECK_INT(strace(log, own_path, (char *)(uintptr_t) "--worker"), 0);
    CHECK_INT(calls_between_marks(log), 0);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_path_allocates_nothing),
        cmocka_unit_test(busy_path_makes_no_system_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    own_path = argv[0];
    if (argc == 2 && strcmp(argv[1], "--worker") == 0)
        return be_worker();
    return stage_main(50, argc, argv, run);
}
