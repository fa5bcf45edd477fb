/* SPDX-License-Identifier: MIT */
/*
 * The progress line. See progress.h.
 */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "units.h"

#define FIRST_NS  TOOL_SECOND       /* what takes less needs no progress line */
#define REDRAW_NS (TOOL_SECOND / 4) /* often enough to look alive */
#define PLAIN_NS  TOOL_SECOND
#define SMOOTH    0.3 /* weight of the newest interval in the rate of late */

void progress_init(struct progress *p, const char *when, bool quiet, bool busy)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDERR_FILENO) == 1;
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    bool always = when != NULL && strcmp(when, "always") == 0;
    bool never = quiet || (when != NULL && strcmp(when, "never") == 0);

    *p = (struct progress){.due = UINT64_MAX, .size = UINT64_MAX};
    p->wanted = !never && (always || (terminal && !dumb && !busy));
    p->redraw = terminal && !dumb;
    p->escapes = p->redraw && (no_color == NULL || no_color[0] == '\0');
}

void progress_begin(struct progress *p, uint64_t now, uint64_t size)
{
    p->size = size;
    p->start = now;
    p->last = now;
    if (p->wanted)
        p->due = now + FIRST_NS;
}

uint64_t progress_pause(const struct progress *p, uint64_t now)
{
    if (p->due == UINT64_MAX)
        return UINT64_MAX;
    return p->due > now ? p->due - now : 0;
}

/* What does not overwrite all of the last line must erase the rest of it. */
static void put_line(struct progress *p, const char *line, bool stay)
{
    int width = (int)strlen(line);
    int rest = p->width > width && p->standing ? p->width - width : 0;

    if (p->standing)
        fputc('\r', stderr);
    fputs(line, stderr);
    if (p->escapes)
        fputs("\033[K", stderr);
    else
        fprintf(stderr, "%*s", rest, "");
    p->standing = p->redraw && stay;
    if (!p->standing)
        fputc('\n', stderr);
    (void)fflush(stderr);
    p->width = width;
    p->shown = true;
}

static void update_rate(struct progress *p, uint64_t now, uint64_t bytes)
{
    double seconds = (double)(now - p->last) / TOOL_SECOND;

    if (seconds <= 0)
        return;

    double rate = (double)(bytes - p->last_bytes) / seconds;

    p->rate = p->shown ? p->rate + SMOOTH * (rate - p->rate) : rate;
    p->last = now;
    p->last_bytes = bytes;
}

void progress_draw(struct progress *p, uint64_t now, uint64_t bytes)
{
    char moved[16];
    char whole[16];
    char rate[16];
    char left[24];
    char line[128];
    int n;

    update_rate(p, now, bytes);
    n = snprintf(line, sizeof(line), "%s", tool_bytes_text(bytes, moved, sizeof(moved)));
    if (p->size != UINT64_MAX && p->size > 0) {
        double part = (double)bytes / (double)p->size;

        n += snprintf(line + n, sizeof(line) - (size_t)n, " of %s  %.0f %%",
                      tool_bytes_text(p->size, whole, sizeof(whole)), part < 1 ? part * 100 : 100);
    }
    n += snprintf(line + n, sizeof(line) - (size_t)n, "  %s",
                  tool_rate_text(p->rate, rate, sizeof(rate)));
    if (p->size != UINT64_MAX && p->size >= bytes && p->rate >= 1)
        (void)snprintf(line + n, sizeof(line) - (size_t)n, "  %s left",
                       tool_time_text((double)(p->size - bytes) / p->rate, left, sizeof(left)));
    put_line(p, line, true);
    p->due = now + (p->redraw ? REDRAW_NS : PLAIN_NS);
}

void progress_end(struct progress *p, uint64_t now, uint64_t bytes)
{
    char moved[16];
    char took[24];
    char rate[16];
    char line[128];
    double seconds = (double)(now - p->start) / TOOL_SECOND;

    if (!p->shown)
        return;
    (void)snprintf(line, sizeof(line), "%s in %s, %s", tool_bytes_text(bytes, moved, sizeof(moved)),
                   tool_time_text(seconds, took, sizeof(took)),
                   tool_rate_text(seconds > 0 ? (double)bytes / seconds : 0, rate, sizeof(rate)));
    put_line(p, line, false);
    p->due = UINT64_MAX;
}

void progress_interrupt(struct progress *p)
{
    if (!p->standing)
        return;
    fputc('\n', stderr);
    (void)fflush(stderr);
    p->standing = false;
}
