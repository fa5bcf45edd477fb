/* SPDX-License-Identifier: MIT */
/*
 * The daemon's log: one line a message, on standard error or in a file. Under a service manager
 * ($JOURNAL_STREAM) lines begin with the priority "<N>" of sd-daemon(3), in a file with the time.
 * Who the message is about stands in the text as key=value.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>

#include <membrane/base.h>

/* Messages less urgent than this are left out. Also becomes the library's sink. */
void log_init(enum mbr_log_level level);

/* Appends to FILE from now on; NULL: to standard error. 0 or a negative errno, nothing changed. */
int log_to(const char *file);

/* The same for a FILE that a request has named (append.h). */
int log_to_named(const char *file);

/* Opens the file anew, after it was moved away. */
void log_reopen(void);

bool log_wants(enum mbr_log_level level);
void log_line(enum mbr_log_level level, const char *format, ...) MBR_PRINTF(2, 3);

#define log_error(...)   log_line(MBR_LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(MBR_LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(MBR_LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(MBR_LOG_DEBUG, __VA_ARGS__)

#endif
