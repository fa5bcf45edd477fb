/* SPDX-License-Identifier: MIT */
/* System calls without the C library; kernel.h says why. */
#include "kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#define LAST_ERROR 4095

#if defined(__x86_64__)
static long trap(long number, const long arg[6])
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
    return r;
}
#elif defined(__aarch64__)
static long trap(long number, const long arg[6])
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = arg[0];
    register long x1 __asm__("x1") = arg[1];
    register long x2 __asm__("x2") = arg[2];
    register long x3 __asm__("x3") = arg[3];
    register long x4 __asm__("x4") = arg[4];
    register long x5 __asm__("x5") = arg[5];

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#endif

#if SHIM_RAW_CALLS
static long enter(long number, const long arg[6])
{
    long r = trap(number, arg);

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
