/* SPDX-License-Identifier: MIT */
/*
 * Heaps as MIDDL knows them (interface Heap): memory from a region, from a piece of another heap,
 * or from malloc, behind one closure. The factories are those of interface HeapMod, whose closure
 * is mbr_module(CODE_HeapMod).
 *
 * Whatever heap a node came from, the word before it is that heap's closure: HEAP_OF(node) frees it
 * without knowing more: Heap_Free(HEAP_OF(node), node).
 *
 * Nodes are aligned to 16 bytes. A node that is freed twice, freed by another heap, or whose header
 * was overwritten is a broken invariant: that is reported, and the process aborted, by Free,
 * Realloc or Check.
 *
 * Heaps of HeapMod are for one thread at a time; a LockedHeap, and the process's heap, for any.
 */
#ifndef MEMBRANE_HEAP_H
#define MEMBRANE_HEAP_H

#include <membrane/base.h>
#include <middl/Heap.h>

MBR_BEGIN_DECLS

/* The closure of the heap that NODE, not yet freed, came from. */
#define HEAP_OF(node) (*((Heap_clp *)(node)-1))

/*
 * The heap over malloc() that the process has: any thread, as large as memory. Never NULL. Purge
 * frees all that was ever allocated from it by anybody and is not freed; Destroy does the same.
 */
MBR_API Heap_clp mbr_heap_process(void);

MBR_END_DECLS

#endif
