/* SPDX-License-Identifier: MIT */
/*
 * The progress line. See progress.h.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"
#include "units.h"

#define FIRST_NS  TOOL_SECOND       /* what takes less needs no progress line */
#define REDRAW_NS (TOOL_SECOND / 4) /* often enough to look alive */
#define PLAIN_NS  TOOL_SECOND
#define SMOOTH    0.3 /* weight of the newest interval in the rate of late */

static struct progress *current;

/* Ends a standing line with a newline, so that something else can be printed. */
static void interrupt(void)
{
    if (current == NULL || !current->standing)
        return;
    fputc('\n', stderr);
    (void)fflush(stderr);
    current->standing = false;
}

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
    current = p;
    tool_say_before(interrupt);
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

    if (bytes < p->last_bytes)
        p->last_bytes = bytes;
    if (seconds <= 0)
        return;

    double rate = (double)(bytes - p->last_bytes) / seconds;

    p->rate = p->shown ? p->rate + SMOOTH * (rate - p->rate) : rate;
    p->last = now;
    p->last_bytes = bytes;
}

/* What has moved: "1.23 GB", or "612"; the word behind a count comes once. */
static const char *amount(const struct progress *p, uint64_t n, char *text, size_t size)
{
    if (p->unit == NULL)
        return tool_bytes_text(n, text, size);
    (void)snprintf(text, size, "%" PRIu64, n);
    return text;
}

static const char *rate_of(const struct progress *p, double rate, char *text, size_t size)
{
    if (p->unit == NULL)
        return tool_rate_text(rate, text, size);
    (void)snprintf(text, size, "%.0f %s/s", rate, p->unit);
    return text;
}

void progress_draw(struct progress *p, uint64_t now, uint64_t bytes)
{
    const char *space = p->unit != NULL ? " " : "";
    const char *unit = p->unit != NULL ? p->unit : "";
    char moved[24];
    char whole[24];
    char rate[40];
    char left[24];
    char line[160];
    int n;

    update_rate(p, now, bytes);
    n = snprintf(line, sizeof(line), "%s", amount(p, bytes, moved, sizeof(moved)));
    if (p->size != UINT64_MAX && p->size > 0) {
        double part = (double)bytes / (double)p->size;

        n += snprintf(line + n, sizeof(line) - (size_t)n, " of %s%s%s  %.0f %%",
                      amount(p, p->size, whole, sizeof(whole)), space, unit,
                      part < 1 ? part * 100 : 100);
    } else {
        n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%s", space, unit);
    }
    n += snprintf(line + n, sizeof(line) - (size_t)n, "  %s",
                  rate_of(p, p->rate, rate, sizeof(rate)));
    if (p->size != UINT64_MAX && p->size >= bytes && p->rate >= 1)
        (void)snprintf(line + n, sizeof(line) - (size_t)n, "  %s left",
                       tool_time_text((double)(p->size - bytes) / p->rate, left, sizeof(left)));
    put_line(p, line, true);
    p->due = now + (p->redraw ? REDRAW_NS : PLAIN_NS);
}

void progress_end(struct progress *p, uint64_t now, uint64_t bytes)
{
    char moved[24];
    char took[24];
    char rate[40];
    char line[160];
    double seconds = (double)(now - p->start) / TOOL_SECOND;

    if (p->shown) {
        (void)snprintf(line, sizeof(line), "%s%s%s in %s, %s",
                       amount(p, bytes, moved, sizeof(moved)), p->unit != NULL ? " " : "",
                       p->unit != NULL ? p->unit : "", tool_time_text(seconds, took, sizeof(took)),
                       rate_of(p, seconds > 0 ? (double)bytes / seconds : 0, rate, sizeof(rate)));
        put_line(p, line, false);
    }
    p->due = UINT64_MAX;
    current = NULL;
    tool_say_before(NULL);
}
