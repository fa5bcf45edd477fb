/* SPDX-License-Identifier: MIT */
/* Memory from a heap or, without one, from malloc. */
#include "types/heap_use.h"

#include <stdlib.h>
#include <string.h>

#include <membrane/pervasives.h>

void *mbr__heap_try(Heap_clp heap, size_t size)
{
    return heap ? Heap_Calloc(heap, 1, size) : calloc(1, size);
}

void *mbr__heap_need(Heap_clp heap, size_t size)
{
    void *block = mbr__heap_try(heap, size);

    if (!block)
        RAISE(Heap_NoMemory);
    return block;
}

char *mbr__heap_text(Heap_clp heap, const char *text, size_t length)
{
    char *copy = mbr__heap_need(heap, length + 1);

    memcpy(copy, text, length);
    return copy;
}

void *mbr__heap_resize(Heap_clp heap, void *block, size_t size)
{
    if (!heap)
        return realloc(block, size);
    return block ? Heap_Realloc(heap, block, size) : Heap_Malloc(heap, size);
}

void mbr__heap_free(Heap_clp heap, void *block)
{
    if (!block)
        return;
    if (heap)
        Heap_Free(heap, block);
    else
        free(block);
}

Heap_clp mbr__heap_ambient(void)
{
    const Pervasives_Rec *pvs = mbr_pvs();

    return pvs ? pvs->heap : NULL;
}

static void *zalloc(void *self, size_t count, size_t size)
{
    Heap_clp heap = self;

    return heap ? Heap_Calloc(heap, count, size) : calloc(count, size);
}

static void release(void *self, void *block)
{
    mbr__heap_free(self, block);
}

struct mbr__hash_memory mbr__heap_memory(Heap_clp heap)
{
    return (struct mbr__hash_memory){zalloc, release, heap};
}
