/* SPDX-License-Identifier: MIT */
/* MergedContext: the list of contexts. What a pathname means in it is in context/route.c. */
#include <stdlib.h>
#include <string.h>

#include "types/context/route.h"
#include "types/heap_use.h"

static struct mbr__member *find(const struct mbr__merged *merged, Context_clp cx)
{
    struct mbr__list *node;

    mbr__list_for_each (node, (struct mbr__list *)(uintptr_t)&merged->members)
        if (MBR__MEMBER(node)->cx == cx)
            return MBR__MEMBER(node);
    return NULL;
}

void mbr__merged_insert(struct mbr__merged *merged, struct mbr__member *before, Context_clp cx,
                        bool mask)
{
    struct mbr__member *member = mbr__heap_need(merged->heap, sizeof(*member));

    member->cx = cx;
    member->mask = mask;
    /* In front of the head is the end: the list is circular. */
    mbr__list_push_back(before ? &before->link : &merged->members, &member->link);
}

/* The member that a new one goes in front of; NULL: none, it goes to the end. */
static struct mbr__member *place_for(struct mbr__merged *merged, MergedContext_Position pos,
                                     Context_clp c1)
{
    struct mbr__member *member = c1 ? find(merged, c1) : NULL;
    struct mbr__list *node;

    if (c1 && !member)
        RAISE(Context_NotContext);
    if (pos == MergedContext_Position_Before)
        node = member ? &member->link : mbr__list_first(&merged->members);
    else
        node = member ? mbr__list_next(&merged->members, &member->link) : NULL;
    return node ? MBR__MEMBER(node) : NULL;
}

static void add_context(MergedContext_clp self, Context_clp c, MergedContext_Position pos,
                        bool mask_after, Context_clp c1)
{
    struct mbr__merged *merged = self->st;
    struct mbr__member *before;

    if (!c)
        RAISE(Context_NotContext);
    if (find(merged, c))
        RAISE(Context_Exists);
    before = place_for(merged, pos, c1);
    /* One that is inside itself would have no first element. */
    if (mbr__route_reaches(c, merged))
        RAISE(Context_Exists);
    mbr__merged_insert(merged, before, c, mask_after);
}

static void delete_context(MergedContext_clp self, Context_clp c)
{
    struct mbr__merged *merged = self->st;
    struct mbr__member *member = find(merged, c);

    if (!member)
        RAISE(Context_NotContext);
    mbr__list_del(&member->link);
    mbr__heap_free(merged->heap, member);
}

static MergedContext_ContextList *list_contexts(MergedContext_clp self)
{
    const struct mbr__merged *merged = self->st;
    MergedContext_ContextList *contexts = mbr__heap_need(NULL, sizeof(*contexts));
    struct mbr__list *node;

    mbr__list_for_each (node, (struct mbr__list *)(uintptr_t)&merged->members) {
        if (MBR_SEQ_APPEND(contexts, MBR__MEMBER(node)->cx)) {
            MBR_SEQ_CLEAR(contexts);
            free(contexts);
            RAISE(Heap_NoMemory);
        }
    }
    return contexts;
}

/* A union of names: each once, where it came first. */
struct names_union {
    Context_Names *names;
    struct mbr__bytes_map map; /* of the texts in names */
};

static const void *text_key(const void *value, size_t *length)
{
    *length = strlen(value);
    return value;
}

static void union_add(struct names_union *all, const char *name, size_t length)
{
    if (mbr__bytes_map_get(&all->map, name, length))
        return;
    mbr__names_add(all->names, name, length);
    if (mbr__bytes_map_put(&all->map, (char *)(uintptr_t)all->names->data[all->names->len - 1]))
        RAISE(Heap_NoMemory);
}

static void union_add_foreign(struct names_union *all, Context_clp cx)
{
    Context_Names *names = Context_List(cx);

    TRY
    {
        for (uint32_t i = 0; names && i < names->len; i++)
            union_add(all, names->data[i], strlen(names->data[i]));
    }
    FINALLY
    {
        mbr__names_free(names);
    }
    ENDTRY
}

static void union_add_all(struct names_union *all, Context_clp cx)
{
    const struct mbr__context *context = mbr__context_of(cx);
    struct mbr__list *node;

    if (!context) {
        union_add_foreign(all, cx);
        return;
    }
    mbr__list_for_each (node, (struct mbr__list *)(uintptr_t)&context->bindings)
        union_add(all, MBR__BINDING(node)->name, MBR__BINDING(node)->length);
}

static Context_Names *list(Context_clp self)
{
    struct names_union all = {.names = mbr__heap_need(NULL, sizeof(*all.names))};
    struct mbr__route route;

    mbr__bytes_map_init(&all.map, text_key);
    mbr__route_init(&route);
    TRY
    {
        mbr__route_find(&route, self, "");
        mbr__route_spread(&route);
        for (size_t i = 0; i < route.places.count; i++)
            union_add_all(&all, route.places.at[i].cx);
    }
    CATCH_ALL
    {
        mbr__names_free(all.names);
        RERAISE;
    }
    FINALLY
    {
        mbr__bytes_map_fini(&all.map);
        mbr__route_fini(&route);
    }
    ENDTRY
    return all.names;
}

void mbr__merged_free(struct mbr__merged *merged)
{
    struct mbr__list *node;

    while ((node = mbr__list_pop_front(&merged->members)))
        mbr__heap_free(merged->heap, MBR__MEMBER(node));
    mbr__heap_free(merged->heap, merged);
}

static void destroy(Context_clp self)
{
    mbr__merged_free(self->st);
}

static const MergedContext_op merged_op = {.List = list,
                                           .Get = mbr__context_get,
                                           .Add = mbr__context_add,
                                           .Remove = mbr__context_remove,
                                           .Dup = mbr__context_dup,
                                           .Destroy = destroy,
                                           .AddContext = add_context,
                                           .DeleteContext = delete_context,
                                           .ListContexts = list_contexts};

struct mbr__merged *mbr__merged_new(Heap_clp heap, TypeSystem_clp types)
{
    struct mbr__merged *merged = mbr__heap_need(heap, sizeof(*merged));

    merged->cl = (MergedContext_cl){&merged_op, merged};
    merged->heap = heap;
    merged->types = types;
    mbr__list_init(&merged->members);
    return merged;
}

struct mbr__merged *mbr__merged_of(Context_clp cx)
{
    return (const void *)cx->op == &merged_op ? cx->st : NULL;
}
