/* SPDX-License-Identifier: MIT */
/* Calls of the shim that other files of the shim call, too: by these names, since the C library's
 * mean the C library here (wrap.c). */
#ifndef MBR_SHIM_CALLS_H
#define MBR_SHIM_CALLS_H

#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#define SHIM_ALIAS(name) __typeof(name) shim_##name __attribute__((alias(#name)))

__typeof(read) shim_read;
__typeof(write) shim_write;
__typeof(close) shim_close;
__typeof(poll) shim_poll;

#endif
