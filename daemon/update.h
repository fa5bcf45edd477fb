/* SPDX-License-Identifier: MIT */
/*
 * Live update: the process runs a new binary and keeps everything. The state goes through a sealed
 * memfd, descriptors stay open over execve(2). The new binary is first asked, in a child, to read
 * the state; only if it can does the old one give itself up. Until the new one serves there is a
 * way back (fallback.h).
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

/* Runs the new binary. Returns only on failure, with the reason in WHY, also logged. CONN, or NULL,
 * waits for the answer, which the new process gives. */
void update_run(struct server *server, struct conn *conn, char *why, size_t size);

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
