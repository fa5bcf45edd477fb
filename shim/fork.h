/* SPDX-License-Identifier: MIT */
/*
 * Fork and exit.
 *
 * Listening sockets, and connections that are not upgraded, are the kernel's and belong to both
 * processes: servers that fork before or after accept() work. So that it stays so, fork leaves
 * connections that could still be upgraded with the kernel for good. An upgraded connection belongs
 * to both as well (kin.h); if another thread is in the middle of a call on it, or there is no place
 * for one more process, it goes back to the kernel before (leave.c). Where even that cannot be,
 * every call on it gives ECONNRESET in the child, and closing it there harms nobody.
 */
#ifndef MBR_SHIM_FORK_H
#define MBR_SHIM_FORK_H

#include <stdbool.h>

/* Whether this is a child of vfork() or of a raw clone that shares our memory: it must not touch
 * the table. A system call: only for calls that are about to change something. */
bool shim_is_vforked(void);

/* Around a fork that the C library does not know of, by a system call of the program's own. */
void shim_fork_begin(void);
void shim_fork_end(bool child);

#endif
