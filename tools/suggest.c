/* SPDX-License-Identifier: MIT */
/*
 * Edit distance (optimal string alignment, as in Boytsov, "Indexing methods for approximate
 * dictionary searching", 2011): the smallest number of single-letter mistakes between two words.
 */
#include "suggest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t tool_distance(const char *from, const char *to)
{
    /* Three rows of the table are enough: a swap looks two rows back. */
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0];
    size_t *above = rows[1];
    size_t *row = rows[2];
    size_t n = strlen(from);
    size_t m = strlen(to);

    if (n > WORD_MAX || m > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        above[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replaced = above[j - 1] + (from[i - 1] != to[j - 1]);

            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }

        size_t *free_row = before;

        before = above;
        above = row;
        row = free_row;
    }
    return above[m];
}

void tool_suggest(struct tool_suggestion *search, const char *candidate)
{
    size_t distance = tool_distance(search->typed, candidate);
    /* One mistake in three letters, but in short words at least one, is a typing error. */
    size_t limit = least(3, 1 + strlen(search->typed) / 3);

    /* What is only begun ("comp" for "completion") is near however much is missing. */
    if (strlen(search->typed) >= 2 && strncmp(search->typed, candidate, strlen(search->typed)) == 0)
        distance = 0;
    if (distance > limit || distance >= strlen(candidate))
        return;
    if (search->best == NULL || distance < search->distance) {
        search->best = candidate;
        search->distance = distance;
    }
}
