/* SPDX-License-Identifier: MIT */
/* The Demikernel C API: memory for scatter-gather arrays. libos.h says what holds for all calls. */
#ifndef DEMI_SGA_H_IS_INCLUDED
#define DEMI_SGA_H_IS_INCLUDED

#include <demi/cc.h>
#include <demi/types.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One segment of `size` bytes, 1 to 1 GiB, 64-byte aligned, uninitialised. When it cannot be had
 * (also: no demi_init() in this thread) sga_buf is NULL and sga_numsegs 0. No system call and no
 * malloc once warm. */
ATTR_NODISCARD
extern demi_sgarray_t demi_sgaalloc(_In_ size_t size);

/* Gives a scatter-gather array back. Errors: EINVAL NULL, not one segment, or no live buffer;
 * ENOSYS. */
extern int demi_sgafree(_In_ demi_sgarray_t *sga);

#ifdef __cplusplus
}
#endif

#endif
