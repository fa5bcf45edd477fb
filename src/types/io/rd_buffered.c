/* SPDX-License-Identifier: MIT */
/*
 * A reader that fetches from another reader in blocks. It has no thread: when its buffer is empty
 * it reads until enough is in it, and of an intermittent reader never asks for more than is ready,
 * so that it waits no longer than its trigger demands.
 */
#include <string.h>

#include "base/list.h"
#include "types/heap_use.h"
#include "types/io/rd.h"
#include "types/io/rdwr.h"

struct buffered_rd {
    struct mbr__rd rd;
    Rd_clp from; /* ours since we were made */
    bool intermittent;
    bool seekable;
    uint32_t size;
    uint32_t block;
    uint32_t trigger; /* characters to have before a blocked reader goes on */
    uint32_t start;
    uint32_t count;
    char buf[];
};

static struct buffered_rd *buffered_of(struct mbr__rd *rd)
{
    return mbr__container_of(rd, struct buffered_rd, rd);
}

/* One block, or what there is of it; false at the end of the file. */
static bool fetch(struct buffered_rd *b)
{
    uint64_t want = b->size - b->count < b->block ? b->size - b->count : b->block;
    uint64_t n;

    if (b->intermittent) {
        if (Rd_EOF(b->from))
            return false;
        n = Rd_CharsReady(b->from);
        want = n < 1 ? 1 : n < want ? n : want;
    }
    n = Rd_GetChars(b->from, b->buf + b->count, want);
    b->count += (uint32_t)n;
    return b->intermittent ? n > 0 : n == want;
}

/* Fills an empty buffer. Nothing in it afterwards means the end, as of now: a file may grow. */
static void fill(struct buffered_rd *b)
{
    if (b->count > 0)
        return;
    b->start = 0;
    while (b->count < b->trigger && fetch(b))
        ;
}

static uint64_t buffered_read(struct mbr__rd *rd, char *buf, uint64_t nb, bool line)
{
    struct buffered_rd *b = buffered_of(rd);
    uint64_t n;

    fill(b);
    if (b->count == 0)
        return 0;
    n = mbr__rd_wanted(b->buf + b->start, nb < b->count ? nb : b->count, line);
    memcpy(buf, b->buf + b->start, (size_t)n);
    b->start += (uint32_t)n;
    b->count -= (uint32_t)n;
    return n;
}

static bool buffered_at_end(struct mbr__rd *rd)
{
    struct buffered_rd *b = buffered_of(rd);

    fill(b);
    return b->count == 0;
}

/* With an empty buffer, what is ready below counts only if it is enough to fill it, or the end. */
static uint64_t buffered_ready(struct mbr__rd *rd)
{
    const struct buffered_rd *b = buffered_of(rd);
    uint64_t n;

    if (b->count > 0)
        return b->count;
    n = Rd_CharsReady(b->from);
    if (n == 0)
        return 0;
    if (Rd_EOF(b->from))
        return 1;
    return !b->intermittent || n >= b->trigger ? n : 0;
}

static uint64_t buffered_seek(struct mbr__rd *rd, uint64_t n)
{
    struct buffered_rd *b = buffered_of(rd);

    Rd_Seek(b->from, n);
    b->start = b->count = 0;
    return Rd_Index(b->from);
}

static uint64_t buffered_length(struct mbr__rd *rd)
{
    return Rd_Length(buffered_of(rd)->from);
}

static void buffered_close(struct mbr__rd *rd)
{
    Rd_Close(buffered_of(rd)->from);
}

static bool buffered_intermittent(struct mbr__rd *rd)
{
    return buffered_of(rd)->intermittent;
}

static bool buffered_seekable(struct mbr__rd *rd)
{
    return buffered_of(rd)->seekable;
}

static const struct mbr__rd_kind buffered_kind = {.read = buffered_read,
                                                  .at_end = buffered_at_end,
                                                  .ready = buffered_ready,
                                                  .seek = buffered_seek,
                                                  .length = buffered_length,
                                                  .close = buffered_close,
                                                  .is_intermittent = buffered_intermittent,
                                                  .is_seekable = buffered_seekable};

/* Positions are those of the reader below if one can go to them there; else they count from here.
 */
static uint64_t first_position(Rd_clp rd, bool seekable)
{
    volatile uint64_t at = 0;

    if (!seekable)
        return 0;
    TRY
    {
        at = Rd_Index(rd);
    }
    CATCH(Rd_Failure)
    {
    }
    ENDTRY
    return at;
}

Rd_clp mbr__rd_buffered(Heap_clp heap, uint32_t bufsize, uint32_t blocksize, uint32_t trigger,
                        Rd_clp rd)
{
    uint32_t size = bufsize ? bufsize : 1;
    struct buffered_rd *b = mbr__heap_need(heap, sizeof(*b) + size);

    b->from = rd;
    b->intermittent = Rd_Intermittent(rd);
    b->seekable = Rd_Seekable(rd);
    b->size = size;
    b->block = mbr__between_1_and(size, blocksize);
    b->trigger = mbr__between_1_and(size, trigger);
    mbr__rd_init(&b->rd, &buffered_kind, heap, first_position(rd, b->seekable));
    return &b->rd.cl;
}
