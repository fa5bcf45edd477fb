/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of context of this library, as its own files see them: the plain one, a map that
 * keeps its bindings in the order in which they came, and the merged one, a list of contexts of any
 * kind. All other contexts, of whatever implementation, are "foreign" here and are reached through
 * their closures alone.
 *
 * For one thread at a time. Not here: pathnames (context/route.h) and copying (context/dup.c).
 */
#ifndef MBR_TYPES_CONTEXT_CONTEXT_H
#define MBR_TYPES_CONTEXT_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <middl/Context.h>
#include <middl/Heap.h>
#include <middl/MergedContext.h>
#include <middl/TypeSystem.h>
#include <middl/WordTbl.h>

#include "base/hash.h"
#include "base/list.h"

struct mbr__binding {
    struct mbr__list link; /* in mbr__context.bindings */
    Type_Any any;
    char *text; /* the copy of a STRING that Dup has made and any.val points to, or NULL */
    size_t length;
    char name[]; /* with a NUL */
};

struct mbr__context {
    Context_cl cl;
    Heap_clp heap;        /* NULL: malloc */
    TypeSystem_clp types; /* NULL: the process's */
    struct mbr__hash_memory memory;
    struct mbr__bytes_map map;
    struct mbr__list bindings; /* in the order of their coming */
};

struct mbr__member {
    struct mbr__list link; /* in mbr__merged.members */
    Context_clp cx;
    bool mask;
};

struct mbr__merged {
    MergedContext_cl cl;
    Heap_clp heap;
    TypeSystem_clp types;
    struct mbr__list members;
};

#define MBR__BINDING(node) mbr__container_of(node, struct mbr__binding, link)
#define MBR__MEMBER(node)  mbr__container_of(node, struct mbr__member, link)

/* CX as one of the two kinds, or NULL if it is none of that kind. */
struct mbr__context *mbr__context_of(Context_clp cx);
struct mbr__merged *mbr__merged_of(Context_clp cx);

/* Empty ones in HEAP. Raise Heap.NoMemory. */
struct mbr__context *mbr__context_new(Heap_clp heap, TypeSystem_clp types);
struct mbr__merged *mbr__merged_new(Heap_clp heap, TypeSystem_clp types);

/* Free one with its bindings or its list, not what they stand for. */
void mbr__context_free(struct mbr__context *context);
void mbr__merged_free(struct mbr__merged *merged);

/* The binding of the arc-name of LENGTH bytes at ARC, or NULL. */
struct mbr__binding *mbr__context_find(const struct mbr__context *context, const char *arc,
                                       size_t length);

/*
 * Binds the arc-name of LENGTH > 0 bytes at ARC, which must not be bound. TEXT, of the context's
 * heap or NULL, is then the binding's. Raises Heap.NoMemory with nothing changed.
 */
void mbr__context_bind(struct mbr__context *context, const char *arc, size_t length,
                       const Type_Any *any, char *text);

/* Takes BINDING out and frees it. */
void mbr__context_unbind(struct mbr__context *context, struct mbr__binding *binding);

/* Puts CX in front of BEFORE, or at the end if that is NULL. Raises Heap.NoMemory. */
void mbr__merged_insert(struct mbr__merged *merged, struct mbr__member *before, Context_clp cx,
                        bool mask);

/* The context that ANY is a reference to, judged by TYPES, or, if that is NULL, by the type system
 * of the process; NULL if it is none. */
Context_clp mbr__context_in(TypeSystem_clp types, const Type_Any *any);

/* Appends a copy of the LENGTH bytes at NAME. Raises Heap.NoMemory, nothing appended. */
void mbr__names_add(Context_Names *names, const char *name, size_t length);

/* Frees a result of Context.List. NULL is fine. */
void mbr__names_free(Context_Names *names);

/* The methods that both kinds share: pathnames and copying. */
bool mbr__context_get(Context_clp self, const char *name, Type_Any *obj);
void mbr__context_add(Context_clp self, const char *name, const Type_Any *obj);
void mbr__context_remove(Context_clp self, const char *name);
Context_clp mbr__context_dup(Context_clp self, Heap_clp h, WordTbl_clp xl);

#endif
