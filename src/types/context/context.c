/* SPDX-License-Identifier: MIT */
/* The plain context: bindings in a list, found through a map, all in the heap it was given. */
#include "types/context/context.h"

#include <stdlib.h>
#include <string.h>

#include <membrane/types.h>

#include "types/heap_use.h"

static const void *key_of(const void *value, size_t *length)
{
    const struct mbr__binding *binding = value;

    *length = binding->length;
    return binding->name;
}

struct mbr__binding *mbr__context_find(const struct mbr__context *context, const char *arc,
                                       size_t length)
{
    return mbr__bytes_map_get(&context->map, arc, length);
}

void mbr__context_bind(struct mbr__context *context, const char *arc, size_t length,
                       const Type_Any *any, char *text)
{
    struct mbr__binding *binding = mbr__heap_need(context->heap, sizeof(*binding) + length + 1);

    memcpy(binding->name, arc, length);
    binding->length = length;
    binding->any = *any;
    if (mbr__bytes_map_put(&context->map, binding)) {
        mbr__heap_free(context->heap, binding);
        RAISE(Heap_NoMemory);
    }
    binding->text = text;
    mbr__list_push_back(&context->bindings, &binding->link);
}

void mbr__context_unbind(struct mbr__context *context, struct mbr__binding *binding)
{
    mbr__bytes_map_del(&context->map, binding->name, binding->length);
    mbr__list_del(&binding->link);
    mbr__heap_free(context->heap, binding->text);
    mbr__heap_free(context->heap, binding);
}

void mbr__names_add(Context_Names *names, const char *name, size_t length)
{
    char *copy = mbr__heap_text(NULL, name, length);

    if (MBR_SEQ_APPEND(names, copy)) {
        free(copy);
        RAISE(Heap_NoMemory);
    }
}

void mbr__names_free(Context_Names *names)
{
    if (!names)
        return;
    for (uint32_t i = 0; i < names->len; i++)
        free((char *)(uintptr_t)names->data[i]);
    MBR_SEQ_CLEAR(names);
    free(names);
}

static Context_Names *list(Context_clp self)
{
    struct mbr__context *context = self->st;
    Context_Names *names = mbr__heap_need(NULL, sizeof(*names));
    struct mbr__list *node;

    TRY
    {
        mbr__list_for_each (node, &context->bindings)
            mbr__names_add(names, MBR__BINDING(node)->name, MBR__BINDING(node)->length);
    }
    CATCH_ALL
    {
        mbr__names_free(names);
        RERAISE;
    }
    ENDTRY
    return names;
}

void mbr__context_free(struct mbr__context *context)
{
    Heap_clp heap = context->heap;
    struct mbr__list *node;

    while ((node = mbr__list_first(&context->bindings)))
        mbr__context_unbind(context, MBR__BINDING(node));
    mbr__bytes_map_fini(&context->map);
    mbr__heap_free(heap, context);
}

static void destroy(Context_clp self)
{
    mbr__context_free(self->st);
}

static const Context_op context_op = {.List = list,
                                      .Get = mbr__context_get,
                                      .Add = mbr__context_add,
                                      .Remove = mbr__context_remove,
                                      .Dup = mbr__context_dup,
                                      .Destroy = destroy};

struct mbr__context *mbr__context_new(Heap_clp heap, TypeSystem_clp types)
{
    struct mbr__context *context = mbr__heap_need(heap, sizeof(*context));

    context->cl = (Context_cl){&context_op, context};
    context->heap = heap;
    context->types = types;
    context->memory = mbr__heap_memory(heap);
    mbr__bytes_map_init_in(&context->map, key_of, &context->memory);
    mbr__list_init(&context->bindings);
    return context;
}

struct mbr__context *mbr__context_of(Context_clp cx)
{
    return cx->op == &context_op ? cx->st : NULL;
}

/* A code the type system does not know is no context's. */
static bool is_subtype(TypeSystem_clp types, Type_Code code)
{
    volatile bool is = false;

    TRY
    {
        is = TypeSystem_IsType(types, code, CODE_Context);
    }
    CATCH(TypeSystem_BadCode)
    {
    }
    ENDTRY
    return is;
}

static bool is_subtype_here(Type_Code code)
{
    struct mbr_types *types = mbr_types_process();

    return types && mbr_types_is(types, code, CODE_Context) == 1;
}

Context_clp mbr__context_in(TypeSystem_clp types, const Type_Any *any)
{
    bool is = any->type == CODE_Context || any->type == CODE_MergedContext ||
              (types ? is_subtype(types, any->type) : is_subtype_here(any->type));

    return is ? (Context_clp)(uintptr_t)any->val : NULL;
}
