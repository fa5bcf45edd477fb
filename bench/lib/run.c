/* SPDX-License-Identifier: MIT */
/*
 * The asking side of a measurement: starts a keeper, waits for it with a deadline, and turns what
 * lies on the shared page into a sample.
 */
#include "bench/lib/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lib/control.h"

#define TRIES           4
#define WARM_UPS        6
#define KEEPER_SLACK_NS (2 * BENCH_S)
#define END_PATIENCE_MS 2000
/* Fewer round trips than this say only that somebody else had the CPU. */
#define LEAST_LAPS 16

static volatile sig_atomic_t cancelled;

void bench_run_cancel(void)
{
    cancelled = 1;
}

bool bench_run_cancelled(void)
{
    return cancelled != 0;
}

/* A virtual machine shows itself in /proc/cpuinfo; elsewhere cores do not merge. */
static bool in_virtual_machine(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[4096];
    bool found = false;

    if (file == NULL) {
        return false;
    }
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        found = strncmp(line, "flags", 5) == 0 && strstr(line, " hypervisor") != NULL;
    }
    (void)fclose(file);
    return found;
}

int bench_runner_init(struct bench_runner *runner)
{
    struct bench_control *control;
    struct bench_place place;
    struct bench_hist hist;
    int cpus = bench_place_choose(&place);
    int result;

    if (cpus < 0) {
        return cpus;
    }
    result = bench_hist_init(&hist);
    if (result != 0) {
        return result;
    }
    /* Populated at once: a page fault in the middle of a round trip would be measured. */
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (control == MAP_FAILED) {
        result = -errno;
        bench_hist_fini(&hist);
        return result;
    }
    bench_clock_init();
    *runner = (struct bench_runner){.place = place,
                                    .cpus = cpus,
                                    .virtual = in_virtual_machine(),
                                    .hist = hist,
                                    .control = control};
    return 0;
}

void bench_runner_fini(struct bench_runner *runner)
{
    (void)munmap(runner->control, sizeof(*runner->control));
    bench_hist_fini(&runner->hist);
}

/*
 * Asks the keeper to end, so that it can reap its children; if it does not, ends it. Its children
 * then follow it, because they asked for SIGKILL at its death.
 */
static void end_keeper(pid_t pid, int pidfd)
{
    struct pollfd fd = {.fd = pidfd, .events = POLLIN};

    (void)kill(pid, SIGTERM);
    if (pidfd < 0 || poll(&fd, 1, END_PATIENCE_MS) != 1) {
        (void)kill(pid, SIGKILL);
    }
}

/* Waits for the keeper to end; ends it at the deadline or when cancelled. */
static int await_keeper(pid_t pid, uint64_t timeout_ns)
{
    uint64_t deadline_ns = bench_now_ns() + timeout_ns;
    int pidfd = pidfd_open(pid, 0);
    int result = pidfd < 0 ? -errno : 0;

    while (result == 0) {
        struct pollfd fd = {.fd = pidfd, .events = POLLIN};
        uint64_t now = bench_now_ns();

        if (cancelled) {
            result = -EINTR;
        } else if (now >= deadline_ns) {
            result = -ETIMEDOUT;
        } else if (poll(&fd, 1, (int)((deadline_ns - now) / BENCH_MS) + 1) > 0) {
            break;
        }
    }
    if (result != 0) {
        end_keeper(pid, pidfd);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (pidfd >= 0) {
        (void)close(pidfd);
    }
    return result;
}

static uint64_t timeout_of(const struct bench_case *bc)
{
    return bc->timeout_ns != 0 ? bc->timeout_ns : 4 * (bc->warm_ns + bc->span_ns) + 3 * BENCH_S;
}

/* One measurement on a cleared page. */
static int run_once(struct bench_runner *runner, const struct bench_subject *subject,
                    const struct bench_case *bc)
{
    struct bench_job job = {
        .subject = subject,
        .bc = bc,
        .place = &runner->place,
        .control = runner->control,
        .timeout_ns = timeout_of(bc),
        .asker = getpid(),
    };
    pid_t pid;
    int result;

    memset(runner->control, 0, sizeof(*runner->control));
    pid = fork();
    if (pid == 0) {
        bench_keeper_main(&job);
    }
    if (pid < 0) {
        return -errno;
    }
    result = await_keeper(pid, job.timeout_ns + KEEPER_SLACK_NS);
    runner->priority = (enum bench_priority)runner->control->priority;
    if (result == -ETIMEDOUT && runner->control->status == 0) {
        runner->control->status = -ETIMEDOUT;
        snprintf(runner->control->error, sizeof(runner->control->error), "the keeper hangs");
    }
    return result == -ETIMEDOUT ? 0 : result;
}

static void take_laps(struct bench_runner *runner, struct bench_sample *sample)
{
    const struct bench_control *control = runner->control;
    struct bench_hist *hist = &runner->hist;
    uint64_t count = control->side[BENCH_A].lap_count;

    bench_hist_clear(hist);
    for (uint64_t i = 0; i < count && i < BENCH_LAPS; i++) {
        bench_hist_record(hist, control->laps[i]);
    }
    sample->count = hist->count;
    sample->mean = bench_ticks_to_ns(bench_hist_mean(hist));
    sample->min = bench_ticks_to_ns((double)hist->min);
    sample->p50 = bench_ticks_to_ns((double)bench_hist_quantile(hist, 0.5));
    sample->p90 = bench_ticks_to_ns((double)bench_hist_quantile(hist, 0.9));
    sample->p99 = bench_ticks_to_ns((double)bench_hist_quantile(hist, 0.99));
    sample->p999 = bench_ticks_to_ns((double)bench_hist_quantile(hist, 0.999));
    sample->max = bench_ticks_to_ns((double)hist->max);
}

static void take_stream(const struct bench_control *control, struct bench_sample *sample)
{
    const struct bench_side_state *side = &control->side[BENCH_B];

    if (side->first_at != 0 && side->last_seq > side->first_seq) {
        sample->count = side->last_seq - side->first_seq;
        sample->span_ns = bench_ticks_to_ns((double)(side->last_at - side->first_at));
    }
}

static void take_death(const struct bench_control *control, struct bench_sample *sample)
{
    uint64_t told = control->side[BENCH_A].noticed_ns;
    double took;

    if (control->killed_ns == 0 || told < control->killed_ns) {
        return;
    }
    took = (double)(told - control->killed_ns);
    sample->count = 1;
    sample->mean = sample->min = sample->p50 = sample->p90 = took;
    sample->p99 = sample->p999 = sample->max = took;
    sample->parked = control->parked != 0;
}

static void take_lines(struct bench_runner *runner, const struct bench_case *bc,
                       struct bench_sample *sample)
{
    const struct bench_side_state *side = &runner->control->side[BENCH_A];

    sample->line_before = side->line_ns[BENCH_LINE_1_BEFORE];
    sample->lines_before = side->line_ns[BENCH_LINE_2_BEFORE];
    sample->line_after = side->line_ns[BENCH_LINE_1_AFTER];
    sample->lines_after = side->line_ns[BENCH_LINE_2_AFTER];
    if (sample->lines_before > 0) {
        bench_line_note(&runner->lines, sample->lines_before);
    }
    if (sample->lines_after > 0) {
        bench_line_note(&runner->lines, sample->lines_after);
    }
    sample->shared_core = bc->one_cpu ? false : bench_sample_on_shared_core(runner, sample);
}

bool bench_sample_on_shared_core(const struct bench_runner *runner,
                                 const struct bench_sample *sample)
{
    if (!runner->virtual) {
        return false;
    }
    return (sample->lines_before > 0 &&
            bench_line_shared_core(&runner->lines, sample->lines_before)) ||
           (sample->lines_after > 0 && bench_line_shared_core(&runner->lines, sample->lines_after));
}

/* The page as a sample. */
static struct bench_sample take_sample(struct bench_runner *runner, const struct bench_case *bc)
{
    const struct bench_control *control = runner->control;
    struct bench_sample sample = {.status = control->status};

    if (sample.status != 0) {
        memcpy(sample.error, control->error, sizeof(sample.error));
        sample.error[sizeof(sample.error) - 1] = '\0';
        return sample;
    }
    sample.preempted = control->side[0].preempted + control->side[1].preempted;
    sample.switched = control->side[0].switched + control->side[1].switched;
    take_lines(runner, bc, &sample);
    switch (bc->kind) {
    case BENCH_RTT:
        take_laps(runner, &sample);
        break;
    case BENCH_STREAM:
        take_stream(control, &sample);
        break;
    case BENCH_DEATH:
        take_death(control, &sample);
        break;
    }
    if (sample.count == 0 || (bc->kind == BENCH_RTT && sample.count < LEAST_LAPS)) {
        sample.status = -ENODATA;
        snprintf(sample.error, sizeof(sample.error), "nothing was measured in the time given");
    }
    return sample;
}

int bench_runner_sample(struct bench_runner *runner, const struct bench_subject *subject,
                        const struct bench_case *bc, struct bench_sample *sample)
{
    struct bench_sample taken;

    for (int try = 0; try < TRIES; try++) {
        int result = cancelled ? -EINTR : run_once(runner, subject, bc);

        if (result != 0) {
            return result;
        }
        taken = take_sample(runner, bc);
        if (!taken.shared_core && taken.status != -ENODATA) {
            break;
        }
        runner->dropped += taken.shared_core;
    }
    *sample = taken;
    return 0;
}

/* A subject that does nothing between its line games. */
static int idle_open(void *shared, enum bench_side side, const struct bench_case *bc, void **end)
{
    (void)shared;
    (void)side;
    (void)bc;
    *end = NULL;
    return 0;
}

static int idle_role(void *end, struct bench_probe *probe)
{
    (void)end;
    (void)probe;
    return 0;
}

int bench_runner_warm_up(struct bench_runner *runner)
{
    static const struct bench_subject idle = {.name = "idle",
                                              .flags = BENCH_SPINS,
                                              .open = idle_open,
                                              .ping = idle_role,
                                              .pong = idle_role};
    const struct bench_case bc = {.kind = BENCH_RTT, .size = 64};

    for (int i = 0; i < WARM_UPS && runner->cpus == 2; i++) {
        int result = cancelled ? -EINTR : run_once(runner, &idle, &bc);

        if (result != 0) {
            return result;
        }
        if (runner->control->status == 0) {
            (void)take_sample(runner, &bc);
        }
    }
    return 0;
}
