/* SPDX-License-Identifier: MIT */
/* Whether the program has confined itself to some system calls; sandbox.c says what that means. */
#ifndef MBR_SHIM_SANDBOX_H
#define MBR_SHIM_SANDBOX_H

/* The program is about to call seccomp(2); prctl(2), with its first argument. */
void shim_filter_set(unsigned long operation, unsigned long flags, const void *filter);
void shim_prctl_made(int option, unsigned long mode);

#endif
