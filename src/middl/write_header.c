/* SPDX-License-Identifier: MIT */
/*
 * The C header of an interface. It includes the headers of those interfaces whose types it uses,
 * and only declares the closures of the others, so headers of interfaces that need each other can
 * be included in any order.
 */
#include <string.h>

#include "middl/write.h"

/* --- Types ------------------------------------------------------------------------------------ */

/* A comment beside a member or value, or above it when it is long or came before it. */
static void put_member_comment(struct mbr__strbuf *out, const struct mc_file *file,
                               const struct mc_member *member)
{
    const struct mc_comment *comment;

    if (!member->after)
        return;
    comment = &file->comments[member->after - 1];
    if (comment->length == 0)
        return;
    mbr__strbuf_puts(out, " /* ");
    mbr__mc_put_escaped(out, comment->text, comment->length, MC_ESCAPE_C);
    mbr__strbuf_puts(out, " */");
}

/* Comments that stand before a member are marked taken, which is for declarations. */
static void put_comments_above(struct mbr__strbuf *out, const struct mc_file *file,
                               struct mc_comments range, size_t indent)
{
    for (uint32_t i = range.first; i < range.end; i++) {
        const struct mc_comment *comment = &file->comments[i];

        if (comment->length == 0)
            continue;
        mbr__mc_newline(out, indent);
        mbr__strbuf_puts(out, "/* ");
        mbr__mc_put_escaped(out, comment->text, comment->length, MC_ESCAPE_C);
        mbr__strbuf_puts(out, " */");
    }
}

static void put_fields(struct mbr__strbuf *out, const struct mc_file *file,
                       const struct mc_member *members, size_t indent)
{
    for (const struct mc_member *member = members; member; member = member->next) {
        put_comments_above(out, file, member->before, indent);
        mbr__mc_newline(out, indent);
        mbr__mc_put_declarator(out, member->type, member->cname);
        mbr__strbuf_putc(out, ';');
        put_member_comment(out, file, member);
    }
    if (!members) {
        mbr__mc_newline(out, indent);
        mbr__strbuf_puts(out, "char empty_; /* C has no empty structs */");
    }
}

static void put_values(struct mbr__strbuf *out, const struct mc_file *file,
                       const struct mc_type *type)
{
    mbr__mc_put(out, "typedef enum %s {", type->cname);
    for (const struct mc_member *value = type->members; value; value = value->next) {
        put_comments_above(out, file, value->before, 4);
        mbr__mc_newline(out, 4);
        mbr__mc_put(out, "%s = %u%s", value->cname, value->value, value->next ? "," : "");
        put_member_comment(out, file, value);
    }
    mbr__mc_put(out, "\n} %s;\n", type->cname);
}

static void put_struct(struct mbr__strbuf *out, const struct mc_file *file,
                       const struct mc_type *type)
{
    mbr__mc_put(out, "typedef struct %s {", type->cname);
    if (type->kind == MC_K_RECORD) {
        put_fields(out, file, type->members, 4);
    } else if (type->kind == MC_K_CHOICE) {
        mbr__mc_newline(out, 4);
        mbr__mc_put_declarator(out, type->base, "tag");
        mbr__strbuf_puts(out, ";\n    union {");
        put_fields(out, file, type->members, 8);
        mbr__strbuf_puts(out, "\n    } u;");
    } else {
        mbr__strbuf_puts(out, "\n    uint32_t len;\n    uint32_t blen;\n    ");
        mbr__mc_put_declarator(out, type->base, "*data");
        mbr__strbuf_puts(out, ";\n    ");
        mbr__mc_put_declarator(out, type->base, "*base");
        mbr__strbuf_puts(out, ";");
    }
    mbr__mc_put(out, "\n} %s;\n", type->cname);
}

/* Defines TYPE under its C name, if it needs a definition. */
static void define(struct mbr__strbuf *out, const struct mc_file *file, const struct mc_type *type)
{
    if (type->kind == MC_K_ENUM) {
        put_values(out, file, type);
    } else if (type->kind == MC_K_RECORD || type->kind == MC_K_CHOICE ||
               type->kind == MC_K_SEQUENCE) {
        put_struct(out, file, type);
    } else if (type->kind == MC_K_ARRAY) {
        mbr__strbuf_puts(out, "typedef ");
        mbr__mc_put_array(out, type);
        mbr__strbuf_puts(out, ";\n");
    }
}

/* What stands inside TYPE and has no name in MIDDL, inner ones first. */
static void define_parts(struct mbr__strbuf *out, const struct mc_file *file,
                         const struct mc_type *type);

static void define_part(struct mbr__strbuf *out, const struct mc_file *file,
                        const struct mc_type *type)
{
    define_parts(out, file, type);
    if (type->kind >= MC_K_ENUM && !type->in_place) {
        define(out, file, type);
        mbr__strbuf_putc(out, '\n');
    }
}

static void define_parts(struct mbr__strbuf *out, const struct mc_file *file,
                         const struct mc_type *type)
{
    if (type->base)
        define_part(out, file, type->base);
    if (type->kind == MC_K_RECORD || type->kind == MC_K_CHOICE)
        for (const struct mc_member *member = type->members; member; member = member->next)
            if (!member->grouped)
                define_part(out, file, member->type);
}

static void define_member_parts(struct mbr__strbuf *out, const struct mc_file *file,
                                const struct mc_member *members)
{
    for (const struct mc_member *member = members; member; member = member->next)
        if (!member->grouped)
            define_part(out, file, member->type);
}

/* The comment above a declaration, then the one beside it. */
static void put_doc(struct mbr__strbuf *out, const struct mc_file *file, const struct mc_decl *decl)
{
    const struct mc_comment *beside = decl->after ? &file->comments[decl->after - 1] : NULL;

    if (mbr__mc_put_c_comment(out, file, mbr__mc_doc(decl), 0))
        mbr__strbuf_putc(out, '\n');
    if (!beside || beside->length == 0)
        return;
    mbr__strbuf_puts(out, "/* ");
    mbr__mc_put_escaped(out, beside->text, beside->length, MC_ESCAPE_C);
    mbr__strbuf_puts(out, " */\n");
}

static void put_code(struct mbr__strbuf *out, const char *name, uint64_t code)
{
    mbr__mc_put(out, "#define CODE_%s UINT64_C(0x%016llx)\n", name, (unsigned long long)code);
}

static void put_type_decl(struct mbr__strbuf *out, const struct mc_file *file,
                          const struct mc_decl *decl)
{
    const struct mc_type *type = decl->type;

    define_parts(out, file, type);
    put_doc(out, file, decl);
    if (type->kind >= MC_K_ENUM && type->kind != MC_K_SET && type->kind != MC_K_REF) {
        define(out, file, type);
    } else {
        mbr__strbuf_puts(out, "typedef ");
        mbr__mc_put_declarator(out, type, decl->cname);
        mbr__strbuf_putc(out, ';');
        if (type->kind == MC_K_SET) {
            mbr__strbuf_puts(out, " /* a bit for each ");
            mbr__mc_put_ctype(out, type->base);
            mbr__strbuf_puts(out, " */");
        }
        mbr__strbuf_putc(out, '\n');
    }
    put_code(out, decl->cname, decl->interface->code | decl->index);
    mbr__strbuf_putc(out, '\n');
}

/* --- Exceptions ------------------------------------------------------------------------------- */

/* The parameters of the function that raises: large ones by pointer. */
static void put_exn_params(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    for (const struct mc_member *arg = decl->args; arg; arg = arg->next) {
        bool large = arg->type->flags & MBR_TYPE_LARGE;

        mbr__strbuf_puts(out, ",\n    ");
        if (mbr__mc_points_to_const(arg->type))
            mbr__strbuf_puts(out, "const ");
        if (large && arg->type->in_place)
            mbr__mc_put_declarator(out, arg->type, arg->cname);
        else {
            mbr__mc_put_ctype(out, arg->type);
            if (large && mbr__mc_real(arg->type)->kind != MC_K_ARRAY)
                mbr__mc_put(out, " *%s", arg->cname);
            else
                mbr__mc_put(out, "%s%s", out->data && out->data[out->length - 1] == '*' ? "" : " ",
                            arg->cname);
        }
    }
}

static void put_exn_fill(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    mbr__mc_put(out, "    %s_Args mbr_args;\n\n", decl->cname);
    for (const struct mc_member *arg = decl->args; arg; arg = arg->next) {
        if (mbr__mc_real(arg->type)->kind == MC_K_ARRAY)
            mbr__mc_put(out, "    memcpy(mbr_args.%s, %s, sizeof mbr_args.%s);\n", arg->cname,
                        arg->cname, arg->cname);
        else
            mbr__mc_put(out, "    mbr_args.%s = %s%s;\n", arg->cname,
                        arg->type->flags & MBR_TYPE_LARGE ? "*" : "", arg->cname);
    }
}

static void put_exception(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    const struct mc_file *file = decl->interface->file;
    const char *name = decl->cname;

    define_member_parts(out, file, decl->args);
    put_doc(out, file, decl);
    mbr__mc_put(out, "#define %s_ID \"%s$%s\"\n", name, decl->interface->name->text,
                decl->name->text);
    if (!decl->args) {
        mbr__mc_put(out,
                    "#define RAISE_%s() \\\n"
                    "    mbr_exn_raise(%s_ID, NULL, 0, __FILE__, __LINE__, __func__)\n\n",
                    name, name);
        return;
    }
    mbr__mc_put(out, "typedef struct %s_Args {", name);
    put_fields(out, file, decl->args, 4);
    mbr__mc_put(out, "\n} %s_Args;\n\n", name);
    mbr__mc_put(out,
                "MBR_NORETURN static inline void mbr_raise_%s(\n"
                "    const char *mbr_file, uint32_t mbr_line, const char *mbr_func",
                name);
    put_exn_params(out, decl);
    mbr__strbuf_puts(out, ")\n{\n");
    put_exn_fill(out, decl);
    mbr__mc_put(out,
                "    mbr_exn_raise(%s_ID, &mbr_args, sizeof mbr_args, mbr_file, mbr_line,\n"
                "                  mbr_func);\n}\n",
                name);
    mbr__mc_put(out,
                "#define RAISE_%s(...) \\\n"
                "    mbr_raise_%s(__FILE__, __LINE__, __func__, __VA_ARGS__)\n\n",
                name, name);
}

/* --- Methods ---------------------------------------------------------------------------------- */

static void put_slot(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    size_t start;

    mbr__strbuf_puts(out, "    ");
    start = out->length;
    mbr__mc_put_return(out, decl);
    if (out->length > start && out->data[out->length - 1] != '*')
        mbr__strbuf_putc(out, ' ');
    mbr__mc_put(out, "(*%s)(", decl->slot);
    start = mbr__mc_column(out);
    mbr__mc_put(out, "struct %s_cl *self", decl->interface->name->text);
    mbr__mc_put_params(out, decl, start);
    mbr__strbuf_puts(out, ");\n");
}

static void put_table(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const struct mc_interface *chain[MC_MAX_CHAIN + 1];
    uint32_t count = mbr__mc_chain(interface, chain);
    const char *name = interface->name->text;

    mbr__mc_put(out, "/* The methods of %s; an implementation fills in all of them. */\n", name);
    mbr__mc_put(out, "struct %s_op {\n", name);
    if (interface->first_op + interface->n_ops == 0)
        mbr__strbuf_puts(out, "    char empty_; /* C has no empty structs */\n");
    for (uint32_t i = 0; i < count; i++) {
        if (chain[i]->n_ops && i + 1 < count)
            mbr__mc_put(out, "    /* of %s */\n", chain[i]->name->text);
        else if (chain[i]->n_ops && interface->first_op)
            mbr__strbuf_puts(out, "    /* own */\n");
        for (const struct mc_decl *decl = chain[i]->decls; decl; decl = decl->next)
            if (mbr__mc_is_op(decl))
                put_slot(out, decl);
    }
    mbr__strbuf_puts(out, "};\n\n");
    mbr__mc_put(out,
                "struct %s_cl {\n"
                "    const %s_op *op;\n"
                "    void *st;\n"
                "};\n\n",
                name, name);
}

static void put_upcasts(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const char *name = interface->name->text;

    for (const struct mc_interface *up = interface->super; up; up = up->super)
        mbr__mc_put(out,
                    "static inline %s_clp %s_as_%s(%s_clp self)\n"
                    "{\n"
                    "    return (%s_clp)mbr_upcast(self);\n"
                    "}\n\n",
                    up->name->text, name, up->name->text, name, up->name->text);
}

/* The function by which DECL, own or inherited, is called on INTERFACE. */
static void put_call(struct mbr__strbuf *out, const struct mc_interface *interface,
                     const struct mc_decl *decl)
{
    const char *name = interface->name->text;
    bool inherited = decl->interface != interface;
    size_t column;

    if (decl->no_return)
        mbr__strbuf_puts(out, "MBR_NORETURN ");
    mbr__strbuf_puts(out, "static inline ");
    mbr__mc_put_return(out, decl);
    if (out->length && out->data[out->length - 1] != '*')
        mbr__strbuf_putc(out, ' ');
    mbr__mc_put(out, "%s_%s(", name, decl->name->text);
    column = mbr__mc_column(out);
    mbr__mc_put(out, "%s_clp self", name);
    mbr__mc_put_params(out, decl, column);
    mbr__strbuf_puts(out, ")\n{\n    ");
    if (decl->results)
        mbr__strbuf_puts(out, "return ");
    mbr__mc_put(out, "self->op->%s(", decl->slot);
    column = mbr__mc_column(out);
    if (inherited)
        mbr__mc_put(out, "%s_as_%s(self)", name, decl->interface->name->text);
    else
        mbr__strbuf_puts(out, "self");
    mbr__mc_put_names(out, decl, column);
    mbr__strbuf_puts(out, decl->no_return ? ");\n    abort();\n}\n\n" : ");\n}\n\n");
}

static void put_calls(struct mbr__strbuf *out, const struct mbr_middlc *run,
                      const struct mc_interface *interface)
{
    const struct mc_interface *chain[MC_MAX_CHAIN + 1];
    uint32_t count = mbr__mc_chain(interface, chain);

    for (uint32_t i = 0; i < count; i++) {
        if (chain[i]->n_ops && i + 1 < count)
            mbr__mc_put(out, "/* Inherited from %s. */\n\n", chain[i]->name->text);
        for (const struct mc_decl *decl = chain[i]->decls; decl; decl = decl->next) {
            if (!mbr__mc_is_op(decl))
                continue;
            if (chain[i] == interface)
                put_doc(out, interface->file, decl);
            else if (mbr__mc_find_decl(run, interface, decl->name))
                continue; /* its C name is that of something declared here */
            put_call(out, interface, decl);
        }
    }
}

static void put_dollars(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const struct mc_interface *chain[MC_MAX_CHAIN + 1];
    uint32_t count = mbr__mc_chain(interface, chain);
    const char *name = interface->name->text;

    mbr__strbuf_puts(out, "/* The original spelling, for compilers that allow '$' in names. */\n");
    for (uint32_t i = 0; i < count; i++)
        for (const struct mc_decl *decl = chain[i]->decls; decl; decl = decl->next) {
            const char *own = decl->name->text;

            if (mbr__mc_is_op(decl) || (chain[i] == interface && decl->kind == MC_D_TYPE))
                mbr__mc_put(out, "#define %s$%s %s_%s\n", name, own, name, own);
            else if (chain[i] == interface)
                mbr__mc_put(out,
                            "#define %s$%s_ID %s_%s_ID\n"
                            "#define %s$%s_Args %s_%s_Args\n"
                            "#define RAISE_%s$%s RAISE_%s_%s\n",
                            name, own, name, own, name, own, name, own, name, own, name, own);
        }
    mbr__strbuf_putc(out, '\n');
}

/* --- The file --------------------------------------------------------------------------------- */

static void put_head(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const char *name = interface->name->text;

    mbr__mc_put(out, "/* Interface %s: C header made by middlc from %s. Do not edit. */\n", name,
                mbr__mc_file_name(interface));
    if (mbr__mc_put_c_comment(out, interface->file, interface->before, 0))
        mbr__strbuf_putc(out, '\n');
    mbr__mc_put(out, "#ifndef MIDDL_%s_H\n#define MIDDL_%s_H\n\n", name, name);
}

/* True if an exception has an array to be copied. */
static bool copies_arrays(const struct mc_interface *interface)
{
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (decl->kind == MC_D_EXCEPTION)
            for (const struct mc_member *arg = decl->args; arg; arg = arg->next)
                if (mbr__mc_real(arg->type)->kind == MC_K_ARRAY)
                    return true;
    return false;
}

static void put_includes(struct mbr__strbuf *out, const struct mbr_middlc *run,
                         const struct mc_interface *interface)
{
    const uint64_t *row = run->uses + interface->number * run->reach_words;

    if (copies_arrays(interface))
        mbr__strbuf_puts(out, "#include <string.h>\n\n");
    mbr__strbuf_puts(out, "#include <membrane/exn.h>\n#include <membrane/middl.h>\n\n");
    for (const struct mc_interface *i = run->interfaces; i; i = i->next)
        if (mbr__mc_has_bit(row, i->number))
            mbr__mc_put(out, "#include \"%s.h\"\n", i->name->text);
    mbr__strbuf_puts(out, "\nMBR_BEGIN_DECLS\n\n");
}

static void put_need_line(struct mbr__strbuf *out, const struct mc_need *need,
                          const struct mc_comment *comment)
{
    if (comment->length == 0)
        return;
    mbr__mc_put(out, "/* %s %s: ", need->extends ? "EXTENDS" : "NEEDS", need->name->text);
    mbr__mc_put_escaped(out, comment->text, comment->length, MC_ESCAPE_C);
    mbr__strbuf_puts(out, " */\n");
}

/* What the head of the interface says, at EXTENDS, at NEEDS and before BEGIN. */
static void put_head_comments(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const struct mc_file *file = interface->file;

    for (const struct mc_need *need = interface->needs; need; need = need->next) {
        for (uint32_t i = need->before.first; i < need->before.end; i++)
            put_need_line(out, need, &file->comments[i]);
        if (need->after)
            put_need_line(out, need, &file->comments[need->after - 1]);
    }
    if (mbr__mc_put_c_comment(out, file, interface->begin, 0))
        mbr__strbuf_putc(out, '\n');
}

/* Declares the closures that TYPE refers to, each once. */
static void put_forward(struct mbr__strbuf *out, const struct mc_type *type, uint64_t *declared)
{
    if (type->base)
        put_forward(out, type->base, declared);
    if (type->kind == MC_K_RECORD || type->kind == MC_K_CHOICE)
        for (const struct mc_member *member = type->members; member; member = member->next)
            if (!member->grouped)
                put_forward(out, member->type, declared);
    if (type->kind != MC_K_IREF || mbr__mc_has_bit(declared, type->interface->number))
        return;
    mbr__mc_set_bit(declared, type->interface->number);
    mbr__mc_put(out, "struct %s_cl;\n", type->name->text);
}

static void put_closures(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    uint64_t declared[MC_MAX_INTERFACES / 64] = {0};
    const char *name = interface->name->text;

    mbr__mc_set_bit(declared, interface->number);
    mbr__mc_put(out,
                "typedef struct %s_op %s_op;\n"
                "typedef struct %s_cl %s_cl;\n"
                "typedef struct %s_cl *%s_clp;\n",
                name, name, name, name, name, name);
    for (const struct mc_interface *up = interface; up; up = up->super)
        for (const struct mc_decl *decl = up->decls; decl; decl = decl->next) {
            if (decl->type)
                put_forward(out, decl->type, declared);
            for (const struct mc_member *arg = decl->args; arg; arg = arg->next)
                put_forward(out, arg->type, declared);
            for (const struct mc_member *result = decl->results; result; result = result->next)
                put_forward(out, result->type, declared);
        }
    mbr__mc_put(out,
                "\n/* Describes this interface at run time. */\n"
                "extern const struct mbr_intf_record %s_intf;\n",
                name);
    put_code(out, name, interface->code);
    mbr__strbuf_putc(out, '\n');
}

void mbr__mc_write_header(struct mbr__strbuf *out, const struct mbr_middlc *run,
                          const struct mc_interface *interface, bool dollar)
{
    const struct mc_file *file = interface->file;

    put_head(out, interface);
    put_includes(out, run, interface);
    put_head_comments(out, interface);
    put_closures(out, interface);
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        if (decl->kind == MC_D_TYPE) {
            put_type_decl(out, file, decl);
        } else if (decl->kind == MC_D_EXCEPTION) {
            put_exception(out, decl);
        } else {
            define_member_parts(out, file, decl->args);
            define_member_parts(out, file, decl->results);
        }
    }
    put_table(out, interface);
    put_upcasts(out, interface);
    put_calls(out, run, interface);
    if (dollar)
        put_dollars(out, interface);
    if (mbr__mc_put_c_comment(out, file, interface->end, 0))
        mbr__strbuf_puts(out, "\n\n");
    mbr__strbuf_puts(out, "MBR_END_DECLS\n\n#endif\n");
}
