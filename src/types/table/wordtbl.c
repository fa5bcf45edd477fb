/* SPDX-License-Identifier: MIT */
/* WordTbl, WordTblIter and WordTblMod: a table whose keys are each a machine word. */
#include <string.h>

#include <middl/WordTbl.h>
#include <middl/WordTblIter.h>
#include <middl/WordTblMod.h>

#include "types/heap_use.h"
#include "types/modules.h"
#include "types/table/tbl.h"

#define TBL(x)      WordTbl##x
#define TBL_DISPOSE Destroy

static const void *key_bytes(const WordTbl_Key *key, size_t *length)
{
    *length = sizeof(*key);
    return key;
}

static WordTbl_Key key_from(const struct mbr__tbl_entry *entry)
{
    WordTbl_Key key;

    memcpy(&key, entry->key, sizeof(key));
    return key;
}

#include "types/table/closures.h"

WordTblMod_cl mbr__module_WordTblMod = {&module_op, NULL};
