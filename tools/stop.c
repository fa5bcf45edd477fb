/* SPDX-License-Identifier: MIT */
/*
 * Signals that end the tool. See stop.h.
 */
#include "stop.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

static volatile sig_atomic_t caught;
static struct mbr_libos *volatile stop_libos;
static void (*volatile stop_hook)(void);

static void on_signal(int number)
{
    caught = number;
    if (stop_libos != NULL)
        mbr_libos_interrupt(stop_libos);
    if (stop_hook != NULL)
        stop_hook();
}

void tool_stop_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    /* One-shot: should the process be stuck in a system call, a second signal ends it. */
    struct sigaction catch = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        /* What was ignored when we were started (nohup) stays ignored. */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &catch, NULL);
    }
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

void tool_stop_libos(struct mbr_libos *libos)
{
    stop_libos = libos;
}

void tool_stop_hook(void (*hook)(void))
{
    stop_hook = hook;
}

bool tool_stopped(void)
{
    return caught != 0;
}

int tool_stop_exit(int code)
{
    if (caught == 0)
        return code;
    (void)fflush(NULL);
    (void)signal(caught, SIG_DFL);
    (void)raise(caught);
    return code;
}
