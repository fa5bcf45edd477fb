/* SPDX-License-Identifier: MIT */
/*
 * How the interfaces of this library use a Heap: memory comes from the one they were given, or from
 * malloc if they were given NULL.
 *
 * Not here: heaps themselves.
 */
#ifndef MBR_TYPES_HEAP_USE_H
#define MBR_TYPES_HEAP_USE_H

#include <stddef.h>

#include <middl/Heap.h>

#include "base/hash.h"

/* SIZE > 0 zeroed bytes of HEAP; NULL if there are none. */
void *mbr__heap_try(Heap_clp heap, size_t size);

/* SIZE > 0 zeroed bytes of HEAP. Raises Heap.NoMemory if there are none. */
void *mbr__heap_need(Heap_clp heap, size_t size);

/* A copy of LENGTH bytes at TEXT with a NUL behind it. Raises Heap.NoMemory. */
char *mbr__heap_text(Heap_clp heap, const char *text, size_t length);

/* BLOCK, of HEAP, with room for SIZE > 0 bytes; NULL, with BLOCK as it was, if there is no room. */
void *mbr__heap_resize(Heap_clp heap, void *block, size_t size);

/* Gives BLOCK back to the HEAP it came from. NULL is fine. */
void mbr__heap_free(Heap_clp heap, void *block);

/* The heap of the thread's pervasives; NULL, which is malloc, if it has none. */
Heap_clp mbr__heap_ambient(void);

/* HEAP as the memory of a map. */
struct mbr__hash_memory mbr__heap_memory(Heap_clp heap);

#endif
