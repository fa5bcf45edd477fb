/* SPDX-License-Identifier: MIT */
/*
 * The short comparison that `membrane bench` and the demo print: the given subjects beside a kernel
 * pipe, a unix socket and TCP over loopback, each streaming large messages and exchanging 64-byte
 * ones, interleaved in one run.
 */
#ifndef BENCH_LIB_QUICK_H
#define BENCH_LIB_QUICK_H

#include <jansson.h>
#include <stdio.h>

#include "bench/lib/subject.h"

struct bench_quick_options {
    size_t stream_size; /* bytes of a streamed message; 0: 1 MiB */
    unsigned runs;      /* repetitions; 0: 3 */
    uint64_t budget_ns; /* of measuring in all; 0: 7 s, which ends within about 10 */
    FILE *progress;     /* "measuring pipe (3/24)", rewritten in place; NULL: none */
};

/*
 * Measures and prints one table and the conditions it was taken under. `ours` are `count` subjects
 * that can ping, pong, send and recv while spinning; `options` may be NULL. With a JSON object, the
 * results are added to it as "bench".
 *
 * Blocks for about the budget and a third. Forks; the calling process should have one thread.
 * Subjects that fail get a row that says so, and the reason below the table. Returns 0, or
 * -EINTR after bench_run_cancel() (the table shows what there was), -ENOMEM, the first error of
 * bench_runner_init(), or -EIO when one of `ours` could not be measured.
 */
int bench_quick_table(FILE *out, json_t *opt_json, const struct bench_subject *ours, size_t count,
                      const struct bench_quick_options *options);

#endif
