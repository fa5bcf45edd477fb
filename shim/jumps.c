/* SPDX-License-Identifier: MIT */
/*
 * longjmp() and its like. A signal handler may jump out of a call that blocks, which then never
 * ends: its thread goes on with the call's lock in hand. So jumps are counted, and a thread that
 * finds a lock in its own hands from before its last jump takes it as left to it (conn.c). Not
 * here: C++ exceptions and cancellation, which unwind.
 */
#include "jumps.h"

#include <setjmp.h>

#include "real.h"

__thread uint32_t shim_jumps __attribute__((tls_model("initial-exec")));

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
