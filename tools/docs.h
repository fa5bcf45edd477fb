/* SPDX-License-Identifier: MIT */
/*
 * What the build and the shells ask of the option table: parts of the man page and completion
 * scripts. Each returns the exit code.
 */
#ifndef TOOLS_DOCS_H
#define TOOLS_DOCS_H

#include <stdio.h>

/* The sections VERBS (OPTIONS of a program without verbs) and EXIT STATUS in scdoc(5). */
int tool_docs_man(FILE *out);

/* The same for the verbs of a group. */
int tool_docs_man_group(const char *group, FILE *out);

/* The completion script for "bash", "zsh" or "fish". */
int tool_docs_completion(const char *shell, FILE *out);

/* The same for a program without verbs. */
int tool_docs_completion_plain(const char *shell, FILE *out);

/* The names that pipes have now, one a line; dead ones too, since looking costs a lock. */
int tool_docs_names(FILE *out);

#endif
