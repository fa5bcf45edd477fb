/* SPDX-License-Identifier: MIT */
/*
 * What all writers of this library share: the sixteen operations of Wr over a handful that differ.
 * A kind of writer embeds struct mbr__wr as its first member.
 *
 * Every operation but the L ones holds the writer's lock, also while it blocks, and gives it back
 * when it raises. Close flushes, then frees the writer, whatever is raised.
 */
#ifndef MBR_TYPES_IO_WR_H
#define MBR_TYPES_IO_WR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <middl/Heap.h>
#include <middl/Wr.h>

/* Wr.Failure: the number that the interface reserves. Others are errno values. */
#define MBR__WR_UNSEEKABLE 1u

struct mbr__wr;

/* What differs. All are called with the lock held and may raise what the operation may. */
struct mbr__wr_kind {
    bool buffered;

    /* Puts all of the NB > 0 characters at TEXT; counts in wr->at how many it has put. */
    void (*write)(struct mbr__wr *wr, const char *text, uint64_t nb);

    /* Brings what was put to where it goes. NULL: it is there. */
    void (*flush)(struct mbr__wr *wr);

    /* The new position, which is min(N, length). NULL: not seekable. */
    uint64_t (*seek)(struct mbr__wr *wr, uint64_t n);

    /* The length. NULL: that is the position. */
    uint64_t (*length)(struct mbr__wr *wr);

    /* Lets go of what the kind holds, flushed or not; the caller frees the writer, also if it
     * raises. */
    void (*close)(struct mbr__wr *wr);
};

struct mbr__wr {
    Wr_cl cl;
    const struct mbr__wr_kind *kind;
    Heap_clp heap;
    pthread_mutex_t lock;
    uint64_t at; /* index of the next character */
};

/* Makes WR, of KIND and allocated in HEAP, a writer at 0. Its closure is &WR->cl. */
void mbr__wr_init(struct mbr__wr *wr, const struct mbr__wr_kind *kind, Heap_clp heap);

#endif
