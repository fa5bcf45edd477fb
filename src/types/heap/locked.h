/* SPDX-License-Identifier: MIT */
/* A LockedHeap: any heap, with a mutex around it. */
#ifndef MBR_TYPES_HEAP_LOCKED_H
#define MBR_TYPES_HEAP_LOCKED_H

#include <middl/LockedHeap.h>

/*
 * Locks PARENT, which nobody may use directly from then on. Its nodes carry the closure returned.
 * NULL without memory. Destroying it destroys PARENT too.
 */
LockedHeap_clp mbr__locked_heap_new(Heap_clp parent);

/* The heap behind HEAP, or NULL if that is not one of these. */
Heap_clp mbr__locked_heap_parent(Heap_clp heap);

#endif
