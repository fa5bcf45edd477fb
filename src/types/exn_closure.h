/* SPDX-License-Identifier: MIT */
/* Chains of exception handlers as closures: ExnSetjmp, and its factory ExnSystem. */
#ifndef MBR_TYPES_EXN_CLOSURE_H
#define MBR_TYPES_EXN_CLOSURE_H

#include <stdbool.h>

#include <middl/ExnSetjmp.h>
#include <middl/ExnSystem.h>

#include "types/exn.h"

extern const ExnSetjmp_op mbr__exn_ops;
extern ExnSystem_cl mbr__module_ExnSystem;

/* The closure of the chain that the calling thread has from its birth; good until it ends. */
ExnSupport_clp mbr__exn_own_closure(void);

/* True if EXNS is a chain of ours. */
static inline bool mbr__exn_is_ours(ExnSupport_clp exns)
{
    return (const void *)exns->op == (const void *)&mbr__exn_ops;
}

static inline struct mbr__exn_chain *mbr__exn_chain_of(ExnSupport_clp exns)
{
    return exns->st;
}

#endif
