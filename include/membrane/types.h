/* SPDX-License-Identifier: MIT */
/*
 * Types at run time: what stands behind a type code, and values by their type's code, whatever they
 * are: printed, parsed, freed. The closure interfaces over the same (TypeSystem, Interface, Record
 * and so on) are in membrane/typesystem.h.
 *
 * A type system holds interfaces, each described by a type record that middlc --types has written.
 * A record is copied and checked when it is registered, and one that is damaged, by accident or by
 * intent, is refused: bad pointers in it are found by the kernel, not by a crash. Nothing is ever
 * unregistered: codes, and the pointers handed out here, are good until the type system is freed.
 *
 * mbr_types_process() is the one of the process. It holds the interfaces of the program and of all
 * libraries that it has loaded, also with dlopen(), now or later. A record that is refused is
 * reported to the log sink as a warning and left out.
 *
 * Types of other interfaces may be missing: a type is good as soon as all those that it contains
 * (by value) are registered, until then it is not there (-ENOENT).
 *
 * All functions may be called from any thread; they block only for others that register. Looking up
 * does not take longer the more types there are.
 */
#ifndef MEMBRANE_TYPES_H
#define MEMBRANE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/base.h>
#include <membrane/middl.h>

MBR_BEGIN_DECLS

struct mbr_types;

/* An empty type system: it knows the predefined types. -ENOMEM. */
MBR_API int mbr_types_new(struct mbr_types **types) __attribute__((nonnull));

/* Frees it with all it has handed out; nobody may be using it. NULL is fine. */
MBR_API void mbr_types_free(struct mbr_types *types);

/* The one of this process, or NULL if there is no memory for it. Not to be freed. */
MBR_API struct mbr_types *mbr_types_process(void);

/*
 * Takes in an interface, and its record's memory is not needed afterwards. Registering the same
 * once more does nothing. Errors, with nothing changed: -EEXIST another interface of this name is
 * registered; -ENOTUNIQ another one has its code, or it has lied: same name, same code, another
 * content; -EBADMSG the record is damaged (the log sink is told how, at MBR_LOG_WARNING); -ENOMEM,
 * and any errno with which the kernel refuses to copy memory (-EMFILE, -EPERM).
 */
MBR_API int mbr_types_register(struct mbr_types *types, const struct mbr_intf_record *record)
    __attribute__((nonnull));

/* Two kinds beside those of enum mbr_type_kind. */
#define MBR_TYPE_PREDEFINED 0 /* codes 1 to MBR_CODE_LAST_PREDEFINED */
#define MBR_TYPE_INTERFACE  9 /* a closure pointer: what IREF makes */

/* What is known of a type. All pointers are the type system's. */
struct mbr_type_info {
    uint64_t code;
    const char *name; /* "Foo.Bar", "Foo", "LONG CARDINAL"; "Foo.#7" if it has none of its own */
    const struct mbr_intf_record *intf; /* its interface; NULL for predefined types */
    uint32_t kind;
    uint32_t size;
    uint32_t align;
    uint32_t count; /* as in mbr_type_record */
    uint64_t base;
    const struct mbr_member_record *members;
    bool large; /* passed by pointer: a record, choice, array or sequence, or an alias of one */
};

/* -ENOENT if CODE names no type here. */
MBR_API int mbr_types_info(struct mbr_types *types, uint64_t code, struct mbr_type_info *info)
    __attribute__((nonnull));

/* The code of NAME: "Foo" for an interface, "Foo.Bar" for a type. -ENOENT. */
MBR_API int mbr_types_lookup(struct mbr_types *types, const char *name, uint64_t *code)
    __attribute__((nonnull));

/* The type that CODE stands for when it is an alias, of an alias too; else CODE. -ENOENT. */
MBR_API int mbr_types_unalias(struct mbr_types *types, uint64_t code, uint64_t *base)
    __attribute__((nonnull));

/*
 * 1 if a value of type SUB will do where SUPER is wanted: they are the same, or interfaces of which
 * SUB extends SUPER, directly or not. An alias is another type than what it stands for. Else 0.
 * -ENOENT if one of them is not here.
 */
MBR_API int mbr_types_is(struct mbr_types *types, uint64_t sub, uint64_t super)
    __attribute__((nonnull));

/* The interface called NAME, or NULL. */
MBR_API const struct mbr_intf_record *mbr_types_intf(struct mbr_types *types, const char *name)
    __attribute__((nonnull));

/* --- Values ----------------------------------------------------------------------------------- */

/*
 * A value is given by its type's code and a pointer to its C object. In text it is written
 *
 *   true, 12, -3, 0.5                 numbers and truth values
 *   "text"  'c'  nil                  STRING, CHAR, and the null pointer
 *   red                               a member of an enumeration
 *   {a: 1, b: "x"}                    a record
 *   point({x: 1, y: 2})               a choice: the tag, then what it stands for
 *   [1, 2, 3]                         a sequence or an array
 *   <red, green>                      a set
 *   0x7f0012345678                    ADDRESS, REF and IREF: never followed
 *
 * and in JSON with strings for CHAR and for the names of enumerations, {"point": ...} for a choice,
 * arrays for sets, null for nil, strings for addresses and for numbers that are not finite. The
 * parser reads both forms whichever is asked for in printing.
 */
enum mbr_value_format { MBR_VALUE_TEXT = 0, MBR_VALUE_JSON = 1 };

/* How deep values may be nested, and how large text and memory of one may get. */
#define MBR_VALUE_MAX_DEPTH 64
#define MBR_VALUE_MAX_BYTES ((size_t)64 << 20)

/*
 * Stores the text of the value at VALUE, to be freed by free(), in *TEXT, and its length, which may
 * be NULL, in *LENGTH. -ENOENT if a type is missing; -ELOOP if it is nested deeper than
 * MBR_VALUE_MAX_DEPTH; -E2BIG if the text exceeds MBR_VALUE_MAX_BYTES; -EILSEQ for a string that is
 * not UTF-8, in JSON; -EINVAL if a choice's tag has no arm, or FORMAT is unknown; -ENOMEM. A
 * sequence and a string are believed: what they point to must be there.
 */
MBR_API int mbr_value_print(struct mbr_types *types, uint64_t code, const void *value,
                            enum mbr_value_format format, char **text, size_t *length)
    __attribute__((nonnull(1, 3, 5)));

/*
 * Reads a value of type CODE from the LENGTH bytes at TEXT into the object at VALUE, whose former
 * content does not matter; strings and sequences in it come from malloc() (mbr_value_clear frees
 * them). Record members may come in any order, but each once. Errors, with *VALUE undefined and
 * nothing to free: -EBADMSG if TEXT is not such a value (as an unsigned one with a sign is not),
 * -ERANGE if a number does not fit, -E2BIG if it would take more than MBR_VALUE_MAX_BYTES; -ENOENT,
 * -ELOOP, -ENOMEM as above. *WHERE, unless NULL, is then how many bytes were understood.
 */
MBR_API int mbr_value_parse(struct mbr_types *types, uint64_t code, const char *text, size_t length,
                            void *value, size_t *where) __attribute__((nonnull(1, 3, 5)));

/*
 * Frees the strings and sequences inside the value, deeply, and zeroes it. They must have come from
 * malloc(); REF, ADDRESS and IREF are left alone. Of a type that is missing or nested too deeply
 * nothing is freed.
 */
MBR_API void mbr_value_clear(struct mbr_types *types, uint64_t code, void *value)
    __attribute__((nonnull));

MBR_END_DECLS

#endif
