/* SPDX-License-Identifier: MIT */
/*
 * Type records as the type system keeps them: a copy that was read with care and checked, so that
 * everything above may follow its pointers. The original is not needed afterwards: a shared object
 * may be unloaded, or change its mind.
 *
 * Checked here is what one record can tell: that all memory can be read, that it is of our version
 * and within the limits, names are identifiers and no two of an interface are the same, numbers are
 * where the format puts them, own codes name own types. Whether sizes agree with those of types in
 * other interfaces is registry.c's to find out.
 */
#ifndef MBR_TYPES_RECORD_H
#define MBR_TYPES_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <membrane/middl.h>

#include "types/arena.h"

/* The most memory that one interface may take. */
#define MBR__INTF_BUDGET ((size_t)64 << 20)

/* What a name of an interface stands for. */
enum mbr__name_class { MBR__NAME_TYPE, MBR__NAME_EXN, MBR__NAME_OP };

struct mbr__name {
    const char *name;
    uint32_t index; /* in types, exns or ops */
    uint32_t class; /* enum mbr__name_class */
};

/* Members of a type, or parameters, by name. */
struct mbr__order {
    const char *name;
    uint32_t index;
};

struct mbr__record {
    struct mbr_intf_record copy; /* its pointers lead into the arena */
    struct mbr__arena arena;
    struct mbr__name *names; /* sorted */
    uint32_t n_names;
};

/*
 * Makes *RECORD of the one at FROM. -EBADMSG if that is damaged, and then *WHY is a static phrase
 * that says how; -ENOMEM; another errno if this kernel lets nobody look. *RECORD is undefined
 * after an error, and owns nothing.
 */
int mbr__record_copy(struct mbr__record *record, const struct mbr_intf_record *from,
                     const struct mbr__source *source, const char **why);

void mbr__record_fini(struct mbr__record *record);

/* True if both say the same in every word. */
bool mbr__record_same(const struct mbr_intf_record *a, const struct mbr_intf_record *b);

/* What NAME stands for, or NULL. */
const struct mbr__name *mbr__record_find(const struct mbr__record *record, const char *name);

/* True for a letter or '_', then letters, digits and '_', at most MBR_INTF_MAX_NAME. */
bool mbr__is_identifier(const char *name);

#endif
