/* SPDX-License-Identifier: MIT */
/*
 * Ending on SIGINT, SIGTERM and SIGHUP: the first one asks, so that what was moved can be shown and
 * the other side be told; a second one ends the process at once.
 */
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

#include <stdbool.h>

#include <membrane/queue.h>

/* Catches the signals and ignores SIGPIPE. System calls then return EINTR. */
void tool_stop_catch(void);

/* `libos` (NULL: none) is interrupted by a signal. */
void tool_stop_libos(struct mbr_libos *libos);

/* Called in the handler too (NULL: nothing); must be async-signal-safe. */
void tool_stop_hook(void (*hook)(void));

/* Whether one has come. */
bool tool_stopped(void);

/* Ends the process by the signal that came, so that the shell sees it; returns `code` if none did.
 */
int tool_stop_exit(int code);

#endif
