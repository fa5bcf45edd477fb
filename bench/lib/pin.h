/* SPDX-License-Identifier: MIT */
/*
 * Where and how urgently a measuring process runs: choice of two CPUs, pinning, and raising the
 * priority of the scheduler's autogroup. `nice` alone has no effect between sessions when
 * autogroups are on (sched(7)), which is why the group's own value is written.
 */
#ifndef BENCH_LIB_PIN_H
#define BENCH_LIB_PIN_H

#include <sched.h>
#include <stdbool.h>

/* The CPUs of the two sides of a measurement. Equal when only one CPU may be used. */
struct bench_place {
    int cpu[2];
};

/* What bench_priority_raise() could do. */
enum bench_priority {
    BENCH_PRIORITY_NONE,      /* not allowed: the default priority stays */
    BENCH_PRIORITY_NICE,      /* setpriority(2) to -20 */
    BENCH_PRIORITY_AUTOGROUP, /* /proc/self/autogroup to -20 */
};

/*
 * Chooses two of the allowed CPUs: on different cores of one package where there are such, else any
 * two, else the same one twice. Returns the number of different CPUs chosen (1 or 2), or a negative
 * errno of sched_getaffinity(2).
 */
int bench_place_choose(struct bench_place *place);

/* True when both CPUs of the place are hyper-threads of one core, as far as sysfs tells. */
bool bench_place_is_smt(const struct bench_place *place);

/* Pins the calling thread. Negative errno of sched_setaffinity(2), e.g. -EINVAL: no such CPU. */
int bench_pin(int cpu);

/*
 * Raises the priority of the calling process as far as it is allowed to and says how. It should
 * have called setsid(2) first: the autogroup is the session's, so without a session of its own the
 * measurement would take its neighbours in the same terminal along. With one, there is nothing to
 * restore: the group ends with its processes.
 */
enum bench_priority bench_priority_raise(void);
const char *bench_priority_name(enum bench_priority priority);

#endif
