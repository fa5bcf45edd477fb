/* SPDX-License-Identifier: MIT */
/*
 * A heap inside a given piece of memory: its own state at the front, then blocks without gaps. Free
 * blocks are in lists by size, four for each power of two, so that the search looks at few; a freed
 * block is joined with its free neighbours at once.
 *
 * Not here: growing, locks.
 */
#ifndef MBR_TYPES_HEAP_RAW_H
#define MBR_TYPES_HEAP_RAW_H

#include <stdbool.h>
#include <stddef.h>

#include <middl/Heap.h>

/*
 * Makes a heap of the SIZE bytes at WHERE, which stay the caller's; PARENT, if not NULL, is where
 * they go when the heap is destroyed. NULL if they are too few to hold anything.
 */
Heap_clp mbr__raw_heap_init(void *where, size_t size, Heap_clp parent);

/* True if HEAP is one of these; its place and size are then stored. */
bool mbr__raw_heap_where(Heap_clp heap, void **where, size_t *size);

#endif
