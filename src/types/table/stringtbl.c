/* SPDX-License-Identifier: MIT */
/* StringTbl, StringTblIter and StringTblMod: a table whose keys are strings, of which it keeps
 * copies. */
#include <string.h>

#include <middl/StringTbl.h>
#include <middl/StringTblIter.h>
#include <middl/StringTblMod.h>

#include "types/heap_use.h"
#include "types/modules.h"
#include "types/table/tbl.h"

#define TBL(x)      StringTbl##x
#define TBL_DISPOSE Dispose

static const void *key_bytes(const StringTbl_Key *key, size_t *length)
{
    const char *text = *key ? *key : "";

    *length = strlen(text);
    return text;
}

static StringTbl_Key key_from(const struct mbr__tbl_entry *entry)
{
    return (const char *)entry->key;
}

#include "types/table/closures.h"

StringTblMod_cl mbr__module_StringTblMod = {&module_op, NULL};
