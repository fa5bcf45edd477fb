/* SPDX-License-Identifier: MIT */
/*
 * Stretches of code that no signal handler of the program may interrupt: as long as a thread has a
 * latch. A handler may close, read, write and wait for the very descriptors in whose call it came;
 * it would find what its own thread has left half done, and could not wait for it.
 *
 * Nothing is blocked beforehand, which would cost two system calls each time. A handler that comes
 * in such a stretch (signals.c) is put off: what the signal said is kept, all others are blocked by
 * the return from the handler, and the end of the stretch sends the signal once more. Signals that
 * the stretch itself has caused (a fault) are not put off.
 *
 * Where a latch is held over a call of the kernel that may block, shim_allow() lets handlers in.
 */
#ifndef MBR_SHIM_HOLD_H
#define MBR_SHIM_HOLD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct shim_hold {
    uint32_t depth;   /* stretches that this thread is in */
    uint32_t pending; /* 1: a signal was put off */
    uint64_t mask;    /* what was blocked then, as the kernel has it */
    siginfo_t info;   /* what it said */
};
extern __thread struct shim_hold shim_held __attribute__((tls_model("initial-exec")));

/* Sends what was put off to this thread once more, and unblocks what it blocked. Keeps errno. */
void shim_hold_deliver(void);

/* In a signal handler: whether this signal has been put off; then the handler returns at once. */
bool shim_hold_off(int number, const siginfo_t *info, void *context);

/* In a forked child: it is in no stretch, and a signal that was put off was its parent's. */
void shim_hold_forked(void);

static inline void shim_hold(void)
{
    mbr_store_relaxed(&shim_held.depth, mbr_load_relaxed(&shim_held.depth) + 1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void shim_let(void)
{
    uint32_t depth = mbr_load_relaxed(&shim_held.depth) - 1;

    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    mbr_store_relaxed(&shim_held.depth, depth);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (depth == 0 && __builtin_expect(mbr_load_relaxed(&shim_held.pending), 0))
        shim_hold_deliver();
}

/* Handlers may come from here on, until the result goes to shim_forbid(): also if the thread is
 * cancelled in between, see SHIM_ALLOWED. */
static inline uint32_t shim_allow(void)
{
    uint32_t depth = mbr_load_relaxed(&shim_held.depth);

    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    mbr_store_relaxed(&shim_held.depth, (uint32_t)0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(mbr_load_relaxed(&shim_held.pending), 0))
        shim_hold_deliver();
    return depth;
}

static inline void shim_forbid(const uint32_t *depth)
{
    mbr_store_relaxed(&shim_held.depth, *depth);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Lets handlers in for the rest of the block. */
#define SHIM_ALLOWED \
    uint32_t shim_allowed __attribute__((cleanup(shim_forbid), unused)) = shim_allow()

#endif
