/* SPDX-License-Identifier: MIT */
/*
 * Deadlines, and ticks: that a span in ticks agrees with the clock whatever the machine, and what
 * is counted where the time stamp counter must not be used. The choice is made once in a process,
 * so each is tried in a child of its own. No speed is asserted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"

/* What the two system calls that decide pretend; NULL and 0: what is true. */
static const char *fake_clocksource;
static int fake_tsc_mode;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_prctl(int option, int *mode);

int __wrap_open(const char *path, int flags, ...)
{
    int pipe_ends[2];

    if (!fake_clocksource || !strstr(path, "current_clocksource"))
        return __real_open(path, flags, 0600);
    if (pipe(pipe_ends) != 0)
        return -1;
    if (write(pipe_ends[1], fake_clocksource, strlen(fake_clocksource)) < 0)
        return -1;
    (void)close(pipe_ends[1]);
    return pipe_ends[0];
}

int __wrap_prctl(int option, int *mode)
{
    if (option != PR_GET_TSC)
        return -1;
    *mode = fake_tsc_mode ? fake_tsc_mode : PR_TSC_ENABLE;
    return 0;
}

/* The source that a fresh process chooses under the pretences set. */
static int source_in_child(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        uint64_t before = mbr__now_ns();
        uint64_t ticks = mbr__ticks();

        /* Where ticks are nanoseconds, they are those of the clock. */
        if (mbr__ticks_source == MBR__TICKS_NS && (ticks < before || ticks > mbr__now_ns()))
            _exit(99);
        if (mbr__ticks_to_ns(0) != 0 || mbr__ticks_to_ns((uint64_t)-5) != 0)
            _exit(98);
        if (mbr__ticks_source == MBR__TICKS_NS && mbr__ticks_to_ns(1234) != 1234)
            _exit(97);
        _exit((int)mbr__ticks_source);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void counts_nanoseconds_where_it_must(void **state)
{
    fake_clocksource = "kvm-clock\n";
    assert_int_equal(source_in_child(), MBR__TICKS_NS);
    fake_clocksource = "tsc-early\n";
    assert_int_equal(source_in_child(), MBR__TICKS_NS);
    fake_clocksource = "";
    assert_int_equal(source_in_child(), MBR__TICKS_NS);
    fake_clocksource = "tsc\n";
    fake_tsc_mode = PR_TSC_SIGSEGV;
    assert_int_equal(source_in_child(), MBR__TICKS_NS);
    fake_clocksource = NULL;
    fake_tsc_mode = 0;
    assert_in_range(source_in_child(), MBR__TICKS_TSC, MBR__TICKS_NS);
}

/* Ticks of a span that is known, from outside and from inside, by the clock. */
static void check_span(uint64_t length_ns)
{
    uint64_t outer_start = mbr__now_ns();
    uint64_t start = mbr__ticks();
    uint64_t inner_start = mbr__now_ns();
    uint64_t inner_end, outer_end, end, span;

    do
        inner_end = mbr__now_ns();
    while (inner_end - inner_start < length_ns);
    end = mbr__ticks();
    outer_end = mbr__now_ns();
    span = mbr__ticks_to_ns(end - start);
    /* Twice and half leave room for a machine that stops at the worst moments. */
    assert_true(span >= (inner_end - inner_start) / 2);
    assert_true(span <= (outer_end - outer_start) * 2);
}

/* At once, while the rate is unknown, and behind the 10 ms after which it is fixed. */
static void spans_agree_with_the_clock(void **state)
{
    (void)mbr__ticks();
    for (int i = 0; i < 10; i++)
        check_span(200000);
    for (int i = 0; i < 3; i++)
        check_span(15000000);
}

static void deadlines_saturate(void **state)
{
    uint64_t before = mbr__now_ns();
    uint64_t deadline = mbr__deadline_ns(1000);

    assert_true(deadline >= before + 1000 && deadline <= mbr__now_ns() + 1000);
    assert_true(mbr__deadline_ns(0) >= before);
    assert_true(mbr__deadline_ns(MBR__NEVER) == MBR__NEVER);
    assert_true(mbr__deadline_ns(MBR__NEVER - 1) == MBR__NEVER);
    assert_true(mbr__deadline_ns(UINT64_MAX / 2) < MBR__NEVER);
}

static void *use_ticks(void *argument)
{
    uint64_t start = mbr__ticks();

    while (mbr__ticks_to_ns(mbr__ticks() - start) < 12000000)
        ;
    return argument;
}

/* Two first uses at a time; ThreadSanitizer watches. */
static void threads_may_begin_together(void **state)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_ticks, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_not_equal(mbr__ticks_source, MBR__TICKS_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Children inherit the choice: the ones that choose come first. */
        cmocka_unit_test(counts_nanoseconds_where_it_must),
        cmocka_unit_test(threads_may_begin_together),
        cmocka_unit_test(spans_agree_with_the_clock),
        cmocka_unit_test(deadlines_saturate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
