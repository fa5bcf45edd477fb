/* SPDX-License-Identifier: MIT */
/*
 * See compare.h.
 */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the events between replies; replies stay where they are. */
static void sort_events(const char **queue, size_t count)
{
    size_t first = 0;

    for (size_t i = 0; i <= count; i++) {
        if (i < count && queue[i][0] == '@')
            continue;
        qsort(queue + first, i - first, sizeof(queue[0]), by_text);
        first = i + 1;
    }
}

bool compare_queues(struct local *local, struct model *model, char who, char *wrong, size_t size)
{
    static char texts[MODEL_QUEUE][MODEL_TEXT];
    const char *want[MODEL_QUEUE];
    const char *is[MODEL_QUEUE];
    size_t want_count = model_queue(model, who, want);
    size_t count = 0;

    for (const char *text; count < MODEL_QUEUE && *(text = local_next(local, who)); count++) {
        snprintf(texts[count], MODEL_TEXT, "%s", text);
        is[count] = texts[count];
    }
    sort_events(want, want_count);
    sort_events(is, count);
    for (size_t i = 0; i < count || i < want_count; i++) {
        const char *a = i < count ? is[i] : "(nothing)";
        const char *b = i < want_count ? want[i] : "(nothing)";

        if (strcmp(a, b) != 0) {
            snprintf(wrong, size, "%c is told \"%s\", should be \"%s\"", who, a, b);
            return false;
        }
    }
    model_drain(model, who);
    return true;
}
