/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the tool. Each runs in a process of its own, once.
 */
#ifndef TOOLS_VERBS_H
#define TOOLS_VERBS_H

#include "options.h"

/* All verbs, ended by one without name. */
extern const struct tool_verb tool_verbs[];

/* The verb with this name, or NULL. */
const struct tool_verb *tool_verb_find(const char *name);

/* What they do; each returns the exit code. */
int tool_send(const struct tool_args *args);
int tool_recv(const struct tool_args *args);
int tool_bench(const struct tool_args *args);
int tool_doctor(const struct tool_args *args);
int tool_gc(const struct tool_args *args);
int tool_version(const struct tool_args *args);
int tool_help(const struct tool_args *args);

#endif
