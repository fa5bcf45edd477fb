/* SPDX-License-Identifier: MIT */
/*
 * Where a pathname leads. All arc-names but the last are followed, breadth first, to the contexts
 * in which the last one may be bound, in the order in which the recursive definition of Get would
 * come to them. Breadth first, because merged contexts make it a search: the same context met twice
 * at one arc needs to be followed once, so the work is bounded by arcs times contexts whatever the
 * naming network looks like (cycles included), and there is no recursion.
 *
 * What only a foreign context could follow stays a place of its own, with all of the rest; the
 * caller invokes it when its turn comes.
 */
#ifndef MBR_TYPES_CONTEXT_ROUTE_H
#define MBR_TYPES_CONTEXT_ROUTE_H

#include "types/context/context.h"

#define MBR__ROUTE_INLINE 8

/* REST is to be operated on in CX: one arc-name, unless CX is foreign. */
struct mbr__place {
    Context_clp cx;
    const char *rest; /* a suffix of the pathname */
    size_t same;      /* the place before this one with the same context, counted from 1; or 0 */
};

struct mbr__places {
    struct mbr__place *at; /* first, or from malloc */
    size_t count;
    size_t capacity;
    struct mbr__hash last; /* from a context to the last place with it; once first is too small */
    struct mbr__place first[MBR__ROUTE_INLINE];
};

/* A merged context met while arcs are followed. */
struct mbr__visit {
    const struct mbr__merged *merged;
    struct mbr__list *node; /* the next member */
    size_t outer;           /* the visit this one is inside of */
    bool mask;              /* the member it is there is one that masks */
    bool bound;             /* a member binds the arc */
};

struct mbr__route {
    struct mbr__places places;
    struct mbr__places next;   /* places one arc further on, while they are found */
    struct mbr__visit *visits; /* of this arc; each merged context once */
    size_t visit_count;
    size_t visit_capacity;
    struct mbr__hash visited; /* from a merged context to its visit, counted from 1 */
    bool not_context;         /* behind the last place NotContext is to be raised */
    bool forked;              /* a merged context was met, or there never was one way only */
    const char *blame;        /* what to say was not found: a suffix of the pathname */
};

/* Nothing allocated; mbr__route_fini() may be called at any time from here on. */
void mbr__route_init(struct mbr__route *route);
void mbr__route_fini(struct mbr__route *route);

/* Follows NAME from CX. Raises Heap.NoMemory, and whatever the type system raises. */
void mbr__route_find(struct mbr__route *route, Context_clp cx, const char *name);

/* Replaces the merged contexts among the places by all that they are made of. Same exceptions. */
void mbr__route_spread(struct mbr__route *route);

/* True if MERGED is, or is somewhere inside, CX. Raises Heap.NoMemory. */
bool mbr__route_reaches(Context_clp cx, const struct mbr__merged *merged);

#endif
