/* SPDX-License-Identifier: MIT */
/*
 * Gives types, members and arguments their names in C, and finds out when two things would have the
 * same one: Foo_A_B may come from A_B of Foo or from B of Foo_A.
 */
#include "middl/cname.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "middl/check.h"

/* Sorted. C to C23, C++ to C++23, what gcc predefines, lower-case macros and types of standard and
 * POSIX headers, and the names that generated code uses itself. */
static const char *const hazards[] = {"abort",
                                      "alignas",
                                      "alignof",
                                      "and",
                                      "and_eq",
                                      "asm",
                                      "assert",
                                      "auto",
                                      "bitand",
                                      "bitor",
                                      "bool",
                                      "break",
                                      "case",
                                      "catch",
                                      "char",
                                      "char16_t",
                                      "char32_t",
                                      "char8_t",
                                      "class",
                                      "co_await",
                                      "co_return",
                                      "co_yield",
                                      "compl",
                                      "complex",
                                      "concept",
                                      "const",
                                      "const_cast",
                                      "consteval",
                                      "constexpr",
                                      "constinit",
                                      "continue",
                                      "decltype",
                                      "default",
                                      "delete",
                                      "do",
                                      "double",
                                      "dynamic_cast",
                                      "else",
                                      "enum",
                                      "environ",
                                      "errno",
                                      "explicit",
                                      "export",
                                      "extern",
                                      "false",
                                      "fd_mask",
                                      "fd_set",
                                      "fileno",
                                      "float",
                                      "for",
                                      "fpclassify",
                                      "friend",
                                      "goto",
                                      "h_errno",
                                      "i386",
                                      "if",
                                      "imaginary",
                                      "inline",
                                      "int",
                                      "int16_t",
                                      "int32_t",
                                      "int64_t",
                                      "int8_t",
                                      "isfinite",
                                      "isgreater",
                                      "isgreaterequal",
                                      "isinf",
                                      "isless",
                                      "islessequal",
                                      "islessgreater",
                                      "isnan",
                                      "isnormal",
                                      "isunordered",
                                      "jmp_buf",
                                      "linux",
                                      "long",
                                      "major",
                                      "makedev",
                                      "mbr_args",
                                      "minor",
                                      "mutable",
                                      "namespace",
                                      "new",
                                      "noexcept",
                                      "noreturn",
                                      "not",
                                      "not_eq",
                                      "nullptr",
                                      "offsetof",
                                      "operator",
                                      "or",
                                      "or_eq",
                                      "private",
                                      "program_invocation_name",
                                      "program_invocation_short_name",
                                      "protected",
                                      "public",
                                      "register",
                                      "reinterpret_cast",
                                      "requires",
                                      "restrict",
                                      "return",
                                      "s6_addr",
                                      "sa_handler",
                                      "sa_sigaction",
                                      "self",
                                      "setjmp",
                                      "short",
                                      "si_addr",
                                      "si_pid",
                                      "si_uid",
                                      "si_value",
                                      "sigjmp_buf",
                                      "signbit",
                                      "signed",
                                      "sigsetjmp",
                                      "size_t",
                                      "sizeof",
                                      "st_atime",
                                      "st_ctime",
                                      "st_mtime",
                                      "static",
                                      "static_assert",
                                      "static_cast",
                                      "stderr",
                                      "stdin",
                                      "stdout",
                                      "struct",
                                      "switch",
                                      "template",
                                      "this",
                                      "thread_local",
                                      "throw",
                                      "true",
                                      "try",
                                      "typedef",
                                      "typeid",
                                      "typename",
                                      "typeof",
                                      "typeof_unqual",
                                      "u_char",
                                      "u_int",
                                      "u_long",
                                      "u_short",
                                      "uint",
                                      "uint16_t",
                                      "uint32_t",
                                      "uint64_t",
                                      "uint8_t",
                                      "uintptr_t",
                                      "ulong",
                                      "union",
                                      "unix",
                                      "unsigned",
                                      "ushort",
                                      "using",
                                      "va_arg",
                                      "va_copy",
                                      "va_end",
                                      "va_start",
                                      "virtual",
                                      "void",
                                      "volatile",
                                      "w_coredump",
                                      "wchar_t",
                                      "while",
                                      "xor",
                                      "xor_eq"};

static int compare(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

/* Sorted. Headers of C and POSIX that an interface's header would hide. */
static const char *const headers[] = {
    "assert",    "complex", "ctype",   "dirent",  "dlfcn",       "errno",  "fcntl",     "fenv",
    "float",     "glob",    "grp",     "iconv",   "inttypes",    "iso646", "limits",    "locale",
    "math",      "netdb",   "poll",    "pthread", "pwd",         "regex",  "sched",     "search",
    "semaphore", "setjmp",  "signal",  "spawn",   "stdalign",    "stdarg", "stdatomic", "stdbool",
    "stddef",    "stdint",  "stdio",   "stdlib",  "stdnoreturn", "string", "strings",   "syslog",
    "termios",   "tgmath",  "threads", "time",    "uchar",       "unistd", "utime",     "wchar",
    "wctype",    "wordexp"};

static bool all_upper(const char *text, size_t length)
{
    size_t letters = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] >= 'a' && text[i] <= 'z')
            return false;
        letters += text[i] >= 'A' && text[i] <= 'Z';
    }
    return letters >= 2;
}

static bool listed(const char *text, const char *const *list, size_t count)
{
    return text[0] >= 'a' && bsearch(text, list, count, sizeof *list, compare) != NULL;
}

/* What C keeps for itself: _Bool, __func__, and whatever the next compiler thinks of. */
static bool reserved(const char *text, size_t length)
{
    return length >= 2 && text[0] == '_' && (text[1] == '_' || (text[1] >= 'A' && text[1] <= 'Z'));
}

/* What POSIX keeps for the types of its headers; a C++ compiler warns if a member is called so. */
static bool ends_in_t(const char *text, size_t length)
{
    return length > 2 && text[length - 2] == '_' && text[length - 1] == 't';
}

bool mbr__mc_is_hazard(const char *text, size_t length)
{
    if (all_upper(text, length) || reserved(text, length) || ends_in_t(text, length))
        return true;
    return listed(text, hazards, sizeof hazards / sizeof *hazards);
}

/* --- Names that the whole program sees -------------------------------------------------------- */

struct mc_cname {
    const char *text;
    size_t length;
    struct mc_file *file;
    struct mc_pos pos;
};

const void *mbr__mc_cname_key(const void *value, size_t *length)
{
    const struct mc_cname *cname = value;

    *length = cname->length;
    return cname->text;
}

static char *put_text(char *to, const char *from)
{
    while (*from)
        *to++ = *from++;
    return to;
}

/* A B C, copied; NULL without memory. */
static const char *join(struct mbr_middlc *run, const char *a, const char *b, const char *c,
                        size_t *length)
{
    size_t la = strlen(a), lb = strlen(b), lc = strlen(c);
    char *text = mbr__mc_alloc(&run->arena, la + lb + lc + 1);

    if (!text)
        return NULL;
    put_text(put_text(put_text(text, a), b), c); /* the memory is zeroed */
    if (length)
        *length = la + lb + lc;
    return text;
}

/* Declares the C name A B C, for what is at POS; complains if it is taken. Returns it, or NULL. */
static const char *declare(struct mbr_middlc *run, struct mc_interface *interface,
                           struct mc_pos pos, const char *a, const char *b, const char *c)
{
    struct mc_cname *cname = MC_NEW(&run->arena, struct mc_cname), *other;
    int error;

    if (!cname)
        return NULL;
    cname->text = join(run, a, b, c, &cname->length);
    if (!cname->text)
        return NULL;
    cname->file = interface->file;
    cname->pos = pos;
    error = mbr__bytes_map_put(&run->cnames, cname);
    if (error == -ENOMEM) {
        run->arena.error = error;
        return NULL;
    }
    if (error == 0) {
        if (listed(cname->text, hazards, sizeof hazards / sizeof *hazards))
            mbr__mc_error(run, interface->file, pos, "the C name '%s' is one of C itself",
                          cname->text);
        return cname->text;
    }
    other = mbr__bytes_map_get(&run->cnames, cname->text, cname->length);
    if (!interface->file->errors) { /* what is declared twice has twice the same name */
        struct mc_diag *diag =
            mbr__mc_error(run, interface->file, pos, "the C name '%s' is taken", cname->text);
        mbr__mc_note(run, diag, other->file, other->pos, "by what is declared here");
    }
    return cname->text;
}

/* --- Names that stand bare -------------------------------------------------------------------- */

/* The C name of MEMBER: its own, with '_' as long as it is a hazard or taken in the scope. */
static void name_member(struct mbr_middlc *run, struct mc_member *member, uint64_t scope)
{
    const struct mc_name *own = member->name;
    struct mc_name *tried;

    member->cname = own->text;
    if (!mbr__mc_is_hazard(own->text, own->length) &&
        !mbr__bytes_map_get(&run->cnames, own->text, own->length))
        return;
    do {
        size_t length = 0;
        const char *longer = join(run, member->cname, "_", "", &length);

        tried = longer ? mbr__mc_intern(run, longer, length) : NULL;
        if (!tried)
            return;
        member->cname = tried->text;
    } while (tried->scope == scope);
    tried->scope = scope;
}

static void name_members(struct mbr_middlc *run, struct mc_member *members,
                         struct mc_member *results)
{
    uint64_t scope = mbr__mc_scope(run);
    struct mc_member *member;

    for (member = members; member; member = member->next)
        member->name->scope = scope;
    for (member = results; member; member = member->next)
        member->name->scope = scope;
    for (member = members; member; member = member->next)
        name_member(run, member, scope);
    for (member = results; member; member = member->next)
        name_member(run, member, scope);
}

/* --- Types ------------------------------------------------------------------------------------ */

static void name_type(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                      const char *cname);

/*
 * A type inside another: called CNAME_PART, if C needs a name for it. INSIDE is true for a member
 * of a struct or array, where C writes an array in place.
 */
static void name_part(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                      const char *cname, const char *part, bool inside)
{
    const char *own;

    if (type->kind < MC_K_ENUM)
        return;
    type->in_place =
        type->kind == MC_K_SET || type->kind == MC_K_REF || (type->kind == MC_K_ARRAY && inside);
    if (type->in_place)
        own = join(run, cname, "_", part, NULL);
    else
        own = declare(run, decl->interface, type->pos, cname, "_", part);
    if (own)
        name_type(run, decl, type, own);
}

/* The parts of TYPE, whose own name is CNAME. The parser has bounded the depth. */
static void name_type(struct mbr_middlc *run, struct mc_decl *decl, struct mc_type *type,
                      const char *cname)
{
    type->cname = cname;
    switch (type->kind) {
    case MC_K_ENUM:
        for (struct mc_member *value = type->members; value; value = value->next)
            value->cname = declare(run, decl->interface, value->pos, cname, "_", value->name->text);
        break;
    case MC_K_CHOICE:
        name_part(run, decl, type->base, cname, "Tag", false);
        /* fall through */
    case MC_K_RECORD:
        name_members(run, type->members, NULL);
        for (struct mc_member *member = type->members; member; member = member->next)
            if (!member->grouped)
                name_part(run, decl, member->type, cname, member->name->text, true);
        break;
    case MC_K_ARRAY:
    case MC_K_SEQUENCE:
    case MC_K_SET:
        name_part(run, decl, type->base, cname, "Element", type->kind == MC_K_ARRAY);
        break;
    case MC_K_REF:
        name_part(run, decl, type->base, cname, "Target", false);
        break;
    default:
        break;
    }
}

static void name_parts(struct mbr_middlc *run, struct mc_decl *decl, struct mc_member *members)
{
    bool inside = decl->kind == MC_D_EXCEPTION; /* its arguments are members of a struct */

    for (struct mc_member *member = members; member; member = member->next)
        if (!member->grouped)
            name_part(run, decl, member->type, decl->cname, member->name->text, inside);
}

static void name_decl(struct mbr_middlc *run, struct mc_interface *interface, struct mc_decl *decl)
{
    const char *name = interface->name->text;

    decl->cname = declare(run, interface, decl->pos, name, "_", decl->name->text);
    if (!decl->cname)
        return;
    if (decl->kind == MC_D_TYPE) {
        declare(run, interface, decl->pos, "CODE_", decl->cname, "");
        name_type(run, decl, decl->type, decl->cname);
        return;
    }
    if (decl->kind == MC_D_EXCEPTION) {
        declare(run, interface, decl->pos, decl->cname, "_ID", "");
        declare(run, interface, decl->pos, decl->cname, "_Args", "");
        declare(run, interface, decl->pos, "RAISE_", decl->cname, "");
    }
    name_members(run, decl->args, decl->results);
    name_parts(run, decl, decl->args);
    name_parts(run, decl, decl->results);
}

/* The member of the operation table that a method is. */
static void name_slot(struct mbr_middlc *run, struct mc_decl *decl)
{
    const struct mc_name *own = decl->name;

    if (decl->kind != MC_D_PROC && decl->kind != MC_D_ANNOUNCEMENT)
        return;
    decl->slot =
        mbr__mc_is_hazard(own->text, own->length) ? join(run, own->text, "_", "", NULL) : own->text;
}

void mbr__mc_check_cnames(struct mbr_middlc *run, struct mc_interface *interface)
{
    static const char *const parts[] = {"_cl", "_clp", "_op", "_intf"};
    const char *name = interface->name->text;

    if (interface->file->errors)
        return; /* nothing will be written, and the tree may have holes */
    if (listed(name, headers, sizeof headers / sizeof *headers))
        mbr__mc_error(run, interface->file, interface->pos,
                      "the header of '%s' would hide <%s.h> (did you mean '%c%s'?)", name, name,
                      name[0] - 'a' + 'A', name + 1);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        declare(run, interface, interface->pos, name, parts[i], "");
    declare(run, interface, interface->pos, "CODE_", name, "");
    for (const struct mc_interface *up = interface->super; up; up = up->super)
        declare(run, interface, interface->pos, name, "_as_", up->name->text);
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        name_decl(run, interface, decl);
    for (struct mc_decl *decl = interface->decls; decl; decl = decl->next)
        name_slot(run, decl);
    for (const struct mc_interface *up = interface; up; up = up->super)
        for (const struct mc_decl *decl = up->decls; decl; decl = decl->next)
            if (decl->slot && decl->slot[strlen(decl->slot) - 1] == '_')
                declare(run, interface, decl->pos, name, "_op.", decl->slot);
}
