/* SPDX-License-Identifier: MIT */
/* Following pathnames: one set of places per arc, and a stack of merged contexts within it. */
#include "types/context/route.h"

#include <stdlib.h>
#include <string.h>

#include "types/heap_use.h"

#define NO_VISIT SIZE_MAX

static void places_init(struct mbr__places *places)
{
    places->at = places->first;
    places->count = 0;
    places->capacity = MBR__ROUTE_INLINE;
    mbr__hash_init(&places->last);
}

static void places_fini(struct mbr__places *places)
{
    if (places->at != places->first)
        free(places->at);
    mbr__hash_fini(&places->last);
    places_init(places);
}

static void places_grow(struct mbr__places *places)
{
    bool inside = places->at == places->first;
    size_t capacity = places->capacity * 2 + 1;
    struct mbr__place *at = realloc(inside ? NULL : places->at, capacity * sizeof(*at));

    if (!at)
        RAISE(Heap_NoMemory);
    if (inside)
        memcpy(at, places->first, sizeof(places->first));
    places->at = at;
    places->capacity = capacity;
}

/* Notes in the map, which has room, that place number N is the last one of its context. */
static void places_note(struct mbr__places *places, size_t n)
{
    uint64_t key = (uintptr_t)places->at[n].cx;

    places->at[n].same = (size_t)(uintptr_t)mbr__hash_del(&places->last, key);
    mbr__hash_put(&places->last, key, (void *)(uintptr_t)(n + 1));
}

/* A map of few places is not worth its memory: those are looked through. */
static bool places_have(const struct mbr__places *places, Context_clp cx, const char *rest)
{
    size_t n = places->count;

    if (n > MBR__ROUTE_INLINE)
        n = (size_t)(uintptr_t)mbr__hash_get(&places->last, (uintptr_t)cx);
    while (n > 0) {
        const struct mbr__place *place = &places->at[n - 1];

        if (place->cx == cx && place->rest == rest)
            return true;
        n = places->count > MBR__ROUTE_INLINE ? place->same : n - 1;
    }
    return false;
}

/* A context that is there already would only be asked the same once more. */
static void places_add(struct mbr__places *places, Context_clp cx, const char *rest)
{
    size_t n = places->count;

    if (places_have(places, cx, rest))
        return;
    if (n == places->capacity)
        places_grow(places);
    if (n >= MBR__ROUTE_INLINE && mbr__hash_reserve(&places->last, n + 1))
        RAISE(Heap_NoMemory);
    places->at[places->count++] = (struct mbr__place){.cx = cx, .rest = rest};
    if (n == MBR__ROUTE_INLINE)
        for (size_t i = 0; i < n; i++)
            places_note(places, i);
    if (n >= MBR__ROUTE_INLINE)
        places_note(places, n);
}

/* TO takes what FROM has; FROM is empty again. */
static void places_move(struct mbr__places *to, struct mbr__places *from)
{
    places_fini(to);
    if (from->at == from->first) {
        memcpy(to->first, from->first, sizeof(to->first));
    } else {
        to->at = from->at;
        to->capacity = from->capacity;
    }
    to->count = from->count;
    to->last = from->last;
    places_init(from);
}

void mbr__route_init(struct mbr__route *route)
{
    memset(route, 0, sizeof(*route));
    places_init(&route->places);
    places_init(&route->next);
    mbr__hash_init(&route->visited);
}

void mbr__route_fini(struct mbr__route *route)
{
    places_fini(&route->places);
    places_fini(&route->next);
    mbr__hash_fini(&route->visited);
    free(route->visits);
    route->visits = NULL;
}

/* Whether a foreign context binds an arc. One that raises something counts as binding it: it will
 * raise the same when its turn comes, and what is behind it is then out of reach. */
static bool foreign_binds(Context_clp cx, const char *arc, size_t length)
{
    char *name = mbr__heap_text(NULL, arc, length);
    volatile bool bound = true;
    Type_Any any;

    TRY
    {
        bound = Context_Get(cx, name, &any);
    }
    CATCH_ALL
    {
    }
    ENDTRY
    free(name);
    return bound;
}

/* The arc of LENGTH bytes, in a context that is not merged. True if it is bound there; only asked
 * of a foreign one if ASK. */
static bool step(struct mbr__route *route, Context_clp cx, const char *rest, size_t length,
                 bool ask)
{
    const struct mbr__context *context = mbr__context_of(cx);
    const struct mbr__binding *binding;
    Context_clp next;

    if (!context) {
        places_add(&route->next, cx, rest);
        return ask && foreign_binds(cx, rest, length);
    }
    binding = mbr__context_find(context, rest, length);
    if (!binding)
        return false;
    next = mbr__context_in(context->types, &binding->any);
    if (next)
        places_add(&route->next, next, rest + length + 1);
    else
        route->not_context = true;
    return true;
}

/* Room for one more visit. */
static void visits_grow(struct mbr__route *route)
{
    size_t capacity = route->visit_capacity * 2 + MBR__ROUTE_INLINE;
    struct mbr__visit *visits;

    if (mbr__hash_reserve(&route->visited, route->visit_count + 1))
        RAISE(Heap_NoMemory);
    if (route->visit_count < route->visit_capacity)
        return;
    visits = realloc(route->visits, capacity * sizeof(*visits));
    if (!visits)
        RAISE(Heap_NoMemory);
    route->visits = visits;
    route->visit_capacity = capacity;
}

/* Forgets the visits of the arc before. */
static void visits_clear(struct mbr__route *route)
{
    for (size_t i = 0; i < route->visit_count; i++)
        mbr__hash_del(&route->visited, (uintptr_t)route->visits[i].merged);
    route->visit_count = 0;
}

/* Begins to visit MERGED, unless that was done at this arc; returns the visit. */
static size_t visit(struct mbr__route *route, const struct mbr__merged *merged, size_t outer,
                    bool mask, bool *old)
{
    uintptr_t known = (uintptr_t)mbr__hash_get(&route->visited, (uintptr_t)merged);

    *old = known != 0;
    if (*old)
        return known - 1;
    visits_grow(route);
    route->visits[route->visit_count++] =
        (struct mbr__visit){merged, merged->members.next, outer, mask, false};
    mbr__hash_put(&route->visited, (uintptr_t)merged, (void *)(uintptr_t)route->visit_count);
    return route->visit_count - 1;
}

/* A member of visit AT has been looked into: BOUND there, and masking what is behind it? */
static void note(struct mbr__route *route, size_t at, bool bound, bool mask)
{
    struct mbr__visit *visit = &route->visits[at];

    if (!bound)
        return;
    visit->bound = true;
    if (mask)
        visit->node = (struct mbr__list *)(uintptr_t)&visit->merged->members;
}

/* The visit to go on with when AT is over. */
static size_t leave(struct mbr__route *route, size_t at)
{
    struct mbr__visit over = route->visits[at];

    if (over.outer != NO_VISIT)
        note(route, over.outer, over.bound, over.mask);
    return over.outer;
}

/*
 * Everything MERGED is made of, in order: LENGTH > 0 follows the arc in each, 0 only collects them.
 * Ends as soon as NotContext is certain.
 */
static void walk(struct mbr__route *route, const struct mbr__merged *merged, const char *rest,
                 size_t length)
{
    bool old;
    size_t at = visit(route, merged, NO_VISIT, false, &old);

    if (old)
        return;
    while (at != NO_VISIT && !route->not_context) {
        struct mbr__visit *here = &route->visits[at];
        const struct mbr__member *member;
        const struct mbr__merged *inner;

        if (here->node == &here->merged->members) {
            at = leave(route, at);
            continue;
        }
        member = MBR__MEMBER(here->node);
        here->node = here->node->next;
        inner = mbr__merged_of(member->cx);
        if (inner) {
            size_t to = visit(route, inner, at, member->mask, &old);

            if (old)
                note(route, at, route->visits[to].bound, member->mask && length > 0);
            else
                at = to;
        } else if (length > 0) {
            note(route, at, step(route, member->cx, rest, length, member->mask), member->mask);
        } else {
            places_add(&route->next, member->cx, rest);
        }
    }
}

/* One arc further in every place but the foreign ones. False if there are no others. */
static bool advance(struct mbr__route *route, const char *rest, size_t length)
{
    bool own = false;

    visits_clear(route);
    for (size_t i = 0; i < route->places.count && !route->not_context; i++) {
        struct mbr__place place = route->places.at[i];
        const struct mbr__merged *merged = mbr__merged_of(place.cx);

        if (!merged && !mbr__context_of(place.cx)) {
            places_add(&route->next, place.cx, place.rest);
            continue;
        }
        own = true;
        if (merged)
            walk(route, merged, rest, length);
        else
            step(route, place.cx, rest, length, false);
    }
    places_move(&route->places, &route->next);
    return own;
}

/* As long as there was one way only, it is the arc at hand that is not found. */
static void blame(struct mbr__route *route, const char *rest)
{
    if (route->forked)
        return;
    route->blame = rest;
    route->forked = route->places.count != 1 || !mbr__context_of(route->places.at[0].cx);
}

void mbr__route_find(struct mbr__route *route, Context_clp cx, const char *name)
{
    const char *rest = name;
    const char *end;
    bool stopped = false;

    places_add(&route->places, cx, name);
    for (blame(route, rest); (end = strchr(rest, '>')); rest = end + 1) {
        bool was = route->not_context;

        /* NotContext that is certain already ends the list of places; those before it go on. */
        route->not_context = false;
        if (!advance(route, rest, (size_t)(end - rest)))
            break;
        stopped = stopped || was || route->not_context;
        route->not_context = false;
        if (route->places.count == 0)
            break;
        blame(route, end + 1);
    }
    route->not_context = stopped;
}

void mbr__route_spread(struct mbr__route *route)
{
    bool not_context = route->not_context;

    route->not_context = false;
    visits_clear(route);
    for (size_t i = 0; i < route->places.count; i++) {
        struct mbr__place place = route->places.at[i];
        const struct mbr__merged *merged = mbr__merged_of(place.cx);

        if (merged)
            walk(route, merged, place.rest, 0);
        else
            places_add(&route->next, place.cx, place.rest);
    }
    places_move(&route->places, &route->next);
    route->not_context = not_context;
}

bool mbr__route_reaches(Context_clp cx, const struct mbr__merged *merged)
{
    const struct mbr__merged *from = mbr__merged_of(cx);
    struct mbr__route route;
    volatile bool found = false;

    if (!from)
        return false;
    mbr__route_init(&route);
    TRY
    {
        walk(&route, from, "", 0);
        for (size_t i = 0; i < route.visit_count; i++)
            if (route.visits[i].merged == merged)
                found = true;
    }
    FINALLY
    {
        mbr__route_fini(&route);
    }
    ENDTRY
    return found;
}
