/* SPDX-License-Identifier: MIT */
/*
 * Measuring: one sample of one case of one subject, each in processes of its own, with a deadline
 * after which they are killed. Not here: what the subjects do (subject.h), repetition and ratios
 * (plan.h).
 */
#ifndef BENCH_LIB_RUN_H
#define BENCH_LIB_RUN_H

#include "bench/lib/hist.h"
#include "bench/lib/linecheck.h"
#include "bench/lib/pin.h"
#include "bench/lib/subject.h"

struct bench_sample {
    int status;      /* 0, or a negative errno; then only `error` is meaningful */
    char error[120]; /* "side B: recv: Connection reset by peer" */
    uint64_t count;  /* round trips or messages measured */
    double span_ns;  /* BENCH_STREAM: the time they took */
    /* BENCH_RTT: of all round trips; BENCH_DEATH: all the same. In ns. */
    double mean, min, p50, p90, p99, p999, max;
    double line_before, line_after;   /* one-line round trip, ns; 0: not played */
    double lines_before, lines_after; /* two-line round trip */
    uint64_t preempted;               /* involuntary context switches of both sides */
    uint64_t switched;                /* voluntary ones */
    bool shared_core;                 /* both CPUs were one core: not to be used */
    bool parked;                      /* BENCH_DEATH: side A was asleep */
};

struct bench_runner {
    struct bench_place place;
    int cpus; /* different CPUs in `place`: 1 or 2 */
    enum bench_priority priority;
    struct bench_line_log lines;
    unsigned dropped; /* samples dropped because of a shared core */
    bool virtual;     /* drop such samples: only a hypervisor makes them */
    struct bench_hist hist;
    struct bench_control *control;
};

/*
 * Chooses two CPUs, calibrates the clock (10 ms) and maps the shared page. Negative errno of
 * sched_getaffinity(2) or mmap(2), -ENOMEM. The runner belongs to one thread.
 */
int bench_runner_init(struct bench_runner *runner);
void bench_runner_fini(struct bench_runner *runner);

/*
 * Plays the line games alone a few times (about 0.1 s), so that the first samples can already be
 * judged. Needed once, before the first sample; no effect with one CPU.
 */
int bench_runner_warm_up(struct bench_runner *runner);

/*
 * Takes one sample; again, up to three times more, while both CPUs share a core or the host stopped
 * one of them for so long that nothing was measured. Blocks for about
 * warm_ns + span_ns, at most for the case's deadline and 2 s each time. Returns 0 with the sample
 * filled in, whose own `status` tells whether the subject failed; -EINTR after bench_run_cancel();
 * a negative errno when no process can be made. SIGCHLD must not be ignored.
 */
int bench_runner_sample(struct bench_runner *runner, const struct bench_subject *subject,
                        const struct bench_case *bc, struct bench_sample *sample);

/* Judges a sample by all line games played until now; those taken early deserve a second look. */
bool bench_sample_on_shared_core(const struct bench_runner *runner,
                                 const struct bench_sample *sample);

/* Ends the current sample and refuses further ones. May be called from a signal handler. */
void bench_run_cancel(void);
bool bench_run_cancelled(void);

#endif
