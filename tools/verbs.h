/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the tool. Each runs in a process of its own, once.
 */
#ifndef TOOLS_VERBS_H
#define TOOLS_VERBS_H

#include "options.h"

/* What they do; each returns the exit code. */
int tool_send(const struct tool_args *args);
int tool_recv(const struct tool_args *args);
int tool_bench(const struct tool_args *args);
int tool_doctor(const struct tool_args *args);
int tool_gc(const struct tool_args *args);
int tool_shim(const struct tool_args *args);
int tool_version(const struct tool_args *args);
int tool_help(const struct tool_args *args);

#endif
