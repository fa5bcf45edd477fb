/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units. See units.h.
 */
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t tool_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * TOOL_SECOND + (uint64_t)t.tv_nsec;
}

/* The digits at the front of `text`. -EINVAL when there is none, -ERANGE. */
static int digits(const char *text, const char **end, uint64_t *out)
{
    uint64_t value = 0;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    for (; isdigit((unsigned char)*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
    }
    *end = text;
    *out = value;
    return 0;
}

int tool_parse_number(const char *text, uint64_t *out)
{
    uint64_t value;
    const char *end;
    int rc = digits(text, &end, &value);

    if (rc < 0)
        return rc;
    if (*end != '\0')
        return -EINVAL;
    *out = value;
    return 0;
}

int tool_parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "KMG";
    unsigned shift = 0;
    uint64_t value;
    const char *end;
    int rc = digits(text, &end, &value);

    if (rc < 0)
        return rc;
    if (*end != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)*end));

        if (unit == NULL)
            return -EINVAL;
        shift = (unsigned)(unit - units + 1) * 10;
        end++;
        if (strcmp(end, "iB") != 0 && *end != '\0')
            return -EINVAL;
    }
    if (value > (uint64_t)INT64_MAX >> shift)
        return -ERANGE;
    *out = value << shift;
    return 0;
}

int tool_parse_seconds(const char *text, uint64_t *ns)
{
    char *end;

    /* strtod() would also take blanks, signs, hexadecimal, "inf" and "nan". */
    if (text[strspn(text, "0123456789.")] != '\0' || strpbrk(text, "0123456789") == NULL)
        return -EINVAL;

    double seconds = strtod(text, &end);

    if (*end != '\0')
        return -EINVAL;
    if (seconds > 1e9)
        return -ERANGE;
    *ns = (uint64_t)(seconds * 1e9 + 0.5);
    return 0;
}

/* Three digits and a prefix. */
static const char *scaled(double value, const char *unit, char *text, size_t size)
{
    static const char prefixes[] = " kMGTPE";
    unsigned step = 0;

    while (value >= 999.5 && step < sizeof(prefixes) - 2) {
        value /= 1000;
        step++;
    }

    int decimals = step == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;

    if (step == 0)
        (void)snprintf(text, size, "%.0f %s", value, unit);
    else
        (void)snprintf(text, size, "%.*f %c%s", decimals, value, prefixes[step], unit);
    return text;
}

const char *tool_s(uint64_t count)
{
    return count == 1 ? "" : "s";
}

const char *tool_bytes_text(uint64_t bytes, char *text, size_t size)
{
    return scaled((double)bytes, "B", text, size);
}

const char *tool_rate_text(double per_second, char *text, size_t size)
{
    return scaled(per_second, "B/s", text, size);
}

const char *tool_time_text(double seconds, char *text, size_t size)
{
    unsigned long s = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 1000000000UL;

    if (s < 3600)
        (void)snprintf(text, size, "%lu:%02lu", s / 60, s % 60);
    else
        (void)snprintf(text, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    return text;
}

const char *tool_size_text(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "KMG";
    char unit[2] = "";

    for (size_t i = 0; i < 3 && bytes >= 1024 && bytes % 1024 == 0; i++) {
        bytes /= 1024;
        unit[0] = units[i];
    }
    (void)snprintf(text, size, "%llu%s", (unsigned long long)bytes, unit);
    return text;
}
