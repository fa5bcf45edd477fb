/* SPDX-License-Identifier: MIT */
/* The factory of heaps, for the table of modules. */
#ifndef MBR_TYPES_HEAP_HEAPMOD_H
#define MBR_TYPES_HEAP_HEAPMOD_H

#include <middl/HeapMod.h>

extern HeapMod_cl mbr__module_HeapMod;

#endif
