/* SPDX-License-Identifier: MIT */
/* The checker's frame: inheritance, duplicate names, exceptions, and which interfaces are in order
 * in the end. */
#include "middl/check.h"

#include <errno.h>

/* --- Walking ---------------------------------------------------------------------------------- */

static void visit_type(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                       mc_type_visitor *visit, void *context)
{
    if (!type)
        return;
    visit_type(run, decl, type->base, visit, context); /* the parser has bounded the depth */
    if (type->kind == MC_K_RECORD || type->kind == MC_K_CHOICE)
        for (struct mc_member *member = type->members; member; member = member->next)
            if (!member->grouped)
                visit_type(run, decl, member->type, visit, context);
    visit(run, decl, type, context);
}

void mbr__mc_each_type(struct mbr_middlc *run, struct mc_decl *decl, mc_type_visitor *visit,
                       void *context)
{
    visit_type(run, decl, decl->type, visit, context);
    for (struct mc_member *arg = decl->args; arg; arg = arg->next)
        if (!arg->grouped)
            visit_type(run, decl, arg->type, visit, context);
    for (struct mc_member *result = decl->results; result; result = result->next)
        if (!result->grouped)
            visit_type(run, decl, result->type, visit, context);
}

/* --- Duplicates ------------------------------------------------------------------------------- */

static uint64_t decl_key(const struct mc_interface *interface, const struct mc_name *name)
{
    return (uint64_t)(interface->number + 1) << 32 | name->number;
}

struct mc_decl *mbr__mc_find_decl(const struct mbr_middlc *run,
                                  const struct mc_interface *interface, const struct mc_name *name)
{
    return mbr__hash_get(&run->decls, decl_key(interface, name));
}

struct mc_decl *mbr__mc_find_inherited(const struct mbr_middlc *run,
                                       const struct mc_interface *interface,
                                       const struct mc_name *name)
{
    struct mc_decl *decl = NULL;

    for (; interface && !decl; interface = interface->super)
        decl = mbr__mc_find_decl(run, interface, name);
    return decl;
}

static void enter_decls(struct mbr_middlc *run, struct mc_interface *interface)
{
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        struct mc_decl *other = mbr__mc_find_decl(run, interface, decl->name);

        if (other) {
            struct mc_diag *diag = mbr__mc_error(run, interface->file, decl->pos,
                                                 "'%s' is declared twice", decl->name->text);
            mbr__mc_note(run, diag, interface->file, other->pos, "the first declaration");
        } else if (mbr__hash_put(&run->decls, decl_key(interface, decl->name), decl) < 0) {
            run->arena.error = -ENOMEM;
            return;
        }
    }
}

/* Complains of names that occur twice in MEMBERS, which go on the scope's list. */
static void check_members(struct mbr_middlc *run, struct mc_file *file, struct mc_member *members,
                          uint64_t scope, const char *what)
{
    for (struct mc_member *member = members; member; member = member->next) {
        if (member->name->scope == scope) {
            struct mc_diag *diag = mbr__mc_error(run, file, member->pos, "%s '%s' occurs twice",
                                                 what, member->name->text);
            mbr__mc_note(run, diag, file, member->name->pos, "the first one");
            continue;
        }
        member->name->scope = scope;
        member->name->pos = member->pos;
    }
}

static void members_of_type(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                            void *context)
{
    const char *what = type->kind == MC_K_ENUM     ? "value"
                       : type->kind == MC_K_CHOICE ? "arm"
                                                   : "member";

    (void)context;
    check_members(run, decl->interface->file, type->members, mbr__mc_scope(run), what);
}

static void check_scopes(struct mbr_middlc *run, struct mc_interface *interface)
{
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        uint64_t scope = mbr__mc_scope(run);

        check_members(run, interface->file, decl->args, scope, "argument");
        check_members(run, interface->file, decl->results, scope, "argument or result");
        mbr__mc_each_type(run, decl, members_of_type, NULL);
    }
}

/* --- Inheritance ------------------------------------------------------------------------------ */

/* Walks up from INTERFACE; breaks a chain that is endless or too long. */
static void link_super(struct mbr_middlc *run, struct mc_interface *interface)
{
    struct mc_interface *up = interface;
    uint32_t depth = 0;

    if (!interface->extends)
        return;
    while (up->extends && up->extends->interface) {
        up = up->extends->interface;
        if (up == interface) {
            mbr__mc_error(run, interface->file, interface->extends->pos,
                          "interface '%s' extends itself, through '%s'", interface->name->text,
                          interface->extends->name->text);
            return;
        }
        if (++depth > run->n_interfaces)
            return; /* into a cycle of others, who are told */
    }
    if (depth > MC_MAX_CHAIN) {
        mbr__mc_error(run, interface->file, interface->extends->pos,
                      "interface '%s' has more than %u supertypes", interface->name->text,
                      MC_MAX_CHAIN);
        return;
    }
    interface->super = interface->extends->interface;
}

/* Breaks the supers of whoever leads into a cycle, and counts those above. */
static void count_supers(struct mc_interface *interface)
{
    interface->depth = 0;
    for (const struct mc_interface *up = interface->super; up; up = up->super) {
        if (++interface->depth > MC_MAX_CHAIN) {
            interface->super = NULL;
            interface->depth = 0;
            return;
        }
    }
}

static bool is_op(const struct mc_decl *decl)
{
    return decl->kind == MC_D_PROC || decl->kind == MC_D_ANNOUNCEMENT;
}

/* Numbers what INTERFACE declares; its supertypes' methods are counted. */
static void number_decls(struct mc_interface *interface)
{
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        if (decl->kind == MC_D_TYPE)
            decl->index = ++interface->n_named;
        else if (is_op(decl))
            decl->index = interface->n_ops++;
        else
            interface->n_exceptions++;
        if (decl->type)
            decl->type->index = decl->index;
    }
    interface->n_types = interface->n_named;
}

static void shift_ops(struct mc_interface *interface)
{
    for (const struct mc_interface *up = interface->super; up; up = up->super)
        interface->first_op += up->n_ops;
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (is_op(decl))
            decl->index += interface->first_op;
}

static void check_redeclared(struct mbr_middlc *run, struct mc_interface *interface)
{
    if (!interface->super)
        return;
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        struct mc_decl *other = mbr__mc_find_inherited(run, interface->super, decl->name);
        struct mc_diag *diag;

        if (!other)
            continue;
        if (is_op(decl) && is_op(other))
            diag = mbr__mc_error(run, interface->file, decl->pos,
                                 "method '%s' is inherited from '%s' already", decl->name->text,
                                 other->interface->name->text);
        else
            diag = mbr__mc_warn(run, MC_W_REDECLARED, interface->file, decl->pos,
                                "'%s' hides what is inherited from '%s'", decl->name->text,
                                other->interface->name->text);
        mbr__mc_note(run, diag, other->interface->file, other->pos, "the inherited declaration");
    }
}

static void check_super_local(struct mbr_middlc *run, struct mc_interface *interface)
{
    struct mc_diag *diag;

    if (!interface->super || interface->local || !interface->super->local)
        return;
    diag = mbr__mc_error(run, interface->file, interface->extends->pos,
                         "'%s' is not LOCAL but extends '%s', which is", interface->name->text,
                         interface->super->name->text);
    mbr__mc_note(run, diag, interface->super->file, interface->super->pos, "declared LOCAL here");
}

/* --- NEEDS and RAISES ------------------------------------------------------------------------- */

static void check_needs(struct mbr_middlc *run, struct mc_interface *interface)
{
    uint64_t scope = mbr__mc_scope(run);

    for (struct mc_need *need = interface->needs; need; need = need->next) {
        if (need->name->scope == scope) {
            struct mc_diag *diag = mbr__mc_warn(run, MC_W_NEEDS, interface->file, need->pos,
                                                "'%s' is needed already", need->name->text);
            mbr__mc_note(run, diag, interface->file, need->name->pos, "here");
            need->repeated = true;
            continue;
        }
        need->name->scope = scope;
        need->name->pos = need->pos;
    }
}

static void check_raises(struct mbr_middlc *run, struct mc_interface *interface)
{
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        uint64_t scope = mbr__mc_scope(run);

        for (struct mc_raise *raise = decl->raises; raise; raise = raise->next) {
            raise->target = mbr__mc_bind_raise(run, interface, raise);
            if (!raise->target)
                continue;
            raise->repeated = raise->target->raised == scope;
            if (raise->repeated)
                mbr__mc_warn(run, MC_W_RAISES, interface->file, raise->pos,
                             "'%s' is raised already", raise->name->text);
            else
                decl->n_raises++;
            raise->target->raised = scope;
        }
    }
}

static void check_style(struct mbr_middlc *run, struct mc_interface *interface)
{
    if (run->warn[MC_W_UNUSED])
        for (struct mc_need *need = interface->needs; need; need = need->next)
            if (need->interface && !need->used && !need->extends && !need->repeated)
                mbr__mc_warn(run, MC_W_UNUSED, interface->file, need->pos, "nothing refers to '%s'",
                             need->name->text);
    if (!run->warn[MC_W_DOC])
        return;
    if (interface->before.first == interface->before.end)
        mbr__mc_warn(run, MC_W_DOC, interface->file, interface->pos,
                     "interface '%s' has no comment before it", interface->name->text);
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (decl->before.first == decl->before.end && !decl->after)
            mbr__mc_warn(run, MC_W_DOC, interface->file, decl->pos, "'%s' has no comment before it",
                         decl->name->text);
}

/* --- All of it -------------------------------------------------------------------------------- */

/* An interface is in order when neither it nor anything it reaches has errors. */
static void judge(struct mbr_middlc *run)
{
    for (struct mc_interface *i = run->interfaces; i; i = i->next) {
        i->ok = true;
        for (struct mc_interface *j = run->interfaces; j && i->ok; j = j->next)
            if (j->file->errors && (j == i || mbr__mc_reaches(run, i, j)))
                i->ok = false;
    }
}

#define EACH(run, function)                                                              \
    do {                                                                                 \
        for (struct mc_interface *each = (run)->interfaces; each && !(run)->arena.error; \
             each = each->next)                                                          \
            function;                                                                    \
    } while (0)

void mbr__mc_check_all(struct mbr_middlc *run)
{
    EACH(run, link_super(run, each));
    EACH(run, count_supers(each));
    EACH(run, enter_decls(run, each));
    EACH(run, number_decls(each));
    EACH(run, shift_ops(each));
    EACH(run, check_needs(run, each));
    EACH(run, check_scopes(run, each));
    EACH(run, check_super_local(run, each));
    EACH(run, check_redeclared(run, each));
    EACH(run, mbr__mc_bind(run, each));
    EACH(run, check_raises(run, each));
    if (!run->arena.error)
        mbr__mc_check_types(run);
    EACH(run, mbr__mc_check_local(run, each));
    EACH(run, mbr__mc_check_cnames(run, each));
    EACH(run, check_style(run, each));
    EACH(run, mbr__mc_digest_interface(run, each));
    if (!run->arena.error)
        judge(run);
}
