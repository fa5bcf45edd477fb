/* SPDX-License-Identifier: MIT */
/*
 * A bare cache-line ping-pong, played before and after each measurement by the same two processes
 * on the same two CPUs. Its round trip is the floor under every other latency, and it tells whether
 * a hypervisor ran both virtual CPUs on one physical core: the line then never leaves that core and
 * all figures of the sample are those of another machine. Such samples are dropped and counted.
 */
#ifndef BENCH_LIB_LINECHECK_H
#define BENCH_LIB_LINECHECK_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

/* Two lines apart by more than the adjacent-line prefetcher pairs. In shared memory, zeroed. */
struct bench_lines {
    alignas(128) uint64_t a; /* written by side A; in the one-line game by both */
    alignas(128) uint64_t b; /* written by side B */
};

/*
 * Plays for `span_ns`, on one line or on two, as side 0 or 1; both sides call it at about the same
 * time. `*rtt_ns` is the median, over short stretches, of the time of one round trip on side 0,
 * and 0 on side 1. -ETIMEDOUT when the other side does not answer within `timeout_ns`.
 */
int bench_linecheck(struct bench_lines *lines, int side, bool two, uint64_t span_ns,
                    uint64_t timeout_ns, double *rtt_ns);

/*
 * The two-line round trips of a whole run of the program, to judge one by the others. (The one-line
 * figure varies by a third between placements of the line; the two-line figure by a few per cent.)
 */
#define BENCH_LINE_LOG 1024
struct bench_line_log {
    double rtt_ns[BENCH_LINE_LOG];
    size_t count; /* all ever noted; the log keeps the last BENCH_LINE_LOG of them */
};

void bench_line_note(struct bench_line_log *log, double rtt_ns);

/*
 * The round trip between different cores as far as the log can tell: its ninth decile, because the
 * host may have had both CPUs on one core for most of the run so far.
 */
double bench_line_usual(const struct bench_line_log *log);

/*
 * True when this round trip is so short beside the usual one that both CPUs must have shared a
 * core (seen: 52 ns instead of 290; the limit is 0.55). False while fewer than eight are
 * known. On hardware without a hypervisor round trips do not change like that, so nothing is
 * dropped there.
 */
bool bench_line_shared_core(const struct bench_line_log *log, double rtt_ns);

#endif
