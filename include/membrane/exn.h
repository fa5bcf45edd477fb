/* SPDX-License-Identifier: MIT */
/*
 * Exceptions for C, as MIDDL interfaces declare them (RAISES): a block is tried, what it or
 * anything it calls raises is caught by name, and what nobody catches ends the process with a
 * report.
 *
 *     TRY {
 *         Context_Add(cx, "a>b", &any);
 *     } CATCH(Context_NotFound, args) {         which of them it was, and its arguments
 *         printf("no %s\n", args->name);
 *     } CATCH(Heap_NoMemory) {                  one without arguments
 *         return -ENOMEM;
 *     } CATCH_ALL {                             the last, if at all
 *         RERAISE;                              the same exception, to whoever called us
 *     } FINALLY {                               whatever has happened
 *         unlock();
 *     }
 *     ENDTRY
 *     ...
 *     RAISE(Context_NotFound, "a");
 *     RAISE(Heap_NoMemory);
 *
 * Every part but TRY and ENDTRY may be left out; several CATCH may follow each other.
 *
 * Names. Exception E of interface I is called I_E in these macros. Its identity is the string
 * "I$E", the literal I_E_ID; two exceptions are the same if these strings are equal, in whatever
 * libraries they stand. The arguments are a record of type I_E_Args; for an exception without
 * arguments that is struct mbr_exn_none. The compiler middlc writes both; by hand:
 *
 *     #define Disk_Full_ID "Disk$Full"
 *     typedef struct { uint64_t wanted; } Disk_Full_Args;
 *
 * Leaving. The block, and a handler, may be left by return, break, continue and goto as any block:
 * the handler chain stays right (cleanup attribute), and an exception that was caught counts as
 * handled. Where there is a FINALLY only its end leads out: leaving such a block, or one of its
 * handlers, by return or a jump would pass FINALLY by, so it is reported and the process aborted;
 * so is leaving FINALLY while an exception is on its way. Do not jump into a block, nor longjmp
 * over one.
 *
 * What is raised inside a handler goes to the next TRY outside, after this one's FINALLY. What is
 * raised inside FINALLY replaces an exception that was on its way.
 *
 * Variables of the function that are changed inside TRY and read after an exception must be
 * volatile, since TRY is a setjmp(); the compilers warn (-Wclobbered).
 *
 * Misuse the compiler refuses: a TRY without ENDTRY, CATCH behind CATCH_ALL or behind FINALLY, a
 * second FINALLY, RERAISE or MBR_EXN_* outside a handler, arguments that do not fit the record, an
 * exception that was not declared.
 *
 * Arguments are copied when raised, and freed when the handler is left, or FINALLY if nothing
 * caught them. What a pointer in them points to belongs to whoever the interface says. They live in
 * the heap of the thread's exception chain (malloc's unless another was installed). If there is no
 * memory for them a small reserve of the thread serves; if that is in use, or too small, the
 * exception raised is Heap$NoMemory instead, from the same place.
 *
 * Threads. Each thread has its own chain of handlers; an exception never leaves its thread. The
 * chain is that of the thread's pervasives if they name one (membrane/pervasives.h), else one that
 * every thread has from its birth. Not for signal handlers, and not across fork of a process.
 *
 * C++. The macros work in C++17. They do not run destructors of objects between RAISE and the
 * handler (that is longjmp()), so raise through C functions and frames whose objects need none. A
 * C++ exception may pass a TRY that has no FINALLY; the chain stays right.
 *
 * Cost: at most 40 instructions beyond _setjmp() for a TRY in which nothing is raised; no
 * allocation.
 *
 * The short names are not defined if MBR_EXN_NO_SHORT_NAMES is; MBR_TRY, MBR_CATCH and so on always
 * are (membrane/exn_macros.h). Source: interfaces ExnSupport and ExnSetjmp of the Nemesis
 * reference.
 */
#ifndef MEMBRANE_EXN_H
#define MEMBRANE_EXN_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/base.h>

MBR_BEGIN_DECLS

/* The argument record of an exception that has no arguments. Never allocated. */
struct mbr_exn_none {
    char unused;
};

/* What is known of a block before it runs. */
struct mbr_exn_site {
    const char *file; /* of its ENDTRY */
    uint32_t line;
    int32_t has_finally; /* MBR_EXN_FINALLY if it has, else MBR_EXN_BODY, which is 0 */
};

/*
 * A handler block in its function's stack frame, between TRY and ENDTRY. Of its fields only env is
 * for anybody but the functions below; its size is part of the ABI.
 */
struct mbr_exn_frame {
    jmp_buf env;
    struct mbr_exn_frame *outer; /* the block around this one, of this or a calling function */
    void *chain;                 /* what it was pushed on */
    const char *id;              /* what has arrived and is not yet done with, or NULL */
    void *args;                  /* of that, or NULL */
    const char *file;            /* where that was raised */
    const char *func;
    uint32_t line;
    int32_t phase; /* enum mbr_exn_phase */
    const struct mbr_exn_site *site;
};

/* Where a block is. Read by the macros. */
enum mbr_exn_phase {
    MBR_EXN_BODY = 0,    /* being tried */
    MBR_EXN_RAISED = 1,  /* an exception has arrived and no CATCH has matched */
    MBR_EXN_HANDLER = 2, /* in a handler */
    MBR_EXN_LAST = 3,    /* raised in a handler: only FINALLY is left to do */
    MBR_EXN_FINALLY = 4, /* in FINALLY; an exception may be on its way */
    MBR_EXN_DONE = 5     /* off the chain */
};

/*
 * Raises exception ID, a string such as "Heap$NoMemory" that outlives it, with a copy of the SIZE
 * bytes at ARGS as its arguments; ARGS NULL for none. FILE, LINE and FUNC tell where, and must
 * outlive it too. Never returns: continues at the innermost handler of this thread. If there is
 * none, the log sink (or standard error if there is none) is told what was raised where, and the
 * process is aborted. RAISE is this.
 */
MBR_API void mbr_exn_raise(const char *id, const void *args, size_t size, const char *file,
                           uint32_t line, const char *func) __attribute__((noreturn, cold));

/*
 * Puts FRAME on top of this thread's handler chain. _setjmp(frame->env) comes next, in the same
 * function. FRAME->site is set by the caller, everything else here.
 */
MBR_API void mbr_exn_enter(struct mbr_exn_frame *frame) __attribute__((nonnull));

/*
 * Takes FRAME, which must be the top, off the chain and frees the arguments of what it has caught.
 * Aborts if that would pass a FINALLY by, lose an exception that is on its way, or if FRAME is not
 * the top (a block inside it was left by longjmp). The cleanup of TRY is this.
 */
MBR_API void mbr_exn_leave(struct mbr_exn_frame *frame) __attribute__((nonnull));

/* 1 if what has arrived at FRAME is ID, or anything at all if ID is NULL: it is then caught. */
MBR_API int mbr_exn_caught(struct mbr_exn_frame *frame, const char *id) __attribute__((nonnull(1)));

/* The begin of FINALLY: what was caught is done with, what was not stays on its way. */
MBR_API void mbr_exn_finally(struct mbr_exn_frame *frame) __attribute__((nonnull));

/* The end of the block: raises what is still on its way, with its origin, one block further out. */
MBR_API void mbr_exn_end(struct mbr_exn_frame *frame) __attribute__((nonnull));

/* Raises what FRAME has caught once more, with its arguments and its origin. RERAISE is this. */
MBR_API void mbr_exn_reraise(struct mbr_exn_frame *frame) __attribute__((nonnull, noreturn, cold));

MBR_END_DECLS

#include <membrane/exn_macros.h>

#endif
