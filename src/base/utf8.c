/* SPDX-License-Identifier: MIT */
/*
 * The UTF-8 check, after the grammar in RFC 3629 section 4: the first byte gives the length, and
 * for four first bytes a narrower range of the second byte excludes overlong forms, surrogates and
 * what lies above U+10FFFF.
 */
#include "base/utf8.h"

#include <stdint.h>

/* The length of the sequence FIRST begins, with the range of its second byte; 0 if it begins none.
 */
static size_t sequence_length(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0;
        if (first == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

bool mbr__utf8_valid(const char *text, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t at = 0;

    while (at < length) {
        uint8_t low, high;
        size_t count = sequence_length(bytes[at], &low, &high);

        if (count == 0 || count > length - at)
            return false;
        if (count > 1 && (bytes[at + 1] < low || bytes[at + 1] > high))
            return false;
        for (size_t i = 2; i < count; i++)
            if ((bytes[at + i] & 0xc0) != 0x80)
                return false;
        at += count;
    }
    return true;
}
