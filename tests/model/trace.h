/* SPDX-License-Identifier: MIT */
/*
 * What has happened in a run, line by line, to be printed if it was wrong. What does not fit any
 * more is left out. An all-zero one is empty.
 */
#ifndef MBR_TESTS_TRACE_H
#define MBR_TESTS_TRACE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct trace {
    char text[8192];
    size_t length;
};

static inline void trace_add(struct trace *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void trace_add(struct trace *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->text + t->length, sizeof(t->text) - t->length, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof(t->text) - t->length)
        t->length += (size_t)n;
}

#endif
