/* SPDX-License-Identifier: MIT */
/*
 * Reading numbers out of text that others wrote: /proc and link texts. Bounded on both sides (the
 * text's end and the number's maximum), without NUL bytes, locales, signs or blanks.
 *
 * Not here: anything that is not an unsigned number or a single character.
 */
#ifndef MBR_SHM_SCAN_H
#define MBR_SHM_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of the text. */
struct mbr__scan {
    const char *at;
    const char *end;
};

/* Takes the character c. False, and nothing taken, if another one or none is next. */
static inline bool mbr__scan_char(struct mbr__scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* The value of a digit in bases up to 16, lower case only; 255 for what is none. */
static inline unsigned mbr__scan_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    return 255;
}

/* Takes a number in `base` (10 or 16) of at least one digit and at most `max`. False if there is
 * none; *out is only set on success. */
static inline bool mbr__scan_u64(struct mbr__scan *s, unsigned base, uint64_t max, uint64_t *out)
{
    const char *at = s->at;
    uint64_t value = 0;

    for (; at != s->end && mbr__scan_digit(*at) < base; at++) {
        unsigned digit = mbr__scan_digit(*at);

        if (digit > max || value > (max - digit) / base)
            return false;
        value = value * base + digit;
    }
    if (at == s->at)
        return false;
    s->at = at;
    *out = value;
    return true;
}

#endif
