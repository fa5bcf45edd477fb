/* SPDX-License-Identifier: MIT */
/*
 * What a hostile process does with its own shared memory: random and adversarial values over every
 * word that a peer reads. Used by the tests of pipes and of sockets. Not here: when, and what else
 * it does.
 */
#ifndef MBR_TESTS_SCRIBBLE_H
#define MBR_TESTS_SCRIBBLE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../multi/stage.h"

struct target {
    uint64_t *words;
    size_t count;
};

#define TARGETS_MAX 16

/* Memory of this process that is shared, writable and Membrane's. */
static inline int find_targets(struct target *targets, bool heads_only)
{
    char line[512];
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "re");

    CHECK(f != NULL);
    while (n < TARGETS_MAX && fgets(line, sizeof(line), f)) {
        unsigned long from, to, offset;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s %lx", &from, &to, mode, &offset) != 4)
            continue;
        if (strcmp(mode, "rw-s") != 0 || !strstr(line, "membrane"))
            continue;
        /* The head is mapped once, at offset 0; the same mapping may go on with the body. */
        size_t bytes = heads_only && to - from > 4096 ? 4096 : to - from;
        if (heads_only && offset != 0)
            continue;
        targets[n].words = (uint64_t *)from;
        targets[n++].count = bytes / sizeof(uint64_t);
    }
    fclose(f);
    return n;
}

static inline uint64_t adversarial(uint64_t *random, uint64_t old, uint64_t other)
{
    const uint64_t values[] = {
        0,
        1,
        7,
        8,
        old + 1,
        old - 1,
        old + 8,
        old - 8,
        ~old,
        old + 4096,
        old + 65536,
        old - 65536,
        old ^ 1ull << 63,
        other,
        1ull << 31,
        1u << 30,
        1ull << 32,
        1ull << 63,
        (1ull << 63) - 1,
        UINT64_MAX,
        UINT32_MAX,
        0xffffffff00000000u,
        old << 32 | old >> 32,
        stage_random(random),
    };

    return values[stage_below(random, sizeof(values) / sizeof(values[0]))];
}

/* One write, of a width that the victim may not expect. */
static inline void scribble(struct target *t, uint64_t *random)
{
    /* Most of a head is padding: the first kibibyte gets half of the writes. */
    size_t limit = stage_below(random, 2) && t->count > 128 ? 128 : t->count;
    volatile uint64_t *word = &t->words[stage_below(random, limit)];
    uint64_t old = *word, value = adversarial(random, old, t->words[stage_below(random, limit)]);

    switch (stage_below(random, 4)) {
    case 0:
        *((volatile uint32_t *)word + stage_below(random, 2)) = (uint32_t)value;
        break;
    case 1:
        *((volatile uint8_t *)word + stage_below(random, 8)) = (uint8_t)value;
        break;
    default:
        *word = value;
        break;
    }
    if (stage_below(random, 4) == 0)
        *word = old; /* as if nothing had been */
}

#endif
