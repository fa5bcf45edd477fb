/* SPDX-License-Identifier: MIT */
/*
 * Enum, Record and Choice: contexts of the members of a type. What their Anys point to was made
 * when the type was registered.
 */
#include <string.h>

#include <middl/Choice.h>
#include <middl/Enum.h>
#include <middl/Record.h>
#include <middl/TypeSystem.h>

#include "types/closures.h"
#include "types/system/context.h"

static Context_Names *part_list(Context_clp self)
{
    const struct mbr__type *type = self->st;
    Context_Names *list = mbr__cx_list_new();

    for (uint32_t i = 0; i < type->record->count; i++)
        mbr__cx_list_add(list, type->record->members[i].name);
    return list;
}

/* The position of the member called ARC, or the number of members. */
static uint32_t find(const struct mbr_type_record *record, const char *arc)
{
    uint32_t i;

    for (i = 0; i < record->count; i++) {
        if (strcmp(record->members[i].name, arc) == 0)
            break;
    }
    return i;
}

/* ---- Enum ---- */

static bool enum_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__type *type = state;
    uint32_t i = find(type->record, arc);

    if (i == type->record->count)
        return false;
    *obj = (Type_Any){CODE_Enum_Value, i};
    return true;
}

static bool enum_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__type *type = self->st;

    return mbr__cx_get(type->intf->owner, type, enum_one, name, obj);
}

static const Enum_op enum_ops = {.List = part_list, .Get = enum_get, MBR__CX_FIXED};

/* ---- Record ---- */

static bool record_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__type *type = state;
    uint32_t i = find(type->record, arc);

    if (i == type->record->count)
        return false;
    *obj = (Type_Any){CODE_Record_Field, mbr__cx_val((const Record_Field *)type->parts + i)};
    return true;
}

static bool record_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__type *type = self->st;

    return mbr__cx_get(type->intf->owner, type, record_one, name, obj);
}

static const Record_op record_ops = {.List = part_list, .Get = record_get, MBR__CX_FIXED};

/* ---- Choice ---- */

static bool choice_one(const void *state, const char *arc, Type_Any *obj)
{
    const struct mbr__type *type = state;
    uint32_t i = find(type->record, arc);

    if (i == type->record->count)
        return false;
    *obj = (Type_Any){CODE_Choice_Field, mbr__cx_val((const Choice_Field *)type->parts + i)};
    return true;
}

static bool choice_get(Context_clp self, const char *name, Type_Any *obj)
{
    const struct mbr__type *type = self->st;

    return mbr__cx_get(type->intf->owner, type, choice_one, name, obj);
}

static Type_Code choice_base(Choice_clp self)
{
    const struct mbr__type *type = self->st;

    return type->record->base;
}

static const Choice_op choice_ops = {
    .List = part_list, .Get = choice_get, MBR__CX_FIXED, .Base = choice_base};

/* ---- all three, and arrays, which have no context ---- */

static bool make_fields(struct mbr__type *type, struct mbr__arena *arena)
{
    const struct mbr_type_record *r = type->record;
    Record_Field *fields = mbr__arena_alloc(arena, r->count, sizeof(*fields));

    for (uint32_t i = 0; fields && i < r->count; i++)
        fields[i] = (Record_Field){r->members[i].type, r->members[i].offset};
    type->parts = fields;
    return fields;
}

static bool make_arms(struct mbr__type *type, struct mbr__arena *arena)
{
    const struct mbr_type_record *r = type->record;
    Choice_Field *fields = mbr__arena_alloc(arena, r->count, sizeof(*fields));

    for (uint32_t i = 0; fields && i < r->count; i++)
        fields[i] = (Choice_Field){r->members[i].value, r->members[i].type};
    type->parts = fields;
    return fields;
}

static bool make_array(struct mbr__type *type, struct mbr__arena *arena)
{
    TypeSystem_Array *array = mbr__arena_alloc(arena, 1, sizeof(*array));

    if (array)
        *array = (TypeSystem_Array){type->record->count, type->record->base};
    type->parts = array;
    return array;
}

bool mbr__type_closure(struct mbr__type *type, struct mbr__arena *arena)
{
    type->closure.st = type;
    switch (type->record->kind) {
    case MBR_TYPE_ENUM:
        type->closure.op = &enum_ops;
        return true;
    case MBR_TYPE_RECORD:
        type->closure.op = &record_ops;
        return make_fields(type, arena);
    case MBR_TYPE_CHOICE:
        type->closure.op = &choice_ops;
        return make_arms(type, arena);
    case MBR_TYPE_ARRAY:
        return make_array(type, arena);
    default:
        return true;
    }
}
