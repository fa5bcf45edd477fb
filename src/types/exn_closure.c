/* SPDX-License-Identifier: MIT */
/*
 * ExnSetjmp over a chain. The macros do not come by here; this is for whoever calls the interface,
 * with a struct mbr_exn_frame as the handler context.
 */
#include "types/exn_closure.h"

#include <membrane/heap.h>
#include <membrane/pervasives.h>

/* ---- ExnSetjmp ---- */

static void exn_raise(ExnSupport_clp self, ExnSupport_Id id, ExnSupport_Args args,
                      const char *filename, uint32_t lineno, const char *funcname)
{
    mbr__exn_deliver(self->st, (struct mbr__exn){id, args, filename, funcname, lineno});
}

/* A context that was pushed by hand has no FINALLY. */
static const struct mbr_exn_site by_hand = {"?", 0, 0};

static void exn_push(ExnSetjmp_clp self, ExnSetjmp_Context ctx)
{
    struct mbr_exn_frame *frame = ctx;

    frame->site = &by_hand;
    mbr__exn_push(self->st, frame);
}

/* What has arrived is handled, whatever it was: its arguments are freed. */
static void exn_pop(ExnSetjmp_clp self, ExnSetjmp_Context ctx, const char *filename,
                    uint32_t lineno, const char *funcname)
{
    struct mbr_exn_frame *frame = ctx;

    (void)self;
    (void)funcname;
    if (frame->phase == MBR_EXN_RAISED)
        frame->phase = MBR_EXN_HANDLER;
    mbr__exn_pop(frame, filename, lineno);
}

static Heap_Ptr exn_alloc_args(ExnSetjmp_clp self, Heap_Size size)
{
    return mbr__exn_alloc(self->st, size);
}

const ExnSetjmp_op mbr__exn_ops = {
    .Raise = exn_raise,
    .PushContext = exn_push,
    .PopContext = exn_pop,
    .AllocArgs = exn_alloc_args,
};

/* ---- the thread's own ---- */

static _Thread_local ExnSetjmp_cl own_closure MBR__EXN_TLS;

ExnSupport_clp mbr__exn_own_closure(void)
{
    own_closure = (ExnSetjmp_cl){&mbr__exn_ops, &mbr__exn_own};
    return (ExnSupport_clp)(void *)&own_closure;
}

/* ---- ExnSystem ---- */

struct environment {
    ExnSetjmp_cl closure;
    struct mbr__exn_chain chain;
    Heap_clp heap;
};

static struct environment *environment_of(struct mbr__exn_chain *chain)
{
    return (struct environment *)(void *)((char *)chain - offsetof(struct environment, chain));
}

static void *alloc_in_heap(struct mbr__exn_chain *chain, size_t size)
{
    return Heap_Malloc(environment_of(chain)->heap, size);
}

static void free_in_heap(struct mbr__exn_chain *chain, void *args)
{
    Heap_Free(environment_of(chain)->heap, args);
}

static ExnSetjmp_clp exnsystem_new(ExnSystem_clp self)
{
    Heap_clp heap = mbr_pvs() && PVS(heap) ? PVS(heap) : mbr_heap_process();
    struct environment *made = Heap_Malloc(heap, sizeof(*made));

    (void)self;
    if (!made)
        RAISE(Heap_NoMemory);
    mbr__exn_chain_init(&made->chain);
    made->chain.alloc = alloc_in_heap;
    made->chain.free = free_in_heap;
    made->heap = heap;
    made->closure = (ExnSetjmp_cl){&mbr__exn_ops, &made->chain};
    return &made->closure;
}

static const ExnSystem_op exnsystem_ops = {.New = exnsystem_new};

ExnSystem_cl mbr__module_ExnSystem = {&exnsystem_ops, NULL};
