/* SPDX-License-Identifier: MIT */
/* The common half of the type system's contexts. */
#include "types/system/context.h"

#include <stdlib.h>
#include <string.h>

#include <middl/Heap.h>

#define SEPARATOR '>'

void mbr__cx_add(Context_clp self, const char *name, const Type_Any *obj)
{
    (void)self;
    (void)name;
    (void)obj;
    RAISE(Context_Denied);
}

void mbr__cx_remove(Context_clp self, const char *name)
{
    (void)self;
    (void)name;
    RAISE(Context_Denied);
}

Context_clp mbr__cx_dup(Context_clp self, struct Heap_cl *h, struct WordTbl_cl *xl)
{
    (void)h;
    (void)xl;
    return self;
}

void mbr__cx_destroy(Context_clp self)
{
    (void)self;
    RAISE(Context_Denied);
}

/* The closure in ANY if it is one of a Context, through aliases; else NULL. */
static Context_clp as_context(struct mbr_types *types, const Type_Any *any)
{
    uint64_t base;

    if (mbr_types_unalias(types, any->type, &base) < 0 ||
        mbr_types_is(types, base, CODE_Context) != 1)
        return NULL;
    return (Context_clp)(uintptr_t)any->val;
}

bool mbr__cx_get(struct mbr_types *types, const void *state, mbr__cx_one *one, const char *name,
                 Type_Any *obj)
{
    const char *rest = strchr(name, SEPARATOR);
    /* Longer than any name there is: "Interface.Type". */
    char arc[2 * MBR_INTF_MAX_NAME + 16];
    size_t length;
    Context_clp next;
    Type_Any first;

    if (!rest)
        return one(state, name, obj);
    length = (size_t)(rest - name);
    if (length >= sizeof(arc))
        return false;
    memcpy(arc, name, length);
    arc[length] = '\0';
    if (!one(state, arc, &first))
        return false;
    next = as_context(types, &first);
    if (!next)
        RAISE(Context_NotContext);
    return Context_Get(next, rest + 1, obj);
}

static _Noreturn void give_up(Context_Names *list)
{
    if (list) {
        for (uint32_t i = 0; i < list->len; i++)
            free((char *)(uintptr_t)list->data[i]);
        MBR_SEQ_CLEAR(list);
    }
    free(list);
    RAISE(Heap_NoMemory);
}

Context_Names *mbr__cx_list_new(void)
{
    Context_Names *list = calloc(1, sizeof(*list));

    if (!list)
        give_up(NULL);
    return list;
}

void mbr__cx_list_add(Context_Names *list, const char *name)
{
    char *copy = strdup(name);

    if (!copy || MBR_SEQ_APPEND(list, copy) < 0) {
        free(copy);
        give_up(list);
    }
}
