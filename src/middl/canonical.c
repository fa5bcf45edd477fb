/* SPDX-License-Identifier: MIT */
/*
 * The canonical form: an interface without what no peer can notice (comments, layout, NEEDS,
 * DANGEROUS, which separator, whether names are grouped), with what one can. A type of another
 * interface, or of this one, stands with its own digest, so that a change far away changes the
 * fingerprint here; an interface behind IREF stands with its name only, because a reference carries
 * its own type code.
 */
#include <errno.h>
#include <string.h>

#include "base/sha256.h"
#include "middl/check.h"

/* Of a declaration: 128 bits in hexadecimal are enough to tell them apart. */
#define DIGEST_BYTES 16

static void put_digest(struct mbr__strbuf *out, const uint8_t *digest, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    char text[65];

    for (size_t i = 0; i < bytes; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    mbr__strbuf_append(out, text, 2 * bytes);
}

static void put_name(struct mbr__strbuf *out, const struct mc_name *name)
{
    mbr__strbuf_append(out, name->text, name->length);
}

static void put_decl_name(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    put_name(out, decl->interface->name);
    mbr__strbuf_putc(out, '.');
    put_name(out, decl->name);
    mbr__strbuf_putc(out, '#');
    put_digest(out, decl->digest, DIGEST_BYTES);
}

static void put_type(struct mbr__strbuf *out, const struct mc_type *type);

/* "a : T, b : U"; with modes for arguments. */
static void put_members(struct mbr__strbuf *out, const struct mc_member *members, bool modes)
{
    static const char *const texts[] = {"IN ", "OUT ", "IN OUT ", ""};

    for (const struct mc_member *member = members; member; member = member->next) {
        if (member != members)
            mbr__strbuf_append(out, ", ", 2);
        if (modes)
            mbr__strbuf_puts(out, texts[member->mode]);
        put_name(out, member->name);
        if (!member->type)
            continue;
        mbr__strbuf_append(out, " : ", 3);
        put_type(out, member->type);
    }
}

static void put_words(struct mbr__strbuf *out, uint32_t predefined)
{
    static const char *const texts[] = {"",          "BOOLEAN",       "SHORT CARDINAL",
                                        "CARDINAL",  "LONG CARDINAL", "SHORT INTEGER",
                                        "INTEGER",   "LONG INTEGER",  "REAL",
                                        "LONG REAL", "STRING",        "OCTET",
                                        "CHAR",      "ADDRESS",       "WORD"};

    mbr__strbuf_puts(out, texts[predefined]);
}

static void put_type(struct mbr__strbuf *out, const struct mc_type *type)
{
    switch (type->kind) {
    case MC_K_ERROR:
        mbr__strbuf_putc(out, '?');
        break;
    case MC_K_PREDEFINED:
        put_words(out, type->predefined);
        break;
    case MC_K_NAMED:
        put_decl_name(out, type->target);
        break;
    case MC_K_IREF:
        mbr__strbuf_puts(out, "IREF ");
        put_name(out, type->name);
        break;
    case MC_K_ENUM:
        mbr__strbuf_puts(out, "{ ");
        put_members(out, type->members, false);
        mbr__strbuf_puts(out, " }");
        break;
    case MC_K_RECORD:
        mbr__strbuf_puts(out, "RECORD [ ");
        put_members(out, type->members, false);
        mbr__strbuf_puts(out, " ]");
        break;
    case MC_K_CHOICE:
        mbr__strbuf_puts(out, "CHOICE ");
        put_type(out, type->base);
        mbr__strbuf_puts(out, " OF { ");
        put_members(out, type->members, false);
        mbr__strbuf_puts(out, " }");
        break;
    case MC_K_ARRAY:
        mbr__strbuf_printf(out, "ARRAY %u OF ", type->count);
        put_type(out, type->base);
        break;
    case MC_K_SEQUENCE:
        mbr__strbuf_puts(out, "SEQUENCE OF ");
        put_type(out, type->base);
        break;
    case MC_K_SET:
        mbr__strbuf_puts(out, "SET OF ");
        put_type(out, type->base);
        break;
    case MC_K_REF:
        mbr__strbuf_puts(out, "REF ");
        put_type(out, type->base);
        break;
    }
}

static void put_raises(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    const char *before = " RAISES ";

    for (const struct mc_raise *raise = decl->raises; raise; raise = raise->next) {
        if (raise->repeated || !raise->target)
            continue;
        mbr__strbuf_puts(out, before);
        put_decl_name(out, raise->target);
        before = ", ";
    }
}

static void put_decl(struct mbr__strbuf *out, const struct mc_decl *decl)
{
    put_name(out, decl->name);
    if (decl->kind == MC_D_TYPE) {
        mbr__strbuf_puts(out, " : TYPE = ");
        if (decl->type)
            put_type(out, decl->type);
        mbr__strbuf_putc(out, '\n');
        return;
    }
    mbr__strbuf_puts(out, decl->kind == MC_D_EXCEPTION ? " : EXCEPTION [ "
                          : decl->kind == MC_D_PROC    ? " : PROC [ "
                                                       : " : ANNOUNCEMENT [ ");
    put_members(out, decl->args, decl->kind != MC_D_EXCEPTION);
    mbr__strbuf_puts(out, " ]");
    if (decl->no_return) {
        mbr__strbuf_puts(out, " NEVER RETURNS");
    } else if (decl->kind == MC_D_PROC) {
        mbr__strbuf_puts(out, " RETURNS [ ");
        put_members(out, decl->results, false);
        mbr__strbuf_puts(out, " ]");
    }
    put_raises(out, decl);
    mbr__strbuf_putc(out, '\n');
}

void mbr__mc_canonical(struct mbr__strbuf *out, const struct mc_interface *interface)
{
    mbr__strbuf_puts(out, "MIDDL 1\n");
    put_name(out, interface->name);
    mbr__strbuf_puts(out, interface->local ? " : LOCAL INTERFACE\n" : " : INTERFACE\n");
    if (interface->super) {
        mbr__strbuf_puts(out, "EXTENDS ");
        put_name(out, interface->super->name);
        mbr__strbuf_putc(out, '#');
        put_digest(out, interface->super->digest, DIGEST_BYTES);
        mbr__strbuf_putc(out, '\n');
    }
    for (const struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        put_decl(out, decl);
}

/* Hashes what is in the run's scratch text. */
static void digest_scratch(struct mbr_middlc *run, uint8_t digest[32])
{
    if (mbr__strbuf_error(&run->scratch))
        run->arena.error = mbr__strbuf_error(&run->scratch);
    else
        mbr__sha256(mbr__strbuf_text(&run->scratch), run->scratch.length, digest);
}

void mbr__mc_digest_decl(struct mbr_middlc *run, struct mc_decl *decl)
{
    if (decl->kind != MC_D_TYPE && decl->kind != MC_D_EXCEPTION)
        return;
    mbr__strbuf_reset(&run->scratch);
    put_name(&run->scratch, decl->interface->name);
    mbr__strbuf_putc(&run->scratch, '.');
    put_decl(&run->scratch, decl);
    digest_scratch(run, decl->digest);
}

void mbr__mc_digest_interface(struct mbr_middlc *run, struct mc_interface *interface)
{
    struct mc_interface *chain[MC_MAX_CHAIN + 1];
    uint32_t depth = 0;

    for (struct mc_interface *up = interface; up && !up->code; up = up->super)
        chain[depth++] = up;
    while (depth > 0) {
        struct mc_interface *next = chain[--depth];

        mbr__strbuf_reset(&run->scratch);
        mbr__mc_canonical(&run->scratch, next);
        digest_scratch(run, next->digest);
        for (int i = 0; i < 6; i++)
            next->code = next->code << 8 | next->digest[i];
        next->code <<= 16;
        if (next->code == 0) /* the predefined types' */
            next->code = UINT64_C(1) << 16;
    }
}

uint64_t mbr__mc_code(const struct mc_interface *interface, const struct mc_type *type)
{
    switch (type->kind) {
    case MC_K_ERROR:
        return 0;
    case MC_K_PREDEFINED:
        return type->predefined;
    case MC_K_NAMED:
        return type->target->interface->code | type->target->index;
    case MC_K_IREF:
        return type->interface->code;
    default:
        return interface->code | type->index;
    }
}
