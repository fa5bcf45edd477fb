/* SPDX-License-Identifier: MIT */
/*
 * The log sink of the process, and the last message of a process whose invariants are broken.
 * One word points at the caller's sink, so function and state are replaced together.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/atomic.h"

static struct mbr_log_sink *current_sink;

/* Where a debugger finds the last words in a core file, also when stderr was closed. */
static char panic_message[MBR__LOG_MAX];
static uint32_t panicking;

struct mbr_log_sink *mbr_log_set_sink(struct mbr_log_sink *sink)
{
    /* Pair A with the loads below: whoever finds the sink finds its fields. */
    return mbr_exchange(&current_sink, sink);
}

bool mbr__log_wants(enum mbr_log_level level)
{
    struct mbr_log_sink *sink = mbr_load_acquire(&current_sink);

    return sink && level <= sink->level;
}

void mbr__log(enum mbr_log_level level, const char *format, ...)
{
    struct mbr_log_sink *sink = mbr_load_acquire(&current_sink);
    int saved_errno = errno;
    char message[MBR__LOG_MAX];
    va_list args;

    if (!sink || level > sink->level)
        return;
    va_start(args, format);
    if (vsnprintf(message, sizeof(message), format, args) >= 0)
        sink->write(sink, level, message);
    va_end(args);
    errno = saved_errno;
}

/* One write, so that lines of several dying processes do not mix. Failure cannot be helped. */
static void write_to_stderr(char *message)
{
    size_t length = strlen(message);

    message[length] = '\n';
    if (write(STDERR_FILENO, message, length + 1) < 0)
        return;
}

void mbr__panic(const char *file, int line, const char *format, ...)
{
    struct mbr_log_sink *sink = mbr_load_acquire(&current_sink);
    char text[MBR__LOG_MAX - 128];
    va_list args;

    /* A sink that breaks an invariant itself, or a second thread, must not come by here again. */
    if (mbr_exchange(&panicking, 1u))
        abort();
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = '\0';
    va_end(args);
    /* One byte is kept free for the newline. */
    if (snprintf(panic_message, sizeof(panic_message) - 1, "membrane: %s:%d: %s", file, line,
                 text) < 0)
        abort();
    if (sink)
        sink->write(sink, MBR_LOG_FATAL, panic_message);
    else
        write_to_stderr(panic_message);
    abort();
}
