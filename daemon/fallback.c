/* SPDX-License-Identifier: MIT */
/*
 * See fallback.h. What a fault's handler needs, the arguments and the environment of the old
 * program, is made beforehand: there it can only be used.
 */
#include "fallback.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define OFFER    "MEMBRANED_FALL_BACK" /* for the new program: "DESCRIPTOR EXTRA" */
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

void fallback_prepare(int extra)
{
    char text[32];

    offered = open("/proc/self/exe", O_PATH);
    if (offered < 0)
        return;
    (void)snprintf(text, sizeof(text), "%d %d", offered, extra);
    if (setenv(OFFER, text, 1) != 0)
        fallback_forget();
}

void fallback_forget(void)
{
    (void)unsetenv(OFFER);
    if (offered >= 0)
        (void)close(offered);
    offered = -1;
}

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
    (void)unsetenv(OFFER);
    if (extra < 0 || argc < 3 + extra || strcmp(argv[argc - 2], "--take-over") != 0)
        return;
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
    if (with != NULL)
        (void)execve(program, with, environment);
}

void fallback_end(void)
{
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
