/* SPDX-License-Identifier: MIT */
/* Putting signals off, and sending them again; hold.h says when. System calls only: this runs in
 * signal handlers. */
#include "hold.h"

#include <errno.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "kernel.h"

#define KERNEL_MASK 8 /* bytes of a signal mask, which the C library's type is longer than */

__thread struct shim_hold shim_held __attribute__((tls_model("initial-exec")));

static uint64_t bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

/* What a thread does to itself by the instruction that it is at: it would do it again. */
static uint64_t faults(void)
{
    return bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGSYS);
}

/* Not to be blocked either: those that the C library keeps to itself (cancelling, setuid). */
static uint64_t all_but(void)
{
    return ~(faults() | bit(32) | bit(33));
}

bool shim_hold_off(int number, const siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;
    uint64_t mask;

    if (mbr_load_relaxed(&shim_held.depth) == 0 || (faults() & bit(number)) != 0)
        return false;
    /* The mask that the kernel restores when the handler returns. */
    memcpy(&shim_held.mask, &interrupted->uc_sigmask, KERNEL_MASK);
    mask = shim_held.mask | all_but();
    memcpy(&interrupted->uc_sigmask, &mask, KERNEL_MASK);
    shim_held.info = *info;
    shim_held.info.si_signo = number;
    mbr_store_relaxed(&shim_held.pending, (uint32_t)1);
    return true;
}

void shim_hold_deliver(void)
{
    siginfo_t info = shim_held.info;
    uint64_t mask = shim_held.mask;
    int error = errno;
    pid_t tid = (pid_t)shim_kernel(SYS_gettid);

    mbr_store_relaxed(&shim_held.pending, (uint32_t)0);
    /* With no memory for what it said, the signal comes without. */
    if (shim_kernel(SYS_rt_tgsigqueueinfo, getpid(), tid, info.si_signo, &info) < 0)
        (void)shim_kernel(SYS_tgkill, getpid(), tid, info.si_signo);
    (void)shim_kernel(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, KERNEL_MASK);
    errno = error;
}

void shim_hold_forked(void)
{
    uint64_t mask = shim_held.mask;

    mbr_store_relaxed(&shim_held.depth, (uint32_t)0);
    if (!mbr_load_relaxed(&shim_held.pending))
        return;
    mbr_store_relaxed(&shim_held.pending, (uint32_t)0);
    (void)shim_kernel(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, KERNEL_MASK);
}
