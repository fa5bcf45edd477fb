/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of 64-bit values with three significant digits: linear up to 2,047, then
 * 1,024 buckets in each power of two, so that a bucket is never wider than 0.1 % of its value (the
 * bucket scheme that HdrHistogram made usual). The unit is the caller's. Values from 2^42 on are
 * counted in the last bucket; the largest value is kept exactly.
 *
 * Not thread-safe; merge one histogram per thread or process instead.
 */
#ifndef BENCH_LIB_HIST_H
#define BENCH_LIB_HIST_H

#include <stdint.h>

struct bench_hist {
    uint64_t *bucket;
    uint64_t count;
    uint64_t min;
    uint64_t max;
    double sum;
};

/* Allocates the buckets (about 270 KiB). -ENOMEM when there is no memory. */
int bench_hist_init(struct bench_hist *hist);
void bench_hist_fini(struct bench_hist *hist);

void bench_hist_clear(struct bench_hist *hist);
void bench_hist_record(struct bench_hist *hist, uint64_t value);

/* Adds everything counted in `from` to `into`. */
void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from);

/*
 * The value that a fraction `q` (0 to 1) of all recorded values do not exceed, to three digits: the
 * highest value of its bucket, and never more than the largest value recorded. 0 when empty.
 */
uint64_t bench_hist_quantile(const struct bench_hist *hist, double q);

double bench_hist_mean(const struct bench_hist *hist);

#endif
