/* SPDX-License-Identifier: MIT */
/*
 * What the shim's sources see instead of their own surroundings when space.h runs them: included by
 * the compiler before each of them (CMakeLists.txt). Looks at shared memory become points, errno is
 * each actor's own, a ring is written twice over as its mapping is, and latches, handlers and
 * spinning are replaced by the least that keeps their contracts.
 *
 * Not here: the kernel (back_kernel.c), what the ends do and what must hold (back_test.c).
 */
#ifndef MBR_TESTS_BACK_WORLD_H
#define MBR_TESTS_BACK_WORLD_H

#define MBR_ATOMIC_MODEL "../../tests/model/space_atomic.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/futex.h>

#include "base/atomic.h"

int *back_errno(void);
#undef errno
#define errno (*back_errno())

void *back_copy(void *to, const void *from, size_t n);
#undef memcpy
#define memcpy back_copy

/* ---- latch.h: a word that says who has it ---- */

#define MBR_SHIM_LATCH_H
uint32_t shim_latch_me(void);
int shim_latch(uint32_t *word, bool wait);
void shim_unlatch(uint32_t *word);

/* ---- hold.h, jumps.h: there are no signals ---- */

#define MBR_SHIM_HOLD_H
#define SHIM_ALLOWED ((void)0)
static inline void shim_hold(void)
{
}

#define MBR_SHIM_JUMPS_H
struct shim_conn;
#define shim_jumps UINT32_C(0)
static inline bool shim_blocks(struct shim_conn *c)
{
    (void)c;
    return false;
}

static inline void shim_unblocks(bool noted)
{
    (void)noted;
}

static inline void shim_blocks_asleep(bool noted, uint32_t how)
{
    (void)noted, (void)how;
}

static inline void shim_jumped(void)
{
}

static inline void shim_poll_jumped(void)
{
}

/* ---- spin.h: nobody looks for longer than once ---- */

#define MBR_SHIM_SPIN_H
extern uint32_t shim_confined;
struct shim_spin {
    uint32_t none;
};

static inline uint64_t shim_spin_budget(const struct shim_spin *s)
{
    (void)s;
    return 0;
}

static inline bool shim_spin_yield(const struct shim_spin *s, const uint64_t *yielded, uint64_t ns)
{
    (void)s, (void)yielded, (void)ns;
    return true;
}

static inline void shim_spin_won(const struct shim_spin *s)
{
    (void)s;
}

static inline void shim_spin_slept(const struct shim_spin *s, uint64_t slept)
{
    (void)s, (void)slept;
}

#endif
