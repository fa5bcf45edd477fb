/* SPDX-License-Identifier: MIT */
/*
 * Programs that confine themselves: after a filter for system calls is installed (seccomp(2)) the
 * shim makes none that the program would not make without it. Connections that have not moved stay
 * with the kernel, new ones are not looked at, nobody spins. Those that have moved go on, and need
 * sendto, recvfrom, poll, ppoll and futex; and epoll_ctl, if the peer takes them back.
 *
 * A filter from before the program began (of a container, or a service) is nobody's business here.
 */
#include <limits.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "conn.h"
#include "kernel.h"
#include "real.h"
#include "sandbox.h"

uint32_t shim_confined;

static void stay(int fd, struct shim_object *o, void *arg)
{
    (void)fd;
    (void)arg;
    if (o->kind == SHIM_CONN)
        (void)shim_conn_pin((struct shim_conn *)(void *)o);
}

/* Before the filter holds: afterwards it might be too late. */
static void confine(void)
{
    if (mbr_exchange(&shim_confined, (uint32_t)1) != 0)
        return;
    __atomic_store_n(&shim_settings.rings, false, __ATOMIC_RELAXED);
    __atomic_store_n(&shim_settings.names, false, __ATOMIC_RELAXED);
    shim_table_each(0, INT_MAX, stay, NULL);
    (void)mbr__ticks_to_ns(mbr__ticks()); /* the first time, the clock asks the kernel */
}

void shim_filter_set(unsigned long operation, unsigned long flags, const void *filter)
{
    bool strict = operation == SECCOMP_SET_MODE_STRICT && flags == 0;

    /* libseccomp asks what the kernel can do by calls that must fail. */
    if (strict || (operation == SECCOMP_SET_MODE_FILTER && filter != NULL))
        confine();
}

void shim_prctl_made(int option, unsigned long mode)
{
    if (option == PR_SET_SECCOMP && mode != SECCOMP_MODE_DISABLED)
        confine();
}

/* Of the four arguments some may not be there. */
__attribute__((no_sanitize("address"))) SHIM_EXPORT int prctl(int option, ...)
{
    unsigned long arg[4];
    va_list ap;

    shim_ready();
    va_start(ap, option);
    for (int i = 0; i < 4; i++)
        arg[i] = va_arg(ap, unsigned long); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(ap);
    shim_prctl_made(option, arg[0]);
    return real.prctl(option, arg[0], arg[1], arg[2], arg[3]);
}
