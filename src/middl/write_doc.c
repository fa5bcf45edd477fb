/* SPDX-License-Identifier: MIT */
/*
 * The reference page of an interface, as a manual page (man(7)) and in Markdown: for each
 * declaration its MIDDL text, how it looks in C, and its comment. One walk writes both; what
 * differs is in the small functions at the top.
 */
#include <string.h>

#include "middl/write.h"

struct page {
    struct mbr__strbuf *out;
    const struct mc_interface *interface;
    bool man;
};

static void heading(const struct page *page, const char *title)
{
    mbr__strbuf_printf(page->out, page->man ? ".SH %s\n" : "\n## %s\n", title);
}

static void item(const struct page *page, const char *name)
{
    mbr__strbuf_printf(page->out, page->man ? ".SS %s\n" : "\n### %s\n", name);
}

/* LENGTH bytes of code at TEXT, as they are. */
static void code(const struct page *page, const char *text, size_t length)
{
    mbr__strbuf_puts(page->out, page->man ? ".PP\n.nf\n" : "\n```\n");
    while (length > 0) {
        const char *stop = memchr(text, '\n', length);
        size_t line = stop ? (size_t)(stop - text) : length;

        if (page->man)
            mbr__mc_put_escaped(page->out, text, line, MC_ESCAPE_MAN);
        else
            mbr__strbuf_append(page->out, text, line);
        mbr__strbuf_putc(page->out, '\n');
        text += line + (stop != NULL);
        length -= line + (stop != NULL);
    }
    mbr__strbuf_puts(page->out, page->man ? ".fi\n" : "```\n");
}

/* Comments as paragraphs: an empty one parts them. */
static void prose(const struct page *page, struct mc_comments range, uint32_t after)
{
    const struct mc_file *file = page->interface->file;
    bool inside = false;

    for (uint32_t i = range.first; i < range.end || (after && i == range.end); i++) {
        const struct mc_comment *line = &file->comments[i < range.end ? i : after - 1];

        if (i < range.end && (line->taken || i + 1 == after))
            continue;
        if (line->length == 0) {
            inside = false;
            continue;
        }
        if (!inside)
            mbr__strbuf_puts(page->out, page->man ? ".PP\n" : "\n");
        inside = true;
        mbr__mc_put_escaped(page->out, line->text, line->length,
                            page->man ? MC_ESCAPE_MAN : MC_ESCAPE_MARKDOWN);
        mbr__strbuf_putc(page->out, '\n');
    }
}

/* The C prototype of a method. */
static void prototype(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    size_t column;

    if (decl->no_return)
        mbr__strbuf_puts(out, "MBR_NORETURN ");
    mbr__mc_put_return(out, decl);
    if (out->length && out->data[out->length - 1] != '*')
        mbr__strbuf_putc(out, ' ');
    mbr__strbuf_printf(out, "%s(", decl->cname);
    column = mbr__mc_column(out);
    mbr__strbuf_printf(out, "%s_clp self", decl->interface->name->text);
    mbr__mc_put_params(out, decl, column);
    mbr__strbuf_puts(out, ");\n");
}

static void raise_call(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    mbr__strbuf_printf(out, "RAISE_%s(", decl->cname);
    for (const struct mc_member *arg = decl->args; arg; arg = arg->next)
        mbr__strbuf_printf(out, "%s%s", arg->cname, arg->next ? ", " : "");
    mbr__strbuf_puts(out, ");\n");
}

static void declaration(const struct page *page, const struct mc_decl *decl)
{
    struct mbr__strbuf text;

    item(page, decl->name->text);
    prose(page, mbr__mc_doc(decl), decl->after);
    mbr__strbuf_init(&text, (size_t)64 << 20);
    mbr__mc_put_decl_text(&text, decl);
    if (mbr__mc_is_op(decl))
        prototype(&text, decl);
    else if (decl->kind == MC_D_EXCEPTION)
        raise_call(&text, decl);
    if (mbr__strbuf_error(&text))
        page->out->error = mbr__strbuf_error(&text);
    else
        code(page, mbr__strbuf_text(&text), text.length);
    mbr__strbuf_fini(&text);
}

static void section(const struct page *page, const char *title, unsigned int kinds)
{
    bool any = false;

    for (const struct mc_decl *decl = page->interface->decls; decl; decl = decl->next) {
        if (!(kinds & 1u << decl->kind))
            continue;
        if (!any)
            heading(page, title);
        any = true;
        declaration(page, decl);
    }
}

static void synopsis(const struct page *page)
{
    const struct mc_interface *interface = page->interface;
    struct mbr__strbuf text;

    heading(page, "SYNOPSIS");
    mbr__strbuf_init(&text, (size_t)1 << 20);
    mbr__strbuf_printf(&text, "#include \"%s.h\"\n\n%s : %sINTERFACE\n", interface->name->text,
                       interface->name->text, interface->local ? "LOCAL " : "");
    for (const struct mc_need *need = interface->needs; need; need = need->next)
        if (need->extends)
            mbr__strbuf_printf(&text, "EXTENDS %s\n", need->name->text);
    if (mbr__strbuf_error(&text))
        page->out->error = mbr__strbuf_error(&text);
    else
        code(page, mbr__strbuf_text(&text), text.length);
    mbr__strbuf_fini(&text);
}

static void inherited(const struct page *page)
{
    const struct mc_interface *interface = page->interface;

    if (!interface->first_op)
        return;
    heading(page, "INHERITED METHODS");
    for (const struct mc_interface *up = interface->super; up; up = up->super) {
        if (!up->n_ops)
            continue;
        mbr__strbuf_printf(page->out, page->man ? ".PP\nFrom %s:" : "\nFrom %s:", up->name->text);
        for (const struct mc_decl *decl = up->decls; decl; decl = decl->next)
            if (mbr__mc_is_op(decl))
                mbr__strbuf_printf(page->out, page->man ? "\n%s" : " `%s`", decl->name->text);
        mbr__strbuf_puts(page->out, ".\n");
    }
}

/* The comments above an interface, without the licence. */
static struct mc_comments introduction(const struct mc_interface *interface)
{
    struct mc_comments range = interface->before;

    while (range.first < range.end) {
        const struct mc_comment *line = &interface->file->comments[range.first];

        if (line->length > 0 && (line->length < 5 || strncmp(line->text, "SPDX-", 5) != 0))
            break;
        range.first++;
    }
    return range;
}

static void whole(const struct page *page)
{
    struct mc_comments range = introduction(page->interface);

    synopsis(page);
    if (range.first < range.end) {
        heading(page, "DESCRIPTION");
        prose(page, range, 0);
    }
    section(page, "TYPES", 1u << MC_D_TYPE);
    section(page, "EXCEPTIONS", 1u << MC_D_EXCEPTION);
    section(page, "METHODS", 1u << MC_D_PROC | 1u << MC_D_ANNOUNCEMENT);
    inherited(page);
}

void mbr__mc_write_man(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    struct page page = {out, interface, true};
    struct mc_comments range = introduction(interface);

    mbr__strbuf_printf(out, ".\\\" Made by middlc from %s. Do not edit.\n",
                       mbr__mc_file_name(interface));
    mbr__strbuf_printf(out, ".TH %s 3 \"\" \"\" \"MIDDL interfaces\"\n.SH NAME\n%s \\- ",
                       interface->name->text, interface->name->text);
    if (range.first < range.end)
        mbr__mc_put_escaped(out, interface->file->comments[range.first].text,
                            interface->file->comments[range.first].length, MC_ESCAPE_MAN);
    else
        mbr__strbuf_puts(out, "a MIDDL interface");
    mbr__strbuf_putc(out, '\n');
    whole(&page);
    mbr__strbuf_puts(out, ".SH SEE ALSO\n.BR middlc (1),\n.BR middl (5)\n");
}

void mbr__mc_write_markdown(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    struct page page = {out, interface, false};

    mbr__strbuf_printf(out, "# %s\n", interface->name->text);
    whole(&page);
}
