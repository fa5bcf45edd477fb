/* SPDX-License-Identifier: MIT */
/*
 * HeapMod: heaps in a region, in a stretch, in a piece of another heap, and locked ones. A heap in
 * a stretch does not grow: that takes a StretchAllocator.
 */
#include <stdint.h>

#include <membrane/heap.h>
#include <middl/HeapMod.h>
#include <middl/Stretch.h>

#include "types/heap/heapmod.h"
#include "types/heap/locked.h"
#include "types/heap/raw.h"

static Heap_clp need(Heap_clp heap)
{
    if (!heap)
        RAISE(Heap_NoMemory);
    return heap;
}

static Heap_clp heapmod_new_raw(HeapMod_clp self, void *where, Heap_Size size)
{
    (void)self;
    return need(where ? mbr__raw_heap_init(where, size, NULL) : NULL);
}

static Heap_clp heapmod_new(HeapMod_clp self, Stretch_clp s)
{
    Stretch_Size size;
    void *where = Stretch_Range(s, &size);

    return heapmod_new_raw(self, where, size);
}

static Heap_clp heapmod_new_growable(HeapMod_clp self, Stretch_clp str, uint32_t nseg)
{
    (void)nseg;
    return heapmod_new(self, str);
}

static Heap_clp heapmod_new_nested(HeapMod_clp self, Heap_clp parent, Heap_Size sizeBytes)
{
    void *where = Heap_Malloc(parent, sizeBytes);
    Heap_clp heap = where ? mbr__raw_heap_init(where, sizeBytes, parent) : NULL;

    (void)self;
    if (!heap)
        Heap_Free(parent, where);
    return need(heap);
}

static LockedHeap_clp heapmod_new_locked(HeapMod_clp self, Heap_clp parent,
                                         struct SRCThread_cl *srcthds)
{
    LockedHeap_clp locked = mbr__locked_heap_new(parent);

    (void)self;
    (void)srcthds;
    if (!locked)
        RAISE(Heap_NoMemory);
    return locked;
}

static void *heapmod_where(HeapMod_clp self, Heap_clp h, Heap_Size *s)
{
    void *where = NULL;
    size_t size = 0;
    Heap_clp parent;

    (void)self;
    while ((parent = mbr__locked_heap_parent(h)))
        h = parent;
    (void)mbr__raw_heap_where(h, &where, &size);
    *s = size;
    return where;
}

/* The stretch already is where the heap is: it works there as before. */
static Heap_clp heapmod_realize(HeapMod_clp self, Heap_clp h, Stretch_clp s)
{
    (void)self;
    (void)s;
    return h;
}

static const HeapMod_op heapmod_ops = {
    .New = heapmod_new,
    .NewGrowable = heapmod_new_growable,
    .NewRaw = heapmod_new_raw,
    .Where = heapmod_where,
    .Realize = heapmod_realize,
    .NewNested = heapmod_new_nested,
    .NewLocked = heapmod_new_locked,
};

HeapMod_cl mbr__module_HeapMod = {&heapmod_ops, NULL};
