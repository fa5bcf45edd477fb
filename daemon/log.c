/* SPDX-License-Identifier: MIT */
/*
 * Log lines are written with one write(2) each, so that several writers of one file do not mix
 * theirs, and without blocking on more than the descriptor.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tools/printable.h"
#include "append.h"

#define LINE_MAX_BYTES 1024

static struct {
    enum mbr_log_level level;
    int fd;
    bool journal;
    bool named; /* the file, by a request */
    char file[PATH_MAX];
} state = {.level = MBR_LOG_INFO, .fd = STDERR_FILENO};

static const int priorities[] = {2, 3, 4, 6, 7};
static const char *const names[] = {"fatal", "error", "warning", "info", "debug"};

static void from_library(struct mbr_log_sink *self, enum mbr_log_level level, const char *message)
{
    (void)self;
    log_line(level, "%s", message);
}

void log_init(enum mbr_log_level level)
{
    static struct mbr_log_sink sink = {.write = from_library};

    state.level = level;
    state.journal = getenv("JOURNAL_STREAM") != NULL;
    sink.level = level;
    (void)mbr_log_set_sink(&sink);
}

static int open_file(const char *file)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

    return fd < 0 ? -errno : fd;
}

static int change(const char *file, bool named)
{
    int fd = STDERR_FILENO;

    if (file != NULL && strlen(file) >= sizeof(state.file))
        return -ENAMETOOLONG;
    if (file != NULL)
        fd = named ? append_open(file) : open_file(file);
    if (fd < 0)
        return fd;
    if (state.fd != STDERR_FILENO)
        (void)close(state.fd);
    state.fd = fd;
    state.named = named;
    (void)snprintf(state.file, sizeof(state.file), "%s", file != NULL ? file : "");
    return 0;
}

int log_to(const char *file)
{
    return change(file, false);
}

int log_to_named(const char *file)
{
    return change(file, true);
}

void log_reopen(void)
{
    int fd = -1;

    if (state.file[0] != '\0')
        fd = state.named ? append_open(state.file) : open_file(state.file);
    if (fd < 0)
        return;
    (void)close(state.fd);
    state.fd = fd;
}

bool log_wants(enum mbr_log_level level)
{
    return level <= state.level;
}

static int put_head(char *line, size_t size, enum mbr_log_level level)
{
    char stamp[32];
    struct timespec now;
    struct tm parts;

    if (state.fd == STDERR_FILENO && state.journal)
        return snprintf(line, size, "<%d>", priorities[level]);
    if (state.fd == STDERR_FILENO)
        return snprintf(line, size, "membraned: %s: ", names[level]);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &parts);
    return snprintf(line, size, "%s.%03ldZ %s: ", stamp, now.tv_nsec / 1000000, names[level]);
}

void log_line(enum mbr_log_level level, const char *format, ...)
{
    int saved = errno;
    char message[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    int length;
    va_list args;

    if (!log_wants(level))
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    length = put_head(line, sizeof(line) - 1, level);
    /* What clients have chosen is part of messages, and must not forge lines. */
    (void)printable(message, line + length, sizeof(line) - 1 - (size_t)length);
    length = (int)strlen(line);
    line[length++] = '\n';
    /* A log that cannot be written must not stop the store. */
    if (write(state.fd, line, (size_t)length) < 0)
        (void)0;
    errno = saved;
}
