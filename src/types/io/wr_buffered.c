/* SPDX-License-Identifier: MIT */
/*
 * A writer that gathers characters and hands them to another writer in blocks. It has no thread:
 * blocks go out when the buffer is full, until enough is free again, and at Flush and Close.
 */
#include <string.h>

#include "base/list.h"
#include "types/heap_use.h"
#include "types/io/rdwr.h"
#include "types/io/wr.h"

struct buffered_wr {
    struct mbr__wr wr;
    Wr_clp to; /* ours since we were made */
    uint32_t size;
    uint32_t block;
    uint32_t trigger; /* bytes to free before a full buffer takes more */
    uint32_t start;   /* of what is in it */
    uint32_t count;
    char buf[];
};

static struct buffered_wr *buffered_of(struct mbr__wr *wr)
{
    return mbr__container_of(wr, struct buffered_wr, wr);
}

/* Hands blocks on until at most KEEP bytes are left. One that is refused stays for the next try. */
static void drain(struct buffered_wr *b, uint32_t keep)
{
    while (b->count > keep) {
        uint32_t n = b->count < b->block ? b->count : b->block;

        Wr_PutChars(b->to, b->buf + b->start, n);
        b->start += n;
        b->count -= n;
    }
}

/* Room at the end of the buffer, at least 1. */
static uint32_t make_room(struct buffered_wr *b)
{
    if (b->count == b->size)
        drain(b, b->size - b->trigger);
    if (b->start > 0 && b->start + b->count == b->size) {
        memmove(b->buf, b->buf + b->start, b->count);
        b->start = 0;
    }
    return b->size - b->start - b->count;
}

static void buffered_write(struct mbr__wr *wr, const char *text, uint64_t nb)
{
    struct buffered_wr *b = buffered_of(wr);

    while (nb > 0) {
        uint32_t room = make_room(b);
        uint32_t n = nb < room ? (uint32_t)nb : room;

        memcpy(b->buf + b->start + b->count, text, n);
        b->count += n;
        wr->at += n;
        text += n;
        nb -= n;
    }
}

static void buffered_flush(struct mbr__wr *wr)
{
    struct buffered_wr *b = buffered_of(wr);

    drain(b, 0);
    b->start = 0;
    Wr_Flush(b->to);
}

static void buffered_close(struct mbr__wr *wr)
{
    Wr_Close(buffered_of(wr)->to);
}

static const struct mbr__wr_kind buffered_kind = {
    .buffered = true, .write = buffered_write, .flush = buffered_flush, .close = buffered_close};

Wr_clp mbr__wr_buffered(Heap_clp heap, uint32_t bufsize, uint32_t blocksize, uint32_t trigger,
                        Wr_clp wr)
{
    uint32_t size = bufsize ? bufsize : 1;
    struct buffered_wr *b = mbr__heap_need(heap, sizeof(*b) + size);

    mbr__wr_init(&b->wr, &buffered_kind, heap);
    b->to = wr;
    b->size = size;
    b->block = mbr__between_1_and(size, blocksize);
    b->trigger = mbr__between_1_and(size, trigger);
    return &b->wr.cl;
}
