/* SPDX-License-Identifier: MIT */
/*
 * Stands in for a model checker's header in base_atomic_model_test.c: every macro of base/atomic.h,
 * counting its uses. Shows what such a header must define.
 */
#ifndef MBR_TESTS_BASE_ATOMIC_MODEL_H
#define MBR_TESTS_BASE_ATOMIC_MODEL_H

#include <stdbool.h>
#include <stdint.h>

extern unsigned int model_steps;

static inline bool model_cas(uint32_t *word, uint32_t *expected, uint32_t desired)
{
    bool equal = *word == *expected;

    model_steps++;
    if (equal)
        *word = desired;
    else
        *expected = *word;
    return equal;
}

#define mbr_load_relaxed(p)     (model_steps++, *(p))
#define mbr_load_acquire(p)     (model_steps++, *(p))
#define mbr_store_relaxed(p, v) ((void)model_steps++, (void)(*(p) = (v)))
#define mbr_store_release(p, v) ((void)model_steps++, (void)(*(p) = (v)))
#define mbr_fence_full()        ((void)model_steps++)
#define mbr_fetch_add(p, v)     (model_steps++, (*(p) += (v)) - (v))
#define mbr_fetch_or(p, v)      (model_steps++, *(p) |= (v))
#define mbr_fetch_and(p, v)     (model_steps++, *(p) &= (v))
#define mbr_exchange(p, v)      (model_steps++, *(p) = (v))
#define mbr_cas(p, e, d)        model_cas(p, e, d)
#define mbr_cpu_relax()         ((void)model_steps++)
#define mbr_prefetch_write(p)   ((void)(p))
#define mbr_cpu_gap(p)          (model_steps++, (p))

#endif
