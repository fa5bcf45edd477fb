/* SPDX-License-Identifier: MIT */
/*
 * What the contexts of the type system have in common: none can be changed, pathnames are followed
 * in one way, and lists are made in one way.
 */
#ifndef MBR_TYPES_SYSTEM_CONTEXT_H
#define MBR_TYPES_SYSTEM_CONTEXT_H

#include <stdint.h>

#include <middl/Context.h>
#include <middl/Type.h>

#include "types/registry.h"

/* The operations of a Context that are the same for all. */
void mbr__cx_add(Context_clp self, const char *name, const Type_Any *obj);
void mbr__cx_remove(Context_clp self, const char *name);
Context_clp mbr__cx_dup(Context_clp self, struct Heap_cl *h, struct WordTbl_cl *xl);
void mbr__cx_destroy(Context_clp self);

/* For the tables of operations. */
#define MBR__CX_FIXED \
    .Add = mbr__cx_add, .Remove = mbr__cx_remove, .Dup = mbr__cx_dup, .Destroy = mbr__cx_destroy

/* Looks up one arc: false if it is not bound. */
typedef bool mbr__cx_one(const void *state, const char *arc, Type_Any *obj);

/* Context.Get of the pathname NAME, where ONE finds the first arc. */
bool mbr__cx_get(struct mbr_types *types, const void *state, mbr__cx_one *one, const char *name,
                 Type_Any *obj);

/* A list being made. It raises Heap.NoMemory, and frees what there is, when there is no memory. */
Context_Names *mbr__cx_list_new(void);
void mbr__cx_list_add(Context_Names *list, const char *name);

static inline uint64_t mbr__cx_val(const void *object)
{
    return (uint64_t)(uintptr_t)object;
}

/* What TypeSystem.Info says of TYPE. */
void mbr__type_rep(const struct mbr__type *type, Type_Any *rep);

#endif
