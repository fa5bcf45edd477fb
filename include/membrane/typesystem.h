/* SPDX-License-Identifier: MIT */
/*
 * The type system as interfaces: TypeSystem, which is a Context of all types, and behind it
 * Interface, Operation, Exception, Enum, Record and Choice, each a Context of its parts in the
 * order of their declaration. The same as functions is in membrane/types.h.
 *
 * What all these contexts have in common: they cannot be changed, so Add, Remove and Destroy raise
 * Context.Denied; Dup returns the context itself, which serves as its own copy. A pathname with '>'
 * goes on in what its first part stands for, if that is a Context, and raises NotContext if not.
 * Names, closures and what Anys point to belong to the type system. List's names are the caller's.
 *
 * Interface.List gives the types, as the interface says; Get knows the operations (Operation) and
 * exceptions (Exception) of the interface as well.
 *
 * Any thread may call all of it.
 */
#ifndef MEMBRANE_TYPESYSTEM_H
#define MEMBRANE_TYPESYSTEM_H

#include <membrane/base.h>
#include <membrane/types.h>
#include <middl/TypeSystemF.h>

MBR_BEGIN_DECLS

/* TYPES as a closure, which is good as long as TYPES. Never NULL. */
MBR_API TypeSystemF_clp mbr_typesystem(struct mbr_types *types) __attribute__((nonnull));

/* The type system of the process, or NULL if there is no memory for it. */
MBR_API TypeSystem_clp mbr_typesystem_process(void);

MBR_END_DECLS

#endif
