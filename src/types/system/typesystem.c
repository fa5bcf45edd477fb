/* SPDX-License-Identifier: MIT */
/* TypeSystem and TypeSystemF over the registry, and their factory. */
#include <errno.h>

#include <membrane/typesystem.h>
#include <middl/Choice.h>
#include <middl/Enum.h>
#include <middl/Exception.h>
#include <middl/Heap.h>
#include <middl/Interface.h>
#include <middl/Operation.h>
#include <middl/Record.h>
#include <middl/TypeSystemMod.h>

#include "types/announce.h"
#include "types/closures.h"
#include "types/system/context.h"
#include "types/system/typesystemmod.h"

/*
 * What the answers of the type system are made of must be known to it. In a static program the
 * linker would leave these records out if nobody referred to them.
 */
__attribute__((used)) static const struct mbr_intf_record *const own_types[] = {
    &Choice_intf, &Context_intf,    &Enum_intf,        &Exception_intf,
    &Heap_intf,   &Interface_intf,  &Operation_intf,   &Record_intf,
    &Type_intf,   &TypeSystem_intf, &TypeSystemF_intf,
};

/* ---- TypeSystem as a Context ---- */

static Context_Names *system_list(Context_clp self)
{
    struct mbr_types *types = self->st;
    Context_Names *list = mbr__cx_list_new();

    for (uint64_t i = 0; i < MBR__IREF_TYPES; i++)
        mbr__cx_list_add(list, types->iref.types[i].name);
    for (const struct mbr__intf *intf = mbr__types_next(types, NULL); intf;
         intf = mbr__types_next(types, intf)) {
        for (uint32_t i = 0; i <= intf->record.copy.n_named; i++)
            mbr__cx_list_add(list, intf->types[i].name);
    }
    return list;
}

static bool system_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__type *type = mbr__types_find_name((struct mbr_types *)(uintptr_t)state, arc);

    if (!type)
        return false;
    *obj = (Type_Any){CODE_Type_Code, type->code};
    return true;
}

static bool system_get(Context_clp self, const char *name, Type_Any *obj)
{
    return mbr__cx_get(self->st, self->st, system_one, name, obj);
}

/* ---- what a type is ---- */

void mbr__type_rep(const struct mbr__type *type, Type_Any *rep)
{
    static const uint64_t codes[] = {
        [MBR_TYPE_PREDEFINED] = CODE_TypeSystem_Predefined,
        [MBR_TYPE_ALIAS] = CODE_TypeSystem_Alias,
        [MBR_TYPE_ENUM] = CODE_TypeSystem_Enum,
        [MBR_TYPE_RECORD] = CODE_TypeSystem_Record,
        [MBR_TYPE_CHOICE] = CODE_TypeSystem_Choice,
        [MBR_TYPE_ARRAY] = CODE_TypeSystem_Array,
        [MBR_TYPE_SEQUENCE] = CODE_TypeSystem_Sequence,
        [MBR_TYPE_SET] = CODE_TypeSystem_Set,
        [MBR_TYPE_REF] = CODE_TypeSystem_Ref,
        [MBR_TYPE_INTERFACE] = CODE_TypeSystem_Iref,
    };
    uint32_t kind = type->record->kind;

    rep->type = codes[kind];
    if (kind == MBR_TYPE_PREDEFINED)
        rep->val = type->code - 1; /* TypeSystem.Predefined has the order of the codes */
    else if (kind == MBR_TYPE_INTERFACE)
        rep->val = mbr__cx_val(&type->intf->closure);
    else if (kind == MBR_TYPE_ARRAY)
        rep->val = mbr__cx_val(type->parts);
    else if (type->closure.op)
        rep->val = mbr__cx_val(&type->closure);
    else
        rep->val = type->record->base;
}

/* The type with this code; raises BadCode. */
static const struct mbr__type *need(TypeSystem_clp self, Type_Code tc)
{
    const struct mbr__type *type = mbr__types_find(self->st, tc);

    if (!type)
        RAISE(TypeSystem_BadCode, tc);
    return type;
}

static Interface_clp system_info(TypeSystem_clp self, Type_Code tc, Type_Any *rep)
{
    struct mbr_types *types = self->st;
    const struct mbr__type *type = need(self, tc);

    mbr__type_rep(type, rep);
    /* All interfaces are defined in the one called IREF. */
    if (type->record->kind == MBR_TYPE_INTERFACE)
        return (Interface_clp)(void *)&types->iref.closure;
    return (Interface_clp)(void *)&type->intf->closure;
}

static Heap_Size system_size(TypeSystem_clp self, Type_Code tc)
{
    return need(self, tc)->record->size;
}

static Type_Name system_name(TypeSystem_clp self, Type_Code tc)
{
    return need(self, tc)->name;
}

static bool system_is_large(TypeSystem_clp self, Type_Code tc)
{
    const struct mbr__type *base = mbr__types_base(self->st, need(self, tc)->code);

    if (!base)
        RAISE(TypeSystem_BadCode, tc);
    return mbr__kind_is_large(base->record->kind);
}

static bool system_is_type(TypeSystem_clp self, Type_Code sub, Type_Code super)
{
    (void)need(self, sub);
    (void)need(self, super);
    return mbr_types_is(self->st, sub, super) == 1;
}

static Type_Val system_narrow(TypeSystem_clp self, const Type_Any *a, Type_Code tc)
{
    if (mbr_types_is(self->st, a->type, tc) != 1)
        RAISE(TypeSystem_Incompatible);
    return a->val;
}

static Type_Code system_unalias(TypeSystem_clp self, Type_Code a)
{
    const struct mbr__type *base = mbr__types_base(self->st, a);

    if (!base)
        RAISE(TypeSystem_BadCode, a);
    return base->code;
}

/* ---- TypeSystemF ---- */

static void system_register(TypeSystemF_clp self, TypeSystemF_IntfInfo intf)
{
    int result = intf ? mbr_types_register(self->st, intf) : -EBADMSG;

    if (result == -EEXIST)
        RAISE(TypeSystemF_NameClash);
    /* Of a damaged record, too, the code does not stand for what it says. */
    if (result == -ENOTUNIQ || result == -EBADMSG)
        RAISE(TypeSystemF_TypeCodeClash);
    if (result < 0)
        RAISE(Heap_NoMemory);
}

static const TypeSystemF_op system_ops = {
    .List = system_list,
    .Get = system_get,
    MBR__CX_FIXED,
    .Info = system_info,
    .Size = system_size,
    .Name = system_name,
    .IsLarge = system_is_large,
    .IsType = system_is_type,
    .Narrow = system_narrow,
    .UnAlias = system_unalias,
    .RegisterIntf = system_register,
};

void mbr__types_closure(struct mbr_types *types)
{
    types->closure = (struct mbr_closure){&system_ops, types};
}

TypeSystemF_clp mbr_typesystem(struct mbr_types *types)
{
    return (TypeSystemF_clp)(void *)&types->closure;
}

TypeSystem_clp mbr_typesystem_process(void)
{
    struct mbr_types *types = mbr_types_process();

    return types ? (TypeSystem_clp)(void *)&types->closure : NULL;
}

/* ---- TypeSystemMod ---- */

static void *alloc_in_heap(void *self, size_t size)
{
    return Heap_Malloc(self, size);
}

static void free_in_heap(void *self, void *block)
{
    Heap_Free(self, block);
}

struct taking {
    struct mbr_types *types;
    int result;
};

static void take_in(const struct mbr_intf_record *record, void *arg)
{
    struct taking *taking = arg;
    int result = mbr_types_register(taking->types, record);

    /* What is wrong with a record is that record's problem. */
    if (result < 0 && result != -EBADMSG && result != -EEXIST && result != -ENOTUNIQ)
        taking->result = result;
}

/*
 * The tables for which factories are passed are part of the registry, so L and S may be NULL. The
 * interfaces that are in the process are in the new system from the start: without them its own
 * answers, which are of types such as TypeSystem.Alias, could not be understood with it.
 */
static TypeSystemF_clp typesystemmod_new(TypeSystemMod_clp self, Heap_clp h,
                                         struct LongCardTblMod_cl *l, struct StringTblMod_cl *s)
{
    const struct mbr__source in_heap = {alloc_in_heap, free_in_heap, h};
    struct taking taking = {NULL, 0};

    (void)self;
    (void)l;
    (void)s;
    if (mbr__types_new_in(h ? &in_heap : &mbr__source_malloc, &taking.types) < 0)
        RAISE(Heap_NoMemory);
    (void)mbr__announced_each(take_in, &taking);
    if (taking.result < 0) {
        mbr_types_free(taking.types);
        RAISE(Heap_NoMemory);
    }
    return mbr_typesystem(taking.types);
}

static const TypeSystemMod_op typesystemmod_ops = {.New = typesystemmod_new};

TypeSystemMod_cl mbr__module_TypeSystemMod = {&typesystemmod_ops, NULL};
