/* SPDX-License-Identifier: MIT */
/* ContextMod: the factory of plain and merged contexts. */
#include <middl/ContextMod.h>

#include "types/context/context.h"
#include "types/modules.h"

static Context_clp new_context(ContextMod_clp self, Heap_clp h, TypeSystem_clp ts)
{
    (void)self;
    return &mbr__context_new(h, ts)->cl;
}

static MergedContext_clp new_merged(ContextMod_clp self, Heap_clp h, TypeSystem_clp ts)
{
    (void)self;
    return &mbr__merged_new(h, ts)->cl;
}

static const ContextMod_op module_op = {.NewContext = new_context, .NewMerged = new_merged};

ContextMod_cl mbr__module_ContextMod = {&module_op, NULL};
