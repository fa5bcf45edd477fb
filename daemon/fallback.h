/* SPDX-License-Identifier: MIT */
/*
 * The way back from a live update. Until the new program serves, the process can become the old
 * program again: the state lies where it was, all descriptors are open, and the process is the
 * same, so that neither clients nor a service manager see more than a pause. That happens when the
 * new program gives up, ends by a fault of its own, or takes too long (SIGALRM).
 *
 * The old program leaves a descriptor of itself and what to take out of the arguments in the
 * environment; a new program that knows nothing of it just has no way back.
 *
 * Not here: the state and its descriptors (update.h).
 */
#ifndef DAEMON_FALLBACK_H
#define DAEMON_FALLBACK_H

#include <stdbool.h>

/* The old program, before it becomes the new one, which gets EXTRA arguments more before the last
 * two: prepares the way back. Best effort. */
void fallback_prepare(int extra);

/* Undoes that: the old program goes on. */
void fallback_forget(void);

/* First thing in every program: takes what was left in the environment. */
void fallback_arm(int argc, char **argv);

/* The new program cannot serve. Returns if there is no way back. */
void fallback_go(void);

/* The new program serves: it stays. */
void fallback_end(void);

/* This program was left for another one, which has come back. */
bool fallback_happened(void);

#endif
