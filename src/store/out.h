/* SPDX-License-Identifier: MIT */
/*
 * The output of a connection: replies and events in order, as bytes of whole messages; what of it
 * must wait for the journal; and whom it is charged to until it is read.
 *
 * Not here: who gets which event (watch.h).
 */
#ifndef MBR_STORE_OUT_H
#define MBR_STORE_OUT_H

#include "store/state.h"

void mbr__st_out_init(struct mbr__st_out *out);

/* Drops all output with its charges, and frees the memory. */
void mbr__st_out_clear(struct mbr__store_conn *conn);

/* Room for a reply of LEN bytes of payload, so that queueing it cannot fail. -ENOMEM. */
int mbr__st_out_reserve(struct mbr__store_conn *conn, size_t len);

/* Begins a reply to HEADER with a payload of LEN bytes, for which there is room: the caller fills
 * what is returned, at once. */
unsigned char *mbr__st_out_reply(struct mbr__store_conn *conn,
                                 const struct mbr__store_header *header, uint32_t type,
                                 uint32_t len);

/* Queues "PATH\0TOKEN\0" unless the same is still queued (COALESCE); special names never count as
 * the same. A message that is too long for
 * the protocol is dropped; without memory, or far over its limits, CONN is broken. */
void mbr__st_out_event(struct mbr__store_conn *conn, const struct mbr__st_watch *watch,
                       const char *path, size_t path_len, bool coalesce);

/* Room for the mark of a reply to the present request. -ENOMEM. */
int mbr__st_out_reserve_mark(struct mbr__store_conn *conn);

/* Room for one more hold. -ENOMEM. */
int mbr__st_out_reserve_hold(struct mbr__store_conn *conn);

/* What is queued from now on waits for SEQ; there is room for the hold. */
void mbr__st_out_hold(struct mbr__store_conn *conn, uint64_t seq);

/* For a live update: LEN more bytes of output to be filled (NULL: no memory), and what waits. */
unsigned char *mbr__st_out_restore(struct mbr__store_conn *conn, size_t len);
int mbr__st_out_restore_hold(struct mbr__store_conn *conn, uint64_t start, uint64_t seq);

/* The message at START of the output is an event that makes equal ones superfluous. -EBADMSG: it is
 * no whole event. */
int mbr__st_out_restore_event(struct mbr__store_conn *conn, uint64_t start);

/* The output up to END is charged until DEADLINE to *CHARGE, which is made for DOMAIN if it is
 * NULL. -ENOMEM. */
int mbr__st_out_restore_mark(struct mbr__store_conn *conn, uint64_t end, uint64_t deadline,
                             struct mbr__st_domain *domain, struct mbr__st_charge **charge);

/* Lets go of charges whose time has come, and says when the next is due. */
void mbr__st_out_expire(struct mbr__store_conn *conn, uint64_t now);

/* Tells the transport if there is something it does not know of. */
void mbr__st_out_tell(struct mbr__store_conn *conn);

/* A charge for the request of CONN, if it is a guest's; false: no memory. */
bool mbr__st_charge_begin(struct mbr__store_conn *conn);
void mbr__st_charge_end(struct mbr__store *store);

/* Whether CONN may be read; if not it is put among the stalled. */
bool mbr__st_conn_ready(struct mbr__store_conn *conn);

/* Calls `resume` for those of DOMAIN, or of all, that were stalled and may go on. */
void mbr__st_resume_domain(struct mbr__store *store, struct mbr__st_domain *domain);
void mbr__st_resume_all(struct mbr__store *store);

/* CONN is stalled no longer, without saying so. */
void mbr__st_unstall(struct mbr__store_conn *conn);

/* Marks CONN broken, once, and says so. */
void mbr__st_break(struct mbr__store_conn *conn, int error);

#endif
