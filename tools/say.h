/* SPDX-License-Identifier: MIT */
/*
 * What the tool says to people: errors as "membrane: VERB: what: why (try: what to do)" on stderr,
 * notes, and whether colour is wanted. The first error is remembered, so that --json can repeat it.
 * What others have chosen is shown as printable.h says. State is the process's: one verb runs in
 * one process, in one thread.
 *
 * Not here: help (help.h), the progress line (progress.h).
 */
#ifndef TOOLS_SAY_H
#define TOOLS_SAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define TOOL_PRINTF(FMT, ARGS) __attribute__((format(printf, FMT, ARGS)))

/* Names the verb that runs, for the messages; a static string. */
void tool_say_verb(const char *verb);
/* Notes are not shown. */
void tool_say_quiet(void);
/* Errors are not shown either: stderr carries JSON, which repeats them. */
void tool_say_mute(void);

/* Called before each message: ends a progress line that stands on the terminal. NULL: nothing. */
void tool_say_before(void (*hook)(void));

/* An error. `hint` is what to try, or NULL or "". Returns `code`, the exit code. */
int tool_error(int code, const char *hint, const char *format, ...) TOOL_PRINTF(3, 4);

/* An error of the library (errno of either sign), with its text, hint and exit code. */
int tool_error_library(int error, const char *format, ...) TOOL_PRINTF(2, 3);

/* An error of a file or a system call (errno of either sign), in the kernel's words. */
int tool_error_system(int error, const char *format, ...) TOOL_PRINTF(2, 3);

/* Something that is not an error, for people only. */
void tool_note(const char *format, ...) TOOL_PRINTF(1, 2);

/* The first error as {"code", "message"[, "try"]}; NULL when there was none. The caller owns it. */
json_t *tool_error_json(void);

/* A text as JSON; bytes that are no UTF-8 are shown as '?'. NULL without memory. */
json_t *tool_text_json(const char *text);

/* Writes `object` (whose reference it takes) as one line. 0, or an exit code after an error. */
int tool_print_json(json_t *object, FILE *out);

/* Whether to colour what goes to `stream`: `when` is "always", "never", or "auto" (or NULL), which
 * means a terminal that is not dumb, and no NO_COLOR in the environment (https://no-color.org). */
bool tool_colour(const char *when, FILE *stream);

/* Flushes stdout at the end; `code`, or another exit code if what was printed got lost. */
int tool_finish_stdout(int code);

#endif
