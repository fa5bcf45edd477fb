/* SPDX-License-Identifier: MIT */
/*
 * Loads on a server of the store's protocol, each from one thread. They return a rate a second, or
 * a time in nanoseconds; negative: an errno.
 */
#ifndef BENCH_STORE_LOAD_H
#define BENCH_STORE_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "bench/store/peer.h"

/* Requests of READ or WRITE of 16 bytes: `connections` of them with `depth` outstanding each. */
double load_requests(const struct peer *p, uint32_t type, int connections, int depth,
                     uint64_t span_ns);
/*
 * One request at a time, of each kind in turns, so that what happens beside it slows all alike:
 * medians, in nanoseconds, of what one took in a turn of so many round trips for all of them. A
 * read of the floor, a read and a write of the store; start, read, write and commit; from a write
 * to its event at another connection.
 */
enum { LOAD_FLOOR, LOAD_READ, LOAD_WRITE, LOAD_TRANSACTION, LOAD_DELIVERY, LOAD_TURNS };
int load_in_turns(const struct peer *floor, const struct peer *store, uint64_t span_ns,
                  double out[LOAD_TURNS]);
/* Events a second to so many watchers, with `writes` under way at one time, at most LOAD_BURST. */
#define LOAD_BURST 8
double load_fan_out(const struct peer *p, int watchers, int writes, uint64_t span_ns);

/* So many more connections that do nothing, with a watch each if `watch`; they are closed with
 * load_crowd_end(). Negative errno. */
int load_crowd(const struct peer *p, int count, int watch);
/* So many watches on one connection. */
int load_watches(const struct peer *p, int count);
void load_crowd_end(void);

/* `count` nodes below `directory`, pipelined; a tenth of a second and more. Negative errno. */
int load_nodes(const struct peer *p, const char *directory, int count);
/* Makes and reads children of a directory, each waited for: pairs a second. */
double load_children(const struct peer *p, const char *directory, uint64_t span_ns);
/* Reads while nothing else happens, so often, and while a directory is removed, until that is done,
 * work behind the answer too: the longest wait. */
double load_quiet_wait(const struct peer *p, int count);
double load_removal(const struct peer *p, const char *directory);
/* Reads of 16 bytes one at a time over a shared page; -EIO: the server has none. */
double load_ring(const struct peer *p, uint64_t span_ns);

#endif
