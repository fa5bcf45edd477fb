/* SPDX-License-Identifier: MIT */
/*
 * The type records of an interface, as C source: tables from the inside out, then the record that
 * holds them together. Initialisers are in the order of membrane/middl.h, so that the file is C++
 * as well.
 */
#include "middl/write.h"

static void put_code(struct mbr__strbuf *out, uint64_t code)
{
    if (code <= MBR_CODE_LAST_PREDEFINED)
        mbr__mc_put(out, "%u", (unsigned int)code);
    else
        mbr__mc_put(out, "UINT64_C(0x%016llx)", (unsigned long long)code);
}

/* A row for each of MEMBERS of the struct STRUCTURE; in a choice all lie in the union u. */
static void put_members(struct mbr__strbuf *out, const struct mc_interface *interface,
                        const struct mc_member *members, const char *structure, const char *suffix,
                        enum mc_kind kind)
{
    mbr__mc_put(out, "static const struct mbr_member_record mbr_members_%s[] = {\n", structure);
    for (const struct mc_member *member = members; member; member = member->next) {
        mbr__mc_put(out, "    {\"%s\", ", member->name->text);
        put_code(out, member->type ? mbr__mc_code(interface, member->type) : 0);
        if (kind == MC_K_ENUM)
            mbr__strbuf_puts(out, ", 0");
        else
            mbr__mc_put(out, ", offsetof(%s%s, %s)", structure, suffix,
                        kind == MC_K_CHOICE ? "u" : member->cname);
        mbr__mc_put(out, ", %u},\n", member->value);
    }
    mbr__strbuf_puts(out, "};\n\n");
}

static bool has_members(const struct mc_type *type)
{
    return (type->kind == MC_K_ENUM || type->kind == MC_K_RECORD || type->kind == MC_K_CHOICE) &&
           type->members;
}

static const char *kind_text(const struct mc_type *type)
{
    static const char *const texts[] = {NULL,     "ALIAS", "ALIAS",    "ALIAS", "ENUM", "RECORD",
                                        "CHOICE", "ARRAY", "SEQUENCE", "SET",   "REF"};

    return texts[type->kind];
}

static void put_flags(struct mbr__strbuf *out, uint32_t flags)
{
    const char *between = "";

    if (flags & MBR_TYPE_LARGE) {
        mbr__strbuf_puts(out, "MBR_TYPE_LARGE");
        between = " | ";
    }
    if (flags & MBR_TYPE_LOCAL) {
        mbr__mc_put(out, "%sMBR_TYPE_LOCAL", between);
        between = " | ";
    }
    if (flags & MBR_TYPE_IREF)
        mbr__mc_put(out, "%sMBR_TYPE_IREF", between);
    if (!flags)
        mbr__strbuf_putc(out, '0');
}

/* What is behind an alias, inside an array and so on; 0 where there is no such thing. */
static uint64_t base_code(const struct mc_interface *interface, const struct mc_type *type)
{
    if (type->kind == MC_K_PREDEFINED || type->kind == MC_K_NAMED || type->kind == MC_K_IREF)
        return mbr__mc_code(interface, type);
    return type->base ? mbr__mc_code(interface, type->base) : 0;
}

static void put_type(struct mbr__strbuf *out, const struct mc_interface *interface,
                     const struct mc_type *type, const struct mc_name *name, uint32_t index)
{
    mbr__strbuf_puts(out, "    {");
    put_code(out, interface->code | index);
    if (name)
        mbr__mc_put(out, ", \"%s\", ", name->text);
    else
        mbr__strbuf_puts(out, ", NULL, ");
    mbr__mc_put(out, "MBR_TYPE_%s, ", kind_text(type));
    put_flags(out, type->flags);
    mbr__strbuf_puts(out, ",\n     sizeof(");
    mbr__mc_put_sized(out, type);
    mbr__strbuf_puts(out, "), __alignof__(");
    mbr__mc_put_sized(out, type);
    mbr__strbuf_puts(out, "),\n     ");
    put_code(out, base_code(interface, type));
    mbr__mc_put(out, ", %u, 0, ", type->count);
    if (has_members(type))
        mbr__mc_put(out, "mbr_members_%s},\n", type->cname);
    else
        mbr__strbuf_puts(out, "NULL},\n");
}

static void put_types(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    if (!interface->n_types)
        return;
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (decl->type && has_members(decl->type))
            put_members(out, interface, decl->type->members, decl->type->cname, "",
                        decl->type->kind);
    for (const struct mc_type *type = interface->unnamed; type; type = type->next)
        if (has_members(type))
            put_members(out, interface, type->members, type->cname, "", type->kind);
    mbr__mc_put(out, "static const struct mbr_type_record mbr_types_%s[] = {\n",
                interface->name->text);
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (decl->type)
            put_type(out, interface, decl->type, decl->name, decl->index);
    for (const struct mc_type *type = interface->unnamed; type; type = type->next)
        put_type(out, interface, type, NULL, type->index);
    mbr__strbuf_puts(out, "};\n\n");
}

static void put_exceptions(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    if (!interface->n_exceptions)
        return;
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (decl->kind == MC_D_EXCEPTION && decl->args)
            put_members(out, interface, decl->args, decl->cname, "_Args", MC_K_RECORD);
    mbr__mc_put(out, "static const struct mbr_exn_record mbr_exns_%s[] = {\n",
                interface->name->text);
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next) {
        if (decl->kind != MC_D_EXCEPTION)
            continue;
        mbr__mc_put(out, "    {\"%s\", %s_ID, ", decl->name->text, decl->cname);
        if (decl->args)
            mbr__mc_put(out, "mbr_members_%s, %u, sizeof(%s_Args)},\n", decl->cname, decl->n_args,
                        decl->cname);
        else
            mbr__strbuf_puts(out, "NULL, 0, 0},\n");
    }
    mbr__strbuf_puts(out, "};\n\n");
}

static void put_params(struct mbr__strbuf *out, const struct mc_interface *interface,
                       const struct mc_member *members)
{
    static const char *const modes[] = {"IN", "OUT", "IN_OUT", "RESULT"};

    for (const struct mc_member *member = members; member; member = member->next) {
        mbr__mc_put(out, "    {\"%s\", ", member->name->text);
        put_code(out, mbr__mc_code(interface, member->type));
        mbr__mc_put(out, ", MBR_PARAM_%s, 0},\n", modes[member->mode]);
    }
}

/* The tables of one method: its parameters, its exceptions. */
static void put_op_tables(struct mbr__strbuf *out, const struct mc_interface *interface,
                          const struct mc_decl *decl)
{
    if (decl->n_args + decl->n_results) {
        mbr__mc_put(out, "static const struct mbr_param_record mbr_params_%s[] = {\n", decl->cname);
        put_params(out, interface, decl->args);
        put_params(out, interface, decl->results);
        mbr__strbuf_puts(out, "};\n\n");
    }
    if (!decl->n_raises)
        return;
    mbr__mc_put(out, "static const struct mbr_raise_record mbr_raises_%s[] = {\n", decl->cname);
    for (const struct mc_raise *raise = decl->raises; raise; raise = raise->next) {
        const struct mc_interface *of = raise->target->interface;

        if (raise->repeated)
            continue;
        mbr__mc_put(out, "    {\"%s\", {\"%s\", ", raise->name->text, of->name->text);
        put_code(out, of->code);
        mbr__strbuf_puts(out, "}},\n");
    }
    mbr__strbuf_puts(out, "};\n\n");
}

static void put_op(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    mbr__mc_put(out, "    {\"%s\", MBR_OP_%s, %u, %u, %u, %u, 0, ", decl->name->text,
                decl->kind == MC_D_ANNOUNCEMENT ? "ANNOUNCEMENT"
                : decl->no_return               ? "NO_RETURN"
                                                : "PROC",
                decl->index, decl->n_args, decl->n_results, decl->n_raises);
    if (decl->n_args + decl->n_results)
        mbr__mc_put(out, "mbr_params_%s, ", decl->cname);
    else
        mbr__strbuf_puts(out, "NULL, ");
    if (decl->n_raises)
        mbr__mc_put(out, "mbr_raises_%s},\n", decl->cname);
    else
        mbr__strbuf_puts(out, "NULL},\n");
}

static void put_ops(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    if (!interface->n_ops)
        return;
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (mbr__mc_is_op(decl))
            put_op_tables(out, interface, decl);
    mbr__mc_put(out, "static const struct mbr_op_record mbr_ops_%s[] = {\n", interface->name->text);
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (mbr__mc_is_op(decl))
            put_op(out, decl);
    mbr__strbuf_puts(out, "};\n\n");
}

/* Those needed, each once; the number of them. */
static uint32_t put_needs(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    uint32_t count = 0;

    for (const struct mc_need *need = interface->needs; need; need = need->next) {
        if (need->extends || need->repeated)
            continue;
        if (count++ == 0)
            mbr__mc_put(out, "static const struct mbr_intf_ref mbr_needs_%s[] = {\n",
                        interface->name->text);
        mbr__mc_put(out, "    {\"%s\", ", need->name->text);
        put_code(out, need->interface->code);
        mbr__strbuf_puts(out, "},\n");
    }
    if (count)
        mbr__strbuf_puts(out, "};\n\n");
    return count;
}

static void put_table_name(struct mbr__strbuf *out, const char *table, const char *name,
                           uint32_t count)
{
    if (count)
        mbr__mc_put(out, "    mbr_%s_%s,\n", table, name);
    else
        mbr__mc_put(out, "    NULL, /* no %s */\n", table);
}

void mbr__mc_write_types(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const char *name = interface->name->text;
    uint32_t needs;

    mbr__mc_put(out, "/* Interface %s: type records made by middlc from %s. Do not edit. */\n",
                name, mbr__mc_file_name(interface));
    mbr__mc_put(out, "#include \"%s.h\"\n\n", name);
    needs = put_needs(out, interface);
    put_types(out, interface);
    put_exceptions(out, interface);
    put_ops(out, interface);
    mbr__mc_put(out,
                "const struct mbr_intf_record %s_intf = {\n"
                "    MBR_INTF_MAGIC,\n"
                "    MBR_INTF_VERSION,\n"
                "    %s,\n"
                "    CODE_%s,\n"
                "    \"%s\",\n",
                name, interface->local ? "MBR_INTF_LOCAL" : "0", name, name);
    if (interface->super) {
        mbr__mc_put(out, "    {\"%s\", ", interface->super->name->text);
        put_code(out, interface->super->code);
        mbr__strbuf_puts(out, "},\n");
    } else {
        mbr__strbuf_puts(out, "    {NULL, 0},\n");
    }
    put_table_name(out, "needs", name, needs);
    put_table_name(out, "types", name, interface->n_types);
    put_table_name(out, "exns", name, interface->n_exceptions);
    put_table_name(out, "ops", name, interface->n_ops);
    mbr__mc_put(out, "    %u, %u, %u, %u, %u, %u,\n};\n\nMBR_INTF_ANNOUNCE(%s);\n", needs,
                interface->n_types, interface->n_named, interface->n_exceptions, interface->n_ops,
                interface->first_op, name);
}
