/* SPDX-License-Identifier: MIT */
/* The wrappers of malloc and its kin. The names are the linker's. */
#include "bench/costs/allocations.h"

#include <stddef.h>

static uint64_t calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **out, size_t align, size_t size);
void __real_free(void *old);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **out, size_t align, size_t size);
void __wrap_free(void *old);

static void note(void)
{
    (void)__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
}

uint64_t costs_allocations(void)
{
    return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

void *__wrap_malloc(size_t size)
{
    note();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    note();
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    note();
    return __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    note();
    return __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **out, size_t align, size_t size)
{
    note();
    return __real_posix_memalign(out, align, size);
}

void __wrap_free(void *old)
{
    note();
    __real_free(old);
}
