/* SPDX-License-Identifier: MIT */
/*
 * The life of one side of a measurement: pin, connect, line games, the subject's role, line games,
 * report. Barriers are spun on, with the deadline of the measurement.
 */
#include "bench/lib/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_SPAN_NS BENCH_MS /* each of the two games: 2 ms before and 2 ms after */

struct side {
    const struct bench_job *job;
    struct bench_side_state *me;
    const struct bench_side_state *other;
    enum bench_side which;
    struct bench_probe probe;
    void *end; /* what the subject has opened; NULL nothing */
};

int bench_spin_slow(struct bench_probe *probe)
{
    if (probe->one_cpu) {
        (void)sched_yield();
    }
    if (mbr_load_relaxed(probe->abort) != 0) {
        return -ECANCELED;
    }
    return bench_ticks() > probe->deadline ? -ETIMEDOUT : 0;
}

static struct bench_probe *running; /* this process's */

/* From the keeper: each lap may be the last. */
static void on_term(int number)
{
    (void)number;
    running->stop_at = 0;
}

/* Also of a failure nothing stays behind: the names of a process that ends without closing would.
 */
static _Noreturn void report(struct side *side, int status, const char *where)
{
    if (side->end != NULL && side->job->subject->close != NULL) {
        side->job->subject->close(side->end);
    }
    snprintf(side->me->where, sizeof(side->me->where), "%s", where);
    side->me->status = status;
    mbr_store_release(&side->me->done, 1);
    _exit(0);
}

static void barrier(struct side *side, uint32_t step)
{
    mbr_store_release(&side->me->step, step);
    while (mbr_load_acquire(&side->other->step) < step) {
        int result = bench_spin(&side->probe);

        if (result != 0) {
            report(side, result, "barrier");
        }
    }
}

static void probe_init(struct side *side)
{
    const struct bench_job *job = side->job;
    struct bench_probe *probe = &side->probe;
    uint64_t per_tick = 65536 / job->bc->size;
    bool one_cpu = job->place->cpu[0] == job->place->cpu[1] || job->bc->one_cpu;

    *probe = (struct bench_probe){
        .size = job->bc->size,
        .blocking = job->bc->blocking,
        .one_cpu = one_cpu,
        .spin_mask = one_cpu ? 15 : 4095,
        .tick_mask = 0,
        .rest = bench_ns_to_ticks(job->bc->rest_ns),
        .deadline = bench_ticks() + bench_ns_to_ticks(job->timeout_ns),
        .abort = &job->control->abort,
        .laps = job->control->laps,
        .lap_limit = BENCH_LAPS - 1,
    };
    /* The largest power of two that is not more than 64 KiB of messages, at most 1,024 of them. */
    while (probe->tick_mask < 1023 && 2 * (probe->tick_mask + 1) <= per_tick) {
        probe->tick_mask = 2 * probe->tick_mask + 1;
    }
}

static void play_lines(struct side *side, int first_game)
{
    struct bench_control *control = side->job->control;

    if (side->probe.one_cpu) {
        return;
    }
    for (int game = first_game; game < first_game + 2; game++) {
        int result =
            bench_linecheck(&control->lines[game], side->which == BENCH_A ? 0 : 1,
                            game != first_game, LINE_SPAN_NS, BENCH_S, &side->me->line_ns[game]);

        if (result != 0) {
            report(side, result, "line check");
        }
    }
}

/* Side B of BENCH_DEATH: lives until it is killed. */
static _Noreturn void wait_for_the_end(struct side *side)
{
    mbr_store_release(&side->me->step, BENCH_STEP_END);
    for (;;) {
        (void)pause();
    }
}

static int play_death(struct side *side, void *end, const char **where)
{
    const struct bench_subject *subject = side->job->subject;
    int result = 0;

    if (side->which == BENCH_B) {
        *where = "victim";
        result = subject->victim != NULL ? subject->victim(end, &side->probe) : 0;
        if (result == 0) {
            wait_for_the_end(side);
        }
        return result;
    }
    *where = "await_death";
    mbr_store_release(&side->me->step, BENCH_STEP_END);
    result = subject->await_death(end, &side->probe);
    side->me->noticed_ns = bench_now_ns();
    return result;
}

static int play_role(struct side *side, void *end, const char **where)
{
    const struct bench_subject *subject = side->job->subject;
    bool first = side->which == BENCH_A;

    switch (side->job->bc->kind) {
    case BENCH_RTT:
        *where = first ? "ping" : "pong";
        return (first ? subject->ping : subject->pong)(end, &side->probe);
    case BENCH_STREAM:
        *where = first ? "send" : "recv";
        return (first ? subject->send : subject->recv)(end, &side->probe);
    case BENCH_DEATH:
        return play_death(side, end, where);
    }
    return -EINVAL;
}

/* The measured part, and what must be noted around it. */
static void measure(struct side *side, void *end)
{
    const struct bench_case *bc = side->job->bc;
    struct bench_probe *probe = &side->probe;
    struct rusage before, after;
    const char *where = "";
    uint64_t now;
    int result;

    (void)getrusage(RUSAGE_SELF, &before);
    barrier(side, BENCH_STEP_START);
    now = bench_ticks();
    probe->measure_from = now + bench_ns_to_ticks(bc->warm_ns);
    probe->stop_at = probe->measure_from + bench_ns_to_ticks(bc->span_ns);
    result = play_role(side, end, &where);
    (void)getrusage(RUSAGE_SELF, &after);
    side->me->preempted = (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
    side->me->switched = (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
    side->me->lap_count = probe->lap_count;
    side->me->first_seq = probe->first_seq;
    side->me->first_at = probe->first_at;
    side->me->last_seq = probe->last_seq;
    side->me->last_at = probe->last_at;
    if (result != 0) {
        report(side, result, where);
    }
}

_Noreturn void bench_side_main(const struct bench_job *job, enum bench_side which, void *shared,
                               int keeper)
{
    struct side side = {
        .job = job,
        .me = &job->control->side[which],
        .other = &job->control->side[which == BENCH_A ? BENCH_B : BENCH_A],
        .which = which,
    };
    int result;

    /* The keeper may have died before the request took effect, hence the second look. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper) {
        _exit(1);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    probe_init(&side);
    running = &side.probe;
    (void)signal(SIGTERM, on_term);
    result = bench_pin(job->place->cpu[job->bc->one_cpu ? BENCH_A : which]);
    if (result != 0) {
        report(&side, result, "pin");
    }
    barrier(&side, BENCH_STEP_PINNED);
    result = job->subject->open(shared, which, job->bc, &side.end);
    if (result != 0) {
        report(&side, result, "open");
    }
    barrier(&side, BENCH_STEP_OPEN);
    play_lines(&side, BENCH_LINE_1_BEFORE);
    measure(&side, side.end);
    if (job->bc->kind != BENCH_DEATH) {
        barrier(&side, BENCH_STEP_END);
        play_lines(&side, BENCH_LINE_1_AFTER);
    }
    report(&side, 0, "");
}
