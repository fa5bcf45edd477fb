/* SPDX-License-Identifier: MIT */
/* System calls without the C library; kernel.h says why. */
#include "kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#define LAST_ERROR 4095

#if SHIM_RAW_CALLS
static long enter(long number, const long arg[6])
{
    register long r10 __asm__("r10") = arg[3];
    register long r8 __asm__("r8") = arg[4];
    register long r9 __asm__("r9") = arg[5];
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(number), "D"(arg[0]), "S"(arg[1]), "d"(arg[2]), "r"(r10), "r"(r8),
                       "r"(r9)
                     : "rcx", "r11", "memory");
    if (r >= 0 || r < -LAST_ERROR)
        return r;
    errno = (int)-r;
    return -1;
}
#else
static long enter(long number, const long arg[6])
{
    return syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
#endif

/* Of the six some may not be there: what is read in their places is nobody's business. */
__attribute__((no_sanitize("address"))) long shim_kernel(long number, ...)
{
    long arg[6];
    va_list ap;

    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(ap, long); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(ap);
    return enter(number, arg);
}
