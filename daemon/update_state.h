/* SPDX-License-Identifier: MIT */
/*
 * The state that goes through a live update, as a stream. See update.h for the procedure.
 */
#ifndef DAEMON_UPDATE_STATE_H
#define DAEMON_UPDATE_STATE_H

#include "server.h"

struct conn;
struct stream_in;

/* Writes everything to FD; ASKING, or NULL, is the connection that waits for the update. */
int update_state_write(struct server *server, const struct conn *asking, int fd);

/* Calls VISIT for each descriptor that must stay open; also with -1, for nothing. */
void update_state_each_fd(struct server *server, void (*visit)(int fd, void *user), void *user);

/* Reads the whole stream into STORE, an engine that is thrown away afterwards. -EXDEV: the settings
 * name another directory of state. */
int update_state_check(const struct settings *settings, struct mbr__store *store,
                       struct stream_in *in);

/* Reads the stream and takes everything over. */
int update_state_read(struct server *server, struct stream_in *in);

#endif
