/* SPDX-License-Identifier: MIT */
/* base/atomic.h for code that space.h runs: see there. Included by way of MBR_ATOMIC_MODEL. */
#ifndef MBR_TESTS_SPACE_ATOMIC_H
#define MBR_TESTS_SPACE_ATOMIC_H

#include "space.h"

#define space__word(p)          ((void *)(uintptr_t)(p))
#define mbr_load_relaxed(p)     ((__typeof__(*(p)))space_load((p), sizeof(*(p)), #p))
#define mbr_load_acquire(p)     ((__typeof__(*(p)))space_load((p), sizeof(*(p)), #p))
#define mbr_store_relaxed(p, v) space_store(space__word(p), sizeof(*(p)), (uint64_t)(uintptr_t)(v))
#define mbr_store_release(p, v) space_store(space__word(p), sizeof(*(p)), (uint64_t)(uintptr_t)(v))
#define mbr_fence_full()        space_fence()
#define mbr_fetch_add(p, v) \
    ((__typeof__(*(p)))space_rmw(space__word(p), sizeof(*(p)), SPACE_ADD, (v), "add " #p))
#define mbr_fetch_or(p, v) \
    ((__typeof__(*(p)))space_rmw(space__word(p), sizeof(*(p)), SPACE_OR, (v), "or " #p))
#define mbr_fetch_and(p, v) \
    ((__typeof__(*(p)))space_rmw(space__word(p), sizeof(*(p)), SPACE_AND, (v), "and " #p))
#define mbr_exchange(p, v) \
    ((__typeof__(*(p)))space_rmw(space__word(p), sizeof(*(p)), SPACE_SET, (v), "set " #p))
#define mbr_cas(p, expected, desired)                                     \
    __extension__({                                                       \
        __typeof__(*(p)) *space__e = (expected);                          \
        __typeof__(*(p)) space__old = (__typeof__(*(p)))space_cas(        \
            space__word(p), sizeof(*(p)), (uint64_t)(uintptr_t)*space__e, \
            (uint64_t)(uintptr_t)(desired), "cas " #p);                   \
        bool space__done = space__old == *space__e;                       \
        *space__e = space__old;                                           \
        space__done;                                                      \
    })
#define mbr_prefetch_write(p) ((void)(p))
#define mbr_cpu_relax()       ((void)0)
#define mbr_cpu_gap(p)        (p)

#endif
