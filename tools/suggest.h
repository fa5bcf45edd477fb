/* SPDX-License-Identifier: MIT */
/*
 * "Did you mean": the nearest of some words to a mistyped one.
 */
#ifndef TOOLS_SUGGEST_H
#define TOOLS_SUGGEST_H

#include <stddef.h>

/* Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other;
 * words longer than 63 bytes are as far apart as can be (SIZE_MAX). */
size_t tool_distance(const char *from, const char *to);

/* A search: start with best NULL, offer each candidate, then look at `best`, which stays NULL when
 * nothing is near enough to be worth proposing. */
struct tool_suggestion {
    const char *typed;
    const char *best;
    size_t distance;
};

void tool_suggest(struct tool_suggestion *search, const char *candidate);

#endif
