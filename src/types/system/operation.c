/* SPDX-License-Identifier: MIT */
/* Operation and Exception: contexts of parameters. */
#include <stdlib.h>
#include <string.h>

#include <middl/Exception.h>
#include <middl/Heap.h>
#include <middl/Interface.h>
#include <middl/Operation.h>

#include "types/closures.h"
#include "types/system/context.h"

static const struct mbr_op_record *op_of(const struct mbr__part *part)
{
    return &part->intf->record.copy.ops[part->index];
}

static const struct mbr_exn_record *exn_of(const struct mbr__part *part)
{
    return &part->intf->record.copy.exns[part->index];
}

/* ---- Operation ---- */

static Context_Names *op_list(Context_clp self)
{
    const struct mbr_op_record *op = op_of(self->st);
    Context_Names *list = mbr__cx_list_new();

    for (uint32_t i = 0; i < op->n_args + op->n_results; i++)
        mbr__cx_list_add(list, op->params[i].name);
    return list;
}

/* The modes of a record's parameters in the order of Operation.ParamMode. */
static const Operation_ParamMode modes[] = {
    [MBR_PARAM_IN] = Operation_ParamMode_In,
    [MBR_PARAM_OUT] = Operation_ParamMode_Out,
    [MBR_PARAM_IN_OUT] = Operation_ParamMode_InOut,
    [MBR_PARAM_RESULT] = Operation_ParamMode_Result,
};

static const Operation_Kind kinds[] = {
    [MBR_OP_PROC] = Operation_Kind_Proc,
    [MBR_OP_ANNOUNCEMENT] = Operation_Kind_Announcement,
    [MBR_OP_NO_RETURN] = Operation_Kind_NoReturn,
};

static bool op_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__part *part = state;
    const struct mbr_op_record *op = op_of(part);

    for (uint32_t i = 0; i < op->n_args + op->n_results; i++) {
        if (strcmp(op->params[i].name, arc) != 0)
            continue;
        *obj = (Type_Any){CODE_Operation_Parameter,
                          mbr__cx_val((const Operation_Parameter *)part->params + i)};
        return true;
    }
    return false;
}

static bool op_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__part *part = self->st;

    return mbr__cx_get(part->intf->owner, part, op_one, name, obj);
}

static Operation_Kind op_info(Operation_clp self, const char **name, Interface_clp *i, uint32_t *n,
                              uint32_t *a, uint32_t *r, uint32_t *e)
{
    const struct mbr__part *part = self->st;
    const struct mbr_op_record *op = op_of(part);

    *name = op->name;
    *i = (Interface_clp)(void *)&part->intf->closure;
    *n = op->index;
    *a = op->n_args;
    *r = op->n_results;
    *e = op->n_raises;
    return kinds[op->kind];
}

/* The exception that RAISE names, or NULL if its interface is not there or has no such one. */
static Exception_clp find_exception(struct mbr_types *types, const struct mbr_raise_record *raise)
{
    struct mbr__intf *intf = mbr__types_find_intf(types, raise->intf.code);
    const struct mbr__name *name = intf ? mbr__record_find(&intf->record, raise->name) : NULL;

    if (!name || name->class != MBR__NAME_EXN)
        return NULL;
    return (Exception_clp)(void *)&intf->exns[name->index].closure;
}

static void *take(Heap_clp h, size_t count, size_t size)
{
    return h ? Heap_Calloc(h, count, size) : calloc(count, size);
}

static Exception_List *op_exceptions(Operation_clp self, Heap_clp h)
{
    const struct mbr__part *part = self->st;
    const struct mbr_op_record *op = op_of(part);
    Exception_List *list = take(h, 1, sizeof(*list));

    if (!list)
        RAISE(Heap_NoMemory);
    list->base = take(h, (size_t)op->n_raises + 1, sizeof(*list->base));
    if (!list->base) {
        if (h)
            Heap_Free(h, list);
        else
            free(list);
        RAISE(Heap_NoMemory);
    }
    list->data = list->base;
    list->blen = op->n_raises + 1;
    for (uint32_t i = 0; i < op->n_raises; i++) {
        Exception_clp exception = find_exception(part->intf->owner, &op->raises[i]);

        if (exception)
            list->data[list->len++] = exception;
    }
    return list;
}

static const Operation_op op_ops = {
    .List = op_list, .Get = op_get, MBR__CX_FIXED, .Info = op_info, .Exceptions = op_exceptions};

bool mbr__op_closure(struct mbr__part *part, struct mbr__arena *arena)
{
    const struct mbr_op_record *op = op_of(part);
    uint32_t count = op->n_args + op->n_results;
    Operation_Parameter *params = mbr__arena_alloc(arena, count, sizeof(*params));

    for (uint32_t i = 0; params && i < count; i++)
        params[i] = (Operation_Parameter){op->params[i].type, modes[op->params[i].mode]};
    part->params = params;
    part->closure = (struct mbr_closure){&op_ops, part};
    return params;
}

/* ---- Exception ---- */

static Context_Names *exn_list(Context_clp self)
{
    const struct mbr_exn_record *exn = exn_of(self->st);
    Context_Names *list = mbr__cx_list_new();

    for (uint32_t i = 0; i < exn->n_params; i++)
        mbr__cx_list_add(list, exn->params[i].name);
    return list;
}

static bool exn_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr_exn_record *exn = exn_of(state);

    for (uint32_t i = 0; i < exn->n_params; i++) {
        if (strcmp(exn->params[i].name, arc) != 0)
            continue;
        *obj = (Type_Any){CODE_Type_Code, exn->params[i].type};
        return true;
    }
    return false;
}

static bool exn_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__part *part = self->st;

    return mbr__cx_get(part->intf->owner, part, exn_one, name, obj);
}

static const char *exn_info(Exception_clp self, Interface_clp *i, uint32_t *n)
{
    const struct mbr__part *part = self->st;

    *i = (Interface_clp)(void *)&part->intf->closure;
    *n = exn_of(part)->n_params;
    return exn_of(part)->name;
}

static const Exception_op exn_ops = {
    .List = exn_list, .Get = exn_get, MBR__CX_FIXED, .Info = exn_info};

void mbr__exn_closure(struct mbr__part *part)
{
    part->closure = (struct mbr_closure){&exn_ops, part};
}
