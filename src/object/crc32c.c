/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C: SSE 4.2 where the processor has it (looked up at run time, so that one build suits all
 * x86-64), else eight tables at a time ("slicing by 8", Kounavis and Berry, 2005).
 */
#include "object/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, bits reversed */

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;

        for (int bit = 0; bit < 8; bit++)
            r = r >> 1 ^ (r & 1 ? POLYNOMIAL : 0);
        table[0][i] = r;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xff];
    }
}

/* Eight bytes as a number whose first byte is the lowest, whatever the machine's order. */
static uint64_t eight(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

uint32_t mbr__crc32c_tables(uint32_t sum, const void *data, size_t length)
{
    const unsigned char *p = data;
    uint32_t r = ~sum;

    pthread_once(&table_once, make_table);
    for (; length >= 8; p += 8, length -= 8) {
        uint64_t v = eight(p) ^ r;

        r = 0;
        for (int t = 0; t < 8; t++)
            r ^= table[7 - t][v >> 8 * t & 0xff];
    }
    for (; length > 0; p++, length--)
        r = r >> 8 ^ table[0][(r ^ *p) & 0xff];
    return ~r;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t sum, const void *data,
                                                                 size_t length)
{
    const unsigned char *p = data;
    uint64_t r = ~sum;

    for (; length >= 8; p += 8, length -= 8)
        r = __builtin_ia32_crc32di(r, eight(p));
    for (; length > 0; p++, length--)
        r = __builtin_ia32_crc32qi((uint32_t)r, *p);
    return ~(uint32_t)r;
}

uint32_t mbr__crc32c(uint32_t sum, const void *data, size_t length)
{
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction(sum, data, length);
    return mbr__crc32c_tables(sum, data, length);
}

#else

uint32_t mbr__crc32c(uint32_t sum, const void *data, size_t length)
{
    return mbr__crc32c_tables(sum, data, length);
}

#endif
