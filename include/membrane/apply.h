/* SPDX-License-Identifier: MIT */
/* A C function and its argument as the interface Closure, the universal entry point. */
#ifndef MEMBRANE_APPLY_H
#define MEMBRANE_APPLY_H

#include <membrane/base.h>
#include <middl/Closure.h>

MBR_BEGIN_DECLS

/* The caller's, and to stay as long as its closure is used. */
struct mbr_apply {
    Closure_cl closure;
    void (*entry)(void *data);
    void *data;
};

/* Makes APPLY a Closure whose Apply calls ENTRY(DATA), and returns it. Never blocks, cannot fail.
 */
MBR_API Closure_clp mbr_apply_init(struct mbr_apply *apply, void (*entry)(void *data), void *data)
    __attribute__((nonnull(1, 2)));

MBR_END_DECLS

#endif
