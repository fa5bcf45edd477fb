/* SPDX-License-Identifier: MIT */
/*
 * Live update: the process runs a new binary and keeps everything. The state goes through a sealed
 * memfd, descriptors stay open over execve(2). The new binary is first asked, in a child, to read
 * the state, while the old one goes on serving; only if it can, within a time limit, is the state
 * written once more and the old one given up. Until the new one serves there is a way back
 * (fallback.h), which is taken also when the limit has passed again; a program without one is ended
 * by the alarm, so that who supervises the daemon sees it.
 *
 * Commands, as xenstore-control gives them to CONTROL live-update:
 *   -f FILE           the binary to run (otherwise: where this one came from)
 *   -c ARGUMENTS      arguments to add, separated by blanks
 *   -a                forget both
 *   -s [-t S] [-F] [-v V]
 *                     do it; time limit, force and version are accepted, since nothing is waited
 *                     for: open transactions are kept
 */
#ifndef DAEMON_UPDATE_H
#define DAEMON_UPDATE_H

#include <stdbool.h>
#include <stddef.h>

#include "server.h"

struct conn;
struct update;

/* Remembers how this process was started. 0 or -ENOMEM. */
int update_new(int argc, char **argv, struct update **out);
void update_free(struct update *update);

/* A command; its answer in REPLY. 1: the update is to be run; -EINVAL: it is none. */
int update_command(struct server *server, int argc, const char *const *argv,
                   struct mbr__strbuf *reply);

/* Puts the new binary on trial; when that is over the process becomes it. CONN, or NULL, waits for
 * the answer, which the new program gives, or control_answer() if it is refused later. A negative
 * errno if it is refused now, with the reason in WHY. The reason is logged, too. */
int update_begin(struct server *server, struct conn *conn, char *why, size_t size);

/* The loop must call update_tick() at this time, MBR__NEVER if there is no trial. */
uint64_t update_deadline(const struct update *update);
void update_tick(struct update *update, uint64_t now);

/* CONN goes, and waits for nothing any more. */
void update_forget(struct update *update, const struct conn *conn);

/* Reads the state from FD into SERVER, whose engine is made and empty; descriptors, connections and
 * users are taken over. FD stays open, and what is taken over is inherited by other programs still,
 * until update_restored(). 0 or a negative errno. */
int update_restore(struct server *server, int fd);

/* Nothing can fail any more: there is no way back, and FD is closed. */
void update_restored(struct server *server, int fd);

/* Reads the state from FD to see whether that is possible; nothing else happens. An exit code,
 * after an error message unless it is 0. */
int update_try(const struct settings *settings, int fd);

#endif
