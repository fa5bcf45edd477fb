/* SPDX-License-Identifier: MIT */
/*
 * A beginning for whoever implements an interface: it compiles, every method is there, takes its
 * state out of the closure and answers with zeros. What a method is to do stands above it in the
 * interface's own words.
 */
#include <string.h>

#include "middl/write.h"

static void put_zero(struct mbr__strbuf *out, const struct mc_type *type)
{
    if (type->flags & MBR_TYPE_LARGE) {
        mbr__strbuf_puts(out, "NULL");
        return;
    }
    mbr__strbuf_putc(out, '(');
    mbr__mc_put_ctype(out, type);
    mbr__strbuf_puts(out, ")0");
}

static void put_arg(struct mbr__strbuf *out, const struct mc_member *arg)
{
    const struct mc_type *type = arg->type;

    if (arg->mode == MBR_PARAM_IN || arg->mode == MBR_PARAM_IN_OUT) {
        mbr__strbuf_printf(out, "    (void)%s;\n", arg->cname);
    } else if (type->flags & MBR_TYPE_LARGE) {
        mbr__strbuf_printf(out, "    memset(%s, 0, sizeof(", arg->cname);
        mbr__mc_put_ctype(out, type);
        mbr__strbuf_puts(out, "));\n");
    } else {
        mbr__strbuf_printf(out, "    *%s = ", arg->cname);
        put_zero(out, type);
        mbr__strbuf_puts(out, ";\n");
    }
}

static bool has_param(const struct mc_decl *decl, const char *name)
{
    const struct mc_member *param;

    for (param = decl->args; param; param = param->next)
        if (strcmp(param->cname, name) == 0)
            return true;
    for (param = decl->results; param; param = param->next)
        if (strcmp(param->cname, name) == 0)
            return true;
    return false;
}

static void put_body(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    const char *state = !has_param(decl, "state") ? "state" : "mbr_state";

    mbr__strbuf_printf(out,
                       "{\n    struct state *%s = (struct state *)self->st;\n\n"
                       "    (void)%s;\n",
                       state, state);
    for (const struct mc_member *arg = decl->args; arg; arg = arg->next)
        put_arg(out, arg);
    for (const struct mc_member *result = decl->results ? decl->results->next : NULL; result;
         result = result->next) {
        mbr__strbuf_printf(out, "    *%s = ", result->cname);
        put_zero(out, result->type);
        mbr__strbuf_puts(out, ";\n");
    }
    if (decl->no_return)
        mbr__strbuf_puts(out, "    abort();\n");
    if (decl->results) {
        mbr__strbuf_puts(out, "    return ");
        put_zero(out, decl->results->type);
        mbr__strbuf_puts(out, ";\n");
    }
    mbr__strbuf_puts(out, "}\n\n");
}

static void put_raises(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    if (!decl->n_raises)
        return;
    mbr__strbuf_puts(out, "/* May raise");
    for (const struct mc_raise *raise = decl->raises; raise; raise = raise->next)
        if (!raise->repeated) {
            const char *name = raise->target->interface->name->text;

            mbr__mc_space(out, strlen(name) + raise->name->length + 4, 3);
            mbr__strbuf_printf(out, "%s.%s%s", name, raise->name->text, raise->next ? "," : "");
        }
    mbr__strbuf_puts(out, ". */\n");
}

static void put_method(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    const struct mc_file *file = decl->interface->file;
    size_t column;

    if (mbr__mc_put_c_comment(out, file, mbr__mc_doc(decl), 0))
        mbr__strbuf_putc(out, '\n');
    put_raises(out, decl);
    if (decl->no_return)
        mbr__strbuf_puts(out, "MBR_NORETURN ");
    mbr__strbuf_puts(out, "static ");
    mbr__mc_put_return(out, decl);
    if (out->length && out->data[out->length - 1] != '*')
        mbr__strbuf_putc(out, ' ');
    mbr__strbuf_printf(out, "do_%s(", decl->name->text);
    column = mbr__mc_column(out);
    mbr__strbuf_printf(out, "%s_clp self", decl->interface->name->text);
    mbr__mc_put_params(out, decl, column);
    mbr__strbuf_puts(out, ")\n");
    put_body(out, decl);
}

static void put_maker(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const char *name = interface->name->text;

    mbr__strbuf_printf(out,
                       "%s_clp new_%s(void);\n\n"
                       "/* A new %s, or NULL without memory. */\n"
                       "%s_clp new_%s(void)\n"
                       "{\n"
                       "    struct state *state = (struct state *)calloc(1, sizeof *state);\n\n"
                       "    if (!state)\n"
                       "        return NULL;\n"
                       "    state->closure.op = &ops;\n"
                       "    state->closure.st = state;\n"
                       "    return &state->closure;\n"
                       "}\n",
                       name, name, name, name, name);
}

void mbr__mc_write_skeleton(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const struct mc_interface *chain[MC_MAX_CHAIN + 1];
    uint32_t count = mbr__mc_chain(interface, chain);
    const char *name = interface->name->text;

    mbr__strbuf_printf(
        out,
        "/* An implementation of interface %s, begun by middlc from %s. It is yours. "
        "*/\n#include <stdlib.h>\n#include <string.h>\n\n#include \"%s.h\"\n\n",
        name, mbr__mc_file_name(interface), name);
    mbr__strbuf_printf(out, "struct state {\n    %s_cl closure; /* what callers hold */\n};\n\n",
                       name);
    for (uint32_t i = 0; i < count; i++)
        for (const struct mc_decl *decl = chain[i]->decls; decl; decl = decl->next)
            if (mbr__mc_is_op(decl))
                put_method(out, decl);
    mbr__strbuf_printf(out, "/* In the order of the table. */\nstatic const %s_op ops = {\n", name);
    for (uint32_t i = 0; i < count; i++)
        for (const struct mc_decl *decl = chain[i]->decls; decl; decl = decl->next)
            if (mbr__mc_is_op(decl))
                mbr__strbuf_printf(out, "    do_%s,\n", decl->name->text);
    if (interface->first_op + interface->n_ops == 0)
        mbr__strbuf_puts(out, "    0,\n");
    mbr__strbuf_puts(out, "};\n\n");
    put_maker(out, interface);
}
