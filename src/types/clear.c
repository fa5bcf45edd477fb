/* SPDX-License-Identifier: MIT */
/* Freeing what a value owns: the strings and the sequences in it, deeply. */
#include <stdlib.h>
#include <string.h>

#include "types/value.h"

static void clear(struct mbr_types *types, uint64_t code, unsigned char *at, int depth);

static void clear_members(struct mbr_types *types, const struct mbr_type_record *r,
                          unsigned char *at, int depth)
{
    for (uint32_t i = 0; i < r->count; i++)
        clear(types, r->members[i].type, at + r->members[i].offset, depth + 1);
}

static void clear_choice(struct mbr_types *types, const struct mbr_type_record *r,
                         unsigned char *at, int depth)
{
    uint32_t tag;

    memcpy(&tag, at, sizeof(tag));
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->members[i].value == tag) {
            clear(types, r->members[i].type, at + r->members[i].offset, depth + 1);
            return;
        }
    }
}

static void clear_elements(struct mbr_types *types, uint64_t code, unsigned char *data,
                           uint32_t count, int depth)
{
    const struct mbr__type *element = mbr__types_find(types, code);

    for (uint32_t i = 0; element && data && i < count; i++)
        clear(types, code, data + (size_t)i * element->record->size, depth + 1);
}

static void clear_sequence(struct mbr_types *types, const struct mbr_type_record *r,
                           unsigned char *at, int depth)
{
    struct mbr_seq seq;

    memcpy(&seq, at, sizeof(seq));
    clear_elements(types, r->base, seq.data, seq.len, depth);
    free(seq.base);
}

static void clear_string(unsigned char *at)
{
    char *text;

    memcpy(&text, at, sizeof(text));
    free(text);
}

static void clear(struct mbr_types *types, uint64_t code, unsigned char *at, int depth)
{
    const struct mbr__type *type = mbr__types_base(types, code);

    if (!type || depth > MBR_VALUE_MAX_DEPTH)
        return;
    switch (type->record->kind) {
    case MBR_TYPE_PREDEFINED:
        if (type->code == MBR_CODE_STRING)
            clear_string(at);
        break;
    case MBR_TYPE_RECORD:
        clear_members(types, type->record, at, depth);
        break;
    case MBR_TYPE_CHOICE:
        clear_choice(types, type->record, at, depth);
        break;
    case MBR_TYPE_ARRAY:
        clear_elements(types, type->record->base, at, type->record->count, depth);
        break;
    case MBR_TYPE_SEQUENCE:
        clear_sequence(types, type->record, at, depth);
        break;
    default:
        break;
    }
    memset(at, 0, type->record->size);
}

void mbr_value_clear(struct mbr_types *types, uint64_t code, void *value)
{
    clear(types, code, value, 0);
}
