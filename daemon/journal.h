/* SPDX-License-Identifier: MIT */
/*
 * Durability: the engine's batches in an LMDB environment, many to a transaction.
 *
 * Batches are copied into a buffer; a thread of its own puts each full turn's buffer into one
 * transaction and waits for the disk, while the loop serves others and fills the next buffer. A
 * reply leaves when the transaction with its batch is on the disk. The thread knows bytes only.
 *
 * Keys are node ids, big-endian, so that a walk meets parents before children. A value is a record
 * (record.h). The database "meta" has the format's version and the number of the last batch.
 *
 * An unreadable state is an error, never an empty store. A failure to write is tried again until it
 * succeeds: nothing that was not written is ever acknowledged.
 */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "store/engine.h"

struct journal;

/* Opens the state in directory DIR, made if it is missing. An exit code, after an error message
 * unless it is 0. One process at a time. */
int journal_open(const char *dir, struct journal **out);

/* Stops the thread after what it has to write; NULL is fine. */
void journal_close(struct journal *journal);

/* Feeds what is there to STORE, begin to end, and starts the thread. With RESUMED the state is only
 * opened: STORE has it from a live update. As journal_open(). */
int journal_start(struct journal *journal, struct mbr__store *store, bool resumed);

/* The engine's callback. */
void journal_append(struct journal *journal, const struct mbr__store_batch *batch);

/* Readable (an edge) when the thread has finished something; then call collect. */
int journal_descriptor(const struct journal *journal);

/* Tells the engine what has become durable. */
void journal_collect(struct journal *journal);

/* End of a turn of the loop: hands over what has gathered, unless more is about to come. False when
 * nothing can be written any more for lack of memory: the daemon must end. */
bool journal_turn(struct journal *journal);

/* When journal_turn() should be called at the latest; MBR__NEVER. */
uint64_t journal_deadline(const struct journal *journal);

/* Waits until everything is durable and has been told to the engine; false if the disk did not take
 * it within some seconds. */
bool journal_flush(struct journal *journal);

#endif
