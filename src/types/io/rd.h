/* SPDX-License-Identifier: MIT */
/*
 * What all readers of this library share: the sixteen operations of Rd over a handful that differ.
 * A kind of reader embeds struct mbr__rd as its first member.
 *
 * Every operation but the L ones holds the reader's lock, also while it blocks, and gives it back
 * when it raises. Close frees the reader, whatever is raised.
 *
 * UnGetC: one character, and only if GetC was the last operation; else Failure[3], unless nothing
 * was read yet, when it does nothing.
 */
#ifndef MBR_TYPES_IO_RD_H
#define MBR_TYPES_IO_RD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <middl/Heap.h>
#include <middl/Rd.h>

/* Rd.Failure: the numbers that the interface reserves. Others are errno values. */
enum mbr__rd_why {
    MBR__RD_UNSEEKABLE = 1,
    MBR__RD_INTERMITTENT = 2,
    MBR__RD_CANNOT_UNGET = 3,
    MBR__RD_NO_LENGTH = 4
};

struct mbr__rd;

/* What differs. All are called with the lock held and may raise what the operation may. */
struct mbr__rd_kind {
    bool intermittent;

    /*
     * Takes 1 to NB (above 0) characters into BUF, waiting for the first alone; 0 at the end of the
     * file. With LINE, stops behind a newline.
     */
    uint64_t (*read)(struct mbr__rd *rd, char *buf, uint64_t nb, bool line);

    /* Waits until there is a character or the end; true if it is the end. */
    bool (*at_end)(struct mbr__rd *rd);

    /* How much can be had without waiting; the end counts as 1, as in CharsReady. */
    uint64_t (*ready)(struct mbr__rd *rd);

    /* The new position, which is min(N, length). NULL: not seekable. */
    uint64_t (*seek)(struct mbr__rd *rd, uint64_t n);

    /* The length. NULL: it is not known. */
    uint64_t (*length)(struct mbr__rd *rd);

    /* Lets go of what the kind holds; the reader itself is freed by the caller, also if it raises.
     */
    void (*close)(struct mbr__rd *rd);

    /* Instead of the two flags, where they depend on something. NULL: the flags count. */
    bool (*is_intermittent)(struct mbr__rd *rd);
    bool (*is_seekable)(struct mbr__rd *rd);
};

struct mbr__rd {
    Rd_cl cl;
    const struct mbr__rd_kind *kind;
    Heap_clp heap;
    pthread_mutex_t lock;
    uint64_t at;    /* index of the next character */
    bool can_unget; /* GetC was the last operation */
    bool pushed;    /* LAST is to be read once more */
    char last;
};

/* Makes RD, of KIND and allocated in HEAP, a reader at position AT. Its closure is &RD->cl. */
void mbr__rd_init(struct mbr__rd *rd, const struct mbr__rd_kind *kind, Heap_clp heap, uint64_t at);

/* How many of the N > 0 characters at TEXT are wanted: with LINE, those up to the first newline. */
uint64_t mbr__rd_wanted(const char *text, uint64_t n, bool line);

/* A reader of the BYTES at BASE. Raises Heap.NoMemory. */
Rd_clp mbr__rd_memory(const void *base, uint64_t bytes, Heap_clp heap);

#endif
