/* SPDX-License-Identifier: MIT */
/* The operations of Rd that are the same for all readers of this library. */
#include "types/io/rd.h"

#include <string.h>

#include "types/heap_use.h"
#include "types/io/locked.h"

uint64_t mbr__rd_wanted(const char *text, uint64_t n, bool line)
{
    const char *newline = line ? memchr(text, '\n', (size_t)n) : NULL;

    return newline ? (uint64_t)(newline - text) + 1 : n;
}

/* The character that was pushed back comes before all others. */
static uint64_t take(struct mbr__rd *rd, char *buf, uint64_t nb, bool line)
{
    uint64_t n = 1;

    if (rd->pushed) {
        rd->pushed = false;
        *buf = rd->last;
    } else {
        n = rd->kind->read(rd, buf, nb, line);
    }
    rd->at += n;
    return n;
}

static char get_char(struct mbr__rd *rd)
{
    char c;

    rd->can_unget = false;
    if (take(rd, &c, 1, false) == 0)
        RAISE(Rd_EndOfFile);
    rd->last = c;
    rd->can_unget = true;
    return c;
}

static bool at_end(struct mbr__rd *rd)
{
    rd->can_unget = false;
    return !rd->pushed && rd->kind->at_end(rd);
}

static uint64_t get_many(struct mbr__rd *rd, char *buf, uint64_t nb, bool line)
{
    uint64_t got = 0;

    rd->can_unget = false;
    while (got < nb) {
        uint64_t n = take(rd, buf + got, nb - got, line);

        got += n;
        if (n == 0 || (line && buf[got - 1] == '\n'))
            break;
    }
    return got;
}

static void unget(struct mbr__rd *rd)
{
    if (rd->at == 0)
        return;
    if (!rd->can_unget)
        RAISE(Rd_Failure, MBR__RD_CANNOT_UNGET);
    rd->can_unget = false;
    rd->pushed = true;
    rd->at--;
}

static bool intermittent(struct mbr__rd *rd)
{
    return rd->kind->is_intermittent ? rd->kind->is_intermittent(rd) : rd->kind->intermittent;
}

static bool seekable(struct mbr__rd *rd)
{
    return rd->kind->seek && (!rd->kind->is_seekable || rd->kind->is_seekable(rd));
}

static void seek(struct mbr__rd *rd, uint64_t n)
{
    if (!seekable(rd))
        RAISE(Rd_Failure, intermittent(rd) ? MBR__RD_INTERMITTENT : MBR__RD_UNSEEKABLE);
    rd->at = rd->kind->seek(rd, n);
    rd->pushed = false;
    rd->can_unget = false;
}

static uint64_t ready(struct mbr__rd *rd)
{
    uint64_t n = rd->kind->ready(rd);

    rd->can_unget = false;
    return n + (rd->pushed && n < UINT64_MAX);
}

static uint64_t length(struct mbr__rd *rd)
{
    rd->can_unget = false;
    if (!rd->kind->length)
        RAISE(Rd_Failure, MBR__RD_NO_LENGTH);
    return rd->kind->length(rd);
}

static char op_getc(Rd_clp self)
{
    struct mbr__rd *rd = self->st;
    volatile char c = 0;

    LOCKED(rd, c = get_char(rd));
    return c;
}

static bool op_eof(Rd_clp self)
{
    struct mbr__rd *rd = self->st;
    volatile bool end = false;

    LOCKED(rd, end = at_end(rd));
    return end;
}

static void op_ungetc(Rd_clp self)
{
    struct mbr__rd *rd = self->st;

    LOCKED(rd, unget(rd));
}

static uint64_t op_chars_ready(Rd_clp self)
{
    struct mbr__rd *rd = self->st;
    volatile uint64_t n = 0;

    LOCKED(rd, n = ready(rd));
    return n;
}

static uint64_t op_get_chars(Rd_clp self, Rd_Buffer buf, uint64_t nb)
{
    struct mbr__rd *rd = self->st;
    volatile uint64_t n = 0;

    LOCKED(rd, n = get_many(rd, buf, nb, false));
    return n;
}

static uint64_t op_get_line(Rd_clp self, Rd_Buffer buf, uint64_t nb)
{
    struct mbr__rd *rd = self->st;
    volatile uint64_t n = 0;

    LOCKED(rd, n = get_many(rd, buf, nb, true));
    return n;
}

static void op_seek(Rd_clp self, uint64_t n)
{
    struct mbr__rd *rd = self->st;

    LOCKED(rd, seek(rd, n));
}

static void op_close(Rd_clp self)
{
    struct mbr__rd *rd = self->st;

    TRY
    {
        LOCKED(rd, rd->kind->close(rd));
    }
    FINALLY
    {
        pthread_mutex_destroy(&rd->lock);
        mbr__heap_free(rd->heap, rd);
    }
    ENDTRY
}

static uint64_t op_length(Rd_clp self)
{
    struct mbr__rd *rd = self->st;
    volatile uint64_t n = 0;

    LOCKED(rd, n = length(rd));
    return n;
}

static uint64_t op_index(Rd_clp self)
{
    struct mbr__rd *rd = self->st;
    uint64_t at;

    pthread_mutex_lock(&rd->lock);
    at = rd->at;
    pthread_mutex_unlock(&rd->lock);
    return at;
}

/* What a reader is does not change, so these two need no lock and never wait for a blocked GetC. */
static bool op_intermittent(Rd_clp self)
{
    return intermittent(self->st);
}

static bool op_seekable(Rd_clp self)
{
    return seekable(self->st);
}

static void op_lock(Rd_clp self)
{
    struct mbr__rd *rd = self->st;

    pthread_mutex_lock(&rd->lock);
}

static void op_unlock(Rd_clp self)
{
    struct mbr__rd *rd = self->st;

    pthread_mutex_unlock(&rd->lock);
}

static char op_lgetc(Rd_clp self)
{
    return get_char(self->st);
}

static bool op_leof(Rd_clp self)
{
    return at_end(self->st);
}

static const Rd_op rd_op = {.GetC = op_getc,
                            .EOF_ = op_eof,
                            .UnGetC = op_ungetc,
                            .CharsReady = op_chars_ready,
                            .GetChars = op_get_chars,
                            .GetLine = op_get_line,
                            .Seek = op_seek,
                            .Close = op_close,
                            .Length = op_length,
                            .Index = op_index,
                            .Intermittent = op_intermittent,
                            .Seekable = op_seekable,
                            .Lock = op_lock,
                            .Unlock = op_unlock,
                            .LGetC = op_lgetc,
                            .LEOF_ = op_leof};

void mbr__rd_init(struct mbr__rd *rd, const struct mbr__rd_kind *kind, Heap_clp heap, uint64_t at)
{
    rd->cl = (Rd_cl){&rd_op, rd};
    rd->kind = kind;
    rd->heap = heap;
    rd->at = at;
    pthread_mutex_init(&rd->lock, NULL);
}
