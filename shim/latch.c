/* SPDX-License-Identifier: MIT */
/* Waiting for a latch that somebody has; latch.h says what it is. */
#include "latch.h"

#include <sched.h>
#include <stddef.h>

#define LOOKS \
    100 /* before sleeping: who has it does not keep it for long, but for the kernel's sake */

__thread uint32_t shim_latch_self __attribute__((tls_model("initial-exec")));
static uint32_t last_number;

uint32_t shim_latch_number(void)
{
    /* A signal in between costs one number. Two thousand million threads are enough. */
    while (shim_latch_self == 0)
        shim_latch_self = (mbr_fetch_add(&last_number, 1) + 1) & ~SHIM_LATCH_WAITED;
    return shim_latch_self;
}

/* In the middle of taking it no handler comes; in the middle of waiting for it one may. */
static bool take(uint32_t *word, uint32_t *was, uint32_t value)
{
    shim_hold();
    if (mbr_cas(word, was, value))
        return true;
    shim_let();
    return false;
}

static bool look(uint32_t *word, uint32_t me)
{
    for (int i = 0; i < LOOKS; i++) {
        uint32_t none = 0;

        if (mbr_load_relaxed(word) == 0 && take(word, &none, me))
            return true;
        mbr_cpu_relax();
    }
    return false;
}

int shim_latch_wait(uint32_t *word, uint32_t me)
{
    if (look(word, me))
        return 0;
    for (;;) {
        uint32_t was = mbr_load_relaxed(word);

        /* Who has slept takes it as waited for: somebody else may sleep as well. */
        if (was == 0 && take(word, &was, me | SHIM_LATCH_WAITED))
            return 0;
        if (was == 0 ||
            (!(was & SHIM_LATCH_WAITED) && !mbr_cas(word, &was, was | SHIM_LATCH_WAITED)))
            continue;
        (void)shim_kernel(SYS_futex, word, FUTEX_WAIT_PRIVATE, was | SHIM_LATCH_WAITED, NULL, NULL,
                          0);
    }
}
