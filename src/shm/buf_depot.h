/* SPDX-License-Identifier: MIT */
/*
 * Private to buf.c and depot.c: the caches of threads, and the depot behind them.
 */
#ifndef MBR_SHM_BUF_DEPOT_H
#define MBR_SHM_BUF_DEPOT_H

#include <stdbool.h>

#include "shm/buf.h"

#define MBR__BUF_SMALL   32 /* classes that threads cache: up to 32 KiB of data */
#define MBR__BUF_LARGE   60 /* classes above them: up to 1 GiB */
#define MBR__BUF_CLASSES (MBR__BUF_SMALL + MBR__BUF_LARGE)

/* A thread's buffers of one class. */
struct mbr__buf_slot {
    struct mbr__buf *head;
    uint32_t room; /* how many more it may hold. Written by its thread, read by mbr__buf_stat() */
    uint32_t reserved;
};

/* A thread's cache. Written by its thread; the links by whoever holds the depot's lock. */
struct mbr__buf_cache {
    struct mbr__buf_slot slot[MBR__BUF_SMALL];
    struct mbr__depot *home; /* the depot that has it in its list, compared but never followed */
    struct mbr__buf_cache *next;
    struct mbr__buf_cache *prev;
};

/* Bytes of data of a class. */
size_t mbr__buf_class_size(unsigned c);

/* How many buffers of a small class a thread may keep: 64, but not more than 64 KiB of them (of the
 * largest, one). 2 MiB in all 32 classes together. */
uint32_t mbr__buf_limit(unsigned c);

/* A new cache, empty. NULL no memory. */
struct mbr__buf_cache *mbr__depot_new_cache(void);
/* Takes back an empty cache. */
void mbr__depot_drop_cache(struct mbr__buf_cache *cache);

/* Takes up to n (at least 1) buffers of a small class, linked by next, ending in NULL. Returns how
 * many; 0 no memory. cache is the caller's own, or NULL. */
uint32_t mbr__depot_get(struct mbr__buf_cache *cache, unsigned c, uint32_t n,
                        struct mbr__buf **out);
/* Puts n buffers, linked from first to last. */
void mbr__depot_put(struct mbr__buf_cache *cache, unsigned c, struct mbr__buf *first,
                    struct mbr__buf *last, uint32_t n);

/* One buffer of a large class. NULL no memory. */
struct mbr__buf *mbr__depot_get_large(unsigned c);
void mbr__depot_put_large(struct mbr__buf *b);

/* AddressSanitizer does not know our memory. It is told that the data of a free buffer may not be
 * touched; the header may, since it holds the list and the magic word. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MBR__ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MBR__ASAN 1
#endif

#ifdef MBR__ASAN
#include <sanitizer/asan_interface.h>
#define mbr__buf_poison(b)   __asan_poison_memory_region((b)->data, (b)->capacity)
#define mbr__buf_unpoison(b) __asan_unpoison_memory_region((b)->data, (b)->capacity)
#else
#define mbr__buf_poison(b)   ((void)(b))
#define mbr__buf_unpoison(b) ((void)(b))
#endif

#endif
