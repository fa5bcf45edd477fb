/* SPDX-License-Identifier: MIT */
/* StringUtil: what a shell needs to do with strings. */
#include <middl/StringUtil.h>

#include <stdio.h>
#include <string.h>

#include "types/heap_use.h"
#include "types/modules.h"

static size_t length_of(const char *str)
{
    return str ? strlen(str) : 0;
}

static const char *cat(StringUtil_clp self, Heap_clp heap, const char *beginning, const char *end)
{
    size_t first = length_of(beginning);
    size_t second = length_of(end);
    char *out = mbr__heap_need(heap, first + second + 1);

    (void)self;
    if (first)
        memcpy(out, beginning, first);
    if (second)
        memcpy(out + first, end, second);
    return out;
}

static uint32_t len(StringUtil_clp self, const char *str)
{
    size_t length = length_of(str);

    (void)self;
    return length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
}

static const char *long_card_to_ip(StringUtil_clp self, Heap_clp heap, uint64_t addr)
{
    char text[sizeof("255.255.255.255")];
    int length = snprintf(text, sizeof(text), "%u.%u.%u.%u", (unsigned)(addr >> 24 & 0xff),
                          (unsigned)(addr >> 16 & 0xff), (unsigned)(addr >> 8 & 0xff),
                          (unsigned)(addr & 0xff));

    (void)self;
    return mbr__heap_text(heap, text, (size_t)length);
}

/* The value of a digit; BASE or more if it is none. */
static uint32_t digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (uint32_t)(c - 'A') + 10;
    return UINT32_MAX;
}

static uint32_t string_to_cardinal(StringUtil_clp self, const char *str)
{
    const char *at = str ? str : "";
    uint64_t num = 0;
    uint32_t base = 10;

    (void)self;
    at += strspn(at, " \t\n\r\f\v");
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X') && digit_of(at[2]) < 16) {
        base = 16;
        at += 2;
    }
    for (; digit_of(*at) < base; at++) {
        num = num * base + digit_of(*at);
        if (num > UINT32_MAX)
            return UINT32_MAX;
    }
    return (uint32_t)num;
}

static const StringUtil_op util_op = {.Cat = cat,
                                      .Len = len,
                                      .LongCardToIP = long_card_to_ip,
                                      .StringToCardinal = string_to_cardinal};

StringUtil_cl mbr__module_StringUtil = {&util_op, NULL};
