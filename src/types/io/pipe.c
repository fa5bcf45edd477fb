/* SPDX-License-Identifier: MIT */
/*
 * A pipe: a reader and a writer in one address space with a ring of bytes between them, and a lock
 * of its own, so that each side can hold its monitor while it waits for the other. What is in it
 * lives until both sides are closed.
 */
#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "types/heap_use.h"
#include "types/io/rd.h"
#include "types/io/rdwr.h"
#include "types/io/wr.h"

struct pipe {
    Heap_clp heap;
    pthread_mutex_t lock; /* inside either monitor */
    pthread_cond_t readable;
    pthread_cond_t writable;
    bool rd_open;
    bool wr_open;
    uint64_t taken; /* characters that have left it */
    uint32_t size;
    uint32_t trigger; /* free bytes that wake a writer */
    uint32_t head;    /* where the first character is */
    uint32_t count;
    char ring[];
};

struct pipe_rd {
    struct mbr__rd rd;
    struct pipe *pipe;
};

struct pipe_wr {
    struct mbr__wr wr;
    struct pipe *pipe;
};

static struct pipe *pipe_of_rd(struct mbr__rd *rd)
{
    return mbr__container_of(rd, struct pipe_rd, rd)->pipe;
}

static struct pipe *pipe_of_wr(struct mbr__wr *wr)
{
    return mbr__container_of(wr, struct pipe_wr, wr)->pipe;
}

static void wait_readable(struct pipe *pipe)
{
    while (pipe->count == 0 && pipe->wr_open)
        pthread_cond_wait(&pipe->readable, &pipe->lock);
}

static uint64_t smallest(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static uint64_t pipe_read(struct mbr__rd *rd, char *buf, uint64_t nb, bool line)
{
    struct pipe *pipe = pipe_of_rd(rd);
    uint64_t n = 0;

    pthread_mutex_lock(&pipe->lock);
    wait_readable(pipe);
    if (pipe->count > 0) {
        n = mbr__rd_wanted(pipe->ring + pipe->head,
                           smallest(nb, pipe->count, pipe->size - pipe->head), line);
        memcpy(buf, pipe->ring + pipe->head, (size_t)n);
        pipe->head = (uint32_t)((pipe->head + n) % pipe->size);
        pipe->count -= (uint32_t)n;
        pipe->taken += n;
        if (pipe->size - pipe->count >= pipe->trigger)
            pthread_cond_broadcast(&pipe->writable);
    }
    pthread_mutex_unlock(&pipe->lock);
    return n;
}

static bool pipe_at_end(struct mbr__rd *rd)
{
    struct pipe *pipe = pipe_of_rd(rd);
    bool end;

    pthread_mutex_lock(&pipe->lock);
    wait_readable(pipe);
    end = pipe->count == 0;
    pthread_mutex_unlock(&pipe->lock);
    return end;
}

static uint64_t pipe_ready(struct mbr__rd *rd)
{
    struct pipe *pipe = pipe_of_rd(rd);
    uint64_t n;

    pthread_mutex_lock(&pipe->lock);
    n = pipe->count + (uint64_t)!pipe->wr_open;
    pthread_mutex_unlock(&pipe->lock);
    return n;
}

/* Known when nothing can come any more. */
static uint64_t pipe_length(struct mbr__rd *rd)
{
    struct pipe *pipe = pipe_of_rd(rd);
    uint64_t length;
    bool known;

    pthread_mutex_lock(&pipe->lock);
    length = pipe->taken + pipe->count;
    known = !pipe->wr_open;
    pthread_mutex_unlock(&pipe->lock);
    if (!known)
        RAISE(Rd_Failure, MBR__RD_NO_LENGTH);
    return length;
}

/* Ends one side; the side that is left wakes up, the last one frees. */
static void end(struct pipe *pipe, bool *side)
{
    bool last;

    pthread_mutex_lock(&pipe->lock);
    *side = false;
    last = !pipe->rd_open && !pipe->wr_open;
    pthread_cond_broadcast(&pipe->readable);
    pthread_cond_broadcast(&pipe->writable);
    pthread_mutex_unlock(&pipe->lock);
    if (!last)
        return;
    pthread_cond_destroy(&pipe->readable);
    pthread_cond_destroy(&pipe->writable);
    pthread_mutex_destroy(&pipe->lock);
    mbr__heap_free(pipe->heap, pipe);
}

static void pipe_rd_close(struct mbr__rd *rd)
{
    end(pipe_of_rd(rd), &pipe_of_rd(rd)->rd_open);
}

static void pipe_wr_close(struct mbr__wr *wr)
{
    end(pipe_of_wr(wr), &pipe_of_wr(wr)->wr_open);
}

/* Waits, if it is full, until there is room enough again. False if nobody will read. */
static bool wait_writable(struct pipe *pipe)
{
    if (pipe->count == pipe->size)
        while (pipe->size - pipe->count < pipe->trigger && pipe->rd_open)
            pthread_cond_wait(&pipe->writable, &pipe->lock);
    return pipe->rd_open;
}

static uint64_t put_some(struct pipe *pipe, const char *text, uint64_t nb)
{
    uint32_t tail = (uint32_t)(((uint64_t)pipe->head + pipe->count) % pipe->size);
    uint64_t n = smallest(nb, pipe->size - pipe->count, pipe->size - tail);

    memcpy(pipe->ring + tail, text, (size_t)n);
    pipe->count += (uint32_t)n;
    pthread_cond_broadcast(&pipe->readable);
    return n;
}

static void pipe_write(struct mbr__wr *wr, const char *text, uint64_t nb)
{
    struct pipe *pipe = pipe_of_wr(wr);
    bool open = true;

    pthread_mutex_lock(&pipe->lock);
    while (nb > 0 && (open = wait_writable(pipe))) {
        uint64_t n = put_some(pipe, text, nb);

        text += n;
        nb -= n;
        wr->at += n;
    }
    pthread_mutex_unlock(&pipe->lock);
    if (!open)
        RAISE(Wr_Failure, EPIPE);
}

static const struct mbr__rd_kind rd_kind = {.intermittent = true,
                                            .read = pipe_read,
                                            .at_end = pipe_at_end,
                                            .ready = pipe_ready,
                                            .length = pipe_length,
                                            .close = pipe_rd_close};

static const struct mbr__wr_kind wr_kind = {.write = pipe_write, .close = pipe_wr_close};

static void init(struct pipe *pipe, Heap_clp heap, uint32_t size, uint32_t trigger)
{
    pipe->heap = heap;
    pipe->size = size;
    pipe->trigger = mbr__between_1_and(size, trigger);
    pipe->rd_open = pipe->wr_open = true;
    pthread_mutex_init(&pipe->lock, NULL);
    pthread_cond_init(&pipe->readable, NULL);
    pthread_cond_init(&pipe->writable, NULL);
}

Rd_clp mbr__pipe_new(Heap_clp heap, uint32_t bufsize, uint32_t trigger, Wr_clp *wr)
{
    uint32_t size = bufsize ? bufsize : 1;
    struct pipe *pipe = mbr__heap_try(heap, sizeof(*pipe) + size);
    struct pipe_rd *rd = pipe ? mbr__heap_try(heap, sizeof(*rd)) : NULL;
    struct pipe_wr *to = rd ? mbr__heap_try(heap, sizeof(*to)) : NULL;

    if (!to) {
        mbr__heap_free(heap, rd);
        mbr__heap_free(heap, pipe);
        RAISE(Heap_NoMemory);
    }
    init(pipe, heap, size, trigger);
    mbr__rd_init(&rd->rd, &rd_kind, heap, 0);
    mbr__wr_init(&to->wr, &wr_kind, heap);
    rd->pipe = to->pipe = pipe;
    *wr = &to->wr.cl;
    return &rd->rd.cl;
}
