/* SPDX-License-Identifier: MIT */
/*
 * A known defect of upstream: each idle pop is polled again in every round, so that 1,000 of them
 * make a busy pipe 400 times slower. Measured here without a clock: a process is single-stepped
 * through a number of round trips, with and without idle pops, and its instructions are counted.
 * Needs ptrace. Not here: times, which are in bench/.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demi_util.h"

#include <cmocka.h>

#define IDLE  1000
#define TRIPS 5

struct load {
    int idle;       /* pops that stay pending, each on a pipe of its own */
    bool connected; /* whose other end is open */
};

static void round_trip(int made, int opened)
{
    push_message(made, 64, 1);
    pop_message(opened, 64, 1);
    push_message(opened, 64, 2);
    pop_message(made, 64, 2);
}

/* The traced process. What is between its two stops is counted. */
static void carry_load(struct stage_actor *parent, void *arg)
{
    const struct load *load = arg;
    char name[32];

    start_demi();
    for (int i = 0; i < load->idle; i++) {
        snprintf(name, sizeof(name), "idle-%d", i);
        (void)start_pop(create_pipe(name));
        if (load->connected)
            (void)open_pipe(name);
    }
    int made = create_pipe("busy"), opened = open_pipe("busy");
    for (int i = 0; i < 200; i++)
        round_trip(made, opened);
    CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    for (int i = 0; i < TRIPS; i++)
        round_trip(made, opened);
    raise(SIGSTOP);
    _exit(0);
}

/* Steps until the process stops by itself. */
static uint64_t count_steps(pid_t pid)
{
    uint64_t steps = 0;
    int status;

    for (;; steps++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
        CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGSTOP)
            return steps;
        CHECK_INT(WSTOPSIG(status), SIGTRAP);
    }
}

static uint64_t instructions(int idle, bool connected)
{
    struct load load = {idle, connected};
    struct stage_actor actor;
    int status;

    stage_spawn(&actor, carry_load, &load);
    CHECK(waitpid(actor.pid, &status, 0) == actor.pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    uint64_t steps = count_steps(actor.pid);
    CHECK(ptrace(PTRACE_CONT, actor.pid, NULL, NULL) == 0);
    stage_join_ok(&actor);
    return steps;
}

/* The instance holds two descriptors for each end; many systems allow 1,024 unless asked. */
static bool descriptors_for(rlim_t wanted)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit.rlim_max >= wanted;
}

static void trace_nothing(struct stage_actor *parent, void *arg)
{
    /* Not exit(): LeakSanitizer needs ptrace for itself. */
    _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : STAGE_SKIPPED);
}

static bool can_trace(void)
{
    struct stage_actor actor;

    stage_spawn(&actor, trace_nothing, NULL);
    return stage_join(&actor) == 0;
}

/* Idle pops may cost a busy pipe 5 % (upstream: 400 times as much). */
static void thousand_idle_pops_slow_a_busy_pipe(void **state)
{
    uint64_t alone = instructions(0, false);
    uint64_t unconnected = instructions(IDLE, false);
    print_message("a round trip is %llu instructions, %llu beside 1000 idle pops\n",
                  (unsigned long long)alone / TRIPS, (unsigned long long)unconnected / TRIPS);
    CHECK(unconnected <= alone + alone / 20);
    if (!descriptors_for(8000))
        return;
    uint64_t connected = instructions(IDLE, true);
    print_message("%llu beside 1000 idle pops with a peer\n",
                  (unsigned long long)connected / TRIPS);
    CHECK(connected <= alone + alone / 20);
}

static int run(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(thousand_idle_pops_slow_a_busy_pipe)};

    if (!can_trace() || !descriptors_for(3000))
        return STAGE_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return stage_main(100, argc, argv, run);
}
