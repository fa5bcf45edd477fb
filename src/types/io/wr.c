/* SPDX-License-Identifier: MIT */
/* The operations of Wr that are the same for all writers of this library. */
#include "types/io/wr.h"

#include <string.h>

#include "types/heap_use.h"
#include "types/io/locked.h"

static void flush(struct mbr__wr *wr)
{
    if (wr->kind->flush)
        wr->kind->flush(wr);
}

static void put(struct mbr__wr *wr, const char *text, uint64_t nb)
{
    if (nb > 0)
        wr->kind->write(wr, text, nb);
    if (!wr->kind->buffered)
        flush(wr);
}

static void put_text(struct mbr__wr *wr, const char *text)
{
    if (text)
        put(wr, text, strlen(text));
}

static void seek(struct mbr__wr *wr, uint64_t n)
{
    if (!wr->kind->seek)
        RAISE(Wr_Failure, MBR__WR_UNSEEKABLE);
    wr->at = wr->kind->seek(wr, n);
}

static uint64_t length(struct mbr__wr *wr)
{
    return wr->kind->length ? wr->kind->length(wr) : wr->at;
}

/* The kind lets go of what it holds also if flushing has failed. */
static void close_kind(struct mbr__wr *wr)
{
    TRY
    {
        flush(wr);
    }
    FINALLY
    {
        wr->kind->close(wr);
    }
    ENDTRY
}

static void op_putc(Wr_clp self, char ch)
{
    struct mbr__wr *wr = self->st;

    LOCKED(wr, put(wr, &ch, 1));
}

static void op_put_str(Wr_clp self, const char *s)
{
    struct mbr__wr *wr = self->st;

    LOCKED(wr, put_text(wr, s));
}

static void op_put_chars(Wr_clp self, Wr_Buffer s, uint64_t nb)
{
    struct mbr__wr *wr = self->st;

    LOCKED(wr, put(wr, s, nb));
}

static void op_seek(Wr_clp self, uint64_t n)
{
    struct mbr__wr *wr = self->st;

    LOCKED(wr, seek(wr, n));
}

static void op_flush(Wr_clp self)
{
    struct mbr__wr *wr = self->st;

    LOCKED(wr, flush(wr));
}

static void op_close(Wr_clp self)
{
    struct mbr__wr *wr = self->st;

    TRY
    {
        LOCKED(wr, close_kind(wr));
    }
    FINALLY
    {
        pthread_mutex_destroy(&wr->lock);
        mbr__heap_free(wr->heap, wr);
    }
    ENDTRY
}

static uint64_t op_length(Wr_clp self)
{
    struct mbr__wr *wr = self->st;
    volatile uint64_t n = 0;

    LOCKED(wr, n = length(wr));
    return n;
}

static uint64_t op_index(Wr_clp self)
{
    struct mbr__wr *wr = self->st;
    uint64_t at;

    pthread_mutex_lock(&wr->lock);
    at = wr->at;
    pthread_mutex_unlock(&wr->lock);
    return at;
}

/* What a writer is does not change, so these two need no lock. */
static bool op_seekable(Wr_clp self)
{
    const struct mbr__wr *wr = self->st;

    return wr->kind->seek != NULL;
}

static bool op_buffered(Wr_clp self)
{
    const struct mbr__wr *wr = self->st;

    return wr->kind->buffered;
}

static void op_lock(Wr_clp self)
{
    struct mbr__wr *wr = self->st;

    pthread_mutex_lock(&wr->lock);
}

static void op_unlock(Wr_clp self)
{
    struct mbr__wr *wr = self->st;

    pthread_mutex_unlock(&wr->lock);
}

static void op_lputc(Wr_clp self, char ch)
{
    put(self->st, &ch, 1);
}

static void op_lput_str(Wr_clp self, const char *s)
{
    put_text(self->st, s);
}

static void op_lput_chars(Wr_clp self, Wr_Buffer s, uint64_t nb)
{
    put(self->st, s, nb);
}

static void op_lflush(Wr_clp self)
{
    flush(self->st);
}

static const Wr_op wr_op = {.PutC = op_putc,
                            .PutStr = op_put_str,
                            .PutChars = op_put_chars,
                            .Seek = op_seek,
                            .Flush = op_flush,
                            .Close = op_close,
                            .Length = op_length,
                            .Index = op_index,
                            .Seekable = op_seekable,
                            .Buffered = op_buffered,
                            .Lock = op_lock,
                            .Unlock = op_unlock,
                            .LPutC = op_lputc,
                            .LPutStr = op_lput_str,
                            .LPutChars = op_lput_chars,
                            .LFlush = op_lflush};

void mbr__wr_init(struct mbr__wr *wr, const struct mbr__wr_kind *kind, Heap_clp heap)
{
    wr->cl = (Wr_cl){&wr_op, wr};
    wr->kind = kind;
    wr->heap = heap;
    wr->at = 0;
    pthread_mutex_init(&wr->lock, NULL);
}
