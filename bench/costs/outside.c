/* SPDX-License-Identifier: MIT */
/* Running membrane-turns under strace, and step by step. */
#include "bench/costs/outside.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEW 10ul

extern char **environ;

/* Counts one run of `program what repetitions`. */
typedef int count_fn(char *program, char *what, char *repetitions, uint64_t *count);

static int difference(count_fn *count, const char *program, const char *what,
                      unsigned long repetitions, double *each)
{
    char *copy[2] = {strdup(program), strdup(what)};
    char few[24], more[24];
    uint64_t base = 0, all = 0;
    int result = copy[0] == NULL || copy[1] == NULL ? -ENOMEM : 0;

    (void)snprintf(few, sizeof(few), "%lu", FEW);
    (void)snprintf(more, sizeof(more), "%lu", FEW + repetitions);
    if (result == 0) {
        result = count(copy[0], copy[1], few, &base);
    }
    if (result == 0) {
        result = count(copy[0], copy[1], more, &all);
    }
    if (result == 0) {
        *each = ((double)all - (double)base) / (double)repetitions;
    }
    free(copy[0]);
    free(copy[1]);
    return result;
}

/* ---- strace ---- */

/* The first number of the line that says "total". */
static int find_total(FILE *file, uint64_t *number)
{
    char line[512];
    int result = -EIO;

    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "total", 5) == 0) {
            *number = strtoull(line + 5, NULL, 10);
            result = 0;
        }
    }
    return result;
}

static int run(char *const argv[], FILE *err)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;
    int result;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), STDERR_FILENO);
    result = -posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result == 0 && (waitpid(pid, &status, 0) != pid || status != 0)) {
        result = -EIO;
    }
    return result;
}

static int count_calls(char *program, char *what, char *repetitions, uint64_t *count)
{
    char strace[] = "strace", follow[] = "-f", summary[] = "-c";
    char columns[] = "--summary-columns=name,calls";
    char *argv[] = {strace, follow, summary, columns, program, what, repetitions, NULL};
    FILE *err = tmpfile();
    int result;

    if (err == NULL) {
        return -errno;
    }
    result = run(argv, err);
    if (result == 0) {
        rewind(err);
        result = find_total(err, count);
    }
    (void)fclose(err);
    return result;
}

int costs_system_calls(const char *program, const char *what, unsigned long repetitions,
                       double *each)
{
    return difference(count_calls, program, what, repetitions, each);
}

/* ---- stepping ---- */

static _Noreturn void be_traced(char *program, char *what, char *repetitions)
{
    char marked[] = "marked";
    char *argv[] = {program, what, repetitions, marked, NULL};

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
        (void)execv(program, argv);
    }
    _exit(127);
}

/* Lets the process go on, by one instruction or up to the next signal, and returns that signal; 0
 * when it has ended. */
static int go_on(pid_t pid, bool step)
{
    int status;

    if (ptrace(step ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, NULL, NULL) != 0 ||
        waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return 0;
    }
    return WSTOPSIG(status);
}

/* Counts the steps between two marks. */
static int step_through(pid_t pid, uint64_t *count)
{
    uint64_t steps = 0;
    int signal;

    while ((signal = go_on(pid, false)) != SIGUSR1) {
        if (signal == 0) {
            return -EIO;
        }
    }
    while ((signal = go_on(pid, true)) == SIGTRAP) {
        steps++;
    }
    if (signal != SIGUSR1) {
        return -EIO;
    }
    *count = steps;
    /* To its orderly end; the signal itself is withheld. */
    while (go_on(pid, false) != 0) {
    }
    return 0;
}

static int count_steps(char *program, char *what, char *repetitions, uint64_t *count)
{
    pid_t pid = fork();
    int status;
    int result;

    if (pid == 0) {
        be_traced(program, what, repetitions);
    }
    if (pid < 0) {
        return -errno;
    }
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return -EPERM;
    }
    (void)ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)PTRACE_O_EXITKILL);
    result = step_through(pid, count);
    if (result != 0 && kill(pid, SIGKILL) == 0) {
        (void)waitpid(pid, NULL, 0);
    }
    return result;
}

int costs_instructions(const char *program, const char *what, unsigned long repetitions,
                       double *each)
{
    return difference(count_steps, program, what, repetitions, each);
}
