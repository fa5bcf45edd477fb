/* SPDX-License-Identifier: MIT */
/* What session.c and hello.c share: how two halves become a pipe. pipe.h has the rest. */
#ifndef MBR_CATMEM_SESSION_H
#define MBR_CATMEM_SESSION_H

#include "queue/catmem/pipe.h"

/* Makes our region, its control page filled in; nobody has seen it yet. Errors as
 * mbr__region_create(). */
int mbr__session_make_half(struct mbr__pipe *p, uint64_t capacity);

/* Whether a mapped half is what link or note promised: 0 and its capacity, or -EPROTO. */
int mbr__session_check_half(const struct mbr__region *r, const uint64_t id[2], uint64_t *capacity);

/* Joins the mapped `theirs` to our half; we read from our_start, the peer read ours from
 * their_start. -EPROTO. */
int mbr__session_join(struct mbr__pipe *p, uint64_t capacity, uint64_t our_start,
                      uint64_t their_start);

/* Parts from the peer: watches, mapping, its process. Fine if nothing was joined. */
void mbr__session_detach(struct mbr__pipe *p);

/* Opener, under the lock: sets the state of its link. -ENOENT the creator has withdrawn the pipe.
 */
int mbr__session_mark(struct mbr__pipe *p, char state);

#endif
