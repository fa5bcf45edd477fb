/* SPDX-License-Identifier: MIT */
/*
 * membrane-turns WHAT N [marked] (bench/lib/things.h): turns of pipes and tasks. The difference
 * between two runs is what N costs; membrane-costs does that. The demi API comes from the shared
 * library, as in any program.
 */
#include <errno.h>

#include "bench/costs/turns.h"
#include "bench/lib/things.h"
#include "bench/membrane/meet.h"
#include "sched/sched.h"

#define MESSAGE_BYTES 64u
#define LARGE_BYTES   ((size_t)1 << 20)
#define WARM_TURNS    1000u

static int turns_of(size_t size, uint64_t count)
{
    struct costs_pipe pipe;
    int result = costs_open(&pipe);

    if (result != 0) {
        return result;
    }
    result = costs_turns(&pipe, WARM_TURNS, size);
    bench_mark();
    if (result == 0) {
        result = costs_turns(&pipe, count, size);
    }
    bench_mark();
    costs_close(&pipe);
    return result;
}

static int turns(uint64_t count)
{
    return turns_of(MESSAGE_BYTES, count);
}

static int large_turns(uint64_t count)
{
    return turns_of(LARGE_BYTES, count);
}

/* Two tasks that wake each other: every call is a switch. */
struct partner {
    struct mbr__task task;
    struct mbr__task *other;
};

static enum mbr__task_result call_other(struct mbr__task *task)
{
    mbr__sched_wake(((struct partner *)(void *)task)->other);
    return MBR__TASK_PENDING;
}

static int switches(uint64_t count)
{
    struct partner partner[2];
    struct mbr__sched sched;
    int result = 0;

    mbr__sched_init(&sched);
    for (int i = 0; i < 2 && result == 0; i++) {
        mbr__task_init(&partner[i].task, call_other);
        partner[i].other = &partner[1 - i].task;
        result = mbr__sched_add(&sched, &partner[i].task);
    }
    bench_mark();
    if (result == 0) {
        (void)mbr__sched_run(&sched, count);
    }
    bench_mark();
    mbr__sched_fini(&sched);
    return result;
}

static const struct bench_thing things[] = {
    {"turns", "messages of 64 bytes from one end to the other, in one thread", turns},
    {"large", "the same with messages of 1 MiB", large_turns},
    {"stream", "messages of 64 bytes from another process", costs_stream},
    {"switches", "task switches", switches},
};
#define PROGRAM "membrane-turns"

int main(int argc, char **argv)
{
    const struct bench_case bc = {.ring_bytes = COSTS_RING_BYTES};
    struct bench_order order;
    void *shared;
    int result;

    if (!bench_ordered(PROGRAM, things, sizeof(things) / sizeof(things[0]), argc, argv, &order)) {
        return BENCH_EXIT_USAGE;
    }
    result = bench_meet_start(NULL, &bc, &shared);
    if (result == 0) {
        result = order.thing->run(order.count);
        bench_meet_stop(shared);
    }
    return bench_done(PROGRAM, &order, result);
}
