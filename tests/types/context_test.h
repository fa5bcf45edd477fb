/* SPDX-License-Identifier: MIT */
/* What the tests of contexts share: makers, a foreign context, and questions about exceptions.
 * Include after cmocka.h. */
#ifndef MBR_TESTS_CONTEXT_TEST_H
#define MBR_TESTS_CONTEXT_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <membrane/modules.h>
#include <middl/Context.h>
#include <middl/ContextMod.h>
#include <middl/Heap.h>
#include <middl/MergedContext.h>
#include <middl/WordTbl.h>

#include "test_heap.h"

static inline Context_clp new_context(Heap_clp heap)
{
    return ContextMod_NewContext(MBR_MODULE(ContextMod), heap, NULL);
}

static inline MergedContext_clp new_merged(Heap_clp heap)
{
    return ContextMod_NewMerged(MBR_MODULE(ContextMod), heap, NULL);
}

static inline Type_Any number(uint64_t n)
{
    return (Type_Any){MBR_CODE_LONG_CARDINAL, n};
}

/* An Any for CX; good until the next few calls. */
static inline const Type_Any *any_of(Context_clp cx)
{
    static Type_Any anys[8];
    static size_t at;
    Type_Any *any = &anys[at++ % 8];

    *any = (Type_Any){CODE_Context, (uintptr_t)cx};
    return any;
}

/* The name that NotFound carries when ADD or REMOVE raise it, else NULL. */
static inline const char *missing_in_add(Context_clp cx, const char *name, const Type_Any *any)
{
    const char *volatile missing = NULL;

    TRY
    {
        Context_Add(cx, name, any);
    }
    CATCH(Context_NotFound, args)
    {
        missing = args->name;
    }
    ENDTRY
    return missing;
}

static inline const char *missing_in_remove(Context_clp cx, const char *name)
{
    const char *volatile missing = NULL;

    TRY
    {
        Context_Remove(cx, name);
    }
    CATCH(Context_NotFound, args)
    {
        missing = args->name;
    }
    ENDTRY
    return missing;
}

static inline void names_free(Context_Names *names)
{
    for (uint32_t i = 0; i < names->len; i++)
        free((char *)(uintptr_t)names->data[i]);
    MBR_SEQ_CLEAR(names);
    free(names);
}

/* NAMES, each with a comma behind it, are EXPECTED; frees them. */
static inline void expect_names(Context_Names *names, const char *expected)
{
    char text[400] = "";

    for (uint32_t i = 0; i < names->len; i++) {
        strncat(text, names->data[i], sizeof(text) - strlen(text) - 2);
        strcat(text, ",");
    }
    names_free(names);
    assert_string_equal(text, expected);
}

/*
 * A context of another implementation: binds every name to 77 but "none..." (not found) and
 * "secret..." (denied), and remembers what it was asked. Its Dup is that of INNER, or an empty
 * plain context.
 */
struct foreign {
    Context_cl cl;
    char last[64];
    int calls;
    Context_clp inner; /* what Dup duplicates, or NULL */
    int destroyed;
};

static inline void foreign_note(Context_clp self, const char *name)
{
    struct foreign *foreign = self->st;

    foreign->calls++;
    snprintf(foreign->last, sizeof(foreign->last), "%s", name);
    if (strncmp(name, "secret", 6) == 0)
        RAISE(Context_Denied);
}

static bool foreign_get(Context_clp self, const char *name, Type_Any *obj)
{
    foreign_note(self, name);
    if (strncmp(name, "none", 4) == 0)
        return false;
    *obj = number(77);
    return true;
}

static void foreign_add(Context_clp self, const char *name, const Type_Any *obj)
{
    (void)obj;
    foreign_note(self, name);
    if (strncmp(name, "none", 4) == 0)
        RAISE(Context_NotFound, (char *)(uintptr_t)name);
}

static void foreign_remove(Context_clp self, const char *name)
{
    foreign_add(self, name, NULL);
}

static Context_Names *foreign_list(Context_clp self)
{
    Context_Names *names = calloc(1, sizeof(*names));
    char *name = names ? strdup("foreign") : NULL;

    (void)self;
    if (!name || MBR_SEQ_APPEND(names, name)) {
        free(name);
        free(names);
        RAISE(Heap_NoMemory);
    }
    return names;
}

static Context_clp foreign_dup(Context_clp self, Heap_clp h, WordTbl_clp xl)
{
    struct foreign *foreign = self->st;
    Context_clp copy;

    foreign->calls++;
    if (!foreign->inner)
        return new_context(h);
    copy = Context_Dup(foreign->inner, h, xl);
    return copy;
}

static void foreign_destroy(Context_clp self)
{
    struct foreign *foreign = self->st;

    foreign->destroyed++;
}

static inline void foreign_init(struct foreign *foreign)
{
    static const Context_op op = {.List = foreign_list,
                                  .Get = foreign_get,
                                  .Add = foreign_add,
                                  .Remove = foreign_remove,
                                  .Dup = foreign_dup,
                                  .Destroy = foreign_destroy};

    *foreign = (struct foreign){.cl = {&op, foreign}};
}

#endif
