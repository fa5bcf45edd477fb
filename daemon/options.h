/* SPDX-License-Identifier: MIT */
/*
 * The one row of membraned's table, and what it runs.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "../tools/options.h"

/* The daemon itself; returns the exit code. */
int daemon_run(const struct tool_args *args);

#endif
