/* SPDX-License-Identifier: MIT */
/*
 * The options of middlc as tables, and what is printed from them: help, completions, proposals for
 * what was mistyped. Not here: what an option does (middlc.c).
 */
#ifndef TOOLS_MIDDLC_ABOUT_H
#define TOOLS_MIDDLC_ABOUT_H

#include <membrane/middlc.h>

#define MIDDLC_OUTPUTS 10

struct middlc_output {
    enum mbr_middlc_output what;
    const char *option;
    const char *suffix; /* of the file */
    const char *text;
};

extern const struct middlc_output middlc_outputs[MIDDLC_OUTPUTS];

void middlc_help(void);

/* The completions of a shell: bash, zsh or fish. 0, or -1 and nothing printed: another shell. */
int middlc_completion(const char *shell);

/* The option nearest to a mistyped one, or NULL if none is near. */
const char *middlc_nearest(const char *typed);

#endif
