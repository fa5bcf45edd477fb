/* SPDX-License-Identifier: MIT */
/*
 * Buffers, the slow half: the depot that all threads of the process share, and the kernel.
 *
 * Small buffers are cut from chunks of 1 MiB and never leave the process; large ones are mapped one
 * by one and up to MBR__BUF_KEEP bytes of them are kept when they are free. When that much is kept
 * already, buffers of other classes make place first: a program that has moved on to another size
 * must not find the depot full of the old one.
 *
 * Forks: another thread may hold the lock at the moment of a fork, and the child would wait for it
 * for ever. Handlers of pthread_atfork() would hold up the whole process at each fork, in an order
 * that a library cannot control, so instead each depot belongs to one process (its fork mark) and
 * a child makes its own. It takes over what the old one has if the old lock was free, which means
 * that nothing was half done.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "shm/buf_depot.h"
#include "shm/proc.h"

#define CHUNK ((size_t)1 << 20)

struct contents {
    struct mbr__buf *free[MBR__BUF_CLASSES];
    struct mbr__buf_cache *caches;       /* of living threads */
    struct mbr__buf_cache *spare_caches; /* of ended ones, linked by next */
    uint8_t *chunk;                      /* what is left of the newest chunk */
    size_t chunk_left;
    uint64_t kept;       /* bytes in the free lists of large classes */
    uint64_t small_free; /* bytes in the free lists of small classes */
    /* Bytes that are with threads, allocated or cached. Wraps below 0 in a child that could not
     * take over the old depot, when it frees buffers from there. */
    int64_t out;
    unsigned victim; /* the large class that made place last, counted from the first */
};

struct mbr__depot {
    pthread_mutex_t lock; /* of the rest */
    uint32_t mark;        /* of the process that may use it; fixed */
    struct contents in;
};

/* The first one costs no allocation. Its mark is set when it is published. */
static struct mbr__depot first_depot = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct mbr__depot *current;

static void lock(struct mbr__depot *d)
{
    int err = pthread_mutex_lock(&d->lock);

    MBR_ASSERT(err == 0);
}

static void unlock(struct mbr__depot *d)
{
    int err = pthread_mutex_unlock(&d->lock);

    MBR_ASSERT(err == 0);
}

/* Bytes of memory of a buffer: with its header, and whole pages for large ones. */
static size_t block_size(unsigned c)
{
    size_t size = MBR__BUF_HEADER + mbr__buf_class_size(c);
    size_t page;

    if (c < MBR__BUF_SMALL)
        return size;
    page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

uint32_t mbr__buf_limit(unsigned c)
{
    size_t n = 65536 / block_size(c);

    return n > 64 ? 64 : (uint32_t)n;
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p != MAP_FAILED ? p : NULL;
}

static uint64_t cached_in(const struct mbr__buf_cache *cache)
{
    uint64_t bytes = 0;

    for (unsigned c = 0; c < MBR__BUF_SMALL; c++)
        bytes += (mbr__buf_limit(c) - mbr_load_relaxed(&cache->slot[c].room)) * block_size(c);
    return bytes;
}

/* ---- depots and forks ------------------------------------------------------------------------ */

/* Moves what a parent's depot has into ours. Its list of caches is not taken: most of their threads
 * do not exist here. Those that do come back when they next need the depot. */
static void take_over(struct mbr__depot *d, struct mbr__depot *old)
{
    if (pthread_mutex_trylock(&old->lock) != 0)
        return;
    d->in = old->in;
    for (const struct mbr__buf_cache *c = old->in.caches; c != NULL; c = c->next)
        d->in.out -= (int64_t)cached_in(c);
    d->in.caches = NULL;
    /* The old one stays locked: it is only here because another thread may be looking at its mark
     * just now. A page or two are lost in each generation of processes. */
}

/* Publishes a depot of this process in place of `old`, which is of an ancestor. */
static struct mbr__depot *renew(struct mbr__depot *old)
{
    struct mbr__depot *d = map(sizeof(*d));

    if (d == NULL)
        return NULL;
    pthread_mutex_init(&d->lock, NULL);
    d->mark = mbr__fork_mark();
    /* Published locked: others wait until it has been filled. */
    lock(d);
    if (mbr_cas(&current, &old, d)) {
        take_over(d, old);
        unlock(d);
        return d;
    }
    munmap(d, sizeof(*d));
    return old;
}

/* The depot of this process. NULL: no memory for a new one. */
static struct mbr__depot *get_depot(void)
{
    struct mbr__depot *d = mbr_load_acquire(&current);
    struct mbr__depot *none = NULL;

    if (d == NULL) {
        uint32_t mark = 0;

        /* Before the first use there are no other threads' marks to be seen: the first process to
         * come here, a child perhaps, writes its own. */
        (void)mbr_cas(&first_depot.mark, &mark, mbr__fork_mark());
        d = mbr_cas(&current, &none, &first_depot) ? &first_depot : none;
    }
    return d->mark == mbr__fork_mark() ? d : renew(d);
}

static void link_cache(struct mbr__depot *d, struct mbr__buf_cache *cache)
{
    cache->home = d;
    cache->prev = NULL;
    cache->next = d->in.caches;
    if (cache->next != NULL)
        cache->next->prev = cache;
    d->in.caches = cache;
}

/* Locks the depot of this process. The caller's cache (or NULL) comes into its list if it has lived
 * through a fork since it was last here. */
static struct mbr__depot *enter(struct mbr__buf_cache *cache)
{
    struct mbr__depot *d = get_depot();

    if (d == NULL)
        return NULL;
    lock(d);
    if (cache != NULL && cache->home != d) {
        link_cache(d, cache);
        d->in.out += (int64_t)cached_in(cache);
    }
    return d;
}

/* ---- small buffers --------------------------------------------------------------------------- */

/* Cuts a piece from the chunk. What is left of a chunk that is too small is given up: less than
 * one in thirty. */
static void *cut(struct contents *in, size_t size)
{
    uint8_t *p;

    if (in->chunk_left < size) {
        p = map(CHUNK);
        if (p == NULL)
            return NULL;
        in->chunk = p;
        in->chunk_left = CHUNK;
    }
    p = in->chunk;
    in->chunk += size;
    in->chunk_left -= size;
    return p;
}

static struct mbr__buf *format(void *block, unsigned c, size_t capacity)
{
    struct mbr__buf *b = block;

    *b = (struct mbr__buf){.magic = MBR__BUF_DEAD,
                           .size_class = c,
                           .capacity = capacity,
                           .data = (uint8_t *)block + MBR__BUF_HEADER};
    mbr__buf_poison(b);
    return b;
}

static struct mbr__buf *get_small(struct contents *in, unsigned c)
{
    struct mbr__buf *b = in->free[c];
    void *block;

    if (b != NULL) {
        in->free[c] = b->next;
        in->small_free -= block_size(c);
        return b;
    }
    block = cut(in, block_size(c));
    return block != NULL ? format(block, c, mbr__buf_class_size(c)) : NULL;
}

uint32_t mbr__depot_get(struct mbr__buf_cache *cache, unsigned c, uint32_t n, struct mbr__buf **out)
{
    struct mbr__depot *d = enter(cache);
    struct mbr__buf *list = NULL;
    uint32_t got = 0;

    if (d == NULL)
        return 0;
    while (got < n) {
        struct mbr__buf *b = get_small(&d->in, c);

        if (b == NULL)
            break;
        b->next = list;
        list = b;
        got++;
    }
    d->in.out += (int64_t)(got * block_size(c));
    unlock(d);
    if (got > 0)
        *out = list;
    return got;
}

void mbr__depot_put(struct mbr__buf_cache *cache, unsigned c, struct mbr__buf *first,
                    struct mbr__buf *last, uint32_t n)
{
    struct mbr__depot *d = enter(cache);

    if (d == NULL)
        return; /* a child without a page left: the memory is lost to it */
    last->next = d->in.free[c];
    d->in.free[c] = first;
    d->in.small_free += n * block_size(c);
    d->in.out -= (int64_t)(n * block_size(c));
    unlock(d);
}

/* ---- caches ---------------------------------------------------------------------------------- */

static void *get_cache_memory(struct contents *in)
{
    struct mbr__buf_cache *spare = in->spare_caches;

    if (spare == NULL)
        return cut(in, (sizeof(*spare) + 63) / 64 * 64);
    in->spare_caches = spare->next;
    return spare;
}

struct mbr__buf_cache *mbr__depot_new_cache(void)
{
    struct mbr__depot *d = enter(NULL);
    struct mbr__buf_cache *cache;

    if (d == NULL)
        return NULL;
    cache = get_cache_memory(&d->in);
    if (cache != NULL) {
        memset(cache, 0, sizeof(*cache));
        for (unsigned c = 0; c < MBR__BUF_SMALL; c++)
            cache->slot[c].room = mbr__buf_limit(c);
        link_cache(d, cache);
    }
    unlock(d);
    return cache;
}

void mbr__depot_drop_cache(struct mbr__buf_cache *cache)
{
    struct mbr__depot *d = enter(cache); /* which also takes it out of an ancestor's list */

    if (d == NULL)
        return;
    if (cache->next != NULL)
        cache->next->prev = cache->prev;
    if (cache->prev != NULL)
        cache->prev->next = cache->next;
    else
        d->in.caches = cache->next;
    cache->next = d->in.spare_caches;
    d->in.spare_caches = cache;
    unlock(d);
}

/* ---- large buffers --------------------------------------------------------------------------- */

static struct mbr__buf *new_large(unsigned c)
{
    size_t size = block_size(c);
    void *block = map(size);

    return block != NULL ? format(block, c, size - MBR__BUF_HEADER) : NULL;
}

struct mbr__buf *mbr__depot_get_large(unsigned c)
{
    struct mbr__depot *d = enter(NULL);
    struct mbr__buf *b;

    if (d == NULL)
        return NULL;
    b = d->in.free[c];
    if (b != NULL) {
        d->in.free[c] = b->next;
        d->in.kept -= block_size(c);
    }
    d->in.out += (int64_t)block_size(c);
    unlock(d);
    if (b != NULL)
        return b;

    b = new_large(c);
    if (b == NULL) {
        d = enter(NULL);
        if (d != NULL) {
            d->in.out -= (int64_t)block_size(c);
            unlock(d);
        }
    }
    return b;
}

/* Takes free buffers of other classes out of the depot, in turn, until `need` more bytes may be
 * kept. Returns them as a list. */
static struct mbr__buf *make_place(struct contents *in, unsigned c, uint64_t need)
{
    struct mbr__buf *list = NULL;
    unsigned empty = 0;

    while (in->kept + need > MBR__BUF_KEEP && empty < MBR__BUF_LARGE) {
        unsigned v = MBR__BUF_SMALL + in->victim;
        struct mbr__buf *b = v != c ? in->free[v] : NULL;

        if (b == NULL) {
            in->victim = (in->victim + 1) % MBR__BUF_LARGE;
            empty++;
            continue;
        }
        in->free[v] = b->next;
        in->kept -= block_size(v);
        b->next = list;
        list = b;
        empty = 0;
    }
    return list;
}

static void unmap_all(struct mbr__buf *list)
{
    while (list != NULL) {
        struct mbr__buf *next = list->next;

        mbr__buf_unpoison(list); /* or whatever is mapped here next would inherit it */
        munmap(list, block_size(list->size_class));
        list = next;
    }
}

void mbr__depot_put_large(struct mbr__buf *b)
{
    unsigned c = b->size_class;
    size_t size = block_size(c);
    struct mbr__depot *d = enter(NULL);
    struct mbr__buf *gone = NULL;

    b->next = NULL;
    if (d == NULL) {
        unmap_all(b);
        return;
    }
    if (size <= MBR__BUF_KEEP)
        gone = make_place(&d->in, c, size);
    if (d->in.kept + size <= MBR__BUF_KEEP) {
        b->next = d->in.free[c];
        d->in.free[c] = b;
        d->in.kept += size;
        b = NULL;
    }
    d->in.out -= (int64_t)size;
    unlock(d);
    unmap_all(gone);
    unmap_all(b);
}

/* ---- statistics ------------------------------------------------------------------------------ */

void mbr__buf_stat(size_t *in_use, size_t *cached)
{
    struct mbr__depot *d = enter(NULL);
    int64_t in_threads = 0;

    if (d == NULL) {
        *in_use = *cached = 0;
        return;
    }
    for (const struct mbr__buf_cache *c = d->in.caches; c != NULL; c = c->next)
        in_threads += (int64_t)cached_in(c);
    *in_use = d->in.out > in_threads ? (size_t)(d->in.out - in_threads) : 0;
    *cached = (size_t)(in_threads + (int64_t)(d->in.kept + d->in.small_free));
    unlock(d);
}
