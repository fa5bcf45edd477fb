/* SPDX-License-Identifier: MIT */
/*
 * Passing messages by reference. The lender keeps a few regions per pipe whose identity is random
 * and travels through this pipe alone; a message lent is a record that says where it lies. The
 * reader maps the region read-only on first sight and gives each message back by a record in the
 * other direction, when the program frees it. What is out is counted: at most MBR__LEND_MAX bytes
 * per pipe. All of it comes back when the peer leaves or dies.
 *
 * Everything in a shared record is the peer's word: the region is verified as any other
 * (shm/region.h), offset and length are bounded by its size, a returned place must be one that is
 * out.
 */
#ifndef MBR_CATMEM_LEND_H
#define MBR_CATMEM_LEND_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/catmem/pipe.h"

#define MBR__LEND_MAX      (UINT64_C(64) << 20) /* bytes of lending memory of one pipe */
#define MBR__LEND_REGIONS  32u                  /* regions of one pipe, ours and the peer's each */
#define MBR__LEND_SLOT_MIN UINT64_C(4096)       /* bytes of the smallest place */
#define MBR__LEND_MAGIC    UINT64_C(0x31646e656c6d4d) /* "Mmlend1" */

/*
 * Body of MBR__REC_LENT and MBR__REC_RETURN records, written by the sender into its ring before it
 * is published, read once into a local. Hostile: another region, place or length is refused
 * (-EPROTO), never followed.
 */
struct mbr__lent_shm {
    uint64_t region; /* random identity of the lending region */
    uint64_t offset; /* of the message in its body */
    uint32_t len;    /* bytes of the message */
    uint32_t reserved;
};

/* Start of a lending region: written by the lender before it is lent, read once by the reader,
 * checked. */
struct mbr__lend_head_shm {
    uint64_t magic;
    uint64_t id;
};

static_assert(sizeof(struct mbr__lent_shm) == 24 && offsetof(struct mbr__lent_shm, len) == 16,
              "layout version 1");

/* A buffer of lending memory. -EAGAIN all that may be lent is out or in use; -ENOTCONN no peer;
 * -EINVAL; -ENOMEM. */
int mbr__lend_alloc(struct mbr__pipe *p, size_t size, struct mbr__buf **out);

/* Handles a LENT or RETURN record; op is NULL if only RETURN may be handled. 1: op completed with
 * the message, 0: a RETURN was taken, -ENOMEM, -EPROTO, ... */
int mbr__lend_record(struct mbr__pipe *p, struct mbr__op *op, const struct mbr__record *rec);

/* A region of the peer's that came through our mailbox; what is no lending region is ignored. */
void mbr__lend_view(struct mbr__pipe *p, uint64_t id, uint64_t size, int fd);

/* For a LENT record that is looked at in place: where its message lies (-EPROTO, -ENOMEM), and
 * giving it back before the record is released (-ENOMEM). */
int mbr__lend_peek(struct mbr__pipe *p, const struct mbr__record *rec, const void **data,
                   uint32_t *len);
int mbr__lend_done(struct mbr__pipe *p, const struct mbr__record *rec);

/* Takes RETURN records that lie at the front of the ring. */
void mbr__lend_take_returns(struct mbr__pipe *p);

/* Whether the buffer lies in a region lent to this very peer. */
bool mbr__lend_is_ours(const struct mbr__pipe *p, const struct mbr__buf *buf);

/* Pushes a lent buffer's place. False: no room now. */
bool mbr__lend_push(struct mbr__pipe *p, struct mbr__op *op);

/* Sends back what the program has freed; what does not fit now is sent later. */
void mbr__lend_flush(struct mbr__pipe *p);

/* The peer has left: what it had comes back. */
void mbr__lend_reset(struct mbr__pipe *p);
/* The pipe is closed: regions that the program still holds buffers of live on until these are
 * freed. */
void mbr__lend_close(struct mbr__pipe *p);

#endif
