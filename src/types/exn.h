/* SPDX-License-Identifier: MIT */
/*
 * The chain of exception handlers of a thread, as the exception macros and the interfaces
 * ExnSupport and ExnSetjmp share it: both end in the functions below.
 *
 * Not here: which chain a thread uses (mbr__exn_current() asks the pervasives), and the closures.
 */
#ifndef MBR_TYPES_EXN_H
#define MBR_TYPES_EXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <membrane/exn.h>

/* One instruction to find, also from a shared object; there is little of it. */
#define MBR__EXN_TLS __attribute__((tls_model("initial-exec")))

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

/* The chain every thread has from its birth. */
extern _Thread_local struct mbr__exn_chain mbr__exn_own MBR__EXN_TLS;

/* The chain of the calling thread: that of its pervasives if ExnSystem has made them one. */
struct mbr__exn_chain *mbr__exn_current(void);

/*
 * Raises through the pervasives if the exns there are none of ours: then handlers are theirs to
 * find. Returns if there are no such exns.
 */
void mbr__exn_raise_elsewhere(const struct mbr__exn *exn);

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
