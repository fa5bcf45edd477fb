/* SPDX-License-Identifier: MIT */
/*
 * sigaction, and the older calls that do the same: a handler of the program is called through one
 * of ours, which puts it off while its thread is where it must not be interrupted (hold.h). The
 * program does not see that: it is told of its own handler and its own flags.
 *
 * A handler that was installed by a system call is the kernel's alone. It is called at any time;
 * then calls on what its thread has locked fail with EDEADLK, as far as they can.
 */
#include <errno.h>
#include <signal.h>

#include "conn.h"
#include "fork.h"
#include "hold.h"
#include "real.h"

sighandler_t bsd_signal(int number, sighandler_t new);
sighandler_t sysv_signal(int number, sighandler_t new);
sighandler_t __sysv_signal(int number, sighandler_t new);

int __sigaction(int number, const struct sigaction *act, struct sigaction *old);

/* ThreadSanitizer puts handlers off by itself, and none of its atomics may be used in one that it
 * has not called; nor before it has begun. */
#define UNTOUCHED
#define PUTS_OFF 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef UNTOUCHED
#undef PUTS_OFF
#define UNTOUCHED __attribute__((disable_sanitizer_instrumentation))
#define PUTS_OFF  0
#endif
#endif

#define OWN_FLAGS ((uint32_t)(SA_SIGINFO | SA_RESETHAND)) /* are what we make of them */

typedef void (*handler)(int number, siginfo_t *info, void *context);

static struct {
    handler calls;
    uint32_t flags; /* of OWN_FLAGS, those that the program set */
} programs[_NSIG];
static uint32_t latch; /* a sigaction is under way */

/* As the kernel does: with all three, whether or not the handler takes them. A handler that a fault
 * called may jump out of what the thread was in the middle of, which is then over. */
static void call_handler(int number, siginfo_t *info, void *context)
{
    SHIM_ALLOWED;

    mbr_load_acquire (&programs[number].calls)(number, info, context);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct sigaction once = {.sa_handler = SIG_DFL};
    int error = errno;

    if (shim_hold_off(number, info, context))
        return;
    if (mbr_load_relaxed(&programs[number].flags) & (uint32_t)SA_RESETHAND)
        (void)real.sigaction(number, &once, NULL);
    errno = error;
    call_handler(number, info, context);
}

static bool is_handler(const struct sigaction *act)
{
    return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN &&
           act->sa_sigaction != on_signal;
}

/* What the kernel says becomes what the program said. */
static void translate(struct sigaction *act, handler was, uint32_t flags)
{
    if (act->sa_sigaction != on_signal)
        return;
    act->sa_sigaction = was;
    act->sa_flags = (int)(((uint32_t)act->sa_flags & ~OWN_FLAGS) | flags);
}

static int install(int number, const struct sigaction *act, struct sigaction *before)
{
    handler was = programs[number].calls;
    uint32_t flags = programs[number].flags;
    struct sigaction mine = *act;
    struct sigaction old;
    int r;

    mbr_store_relaxed(&programs[number].flags, (uint32_t)act->sa_flags & OWN_FLAGS);
    mbr_store_release(&programs[number].calls, act->sa_sigaction);
    mine.sa_sigaction = on_signal;
    mine.sa_flags = (int)(((uint32_t)mine.sa_flags & ~OWN_FLAGS) | (uint32_t)SA_SIGINFO);
    r = real.sigaction(number, &mine, &old);
    if (r < 0) {
        mbr_store_relaxed(&programs[number].flags, flags);
        mbr_store_release(&programs[number].calls, was);
        return r;
    }
    translate(&old, was, flags);
    *before = old;
    return r;
}

/* A child of vfork() has dispositions of its own, but not a table. */
static int change(int number, const struct sigaction *act, struct sigaction *before)
{
    handler was = programs[number].calls;
    uint32_t flags = programs[number].flags;
    int r;

    if (act != NULL && is_handler(act) && !shim_is_vforked())
        return install(number, act, before);
    r = real.sigaction(number, act, before);
    if (r == 0)
        translate(before, was, flags);
    return r;
}

static int checked(int number, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction before;
    bool mine;
    int r;

    if (shim_settings.off || number <= 0 || number >= _NSIG)
        return real.sigaction(number, act, old);
    mine = shim_latch(&latch, true) == 0;
    r = change(number, act, &before);
    if (mine)
        shim_unlatch(&latch);
    if (r == 0 && old != NULL)
        *old = before;
    return r;
}

/* Before anything of ours may run (a sanitizer asks while the program is not even relocated, and
 * there is no environment to read settings from) it is the C library's by its other name. */
UNTOUCHED SHIM_EXPORT int sigaction(int number, const struct sigaction *act, struct sigaction *old)
{
    if (!PUTS_OFF || !__atomic_load_n(&shim_is_ready, __ATOMIC_ACQUIRE))
        return __sigaction(number, act, old);
    return checked(number, act, old);
}

/* ---- the older ones -------------------------------------------------------------------------- */

/* After the C library has installed a handler: what it chose is kept. */
static sighandler_t adopted(int number, sighandler_t was)
{
    struct sigaction now;
    handler before;
    int error = errno;

    if (!PUTS_OFF || was == SIG_ERR || shim_settings.off || number <= 0 || number >= _NSIG)
        return was;
    before = mbr_load_acquire(&programs[number].calls);
    if (real.sigaction(number, NULL, &now) == 0 && is_handler(&now))
        (void)checked(number, &now, NULL);
    errno = error;
    now.sa_handler = was; /* a union of the two types */
    if (now.sa_sigaction == on_signal)
        now.sa_sigaction = before;
    return now.sa_handler;
}

SHIM_EXPORT sighandler_t signal(int number, sighandler_t new)
{
    shim_ready();
    return adopted(number, real.signal(number, new));
}

SHIM_EXPORT sighandler_t bsd_signal(int number, sighandler_t new)
{
    shim_ready();
    return adopted(number, real.bsd_signal(number, new));
}

SHIM_EXPORT sighandler_t sysv_signal(int number, sighandler_t new)
{
    shim_ready();
    return adopted(number, real.sysv_signal(number, new));
}

SHIM_EXPORT sighandler_t __sysv_signal(int number, sighandler_t new)
{
    shim_ready();
    return adopted(number, real.__sysv_signal(number, new));
}

SHIM_EXPORT sighandler_t sigset(int number, sighandler_t new)
{
    shim_ready();
    return adopted(number, real.sigset(number, new));
}
