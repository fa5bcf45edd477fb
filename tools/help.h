/* SPDX-License-Identifier: MIT */
/*
 * Help, printed from the option table: examples first, because they are what is looked for.
 */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

#include <stdio.h>

#include "options.h"

/* All verbs. */
void tool_help_all(FILE *out);
/* The verbs of a group. */
void tool_help_group(const struct tool_verb *group, FILE *out);
/* One verb. */
void tool_help_verb(const struct tool_verb *verb, FILE *out);

#endif
