/* SPDX-License-Identifier: MIT */
/* Get, Add and Remove of plain and merged contexts: find the places, then operate in each in turn
 * until one of them has done it. */
#include <string.h>

#include "types/context/route.h"
#include "types/heap_use.h"

static const char *text_of(const char *name)
{
    return name ? name : "";
}

/* The binding at PLACE, whose context is a plain one. */
static struct mbr__binding *binding_at(const struct mbr__place *place)
{
    return mbr__context_find(mbr__context_of(place->cx), place->rest, strlen(place->rest));
}

static bool get_at(const struct mbr__place *place, Type_Any *obj)
{
    const struct mbr__binding *binding;

    if (!mbr__context_of(place->cx))
        return Context_Get(place->cx, place->rest, obj);
    binding = binding_at(place);
    if (binding)
        *obj = binding->any;
    return binding != NULL;
}

/* In the first of the places that binds it. */
static bool get_in(struct mbr__route *route, Type_Any *obj)
{
    mbr__route_spread(route);
    for (size_t i = 0; i < route->places.count; i++)
        if (get_at(&route->places.at[i], obj))
            return true;
    if (route->not_context)
        RAISE(Context_NotContext);
    return false;
}

bool mbr__context_get(Context_clp self, const char *name, Type_Any *obj)
{
    struct mbr__route route;
    volatile bool present = false;

    mbr__route_init(&route);
    TRY
    {
        mbr__route_find(&route, self, text_of(name));
        present = get_in(&route, obj);
    }
    FINALLY
    {
        mbr__route_fini(&route);
    }
    ENDTRY
    return present;
}

/* What NotFound carries: a part of the caller's pathname, which it may read as long as that lives.
 */
static MBR_NORETURN void not_found(const char *rest)
{
    RAISE(Context_NotFound, (char *)(uintptr_t)rest);
}

/* An arc-name is bound in the first of what a merged context is made of. Those form no cycle
 * (AddContext sees to that). */
static Context_clp first_of(Context_clp cx)
{
    const struct mbr__merged *merged;

    while ((merged = mbr__merged_of(cx))) {
        struct mbr__list *first = mbr__list_first(&merged->members);

        if (!first)
            RAISE(Context_Denied);
        cx = MBR__MEMBER(first)->cx;
    }
    return cx;
}

static void add_plain(struct mbr__context *context, const char *arc, const Type_Any *obj)
{
    size_t length = strlen(arc);

    if (length == 0)
        RAISE(Context_Denied);
    if (mbr__context_find(context, arc, length))
        RAISE(Context_Exists);
    mbr__context_bind(context, arc, length, obj, NULL);
}

/* True unless a foreign context has not found an arc on the way. */
static bool foreign_add(Context_clp cx, const char *rest, const Type_Any *obj)
{
    volatile bool done = true;

    TRY
    {
        Context_Add(cx, rest, obj);
    }
    CATCH(Context_NotFound)
    {
        done = false;
    }
    ENDTRY
    return done;
}

static bool add_at(const struct mbr__place *place, const Type_Any *obj)
{
    Context_clp cx = first_of(place->cx);
    struct mbr__context *context = mbr__context_of(cx);

    if (!context)
        return foreign_add(cx, place->rest, obj);
    add_plain(context, place->rest, obj);
    return true;
}

static void add_in(struct mbr__route *route, const Type_Any *obj)
{
    for (size_t i = 0; i < route->places.count; i++)
        if (add_at(&route->places.at[i], obj))
            return;
    if (route->not_context)
        RAISE(Context_NotContext);
    not_found(route->blame);
}

void mbr__context_add(Context_clp self, const char *name, const Type_Any *obj)
{
    struct mbr__route route;

    mbr__route_init(&route);
    TRY
    {
        mbr__route_find(&route, self, text_of(name));
        add_in(&route, obj);
    }
    FINALLY
    {
        mbr__route_fini(&route);
    }
    ENDTRY
}

static bool foreign_remove(Context_clp cx, const char *rest)
{
    volatile bool done = true;

    TRY
    {
        Context_Remove(cx, rest);
    }
    CATCH(Context_NotFound)
    {
        done = false;
    }
    ENDTRY
    return done;
}

static bool remove_at(const struct mbr__place *place)
{
    struct mbr__context *context = mbr__context_of(place->cx);
    struct mbr__binding *binding;

    if (!context)
        return foreign_remove(place->cx, place->rest);
    binding = binding_at(place);
    if (binding)
        mbr__context_unbind(context, binding);
    return binding != NULL;
}

static void remove_in(struct mbr__route *route)
{
    mbr__route_spread(route);
    for (size_t i = 0; i < route->places.count; i++)
        if (remove_at(&route->places.at[i]))
            return;
    if (route->not_context)
        RAISE(Context_NotContext);
    not_found(route->blame);
}

void mbr__context_remove(Context_clp self, const char *name)
{
    struct mbr__route route;

    mbr__route_init(&route);
    TRY
    {
        mbr__route_find(&route, self, text_of(name));
        remove_in(&route);
    }
    FINALLY
    {
        mbr__route_fini(&route);
    }
    ENDTRY
}
