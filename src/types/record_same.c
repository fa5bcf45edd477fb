/* SPDX-License-Identifier: MIT */
/*
 * Whether two type records say the same. Interfaces of one name and one code are the same unless
 * somebody lies; this finds out.
 */
#include <string.h>

#include "types/record.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_ref(const struct mbr_intf_ref *a, const struct mbr_intf_ref *b)
{
    return a->code == b->code && same_text(a->name, b->name);
}

static bool same_members(const struct mbr_member_record *a, const struct mbr_member_record *b,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (a[i].type != b[i].type || a[i].offset != b[i].offset || a[i].value != b[i].value ||
            !same_text(a[i].name, b[i].name))
            return false;
    }
    return true;
}

static bool same_types(const struct mbr_intf_record *a, const struct mbr_intf_record *b)
{
    for (uint32_t i = 0; i < a->n_types; i++) {
        const struct mbr_type_record *s = &a->types[i], *t = &b->types[i];

        if (s->kind != t->kind || s->flags != t->flags || s->size != t->size ||
            s->align != t->align || s->base != t->base || s->count != t->count ||
            !same_text(s->name, t->name))
            return false;
        if (s->members && !same_members(s->members, t->members, s->count))
            return false;
    }
    return true;
}

static bool same_exns(const struct mbr_intf_record *a, const struct mbr_intf_record *b)
{
    for (uint32_t i = 0; i < a->n_exns; i++) {
        const struct mbr_exn_record *s = &a->exns[i], *t = &b->exns[i];

        if (s->n_params != t->n_params || s->size != t->size || !same_text(s->name, t->name) ||
            !same_members(s->params, t->params, s->n_params))
            return false;
    }
    return true;
}

static bool same_params(const struct mbr_op_record *s, const struct mbr_op_record *t)
{
    for (uint32_t i = 0; i < s->n_args + s->n_results; i++) {
        if (s->params[i].type != t->params[i].type || s->params[i].mode != t->params[i].mode ||
            !same_text(s->params[i].name, t->params[i].name))
            return false;
    }
    for (uint32_t i = 0; i < s->n_raises; i++) {
        if (!same_ref(&s->raises[i].intf, &t->raises[i].intf) ||
            !same_text(s->raises[i].name, t->raises[i].name))
            return false;
    }
    return true;
}

static bool same_ops(const struct mbr_intf_record *a, const struct mbr_intf_record *b)
{
    for (uint32_t i = 0; i < a->n_ops; i++) {
        const struct mbr_op_record *s = &a->ops[i], *t = &b->ops[i];

        if (s->kind != t->kind || s->n_args != t->n_args || s->n_results != t->n_results ||
            s->n_raises != t->n_raises || !same_text(s->name, t->name) || !same_params(s, t))
            return false;
    }
    return true;
}

bool mbr__record_same(const struct mbr_intf_record *a, const struct mbr_intf_record *b)
{
    if (a->code != b->code || a->flags != b->flags || a->n_needs != b->n_needs ||
        a->n_types != b->n_types || a->n_named != b->n_named || a->n_exns != b->n_exns ||
        a->n_ops != b->n_ops || a->first_op != b->first_op || !same_text(a->name, b->name) ||
        !same_ref(&a->extends, &b->extends))
        return false;
    for (uint32_t i = 0; i < a->n_needs; i++) {
        if (!same_ref(&a->needs[i], &b->needs[i]))
            return false;
    }
    return same_types(a, b) && same_exns(a, b) && same_ops(a, b);
}
