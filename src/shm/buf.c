/* SPDX-License-Identifier: MIT */
/*
 * Buffers, the fast half: size classes and the caches of threads.
 *
 * An allocation takes the head of a list that only its thread touches, a free puts it back; neither
 * locks, nor divides, nor loops. When a list is empty or full, half of what it may hold is moved
 * from or to the depot (depot.c) under a lock, so a thread that only allocates and another that
 * only frees pay for the lock once in many buffers.
 *
 * Not here: where memory comes from, and buffers above 32 KiB.
 */
#include "shm/buf.h"

#include <pthread.h>

#include "base/assert.h"
#include "shm/buf_depot.h"

/* Stands for "no cache": its lists are empty when we look for a buffer and full when we bring one,
 * so the fast paths need no test for it. Never written. */
static struct mbr__buf_cache no_cache;

/* Initial-exec: one instruction instead of a call. One pointer fits into what the dynamic linker
 * keeps in reserve for libraries that are loaded later. */
static __thread struct mbr__buf_cache *my_cache __attribute__((tls_model("initial-exec"))) =
    &no_cache;

/* Where the memory of a program can be: not below, where the kernel maps nothing by itself, and not
 * in the upper half. */
#define FIRST_ADDRESS ((uintptr_t)65536)
#define ADDRESSES     (((uintptr_t)1 << (sizeof(uintptr_t) * 8 - 1)) - FIRST_ADDRESS)

static __thread bool thread_ended __attribute__((tls_model("initial-exec")));

/* Runs mbr__buf_flush() and more when a thread ends; without it, threads have no caches. */
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

/* ---- size classes ---------------------------------------------------------------------------- */

/*
 * Up to 512 bytes every multiple of 64; above that four classes to each power of two: 640, 768,
 * 896, 1024, 1280, ... 1 GiB. So less than a fifth of a buffer of more than 512 bytes is waste.
 */
static inline unsigned class_of(size_t size)
{
    unsigned log;

    if (size <= 512)
        return (unsigned)((size - 1) / 64);
    /* 2^log < size <= 2^(log+1), and the class says which quarter of that. */
    log = 63 - (unsigned)__builtin_clzll(size - 1);
    return 8 + (log - 9) * 4 + (unsigned)((size - 1) >> (log - 2) & 3);
}

size_t mbr__buf_class_size(unsigned c)
{
    if (c < 8)
        return ((size_t)c + 1) * 64;
    return ((size_t)(c - 8) % 4 + 5) << ((c - 8) / 4 + 7);
}

/* ---- a thread's cache ------------------------------------------------------------------------ */

/* Gives back the n first of a list to the depot. */
static void give_back(struct mbr__buf_cache *cache, unsigned c, uint32_t n)
{
    struct mbr__buf_slot *slot = &cache->slot[c];
    struct mbr__buf *first = slot->head;
    struct mbr__buf *last = first;

    if (n == 0)
        return;
    for (uint32_t i = 1; i < n; i++)
        last = last->next;
    slot->head = last->next;
    mbr__depot_put(cache, c, first, last, n);
    mbr_store_relaxed(&slot->room, slot->room + n);
}

static void flush(struct mbr__buf_cache *cache)
{
    for (unsigned c = 0; c < MBR__BUF_SMALL; c++)
        give_back(cache, c, mbr__buf_limit(c) - cache->slot[c].room);
}

/* The key's destructor. Destructors that run later may still free buffers: those go to the depot
 * one by one. */
static void end_thread(void *cache)
{
    my_cache = &no_cache;
    thread_ended = true;
    flush(cache);
    mbr__depot_drop_cache(cache);
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, end_thread) == 0;
}

/* When the library is unloaded, threads that end later must not call into it. */
__attribute__((destructor)) static void delete_key(void)
{
    if (key_made)
        (void)pthread_key_delete(key);
}

/* The calling thread's cache, made at its first use; NULL if it cannot have one. */
static struct mbr__buf_cache *get_cache(void)
{
    struct mbr__buf_cache *cache = my_cache;

    if (cache != &no_cache)
        return cache;
    if (thread_ended || pthread_once(&key_once, make_key) != 0 || !key_made)
        return NULL;
    cache = mbr__depot_new_cache();
    if (cache == NULL)
        return NULL;
    if (pthread_setspecific(key, cache) != 0) {
        mbr__depot_drop_cache(cache);
        return NULL;
    }
    my_cache = cache;
    return cache;
}

/* ---- allocating and freeing ------------------------------------------------------------------ */

static inline struct mbr__buf *make_live(struct mbr__buf *b, size_t size)
{
    mbr__buf_unpoison(b);
    b->size = (uint32_t)size; /* at most 2^30 */
    b->release = NULL;        /* its last user may have had one */
    b->magic = MBR__BUF_LIVE;
    mbr_store_relaxed(&b->refs, 1);
    return b;
}

/* The thread's list is empty: half of what it may hold comes from the depot. */
static __attribute__((noinline)) struct mbr__buf *alloc_slow(unsigned c, size_t size)
{
    struct mbr__buf_cache *cache;
    struct mbr__buf *b;
    uint32_t n;

    if (c >= MBR__BUF_SMALL) {
        b = mbr__depot_get_large(c);
        return b != NULL ? make_live(b, size) : NULL;
    }
    cache = get_cache();
    n = cache != NULL ? (mbr__buf_limit(c) + 1) / 2 : 1;
    n = mbr__depot_get(cache, c, n, &b);
    if (n == 0)
        return NULL;
    if (n > 1) {
        cache->slot[c].head = b->next;
        mbr_store_relaxed(&cache->slot[c].room, cache->slot[c].room - (n - 1));
    }
    return make_live(b, size);
}

struct mbr__buf *mbr__buf_alloc(size_t size)
{
    struct mbr__buf_slot *slot;
    struct mbr__buf *b;
    unsigned c;

    if (__builtin_expect(size - 1 >= MBR__BUF_MAX, 0)) /* 0 as well */
        return NULL;
    c = class_of(size);
    if (__builtin_expect(c >= MBR__BUF_SMALL, 0))
        return alloc_slow(c, size);
    slot = &my_cache->slot[c];
    b = slot->head;
    if (__builtin_expect(b == NULL, 0))
        return alloc_slow(c, size);
    slot->head = b->next;
    mbr_store_relaxed(&slot->room, slot->room + 1); /* read by mbr__buf_stat() */
    return make_live(b, size);
}

void mbr__buf_ref(struct mbr__buf *b)
{
    uint32_t before;

    MBR_ASSERT_STATE(b->magic == MBR__BUF_LIVE, "buffer %p, magic %08x", (void *)b, b->magic);
    before = mbr_fetch_add(&b->refs, 1);
    MBR_ASSERT(before > 0 && before < UINT32_MAX / 2);
}

/* The thread's list is full, or it has none. */
static __attribute__((noinline)) void free_slow(struct mbr__buf *b)
{
    unsigned c = b->size_class;
    struct mbr__buf_cache *cache;
    struct mbr__buf_slot *slot;

    if (c >= MBR__BUF_SMALL) {
        mbr__depot_put_large(b);
        return;
    }
    cache = get_cache();
    if (cache == NULL) {
        mbr__depot_put(NULL, c, b, b, 1);
        return;
    }
    slot = &cache->slot[c];
    if (slot->room == 0)
        give_back(cache, c, (mbr__buf_limit(c) + 1) / 2);
    b->next = slot->head;
    slot->head = b;
    mbr_store_relaxed(&slot->room, slot->room - 1);
}

static inline void free_small(struct mbr__buf *b)
{
    struct mbr__buf_slot *slot = &my_cache->slot[b->size_class];

    if (__builtin_expect(slot->room == 0, 0)) {
        free_slow(b);
        return;
    }
    b->next = slot->head;
    slot->head = b;
    mbr_store_relaxed(&slot->room, slot->room - 1);
}

void mbr__buf_unref(struct mbr__buf *b)
{
    if (b == NULL)
        return;
    MBR_ASSERT_STATE(b->magic == MBR__BUF_LIVE, "buffer %p, magic %08x", (void *)b, b->magic);

    /* Pair C with the decrements of others: if ours is the last reference, what they did with the
     * data is over. */
    if (mbr_load_acquire(&b->refs) != 1 && mbr_fetch_add(&b->refs, UINT32_MAX) != 1)
        return;
    b->magic = MBR__BUF_DEAD;
    if (b->release != NULL) {
        b->release(b);
        return;
    }
    mbr__buf_poison(b);
    if (__builtin_expect(b->size_class < MBR__BUF_SMALL, 1))
        free_small(b);
    else
        free_slow(b);
}

struct mbr__buf *mbr__buf_check(void *p)
{
    struct mbr__buf *b = p;

    /* Small numbers and what is no address of a program at all are not read. */
    if ((uintptr_t)p % _Alignof(struct mbr__buf) != 0 || (uintptr_t)p - FIRST_ADDRESS >= ADDRESSES)
        return NULL;
    return b->magic == MBR__BUF_LIVE ? b : NULL;
}

void mbr__buf_flush(void)
{
    if (my_cache != &no_cache)
        flush(my_cache);
}
