/* SPDX-License-Identifier: MIT */
/*
 * Ways to hand a value of 1 MiB from one process to another: objects, LMDB, memcached, redis. Each
 * is started once, opened by each process for itself, and stores and fetches under small numbers.
 *
 * Functions return 0 or a negative errno. Not here: what is measured with them (hand_over.c).
 */
#ifndef BENCH_OBJECTS_WAY_H
#define BENCH_OBJECTS_WAY_H

#include <stddef.h>
#include <stdint.h>

#define WAY_KEYS  8u
#define WAY_BYTES ((size_t)1 << 20)

struct way {
    const char *name;
    /* Servers, files; `directory` is private, on tmpfs, and removed afterwards. -ENOENT: the
     * program is not installed. */
    int (*start)(const char *directory);
    void (*stop)(void);
    /* For the calling process, after fork. */
    int (*open)(void);
    int (*store)(unsigned int key, const char *bytes);
    /* Touches every byte and adds it to *sum. */
    int (*fetch)(unsigned int key, uint64_t *sum);
};

extern const struct way way_objects, way_versioned, way_reference;
extern const struct way way_redis, way_memcached;
#ifdef BENCH_WITH_LMDB
extern const struct way way_lmdb;
#endif

/* The sum of all words: what touching every byte costs is the same for all ways. */
uint64_t way_sum(const char *bytes, size_t size);

/* Values that went from one process to the other in a second, `count` of them; negative errno. */
double way_hand_over(const struct way *way, unsigned int count);

#endif
