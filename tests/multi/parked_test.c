/* SPDX-License-Identifier: MIT */
/*
 * A domain that waits makes no system call: it is run under strace, it waits with nothing to do for
 * a number of seconds (the argument, default 1), and no call may begin in that time. Also that it
 * still notices what it waited for. The seconds are what is measured, not how the processes find
 * each other. Skipped where strace cannot trace. Not here: the busy path (busy_path_test.c).
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "native_util.h"

#include <cmocka.h>

static int seconds_parked = 1;
static char *own_path;

enum waiting { FOREVER, LONG_TIMEOUT, ANY_OF_MANY, IN_PLACE, WAYS };

/* More than futex_waitv can take. */
#define MANY 150

/* ---- the traced program ---- */

static void wait_in_some_way(struct mbr_libos *l, int qd, enum waiting way)
{
    demi_qtoken_t qts[MANY];
    char name[32];
    demi_qresult_t qr;
    int offset;

    if (way == IN_PLACE) {
        CHECK_INT(mbr_pipe_await(l, qd, MBR_READABLE, 1, MBR_FOREVER), MBR_READABLE);
        native_pop(l, qd, 10, 1);
        return;
    }
    qts[0] = native_start_pop(l, qd, 0);
    for (int i = 1; i < MANY && way == ANY_OF_MANY; i++) {
        snprintf(name, sizeof(name), "many-%d", i);
        qts[i] = native_start_pop(l, native_create(l, name), 0);
        (void)native_open(l, name);
    }
    int n = way == ANY_OF_MANY ? MANY : 1;
    uint64_t timeout = way == FOREVER ? MBR_FOREVER : UINT64_C(3600000000000);
    CHECK_INT(mbr_wait_any(l, qts, n, timeout, &qr, &offset), 0);
    CHECK_INT(offset, 0);
    native_expect_message(&qr, 10, 1);
}

/* Creates, tells that it did, waits until somebody has opened, then waits for a message. */
static int be_waiter(enum waiting way)
{
    struct stage_actor parent = stage_parent();
    struct mbr_libos *l = open_libos();
    int qd = native_create(l, "parked");

    stage_say(&parent, (uint64_t)getpid());
    (void)stage_hear(&parent);
    wait_in_some_way(l, qd, way);
    stage_say(&parent, 1);
    mbr_libos_close(l);
    return 0;
}

/* ---- the test ---- */

static void push_when_told(struct stage_actor *parent, void *arg)
{
    struct mbr_libos *l = open_libos();
    int qd = native_open(l, "parked");

    stage_say(parent, 1);
    (void)stage_hear(parent);
    native_push(l, qd, 10, 1);
    mbr_libos_close(l);
}

static double wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now); /* strace's */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void log_path(char *path, size_t size)
{
    snprintf(path, size, "%s/strace", stage_dir());
}

static void spawn_traced(struct stage_actor *actor, enum waiting way)
{
    char log[PATH_MAX + 8], number[8];

    log_path(log, sizeof(log));
    snprintf(number, sizeof(number), "%d", (int)way);
    char *argv[] = {(char *)(uintptr_t) "strace",
                    (char *)(uintptr_t) "-f",
                    (char *)(uintptr_t) "-ttt",
                    (char *)(uintptr_t) "-o",
                    log,
                    own_path,
                    (char *)(uintptr_t) "--waiter",
                    number,
                    NULL};
    stage_spawn_program(actor, argv);
}

/* The lines of the log are "PID SECONDS.MICROSECONDS CALL". */
static int count_calls(pid_t pid, double from, double to)
{
    char log[PATH_MAX + 8], line[1024];
    int n = 0, traced;
    double at;

    log_path(log, sizeof(log));
    FILE *f = fopen(log, "re");
    CHECK(f != NULL);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%d %lf", &traced, &at) != 2 || traced != pid || at < from || at > to)
            continue;
        print_error("a system call while parked: %s", line);
        n++;
    }
    fclose(f);
    return n;
}

static void park(enum waiting way)
{
    struct stage_actor waiter, pusher;

    spawn_traced(&waiter, way);
    pid_t pid = (pid_t)stage_hear(&waiter);
    stage_spawn(&pusher, push_when_told, NULL);
    (void)stage_hear(&pusher);
    stage_say(&waiter, 1);
    stage_await_parked(pid);
    double from = wall_clock();
    CHECK_INT(poll(NULL, 0, seconds_parked * 1000), 0);
    double to = wall_clock();
    CHECK(!stage_peek(&waiter));
    stage_say(&pusher, 1);
    (void)stage_hear(&waiter);
    stage_join_ok(&pusher);
    stage_join_ok(&waiter);
    CHECK_INT(count_calls(pid, from, to), 0);
}

static void parked_for_ever(void **state)
{
    park(FOREVER);
}

static void parked_with_a_timeout(void **state)
{
    park(LONG_TIMEOUT);
}

static void parked_on_many_pipes(void **state)
{
    park(ANY_OF_MANY);
}

static void parked_in_place(void **state)
{
    park(IN_PLACE);
}

/* ---- */

static bool can_trace(void)
{
    struct stage_actor actor;
    char log[PATH_MAX + 8];

    log_path(log, sizeof(log));
    char *argv[] = {(char *)(uintptr_t) "strace", (char *)(uintptr_t) "-f",
                    (char *)(uintptr_t) "-o",     log,
                    (char *)(uintptr_t) "true",   NULL};
    stage_spawn_program(&actor, argv);
    return stage_join(&actor) == 0;
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parked_for_ever),
        cmocka_unit_test(parked_with_a_timeout),
        cmocka_unit_test(parked_on_many_pipes),
        cmocka_unit_test(parked_in_place),
    };

    /* LeakSanitizer needs ptrace for itself. */
    setenv("LSAN_OPTIONS", "detect_leaks=0", 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    if (!can_trace()) {
        print_message("strace cannot trace here: skipped\n");
        return STAGE_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    own_path = argv[0];
    if (argc == 3 && strcmp(argv[1], "--waiter") == 0)
        return be_waiter((enum waiting)atoi(argv[2]));
    if (argc == 2)
        seconds_parked = atoi(argv[1]);
    return stage_main(30 + WAYS * (unsigned int)seconds_parked, argc, argv, run);
}
