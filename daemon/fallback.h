/* SPDX-License-Identifier: MIT */
/*
 * The way back from a live update. Until the new program serves, the process can become the old
 * program again: the state lies where it was, all descriptors are open, and the process is the
 * same, so that neither clients nor a service manager see more than a pause. That happens when the
 * new program gives up, ends by a fault of its own, or takes too long (SIGALRM).
 *
 * Who ends the new program by SIGKILL ends the process. For that a child of the old program waits
 * for its end, with all descriptors, and becomes the old program then: clients see a pause, too,
 * but the number of the process is another, for which a service manager would start it anew. A new
 * program is guarded so if it has said on trial that it will tell when it serves.
 *
 * The old program leaves a descriptor of itself and what to take out of the arguments in the
 * environment; a new program that knows nothing of it just has no way back.
 *
 * Not here: the state and its descriptors (update.h).
 */
#ifndef DAEMON_FALLBACK_H
#define DAEMON_FALLBACK_H

#include <stdbool.h>

/* The old program, before it becomes the new one with ARGV, of which EXTRA arguments before the
 * last two are not its own: prepares the way back, GUARDED as above. Best effort. */
void fallback_prepare(char **argv, int extra, bool guarded);

/* What a new program says on trial that will tell when it serves. */
#define FALLBACK_TELLS "membraned tells when it serves\n"

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
