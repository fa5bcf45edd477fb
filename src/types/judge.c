/* SPDX-License-Identifier: MIT */
/*
 * Whether the layout that a type record tells is possible: members lie inside their record, one
 * behind the other, arrays are as long as their elements, nothing contains itself. After this
 * verdict a value may be walked by its type without looking at bounds again.
 */
#include <errno.h>
#include <string.h>

#include "types/registry.h"

/* Types contain each other by value at most so deep; recursion ends there. */
#define DEPTH_MAX 64

struct judge {
    struct mbr_types *types;
    uint64_t awaited; /* the first interface found missing */
};

static enum mbr__type_state judge(struct judge *j, struct mbr__type *type, int depth);

bool mbr__kind_is_large(uint32_t kind)
{
    return kind == MBR_TYPE_RECORD || kind == MBR_TYPE_CHOICE || kind == MBR_TYPE_ARRAY ||
           kind == MBR_TYPE_SEQUENCE;
}

/* Size and alignment of the type with CODE, once it is sound. */
struct extent {
    uint32_t size;
    uint32_t align;
    uint32_t kind;  /* behind aliases */
    uint32_t count; /* of that */
    const struct mbr_member_record *members;
};

static enum mbr__type_state extent_of(struct judge *j, uint64_t code, struct extent *extent,
                                      int depth)
{
    enum mbr__type_state state = MBR__TYPE_SOUND;
    struct mbr__type *type = mbr__type_by_code(j->types, code);

    for (int hops = 0; type && hops < MBR__CHAIN_MAX; hops++) {
        state = judge(j, type, depth + 1);
        if (state != MBR__TYPE_SOUND)
            return state;
        extent->size = type->record->size;
        extent->align = type->record->align;
        extent->kind = type->record->kind;
        extent->count = type->record->count;
        extent->members = type->record->members;
        if (extent->kind != MBR_TYPE_ALIAS)
            return state;
        code = type->record->base;
        type = mbr__type_by_code(j->types, code);
    }
    if (type)
        return MBR__TYPE_BAD; /* aliases without end */
    if (MBR_CODE_INDEX(code) == 0 && code != 0) {
        /* A closure pointer, whether we know the interface or not. */
        *extent = (struct extent){sizeof(void *), _Alignof(void *), MBR_TYPE_INTERFACE, 0, NULL};
        return MBR__TYPE_SOUND;
    }
    if (mbr__intf_by_code(j->types, code))
        return MBR__TYPE_BAD; /* its interface has no such type */
    j->awaited = MBR_CODE_FINGERPRINT(code);
    return MBR__TYPE_WAITING;
}

/* Members from offset FROM on, in SIZE bytes aligned to ALIGN; OVERLAID: all in the same place. */
static enum mbr__type_state judge_members(struct judge *j, const struct mbr_member_record *members,
                                          uint32_t count, struct extent room, uint32_t from,
                                          bool overlaid, int depth)
{
    uint64_t end = from;

    for (uint32_t i = 0; i < count; i++) {
        struct extent member;
        enum mbr__type_state state = extent_of(j, members[i].type, &member, depth);

        if (state != MBR__TYPE_SOUND)
            return state;
        if (members[i].offset < (overlaid ? from : end) || members[i].offset % member.align != 0 ||
            (uint64_t)members[i].offset + member.size > room.size || member.align > room.align)
            return MBR__TYPE_BAD;
        end = (uint64_t)members[i].offset + member.size;
    }
    return MBR__TYPE_SOUND;
}

static enum mbr__type_state judge_choice(struct judge *j, const struct mbr_type_record *r,
                                         int depth)
{
    struct extent tag;
    enum mbr__type_state state = extent_of(j, r->base, &tag, depth);

    if (state != MBR__TYPE_SOUND)
        return state;
    if (tag.kind != MBR_TYPE_ENUM)
        return MBR__TYPE_BAD;
    /* Arms are called as the tags that select them, so each tag selects at most one. */
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->members[i].value >= tag.count ||
            strcmp(r->members[i].name, tag.members[r->members[i].value].name) != 0)
            return MBR__TYPE_BAD;
    }
    return judge_members(j, r->members, r->count, (struct extent){r->size, r->align, 0, 0, NULL},
                         tag.size, true, depth);
}

/* An enumeration or BOOLEAN, which has names for its values although it is predefined. */
static bool has_values(const struct extent *extent)
{
    return extent->kind == MBR_TYPE_ENUM ||
           (extent->kind == MBR_TYPE_PREDEFINED && extent->members != NULL);
}

static enum mbr__type_state judge_based(struct judge *j, const struct mbr_type_record *r, int depth)
{
    struct extent base;
    enum mbr__type_state state = extent_of(j, r->base, &base, depth);

    if (state != MBR__TYPE_SOUND)
        return state;
    if (r->kind == MBR_TYPE_SET)
        return has_values(&base) && base.count <= 64 ? state : MBR__TYPE_BAD;
    if (r->kind == MBR_TYPE_ALIAS)
        return base.size == r->size && base.align == r->align ? state : MBR__TYPE_BAD;
    return (uint64_t)base.size * r->count == r->size && base.align == r->align ? state
                                                                               : MBR__TYPE_BAD;
}

static enum mbr__type_state judge_record(struct judge *j, const struct mbr_type_record *r,
                                         int depth)
{
    switch (r->kind) {
    case MBR_TYPE_RECORD:
        return judge_members(j, r->members, r->count,
                             (struct extent){r->size, r->align, 0, 0, NULL}, 0, false, depth);
    case MBR_TYPE_CHOICE:
        return judge_choice(j, r, depth);
    case MBR_TYPE_ALIAS:
    case MBR_TYPE_ARRAY:
    case MBR_TYPE_SET:
        return judge_based(j, r, depth);
    default:
        return MBR__TYPE_SOUND; /* what a pointer leads to is no part of the layout */
    }
}

static enum mbr__type_state judge(struct judge *j, struct mbr__type *type, int depth)
{
    if (type->state == MBR__TYPE_SOUND || type->state == MBR__TYPE_BAD)
        return type->state;
    if (type->state == MBR__TYPE_VISITING || depth > DEPTH_MAX)
        return MBR__TYPE_BAD;
    type->state = MBR__TYPE_VISITING;
    type->state = judge_record(j, type->record, depth);
    return type->state;
}

int mbr__intf_judge(struct mbr_types *types, struct mbr__intf *intf)
{
    const struct mbr_intf_record *r = &intf->record.copy;
    struct judge j = {types, 0};
    int result = 0;

    for (uint32_t i = 1; i <= r->n_types; i++) {
        if (judge(&j, &intf->types[i], 0) == MBR__TYPE_BAD)
            result = -EBADMSG;
    }
    for (uint32_t i = 0; i < r->n_exns; i++) {
        struct extent room = {r->exns[i].size, 64, 0, 0, NULL};

        if (judge_members(&j, r->exns[i].params, r->exns[i].n_params, room, 0, false, 0) ==
            MBR__TYPE_BAD)
            result = -EBADMSG;
    }
    intf->awaited = j.awaited;
    return result;
}
