/* SPDX-License-Identifier: MIT */
/*
 * The closures through which the registry's objects are seen as MIDDL interfaces. Each function
 * fills the closure inside the object it is given, which then serves as long as that object.
 */
#ifndef MBR_TYPES_CLOSURES_H
#define MBR_TYPES_CLOSURES_H

#include "types/registry.h"

/* Enum, Record or Choice, and what their Anys point to; other kinds have none. False: no memory. */
bool mbr__type_closure(struct mbr__type *type, struct mbr__arena *arena);

/* Operation, in the same way, and Exception. */
bool mbr__op_closure(struct mbr__part *part, struct mbr__arena *arena);
void mbr__exn_closure(struct mbr__part *part);

/* Interface. */
void mbr__intf_closure(struct mbr__intf *intf);

/* TypeSystemF. */
void mbr__types_closure(struct mbr_types *types);

#endif
