/* SPDX-License-Identifier: MIT */
/*
 * A request while it is carried out, and its ways to be answered.
 *
 * Not here: output queues (out.h).
 */
#ifndef MBR_STORE_REQUEST_H
#define MBR_STORE_REQUEST_H

#include "store/state.h"

struct mbr__st_req {
    struct mbr__store *store;
    struct mbr__store_conn *conn;
    struct mbr__st_tx *tx; /* or NULL */
    const struct mbr__store_header *header;
    const char *payload;
    size_t len;
    bool answered;
    bool later; /* will be answered by mbr__store_control_done() */
};

/*
 * A handler of a message type: 0 when it has answered, or a negative errno of the protocol, which
 * is then the answer. -MBR__ST_NO_OUTPUT: there was no memory for the reply, and nothing has been
 * changed.
 */
typedef int mbr__st_handler(struct mbr__st_req *req);

#define MBR__ST_NO_OUTPUT 4095 /* no errno */

/* "OK", for which there always is room; waits for the journal if there is one. */
int mbr__st_ack(struct mbr__st_req *req);

/* A reply of LEN bytes; room for it is made if need be. */
int mbr__st_reply(struct mbr__st_req *req, const void *payload, size_t len);

/* Begins a reply of LEN bytes, at most the protocol's limit, to be filled; NULL: no memory. */
unsigned char *mbr__st_reply_begin(struct mbr__st_req *req, size_t len);

/* The payload, if it is one string with its NUL and nothing else; NULL if not. */
const char *mbr__st_one_arg(const struct mbr__st_req *req);

/* The first MAX NUL-terminated strings of the payload into ARGS; how many there are in all. */
size_t mbr__st_args(const struct mbr__st_req *req, const char **args, size_t max);

/* A number of decimal digits, at most MAX. -EINVAL. */
int mbr__st_number(const char *text, uint64_t max, uint64_t *number);

/* Parses the LEN bytes at TEXT as the request's path into store->path. -EINVAL, also for special
 * names unless SPECIAL. */
int mbr__st_req_path(struct mbr__st_req *req, const char *text, size_t len, bool special);

/* The same for the payload, which must be that path and its NUL, and not special. */
int mbr__st_one_path(struct mbr__st_req *req);

mbr__st_handler mbr__st_do_control;
mbr__st_handler mbr__st_do_directory;
mbr__st_handler mbr__st_do_directory_part;
mbr__st_handler mbr__st_do_read;
mbr__st_handler mbr__st_do_get_perms;
mbr__st_handler mbr__st_do_set_perms;
mbr__st_handler mbr__st_do_write;
mbr__st_handler mbr__st_do_mkdir;
mbr__st_handler mbr__st_do_rm;
mbr__st_handler mbr__st_do_watch;
mbr__st_handler mbr__st_do_unwatch;
mbr__st_handler mbr__st_do_reset_watches;
mbr__st_handler mbr__st_do_tx_start;
mbr__st_handler mbr__st_do_tx_end;
mbr__st_handler mbr__st_do_introduce;
mbr__st_handler mbr__st_do_release;
mbr__st_handler mbr__st_do_resume;
mbr__st_handler mbr__st_do_get_domain_path;
mbr__st_handler mbr__st_do_is_introduced;
mbr__st_handler mbr__st_do_set_target;
mbr__st_handler mbr__st_do_get_feature;
mbr__st_handler mbr__st_do_set_feature;
mbr__st_handler mbr__st_do_get_quota;
mbr__st_handler mbr__st_do_set_quota;

#endif
