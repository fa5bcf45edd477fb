/* SPDX-License-Identifier: MIT */
/*
 * The state's LMDB environment: whole buffers in, all nodes out. See journal.h for the format.
 */
#ifndef DAEMON_DATABASE_H
#define DAEMON_DATABASE_H

#include <stddef.h>
#include <stdint.h>

#include "store/engine.h"

struct database;

/* As journal_open(). */
int database_open(const char *dir, struct database **out);
/* NULL is fine. */
void database_close(struct database *database);

/* Feeds every node to STORE, begin to end; nothing if the state is new. An exit code, after an
 * error message unless it is 0. */
int database_load(struct database *database, struct mbr__store *store);

/* Carries out the LENGTH bytes of a buffer (record.h) and notes SEQ, in one transaction that is on
 * the disk when 0 is returned; otherwise nothing of it is. A full map is made larger. */
int database_write(struct database *database, const unsigned char *data, size_t length,
                   uint64_t seq);

/* The text for what database_write() has returned. */
const char *database_error(int rc);

#endif
