/* SPDX-License-Identifier: MIT */
/* A reader of memory that is somebody else's and does not change. */
#include <string.h>

#include "base/list.h"
#include "types/heap_use.h"
#include "types/io/rd.h"

struct memory_rd {
    struct mbr__rd rd;
    const char *base;
    uint64_t bytes;
    uint64_t next; /* rd.at, or one more when a character was pushed back */
};

static struct memory_rd *memory_of(struct mbr__rd *rd)
{
    return mbr__container_of(rd, struct memory_rd, rd);
}

static uint64_t memory_read(struct mbr__rd *rd, char *buf, uint64_t nb, bool line)
{
    struct memory_rd *memory = memory_of(rd);
    uint64_t left = memory->bytes - memory->next;
    uint64_t n = nb < left ? nb : left;

    if (n == 0)
        return 0;
    n = mbr__rd_wanted(memory->base + memory->next, n, line);
    memcpy(buf, memory->base + memory->next, (size_t)n);
    memory->next += n;
    return n;
}

static bool memory_at_end(struct mbr__rd *rd)
{
    return memory_of(rd)->next == memory_of(rd)->bytes;
}

static uint64_t memory_ready(struct mbr__rd *rd)
{
    uint64_t left = memory_of(rd)->bytes - memory_of(rd)->next;

    return left < UINT64_MAX ? left + 1 : left;
}

static uint64_t memory_seek(struct mbr__rd *rd, uint64_t n)
{
    struct memory_rd *memory = memory_of(rd);

    return memory->next = n < memory->bytes ? n : memory->bytes;
}

static uint64_t memory_length(struct mbr__rd *rd)
{
    return memory_of(rd)->bytes;
}

static void memory_close(struct mbr__rd *rd)
{
    (void)rd;
}

static const struct mbr__rd_kind memory_kind = {.read = memory_read,
                                                .at_end = memory_at_end,
                                                .ready = memory_ready,
                                                .seek = memory_seek,
                                                .length = memory_length,
                                                .close = memory_close};

Rd_clp mbr__rd_memory(const void *base, uint64_t bytes, Heap_clp heap)
{
    struct memory_rd *memory = mbr__heap_need(heap, sizeof(*memory));

    mbr__rd_init(&memory->rd, &memory_kind, heap, 0);
    memory->base = base;
    memory->bytes = base ? bytes : 0;
    return &memory->rd.cl;
}
