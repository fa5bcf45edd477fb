/* SPDX-License-Identifier: MIT */
/*
 * The progress line of a transfer: "1.23 GB of 4.56 GB  27 %  812 MB/s  0:04 left", or of things
 * that are counted: "612 of 2000 nodes  31 %  204 nodes/s  0:07 left". It appears when it has taken
 * a second, is redrawn four times a second on a terminal and printed anew every second elsewhere,
 * and always ends with a newline. No colour; no escape sequence at all on a dumb terminal or with
 * NO_COLOR. A process has one at a time; a message that is said meanwhile (say.h) ends the line
 * first.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool wanted;
    bool redraw;      /* one line that is overwritten, instead of one after the other */
    bool escapes;     /* the terminal knows "erase to the end of the line" */
    bool standing;    /* a line without newline is on the terminal */
    bool shown;       /* at least one was */
    int width;        /* characters of the last one */
    const char *unit; /* what is counted, in the plural; NULL: bytes */
    uint64_t size;    /* of the whole, UINT64_MAX unknown */
    uint64_t start;   /* ns */
    uint64_t due;     /* when to draw next; UINT64_MAX never */
    uint64_t last;    /* when it was drawn */
    uint64_t last_bytes;
    double rate; /* bytes a second, of late */
};

/* `when` is "auto", "always" or "never" (NULL: auto); `busy` tells that a terminal is in use for
 * the data itself, where auto means never. */
void progress_init(struct progress *p, const char *when, bool quiet, bool busy);

/* The first byte may move now; progress_end() must follow. */
void progress_begin(struct progress *p, uint64_t now, uint64_t size);

/* Draws when it is time. `bytes` may fall: then it has all begun anew. Costs one comparison
 * otherwise. */
void progress_draw(struct progress *p, uint64_t now, uint64_t bytes);
static inline void progress_tick(struct progress *p, uint64_t now, uint64_t bytes)
{
    if (now >= p->due)
        progress_draw(p, now, bytes);
}

/* Nanoseconds until it is time; UINT64_MAX never. */
uint64_t progress_pause(const struct progress *p, uint64_t now);

/* The last line, if one was shown: bytes, time and the average rate. */
void progress_end(struct progress *p, uint64_t now, uint64_t bytes);

#endif
