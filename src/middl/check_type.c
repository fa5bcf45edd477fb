/* SPDX-License-Identifier: MIT */
/*
 * What types are made of: their size and alignment in C on LP64, whether they are large, reach
 * addresses or interfaces; and what cannot be: sets of too many values, arms without a tag, values
 * that contain themselves. Declarations are visited after those they depend on, with a stack of
 * our own, because how deep that goes is the input's choice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "middl/check.h"

const struct mc_type *mbr__mc_real(const struct mc_type *type)
{
    while (type->kind == MC_K_NAMED)
        type = type->target->type;
    return type;
}

/* --- One type --------------------------------------------------------------------------------- */

static void set_layout(struct mc_type *type, uint64_t size, uint32_t align)
{
    type->size = size;
    type->align = align;
}

static void predefined(struct mc_type *type)
{
    static const uint8_t sizes[] = {0, 1, 2, 4, 8, 2, 4, 8, 4, 8, 8, 1, 1, 8, 8};
    uint32_t code = type->predefined;

    set_layout(type, sizes[code], sizes[code]);
    if (code == MBR_CODE_ADDRESS || code == MBR_CODE_WORD)
        type->flags |= MBR_TYPE_LOCAL;
}

static uint64_t round_up(uint64_t size, uint32_t align)
{
    return align ? (size + align - 1) / align * align : size;
}

static void inherit_flags(struct mc_type *type, const struct mc_type *from)
{
    type->flags |= from->flags & (MBR_TYPE_LOCAL | MBR_TYPE_IREF);
}

/* A struct of MEMBERS, or with OVERLAY a tag and a union of them. */
static void members(struct mc_type *type, bool overlay)
{
    uint64_t size = 0, largest = 0;
    uint32_t align = 1;

    for (const struct mc_member *member = type->members; member; member = member->next) {
        const struct mc_type *of = member->type;

        inherit_flags(type, of);
        if (of->align > align)
            align = of->align;
        if (overlay)
            largest = of->size > largest ? of->size : largest;
        else
            size = round_up(size, of->align) + of->size;
    }
    if (overlay) {
        uint32_t union_align = align;

        inherit_flags(type, type->base);
        if (align < type->base->align)
            align = type->base->align;
        size = round_up(type->base->size, union_align) + round_up(largest, union_align);
    }
    set_layout(type, size ? round_up(size, align) : 1, align);
    type->flags |= MBR_TYPE_LARGE;
}

static void check_set(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type)
{
    const struct mc_type *of = mbr__mc_real(type->base);

    set_layout(type, 8, 8);
    if (of->kind == MC_K_ERROR || (of->kind == MC_K_PREDEFINED && of->predefined == 1))
        return;
    if (of->kind != MC_K_ENUM)
        mbr__mc_error(run, decl->interface->file, type->base->pos,
                      "a SET is made of an enumeration or of BOOLEAN");
    else if (of->count > MC_MAX_SET)
        mbr__mc_error(run, decl->interface->file, type->base->pos,
                      "a SET of %u values: at most %u fit", of->count, MC_MAX_SET);
}

/* Gives each arm the value of its tag; complains of arms without, and warns of tags without. */
static void match_arms(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                       const struct mc_type *tag)
{
    uint64_t scope = mbr__mc_scope(run);
    struct mc_guess guess;
    char text[300];
    uint32_t known = 0;

    for (const struct mc_member *value = tag->members; value; value = value->next) {
        value->name->scope = scope;
        value->name->pos.line = value->value; /* lent for the number */
    }
    for (struct mc_member *arm = type->members; arm; arm = arm->next) {
        if (arm->name->scope == scope) {
            arm->value = arm->name->pos.line;
            known++;
            continue;
        }
        mbr__mc_guess_init(run, &guess, arm->name->text);
        for (const struct mc_member *value = tag->members; value; value = value->next)
            mbr__mc_guess_offer(&guess, value->name->text);
        mbr__mc_error(run, decl->interface->file, arm->pos,
                      "'%s' is no value of the enumeration that is the tag%s", arm->name->text,
                      mbr__mc_guess_text(&guess, text));
    }
    if (known < tag->count)
        mbr__mc_warn(run, MC_W_CHOICE, decl->interface->file, type->pos,
                     "%u of the %u values of the tag have no arm", tag->count - known, tag->count);
}

static void check_choice(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type)
{
    const struct mc_type *tag = mbr__mc_real(type->base);

    members(type, true);
    if (tag->kind == MC_K_ENUM)
        match_arms(run, decl, type, tag);
    else if (tag->kind != MC_K_ERROR)
        mbr__mc_error(run, decl->interface->file, type->base->pos,
                      "the tag of a CHOICE is an enumeration");
}

static void check_array(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type)
{
    inherit_flags(type, type->base);
    set_layout(type, type->base->size * type->count, type->base->align);
    type->flags |= MBR_TYPE_LARGE;
    if (type->count == 0)
        mbr__mc_error(run, decl->interface->file, type->name_pos, "an ARRAY of no elements");
}

/* TYPE, whose parts are complete. */
static void work_out(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                     void *context)
{
    const struct mc_type *of;

    (void)context;
    switch (type->kind) {
    case MC_K_ERROR:
        set_layout(type, 1, 1);
        break;
    case MC_K_PREDEFINED:
        predefined(type);
        break;
    case MC_K_NAMED:
        of = type->target->type;
        type->flags = of->flags;
        set_layout(type, of->size, of->align);
        break;
    case MC_K_IREF:
        type->flags = MBR_TYPE_IREF;
        set_layout(type, 8, 8);
        break;
    case MC_K_ENUM:
        set_layout(type, 4, 4);
        break;
    case MC_K_RECORD:
        members(type, false);
        break;
    case MC_K_CHOICE:
        check_choice(run, decl, type);
        break;
    case MC_K_ARRAY:
        check_array(run, decl, type);
        break;
    case MC_K_SEQUENCE:
        inherit_flags(type, type->base);
        set_layout(type, 24, 8);
        type->flags |= MBR_TYPE_LARGE;
        break;
    case MC_K_SET:
        check_set(run, decl, type);
        break;
    case MC_K_REF:
        type->flags = MBR_TYPE_LOCAL | (type->base->flags & MBR_TYPE_IREF);
        set_layout(type, 8, 8);
        break;
    }
    if (type->size > MC_MAX_SIZE) {
        mbr__mc_error(run, decl->interface->file, type->pos, "a value of %llu bytes: at most %u",
                      (unsigned long long)type->size, MC_MAX_SIZE);
        set_layout(type, 1, 1);
    }
}

/* Puts what has no name of its own, but a structure, on the interface's list. */
static void number_unnamed(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                           void *context)
{
    struct mc_interface *interface = decl->interface;

    (void)context;
    if (type == decl->type || type->kind < MC_K_ENUM)
        return;
    if (interface->n_types >= MC_MAX_DECLS) {
        if (interface->n_types++ == MC_MAX_DECLS)
            mbr__mc_error(run, interface->file, type->pos, "more than %u types in one interface",
                          MC_MAX_DECLS);
        return;
    }
    type->index = ++interface->n_types;
    if (!interface->unnamed_end)
        interface->unnamed_end = &interface->unnamed;
    *interface->unnamed_end = type;
    interface->unnamed_end = &type->next;
}

/* --- In the order of dependence --------------------------------------------------------------- */

enum {
    NEW,
    OPEN, /* what it depends on is being visited */
    DONE
};

struct stack {
    struct mc_decl **decls;
    size_t used;
    size_t room;
    bool failed;
};

static void push(struct stack *stack, struct mc_decl *decl)
{
    if (stack->used == stack->room) {
        size_t room = stack->room ? stack->room * 2 : 256;
        struct mc_decl **more = realloc(stack->decls, room * sizeof(struct mc_decl *));

        if (!more) {
            stack->failed = true;
            return;
        }
        stack->decls = more;
        stack->room = room;
    }
    stack->decls[stack->used++] = decl;
}

/* Pushes what TYPE depends on, unless it is done; a dependence on what is open is a cycle. */
static void push_target(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                        void *context)
{
    struct mc_decl *target = type->target;

    if (type->kind != MC_K_NAMED)
        return;
    if (target->state == OPEN) {
        mbr__mc_error(run, decl->interface->file, type->name_pos,
                      "type '%s' contains itself, through '%s.%s'", target->name->text,
                      decl->interface->name->text, decl->name->text);
        type->kind = MC_K_ERROR;
    } else if (target->state == NEW) {
        push(context, target);
    }
}

static void finish(struct mbr_middlc *run, struct mc_decl *decl)
{
    decl->state = DONE;
    mbr__mc_each_type(run, decl, work_out, NULL);
    mbr__mc_digest_decl(run, decl);
}

/* DECL after everything it depends on. An open declaration met again on the stack is complete. */
static void visit(struct mbr_middlc *run, struct stack *stack, struct mc_decl *decl)
{
    push(stack, decl);
    while (stack->used > 0 && !stack->failed && !run->arena.error) {
        struct mc_decl *top = stack->decls[stack->used - 1];

        if (top->state != NEW) {
            stack->used--;
            if (top->state == OPEN)
                finish(run, top);
            continue;
        }
        top->state = OPEN;
        if (!top->broken)
            mbr__mc_each_type(run, top, push_target, stack);
    }
}

/* --- Interfaces whose headers would include each other ---------------------------------------- */

static void note_use(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                     void *context)
{
    uint64_t *row = context;

    (void)run;
    if (type->kind == MC_K_NAMED && type->target->interface != decl->interface)
        mbr__mc_set_bit(row, type->target->interface->number);
}

static void complain_of_use(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                            void *context)
{
    const uint64_t *closed = context;
    struct mc_interface *interface = decl->interface, *other;
    struct mc_diag *diag;

    if (type->kind != MC_K_NAMED || type->target->interface == interface)
        return;
    other = type->target->interface;
    if (!mbr__mc_has_bit(closed + other->number * run->reach_words, interface->number))
        return;
    diag = mbr__mc_error(run, interface->file, type->name_pos,
                         "'%s' and '%s' use types of each other: neither C header can come first",
                         interface->name->text, other->name->text);
    mbr__mc_note(run, diag, other->file, other->pos, "interface '%s'", other->name->text);
}

/* Rows of bits: whose types an interface uses or inherits; then closed, to find cycles. */
static void check_uses(struct mbr_middlc *run)
{
    size_t words = run->reach_words, size = run->n_interfaces * words * sizeof(uint64_t);
    uint64_t *closed = mbr__mc_alloc(&run->arena, size + 1);

    run->uses = mbr__mc_alloc(&run->arena, size + 1);
    if (!run->uses || !closed)
        return;
    for (struct mc_interface *i = run->interfaces; i; i = i->next) {
        uint64_t *row = run->uses + i->number * words;

        if (i->super)
            mbr__mc_set_bit(row, i->super->number);
        for (struct mc_decl *decl = i->decls; decl; decl = decl->next)
            mbr__mc_each_type(run, decl, note_use, row);
    }
    memcpy(closed, run->uses, size);
    mbr__mc_close(closed, run->n_interfaces, words);
    for (struct mc_interface *i = run->interfaces; i; i = i->next)
        if (mbr__mc_has_bit(closed + i->number * words, i->number))
            for (struct mc_decl *decl = i->decls; decl; decl = decl->next)
                mbr__mc_each_type(run, decl, complain_of_use, closed);
}

void mbr__mc_check_types(struct mbr_middlc *run)
{
    struct stack stack = {0};

    for (struct mc_interface *i = run->interfaces; i; i = i->next)
        for (struct mc_decl *decl = i->decls; decl && !run->arena.error; decl = decl->next) {
            visit(run, &stack, decl);
            if (stack.failed)
                run->arena.error = -ENOMEM;
        }
    free(stack.decls);
    for (struct mc_interface *i = run->interfaces; i; i = i->next)
        for (struct mc_decl *decl = i->decls; decl; decl = decl->next)
            mbr__mc_each_type(run, decl, number_unnamed, NULL);
    if (!run->arena.error)
        check_uses(run);
}

/* --- LOCAL ------------------------------------------------------------------------------------ */

static void check_local_type(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                             void *context)
{
    struct mc_file *file = decl->interface->file;
    const struct mc_decl *target = type->target;
    struct mc_diag *diag;

    (void)context;
    if (!(type->flags & MBR_TYPE_LOCAL))
        return;
    if (type->kind == MC_K_PREDEFINED || type->kind == MC_K_REF) {
        mbr__mc_error(run, file, type->pos, "%s has a meaning in a LOCAL interface only",
                      type->kind == MC_K_REF              ? "REF"
                      : type->predefined == MBR_CODE_WORD ? "WORD"
                                                          : "ADDRESS");
    } else if (type->kind == MC_K_NAMED && target->interface != decl->interface) {
        diag = mbr__mc_error(run, file, type->pos,
                             "'%s.%s' reaches an address, which has a meaning in a LOCAL "
                             "interface only",
                             target->interface->name->text, target->name->text);
        mbr__mc_note(run, diag, target->interface->file, target->pos, "declared here");
    }
}

void mbr__mc_check_local(struct mbr_middlc *run, struct mc_interface *interface)
{
    if (interface->local)
        return;
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        mbr__mc_each_type(run, decl, check_local_type, NULL);
}
