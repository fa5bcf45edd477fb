/* SPDX-License-Identifier: MIT */
/* RdWrMod: the factory of pipes, joins, buffered readers and writers, and readers of memory. */
#include <middl/RdWrMod.h>

#include "types/io/rd.h"
#include "types/io/rdwr.h"
#include "types/modules.h"

static Rd_clp get_blob_rd(RdWrMod_clp self, RdWrMod_Blob b, Heap_clp heap)
{
    const struct mbr_blob *blob = b;

    (void)self;
    return mbr__rd_memory(blob ? blob->data : NULL, blob ? blob->size : 0, heap);
}

static Rd_clp new_pipe(RdWrMod_clp self, Heap_clp heap, uint32_t bufsize, uint32_t trigger,
                       Wr_clp *wr)
{
    (void)self;
    return mbr__pipe_new(heap, bufsize, trigger, wr);
}

static Closure_clp new_join(RdWrMod_clp self, Heap_clp heap, uint32_t bufsize, Rd_clp rd, Wr_clp wr,
                            bool closeWr)
{
    (void)self;
    return mbr__join_new(heap, bufsize, rd, wr, closeWr);
}

static Wr_clp new_buffered_wr(RdWrMod_clp self, Heap_clp heap, uint32_t bufsize, uint32_t blocksize,
                              uint32_t trigger, Wr_clp wr)
{
    (void)self;
    return mbr__wr_buffered(heap, bufsize, blocksize, trigger, wr);
}

static Rd_clp new_buffered_rd(RdWrMod_clp self, Heap_clp heap, uint32_t bufsize, uint32_t blocksize,
                              uint32_t trigger, Rd_clp rd)
{
    (void)self;
    return mbr__rd_buffered(heap, bufsize, blocksize, trigger, rd);
}

static Rd_clp new_mem_rd(RdWrMod_clp self, void *base, uint64_t bytes, Heap_clp heap)
{
    (void)self;
    return mbr__rd_memory(base, bytes, heap);
}

static const RdWrMod_op module_op = {.GetBlobRd = get_blob_rd,
                                     .NewPipe = new_pipe,
                                     .NewJoin = new_join,
                                     .NewBufferedWr = new_buffered_wr,
                                     .NewBufferedRd = new_buffered_rd,
                                     .NewMemRd = new_mem_rd};

RdWrMod_cl mbr__module_RdWrMod = {&module_op, NULL};
