/* SPDX-License-Identifier: MIT */
/*
 * MIDDL in its one format: what is written is parsed to the same tree, comments included, and
 * written again is the same text. A list stands on one line if it fits and has no comments, else
 * each group of it on a line of its own.
 */
#include <string.h>

#include "middl/tokens.h"
#include "middl/write.h"

struct text {
    struct mbr__strbuf *out;
    const struct mc_file *file;
    uint32_t next;     /* the first comment that is not written yet */
    bool flat;         /* a list is being put on one line, with what is inside it */
    size_t flat_start; /* where that line begins */
};

static void put_name(struct text *text, const struct mc_name *name)
{
    mbr__strbuf_append(text->out, name->text, name->length);
}

static void put_comment(struct text *text, uint32_t index)
{
    const struct mc_comment *comment = &text->file->comments[index];

    mbr__strbuf_puts(text->out, MC_COMMENT);
    if (comment->length) {
        mbr__strbuf_putc(text->out, ' ');
        mbr__mc_put_escaped(text->out, comment->text, comment->length, MC_ESCAPE_MIDDL);
    }
}

/* A comment on a line of its own, at INDENT; it begins where a line begins. */
static void put_comment_line(struct text *text, uint32_t index, size_t indent)
{
    for (size_t i = 0; i < indent; i++)
        mbr__strbuf_putc(text->out, ' ');
    put_comment(text, index);
    mbr__strbuf_putc(text->out, '\n');
}

/* Comments up to END. */
static void put_comments(struct text *text, uint32_t end, size_t indent)
{
    for (; text->next < end; text->next++)
        put_comment_line(text, text->next, indent);
}

/* The same for those that are a member's; the others stand above the declaration already. */
static void put_member_comments(struct text *text, uint32_t end, size_t indent)
{
    for (; text->next < end; text->next++)
        if (text->file->comments[text->next].taken)
            put_comment_line(text, text->next, indent);
}

/* The comment beside what was written last, if there is one. */
static void put_beside(struct text *text, uint32_t after)
{
    if (!after || after - 1 < text->next)
        return;
    mbr__strbuf_putc(text->out, ' ');
    put_comment(text, after - 1);
    text->next = after;
}

static void put_type(struct text *text, const struct mc_type *type, size_t indent);

/* The last member of the group that MEMBER begins. */
static const struct mc_member *group_end(const struct mc_member *member)
{
    while (member->next && member->next->grouped)
        member = member->next;
    return member;
}

/* "IN a, b : T", or "a, b => T", or "a". */
static void put_group(struct text *text, const struct mc_member *first, enum mc_kind kind,
                      size_t indent)
{
    const struct mc_member *last = group_end(first);

    if (first->mode == MBR_PARAM_IN && first->explicit_in)
        mbr__strbuf_puts(text->out, "IN ");
    else if (first->mode == MBR_PARAM_OUT)
        mbr__strbuf_puts(text->out, "OUT ");
    else if (first->mode == MBR_PARAM_IN_OUT)
        mbr__strbuf_puts(text->out, "IN OUT ");
    for (const struct mc_member *member = first;; member = member->next) {
        put_name(text, member->name);
        if (member == last)
            break;
        mbr__strbuf_puts(text->out, ", ");
    }
    if (!first->type)
        return;
    mbr__strbuf_puts(text->out, kind == MC_K_CHOICE ? " => " : " : ");
    put_type(text, first->type, indent);
}

/* True if a comment lies between FIRST and LAST, or beside LAST, and has not been written. */
static bool has_comments(const struct mc_member *members)
{
    for (const struct mc_member *member = members; member; member = member->next) {
        const struct mc_type *type = member->type;

        if (member->before.first < member->before.end || member->after)
            return true;
        if (type && !member->grouped &&
            (has_comments(type->members) || (type->base && has_comments(type->base->members))))
            return true;
    }
    return false;
}

static void put_rows(struct text *text, const struct mc_member *members, enum mc_kind kind,
                     size_t indent)
{
    const struct mc_member *last;

    for (const struct mc_member *first = members; first; first = last->next) {
        uint32_t after;

        last = group_end(first);
        mbr__strbuf_putc(text->out, '\n');
        for (const struct mc_member *member = first; member != last->next; member = member->next)
            put_member_comments(text, member->before.end, indent);
        for (size_t i = 0; i < indent; i++)
            mbr__strbuf_putc(text->out, ' ');
        put_group(text, first, kind, indent);
        if (last->next)
            mbr__strbuf_putc(text->out, ',');
        after = last->after;
        for (const struct mc_member *member = first; member != last; member = member->next)
            if (member->after > after)
                after = member->after;
        put_beside(text, after);
    }
}

/* The list on one line, or, when that is too long, some of it. */
static void put_flat(struct text *text, const struct mc_member *members, enum mc_kind kind,
                     const char *brackets)
{
    const struct mc_member *last;

    mbr__strbuf_putc(text->out, ' ');
    for (const struct mc_member *first = members; first; first = last->next) {
        put_group(text, first, kind, 0);
        last = group_end(first);
        mbr__strbuf_puts(text->out, last->next ? ", " : " ");
        if (text->out->length - text->flat_start > MC_WIDTH)
            return;
    }
    mbr__strbuf_putc(text->out, brackets[1]);
}

/* Tries to put the list on one line, with TAIL columns to spare; takes it back if it is too long.
 */
static bool try_flat(struct text *text, const struct mc_member *members, enum mc_kind kind,
                     const char *brackets, size_t tail)
{
    struct mbr__strbuf *out = text->out;
    size_t start = out->length;

    text->flat = true;
    text->flat_start = start - mbr__mc_column(out);
    put_flat(text, members, kind, brackets);
    text->flat = false;
    if (mbr__strbuf_error(out) || out->length - text->flat_start + tail <= MC_WIDTH)
        return true;
    out->length = start;
    out->data[start] = '\0';
    return false;
}

/*
 * A list between BRACKETS; on one line if nothing is against it. Inside a line that is being tried
 * nothing else is tried, so that the work does not double with each level.
 */
static void put_list(struct text *text, const struct mc_member *members, enum mc_kind kind,
                     const char *brackets, size_t indent, size_t tail)
{
    struct mbr__strbuf *out = text->out;

    mbr__strbuf_putc(out, brackets[0]);
    if (!members) {
        mbr__strbuf_putc(out, brackets[1]);
        return;
    }
    if (text->flat) {
        put_flat(text, members, kind, brackets);
        return;
    }
    if (!has_comments(members) && try_flat(text, members, kind, brackets, tail))
        return;
    put_rows(text, members, kind, indent + 2);
    mbr__mc_newline(out, indent);
    mbr__strbuf_putc(out, brackets[1]);
}

static void put_type(struct text *text, const struct mc_type *type, size_t indent)
{
    struct mbr__strbuf *out = text->out;

    switch (type->kind) {
    case MC_K_PREDEFINED:
        mbr__strbuf_printf(out, "%s%s", type->dangerous ? "DANGEROUS " : "",
                           mbr__mc_predefined_text(type->predefined));
        return;
    case MC_K_IREF:
        mbr__strbuf_puts(out, "IREF ");
        put_name(text, type->name);
        return;
    case MC_K_ENUM:
        put_list(text, type->members, type->kind, "{}", indent, 1);
        return;
    case MC_K_RECORD:
        mbr__strbuf_puts(out, "RECORD ");
        put_list(text, type->members, type->kind, "[]", indent, 1);
        return;
    case MC_K_CHOICE:
        mbr__strbuf_puts(out, "CHOICE ");
        put_type(text, type->base, indent);
        mbr__strbuf_puts(out, " OF ");
        put_list(text, type->members, type->kind, "{}", indent, 1);
        return;
    case MC_K_ARRAY:
        mbr__strbuf_printf(out, "ARRAY %u OF ", type->count);
        put_type(text, type->base, indent);
        return;
    case MC_K_SEQUENCE:
    case MC_K_SET:
    case MC_K_REF:
        mbr__strbuf_puts(out, type->kind == MC_K_SEQUENCE ? "SEQUENCE OF "
                              : type->kind == MC_K_SET    ? "SET OF "
                                                          : "REF ");
        put_type(text, type->base, indent);
        return;
    default: /* a name, whether it could be found or not */
        if (type->head) {
            put_name(text, type->head);
            mbr__strbuf_putc(out, '.');
        }
        put_name(text, type->name);
        return;
    }
}

static void put_raises(struct text *text, const struct mc_decl *decl, size_t indent)
{
    mbr__mc_newline(text->out, indent);
    mbr__strbuf_puts(text->out, "RAISES");
    for (const struct mc_raise *raise = decl->raises; raise; raise = raise->next) {
        size_t length = raise->name->length + (raise->head ? raise->head->length + 1 : 0) + 1;

        mbr__mc_space(text->out, length, indent + 7);
        if (raise->head) {
            put_name(text, raise->head);
            mbr__strbuf_putc(text->out, '.');
        }
        put_name(text, raise->name);
        if (raise->next)
            mbr__strbuf_putc(text->out, ',');
    }
}

/* The declaration itself, up to its ';'; its first line stands at INDENT already. */
static void put_statement(struct text *text, const struct mc_decl *decl, size_t indent)
{
    static const char *const kinds[] = {"TYPE = ", "EXCEPTION ", "PROC ", "ANNOUNCEMENT "};
    struct mbr__strbuf *out = text->out;

    put_name(text, decl->name);
    mbr__strbuf_printf(out, " : %s", kinds[decl->kind]);
    if (decl->kind == MC_D_TYPE)
        put_type(text, decl->type, indent);
    else
        put_list(text, decl->args, MC_K_RECORD, "[]", indent, 1);
    if (decl->no_return) {
        mbr__mc_newline(out, indent + 2);
        mbr__strbuf_puts(out, "NEVER RETURNS");
    } else if (decl->kind == MC_D_PROC) {
        mbr__mc_newline(out, indent + 2);
        mbr__strbuf_puts(out, "RETURNS ");
        put_list(text, decl->results, MC_K_RECORD, "[]", indent + 2, 1);
    }
    if (decl->raises)
        put_raises(text, decl, indent + 2);
    mbr__strbuf_putc(out, ';');
}

static void put_decl(struct text *text, const struct mc_decl *decl)
{
    struct mbr__strbuf *out = text->out;

    put_comments(text, decl->before.end, 2);
    for (uint32_t i = text->next; i < decl->comments_end; i++)
        if (!text->file->comments[i].taken)
            put_comment_line(text, i, 2);
    mbr__strbuf_puts(out, "  ");
    put_statement(text, decl, 2);
    put_beside(text, decl->after);
    mbr__strbuf_putc(out, '\n');
    if (text->next < decl->comments_end)
        text->next = decl->comments_end;
}

void mbr__mc_put_decl_text(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    struct text text = {.out = out, .file = decl->interface->file, .next = decl->before.end};

    put_statement(&text, decl, 0);
    mbr__strbuf_putc(out, '\n');
}

/* True if DECL will have a comment above: its own, or one from where none can stand. */
static bool has_above(const struct text *text, const struct mc_decl *decl)
{
    if (text->next < decl->before.end)
        return true;
    for (uint32_t i = text->next; i < decl->comments_end; i++)
        if (!text->file->comments[i].taken)
            return true;
    return false;
}

/* A blank line in front of a declaration with a comment above, and between kinds. */
static bool wants_gap(const struct text *text, const struct mc_decl *last,
                      const struct mc_decl *decl)
{
    return !last || last->kind != decl->kind || mbr__mc_is_op(decl) || has_above(text, decl);
}

static void put_head(struct text *text, const struct mc_interface *interface)
{
    struct mbr__strbuf *out = text->out;

    put_comments(text, interface->before.end, 0);
    put_name(text, interface->name);
    mbr__strbuf_puts(out, interface->local ? " : LOCAL INTERFACE =\n" : " : INTERFACE =\n");
    for (const struct mc_need *need = interface->needs; need; need = need->next) {
        put_comments(text, need->after ? need->after - 1 : need->before.end, 2);
        mbr__strbuf_puts(out, need->extends ? "  EXTENDS " : "  NEEDS ");
        put_name(text, need->name);
        mbr__strbuf_putc(out, ';');
        put_beside(text, need->after);
        mbr__strbuf_putc(out, '\n');
    }
    put_comments(text, interface->begin.end, 2);
    mbr__strbuf_puts(out, "BEGIN\n");
}

void mbr__mc_write_text(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    struct text text = {.out = out, .file = interface->file};
    const struct mc_decl *last = NULL;

    put_head(&text, interface);
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        if (wants_gap(&text, last, decl))
            mbr__strbuf_putc(out, '\n');
        put_decl(&text, decl);
        last = decl;
    }
    mbr__strbuf_putc(out, '\n');
    put_comments(&text, interface->end.end, 2);
    mbr__strbuf_puts(out, "END.\n");
    put_comments(&text, text.file->n_comments, 0);
}
