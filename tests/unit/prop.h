/* SPDX-License-Identifier: MIT */
/*
 * Property tests: a property draws all its choices from a `struct prop`, checks an implementation
 * against a model as it goes, and returns false at the first difference. prop_run() tries many
 * random sequences of choices; one that fails is made shorter and its numbers smaller while it
 * still fails, and printed with the seed.
 *
 *   MBR_PROP_SEED=n   begin with this seed (printed on failure)
 *   MBR_PROP_RUNS=n   try so many sequences
 *
 * Include after cmocka.h, in one file of a test program. The seed is fixed unless given: a test
 * that fails on one machine fails on all. A property must free what it allocates on every path.
 */
#ifndef MBR_TESTS_PROP_H
#define MBR_TESTS_PROP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROP_CHOICES_MAX 20000

struct prop {
    uint64_t random;
    uint32_t choices[PROP_CHOICES_MAX]; /* drawn, or, on a replay, given */
    size_t count;                       /* of them */
    size_t at;                          /* the next one */
    bool replay;
    char failure[256];
};

/* Ends the property's step as failed; for use in functions that return bool. */
#define PROP_CHECK(p, cond)                                                                       \
    do {                                                                                          \
        if (!(cond)) {                                                                            \
            snprintf((p)->failure, sizeof((p)->failure), "%s:%d: %s", __FILE__, __LINE__, #cond); \
            return false;                                                                         \
        }                                                                                         \
    } while (0)

/* SplitMix64 (Steele, Lea, Flood 2014): every seed gives a different, well mixed sequence. */
static inline uint64_t prop_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A number below LIMIT (at least 1). On a replay, what is missing is 0. */
static inline uint32_t prop_choose(struct prop *p, uint32_t limit)
{
    uint32_t choice = 0;

    if (p->replay) {
        if (p->at < p->count)
            choice = p->choices[p->at] % limit;
        p->at++;
        return choice;
    }
    choice = (uint32_t)(prop_random(&p->random) % limit);
    if (p->count < PROP_CHOICES_MAX)
        p->choices[p->count++] = choice;
    p->at++;
    return choice;
}

/* True while the property should make another step; most sequences are long, some short. */
static inline bool prop_more(struct prop *p)
{
    if (p->at + 16 > PROP_CHOICES_MAX || (p->replay && p->at >= p->count))
        return false;
    return prop_choose(p, 256) != 0;
}

typedef bool prop_function(struct prop *p);

static inline bool prop_replay(struct prop *p, prop_function *property)
{
    p->replay = true;
    p->at = 0;
    return property(p);
}

/* Replaces the failing sequence of BEST by TRIED if that fails too. */
static inline bool prop_adopt(struct prop *best, struct prop *tried, prop_function *property)
{
    if (prop_replay(tried, property))
        return false;
    if (tried->at < tried->count)
        tried->count = tried->at;
    memcpy(best, tried, sizeof(*best));
    return true;
}

/* Leaves out runs of choices, then lowers single ones to 1, as long as it still fails. */
static inline void prop_shrink(struct prop *best, prop_function *property)
{
    struct prop *tried = malloc(sizeof(*tried));
    int budget = 2000;

    if (!tried)
        return;
    for (size_t length = 256; length > 0; length /= 2) {
        for (size_t at = 0; at + length <= best->count && budget-- > 0;) {
            memcpy(tried, best, sizeof(*tried));
            memmove(tried->choices + at, tried->choices + at + length,
                    (best->count - at - length) * sizeof(tried->choices[0]));
            tried->count -= length;
            if (!prop_adopt(best, tried, property))
                at += length;
        }
    }
    for (size_t at = 0; at < best->count && budget-- > 0; at++) {
        if (best->choices[at] <= 1)
            continue;
        memcpy(tried, best, sizeof(*tried));
        tried->choices[at] = 1;
        (void)prop_adopt(best, tried, property);
    }
    free(tried);
}

static inline void prop_report(const struct prop *p, const char *name, uint64_t seed)
{
    fprintf(stderr, "property %s fails at %s\n  MBR_PROP_SEED=%llu repeats it; choices:", name,
            p->failure, (unsigned long long)seed);
    for (size_t i = 0; i < p->count && i < 200; i++)
        fprintf(stderr, " %u", p->choices[i]);
    fprintf(stderr, "%s\n", p->count > 200 ? " ..." : "");
}

static inline uint64_t prop_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* Tries the sequence of SEED, whatever the environment asks for. */
static inline bool prop_try(const char *name, prop_function *property, uint64_t seed)
{
    struct prop *p = malloc(sizeof(*p));
    bool ok;

    assert_non_null(p);
    memset(p, 0, offsetof(struct prop, choices));
    p->random = seed;
    p->count = 0;
    p->at = 0;
    p->replay = false;
    p->failure[0] = '\0';
    ok = property(p);
    if (!ok) {
        prop_shrink(p, property);
        prop_report(p, name, seed);
    }
    free(p);
    return ok;
}

/* Tries RUNS sequences (or MBR_PROP_RUNS), fails the cmocka test at the first bad one. */
static inline void prop_run(const char *name, prop_function *property, unsigned int runs)
{
    uint64_t first = prop_setting("MBR_PROP_SEED", 1);
    uint64_t count = prop_setting("MBR_PROP_RUNS", runs);
    bool ok = true;

    for (uint64_t seed = first; ok && seed < first + count; seed++)
        ok = prop_try(name, property, seed);
    assert_true(ok);
}

#endif
