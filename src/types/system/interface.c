/* SPDX-License-Identifier: MIT */
/*
 * Interface: the context of an interface's types. The one called IREF holds the predefined types
 * and all interfaces, itself among them.
 */
#include <stdlib.h>
#include <string.h>

#include <middl/Exception.h>
#include <middl/Heap.h>
#include <middl/Interface.h>
#include <middl/Operation.h>

#include "types/closures.h"
#include "types/system/context.h"

/* ---- an ordinary interface ---- */

static Context_Names *intf_list(Context_clp self)
{
    const struct mbr__intf *intf = self->st;
    Context_Names *list = mbr__cx_list_new();

    for (uint32_t i = 0; i < intf->record.copy.n_named; i++)
        mbr__cx_list_add(list, intf->record.copy.types[i].name);
    return list;
}

static bool intf_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__intf *intf = state;
    const struct mbr__name *name = mbr__record_find(&intf->record, arc);
    const struct mbr__type *type;

    if (!name)
        return false;
    if (name->class == MBR__NAME_OP) {
        *obj = (Type_Any){CODE_Operation, mbr__cx_val(&intf->ops[name->index].closure)};
        return true;
    }
    if (name->class == MBR__NAME_EXN) {
        *obj = (Type_Any){CODE_Exception, mbr__cx_val(&intf->exns[name->index].closure)};
        return true;
    }
    type = mbr__types_find(intf->owner, intf->types[name->index + 1].code);
    if (!type)
        return false;
    mbr__type_rep(type, obj);
    return true;
}

static bool intf_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__intf *intf = self->st;

    return mbr__cx_get(intf->owner, intf, intf_one, name, obj);
}

/* A supertype that is not registered cannot be shown. */
static bool intf_extends(Interface_clp self, Interface_clp *i)
{
    const struct mbr__intf *intf = self->st;
    const struct mbr_intf_ref *extends = &intf->record.copy.extends;
    struct mbr__intf *super = NULL;

    if (extends->name)
        super = mbr__types_find_intf(intf->owner, extends->code);
    *i = super ? (Interface_clp)(void *)&super->closure : NULL;
    return super;
}

static _Noreturn void give_up(Interface_Needs *needs)
{
    free(needs);
    RAISE(Heap_NoMemory);
}

/* Those of the needs that are registered. */
static Interface_Needs *intf_info(Interface_clp self, bool *local, Type_Name *name, Type_Code *code)
{
    const struct mbr__intf *intf = self->st;
    const struct mbr_intf_record *r = &intf->record.copy;
    Interface_Needs *needs = calloc(1, sizeof(*needs));

    if (!needs || MBR_SEQ_RESERVE(needs, r->n_needs) < 0)
        give_up(needs);
    for (uint32_t i = 0; i < r->n_needs; i++) {
        struct mbr__intf *needed = mbr__types_find_intf(intf->owner, r->needs[i].code);

        if (needed)
            needs->data[needs->len++] = (Interface_clp)(void *)&needed->closure;
    }
    *local = r->flags & MBR_INTF_LOCAL;
    *name = r->name;
    *code = r->code;
    return needs;
}

static const Interface_op intf_ops = {
    .List = intf_list, .Get = intf_get, MBR__CX_FIXED, .Extends = intf_extends, .Info = intf_info};

/* ---- the one called IREF ---- */

static Context_Names *iref_list(Context_clp self)
{
    const struct mbr__intf *iref = self->st;
    Context_Names *list = mbr__cx_list_new();

    for (uint64_t i = 0; i < MBR__IREF_TYPES; i++)
        mbr__cx_list_add(list, iref->types[i].name);
    for (const struct mbr__intf *intf = mbr__types_next(iref->owner, NULL); intf;
         intf = mbr__types_next(iref->owner, intf))
        mbr__cx_list_add(list, intf->record.copy.name);
    return list;
}

static bool iref_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__intf *iref = state;
    const struct mbr__type *type = mbr__types_find_name(iref->owner, arc);

    if (!type || (type->intf != iref && MBR_CODE_INDEX(type->code) != 0))
        return false;
    mbr__type_rep(type, obj);
    return true;
}

static bool iref_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__intf *iref = self->st;

    return mbr__cx_get(iref->owner, iref, iref_one, name, obj);
}

static const Interface_op iref_ops = {
    .List = iref_list, .Get = iref_get, MBR__CX_FIXED, .Extends = intf_extends, .Info = intf_info};

void mbr__intf_closure(struct mbr__intf *intf)
{
    const Interface_op *ops = intf == &intf->owner->iref ? &iref_ops : &intf_ops;

    intf->closure = (struct mbr_closure){ops, intf};
}
