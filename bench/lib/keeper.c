/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a process of its own for each measurement, so that whatever a subject leaves behind
 * (descriptors, mappings, a raised priority, a broken heap) ends with it. It is a session leader:
 * the autogroup it raises is its own and its two children's. It kills nothing but those children.
 */
#include "bench/lib/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARK_PATIENCE_NS (500 * BENCH_MS)
#define GRACE_NS         (200 * BENCH_MS)  /* for the other side, once one has failed */
#define CANCEL_NS        (1500 * BENCH_MS) /* for both; closing a pipe may take a second of it */

/* Set by SIGTERM, with which the asking program cancels. */
static volatile sig_atomic_t told_to_end;

struct child {
    pid_t pid;
    int pidfd;
    bool gone;
    int status; /* of waitpid(2), once gone */
};

__attribute__((format(printf, 3, 4))) static void fail(const struct bench_job *job, int status,
                                                       const char *format, ...)
{
    va_list list;

    /* The first thing that went wrong is the cause; the rest follows from it. */
    if (job->control->status != 0) {
        return;
    }
    job->control->status = status;
    va_start(list, format);
    (void)vsnprintf(job->control->error, sizeof(job->control->error), format, list);
    va_end(list);
}

static int launch(const struct bench_job *job, struct child child[2], void *shared)
{
    pid_t keeper = getpid();

    for (int i = 0; i < 2; i++) {
        child[i] = (struct child){.pid = fork(), .pidfd = -1, .gone = true};
        if (child[i].pid == 0) {
            bench_side_main(job, i == 0 ? BENCH_A : BENCH_B, shared, keeper);
        }
        if (child[i].pid > 0) {
            child[i].gone = false;
            child[i].pidfd = pidfd_open(child[i].pid, 0);
        }
        if (child[i].pidfd < 0) {
            int error = -errno;

            fail(job, error, "fork: %s", strerror(-error));
            return error;
        }
    }
    return 0;
}

static void reap(struct child *child)
{
    if (!child->gone && waitpid(child->pid, &child->status, 0) == child->pid) {
        child->gone = true;
    }
}

static void kill_rest(struct child child[2])
{
    for (int i = 0; i < 2; i++) {
        if (!child[i].gone) {
            (void)kill(child[i].pid, SIGKILL);
            reap(&child[i]);
        }
        if (child[i].pidfd >= 0) {
            (void)close(child[i].pidfd);
        }
    }
}

/* A side has ended: was it meant to, and with what result? */
static void judge(const struct bench_job *job, int i, const struct child *child)
{
    const struct bench_side_state *state = &job->control->side[i];
    const char *name = i == 0 ? "A" : "B";

    if (job->bc->kind == BENCH_DEATH && i == BENCH_B && job->control->killed_ns != 0) {
        return;
    }
    if (mbr_load_acquire(&state->done) == 0) {
        if (WIFSIGNALED(child->status)) {
            fail(job, -ECHILD, "side %s died of signal %d", name, WTERMSIG(child->status));
        } else {
            fail(job, -ECHILD, "side %s exited with %d", name, WEXITSTATUS(child->status));
        }
    } else if (state->status != 0 && state->status != -ECANCELED) {
        fail(job, state->status, "side %s: %s: %s", name, state->where, strerror(-state->status));
    }
    if (job->control->status != 0) {
        mbr_store_release(&job->control->abort, 1);
    }
}

/* A side that ends by itself takes its names with it; one that does not will be killed. */
static void cancel(const struct bench_job *job, const struct child child[2])
{
    fail(job, -EINTR, "cancelled");
    mbr_store_release(&job->control->abort, 1);
    for (int i = 0; i < 2; i++) {
        if (!child[i].gone) {
            (void)kill(child[i].pid, SIGTERM);
        }
    }
}

/* Waits until both sides have ended or the deadline has passed. */
static void watch(const struct bench_job *job, struct child child[2], uint64_t deadline_ns)
{
    while (!child[0].gone || !child[1].gone) {
        uint64_t now = bench_now_ns();
        struct pollfd fds[2];

        if (told_to_end && job->control->status == 0) {
            cancel(job, child);
            deadline_ns = now + CANCEL_NS;
        }
        if (now >= deadline_ns) {
            fail(job, -ETIMEDOUT, "no end within %.1f s", (double)job->timeout_ns / 1e9);
            return;
        }
        for (int i = 0; i < 2; i++) {
            fds[i] = (struct pollfd){.fd = child[i].gone ? -1 : child[i].pidfd, .events = POLLIN};
        }
        (void)poll(fds, 2, (int)((deadline_ns - now) / BENCH_MS) + 1);
        for (int i = 0; i < 2; i++) {
            if (!child[i].gone && fds[i].revents != 0) {
                reap(&child[i]);
                judge(job, i, &child[i]);
                if (job->control->status != 0 && !told_to_end && now + GRACE_NS < deadline_ns) {
                    deadline_ns = now + GRACE_NS;
                }
            }
        }
    }
}

/* The state letter of a process: 'S' when it sleeps in the kernel. */
static char state_of(pid_t pid)
{
    char path[40];
    char text[512];
    char *bracket;
    size_t got;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return '?';
    }
    got = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[got] = '\0';
    bracket = strrchr(text, ')');
    if (bracket == NULL || strlen(bracket) < 3) {
        return '?';
    }
    return bracket[2];
}

/* A short rest between two looks at a child; never used to guess that something has happened. */
static void rest(void)
{
    struct timespec pause = {.tv_nsec = 200000};

    (void)nanosleep(&pause, NULL);
}

static bool both_at_end(const struct bench_control *control)
{
    return mbr_load_acquire(&control->side[0].step) >= BENCH_STEP_END &&
           mbr_load_acquire(&control->side[1].step) >= BENCH_STEP_END;
}

/* BENCH_DEATH: waits until side A is asleep, then kills side B. */
static void kill_victim(const struct bench_job *job, const struct child child[2],
                        uint64_t deadline_ns)
{
    struct bench_control *control = job->control;
    uint64_t patience_ns;

    while (!both_at_end(control)) {
        if (bench_now_ns() >= deadline_ns || mbr_load_acquire(&control->side[0].done) != 0 ||
            mbr_load_acquire(&control->side[1].done) != 0) {
            return;
        }
        rest();
    }
    patience_ns = bench_now_ns() + PARK_PATIENCE_NS;
    while (state_of(child[0].pid) != 'S' && bench_now_ns() < patience_ns) {
        rest();
    }
    control->parked = state_of(child[0].pid) == 'S';
    control->killed_ns = bench_now_ns();
    (void)kill(child[1].pid, SIGKILL);
}

static void run_sides(const struct bench_job *job, void *shared)
{
    struct child child[2] = {{.gone = true, .pidfd = -1}, {.gone = true, .pidfd = -1}};
    uint64_t deadline_ns = bench_now_ns() + job->timeout_ns + 500 * BENCH_MS;

    if (launch(job, child, shared) == 0) {
        if (job->subject->parted != NULL) {
            job->subject->parted(shared);
        }
        if (job->bc->kind == BENCH_DEATH) {
            kill_victim(job, child, deadline_ns);
        }
        watch(job, child, deadline_ns);
    }
    kill_rest(child);
}

static void on_term(int number)
{
    (void)number;
    told_to_end = 1;
}

_Noreturn void bench_keeper_main(const struct bench_job *job)
{
    static const struct sigaction end_action = {.sa_handler = on_term};
    void *shared = NULL;
    int result = 0;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != job->asker) {
        _exit(1);
    }
    (void)signal(SIGINT, SIG_DFL);
    (void)sigaction(SIGTERM, &end_action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setsid();
    job->control->priority = bench_priority_raise();
    if (job->subject->start != NULL) {
        result = job->subject->start(job->subject, job->bc, &shared);
    }
    if (result != 0) {
        fail(job, result, "start: %s", strerror(-result));
        _exit(0);
    }
    run_sides(job, shared);
    if (job->subject->stop != NULL) {
        job->subject->stop(shared);
    }
    _exit(0);
}
