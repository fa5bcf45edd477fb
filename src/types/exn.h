/* SPDX-License-Identifier: MIT */
/*
 * The chain of exception handlers of a thread, as the exception macros and the interfaces
 * ExnSupport and ExnSetjmp share it: both end in the functions below.
 *
 * Not here: which chain a thread uses (mbr__exn_current() asks the pervasives).
 */
#ifndef MBR_TYPES_EXN_H
#define MBR_TYPES_EXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/exn.h>

/* Arguments up to this size can be raised once when there is no memory. */
#define MBR__EXN_SPARE 256

struct mbr__exn_chain {
    struct mbr_exn_frame *top; /* the innermost block, or NULL */
    /* Where arguments live: returns NULL if there is no room. */
    void *(*alloc)(struct mbr__exn_chain *chain, size_t size);
    void (*free)(struct mbr__exn_chain *chain, void *args);
    bool spare_used;
    _Alignas(max_align_t) unsigned char spare[MBR__EXN_SPARE];
};

/* An exception on its way. */
struct mbr__exn {
    const char *id;
    void *args; /* of the chain's memory, or NULL */
    const char *file;
    const char *func;
    uint32_t line;
};

/* The chain of the calling thread. */
struct mbr__exn_chain *mbr__exn_current(void);

/* An empty chain whose arguments come from malloc. */
void mbr__exn_chain_init(struct mbr__exn_chain *chain);

/* Room for arguments: from the chain's memory, else its reserve, else NULL. */
void *mbr__exn_alloc(struct mbr__exn_chain *chain, size_t size);
void mbr__exn_free(struct mbr__exn_chain *chain, void *args);

void mbr__exn_push(struct mbr__exn_chain *chain, struct mbr_exn_frame *frame);

/* As mbr_exn_leave; FILE and LINE say where the block is left, for the report; FILE NULL: unknown.
 */
void mbr__exn_pop(struct mbr_exn_frame *frame, const char *file, uint32_t line);

/* Continues at the innermost block of CHAIN that has something to do. */
_Noreturn void mbr__exn_deliver(struct mbr__exn_chain *chain, struct mbr__exn exn);

#endif
