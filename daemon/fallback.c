/* SPDX-License-Identifier: MIT */
/*
 * See fallback.h. What a fault's handler needs, the arguments and the environment of the old
 * program, is made beforehand: there it can only be used.
 */
#include "fallback.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define OFFER    "MEMBRANED_FALL_BACK" /* for the new program: "DESCRIPTOR EXTRA TOLD GUARD" */
#define RETURNED "MEMBRANED_FELL_BACK" /* for the old one: "DESCRIPTOR" */

extern char **environ;

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static int offered = -1; /* the descriptor of this program, offered to the next one */
static bool happened;

/* The way back: NULL in `arguments` if there is none. */
static char program[32]; /* "/proc/self/fd/N" */
static char note[sizeof(RETURNED) + 16];
static char **arguments;
static char **environment;
static int descriptor = -1;

/* A decimal number, and what follows it in REST; -1 for what is none. */
static int number_of(const char *text, const char **rest)
{
    char *end;
    long number = text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;

    if (number < 0 || number > INT32_MAX)
        return -1;
    *rest = end;
    return (int)number;
}

/* Whoever waits for the new program's end, and where he is told that he may go; -1: nobody. */
static pid_t guard = -1;
static int told = -1;

/* The arguments without EXTRA ones before the last two, and the environment with a note. */
static void make_way(int argc, char **argv, int extra)
{
    size_t count = 0;

    while (environ[count] != NULL)
        count++;
    arguments = calloc((size_t)argc + 1, sizeof(*arguments));
    environment = calloc(count + 2, sizeof(*environment));
    if (arguments == NULL || environment == NULL) {
        free(arguments);
        free(environment);
        arguments = environment = NULL;
        return;
    }
    memcpy(environment, environ, count * sizeof(*environment));
    environment[count] = note;
    memcpy(arguments, argv, (size_t)(argc - 2 - extra) * sizeof(*arguments));
    arguments[argc - 2 - extra] = argv[argc - 2];
    arguments[argc - 1 - extra] = argv[argc - 1];
}

/* The new program serves, or has become the old one by itself, or was never run. */
static void dismiss_guard(void)
{
    if (told >= 0) {
        if (write(told, "s", 1) < 0)
            (void)0; /* he is gone */
        (void)close(told);
    }
    if (guard > 0)
        while (waitpid(guard, NULL, 0) < 0 && errno == EINTR)
            continue;
    told = guard = -1;
}

static bool is_dismissed(struct pollfd *ear)
{
    char byte;

    return poll(ear, 1, 0) == 1 && (ear->revents & POLLIN) != 0 && read(ear->fd, &byte, 1) == 1;
}

/* Closes what the new program will not have either: locks on directories hang on it. Only what may
 * be called after a fork, so no opendir(). KEPT: three that stay. */
static bool close_for_exec(const int kept[3])
{
    _Alignas(struct dirent64) char entries[4096];
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n = -1;

    while (dir >= 0 && (n = getdents64(dir, entries, sizeof(entries))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const void *)(entries + at);
            const char *rest;
            int fd = number_of(entry->d_name, &rest);

            at += entry->d_reclen;
            if (fd > STDERR_FILENO && fd != dir && fd != kept[0] && fd != kept[1] &&
                fd != kept[2] && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0)
                (void)close(fd);
        }
    }
    if (dir >= 0)
        (void)close(dir);
    return dir >= 0 && n == 0;
}

/* In a child with all descriptors of the daemon: says at READY that it stands, and becomes the old
 * program when the process WATCHED has ended without a word at EAR. Only what may be called after a
 * fork. */
static _Noreturn void stand_guard(int ear_fd, int watched, int ready)
{
    const int kept[] = {ear_fd, watched, ready};
    struct pollfd ear = {.fd = ear_fd, .events = POLLIN};
    struct pollfd polls[2];

    if (!close_for_exec(kept) || write(ready, "r", 1) != 1)
        _exit(1);
    (void)close(ready);
    for (;;) {
        polls[0] = ear;
        polls[1] = (struct pollfd){.fd = watched, .events = POLLIN};
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            _exit(1);
        if (is_dismissed(&ear))
            _exit(0);
        if ((polls[1].revents & POLLIN) != 0)
            break;
        if ((polls[0].revents & (POLLHUP | POLLERR)) != 0)
            ear.fd = -1; /* its end tells the rest */
    }
    (void)execve(program, arguments, environment);
    _exit(127);
}

/* Starts it; false: there is none. */
static bool fork_guard(int ear, int mouth, int watched)
{
    int ready[2];
    char byte;
    bool stands;

    if (pipe2(ready, O_CLOEXEC) != 0)
        return false;
    guard = fork();
    if (guard == 0) {
        (void)close(mouth);
        (void)close(ready[0]);
        stand_guard(ear, watched, ready[1]);
    }
    (void)close(ready[1]);
    stands = guard > 0 && read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    return stands;
}

/* A child that waits for the end of this process, which no handler sees when it is SIGKILL. */
static void post_guard(char **argv, int extra)
{
    int watched = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int ends[2] = {-1, -1};
    int argc = 0;

    while (argv[argc] != NULL)
        argc++;
    if (watched >= 0 && pipe2(ends, O_CLOEXEC) == 0) {
        (void)snprintf(program, sizeof(program), "/proc/self/fd/%d", offered);
        (void)snprintf(note, sizeof(note), RETURNED "=%d", offered);
        make_way(argc, argv, extra);
        told = ends[1];
        if (arguments == NULL || !fork_guard(ends[0], ends[1], watched) ||
            fcntl(told, F_SETFD, 0) != 0)
            dismiss_guard();
        (void)close(ends[0]);
        free(arguments);
        free(environment);
        arguments = environment = NULL;
    }
    if (watched >= 0)
        (void)close(watched);
}

void fallback_prepare(char **argv, int extra, bool guarded)
{
    char text[64];

    offered = open("/proc/self/exe", O_PATH);
    if (offered < 0)
        return;
    if (guarded)
        post_guard(argv, extra);
    if (told >= 0)
        (void)snprintf(text, sizeof(text), "%d %d %d %d", offered, extra, told, (int)guard);
    else
        (void)snprintf(text, sizeof(text), "%d %d", offered, extra);
    if (setenv(OFFER, text, 1) != 0)
        fallback_forget();
}

void fallback_forget(void)
{
    dismiss_guard();
    (void)unsetenv(OFFER);
    if (offered >= 0)
        (void)close(offered);
    offered = -1;
}

/* The old program was left, and is back. */
static void come_back(const char *text)
{
    const char *rest;
    int fd = number_of(text, &rest);
    int comm;

    happened = true;
    if (fd > STDERR_FILENO)
        (void)close(fd);
    (void)unsetenv(RETURNED);
    /* It was run by its descriptor, and is called like that. */
    comm = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
    if (comm >= 0) {
        if (write(comm, "membraned", 9) < 0)
            happened = true; /* it keeps the odd name */
        (void)close(comm);
    }
}

static void on_fault(int signal)
{
    fallback_go();
    _exit(128 + signal);
}

static void watch_faults(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)(SA_NODEFER | SA_RESETHAND)};

    for (size_t i = 0; i < FAULTS; i++)
        (void)sigaction(faults[i], &action, NULL);
}

void fallback_arm(int argc, char **argv)
{
    const char *text = getenv(RETURNED);
    const char *rest;
    int fd, extra;

    if (text != NULL)
        come_back(text);
    text = getenv(OFFER);
    if (text == NULL)
        return;
    fd = number_of(text, &rest);
    extra = fd >= 0 && *rest == ' ' ? number_of(rest + 1, &rest) : -1;
    told = extra >= 0 && *rest == ' ' ? number_of(rest + 1, &rest) : -1;
    guard = told >= 0 && *rest == ' ' ? number_of(rest + 1, &rest) : -1;
    (void)unsetenv(OFFER);
    if (told >= 0)
        (void)fcntl(told, F_SETFD, FD_CLOEXEC);
    if (extra < 0 || argc < 3 + extra || strcmp(argv[argc - 2], "--take-over") != 0) {
        dismiss_guard();
        return;
    }
    descriptor = fd;
    (void)snprintf(program, sizeof(program), "/proc/self/fd/%d", fd);
    (void)snprintf(note, sizeof(note), RETURNED "=%d", fd);
    make_way(argc, argv, extra);
    if (arguments != NULL)
        watch_faults(on_fault);
}

void fallback_go(void)
{
    char **with = arguments;

    arguments = NULL; /* once: afterwards descriptors may be closed */
    /* The old one is not limited. */
    (void)setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    if (with == NULL)
        return; /* if there is a guard, he has a way */
    dismiss_guard();
    (void)execve(program, with, environment);
}

void fallback_end(void)
{
    dismiss_guard();
    if (descriptor < 0)
        return;
    watch_faults(SIG_DFL);
    free(arguments);
    free(environment);
    arguments = environment = NULL;
    (void)close(descriptor);
    descriptor = -1;
}

bool fallback_happened(void)
{
    return happened;
}
