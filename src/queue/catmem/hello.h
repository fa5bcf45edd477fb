/* SPDX-License-Identifier: MIT */
/*
 * Notes that travel through mailboxes: an opener's hello, and where /proc does not serve a request
 * and its answer. Everything in a note is the sender's word; the kernel vouches for its user id
 * alone.
 */
#ifndef MBR_CATMEM_HELLO_H
#define MBR_CATMEM_HELLO_H

#include <assert.h>
#include <stdint.h>

#define MBR__HELLO_MAGIC UINT32_C(0x6f6c6c48)

enum mbr__hello_kind {
    MBR__HELLO_OPEN =
        1, /* with our half's memory, our bell and our pidfd: we have opened your pipe */
    MBR__HELLO_REQUEST = 2, /* send me your half's memory, your bell and your pidfd */
    MBR__HELLO_ANSWER = 3,  /* here they are */
    MBR__HELLO_LEND =
        4, /* with the memory of a lending region: start is its identity, capacity its size */
    MBR__HELLO_CONNECT = 5,  /* as OPEN, from a socket: its ring begins with a CONNECT record */
    MBR__HELLO_PAIRED = 6,   /* its answer, over the same connection: our half */
    MBR__HELLO_GUEST = 7,    /* with one end of a TCP connection, for a listening socket */
    MBR__HELLO_ADMITTED = 8, /* its answer, over the same connection: it waits for an accept */
};

struct mbr__hello {
    uint32_t magic;
    uint32_t kind;
    uint64_t target[2];  /* identity of the creator's half, or of the socket */
    uint64_t id[2];      /* of the sender's half */
    uint64_t start;      /* the opener's consumer index */
    uint64_t capacity;   /* bytes of the sender's ring, 0 none */
    uint64_t proc_start; /* struct mbr__proc of the sender */
    uint64_t proc_ns;
    uint64_t inst; /* the sender's mailbox */
    int32_t pid;   /* the sender's, in its own PID namespace */
    int32_t wake;  /* number of its bell */
};

static_assert(sizeof(struct mbr__hello) == 88, "no padding");

struct mbr_libos;
struct mbr__note;
struct mbr__peer;
struct mbr__pipe;
struct mbr__proc;

/* A note about our half, with what a peer needs to reach us. */
int mbr__hello_note(struct mbr__pipe *p, enum mbr__hello_kind kind, struct mbr__note *note);
/* The record of the process that has sent a note with its three descriptors. -EPROTO, ... */
int mbr__hello_know(struct mbr_libos *l, const struct mbr__hello *h, struct mbr__note *note,
                    struct mbr__peer **out);
/* The bell to be used of one that was passed: -1 none is needed, or a descriptor of our own. */
int mbr__hello_bell(const struct mbr__proc *proc, int wake_no, int *passed);

#endif
