/* SPDX-License-Identifier: MIT */
/*
 * longjmp() and its like. A signal handler may jump out of a call that blocks, which then never
 * ends: its thread goes on with the call's lock in hand. So jumps are counted, and a thread that
 * finds a lock in its own hands from before its last jump takes it as left to it (conn.c). Not
 * here: C++ exceptions and cancellation, which unwind.
 */
#include "jumps.h"

#include <setjmp.h>

#include "conn.h"
#include "real.h"

__thread uint32_t shim_jumps __attribute__((tls_model("initial-exec")));

static __thread struct {
    struct shim_conn *c;
    uint32_t jumps;
    uint32_t asleep;
} blocked __attribute__((tls_model("initial-exec")));

void shim_jumped(void)
{
    struct shim_conn *c = blocked.c;

    if (c == NULL || blocked.jumps == shim_jumps)
        return;
    blocked.c = NULL;
    if (blocked.asleep != SHIM_ASLEEP_NO)
        shim_sleep_end(c, blocked.asleep, false);
    shim_conn_put(c);
}

bool shim_blocks(struct shim_conn *c)
{
    shim_jumped();
    if (blocked.c != NULL) /* this is a handler that has interrupted it */
        return false;
    blocked.jumps = shim_jumps;
    blocked.asleep = SHIM_ASLEEP_NO;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    blocked.c = c;
    return true;
}

void shim_unblocks(bool noted)
{
    if (noted)
        blocked.c = NULL;
}

void shim_blocks_asleep(bool noted, uint32_t how)
{
    if (noted)
        blocked.asleep = how;
}

void __longjmp_chk(struct __jmp_buf_tag env[1], int value) __attribute__((noreturn));

/* As long as nothing is looked up nothing of ours can have been under way. */
#define JUMP(name)                                                                          \
    SHIM_EXPORT __attribute__((noreturn)) void name(struct __jmp_buf_tag env[1], int value) \
    {                                                                                       \
        shim_ready();                                                                       \
        shim_jumps++;                                                                       \
        real.name(env, value);                                                              \
        __builtin_unreachable();                                                            \
    }

JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
JUMP(__longjmp_chk)
