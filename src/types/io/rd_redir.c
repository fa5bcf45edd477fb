/* SPDX-License-Identifier: MIT */
/*
 * RdRedir and RdRedirMod: a reader that passes every operation on to another, which can be
 * exchanged at any time. The monitor is that of the other one, so an operation that blocks there
 * does not keep SetRd from giving the next one a new target; only Lock, until Unlock, does.
 */
#include <middl/RdRedir.h>
#include <middl/RdRedirMod.h>

#include "types/heap_use.h"
#include "types/io/redirector.h"
#include "types/modules.h"

struct redir {
    RdRedir_cl cl;
    struct mbr__redirector to;
};

/* Where an operation that starts now goes. */
static Rd_clp target_of(Rd_clp self)
{
    struct redir *redir = self->st;

    return mbr__redirector_target(&redir->to);
}

/* Where an operation inside Lock and Unlock goes. */
static Rd_clp locked_of(Rd_clp self)
{
    struct redir *redir = self->st;

    return redir->to.locked;
}

static char op_get_c(Rd_clp self)
{
    return Rd_GetC(target_of(self));
}

static bool op_eof(Rd_clp self)
{
    return Rd_EOF(target_of(self));
}

static void op_un_get_c(Rd_clp self)
{
    Rd_UnGetC(target_of(self));
}

static uint64_t op_chars_ready(Rd_clp self)
{
    return Rd_CharsReady(target_of(self));
}

static uint64_t op_get_chars(Rd_clp self, Rd_Buffer buf, uint64_t nb)
{
    return Rd_GetChars(target_of(self), buf, nb);
}

static uint64_t op_get_line(Rd_clp self, Rd_Buffer buf, uint64_t nb)
{
    return Rd_GetLine(target_of(self), buf, nb);
}

static void op_seek(Rd_clp self, uint64_t nb)
{
    Rd_Seek(target_of(self), nb);
}

static uint64_t op_length(Rd_clp self)
{
    return Rd_Length(target_of(self));
}

static uint64_t op_index(Rd_clp self)
{
    return Rd_Index(target_of(self));
}

static bool op_intermittent(Rd_clp self)
{
    return Rd_Intermittent(target_of(self));
}

static bool op_seekable(Rd_clp self)
{
    return Rd_Seekable(target_of(self));
}

static char op_lget_c(Rd_clp self)
{
    return Rd_LGetC(locked_of(self));
}

static bool op_leof(Rd_clp self)
{
    return Rd_LEOF(locked_of(self));
}

/* The one that is the target now is closed with the redirector; earlier ones are their owners'. */
static void op_close(Rd_clp self)
{
    struct redir *redir = self->st;

    TRY
    {
        Rd_Close(target_of(self));
    }
    FINALLY
    {
        mbr__redirector_fini(&redir->to);
        mbr__heap_free(redir->to.heap, redir);
    }
    ENDTRY
}

static void op_lock(Rd_clp self)
{
    struct redir *redir = self->st;

    Rd_Lock(mbr__redirector_lock(&redir->to));
}

static void op_unlock(Rd_clp self)
{
    struct redir *redir = self->st;

    Rd_Unlock(redir->to.locked);
    mbr__redirector_unlock(&redir->to);
}

static void set_target(RdRedir_clp self, Rd_clp rd)
{
    struct redir *redir = self->st;

    mbr__redirector_set(&redir->to, rd);
}

static const RdRedir_op redir_op = {.GetC = op_get_c,
                                    .EOF_ = op_eof,
                                    .UnGetC = op_un_get_c,
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
                                    .LGetC = op_lget_c,
                                    .LEOF_ = op_leof,
                                    .SetRd = set_target};

static RdRedir_clp new_redir(RdRedirMod_clp self, Rd_clp rd)
{
    Heap_clp heap = mbr__heap_ambient();
    struct redir *redir = mbr__heap_need(heap, sizeof(*redir));

    (void)self;
    redir->cl = (RdRedir_cl){&redir_op, redir};
    mbr__redirector_init(&redir->to, heap, rd);
    return &redir->cl;
}

static const RdRedirMod_op module_op = {.New = new_redir};

RdRedirMod_cl mbr__module_RdRedirMod = {&module_op, NULL};
