/* SPDX-License-Identifier: MIT */
/*
 * A lock whose word says who has it, from the very instruction that takes it: a signal handler that
 * wants what its own thread has is told so, and does not wait for ever. (A pthread_mutex_t that
 * checks errors notes its owner a few instructions later, and handlers were seen to deadlock in
 * between.) Who has one is not interrupted by the program's handlers (hold.h), except where
 * he lets them in. Within one process; after a fork its word is simply set to 0.
 */
#ifndef MBR_SHIM_LATCH_H
#define MBR_SHIM_LATCH_H

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/atomic.h"
#include "hold.h"
#include "kernel.h"

#define SHIM_LATCH_WAITED UINT32_C(0x80000000) /* somebody may wait for it */

/* A number of each thread that takes locks; 0 none yet. A child keeps that of its parent's thread.
 */
extern __thread uint32_t shim_latch_self __attribute__((tls_model("initial-exec")));
uint32_t shim_latch_number(void);

static inline uint32_t shim_latch_me(void)
{
    uint32_t me = shim_latch_self;

    return __builtin_expect(me != 0, 1) ? me : shim_latch_number();
}

int shim_latch_wait(uint32_t *word, uint32_t me);

/* 0; -EDEADLK this thread has it; -EAGAIN somebody has it, and `wait` is false. */
static inline int shim_latch(uint32_t *word, bool wait)
{
    uint32_t me = shim_latch_me();
    uint32_t was = 0;

    shim_hold();
    if (__builtin_expect(mbr_cas(word, &was, me), 1))
        return 0;
    shim_let();
    if ((was & ~SHIM_LATCH_WAITED) == me)
        return -EDEADLK;
    return wait ? shim_latch_wait(word, me) : -EAGAIN;
}

static inline void shim_unlatch(uint32_t *word)
{
    if (mbr_exchange(word, 0) & SHIM_LATCH_WAITED)
        (void)shim_kernel(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    shim_let();
}

#endif
