/* SPDX-License-Identifier: MIT */
/*
 * Raising and handling of exceptions. A block stays on its thread's chain until it is left for
 * good, also while its handler or its FINALLY runs: so an exception raised there finds it, and
 * frees what it holds, before going further out.
 */
#include "types/exn.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define NO_MEMORY "Heap$NoMemory"

/* ---- where arguments live ---- */

static void *alloc_plain(struct mbr__exn_chain *chain, size_t size)
{
    (void)chain;
    return malloc(size);
}

static void free_plain(struct mbr__exn_chain *chain, void *args)
{
    (void)chain;
    free(args);
}

void mbr__exn_chain_init(struct mbr__exn_chain *chain)
{
    chain->top = NULL;
    chain->alloc = alloc_plain;
    chain->free = free_plain;
    chain->spare_used = false;
}

void *mbr__exn_alloc(struct mbr__exn_chain *chain, size_t size)
{
    void *args = chain->alloc(chain, size);

    if (args || size > sizeof(chain->spare) || chain->spare_used)
        return args;
    chain->spare_used = true;
    return chain->spare;
}

void mbr__exn_free(struct mbr__exn_chain *chain, void *args)
{
    if (args == chain->spare)
        chain->spare_used = false;
    else if (args)
        chain->free(chain, args);
}

/* ---- the chain ---- */

_Thread_local struct mbr__exn_chain mbr__exn_own MBR__EXN_TLS = {.alloc = alloc_plain,
                                                                 .free = free_plain};

void mbr__exn_push(struct mbr__exn_chain *chain, struct mbr_exn_frame *frame)
{
    frame->outer = chain->top;
    frame->chain = chain;
    frame->id = NULL; /* and so nobody looks at the rest of it */
    frame->phase = MBR_EXN_BODY;
    chain->top = frame;
}

/* What FRAME holds is done with. */
static void drop(struct mbr_exn_frame *frame)
{
    if (!frame->id)
        return;
    mbr__exn_free(frame->chain, frame->args);
    frame->args = NULL;
    frame->id = NULL;
}

static void unlink_top(struct mbr__exn_chain *chain, struct mbr_exn_frame *frame)
{
    chain->top = frame->outer;
    frame->phase = MBR_EXN_DONE;
}

static void store(struct mbr_exn_frame *frame, const struct mbr__exn *exn)
{
    frame->id = exn->id;
    frame->args = exn->args;
    frame->file = exn->file;
    frame->line = exn->line;
    frame->func = exn->func;
}

static struct mbr__exn held_by(const struct mbr_exn_frame *frame)
{
    return (struct mbr__exn){frame->id, frame->args, frame->file, frame->func, frame->line};
}

static _Noreturn void report_uncaught(const struct mbr__exn *exn)
{
    mbr__panic(exn->file ? exn->file : "?", (int)exn->line, "uncaught exception %s, raised in %s()",
               exn->id, exn->func ? exn->func : "?");
}

_Noreturn void mbr__exn_deliver(struct mbr__exn_chain *chain, struct mbr__exn exn)
{
    struct mbr_exn_frame *frame;

    while ((frame = chain->top)) {
        bool body = frame->phase == MBR_EXN_BODY;
        bool handler = frame->phase == MBR_EXN_HANDLER;

        drop(frame);
        if (body || (handler && frame->site->has_finally)) {
            store(frame, &exn);
            frame->phase = body ? MBR_EXN_RAISED : MBR_EXN_LAST;
            longjmp(frame->env, 1);
        }
        unlink_top(chain, frame);
    }
    report_uncaught(&exn);
}

/* ---- what the macros call ---- */

void mbr_exn_raise(const char *id, const void *args, size_t size, const char *file, uint32_t line,
                   const char *func)
{
    struct mbr__exn_chain *chain = mbr__exn_current();
    struct mbr__exn exn = {id, NULL, file, func, line};

    if (args && size > 0) {
        exn.args = mbr__exn_alloc(chain, size);
        if (exn.args)
            memcpy(exn.args, args, size);
        else
            exn.id = NO_MEMORY;
    }
    mbr__exn_raise_elsewhere(&exn);
    mbr__exn_deliver(chain, exn);
}

void mbr_exn_enter(struct mbr_exn_frame *frame)
{
    mbr__exn_push(mbr__exn_current(), frame);
}

/* Why FRAME must not be left now, or NULL. */
static const char *reason_to_stay(const struct mbr_exn_frame *frame)
{
    const struct mbr__exn_chain *chain = frame->chain;

    if (chain->top != frame)
        return "it is not the innermost one";
    if (frame->site->has_finally && frame->phase != MBR_EXN_FINALLY)
        return "its FINALLY would not be run";
    if (frame->id && frame->phase != MBR_EXN_HANDLER)
        return "the exception would be lost";
    return NULL;
}

void mbr__exn_pop(struct mbr_exn_frame *frame, const char *file, uint32_t line)
{
    const char *reason;

    if (frame->phase == MBR_EXN_DONE)
        return;
    reason = reason_to_stay(frame);
    if (reason)
        mbr__panic(file ? file : frame->site->file, (int)(file ? line : frame->site->line),
                   "the TRY that ends here was left by return or a jump, but %s%s%s", reason,
                   frame->id ? ": " : "", frame->id ? frame->id : "");
    drop(frame);
    unlink_top(frame->chain, frame);
}

void mbr_exn_leave(struct mbr_exn_frame *frame)
{
    struct mbr__exn_chain *chain = frame->chain;

    /* The usual case: nothing was raised, nothing is passed by, nothing to free. */
    if (chain->top == frame && !frame->id && frame->phase == frame->site->has_finally)
        chain->top = frame->outer;
    else
        mbr__exn_pop(frame, NULL, 0);
}

int mbr_exn_caught(struct mbr_exn_frame *frame, const char *id)
{
    if (id && strcmp(frame->id, id) != 0)
        return 0;
    frame->phase = MBR_EXN_HANDLER;
    return 1;
}

void mbr_exn_finally(struct mbr_exn_frame *frame)
{
    if (frame->phase == MBR_EXN_HANDLER)
        drop(frame);
    frame->phase = MBR_EXN_FINALLY;
}

void mbr_exn_end(struct mbr_exn_frame *frame)
{
    struct mbr__exn_chain *chain = frame->chain;
    struct mbr__exn exn = held_by(frame);

    if (frame->phase == MBR_EXN_HANDLER)
        drop(frame);
    if (!frame->id)
        return; /* the cleanup of TRY follows */
    frame->args = NULL;
    frame->id = NULL;
    unlink_top(chain, frame);
    mbr__exn_deliver(chain, exn);
}

void mbr_exn_reraise(struct mbr_exn_frame *frame)
{
    struct mbr__exn exn = held_by(frame);

    if (!frame->id)
        mbr__panic("?", 0, "RERAISE of an exception that was raised again already");
    frame->args = NULL;
    frame->id = NULL;
    mbr__exn_deliver(frame->chain, exn);
}
