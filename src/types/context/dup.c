/* SPDX-License-Identifier: MIT */
/*
 * Dup: copies a naming network. Each context of this library that is reached is made once, empty,
 * and put on a list; then the list is gone through and the copies are filled, which may make it
 * longer. So sharing and cycles come out as they were, and nothing recurses.
 *
 * Foreign contexts are asked to copy themselves. They are given, as their table of translations,
 * one that knows the caller's and besides the copies made so far, so that what they share with us
 * stays shared; and should a foreign one lead back to itself through us, the operation is denied.
 */
#include <stdlib.h>
#include <string.h>

#include <middl/WordTbl.h>
#include <middl/WordTblIter.h>

#include "types/context/context.h"
#include "types/heap_use.h"

/* A copy that was made. */
struct copy {
    Context_clp of;
    Context_clp cx;
};

struct session {
    WordTbl_cl overlay; /* for foreign contexts: the translations and the copies so far */
    WordTbl_clp xl;     /* the caller's, or NULL */
    Heap_clp heap;
    struct copy *copies;
    size_t count;
    size_t capacity;
    struct mbr__hash seen;  /* from an original to the closure of its copy */
    Context_clp now;        /* the foreign context that is copying itself, or NULL */
    struct session *around; /* the session it was called from, if we know */
};

static bool translate(struct session *s, uint64_t val, void **to)
{
    if (s->xl && WordTbl_Get(s->xl, (uintptr_t)val, to))
        return true;
    *to = mbr__hash_get(&s->seen, val);
    return *to != NULL;
}

static bool overlay_get(WordTbl_clp self, WordTbl_Key k, WordTbl_Val *v)
{
    void *to;

    if (!translate(self->st, k, &to))
        return false;
    *v = to;
    return true;
}

/* The overlay is lent for looking things up: it keeps nothing that is put and iterates over none.
 */
static bool overlay_put(WordTbl_clp self, WordTbl_Key k, WordTbl_Val v)
{
    WordTbl_Val old;

    (void)v;
    return overlay_get(self, k, &old);
}

static bool overlay_delete(WordTbl_clp self, WordTbl_Key k, WordTbl_Val *v)
{
    (void)self, (void)k, (void)v;
    return false;
}

static uint32_t overlay_size(WordTbl_clp self)
{
    const struct session *s = self->st;

    return (uint32_t)s->seen.count + (s->xl ? WordTbl_Size(s->xl) : 0);
}

static bool none_next(WordTblIter_clp self, uintptr_t *key, void **val)
{
    (void)self, (void)key, (void)val;
    return false;
}

static void none_dispose(WordTblIter_clp self)
{
    (void)self;
}

static WordTblIter_clp overlay_iterate(WordTbl_clp self)
{
    static const WordTblIter_op op = {.Next = none_next, .Dispose = none_dispose};
    static WordTblIter_cl none = {&op, NULL};

    (void)self;
    return &none;
}

static void overlay_destroy(WordTbl_clp self)
{
    (void)self;
}

static const WordTbl_op overlay_op = {.Get = overlay_get,
                                      .Put = overlay_put,
                                      .Delete = overlay_delete,
                                      .Size = overlay_size,
                                      .Iterate = overlay_iterate,
                                      .Destroy = overlay_destroy};

/* Makes sure that noting one more copy cannot fail: a copy that exists is never lost. */
static void reserve(struct session *s)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 16;
        struct copy *copies = realloc(s->copies, capacity * sizeof(*copies));

        if (!copies)
            RAISE(Heap_NoMemory);
        s->copies = copies;
        s->capacity = capacity;
    }
    if (mbr__hash_reserve(&s->seen, s->seen.count + 1))
        RAISE(Heap_NoMemory);
}

static void note(struct session *s, Context_clp of, Context_clp cx)
{
    s->copies[s->count++] = (struct copy){of, cx};
    mbr__hash_put(&s->seen, (uintptr_t)of, cx);
}

static Context_clp copy_foreign(struct session *s, Context_clp cx)
{
    Context_clp copy;

    for (const struct session *outer = s; outer; outer = outer->around)
        if (outer->now == cx)
            RAISE(Context_Denied);
    s->now = cx;
    copy = Context_Dup(cx, s->heap, &s->overlay);
    s->now = NULL;
    return copy;
}

/* What stands for CX in the copy: its translation, the copy made before, or a new one. */
static Context_clp copy_of(struct session *s, Context_clp cx)
{
    const struct mbr__context *context = mbr__context_of(cx);
    const struct mbr__merged *merged = mbr__merged_of(cx);
    Context_clp copy;
    void *known;

    if (translate(s, (uintptr_t)cx, &known))
        return known;
    reserve(s);
    if (context)
        copy = &mbr__context_new(s->heap, context->types)->cl;
    else if (merged)
        copy = MergedContext_as_Context(&mbr__merged_new(s->heap, merged->types)->cl);
    else
        copy = copy_foreign(s, cx);
    note(s, cx, copy);
    return copy;
}

static bool is_string(TypeSystem_clp types, Type_Code code)
{
    volatile bool is = code == MBR_CODE_STRING;

    if (is || !types)
        return is;
    TRY
    {
        is = TypeSystem_UnAlias(types, code) == MBR_CODE_STRING;
    }
    CATCH(TypeSystem_BadCode)
    {
    }
    ENDTRY
    return is;
}

/* What is bound as a subtype of Context with more operations stays as it is: a copy promises to be
 * a Context and no more. A merged context of ours keeps its type. */
static bool is_copied(const Type_Any *any)
{
    Context_clp cx = (Context_clp)(uintptr_t)any->val;

    return cx &&
           (any->type == CODE_Context || (any->type == CODE_MergedContext && mbr__merged_of(cx)));
}

static void copy_string(struct mbr__context *to, const struct mbr__binding *binding)
{
    const char *old = (const char *)(uintptr_t)binding->any.val;
    char *text = mbr__heap_text(to->heap, old, strlen(old));
    Type_Any any = {binding->any.type, (uintptr_t)text};

    TRY
    {
        mbr__context_bind(to, binding->name, binding->length, &any, text);
    }
    CATCH_ALL
    {
        mbr__heap_free(to->heap, text);
        RERAISE;
    }
    ENDTRY
}

static void copy_binding(struct session *s, struct mbr__context *to,
                         const struct mbr__binding *binding)
{
    Type_Any any = binding->any;
    void *translation;

    if (s->xl && WordTbl_Get(s->xl, (uintptr_t)any.val, &translation)) {
        any.val = (uintptr_t)translation;
    } else if (is_copied(&any)) {
        any.val = (uintptr_t)copy_of(s, (Context_clp)(uintptr_t)any.val);
    } else if (any.val && is_string(to->types, any.type)) {
        copy_string(to, binding);
        return;
    }
    mbr__context_bind(to, binding->name, binding->length, &any, NULL);
}

static void fill(struct session *s, const struct copy *copy)
{
    const struct mbr__context *context = mbr__context_of(copy->of);
    const struct mbr__merged *merged = mbr__merged_of(copy->of);
    struct mbr__list *node;

    if (context)
        mbr__list_for_each (node, (struct mbr__list *)(uintptr_t)&context->bindings)
            copy_binding(s, mbr__context_of(copy->cx), MBR__BINDING(node));
    if (merged)
        mbr__list_for_each (node, (struct mbr__list *)(uintptr_t)&merged->members)
            mbr__merged_insert(mbr__merged_of(copy->cx), NULL, copy_of(s, MBR__MEMBER(node)->cx),
                               MBR__MEMBER(node)->mask);
}

static void destroy_foreign(Context_clp cx)
{
    TRY
    {
        Context_Destroy(cx);
    }
    CATCH_ALL
    {
    }
    ENDTRY
}

/* Takes back what was made. */
static void undo(struct session *s)
{
    while (s->count > 0) {
        const struct copy *copy = &s->copies[--s->count];

        if (mbr__context_of(copy->of))
            mbr__context_free(mbr__context_of(copy->cx));
        else if (mbr__merged_of(copy->of))
            mbr__merged_free(mbr__merged_of(copy->cx));
        else if (copy->cx != copy->of) /* one that serves as its own copy stays */
            destroy_foreign(copy->cx);
    }
}

static Context_clp run(struct session *s, Context_clp root)
{
    reserve(s);
    /* The root is copied whatever the translations say of it. */
    if (mbr__context_of(root))
        note(s, root, &mbr__context_new(s->heap, mbr__context_of(root)->types)->cl);
    else
        note(s, root,
             MergedContext_as_Context(&mbr__merged_new(s->heap, mbr__merged_of(root)->types)->cl));
    for (size_t i = 0; i < s->count; i++) {
        struct copy copy = s->copies[i];

        fill(s, &copy);
    }
    return s->copies[0].cx;
}

Context_clp mbr__context_dup(Context_clp self, Heap_clp h, WordTbl_clp xl)
{
    struct session s = {.xl = xl, .heap = h};
    Context_clp volatile copy = NULL;

    s.overlay = (WordTbl_cl){&overlay_op, &s};
    s.around = xl && xl->op == &overlay_op ? xl->st : NULL;
    mbr__hash_init(&s.seen);
    TRY
    {
        copy = run(&s, self);
    }
    CATCH_ALL
    {
        undo(&s);
        RERAISE;
    }
    FINALLY
    {
        mbr__hash_fini(&s.seen);
        free(s.copies);
    }
    ENDTRY
    return copy;
}
