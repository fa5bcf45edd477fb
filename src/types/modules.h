/* SPDX-License-Identifier: MIT */
/*
 * The factories of this library: closures without state, found by mbr_module()
 * (membrane/modules.h). A new one is declared here and gets a line in modules.c.
 */
#ifndef MBR_TYPES_MODULES_H
#define MBR_TYPES_MODULES_H

#include <membrane/modules.h>

/* All that are in the library, as the argument of a macro that is called for each name. */
#define MBR__MODULES(each)                                                                      \
    each(ContextMod) each(ContextUtil) each(ExnSystem) each(HashMod) each(HeapMod)              \
        each(LongCardTblMod) each(MemFileMod) each(RdRedirMod) each(RdWrMod) each(StringTblMod) \
            each(StringUtil) each(Time) each(TypeSystemMod) each(WTime) each(WordTblMod)        \
                each(WrRedirMod)

#define MBR__MODULE_DECLARE(name) extern struct name##_cl mbr__module_##name;
MBR__MODULES(MBR__MODULE_DECLARE)

#endif
