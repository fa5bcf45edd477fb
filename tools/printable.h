/* SPDX-License-Identifier: MIT */
/*
 * Names, paths and values of others as people may see them: whoever chose them must not move the
 * cursor, colour the screen, forge lines, or type into the terminal. Control characters, those of
 * the second set (U+0080 to U+009F) too, and bytes that are no UTF-8 become \n, \t, \r or \xHH; a
 * backslash stays as it is. Programs read them unchanged, from a pipe, a file, or JSON.
 *
 * Not here: quoting that can be read back (store_print_value()).
 */
#ifndef TOOLS_PRINTABLE_H
#define TOOLS_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

/* Writes the text into `out`, cut behind a whole character at `size` bytes with the NUL. Returns
 * `out`. */
const char *printable(const char *text, char *out, size_t size);

/* The same in one of two places that take turns, so for two arguments of a printf(). Cut at some
 * thousand bytes. */
const char *printable_text(const char *text);

/* For a list on standard output: as above if that is a terminal, else the text itself. */
const char *printable_name(const char *text);

/* Bytes on a stream; on a terminal as above, but for newlines and tabs, which stay. */
void printable_put(const char *bytes, size_t length, FILE *out);

#endif
