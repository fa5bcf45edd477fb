/* SPDX-License-Identifier: MIT */
/*
 * The type system's data: interfaces, found by fingerprint, and types, found by name. Every object
 * stays where it is until the whole is freed, so pointers may be kept; only maps, the list, and the
 * states of types change, under the lock.
 */
#ifndef MBR_TYPES_REGISTRY_H
#define MBR_TYPES_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <membrane/types.h>

#include "base/hash.h"
#include "types/record.h"

/* Aliases, and interfaces that extend each other, are followed so far. */
#define MBR__CHAIN_MAX 256

enum mbr__type_state {
    MBR__TYPE_NEW,      /* not looked at */
    MBR__TYPE_VISITING, /* being looked at: meeting it again means that it contains itself */
    MBR__TYPE_WAITING,  /* contains a type of an interface that is not there yet */
    MBR__TYPE_SOUND,    /* sizes and offsets agree */
    MBR__TYPE_BAD
};

struct mbr__type {
    struct mbr_closure closure; /* of Enum, Record or Choice; else unused. First: st is this */
    uint64_t code;
    const char *name;
    const struct mbr_type_record *record;
    struct mbr__intf *intf;
    const void *parts; /* what Anys that describe it point to: fields, arms, an array's numbers */
    enum mbr__type_state state;
};

/* An operation or an exception, as a closure needs it. */
struct mbr__part {
    struct mbr_closure closure;
    struct mbr__intf *intf;
    const void *params; /* of an operation: what Anys point to */
    uint32_t index;
};

struct mbr__intf {
    struct mbr_closure closure; /* of Interface */
    struct mbr_types *owner;
    struct mbr__record record;
    struct mbr__type *types; /* n_types + 1: the first is the interface itself */
    struct mbr__part *ops;
    struct mbr__part *exns;
    uint64_t awaited; /* the interface that some type waits for, or 0 */
    struct mbr__intf *next;
    struct mbr__intf *next_waiting;
};

/* The interface called IREF: predefined types, and all interfaces. Its code is 0. */
#define MBR__IREF_TYPES (MBR_CODE_LAST_PREDEFINED + 1)

struct mbr_types {
    struct mbr_closure closure; /* of TypeSystemF */
    pthread_rwlock_t lock;
    struct mbr__source source;
    struct mbr__hash_memory map_memory; /* the same source, for the maps */
    struct mbr__bytes_map by_code;      /* struct mbr__intf, by fingerprint */
    struct mbr__bytes_map by_name;      /* struct mbr__type */
    struct mbr__intf *first;            /* in the order of registration */
    struct mbr__intf **last;
    struct mbr__intf *waiting; /* those that await another */
    struct mbr__intf iref;
    struct mbr__type iref_types[MBR__IREF_TYPES];
    uint64_t seen; /* of what is announced; written under the lock */
    bool of_process;
};

/* As mbr_types_new, with all its memory from SOURCE. */
int mbr__types_new_in(const struct mbr__source *source, struct mbr_types **types);

/* The sound type with this code, or NULL. Takes the lock. */
const struct mbr__type *mbr__types_find(struct mbr_types *types, uint64_t code);

/* The same by name. */
const struct mbr__type *mbr__types_find_name(struct mbr_types *types, const char *name);

/* The interface with this code, or NULL. Takes the lock. */
struct mbr__intf *mbr__types_find_intf(struct mbr_types *types, uint64_t code);

/* The interface registered after INTF, or the first for NULL; NULL at the end. Takes the lock. */
struct mbr__intf *mbr__types_next(struct mbr_types *types, const struct mbr__intf *intf);

/* What CODE stands for once aliases are undone, or NULL. Takes the lock. */
const struct mbr__type *mbr__types_base(struct mbr_types *types, uint64_t code);

/* --- for the files that make up the registry: the lock is held ---- */

struct mbr__intf *mbr__intf_by_code(const struct mbr_types *types, uint64_t code);

/* The type with this code in any state, or NULL. */
struct mbr__type *mbr__type_by_code(const struct mbr_types *types, uint64_t code);

/*
 * Judges the layout of all types and exceptions of INTF; what waits for another interface is
 * remembered there. Returns -EBADMSG if one of them is bad.
 */
int mbr__intf_judge(struct mbr_types *types, struct mbr__intf *intf);

bool mbr__kind_is_large(uint32_t kind);

#endif
