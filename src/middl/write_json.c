/* SPDX-License-Identifier: MIT */
/*
 * The tree as JSON, the type codes, and the graph of interfaces. The JSON is one object, its
 * members always in the same order; docs/middl.md describes it. Not here: reading JSON.
 */
#include "middl/write.h"

struct json {
    struct mbr__strbuf *out;
    const struct mc_interface *interface;
};

static void put_key(struct mbr__strbuf *out, const char *key)
{
    if (out->length && out->data[out->length - 1] != '{' && out->data[out->length - 1] != '[')
        mbr__strbuf_putc(out, ',');
    if (key)
        mbr__strbuf_printf(out, "\"%s\":", key);
}

static void put_string(struct mbr__strbuf *out, const char *key, const char *text)
{
    put_key(out, key);
    mbr__strbuf_printf(out, "\"%s\"", text);
}

static void put_number(struct mbr__strbuf *out, const char *key, uint64_t number)
{
    put_key(out, key);
    mbr__strbuf_printf(out, "%llu", (unsigned long long)number);
}

static void put_bool(struct mbr__strbuf *out, const char *key, bool value)
{
    put_key(out, key);
    mbr__strbuf_puts(out, value ? "true" : "false");
}

/* Codes are strings: 64 bits are more than a number in JSON can be relied on to hold. */
static void put_code(struct mbr__strbuf *out, const char *key, uint64_t code)
{
    put_key(out, key);
    mbr__strbuf_printf(out, "\"%016llx\"", (unsigned long long)code);
}

/* The lines of the comments in RANGE, those of members left out unless MEMBERS. */
static void put_doc(struct mbr__strbuf *out, const struct mc_file *file, struct mc_comments range,
                    uint32_t after, bool members)
{
    put_key(out, "doc");
    mbr__strbuf_putc(out, '[');
    for (uint32_t i = range.first; i < range.end; i++) {
        const struct mc_comment *line = &file->comments[i];

        if ((line->taken && !members) || i + 1 == after)
            continue;
        put_key(out, NULL);
        mbr__strbuf_putc(out, '"');
        mbr__mc_put_escaped(out, line->text, line->length, MC_ESCAPE_JSON);
        mbr__strbuf_putc(out, '"');
    }
    if (after) {
        put_key(out, NULL);
        mbr__strbuf_putc(out, '"');
        mbr__mc_put_escaped(out, file->comments[after - 1].text, file->comments[after - 1].length,
                            MC_ESCAPE_JSON);
        mbr__strbuf_putc(out, '"');
    }
    mbr__strbuf_putc(out, ']');
}

static void put_type(const struct json *json, const char *key, const struct mc_type *type);

static void put_members(const struct json *json, const char *key, const struct mc_member *members,
                        bool modes)
{
    static const char *const texts[] = {"IN", "OUT", "IN OUT", "RESULT"};

    put_key(json->out, key);
    mbr__strbuf_putc(json->out, '[');
    for (const struct mc_member *member = members; member; member = member->next) {
        put_key(json->out, NULL);
        mbr__strbuf_putc(json->out, '{');
        put_string(json->out, "name", member->name->text);
        if (modes)
            put_string(json->out, "mode", texts[member->mode]);
        if (member->type)
            put_type(json, "type", member->type);
        if (!modes)
            put_number(json->out, "value", member->value);
        put_doc(json->out, json->interface->file, member->before, member->after, true);
        mbr__strbuf_putc(json->out, '}');
    }
    mbr__strbuf_putc(json->out, ']');
}

static void put_type(const struct json *json, const char *key, const struct mc_type *type)
{
    static const char *const kinds[] = {"error",    "predefined", "named",  "iref",
                                        "enum",     "record",     "choice", "array",
                                        "sequence", "set",        "ref"};
    struct mbr__strbuf *out = json->out;

    put_key(out, key);
    mbr__strbuf_putc(out, '{');
    put_string(out, "kind", kinds[type->kind]);
    put_code(out, "code", mbr__mc_code(json->interface, type));
    put_number(out, "size", type->size);
    put_bool(out, "local", type->flags & MBR_TYPE_LOCAL);
    if (type->kind == MC_K_PREDEFINED)
        put_string(out, "name", mbr__mc_predefined_text(type->predefined));
    if (type->kind == MC_K_NAMED) {
        put_string(out, "interface", type->target->interface->name->text);
        put_string(out, "name", type->name->text);
    }
    if (type->kind == MC_K_IREF)
        put_string(out, "interface", type->name->text);
    if (type->kind == MC_K_ARRAY)
        put_number(out, "count", type->count);
    if (type->base)
        put_type(json, type->kind == MC_K_CHOICE ? "tag" : "of", type->base);
    if (type->members)
        put_members(json, "members", type->members, false);
    mbr__strbuf_putc(out, '}');
}

static void put_raises(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    put_key(out, "raises");
    mbr__strbuf_putc(out, '[');
    for (const struct mc_raise *raise = decl->raises; raise; raise = raise->next) {
        if (raise->repeated)
            continue;
        put_key(out, NULL);
        mbr__strbuf_printf(out, "\"%s.%s\"", raise->target->interface->name->text,
                           raise->name->text);
    }
    mbr__strbuf_putc(out, ']');
}

static void put_decl(const struct json *json, const struct mc_decl *decl)
{
    static const char *const kinds[] = {"type", "exception", "proc", "announcement"};
    struct mbr__strbuf *out = json->out;
    struct mc_comments doc = mbr__mc_doc(decl);

    mbr__strbuf_puts(out, decl == json->interface->decls ? "\n" : ",\n");
    mbr__strbuf_putc(out, '{');
    put_string(out, "kind", kinds[decl->kind]);
    put_string(out, "name", decl->name->text);
    put_number(out, "line", decl->pos.line);
    put_doc(out, json->interface->file, doc, decl->after, false);
    if (decl->kind == MC_D_TYPE) {
        put_code(out, "code", json->interface->code | decl->index);
        put_type(json, "type", decl->type);
    } else {
        if (mbr__mc_is_op(decl))
            put_number(out, "index", decl->index);
        put_members(json, "args", decl->args, true);
    }
    if (decl->kind == MC_D_PROC) {
        put_bool(out, "returns", !decl->no_return);
        put_members(json, "results", decl->results, true);
        put_raises(out, decl);
    }
    mbr__strbuf_putc(out, '}');
}

void mbr__mc_write_json(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    struct json json = {out, interface};

    mbr__strbuf_putc(out, '{');
    put_string(out, "interface", interface->name->text);
    put_bool(out, "local", interface->local);
    put_code(out, "code", interface->code);
    if (interface->super)
        put_string(out, "extends", interface->super->name->text);
    put_key(out, "needs");
    mbr__strbuf_putc(out, '[');
    for (const struct mc_need *need = interface->needs; need; need = need->next)
        if (!need->extends)
            put_string(out, NULL, need->name->text);
    mbr__strbuf_putc(out, ']');
    put_doc(out, interface->file, interface->before, 0, true);
    put_number(out, "inherited", interface->first_op);
    put_key(out, "declarations");
    mbr__strbuf_putc(out, '[');
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        put_decl(&json, decl);
    mbr__strbuf_puts(out, "\n]}\n");
}

void mbr__mc_write_codes(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    const char *name = interface->name->text;

    mbr__strbuf_printf(out, "%016llx %s\n", (unsigned long long)interface->code, name);
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        if (decl->type)
            mbr__strbuf_printf(out, "%016llx %s.%s\n",
                               (unsigned long long)(interface->code | decl->index), name,
                               decl->name->text);
    for (const struct mc_type *type = interface->unnamed; type; type = type->next)
        mbr__strbuf_printf(out, "%016llx %s #%u\n",
                           (unsigned long long)(interface->code | type->index), name, type->index);
}

void mbr__mc_write_graph(struct mbr__strbuf *out, const struct mbr_middlc *run)
{
    mbr__strbuf_puts(out, "digraph interfaces {\n    rankdir=LR;\n    node [shape=box];\n");
    for (const struct mc_interface *i = run->interfaces; i; i = i->next) {
        mbr__strbuf_printf(out, "    \"%s\"%s;\n", i->name->text, i->local ? "" : " [style=bold]");
        for (const struct mc_need *need = i->needs; need; need = need->next)
            if (!need->repeated)
                mbr__strbuf_printf(out, "    \"%s\" -> \"%s\"%s;\n", i->name->text,
                                   need->name->text,
                                   need->extends ? " [arrowhead=empty, style=bold]" : "");
    }
    mbr__strbuf_puts(out, "}\n");
}
