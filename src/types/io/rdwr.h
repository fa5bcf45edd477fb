/* SPDX-License-Identifier: MIT */
/* The readers and writers that RdWrMod makes, each in a file of its own. All raise Heap.NoMemory,
 * with nothing left behind. Their meaning is in idl/RdWrMod.if. */
#ifndef MBR_TYPES_IO_RDWR_H
#define MBR_TYPES_IO_RDWR_H

#include <stdbool.h>
#include <stdint.h>

#include <middl/Closure.h>
#include <middl/Heap.h>
#include <middl/Rd.h>
#include <middl/Wr.h>

Rd_clp mbr__pipe_new(Heap_clp heap, uint32_t bufsize, uint32_t trigger, Wr_clp *wr);
Closure_clp mbr__join_new(Heap_clp heap, uint32_t bufsize, Rd_clp rd, Wr_clp wr, bool close_wr);
Wr_clp mbr__wr_buffered(Heap_clp heap, uint32_t bufsize, uint32_t blocksize, uint32_t trigger,
                        Wr_clp wr);
Rd_clp mbr__rd_buffered(Heap_clp heap, uint32_t bufsize, uint32_t blocksize, uint32_t trigger,
                        Rd_clp rd);

/* N, but at least 1 and at most MOST: sizes that are out of range are brought into it. */
static inline uint32_t mbr__between_1_and(uint32_t most, uint32_t n)
{
    if (n < 1)
        return 1;
    return n < most ? n : most;
}

#endif
