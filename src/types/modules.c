/* SPDX-License-Identifier: MIT */
/* Finding a factory by its type code. They are so few that a search beats a table. */
#include "types/modules.h"

#include <middl/ContextMod.h>
#include <middl/ContextUtil.h>
#include <middl/ExnSystem.h>
#include <middl/HashMod.h>
#include <middl/HeapMod.h>
#include <middl/LongCardTblMod.h>
#include <middl/MemFileMod.h>
#include <middl/RdRedirMod.h>
#include <middl/RdWrMod.h>
#include <middl/StringTblMod.h>
#include <middl/StringUtil.h>
#include <middl/Time.h>
#include <middl/TypeSystemMod.h>
#include <middl/WTime.h>
#include <middl/WordTblMod.h>
#include <middl/WrRedirMod.h>

#define ROW(name) {#name, CODE_##name, &mbr__module_##name},
static const struct mbr_factory modules[] = {MBR__MODULES(ROW)};

#define COUNT (sizeof(modules) / sizeof(modules[0]))

void *mbr_module(uint64_t code)
{
    for (size_t i = 0; i < COUNT; i++)
        if (modules[i].code == code)
            return modules[i].closure;
    return NULL;
}

const struct mbr_factory *mbr_modules(size_t *count)
{
    *count = COUNT;
    return modules;
}
