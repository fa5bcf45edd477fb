/* SPDX-License-Identifier: MIT */
/*
 * CONTROL calls of domain 0 that concern the daemon rather than the store:
 *
 *   connect DOMID    a connected socket for a connection of this domain
 *   ring DOMID       the same over a shared page: its memory and two eventfds, the first for
 *                    ringing the server, the second for being rung
 *   live-update ...  as xenstore-control sends it (update.h)
 *   logfile FILE     appends the log to FILE
 *   memreport FILE   appends a report of what the store holds to FILE
 *
 * Descriptors come with the first byte of the reply (SCM_RIGHTS). A domain that is not introduced
 * yet is introduced, and then released with its last connection.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "server.h"

struct conn;
struct control_call;

extern const char control_help[];

/* The engine's callback. */
int control_called(void *user, struct mbr__store_conn *conn, int argc, const char *const *argv,
                   struct mbr__strbuf *reply);

/* Carries out the call of CONN that was put off, and answers it. */
void control_run(struct conn *conn);

/* The answer of a call of CONN that has taken longer: ERROR, or WHY, a text ("": "OK"). */
void control_answer(struct conn *conn, int error, const char *why);

/* Forgets the call of CONN, if it has one. */
void control_drop(struct conn *conn);

#endif
