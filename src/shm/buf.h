/* SPDX-License-Identifier: MIT */
/*
 * Buffers: the memory behind scatter-gather arrays, 1 byte to 1 GiB, reference-counted.
 *
 * A buffer is a 64-byte header followed by its data, so data is 64-byte aligned. Freed buffers go
 * to a small cache of the freeing thread, sorted by size class, and from there in batches to a
 * common depot; after warm-up neither allocating nor freeing calls malloc or the kernel. Buffers
 * may be freed by another thread than the one that allocated them, and outlive it. Nothing here is
 * shared with other processes: buffers that a peer may read in place come from a lending pool
 * (queue/catmem/lend.h).
 *
 * What is kept: memory for buffers of up to 32 KiB (small ones) stays with the process, class by
 * class, at its highest use so far. Of larger ones at most MBR__BUF_KEEP bytes of freed memory are
 * kept for reuse and the rest is given back to the kernel at once; so only buffers above that size
 * cost a system call each time. A thread's cache holds at most 2 MiB.
 *
 * After a fork the child may use all this at once, whatever the parent's other threads were doing.
 * If one of them was inside the depot at that moment, the child leaves the depot's memory alone
 * (it is lost to it until exec) and starts a new one.
 */
#ifndef MBR_SHM_BUF_H
#define MBR_SHM_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define MBR__BUF_HEADER 64
#define MBR__BUF_MAX    (UINT64_C(1) << 30) /* bytes of data */
#define MBR__BUF_KEEP   (UINT64_C(64) << 20)

#define MBR__BUF_LIVE UINT32_C(0x62756620) /* "buf " */
#define MBR__BUF_DEAD UINT32_C(0x64656164)

struct mbr__buf {
    uint32_t magic; /* MBR__BUF_LIVE while allocated: catches the program's double frees */
    uint32_t refs;
    uint32_t size_class; /* the pool's; not used in foreign ones */
    uint32_t size;       /* bytes that were asked for, <= capacity */
    uint64_t capacity;   /* bytes of data that the memory has room for, >= what was asked */
    /* NULL: back to the pool; else the owner of foreign memory is told. It runs in the thread that
     * drops the last reference; magic is MBR__BUF_DEAD by then. */
    void (*release)(struct mbr__buf *buf);
    void *data;            /* header + 64 for pool buffers, elsewhere for foreign ones */
    struct mbr__buf *next; /* free list; while allocated, for whoever has the buffer */
    void *owner;           /* the releaser's */
    uint64_t cookie;       /* the releaser's */
};

static_assert(sizeof(struct mbr__buf) == MBR__BUF_HEADER, "data follows the header");

/* A buffer with one reference, `release` NULL, and room for `size` bytes (uninitialised). NULL:
 * size 0 or above MBR__BUF_MAX, or no memory. Any thread. */
struct mbr__buf *mbr__buf_alloc(size_t size);

/* Adds a reference. Any thread that holds one may. */
void mbr__buf_ref(struct mbr__buf *b);

/* Drops a reference and frees with the last. No atomic read-modify-write when it is the only one.
 * NULL is fine. Aborts on a buffer that is not live. */
void mbr__buf_unref(struct mbr__buf *b);

/* The buffer behind a pointer that a program hands back, or NULL when it is not a live one (NULL or
 * another small number, misaligned, in the kernel's half, or without the magic word). Any other
 * pointer must at least be readable; that is the program's business. So a second free is seen only
 * while the memory is still in a cache. */
struct mbr__buf *mbr__buf_check(void *p);

/* Gives the calling thread's cache back to the depot (done by itself when a thread ends). */
void mbr__buf_flush(void);

/* Bytes the process holds for buffers, headers included: in use and cached. For statistics and
 * tests; exact while no other thread allocates or frees. After a fork, what the parent's other
 * threads had in their caches counts in neither. */
void mbr__buf_stat(size_t *in_use, size_t *cached);

#endif
