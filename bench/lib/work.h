/* SPDX-License-Identifier: MIT */
/*
 * The work that every subject does for every message, so that no transport wins by not touching
 * its data: the sender writes each 8-byte word of the message, the receiver reads each word and
 * compares it. All words of message n hold n, so the comparison checks integrity and order at once.
 * The last message of a run holds BENCH_END instead.
 *
 * Sizes are multiples of 8, at least 8. Buffers need 8-byte alignment only.
 */
#ifndef BENCH_LIB_WORK_H
#define BENCH_LIB_WORK_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_END UINT64_MAX

/* What bench_check() says of the last message. */
#define BENCH_ENDED 1

/* Two words: the widest vector that every x86-64 has, so all subjects are compiled alike. */
typedef uint64_t bench_pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef uint64_t bench_word __attribute__((may_alias));

static inline void bench_fill(void *to, size_t size, uint64_t word)
{
    const bench_pair pair = {word, word};
    char *at = to;
    char *end = at + size;

    for (; end - at >= 64; at += 64) {
        bench_pair *line = (void *)at;

        line[0] = pair;
        line[1] = pair;
        line[2] = pair;
        line[3] = pair;
    }
    for (; at < end; at += 8) {
        *(bench_word *)(void *)at = word;
    }
}

/* The bits in which any word of the message differs from `word`. */
static inline uint64_t bench_differ(const void *from, size_t size, uint64_t word)
{
    const bench_pair pair = {word, word};
    bench_pair differ = {0, 0};
    uint64_t rest = 0;
    const char *at = from;
    const char *end = at + size;

    for (; end - at >= 64; at += 64) {
        const bench_pair *line = (const void *)at;

        differ |= (line[0] ^ pair) | (line[1] ^ pair) | (line[2] ^ pair) | (line[3] ^ pair);
    }
    for (; at < end; at += 8) {
        rest |= *(const bench_word *)(const void *)at ^ word;
    }
    return rest | differ[0] | differ[1];
}

/* 0: message number `word`, whole. BENCH_ENDED: the last message, whole. -EBADMSG: neither. */
static inline int bench_check(const void *from, size_t size, uint64_t word)
{
    if (__builtin_expect(bench_differ(from, size, word) == 0, 1)) {
        return 0;
    }
    return bench_differ(from, size, BENCH_END) == 0 ? BENCH_ENDED : -EBADMSG;
}

/* The same for messages of which only the ends are touched (by reference, "untouched"). */
static inline void bench_fill_ends(void *to, size_t size, uint64_t word)
{
    *(bench_word *)to = word;
    *(bench_word *)(void *)((char *)to + size - 8) = word;
}

static inline int bench_check_ends(const void *from, size_t size, uint64_t word)
{
    uint64_t first = *(const bench_word *)from;
    uint64_t last = *(const bench_word *)(const void *)((const char *)from + size - 8);

    if (__builtin_expect(first == word && last == word, 1)) {
        return 0;
    }
    return (first & last) == BENCH_END ? BENCH_ENDED : -EBADMSG;
}

#endif
