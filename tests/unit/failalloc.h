/* SPDX-License-Identifier: MIT */
/*
 * Makes the nth allocation of this thread fail. Include in one file of a test program that is
 * linked with WRAP malloc calloc realloc aligned_alloc posix_memalign (${MBR_WRAP_ALLOC} in CMake).
 *
 *   failalloc_arm(n);           the allocation after n successful ones fails, later ones succeed
 *   result = constructor();
 *   if (!failalloc_disarm())    false: nothing failed, so every allocation has had its turn
 *       break;
 *
 * Not here: finding leaks, which AddressSanitizer does.
 */
#ifndef MBR_TESTS_FAILALLOC_H
#define MBR_TESTS_FAILALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Allocations left until one fails; -1 when not armed. */
static _Thread_local int64_t failalloc_left = -1;
static _Thread_local bool failalloc_hit;
static _Thread_local uint64_t failalloc_seen;

static inline void failalloc_arm(unsigned int after)
{
    failalloc_hit = false;
    failalloc_left = after;
}

/* Ends the failing; returns whether an allocation has failed since it was armed. */
static inline bool failalloc_disarm(void)
{
    failalloc_left = -1;
    return failalloc_hit;
}

/* Allocations of this thread so far: the difference of two tells whether code allocates. */
static inline uint64_t failalloc_count(void)
{
    return failalloc_seen;
}

static inline bool failalloc_now(void)
{
    failalloc_seen++;
    if (failalloc_left < 0 || failalloc_left-- > 0)
        return false;
    failalloc_hit = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **block, size_t align, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **block, size_t align, size_t size);

void *__wrap_malloc(size_t size)
{
    return failalloc_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failalloc_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return failalloc_now() ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return failalloc_now() ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **block, size_t align, size_t size)
{
    return failalloc_now() ? ENOMEM : __real_posix_memalign(block, align, size);
}

#endif
