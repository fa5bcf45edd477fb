/* SPDX-License-Identifier: MIT */
/*
 * A heap for tests: it counts its blocks, can be told to fail, and lets a test ask which exception
 * an expression raises.
 */
#ifndef MBR_TESTS_TEST_HEAP_H
#define MBR_TESTS_TEST_HEAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <middl/Heap.h>

struct test_heap {
    Heap_cl cl;
    int64_t live; /* blocks */
    int64_t left; /* allocations until one fails; -1: none does */
    bool hit;     /* one has failed */
};

static inline bool test_heap_fails(struct test_heap *heap)
{
    if (heap->left < 0 || heap->left-- > 0)
        return false;
    heap->hit = true;
    return true;
}

static void *test_heap_malloc(Heap_clp self, Heap_Size size)
{
    struct test_heap *heap = self->st;

    if (test_heap_fails(heap))
        return NULL;
    heap->live++;
    return malloc(size ? size : 1);
}

static void test_heap_free(Heap_clp self, Heap_Ptr p)
{
    struct test_heap *heap = self->st;

    heap->live -= p != NULL;
    free(p);
}

static void *test_heap_calloc(Heap_clp self, Heap_Size nmemb, Heap_Size size)
{
    void *block = test_heap_malloc(self, nmemb * size);

    return block ? memset(block, 0, nmemb * size) : NULL;
}

static void *test_heap_realloc(Heap_clp self, Heap_Ptr p, Heap_Size size)
{
    return test_heap_fails(self->st) ? NULL : realloc(p, size);
}

static inline void test_heap_init(struct test_heap *heap)
{
    static const Heap_op op = {.Malloc = test_heap_malloc,
                               .Free = test_heap_free,
                               .Calloc = test_heap_calloc,
                               .Realloc = test_heap_realloc};

    *heap = (struct test_heap){.cl = {&op, heap}, .left = -1};
}

/* The allocation after AFTER successful ones fails; those behind it succeed. */
static inline void test_heap_arm(struct test_heap *heap, int64_t after)
{
    heap->left = after;
    heap->hit = false;
}

/* Whether one has failed since. */
static inline bool test_heap_disarm(struct test_heap *heap)
{
    heap->left = -1;
    return heap->hit;
}

/* True if STATEMENT raises exception I_E; any other goes on its way. */
#define RAISES(I_E, statement)         \
    __extension__({                    \
        volatile bool raised_ = false; \
        TRY                            \
        {                              \
            statement;                 \
        }                              \
        CATCH(I_E)                     \
        {                              \
            raised_ = true;            \
        }                              \
        ENDTRY                         \
        raised_;                       \
    })

/* The argument why of the I.Failure that STATEMENT raises; 0 if it raises none. */
#define FAILURE(I, statement)       \
    __extension__({                 \
        volatile uint32_t why_ = 0; \
        TRY                         \
        {                           \
            statement;              \
        }                           \
        CATCH(I##_Failure, args)    \
        {                           \
            why_ = args->why;       \
        }                           \
        ENDTRY                      \
        why_;                       \
    })

#endif
