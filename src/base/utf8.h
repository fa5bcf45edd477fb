/* SPDX-License-Identifier: MIT */
/* Checking of text that came from elsewhere: names, values, addresses. No conversion, no case. */
#ifndef MBR_BASE_UTF8_H
#define MBR_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True if the LENGTH bytes at TEXT are well-formed UTF-8 by RFC 3629: no surrogates, no overlong
 * forms, nothing above U+10FFFF. A NUL byte is a character like others. TEXT may be NULL if LENGTH
 * is 0.
 */
bool mbr__utf8_valid(const char *text, size_t length);

#endif
