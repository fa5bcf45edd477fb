/* SPDX-License-Identifier: MIT */
/*
 * Copying and checking one type record. Every array is copied first, then its elements are checked
 * and their strings and arrays copied in turn; nothing of the original is read twice.
 */
#include "types/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "types/peek.h"

/* Sizes above this are no sizes of C types: sums of them cannot overflow. */
#define SIZE_LIMIT (1u << 30)

struct copier {
    struct mbr__arena *arena;
    uint64_t fingerprint;
    uint32_t n_types;
    const char *why;
};

static int damaged(struct copier *c, const char *why)
{
    c->why = why;
    return -EBADMSG;
}

/* ---- copying ---- */

bool mbr__is_identifier(const char *name)
{
    size_t length = 0;

    for (; name[length]; length++) {
        char x = name[length];
        bool letter = (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';

        if (!letter && !(length > 0 && x >= '0' && x <= '9'))
            return false;
    }
    return length > 0 && length <= MBR_INTF_MAX_NAME;
}

/* Replaces *ARRAY, of COUNT elements of SIZE bytes, by a copy. */
static int copy_array(struct copier *c, const void **array, uint32_t count, size_t size)
{
    void *copy;
    int result;

    if (count == 0) {
        *array = NULL;
        return 0;
    }
    if (!*array)
        return damaged(c, "an array is missing");
    copy = mbr__arena_alloc(c->arena, count, size);
    if (!copy)
        return c->arena->left < count * size ? damaged(c, "it is too large") : -ENOMEM;
    result = mbr__peek(copy, *array, count * size);
    *array = copy;
    return result == -EFAULT ? damaged(c, "an array cannot be read") : result;
}

#define COPY_ARRAY(c, array, count) \
    copy_array((c), (const void **)&(array), (count), sizeof(*(array)))

/* Replaces *TEXT by a copy. */
static int copy_text(struct copier *c, const char **text)
{
    char buffer[2 * MBR_INTF_MAX_NAME + 2];
    int length;
    char *copy;

    if (!*text)
        return damaged(c, "a name is missing");
    length = mbr__peek_string(buffer, sizeof(buffer), *text);
    if (length == -EFAULT || length == -E2BIG)
        return damaged(c, length == -EFAULT ? "a name cannot be read" : "a name is too long");
    if (length < 0)
        return length;
    copy = mbr__arena_alloc(c->arena, 1, (size_t)length + 1);
    if (!copy)
        return c->arena->left < (size_t)length + 1 ? damaged(c, "it is too large") : -ENOMEM;
    memcpy(copy, buffer, (size_t)length + 1);
    *text = copy;
    return 0;
}

static int copy_name(struct copier *c, const char **name)
{
    int result = copy_text(c, name);

    if (result == 0 && !mbr__is_identifier(*name))
        return damaged(c, "a name is not an identifier");
    return result;
}

/* ---- what is checked everywhere ---- */

/* A code that may name a type: one of ours, a predefined one, or anything of another interface. */
static bool names_type(const struct copier *c, uint64_t code)
{
    if (MBR_CODE_FINGERPRINT(code) == c->fingerprint)
        return MBR_CODE_INDEX(code) <= c->n_types;
    return MBR_CODE_FINGERPRINT(code) != 0 || (code > 0 && code <= MBR_CODE_LAST_PREDEFINED);
}

static int compare_order(const void *a, const void *b)
{
    return strcmp(((const struct mbr__order *)a)->name, ((const struct mbr__order *)b)->name);
}

/* No two of the COUNT names, SIZE bytes apart from each other in an array, are the same. */
static int check_distinct(struct copier *c, const void *array, uint32_t count, size_t size)
{
    struct mbr__order *order;
    int result = 0;

    if (count < 2)
        return 0;
    order = calloc(count, sizeof(*order));
    if (!order)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        memcpy(&order[i].name, (const char *)array + i * size, sizeof(order[i].name));
    qsort(order, count, sizeof(*order), compare_order);
    for (uint32_t i = 1; i < count && result == 0; i++) {
        if (strcmp(order[i - 1].name, order[i].name) == 0)
            result = damaged(c, "two members have one name");
    }
    free(order);
    return result;
}

static int copy_ref(struct copier *c, struct mbr_intf_ref *ref)
{
    if (MBR_CODE_INDEX(ref->code) != 0 || ref->code == 0 || ref->code == c->fingerprint)
        return damaged(c, "a reference has no interface's code");
    return copy_name(c, &ref->name);
}

/* ---- types ---- */

/* Members of SIZE bytes in all; NUMBERED: their values are their positions. */
static int copy_members(struct copier *c, const struct mbr_member_record **members, uint32_t count,
                        uint32_t size, bool typed, bool numbered)
{
    struct mbr_member_record *copy;
    int result;

    if (count > MBR_INTF_MAX_MEMBERS)
        return damaged(c, "there are too many members");
    result = COPY_ARRAY(c, *members, count);
    copy = (struct mbr_member_record *)(uintptr_t)*members;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        if (typed ? !names_type(c, copy[i].type) : copy[i].type != 0)
            return damaged(c, "a member's type code is wrong");
        if (typed ? copy[i].offset >= size : copy[i].offset != 0)
            return damaged(c, "a member lies outside its record");
        if (numbered && copy[i].value != i)
            return damaged(c, "a member's number is wrong");
        result = copy_name(c, &copy[i].name);
    }
    return result == 0 ? check_distinct(c, copy, count, sizeof(*copy)) : result;
}

static bool has_base(uint32_t kind)
{
    return kind != MBR_TYPE_ENUM && kind != MBR_TYPE_RECORD;
}

static bool has_members(uint32_t kind)
{
    return kind == MBR_TYPE_ENUM || kind == MBR_TYPE_RECORD || kind == MBR_TYPE_CHOICE;
}

/* The size that every type of KIND has, or 0 if it depends. */
static uint32_t fixed_size(uint32_t kind)
{
    switch (kind) {
    case MBR_TYPE_ENUM:
        return sizeof(uint32_t);
    case MBR_TYPE_SET:
        return sizeof(uint64_t);
    case MBR_TYPE_REF:
        return sizeof(void *);
    case MBR_TYPE_SEQUENCE:
        return sizeof(struct mbr_seq);
    default:
        return 0;
    }
}

static int check_layout(struct copier *c, const struct mbr_type_record *t)
{
    uint32_t fixed = fixed_size(t->kind);

    if (t->align == 0 || t->align > 64 || (t->align & (t->align - 1)))
        return damaged(c, "a type's alignment is wrong");
    if (t->size == 0 || t->size > SIZE_LIMIT || t->size % t->align != 0)
        return damaged(c, "a type's size is wrong");
    if (fixed && t->size != fixed)
        return damaged(c, "a type's size is not that of its kind");
    if (t->zero != 0 || t->flags > (MBR_TYPE_LARGE | MBR_TYPE_LOCAL | MBR_TYPE_IREF))
        return damaged(c, "unknown bits are set");
    return 0;
}

static int copy_type(struct copier *c, struct mbr_type_record *t, uint32_t i, bool named)
{
    int result;

    if (t->code != (c->fingerprint | (i + 1)))
        return damaged(c, "a type's code is wrong");
    if (t->kind < MBR_TYPE_ALIAS || t->kind > MBR_TYPE_REF)
        return damaged(c, "a type is of unknown kind");
    if (has_base(t->kind) ? !names_type(c, t->base) : t->base != 0)
        return damaged(c, "a type's base is wrong");
    if (!has_members(t->kind) && t->members)
        return damaged(c, "a type has members it cannot have");
    if (has_members(t->kind) || t->kind == MBR_TYPE_ARRAY ? t->count == 0 : t->count != 0) {
        if (t->kind != MBR_TYPE_RECORD) /* a record may be empty */
            return damaged(c, "a type's count is wrong");
    }
    result = check_layout(c, t);
    if (result == 0 && (named || t->name))
        result = named ? copy_name(c, &t->name) : damaged(c, "a type has a name it must not have");
    if (result == 0 && has_members(t->kind))
        result = copy_members(c, &t->members, t->count, t->size, t->kind != MBR_TYPE_ENUM,
                              t->kind != MBR_TYPE_CHOICE);
    return result;
}

/* ---- exceptions and operations ---- */

static int copy_exn(struct copier *c, struct mbr_exn_record *e, const char *intf)
{
    size_t length = strlen(intf);
    int result = copy_name(c, &e->name);

    if (result == 0)
        result = copy_text(c, &e->id);
    if (result < 0)
        return result;
    if (strncmp(e->id, intf, length) != 0 || e->id[length] != '$' ||
        strcmp(e->id + length + 1, e->name) != 0)
        return damaged(c, "an exception's identity is wrong");
    if (e->size > SIZE_LIMIT || (e->size == 0) != (e->n_params == 0))
        return damaged(c, "the size of an exception's arguments is wrong");
    return copy_members(c, &e->params, e->n_params, e->size, true, true);
}

static int copy_params(struct copier *c, struct mbr_op_record *op)
{
    struct mbr_param_record *params;
    uint32_t count = op->n_args + op->n_results;
    int result = COPY_ARRAY(c, op->params, count);

    params = (struct mbr_param_record *)(uintptr_t)op->params;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        bool is_result = params[i].mode == MBR_PARAM_RESULT;

        if (params[i].mode > MBR_PARAM_RESULT || params[i].zero != 0 ||
            is_result != (i >= op->n_args))
            return damaged(c, "a parameter's mode is wrong");
        if (!names_type(c, params[i].type))
            return damaged(c, "a parameter's type code is wrong");
        result = copy_name(c, &params[i].name);
    }
    return result == 0 ? check_distinct(c, params, count, sizeof(*params)) : result;
}

static int copy_raises(struct copier *c, struct mbr_op_record *op, uint64_t own)
{
    struct mbr_raise_record *raises;
    int result = COPY_ARRAY(c, op->raises, op->n_raises);

    raises = (struct mbr_raise_record *)(uintptr_t)op->raises;
    for (uint32_t i = 0; i < op->n_raises && result == 0; i++) {
        result = copy_name(c, &raises[i].name);
        if (result == 0 && raises[i].intf.code == own)
            result = copy_name(c, &raises[i].intf.name);
        else if (result == 0)
            result = copy_ref(c, &raises[i].intf);
    }
    return result;
}

static int copy_op(struct copier *c, struct mbr_op_record *op, uint32_t index)
{
    int result;

    if (op->kind > MBR_OP_NO_RETURN || op->zero != 0)
        return damaged(c, "an operation is of unknown kind");
    if (op->index != index)
        return damaged(c, "an operation's number is wrong");
    if (op->n_args > MBR_INTF_MAX_MEMBERS || op->n_results > MBR_INTF_MAX_MEMBERS ||
        op->n_raises > MBR_INTF_MAX_MEMBERS)
        return damaged(c, "there are too many parameters");
    if (op->kind != MBR_OP_PROC && op->n_results > 0)
        return damaged(c, "an operation that does not return has results");
    result = copy_name(c, &op->name);
    if (result == 0)
        result = copy_params(c, op);
    return result == 0 ? copy_raises(c, op, c->fingerprint) : result;
}

/* ---- the whole ---- */

static int check_head(struct copier *c, const struct mbr_intf_record *r)
{
    if (r->magic != MBR_INTF_MAGIC)
        return damaged(c, "it is not a type record");
    if (r->version != MBR_INTF_VERSION)
        return damaged(c, "it is of another version");
    if (r->flags & ~MBR_INTF_LOCAL)
        return damaged(c, "unknown bits are set");
    if (r->code == 0 || MBR_CODE_INDEX(r->code) != 0)
        return damaged(c, "its code is wrong");
    if (r->n_types > MBR_INTF_MAX_TYPES || r->n_named > r->n_types ||
        r->n_needs > MBR_INTF_MAX_MEMBERS || r->n_exns > MBR_INTF_MAX_MEMBERS ||
        r->n_ops > MBR_INTF_MAX_MEMBERS || r->first_op > MBR_INTF_MAX_MEMBERS)
        return damaged(c, "there are too many of something");
    if (!r->extends.name && (r->extends.code != 0 || r->first_op != 0))
        return damaged(c, "it inherits from nothing");
    return 0;
}

static int copy_head(struct copier *c, struct mbr_intf_record *r)
{
    int result = copy_name(c, &r->name);

    if (result == 0 && r->extends.name)
        result = copy_ref(c, &r->extends);
    if (result == 0)
        result = COPY_ARRAY(c, r->needs, r->n_needs);
    for (uint32_t i = 0; i < r->n_needs && result == 0; i++)
        result = copy_ref(c, (struct mbr_intf_ref *)(uintptr_t)&r->needs[i]);
    return result;
}

static int copy_body(struct copier *c, struct mbr_intf_record *r)
{
    int result = COPY_ARRAY(c, r->types, r->n_types);

    for (uint32_t i = 0; i < r->n_types && result == 0; i++)
        result = copy_type(c, (struct mbr_type_record *)(uintptr_t)&r->types[i], i, i < r->n_named);
    if (result == 0)
        result = COPY_ARRAY(c, r->exns, r->n_exns);
    for (uint32_t i = 0; i < r->n_exns && result == 0; i++)
        result = copy_exn(c, (struct mbr_exn_record *)(uintptr_t)&r->exns[i], r->name);
    if (result == 0)
        result = COPY_ARRAY(c, r->ops, r->n_ops);
    for (uint32_t i = 0; i < r->n_ops && result == 0; i++)
        result = copy_op(c, (struct mbr_op_record *)(uintptr_t)&r->ops[i], r->first_op + i);
    return result;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct mbr__name *)a)->name, ((const struct mbr__name *)b)->name);
}

/* Types, exceptions and operations share one space of names. */
static int sort_names(struct copier *c, struct mbr__record *record)
{
    const struct mbr_intf_record *r = &record->copy;
    uint32_t n = 0;

    record->n_names = r->n_named + r->n_exns + r->n_ops;
    record->names = mbr__arena_alloc(c->arena, record->n_names, sizeof(*record->names));
    if (!record->names)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->n_named; i++)
        record->names[n++] = (struct mbr__name){r->types[i].name, i, MBR__NAME_TYPE};
    for (uint32_t i = 0; i < r->n_exns; i++)
        record->names[n++] = (struct mbr__name){r->exns[i].name, i, MBR__NAME_EXN};
    for (uint32_t i = 0; i < r->n_ops; i++)
        record->names[n++] = (struct mbr__name){r->ops[i].name, i, MBR__NAME_OP};
    qsort(record->names, n, sizeof(*record->names), compare_names);
    for (uint32_t i = 1; i < n; i++) {
        if (strcmp(record->names[i - 1].name, record->names[i].name) == 0)
            return damaged(c, "two declarations have one name");
    }
    return 0;
}

int mbr__record_copy(struct mbr__record *record, const struct mbr_intf_record *from,
                     const struct mbr__source *source, const char **why)
{
    struct copier c = {.arena = &record->arena};
    int result;

    mbr__arena_init(&record->arena, source, MBR__INTF_BUDGET);
    result = mbr__peek(&record->copy, from, sizeof(record->copy));
    if (result == -EFAULT)
        result = damaged(&c, "it cannot be read");
    if (result == 0)
        result = check_head(&c, &record->copy);
    if (result == 0) {
        c.fingerprint = record->copy.code;
        c.n_types = record->copy.n_types;
        result = copy_head(&c, &record->copy);
    }
    if (result == 0)
        result = copy_body(&c, &record->copy);
    if (result == 0)
        result = sort_names(&c, record);
    if (result < 0)
        mbr__arena_fini(&record->arena);
    if (result == -EBADMSG)
        *why = c.why;
    return result;
}

void mbr__record_fini(struct mbr__record *record)
{
    mbr__arena_fini(&record->arena);
}

const struct mbr__name *mbr__record_find(const struct mbr__record *record, const char *name)
{
    const struct mbr__name key = {.name = name};

    if (record->n_names == 0)
        return NULL;
    return bsearch(&key, record->names, record->n_names, sizeof(key), compare_names);
}
