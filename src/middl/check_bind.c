/* SPDX-License-Identifier: MIT */
/*
 * From names to declarations. An undotted name is a type of the interface itself, declared above,
 * or else of its supertypes; the head of a dotted one is always an interface, even where a type has
 * the same name, and one that is needed, directly or not.
 */
#include "middl/check.h"
#include "middl/lexer.h"
#include "middl/load.h"

static void offer_decls(struct mc_guess *guess, const struct mc_interface *interface,
                        bool exceptions)
{
    for (; interface; interface = interface->super)
        for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
            if (decl->kind == (exceptions ? MC_D_EXCEPTION : MC_D_TYPE))
                mbr__mc_guess_offer(guess, decl->name->text);
}

static const char *kind_text(const struct mc_decl *decl)
{
    static const char *const texts[] = {"a type", "an exception", "a method", "a method"};

    return texts[decl->kind];
}

static void mark_used(struct mc_interface *interface, const struct mc_interface *other)
{
    for (struct mc_need *need = interface->needs; need; need = need->next)
        if (need->interface == other)
            need->used = true;
}

/* The interface HEAD of a dotted name; NULL with a complaint. */
static struct mc_interface *head_interface(struct mbr_middlc *run, struct mc_interface *interface,
                                           const struct mc_name *head, struct mc_pos pos)
{
    struct mc_interface *other = head->interface;
    char guess[300];

    if (other && mbr__mc_reaches(run, interface, other)) {
        mark_used(interface, other);
        return other;
    }
    for (const struct mc_need *need = interface->needs; need; need = need->next)
        if (need->name == head) /* it was complained of when it was looked for */
            return NULL;
    other = mbr__mc_find_interface(run, interface->file, head);
    if (other)
        mbr__mc_error(run, interface->file, pos, "interface '%s' is not needed (add 'NEEDS %s;')",
                      head->text, head->text);
    else
        mbr__mc_error(run, interface->file, pos, "unknown interface '%s'%s", head->text,
                      mbr__mc_guess_interface(run, interface->file, head, guess));
    return NULL;
}

static void unknown(struct mbr_middlc *run, const struct mc_interface *interface,
                    const struct mc_interface *searched, bool dotted, const struct mc_name *name,
                    struct mc_pos pos, bool exception)
{
    struct mc_guess guess;
    char text[300];

    mbr__mc_guess_init(run, &guess, name->text);
    offer_decls(&guess, searched, exception);
    for (int kind = 0; kind < MC_TOKENS && !exception && !dotted; kind++)
        if (mbr__mc_word_text((enum mc_tok)kind))
            mbr__mc_guess_offer(&guess, mbr__mc_word_text((enum mc_tok)kind));
    mbr__mc_error(run, interface->file, pos, "unknown %s '%s%s%s'%s",
                  exception ? "exception" : "type", dotted ? searched->name->text : "",
                  dotted ? "." : "", name->text, mbr__mc_guess_text(&guess, text));
}

static void bind_named(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type)
{
    struct mc_interface *interface = decl->interface, *searched = interface;
    struct mc_decl *target;

    if (type->head) {
        searched = head_interface(run, interface, type->head, type->name_pos);
        if (!searched) {
            type->kind = MC_K_ERROR;
            return;
        }
    }
    target = mbr__mc_find_inherited(run, searched, type->name);
    if (target && target->broken) {
        type->kind = MC_K_ERROR;
        return;
    }
    if (target && target->kind != MC_D_TYPE) {
        struct mc_diag *diag =
            mbr__mc_error(run, interface->file, type->name_pos, "'%s' is %s, not a type",
                          type->name->text, kind_text(target));
        mbr__mc_note(run, diag, target->interface->file, target->pos, "declared here");
        target = NULL;
    } else if (!target && !type->head && type->name->interface) {
        mbr__mc_error(run, interface->file, type->name_pos,
                      "'%s' is an interface, not a type (did you mean 'IREF %s'?)",
                      type->name->text, type->name->text);
    } else if (!target) {
        unknown(run, interface, searched, type->head != NULL, type->name, type->name_pos, false);
    } else if (target->interface == interface && target->order >= decl->order) {
        struct mc_diag *diag =
            mbr__mc_error(run, interface->file, type->name_pos,
                          target == decl ? "type '%s' is used in its own declaration"
                                         : "type '%s' is used before its declaration",
                          type->name->text);
        if (target != decl)
            mbr__mc_note(run, diag, interface->file, target->pos, "declared here");
        target = NULL;
    }
    type->target = target;
    if (!target)
        type->kind = MC_K_ERROR;
}

static void bind_iref(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type)
{
    struct mc_interface *interface = decl->interface;
    char guess[300];

    type->interface = mbr__mc_find_interface(run, interface->file, type->name);
    if (!type->interface) {
        bool complained = false;

        for (const struct mc_need *need = interface->needs; need; need = need->next)
            if (need->name == type->name)
                complained = true;
        if (!complained)
            mbr__mc_error(run, interface->file, type->name_pos, "unknown interface '%s'%s",
                          type->name->text,
                          mbr__mc_guess_interface(run, interface->file, type->name, guess));
        type->kind = MC_K_ERROR;
        return;
    }
    mark_used(interface, type->interface);
    if (!mbr__mc_reaches(run, interface, type->interface))
        mbr__mc_warn(run, MC_W_NEEDS, interface->file, type->name_pos,
                     "interface '%s' is not needed (add 'NEEDS %s;')", type->name->text,
                     type->name->text);
}

static void bind_type(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                      void *context)
{
    (void)context;
    if (type->kind == MC_K_NAMED)
        bind_named(run, decl, type);
    else if (type->kind == MC_K_IREF)
        bind_iref(run, decl, type);
}

void mbr__mc_bind(struct mbr_middlc *run, struct mc_interface *interface)
{
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (!decl->broken)
            mbr__mc_each_type(run, decl, bind_type, NULL);
}

struct mc_decl *mbr__mc_bind_raise(struct mbr_middlc *run, struct mc_interface *interface,
                                   struct mc_raise *raise)
{
    struct mc_interface *searched = interface;
    struct mc_decl *target;

    if (raise->head) {
        searched = head_interface(run, interface, raise->head, raise->pos);
        if (!searched)
            return NULL;
    }
    target = mbr__mc_find_inherited(run, searched, raise->name);
    if (!target) {
        unknown(run, interface, searched, raise->head != NULL, raise->name, raise->pos, true);
        return NULL;
    }
    if (target->broken)
        return NULL;
    if (target->kind != MC_D_EXCEPTION) {
        struct mc_diag *diag =
            mbr__mc_error(run, interface->file, raise->pos, "'%s' is %s, not an exception",
                          raise->name->text, kind_text(target));
        mbr__mc_note(run, diag, target->interface->file, target->pos, "declared here");
        return NULL;
    }
    return target;
}
