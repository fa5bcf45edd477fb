/* SPDX-License-Identifier: MIT */
/*
 * System calls of the shim's own. syscall(2) is not used in the shim, since it is one of the calls
 * that the shim stands in for (calls_raw.c).
 */
#ifndef MBR_SHIM_KERNEL_H
#define MBR_SHIM_KERNEL_H

#include <sys/syscall.h>

/* Where the program's syscall() is looked at: elsewhere it is the C library's. */
#if defined(__x86_64__) || defined(__aarch64__)
#define SHIM_RAW_CALLS 1
#else
#define SHIM_RAW_CALLS 0
#endif

/* As syscall(2): up to six arguments, each a long or a pointer; -1 and errno. No point of
 * cancellation. Any thread, any time, also before anything is relocated or looked up. */
long shim_kernel(long number, ...);

#endif
