/* SPDX-License-Identifier: MIT */
/*
 * WrRedir and WrRedirMod: a writer that passes every operation on to another, which can be
 * exchanged at any time. The monitor is that of the other one, so an operation that blocks there
 * does not keep SetWr from giving the next one a new target; only Lock, until Unlock, does.
 */
#include <middl/WrRedir.h>
#include <middl/WrRedirMod.h>

#include "types/heap_use.h"
#include "types/io/redirector.h"
#include "types/modules.h"

struct redir {
    WrRedir_cl cl;
    struct mbr__redirector to;
};

/* Where an operation that starts now goes. */
static Wr_clp target_of(Wr_clp self)
{
    struct redir *redir = self->st;

    return mbr__redirector_target(&redir->to);
}

/* Where an operation inside Lock and Unlock goes. */
static Wr_clp locked_of(Wr_clp self)
{
    struct redir *redir = self->st;

    return redir->to.locked;
}

static void op_put_c(Wr_clp self, char ch)
{
    Wr_PutC(target_of(self), ch);
}

static void op_put_str(Wr_clp self, const char *s)
{
    Wr_PutStr(target_of(self), s);
}

static void op_put_chars(Wr_clp self, Wr_Buffer s, uint64_t nb)
{
    Wr_PutChars(target_of(self), s, nb);
}

static void op_seek(Wr_clp self, uint64_t n)
{
    Wr_Seek(target_of(self), n);
}

static void op_flush(Wr_clp self)
{
    Wr_Flush(target_of(self));
}

static uint64_t op_length(Wr_clp self)
{
    return Wr_Length(target_of(self));
}

static uint64_t op_index(Wr_clp self)
{
    return Wr_Index(target_of(self));
}

static bool op_seekable(Wr_clp self)
{
    return Wr_Seekable(target_of(self));
}

static bool op_buffered(Wr_clp self)
{
    return Wr_Buffered(target_of(self));
}

static void op_lput_c(Wr_clp self, char ch)
{
    Wr_LPutC(locked_of(self), ch);
}

static void op_lput_str(Wr_clp self, const char *s)
{
    Wr_LPutStr(locked_of(self), s);
}

static void op_lput_chars(Wr_clp self, Wr_Buffer s, uint64_t nb)
{
    Wr_LPutChars(locked_of(self), s, nb);
}

static void op_lflush(Wr_clp self)
{
    Wr_LFlush(locked_of(self));
}

/* The one that is the target now is closed with the redirector; earlier ones are their owners'. */
static void op_close(Wr_clp self)
{
    struct redir *redir = self->st;

    TRY
    {
        Wr_Close(target_of(self));
    }
    FINALLY
    {
        mbr__redirector_fini(&redir->to);
        mbr__heap_free(redir->to.heap, redir);
    }
    ENDTRY
}

static void op_lock(Wr_clp self)
{
    struct redir *redir = self->st;

    Wr_Lock(mbr__redirector_lock(&redir->to));
}

static void op_unlock(Wr_clp self)
{
    struct redir *redir = self->st;

    Wr_Unlock(redir->to.locked);
    mbr__redirector_unlock(&redir->to);
}

static void set_target(WrRedir_clp self, Wr_clp wr)
{
    struct redir *redir = self->st;

    mbr__redirector_set(&redir->to, wr);
}

static const WrRedir_op redir_op = {.PutC = op_put_c,
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
                                    .LPutC = op_lput_c,
                                    .LPutStr = op_lput_str,
                                    .LPutChars = op_lput_chars,
                                    .LFlush = op_lflush,
                                    .SetWr = set_target};

static WrRedir_clp new_redir(WrRedirMod_clp self, Wr_clp wr)
{
    Heap_clp heap = mbr__heap_ambient();
    struct redir *redir = mbr__heap_need(heap, sizeof(*redir));

    (void)self;
    redir->cl = (WrRedir_cl){&redir_op, redir};
    mbr__redirector_init(&redir->to, heap, wr);
    return &redir->cl;
}

static const WrRedirMod_op module_op = {.New = new_redir};

WrRedirMod_cl mbr__module_WrRedirMod = {&module_op, NULL};
