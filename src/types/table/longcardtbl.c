/* SPDX-License-Identifier: MIT */
/* LongCardTbl, LongCardTblIter and LongCardTblMod: a table whose keys are each a 64-bit number. */
#include <string.h>

#include <middl/LongCardTbl.h>
#include <middl/LongCardTblIter.h>
#include <middl/LongCardTblMod.h>

#include "types/heap_use.h"
#include "types/modules.h"
#include "types/table/tbl.h"

#define TBL(x)      LongCardTbl##x
#define TBL_DISPOSE Dispose

static const void *key_bytes(const LongCardTbl_Key *key, size_t *length)
{
    *length = sizeof(*key);
    return key;
}

static LongCardTbl_Key key_from(const struct mbr__tbl_entry *entry)
{
    LongCardTbl_Key key;

    memcpy(&key, entry->key, sizeof(key));
    return key;
}

#include "types/table/closures.h"

LongCardTblMod_cl mbr__module_LongCardTblMod = {&module_op, NULL};
