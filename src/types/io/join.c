/* SPDX-License-Identifier: MIT */
/* A closure that copies from a reader to a writer when it is applied, once. */
#include <middl/Thread.h>

#include "base/log.h"
#include "types/heap_use.h"
#include "types/io/rdwr.h"

struct join {
    Closure_cl cl;
    Heap_clp heap;
    Rd_clp rd;
    Wr_clp wr;
    bool close_wr;
    uint32_t size;
    char buf[];
};

/* What is there already goes out before more is waited for, so the writer is never behind. */
static void pump(struct join *join)
{
    while (!Rd_EOF(join->rd)) {
        uint64_t n = Rd_CharsReady(join->rd);

        n = Rd_GetChars(join->rd, join->buf, n > 0 && n < join->size ? n : join->size);
        Wr_PutChars(join->wr, join->buf, n);
        if (Rd_CharsReady(join->rd) == 0)
            Wr_Flush(join->wr);
    }
    Wr_Flush(join->wr);
}

static void report(const char *id)
{
    mbr__log(MBR_LOG_WARNING, "RdWrMod.NewJoin: copying ended early: %s", id);
}

/* Nobody is there whom the closing of one could tell, and the other is to be closed all the same.
 */
static void close_rd(Rd_clp rd)
{
    TRY
    {
        Rd_Close(rd);
    }
    CATCH_ALL
    {
        report(MBR_EXN_NAME);
    }
    ENDTRY
}

static void close_wr(Wr_clp wr)
{
    TRY
    {
        Wr_Close(wr);
    }
    CATCH_ALL
    {
        report(MBR_EXN_NAME);
    }
    ENDTRY
}

/* Apply raises nothing that Rd and Wr may raise: it cannot say so. */
static void apply(Closure_clp self)
{
    struct join *join = self->st;

    TRY
    {
        pump(join);
    }
    CATCH(Rd_Failure)
    {
        report(MBR_EXN_NAME);
    }
    CATCH(Wr_Failure)
    {
        report(MBR_EXN_NAME);
    }
    CATCH(Thread_Alerted)
    {
        report(MBR_EXN_NAME);
    }
    FINALLY
    {
        close_rd(join->rd);
        if (join->close_wr)
            close_wr(join->wr);
        mbr__heap_free(join->heap, join);
    }
    ENDTRY
}

static const Closure_op join_op = {.Apply = apply};

Closure_clp mbr__join_new(Heap_clp heap, uint32_t bufsize, Rd_clp rd, Wr_clp wr, bool close_wr)
{
    uint32_t size = bufsize ? bufsize : 1;
    struct join *join = mbr__heap_need(heap, sizeof(*join) + size);

    join->cl = (Closure_cl){&join_op, join};
    join->heap = heap;
    join->rd = rd;
    join->wr = wr;
    join->close_wr = close_wr;
    join->size = size;
    return &join->cl;
}
