/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units: read from people (1M, 2.5) and shown to them (1.23 GB, 0:42); and the clock.
 * Sizes are read in powers of 1024, as memory is, and shown in powers of 1000, as rates are.
 */
#ifndef TOOLS_UNITS_H
#define TOOLS_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define TOOL_SECOND UINT64_C(1000000000) /* in nanoseconds */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t tool_now_ns(void);

/* "4096", "64K", "1M", "2G", also "64KiB". 0, -EINVAL not such a text, -ERANGE above 2^63 - 1. */
int tool_parse_size(const char *text, uint64_t *out);
/* Decimal digits only. 0, -EINVAL, -ERANGE above 2^63 - 1. */
int tool_parse_number(const char *text, uint64_t *out);
/* "2", "0.25". 0, -EINVAL, -ERANGE above 1e9 seconds. */
int tool_parse_seconds(const char *text, uint64_t *ns);

/* What a noun ends with after that number: "s", or "" after 1. */
const char *tool_s(uint64_t count);

/* Each writes into `text` and returns it. */
const char *tool_bytes_text(uint64_t bytes, char *text, size_t size);   /* "999 B", "1.23 GB" */
const char *tool_rate_text(double per_second, char *text, size_t size); /* "812 MB/s" */
const char *tool_time_text(double seconds, char *text, size_t size);    /* "0:42", "1:02:03" */
/* A size as one would type it: "64K", "1M", "1000". */
const char *tool_size_text(uint64_t bytes, char *text, size_t size);

#endif
